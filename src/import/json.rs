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
    let mut report = Report {
        title: value.get("title").and_then(Value::as_str).and_then(title::clean),
        ..Report::default()
    };
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
    match of(Column::Value) {
        // An application's number may come without quotes.
        Some(Value::Number(number)) => entry.read(&number.to_string(), setting),
        _ => entry.read(text(Column::Value), setting),
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
