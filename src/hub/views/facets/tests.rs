//! What the sets of facets decide is what the indicators themselves would have decided, whatever a member states.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::*;
use crate::domain::handling::{Audience, Tlp};
use crate::domain::id::IndicatorId;
use crate::domain::indicator::{Confidence, Report, Text};
use crate::domain::observable::Observable;
use crate::hub::views::at_hand::AtHand;
use crate::hub::views::indicators::Indicators;
use crate::log::bodies::BodyNumber;
use crate::log::bodies::{Bodies, BodiesOptions};
use crate::log::entry::StoredIndicator;

const PUBLISHERS: [(u128, MemberKind); 3] = [
    (1, MemberKind::Platform),
    (2, MemberKind::Government),
    (3, MemberKind::Media),
];
const VALUES: [(Kind, &str); 5] = [
    (Kind::Domain, "a.example.com"),
    (Kind::Domain, "b.example.org"),
    (Kind::Url, "https://a.example.com/x"),
    (Kind::Account, "x:somebody"),
    (Kind::Hashtag, "#something"),
];
const WORDS: [&str; 4] = ["one", "two", "three", "four"];
const TTPS: [&str; 4] = ["T0007", "T0007.001", "T0013", "0.9.4"];
const COUNTRIES: [&str; 3] = ["DE", "FR", "UA"];
const LANGUAGES: [&str; 3] = ["de", "fr", "uk"];

fn some<'a, const N: usize>(random: &mut StdRng, of: &[&'a str; N]) -> Vec<&'a str> {
    let count = random.random_range(0..=2);
    of.choose_multiple(random, count).copied().collect()
}

fn code(text: &str, of: fn(&str, &str) -> Result<Code, crate::domain::violation::Violation>) -> Code {
    of("code", text).unwrap()
}

fn text<const BYTES_MAX: usize>(words: &str) -> Text<BYTES_MAX> {
    Text::parse("text", words).unwrap()
}

pub(in crate::hub::views) fn indicator(random: &mut StdRng, number: u128) -> Indicator {
    let (publisher, publisher_kind) = *PUBLISHERS.choose(random).unwrap();
    let (kind, value) = *VALUES.choose(random).unwrap();
    let (ttps, tags, events) = (some(random, &TTPS), some(random, &WORDS), some(random, &WORDS));
    let (countries, languages) = (some(random, &COUNTRIES), some(random, &LANGUAGES));
    let severities = [None, Some(Severity::Low), Some(Severity::High)];
    let content = Content {
        observable: Observable::parse_as(kind, value).unwrap(),
        raw: text(value),
        verdict: *Verdict::ALL.choose(random).unwrap(),
        confidence: Confidence::new(random.random_range(0..=100)).unwrap(),
        severity: *severities.choose(random).unwrap(),
        first_seen: None,
        last_seen: None,
        note: text(""),
        evidence: Vec::new(),
        hash_quality: 0,
        independent: false,
        report: Arc::new(Report {
            campaign: text(["", "one", "two"].choose(random).unwrap()),
            attribution: text(""),
            ttps: ttps.iter().map(|ttp| Ttp::parse("ttp", ttp).unwrap()).collect(),
            targets: Targets {
                countries: countries.iter().map(|one| code(one, Code::country)).collect(),
                languages: languages.iter().map(|one| code(one, Code::language)).collect(),
                events: events.iter().map(|event| text(event)).collect(),
            },
            tags: tags.iter().map(|tag| Tag::parse("tag", tag).unwrap()).collect(),
            handling: Handling::new(Tlp::Green, Audience::default()).unwrap(),
        }),
    };
    Indicator {
        id: IndicatorId(Uuid::from_u128(number)),
        publisher: MemberId(Uuid::from_u128(publisher)),
        publisher_kind,
        revision: 1,
        content,
        published_at: Timestamp(0),
        revised_at: Timestamp(0),
        retraction_reason: text(""),
        warnings: Vec::new(),
    }
}

/// Each field is asked for in one of a few filters, so that a good part of all pairs pass.
fn filter(random: &mut StdRng) -> Filter {
    let texts = |words: Vec<&str>| words.into_iter().map(String::from).collect::<Vec<_>>();
    let mut filter = Filter::default();
    for _ in 0..random.random_range(0..=2) {
        match random.random_range(0..14) {
            0 => filter.kinds = VALUES.choose_multiple(random, 2).map(|(kind, _)| *kind).collect(),
            1 => filter.campaigns = texts(some(random, &["one", "two"])),
            2 => filter.ttps = texts(some(random, &TTPS)),
            3 => {
                filter.target_countries = some(random, &COUNTRIES)
                    .iter()
                    .map(|one| code(one, Code::country))
                    .collect()
            }
            4 => {
                filter.target_languages = some(random, &LANGUAGES)
                    .iter()
                    .map(|one| code(one, Code::language))
                    .collect()
            }
            5 => filter.target_events = texts(some(random, &WORDS)),
            6 => filter.tags = texts(some(random, &WORDS)),
            7 => filter.publisher_kinds = vec![PUBLISHERS.choose(random).unwrap().1],
            8 => filter.publishers = vec![MemberId(Uuid::from_u128(PUBLISHERS.choose(random).unwrap().0))],
            9 => filter.confidence_min = random.random_range(0..=100),
            10 => filter.value_suffixes = texts(some(random, &["example.com", "org"])),
            11 => filter.verdicts = Verdict::ALL.choose_multiple(random, 2).copied().collect(),
            12 => filter.severity_min = Some(Severity::Medium),
            _ => filter.platforms = texts(some(random, &["x", "telegram"])),
        }
    }
    filter
}

#[test]
fn facets_decide_every_filter_as_the_indicator_itself_would() {
    let mut random = StdRng::seed_from_u64(1);
    let dir = tempfile::tempdir().unwrap();
    let bodies = Bodies::open(&dir.path().join("bodies"), BodiesOptions::default());
    let mut view = Indicators::new(bodies);
    let mut all = Vec::new();
    for number in 0..400 {
        // Some of them revisions, whose facets are others.
        let indicator = indicator(&mut random, number % 300);
        view.put(&StoredIndicator::new(indicator.clone()), None);
        all.push(indicator);
    }
    let mut at_hand = AtHand::collecting(&view.bodies());
    at_hand.read(&(0..all.len() as u32).map(BodyNumber).collect::<Vec<_>>());
    let (mut passed, mut asked) = (0, 0);
    for _ in 0..2_000 {
        let filter = filter(&mut random);
        for (number, indicator) in all.iter().enumerate() {
            let record = view.record(view.find(indicator.id).unwrap());
            let version = record.at(number as u32 + 1).unwrap();
            let passes = view.passes(&filter, version, &at_hand);
            assert_eq!(passes, filter.matches(indicator), "{filter:?} of {indicator:?}");
            passed += usize::from(passes);
            asked += 1;
        }
    }
    assert!(
        passed > asked / 10 && passed < asked * 9 / 10,
        "{passed} of {asked} passed"
    );
}

#[test]
fn a_member_that_never_says_the_same_twice_takes_what_it_is_allowed_and_is_still_filtered_rightly() {
    let mut random = StdRng::seed_from_u64(2);
    let mut sets = FacetSets::default();
    let (mut hostile, mut honest) = (Brought::default(), Brought::default());
    let one = |random: &mut StdRng, number: u128, tag: &str| {
        let mut indicator = indicator(random, number);
        indicator.content.tags = vec![Tag::parse("tag", tag).unwrap(); Content::TAGS_MAX];
        indicator
    };
    let before = sets.number(&one(&mut random, 0, "shared"), &mut honest);
    let mut unstated = 0;
    for number in 1..4_000 {
        let indicator = one(&mut random, number, &format!("{:-<60}{number}", ""));
        let set = sets.number(&indicator, &mut hostile);
        let asks = Filter {
            tags: vec![indicator.content.tags[0].as_str().to_owned()],
            ..Filter::default()
        };
        unstated += u32::from(sets.passes(&asks, set).is_none());
        assert_ne!(sets.passes(&asks, set), Some(false), "what is not known is not denied");
    }
    assert!(unstated > 2_000, "{unstated}");
    assert!(hostile.stated_bytes <= STATED_BYTES_FREE + 4_000 * STATED_BYTES_PER_VERSION);
    let shared = Filter {
        tags: vec!["shared".into()],
        ..Filter::default()
    };
    assert_eq!(sets.passes(&shared, before), Some(true), "others are not touched by it");
    // What it repeats costs nothing more.
    let stated = hostile.stated_bytes;
    sets.number(&one(&mut random, 0, "shared"), &mut hostile);
    assert!(hostile.stated_bytes <= stated + 1_000);
}

#[test]
fn what_agrees_in_class_and_facets_shares_one_number() {
    let mut random = StdRng::seed_from_u64(3);
    let mut sets = FacetSets::default();
    let mut brought = Brought::default();
    let mut one = indicator(&mut random, 1);
    one.content.handling.embargo = Some(Embargo::new(Timestamp(5), Vec::new()).unwrap());
    let number = sets.number(&one, &mut brought);
    let mut same = one.clone();
    same.id = IndicatorId(Uuid::from_u128(2));
    same.content.handling.expires_at = Some(Timestamp(9));
    same.content.handling.embargo = Some(Embargo::new(Timestamp(6), Vec::new()).unwrap());
    assert_eq!(sets.number(&same, &mut brought), number, "times act through the state");
    let mut released = same.clone();
    released.content.handling.government_release = true;
    let released = sets.number(&released, &mut brought);
    assert!(!sets.is_one_class(released, number));
    same.content.severity = Some(Severity::Critical);
    let severe = sets.number(&same, &mut brought);
    assert!(severe != number && sets.is_one_class(severe, number));
}
