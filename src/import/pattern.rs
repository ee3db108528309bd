//! The part of the STIX patterning language that names single values: `[path = 'value']`, and alternatives of such.
//! Refuses to read anything else as an indicator: `AND` and `FOLLOWEDBY` speak of values that mean nothing alone.

use std::str::Chars;

/// One alternative of a pattern: `domain-name:value = 'evil.example'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Object path, such as `file:hashes.'SHA-256'`.
    pub path: String,
    /// The constant, unescaped.
    pub value: String,
}

/// Most alternatives read of one pattern.
const ALTERNATIVES_MAX: usize = 10_000;

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Or,
    Equals,
    Text(String),
    Path(String),
    Other,
}

/// The alternatives of a pattern, or `None` if it is more than a choice among single values.
pub(super) fn alternatives(pattern: &str) -> Option<Vec<Comparison>> {
    let mut tokens = Tokens { rest: pattern.chars() };
    let mut found = Vec::new();
    let mut depth = 0_u32;
    loop {
        match tokens.next()? {
            Token::Open => depth += 1,
            Token::Path(path) if depth > 0 => {
                if tokens.next()? != Token::Equals || found.len() >= ALTERNATIVES_MAX {
                    return None;
                }
                let Token::Text(value) = tokens.next()? else {
                    return None;
                };
                found.push(Comparison { path, value });
                while tokens.is_close() {
                    depth = depth.checked_sub(1)?;
                }
                if tokens.is_end() {
                    return (depth == 0).then_some(found);
                }
                if tokens.next()? != Token::Or {
                    return None;
                }
            }
            _ => return None,
        }
    }
}

struct Tokens<'p> {
    rest: Chars<'p>,
}

impl Tokens<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.as_str().trim_start().chars();
    }

    fn is_end(&mut self) -> bool {
        self.skip_space();
        self.rest.as_str().is_empty()
    }

    /// Takes a closing bracket, if one stands next.
    fn is_close(&mut self) -> bool {
        let mut ahead = Tokens {
            rest: self.rest.clone(),
        };
        let is_close = ahead.next() == Some(Token::Close);
        if is_close {
            self.rest = ahead.rest;
        }
        is_close
    }

    /// The next token; `None` at the end, and inside a text that never ends.
    fn next(&mut self) -> Option<Token> {
        self.skip_space();
        let start = self.rest.as_str();
        match self.rest.next()? {
            '[' | '(' => Some(Token::Open),
            ']' | ')' => Some(Token::Close),
            '=' => Some(Token::Equals),
            '\'' => self.text().map(Token::Text),
            c if c.is_ascii_alphabetic() => {
                let word = path(start);
                self.rest = start[word.len()..].chars();
                Some(match word {
                    "OR" => Token::Or,
                    word if word.contains(':') => Token::Path(word.to_owned()),
                    _ => Token::Other,
                })
            }
            _ => Some(Token::Other),
        }
    }

    /// The rest of a quoted text; `\'` and `\\` are the two escapes.
    fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                '\'' => return Some(text),
                '\\' => text.push(self.rest.next()?),
                c => text.push(c),
            }
        }
    }
}

/// The object path or word at the start; a step of a path may be quoted: `file:hashes.'SHA-256'`.
fn path(start: &str) -> &str {
    let mut is_quoted = false;
    let end = start.find(|c: char| {
        is_quoted ^= c == '\'';
        !(is_quoted || c == '\'' || c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '_' | '*'))
    });
    &start[..end.unwrap_or(start.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_values_and_their_alternatives_are_read() {
        let cases: [(&str, &[(&str, &str)]); 7] = [
            ("[domain-name:value='a.example']", &[("domain-name:value", "a.example")]),
            (
                " [ url:value = 'http://a.example/\\'x\\\\' ] ",
                &[("url:value", "http://a.example/'x\\")],
            ),
            ("[file:hashes.'SHA-256' = 'ab']", &[("file:hashes.'SHA-256'", "ab")]),
            ("[a:v = '1' OR b:v = '2']", &[("a:v", "1"), ("b:v", "2")]),
            ("[a:v = '1'] OR [b:v = '2']", &[("a:v", "1"), ("b:v", "2")]),
            ("([(a:v = '1')])", &[("a:v", "1")]),
            ("[a:v = ' OR ']", &[("a:v", " OR ")]),
        ];
        for (pattern, expected) in cases {
            let found = alternatives(pattern).unwrap_or_default();
            let found: Vec<(&str, &str)> = found.iter().map(|c| (c.path.as_str(), c.value.as_str())).collect();
            assert_eq!(found, expected, "{pattern}");
        }
    }

    #[test]
    fn everything_else_is_another_pattern() {
        let cases = [
            "",
            "[",
            "[]",
            "a:v = '1'",
            "[a:v = '1'",
            "[a:v = '1']]",
            "[a:v = '1",
            "[a:v != '1']",
            "[a:v LIKE '1%']",
            "[a:v = 1]",
            "[a:v IN ('1', '2')]",
            "[a:v = '1' AND b:v = '2']",
            "[a:v = '1'] FOLLOWEDBY [b:v = '2']",
            "[a:v = '1'] WITHIN 5 SECONDS",
            "[NOT a:v = '1']",
            "[a:v = '1' OR]",
        ];
        for pattern in cases {
            assert_eq!(alternatives(pattern), None, "{pattern}");
        }
    }
}
