//! A full or failing disk: nothing is acknowledged any more, reads and feeds go on, the hub says what is the matter, and nothing
//! that was acknowledged is lost. A full disk is tried again by itself; a failing one is not, for what it shows proves nothing.
//!
//! The full disk needs root, to mount a small tmpfs; the failing one needs strace. Without them a test says that it was skipped.
#![allow(missing_docs)]

mod crash_support;
mod wire_support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clearinghouse::grpc::wire;
use clearinghouse::log::Options;
use crash_support::scene::Scene;
use tokio::sync::Semaphore;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::StatusExt;
use wire::query_service_client::QueryServiceClient;
use wire_support::TestHub;
use wire_support::child::{self, ChildHub, Run};

/// Room for the log, its ballast, and what reopening takes.
const TMPFS: &str = "size=256m";
/// Large notes fill what the log has in reserve within a second or two.
const NOTE_BYTES: usize = 4_000;
/// Refusals that are asked for once the hub is read-only.
const REFUSALS: usize = 20;
/// The ballast must not be used up by starting.
const STARTS_ON_A_FULL_DISK: usize = 3;
/// Health follows within this, and a full disk that has space again is back within it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than the hub waits before it tries a full disk again, twice over.
const NEVER_WITHIN: Duration = Duration::from_secs(5);

/// A small file system in memory, mounted for as long as this lives.
struct Tmpfs {
    folder: tempfile::TempDir,
}

impl Tmpfs {
    fn mount() -> Option<Tmpfs> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", TMPFS, "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Tmpfs { folder }),
            Ok(output) => {
                let reason = String::from_utf8_lossy(&output.stderr).into_owned();
                println!("skipped: no tmpfs can be mounted here: {}", reason.trim());
                None
            }
            Err(error) => {
                println!("skipped: mount: {error}");
                None
            }
        }
    }

    /// Writes a file until nothing more fits.
    fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.folder.path().join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        for block in [1 << 20, 4096, 1] {
            while file.write_all(&vec![1; block]).is_ok() {}
        }
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_turns_the_hub_read_only_and_space_turns_it_back() {
    let Some(disk) = Tmpfs::mount() else { return };
    let dir = disk.folder.path().join("hub");
    child::create(&dir);
    let run = Run {
        ballast_bytes: Options::default().ballast_bytes,
        ..Run::default()
    };
    let start = || tokio::task::block_in_place(|| ChildHub::start(&dir, &run));
    let hub = start();
    let mut scene = Scene::enrol(&hub.hub, 1).await;
    scene.publishers[0].note_bytes = NOTE_BYTES;
    let mut health = health(&scene, &hub.hub).await;
    await_health(&mut health, ServingStatus::Serving).await;

    let filler = disk.fill();
    publish_until_read_only(&mut scene, &hub.hub).await;
    await_health(&mut health, ServingStatus::NotServing).await;
    check_read_only(&mut scene, &hub.hub).await;
    std::fs::remove_file(&filler).unwrap();
    // Nobody writes: the hub finds the space by itself.
    await_health(&mut health, ServingStatus::Serving).await;
    scene.settle(&hub.hub).await;
    scene.check_running(&hub.hub).await.unwrap();
    let complaints = hub.complaints();
    assert!(complaints.contains("the hub is read-only"), "{complaints}");
    assert!(complaints.contains("the log is open again"), "{complaints}");

    // Full again, and killed, more than once: the ballast lets it start, and it serves what it has.
    let filler = disk.fill();
    publish_until_read_only(&mut scene, &hub.hub).await;
    let mut hub = hub;
    for _ in 0..STARTS_ON_A_FULL_DISK {
        tokio::task::block_in_place(|| hub.kill());
        hub = start();
        check_read_only(&mut scene, &hub.hub).await;
    }
    std::fs::remove_file(&filler).unwrap();
    let mut health = self::health(&scene, &hub.hub).await;
    await_health(&mut health, ServingStatus::Serving).await;
    scene.settle(&hub.hub).await;
    scene.check_running(&hub.hub).await.unwrap();
    hub.stop();
    scene.check_stopped(&dir);
    println!("{} indicators acknowledged, none lost", scene.acknowledged());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_stops_acknowledgements_until_a_restart() {
    if !strace_is_here() {
        return;
    }
    // One failure each: the disk is well again right after, which a hub that tries again would take for a recovery.
    let faults = [
        "fdatasync:error=EIO:when=20",
        "pwrite64:error=EIO:when=60",
        "sync_file_range:error=EIO:when=30",
    ];
    let mut stopped = 0;
    for fault in faults {
        stopped += usize::from(stays_read_only_after(fault).await);
    }
    println!("{stopped} of {} hubs stopped, the others did not start", faults.len());
    assert!(stopped >= 2, "most of the faults must have hit a publication");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_refused_for_want_of_space_is_tried_again_when_there_is_some() {
    if !strace_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("hub");
    child::create(&dir);
    // The system says that there is space: the hub tries again by itself, and finds that it is so.
    let hub = start_with_fault(&dir, "pwrite64:error=ENOSPC:when=40").expect("it starts");
    let mut scene = Scene::enrol(&hub.hub, 3).await;
    let mut health = health(&scene, &hub.hub).await;
    publish_until_read_only(&mut scene, &hub.hub).await;
    await_health(&mut health, ServingStatus::NotServing).await;
    await_health(&mut health, ServingStatus::Serving).await;
    scene.settle(&hub.hub).await;
    scene.check_running(&hub.hub).await.unwrap();
    hub.stop();
    scene.check_stopped(&dir);
}

#[test]
#[ignore = "the process that the harness takes the disk from"]
fn hub_as_child() {
    child::serve_until_told();
}

/// Whether the fault hit a publication; if not, it hit the start, which is then refused.
async fn stays_read_only_after(fault: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("hub");
    child::create(&dir);
    let hub = match start_with_fault(&dir, fault) {
        Ok(hub) => hub,
        Err(complaints) => {
            assert!(complaints.contains("Input/output error"), "{fault}: {complaints}");
            return false;
        }
    };
    let mut scene = Scene::enrol(&hub.hub, 2).await;
    let mut health = health(&scene, &hub.hub).await;
    publish_until_read_only(&mut scene, &hub.hub).await;
    await_health(&mut health, ServingStatus::NotServing).await;
    check_read_only(&mut scene, &hub.hub).await;
    let well_again = await_status(&mut health, ServingStatus::Serving);
    let seen = tokio::time::timeout(NEVER_WITHIN, well_again).await;
    assert!(seen.is_err(), "{fault}: the hub trusts a disk that failed");
    check_read_only(&mut scene, &hub.hub).await;
    let complaints = hub.complaints();
    assert!(complaints.contains("check the disk"), "{fault}: {complaints}");
    tokio::task::block_in_place(|| hub.kill());

    let hub = tokio::task::block_in_place(|| ChildHub::start(&dir, &Run::default()));
    scene.check_running(&hub.hub).await.unwrap();
    scene.settle(&hub.hub).await;
    scene.check_running(&hub.hub).await.unwrap();
    hub.stop();
    scene.check_stopped(&dir);
    true
}

fn start_with_fault(dir: &Path, fault: &str) -> Result<ChildHub, String> {
    let (call, _) = fault.split_once(':').unwrap();
    let (trace, inject) = (format!("trace={call}"), format!("inject={fault}"));
    let under = [
        "strace",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-o",
        "/dev/null",
        "-e",
        &trace,
        "-e",
        &inject,
    ];
    let run = Run {
        under: &under,
        ..Run::default()
    };
    tokio::task::block_in_place(|| ChildHub::try_start(dir, &run))
}

fn strace_is_here() -> bool {
    match Command::new("strace").arg("-V").output() {
        Ok(_) => true,
        Err(error) => {
            println!("skipped: strace is not here: {error}");
            false
        }
    }
}

/// Publishes until the hub refuses, which must be with the one answer that says why.
async fn publish_until_read_only(scene: &mut Scene, hub: &TestHub) {
    let answered = Arc::new(Semaphore::new(0));
    let publishing = scene.publishers[0].publish_until_gone(hub, &answered);
    let status = tokio::time::timeout(PATIENCE * 6, publishing).await;
    assert_is_read_only(&status.expect("the disk is full, or fails, in the end"));
}

fn assert_is_read_only(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let info = status.get_details_error_info();
    assert_eq!(info.map(|info| info.reason).as_deref(), Some("READ_ONLY"), "{status:?}");
    assert!(status.get_details_retry_info().is_some(), "{status:?}");
}

/// Changes are refused, again and again; look-ups, searches and feeds go on, old and new; and members are told.
async fn check_read_only(scene: &mut Scene, hub: &TestHub) {
    let acknowledged = scene.acknowledged();
    let publisher = &mut scene.publishers[1];
    let mut client = publisher.connect(hub).await;
    for _ in 0..REFUSALS {
        let answer = publisher.publish(&mut client, 1).await;
        assert_is_read_only(&answer.expect_err("acknowledged while read-only"));
    }
    assert_eq!(scene.acknowledged(), acknowledged);
    scene.check_running(hub).await.unwrap();
    let mut queries = QueryServiceClient::new(hub.connect(&scene.subscriber).await);
    let values = vec!["a-0.example.com".to_owned()];
    let request = wire::LookupRequest {
        values,
        ..Default::default()
    };
    let found = queries.lookup(request).await.unwrap();
    let first = &scene.publishers[0].attempts[0];
    assert_eq!(
        found.into_inner().results[0].matches.len(),
        usize::from(first.acknowledged.is_some())
    );
    let status = queries
        .get_status(wire::GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(!status.writable && !status.read_only_reason.is_empty(), "{status:?}");
}

async fn health(scene: &Scene, hub: &TestHub) -> Streaming<HealthCheckResponse> {
    let request = HealthCheckRequest {
        service: "clearinghouse.v1.PublishService".into(),
    };
    let channel = hub.connect(&scene.subscriber).await;
    HealthClient::new(channel).watch(request).await.unwrap().into_inner()
}

async fn await_health(health: &mut Streaming<HealthCheckResponse>, wanted: ServingStatus) {
    let seen = tokio::time::timeout(PATIENCE, await_status(health, wanted)).await;
    seen.unwrap_or_else(|_| panic!("the hub's health is not {wanted:?} in time"));
}

async fn await_status(health: &mut Streaming<HealthCheckResponse>, wanted: ServingStatus) {
    while health.message().await.unwrap().expect("the stream goes on").status() != wanted {}
}
