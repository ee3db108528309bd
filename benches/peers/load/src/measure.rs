//! What a run gave and what it cost, in the names that `clearinghouse bench --json` uses. Processor time is that of the server's
//! process and of all processes that it started: PostgreSQL has one for each connection.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Longest latency that is told apart.
const LATENCY_US_MAX: u64 = 600_000_000;

/// Linux counts processor time for programs in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// What some of the clients did.
pub struct Tally {
    pub items: u64,
    pub calls: u64,
    /// Calls that were due and could not be told to any client.
    pub missed: u64,
    pub latencies_us: Histogram<u32>,
}

impl Tally {
    pub fn new() -> anyhow::Result<Tally> {
        Ok(Tally {
            items: 0,
            calls: 0,
            missed: 0,
            latencies_us: Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)?,
        })
    }

    pub fn record(&mut self, latency: Duration, items: u64) {
        self.items += items;
        self.calls += 1;
        self.latency(latency);
    }

    pub fn latency(&mut self, latency: Duration) {
        self.latencies_us.saturating_record(latency.as_micros() as u64);
    }

    pub fn add(&mut self, other: &Tally) -> anyhow::Result<()> {
        self.items += other.items;
        self.calls += other.calls;
        self.missed += other.missed;
        self.latencies_us.add(&other.latencies_us)?;
        Ok(())
    }
}

/// Readings at the start of a run.
pub struct Meter {
    server_pid: u32,
    start: Instant,
    server: Duration,
    own: Duration,
    machine: Duration,
}

impl Meter {
    pub fn start(server_pid: u32) -> anyhow::Result<Meter> {
        Ok(Meter {
            server_pid,
            start: Instant::now(),
            server: time_of_tree(server_pid)?,
            own: time_of(&stat(std::process::id())?, false)?,
            machine: machine_time()?,
        })
    }

    /// What was used until now.
    pub fn stop(&self) -> anyhow::Result<Usage> {
        let now = Meter::start(self.server_pid)?;
        let (server, client) = (now.server.saturating_sub(self.server), now.own.saturating_sub(self.own));
        Ok(Usage {
            elapsed: now.start - self.start,
            server,
            client,
            others: (now.machine.saturating_sub(self.machine)).saturating_sub(server + client),
        })
    }
}

/// What was used between start and stop.
pub struct Usage {
    elapsed: Duration,
    server: Duration,
    client: Duration,
    others: Duration,
}

impl Usage {
    /// The figures of a run.
    pub fn row(&self, tally: &Tally) -> anyhow::Result<Value> {
        anyhow::ensure!(tally.items > 0, "nothing was done");
        let (items, seconds) = (tally.items as f64, self.elapsed.as_secs_f64());
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / items;
        let cores = |time: Duration| time.as_secs_f64() / seconds;
        let quantile = |quantile| tally.latencies_us.value_at_quantile(quantile);
        Ok(json!({
            "seconds": seconds, "items": tally.items, "calls": tally.calls, "rate_per_s": items / seconds,
            "latency_us": {
                "p50": quantile(0.5), "p99": quantile(0.99), "p999": quantile(0.999), "max": tally.latencies_us.max()
            },
            "server_cpu_us_per_item": micros(self.server), "client_cpu_us_per_item": micros(self.client),
            "server_cores": cores(self.server), "client_cores": cores(self.client), "other_cores": cores(self.others),
            "missed": tally.missed,
        }))
    }
}

fn stat(pid: u32) -> anyhow::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))
}

/// A field of `/proc/PID/stat`, counted from the one after the name in brackets.
fn field(stat: &str, place: usize) -> anyhow::Result<u32> {
    let fields = stat.rsplit_once(") ").context("no name in brackets")?.1;
    Ok(fields.split(' ').nth(place).context("too few fields")?.parse()?)
}

/// User and system time, with or without that of children that have ended.
fn time_of(stat: &str, with_ended: bool) -> anyhow::Result<Duration> {
    let places = if with_ended { 11..15 } else { 11..13 };
    let ticks: anyhow::Result<Vec<u32>> = places.map(|place| field(stat, place)).collect();
    Ok(TICK * ticks?.iter().sum::<u32>())
}

/// Time of a process, of its children, and of those that have ended.
fn time_of_tree(root: u32) -> anyhow::Result<Duration> {
    let mut children: HashMap<u32, Vec<(u32, String)>> = HashMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that has just ended is counted with its parent.
        let Ok(stat) = stat(pid) else { continue };
        children.entry(field(&stat, 1)?).or_default().push((pid, stat));
    }
    let mut total = time_of(&stat(root)?, true)?;
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for (pid, stat) in children.get(&parent).into_iter().flatten() {
            total += time_of(stat, true)?;
            parents.push(*pid);
        }
    }
    Ok(total)
}

/// Time in which any processor worked.
fn machine_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<u32> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq
    let busy = [0, 1, 2, 5, 6]
        .iter()
        .filter_map(|place| ticks.get(*place))
        .sum::<u32>();
    Ok(TICK * busy)
}
