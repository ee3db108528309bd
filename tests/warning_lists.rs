//! Values that are often reported by mistake: flagged to the publisher and to every reader, or refused where the hub is strict. A page
//! on a popular host is no mistake.

mod wire_support;

use std::path::Path;

use clearinghouse::domain::observable::{Kind, Observable};
use clearinghouse::domain::warning::WarningLists;
use clearinghouse::grpc::wire;
use clearinghouse::import::read_warning_list;
use wire::publish_result::Outcome;
use wire_support::{Client, TestHub, draft, green, until_live};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus/misp/warninglists");

/// Values with the outcome on a flagging and on a strict hub; the last two stand on no list.
const HOST: &str = "www.popular.example.com";
const HASH: &str = "d41d8cd98f00b204e9800998ecf8427e";
const PAGE: &str = "https://www.popular.example.com/borrowed-masthead";
const OTHER: &str = "popular.example.net";

/// A hub with two lists in a folder below its own, and files there that are no lists.
async fn hub_with_lists(strict: bool) -> (TestHub, tempfile::TempDir) {
    let folder = TestHub::start().await.stop().await.unwrap();
    let dir = folder.path().join("hub");
    let lists = dir.join("lists/popular");
    std::fs::create_dir_all(&lists).unwrap();
    for (name, text) in [
        (
            "list.json",
            r#"{"name": "Popular hosts", "type": "hostname", "matching_attributes": ["domain", "url"], "list": ["popular.example.com"]}"#,
        ),
        (
            "hashes.json",
            r#"{"name": "Empty files", "type": "string", "matching_attributes": ["md5"], "list": ["d41d8cd98f00b204e9800998ecf8427e"]}"#,
        ),
        ("no-list.json", "{}"),
        ("README.md", "no list either"),
    ] {
        std::fs::write(lists.join(name), text).unwrap();
    }
    let file = dir.join("hub.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = format!("{text}\nwarning_lists = \"lists\"\nwarning_lists_strict = {strict}\n");
    std::fs::write(&file, text).unwrap();
    (TestHub::open(&dir).await, folder)
}

async fn publish(client: &Client, values: &[&str]) -> Vec<Outcome> {
    let item = |value: &&str| wire::PublishItem {
        request_id: String::new(),
        draft: Some(draft(value, green())),
    };
    let request = wire::PublishRequest {
        items: values.iter().map(item).collect(),
    };
    let results = client.publisher().publish(request).await.unwrap().into_inner().results;
    results.into_iter().map(|result| result.outcome.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_on_a_list_is_flagged_to_publisher_and_readers_and_nothing_else_is() {
    let (hub, _folder) = hub_with_lists(false).await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Research).await;
    let mut feed = b.subscribe(Vec::new()).await;
    until_live(&mut feed).await;
    let expected: [&[&str]; 4] = [&["Popular hosts"], &["Empty files"], &[], &[]];
    let values = [HOST, HASH, PAGE, OTHER];
    let outcomes = publish(&a, &values).await;
    let told: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Accepted(accepted) => accepted.warnings.clone(),
            other => panic!("flagged, and accepted all the same: {other:?}"),
        })
        .collect();
    assert_eq!(told, expected);

    let (upserts, ..) = until_live(&mut feed).await;
    let shown: Vec<_> = upserts.into_iter().map(|upsert| upsert.warnings).collect();
    assert_eq!(shown, expected, "in the feed");
    let request = wire::LookupRequest {
        values: values.map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let results = b.queries().lookup(request).await.unwrap().into_inner().results;
    for (result, warnings) in results.iter().zip(expected) {
        let exact = result
            .matches
            .iter()
            .find(|one| one.relation() == wire::MatchRelation::Exact);
        let indicator = exact.unwrap().indicator.as_ref().unwrap();
        assert_eq!(indicator.warnings, warnings, "{} in a look-up", result.raw);
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_hub_refuses_what_stands_on_a_list_and_takes_pages_and_the_rest() {
    let (hub, _folder) = hub_with_lists(true).await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let outcomes = publish(&a, &[HOST, HASH, PAGE, OTHER]).await;
    let [Outcome::Rejected(host), Outcome::Rejected(hash), rest @ ..] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(host.field, "draft.raw");
    assert_eq!(
        host.reason,
        "stands on the warning list \"Popular hosts\": report a page rather than its host"
    );
    assert_eq!(
        hash.reason,
        "stands on the warning list \"Empty files\", and this hub refuses what does"
    );
    assert!(
        rest.iter()
            .all(|outcome| matches!(outcome, Outcome::Accepted(accepted) if accepted.warnings.is_empty())),
        "{rest:?}"
    );
    let (seen, ..) = until_live(&mut a.subscribe(Vec::new()).await).await;
    assert_eq!(seen.len(), 2, "what was refused is not there");
    hub.stop().await;
}

/// All lists of MISP's corpus at once. It is not part of the project: where it is absent the test says so.
#[test]
fn lists_of_misp_are_read_and_hit_hosts_and_not_the_pages_on_them() {
    let folders = match std::fs::read_dir(Path::new(CORPUS)) {
        Ok(folders) => folders,
        Err(error) => return println!("skipped: no corpus at {CORPUS} ({error})"),
    };
    let mut lists = Vec::new();
    for folder in folders {
        let path = folder.unwrap().path().join("list.json");
        if let Ok(bytes) = std::fs::read(&path) {
            lists.push(read_warning_list(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        }
    }
    let lists = WarningLists::new(lists);
    assert_eq!((lists.len(), lists.ignored()), (44, 0));
    for (value, list) in [
        ("twitter.com", "Top 500 domains and pages from https://moz.com/top500"),
        ("www.facebook.com", "Top 1000 website from Alexa"),
        ("bit.ly", "List of known URL Shorteners domains"),
        ("8.8.8.8", "List of known IPv4 public DNS resolvers"),
        ("149.154.167.99", "List of known Telegram IP address ranges"),
        (HASH, "List of known hashes for empty files"),
        ("abuse@example.org", "Common contact e-mail addresses"),
    ] {
        let hits = lists.hits(&Observable::parse(value).unwrap());
        assert!(hits.iter().any(|hit| hit.as_str() == list), "{value}: {hits:?}");
    }
    for value in [
        "https://bit.ly/3xYz",
        "https://docs.google.com/document/d/1a2b3c/edit",
        "https://www.facebook.com/permalink.php?story_fbid=1&id=2",
        "https://medium.com/@someone/a-story",
    ] {
        let page = Observable::parse_as(Kind::Url, value).unwrap();
        assert!(lists.hits(&page).is_empty(), "{value}: {:?}", lists.hits(&page));
    }
    for value in ["masthead-mirror.ltd", "45.9.148.99", "press@masthead-mirror.ltd"] {
        let observable = Observable::parse(value).unwrap();
        assert!(
            lists.hits(&observable).is_empty(),
            "{value}: {:?}",
            lists.hits(&observable)
        );
    }
}
