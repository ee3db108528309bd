//! Tables: kill-chain reports and type/value lists, as CSV or TSV. Owns the search for the header and the reading of
//! rows by its columns; refuses a table whose header names no column of values.

use std::io::Read;

use csv::{Position, Reader, ReaderBuilder, StringRecord};

use super::ReadError;
use super::cell::{self, Entry, Setting};
use super::detect;
use super::field::{self, Column};
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
    let bytes = text.as_bytes().chain(END_MARK);
    let mut reader = builder.has_headers(false).flexible(true).from_reader(bytes);
    let mut report = Report::default();
    let mut lines = LineCounter::new(text);
    let (columns, preamble) = header(&mut reader)?;
    for record in &preamble {
        let raw = record.iter().find(|cell| !cell.trim().is_empty()).unwrap_or_default();
        report.title = report.title.or_else(|| title::clean(raw));
        let class = if raw.is_empty() { Class::Separator } else { Class::Text };
        report.push(entry(record, &mut lines).skip(raw, class, "above the header"))?;
    }
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| syntax(&error))? {
        if is_end_mark(&record, text) {
            return Ok(report);
        }
        let entry = entry(&record, &mut lines);
        let row = if record.iter().all(|cell| cell.trim().is_empty()) {
            entry.skip("", Class::Separator, "blank row")
        } else {
            let entry = columns.fill(entry, &record);
            entry.read(columns.value(&record), columns.setting(&record))
        };
        report.push(row)?;
    }
    // The last record took the mark for its own: everything from its opening quote on is one cell.
    Err(ReadError::Syntax {
        line: report.rows.last().and_then(|row| row.line).unwrap_or(1),
        message: "a quote is opened in this row and never closed".to_owned(),
    })
}

/// Read after the text. A quote left open swallows it with the rest of the file, which the parser does not report.
const END_MARK: &[u8] = b"\nend";

/// Whether the record begins where nothing of the text is left.
fn is_end_mark(record: &StringRecord, text: &str) -> bool {
    let start = record.position().map_or(0, Position::byte);
    let start = usize::try_from(start).unwrap_or(usize::MAX).min(text.len());
    text.as_bytes()[start..]
        .iter()
        .all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// Where the columns are. A table with any column of the kill chain may hold prose among its values.
struct Columns {
    columns: Vec<Option<Column>>,
    is_kill_chain: bool,
}

/// Reads up to the header: its columns, and the records before it.
fn header(reader: &mut Reader<impl Read>) -> Result<(Columns, Vec<StringRecord>), ReadError> {
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

    /// The value: the column that says so, else the first one named after a kind.
    fn value<'r>(&self, record: &'r StringRecord) -> &'r str {
        match self.columns.contains(&Some(Column::Value)) {
            true => self.cell(record, Column::Value),
            false => self.cell(record, Column::Kind),
        }
    }

    fn setting(&self, record: &StringRecord) -> Setting {
        let place = if self.is_kill_chain {
            Setting::Prose
        } else {
            Setting::Value
        };
        Setting::declared(self.cell(record, Column::Declared), place)
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
    Entry {
        line,
        record,
        ..Entry::default()
    }
}

fn syntax(error: &csv::Error) -> ReadError {
    ReadError::Syntax {
        line: error.position().map_or(0, Position::line),
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{error, report, show};
    use super::super::{Format, read};
    use super::*;
    use crate::domain::id::Timestamp;
    use crate::domain::observable::Kind;

    #[test]
    fn wrapped_url_offers_its_joined_form_and_is_not_cut() {
        let table = "Procedure,Indicator\n,https://twitter[.]com/a/status/15626403 921025\n";
        let report = report(Format::Csv, table);
        let expected = "wrapped: -, -, white space inside a URL; joined it is twitter.com/a/status/15626403921025";
        assert_eq!(show(&report.rows[0]), expected);
    }

    #[test]
    fn kill_chain_row_keeps_procedure_note_and_position() {
        let table = "Tactic ,Technique,Procedure,Indicator,Commernts\r\n\
            0. Acquiring,0.6 Acquiring domains,0.6.2 Acquiring domains,\"evil[.]com\r\n\", spoof \r\n\
            ,,,,\r\n\
            ,1.2 Posing,,jiraboom[.]pro (a spoof),seen in May\r\n\
            5. Evading,5.5 Obfuscating,5.5.1 Proxy,,\r\n";
        let report = read(Format::Csv, "Q1_2024_A_B.csv", table.as_bytes()).unwrap();
        assert_eq!(report.title.as_deref(), Some("Q1 2024 A B"));
        let shown: Vec<String> = report.rows.iter().map(show).collect();
        let expected = [
            "indicator: evil.com, spoof, -",
            "separator: -, -, blank row",
            "annotated: jiraboom.pro, (a spoof); seen in May, -",
            "empty: -, -, no value",
        ];
        assert_eq!(shown, expected);
        let places: Vec<(Option<u64>, u64)> = report.rows.iter().map(|row| (row.line, row.record)).collect();
        assert_eq!(places, [(Some(2), 2), (Some(4), 3), (Some(5), 4), (Some(6), 5)]);
        let ttps: Vec<&[String]> = report.rows.iter().map(|row| row.ttps.as_slice()).collect();
        assert_eq!(
            ttps,
            [
                &["0.6.2".to_owned()][..],
                &[],
                &["1.2".to_owned()],
                &["5.5.1".to_owned()]
            ]
        );
    }

    #[test]
    fn typed_table_keeps_declared_type_date_and_note() {
        let table = "indicator_type,indicator_value,comment,ds\n\
            android_package_name,com.Abs.provideo_editor,Video,2022-10-03\n\
            url,https://bardai.news,,\n";
        for (format, table) in [(Format::Csv, table.to_owned()), (Format::Tsv, table.replace(',', "\t"))] {
            let report = report(format, &table);
            assert_eq!(show(&report.rows[0]), "indicator: com.Abs.provideo_editor, Video, -");
            let draft = report.rows[0].draft().unwrap();
            assert_eq!(draft.observable.kind(), Kind::AndroidApp);
            assert_eq!(draft.first_seen, Some(Timestamp(1_664_755_200_000_000)));
            assert_eq!(show(&report.rows[1]), "indicator: bardai.news, -, -");
            assert_eq!(report.rows[1].draft().unwrap().observable.kind(), Kind::Domain);
        }
    }

    #[test]
    fn rows_before_the_header_are_a_title_and_are_counted() {
        let report = report(
            Format::Csv,
            "Network from Nowhere,,\n,,\nProcedure;Indicator,Indicator,Notes\n,evil.com,\n",
        );
        assert_eq!(report.title.as_deref(), Some("Network from Nowhere"));
        let classes: Vec<Class> = report.rows.iter().map(|row| row.class).collect();
        assert_eq!(classes, [Class::Text, Class::Separator, Class::Indicator]);
    }

    #[test]
    fn quote_left_open_is_an_error_and_not_a_short_report() {
        let header = "Procedure,Indicator\n,a[.]com\n";
        for (rest, rows) in [
            ("", 1),
            (",b[.]com", 2),
            (",b[.]com\r\n\r\n", 2),
            (",\"b[.]com\"", 2),
            (",\"b[.]com\n\"\n", 2),
        ] {
            assert_eq!(
                report(Format::Csv, &format!("{header}{rest}")).rows.len(),
                rows,
                "{rest:?}"
            );
        }
        let open = format!("{header},\"b[.]com\n,c[.]com\n,d[.]com\n");
        assert!(matches!(
            error(Format::Csv, open.as_bytes()),
            ReadError::Syntax { line: 3, .. }
        ));
        assert!(matches!(
            error(Format::Csv, b"Procedure,\"Indicator"),
            ReadError::NoHeader { .. }
        ));
    }

    #[test]
    fn stray_quote_in_tsv_costs_one_cell() {
        let report = report(Format::Tsv, "Procedure\tIndicator\n\t\"evil[.]com\n\tworse[.]com\n");
        let values: Vec<&str> = report
            .rows
            .iter()
            .filter_map(|row| Some(row.draft()?.observable.value()))
            .collect();
        assert_eq!(values, ["evil.com", "worse.com"]);
    }
}
