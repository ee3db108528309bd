//! How many questions a second the index of PDQ hashes answers, on one thread: the hub's side of `benches/peers/pdq.py`.
//!
//! `near_queries HASHES QUERIES` reads files of 64 hex digits a line, and prints one JSON object: what was found in all, seconds of wall
//! clock and of processor for each question, and the memory that the index took.

use std::error::Error;
use std::fs;
use std::time::Instant;

use clearinghouse::domain::similarity::{PdqHash, PdqIndex};

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args().skip(1);
    let mut read = |what: &str| -> Result<Vec<PdqHash>, Box<dyn Error>> {
        let path = paths.next().ok_or(format!("the file of {what} is missing"))?;
        let text = fs::read_to_string(path)?;
        let hashes = text.lines().map(|line| PdqHash::parse(line).ok_or("a line is no hash"));
        Ok(hashes.collect::<Result<_, _>>()?)
    };
    let (hashes, queries) = (read("hashes")?, read("queries")?);
    let resident_before = resident_kib()?;
    let start = Instant::now();
    let mut index = PdqIndex::default();
    for (key, hash) in (0..).zip(&hashes) {
        index.insert(key, *hash);
    }
    let build_s = start.elapsed().as_secs_f64();
    let resident = resident_kib()? - resident_before;
    let (start, processor) = (Instant::now(), processor_ns()?);
    let mut found = 0_u64;
    for query in &queries {
        index.near(query, PdqHash::DISTANCE_MAX, |_, _| found += 1);
    }
    let wall_s = start.elapsed().as_secs_f64();
    let processor_s = (processor_ns()? - processor) as f64 / 1e9;
    println!(
        "{{\"found\":{found},\"queries\":{},\"wall_s\":{wall_s},\"cpu_s\":{processor_s},\"build_s\":{build_s},\"index_mib\":{}}}",
        queries.len(),
        resident / 1_024
    );
    Ok(())
}

/// Resident memory of this process.
fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no VmRSS")?.parse()?)
}

/// Time that this thread had a processor.
fn processor_ns() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("no time")?.parse()?)
}
