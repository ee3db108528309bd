//! The table of rejected rows: what a person corrects and imports again.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::Failure;
use crate::cli::spreadsheet::harmless;

/// A row that was not published, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The file's name.
    pub file: String,
    /// The line on which its record starts.
    pub line: Option<u64>,
    /// Number of its record.
    pub record: u64,
    /// Its class.
    pub class: &'static str,
    /// Why.
    pub reason: String,
    /// Its value.
    pub raw: String,
}

/// The rejections of a run, kept only where somebody asked for them.
pub struct Rejects {
    wanted: bool,
    rows: Vec<Rejection>,
}

impl Rejects {
    /// None yet.
    pub fn new(wanted: bool) -> Rejects {
        Rejects {
            wanted,
            rows: Vec::new(),
        }
    }

    /// One more.
    pub fn push(&mut self, rejection: Rejection) {
        if self.wanted {
            self.rows.push(rejection);
        }
    }

    /// Writes them, in the order of the files: the hub's answers come later than the readers' and mixed.
    pub fn write(&mut self, path: &Path) -> Result<(), Failure> {
        self.rows.sort_by(|a, b| (&a.file, a.record).cmp(&(&b.file, b.record)));
        let write = || -> io::Result<()> {
            let mut writer = BufWriter::new(File::create(path)?);
            self.write_to(&mut writer)?;
            writer.flush()
        };
        write().map_err(|error| Failure::of(path.display(), error))
    }

    fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(writer);
        writer.write_record(["file", "line", "record", "class", "reason", "raw"])?;
        for Rejection {
            file,
            line,
            record,
            class,
            reason,
            raw,
        } in &self.rows
        {
            let line = line.map(|line| line.to_string()).unwrap_or_default();
            let record = record.to_string();
            let cells = [file.as_str(), &line, &record, class, reason, raw];
            writer.write_record(cells.map(|cell| harmless(cell).into_owned()))?;
        }
        writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(file: &str, record: u64, raw: &str) -> Rejection {
        Rejection {
            file: file.into(),
            line: Some(record + 1),
            record,
            class: "malformed",
            reason: "no host".into(),
            raw: raw.into(),
        }
    }

    #[test]
    fn rows_come_in_order_and_formulas_become_text() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("rejects.csv");
        let mut rejects = Rejects::new(true);
        rejects.push(rejection("b.csv", 1, "=cmd|' /C calc'!A0"));
        rejects.push(rejection("a.csv", 2, "two, \"quoted\""));
        rejects.push(Rejection {
            line: None,
            ..rejection("a.csv", 1, "plain")
        });
        rejects.write(&path).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            text,
            "file,line,record,class,reason,raw\n\
             a.csv,,1,malformed,no host,plain\n\
             a.csv,3,2,malformed,no host,\"two, \"\"quoted\"\"\"\n\
             b.csv,2,1,malformed,no host,'=cmd|' /C calc'!A0\n"
        );
    }

    #[test]
    fn nothing_is_kept_that_nobody_asked_for() {
        let mut rejects = Rejects::new(false);
        rejects.push(rejection("a.csv", 1, "x"));
        assert!(rejects.rows.is_empty());
    }
}
