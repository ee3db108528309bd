//! Look-ups of raw values over the wire: the same value in any dress, its host, its parents, its networks and accounts; and what is
//! not visible looks like what is not there.

mod wire_support;

use clearinghouse::grpc::wire;
use wire_support::{Client, TestHub, green};

async fn look_up(client: &Client, values: &[&str]) -> Vec<wire::LookupResult> {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    let request = wire::LookupRequest {
        values,
        ..Default::default()
    };
    client.queries().lookup(request).await.unwrap().into_inner().results
}

fn relations(result: &wire::LookupResult) -> Vec<(wire::MatchRelation, String)> {
    let value = |one: &wire::Match| {
        one.indicator
            .as_ref()
            .unwrap()
            .observable
            .as_ref()
            .unwrap()
            .value
            .clone()
    };
    result.matches.iter().map(|one| (one.relation(), value(one))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn value_in_any_dress_finds_itself_its_host_and_its_parents() {
    use wire::MatchRelation::{Exact, Host, Parent};
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    for value in [
        "example.com",
        "https://news.example.com/story",
        "blogspot.com",
        "203.0.113.7",
        "https://x.com/somebody_real",
    ] {
        a.publish(value, green()).await;
    }
    let network = wire::IndicatorDraft {
        kind: wire::ObservableKind::Ipv4Network.into(),
        ..wire_support::draft("203.0.113.0/24", green())
    };
    let item = wire::PublishItem {
        request_id: String::new(),
        draft: Some(network),
    };
    a.publisher()
        .publish(wire::PublishRequest { items: vec![item] })
        .await
        .unwrap();

    for (asked, expected) in [
        (
            "hxxps://NEWS.Example[.]com/story/",
            vec![(Exact, "news.example.com/story"), (Parent, "example.com")],
        ),
        ("https://example.com/other", vec![(Host, "example.com")]),
        ("WWW.EXAMPLE.COM", vec![(Exact, "example.com")]),
        ("someone@mail.example.com", vec![(Parent, "example.com")]),
        ("http://somebody.blogspot.com/x", vec![]),
        ("badexample.com", vec![]),
        ("203.0.113.7", vec![(Exact, "203.0.113.7"), (Parent, "203.0.113.0/24")]),
        ("http://203.0.113.9/path", vec![(Parent, "203.0.113.0/24")]),
        ("192.0.2.1", vec![]),
        ("twitter[.]com/Somebody_Real", vec![]),
    ] {
        let found = relations(&look_up(&b, &[asked]).await[0]);
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(relation, value)| (relation, value.to_owned()))
            .collect();
        assert_eq!(found, expected, "{asked}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_looks_like_what_is_not_there() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let agency = hub.member("Agency", wire::MemberKind::Government).await;
    let red = wire::Handling {
        tlp: wire::Tlp::Red.into(),
        member_ids: vec![b.id()],
        ..Default::default()
    };
    let id = a.publish("example.com", red).await;
    assert_eq!(look_up(&b, &["example.com"]).await[0].matches.len(), 1);

    let hidden = look_up(&agency, &["example.com", "example.org"]).await;
    assert_eq!(hidden[0].matches.len(), 0);
    assert_eq!(hidden[0].corroboration, hidden[1].corroboration);
    let get = |id: String| {
        let mut queries = agency.queries();
        async move {
            queries
                .get_indicator(wire::GetIndicatorRequest { id })
                .await
                .unwrap_err()
        }
    };
    let (forbidden, unknown) = (get(id).await, get(uuid::Uuid::now_v7().to_string()).await);
    assert_eq!(
        (forbidden.code(), forbidden.message()),
        (unknown.code(), unknown.message())
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn value_that_is_not_one_observable_says_why() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let results = look_up(&a, &["two words", "", "host.invalidtld"]).await;
    for result in &results {
        assert!(result.observable.is_none() && !result.reason.is_empty(), "{result:?}");
    }
    let request = wire::LookupRequest {
        values: vec![String::new(); 1_001],
        ..Default::default()
    };
    let refused = a.queries().lookup(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    hub.stop().await;
}

/// The answer repeats what was asked.
#[tokio::test(flavor = "multi_thread")]
async fn values_of_more_than_a_mebibyte_are_refused() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let longest = "v".repeat(16_384);
    assert_eq!(look_up(&a, &[&*longest; 64]).await.len(), 64);
    let mut values = vec![longest; 64];
    values.push("v".to_owned());
    let request = wire::LookupRequest {
        values,
        ..Default::default()
    };
    let refused = a.queries().lookup(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    hub.stop().await;
}
