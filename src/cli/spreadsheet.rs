//! Tables that people open in a spreadsheet, which runs what looks like a formula. Values come from hostile pages: a cell must
//! not be able to do anything.

use std::borrow::Cow;

/// The cell, with an apostrophe before it where a spreadsheet would take it for a formula (OWASP, CSV injection).
pub fn harmless(cell: &str) -> Cow<'_, str> {
    // Blanks before it do not stop every spreadsheet.
    match cell.trim_start_matches(' ').chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}') => {
            Cow::Owned(format!("'{cell}"))
        }
        _ => Cow::Borrowed(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text_and_text_stays() {
        for cell in [
            "=HYPERLINK(\"http://x\")",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "  =1",
            "\u{ff1d}1",
        ] {
            assert_eq!(harmless(cell), format!("'{cell}"), "{cell:?}");
        }
        for cell in ["", "a.example", "1=2", "'=1", "#tag"] {
            assert_eq!(harmless(cell), cell);
        }
    }
}
