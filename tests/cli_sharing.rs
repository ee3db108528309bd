//! What a member is shown on the command line of what others hold of an indicator, of mistakes, of its limits and of its mirror; each
//! with its opposite.

mod cli_support;

use cli_support::{Hub, code, stderr, stdout};
use serde_json::{Value, json};

/// A hub with that at the end of its configuration, and a platform, a fact-checker and an agency.
fn hub_with(settings: &str) -> Hub {
    let mut hub = Hub::start();
    let file = hub.path("hub/hub.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n{settings}\n")).unwrap();
    hub.crash();
    hub.enrol("Plaza Social", "platform", "plaza");
    hub.enrol("Second Look", "media", "checker");
    hub.enrol("Foreign Desk", "government", "desk");
    hub
}

fn publish(hub: &Hub, value: &str, tlp: &str) -> String {
    let published = hub.json("plaza", &["publish", "auto", value, "--tlp", tlp]);
    published["id"].as_str().unwrap().to_owned()
}

#[test]
fn reader_of_an_indicator_sees_its_fact_check_and_an_agency_only_what_was_released_to_it() {
    let hub = hub_with("");
    let id = publish(&hub, "masthead.example.org", "clear");
    let plain = hub.json("desk", &["get", &id]);
    assert_eq!(
        (&plain["assessments"], &plain["corroboration"]["observers"]),
        (&json!([]), &json!(1))
    );
    let check = [
        &["assess", &id, "--verdict", "checked"],
        &["--check-url", "https://second-look.example.com/checks/17"][..],
        &["--rating", "False", "--language", "en"],
    ]
    .concat();
    hub.json("checker", &check);
    hub.json(
        "checker",
        &["assess", &id, "--verdict", "disputes", "--note", "a parody"],
    );

    let read = hub.json("plaza", &["get", &id]);
    let review = &read["assessments"][0]["claim_review"];
    assert_eq!(
        review,
        &json!({"url": "https://second-look.example.com/checks/17", "rating": "False", "language": "en", "claim": ""})
    );
    assert_eq!(
        (&read["state"], &read["corroboration"]["contested"]),
        (&json!("active"), &json!(true)),
        "contested is not retracted"
    );
    let told = stdout(&hub.run("plaza", &["lookup", "masthead.example.org"]));
    assert!(told.ends_with("  observed by 1, disputed by 1; contested\n"), "{told}");
    let hidden = hub.json("desk", &["get", &id]);
    assert_eq!(hidden, plain, "an agency sees what it saw before");

    hub.json("checker", &[&check[..], &["--government-release"]].concat());
    let released = hub.json("desk", &["get", &id]);
    assert_eq!(&released["assessments"][0]["claim_review"], review);
    assert_eq!(
        released["corroboration"]["disputes"], 0,
        "the other one was not released"
    );
}

#[test]
fn importer_is_told_what_stands_on_a_list_and_of_the_rest_nothing() {
    let hub = hub_with("warning_lists = \"lists\"");
    std::fs::create_dir(hub.path("hub/lists")).unwrap();
    let list = json!({"name": "Popular hosts", "type": "hostname", "matching_attributes": ["domain"], "list": ["popular.example.com"]});
    std::fs::write(hub.path("hub/lists/popular.json"), list.to_string()).unwrap();
    let mut hub = hub;
    hub.crash();
    std::fs::write(
        hub.path("report.txt"),
        "www.popular.example.com\nmail.popular.example.com\nother.example.net\nhttps://popular.example.com/page\n",
    )
    .unwrap();
    let import = ["import", "report.txt", "--tlp", "green"];
    let first = hub.run("plaza", &import);
    assert_eq!(code(&first), 0);
    assert_eq!(
        stderr(&first),
        "warning: 2 of the accepted stand on the list \"Popular hosts\"; are they false positives?\n"
    );
    let again = hub.json("plaza", &import);
    assert_eq!((&again["duplicate"], again.get("warnings")), (&json!(4), None));
    let counted = hub.json("checker", &import);
    assert_eq!(counted["warnings"], json!({"Popular hosts": 2}));
    let listed = stdout(&hub.run("desk", &["search"]));
    assert_eq!(listed, "", "nothing of it is an agency's");
    let listed = stdout(&hub.run("plaza", &["search", "--filter", "publisher:\"Plaza Social\""]));
    let flagged = listed
        .lines()
        .filter(|line| line.ends_with("on the list \"Popular hosts\""));
    assert_eq!((listed.lines().count(), flagged.count()), (4, 2), "{listed}");
}

#[test]
fn too_much_is_refused_with_the_time_to_come_back_at_and_others_are_served() {
    let limits = "[limits]\npublish_items_per_sec_per_member = 1\npublish_burst_items_per_member = 1000\nfeeds_per_member_max = 1";
    let hub = hub_with(limits);
    let report = |name: &str, count: usize| {
        let lines: String = (0..count).map(|n| format!("{name}{n}.example.net\n")).collect();
        std::fs::write(hub.path(name), lines).unwrap();
    };
    report("first", 1_000);
    report("second", 600);
    let to_itself = ["--tlp", "red", "--to", "member:Plaza Social", "--patience", "0"];
    let first = hub.json("plaza", &[&["import", "first"], &to_itself[..]].concat());
    assert_eq!(first["accepted"], 1_000);
    let second = hub.run("plaza", &[&["import", "second"], &to_itself[..]].concat());
    assert_eq!(code(&second), 1);
    let said = stderr(&second);
    let wait = said
        .trim_end()
        .strip_prefix("error: the member publishes faster than its quota allows: try again in ")
        .and_then(|rest| rest.strip_suffix(" s")?.parse::<u32>().ok());
    assert!(wait.is_some_and(|seconds| (1..=600).contains(&seconds)), "{said}");
    hub.json("checker", &["publish", "domain", "other.example.net", "--tlp", "green"]);

    let mut feed = hub.subscribe("plaza", &[]);
    feed.next_of("live");
    let refused = hub.run("plaza", &["subscribe", "--until-live"]);
    assert_eq!(
        (code(&refused), stderr(&refused).as_str()),
        (1, "error: the member has too many feeds open: try again in 1 s\n")
    );
    let served = hub.run("checker", &["subscribe", "--until-live"]);
    assert_eq!(code(&served), 0, "{}", stderr(&served));
    assert_eq!(feed.stop().0, 0);
}

/// The journal beside the cursor loses an indicator and keeps one that has gone, as a defect of the client would have it.
#[test]
fn mirror_that_is_not_what_the_hub_says_is_found_out_and_mended_by_a_snapshot() {
    let hub = hub_with("");
    publish(&hub, "one.example.com", "green");
    let args = ["subscribe", "--until-live", "--cursor-file", "cursor"];
    let checked = [&args[..], &["--check"]].concat();
    assert_eq!(code(&hub.run("checker", &checked)), 0, "a right mirror passes");
    let journal = hub.path("cursor.mirror");
    let right = std::fs::read_to_string(&journal).unwrap();
    let lines = right.lines();
    let put: Vec<&str> = lines.filter(|line| line.starts_with('+')).collect();
    let [put] = put[..] else { panic!("{right}") };
    let of_a_stranger = "+01990000-0000-7000-8000-000000000000 1";
    std::fs::write(&journal, right.replace(put, of_a_stranger)).unwrap();

    let found = hub.run("checker", &checked);
    assert_eq!(code(&found), 1);
    let said = "error: the mirror does not agree with the hub's digest: 1 indicators here, 1 there\n";
    assert_eq!(stderr(&found), said);
    let mended = hub.run("checker", &args);
    assert_eq!(code(&mended), 0, "{}", stderr(&mended));
    assert!(stderr(&mended).contains("taking a snapshot"), "{}", stderr(&mended));
    let lines: Vec<Value> = stdout(&mended)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let removed = lines.iter().find(|line| line["type"] == "remove").unwrap();
    assert_eq!(removed["id"], "01990000-0000-7000-8000-000000000000");
    assert_eq!(code(&hub.run("checker", &checked)), 0);
}
