//! The row of a run: for people a line of a table, for programs an object. Owns the units; refuses to judge a figure.

use std::time::Duration;

use serde_json::{Value, json};

use super::meter::Usage;
use super::tally::Tally;
use crate::cli::connection::Context;
use crate::cli::failure::Failure;
use crate::cli::output;

/// What was run.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// The path that was loaded: `publish`, `fanout`, `replay`, `lookup`; in a mixed run with its part.
    pub bench: &'static str,
    /// How: `unary`, `batch`, `stream` …
    pub mode: &'static str,
    /// Clients at the same time.
    pub clients: usize,
    /// Connections that they share.
    pub connections: usize,
    /// Items in one call.
    pub batch: usize,
    /// Items a second that were offered; none at a closed pace.
    pub offered_per_s: Option<f64>,
    /// Of what the items were made.
    pub seed: u64,
    /// What else makes the run what it is.
    pub notes: Vec<(&'static str, Value)>,
}

/// What a run gave.
pub struct Row {
    shape: Shape,
    tally: Tally,
    counted: Duration,
    usage: Usage,
    /// Items of all parts of the run: the cost is theirs together.
    items_of_all: u64,
}

impl Row {
    /// The row of a run with one part.
    pub fn new(shape: Shape, tally: Tally, counted: Duration, usage: Usage) -> Row {
        let items = tally.done.items;
        Row::of_part(shape, tally, counted, usage, items)
    }

    /// The row of one part of a run. The cost is shared with the other parts, which made `items_of_all` with it.
    pub fn of_part(shape: Shape, tally: Tally, counted: Duration, usage: Usage, items_of_all: u64) -> Row {
        Row {
            shape,
            tally,
            counted,
            usage,
            items_of_all,
        }
    }

    fn rate(&self) -> f64 {
        self.tally.done.items as f64 / self.counted.as_secs_f64()
    }

    fn micros_per_item(&self, time: Duration) -> f64 {
        match self.items_of_all {
            0 => 0.0,
            items => time.as_secs_f64() * 1e6 / items as f64,
        }
    }

    /// What an item left behind in the hub's memory: of a publication that is what an indicator takes.
    fn grown_bytes_per_item(&self) -> Option<f64> {
        let grown = self.usage.grown_bytes()?;
        (self.items_of_all > 0).then(|| grown as f64 / self.items_of_all as f64)
    }

    fn cores(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.usage.elapsed.as_secs_f64()
    }

    fn quantile_us(&self, quantile: f64) -> u64 {
        self.tally.latencies_us.value_at_quantile(quantile)
    }

    /// The object.
    pub fn json(&self) -> Value {
        let Shape {
            bench,
            mode,
            clients,
            connections,
            batch,
            offered_per_s,
            seed,
            notes,
        } = &self.shape;
        let (done, usage) = (&self.tally.done, &self.usage);
        let memory = usage.memory;
        let mut value = json!({
            "bench": bench, "mode": mode, "clients": clients, "connections": connections, "batch": batch,
            "offered_per_s": offered_per_s, "seconds": rounded(self.counted.as_secs_f64(), 3),
            "items": done.items, "calls": self.tally.calls, "rate_per_s": rounded(self.rate(), 1),
            "latency_us": {
                "p50": self.quantile_us(0.5), "p99": self.quantile_us(0.99), "p999": self.quantile_us(0.999),
                "max": self.tally.latencies_us.max(),
            },
            "server_cpu_us_per_item": usage.server.map(|time| rounded(self.micros_per_item(time), 3)),
            "client_cpu_us_per_item": rounded(self.micros_per_item(usage.client), 3),
            "server_cores": usage.server.map(|time| rounded(self.cores(time), 2)),
            "client_cores": rounded(self.cores(usage.client), 2),
            "other_cores": rounded(self.cores(usage.others), 2),
            "server_memory_bytes": memory.map(|memory| memory.resident_bytes),
            "server_memory_peak_bytes": memory.map(|memory| memory.peak_bytes),
            "server_memory_grown_bytes": usage.grown_bytes(),
            "server_memory_grown_bytes_per_item": self.grown_bytes_per_item().map(|bytes| rounded(bytes, 1)),
            "duplicates": done.duplicates, "rejected": done.rejected, "found": done.found, "wrong": done.wrong,
            "failures": self.tally.failures, "missed": self.tally.missed,
            "last_failure": self.tally.last_failure.as_ref().map(|status| status.message()),
            "seed": seed,
        });
        for (name, note) in notes {
            value[*name] = note.clone();
        }
        value
    }

    fn cells(&self) -> Vec<String> {
        let Shape {
            bench,
            mode,
            clients,
            batch,
            ..
        } = &self.shape;
        let millis = |quantile| format!("{:.2}", self.quantile_us(quantile) as f64 / 1e3);
        let unknown = || "?".to_owned();
        let faults = self.tally.failures
            + self.tally.missed
            + self.tally.done.rejected
            + self.tally.done.wrong
            + self.tally.done.duplicates;
        vec![
            format!("{bench} {mode}").trim_end().to_owned(),
            clients.to_string(),
            batch.to_string(),
            format!("{:.0}", self.rate()),
            millis(0.5),
            millis(0.99),
            millis(0.999),
            self.usage
                .server
                .map_or_else(unknown, |time| format!("{:.2}", self.micros_per_item(time))),
            self.usage
                .server
                .map_or_else(unknown, |time| format!("{:.2}", self.cores(time))),
            format!("{:.2}", self.cores(self.usage.others)),
            self.usage
                .memory
                .map_or_else(unknown, |memory| format!("{}", memory.resident_bytes >> 20)),
            self.grown_bytes_per_item()
                .map_or_else(unknown, |bytes| format!("{bytes:.0}")),
            faults.to_string(),
        ]
    }

    /// Why the run is worth nothing, if it did nothing.
    pub fn fault(&self) -> Option<String> {
        let failed = self
            .tally
            .last_failure
            .as_ref()
            .map_or("no call ended in time", |status| status.message());
        (self.tally.done.items == 0).then(|| format!("{} did nothing: {failed}", self.shape.bench))
    }

    fn is_whole(&self) -> bool {
        let (tally, done) = (&self.tally, &self.tally.done);
        [tally.failures, tally.missed, done.rejected, done.duplicates, done.wrong] == [0; 5]
    }
}

const HEADER: [&str; 13] = [
    "bench",
    "clients",
    "batch",
    "rate/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "hub us/item",
    "hub cores",
    "other cores",
    "hub MiB",
    "grown B/item",
    "faults",
];

/// Prints rows as they come for programs, and at the end as one table for people.
pub struct Report<'a> {
    context: &'a Context,
    rows: Vec<Row>,
}

impl<'a> Report<'a> {
    /// An empty report.
    pub fn new(context: &'a Context) -> Report<'a> {
        Report {
            context,
            rows: Vec::new(),
        }
    }

    /// Takes a row.
    pub fn push(&mut self, row: Row) -> Result<(), Failure> {
        if self.context.output.is_json() {
            self.context.output.object(&row.json())?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Prints what is still to be printed. A run that did nothing is a failure; one with faults was done in part.
    pub fn finish(self) -> Result<(), Failure> {
        if !self.context.output.is_json() {
            let cells = self.rows.iter().map(Row::cells).collect();
            self.context.output.line(&output::layout(&HEADER, cells))?;
        }
        if let Some(fault) = self.rows.iter().find_map(Row::fault) {
            return Err(Failure::Failed(fault));
        }
        match self.rows.iter().all(Row::is_whole) {
            true => Ok(()),
            false => {
                self.context
                    .output
                    .note("some items failed, were refused or were there already: see the faults with --json");
                Err(Failure::Partly)
            }
        }
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
