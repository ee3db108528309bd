//! A hub in a process of its own, so that it can be killed, cut off from its disk, and measured. The test binary starts itself
//! again for it: with `--ignored`, naming the one ignored test `hub_as_child`, which calls [`serve_until_told`].
//!
//! The child ends by itself when its standard input closes, so none outlives a test that fails.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use clearinghouse::config::{Config, Overrides};
use clearinghouse::log::{Durability, Options};
use clearinghouse::serve::{InitRequest, init, run_with};
use tempfile::NamedTempFile;
use tokio::sync::oneshot;

use super::TestHub;

/// The test that each binary with such children must have.
const ENTRY: &str = "hub_as_child";

const DIR: &str = "CLEARINGHOUSE_TEST_HUB_DIR";
const SKIP_SYNC: &str = "CLEARINGHOUSE_TEST_SKIP_SYNC";
const EPOCH_ENTRIES: &str = "CLEARINGHOUSE_TEST_EPOCH_ENTRIES";
const BALLAST_BYTES: &str = "CLEARINGHOUSE_TEST_BALLAST_BYTES";

/// What the child says on its standard output, before its address and its process id.
const LISTENING: &str = "listening on https://";
/// What it says before it opens the log.
const OPENING: &str = "opening";

/// What a child is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `clearinghouse serve`, as members run it. Of the rest of [`Run`] only `under` applies to it.
    Clearinghouse,
    /// This test binary, where the log's options matter.
    Test,
}

/// How a child is run.
#[derive(Clone)]
pub struct Run<'a> {
    pub program: Program,
    pub durability: Durability,
    /// An epoch with so many entries is sealed.
    pub epoch_entries: u64,
    pub ballast_bytes: u64,
    /// Another program with its arguments, which gets this one's path and arguments after its own. Empty: none.
    pub under: &'a [&'a str],
}

impl Default for Run<'_> {
    fn default() -> Self {
        Run {
            program: Program::Test,
            durability: Durability::Full,
            epoch_entries: Options::default().epoch_entries_max,
            ballast_bytes: 0,
            under: &[],
        }
    }
}

/// Makes a hub in `dir`, which is empty or missing.
pub fn create(dir: &Path) {
    let request = InitRequest {
        dir: dir.to_owned(),
        name: "test hub".into(),
        hosts: Vec::new(),
    };
    init(&request).unwrap();
}

/// What the ignored test of each binary does.
pub fn serve_until_told() {
    let dir = PathBuf::from(std::env::var_os(DIR).expect("only the harness starts this"));
    let number = |name| std::env::var(name).map(|text| text.parse().expect("a number"));
    let log_options = Options {
        durability: match std::env::var_os(SKIP_SYNC) {
            Some(_) => Durability::SkipSync,
            None => Durability::Full,
        },
        epoch_entries_max: number(EPOCH_ENTRIES).expect("the harness says"),
        ballast_bytes: number(BALLAST_BYTES).expect("the harness says"),
        ..Options::default()
    };
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .init();
    let listen = Some("127.0.0.1:0".into());
    let config = Config::load(&dir, Overrides { listen }).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        // The harness writes nothing: this ends when it, or the test, is gone.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(stop);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    // The test harness may have begun a line of its own.
    println!("\n{OPENING}");
    runtime.block_on(async {
        let on_ready = |address| println!("\n{LISTENING}{address} as {}", std::process::id());
        let never = || -> clearinghouse::serve::ReloadSignal { Box::pin(std::future::pending()) };
        let stop = async { stopped.await.unwrap_or_default() };
        // A hub that refuses to start is an answer, where a panic is a fault.
        if let Err(error) = run_with(config, log_options, on_ready, never, stop).await {
            eprintln!("{error}");
            std::process::exit(1);
        }
    });
}

/// A child's process, whether or not it listens.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    complaints: NamedTempFile,
}

impl Process {
    fn spawn(dir: &Path, run: &Run<'_>) -> Process {
        let program = match run.program {
            Program::Clearinghouse => PathBuf::from(env!("CARGO_BIN_EXE_clearinghouse")),
            Program::Test => std::env::current_exe().unwrap(),
        };
        let mut command = Command::new(run.under.first().map_or(program.as_os_str(), OsStr::new));
        if let Some((_, arguments)) = run.under.split_first() {
            command.args(arguments).arg(&program);
        }
        // Not in the hub's directory, whose disk may be full.
        let complaints = NamedTempFile::new().unwrap();
        match run.program {
            Program::Clearinghouse => command.args(["serve", "--listen", "127.0.0.1:0", "--dir"]).arg(dir),
            Program::Test => command.args([ENTRY, "--exact", "--ignored", "--nocapture", "--test-threads=1"]),
        };
        command
            .env(DIR, dir)
            .env(EPOCH_ENTRIES, run.epoch_entries.to_string())
            .env(BALLAST_BYTES, run.ballast_bytes.to_string())
            .env_remove(SKIP_SYNC);
        if run.durability == Durability::SkipSync {
            command.env(SKIP_SYNC, "1");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.reopen().unwrap())
            .spawn()
            .expect("the test binary starts again");
        Process {
            input: child.stdin.take(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
            complaints,
        }
    }

    /// The next line with this beginning; none if the child ends before it.
    fn await_line(&mut self, beginning: &str) -> Option<String> {
        let lines = self.lines.by_ref().map_while(Result::ok);
        lines
            .filter_map(|line| line.strip_prefix(beginning).map(str::to_owned))
            .next()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.end();
    }

    fn end(&mut self) -> ExitStatus {
        let ended = self.child.wait().unwrap();
        let complaints = self.complaints();
        assert!(!complaints.contains("panicked at"), "the hub panicked: {complaints}");
        ended
    }

    fn complaints(&self) -> String {
        std::fs::read_to_string(self.complaints.path()).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Where a test failed, the child may still run. It would notice that its input is closed, unless it hangs.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The harness's end of a child that listens.
pub struct ChildHub {
    process: Process,
    program: Program,
    /// Of the hub itself, where another program runs it.
    pid: u32,
    /// For its clients.
    pub hub: TestHub,
}

impl ChildHub {
    /// Starts the hub in `dir` and waits until it listens.
    pub fn start(dir: &Path, run: &Run<'_>) -> ChildHub {
        ChildHub::try_start(dir, run).unwrap_or_else(|complaints| panic!("the hub did not start: {complaints}"))
    }

    /// The same, where it may be that it does not start. Then what it complained of is the error.
    pub fn try_start(dir: &Path, run: &Run<'_>) -> Result<ChildHub, String> {
        let mut process = Process::spawn(dir, run);
        let Some(line) = process.await_line(LISTENING) else {
            process.end();
            return Err(process.complaints());
        };
        let (address, pid) = match line.split_once(" as ") {
            Some((address, pid)) => (address, pid.parse().unwrap()),
            None => (&*line, process.child.id()),
        };
        Ok(ChildHub {
            program: run.program,
            pid,
            hub: TestHub::at(address.parse().unwrap(), dir),
            process,
        })
    }

    /// Starts it, and kills it as it sets about opening the log.
    pub fn kill_while_opening(dir: &Path, run: &Run<'_>) {
        let mut process = Process::spawn(dir, run);
        let opening = process.await_line(OPENING);
        assert!(
            opening.is_some(),
            "the hub did not get to its log: {}",
            process.complaints()
        );
        process.kill();
    }

    /// Ends it at once, as the kernel would for want of memory.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// Ends one whose disk was taken from under it, and whose last words count for nothing.
    pub fn abandon(mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
    }

    /// Lets it stop in order. The test binary stops when its input closes, the other at a signal.
    pub fn stop(mut self) {
        self.process.input = None;
        if self.program == Program::Clearinghouse {
            let told = Command::new("kill").args(["-TERM", &self.pid.to_string()]).status();
            assert!(told.unwrap().success());
        }
        let ended = self.process.end();
        assert!(ended.success(), "{ended}: {}", self.complaints());
    }

    /// All that it wrote on its standard error: warnings, errors and panics.
    pub fn complaints(&self) -> String {
        self.process.complaints()
    }

    /// Its resident memory.
    pub fn resident_bytes(&self) -> u64 {
        self.memory_bytes("VmRSS:")
    }

    /// The most resident memory that it had since [`ChildHub::forget_peak`].
    pub fn peak_bytes(&self) -> u64 {
        self.memory_bytes("VmHWM:")
    }

    /// Lets the peak start anew from what is resident now.
    pub fn forget_peak(&self) {
        // proc(5): 5 resets the peak.
        std::fs::write(format!("/proc/{}/clear_refs", self.pid), "5").unwrap();
    }

    /// The processor time that it took so far.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.pid)
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap().count()
    }

    /// Lets it open no descriptor whose number is `limit` or above. Those that are open stay.
    pub fn limit_descriptors(&self, limit: usize) {
        let nofile = format!("--nofile={limit}:");
        let set = Command::new("prlimit")
            .args(["--pid", &self.pid.to_string(), &nofile])
            .status();
        assert!(set.unwrap().success());
    }

    fn memory_bytes(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        let kib = line.trim().trim_end_matches("kB").trim();
        kib.parse::<u64>().unwrap() * 1024
    }
}

/// The processor time that a process took so far: the fields `utime` and `stime` of proc(5), in hundredths of a second.
pub fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}
