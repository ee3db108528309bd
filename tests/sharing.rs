//! Assessments, corroboration and the disclosure record over the wire.

mod wire_support;

use clearinghouse::grpc::wire;
use tonic::Code;
use wire::AssessmentVerdict::{Acted, Checked, Confirms, Disputes};
use wire::assessment_service_client::AssessmentServiceClient;
use wire::disclosure_service_client::DisclosureServiceClient;
use wire_support::{Client, TestHub, draft, green, until_live};

fn clear() -> wire::Handling {
    wire::Handling {
        tlp: wire::Tlp::Clear.into(),
        ..Default::default()
    }
}

async fn assess(client: &Client, request: wire::AssessRequest) -> Result<wire::Assessment, tonic::Status> {
    let response = AssessmentServiceClient::new(client.channel.clone())
        .assess(request)
        .await?;
    Ok(response.into_inner().assessment.unwrap())
}

fn reaction(id: &str, verdict: wire::AssessmentVerdict, independent: bool) -> wire::AssessRequest {
    wire::AssessRequest {
        indicator_id: id.into(),
        verdict: verdict.into(),
        independent,
        ..Default::default()
    }
}

async fn assessments(client: &Client, id: &str) -> (Vec<wire::Assessment>, wire::Corroboration) {
    let request = wire::ListAssessmentsRequest {
        indicator_id: id.into(),
    };
    let response = AssessmentServiceClient::new(client.channel.clone())
        .list_assessments(request)
        .await
        .unwrap();
    let response = response.into_inner();
    (response.assessments, response.corroboration.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn echo_is_no_second_source_and_independent_observers_count_once() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let c = hub.member("Cassini", wire::MemberKind::Research).await;
    let id = a.publish("example.com", green()).await;
    b.publish("example.com", green()).await;
    assert_eq!(assessments(&c, &id).await.1.observers, 1, "the echo counts nothing");

    assess(&c, reaction(&id, Confirms, false)).await.unwrap();
    assert_eq!(assessments(&c, &id).await.1.observers, 1, "known from the hub only");
    assess(&c, reaction(&id, Confirms, true)).await.unwrap();
    let (all, corroboration) = assessments(&a, &id).await;
    assert_eq!(
        (all.len(), corroboration.observers),
        (1, 2),
        "the newer one replaces the older"
    );

    let own = draft("example.com", green());
    let own = wire::IndicatorDraft {
        independent: true,
        campaign: "Other".into(),
        ..own
    };
    let item = wire::PublishItem {
        request_id: String::new(),
        draft: Some(own),
    };
    c.publisher()
        .publish(wire::PublishRequest { items: vec![item] })
        .await
        .unwrap();
    assert_eq!(assessments(&a, &id).await.1.observers, 2, "the same member twice");

    assess(&b, reaction(&id, Disputes, false)).await.unwrap();
    let (_, corroboration) = assessments(&a, &id).await;
    assert_eq!((corroboration.disputes, corroboration.contested), (1, true));
    let got = a
        .queries()
        .get_indicator(wire::GetIndicatorRequest { id: id.clone() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        got.indicator.unwrap().state(),
        wire::IndicatorState::Active,
        "contested is not retracted"
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_sees_the_score_of_what_it_may_see() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let c = hub.member("Cassini", wire::MemberKind::Research).await;
    let id = a.publish("example.com", green()).await;
    let to_a = wire::Handling {
        tlp: wire::Tlp::Red.into(),
        member_ids: vec![a.id()],
        ..Default::default()
    };
    let hidden = wire::IndicatorDraft {
        independent: true,
        ..draft("example.com", to_a)
    };
    let item = wire::PublishItem {
        request_id: String::new(),
        draft: Some(hidden),
    };
    b.publisher()
        .publish(wire::PublishRequest { items: vec![item] })
        .await
        .unwrap();
    assert_eq!(assessments(&a, &id).await.1.observers, 2);
    assert_eq!(
        assessments(&c, &id).await.1.observers,
        1,
        "the hidden source is not told of by the score"
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn assessment_needs_sight_and_reaches_an_agency_by_consent_only() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let checker = hub.member("Facts", wire::MemberKind::Media).await;
    let agency = hub.member("Agency", wire::MemberKind::Government).await;
    let id = a.publish("example.com", clear()).await;
    assess(&b, reaction(&id, Acted, false)).await.unwrap();
    assert!(assessments(&agency, &id).await.0.is_empty());
    let consent = wire::AssessRequest {
        government_release: true,
        ..reaction(&id, Acted, false)
    };
    assess(&b, consent).await.unwrap();
    assert_eq!(assessments(&agency, &id).await.0.len(), 1);

    let review = wire::ClaimReview {
        url: "https://check.example.org/1".into(),
        rating: "False".into(),
        language: "en".into(),
        claim: "a claim".into(),
    };
    let refused = assess(&checker, reaction(&id, Checked, false)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let checked = wire::AssessRequest {
        claim_review: Some(review.clone()),
        ..reaction(&id, Checked, false)
    };
    assess(&checker, checked).await.unwrap();
    let (seen, _) = assessments(&b, &id).await;
    assert_eq!(seen.iter().find_map(|one| one.claim_review.clone()), Some(review));

    let to_b = wire::Handling {
        tlp: wire::Tlp::Red.into(),
        member_ids: vec![b.id()],
        ..Default::default()
    };
    let secret = a.publish("example.org", to_b).await;
    let refused = assess(&checker, reaction(&secret, Confirms, true)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let refused = assess(&a, reaction(&id, Confirms, true)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "nobody assesses its own");
    hub.stop().await;
}

async fn counts(client: &Client) -> Vec<wire::DisclosureCount> {
    let mut disclosures = DisclosureServiceClient::new(client.channel.clone());
    disclosures
        .count_disclosures(wire::CountDisclosuresRequest::default())
        .await
        .unwrap()
        .into_inner()
        .counts
}

#[tokio::test(flavor = "multi_thread")]
async fn every_crossing_is_written_down_once_and_nothing_else_is() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let agency = hub.member("Agency", wire::MemberKind::Government).await;
    let released = wire::Handling {
        government_release: true,
        ..green()
    };
    let crossing = a.publish("example.com", released).await;
    a.publish("example.org", green()).await;
    agency.publish("example.net", clear()).await;
    until_live(&mut b.subscribe(Vec::new()).await).await;
    assert!(counts(&b).await.is_empty(), "a company's reading is no crossing");

    let (upserts, ..) = until_live(&mut agency.subscribe(Vec::new()).await).await;
    assert_eq!(upserts.len(), 2, "the released one, and its own");
    until_live(&mut agency.subscribe(Vec::new()).await).await;
    let request = wire::LookupRequest {
        values: vec!["example.com".into()],
        ..Default::default()
    };
    agency.queries().lookup(request).await.unwrap();
    let all = counts(&b).await;
    assert_eq!(all.len(), 1);
    assert_eq!(
        (all[0].indicators, &all[0].agency_id, &all[0].publisher_id),
        (1, &agency.id(), &a.id())
    );

    let own = |client: &Client| {
        let mut disclosures = DisclosureServiceClient::new(client.channel.clone());
        async move {
            disclosures
                .list_disclosures(wire::ListDisclosuresRequest::default())
                .await
                .unwrap()
                .into_inner()
        }
    };
    assert_eq!(own(&a).await.disclosures[0].indicator_id, crossing);
    assert!(
        own(&b).await.disclosures.is_empty(),
        "others' crossings are counted, not listed"
    );

    // The record outlives the process.
    let folder = hub.stop().await.unwrap();
    let hub = TestHub::open(&folder.path().join("hub")).await;
    let b = Client {
        channel: hub.connect(&b.credentials).await,
        credentials: b.credentials,
    };
    assert_eq!(counts(&b).await.len(), 1);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crossing_is_counted_by_campaign_for_its_publisher_and_stays_counted_when_the_release_is_withdrawn() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let agencies = [
        hub.member("Agency", wire::MemberKind::Government).await,
        hub.member("Bureau", wire::MemberKind::Government).await,
    ];
    let mut released = wire::IndicatorDraft {
        campaign: "A secret name".into(),
        ..draft(
            "example.com",
            wire::Handling {
                government_release: true,
                ..green()
            },
        )
    };
    let id = a.publish_draft(released.clone()).await;
    for agency in &agencies {
        let (upserts, ..) = until_live(&mut agency.subscribe(Vec::new()).await).await;
        assert_eq!(upserts.len(), 1);
    }
    released.handling = Some(green());
    let request = wire::ReviseRequest {
        id: id.clone(),
        expected_revision: 1,
        draft: Some(released),
        ..Default::default()
    };
    a.publisher().revise(request).await.unwrap();
    for agency in &agencies {
        let request = wire::GetIndicatorRequest { id: id.clone() };
        let refused = agency.queries().get_indicator(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
    }
    for (member, campaign) in [(&a, "A secret name"), (&b, ""), (&agencies[1], "")] {
        let counted: Vec<_> = counts(member)
            .await
            .into_iter()
            .map(|count| (count.agency_id, count.campaign, count.indicators))
            .collect();
        let expected = agencies.each_ref().map(|agency| (agency.id(), campaign.to_owned(), 1));
        assert_eq!(counted, expected);
    }
    hub.stop().await;
}
