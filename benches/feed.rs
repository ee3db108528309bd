//! What a feed costs in the hub, without a network: a snapshot of 10,000 indicators in batches, with and without a filter that keeps
//! one in a hundred, and entries' encoding. `cargo bench --bench feed`.

use std::hint::black_box;

use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::{IndicatorId, Timestamp};
use clearinghouse::domain::indicator::{Indicator, Text};
use clearinghouse::domain::member::MemberKind;
use clearinghouse::hub::Caller;
use clearinghouse::log::entry::encode_indicator;
use criterion::{Criterion, Throughput, criterion_main};

#[path = "../tests/hub_support/mod.rs"]
mod hub_support;

use hub_support::{TestHub, drafts, runtime};

const INDICATORS: usize = 10_000;

fn handling() -> clearinghouse::domain::handling::Handling {
    drafts::Rules::open(Tlp::Green).handling().expect("a label")
}

/// A hub with indicators of one member, one in a hundred of them tagged, and a reader.
async fn filled() -> (TestHub, Caller) {
    let hub = TestHub::new();
    let publisher = hub.member("Publisher", MemberKind::Platform).await;
    let reader = hub.member("Reader", MemberKind::Platform).await;
    for chunk in 0..INDICATORS / 500 {
        let items = (0..500).map(|place| {
            let number = chunk * 500 + place;
            let mut content = drafts::content(&format!("host{number}.example.com"), handling());
            if number % 100 == 0 {
                content.tags.push(drafts::tag("rare"));
            }
            Ok::<_, clearinghouse::domain::violation::Violation>(drafts::item(content))
        });
        let items: Vec<_> = items.collect();
        hub.hub().publish(&publisher, items).await.expect("published");
    }
    (hub, reader)
}

async fn snapshot(hub: &TestHub, reader: &Caller, filter: &Filter) -> usize {
    let mut feed = hub.hub().subscribe(reader, filter.clone(), &[]).expect("a feed");
    let mut received = 0;
    loop {
        let batch = feed.next().await.expect("a batch");
        received += batch.upserts.len();
        if batch.live.is_some() {
            return received;
        }
    }
}

fn feeds(criterion: &mut Criterion) {
    let runtime = runtime();
    let (hub, reader) = runtime.block_on(filled());
    let rare = Filter {
        tags: vec!["rare".into()],
        ..Filter::default()
    };
    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(20);
    for (name, filter, expected) in [
        ("all", Filter::default(), INDICATORS),
        ("one in a hundred", rare, INDICATORS / 100),
    ] {
        group.throughput(Throughput::Elements(expected as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(runtime.block_on(snapshot(&hub, &reader, &filter)), expected));
        });
    }
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let indicator = Indicator {
        id: IndicatorId(uuid::Uuid::now_v7()),
        publisher: clearinghouse::domain::id::MemberId(uuid::Uuid::now_v7()),
        publisher_kind: MemberKind::Platform,
        revision: 1,
        content: drafts::content("host.example.com", handling()),
        published_at: Timestamp(0),
        revised_at: Timestamp(0),
        retraction_reason: Text::default(),
        warnings: Vec::new(),
    };
    criterion.bench_function("encode an indicator", |bencher| {
        bencher.iter(|| encode_indicator(black_box(&indicator)));
    });
}

mod benches {
    criterion::criterion_group!(all, super::feeds, super::encoding);
}
criterion_main!(benches::all);
