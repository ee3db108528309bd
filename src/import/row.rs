//! What a report is once read: rows, each with its class and what becomes of it, and the tally that must add up.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::domain::id::Timestamp;
use crate::domain::observable::Observable;

use super::ReadError;
use super::limits::{REPORT_ROWS_MAX, REPORT_TEXT_BYTES_MAX};

/// A whole file, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// What the file calls itself, or its name made readable: the campaign of every row that names none.
    pub title: Option<String>,
    /// Markings that the file itself states (`tlp:amber`), in the file's order. The caller must not publish wider.
    pub markings: Vec<String>,
    /// Every record of the file, in the file's order. A record that holds several values gives several rows.
    pub rows: Vec<Row>,
    /// Bytes of text that the rows hold.
    text_bytes: usize,
}

/// One record of a file, or one value of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Line on which the record starts, from 1; `None` in JSON, whose parser does not say.
    pub line: Option<u64>,
    /// Number of the record in the file, from 1. A table's header counts, as in a spreadsheet.
    pub record: u64,
    /// The value as it stands in the file; empty for separators; cut after 64 KiB.
    pub raw: String,
    /// What kind of row it is.
    pub class: Class,
    /// Procedure ids of the Online Operations Kill Chain (`0.9.4`), or other technique ids that the source states.
    pub ttps: Vec<String>,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It can be published.
    Accepted(Draft),
    /// It looks like an indicator and is not: the reason.
    Rejected(Cow<'static, str>),
    /// It is no indicator by nature: the reason.
    Skipped(Cow<'static, str>),
}

/// What can be published of a row. The hub's key for duplicates is the observable.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The canonical value.
    pub observable: Observable,
    /// Remark in the cell, then the note column.
    pub note: Option<String>,
    /// Labels that the source gives.
    pub tags: Vec<String>,
    /// From when the source knows it.
    pub first_seen: Option<Timestamp>,
    /// The operation that this row itself names; `None`: the report's title.
    pub campaign: Option<String>,
}

/// What kind of row it is; `docs/import.md` has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The whole cell is one indicator.
    Indicator,
    /// One indicator followed by a remark, which becomes the note.
    Annotated,
    /// A number of accounts or pages, accepted as an aggregate.
    Count,
    /// A URL broken by spaces. Held back: a cut URL names another page.
    Wrapped,
    /// Looks like an indicator, and cannot be one.
    Malformed,
    /// A host whose last label is no top-level domain. Held back: `publish` takes it, if its publisher insists.
    Suspect,
    /// Prose. Hosts inside are mentions.
    Text,
    /// A technique without a value.
    Empty,
    /// All cells are blank.
    Separator,
    /// A STIX object that is no single value of a known kind.
    OtherPattern,
    /// A MISP attribute that is no value of a known kind.
    OtherAttribute,
    /// A link to the report that a MISP event comes from.
    Reference,
}

/// The three fates of the accounting: `rows = accepted + rejected + skipped`. The hub splits duplicates off accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its observable can be published.
    Accepted,
    /// It looks like an indicator and is not.
    Rejected,
    /// It never was meant to be one.
    Skipped,
}

/// Rows by fate and by class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// All rows.
    pub rows: u64,
    /// Rows with a draft.
    pub accepted: u64,
    /// Rows that look like indicators and are not.
    pub rejected: u64,
    /// Separators, prose, empty cells and the like.
    pub skipped: u64,
    /// Rows of each class that occurs.
    pub by_class: BTreeMap<Class, u64>,
}

impl Class {
    /// Every class.
    pub const ALL: [Class; 12] = [
        Class::Indicator,
        Class::Annotated,
        Class::Count,
        Class::Wrapped,
        Class::Malformed,
        Class::Suspect,
        Class::Text,
        Class::Empty,
        Class::Separator,
        Class::OtherPattern,
        Class::OtherAttribute,
        Class::Reference,
    ];

    /// Its name in summaries and rejection files.
    pub fn name(self) -> &'static str {
        match self {
            Class::Indicator => "indicator",
            Class::Annotated => "annotated",
            Class::Count => "count",
            Class::Wrapped => "wrapped",
            Class::Malformed => "malformed",
            Class::Suspect => "suspect",
            Class::Text => "text",
            Class::Empty => "empty",
            Class::Separator => "separator",
            Class::OtherPattern => "other-pattern",
            Class::OtherAttribute => "other-attribute",
            Class::Reference => "reference",
        }
    }
}

impl Row {
    /// Which of the three sums it counts in.
    pub fn fate(&self) -> Fate {
        match self.outcome {
            Outcome::Accepted(_) => Fate::Accepted,
            Outcome::Rejected(_) => Fate::Rejected,
            Outcome::Skipped(_) => Fate::Skipped,
        }
    }

    /// What can be published of it.
    pub fn draft(&self) -> Option<&Draft> {
        match &self.outcome {
            Outcome::Accepted(draft) => Some(draft),
            Outcome::Rejected(_) | Outcome::Skipped(_) => None,
        }
    }

    fn text_bytes(&self) -> usize {
        let of_all = |texts: &[String]| texts.iter().map(|text| text.len() + size_of::<String>()).sum::<usize>();
        let of_outcome = match &self.outcome {
            Outcome::Accepted(draft) => {
                let note = draft.note.as_ref().map_or(0, String::len);
                let campaign = draft.campaign.as_ref().map_or(0, String::len);
                draft.observable.value().len() + note + campaign + of_all(&draft.tags)
            }
            Outcome::Rejected(reason) | Outcome::Skipped(reason) => reason.len(),
        };
        self.raw.len() + of_all(&self.ttps) + of_outcome
    }

    /// Why there is nothing to publish.
    pub fn reason(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Accepted(_) => None,
            Outcome::Rejected(reason) | Outcome::Skipped(reason) => Some(reason),
        }
    }
}

impl Report {
    /// The file's accounting.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally {
            rows: self.rows.len() as u64,
            ..Tally::default()
        };
        for row in &self.rows {
            *tally.by_class.entry(row.class).or_default() += 1;
            match row.fate() {
                Fate::Accepted => tally.accepted += 1,
                Fate::Rejected => tally.rejected += 1,
                Fate::Skipped => tally.skipped += 1,
            }
        }
        tally
    }

    /// The only way in for a row, so that no reader can pass the limits.
    pub(super) fn push(&mut self, row: Row) -> Result<(), ReadError> {
        if self.rows.len() >= REPORT_ROWS_MAX {
            return Err(ReadError::TooManyRows);
        }
        self.text_bytes += row.text_bytes();
        if self.text_bytes > REPORT_TEXT_BYTES_MAX {
            return Err(ReadError::TooMuchText);
        }
        self.rows.push(row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_hold_text_up_to_the_limit_and_not_one_byte_more() {
        let row = Row {
            line: None,
            record: 1,
            raw: "raw".to_owned(),
            class: Class::Text,
            ttps: Vec::new(),
            outcome: Outcome::Skipped("prose".into()),
        };
        let mut report = Report {
            text_bytes: REPORT_TEXT_BYTES_MAX - "rawprose".len(),
            ..Report::default()
        };
        assert_eq!(report.clone().push(row.clone()), Ok(()));
        report.text_bytes += 1;
        assert_eq!(report.push(row), Err(ReadError::TooMuchText));
    }
}
