//! SIGKILL at any moment loses nothing acknowledged, duplicates nothing, and leaves a log whose root is consistent.
//! `CLEARINGHOUSE_KILLS` sets how many kills.
#![allow(missing_docs)]

mod support;

use clearinghouse::log::{Durability, Log};
use support::child::{Appender, LONG_EPOCHS, SHORT_EPOCHS, append_until_stopped, child_options};
use support::{check_log, check_recovered, knob};

const KILLS_PER_LOG: usize = 10;

#[test]
fn sigkill_under_load_loses_nothing_acknowledged() {
    let kills = knob("CLEARINGHOUSE_KILLS", 60);
    let mut state = 88_172_645_463_325_252u64;
    let mut acknowledged_total = 0;
    for round in 0..kills.div_ceil(KILLS_PER_LOG) {
        let epoch_entries = [SHORT_EPOCHS, LONG_EPOCHS][round % 2];
        let options = || child_options(Durability::Full, epoch_entries);
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().join("log");
        Log::create(&dir, options()).unwrap().close().unwrap();
        let mut size = 0;
        for _ in 0..KILLS_PER_LOG {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut appender = Appender::start("append_as_child", &dir, Durability::Full, epoch_entries);
            assert!(
                appender.wait_for(1 + (state % 40) as usize),
                "the child ended by itself"
            );
            appender.process.kill().unwrap();
            appender.drain();
            assert!(appender.acknowledged >= size);
            size = check_recovered(&dir, options(), appender.acknowledged);
        }
        acknowledged_total += size;
        check_log(&dir);
    }
    println!("{kills} kills, {acknowledged_total} entries, none lost");
}

#[test]
#[ignore = "the process that the harness kills"]
fn append_as_child() {
    append_until_stopped();
}
