//! The hub against a client that is not ours: Python, with stubs made from the protos by Google's compiler. Owns the hub's process;
//! what the client does and claims is in `tests/python/scenario.py`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const HUB: &str = env!("CARGO_BIN_EXE_clearinghouse");
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// A hub in a folder of its own, stopped when dropped.
struct Hub {
    process: Child,
    dir: PathBuf,
    address: String,
}

impl Hub {
    fn start(dir: &Path) -> Hub {
        let dir = dir.join("hub");
        run(Command::new(HUB)
            .arg("init")
            .arg("--dir")
            .arg(&dir)
            .args(["--name", "Test hub"]));
        let mut process = Command::new(HUB)
            .arg("serve")
            .arg("--dir")
            .arg(&dir)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Without an end of its output or this line, the hub has neither failed nor started: there is nothing else to wait for.
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next().expect("the hub ended before it listened").unwrap();
        let address = line
            .strip_prefix("listening on https://")
            .unwrap_or_else(|| panic!("{line:?}"));
        Hub {
            address: address.to_owned(),
            process,
            dir,
        }
    }

    /// Runs a command as the first admin and gives its JSON.
    fn admin(&self, arguments: &[&str]) -> serde_json::Value {
        let output = run(Command::new(HUB)
            .args(arguments)
            .arg("--json")
            .env("CLEARINGHOUSE_PROFILE", self.dir.join("admin")));
        serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// Admits a member and writes an invitation for one agent of it into a file.
    fn invite(&self, name: &str, kind: &str, roles: &str) -> PathBuf {
        let member = self.admin(&["member", "add", name, "--kind", kind]);
        let id = member["id"].as_str().unwrap();
        let invitation = self.admin(&["invite", id, "feed", "--role", roles]);
        let file = self.dir.with_file_name(format!("{kind}.token"));
        fs::write(&file, invitation["token"].as_str().unwrap()).unwrap();
        file
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs a command that must succeed and gives its output.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}\n{stderr}",
        output.status
    );
    stdout
}

/// A Python that has what the client needs, or why there is none.
fn python() -> Result<PathBuf, String> {
    let named = std::env::var_os("CLEARINGHOUSE_TEST_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| Path::new(PROJECT).join("target/tools/venv/bin/python"));
    let imports = "import grpc, grpc_tools, grpc_status, cryptography, google.rpc";
    match Command::new(&python).args(["-c", imports]).output() {
        Ok(output) if output.status.success() => Ok(python),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("{} cannot be run: {error}", python.display())),
    }
}

#[test]
fn python_client_enrols_publishes_and_resumes() {
    let python = match python() {
        Ok(python) => python,
        Err(why) => {
            println!(
                "skipped: the Python client: {}; ./check installs what it needs",
                why.trim()
            );
            return;
        }
    };
    let temporary = tempfile::tempdir().unwrap();
    let hub = Hub::start(temporary.path());
    let publisher = hub.invite("Northlight", "platform", "publisher,subscriber");
    let reader = hub.invite("Open Ledger Lab", "research", "subscriber");
    let government = hub.invite("Election Office", "government", "subscriber");
    let stubs = temporary.path().join("stubs");
    fs::create_dir(&stubs).unwrap();
    let output = run(Command::new(python)
        .arg(Path::new(PROJECT).join("tests/python/scenario.py"))
        .args(["--hub", &hub.address])
        .arg("--ca")
        .arg(hub.dir.join("admin/ca.pem"))
        .arg("--proto")
        .arg(Path::new(PROJECT).join("proto"))
        .arg("--work")
        .arg(&stubs)
        .arg("--publisher-token")
        .arg(&publisher)
        .arg("--reader-token")
        .arg(&reader)
        .arg("--government-token")
        .arg(&government)
        .env("PYTHONDONTWRITEBYTECODE", "1"));
    println!("{output}");
    assert!(output.ends_with("scenario passed\n"), "{output}");
}
