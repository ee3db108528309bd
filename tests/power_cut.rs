//! A power cut loses nothing acknowledged. The log lies on an ext4 of its own, which is shut down under load as a power
//! cut would: what was not synced is gone, data and journal alike. SIGKILL cannot show a missing sync, this can, and
//! the negative control is a log that leaves the syncs out and must lose entries.
//!
//! It needs root and loop devices; without them it says that it was skipped, and why.
//! `CLEARINGHOUSE_POWER_CUTS` sets how many cuts.
#![allow(missing_docs)]

mod support;

use std::path::Path;

use clearinghouse::log::{Durability, Log, Options};
use support::child::{Appender, LONG_EPOCHS, SHORT_EPOCHS, append_until_stopped, child_options};
use support::disk::Disk;
use support::{check_log, check_recovered, knob};

const CUTS_PER_LOG: usize = 10;
const DISK_BYTES: u64 = 512 * 1024 * 1024;

#[test]
fn power_cut_under_load_loses_nothing_acknowledged() {
    let Some(disk) = Disk::attach(DISK_BYTES) else { return };
    let cuts = knob("CLEARINGHOUSE_POWER_CUTS", 100);
    let mut acknowledged_total = 0;
    for log in 0..cuts.div_ceil(CUTS_PER_LOG) {
        let epoch_entries = [SHORT_EPOCHS, LONG_EPOCHS][log % 2];
        let options = || child_options(Durability::Full, epoch_entries);
        let dir = disk.mounted.join(format!("log-{log}"));
        Log::create(&dir, options()).unwrap().close().unwrap();
        let mut size = 0;
        for cut in 0..CUTS_PER_LOG {
            let acknowledged = cut_under_load(&disk, &dir, options(), 1 + (log * 7 + cut * 13) % 61);
            assert!(acknowledged >= size);
            size = check_recovered(&dir, options(), acknowledged);
        }
        acknowledged_total += size;
        check_log(&dir);
        std::fs::remove_dir_all(&dir).unwrap();
    }
    println!("{cuts} power cuts, {acknowledged_total} entries, none lost");
}

/// The control. A few appends wait in the journal, and nothing but a sync of it brings them to the disk within half a minute.
#[test]
fn power_cut_without_syncs_loses_what_waits_in_the_journal() {
    let lost = lost_without_syncs(|disk, dir| {
        let acknowledged = Appender::append_few("append_as_child", dir, Durability::SkipSync, LONG_EPOCHS, 5);
        disk.cut_power();
        disk.remount();
        acknowledged
    });
    assert!(
        lost.is_none_or(|lost| lost == CONTROL_CUTS),
        "the disk has what nobody synced"
    );
}

/// The same of the store, into which more has gone. sled tells the system to write what it flushed, without waiting for that:
/// whether it was done before a cut is chance.
#[test]
fn power_cut_without_syncs_loses_what_is_in_the_store() {
    let lost = lost_without_syncs(|disk, dir| {
        cut_under_load(disk, dir, child_options(Durability::SkipSync, LONG_EPOCHS), 150)
    });
    assert!(
        lost.is_none_or(|lost| 2 * lost > CONTROL_CUTS),
        "the harness does not notice missing syncs"
    );
}

const CONTROL_CUTS: usize = 5;

/// How many cuts lost what was acknowledged without syncs, as `append_and_cut` tells.
fn lost_without_syncs(append_and_cut: impl Fn(&Disk, &Path) -> u64) -> Option<usize> {
    let disk = Disk::attach(DISK_BYTES)?;
    let mut lost = 0;
    for log in 0..CONTROL_CUTS {
        let dir = disk.mounted.join(format!("log-{log}"));
        Log::create(&dir, child_options(Durability::Full, LONG_EPOCHS))
            .unwrap()
            .close()
            .unwrap();
        let acknowledged = append_and_cut(&disk, &dir);
        assert!(acknowledged > 0);
        let found = match Log::open(&dir, child_options(Durability::Full, LONG_EPOCHS)) {
            Ok(log) => log.head().size,
            Err(error) => {
                println!("{error}");
                0
            }
        };
        lost += usize::from(found < acknowledged);
    }
    println!("without syncs, {lost} of {CONTROL_CUTS} power cuts lost acknowledged entries");
    Some(lost)
}

#[test]
#[ignore = "the process that the harness cuts off"]
fn append_as_child() {
    append_until_stopped();
}

/// Let a process append, cut the power after so many acknowledgements, and start the disk again.
fn cut_under_load(disk: &Disk, dir: &Path, options: Options, after: usize) -> u64 {
    let mut appender = Appender::start("append_as_child", dir, options.durability, options.epoch_entries_max);
    assert!(appender.wait_for(after), "the child ended by itself");
    disk.cut_power();
    appender.drain();
    disk.remount();
    appender.acknowledged
}
