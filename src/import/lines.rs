//! One value a line. A line that opens with `//` or `;`, or with `#` and a space, is a comment.

use super::ReadError;
use super::cell::{Entry, Setting};
use super::row::{Class, Report};

pub(super) fn read(text: &str) -> Result<Report, ReadError> {
    let mut report = Report::default();
    for (index, line) in text.lines().enumerate() {
        let number = index as u64 + 1;
        let entry = Entry {
            line: Some(number),
            record: number,
            ..Entry::default()
        };
        let start = line.trim_start();
        report.push(if start.is_empty() {
            entry.skip("", Class::Separator, "blank line")
        } else if start.starts_with("//") || start.starts_with(';') || start.starts_with("# ") {
            entry.skip(line, Class::Text, "comment")
        } else {
            entry.read(line, Setting::Value)
        })?;
    }
    Ok(report)
}
