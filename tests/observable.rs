//! Rule N against the world: vectors and counts of the published reports, IANA's list of top-level domains, and golden
//! ids. The tables for each kind stand beside the code, the properties in `observable_properties.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clearinghouse::domain::observable::{Invalid, Kind, NAMESPACE, Observable};
use serde_json::Value;

/// The folder of the published reports, which stands beside the project and not in it. Says so where it is absent.
fn corpus() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus"));
    if !folder.is_dir() {
        println!("skipped: no corpus at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn text_of(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// A file in which every vector's class has its expectation, so that none is passed over.
#[test]
fn every_vector_is_read_as_expected() {
    let Some(corpus) = corpus() else { return };
    let lines = std::fs::read_to_string(corpus.join("vectors.jsonl")).unwrap();
    let mut classes = BTreeMap::<String, usize>::new();
    for line in lines.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let class = text_of(&vector, "cls");
        check_vector(&class, &vector);
        *classes.entry(class).or_default() += 1;
    }
    println!("vectors by class: {classes:?}");
    assert_eq!(classes.values().sum::<usize>(), lines.lines().count());
    assert!(classes["indicator"] > 100 && classes.len() == 8);
}

fn check_vector(class: &str, vector: &Value) {
    let (raw, value) = (text_of(vector, "raw"), text_of(vector, "value"));
    let read = Observable::parse(&raw);
    let kind = || Kind::from_name(&text_of(vector, "type")).unwrap();
    match class {
        "indicator" => {
            // Apps have a declared type in every format, though the vector names it only for some.
            let declared = vector["declared"]
                .as_str()
                .map_or_else(kind, |name| Kind::from_name(name).unwrap());
            let as_declared = Observable::parse_as(declared, &raw).unwrap();
            assert_eq!((as_declared.kind(), as_declared.value()), (kind(), &*value), "{raw}");
            if !matches!(kind(), Kind::AndroidApp | Kind::IosApp) {
                assert_eq!(read, Ok(as_declared), "{raw}");
            }
        }
        "malformed" => {
            assert!(matches!(read, Err(Invalid::Malformed(_))), "{raw}");
            assert_eq!(read.unwrap_err().to_string(), text_of(vector, "reason"), "{raw}");
        }
        "suspect" => {
            assert!(matches!(read, Err(Invalid::UnknownTld(_))), "{raw}");
            assert_eq!(read.unwrap_err().to_string(), text_of(vector, "reason"), "{raw}");
        }
        // Whether to join or to cut is the importer's to decide; N says only that this is not one value.
        "wrapped" => {
            assert_eq!(read, Err(Invalid::Whitespace), "{raw}");
            let joined: String = raw.split_whitespace().collect();
            assert_eq!(
                Observable::parse(&joined),
                Observable::from_canonical(kind(), &value),
                "{raw}"
            );
            assert!(Observable::from_canonical(kind(), &value).is_ok(), "{raw}");
        }
        "annotated" => {
            assert_eq!(read, Err(Invalid::Whitespace), "{raw}");
            let first = raw.split_whitespace().next().unwrap().trim_end_matches(',');
            assert_eq!(
                Observable::parse(first),
                Observable::from_canonical(kind(), &value),
                "{raw}"
            );
            assert!(Observable::from_canonical(kind(), &value).is_ok(), "{raw}");
        }
        "count" => {
            assert_eq!(read, Err(Invalid::Whitespace), "{raw}");
            assert_eq!(
                Observable::parse_as(Kind::Aggregate, &raw).unwrap().kind(),
                Kind::Aggregate,
                "{raw}"
            );
        }
        "text" => {
            assert_eq!(read, Err(Invalid::Whitespace), "{raw}");
            assert_eq!(
                Observable::parse_as(Kind::Text, &raw).unwrap().kind(),
                Kind::Text,
                "{raw}"
            );
        }
        "empty" => assert_eq!(read, Err(Invalid::Empty)),
        other => panic!("a class without an expectation: {other}"),
    }
}

#[test]
fn top_level_domains_are_those_of_iana() {
    let Some(corpus) = corpus() else { return };
    let text = std::fs::read_to_string(corpus.join("misp/warninglists/tlds/list.json")).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let labels: BTreeSet<String> = list["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|label| label.as_str().unwrap().to_ascii_lowercase())
        .collect();
    let unknown: Vec<_> = labels
        .iter()
        .filter(|label| Observable::parse(&format!("example.{label}")).is_err())
        .collect();
    assert!(
        labels.len() > 1400 && unknown.is_empty(),
        "IANA has them and we do not: {unknown:?}"
    );
    // Special-use names, and suffixes that no one has delegated.
    let undelegated = [
        "xn--mgb2ddes",
        "xn--mgba3a4fra",
        "xn--mgbtf8fl",
        "xn--mix082f",
        "xn--nnx388a",
    ];
    let special = [
        "lab",
        "local",
        "onion",
        "test",
        "example",
        "invalid",
        "localhost",
        "internal",
        "corp",
        "zz",
    ];
    for label in undelegated.into_iter().chain(special) {
        assert!(!labels.contains(label));
        assert_eq!(
            Observable::parse(&format!("example.{label}")),
            Err(Invalid::UnknownTld(label.into()))
        );
    }
}

/// The cells of a table, or the attributes of a MISP event: each with the type that its row declares, if any.
fn cells(path: &std::path::Path) -> Vec<(Option<Kind>, String)> {
    if path.extension().is_some_and(|extension| extension == "json") {
        let event: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut found = Vec::new();
        attributes(&event, &mut found);
        return found;
    }
    let delimiter = if path.extension().is_some_and(|extension| extension == "tsv") {
        b'\t'
    } else {
        b','
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .has_headers(false)
        .from_path(path);
    let rows = reader.as_mut().unwrap().byte_records().map(Result::unwrap);
    rows.flat_map(|row| {
        let texts: Vec<String> = row
            .iter()
            .map(|cell| String::from_utf8_lossy(cell).into_owned())
            .collect();
        let declared = texts.first().and_then(|first| Kind::from_name(first));
        texts.into_iter().map(move |text| (declared, text))
    })
    .collect()
}

fn attributes(value: &Value, found: &mut Vec<(Option<Kind>, String)>) {
    match value {
        Value::Object(fields) => {
            if let (Some(Value::String(kind)), Some(Value::String(text))) = (fields.get("type"), fields.get("value")) {
                found.push((Kind::from_name(kind), text.clone()));
            }
            fields.values().for_each(|inner| attributes(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| attributes(inner, found)),
        _ => {}
    }
}

#[test]
fn accounts_of_all_reports_are_counted_alike() {
    let Some(corpus) = corpus() else { return };
    let facts: Value = serde_json::from_str(&std::fs::read_to_string(corpus.join("facts.json")).unwrap()).unwrap();
    let mut accounts = BTreeSet::new();
    let mut files = 0;
    for file in facts["files"].as_array().unwrap() {
        if !["meta-legacy", "meta-kill-chain", "misp-event"].contains(&file["family"].as_str().unwrap()) {
            continue;
        }
        let name = file["file"].as_str().unwrap();
        let here: BTreeSet<Observable> = cells(&corpus.join(name))
            .iter()
            .filter_map(|(_, text)| Observable::parse(text).ok()?.account())
            .collect();
        println!("{name}: {} accounts, facts say {}", here.len(), file["accounts"]);
        accounts.extend(here);
        files += 1;
    }
    assert!(files > 80);
    let mut by_platform = BTreeMap::<String, u64>::new();
    for account in &accounts {
        assert_eq!(account.kind(), Kind::Account);
        *by_platform
            .entry(account.value().split(':').next().unwrap().to_owned())
            .or_default() += 1;
    }
    println!("{by_platform:?}");
    let expected: BTreeMap<String, u64> =
        serde_json::from_value(facts["totals"]["accounts_by_platform"].clone()).unwrap();
    assert_eq!(by_platform, expected);
    assert_eq!(accounts.len() as u64, facts["totals"]["accounts"].as_u64().unwrap());
}

#[test]
fn lists_and_typed_tables_hold_the_counted_values() {
    let Some(corpus) = corpus() else { return };
    let facts: Value = serde_json::from_str(&std::fs::read_to_string(corpus.join("facts.json")).unwrap()).unwrap();
    let mut files = 0;
    for file in facts["files"].as_array().unwrap() {
        let name = file["file"].as_str().unwrap();
        let path = corpus.join(name);
        let texts = match file["family"].as_str().unwrap() {
            "one-per-line" => std::fs::read_to_string(path)
                .unwrap()
                .lines()
                .map(|line| (None, line.to_owned()))
                .collect(),
            // The type in the first cell, the value in the second; the type of a row is no value itself.
            "meta-legacy" => cells(&path)
                .into_iter()
                .filter(|(kind, _)| kind.is_some())
                .collect::<Vec<_>>(),
            _ => continue,
        };
        let mut by_type = BTreeMap::<String, BTreeSet<String>>::new();
        for (declared, text) in &texts {
            let read = match declared {
                Some(kind) => Observable::parse_as(*kind, text),
                None => Observable::parse(text),
            };
            if let Ok(read) = read {
                assert_eq!(
                    Observable::from_canonical(read.kind(), read.value()),
                    Ok(read.clone()),
                    "{text}"
                );
                by_type
                    .entry(read.kind().name().to_owned())
                    .or_default()
                    .insert(read.value().to_owned());
            }
        }
        let counts: BTreeMap<String, usize> = by_type.into_iter().map(|(kind, values)| (kind, values.len())).collect();
        let expected: BTreeMap<String, usize> = serde_json::from_value(file["unique_by_type"].clone()).unwrap();
        assert_eq!(counts, expected, "{name}");
        files += 1;
    }
    assert!(files > 15, "{files}");
}

/// Kind, raw text, value and id, one of each kind. The ids were computed elsewhere (Python's `uuid.uuid5`), and are for
/// ever: members hold them.
#[rustfmt::skip]
const GOLDEN: &[(&str, &str, &str, &str)] = &[
    ("domain", "https://www.B\u{fc}cher.example.com/", "xn--bcher-kva.example.com", "5b0e10db-d179-5f2b-b1e8-3aeb20e89051"),
    ("url", "hxxps://example[.]com:8080/a/?q=%c3%a9#x", "example.com:8080/a?q=%C3%A9", "d6df81ae-13f7-5d03-ab27-93f7d5f95f76"),
    ("ipv4", "192[.]0[.]2[.]1", "192.0.2.1", "7e211ebd-66a5-579b-b386-fed8f2eed49f"),
    ("ipv6", "2001:DB8:0::1", "2001:db8::1", "445839c7-9aad-5bc7-b5b2-b4254329158c"),
    ("ipv4-network", "203.0.113.7/24", "203.0.113.0/24", "8e5aea14-5c2b-580e-97bf-2211714f394e"),
    ("ipv6-network", "2001:db8::1/32", "2001:db8::/32", "26cb8639-6b6d-5fc6-8944-10d280d194e6"),
    ("asn", "as64496", "AS64496", "66ffd59b-9f3c-58f1-8f98-af4227fda845"),
    ("email", "Info[at]Example[.]com", "info@example.com", "5ca3cfd2-c383-5eca-80cd-fb63edb50c77"),
    ("phone", "+44 (0)20 7946 0123", "+442079460123", "a76a27ba-e941-5f56-8d0e-8c42404354e4"),
    ("account", "https://twitter.com/Example", "x:example", "f3f35b8a-6c2f-583f-bb86-52e932f73a55"),
    ("page", "facebook:Example.Page", "facebook:example.page", "36558b80-93b8-5f2e-98aa-5a610e183578"),
    ("group", "https://facebook.com/groups/123", "facebook:123", "0d2c6e64-6578-5c6c-ba59-383c871b48f0"),
    ("channel", "https://t.me/s/Example", "telegram:example", "aafa68ca-ed92-5412-aa73-a240338e7d9e"),
    ("post", "https://x.com/example/status/1234567890", "x:1234567890", "4006e9a2-04c9-550b-a8a7-6a0e830beab5"),
    ("hashtag", "#Stra\u{df}e", "#strasse", "4f576b40-299b-5acc-b569-fc94070677a0"),
    ("ad-account", "act_123", "meta:123", "662bcc8d-2160-5405-9b2b-108fabcd92da"),
    ("android-package", "com.example.App", "com.example.App", "8d7cbf97-3a0d-5788-ac9e-23b8f0238b13"),
    ("ios-app-id", "id1234567890", "1234567890", "56af43de-ee34-5d04-a9ae-e1f64173b5f7"),
    ("browser-extension", "ABCDEFGHIJKLMNOPABCDEFGHIJKLMNOP", "chrome:abcdefghijklmnopabcdefghijklmnop", "8cba9420-ce01-5c5e-a421-14aaaaf4e1af"),
    ("md5", "0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcdef", "19fc69f0-fe82-5fbf-bfef-7cc6dad0fff9"),
    ("sha1", "0123456789ABCDEF0123456789ABCDEF01234567", "0123456789abcdef0123456789abcdef01234567", "4909f15b-6fb0-5c4a-9b05-6d78a105db99"),
    ("sha256", "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "95d8eb13-3a57-5fdd-9edb-33c592a00ec5"),
    ("sha512", "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "bcc45ab7-d707-5b57-8c0c-e7dd367b5703"),
    ("pdq", "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "b51bd2e3-e7af-535f-8dcf-725073e1dda7"),
    ("tlsh", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef012345", "T10123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF012345", "91777bbd-7eb8-57d9-8467-c319f369d2cd"),
    ("text", " \u{1d5ef}\u{1d5fc}\u{1d5f9}\u{1d5f1}\n text ", "bold text", "5637e57e-2f50-5416-9854-9bb26253d468"),
    ("narrative", "Example  claim", "Example claim", "1cfea659-8038-568a-9233-8b6158a3502f"),
    ("tracker-id", "ca-pub-0000000000000001", "google-adsense:pub-0000000000000001", "467422eb-033b-51e4-ab38-1dedb9fc5efb"),
    ("crypto-wallet", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "ethereum:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "6c28652b-128d-54f2-88f4-ecbccd47349a"),
    ("certificate-fingerprint", "SHA256:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "247037a9-1158-5f16-9124-4c2f8f340fa9"),
    ("favicon-hash", "mmh3:-1234", "-1234", "3e0c0e48-0932-5d65-88a1-5e6dbba499d7"),
    ("aggregate", "4,789 Accounts", "4789 accounts", "b6b1e058-21cb-537d-95c2-8693a6b43204"),
];

#[test]
fn values_and_ids_of_every_kind_never_change() {
    let namespace = uuid::Uuid::new_v5(
        &uuid::Uuid::NAMESPACE_URL,
        b"https://example.org/clearinghouse/observable",
    );
    assert_eq!(NAMESPACE, namespace);
    for (kind, raw, value, id) in GOLDEN {
        let kind = Kind::from_name(kind).unwrap();
        let read = Observable::parse_as(kind, raw).unwrap();
        assert_eq!(
            (read.kind(), read.value(), &*read.id().to_string()),
            (kind, *value, *id),
            "{raw}"
        );
    }
    let kinds: Vec<&str> = GOLDEN.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>());
}

#[test]
fn the_id_of_a_long_value_is_over_the_same_bytes() {
    let long = format!("example.com/{}", "a".repeat(300));
    let name = format!("url:{long}");
    assert_eq!(
        Observable::parse(&long).unwrap().id().0,
        uuid::Uuid::new_v5(&NAMESPACE, name.as_bytes())
    );
}
