//! The terms of an expression: where one ends, and what its quotes enclose. Refuses to know what a field means.

use crate::domain::violation::Violation;

/// As they stand in errors.
pub(super) const FIELDS: &str = "kind:, campaign:, ttp:, country:, language:, event:, tag:, publisher-kind:, publisher:, suffix:, \
                      verdict:, platform:, near:, confidence>=, severity>=";

pub(super) fn is_field(field: &str) -> bool {
    FIELDS
        .split(", ")
        .any(|known| known.trim_end_matches([':', '>', '=']) == field)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// `:`
    Is,
    /// `>=`
    AtLeast,
}

/// A field with its values.
pub(super) struct Term<'a> {
    source: &'a str,
    pub(super) field: &'a str,
    pub(super) operator: Operator,
    pub(super) values: Vec<String>,
}

impl<'a> Term<'a> {
    /// The term that `text` begins with, and what follows it.
    pub(super) fn read(text: &'a str) -> Result<(Term<'a>, &'a str), Violation> {
        let word = text.split(char::is_whitespace).next().unwrap_or_default();
        let field_end = text
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .unwrap_or(text.len());
        let (field, rest) = text.split_at(field_end);
        let (operator, mut rest) = match (rest.strip_prefix(':'), rest.strip_prefix(">=")) {
            (Some(rest), _) => (Operator::Is, rest),
            (None, Some(rest)) => (Operator::AtLeast, rest),
            (None, None) => {
                return Err(violation(
                    word,
                    &format!("must be a field and its values; fields: {FIELDS}"),
                ));
            }
        };
        let mut values = Vec::new();
        loop {
            let (value, after) = read_value(rest).map_err(|reason| violation(word, reason))?;
            values.push(value);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    let source = &text[..text.len() - after.len()];
                    return Ok((
                        Term {
                            source,
                            field,
                            operator,
                            values,
                        },
                        after,
                    ));
                }
            }
        }
    }

    pub(super) fn only_value(&self) -> Result<&str, Violation> {
        match self.values.as_slice() {
            [value] => Ok(value),
            _ => Err(self.violation("must have one value")),
        }
    }

    pub(super) fn violation(&self, reason: &str) -> Violation {
        violation(self.source, reason)
    }

    pub(super) fn unknown_field(&self) -> Violation {
        self.violation(&format!("the field is unknown; fields: {FIELDS}"))
    }
}

/// The value that `text` begins with, and what follows it: a comma, white space or the end.
fn read_value(text: &str) -> Result<(String, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(text.len());
        return match text[..end].contains('"') {
            true => Err("quotes must enclose a whole value"),
            false => Ok((text[..end].into(), &text[end..])),
        };
    };
    let (value, rest) = read_quoted(quoted)?;
    match rest.chars().next() {
        Some(c) if c != ',' && !c.is_whitespace() => Err("a comma or a space must follow the closing quote"),
        _ => Ok((value, rest)),
    }
}

fn read_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => return Err("in quotes, a backslash stands before a quote or a backslash only"),
            },
            _ => value.push(c),
        }
    }
    Err("the closing quote is missing")
}

/// The term stands in the reason, shortened and without control characters: it may come from a file.
fn violation(source: &str, reason: &str) -> Violation {
    const SHOWN_CHARS_MAX: usize = 80;
    let shown: String = source.chars().take(SHOWN_CHARS_MAX).collect();
    let more = if shown.len() < source.len() { "…" } else { "" };
    let shown: String = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Violation::new("filter", format!("`{shown}{more}`: {reason}"))
}
