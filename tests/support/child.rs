//! A process that appends until it is killed or cut off, and tells over its standard output how far it got. The test
//! binary starts itself again for it: with `--ignored`, naming the one ignored test that calls [`append_until_stopped`].

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use clearinghouse::domain::id::Seq;
use clearinghouse::log::{AppendError, Durability, Log, Options};

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

/// After so many entries the process ends, if nothing stopped it.
const ENTRIES_MAX: &str = "CLEARINGHOUSE_TEST_ENTRIES_MAX";
/// Under a runner: enough for any failure to have been met.
const ENTRIES_MAX_UNDER_RUNNER: usize = 2_500;

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
    let entries_max = super::knob(ENTRIES_MAX, usize::MAX) as u64;
    loop {
        out.write_all(format!("\nacknowledged {acknowledged}\n").as_bytes())
            .expect("the harness listens");
        out.flush().expect("the harness listens");
        if acknowledged >= entries_max {
            return;
        }
        let count = [1, 3, 1, 40, 7, 1, 120][round % 7];
        round += 1;
        match log.append(&entries(acknowledged, count)) {
            Ok(range) => acknowledged = range.end.0,
            Err(error) => stopped(&mut log, acknowledged, &error),
        }
    }
}

/// After a failed write nothing is ever acknowledged again, though the disk may be well by now.
fn stopped(log: &mut Log, acknowledged: u64, error: &AppendError) -> ! {
    let is_stop = |error: &AppendError| matches!(error, AppendError::Full(_) | AppendError::Failed(_));
    let again = log.append(&entries(acknowledged, 1));
    let stays_stopped = is_stop(error) && again.is_err_and(|again| is_stop(&again));
    let unmoved = log.head().size == acknowledged && log.stop().is_some();
    let last = acknowledged.checked_sub(1).map(Seq);
    let reads = last.is_none_or(|last| log.reader().read(last, 2, usize::MAX).is_ok_and(|page| page.len() == 1));
    println!("\nstopped stays={stays_stopped} unmoved={unmoved} reads={reads} {error}");
    std::process::exit(0)
}

/// The harness's end of such a process.
pub struct Appender {
    pub process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    pub acknowledged: u64,
    /// What the process said when its log stopped.
    pub stopped: Option<String>,
}

impl Appender {
    /// Start this test binary again, with the ignored test `name` alone.
    pub fn start(name: &str, dir: &Path, durability: Durability, epoch_entries: u64) -> Appender {
        Appender::start_under(&[], name, dir, durability, epoch_entries)
    }

    /// Let the process append so many entries or a few more, and end. It closes nothing.
    pub fn append_few(name: &str, dir: &Path, durability: Durability, epoch_entries: u64, entries: usize) -> u64 {
        let mut appender = Appender::run(&[], Some(entries), name, dir, durability, epoch_entries);
        appender.drain();
        appender.acknowledged
    }

    /// The same, run by another program, which gets this one's path and arguments after its own.
    pub fn start_under(
        runner: &[&str],
        name: &str,
        dir: &Path,
        durability: Durability,
        epoch_entries: u64,
    ) -> Appender {
        let entries_max = (!runner.is_empty()).then_some(ENTRIES_MAX_UNDER_RUNNER);
        Appender::run(runner, entries_max, name, dir, durability, epoch_entries)
    }

    fn run(
        runner: &[&str],
        entries_max: Option<usize>,
        name: &str,
        dir: &Path,
        durability: Durability,
        epoch_entries: u64,
    ) -> Appender {
        let program = std::env::current_exe().expect("the path of this program");
        let mut command = Command::new(runner.first().map_or(program.as_os_str(), OsStr::new));
        if let Some((_, arguments)) = runner.split_first() {
            command.args(arguments).arg(&program);
        }
        if let Some(entries_max) = entries_max {
            command.env(ENTRIES_MAX, entries_max.to_string());
        }
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
            stopped: None,
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
            if let Some(text) = line.strip_prefix("stopped ") {
                self.stopped = Some(text.to_owned());
            }
            if let Some(size) = line.strip_prefix("acknowledged ").and_then(|size| size.parse().ok()) {
                self.acknowledged = self.acknowledged.max(size);
                return true;
            }
        }
        false
    }
}
