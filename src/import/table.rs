//! Tables: kill-chain reports and type/value lists, as CSV or TSV. Owns the search for the header and the reading of
//! rows by its columns; refuses a table whose header names no column of values.

use csv::{Position, Reader, ReaderBuilder, StringRecord};

use super::ReadError;
use super::cell::{self, Entry, Setting};
use super::detect;
use super::field::{self, Column};
use super::json::setting;
use super::line::LineCounter;
use super::row::{Class, Report};
use super::title;

/// A header is looked for in this many records: reports may open with a title and blank rows.
pub(super) const HEADER_SEARCH_RECORDS: usize = 10;

/// Most columns looked at: a row of a million empty cells costs no more than this.
const COLUMNS_MAX: usize = 64;

pub(super) fn read_csv(text: &str) -> Result<Report, ReadError> {
    read(text, ReaderBuilder::new().delimiter(detect::csv_delimiter(text)))
}

/// TSV has no quoting: with it, one stray quote would swallow the rest of a file. Rule N strips quotes round a value.
pub(super) fn read_tsv(text: &str) -> Result<Report, ReadError> {
    read(text, ReaderBuilder::new().delimiter(b'\t').quoting(false))
}

fn read(text: &str, builder: &mut ReaderBuilder) -> Result<Report, ReadError> {
    let mut reader = builder.has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut report = Report::default();
    let mut lines = LineCounter::new(text);
    let (columns, preamble) = header(&mut reader)?;
    for record in preamble {
        let raw = record
            .iter()
            .find(|cell| !cell.trim().is_empty())
            .unwrap_or_default()
            .to_owned();
        report.title = report.title.or_else(|| title::clean(&raw));
        let (class, reason) = if raw.is_empty() {
            (Class::Separator, "blank row")
        } else {
            (Class::Text, "title")
        };
        report.push(entry(&record, &mut lines).skip(&raw, class, reason))?;
    }
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| syntax(&error))? {
        let row = if record.iter().all(|cell| cell.trim().is_empty()) {
            entry(&record).skip("", Class::Separator, "blank row")
        } else {
            columns
                .fill(entry, &record)
                .read(columns.cell(&record, Column::Value), columns.setting(&record))
        };
        report.push(row)?;
    }
    Ok(report)
}

/// Where the columns are. A table with any column of the kill chain may hold prose among its values.
struct Columns {
    columns: Vec<Option<Column>>,
    is_kill_chain: bool,
}

/// Reads up to the header: its columns, and the records before it.
fn header(reader: &mut Reader<&[u8]>) -> Result<(Columns, Vec<StringRecord>), ReadError> {
    let mut preamble: Vec<StringRecord> = Vec::new();
    let mut record = StringRecord::new();
    while preamble.len() < HEADER_SEARCH_RECORDS && reader.read_record(&mut record).map_err(|error| syntax(&error))? {
        if Column::is_header(record.iter().take(COLUMNS_MAX)) {
            let columns: Vec<Option<Column>> = record.iter().take(COLUMNS_MAX).map(Column::of).collect();
            let of_kill_chain = [Some(Column::Tactic), Some(Column::Technique), Some(Column::Procedure)];
            let is_kill_chain = columns.iter().any(|column| of_kill_chain.contains(column));
            return Ok((Columns { columns, is_kill_chain }, preamble));
        }
        preamble.push(record.clone());
    }
    let first = preamble
        .first()
        .map(|record| record.iter().take(8).collect::<Vec<_>>().join(", "));
    Err(ReadError::NoHeader {
        found: first.unwrap_or_default().chars().take(200).collect(),
    })
}

impl Columns {
    /// The first cell of that column, or nothing.
    fn cell<'r>(&self, record: &'r StringRecord, wanted: Column) -> &'r str {
        let index = self.columns.iter().position(|column| *column == Some(wanted));
        index.and_then(|index| record.get(index)).unwrap_or_default()
    }

    fn setting(&self, record: &StringRecord) -> Setting {
        let place = if self.is_kill_chain {
            Setting::Prose
        } else {
            Setting::Value
        };
        setting(self.cell(record, Column::Declared), place)
    }

    /// What the columns beside the value say.
    fn fill(&self, entry: Entry, record: &StringRecord) -> Entry {
        // The procedure id rules: tactic labels are sometimes blank, misspelt or wrong.
        let procedure = field::procedure_id(self.cell(record, Column::Procedure));
        let ttp = procedure.or_else(|| field::procedure_id(self.cell(record, Column::Technique)));
        Entry {
            ttps: ttp.into_iter().collect(),
            note: cell::note(self.cell(record, Column::Note)),
            first_seen: field::timestamp(self.cell(record, Column::FirstSeen)),
            campaign: title::clean(self.cell(record, Column::Campaign)),
            ..entry
        }
    }
}

/// Where a record stands. The parser's own line numbers are one short where lines end in CR LF.
fn entry(record: &StringRecord, lines: &mut LineCounter<'_>) -> Entry {
    let line = record.position().map(|position| lines.at_record(position.byte()));
    let record = record.position().map_or(0, Position::record) + 1;
    Entry { line, record, ..Entry::default() }
}

fn syntax(error: &csv::Error) -> ReadError {
    ReadError::Syntax {
        line: error.position().map_or(0, Position::line),
        message: error.to_string(),
    }
}
