//! Every public report of the corpus, read and compared with its published facts, file by file: rows by class, types,
//! uniques, accounts and procedures. The corpus is not part of the project: where it is absent the test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clearinghouse::domain::observable::Kind;
use clearinghouse::import::{self, Class, Format, Report};
use serde_json::Value;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus");

type Counts = BTreeMap<String, u64>;

/// The facts and where the files lie, or `None`, said aloud, without the corpus.
fn corpus() -> Option<(Value, PathBuf)> {
    let root = Path::new(CORPUS);
    match fs::read(root.join("facts.json")) {
        Ok(bytes) => Some((
            serde_json::from_slice(&bytes).expect("facts.json is JSON"),
            root.to_owned(),
        )),
        Err(error) => {
            println!("skipped: no corpus at {CORPUS} ({error})");
            None
        }
    }
}

fn read(root: &Path, facts: &Value) -> (Format, Report) {
    let name = facts["file"].as_str().expect("file");
    let bytes = fs::read(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let format = Format::detect(name, &bytes).unwrap_or_else(|| panic!("{name}: format not detected"));
    (
        format,
        import::read(format, name, &bytes).unwrap_or_else(|error| panic!("{name}: {error}")),
    )
}

/// The formats that a family of the facts may be found to have.
fn formats_of(family: &str) -> &'static [Format] {
    match family {
        "meta-kill-chain" | "meta-legacy" => &[Format::Csv, Format::Tsv],
        "meta-legacy-json" => &[Format::Json],
        "stix-1-xml" => &[Format::Stix1],
        "stix-2" => &[Format::Stix2],
        "misp-event" => &[Format::Misp],
        "one-per-line" => &[Format::Lines],
        other => panic!("unknown family {other}"),
    }
}

fn expected(facts: &Value, field: &str) -> Counts {
    let fields = facts[field].as_object().into_iter().flatten();
    fields
        .map(|(name, count)| (name.clone(), count.as_u64().expect("a count")))
        .collect()
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> Counts {
    let mut counts = Counts::new();
    for name in names {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

/// The observables of the rows of class indicator: what the facts call the file's values.
fn values(report: &Report) -> impl Iterator<Item = (Kind, &str)> {
    let rows = report.rows.iter().filter(|row| row.class == Class::Indicator);
    rows.filter_map(|row| row.draft())
        .map(|draft| (draft.observable.kind(), draft.observable.value()))
}

/// A line for each fact that the report does not show.
fn mismatches(facts: &Value, report: &Report) -> Vec<String> {
    let unique: BTreeSet<(Kind, &str)> = values(report).collect();
    let ttps = report.rows.iter().flat_map(|row| row.ttps.iter().map(String::as_str));
    let accounts: BTreeSet<String> = report
        .rows
        .iter()
        .filter(|row| row.class == Class::Indicator)
        .filter_map(|row| row.draft()?.observable.account().map(|account| format!("{account:?}")))
        .collect();
    let found: [(&str, Counts); 4] = [
        ("rows_by_class", count(report.rows.iter().map(|row| row.class.name()))),
        (
            "indicator_rows_by_type",
            count(values(report).map(|(kind, _)| kind.name())),
        ),
        ("unique_by_type", count(unique.iter().map(|(kind, _)| kind.name()))),
        ("rows_by_procedure", count(ttps)),
    ];
    let mut lines = Vec::new();
    for (field, found) in found {
        let expected = expected(facts, field);
        if found != expected {
            lines.push(format!("{field}: expected {expected:?}, found {found:?}"));
        }
    }
    let numbers = [
        ("records", report.rows.len() as u64),
        ("unique_total", unique.len() as u64),
        ("duplicate_rows", (values(report).count() - unique.len()) as u64),
        ("accounts", accounts.len() as u64),
    ];
    for (field, found) in numbers {
        let expected = facts[field].as_u64().unwrap_or_default();
        if found != expected {
            lines.push(format!("{field}: expected {expected}, found {found}"));
        }
    }
    lines
}

#[test]
fn every_report_of_the_corpus_has_the_counts_of_its_facts() {
    let Some((facts, root)) = corpus() else { return };
    let files = facts["files"].as_array().expect("files");
    assert!(files.len() > 100, "only {} files in facts.json", files.len());
    let mut bad = 0;
    for facts in files {
        let (format, report) = read(&root, facts);
        let name = facts["file"].as_str().unwrap_or_default();
        let family = facts["family"].as_str().unwrap_or_default();
        let mut lines = mismatches(facts, &report);
        if !formats_of(family).contains(&format) {
            lines.push(format!("detected as {}, not as {family}", format.name()));
        }
        for line in &lines {
            println!("{name}: {line}");
        }
        bad += lines.len();
    }
    println!("{} files compared with their facts, {bad} mismatches", files.len());
    assert_eq!(bad, 0);
}

#[test]
fn corpus_totals_are_those_of_the_facts() {
    let Some((facts, root)) = corpus() else { return };
    let reports: Vec<Report> = facts["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|facts| read(&root, facts).1)
        .collect();
    let totals = &facts["totals"];
    let classes = count(
        reports
            .iter()
            .flat_map(|report| &report.rows)
            .map(|row| row.class.name()),
    );
    assert_eq!(classes, expected(totals, "rows_by_class"));
    let unique: BTreeSet<(Kind, &str)> = reports.iter().flat_map(values).collect();
    assert_eq!(
        count(unique.iter().map(|(kind, _)| kind.name())),
        expected(totals, "unique_by_type")
    );
    assert_eq!(Some(unique.len() as u64), totals["unique_pairs"].as_u64());
}

#[test]
fn rows_that_the_facts_single_out_are_read_so() {
    let Some((facts, root)) = corpus() else { return };
    for facts in facts["files"].as_array().expect("files") {
        let (_, report) = read(&root, facts);
        let name = facts["file"].as_str().unwrap_or_default();
        let row = |fact: &Value| {
            let raw = fact["raw"].as_str().expect("raw");
            let row = report.rows.iter().find(|row| row.raw.trim() == raw.trim());
            row.unwrap_or_else(|| panic!("{name}: no row {raw:?}"))
        };
        for fact in facts["must_reject"].as_array().into_iter().flatten() {
            assert_eq!(row(fact).class, Class::Malformed, "{name}: {fact}");
            assert!(
                row(fact).draft().is_none() && row(fact).reason().is_some(),
                "{name}: {fact}"
            );
        }
        for fact in facts["suspect"].as_array().into_iter().flatten() {
            assert_eq!(row(fact).class, Class::Suspect, "{name}: {fact}");
            assert_eq!(row(fact).reason(), fact["reason"].as_str(), "{name}: {fact}");
        }
        for fact in facts["annotated"].as_array().into_iter().flatten() {
            let draft = row(fact)
                .draft()
                .unwrap_or_else(|| panic!("{name}: not accepted: {fact}"));
            assert_eq!(fact["expect"][0].as_str(), Some(draft.observable.kind().name()));
            assert_eq!(fact["expect"][1].as_str(), Some(draft.observable.value()));
            let note = draft.note.as_deref().unwrap_or_default();
            assert!(
                note.starts_with(fact["note"].as_str().unwrap_or_default()),
                "{name}: {note}"
            );
        }
        for fact in facts["wrapped"].as_array().into_iter().flatten() {
            assert_eq!(row(fact).class, Class::Wrapped, "{name}: {fact}");
            let joined = fact["joined"][1].as_str().expect("joined");
            assert!(
                row(fact).reason().is_some_and(|reason| reason.ends_with(joined)),
                "{name}: {fact}"
            );
            let never = fact["never"].as_str().expect("never");
            assert!(
                values(&report).all(|(_, value)| value != never),
                "{name}: cut to {never}"
            );
        }
    }
}

#[test]
fn rows_of_the_vectors_have_their_class_and_value() {
    let Some((facts, root)) = corpus() else { return };
    let vectors = fs::read_to_string(root.join("vectors.jsonl")).expect("vectors.jsonl");
    let vectors: Vec<Value> = vectors
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect();
    assert!(vectors.len() > 100, "only {} vectors", vectors.len());
    let mut seen = 0;
    for facts in facts["files"].as_array().expect("files") {
        let (_, report) = read(&root, facts);
        for vector in vectors.iter().filter(|vector| vector["file"] == facts["file"]) {
            let raw = vector["raw"].as_str().expect("raw").trim();
            let class = vector["cls"].as_str().expect("cls");
            let mut rows = report
                .rows
                .iter()
                .filter(|row| row.raw.trim() == raw && row.class.name() == class);
            let row = rows.next().unwrap_or_else(|| panic!("no such row: {vector}"));
            if let Some(draft) = row.draft().filter(|_| class != "count") {
                assert_eq!(
                    Some(draft.observable.kind().name()),
                    vector["type"].as_str(),
                    "{vector}"
                );
                assert_eq!(Some(draft.observable.value()), vector["value"].as_str(), "{vector}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, vectors.len());
}
