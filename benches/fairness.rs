//! Fairness: how long an honest member waits for the acknowledgement of one indicator, alone and while another member floods the hub
//! with full requests on many connections. In one process over mutual TLS, so the flooder's client takes its share of the machine as
//! well: the figures are worse than with clients elsewhere. Prints a table; `--quick` measures for a second each.
//!
//! `cargo bench --bench fairness`

#[path = "../tests/wire_support/mod.rs"]
mod wire_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clearinghouse::grpc::wire;
use hdrhistogram::Histogram;
use wire_support::{Client, TestHub, draft, green};

/// Connections of the flooder, each with so many requests under way.
const FLOOD_CONNECTIONS: usize = 4;
const FLOOD_REQUESTS_PER_CONNECTION: usize = 16;
const FLOOD_ITEMS_PER_REQUEST: usize = 1_000;

/// Between two publications of the honest member.
const HONEST_PAUSE: Duration = Duration::from_millis(2);

/// The honest member's latencies in microseconds, and the flooder's rate.
struct Measured {
    latency: Histogram<u64>,
    flooded_per_sec: f64,
    refused: u64,
}

#[derive(Default)]
struct Flood {
    stop: AtomicBool,
    next: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let lasting = Duration::from_secs(if quick { 1 } else { 10 });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>14} {:>9}",
        "honest member, ms", "p50", "p99", "max", "flood items/s", "refused"
    );
    let limit = "publish_items_per_sec_per_member = 20000\npublish_burst_items_per_member = 20000\n\
                 requests_in_flight_per_member_max = 8";
    for (name, limits, flooded) in [
        ("alone", "", false),
        ("flooded, default limits", "", true),
        ("flooded, 20,000 items/s a member", limit, true),
    ] {
        let measured = runtime.block_on(measure(limits, flooded, lasting));
        let ms = |quantile: f64| measured.latency.value_at_quantile(quantile) as f64 / 1_000.0;
        println!(
            "{name:<34} {:>9.2} {:>9.2} {:>9.2} {:>14.0} {:>9}",
            ms(0.5),
            ms(0.99),
            ms(1.0),
            measured.flooded_per_sec,
            measured.refused
        );
    }
}

async fn measure(limits: &str, flooded: bool, lasting: Duration) -> Measured {
    let folder = TestHub::start().await.stop().await.expect("the hub's folder");
    let dir = folder.path().join("hub");
    let file = dir.join("hub.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, format!("{text}\n[limits]\n{limits}\n")).expect("written");
    let hub = TestHub::open(&dir).await;
    let honest = hub.member("Honest", wire::MemberKind::Research).await;
    let flooder = hub.member("Flooder", wire::MemberKind::Platform).await;
    let flood = Arc::new(Flood::default());
    let mut tasks = Vec::new();
    for _ in 0..if flooded { FLOOD_CONNECTIONS } else { 0 } {
        let client = Client {
            channel: hub.connect(&flooder.credentials).await,
            credentials: flooder.credentials.clone(),
        };
        for _ in 0..FLOOD_REQUESTS_PER_CONNECTION {
            tasks.push(tokio::spawn(publish_without_end(client.clone(), flood.clone())));
        }
    }
    // The flood is at its height when the measurement begins.
    tokio::time::sleep(lasting / 5).await;
    let (begun, before) = (Instant::now(), flood.accepted.load(Ordering::Relaxed));
    let latency = publish_one_by_one(&honest, lasting).await;
    let flooded = flood.accepted.load(Ordering::Relaxed) - before;
    let flooded_per_sec = flooded as f64 / begun.elapsed().as_secs_f64();
    flood.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("the flooder does not fail");
    }
    hub.stop().await;
    Measured {
        latency,
        flooded_per_sec,
        refused: flood.refused.load(Ordering::Relaxed),
    }
}

async fn publish_one_by_one(honest: &Client, lasting: Duration) -> Histogram<u64> {
    let mut latency = Histogram::new(3).expect("a valid precision");
    let begun = Instant::now();
    let mut n = 0;
    while begun.elapsed() < lasting {
        n += 1;
        let sent = Instant::now();
        honest.publish(&format!("honest-{n}.example.com"), green()).await;
        latency
            .record(sent.elapsed().as_micros() as u64)
            .expect("within the range");
        tokio::time::sleep(HONEST_PAUSE).await;
    }
    latency
}

/// Full requests, one after the other, of values never seen before. What is refused is tried again when the hub says: a flooder that
/// does not even wait is a matter of connections, which the door limits.
async fn publish_without_end(client: Client, flood: Arc<Flood>) {
    while !flood.stop.load(Ordering::Relaxed) {
        let first = flood.next.fetch_add(FLOOD_ITEMS_PER_REQUEST as u64, Ordering::Relaxed);
        let item = |n: u64| wire::PublishItem {
            request_id: String::new(),
            draft: Some(draft(&format!("flood-{}.example.com", first + n), green())),
        };
        let items = (0..FLOOD_ITEMS_PER_REQUEST as u64).map(item).collect();
        match client.publisher().publish(wire::PublishRequest { items }).await {
            Ok(response) => {
                let count = response.into_inner().results.len() as u64;
                flood.accepted.fetch_add(count, Ordering::Relaxed);
            }
            Err(status) => {
                flood.refused.fetch_add(1, Ordering::Relaxed);
                let details = tonic_types::StatusExt::get_details_retry_info(&status);
                let delay = details
                    .and_then(|details| details.retry_delay)
                    .unwrap_or(Duration::from_millis(50));
                tokio::time::sleep(delay.min(Duration::from_secs(1))).await;
            }
        }
    }
}
