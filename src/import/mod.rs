//! Readers of public reports: bytes in, rows out. Owns the file formats, the classes of rows and the accounting of a
//! file; refuses to open files, to read a clock, to resolve or fetch any value, and to decide what is a duplicate
//! (the hub does: the key of a draft is its observable). A reader drops nothing in silence: each record of the file is
//! at least one [`Row`], accepted, rejected or skipped, with its reason.

mod detect;
mod limits;

mod cell;
mod field;
mod line;
mod row;
mod title;

mod json;
mod lines;
mod misp;
mod pattern;
mod stix1;
mod stix2;
mod table;

mod warning_list;

pub use detect::Format;
pub use limits::{
    CELL_BYTES_MAX, FILE_BYTES_MAX, JSON_NODES_MAX, REPORT_ROWS_MAX, REPORT_TEXT_BYTES_MAX, XML_DEPTH_MAX,
};
pub use warning_list::read_warning_list;

pub use row::{Class, Draft, Fate, Outcome, Report, Row, Tally};

use thiserror::Error;

/// Why a file as a whole cannot be read. A bad row is never one of these: it is a [`Row`] with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The file is longer than [`FILE_BYTES_MAX`].
    #[error("file of {bytes} bytes: more than {FILE_BYTES_MAX}")]
    FileTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// More records than [`REPORT_ROWS_MAX`].
    #[error("more than {REPORT_ROWS_MAX} rows")]
    TooManyRows,
    /// The rows repeat more text than [`REPORT_TEXT_BYTES_MAX`].
    #[error("the rows hold more than {REPORT_TEXT_BYTES_MAX} bytes of text")]
    TooMuchText,
    /// More JSON values than [`JSON_NODES_MAX`].
    #[error("more than {JSON_NODES_MAX} JSON values")]
    TooManyNodes,
    /// The bytes are not UTF-8.
    #[error("line {line}, byte {byte}: not UTF-8 (save the file as UTF-8)")]
    NotUtf8 {
        /// Line of the first bad byte, from 1.
        line: u64,
        /// Offset of the first bad byte in the file, from 0.
        byte: usize,
    },
    /// No format was named, and neither the content nor the file's name tells.
    #[error("unknown format: name it with --format")]
    UnknownFormat,
    /// A table without a column that holds the values.
    #[error("no header row with an indicator column: the first row is {found:?}")]
    NoHeader {
        /// The first row, cut to a few cells.
        found: String,
    },
    /// Broken CSV, JSON or XML.
    #[error("line {line}: {message}")]
    Syntax {
        /// Line, from 1.
        line: u64,
        /// What the parser says.
        message: String,
    },
    /// XML with a document type, through which entity bombs and external references come.
    #[error("line {line}: document type declarations are refused")]
    Doctype {
        /// Line, from 1.
        line: u64,
    },
    /// XML nested deeper than [`XML_DEPTH_MAX`].
    #[error("line {line}: elements nested deeper than {XML_DEPTH_MAX}")]
    TooDeep {
        /// Line, from 1.
        line: u64,
    },
    /// Well formed, but not of the named format.
    #[error("not {expected}")]
    WrongShape {
        /// What was looked for.
        expected: &'static str,
    },
}

/// Reads a whole report. The file's name serves for its title only; nothing is opened.
pub fn read(format: Format, file_name: &str, bytes: &[u8]) -> Result<Report, ReadError> {
    let text = limits::text(bytes)?;
    let mut report = match format {
        Format::Csv => table::read_csv(text)?,
        Format::Tsv => table::read_tsv(text)?,
        Format::Json => json::read(text)?,
        Format::Stix1 => stix1::read(text)?,
        Format::Stix2 => stix2::read(text)?,
        Format::Misp => misp::read(text)?,
        Format::Lines => lines::read(text)?,
    };
    if report.title.is_none() {
        report.title = title::from_file_name(file_name);
    }
    Ok(report)
}

/// Finds the format and reads: what the command line does when no format is named.
pub fn read_any(file_name: &str, bytes: &[u8]) -> Result<Report, ReadError> {
    read(
        Format::detect(file_name, bytes).ok_or(ReadError::UnknownFormat)?,
        file_name,
        bytes,
    )
}

#[cfg(test)]
mod tests;
