//! A JSON list of records with the columns of a type/value table as names. Owns the declared types of that family too,
//! which its CSV, TSV and STIX 1 forms share.

use serde_json::Value;

use crate::domain::observable::Kind;

use super::ReadError;
use super::cell::{self, Entry, Setting};
use super::field::{self, Column};
use super::limits;
use super::row::{Class, Report, Row};
use super::title;

pub(super) fn read(text: &str) -> Result<Report, ReadError> {
    let value = limits::json(text)?;
    let records = match &value {
        Value::Array(records) => records,
        Value::Object(fields) => fields
            .get("indicators")
            .and_then(Value::as_array)
            .ok_or(ReadError::WrongShape {
                expected: "a JSON list of records",
            })?,
        _ => {
            return Err(ReadError::WrongShape {
                expected: "a JSON list of records",
            });
        }
    };
    let mut report = Report::default();
    report.title = value.get("title").and_then(Value::as_str).and_then(title::clean);
    for (index, record) in records.iter().enumerate() {
        report.push(row(index as u64 + 1, record))?;
    }
    Ok(report)
}

fn row(record: u64, value: &Value) -> Row {
    let mut entry = Entry {
        record,
        ..Entry::default()
    };
    let fields = match value {
        Value::Object(fields) => fields,
        Value::String(raw) => return entry.read(raw, Setting::Value),
        other => {
            let reason = "the record is neither an object nor a string";
            return entry.row(
                &other.to_string(),
                cell::Reading::Rejected(Class::Malformed, reason.into()),
            );
        }
    };
    let of = |wanted: Column| {
        fields
            .iter()
            .find(|(name, _)| Column::of(name) == Some(wanted))
            .map(|(_, value)| value)
    };
    let text = |wanted: Column| of(wanted).and_then(Value::as_str).unwrap_or_default();
    entry.ttps = field::procedure_id(text(Column::Procedure)).into_iter().collect();
    entry.note = cell::note(text(Column::Note));
    entry.first_seen = field::timestamp(text(Column::FirstSeen));
    entry.campaign = title::clean(text(Column::Campaign));
    let setting = setting(text(Column::Declared), Setting::Value);
    match of(Column::Value).or_else(|| of(Column::Kind)) {
        // An application's number may come without quotes.
        Some(Value::Number(number)) => entry.read(&number.to_string(), setting),
        Some(Value::String(raw)) => entry.read(raw, setting),
        _ => entry.read("", setting),
    }
}

/// The setting of a value whose source declares a type: the declared one where the text cannot show it, else the
/// place's own. A declared domain, URL, address or hash is read by its text, so that `https://bardai.news` declared a
/// URL is the domain it is.
pub(super) fn setting(declared: &str, place: Setting) -> Setting {
    match Kind::from_name(declared) {
        Some(
            Kind::Domain
            | Kind::Url
            | Kind::Ipv4
            | Kind::Ipv6
            | Kind::Email
            | Kind::Hashtag
            | Kind::Md5
            | Kind::Sha1
            | Kind::Sha256
            | Kind::Sha512,
        )
        | None => place,
        Some(kind) => Setting::Declared(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{report, show};

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
}
