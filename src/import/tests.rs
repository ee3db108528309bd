//! What the readers hold: classes of cells, accounting, positions, limits, and no panic on any bytes.

use proptest::prelude::*;

use super::cell::{Reading, Setting, classify};
use super::*;
use crate::domain::id::Timestamp;
use crate::domain::observable::Kind;

const SAMPLE: &[u8] = include_bytes!("../../samples/operations.csv");

fn report(format: Format, text: &str) -> Report {
    read(format, "report", text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn error(format: Format, bytes: &[u8]) -> ReadError {
    read(format, "report", bytes).expect_err("read what it must refuse")
}

/// The only row, as `class: value, note, reason`.
fn show(row: &Row) -> String {
    let value = row.draft().map_or("-", |draft| draft.observable.value());
    let note = row.draft().and_then(|draft| draft.note.as_deref()).unwrap_or("-");
    format!("{}: {value}, {note}, {}", row.class.name(), row.reason().unwrap_or("-"))
}

fn class(cell: &str, setting: Setting) -> Class {
    match classify(cell, setting) {
        Reading::Accepted { class, .. } | Reading::Rejected(class, _) | Reading::Skipped(class, _) => class,
    }
}

#[test]
fn cells_of_a_kill_chain_table_are_classified() {
    let cases = [
        ("usmimedia[.]com", Class::Indicator),
        (" https[:]//t[.]me/newstopafrique\n", Class::Indicator),
        ("#peoplesay", Class::Indicator),
        (
            "768510fa9eb807bba9c3dcb3c7f87b771e20fa3d81247539e9ea4349205e39eb",
            Class::Indicator,
        ),
        (
            "info[at]amc239[.]com, hosted with Titan.email service",
            Class::Annotated,
        ),
        ("jiraboom[.]pro (Hosted a spoof of Der Spiegel)", Class::Annotated),
        (
            "https://tinyurl[.]com/google-vpn-download\nredirects to: ",
            Class::Annotated,
        ),
        (
            "https://tinyurl[.]com/google-vpn-download redirects to: ",
            Class::Annotated,
        ),
        (
            "evil[.]example[.]com hosts a copy of the ministry's site",
            Class::Annotated,
        ),
        ("evil[.]com - parked", Class::Annotated),
        (
            "https://twitter[.]com/new_observation/status/1562640310273 921025",
            Class::Wrapped,
        ),
        (
            "https://www[.]freelancer[.]com/projects/articles/ Writing-article s-35666510/details",
            Class::Wrapped,
        ),
        (
            "http://89ijlop.blogspot[.]com/2021/12/why-boycott-beijing-win ter-olympics_5.html",
            Class::Wrapped,
        ),
        ("https:// evil[.]com/page", Class::Wrapped),
        ("evil [.] com", Class::Wrapped),
        ("t[.]/RGUD_bot", Class::Malformed),
        ("v21b4327d6881be1893fd2a8431317f6b", Class::Malformed),
        ("evil[.]com worse[.]com", Class::Malformed),
        ("evil[.]com\nworse[.]com", Class::Malformed),
        ("evil.notatld", Class::Suspect),
        ("63 accounts", Class::Count),
        ("4,789 accounts", Class::Count),
        ("18 Instagram accounts", Class::Count),
        ("5 Groups ", Class::Count),
        ("1 Page", Class::Count),
        ("About 40 Pages", Class::Count),
        ("About 1,300 accounts joined one or more of these Groups", Class::Text),
        (
            "5,200 accounts followed one or more of these Instagram accounts.",
            Class::Text,
        ),
        ("BDAnalytica", Class::Text),
        ("Newstop:Afrique", Class::Text),
        (
            "Using bit[.]ly to hide the ultimate destination of malicious links",
            Class::Text,
        ),
        ("Using MediaFire[.]com", Class::Text),
        ("Titan.email is the provider", Class::Text),
        ("Around $1.2 million in spending for ads on Facebook", Class::Text),
        ("2 of the accounts posed as journalists", Class::Text),
        ("Sharing on X / Twitter", Class::Text),
        ("", Class::Empty),
        (" \u{200b}\u{a0}", Class::Empty),
    ];
    for (cell, expected) in cases {
        assert_eq!(class(cell, Setting::Prose), expected, "{cell:?}");
    }
}

#[test]
fn places_for_values_hold_no_prose_words() {
    let cases = [
        ("fbc8213450838f7ae251d4", Class::Malformed),
        ("BDAnalytica", Class::Malformed),
        ("amazing.lab", Class::Suspect),
        ("a.com,b.com", Class::Malformed),
        ("two words", Class::Text),
    ];
    for (cell, expected) in cases {
        assert_eq!(class(cell, Setting::Value), expected, "{cell:?}");
    }
    assert_eq!(
        class("com.abs.provideo_editor", Setting::Declared(Kind::AndroidApp)),
        Class::Indicator
    );
    assert_eq!(
        class("no package", Setting::Declared(Kind::AndroidApp)),
        Class::Malformed
    );
}

#[test]
fn cell_at_the_limit_is_read_and_one_byte_more_is_not() {
    let prose = |bytes: usize| "ab ".repeat(bytes / 3 + 1)[..bytes].to_owned();
    assert_eq!(class(&prose(CELL_BYTES_MAX), Setting::Prose), Class::Text);
    assert_eq!(class(&prose(CELL_BYTES_MAX + 1), Setting::Prose), Class::Malformed);
    let report = report(
        Format::Csv,
        &format!("Procedure,Indicator\n,\"{}\"\n", prose(CELL_BYTES_MAX + 9)),
    );
    assert_eq!(report.rows[0].raw.len(), CELL_BYTES_MAX);
}

#[test]
fn wrapped_url_offers_its_joined_form_and_is_not_cut() {
    let table = "Procedure,Indicator\n,https://twitter[.]com/a/status/15626403 921025\n";
    let report = report(Format::Csv, table);
    let expected = "wrapped: -, -, white space inside a URL; joined it is twitter.com/a/status/15626403921025";
    assert_eq!(show(&report.rows[0]), expected);
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
fn kill_chain_row_keeps_procedure_note_and_position() {
    let table = "Tactic ,Technique,Procedure,Indicator,Commernts\r\n\
        0. Acquiring,0.6 Acquiring domains,0.6.2 Acquiring domains,\"evil[.]com\r\n\", spoof \r\n\
        ,,,,\r\n\
        ,1.2 Posing,,jiraboom[.]pro (a spoof),seen in May\r\n\
        5. Evading,5.5 Obfuscating,5.5.1 Proxy,,\r\n";
    let report = read(Format::Csv, "Q1_2024_A_B.csv", table.as_bytes()).unwrap();
    assert_eq!(report.title.as_deref(), Some("Q1 2024 A B"));
    let shown: Vec<String> = report.rows.iter().map(show).collect();
    let expected = [
        "indicator: evil.com, spoof, -",
        "separator: -, -, blank row",
        "annotated: jiraboom.pro, (a spoof); seen in May, -",
        "empty: -, -, no value",
    ];
    assert_eq!(shown, expected);
    let places: Vec<(Option<u64>, u64)> = report.rows.iter().map(|row| (row.line, row.record)).collect();
    assert_eq!(places, [(Some(2), 2), (Some(4), 3), (Some(5), 4), (Some(6), 5)]);
    let ttps: Vec<&[String]> = report.rows.iter().map(|row| row.ttps.as_slice()).collect();
    assert_eq!(
        ttps,
        [
            &["0.6.2".to_owned()][..],
            &[],
            &["1.2".to_owned()],
            &["5.5.1".to_owned()]
        ]
    );
}

#[test]
fn typed_table_keeps_declared_type_date_and_note() {
    let table = "indicator_type,indicator_value,comment,ds\n\
        android_package_name,com.Abs.provideo_editor,Video,2022-10-03\n\
        url,https://bardai.news,,\n";
    for (format, table) in [(Format::Csv, table.to_owned()), (Format::Tsv, table.replace(',', "\t"))] {
        let report = report(format, &table);
        assert_eq!(show(&report.rows[0]), "indicator: com.Abs.provideo_editor, Video, -");
        let draft = report.rows[0].draft().unwrap();
        assert_eq!(draft.observable.kind(), Kind::AndroidApp);
        assert_eq!(draft.first_seen, Some(Timestamp(1_664_755_200_000_000)));
        assert_eq!(show(&report.rows[1]), "indicator: bardai.news, -, -");
        assert_eq!(report.rows[1].draft().unwrap().observable.kind(), Kind::Domain);
    }
}

#[test]
fn rows_before_the_header_are_a_title_and_are_counted() {
    let report = report(
        Format::Csv,
        "Network from Nowhere,,\n,,\nProcedure;Indicator,Indicator,Notes\n,evil.com,\n",
    );
    assert_eq!(report.title.as_deref(), Some("Network from Nowhere"));
    let classes: Vec<Class> = report.rows.iter().map(|row| row.class).collect();
    assert_eq!(classes, [Class::Text, Class::Separator, Class::Indicator]);
}

#[test]
fn stray_quote_in_tsv_costs_one_cell() {
    let report = report(Format::Tsv, "Procedure\tIndicator\n\t\"evil[.]com\n\tworse[.]com\n");
    let values: Vec<&str> = report
        .rows
        .iter()
        .filter_map(|row| Some(row.draft()?.observable.value()))
        .collect();
    assert_eq!(values, ["evil.com", "worse.com"]);
}

#[test]
fn json_records_are_read_or_rejected_one_by_one() {
    let text = r##"[{"indicator_type":"ios_app_id","indicator_value":1555651942,"comment":"App","ds":"2022-10-03"},
        {"indicator_type":"domain_name","indicator_value":"amazing.lab"}, "evil[.]com", 7, {}]"##;
    let report = report(Format::Json, text);
    let shown: Vec<String> = report.rows.iter().map(show).collect();
    let expected = [
        "indicator: 1555651942, App, -",
        "suspect: -, -, unknown top-level domain 'lab'",
        "indicator: evil.com, -, -",
        "malformed: -, -, the record is neither an object nor a string",
        "empty: -, -, no value",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn lines_are_values_comments_and_blanks() {
    let report = report(Format::Lines, "evil[.]com\n\n# a comment\n#hashtag\nABSCarryLog\n");
    let classes: Vec<Class> = report.rows.iter().map(|row| row.class).collect();
    assert_eq!(
        classes,
        [
            Class::Indicator,
            Class::Separator,
            Class::Text,
            Class::Indicator,
            Class::Malformed
        ]
    );
    assert_eq!(report.rows[3].line, Some(4));
}

fn stix1(body: &str) -> String {
    format!(
        "<stix:STIX_Package xmlns:stix=\"s\" xmlns:i=\"i\" xmlns:F=\"f\" xmlns:xsi=\"x\">\n<stix:STIX_Header>\
         <stix:Title>Op &amp; Co</stix:Title></stix:STIX_Header>\n<stix:Indicators>{body}</stix:Indicators>\
         </stix:STIX_Package>"
    )
}

#[test]
fn stix1_values_titles_and_declared_types_are_read() {
    let report = report(
        Format::Stix1,
        &stix1(
            "<stix:Indicator><i:Title>Ads &#38; Page (android_package_name)</i:Title><i:Observable>\
             <F:File_Name>com.x.y</F:File_Name></i:Observable></stix:Indicator>\n\
             <stix:Indicator><i:Title>C2</i:Title><F:Value>a.com##comma##http://b.com/?x=1&amp;y=2</F:Value>\
             <F:File_Name>a.doc</F:File_Name></stix:Indicator>\n<stix:Indicator/>",
        ),
    );
    assert_eq!(report.title.as_deref(), Some("Op & Co"));
    let shown: Vec<String> = report.rows.iter().map(show).collect();
    let expected = [
        "indicator: com.x.y, Ads & Page, -",
        "indicator: a.com, C2, -",
        "indicator: b.com?x=1&y=2, C2, -",
        "other-pattern: -, -, a file's name is no observable",
        "other-pattern: -, -, no value of a known kind",
    ];
    assert_eq!(shown, expected);
    let places: Vec<(Option<u64>, u64)> = report.rows.iter().map(|row| (row.line, row.record)).collect();
    assert_eq!(
        places,
        [(Some(3), 1), (Some(4), 2), (Some(4), 2), (Some(4), 2), (Some(5), 3)]
    );
}

#[test]
fn xml_that_attacks_the_reader_is_refused() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>\n<stix:STIX_Package>&b;</stix:STIX_Package>";
    assert_eq!(error(Format::Stix1, bomb.as_bytes()), ReadError::Doctype { line: 1 });
    let unknown = stix1("&evil;");
    assert!(matches!(
        error(Format::Stix1, unknown.as_bytes()),
        ReadError::Syntax { line: 3, .. }
    ));
    let nested = |depth: usize| {
        format!(
            "<STIX_Package>{}{}</STIX_Package>",
            "<a>".repeat(depth),
            "</a>".repeat(depth)
        )
    };
    assert!(read(Format::Stix1, "", nested(XML_DEPTH_MAX - 1).as_bytes()).is_ok());
    assert_eq!(
        error(Format::Stix1, nested(XML_DEPTH_MAX).as_bytes()),
        ReadError::TooDeep { line: 1 }
    );
    for broken in ["", "<STIX_Package>", "<html></html>", "<STIX_Package></b>", "evil.com"] {
        error(Format::Stix1, broken.as_bytes());
    }
}

#[test]
fn stix2_indicator_gets_campaign_technique_and_marking() {
    let bundle = r#"{"type":"bundle","id":"b","objects":[
        {"type":"campaign","id":"campaign--1","name":"Op  X"},
        {"type":"attack-pattern","id":"attack-pattern--1","external_references":[{"source_name":"DISARM","external_id":"T0049"}]},
        {"type":"malware","id":"malware--1","name":"Pegasus"},
        {"type":"domain-name","id":"domain-name--1","value":"seen.com"},
        {"type":"indicator","id":"indicator--1","pattern":"[domain-name:value='evil.com' OR url:value='http://evil.com/x']",
         "pattern_type":"stix","valid_from":"1970-01-01T00:00:01Z","description":"D","labels":["l"],
         "object_marking_refs":["marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"]},
        {"type":"indicator","id":"indicator--2","pattern":"[process:name='x']","pattern_type":"stix"},
        {"type":"indicator","id":"indicator--3","pattern":"rule x","pattern_type":"yara"},
        {"type":"indicator","id":"indicator--4","pattern":"[domain-name:value='old.com']","revoked":true},
        {"type":"relationship","relationship_type":"indicates","source_ref":"indicator--1","target_ref":"campaign--1"},
        {"type":"relationship","relationship_type":"indicates","source_ref":"indicator--1","target_ref":"malware--1"},
        {"type":"relationship","relationship_type":"indicates","source_ref":"indicator--1","target_ref":"attack-pattern--1"}]}"#;
    let report = report(Format::Stix2, bundle);
    assert_eq!(report.title.as_deref(), Some("Op X"));
    assert_eq!(report.markings, ["tlp:amber"]);
    let shown: Vec<String> = report.rows.iter().map(show).collect();
    let expected = [
        "indicator: evil.com, D, -",
        "indicator: evil.com/x, D, -",
        "other-pattern: -, -, process:name is no observable",
        "other-pattern: -, -, not a STIX pattern",
        "other-pattern: -, -, revoked by its author",
    ];
    assert_eq!(shown, expected);
    let draft = report.rows[0].draft().unwrap();
    assert_eq!(draft.campaign.as_deref(), Some("Op X"));
    assert_eq!(draft.tags, ["l", "malware:Pegasus"]);
    assert_eq!(draft.first_seen, Some(Timestamp(1_000_000)));
    assert_eq!(report.rows[0].ttps, ["T0049"]);
}

#[test]
fn misp_attributes_composites_and_objects_are_rows() {
    let event = r#"{"info":"Op X","date":"1970-01-02","Tag":[{"name":"tlp:green"}],"Attribute":[
        {"type":"domain|ip","value":"evil.com|192.0.2.1","comment":"c2"},
        {"type":"link","value":"https://vendor.com/report"},
        {"type":"sha256","value":"zz","Tag":[{"name":"x"}]},
        {"type":"domain","value":"gone.com","deleted":true},
        {"type":"mutex","value":"m"}],
        "Object":[{"Attribute":[{"type":"email-src","value":"a@evil.com","first_seen":"1970-01-01T00:00:01Z"}]}]}"#;
    let envelopes = [
        format!("{{\"Event\":{event}}}"),
        format!("{{\"response\":[{{\"Event\":{event}}}]}}"),
        format!("{{\"response\":{{\"Event\":{event}}}}}"),
        format!("[{{\"Event\":{event}}}]"),
        event.to_owned(),
    ];
    for envelope in envelopes {
        assert_eq!(Format::detect("x.json", envelope.as_bytes()), Some(Format::Misp));
        let report = report(Format::Misp, &envelope);
        assert_eq!(
            (report.title.as_deref(), report.markings.as_slice()),
            (Some("Op X"), &["tlp:green".to_owned()][..])
        );
        let shown: Vec<String> = report.rows.iter().map(show).collect();
        let expected = [
            "indicator: evil.com, c2; resolved to 192.0.2.1, -",
            "other-attribute: -, -, attribute of type ip",
            "reference: -, -, a link to a report",
            "malformed: -, -, host has fewer than two labels",
            "other-attribute: -, -, deleted in its event",
            "other-attribute: -, -, attribute of type mutex",
            "indicator: a@evil.com, -, -",
        ];
        assert_eq!(shown, expected);
        assert_eq!(
            report.rows[0].draft().unwrap().first_seen,
            Some(Timestamp(86_400_000_000))
        );
        assert_eq!(report.rows[6].draft().unwrap().first_seen, Some(Timestamp(1_000_000)));
        assert_eq!(
            report.rows.iter().map(|row| row.record).collect::<Vec<_>>(),
            [1, 1, 2, 3, 4, 5, 6]
        );
    }
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
