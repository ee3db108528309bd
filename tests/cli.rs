//! The command line, by its contract: help, exit codes and JSON shapes. No test here needs a hub; those that do are in
//! `cli_hub.rs`.

mod cli_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cli_support::{clearinghouse, code, run, stderr, stdout};

/// Every command, as it is called, in the order of the help.
fn commands() -> Vec<Vec<String>> {
    fn under(path: Vec<String>) -> Vec<Vec<String>> {
        let help = stdout(&run(path.iter().cloned().chain(["--help".to_owned()])));
        let listed = help.split("\nCommands:\n").nth(1).unwrap_or_default();
        let names = listed.lines().take_while(|line| !line.is_empty());
        // A description that is too long goes on in a line that is indented deeper.
        let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        let below = names
            .filter(|name| !name.is_empty() && *name != "help")
            .flat_map(|name| {
                let path = path.iter().cloned().chain([name.to_owned()]);
                under(path.collect())
            });
        let below: Vec<_> = below.collect();
        std::iter::once(path).chain(below).collect()
    }
    under(Vec::new())
}

/// Help is golden text. `UPDATE_GOLDEN=1 cargo test --test cli` writes it anew; review the difference.
#[test]
fn help_of_every_command_is_as_reviewed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help.txt");
    let mut text = String::new();
    for command in commands() {
        let name = command.join(" ");
        let output = run(command.iter().map(String::as_str).chain(["--help"]));
        assert_eq!(code(&output), 0, "{name}");
        assert_eq!(stderr(&output), "", "{name}");
        let help = stdout(&output);
        // The global flags are the same everywhere: once is enough.
        let own = if name.is_empty() {
            help.as_str()
        } else {
            without_global(&help)
        };
        text.push_str(&format!("==== clearinghouse {name}\n{}\n", own.trim_end()));
    }
    assert!(
        text.contains("==== clearinghouse member add\n"),
        "the commands were not found"
    );
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &text).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap();
    for (line, (have, want)) in text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(have, want, "line {} of tests/golden/help.txt", line + 1);
    }
    assert_eq!(text.len(), expected.len(), "tests/golden/help.txt");
}

/// The help without the paragraph of global flags.
fn without_global(help: &str) -> &str {
    let Some(start) = help.find("\nGlobal:\n") else {
        return help;
    };
    // The examples follow; they are checked by a unit test for each command, and stand in the golden text of the rest.
    &help[..start]
}

/// What is wrong usage, and what must be said of it.
const WRONG_USAGE: &[(&[&str], &str)] = &[
    (&[], "Usage"),
    (&["frobnicate"], "unrecognized subcommand"),
    (&["member", "add", "X"], "--kind"),
    (
        &["member", "add", "X", "--kind", "alien"],
        "possible values: platform, government, research, media",
    ),
    (
        &["publish", "colour", "red", "--tlp", "green"],
        "possible values: auto, domain",
    ),
    (&["import"], "<FILE>"),
    (
        &[
            "publish",
            "domain",
            "a.example.com",
            "--tlp",
            "green",
            "--confidence",
            "101",
        ],
        "101 is not in 0..=100",
    ),
    (
        &["publish", "domain", "a.example.com", "--tlp", "green", "--to", "Agora"],
        "must be member:NAME or group:NAME",
    ),
    (
        &[
            "publish",
            "domain",
            "a.example.com",
            "--tlp",
            "green",
            "--embargo-to",
            "member:X",
        ],
        "--embargo-until",
    ),
    (
        &[
            "publish",
            "domain",
            "a.example.com",
            "--tlp",
            "green",
            "--expires",
            "soon",
        ],
        "RFC 3339",
    ),
    (
        &["invite", "M", "a", "--role", "king"],
        "possible values: publisher, subscriber, admin",
    ),
    (&["retract", "x"], "--reason"),
    (&["status"], "--profile DIR or CLEARINGHOUSE_PROFILE"),
    (
        &["enroll", "--ca", "a", "--token-file", "b", "--out", "c"],
        "--hub HOST:PORT is required",
    ),
    (
        &[
            "enroll",
            "--hub",
            "http://h:1",
            "--ca",
            "a",
            "--token-file",
            "b",
            "--out",
            "c",
        ],
        "must be https",
    ),
    (&["init", "--dir", "unused", "--name", "\u{1b}[31m"], "must not contain"),
];

#[test]
fn wrong_usage_is_2_and_says_what_is_wrong() {
    for (args, text) in WRONG_USAGE {
        let output = run(*args);
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(text), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{args:?}: stdout is for results");
    }
}

#[test]
fn failures_are_1_and_leave_stdout_empty() {
    for args in [
        &["status", "--profile", "/nonexistent", "--json"][..],
        &["verify", "--dir", "/nonexistent"],
        &["serve", "--dir", "/nonexistent"],
        &["import", "/nonexistent.csv", "--dry-run", "--format", "csv"],
    ] {
        let output = run(args);
        assert_eq!(code(&output), 1, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("error: "), "{args:?}");
    }
}

#[test]
fn a_reader_of_stdout_that_leaves_is_no_failure() {
    for args in [
        &["completions", "zsh"][..],
        &["man"],
        &["--help"],
        &["import", "--dry-run", "samples/operations.csv"],
    ] {
        let mut child = clearinghouse()
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        // An import of this sample has a rejected row, which its own exit code says unless nobody listens.
        assert_eq!(code(&output), 0, "{args:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{args:?}");
    }
}

#[test]
fn init_refuses_an_existing_hub_and_verify_passes_a_new_one() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("hub");
    let init = |json: &[&str]| {
        run([
            &["init", "--dir", dir.to_str().unwrap(), "--name", "Test Exchange"],
            json,
        ]
        .concat())
    };
    let made = init(&["--json"]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let made: serde_json::Value = serde_json::from_str(&stdout(&made)).unwrap();
    assert!(
        Path::new(made["admin_profile"].as_str().unwrap())
            .join("key.pem")
            .exists()
    );
    let again = init(&[]);
    assert_eq!(code(&again), 1);
    assert!(stderr(&again).contains("is not empty"), "{}", stderr(&again));
    let verified = run(["verify", "--dir", dir.to_str().unwrap(), "--json"]);
    assert_eq!(code(&verified), 0, "{}", stderr(&verified));
    let verified: serde_json::Value = serde_json::from_str(&stdout(&verified)).unwrap();
    assert_eq!(verified["ok"], true);
    assert_eq!(verified["root"].as_str().unwrap().len(), 64);
}

#[test]
fn verify_fails_on_a_log_that_lost_its_tail() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("hub");
    assert_eq!(code(&run(["init", "--dir", dir.to_str().unwrap()])), 0);
    let is_store = |path: &PathBuf| path.file_name().is_some_and(|name| name == "db");
    let store = files_under(&dir.join("log")).into_iter().find(is_store).unwrap();
    let bytes = fs::read(&store).unwrap();
    fs::write(&store, vec![0; bytes.len()]).unwrap();
    let output = run(["verify", "--dir", dir.to_str().unwrap(), "--json"]);
    assert_eq!(code(&output), 1, "{}", stdout(&output));
    let summary: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(summary["ok"], false);
    assert_ne!(summary["error"], "");
}

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] })
        .collect()
}

#[test]
fn a_dry_run_counts_as_the_hub_would_and_needs_none() {
    let home = tempfile::tempdir().unwrap();
    let rejects = home.path().join("rejects.csv");
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/operations.csv");
    let output = run([
        "import",
        sample,
        sample,
        "--dry-run",
        "--json",
        "--rejects",
        rejects.to_str().unwrap(),
    ]);
    assert_eq!(code(&output), 3, "some rows are rejected: {}", stderr(&output));
    let summary: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let count = |key: &str| summary[key].as_u64().unwrap();
    assert_eq!(count("files"), 2);
    assert_eq!(count("rows"), 96);
    assert_eq!(
        count("rows"),
        count("accepted") + count("duplicate") + count("rejected") + count("skipped")
    );
    assert_eq!(
        count("accepted"),
        count("duplicate"),
        "the second file says the same again"
    );
    let by_class: u64 = summary["by_class"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(by_class, 96);
    let rejected = fs::read_to_string(rejects).unwrap();
    assert!(
        rejected.starts_with("file,line,record,class,reason,raw\n"),
        "{rejected}"
    );
    assert_eq!(rejected.lines().count() as u64, 1 + count("rejected"));
}

#[test]
fn a_file_marked_narrower_is_not_published_wider_by_accident() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("event.json");
    let event = r#"{"Event":{"info":"Test","Tag":[{"name":"tlp:amber"}],"Attribute":[{"type":"domain","value":"a.example.com"}]}}"#;
    fs::write(&path, event).unwrap();
    let import = |more: &[&str]| run([&["import", path.to_str().unwrap(), "--dry-run"], more].concat());
    let refused = import(&["--tlp", "green"]);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("is marked TLP:AMBER"), "{}", stderr(&refused));
    assert_eq!(code(&import(&["--tlp", "red"])), 0);
    assert_eq!(code(&import(&["--tlp", "green", "--wider-than-marked"])), 0);
}

#[test]
fn the_demo_checks_itself() {
    let output = run(["demo", "--check"]);
    assert_eq!(code(&output), 0, "{}\n{}", stdout(&output), stderr(&output));
    let summary: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(summary["ok"], true);
    assert_eq!(summary["members"].as_array().unwrap().len(), 4);
    assert!(
        summary["members"]
            .as_array()
            .unwrap()
            .iter()
            .all(|member| member["seen"].as_u64().unwrap() > 0)
    );
}

#[test]
fn the_demo_for_a_person_is_plain_text_without_a_terminal() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("demo");
    let output = run(["demo", "--dir", dir.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    assert!(!text.contains('\u{1b}'), "colours are for terminals");
    for part in [
        "Who sees what",
        "government lane",
        "RED is for members named one by one",
        "Next steps",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(dir.join("profiles/vidora/cert.pem").exists());
    let again = run(["demo", "--dir", dir.to_str().unwrap()]);
    assert_eq!(code(&again), 1, "it replaces nothing");
}
