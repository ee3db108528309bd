//! What a command prints. stdout carries results and nothing else; stderr carries progress and warnings. Values of peers
//! are shown with control characters escaped and never as links: an indicator is something that nobody should click.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use anstyle::Style;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::failure::Failure;

/// The narrowest terminal, in columns, to which tables are wrapped.
const WRAP_WIDTH_MIN: u16 = 60;

/// Where and how a command prints.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    colour: bool,
}

impl Output {
    /// Output of JSON or for people. Colour is for a person at a terminal who did not set `NO_COLOR` (no-color.org).
    pub fn new(json: bool) -> Output {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Output {
            json,
            colour: !json && !refused && io::stdout().is_terminal(),
        }
    }

    /// Whether a program reads.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The text in a style, where colours are wanted.
    pub fn styled(&self, style: Style, text: &str) -> String {
        match self.colour {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    /// One line of a result.
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")
            .and_then(|()| stdout.flush())
            .map_err(Failure::of_stdout)
    }

    /// One JSON object on a line of its own.
    pub fn object(&self, value: &Value) -> Result<(), Failure> {
        self.line(&value.to_string())
    }

    /// The result for a program or for a person.
    pub fn result(&self, value: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.json {
            true => self.object(value),
            false => self.line(&text()),
        }
    }

    /// A table for a person. Without rows it says what there is none of.
    pub fn table(&self, what: &str, header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        if rows.is_empty() {
            self.note(&format!("no {what}"));
            return Ok(());
        }
        self.line(&layout(header, rows))
    }

    /// A remark for the person who watches.
    pub fn note(&self, text: &str) {
        // Nobody is left to be told that stderr is closed.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// Lays a table out: without borders, wrapped to the terminal where there is one.
pub fn layout(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().map(|title| title.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell)));
    }
    // Narrower than this, wrapping each cell helps nobody (some terminals say 0).
    if table.width().is_none_or(|width| width < WRAP_WIDTH_MIN) {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// Text with control characters escaped, so that no peer writes on the reader's terminal. Marks that reverse the direction
/// of text are escaped too: they make one value look like another.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || reorders => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_cannot_write_on_the_terminal() {
        for (raw, shown) in [
            ("plain ünï", "plain ünï"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{1b}]8;;http://a.test\u{7}x", "\\u{1b}]8;;http://a.test\\u{7}x"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("\u{9b}2J", "\\u{9b}2J"),
        ] {
            assert_eq!(plain(raw), shown);
        }
    }

    #[test]
    fn tables_have_no_trailing_space_and_escape_their_cells() {
        let rows = vec![vec!["a\u{1b}".to_owned(), "b".to_owned()]];
        let text = layout(&["name", "kind"], rows);
        assert_eq!(
            text.lines().map(str::trim).collect::<Vec<_>>()[0]
                .split_whitespace()
                .collect::<Vec<_>>(),
            ["NAME", "KIND"]
        );
        assert!(text.contains("a\\u{1b}"));
        assert!(text.lines().all(|line| line.trim_end() == line));
    }
}
