//! What all readers hold: accounting, positions, limits, and no panic on any bytes. Each reader's own tests are in its
//! file.

use proptest::prelude::*;

use super::cell::{Setting, classify};
use super::*;
use crate::domain::observable::Kind;

const SAMPLE: &[u8] = include_bytes!("../../samples/operations.csv");

pub(super) fn report(format: Format, text: &str) -> Report {
    read(format, "report", text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(super) fn error(format: Format, bytes: &[u8]) -> ReadError {
    read(format, "report", bytes).expect_err("read what it must refuse")
}

/// The only row, as `class: value, note, reason`.
pub(super) fn show(row: &Row) -> String {
    let value = row.draft().map_or("-", |draft| draft.observable.value());
    let note = row.draft().and_then(|draft| draft.note.as_deref()).unwrap_or("-");
    format!("{}: {value}, {note}, {}", row.class.name(), row.reason().unwrap_or("-"))
}

#[test]
fn sample_has_its_exact_counts() {
    let report = read_any("samples/operations.csv", SAMPLE).unwrap();
    let tally = report.tally();
    assert_eq!(
        (tally.rows, tally.accepted, tally.rejected, tally.skipped),
        (48, 45, 1, 2)
    );
    let by_class: Vec<(&str, u64)> = tally
        .by_class
        .iter()
        .map(|(class, count)| (class.name(), *count))
        .collect();
    let expected = [
        ("indicator", 43),
        ("annotated", 1),
        ("count", 1),
        ("malformed", 1),
        ("text", 1),
        ("separator", 1),
    ];
    assert_eq!(by_class, expected);
    let mut campaigns: Vec<&str> = report
        .rows
        .iter()
        .filter_map(|row| row.draft()?.campaign.as_deref())
        .collect();
    campaigns.dedup();
    assert_eq!(
        campaigns,
        ["Doppelganger", "People Say", "Cyber Court", "Agora", "Holy Souls"]
    );
    let mut kinds: Vec<&str> = report
        .rows
        .iter()
        .filter_map(|row| Some(row.draft()?.observable.kind().name()))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["aggregate", "domain", "email", "hashtag", "url"]);
}

#[test]
fn file_that_cannot_be_read_says_where_and_why() {
    let table = |body: &[u8]| [b"Procedure,Indicator\n", body].concat();
    let not_utf8 = ReadError::NotUtf8 { line: 3, byte: 26 };
    assert_eq!(error(Format::Csv, &table(b",a.b\n,\xff\n")), not_utf8);
    assert!(matches!(error(Format::Csv, b"x,y\n1,2\n"), ReadError::NoHeader { found } if found == "x, y"));
    assert!(matches!(
        error(Format::Json, b"[\n{]"),
        ReadError::Syntax { line: 2, .. }
    ));
    for format in [Format::Json, Format::Stix2, Format::Misp] {
        assert!(matches!(error(format, b"7"), ReadError::WrongShape { .. }));
        assert!(matches!(
            error(format, "[".repeat(100_000).as_bytes()),
            ReadError::Syntax { .. }
        ));
    }
    assert_eq!(read_any("x.bin", b"\x00 \x01"), Err(ReadError::UnknownFormat));
}

#[test]
fn limits_hold_at_the_limit_plus_one() {
    let lines = |count: usize| "\n".repeat(count);
    assert_eq!(
        report(Format::Lines, &lines(REPORT_ROWS_MAX)).rows.len(),
        REPORT_ROWS_MAX
    );
    assert_eq!(
        error(Format::Lines, lines(REPORT_ROWS_MAX + 1).as_bytes()),
        ReadError::TooManyRows
    );
    let bytes = vec![b' '; FILE_BYTES_MAX + 1];
    assert_eq!(
        error(Format::Lines, &bytes),
        ReadError::FileTooLarge {
            bytes: FILE_BYTES_MAX + 1
        }
    );
    let numbers = format!("[{}0]", "0,".repeat(JSON_NODES_MAX));
    assert_eq!(error(Format::Json, numbers.as_bytes()), ReadError::TooManyNodes);
}

#[test]
fn class_names_are_distinct() {
    let names: std::collections::BTreeSet<&str> = Class::ALL.iter().map(|class| class.name()).collect();
    assert_eq!(names.len(), Class::ALL.len());
}

/// What must hold of any report, however it came about.
fn check_report(report: &Report) {
    let tally = report.tally();
    assert_eq!(tally.rows, tally.accepted + tally.rejected + tally.skipped);
    assert_eq!(tally.rows, tally.by_class.values().sum::<u64>());
    for row in &report.rows {
        assert!(row.raw.len() <= CELL_BYTES_MAX && row.record > 0);
        let is_accepted = matches!(row.class, Class::Indicator | Class::Annotated | Class::Count);
        assert_eq!(row.draft().is_some(), is_accepted, "{row:?}");
        assert_ne!(row.reason(), Some(""));
    }
}

/// Scraps of the formats, from which random files are put together: pure noise never gets past the first parser.
fn scrap() -> impl Strategy<Value = String> {
    let scraps = [
        "Tactic,Technique,Procedure,Indicator\n",
        "indicator_type\tindicator_value\n",
        ",",
        "\t",
        ";",
        "\n",
        "\"",
        "'",
        "{",
        "}",
        "[",
        "]",
        ":",
        "\\",
        "\"type\":\"bundle\"",
        "\"objects\":",
        "\"type\":\"indicator\"",
        "\"pattern\":",
        "\"[url:value='a.com/b' OR ",
        "\"Event\":",
        "\"Attribute\":[",
        "\"Object\":[",
        "\"value\":\"a.com|1.2.3.4\"",
        "\"type\":\"domain|ip\"",
        "<STIX_Package>",
        "</STIX_Package>",
        "<Indicator>",
        "</Indicator>",
        "<Title>x (md5)",
        "</Title>",
        "<Value>",
        "</Value>",
        "&amp;",
        "&#x41;",
        "&#xffffffff;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?x?>",
        "evil[.]com",
        "hxxps://evil[.]com/a b",
        "63 accounts",
        "0.9.4 x",
        "2020-02-02",
        "é",
        "\u{200b}",
        "\u{feff}",
    ];
    prop_oneof![8 => proptest::sample::select(scraps.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for format in Format::ALL {
            if let Ok(report) = read(format, "x", &bytes) {
                check_report(&report);
            }
        }
        let _ = read_any("x.csv", &bytes);
    }

    #[test]
    fn any_scraps_are_read_or_refused(scraps in proptest::collection::vec(scrap(), 0..40)) {
        let text = scraps.concat();
        for format in Format::ALL {
            if let Ok(report) = read(format, "x", text.as_bytes()) {
                check_report(&report);
            }
        }
        let _ = read_any("x", text.as_bytes());
    }

    #[test]
    fn any_damage_to_a_table_is_read_or_refused(at in 0..SAMPLE.len(), byte in any::<u8>(), cut in 0..SAMPLE.len()) {
        let mut bytes = SAMPLE[..cut.max(at + 1)].to_vec();
        bytes[at] = byte;
        if let Ok(report) = read(Format::Csv, "x", &bytes) {
            check_report(&report);
        }
    }

    #[test]
    fn any_cell_is_classified(cell in "\\PC{0,60}") {
        for setting in [Setting::Prose, Setting::Value, Setting::Declared(Kind::AndroidApp)] {
            classify(&cell, setting);
        }
    }
}
