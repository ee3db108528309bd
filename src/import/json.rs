//! A JSON list of records with the columns of a table as names. Refuses to look for records deeper than that.

use serde_json::Value;

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
        other => return malformed(entry, other, "the record is neither an object nor a text"),
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
    let of_kill_chain = [Column::Tactic, Column::Technique, Column::Procedure];
    let is_kill_chain = of_kill_chain.into_iter().any(|column| of(column).is_some());
    let place = if is_kill_chain { Setting::Prose } else { Setting::Value };
    let setting = Setting::declared(text(Column::Declared), place);
    match of(Column::Value).or_else(|| of(Column::Kind)) {
        Some(Value::String(raw)) => entry.read(raw, setting),
        // An application's number may come without quotes.
        Some(Value::Number(number)) => entry.read(&number.to_string(), setting),
        Some(Value::Null) => entry.read("", setting),
        Some(_) => malformed(entry, value, "the value is neither a text nor a number"),
        None => malformed(entry, value, "no field that holds a value"),
    }
}

fn malformed(entry: Entry, value: &Value, reason: &'static str) -> Row {
    entry.row(
        &value.to_string(),
        cell::Reading::Rejected(Class::Malformed, reason.into()),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{report, show};

    #[test]
    fn json_records_are_read_or_rejected_one_by_one() {
        let text = r##"[{"indicator_type":"ios_app_id","indicator_value":1555651942,"comment":"App","ds":"2022-10-03"},
            {"indicator_type":"domain_name","indicator_value":"amazing.lab"}, "evil[.]com", 7, {},
            {"indicator":null}, {"indicators":{"csv_files":[]}}, {"procedure":"0.9.4 X","indicator":"two words"}]"##;
        let report = report(Format::Json, text);
        let shown: Vec<String> = report.rows.iter().map(show).collect();
        let expected = [
            "indicator: 1555651942, App, -",
            "suspect: -, -, unknown top-level domain 'lab'",
            "indicator: evil.com, -, -",
            "malformed: -, -, the record is neither an object nor a text",
            "malformed: -, -, no field that holds a value",
            "empty: -, -, no value",
            "malformed: -, -, the value is neither a text nor a number",
            "text: -, -, prose",
        ];
        assert_eq!(shown, expected);
    }
}
