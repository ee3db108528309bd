//! Fairness: how long an honest member waits for the acknowledgement of one indicator, alone and while another member floods the hub
//! with full requests on many connections. Hub, flooder and honest member are processes of their own, over mutual TLS; the flooder has
//! the lowest priority, so that what is measured is the hub's turns rather than three programs at two processors. What is left of that
//! shows in a control: the same flood, of another hub on the same machine. Prints a table of several rounds in turns; `--quick` measures
//! for a second each.
//!
//! `cargo bench --bench fairness`

#[path = "../tests/wire_support/mod.rs"]
mod wire_support;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clearinghouse::grpc::wire;
use clearinghouse::log::Durability;
use hdrhistogram::Histogram;
use wire_support::child::{self, ChildHub, Program, Run};
use wire_support::{Client, Credentials, TestHub, draft, green};

/// Connections of the flooder, each with so many requests under way.
const FLOOD_CONNECTIONS: usize = 4;
const FLOOD_REQUESTS_PER_CONNECTION: usize = 16;
const FLOOD_ITEMS_PER_REQUEST: u64 = 1_000;

/// Between two publications of the honest member.
const HONEST_PAUSE: Duration = Duration::from_millis(2);

/// Rounds of all cases in turns: other work on the machine then disturbs all of them alike.
const ROUNDS: usize = 5;

/// How this program is told to be the flooder: the hub's folder, its address and the folder of the flooder's credentials follow.
const FLOOD: &str = "flood-as-child";

/// What one case showed, over all rounds.
struct Measured {
    name: &'static str,
    latency: Histogram<u64>,
    flood: Vec<Flooded>,
}

/// What a flooder reached.
struct Flooded {
    accepted_per_sec: f64,
    refused: u64,
}

/// A hub process with its members, in a folder that lives as long.
struct Running {
    folder: tempfile::TempDir,
    child: ChildHub,
    honest: Client,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == FLOOD) {
        return flood(&arguments[at + 1..]);
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let lasting = Duration::from_secs(if quick { 1 } else { 4 });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let limit = "publish_items_per_sec_per_member = 20000\npublish_burst_items_per_member = 20000\n\
                 requests_in_flight_per_member_max = 8";
    let (hub, other) = runtime.block_on(async { (start("").await, start("").await) });
    let limited = runtime.block_on(start(limit));
    let mut cases = [
        ("alone", None, &hub),
        ("another hub is flooded", Some(&other), &hub),
        ("flooded, default limits", Some(&hub), &hub),
        ("flooded, 20,000 items/s a member", Some(&limited), &limited),
    ]
    .map(|(name, flooded, at)| (Measured::new(name), flooded, at));
    for _ in 0..ROUNDS {
        for (measured, flooded, at) in &mut cases {
            let flooder = flooded.map(spawn_flooder);
            let latency = runtime.block_on(publish_one_by_one(&at.honest, lasting));
            measured.latency.add(latency).expect("of one precision");
            measured.flood.extend(flooder.map(end_flooder));
        }
    }
    print(&cases.map(|(measured, ..)| measured));
    [hub, other, limited].into_iter().for_each(|hub| {
        drop(hub.honest);
        hub.child.stop();
    });
}

impl Measured {
    fn new(name: &'static str) -> Measured {
        Measured {
            name,
            latency: Histogram::new(3).expect("a valid precision"),
            flood: Vec::new(),
        }
    }
}

fn print(cases: &[Measured]) {
    println!(
        "{:<34} {:>7} {:>9} {:>9} {:>9} {:>10} {:>14} {:>9}",
        "honest member, ms", "calls", "p50", "p99", "max", "p99/alone", "flood items/s", "refused"
    );
    let p99 = |measured: &Measured| measured.latency.value_at_quantile(0.99) as f64;
    for measured in cases {
        let ms = |quantile: f64| measured.latency.value_at_quantile(quantile) as f64 / 1_000.0;
        let rounds = measured.flood.len().max(1) as f64;
        println!(
            "{:<34} {:>7} {:>9.2} {:>9.2} {:>9.2} {:>10.2} {:>14.0} {:>9}",
            measured.name,
            measured.latency.len(),
            ms(0.5),
            ms(0.99),
            ms(1.0),
            p99(measured) / p99(&cases[0]),
            measured.flood.iter().map(|flood| flood.accepted_per_sec).sum::<f64>() / rounds,
            measured.flood.iter().map(|flood| flood.refused).sum::<u64>(),
        );
    }
}

async fn start(limits: &str) -> Running {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("hub");
    child::create(&dir);
    let file = dir.join("hub.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    std::fs::write(&file, format!("{text}\n[limits]\n{limits}\n")).expect("written");
    let run = Run {
        program: Program::Clearinghouse,
        durability: Durability::Full,
        ..Run::default()
    };
    let child = ChildHub::start(&dir, &run);
    let honest = child.hub.member("Honest", wire::MemberKind::Research).await;
    let flooder = child.hub.member("Flooder", wire::MemberKind::Platform).await;
    for (name, pem) in [
        ("cert.pem", &flooder.credentials.cert_pem),
        ("key.pem", &flooder.credentials.key_pem),
    ] {
        std::fs::write(folder.path().join(name), pem).expect("written");
    }
    Running { folder, child, honest }
}

async fn publish_one_by_one(honest: &Client, lasting: Duration) -> Histogram<u64> {
    let mut latency = Histogram::new(3).expect("a valid precision");
    let begun = Instant::now();
    while begun.elapsed() < lasting {
        let name = format!("honest-{}.example.com", uuid::Uuid::now_v7().simple());
        let sent = Instant::now();
        honest.publish(&name, green()).await;
        latency
            .record(sent.elapsed().as_micros() as u64)
            .expect("within the range");
        tokio::time::sleep(HONEST_PAUSE).await;
    }
    latency
}

/// Starts the flooder and waits until its first requests were answered.
fn spawn_flooder(hub: &Running) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new("nice")
        .args(["-n", "19"])
        .arg(std::env::current_exe().expect("this program"))
        .arg(FLOOD)
        .arg(hub.child.hub.dir.as_os_str())
        .arg(hub.child.hub.address.to_string())
        .arg(hub.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the flooder starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    lines.read_line(&mut String::new()).expect("the flood is at its height");
    (child, lines)
}

fn end_flooder((mut child, mut lines): (Child, BufReader<std::process::ChildStdout>)) -> Flooded {
    drop(child.stdin.take());
    let mut text = String::new();
    lines.read_to_string(&mut text).expect("the flooder's figures");
    assert!(child.wait().expect("the flooder ends").success());
    let mut figures = text.split_whitespace();
    let mut figure = || figures.next().and_then(|figure| figure.parse().ok()).expect("a figure");
    Flooded {
        accepted_per_sec: figure(),
        refused: figure() as u64,
    }
}

#[derive(Default)]
struct Flood {
    stop: AtomicBool,
    accepted: AtomicU64,
    refused: AtomicU64,
}

/// The flooder's process: floods until its input closes, then says what it reached.
fn flood(arguments: &[String]) {
    let [dir, address, folder] = arguments else {
        panic!("{FLOOD} DIR ADDRESS FOLDER");
    };
    let read = |name: &str| std::fs::read_to_string(PathBuf::from(folder).join(name)).expect("credentials");
    let credentials = Credentials {
        member_id: String::new(),
        cert_pem: read("cert.pem"),
        key_pem: read("key.pem"),
    };
    let address: SocketAddr = address.parse().expect("an address");
    let hub = TestHub::at(address, Path::new(dir));
    let flood = Arc::new(Flood::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut tasks = Vec::new();
    for _ in 0..FLOOD_CONNECTIONS {
        let channel = runtime.block_on(hub.connect(&credentials));
        let client = Client {
            channel,
            credentials: credentials.clone(),
        };
        let requests = (0..FLOOD_REQUESTS_PER_CONNECTION)
            .map(|_| runtime.spawn(publish_without_end(client.clone(), flood.clone())));
        tasks.extend(requests);
    }
    while flood.accepted.load(Ordering::Relaxed) + flood.refused.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    let (begun, before) = (Instant::now(), flood.accepted.load(Ordering::Relaxed));
    println!("flooding");
    // The bench closes it, also where it panics.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let accepted = flood.accepted.load(Ordering::Relaxed) - before;
    let per_sec = accepted as f64 / begun.elapsed().as_secs_f64();
    flood.stop.store(true, Ordering::Relaxed);
    tasks
        .into_iter()
        .for_each(|task| runtime.block_on(task).expect("the flooder does not fail"));
    println!("{per_sec} {}", flood.refused.load(Ordering::Relaxed));
}

/// Full requests, one after the other, of values never seen before. What is refused is tried again when the hub says: a flooder that
/// does not even wait is a matter of connections, which the door limits.
async fn publish_without_end(client: Client, flood: Arc<Flood>) {
    let template = uuid::Uuid::now_v7().simple().to_string();
    let mut next = 0;
    while !flood.stop.load(Ordering::Relaxed) {
        let first = next;
        next += FLOOD_ITEMS_PER_REQUEST;
        let item = |n: u64| wire::PublishItem {
            request_id: String::new(),
            draft: Some(draft(&format!("flood-{n}.{template}.example.com"), green())),
        };
        let items = (first..next).map(item).collect();
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
