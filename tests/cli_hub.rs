//! The online commands against a hub, all of them the real binary: JSON shapes, exit codes, and what a crash leaves.

mod cli_support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Stdio;

use cli_support::{Hub, Lines, clearinghouse, code, stderr, stdout};
use serde_json::Value;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/operations.csv");

fn hub_with_two() -> Hub {
    let hub = Hub::start();
    hub.enrol("Plaza Social", "platform", "plaza");
    hub.enrol("Lantern Lab", "research", "lantern");
    hub
}

#[test]
fn members_and_groups_have_the_shapes_that_scripts_rely_on() {
    let hub = Hub::start();
    let member = hub.json("admin", &["member", "add", "Plaza Social", "--kind", "platform"]);
    assert_eq!(member["id"].as_str().unwrap().len(), 36);
    assert_eq!(
        (member["name"].as_str(), member["kind"].as_str()),
        (Some("Plaza Social"), Some("platform"))
    );
    let group = hub.json("admin", &["group", "create", "Election Cell"]);
    assert_eq!(group["id"].as_str().unwrap().len(), 36);
    let filled = hub.json("admin", &["group", "add", "election cell", "PLAZA SOCIAL"]);
    assert_eq!(filled["members"][0]["name"], "Plaza Social");
    let emptied = hub.json(
        "admin",
        &[
            "group",
            "remove",
            group["id"].as_str().unwrap(),
            member["id"].as_str().unwrap(),
        ],
    );
    assert_eq!(emptied["members"], serde_json::json!([]));
    for (action, standing) in [("suspend", "suspended"), ("resume", "active"), ("remove", "removed")] {
        assert_eq!(
            hub.json("admin", &["member", action, "plaza social"])["standing"],
            standing
        );
    }
    let members = hub.json("admin", &["member", "list"]);
    assert_eq!(members["members"].as_array().unwrap().len(), 2);
    let unknown = hub.run("admin", &["member", "suspend", "Plazza Social"]);
    assert_eq!(code(&unknown), 1);
    assert!(
        stderr(&unknown).contains("did you mean \"Plaza Social\"?"),
        "{}",
        stderr(&unknown)
    );
    let twice = hub.run("admin", &["group", "create", "ELECTION CELL"]);
    assert_eq!(code(&twice), 1);
    assert!(
        stderr(&twice).contains("name: "),
        "the field is named: {}",
        stderr(&twice)
    );
}

#[test]
fn a_token_enrols_once_and_secrets_never_show() {
    let hub = Hub::start();
    hub.enrol("Plaza Social", "platform", "plaza");
    let out = hub.path("again");
    let output = clearinghouse()
        .args(["-vv", "enroll", "--hub", &hub.address, "--ca"])
        .arg(hub.path("hub/admin/ca.pem"))
        .arg("--token-file")
        .arg(hub.path("plaza.token"))
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert_eq!(code(&output), 1);
    assert!(!out.exists(), "nothing is written for an agent that is not enrolled");
    let token = fs::read_to_string(hub.path("plaza.token")).unwrap();
    let said = stdout(&output) + &stderr(&output);
    assert!(!said.contains(&token[..60]) && !said.contains("PRIVATE KEY"), "{said}");
    let agents = hub.json("admin", &["agent", "list"]);
    assert_eq!(agents["agents"].as_array().unwrap().len(), 2);
    assert_eq!(
        agents["agents"][1]["roles"],
        serde_json::json!(["publisher", "subscriber"])
    );
}

#[test]
fn an_enrolment_that_was_cut_short_is_made_again_with_the_same_key() {
    let hub = Hub::start();
    hub.json("admin", &["member", "add", "Plaza Social", "--kind", "platform"]);
    hub.invite("Plaza Social", "plaza");
    let token = fs::read_to_string(hub.path("plaza.token")).unwrap();
    let enroll = |address: &str| {
        let args = [
            "enroll",
            "--ca",
            "hub/admin/ca.pem",
            "--token-file",
            "plaza.token",
            "--out",
            "plaza",
            "--hub",
            address,
        ];
        hub.run("admin", &args)
    };
    let unreachable = enroll("127.0.0.1:1");
    assert_eq!(code(&unreachable), 1);
    assert!(
        stderr(&unreachable).contains("cannot reach the hub"),
        "{}",
        stderr(&unreachable)
    );
    let waiting = fs::read_to_string(hub.path(".plaza.enrolling.pem")).unwrap();
    let done = enroll(&hub.address);
    assert_eq!(code(&done), 0, "{}", stderr(&done));
    let key = fs::read_to_string(hub.path("plaza/key.pem")).unwrap();
    assert!(waiting.starts_with(&key));
    assert!(!hub.path(".plaza.enrolling.pem").exists());

    // As after a crash between the hub's answer and the profile: the key is there, the profile is not.
    fs::remove_dir_all(hub.path("plaza")).unwrap();
    fs::write(hub.path("plaza.token"), token).unwrap();
    fs::write(hub.path(".plaza.enrolling.pem"), waiting).unwrap();
    let again = enroll(&hub.address);
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    assert_eq!(hub.json("plaza", &["status"])["writable"], true);
}

#[test]
fn renewal_replaces_key_and_certificate_and_the_new_pair_works() {
    let hub = Hub::start();
    hub.enrol("Plaza Social", "platform", "plaza");
    let read = |name: &str| fs::read_to_string(hub.path("plaza").join(name)).unwrap();
    let (key, certificate) = (read("key.pem"), read("cert.pem"));
    assert!(hub.json("plaza", &["renew"])["expires"].is_string());
    assert!(read("key.pem") != key && read("cert.pem") != certificate);
    assert_eq!(hub.json("plaza", &["status"])["writable"], true);
}

const FLAGS: [&str; 10] = [
    "--tlp",
    "green",
    "--campaign",
    "Test",
    "--confidence",
    "70",
    "--ttp",
    "T0007",
    "--verdict",
    "malicious",
];

fn publish(hub: &Hub, kind: &str, value: &str) -> Value {
    hub.json("plaza", &[&["publish", kind, value], &FLAGS[..]].concat())
}

#[test]
fn what_is_published_once_is_found_in_any_spelling() {
    let hub = hub_with_two();
    let published = publish(&hub, "domain", "bad[.]example[.]com");
    let id = published["id"].as_str().unwrap();
    assert_eq!(
        (&published["outcome"], &published["revision"]),
        (&"accepted".into(), &1.into())
    );
    let again = publish(&hub, "auto", "BAD.example.com");
    assert_eq!((&again["outcome"], &again["id"]), (&"duplicate".into(), &id.into()));

    let found = hub.json("lantern", &["lookup", "hxxps://www.bad[.]example[.]com/page"]);
    assert_eq!(found["raw"], "hxxps://www.bad[.]example[.]com/page");
    assert_eq!(found["observable"]["kind"], "url");
    let matched = &found["matches"][0];
    assert_eq!((&matched["id"], &matched["relation"]), (&id.into(), &"host".into()));
    assert_eq!(
        (&matched["verdict"], &matched["confidence"]),
        (&"malicious".into(), &70.into())
    );
    assert_eq!(matched["publisher"]["name"], "Plaza Social");

    let mut lookup = hub.command("lantern");
    let mut lookup = lookup
        .args(["lookup", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    lookup
        .stdin
        .take()
        .unwrap()
        .write_all(b"bad.example.com\n\nnot an indicator\n")
        .unwrap();
    let lines = stdout(&lookup.wait_with_output().unwrap());
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "one object a value");
    assert_eq!(lines[0]["matches"][0]["relation"], "exact");
    assert_eq!(
        (&lines[1]["observable"], &lines[1]["matches"]),
        (&Value::Null, &serde_json::json!([]))
    );
    assert_ne!(lines[1]["reason"], "");
}

#[test]
fn a_revision_changes_what_is_named_and_a_stale_one_is_refused() {
    let hub = hub_with_two();
    let published = publish(&hub, "domain", "bad[.]example[.]com");
    let id = published["id"].as_str().unwrap();
    let changes = [
        "revise",
        id,
        "--confidence",
        "95",
        "--note",
        "confirmed",
        "--clear",
        "ttps",
    ];
    assert_eq!(hub.json("plaza", &changes)["revision"], 2);
    let seen = hub.json("lantern", &["get", id]);
    assert_eq!((&seen["confidence"], &seen["note"]), (&95.into(), &"confirmed".into()));
    assert_eq!(
        (&seen["campaign"], &seen["ttps"]),
        (&"Test".into(), &serde_json::json!([]))
    );
    let stale = hub.run("plaza", &["revise", id, "--expect", "1", "--confidence", "1"]);
    assert_eq!(code(&stale), 1);
    assert_eq!(hub.json("lantern", &["get", id])["revision"], 2);
}

#[test]
fn a_retraction_is_all_some_or_none() {
    let hub = hub_with_two();
    let published = publish(&hub, "domain", "bad[.]example[.]com");
    let id = published["id"].as_str().unwrap();
    let foreign = hub.run("lantern", &["retract", id, "--reason", "not mine"]);
    assert_eq!(code(&foreign), 1, "nothing was retracted");
    let unknown = "01990000-0000-7000-8000-000000000000";
    let retract = [
        "retract",
        id,
        unknown,
        "--reason",
        "a test",
        "--confirm-large",
        "--json",
    ];
    let partly = hub.run("plaza", &retract);
    assert_eq!(code(&partly), 3, "{}", stderr(&partly));
    let partly: Value = serde_json::from_str(&stdout(&partly)).unwrap();
    assert_eq!((&partly["retracted"], &partly["rejected"]), (&1.into(), &1.into()));
    let gone = hub.run("lantern", &["get", id]);
    assert_eq!(code(&gone), 1);
    assert_eq!(
        hub.json("plaza", &["get", id])["state"],
        "retracted",
        "its owner still sees it"
    );
}

#[test]
fn a_rejected_publication_names_the_field() {
    let hub = hub_with_two();
    for (args, field) in [
        (
            &["publish", "domain", "not a domain", "--tlp", "green"][..],
            "draft.raw: ",
        ),
        (
            &["publish", "domain", "a.example.com", "--tlp", "amber"],
            "draft.handling.member_ids: ",
        ),
        (
            &["publish", "domain", "a.example.com", "--tlp", "green", "--ttp", "X1"],
            "draft.ttps[0]: ",
        ),
        (
            &[
                "publish",
                "domain",
                "a.example.com",
                "--tlp",
                "green",
                "--expires",
                "2001-01-01",
            ],
            "draft.handling.expires_at: ",
        ),
    ] {
        let output = hub.run("plaza", args);
        assert_eq!(code(&output), 1, "{args:?}");
        assert!(stderr(&output).contains(field), "{args:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn an_import_adds_up_and_a_second_one_is_all_duplicates() {
    let hub = hub_with_two();
    let import = || {
        let output = hub.run(
            "plaza",
            &["import", SAMPLE, "--tlp", "green", "--rejects", "rejects.csv", "--json"],
        );
        assert_eq!(code(&output), 3, "{}", stderr(&output));
        let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let count = |key: &str| summary[key].as_u64().unwrap();
        assert_eq!(
            count("rows"),
            count("accepted") + count("duplicate") + count("rejected") + count("skipped")
        );
        (
            count("accepted"),
            count("duplicate"),
            count("rejected"),
            count("skipped"),
        )
    };
    assert_eq!(import(), (45, 0, 1, 2));
    assert_eq!(import(), (0, 45, 1, 2));
    let campaigns = hub.json("lantern", &["campaign", "list", "--contains", "doppel"]);
    assert_eq!(campaigns["campaigns"][0]["indicators"], 25);
    let shown = hub.json("lantern", &["campaign", "show", "Doppelganger"]);
    assert_eq!(shown["publishers"][0]["name"], "Plaza Social");
    let found = hub.json(
        "lantern",
        &["search", "--filter", "campaign:Doppelganger", "--limit", "10"],
    );
    assert_eq!(
        (found["indicators"].as_array().unwrap().len(), found["more"].as_bool()),
        (10, Some(true))
    );
    let table = hub.run("lantern", &["export", "--format", "csv"]);
    assert_eq!(code(&table), 0);
    assert_eq!(
        csv::Reader::from_reader(table.stdout.as_slice())
            .records()
            .filter(Result::is_ok)
            .count(),
        45
    );
}

#[test]
fn an_import_survives_crashes_of_the_hub_with_exact_counts() {
    let mut hub = hub_with_two();
    let rows = 12_000;
    let report: String = (0..rows).map(|row| format!("host{row}.example.com\n")).collect();
    fs::write(hub.path("report.txt"), report).unwrap();
    let mut feed = hub.subscribe("lantern", &["--cursor-file", "cursor"]);
    feed.next_of("live");
    let import = hub
        .command("plaza")
        .args(["import", "report.txt", "--tlp", "green", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut mirror = BTreeMap::new();
    for crash_at in [500, 4_000] {
        while mirror.len() < crash_at {
            apply(&mut mirror, &feed.next().unwrap());
        }
        hub.crash();
    }
    let output = import.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (summary["accepted"].as_u64(), summary["duplicate"].as_u64()),
        (Some(rows), Some(0)),
        "{summary}"
    );
    while (mirror.len() as u64) < rows {
        apply(&mut mirror, &feed.next().unwrap());
    }
    let (exit, said) = feed.stop();
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("resuming at the last cursor"), "{said}");
    assert_eq!(hub.stop(), 0);
}

fn apply(mirror: &mut BTreeMap<String, u64>, line: &Value) {
    match line["type"].as_str().unwrap() {
        "upsert" => {
            let indicator = &line["indicator"];
            mirror.insert(
                indicator["id"].as_str().unwrap().to_owned(),
                indicator["revision"].as_u64().unwrap(),
            );
        }
        "remove" => {
            mirror.remove(line["id"].as_str().unwrap());
        }
        "live" => {}
        "digest" => assert_ne!(line["verified"], false, "{line}"),
        other => panic!("a line of type {other}"),
    }
    assert!(line["cursor"].is_string(), "{line}");
}

fn drain(mut feed: Lines, mirror: &mut BTreeMap<String, u64>) {
    while let Some(line) = feed.next() {
        apply(mirror, &line);
    }
    let (exit, said) = feed.end();
    assert_eq!(exit, 0, "{said}");
}

#[test]
fn a_subscriber_that_crashes_resumes_at_its_cursor_file_and_misses_nothing() {
    let hub = hub_with_two();
    hub.run("plaza", &["import", SAMPLE, "--tlp", "green"]);
    let until_live = ["--cursor-file", "cursor", "--until-live", "--check"];
    let mut mirror = BTreeMap::new();
    drain(hub.subscribe("lantern", &until_live), &mut mirror);
    assert_eq!(mirror.len(), 45);

    let mut feed = hub.subscribe("lantern", &["--cursor-file", "cursor"]);
    apply(&mut mirror, &feed.next_of("live"));
    let id = hub.json("plaza", &["publish", "domain", "one.example.com", "--tlp", "green"])["id"].clone();
    let line = feed.next_of("upsert");
    assert_eq!(line["indicator"]["id"], id);
    apply(&mut mirror, &line);
    feed.crash();
    hub.json("plaza", &["publish", "domain", "two.example.com", "--tlp", "green"]);
    hub.json("plaza", &["retract", id.as_str().unwrap(), "--reason", "a test"]);

    drain(hub.subscribe("lantern", &until_live), &mut mirror);
    assert!(!mirror.contains_key(id.as_str().unwrap()));
    let mut fresh = BTreeMap::new();
    drain(hub.subscribe("lantern", &["--until-live"]), &mut fresh);
    assert_eq!(mirror, fresh);
}

/// The moment that cannot be hit at will: a line is out, its cursor is not stored, and the indicator goes before the program
/// is back. The hub, asked from the old cursor, has nothing to say of it.
#[test]
fn what_went_out_before_a_crash_and_has_gone_since_is_taken_back() {
    let hub = hub_with_two();
    hub.run("plaza", &["import", SAMPLE, "--tlp", "green"]);
    let until_live = ["--cursor-file", "cursor", "--until-live", "--check"];
    let mut mirror = BTreeMap::new();
    drain(hub.subscribe("lantern", &until_live), &mut mirror);
    let gone = "01990000-0000-7000-8000-000000000000";
    mirror.insert(gone.to_owned(), 1);
    let mut journal = fs::OpenOptions::new()
        .append(true)
        .open(hub.path("cursor.mirror"))
        .unwrap();
    writeln!(journal, "+{gone} 1").unwrap();
    drain(hub.subscribe("lantern", &until_live), &mut mirror);
    assert!(!mirror.contains_key(gone));
    assert_eq!(mirror.len(), 45);
    let lines = stdout(&hub.run("lantern", &[&["subscribe"], &until_live[..]].concat()));
    assert!(!lines.contains(gone), "once is enough: {lines}");
}

#[test]
fn a_lost_journal_is_said_and_a_foreign_cursor_gives_a_snapshot() {
    let hub = hub_with_two();
    hub.run("plaza", &["import", SAMPLE, "--tlp", "green"]);
    let mut mirror = BTreeMap::new();
    drain(
        hub.subscribe("lantern", &["--cursor-file", "cursor", "--until-live"]),
        &mut mirror,
    );

    // Another filter: what no longer belongs to the feed is taken back from the consumer.
    let filtered = [
        "--cursor-file",
        "cursor",
        "--until-live",
        "--filter",
        "campaign:Doppelganger",
    ];
    let output = hub.run("lantern", &[&["subscribe"], &filtered[..]].concat());
    assert!(stderr(&output).contains("taking a snapshot"), "{}", stderr(&output));
    for line in stdout(&output).lines() {
        apply(&mut mirror, &serde_json::from_str(line).unwrap());
    }
    assert_eq!(mirror.len(), 25);

    fs::remove_file(hub.path("cursor.mirror")).unwrap();
    let output = hub.run("lantern", &[&["subscribe"], &filtered[..]].concat());
    assert_eq!(code(&output), 0);
    assert!(
        stderr(&output).contains("digests are not checked"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn tightening_removes_and_revocation_ends_the_feed_with_1() {
    let hub = hub_with_two();
    let id = hub.json("plaza", &["publish", "domain", "one.example.com", "--tlp", "green"])["id"].clone();
    let mut feed = hub.subscribe("lantern", &[]);
    feed.next_of("live");
    hub.json(
        "plaza",
        &[
            "revise",
            id.as_str().unwrap(),
            "--tlp",
            "red",
            "--to",
            "member:Plaza Social",
        ],
    );
    let line = feed.next_of("remove");
    assert_eq!((&line["id"], line["reason"].as_str()), (&id, Some("no_longer_visible")));
    hub.json(
        "admin",
        &["agent", "revoke", "Lantern Lab", "lantern", "--reason", "a test"],
    );
    let (exit, said) = feed.end();
    assert_eq!(exit, 1);
    assert!(said.contains("ask an admin"), "{said}");
    let refused = hub.run("lantern", &["status"]);
    assert_eq!(code(&refused), 1);
}

#[test]
fn one_cannot_do_with_a_profile_what_its_roles_forbid() {
    let hub = hub_with_two();
    for (profile, args) in [
        ("plaza", &["member", "add", "X", "--kind", "media"][..]),
        ("plaza", &["invite", "Plaza Social", "more", "--role", "admin"]),
        ("admin", &["publish", "domain", "a.example.com", "--tlp", "green"]),
        ("admin", &["subscribe", "--until-live"]),
    ] {
        let output = hub.run(profile, args);
        assert_eq!(code(&output), 1, "{args:?}");
        assert!(
            stderr(&output).contains("not permitted"),
            "{args:?}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn the_profile_of_another_hub_is_explained() {
    let (hub, other) = (hub_with_two(), Hub::start());
    let output = other
        .command("admin")
        .args(["--hub", &hub.address, "status"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("is not this profile's hub"),
        "{}",
        stderr(&output)
    );
}
