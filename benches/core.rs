//! The pure core's hot paths: the canonical form (once per published value), policy (once per change and member) and filters
//! (once per change and subscriber). Rates are values a second; all names are synthetic.

// Criterion's macro makes a public function without a comment.
#![allow(missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::{Audience, Handling, Tlp};
use clearinghouse::domain::id::{GroupId, IndicatorId, MemberId, Timestamp};
use clearinghouse::domain::indicator::{
    Code, Confidence, Content, Indicator, Report, Severity, State, Tag, Targets, Text, Ttp, Verdict,
};
use clearinghouse::domain::member::{MemberKind, Standing, Viewer};
use clearinghouse::domain::observable::{Kind, Observable};
use clearinghouse::domain::policy::{self, Subject};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use uuid::Uuid;

/// Enough that no branch predictor learns the row.
const VALUES: u64 = 1_024;

fn values(format: impl Fn(u64) -> String) -> Vec<String> {
    (0..VALUES).map(format).collect()
}

fn canonical_form(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("canonical_form");
    group.throughput(Throughput::Elements(VALUES));
    for (name, kind, values) in [
        ("domain", None, values(|n| format!("news-{n}.example.com"))),
        (
            "defanged_domain",
            None,
            values(|n| format!("WWW.News-{n}[.]example[.]com")),
        ),
        (
            "international_domain",
            None,
            values(|n| format!("b\u{fc}cher-{n}.example.com")),
        ),
        (
            "url",
            None,
            values(|n| format!("https://www.example.com/{}/article-{n}/?utm_source=x", n % 31)),
        ),
        (
            "defanged_url",
            None,
            values(|n| format!("hxxps://news-{n}[.]example[.]com/a/b")),
        ),
        (
            "account",
            Some(Kind::Account),
            values(|n| format!("telegram:channel_{n}")),
        ),
        ("sha256", None, values(|n| format!("{n:064x}"))),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for raw in &values {
                    let read = match kind {
                        None => Observable::parse(black_box(raw)),
                        Some(kind) => Observable::parse_as(kind, black_box(raw)),
                    };
                    black_box(read.is_ok());
                }
            });
        });
    }
    group.bench_function("id", |bencher| {
        let observable = Observable::parse("news-1.example.com").expect("is a domain");
        bencher.iter(|| {
            for _ in 0..VALUES {
                black_box(black_box(&observable).id());
            }
        });
    });
    group.finish();
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

fn policy(criterion: &mut Criterion) {
    let handlings: Vec<Handling> = (0..VALUES).map(handling).collect();
    let mut benchmarks = criterion.benchmark_group("policy");
    benchmarks.throughput(Throughput::Elements(VALUES));
    for kind in [MemberKind::Platform, MemberKind::Government] {
        let groups = (0..16).map(group).collect();
        let viewer = Viewer {
            member: member(32),
            kind,
            standing: Standing::Active,
            groups,
        };
        benchmarks.bench_function(kind.name(), |bencher| {
            bencher.iter(|| {
                let subjects = handlings.iter().map(|handling| Subject {
                    publisher: member(1),
                    publisher_kind: MemberKind::Platform,
                    state: State::Active,
                    handling,
                });
                subjects
                    .filter(|subject| policy::evaluate(black_box(&viewer), subject, ()).is_some())
                    .count()
            });
        });
    }
    benchmarks.finish();
}

fn indicator(n: u64) -> Indicator {
    let text = |text: &str| Text::parse("text", text).expect("is short");
    let ttp = |id: &str| Ttp::parse("ttps", id).expect("has the shape of an id");
    let raw = format!(
        "news-{n}.{}",
        if n.is_multiple_of(10) {
            "example.org"
        } else {
            "example.com"
        }
    );
    let content = Content {
        observable: Observable::parse(&raw).expect("is a domain"),
        raw: Text::parse("raw", &raw).expect("is short"),
        verdict: Verdict::ALL[n as usize % 4],
        confidence: Confidence::new(n as u32 % 101).expect("is at most 100"),
        severity: Some(Severity::ALL[n as usize % 4]),
        first_seen: None,
        last_seen: None,
        note: Text::default(),
        evidence: Vec::new(),
        hash_quality: 0,
        independent: false,
        report: Arc::new(Report {
            campaign: text(&format!("Example campaign {}", n % 20)),
            attribution: Text::default(),
            ttps: vec![ttp("T0007.001"), ttp("T0013"), ttp("0.9.4")],
            targets: Targets {
                countries: vec![Code::country("countries", "DE").expect("is a code")],
                languages: vec![Code::language("languages", "de").expect("is a code")],
                events: vec![text("Example election")],
            },
            tags: vec![Tag::parse("tags", "clone-site").expect("is a tag")],
            handling: handling(n),
        }),
    };
    Indicator {
        id: IndicatorId(Uuid::from_u128(u128::from(n))),
        publisher: member(n % 50),
        publisher_kind: MemberKind::ALL[n as usize % 4],
        revision: 1,
        content,
        published_at: Timestamp(0),
        revised_at: Timestamp(0),
        retraction_reason: Text::default(),
        warnings: Vec::new(),
    }
}

fn filters(criterion: &mut Criterion) {
    let indicators: Vec<Indicator> = (0..VALUES).map(indicator).collect();
    let mut group = criterion.benchmark_group("filter");
    group.throughput(Throughput::Elements(VALUES));
    let suffixes: Vec<String> = (0..250).map(|n| format!("site-{n}.example.net")).collect();
    for (name, expression) in [
        ("all", String::new()),
        ("kind_and_confidence", "kind:domain,url confidence>=70".into()),
        ("campaign", "campaign:\"Example campaign 7\"".into()),
        ("suffix", "suffix:example.org".into()),
        ("suffixes_250_missed", format!("suffix:{}", suffixes.join(","))),
        (
            "every_field",
            "kind:domain verdict:malicious,suspected country:DE language:de ttp:T0007 suffix:example.com".into(),
        ),
    ] {
        let filter = Filter::parse(&expression).expect("is an expression").filter;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                indicators
                    .iter()
                    .filter(|indicator| filter.matches(black_box(indicator)))
                    .count()
            });
        });
    }
    let filter = Filter::parse("kind:domain,url suffix:ru,example.com confidence>=70")
        .expect("is an expression")
        .filter;
    group.throughput(Throughput::Elements(1));
    group.bench_function("fingerprint", |bencher| {
        bencher.iter_batched(
            || filter.clone(),
            |filter| filter.fingerprint_bytes(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, canonical_form, policy, filters);
criterion_main!(benches);
