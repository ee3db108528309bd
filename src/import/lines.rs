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

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::report;
    use super::*;

    #[test]
    fn lines_are_values_comments_and_blanks() {
        let report = report(Format::Lines, "evil[.]com\n\n# a comment\n#hashtag\nABSCarryLog\n");
        let classes: Vec<Class> = report.rows.iter().map(|row| row.class).collect();
        assert_eq!(
            classes,
            [
                Class::Indicator,
                Class::Separator,
                Class::Text,
                Class::Indicator,
                Class::Malformed
            ]
        );
        assert_eq!(report.rows[3].line, Some(4));
    }
}
