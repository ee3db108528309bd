//! Out of file descriptors: peers cannot take the last ones. Where something else does, the hub idles until there are some again,
//! whoever is connected goes on, and nothing that was acknowledged is lost.
#![allow(missing_docs)]

mod crash_support;
mod hostile_support;
mod wire_support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clearinghouse::grpc::wire;
use crash_support::publisher::{Client, Publisher};
use crash_support::scene::Scene;
use hostile_support::raw::{Raw, half_open, tls};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use wire_support::child::{self, ChildHub, Run, cpu_time};
use wire_support::{Credentials, TestHub};

/// The limit that the hub starts under. It keeps 128 of them for itself.
const DESCRIPTORS: usize = 256;
const FOR_CONNECTIONS: usize = 128;
/// One member may have a quarter of the connections, as it may by default.
const OF_A_MEMBER: usize = 32;
/// So short that the log must open files while there are no descriptors to be had.
const EPOCH_ENTRIES: u64 = 200;
/// More than three epochs.
const ITEMS: usize = 700;
const ITEMS_PER_REQUEST: usize = 16;
/// Connections that wait to be accepted all the while: no more than a listener may have.
const WAITING: usize = 100;
const HALF_OPEN: usize = 20;
/// What the hub may take of a processor while it can do nothing.
const IDLE_MAX: f64 = 0.05;
/// Half-open connections are shed after 4 s.
const SHED_WITHIN: Duration = Duration::from_secs(20);
/// How long one who spins is watched.
const SPINNING: Duration = Duration::from_secs(2);
/// An honest newcomer is served within this once the hostile have gone, on a machine that other work shares.
const SERVED_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_leave_the_log_its_descriptors_and_a_member_its_part() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("hub");
    child::create(&dir);
    let limit = format!("--nofile={DESCRIPTORS}");
    let run = Run {
        epoch_entries: EPOCH_ENTRIES,
        under: &["prlimit", &limit],
        ..Run::default()
    };
    let child = tokio::task::block_in_place(|| ChildHub::start(&dir, &run));
    let said = format!("leaves room for {FOR_CONNECTIONS} connections, {OF_A_MEMBER} of one member");
    let complaints = child.complaints();
    assert!(complaints.contains(&said), "{complaints}");
    let mut scene = Scene::enrol(&child.hub, 11).await;
    let mut honest = scene.publishers[0].connect(&child.hub).await;

    let hostile = child.hub.member("Hostile Social", wire::MemberKind::Platform).await;
    let mut held = Vec::new();
    // It is connected once already.
    for _ in 1..OF_A_MEMBER {
        held.push(Raw::connect(&child.hub, &hostile.credentials).await);
    }
    assert!(is_turned_away(&child.hub, &hostile.credentials).await);
    drop(scene.publishers[2].connect(&child.hub).await);

    let waiting = silent(child.hub.address, FOR_CONNECTIONS + WAITING).await;
    publish(&mut scene.publishers[0], &mut honest, ITEMS).await;
    let open = child.descriptors();
    println!("{open} descriptors are open");
    assert!(open <= DESCRIPTORS);
    drop((waiting, held, hostile));
    await_service(&scene, &child.hub).await;
    let complaints = child.complaints();
    for refusal in ["no connections can be accepted", "the log stopped", "sealed"] {
        assert!(!complaints.contains(refusal), "{complaints}");
    }
    check(scene, child, &dir).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_without_descriptors_idles_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("hub");
    child::create(&dir);
    let run = Run {
        epoch_entries: EPOCH_ENTRIES,
        ..Run::default()
    };
    let child = tokio::task::block_in_place(|| ChildHub::start(&dir, &run));
    let mut scene = Scene::enrol(&child.hub, 12).await;
    let mut honest = scene.publishers[0].connect(&child.hub).await;
    let mut accepted = Vec::new();
    for _ in 0..HALF_OPEN {
        accepted.push(half_open(&child.hub, &scene.subscriber).await);
    }
    // Not the hub's peers but something else on the machine has taken the others.
    child.limit_descriptors(child.descriptors());
    let waiting = silent(child.hub.address, WAITING).await;
    let (share, shed) = watch(|| child.cpu_time(), accepted, SHED_WITHIN).await;
    assert!(shed, "the hub keeps connections that do not get on");
    assert!(share <= IDLE_MAX, "an idle hub takes {share:.3} of a processor");

    publish(&mut scene.publishers[0], &mut honest, ITEMS).await;
    drop(waiting);
    await_service(&scene, &child.hub).await;
    let complaints = child.complaints();
    for told in ["no connections can be accepted", "connections are accepted again"] {
        assert!(complaints.contains(told), "{complaints}");
    }
    // To close the log, files are opened.
    child.limit_descriptors(DESCRIPTORS);
    check(scene, child, &dir).await;
}

/// The negative control: a server that accepts again at once spins, and the harness sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_accepts_again_at_once_is_not_taken_for_idle() {
    let limit = format!("--nofile={HALF_OPEN}");
    let mut command = Command::new("prlimit");
    command.arg(&limit).arg(std::env::current_exe().unwrap());
    command.args(["careless_server_as_child", "--exact", "--ignored", "--nocapture"]);
    let server = Careless(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    let (server, address) = tokio::task::block_in_place(|| server.address());
    let waiting = silent(address, HALF_OPEN).await;
    let (share, shed) = watch(|| cpu_time(server.0.id()), waiting, SPINNING).await;
    assert!(!shed && share > IDLE_MAX, "{share:.3} of a processor");
}

#[test]
#[ignore = "the process that the harness takes the descriptors from"]
fn hub_as_child() {
    child::serve_until_told();
}

#[test]
#[ignore = "the process that the harness watches spinning"]
fn careless_server_as_child() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    println!("\n{}", listener.local_addr().unwrap());
    let mut kept = Vec::new();
    for accepted in listener.incoming() {
        kept.extend(accepted);
    }
}

/// A server that ends with the test.
struct Careless(Child);

impl Careless {
    fn address(mut self) -> (Careless, SocketAddr) {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let address = lines.find_map(|line| line.parse().ok()).expect("it listens");
        (self, address)
    }
}

impl Drop for Careless {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connections that say nothing. The kernel takes them; whether the server does is its affair.
async fn silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut connected = Vec::new();
    for _ in 0..count {
        connected.push(TcpStream::connect(address).await.unwrap());
    }
    connected
}

/// The part of a processor that a process took until all those connections were ended by it; and whether they were, in time.
async fn watch(spent: impl Fn() -> Duration, connections: Vec<TcpStream>, patience: Duration) -> (f64, bool) {
    let (before, began) = (spent(), Instant::now());
    let mut waiting = JoinSet::new();
    for mut connection in connections {
        waiting.spawn(async move {
            let _ = connection.read_to_end(&mut Vec::new()).await;
        });
    }
    let shed = tokio::time::timeout(patience, waiting.join_all()).await.is_ok();
    let (spent, lasted) = (spent() - before, began.elapsed());
    println!("{spent:?} of the processor in {lasted:?}; shed: {shed}");
    (spent.as_secs_f64() / lasted.as_secs_f64(), shed)
}

/// Whether the hub hangs up right after the handshake.
async fn is_turned_away(hub: &TestHub, credentials: &Credentials) -> bool {
    let mut stream = tls(hub, credentials, "h2").await;
    matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_))
}

async fn publish(publisher: &mut Publisher, client: &mut Client, items: usize) {
    for _ in 0..items.div_ceil(ITEMS_PER_REQUEST) {
        publisher.publish(client, ITEMS_PER_REQUEST).await.unwrap();
    }
}

async fn await_service(scene: &Scene, hub: &TestHub) {
    let began = Instant::now();
    let newcomer = tokio::time::timeout(SERVED_WITHIN, scene.publishers[1].connect(hub)).await;
    newcomer.expect("an honest newcomer is served");
    println!("a newcomer was served after {:?}", began.elapsed());
}

/// All that was acknowledged is there, now and in the log.
async fn check(mut scene: Scene, child: ChildHub, dir: &std::path::Path) {
    scene.settle(&child.hub).await;
    scene.check_running(&child.hub).await.unwrap();
    tokio::task::block_in_place(|| child.stop());
    scene.check_stopped(dir);
}
