//! Properties of observables over arbitrary text: reading is total, its results are canonical, and reading them again
//! changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use clearinghouse::domain::observable::{Kind, Observable, id_of};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::FileFailurePersistence;

/// Pieces of addresses, disguises and oddities.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "http://", "hxxps://", "h**p://", "meow://", "ftp://", "[://]", "[:]", "www.", "www[.]", "example", "a", "com", "org",
    ".", "[.]", "(dot)", "[.", ".]", "{at}", "@", "#", "?", "/", "//", ":", ":80", ":443", ":8080", ":0", "%2f", "%c3%a9",
    "%", "\u{e9}", "\u{fc}", "\u{df}", "\u{131}", "\u{130}", "\u{3002}", "\u{200b}", "\u{a0}", " ", "\n", "'", "\"", "<",
    ">", "\u{201c}", "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "::ffff:192.0.2.1", "q=1", "-", "_", "+", "63",
    "accounts", "x:", "twitter:", "id:1", "UA-1-1", "0x", "AS", "+44", "/24", "T1", "\u{1d5ef}", "\u{301}", "\u{1}",
    "youtube.com/", "t.me/", "x.com/", "\u{3a3}", "\u{345}", "[", "]", "(", ")", "\\", "~", "1", "\u{939}\u{94d}",
];

/// A sound value of each kind, some of several kinds, in the documentation's ranges.
#[rustfmt::skip]
const EXAMPLES: &[&str] = &[
    "https://www.example.com/", "a.b.example.co.uk", "b\u{fc}cher.example.com", "hxxps://example[.]com:8080/a/b/?q=%c3%a9&r=1#f",
    "http://[2001:db8::1]:8080/a", "192.0.2.1", "2001:db8::1", "203.0.113.0/24", "2001:db8::/32", "AS64496",
    "info[at]example[.]com", "\u{c9}mile@example.com", "+12025550123", "+44 20 7946 0123", "x:example_1",
    "https://twitter.com/Example_1/status/1", "https://t.me/s/example", "https://t.me/+AbC", "example.medium.com",
    "https://youtube.com/channel/UCabcdefghijklmnopqrstuv", "https://youtube.com/@%D8%A7%D9%85", "facebook:id:100000000000001",
    "youtube:aBc-_1", "#Ex\u{e4}mple", "#\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}", "act_123", "com.example.App_1",
    "id1234567890", "chrome:abcdefghijklmnopabcdefghijklmnop", "firefox:add-on@example.com",
    "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "T100112233445566778899aabbccddeeff00112233445566778899aabbccddeeff001122",
    "One text,\n copied and pasted \u{1d5ef}\u{1d5fc}", "UA-000001-2", "G-ABC123", "ca-pub-0000000000000001",
    "1111111111111111111114oLvT2", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "-1234567", "4,789 accounts", "About 110 accounts",
];

/// Pieces in any order.
fn near_misses() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..12).prop_map(|pieces| pieces.concat())
}

/// A sound value with a few pieces put in and a few characters taken out.
fn edited() -> impl Strategy<Value = String> {
    let edit = (
        any::<prop::sample::Index>(),
        prop::option::of(prop::sample::select(PIECES)),
    );
    (prop::sample::select(EXAMPLES), prop::collection::vec(edit, 0..4)).prop_map(|(example, edits)| {
        let mut characters: Vec<char> = example.chars().collect();
        for (at, piece) in edits {
            let at = at.index(characters.len() + 1);
            match piece {
                Some(piece) => drop(characters.splice(at..at, piece.chars())),
                None => drop(characters.drain(at.min(characters.len())..(at + 1).min(characters.len()))),
            }
        }
        characters.into_iter().collect()
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => edited(),
        2 => near_misses(),
        1 => any::<String>(),
        1 => "[ -~]{0,40}",
        1 => "[a-z]{1,9}\\.com/\\PC{0,20}",
        1 => "(x|youtube|telegram):\\PC{1,8}",
        1 => "#\\w{1,6}",
        1 => "\\+[0-9 ]{5,18}",
    ]
}

/// Of what the generator makes, enough must be values, or the properties below hold of nothing.
#[test]
fn the_generator_makes_values_of_many_kinds() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut kinds = BTreeMap::<Kind, usize>::new();
    let mut declared = BTreeSet::<Kind>::new();
    for _ in 0..20_000 {
        let raw = any_text().new_tree(&mut runner).unwrap().current();
        if let Ok(read) = Observable::parse(&raw) {
            *kinds.entry(read.kind()).or_default() += 1;
        }
        declared.extend(
            Kind::ALL
                .iter()
                .filter_map(|kind| Some(Observable::parse_as(*kind, &raw).ok()?.kind())),
        );
    }
    println!("{kinds:?}\nof declared kinds: {declared:?}");
    assert!(
        kinds.values().all(|count| *count > 20) && kinds.len() == 10,
        "{kinds:?}"
    );
    assert_eq!(declared.len(), Kind::ALL.len(), "{declared:?}");
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL)
}

/// Whether N, which peels one layer, left another one on: a further `www.` or `/`, or a quotation mark that came to
/// stand at the end when a `/`, `?` or fragment went.
fn keeps_a_layer(value: &str) -> bool {
    let path = value.split('?').next().unwrap_or_default();
    value.starts_with("www.") || path.ends_with('/') || value.ends_with(['`', '"', '\'', '<', '>', '?'])
}

/// `PROPTEST_CASES` asks for a longer run.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(20_000)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/observable_properties.proptest-regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn reading_a_value_again_changes_nothing(raw in any_text()) {
        if let Ok(read) = Observable::parse(&raw) {
            prop_assert_eq!(Observable::from_canonical(read.kind(), read.value()), Ok(read.clone()));
            if !keeps_a_layer(read.value()) {
                prop_assert_eq!(Observable::parse(read.value()), Ok(read.clone()));
            }
            prop_assert!(read.value().len() <= read.kind().value_bytes_max());
            prop_assert_eq!(read.id(), read.clone().id());
        }
    }

    #[test]
    fn reading_a_declared_value_again_changes_nothing(kind in any_kind(), raw in any_text()) {
        if let Ok(read) = Observable::parse_as(kind, &raw) {
            prop_assert_eq!(Observable::from_canonical(read.kind(), read.value()), Ok(read.clone()));
            if !keeps_a_layer(read.value()) {
                prop_assert_eq!(Observable::parse_as(read.kind(), read.value()), Ok(read.clone()));
            }
            prop_assert!(read.value().len() <= read.kind().value_bytes_max());
        }
    }

    #[test]
    fn what_is_derived_is_canonical_too(raw in any_text()) {
        if let Ok(read) = Observable::parse(&raw) {
            // A derived host is N's value of itself, without a layer that N would still take.
            let account = read.account();
            let account = account.iter().map(|account| (account.kind(), account.value()));
            for (kind, value) in read.parents().chain(account) {
                prop_assert_eq!(Observable::from_canonical(kind, value).map(|derived| derived.id()), Ok(id_of(kind, value)));
            }
        }
    }
}
