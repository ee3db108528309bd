//! What a run costs: processor time and memory of the hub's process, of this one and of the rest of the machine, read from
//! Linux's `/proc`. Owns the finding of the hub's process; refuses to guess one: where it cannot be found, the cost is left out.

use std::fs;
use std::time::{Duration, Instant};

use crate::cli::failure::Failure;

/// Linux counts processor time for programs in hundredths of a second on every architecture that Rust runs on (USER_HZ).
const TICK: Duration = Duration::from_millis(10);

/// State of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// The hub's process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Server {
    pid: u32,
}

impl Server {
    /// The process with a number that the user gave.
    pub fn of_pid(pid: u32) -> Result<Server, Failure> {
        match process_time(&pid.to_string()) {
            Some(_) => Ok(Server { pid }),
            None => Err(Failure::Usage(format!("--server-pid: there is no process {pid}"))),
        }
    }

    /// The process that listens on `port` of this machine, where this user may see it.
    pub fn listening_on(port: u16) -> Option<Server> {
        let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .flat_map(|table| listening_inodes(&table, port))
            .collect();
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.find(|pid| holds_socket(*pid, &inodes)).map(|pid| Server { pid })
    }

    fn time(self) -> Option<Duration> {
        process_time(&self.pid.to_string())
    }

    /// Its memory now.
    pub fn memory(self) -> Option<Memory> {
        Memory::of_status(&fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?)
    }
}

/// Memory of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Bytes resident now.
    pub resident_bytes: u64,
    /// Most bytes that were ever resident.
    pub peak_bytes: u64,
}

impl Memory {
    fn of_status(status: &str) -> Option<Memory> {
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':')
                .trim()
                .trim_end_matches(" kB")
                .parse::<u64>()
                .ok()
        };
        Some(Memory {
            resident_bytes: kilobytes("VmRSS")? * 1024,
            peak_bytes: kilobytes("VmHWM")? * 1024,
        })
    }
}

/// Readings at the start of a run.
#[derive(Debug)]
pub struct Meter {
    server: Option<Server>,
    at: Instant,
    server_time: Option<Duration>,
    own_time: Duration,
    machine_time: Duration,
    memory: Option<Memory>,
}

/// What was used between start and stop.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The time between.
    pub elapsed: Duration,
    /// Processor time of the hub; none where its process is not known.
    pub server: Option<Duration>,
    /// Processor time of this process.
    pub client: Duration,
    /// Processor time of everything else on this machine: noise.
    pub others: Duration,
    /// The hub's memory at the start.
    pub memory_before: Option<Memory>,
    /// The hub's memory at the end.
    pub memory: Option<Memory>,
}

impl Usage {
    /// By how many bytes the hub's resident memory grew; negative where it shrank.
    pub fn grown_bytes(&self) -> Option<i64> {
        let signed = |memory: Memory| i64::try_from(memory.resident_bytes).unwrap_or(i64::MAX);
        Some(signed(self.memory?) - signed(self.memory_before?))
    }
}

impl Meter {
    /// Reads everything for the first time.
    pub fn start(server: Option<Server>) -> Meter {
        Meter {
            server,
            at: Instant::now(),
            server_time: server.and_then(Server::time),
            own_time: process_time("self").unwrap_or_default(),
            machine_time: machine_time().unwrap_or_default(),
            memory: server.and_then(Server::memory),
        }
    }

    /// Reads everything again.
    pub fn stop(&self) -> Usage {
        let now = Meter::start(self.server);
        let server = now
            .server_time
            .zip(self.server_time)
            .map(|(now, then)| now.saturating_sub(then));
        let client = now.own_time.saturating_sub(self.own_time);
        let machine = now.machine_time.saturating_sub(self.machine_time);
        Usage {
            elapsed: now.at - self.at,
            server,
            client,
            others: machine
                .saturating_sub(client)
                .saturating_sub(server.unwrap_or_default()),
            memory_before: self.memory,
            memory: now.memory,
        }
    }
}

/// The inodes of the sockets that listen on `port`, from a table of `/proc/net`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let port = format!(":{port:04X}");
    let listening = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let matches = fields.get(1)?.ends_with(&port) && *fields.get(3)? == LISTENING;
        matches
            .then(|| fields.get(9).map(|inode| (*inode).to_owned()))
            .flatten()
    });
    listening.collect()
}

fn holds_socket(pid: u32, inodes: &[String]) -> bool {
    // A process of another user, or one that has just ended, shows no descriptors.
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors.flatten().any(|descriptor| {
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        let inode = target
            .to_str()
            .and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'));
        inode.is_some_and(|inode| inodes.iter().any(|listening| listening == inode))
    })
}

fn process_time(pid: &str) -> Option<Duration> {
    time_of_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// User and system time of all threads, from `/proc/PID/stat`. The name in brackets may hold spaces and brackets itself.
fn time_of_stat(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u32>().ok()? + fields.get(12)?.parse::<u32>().ok()?;
    Some(TICK * ticks)
}

/// Time in which any processor worked, interrupts included.
fn machine_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u32> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user, nice, system, idle, iowait, irq, softirq
    let busy = ticks.get(..3)?.iter().sum::<u32>() + ticks.get(5)? + ticks.get(6)?;
    Some(TICK * busy)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_process_is_found_by_its_listening_port_and_only_while_it_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(
            Server::listening_on(port),
            Some(Server {
                pid: std::process::id()
            })
        );
        drop(listener);
        assert_eq!(Server::listening_on(port), None);
    }

    #[test]
    fn a_process_that_is_not_there_is_wrong_usage() {
        // Above the largest number that Linux gives.
        assert!(matches!(Server::of_pid(u32::MAX), Err(Failure::Usage(_))));
        assert!(Server::of_pid(std::process::id()).is_ok());
    }

    #[test]
    fn names_with_brackets_do_not_shift_the_fields() {
        let stat = "7 (a) b) R 1 2 3 4 5 6 7 8 9 10 120 30 0 0";
        assert_eq!(time_of_stat(stat), Some(Duration::from_millis(1_500)));
        assert_eq!(time_of_stat("nonsense"), None);
    }

    #[test]
    fn work_is_metered() {
        let meter = Meter::start(Some(Server {
            pid: std::process::id(),
        }));
        let mut sum = 0_u64;
        while meter.at.elapsed() < Duration::from_millis(60) || meter.stop().client.is_zero() {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        let usage = meter.stop();
        assert!(usage.server.unwrap() >= TICK && sum > 0);
        assert!(usage.memory.unwrap().peak_bytes >= usage.memory.unwrap().resident_bytes / 2);
    }
}
