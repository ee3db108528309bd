//! A process that appends until it is killed or cut off, and tells over its standard output how far it got. The test
//! binary starts itself again for it: with `--ignored`, naming the one ignored test that calls [`append_until_stopped`].

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use clearinghouse::log::{Durability, Log, Options};

use super::entries;

const DIR: &str = "CLEARINGHOUSE_TEST_LOG_DIR";
const SKIP_SYNC: &str = "CLEARINGHOUSE_TEST_SKIP_SYNC";
const EPOCH_ENTRIES: &str = "CLEARINGHOUSE_TEST_EPOCH_ENTRIES";

/// So small that cuts fall into the change of epochs too.
pub const SHORT_EPOCHS: u64 = 400;
/// So large that sled's file grows past the segment that opening it has written out: what is written into that segment
/// survives a power cut even without a sync of ours.
pub const LONG_EPOCHS: u64 = 1_000_000;

pub fn child_options(durability: Durability, epoch_entries: u64) -> Options {
    Options {
        durability,
        ..super::small_epochs(epoch_entries)
    }
}

/// What the ignored test of each binary does.
pub fn append_until_stopped() {
    let dir = std::env::var_os(DIR).expect("only the harness starts this");
    let durability = if std::env::var_os(SKIP_SYNC).is_some() {
        Durability::SkipSync
    } else {
        Durability::Full
    };
    let epoch_entries = super::knob(EPOCH_ENTRIES, 0) as u64;
    let mut log = Log::open(Path::new(&dir), child_options(durability, epoch_entries)).expect("the log opens");
    let mut out = std::io::stdout();
    // The first line says where the log stands after recovery: that much is acknowledged too.
    let mut acknowledged = log.head().size;
    let mut round = 0;
    loop {
        out.write_all(format!("\nacknowledged {acknowledged}\n").as_bytes())
            .expect("the harness listens");
        out.flush().expect("the harness listens");
        let count = [1, 3, 1, 40, 7, 1, 120][round % 7];
        round += 1;
        match log.append(&entries(acknowledged, count)) {
            Ok(range) => acknowledged = range.end.0,
            // After a cut nothing can be written: this is where the process of a real power cut would have ended.
            Err(_) => std::process::exit(0),
        }
    }
}

/// The harness's end of such a process.
pub struct Appender {
    pub process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    pub acknowledged: u64,
}

impl Appender {
    /// Start this test binary again, with the ignored test `name` alone.
    pub fn start(name: &str, dir: &Path, durability: Durability, epoch_entries: u64) -> Appender {
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command
            .args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIR, dir);
        command.env(EPOCH_ENTRIES, epoch_entries.to_string());
        if durability == Durability::SkipSync {
            command.env(SKIP_SYNC, "1");
        }
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the test binary starts again");
        let lines = BufReader::new(process.stdout.take().expect("standard output is piped")).lines();
        Appender {
            process,
            lines,
            acknowledged: 0,
        }
    }

    /// Take in acknowledgements until `count` more have come. False if the process ended before.
    pub fn wait_for(&mut self, count: usize) -> bool {
        (0..count).all(|_| self.next())
    }

    /// Take in all that is left, until the process has ended.
    pub fn drain(&mut self) {
        while self.next() {}
        self.process.wait().expect("the process can be waited for");
    }

    fn next(&mut self) -> bool {
        for line in self.lines.by_ref() {
            // A line without its end was cut off in the middle of being written.
            let Ok(line) = line else { return false };
            if let Some(size) = line.strip_prefix("acknowledged ").and_then(|size| size.parse().ok()) {
                self.acknowledged = self.acknowledged.max(size);
                return true;
            }
        }
        false
    }
}
