//! Near look-ups and filters over the wire: what lies within a distance of a hash, nearest first; only what stands and may be seen,
//! and a crossing to an agency is in the record before it is delivered.

mod wire_support;

use clearinghouse::grpc::wire;
use wire::disclosure_service_client::DisclosureServiceClient;
use wire_support::{Client, TestHub, green};

/// A PDQ hash with the last `bits` bits of zero turned.
fn pdq(bits: usize) -> String {
    let ones = (1_u128 << bits) - 1;
    format!("{:032x}{ones:032x}", 0)
}

fn hash_draft(kind: wire::ObservableKind, value: &str, handling: wire::Handling) -> wire::IndicatorDraft {
    wire::IndicatorDraft {
        kind: kind.into(),
        ..wire_support::draft(value, handling)
    }
}

async fn publish_hash(client: &Client, kind: wire::ObservableKind, value: &str, handling: wire::Handling) -> String {
    client.publish_draft(hash_draft(kind, value, handling)).await
}

/// Relation, distance and value of what is found.
async fn near(
    client: &Client,
    kind: wire::ObservableKind,
    value: &str,
    distance_max: Option<u32>,
) -> Vec<(wire::MatchRelation, u32, String)> {
    let request = wire::LookupRequest {
        values: vec![value.to_owned()],
        kind: kind.into(),
        distance_max,
    };
    let result = client
        .queries()
        .lookup(request)
        .await
        .unwrap()
        .into_inner()
        .results
        .remove(0);
    let found = result.matches.into_iter().map(|one| {
        let (relation, distance) = (one.relation(), one.distance);
        let value = one.indicator.unwrap().observable.unwrap().value;
        (relation, distance, value)
    });
    found.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hash_finds_itself_and_what_is_near_nearest_first() {
    use wire::MatchRelation::{Exact, Near};
    use wire::ObservableKind::{Pdq, Sha256, Tlsh};
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    for bits in [32, 31, 1, 16, 0] {
        publish_hash(&a, Pdq, &pdq(bits), green()).await;
    }
    // The same digits, and another sort of thing.
    publish_hash(&a, Sha256, &pdq(2), green()).await;

    let all = near(&b, Pdq, &pdq(0), None).await;
    let expected = [(Exact, 0, 0), (Near, 1, 1), (Near, 16, 16), (Near, 31, 31)];
    assert_eq!(
        all,
        expected.map(|(relation, distance, bits)| (relation, distance, pdq(bits)))
    );
    assert_eq!(near(&b, Pdq, &pdq(0), Some(15)).await.len(), 2);
    assert_eq!(near(&b, Pdq, &pdq(0), Some(0)).await.len(), 1);
    assert_eq!(near(&b, Sha256, &pdq(0), None).await, []);

    let file = "T16541E8128A758FA0D1D71B1F921056203FD20BB43493C976AC79E6F1B39D22846D64F5";
    let copy = "T13A41E8128A758F90D1D71B1F911056203FD24BB43493C9B6AC78E6F0B39D22846D64F9";
    let changed = "T1D841E812CA658F91D1D72F2FE21111103FC20AB438A3C8727C69E6F273A812C57D65FA";
    for value in [changed, copy] {
        publish_hash(&a, Tlsh, value, green()).await;
    }
    assert_eq!(near(&b, Tlsh, file, None).await, [(Near, 8, copy.to_owned())]);
    let wider = near(&b, Tlsh, file, Some(36)).await;
    assert_eq!(wider, [(Near, 8, copy.to_owned()), (Near, 36, changed.to_owned())]);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distance_beyond_the_kinds_greatest_is_refused() {
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let ask = |kind: wire::ObservableKind, value: String, distance: u32| {
        let request = wire::LookupRequest {
            values: vec![value],
            kind: kind.into(),
            distance_max: Some(distance),
        };
        let mut queries = a.queries();
        async move { queries.lookup(request).await }
    };
    let tlsh = "0f".repeat(35);
    for (kind, value, max) in [
        (wire::ObservableKind::Pdq, pdq(0), 31),
        (wire::ObservableKind::Tlsh, tlsh, 100),
    ] {
        assert!(ask(kind, value.clone(), max).await.is_ok());
        let refused = ask(kind, value, max + 1).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().contains("distance_max"), "{refused}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn near_matches_are_what_stands_and_may_be_seen() {
    use wire::ObservableKind::Pdq;
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let agency = hub.member("Agency", wire::MemberKind::Government).await;
    let shown = publish_hash(&a, Pdq, &pdq(1), green()).await;
    let red = wire::Handling {
        tlp: wire::Tlp::Red.into(),
        member_ids: vec![agency.id()],
        ..Default::default()
    };
    publish_hash(&a, Pdq, &pdq(2), red).await;
    let released = wire::Handling {
        government_release: true,
        ..green()
    };
    publish_hash(&a, Pdq, &pdq(3), released).await;

    let count = async |client: &Client| {
        let found = near(client, Pdq, &pdq(0), None).await;
        found.into_iter().map(|(_, distance, _)| distance).collect::<Vec<_>>()
    };
    assert_eq!(count(&a).await, [1, 2, 3]);
    assert_eq!(count(&b).await, [1, 3]);
    assert_eq!(count(&agency).await, [3]);
    let mut disclosures = DisclosureServiceClient::new(a.channel.clone());
    let crossings = disclosures.count_disclosures(wire::CountDisclosuresRequest {}).await;
    let counted: u64 = crossings
        .unwrap()
        .into_inner()
        .counts
        .iter()
        .map(|one| one.indicators)
        .sum();
    assert_eq!(counted, 1, "the crossing is in the record before it is delivered");

    let retraction = wire::RetractRequest {
        ids: vec![shown],
        reason: "a mistake".into(),
        ..Default::default()
    };
    a.publisher().retract(retraction).await.unwrap();
    assert_eq!(count(&b).await, [3]);
    assert_eq!(
        count(&a).await,
        [2, 3],
        "not even its owner is told of what it took back, but under its very value"
    );
    assert_eq!(near(&a, Pdq, &pdq(1), Some(0)).await.len(), 1);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_hashes_change_neither_what_is_found_nor_whether_there_is_more() {
    use wire::ObservableKind::Pdq;
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let c = hub.member("Corona", wire::MemberKind::Platform).await;
    let hidden = wire::Handling {
        tlp: wire::Tlp::Red.into(),
        member_ids: vec![c.id()],
        ..Default::default()
    };
    // What is shown lies at twelve bits and what is hidden nearer and as far, published before, between and after it.
    let hash = |number: u64, apart: u32| format!("{:048x}{:016x}", number << (apart * 4), (1_u128 << (apart * 3)) - 1);
    let publish = async |numbers: std::ops::Range<u64>, handling: &wire::Handling, apart: u32| {
        let items = numbers.map(|number| wire::PublishItem {
            request_id: String::new(),
            draft: Some(hash_draft(Pdq, &hash(number, apart), handling.clone())),
        });
        let items = items.collect();
        a.publisher().publish(wire::PublishRequest { items }).await.unwrap();
    };
    let asked = async || {
        let request = wire::LookupRequest {
            values: vec![hash(0, 0)],
            kind: Pdq.into(),
            distance_max: None,
        };
        let result = b
            .queries()
            .lookup(request)
            .await
            .unwrap()
            .into_inner()
            .results
            .remove(0);
        let found = result
            .matches
            .into_iter()
            .map(|one| (one.distance, one.indicator.unwrap().id));
        (found.collect::<Vec<_>>(), result.truncated)
    };
    publish(0..150, &hidden, 1).await;
    assert_eq!(asked().await, (Vec::new(), false));
    publish(0..60, &green(), 4).await;
    publish(1_000..1_050, &hidden, 4).await;
    publish(60..100, &green(), 4).await;
    let (all, truncated) = asked().await;
    assert_eq!((all.len(), truncated), (100, false));
    publish(2_000..2_150, &hidden, 3).await;
    assert_eq!(asked().await, (all.clone(), false), "nothing of it shows");
    publish(100..101, &green(), 3).await;
    let (more, truncated) = asked().await;
    assert_eq!((more.len(), truncated), (100, true));
    let kept = more.iter().filter(|one| all.contains(one)).count();
    assert_eq!(kept, 99, "the farthest made room for a nearer one");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feed_of_what_is_near_follows_what_comes_and_goes() {
    use wire::ObservableKind::Pdq;
    let hub = TestHub::start().await;
    let a = hub.member("Aurora", wire::MemberKind::Platform).await;
    let b = hub.member("Borealis", wire::MemberKind::Platform).await;
    let near_hash = |distance_max| wire::NearHash {
        kind: Pdq.into(),
        value: pdq(0),
        distance_max,
    };
    let filter_of = |distance_max| wire::Filter {
        near: vec![near_hash(distance_max)],
        ..Default::default()
    };
    let search = async |distance_max| {
        let request = wire::SearchIndicatorsRequest {
            filter: Some(filter_of(distance_max)),
            ..Default::default()
        };
        let found = b
            .queries()
            .search_indicators(request)
            .await
            .unwrap()
            .into_inner()
            .indicators;
        found.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    let first = publish_hash(&a, Pdq, &pdq(20), green()).await;
    publish_hash(&a, Pdq, &pdq(40), green()).await;
    a.publish("example.com", green()).await;

    let request = wire::SubscribeRequest {
        filter: Some(filter_of(0)),
        ..Default::default()
    };
    let mut feed = b.feeds().subscribe(request).await.unwrap().into_inner();
    let ids = |upserts: Vec<wire::Indicator>| upserts.into_iter().map(|one| one.id).collect::<Vec<_>>();
    let (upserts, ..) = wire_support::until_live(&mut feed).await;
    assert_eq!(ids(upserts), std::slice::from_ref(&first));
    assert_eq!((search(0).await, search(19).await), (vec![first.clone()], vec![]));

    let second = publish_hash(&a, Pdq, &pdq(31), green()).await;
    let (upserts, ..) = wire_support::until_live(&mut feed).await;
    assert_eq!(ids(upserts), std::slice::from_ref(&second));
    assert_eq!(search(0).await, [first.clone(), second]);
    let retraction = wire::RetractRequest {
        ids: vec![first],
        reason: "a mistake".into(),
        confirm_large: true,
    };
    a.publisher().retract(retraction).await.unwrap();
    let (_, removals, ..) = wire_support::until_live(&mut feed).await;
    assert_eq!(removals.len(), 1);

    for wrong in [32, 256] {
        let request = wire::SubscribeRequest {
            filter: Some(filter_of(wrong)),
            ..Default::default()
        };
        let refused = b.feeds().subscribe(request).await.unwrap_err();
        assert!(refused.message().contains("filter.near[0]"), "{refused}");
    }
    hub.stop().await;
}
