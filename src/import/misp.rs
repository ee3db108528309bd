//! MISP events (JSON): one event, a response with several, or a list. Reads attributes, also those inside objects;
//! refuses deleted ones. A composite attribute (`domain|ip`) gives a row for each part.

use serde_json::Value;

use super::ReadError;
use super::cell::{self, Entry, Setting};
use super::field;
use super::limits;
use super::row::{Class, Report};
use super::title;

/// Most tags kept of one event and of one attribute.
const TAGS_MAX: usize = 64;

pub(super) fn read(text: &str) -> Result<Report, ReadError> {
    let value = limits::json(text)?;
    let mut report = Report::default();
    let mut record = 0;
    for event in events(&value)? {
        let info = event.get("info").and_then(Value::as_str).and_then(title::clean);
        let event_tags = tags(event);
        report.title = report.title.or_else(|| info.clone());
        report
            .markings
            .extend(event_tags.iter().filter(|tag| tag.starts_with("tlp:")).cloned());
        let event_date = event.get("date").and_then(Value::as_str).and_then(field::timestamp);
        for attribute in attributes(event) {
            record += 1;
            let mut all_tags = event_tags.clone();
            all_tags.extend(tags(attribute));
            let seen = attribute
                .get("first_seen")
                .and_then(Value::as_str)
                .and_then(field::timestamp);
            let entry = Entry {
                record,
                note: attribute.get("comment").and_then(Value::as_str).and_then(cell::note),
                tags: all_tags,
                first_seen: seen.or(event_date),
                campaign: info.clone(),
                ..Entry::default()
            };
            rows(attribute, &entry, &mut report)?;
        }
    }
    Ok(report)
}

/// The events of the three envelopes that MISP and its exports use.
fn events(value: &Value) -> Result<Vec<&Value>, ReadError> {
    let items: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => match fields.get("response") {
            Some(Value::Array(items)) => items.iter().collect(),
            Some(item) => vec![item],
            None => vec![value],
        },
        _ => Vec::new(),
    };
    let event = |item: &&Value| item.get("Event").is_some() || item.get("Attribute").is_some();
    if !items.iter().any(event) {
        return Err(ReadError::WrongShape {
            expected: "a MISP event",
        });
    }
    Ok(items
        .into_iter()
        .map(|item| item.get("Event").unwrap_or(item))
        .collect())
}

/// The event's own attributes, then those of its objects: the order in which they are numbered.
fn attributes(event: &Value) -> impl Iterator<Item = &Value> {
    let objects = list(event, "Object").flat_map(|object| list(object, "Attribute"));
    list(event, "Attribute").chain(objects)
}

fn list<'v>(owner: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    owner.get(field).and_then(Value::as_array).into_iter().flatten()
}

fn tags(owner: &Value) -> Vec<String> {
    let tags = owner.get("Tag").and_then(Value::as_array).into_iter().flatten();
    tags.filter_map(|tag| tag.get("name")?.as_str())
        .filter_map(title::clean)
        .take(TAGS_MAX)
        .collect()
}

/// The rows of one attribute.
fn rows(attribute: &Value, entry: &Entry, report: &mut Report) -> Result<(), ReadError> {
    let kind = attribute.get("type").and_then(Value::as_str).unwrap_or_default();
    let value = attribute.get("value").and_then(Value::as_str).unwrap_or_default();
    let is_deleted = attribute.get("deleted").and_then(Value::as_bool).unwrap_or(false);
    if is_deleted {
        return report.push(entry.clone().skip(value, Class::OtherAttribute, "deleted in its event"));
    }
    let Some((first_kind, second_kind)) = kind.split_once('|') else {
        return report.push(row(kind, value, entry.clone()));
    };
    let (first, second) = value.split_once('|').unwrap_or((value, ""));
    let mut first_entry = entry.clone();
    if second_kind == "ip" && !second.is_empty() {
        // Where a domain pointed once is a fact about it. The address by itself may well be a shared host.
        let resolved = format!("resolved to {second}");
        first_entry.note = Some(
            first_entry
                .note
                .map_or(resolved.clone(), |note| format!("{note}; {resolved}")),
        );
    }
    report.push(row(first_kind, first, first_entry))?;
    report.push(row(second_kind, second, entry.clone()))
}

fn row(kind: &str, value: &str, entry: Entry) -> super::Row {
    match meaning(kind) {
        Meaning::Value => entry.read(value, Setting::Value),
        Meaning::Reference => entry.skip(value, Class::Reference, "a link to a report"),
        Meaning::Other => entry.skip(
            value,
            Class::OtherAttribute,
            format!("attribute of type {}", limits::cut(kind)),
        ),
    }
}

enum Meaning {
    Value,
    Reference,
    Other,
}

/// What an attribute of this type holds. The types of MISP's core format that rule N can read.
fn meaning(kind: &str) -> Meaning {
    match kind {
        "domain"
        | "hostname"
        | "url"
        | "uri"
        | "ip-src"
        | "ip-dst"
        | "md5"
        | "sha1"
        | "sha256"
        | "sha512"
        | "email"
        | "email-src"
        | "email-dst"
        | "email-reply-to"
        | "whois-registrant-email"
        | "dns-soa-email" => Meaning::Value,
        "link" => Meaning::Reference,
        _ => Meaning::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{report, show};
    use crate::domain::id::Timestamp;

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
}
