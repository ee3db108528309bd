//! Recall over the wire: names, confirmations, take-over, and who may see what.

mod wire_support;

use clearinghouse::grpc::wire;
use tonic::{Code, Streaming};
use wire::recall_service_client::RecallServiceClient;
use wire_support::{Client, TestHub, green, until_live};

async fn attach(
    client: &Client,
    name: &str,
    cursor: Vec<u8>,
) -> Result<Streaming<wire::SubscribeResponse>, tonic::Status> {
    let request = wire::SubscribeRequest {
        cursor,
        name: name.into(),
        ..Default::default()
    };
    let response = client.feeds().subscribe(request).await?;
    Ok(response.into_inner())
}

async fn acknowledge(client: &Client, name: &str, cursor: Vec<u8>) -> Result<u32, tonic::Status> {
    let request = wire::AcknowledgeRequest {
        name: name.into(),
        cursor,
    };
    let response = client.feeds().acknowledge(request).await?;
    Ok(response.into_inner().recalls_confirmed)
}

async fn retract(client: &Client, id: &str) {
    let request = wire::RetractRequest {
        ids: vec![id.into()],
        reason: "a parody account".into(),
        confirm_large: false,
    };
    client.publisher().retract(request).await.unwrap();
}

async fn recall(client: &Client, id: &str) -> Result<wire::Recall, tonic::Status> {
    let request = wire::GetRecallRequest {
        indicator_id: id.into(),
    };
    let response = RecallServiceClient::new(client.channel.clone())
        .get_recall(request)
        .await?;
    Ok(response.into_inner().recall.unwrap())
}

async fn open_recalls(client: &Client) -> Vec<wire::Recall> {
    let mut recalls = RecallServiceClient::new(client.channel.clone());
    let response = recalls.list_open_recalls(wire::ListOpenRecallsRequest {}).await;
    response.unwrap().into_inner().recalls
}

async fn open_count(client: &Client) -> u32 {
    let status = client.queries().get_status(wire::GetStatusRequest {}).await.unwrap();
    status.into_inner().recalls_open
}

#[tokio::test(flavor = "multi_thread")]
async fn recall_reaches_a_live_holder_and_its_publisher_sees_the_confirmation() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let id = a.publish("example.com", green()).await;
    let none = recall(&a, &id).await.unwrap_err();
    assert_eq!(none.code(), Code::FailedPrecondition, "it was not taken back");
    let mut feed = attach(&b, "siem", Vec::new()).await.unwrap();
    until_live(&mut feed).await;
    // A feed without a name is not tracked.
    until_live(&mut b.subscribe(Vec::new()).await).await;
    retract(&a, &id).await;

    let told = recall(&a, &id).await.unwrap();
    assert_eq!((told.cause(), told.outstanding), (wire::RecallCause::Retracted, 1));
    let [holder] = told.holders.as_slice() else {
        panic!("one holder: {told:?}");
    };
    assert_eq!(
        (holder.member_id.as_str(), holder.subscription.as_str()),
        (b.id().as_str(), "siem")
    );
    assert!(holder.confirmed_at.is_none() && holder.offline_since.is_none() && !holder.overdue && !holder.dropped);
    assert_eq!((open_count(&a).await, open_count(&b).await), (1, 0));

    let (_, removals, cursor) = until_live(&mut feed).await;
    assert_eq!(removals[0].id, id);
    assert_eq!(acknowledge(&b, "siem", cursor).await.unwrap(), 1);
    let told = recall(&a, &id).await.unwrap();
    assert_eq!(told.outstanding, 0);
    assert!(told.holders[0].confirmed_at.is_some());
    assert_eq!((open_count(&a).await, open_recalls(&a).await.len()), (0, 0));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn holder_that_was_away_is_told_first_after_a_restart_and_confirms_by_coming_back() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let id = a.publish("example.com", green()).await;
    let mut feed = attach(&b, "siem", Vec::new()).await.unwrap();
    let (.., cursor) = until_live(&mut feed).await;
    drop(feed);
    for number in 0..3 {
        a.publish(&format!("a{number}.example.org"), green()).await;
    }
    retract(&a, &id).await;
    let folder = hub.stop().await.unwrap();
    let hub = TestHub::open(&folder.path().join("hub")).await;
    let (a, b) = (reconnect(&hub, &a).await, reconnect(&hub, &b).await);
    assert_eq!(open_recalls(&a).await.len(), 1);

    let mut feed = attach(&b, "siem", cursor).await.unwrap();
    let first = feed.message().await.unwrap().unwrap();
    assert_eq!((first.removals[0].id.as_str(), first.upserts.len()), (id.as_str(), 0));
    let (upserts, removals, _) = until_live(&mut feed).await;
    assert_eq!((upserts.len(), removals.len()), (3, 0));
    assert_eq!(open_recalls(&a).await.len(), 1);
    drop(feed);
    until_live(&mut attach(&b, "siem", first.cursor).await.unwrap()).await;
    assert!(open_recalls(&a).await.is_empty());
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_stream_takes_over_and_another_agents_does_not() {
    let hub = TestHub::start().await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let colleague = hub.agent(&b.id(), "second").await;
    let mut older = attach(&b, "siem", Vec::new()).await.unwrap();
    until_live(&mut older).await;
    until_live(&mut attach(&colleague, "siem", Vec::new()).await.unwrap()).await;
    let mut newer = attach(&b, "siem", Vec::new()).await.unwrap();
    let ended = older.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::FailedPrecondition, "{ended:?}");
    until_live(&mut newer).await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_the_field_and_foreign_looks_like_unknown() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let id = a.publish("example.com", green()).await;
    retract(&a, &id).await;
    let foreign = recall(&b, &id).await.unwrap_err();
    let unknown = recall(&b, "0190b8a2-7c3e-7def-8a12-3456789abcde").await.unwrap_err();
    assert_eq!((foreign.code(), foreign.message()), (Code::NotFound, unknown.message()));
    assert_eq!(
        attach(&b, "Not A Name", Vec::new()).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        acknowledge(&b, "none", Vec::new()).await.unwrap_err().code(),
        Code::NotFound
    );

    until_live(&mut attach(&b, "siem", Vec::new()).await.unwrap()).await;
    let filtered = wire::SubscribeRequest {
        name: "siem".into(),
        filter: Some(wire::Filter {
            confidence_min: 50,
            ..Default::default()
        }),
        ..Default::default()
    };
    let refused = b.feeds().subscribe(filtered.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    let list = wire::ListSubscriptionsRequest {};
    assert!(
        a.feeds()
            .list_subscriptions(list)
            .await
            .unwrap()
            .into_inner()
            .subscriptions
            .is_empty()
    );
    let own = b
        .feeds()
        .list_subscriptions(list)
        .await
        .unwrap()
        .into_inner()
        .subscriptions;
    assert_eq!((own.len(), own[0].name.as_str(), own[0].lag), (1, "siem", 0));
    let drop_it = wire::DropSubscriptionRequest {
        agent: String::new(),
        name: "siem".into(),
    };
    let foreign = a.feeds().drop_subscription(drop_it.clone()).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound);
    b.feeds().drop_subscription(drop_it).await.unwrap();
    b.feeds().subscribe(filtered).await.unwrap();
    hub.stop().await;
}

async fn reconnect(hub: &TestHub, client: &Client) -> Client {
    Client {
        channel: hub.connect(&client.credentials).await,
        credentials: client.credentials.clone(),
    }
}
