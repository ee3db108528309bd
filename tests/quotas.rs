//! What one member may take of the hub, over the wire: each limit at itself and one past it, and that it is nobody else's.

mod wire_support;

use clearinghouse::grpc::wire;
use tonic::Code;
use tonic_types::StatusExt;
use wire::publish_result::Outcome;
use wire_support::{Client, TestHub, draft, green, until_live};

/// A hub with that table `[limits]`, and two members.
async fn limited(limits: &str) -> (TestHub, tempfile::TempDir, Client, Client) {
    let folder = TestHub::start().await.stop().await.unwrap();
    let dir = folder.path().join("hub");
    let file = dir.join("hub.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}\n[limits]\n{limits}\n")).unwrap();
    let hub = TestHub::open(&dir).await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    (hub, folder, a, b)
}

fn items(names: std::ops::Range<usize>) -> wire::PublishRequest {
    let item = |n: usize| wire::PublishItem {
        request_id: String::new(),
        draft: Some(draft(&format!("news-{n}.example.com"), green())),
    };
    wire::PublishRequest {
        items: names.map(item).collect(),
    }
}

async fn publish(client: &Client, names: std::ops::Range<usize>) -> Result<Vec<Outcome>, tonic::Status> {
    let results = client.publisher().publish(items(names)).await?.into_inner().results;
    Ok(results.into_iter().map(|result| result.outcome.unwrap()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn faster_than_the_quota_is_told_when_to_come_back_and_others_go_on() {
    let limits = "publish_items_per_sec_per_member = 1\npublish_burst_items_per_member = 1000";
    let (hub, _folder, a, b) = limited(limits).await;
    let full = publish(&a, 0..1_000).await.unwrap();
    assert!(full.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))));
    let refused = publish(&a, 0..100).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let wait = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!((90..=100).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(publish(&b, 0..1_000).await.unwrap().len(), 1_000);
    // Another agent of the same member has the same quota.
    let twin = hub.agent(&a.id(), "twin").await;
    assert_eq!(
        publish(&twin, 0..100).await.unwrap_err().code(),
        Code::ResourceExhausted
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_is_rejected_item_by_item_and_repetitions_are_not() {
    let (hub, folder, a, b) = limited("indicators_per_member_max = 3").await;
    let outcomes = publish(&a, 0..5).await.unwrap();
    let kinds: Vec<&str> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Accepted(_) => "accepted",
            Outcome::Duplicate(_) => "duplicate",
            Outcome::Rejected(rejected) => {
                assert_eq!(rejected.retry_after_ms, 0, "waiting does not help");
                rejected.code.as_str()
            }
        })
        .collect();
    assert_eq!(kinds, ["accepted", "accepted", "accepted", "QUOTA", "QUOTA"]);
    assert!(matches!(publish(&a, 0..1).await.unwrap()[0], Outcome::Duplicate(_)));
    assert!(matches!(publish(&b, 0..1).await.unwrap()[0], Outcome::Accepted(_)));
    // The count is folded from the log, so a restart gives no more room.
    hub.stop().await;
    let hub = TestHub::open(&folder.path().join("hub")).await;
    let a = Client {
        channel: hub.connect(&a.credentials).await,
        credentials: a.credentials.clone(),
    };
    assert!(matches!(publish(&a, 7..8).await.unwrap()[0], Outcome::Rejected(_)));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_counted_as_indicators_are() {
    let (hub, _folder, a, b) = limited("bytes_per_member_max = 1024").await;
    let outcomes = publish(&a, 0..100).await.unwrap();
    let accepted = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Accepted(_)))
        .count();
    assert!((1..50).contains(&accepted), "{accepted}");
    assert!(matches!(publish(&b, 0..1).await.unwrap()[0], Outcome::Accepted(_)));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_observable_is_published_a_thousand_times_by_a_member_and_no_more() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let in_campaigns = |campaigns: std::ops::Range<usize>| wire::PublishRequest {
        items: campaigns
            .map(|campaign| wire::PublishItem {
                request_id: String::new(),
                draft: Some(wire::IndicatorDraft {
                    campaign: format!("Campaign {campaign}"),
                    ..draft("much.example.com", green())
                }),
            })
            .collect(),
    };
    let accepted = |outcome: &wire::PublishResult| matches!(outcome.outcome, Some(Outcome::Accepted(_)));
    let full = a
        .publisher()
        .publish(in_campaigns(0..1_000))
        .await
        .unwrap()
        .into_inner();
    assert!(full.results.iter().all(accepted));
    let more = a.publisher().publish(in_campaigns(1_000..1_001)).await.unwrap();
    let Some(Outcome::Rejected(rejected)) = &more.get_ref().results[0].outcome else {
        panic!("{more:?}");
    };
    assert_eq!(
        (rejected.field.as_str(), rejected.code.as_str(), rejected.retry_after_ms),
        ("draft.raw", "QUOTA", 0)
    );
    // What is there is found still, others are not concerned, and neither is another observable.
    let again = a
        .publisher()
        .publish(in_campaigns(999..1_000))
        .await
        .unwrap()
        .into_inner();
    assert!(matches!(again.results[0].outcome, Some(Outcome::Duplicate(_))));
    let of_other = b.publisher().publish(in_campaigns(1_000..1_001)).await.unwrap();
    assert!(accepted(&of_other.get_ref().results[0]));
    assert!(matches!(publish(&a, 0..1).await.unwrap()[..], [Outcome::Accepted(_)]));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feed_past_the_limit_is_refused_until_another_ends() {
    let (hub, _folder, a, b) = limited("feeds_per_member_max = 1").await;
    let mut feed = a.subscribe(Vec::new()).await;
    until_live(&mut feed).await;
    let refused = a
        .feeds()
        .subscribe(wire::SubscribeRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    until_live(&mut b.subscribe(Vec::new()).await).await;
    drop(feed);
    // The hub sees the end of a stream soon, not at once; each try asks anew, as a client does.
    let again = async {
        loop {
            match a.feeds().subscribe(wire::SubscribeRequest::default()).await {
                Ok(feed) => return feed.into_inner(),
                Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
            }
        }
    };
    let mut feed = tokio::time::timeout(std::time::Duration::from_secs(10), again)
        .await
        .expect("the place is free again");
    until_live(&mut feed).await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_past_the_limit_is_told_when_to_come_back_and_another_member_is_served() {
    let (hub, _folder, a, b) = limited("requests_in_flight_per_member_max = 1").await;
    let list = |client: &Client| {
        let mut membership = client.membership();
        async move { membership.list_members(wire::ListMembersRequest {}).await }
    };
    list(&a).await.expect("one at a time is allowed");
    let (message, call) = a.hanging_publish().await;
    // The hub takes the call in soon, not at once; each try asks anew, as a client does.
    let refused = async {
        loop {
            if let Err(status) = list(&a).await {
                return status;
            }
        }
    };
    let refused = tokio::time::timeout(std::time::Duration::from_secs(10), refused);
    let refused = refused.await.expect("the call is in flight");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "the member has too many requests in flight");
    let wait = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert_eq!(wait.as_millis(), 100);
    list(&b).await.expect("the other member is not concerned");

    drop(message);
    assert!(call.await.unwrap().is_err(), "it ended without its message");
    list(&a).await.expect("the place is free again");
    hub.stop().await;
}
