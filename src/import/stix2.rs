//! STIX 2.x bundles (JSON). Reads indicators, and what relationships say that they indicate. Refuses to take the other
//! objects of a bundle for indicators: an observed domain is not an accused one.

use std::collections::HashMap;

use serde_json::Value;

use super::ReadError;
use super::cell::{self, Entry, Setting};
use super::field;
use super::limits;
use super::pattern;
use super::row::{Class, Report};
use super::title;

/// Most labels, and most technique ids, kept of one indicator.
const LABELS_MAX: usize = 64;

pub(super) fn read(text: &str) -> Result<Report, ReadError> {
    let value = limits::json(text)?;
    let objects = match &value {
        Value::Array(objects) => objects,
        Value::Object(fields) => fields
            .get("objects")
            .and_then(Value::as_array)
            .ok_or(ReadError::WrongShape {
                expected: "a STIX 2 bundle",
            })?,
        _ => {
            return Err(ReadError::WrongShape {
                expected: "a STIX 2 bundle",
            });
        }
    };
    let context = Context::of(objects);
    let mut report = Report::default();
    report.title = context.title(objects);
    report.markings = context.markings(objects);
    let indicators = objects.iter().filter(|object| text_of(object, "type") == "indicator");
    for (index, indicator) in indicators.enumerate() {
        rows(indicator, index as u64 + 1, &context, &mut report)?;
    }
    Ok(report)
}

fn text_of<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The objects of a bundle by id, and what each indicator indicates.
struct Context<'v> {
    objects: HashMap<&'v str, &'v Value>,
    indicated: HashMap<&'v str, Vec<&'v Value>>,
}

impl<'v> Context<'v> {
    fn of(objects: &'v [Value]) -> Context<'v> {
        let by_id: HashMap<&str, &Value> = objects.iter().map(|object| (text_of(object, "id"), object)).collect();
        let mut indicated: HashMap<&str, Vec<&Value>> = HashMap::new();
        for object in objects {
            if text_of(object, "type") == "relationship" && text_of(object, "relationship_type") == "indicates" {
                let targets = indicated.entry(text_of(object, "source_ref")).or_default();
                targets.extend(
                    by_id
                        .get(text_of(object, "target_ref"))
                        .filter(|_| targets.len() < LABELS_MAX),
                );
            }
        }
        Context {
            objects: by_id,
            indicated,
        }
    }

    /// The bundle's report, or its only campaign or malware, names the file.
    fn title(&self, objects: &[Value]) -> Option<String> {
        [
            "report",
            "grouping",
            "campaign",
            "intrusion-set",
            "threat-actor",
            "malware",
        ]
        .into_iter()
        .find_map(|wanted| {
            let mut of_type = objects.iter().filter(|object| text_of(object, "type") == wanted);
            let first = of_type.next()?;
            if of_type.next().is_some() {
                None
            } else {
                title::clean(text_of(first, "name"))
            }
        })
    }

    /// The TLP markings that any object of the bundle carries, by the names of their definitions.
    fn markings(&self, objects: &[Value]) -> Vec<String> {
        let mut markings = Vec::new();
        for reference in objects.iter().flat_map(marking_refs) {
            let name = tlp_name(reference).map(str::to_owned).or_else(|| {
                let definition = self.objects.get(reference)?;
                let colour = definition.get("definition")?.get("tlp")?.as_str()?;
                Some(format!("tlp:{}", title::clean(colour)?.to_lowercase()))
            });
            if let Some(name) = name.filter(|name| !markings.contains(name)) {
                markings.push(name);
            }
        }
        markings
    }
}

fn marking_refs(object: &Value) -> impl Iterator<Item = &str> {
    object
        .get("object_marking_refs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// The marking definitions that STIX 2.1 (section 7.2.1.4) and the OASIS TLP 2.0 extension fix by id.
fn tlp_name(id: &str) -> Option<&'static str> {
    match id.strip_prefix("marking-definition--")? {
        "613f2e26-407d-48c7-9eca-b8e91df99dc9" => Some("tlp:white"),
        "34098fce-860f-48ae-8e50-ebd3cc5e41da" => Some("tlp:green"),
        "f88d31f6-486f-44da-b317-01333bde0b82" => Some("tlp:amber"),
        "5e57c739-391a-4eb3-b6be-7d15ca92d5ed" => Some("tlp:red"),
        "94868c89-83c2-464b-929b-a1a8aa3c8487" => Some("tlp:clear"),
        "bab4a63c-aed9-4cf5-a766-dfca5abac2bb" => Some("tlp:green"),
        "55d920b0-5e8b-4f79-9ee9-91f868d9b421" => Some("tlp:amber"),
        "939a9414-2ddd-4d32-a0cd-375ea402b003" => Some("tlp:amber+strict"),
        "e828b379-4e03-4974-9ac4-e53a884c97c1" => Some("tlp:red"),
        _ => None,
    }
}

/// The rows of one indicator: one a value, or one that says why there is none.
fn rows(indicator: &Value, record: u64, context: &Context<'_>, report: &mut Report) -> Result<(), ReadError> {
    let pattern = text_of(indicator, "pattern");
    let entry = entry(indicator, record, context);
    if !matches!(text_of(indicator, "pattern_type"), "" | "stix") {
        return report.push(entry.skip(pattern, Class::OtherPattern, "not a STIX pattern"));
    }
    if indicator.get("revoked").and_then(Value::as_bool) == Some(true) {
        return report.push(entry.skip(pattern, Class::OtherPattern, "revoked by its author"));
    }
    let Some(comparisons) = pattern::alternatives(pattern) else {
        return report.push(entry.skip(pattern, Class::OtherPattern, "a pattern of more than single values"));
    };
    for comparison in comparisons {
        report.push(match is_observable_path(&comparison.path) {
            true => entry.clone().read(&comparison.value, Setting::Value),
            false => {
                let reason = format!("{} is no observable", limits::cut(&comparison.path));
                entry.clone().skip(&comparison.value, Class::OtherPattern, reason)
            }
        })?;
    }
    Ok(())
}

fn is_observable_path(path: &str) -> bool {
    matches!(
        path,
        "domain-name:value" | "url:value" | "ipv4-addr:value" | "ipv6-addr:value" | "email-addr:value"
    ) || path.starts_with("file:hashes.")
}

fn entry(indicator: &Value, record: u64, context: &Context<'_>) -> Entry {
    let mut entry = Entry {
        record,
        first_seen: field::timestamp(text_of(indicator, "valid_from")),
        ..Entry::default()
    };
    let name =
        cell::note(text_of(indicator, "name")).filter(|name| !text_of(indicator, "pattern").contains(name.as_str()));
    entry.note = match (name, cell::note(text_of(indicator, "description"))) {
        (Some(name), Some(description)) => Some(format!("{name}; {description}")),
        (name, description) => name.or(description),
    };
    let labels = indicator
        .get("labels")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    entry.tags = labels.take(LABELS_MAX).filter_map(title::clean).collect();
    for target in context.indicated.get(text_of(indicator, "id")).into_iter().flatten() {
        match text_of(target, "type") {
            "campaign" | "intrusion-set" | "threat-actor" => {
                entry.campaign = entry.campaign.or_else(|| title::clean(text_of(target, "name")));
            }
            "attack-pattern" => entry.ttps.extend(technique_id(target)),
            kind => entry
                .tags
                .extend(title::clean(text_of(target, "name")).map(|name| format!("{kind}:{name}"))),
        }
    }
    entry
}

/// The id under which an attack pattern is known outside: `T0049`.
fn technique_id(attack_pattern: &Value) -> Option<String> {
    let references = attack_pattern.get("external_references").and_then(Value::as_array)?;
    references
        .iter()
        .find_map(|reference| title::clean(reference.get("external_id")?.as_str()?))
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{report, show};
    use crate::domain::id::Timestamp;

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
}
