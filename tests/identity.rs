//! Who may reach a service, and how fast a right that ends is felt.

mod wire_support;

use std::time::{Duration, Instant};

use clearinghouse::config::Config;
use clearinghouse::grpc::wire;
use clearinghouse::pki::{Authority, TrustDomain, new_key_and_csr};
use tonic::Code;
use wire_support::{Client, Credentials, TestHub, green, until_live};

/// Rights that end must be felt within this.
const FELT_WITHIN: Duration = Duration::from_secs(1);
/// Long enough to enrol and to open a feed.
const SHORT_LIFETIME_SECS: u32 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn member_enrols_publishes_and_another_receives() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora Social", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis Search", wire::MemberKind::Platform).await;
    let mut feed = b.subscribe(Vec::new()).await;
    let (upserts, ..) = until_live(&mut feed).await;
    assert!(upserts.is_empty());
    let id = a.publish("hxxps://www.Example[.]com/", green()).await;
    let (upserts, _, cursor) = until_live(&mut feed).await;
    assert_eq!(upserts.len(), 1);
    let received = &upserts[0];
    assert_eq!(received.id, id);
    assert_eq!(received.raw, "hxxps://www.Example[.]com/");
    assert_eq!(received.observable.as_ref().unwrap().value, "example.com");
    assert_eq!(received.publisher_id, a.id());
    assert_eq!(received.state(), wire::IndicatorState::Active);

    // A hub restart and a reconnection lose nothing.
    drop(feed);
    let folder = hub.stop().await.unwrap();
    let hub = TestHub::open(&folder.path().join("hub")).await;
    let (a, b) = (reconnect(&hub, &a).await, reconnect(&hub, &b).await);
    let second = a.publish("example.org", green()).await;
    let mut feed = b.subscribe(cursor).await;
    let (upserts, removals, _) = until_live(&mut feed).await;
    assert_eq!(upserts.iter().map(|upsert| &upsert.id).collect::<Vec<_>>(), [&second]);
    assert!(removals.is_empty());
    hub.stop().await;
}

async fn reconnect(hub: &TestHub, client: &Client) -> Client {
    Client {
        channel: hub.connect(&client.credentials).await,
        credentials: client.credentials.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invitation_opens_enrolment_once_and_nothing_else() {
    let hub = TestHub::start().await;
    let member = hub.add_member("Cassini", wire::MemberKind::Research).await;
    let token = hub.invite(&member, "analyst", &[wire::AgentRole::Subscriber]).await;
    let bearer = Credentials {
        member_id: String::new(),
        cert_pem: token.certificate_pem().to_owned(),
        key_pem: token.key_pem().to_owned(),
    };
    let channel = hub.connect(&bearer).await;
    let mut client = wire::membership_service_client::MembershipServiceClient::new(channel.clone());
    let refused = client.list_members(wire::ListMembersRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    // The same key may ask again, in case the answer was lost; another key may not.
    let keys = new_key_and_csr().unwrap();
    let mut enrolment = wire::enrolment_service_client::EnrolmentServiceClient::new(channel);
    let request = wire::EnrollRequest { csr_pem: keys.csr_pem };
    let first = enrolment.enroll(request.clone()).await.unwrap().into_inner();
    let again = enrolment.enroll(request).await.unwrap().into_inner();
    assert_eq!(first.certificate_chain_pem, again.certificate_chain_pem);
    let refused = hub.enroll(&token).await.err().expect("a second key is refused");
    assert_eq!(refused.code(), Code::PermissionDenied);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_certificate_does_not_open_enrolment() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let mut client = wire::enrolment_service_client::EnrolmentServiceClient::new(a.channel.clone());
    let csr_pem = new_key_and_csr().unwrap().csr_pem;
    let refused = client.enroll(wire::EnrollRequest { csr_pem }).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_certificate_never_reaches_a_service() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let folder = tempfile::tempdir().unwrap();
    let domain: TrustDomain = "test-hub.clearinghouse".parse().unwrap();
    let now = clearinghouse::serve::now();
    let foreign = Authority::create(folder.path(), &domain, "test hub", now).unwrap();
    let keys = new_key_and_csr().unwrap();
    let agent = "service".parse().unwrap();
    let member = a.id().parse().unwrap();
    let issued = foreign
        .issue_agent(keys.csr_pem.as_bytes(), member, &agent, now, 3_600)
        .unwrap();
    let stranger = Credentials {
        member_id: a.id(),
        cert_pem: issued.pem,
        key_pem: keys.key_pem,
    };
    refused_by_tls(&hub, &stranger).await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_certificate_never_reaches_a_service() {
    let hub = TestHub::start().await;
    let tls = tonic::transport::ClientTlsConfig::new()
        .ca_certificate(tonic::transport::Certificate::from_pem(&hub.ca_pem))
        .domain_name("127.0.0.1");
    let outcome = match hub.endpoint().tls_config(tls).unwrap().connect().await {
        Err(error) => Err(error.to_string()),
        Ok(channel) => list(channel).await.map_err(|status| status.message().to_owned()),
    };
    assert!(outcome.is_err());
    hub.stop().await;
}

/// A certificate of the right authority that the hub never recorded: as a thief of the authority's key would make it.
#[tokio::test(flavor = "multi_thread")]
async fn certificate_that_is_not_in_the_log_is_refused() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let authority = Authority::open(&hub.dir.join("ca")).unwrap();
    let keys = new_key_and_csr().unwrap();
    let agent = "service".parse().unwrap();
    let now = clearinghouse::serve::now();
    let issued = authority
        .issue_agent(keys.csr_pem.as_bytes(), a.id().parse().unwrap(), &agent, now, 3_600)
        .unwrap();
    let thief = Credentials {
        member_id: a.id(),
        cert_pem: issued.pem,
        key_pem: keys.key_pem,
    };
    let refused = list(hub.connect(&thief).await).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspension_ends_open_feeds_and_calls_within_a_second_and_resumption_restores() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let mut feed = b.subscribe(Vec::new()).await;
    until_live(&mut feed).await;
    let mut admin = hub.admin_client().await;
    let request = wire::SuspendMemberRequest {
        id: b.id(),
        reason: "a test".into(),
    };
    admin.suspend_member(request).await.unwrap();
    let begun = Instant::now();
    a.publish("example.com", green()).await;
    let ended = feed.message().await;
    assert!(
        matches!(&ended, Err(status) if status.code() == Code::Unauthenticated),
        "{ended:?}"
    );
    assert!(list(b.channel.clone()).await.is_err());
    let again = match hub.try_connect(&b.credentials).await {
        Ok(channel) => list(channel).await.unwrap_err().code(),
        Err(_) => Code::Unauthenticated,
    };
    assert_eq!(again, Code::Unauthenticated);
    assert!(begun.elapsed() < FELT_WITHIN, "{:?}", begun.elapsed());

    admin
        .resume_member(wire::ResumeMemberRequest { id: b.id() })
        .await
        .unwrap();
    let b = reconnect(&hub, &b).await;
    let (upserts, ..) = until_live(&mut b.subscribe(Vec::new()).await).await;
    assert_eq!(upserts.len(), 1);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_ends_the_agent_and_leaves_its_colleague() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let colleague = hub.agent(&a.id(), "second").await;
    let mut feed = a.subscribe(Vec::new()).await;
    until_live(&mut feed).await;
    let mut admin = hub.admin_client().await;
    let request = wire::RevokeAgentRequest {
        member_id: a.id(),
        agent: "service".into(),
        reason: "lost".into(),
    };
    admin.revoke_agent(request).await.unwrap();
    let begun = Instant::now();
    let ended = feed.message().await;
    assert!(
        matches!(&ended, Err(status) if status.code() == Code::Unauthenticated),
        "{ended:?}"
    );
    assert!(list(a.channel.clone()).await.is_err());
    assert!(begun.elapsed() < FELT_WITHIN, "{:?}", begun.elapsed());
    list(colleague.channel.clone()).await.expect("the colleague goes on");
    hub.stop().await;
}

/// TLS looks at a certificate once, at the handshake. Another agent of the member, whose certificate goes on, is the control.
#[tokio::test(flavor = "multi_thread")]
async fn certificate_that_ends_cuts_its_feeds_and_calls_within_a_second_and_no_others() {
    let hub = TestHub::start().await;
    let colleague = hub.member("Aurora", wire::MemberKind::Platform).await;
    let folder = hub.stop().await.unwrap();
    let short = |config: &mut Config| config.certificate_lifetime_secs = SHORT_LIFETIME_SECS;
    let hub = TestHub::open_with(&folder.path().join("hub"), short).await;
    let colleague = reconnect(&hub, &colleague).await;
    let brief = hub.agent(&colleague.id(), "brief").await;
    let (mut feed, mut other_feed) = (brief.subscribe(Vec::new()).await, colleague.subscribe(Vec::new()).await);
    until_live(&mut feed).await;
    until_live(&mut other_feed).await;
    let status = brief.queries().get_status(wire::GetStatusRequest {}).await.unwrap();
    let ends = status.into_inner().client_certificate_expires_at.unwrap();

    let ended = feed.message().await;
    let late = clearinghouse::serve::now().0 - ends.seconds * 1_000_000;
    assert!(
        matches!(&ended, Err(status) if status.code() == Code::Unauthenticated),
        "{ended:?}"
    );
    assert!((0..FELT_WITHIN.as_micros() as i64).contains(&late), "{late} µs");
    assert!(list(brief.channel.clone()).await.is_err());
    // By TLS, or by the hub where that still takes the last second for a part of the certificate's time.
    let again = match hub.try_connect(&brief.credentials).await {
        Ok(channel) => list(channel).await.is_err(),
        Err(_) => true,
    };
    assert!(again, "a new handshake after the end");

    let id = colleague.publish("example.com", green()).await;
    let (upserts, ..) = until_live(&mut other_feed).await;
    assert_eq!(upserts[0].id, id);
    assert!(!matches!(feed.message().await, Ok(Some(_))), "an item after the end");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_certificate_works_and_only_roles_granted_are_allowed() {
    let hub = TestHub::start().await;
    let member = hub.add_member("Aurora", wire::MemberKind::Platform).await;
    let token = hub.invite(&member, "reader", &[wire::AgentRole::Subscriber]).await;
    let credentials = hub.enroll(&token).await.unwrap();
    let reader = Client {
        channel: hub.connect(&credentials).await,
        credentials,
    };
    let reader = renew(&hub, &reader).await;
    list(reader.channel.clone()).await.unwrap();

    let item = wire::PublishItem {
        request_id: String::new(),
        draft: Some(wire_support::draft("example.com", green())),
    };
    let refused = reader
        .publisher()
        .publish(wire::PublishRequest { items: vec![item] })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let request = wire::CreateGroupRequest { name: "mine".into() };
    let refused = reader.membership().create_group(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    hub.stop().await;
}

/// The same agent with a new certificate for a new key.
async fn renew(hub: &TestHub, client: &Client) -> Client {
    let keys = new_key_and_csr().unwrap();
    let request = wire::RenewCertificateRequest { csr_pem: keys.csr_pem };
    let renewed = client.membership().renew_certificate(request).await.unwrap();
    let credentials = Credentials {
        member_id: client.id(),
        cert_pem: renewed.into_inner().certificate_chain_pem,
        key_pem: keys.key_pem,
    };
    Client {
        channel: hub.connect(&credentials).await,
        credentials,
    }
}

async fn end_others(client: &Client) -> Result<u32, tonic::Status> {
    let request = wire::EndOtherCertificatesRequest {};
    let response = client.membership().end_other_certificates(request).await?;
    Ok(response.into_inner().ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_leaves_the_older_certificate_and_rotation_ends_it_and_its_streams_alone() {
    let hub = TestHub::start().await;
    let old = hub.member("Aurora", wire::MemberKind::Platform).await;
    let colleague = hub.agent(&old.id(), "second").await;
    let new = renew(&hub, &old).await;
    let mut feeds = [
        old.subscribe(Vec::new()).await,
        new.subscribe(Vec::new()).await,
        colleague.subscribe(Vec::new()).await,
    ];
    for feed in &mut feeds {
        until_live(feed).await;
    }
    list(old.channel.clone()).await.expect("renewal alone ends nothing");

    let begun = Instant::now();
    assert_eq!(end_others(&new).await.unwrap(), 1);
    new.publish("example.com", green()).await;
    let [ended, goes_on @ ..] = &mut feeds;
    let ended = ended.message().await;
    assert!(
        matches!(&ended, Err(status) if status.code() == Code::Unauthenticated),
        "{ended:?}"
    );
    assert!(begun.elapsed() < FELT_WITHIN, "{:?}", begun.elapsed());
    for feed in goes_on {
        assert_eq!(until_live(feed).await.0.len(), 1, "the others go on");
    }
    assert_eq!(end_others(&new).await.unwrap(), 0, "there is no other");

    // Whoever has the old key cannot turn the tables, and a restart of the hub does not help either.
    let folder = hub.stop().await.unwrap();
    let hub = TestHub::open(&folder.path().join("hub")).await;
    let refused = end_others(&reconnect(&hub, &old).await).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    list(reconnect(&hub, &new).await.channel).await.unwrap();
    hub.stop().await;
}

/// A call of `Publish` whose message never ends, and an open stream of publications: both in flight when the rights end.
#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_end_with_the_rights_within_a_second() {
    let hub = TestHub::start().await;
    let mut admin = hub.admin_client().await;
    for ending in ["suspended", "removed", "revoked"] {
        let member = hub.member(ending, wire::MemberKind::Platform).await;
        let (_message, unary) = member.hanging_publish().await;
        let (items, requests) = tokio::sync::mpsc::channel(1);
        let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
        let mut answers = member.publisher().publish_stream(requests).await.unwrap().into_inner();
        items.send(stream_request("before.example.com")).await.unwrap();
        answers
            .message()
            .await
            .unwrap()
            .expect("an answer while the rights last");

        let (id, reason) = (member.id(), "a test".to_owned());
        match ending {
            "suspended" => drop(
                admin
                    .suspend_member(wire::SuspendMemberRequest { id, reason })
                    .await
                    .unwrap(),
            ),
            "removed" => drop(
                admin
                    .remove_member(wire::RemoveMemberRequest { id, reason })
                    .await
                    .unwrap(),
            ),
            _ => {
                let (member_id, agent) = (id, "service".into());
                let request = wire::RevokeAgentRequest {
                    member_id,
                    agent,
                    reason,
                };
                drop(admin.revoke_agent(request).await.unwrap());
            }
        }
        // It may find the stream closed already.
        let _ = items.send(stream_request("after.example.com")).await;
        let ended = async { (answers.message().await, unary.await.unwrap()) };
        let (stream, call) = tokio::time::timeout(FELT_WITHIN, ended)
            .await
            .unwrap_or_else(|_| panic!("{ending}: calls go on"));
        assert!(stream.is_err() && call.is_err(), "{ending}: {stream:?} {call:?}");
    }
    let reader = hub.member("Reader", wire::MemberKind::Platform).await;
    let (upserts, ..) = until_live(&mut reader.subscribe(Vec::new()).await).await;
    let values: Vec<&str> = upserts.iter().map(|upsert| upsert.raw.as_str()).collect();
    assert_eq!(values, ["before.example.com"; 3], "nothing came in after");
    hub.stop().await;
}

fn stream_request(raw: &str) -> wire::PublishStreamRequest {
    let item = wire::PublishItem {
        request_id: String::new(),
        draft: Some(wire_support::draft(raw, green())),
    };
    wire::PublishStreamRequest { items: vec![item] }
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_and_health_answer_authenticated_peers() {
    use tonic_health::pb::health_client::HealthClient;
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
    let health = HealthClient::new(a.channel.clone())
        .check(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        health.status(),
        tonic_health::pb::health_check_response::ServingStatus::Serving
    );
    hub.stop().await;
}

async fn refused_by_tls(hub: &TestHub, credentials: &Credentials) {
    // In TLS 1.3 the client learns of the refusal with its first read.
    if let Ok(channel) = hub.try_connect(credentials).await {
        let refused = list(channel).await.unwrap_err();
        assert!(
            std::error::Error::source(&refused).is_some(),
            "answered by a service: {refused:?}"
        );
    }
}

async fn list(channel: tonic::transport::Channel) -> Result<wire::ListMembersResponse, tonic::Status> {
    let mut client = wire::membership_service_client::MembershipServiceClient::new(channel);
    client
        .list_members(wire::ListMembersRequest {})
        .await
        .map(tonic::Response::into_inner)
}
