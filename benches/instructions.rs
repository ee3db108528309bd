//! Work whose instructions are counted: section after section is set up, done once unseen, and done again between two functions
//! that do nothing. `benches/guard.py` runs this under `valgrind --tool=callgrind`, which counts from the one to the other in all
//! threads, and holds the counts against `benches/instructions.json`. What is random here is random in its bits, never in how much
//! there is of it. Prints each section with the items that it dealt with. Refuses to measure time.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::{Audience, Handling, Tlp};
use clearinghouse::domain::id::{GroupId, IndicatorId, MemberId, Timestamp};
use clearinghouse::domain::indicator::{Code, Confidence, Content, Indicator, State, Text, Ttp};
use clearinghouse::domain::member::{MemberKind, Standing, Viewer};
use clearinghouse::domain::observable::{Kind, Observable};
use clearinghouse::domain::policy::{self, Subject};
use clearinghouse::domain::similarity::{Near, SimilarityHash, SimilarityIndex};
use clearinghouse::domain::violation::Violation;
use clearinghouse::hub::Caller;
use clearinghouse::hub::publish::Item;
use clearinghouse::log::entry::encode_indicator;
use clearinghouse::log::{Durability, Log, Options};
use uuid::Uuid;

#[path = "../tests/hub_support/mod.rs"]
mod hub_support;

use hub_support::{TestHub, drafts, runtime};

/// As the binary has it: its instructions are part of every path.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Items in a call.
const BATCH: u64 = 128;

/// What a hub that is read holds. One in a hundred is tagged.
const HELD: u64 = 2_048;

/// Longest that what was published may take to be written.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    canonical_form();
    evaluate();
    filter();
    encode();
    append();
    similarity();
    runtime().block_on(hub());
}

/// Where callgrind begins to count. The numbers keep the two functions from being folded into one.
#[inline(never)]
fn counting_begins() {
    black_box(1);
}

/// Where it writes down what it counted.
#[inline(never)]
fn counting_ends() {
    black_box(2);
}

/// Counts the work of a section on `items` items.
fn counted(section: &str, items: u64, mut work: impl FnMut()) {
    work();
    counting_begins();
    work();
    counting_ends();
    println!("{section} {items}");
}

/// As `counted`, for work that waits.
async fn counted_async(section: &str, items: u64, mut work: impl AsyncFnMut()) {
    work().await;
    counting_begins();
    work().await;
    counting_ends();
    println!("{section} {items}");
}

fn canonical_form() {
    let values: Vec<String> = (0..100)
        .flat_map(|n| {
            [
                format!("news-{n}.example.com"),
                format!("WWW.News-{n}[.]example[.]com"),
                format!("b\u{fc}cher-{n}.example.com"),
                format!("https://www.example.com/{}/article-{n}/?utm_source=x", n % 31),
                format!("hxxps://news-{n}[.]example[.]com/a/b"),
                format!("reader{n}@example.org"),
                format!("{n:064x}"),
            ]
        })
        .collect();
    counted("canonical_form", values.len() as u64, || {
        for value in &values {
            black_box(Observable::parse(black_box(value)).expect("a value").id());
        }
    });
}

fn member(n: u64) -> MemberId {
    MemberId(Uuid::from_u128(u128::from(n)))
}

fn group(n: u64) -> GroupId {
    GroupId(Uuid::from_u128(u128::from(n)))
}

/// A mix as a coalition would share it: half for all, a third for groups, the rest for named members.
fn handling(n: u64) -> Handling {
    let (tlp, members, groups) = match n % 6 {
        0..3 => (Tlp::Green, vec![], vec![]),
        3 | 4 => (Tlp::Amber, vec![], vec![group(n % 7), group(n % 11), group(n % 13)]),
        _ => (Tlp::Red, (0..8).map(|other| member(n % 64 + other)).collect(), vec![]),
    };
    let audience = Audience::new(members, groups).expect("is small");
    let mut handling = Handling::new(tlp, audience).expect("the label has its audience");
    handling.government_release = n.is_multiple_of(3);
    handling
}

fn evaluate() {
    let handlings: Vec<Handling> = (0..1_000).map(handling).collect();
    let viewer = Viewer {
        member: member(32),
        kind: MemberKind::Platform,
        standing: Standing::Active,
        groups: (0..16).map(group).collect(),
    };
    counted("policy", handlings.len() as u64, || {
        for handling in &handlings {
            let subject = Subject {
                publisher: member(1),
                publisher_kind: MemberKind::Platform,
                state: State::Active,
                handling,
            };
            black_box(policy::evaluate(black_box(&viewer), &subject, ()).is_some());
        }
    });
}

fn value(n: u64) -> String {
    format!("news-{n}.site-{}.example.com", n % 50)
}

/// What publishers say of most values.
fn content(n: u64, handling: Handling) -> Content {
    let mut content = drafts::content(&value(n), handling);
    content.confidence = Confidence::new(n as u32 % 101).expect("is at most 100");
    content.campaign = drafts::text(&format!("Example campaign {}", n % 20));
    content.ttps = ["T0007.001", "T0013"]
        .map(|id| Ttp::parse("ttps", id).expect("an id"))
        .to_vec();
    content.targets.countries = vec![Code::country("countries", "DE").expect("a code")];
    content.tags = vec![drafts::tag("clone-site")];
    if n.is_multiple_of(100) {
        content.tags.push(drafts::tag("rare"));
    }
    content
}

fn green() -> Handling {
    drafts::Rules::open(Tlp::Green).handling().expect("a label")
}

fn indicator(n: u64) -> Indicator {
    Indicator {
        id: IndicatorId(Uuid::from_u128(u128::from(n))),
        publisher: member(n % 50),
        publisher_kind: MemberKind::Platform,
        revision: 1,
        content: content(n, handling(n)),
        published_at: Timestamp(0),
        revised_at: Timestamp(0),
        retraction_reason: Text::default(),
        warnings: Vec::new(),
    }
}

fn filter() {
    let expression =
        "kind:domain verdict:malicious,suspected country:DE ttp:T0007 suffix:example.org,site-7.example.com";
    let filter = Filter::parse(expression).expect("an expression").filter;
    let indicators: Vec<Indicator> = (0..1_000).map(indicator).collect();
    counted("filter", indicators.len() as u64, || {
        for indicator in &indicators {
            black_box(filter.matches(black_box(indicator)));
        }
    });
}

fn encode() {
    let indicators: Vec<Indicator> = (0..1_000).map(indicator).collect();
    counted("encode", indicators.len() as u64, || {
        for indicator in &indicators {
            black_box(encode_indicator(black_box(indicator)));
        }
    });
}

fn append() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        ballast_bytes: 0,
        durability: Durability::SkipSync,
        ..Options::default()
    };
    let mut log = Log::create(&dir.path().join("log"), options).expect("a log");
    let entries: Vec<Bytes> = (0..BATCH).map(|n| encode_indicator(&indicator(n))).collect();
    counted("log_append", 8 * BATCH, || {
        for _ in 0..8 {
            log.append(black_box(&entries)).expect("an append");
        }
    });
    log.close().expect("an orderly end");
}

async fn publish_batch(hub: &TestHub, publisher: &Caller, batch: u64) {
    let numbers = batch * BATCH..(batch + 1) * BATCH;
    let items: Vec<Result<Item, Violation>> = numbers.map(|n| Ok(drafts::item(content(n, green())))).collect();
    let outcomes = hub.hub().publish(publisher, items).await.expect("published");
    black_box(outcomes);
}

/// Queries of hashes that are a few bits off what an index holds.
fn similarity() {
    let hash = |words: [u64; 4]| {
        let text: String = words.iter().map(|word| format!("{word:016x}")).collect();
        Observable::parse_as(Kind::Pdq, &text).expect("a hash")
    };
    let words = |n: u64| [1, 2, 3, 4].map(|factor| mixed(n * 4 + factor));
    let mut index = SimilarityIndex::default();
    for n in 0..20_000 {
        let hash = SimilarityHash::of(&hash(words(n))).expect("has a distance");
        index.insert(n as u32, &hash);
    }
    let queries: Vec<Near> = (0..200)
        .map(|n| {
            let [first, second, third, last] = words(n * 100);
            let near = hash([first ^ 0x0f0f, second ^ 0x1111, third, last ^ 0xff]);
            Near::usual(&near).expect("has a distance")
        })
        .collect();
    counted("similarity", queries.len() as u64, || {
        let mut found = 0;
        for query in &queries {
            index.near(black_box(query), |_, _| found += 1);
        }
        assert!(found >= queries.len());
    });
}

/// Bits that a number decides: the mixing of SplitMix64.
fn mixed(n: u64) -> u64 {
    let mut mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The paths that go through a hub: one is filled, then read.
async fn hub() {
    let hub = TestHub::new();
    let publisher = hub.member("Publisher", MemberKind::Platform).await;
    let reader = hub.member("Reader", MemberKind::Platform).await;
    let batches = HELD / BATCH / 2;
    let mut next = 0;
    counted_async("publish", batches * BATCH, async || {
        for batch in next..next + batches {
            publish_batch(&hub, &publisher, batch).await;
        }
        next += batches;
        // Packed here and not under what is counted next, for another thread does it when it likes.
        assert!(hub.hub().wait_for_bodies_on_disk(PATIENCE));
    })
    .await;
    let everything = Filter::default();
    counted_async("replay", HELD, async || {
        assert_eq!(snapshot(&hub, &reader, &everything).await, HELD);
    })
    .await;
    let rare = Filter::parse("tag:rare").expect("an expression").filter;
    counted_async("replay_filtered", HELD.div_ceil(100), async || {
        assert_eq!(snapshot(&hub, &reader, &rare).await, HELD.div_ceil(100));
    })
    .await;
    counted_async("lookup_hit", HELD, async || {
        assert_eq!(look_up(&hub, &reader, 0).await, HELD)
    })
    .await;
    counted_async("lookup_miss", HELD, async || {
        assert_eq!(look_up(&hub, &reader, 1 << 40).await, 0)
    })
    .await;
}

async fn snapshot(hub: &TestHub, reader: &Caller, filter: &Filter) -> u64 {
    let mut feed = hub.hub().subscribe(reader, filter.clone(), &[]).expect("a feed");
    let mut received = 0;
    loop {
        let batch = feed.next().await.expect("a batch");
        received += batch.upserts.len() as u64;
        if batch.live.is_some() {
            return received;
        }
    }
}

/// Asks for as many values as the hub holds, in calls of a batch; returns how many are known.
async fn look_up(hub: &TestHub, reader: &Caller, offset: u64) -> u64 {
    let mut found = 0;
    for batch in 0..HELD / BATCH {
        let numbers = (batch * BATCH..(batch + 1) * BATCH).map(|n| n + offset);
        let asked: Vec<Option<Observable>> = numbers.map(|n| Observable::parse(&value(n)).ok()).collect();
        let matches = hub.hub().lookup(reader, &asked).await.expect("an answer");
        found += matches.iter().filter(|matches| !matches.found.is_empty()).count() as u64;
    }
    found
}
