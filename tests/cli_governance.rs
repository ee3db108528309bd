//! Two admins on the command line: what a change that waits looks like, who settles it, and what is told afterwards.

mod cli_support;

use cli_support::{Hub, clearinghouse, code, stderr, stdout};

/// A hub with a second admin, whose profile is `steward`.
fn hub_with_two_admins() -> Hub {
    let hub = Hub::start();
    hub.json("admin", &["member", "add", "Lantern Lab", "--kind", "research"]);
    let invited = hub.json("admin", &["invite", "Lantern Lab", "steward", "--role", "admin"]);
    enroll(&hub, invited["token"].as_str().unwrap(), "steward");
    hub
}

fn enroll(hub: &Hub, token: &str, profile: &str) {
    let file = hub.path(&format!("{profile}.token"));
    std::fs::write(&file, token).unwrap();
    let output = clearinghouse()
        .args(["enroll", "--hub", &hub.address, "--ca"])
        .arg(hub.path("hub/admin/ca.pem"))
        .arg("--token-file")
        .arg(file)
        .arg("--out")
        .arg(hub.path(profile))
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn change_that_waits_says_so_and_who_can_approve_it_how() {
    let hub = hub_with_two_admins();
    let output = hub.run("admin", &["member", "add", "Plaza Social", "--kind", "platform"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "waits for a second admin: admit the platform member \"Plaza Social\"\n"
    );
    let told = stderr(&output);
    assert!(told.contains("another admin (steward of Lantern Lab)"), "{told}");
    let listed = hub.json("steward", &["change", "list"]);
    let change = &listed["changes"][0];
    let id = change["id"].as_str().unwrap();
    assert!(told.contains(&format!("clearinghouse change approve {id}")), "{told}");
    assert_eq!(change["author"]["agent"], "admin");
    assert!(change["asked_at"].is_string() && change["expires_at"].is_string());

    let own = hub.run("admin", &["change", "approve", id]);
    assert_eq!(code(&own), 1);
    assert!(
        stderr(&own).contains("another admin must approve it"),
        "{}",
        stderr(&own)
    );
    let approved = hub.json("steward", &["change", "approve", id]);
    assert_eq!(approved["approved"], "admit the platform member \"Plaza Social\"");
    assert_eq!(approved["invitation"], serde_json::Value::Null);
    assert_eq!(
        hub.json("steward", &["change", "list"])["changes"],
        serde_json::json!([])
    );

    let history = hub.json("steward", &["member", "history", "plaza social"]);
    let events = history["events"].as_array().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["CHANGE_PROPOSED", "CHANGE_APPROVED", "ADMITTED"]);
    assert_eq!(events[1]["author"]["member"]["name"], "Lantern Lab");
    assert!(events[2]["seq"].is_u64());
}

#[test]
fn each_command_of_an_admin_prints_what_waits_and_a_rejection_drops_it() {
    let hub = hub_with_two_admins();
    for (args, summary) in [
        (
            &["member", "rename", "Lantern Lab", "Lantern"][..],
            "rename member \"Lantern Lab\"",
        ),
        (
            &["member", "remove", "Lantern Lab"],
            "remove for good member \"Lantern Lab\"",
        ),
        (
            &["group", "create", "Election Cell"],
            "create the group \"Election Cell\"",
        ),
        (
            &["invite", "Lantern Lab", "feed", "--role", "publisher,subscriber"],
            "invite agent \"feed\" of member \"Lantern Lab\"",
        ),
    ] {
        let asked = hub.json("admin", args);
        let pending = &asked["pending"];
        assert_eq!(asked.as_object().unwrap().len(), 1, "{asked}");
        assert!(pending["summary"].as_str().unwrap().starts_with(summary), "{pending}");
        let id = pending["id"].as_str().unwrap();
        assert_eq!(hub.json("steward", &["change", "reject", id])["rejected"], id);
        assert_eq!(code(&hub.run("steward", &["change", "approve", id])), 1);
    }
    let suspended = hub.json("steward", &["member", "list"]);
    assert_eq!(suspended["members"].as_array().unwrap().len(), 2);
}

#[test]
fn order_to_erase_waits_for_a_second_admin_and_takes_back_what_stands() {
    let hub = Hub::start();
    for (member, agent, roles) in [
        ("Plaza Social", "plaza", "publisher"),
        ("Harbor Lab", "harbor", "subscriber"),
        ("Lantern Lab", "steward", "admin"),
    ] {
        hub.json("admin", &["member", "add", member, "--kind", "research"]);
        let invited = hub.json("admin", &["invite", member, agent, "--role", roles]);
        enroll(&hub, invited["token"].as_str().unwrap(), agent);
    }
    let published = hub.json("plaza", &["publish", "domain", "news.example.com"]);
    let id = published["id"].as_str().unwrap();
    let matches = || {
        let found = hub.json("harbor", &["lookup", "news.example.com"]);
        found["matches"].as_array().unwrap().len()
    };
    let denied = hub.run("plaza", &["erase", id, "--reason", "court order"]);
    assert_eq!(code(&denied), 1);
    assert!(stderr(&denied).contains("role admin"), "{}", stderr(&denied));
    let unknown = "0190b8a2-7c3e-7def-8a12-3456789abcde";
    let refused = hub.run("admin", &["erase", unknown, "--reason", "court order"]);
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("not found"), "{}", stderr(&refused));
    let asked = hub.json("admin", &["erase", id, "--reason", "court order 12/34"]);
    let summary = asked["pending"]["summary"].as_str().unwrap();
    assert_eq!(summary, format!("erase indicator {id}: court order 12/34"));
    assert_eq!(matches(), 1, "it waits");
    let approved = hub.json(
        "steward",
        &["change", "approve", asked["pending"]["id"].as_str().unwrap()],
    );
    assert_eq!(approved["approved"], summary);
    assert_eq!(matches(), 0, "it is taken back");
    let again = hub.json("steward", &["erase", id, "--reason", "court order 12/34"]);
    assert_eq!(again["ordered"], true);
}

#[test]
fn token_of_an_approved_invitation_goes_to_the_approver_alone() {
    let hub = hub_with_two_admins();
    let output = hub.run("admin", &["invite", "Lantern Lab", "feed", "--role", "publisher"]);
    assert_eq!(
        (code(&output), stdout(&output).as_str()),
        (0, ""),
        "nothing goes into the token's file"
    );
    assert!(stderr(&output).contains("Not done yet"), "{}", stderr(&output));
    let listed = hub.json("steward", &["change", "list"]);
    let output = hub.run(
        "steward",
        &["change", "approve", listed["changes"][0]["id"].as_str().unwrap()],
    );
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    enroll(&hub, stdout(&output).trim(), "feed");
    // An agent reads its own member's history, without what the admins spoke of.
    let history = hub.json("feed", &["member", "history"]);
    let events = history["events"].as_array().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "ADMITTED",
            "INVITED",
            "CERTIFICATE_ISSUED",
            "INVITED",
            "CERTIFICATE_ISSUED"
        ]
    );
    assert!(events.iter().all(|event| event["seq"].is_null()));
}

#[test]
fn sole_admin_is_never_kept_waiting() {
    let hub = Hub::start();
    let member = hub.json("admin", &["member", "add", "Plaza Social", "--kind", "platform"]);
    let renamed = hub.json("admin", &["member", "rename", "plaza social", "Plaza"]);
    assert_eq!(
        (renamed["id"].as_str(), renamed["name"].as_str()),
        (member["id"].as_str(), Some("Plaza"))
    );
    assert_eq!(hub.json("admin", &["change", "list"])["changes"], serde_json::json!([]));
}

#[test]
fn rotation_ends_the_old_pair_and_renewal_does_not() {
    let hub = Hub::start();
    hub.enrol("Plaza Social", "platform", "plaza");
    let keep_a_copy = |name: &str| {
        std::fs::create_dir(hub.path(name)).unwrap();
        for file in ["cert.pem", "key.pem", "ca.pem", "profile.toml"] {
            std::fs::copy(hub.path("plaza").join(file), hub.path(name).join(file)).unwrap();
        }
    };
    keep_a_copy("first");
    hub.json("plaza", &["renew"]);
    keep_a_copy("second");
    assert_eq!(hub.json("first", &["status"])["writable"], true);
    assert_eq!(hub.json("plaza", &["rotate"])["ended"], 2);
    assert_eq!(hub.json("plaza", &["status"])["writable"], true);
    for stolen in ["first", "second"] {
        for command in ["status", "rotate"] {
            let refused = hub.run(stolen, &[command]);
            assert_eq!(code(&refused), 1);
            let said = stderr(&refused);
            assert!(said.contains("replaced or revoked"), "{command}: {said}");
        }
    }
}
