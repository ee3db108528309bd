//! Every limit of what a publisher states, with its limit plus one.

use uuid::Uuid;

use super::*;
use crate::domain::handling::{Audience, Tlp};

fn content(kind: Kind, value: &str) -> Content {
    Content {
        observable: Observable::parse_as(kind, value).unwrap(),
        raw: Text::parse("raw", value).unwrap(),
        verdict: Verdict::Malicious,
        confidence: Confidence::default(),
        severity: None,
        first_seen: None,
        last_seen: None,
        note: Text::default(),
        evidence: Vec::new(),
        hash_quality: 0,
        independent: false,
        report: Arc::new(Report {
            campaign: Text::default(),
            attribution: Text::default(),
            ttps: Vec::new(),
            targets: Targets::default(),
            tags: Vec::new(),
            handling: Handling::new(Tlp::Green, Audience::default()).unwrap(),
        }),
    }
}

fn with(set: impl FnOnce(&mut Content)) -> Option<String> {
    let mut content = content(Kind::Domain, "example.com");
    set(&mut content);
    content.check().err().map(|violation| violation.field)
}

#[test]
fn confidence_ends_at_100() {
    assert_eq!(Confidence::new(100).unwrap().value(), 100);
    for over in [101, 256, u32::MAX] {
        assert_eq!(Confidence::new(over).unwrap_err().field, "confidence");
    }
}

#[test]
fn text_has_a_longest_length_in_bytes() {
    assert!(Text::<4>::parse("note", "\u{44f}\u{44f}").is_ok());
    let over = Text::<4>::parse("note", "\u{44f}\u{44f}a").unwrap_err();
    assert_eq!(over.to_string(), "note: has 5 bytes, at most 4 are accepted");
}

#[test]
fn text_holds_line_ends_and_tabs_and_no_other_control_characters() {
    assert!(Text::<9>::parse("note", "a\r\n\tb").is_ok());
    for control in ["\0", "\u{7}", "\u{8}", "\u{1b}", "\u{7f}", "\u{85}", "\u{9b}"] {
        assert_eq!(
            Text::<9>::parse("note", control).unwrap_err().field,
            "note",
            "{control:?}"
        );
    }
}

#[test]
fn tags_are_1_to_64_bytes_without_white_space() {
    let longest = "a".repeat(Tag::BYTES_MAX);
    for tag in ["a", "clone:site=1", "\u{442}\u{435}\u{433}", &longest] {
        assert_eq!(Tag::parse("tags[0]", tag).unwrap().as_str(), tag);
    }
    for tag in [
        "",
        &format!("{longest}a"),
        "a b",
        "a\u{a0}b",
        "a\u{2028}b",
        "a\tb",
        "a\0",
    ] {
        assert_eq!(Tag::parse("tags[0]", tag).unwrap_err().field, "tags[0]", "{tag:?}");
    }
}

#[test]
fn codes_are_two_or_three_letters_in_their_own_case() {
    let country = |text: &str| Code::country("c", text).ok().map(|code| code.as_str().to_string());
    let language = |text: &str| Code::language("l", text).ok().map(|code| code.as_str().to_string());
    assert_eq!(country("de").as_deref(), Some("DE"));
    assert_eq!(country("UA").as_deref(), Some("UA"));
    assert_eq!(language("RU").as_deref(), Some("ru"));
    assert_eq!(language("ukr").as_deref(), Some("ukr"));
    for text in ["", "d", "deu", "d1", "\u{e4}", " d", "d\0"] {
        assert_eq!(country(text), None, "{text:?}");
    }
    for text in ["", "d", "germ", "d1", "\u{e4}", "de-", "e\0"] {
        assert_eq!(language(text), None, "{text:?}");
    }
}

#[test]
fn ttps_have_the_shape_of_a_framework_id() {
    for id in [
        "T0007",
        "T0007.001",
        "TA02",
        "P01",
        "TP01",
        "0",
        "9.1",
        "0.9.4",
        "0.9.10.0",
        "12.100.3",
    ] {
        assert_eq!(Ttp::parse("ttps[0]", id).unwrap().as_str(), id);
    }
    for id in [
        "",
        "T",
        "T007",
        "T00007",
        "T0007.",
        "T0007.1",
        "T0007.0001",
        "T0007.001.1",
        "t0007",
        "TA2",
        "TA002",
        "P1",
        "P001",
        "TA02.1",
        "TX02",
        "T000\u{664}",
        "T0007 ",
        ".",
        "0.",
        "2.1.",
        ".9",
        "0..4",
        "0.09.4",
        "00",
        "0.1000",
        "0.1.2.3.4.5",
        "0.a",
        "0.-1",
        "0,1",
        "C00006",
    ] {
        assert_eq!(Ttp::parse("ttps[0]", id).unwrap_err().field, "ttps[0]", "{id:?}");
    }
}

#[test]
fn lists_have_a_longest_length() {
    let ttps = |count: usize| vec![Ttp::parse("ttps", "T0007").unwrap(); count];
    let tags = |count: usize| vec![Tag::parse("tags", "a").unwrap(); count];
    let codes = |count: usize| vec![Code::country("c", "DE").unwrap(); count];
    let field = Some;
    assert_eq!(with(|content| content.ttps = ttps(32)), None);
    assert_eq!(with(|content| content.ttps = ttps(33)), field("ttps".into()));
    assert_eq!(with(|content| content.tags = tags(32)), None);
    assert_eq!(with(|content| content.tags = tags(33)), field("tags".into()));
    assert_eq!(with(|content| content.evidence = vec![Evidence::default(); 16]), None);
    assert_eq!(
        with(|content| content.evidence = vec![Evidence::default(); 17]),
        field("evidence".into())
    );
    assert_eq!(with(|content| content.targets.countries = codes(64)), None);
    assert_eq!(
        with(|content| content.targets.countries = codes(65)),
        field("targets.countries".into())
    );
    assert_eq!(with(|content| content.targets.languages = codes(64)), None);
    assert_eq!(
        with(|content| content.targets.languages = codes(65)),
        field("targets.languages".into())
    );
    assert_eq!(with(|content| content.targets.events = vec![Text::default(); 16]), None);
    assert_eq!(
        with(|content| content.targets.events = vec![Text::default(); 17]),
        field("targets.events".into())
    );
}

#[test]
fn sightings_come_in_their_order() {
    let seen = |first: Option<i64>, last: Option<i64>| {
        with(|content| {
            content.first_seen = first.map(Timestamp);
            content.last_seen = last.map(Timestamp);
        })
    };
    for (first, last) in [
        (None, None),
        (Some(5), None),
        (None, Some(5)),
        (Some(5), Some(5)),
        (Some(5), Some(6)),
    ] {
        assert_eq!(seen(first, last), None, "{first:?} to {last:?}");
    }
    assert_eq!(seen(Some(6), Some(5)).as_deref(), Some("last_seen"));
}

#[test]
fn only_pdq_hashes_have_a_quality() {
    let quality = |kind: Kind, value: &str, quality: u8| {
        let mut content = content(kind, value);
        content.hash_quality = quality;
        content.check().err().map(|violation| violation.field)
    };
    let pdq = "0f".repeat(32);
    assert_eq!(quality(Kind::Pdq, &pdq, 0), None);
    assert_eq!(quality(Kind::Pdq, &pdq, 100), None);
    assert_eq!(quality(Kind::Pdq, &pdq, 101).as_deref(), Some("hash_quality"));
    assert_eq!(quality(Kind::Domain, "example.com", 0), None);
    assert_eq!(quality(Kind::Domain, "example.com", 1).as_deref(), Some("hash_quality"));
}

#[test]
fn policy_looks_at_the_indicator_that_it_is_given() {
    let content = content(Kind::Domain, "example.com");
    let indicator = Indicator {
        id: IndicatorId(Uuid::from_u128(1)),
        publisher: MemberId(Uuid::from_u128(2)),
        publisher_kind: MemberKind::Media,
        revision: 1,
        content,
        published_at: Timestamp(0),
        revised_at: Timestamp(0),
        retraction_reason: Text::default(),
        warnings: Vec::new(),
    };
    let subject = crate::domain::policy::Subject::of(&indicator, State::Embargoed);
    assert_eq!(
        (subject.publisher, subject.publisher_kind),
        (indicator.publisher, MemberKind::Media)
    );
    assert_eq!(
        (subject.state, subject.handling),
        (State::Embargoed, &indicator.content.handling)
    );
}
