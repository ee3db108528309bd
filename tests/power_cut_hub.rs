//! A power cut under the whole hub: what its clients were told is true after it, and its keys and certificates are there. The log
//! has such a test of its own (`power_cut`); this one finds an acknowledgement that left before the log was asked.
//!
//! It needs root and loop devices; without them it says that it was skipped, and why. `CLEARINGHOUSE_POWER_CUTS_HUB` sets how many
//! cuts.
#![allow(missing_docs)]

mod crash_support;
#[path = "support/disk.rs"]
mod disk;
mod wire_support;

use std::path::Path;

use clearinghouse::log::Durability;
use crash_support::scene::Scene;
use crash_support::{Random, knob};
use disk::Disk;
use wire_support::child::{self, ChildHub, Program, Run};

const DISK_BYTES: u64 = 1024 * 1024 * 1024;
const CUTS_PER_HUB: usize = 10;
const ACKNOWLEDGEMENTS_MAX: usize = 40;
/// So small that cuts fall into the change of epochs too.
const SHORT_EPOCH_ENTRIES: u64 = 400;
/// Without syncs, enough must be written that sled's file grows past the segment that opening it has written out.
const UNSYNCED_ACKNOWLEDGEMENTS: usize = 250;
const UNSYNCED_NOTE_BYTES: usize = 4_000;
const UNSYNCED_CUTS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cut_under_load_loses_nothing_that_clients_were_told() {
    let Some(disk) = Disk::attach(DISK_BYTES) else { return };
    let cuts = knob("CLEARINGHOUSE_POWER_CUTS_HUB", 20);
    let mut acknowledged = 0;
    for round in 0..cuts.div_ceil(CUTS_PER_HUB) {
        let scene = cut_one_hub(&disk, round, CUTS_PER_HUB.min(cuts - round * CUTS_PER_HUB)).await;
        acknowledged += scene.acknowledged();
    }
    println!("{cuts} power cuts, {acknowledged} indicators acknowledged, none lost");
}

async fn cut_one_hub(disk: &Disk, round: usize, cuts: usize) -> Scene {
    let dir = disk.mounted.join(format!("hub-{round}"));
    child::create(&dir);
    let programs = [Program::Clearinghouse, Program::Test];
    let run = Run {
        program: programs[round % programs.len()],
        epoch_entries: SHORT_EPOCH_ENTRIES,
        ..Run::default()
    };
    let mut random = Random::new(round as u64 + 100);
    let mut hub = start(&dir, &run);
    let mut scene = Scene::enrol(&hub.hub, round as u64).await;
    for cut in 0..cuts {
        let acknowledgements = random.below(ACKNOWLEDGEMENTS_MAX + 1);
        scene
            .under_load(hub, acknowledgements, |hub| cut_power(disk, hub))
            .await;
        hub = start(&dir, &run);
        let checked = scene.check_running(&hub.hub).await;
        checked.unwrap_or_else(|fault| panic!("round {round}, cut {cut}: {fault}"));
    }
    scene.settle(&hub.hub).await;
    scene.check_running(&hub.hub).await.unwrap();
    hub.stop();
    scene.check_stopped(&dir);
    std::fs::remove_dir_all(&dir).unwrap();
    scene
}

/// The negative control: a hub that leaves the syncs out does lose what it acknowledged, or cannot even start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn power_cut_without_syncs_is_noticed() {
    let Some(disk) = Disk::attach(DISK_BYTES) else { return };
    for cut in 0..UNSYNCED_CUTS {
        let dir = disk.mounted.join(format!("hub-{cut}"));
        child::create(&dir);
        let hub = start(&dir, &Run::default());
        let mut scene = Scene::enrol(&hub.hub, cut as u64).await;
        hub.stop();
        let without_syncs = Run {
            durability: Durability::SkipSync,
            ..Run::default()
        };
        for publisher in &mut scene.publishers {
            publisher.note_bytes = UNSYNCED_NOTE_BYTES;
        }
        let hub = start(&dir, &without_syncs);
        let cut_off = |hub| cut_power(&disk, hub);
        scene.under_load(hub, UNSYNCED_ACKNOWLEDGEMENTS, cut_off).await;
        let restarted = tokio::task::block_in_place(|| ChildHub::try_start(&dir, &Run::default()));
        let fault = match restarted {
            Ok(hub) => scene
                .check_running(&hub.hub)
                .await
                .expect_err("the harness does not notice missing syncs"),
            Err(complaints) => complaints,
        };
        println!(
            "without syncs: {}",
            fault.lines().find(|line| !line.is_empty()).unwrap_or_default()
        );
    }
}

#[test]
#[ignore = "the process that the harness cuts off"]
fn hub_as_child() {
    child::serve_until_told();
}

fn start(dir: &Path, run: &Run<'_>) -> ChildHub {
    tokio::task::block_in_place(|| ChildHub::start(dir, run))
}

/// Takes the disk from under the hub, which goes on for a moment and may not acknowledge anything more, and gives it back.
fn cut_power(disk: &Disk, hub: ChildHub) {
    disk.cut_power();
    hub.abandon();
    disk.remount();
}
