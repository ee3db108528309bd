//! Laws of filters: matching agrees with a naive reading, fingerprints do not see how a filter is written, and what is
//! written reads back.

use proptest::prelude::*;

use super::*;

/// Values from small pools, so that filters and indicators often meet.
fn some<T: Clone + std::fmt::Debug + 'static>(pool: &[T]) -> impl Strategy<Value = Vec<T>> + use<T> {
    prop::collection::vec(prop::sample::select(pool.to_vec()), 0..4)
}

fn texts(pool: &[&str]) -> impl Strategy<Value = Vec<String>> + use<> {
    some(&pool.iter().map(|text| text.to_string()).collect::<Vec<_>>())
}

fn codes(pool: &[&str], code: fn(&str, &str) -> Result<Code, Violation>) -> impl Strategy<Value = Vec<Code>> + use<> {
    some(&pool.iter().map(|text| code("code", text).unwrap()).collect::<Vec<_>>())
}

const CAMPAIGNS: &[&str] = &["Secondary Infektion", "Doppelganger", "x"];
const TTPS: &[&str] = &["T0007", "T0007.001", "T0071", "0.1", "0.10", "0.10.2", "TA02"];
const COUNTRIES: &[&str] = &["DE", "FR", "UA"];
const LANGUAGES: &[&str] = &["de", "ru", "ukr"];
const EVENTS: &[&str] = &["Example election", "Example games"];
const TAGS: &[&str] = &["clone-site", "bots"];
const SUFFIXES: &[&str] = &[
    "example.com",
    "*.Example.com",
    ".ru",
    "ru",
    "com",
    "ample.com",
    "a.example.com",
];
const NEAR: [&str; 3] = [
    "pdq:0000000000000000000000000000000000000000000000000000000000000000~12",
    "pdq:000000000000000000000000000000000000000000000000000000000000ffff",
    "pdq:000000000000000000000000000000000000000000000000000000000000ffff~3",
];
const HOSTS: &[&str] = &[
    "example.com",
    "a.example.com",
    "badexample.com",
    "example.ru",
    "com.example.net",
];

prop_compose! {
    fn filters()(
        kinds in some(&[Kind::Domain, Kind::Url, Kind::Email]),
        campaigns in texts(CAMPAIGNS),
        ttps in texts(TTPS),
        target_countries in codes(COUNTRIES, Code::country),
        target_languages in codes(LANGUAGES, Code::language),
        target_events in texts(EVENTS),
        tags in texts(TAGS),
        (publisher_kinds, publishers) in (some(&MemberKind::ALL), some(&[ACME, OTHER])),
        (confidence_min, severity_min) in (0..=100u8, prop::option::of(prop::sample::select(&Severity::ALL[..]))),
        value_suffixes in texts(SUFFIXES),
        verdicts in some(&Verdict::ALL),
        near in some(&NEAR.map(|text| Near::parse("near", text).unwrap())),
        // Most fields are left open, or next to nothing would pass.
        open in any::<u16>(),
    ) -> Filter {
        let mut filter = Filter {
            kinds, campaigns, ttps, target_countries, target_languages, target_events, tags, publisher_kinds,
            publishers, confidence_min, value_suffixes, verdicts, severity_min, platforms: Vec::new(), near,
        };
        open_fields(&mut filter, open);
        filter
    }
}

fn open_fields(filter: &mut Filter, open: u16) {
    let is_open = |bit: u16| open & (1 << bit) != 0;
    let texts = [
        &mut filter.campaigns,
        &mut filter.ttps,
        &mut filter.target_events,
        &mut filter.tags,
    ];
    for (bit, list) in (0..).zip(texts) {
        if is_open(bit) {
            list.clear();
        }
    }
    if is_open(4) {
        filter.target_countries.clear();
        filter.confidence_min = 0;
    }
    if is_open(5) {
        filter.target_languages.clear();
        filter.severity_min = None;
    }
    if is_open(6) {
        filter.publishers.clear();
        filter.kinds.clear();
    }
    if is_open(7) {
        filter.verdicts.clear();
        filter.publisher_kinds.clear();
    }
    if is_open(8) {
        filter.value_suffixes.clear();
    }
    if is_open(9) {
        filter.near.clear();
    }
}

prop_compose! {
    fn indicators()(
        host in prop::sample::select(HOSTS),
        kind in prop::sample::select(&[Kind::Domain, Kind::Url, Kind::Email, Kind::Pdq][..]),
        bits in 0..40_u32,
        campaign in prop::sample::select(CAMPAIGNS),
        ttps in texts(TTPS),
        countries in codes(COUNTRIES, Code::country),
        languages in codes(LANGUAGES, Code::language),
        events in texts(EVENTS),
        tags in texts(TAGS),
        publisher in prop::sample::select(&[ACME, OTHER][..]),
        publisher_kind in prop::sample::select(&MemberKind::ALL[..]),
        confidence in 0..=100u32,
        severity in prop::option::of(prop::sample::select(&Severity::ALL[..])),
    ) -> Indicator {
        let value = match kind {
            Kind::Url => format!("{host}/path.ru"),
            Kind::Email => format!("com.ru@{host}"),
            Kind::Pdq => format!("{:048x}{:016x}", 0, (1_u64 << bits) - 1),
            _ => host.to_string(),
        };
        let mut made = indicator(kind, &value);
        let content = &mut made.content;
        content.campaign = Text::parse("campaign", campaign).unwrap();
        content.ttps = ttps.iter().map(|ttp| Ttp::parse("ttps", ttp).unwrap()).collect();
        let events = events.iter().map(|event| Text::parse("events", event).unwrap()).collect();
        content.targets = Targets { countries, languages, events };
        content.tags = tags.iter().map(|tag| Tag::parse("tags", tag).unwrap()).collect();
        content.confidence = Confidence::new(confidence).unwrap();
        content.severity = severity;
        made.publisher = publisher;
        made.publisher_kind = publisher_kind;
        made
    }
}

/// Compares whole lists of strings, collected anew each time: slow, and unlike what it checks.
fn naive_matches(filter: &Filter, indicator: &Indicator) -> bool {
    let content = &indicator.content;
    let names = |texts: &[Text<200>]| texts.iter().map(|text| text.as_str().to_string()).collect::<Vec<_>>();
    let tags: Vec<_> = content.tags.iter().map(|tag| tag.as_str().to_string()).collect();
    let rank = |severity: Option<Severity>| severity.map_or(0, |severity| severity as usize + 1);
    [
        meet(&filter.kinds, &[content.observable.kind()]),
        meet(&filter.campaigns, &names(std::slice::from_ref(&content.campaign))),
        meet(&filter.target_countries, &content.targets.countries),
        meet(&filter.target_languages, &content.targets.languages),
        meet(&filter.target_events, &names(&content.targets.events)),
        meet(&filter.tags, &tags),
        meet(&filter.publisher_kinds, &[indicator.publisher_kind]),
        meet(&filter.publishers, &[indicator.publisher]),
        meet(&filter.verdicts, &[content.verdict]),
        content.confidence.value() >= filter.confidence_min,
        rank(content.severity) >= rank(filter.severity_min),
        naive_ttps(&filter.ttps, &content.ttps),
        naive_suffixes(&filter.value_suffixes, content.observable.value()),
        naive_near(&filter.near, &content.observable),
    ]
    .iter()
    .all(|holds| *holds)
}

fn meet<T: PartialEq>(wanted: &[T], stated: &[T]) -> bool {
    wanted.is_empty() || stated.iter().any(|one| wanted.contains(one))
}

fn parts(text: &str) -> Vec<String> {
    let parts = text.split('.').map(str::to_lowercase);
    parts.filter(|part| !part.is_empty() && part != "*").collect()
}

fn naive_ttps(heads: &[String], ttps: &[Ttp]) -> bool {
    let is_below = |head: &String| ttps.iter().any(|ttp| parts(ttp.as_str()).starts_with(&parts(head)));
    heads.is_empty() || heads.iter().any(is_below)
}

fn naive_suffixes(suffixes: &[String], value: &str) -> bool {
    let host = value.split('/').next().unwrap().split('@').next_back().unwrap();
    suffixes.is_empty() || suffixes.iter().any(|suffix| parts(host).ends_with(&parts(suffix)))
}

/// The hashes of [`NEAR`] are zero or end in 16 ones, and a PDQ value here ends in so many ones: bits are counted by hand.
fn naive_near(near: &[Near], observable: &Observable) -> bool {
    let ones = observable
        .value()
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(u32::count_ones)
        .sum::<u32>();
    let holds = |near: &Near| match near.to_string().contains("ffff") {
        true => ones.abs_diff(16) <= near.distance_max(),
        false => ones <= near.distance_max(),
    };
    near.is_empty() || observable.kind() == Kind::Pdq && near.iter().any(holds)
}

/// The same filter, written differently: every list turned, repeated and respelt.
fn rewritten(filter: &Filter, turn: usize) -> Filter {
    fn turned<T: Clone>(list: &[T], turn: usize) -> Vec<T> {
        let mut list = [list, list].concat();
        let turn = turn % list.len().max(1);
        list.rotate_left(turn);
        list
    }
    Filter {
        kinds: turned(&filter.kinds, turn),
        campaigns: turned(&filter.campaigns, turn),
        ttps: turned(&filter.ttps, turn),
        target_countries: turned(&filter.target_countries, turn),
        target_languages: turned(&filter.target_languages, turn),
        target_events: turned(&filter.target_events, turn),
        tags: turned(&filter.tags, turn),
        publisher_kinds: turned(&filter.publisher_kinds, turn),
        publishers: turned(&filter.publishers, turn),
        confidence_min: filter.confidence_min,
        value_suffixes: turned(&filter.value_suffixes, turn)
            .iter()
            .map(|suffix| format!("*.{}", without_wildcard(suffix).to_ascii_uppercase()))
            .collect(),
        verdicts: turned(&filter.verdicts, turn),
        severity_min: filter.severity_min,
        platforms: turned(&filter.platforms, turn),
        near: turned(&filter.near, turn),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn matches_agrees_with_a_naive_reading(filter in filters(), indicator in indicators()) {
        prop_assert_eq!(filter.matches(&indicator), naive_matches(&filter, &indicator));
    }

    #[test]
    fn a_filter_written_differently_is_the_same(filter in filters(), turn in 0usize..8, indicator in indicators()) {
        let other = rewritten(&filter, turn);
        prop_assert_eq!(filter.fingerprint_bytes(), other.fingerprint_bytes());
        prop_assert_eq!(filter.matches(&indicator), other.matches(&indicator));
        prop_assert_eq!(filter.canonical().unwrap(), other.canonical().unwrap());
    }

    #[test]
    fn different_canonical_filters_have_different_fingerprints(one in filters(), other in filters()) {
        let (one, other) = (one.canonical().unwrap(), other.canonical().unwrap());
        prop_assert_eq!(one == other, one.fingerprint_bytes() == other.fingerprint_bytes());
    }

    #[test]
    fn the_canonical_form_is_final_and_reads_back(filter in filters(), indicator in indicators()) {
        let canonical = filter.clone().canonical().unwrap();
        prop_assert_eq!(filter.fingerprint_bytes(), canonical.fingerprint_bytes());
        prop_assert_eq!(filter.matches(&indicator), canonical.matches(&indicator));
        prop_assert_eq!(&canonical.clone().canonical().unwrap(), &canonical);
        let parsed = ParsedFilter { filter: canonical, publisher_names: Vec::new() };
        prop_assert_eq!(Filter::parse(&parsed.to_string()).unwrap(), parsed);
    }

    #[test]
    fn any_text_is_read_or_refused_and_what_is_read_reads_back(
        text in r#"((kind|campaign|ttp|suffix|tag|publisher|event|platform|x)(:|>=|=)[a-z0-9.*"\\, \u{440}\u{ff0e}W\-]{0,12} ){0,4}"#
    ) {
        if let Ok(parsed) = Filter::parse(&text) {
            prop_assert_eq!(Filter::parse(&parsed.to_string()).unwrap(), parsed);
        }
    }
}
