//! What the columns of a table and the names in a JSON record mean: column names, declared types, dates, procedure ids.
//! Refuses to look at values: cells are classified elsewhere.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::id::Timestamp;
use crate::domain::observable::Observable;

/// A column that the readers understand. Real headers are misspelt (`Commernts`) and padded (`Tactic `).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Tactic,
    Technique,
    Procedure,
    /// The column that holds the values.
    Value,
    /// A column named after a kind (`Domain`): it holds the values where no column says `Indicator`.
    Kind,
    Declared,
    Note,
    FirstSeen,
    Campaign,
}

impl Column {
    /// The column of that header cell, if it is one of ours.
    pub(super) fn of(name: &str) -> Option<Column> {
        let column = match name.trim().to_ascii_lowercase().as_str() {
            "tactic" | "tactics" => Column::Tactic,
            "technique" | "techniques" => Column::Technique,
            "procedure" | "procedures" => Column::Procedure,
            "indicator" | "indicators" | "indicator_value" | "value" | "ioc" | "observable" => Column::Value,
            "domain" | "domains" | "hostname" | "fqdn" | "url" | "urls" | "website" => Column::Kind,
            "indicator_type" | "type" | "kind" | "ioc_type" => Column::Declared,
            "comment" | "comments" | "commernts" | "note" | "notes" | "description" => Column::Note,
            "ds" | "date" | "first_seen" => Column::FirstSeen,
            "campaign" | "operation" | "threat" => Column::Campaign,
            _ => return None,
        };
        Some(column)
    }

    /// Whether these cells are a header: one names the values, and either another says what they are, or none could
    /// be a value itself.
    pub(super) fn is_header<'a>(cells: impl Iterator<Item = &'a str> + Clone) -> bool {
        let columns: Vec<Column> = cells.clone().filter_map(Column::of).collect();
        let is_values = |column: &Column| matches!(column, Column::Value | Column::Kind);
        columns.iter().any(is_values)
            && (!columns.iter().all(is_values) || cells.clone().all(|cell| Observable::parse(cell).is_err()))
    }
}

/// The id that opens a technique or procedure cell: `0.9.4 Acquiring X / Twitter accounts` is `0.9.4`, and
/// `2.1. Soliciting information` is `2.1`. At least two numbers: the first alone is only a tactic.
pub(super) fn procedure_id(cell: &str) -> Option<String> {
    let cell = cell.trim_start();
    let end = cell
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(cell.len());
    let id = cell[..end].trim_end_matches('.');
    let numbers: Vec<&str> = id.split('.').collect();
    let is_id = (2..=5).contains(&numbers.len()) && numbers.iter().all(|number| (1..=3).contains(&number.len()));
    is_id.then(|| id.to_owned())
}

/// A date or an RFC 3339 time as the source wrote it; a bare date is its first moment in UTC.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let moment = match text.parse::<jiff::Timestamp>() {
        Ok(moment) => moment,
        Err(_) => text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
    };
    Some(Timestamp(moment.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_cells_are_read_as_they_are_written() {
        for name in ["Tactic ", "TACTIC"] {
            assert_eq!(Column::of(name), Some(Column::Tactic));
        }
        for name in ["Comments", "Commernts", "Note", "Notes", "comment"] {
            assert_eq!(Column::of(name), Some(Column::Note), "{name}");
        }
        assert_eq!(Column::of("registrar"), None);
        assert!(Column::is_header(["indicator_type", "indicator_value"].into_iter()));
        assert!(Column::is_header(["Domain", "Registrar"].into_iter()));
        assert!(!Column::is_header(["indicator", "evil.com"].into_iter()));
        assert!(!Column::is_header(["Tactic", "Registrar"].into_iter()));
    }

    #[test]
    fn procedure_ids_are_cut_from_their_labels() {
        let cases = [
            ("0.9.4 Acquiring X / Twitter accounts", Some("0.9.4")),
            ("0.9.11.0 Acquiring other accounts", Some("0.9.11.0")),
            (" 2.1. Soliciting information", Some("2.1")),
            ("1.2", Some("1.2")),
            ("0. Acquiring assets", None),
            ("0 Acquiring assets", None),
            ("1..2 x", None),
            ("2023.10.11.12.13.14", None),
            ("Acquiring 0.9.4", None),
            ("", None),
        ];
        for (cell, id) in cases {
            assert_eq!(procedure_id(cell).as_deref(), id, "{cell:?}");
        }
    }

    #[test]
    fn dates_and_times_are_moments_in_utc() {
        let cases = [
            ("2020-12-10", Some(1_607_558_400_000_000)),
            (" 2020-12-10T01:00:00+01:00 ", Some(1_607_558_400_000_000)),
            ("1970-01-01T00:00:00.000001Z", Some(1)),
            ("10/12/2020", None),
            ("2020-02-30", None),
            ("", None),
        ];
        for (text, micros) in cases {
            assert_eq!(timestamp(text), micros.map(Timestamp), "{text}");
        }
    }
}
