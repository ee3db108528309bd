//! What filters let pass, a line a case; which filters are the same; and every limit.

mod properties;

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::domain::handling::{Audience, Handling, Tlp};
use crate::domain::id::{IndicatorId, Timestamp};
use crate::domain::indicator::{Confidence, Content, Report, Targets};

const ACME: MemberId = MemberId(Uuid::from_u128(1));
const OTHER: MemberId = MemberId(Uuid::from_u128(2));

fn indicator(kind: Kind, value: &str) -> Indicator {
    let text = |text: &str| Text::parse("text", text).unwrap();
    let content = Content {
        observable: Observable::parse_as(kind, value).unwrap(),
        raw: Text::parse("raw", value).unwrap(),
        verdict: Verdict::Suspected,
        confidence: Confidence::new(70).unwrap(),
        severity: Some(Severity::Medium),
        first_seen: None,
        last_seen: None,
        note: Text::default(),
        evidence: Vec::new(),
        hash_quality: 0,
        independent: false,
        report: Arc::new(Report {
            campaign: text("Secondary Infektion"),
            attribution: text(""),
            ttps: vec![
                Ttp::parse("ttps", "T0007.001").unwrap(),
                Ttp::parse("ttps", "0.10.2").unwrap(),
            ],
            targets: Targets {
                countries: vec![Code::country("c", "DE").unwrap()],
                languages: vec![Code::language("l", "ru").unwrap()],
                events: vec![text("Example election")],
            },
            tags: vec![Tag::parse("tags", "clone-site").unwrap()],
            handling: Handling::new(Tlp::Green, Audience::default()).unwrap(),
        }),
    };
    Indicator {
        id: IndicatorId(Uuid::from_u128(3)),
        publisher: ACME,
        publisher_kind: MemberKind::Platform,
        revision: 1,
        content,
        published_at: Timestamp(0),
        revised_at: Timestamp(0),
        retraction_reason: Text::default(),
        warnings: Vec::new(),
    }
}

fn parse(text: &str) -> Filter {
    Filter::parse(text).unwrap().filter
}

fn with(set: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    set(&mut filter);
    filter
}

#[test]
fn each_field_holds_and_fails() {
    let indicator = indicator(Kind::Domain, "a.example.com");
    for (holding, failing) in [
        ("kind:url,domain", "kind:url"),
        ("campaign:\"Secondary Infektion\"", "campaign:\"secondary infektion\""),
        ("ttp:T0007", "ttp:T0008"),
        ("ttp:T0007.001", "ttp:T0007.002"),
        ("ttp:0.10", "ttp:0.1"),
        ("ttp:0", "ttp:1"),
        ("country:FR,DE", "country:FR"),
        ("language:ru", "language:de"),
        ("event:\"Example election\"", "event:Example"),
        ("tag:clone-site", "tag:clone"),
        ("publisher-kind:platform", "publisher-kind:government,media"),
        (
            "publisher:00000000-0000-0000-0000-000000000001",
            "publisher:00000000-0000-0000-0000-000000000002",
        ),
        ("confidence>=70", "confidence>=71"),
        ("severity>=medium", "severity>=high"),
        ("verdict:suspected", "verdict:malicious"),
        ("suffix:example.com", "suffix:example.org"),
        ("kind:domain suffix:com", "kind:url suffix:com"),
        ("", "platform:x"),
    ] {
        assert!(parse(holding).matches(&indicator), "{holding}");
        assert!(!parse(failing).matches(&indicator), "{failing}");
    }
}

#[test]
fn suffixes_hold_for_whole_labels_of_hosts_and_for_plain_ends_of_others() {
    for (kind, value, holding, failing) in [
        (Kind::Domain, "example.com", "example.com", "ample.com"),
        (Kind::Domain, "a.b.example.com", "b.example.com", "c.example.com"),
        (Kind::Domain, "badexample.com", "com", "example.com"),
        (Kind::Domain, "example.com", "com", "a.example.com"),
        (Kind::Domain, "example.ru", "*.RU", "u"),
        (Kind::Url, "a.example.com/path?q=1", "example.com", "path?q=1"),
        (Kind::Url, "example.com/b.example.org", "example.com", "example.org"),
        (Kind::Url, "example.com:8080/path", "example.com", "example.com:8080"),
        (
            Kind::Email,
            "someone@mail.example.com",
            "example.com",
            "someone@mail.example.com",
        ),
        (Kind::AndroidApp, "com.Example.Reader", "reader", "writer"),
    ] {
        let indicator = indicator(kind, value);
        assert!(
            parse(&format!("suffix:{holding}")).matches(&indicator),
            "{value} by {holding}"
        );
        assert!(
            !parse(&format!("suffix:{failing}")).matches(&indicator),
            "{value} not by {failing}"
        );
    }
}

#[test]
fn platforms_hold_for_what_lives_on_them() {
    for (kind, value, holding, failing) in [
        (Kind::Account, "telegram:someone", "telegram", "x"),
        (Kind::Account, "twitter:someone", "x", "telegram"),
        (Kind::Account, "x:someone", "twitter", "someone"),
        (Kind::Page, "facebook:id:1", "facebook", "face"),
        (Kind::Group, "vk:someone", "vkontakte", "ok"),
        (Kind::Channel, "youtube:someone", "YouTube", "you"),
        (Kind::Post, "telegram:someone/1", "x,telegram", "x"),
    ] {
        let indicator = indicator(kind, value);
        assert!(
            parse(&format!("platform:{holding}")).matches(&indicator),
            "{value} by {holding}"
        );
        assert!(
            !parse(&format!("platform:{failing}")).matches(&indicator),
            "{value} not by {failing}"
        );
    }
    let elsewhere = indicator(Kind::Url, "telegram.example.com/x:1");
    assert!(!parse("platform:telegram,x").matches(&elsewhere));
}

#[test]
fn an_international_suffix_holds_for_hosts_and_for_texts() {
    let filter = parse("suffix:*.\u{440}\u{444}");
    assert!(filter.matches(&indicator(Kind::Domain, "example.xn--p1ai")));
    assert!(filter.matches(&indicator(Kind::Hashtag, "#\u{430}\u{440}\u{444}")));
    assert!(!filter.matches(&indicator(Kind::Domain, "xn--p1ai.example.com")));
}

#[test]
fn an_indicator_without_severity_passes_no_least_severity() {
    let mut indicator = indicator(Kind::Domain, "example.com");
    indicator.content.severity = None;
    assert!(!parse("severity>=low").matches(&indicator));
    assert!(parse("").matches(&indicator));
}

#[test]
fn only_the_empty_filter_is_all() {
    assert!(Filter::default().is_all());
    let one_each = "kind:url|campaign:a|ttp:T0001|country:DE|language:de|event:a|tag:a|publisher-kind:media|\
                    publisher:00000000-0000-0000-0000-000000000001|suffix:ru|verdict:benign|platform:x|\
                    near:pdq:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f|\
                    confidence>=1|severity>=low";
    for term in one_each.split('|') {
        assert!(!parse(term).is_all(), "{term}");
    }
}

#[test]
fn every_limit_holds_and_its_limit_plus_one_is_refused() {
    let many = |count: usize| (0..count).map(|n| format!("tag{n}")).collect::<Vec<_>>();
    let ttps = |count: usize| (0..count).map(|n| format!("T{n:04}")).collect::<Vec<_>>();
    let one = |length: usize| vec!["a".repeat(length)];
    let near = |count: usize| {
        let hashes = (0..count).map(|n| format!("pdq:{n:064x}"));
        hashes
            .map(|hash| Near::parse("near", &hash).unwrap())
            .collect::<Vec<_>>()
    };
    for (field, limit, over) in [
        (
            "filter",
            with(|filter| filter.tags = many(256)),
            with(|filter| filter.tags = many(257)),
        ),
        (
            "ttps",
            with(|filter| filter.ttps = ttps(64)),
            with(|filter| filter.ttps = ttps(65)),
        ),
        (
            "near",
            with(|filter| filter.near = near(64)),
            with(|filter| filter.near = near(65)),
        ),
        (
            "confidence_min",
            with(|filter| filter.confidence_min = 100),
            with(|filter| filter.confidence_min = 101),
        ),
        (
            "campaigns[0]",
            with(|filter| filter.campaigns = one(200)),
            with(|filter| filter.campaigns = one(201)),
        ),
        (
            "target_events[0]",
            with(|filter| filter.target_events = one(200)),
            with(|filter| filter.target_events = one(201)),
        ),
        (
            "tags[0]",
            with(|filter| filter.tags = one(64)),
            with(|filter| filter.tags = one(65)),
        ),
        (
            "value_suffixes[0]",
            with(|filter| filter.value_suffixes = one(253)),
            with(|filter| filter.value_suffixes = one(254)),
        ),
        (
            "platforms[0]",
            with(|filter| filter.platforms = one(64)),
            with(|filter| filter.platforms = one(65)),
        ),
    ] {
        assert_eq!(limit.check(), Ok(()), "{field}");
        assert!(limit.canonical().is_ok(), "{field}");
        assert_eq!(over.check().unwrap_err().field, field);
        assert_eq!(over.canonical().unwrap_err().field, field);
    }
}

#[test]
fn empty_values_are_refused() {
    let empty = || vec![String::new()];
    for filter in [
        with(|filter| filter.campaigns = empty()),
        with(|filter| filter.ttps = empty()),
        with(|filter| filter.target_events = empty()),
        with(|filter| filter.tags = empty()),
        with(|filter| filter.value_suffixes = empty()),
        with(|filter| filter.platforms = empty()),
    ] {
        assert!(filter.check().is_err(), "{filter:?}");
    }
}

#[test]
fn values_of_different_fields_never_share_a_fingerprint() {
    let value = || vec!["a".to_string()];
    let filters = [
        Filter::default(),
        with(|filter| filter.campaigns = value()),
        with(|filter| filter.campaigns = vec!["a".into(), "b".into()]),
        with(|filter| filter.campaigns = vec!["a\0\0\0\u{1}b".into()]),
        with(|filter| filter.campaigns = vec!["ab".into()]),
        with(|filter| filter.target_events = value()),
        with(|filter| filter.tags = value()),
        with(|filter| filter.value_suffixes = value()),
        with(|filter| filter.platforms = value()),
        with(|filter| filter.near = vec![Near::parse("near", &format!("pdq:{:064x}", 1)).unwrap()]),
        with(|filter| filter.near = vec![Near::parse("near", &format!("pdq:{:064x}~30", 1)).unwrap()]),
        with(|filter| filter.confidence_min = 1),
        with(|filter| filter.severity_min = Some(Severity::Low)),
        with(|filter| filter.severity_min = Some(Severity::High)),
        with(|filter| filter.verdicts = vec![Verdict::Benign]),
    ];
    for (index, one) in filters.iter().enumerate() {
        for other in &filters[index + 1..] {
            assert_ne!(
                one.fingerprint_bytes(),
                other.fingerprint_bytes(),
                "{one:?} and {other:?}"
            );
        }
    }
}

#[test]
fn the_fingerprint_keeps_its_bytes() {
    let filter = parse("tag:b,a suffix:ru confidence>=70");
    let mut expected = vec![1];
    expected.extend([0; 4 * 6]);
    expected.extend(b"\0\0\0\x02\0\0\0\x01a\0\0\0\x01b");
    expected.extend([0; 4 * 2]);
    expected.extend(b"\0\0\0\x01\0\0\0\x01\x46");
    expected.extend(b"\0\0\0\x01\0\0\0\x02ru");
    expected.extend([0; 4 * 3]);
    assert_eq!(filter.fingerprint_bytes(), expected);
}
