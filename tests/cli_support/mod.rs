//! What the tests of the command line share: the real binary, a hub run by it, and enrolled profiles. Every wait is on an event.
#![allow(dead_code, missing_docs)]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The binary, with nothing of the tester's environment that would change what it prints.
pub fn clearinghouse() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clearinghouse"));
    for name in [
        "CLEARINGHOUSE_PROFILE",
        "CLEARINGHOUSE_HUB",
        "CLEARINGHOUSE_LISTEN",
        "RUST_LOG",
        "NO_COLOR",
    ] {
        command.env_remove(name);
    }
    command.env("COLUMNS", "100").stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    clearinghouse().args(args).output().expect("the binary runs")
}

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("stdout is UTF-8")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("stderr is UTF-8")
}

/// A hub with its directory.
pub struct Hub {
    home: TempDir,
    process: Child,
    pub address: String,
}

impl Hub {
    pub fn start() -> Hub {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("hub");
        let made = run(["init".as_ref(), "--dir".as_ref(), dir.as_os_str()]);
        assert_eq!(code(&made), 0, "{}", stderr(&made));
        let (process, address) = serve(&dir, "127.0.0.1:0");
        Hub { home, process, address }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Ends it without warning, and starts it again at the same address.
    pub fn crash(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
        let listen = self.address.trim_start_matches("https://").to_owned();
        let (process, address) = serve(&self.path("hub"), &listen);
        assert_eq!(address, self.address);
        self.process = process;
    }

    /// Ends it in order; its exit code.
    pub fn stop(&mut self) -> i32 {
        signal(&self.process, "TERM");
        self.process.wait().expect("it ends").code().expect("it was not killed")
    }

    /// The command with that profile.
    pub fn command(&self, profile: &str) -> Command {
        let mut command = clearinghouse();
        let dir = if profile == "admin" {
            self.path("hub/admin")
        } else {
            self.path(profile)
        };
        command.arg("--profile").arg(dir).current_dir(self.home.path());
        command
    }

    pub fn run(&self, profile: &str, args: &[&str]) -> Output {
        self.command(profile).args(args).output().expect("the binary runs")
    }

    /// Runs with `--json` and reads the one object; the exit code must be 0.
    pub fn json(&self, profile: &str, args: &[&str]) -> Value {
        let output = self.run(profile, &[args, &["--json"]].concat());
        assert_eq!(code(&output), 0, "{args:?}: {}", stderr(&output));
        let text = stdout(&output);
        assert_eq!(
            text.lines().count(),
            1,
            "{args:?} prints one object and nothing else: {text}"
        );
        serde_json::from_str(&text).expect("stdout is JSON")
    }

    /// Admits a member and enrols an agent with all roles of a reader and publisher; the profile has the agent's name.
    pub fn enrol(&self, member: &str, kind: &str, agent: &str) {
        self.json("admin", &["member", "add", member, "--kind", kind]);
        self.invite(member, agent);
        let out = self.path(agent);
        let token = self.path(&format!("{agent}.token"));
        let output = clearinghouse()
            .args(["enroll", "--hub", &self.address, "--ca"])
            .arg(self.path("hub/admin/ca.pem"))
            .arg("--token-file")
            .arg(token)
            .arg("--out")
            .arg(out)
            .output()
            .expect("the binary runs");
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }

    pub fn invite(&self, member: &str, agent: &str) {
        let invited = self.json("admin", &["invite", member, agent, "--role", "publisher,subscriber"]);
        let token = invited["token"].as_str().expect("a token");
        assert!(invited["expires"].is_string());
        std::fs::write(self.path(&format!("{agent}.token")), token).expect("written");
    }

    /// Starts `subscribe`, whose lines are read one by one.
    pub fn subscribe(&self, profile: &str, args: &[&str]) -> Lines {
        let mut process = self
            .command(profile)
            .arg("subscribe")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let lines = BufReader::new(process.stdout.take().expect("piped"));
        Lines { process, lines }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(dir: &Path, listen: &str) -> (Child, String) {
    let mut process = clearinghouse()
        .args(["serve", "--listen", listen, "--dir"])
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut line = String::new();
    let read = BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line);
    assert!(read.is_ok_and(|bytes| bytes > 0), "the hub did not start");
    let address = line
        .trim()
        .strip_prefix("listening on ")
        .expect("it says where")
        .to_owned();
    (process, address)
}

/// A running `subscribe`.
pub struct Lines {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Lines {
    /// The next line; nothing at its end.
    pub fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line).expect("readable") {
            0 => None,
            _ => Some(serde_json::from_str(&line).expect("each line is a JSON object")),
        }
    }

    /// The next line of that type.
    pub fn next_of(&mut self, wanted: &str) -> Value {
        loop {
            let line = self
                .next()
                .unwrap_or_else(|| panic!("ended before a line of type {wanted}"));
            if line["type"] == wanted {
                return line;
            }
        }
    }

    /// Kills it as a crash would.
    pub fn crash(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Asks it to end; its exit code and what it said.
    pub fn stop(self) -> (i32, String) {
        signal(&self.process, "TERM");
        self.end()
    }

    /// Waits for its end; its exit code and what it said.
    pub fn end(mut self) -> (i32, String) {
        while self.next().is_some() {}
        let output = self.process.wait_with_output().expect("it ends");
        (code(&output), stderr(&output))
    }
}

fn signal(process: &Child, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(process.id().to_string())
        .status();
    assert!(sent.is_ok_and(|status| status.success()));
}
