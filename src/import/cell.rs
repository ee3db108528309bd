//! One cell, classified: an indicator, one with a remark, a broken one, a count, or prose. Refuses to cut a URL at a
//! space, and to take a host out of a sentence: what is held back is listed with its reason.

use std::borrow::Cow;

use crate::domain::id::Timestamp;
use crate::domain::observable::{Invalid, Kind, Observable};

use super::limits::{self, CELL_BYTES_MAX};
use super::row::{Class, Draft, Outcome, Row};

/// What the place of a cell says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    /// A kill-chain table, where a cell may be a sentence or a name.
    Prose,
    /// A place for values: a word that is no indicator is a malformed one.
    Value,
    /// A value whose type the source declares and the text cannot show (`android_package_name`).
    Declared(Kind),
}

/// What a cell is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    Accepted {
        class: Class,
        observable: Observable,
        remark: Option<String>,
    },
    Rejected(Class, Cow<'static, str>),
    Skipped(Class, Cow<'static, str>),
}

/// A row before its cell is read: where it stands, and what its other columns say.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    pub line: Option<u64>,
    pub record: u64,
    pub ttps: Vec<String>,
    pub note: Option<String>,
    pub tags: Vec<String>,
    pub first_seen: Option<Timestamp>,
    pub campaign: Option<String>,
}

impl Entry {
    /// The row of a cell read in its setting.
    pub(super) fn read(self, raw: &str, setting: Setting) -> Row {
        let reading = classify(raw, setting);
        self.row(raw, reading)
    }

    /// The row of a reading.
    pub(super) fn row(self, raw: &str, reading: Reading) -> Row {
        let Entry {
            line,
            record,
            ttps,
            note,
            tags,
            first_seen,
            campaign,
        } = self;
        let (class, outcome) = match reading {
            Reading::Accepted {
                class,
                observable,
                remark,
            } => {
                let note = join_notes(remark, note);
                (
                    class,
                    Outcome::Accepted(Draft {
                        observable,
                        note,
                        tags,
                        first_seen,
                        campaign,
                    }),
                )
            }
            Reading::Rejected(class, reason) => (class, Outcome::Rejected(reason)),
            Reading::Skipped(class, reason) => (class, Outcome::Skipped(reason)),
        };
        Row {
            line,
            record,
            raw: limits::cut(raw).to_owned(),
            class,
            ttps,
            outcome,
        }
    }

    /// The row of a record that is no indicator by nature.
    pub(super) fn skip(self, raw: &str, class: Class, reason: impl Into<Cow<'static, str>>) -> Row {
        self.row(raw, Reading::Skipped(class, reason.into()))
    }
}

/// A note cell as a note: trimmed, bounded, `None` when blank.
pub(super) fn note(cell: &str) -> Option<String> {
    let note = limits::cut(cell.trim());
    (!note.is_empty()).then(|| note.to_owned())
}

fn join_notes(remark: Option<String>, note: Option<String>) -> Option<String> {
    match (remark, note) {
        (Some(remark), Some(note)) => Some(format!("{remark}; {note}")),
        (remark, note) => remark.or(note),
    }
}

/// What this cell is.
pub(super) fn classify(raw: &str, setting: Setting) -> Reading {
    if raw.len() > CELL_BYTES_MAX {
        return Reading::Rejected(Class::Malformed, "value longer than 64 KiB".into());
    }
    let cell = raw.trim();
    let parsed = match setting {
        Setting::Declared(kind) => Observable::parse_as(kind, cell),
        Setting::Prose | Setting::Value => Observable::parse(cell),
    };
    match parsed {
        Ok(observable) => Reading::Accepted {
            class: Class::Indicator,
            observable,
            remark: None,
        },
        Err(Invalid::Empty) => Reading::Skipped(Class::Empty, "no value".into()),
        Err(_) if is_spaced(cell) && !matches!(setting, Setting::Declared(_)) => spaced(cell),
        Err(invalid @ Invalid::UnknownTld(_)) => Reading::Rejected(Class::Suspect, invalid.to_string().into()),
        Err(invalid) if setting != Setting::Prose || looks_like_indicator(cell) => {
            Reading::Rejected(Class::Malformed, invalid.to_string().into())
        }
        Err(_) => Reading::Skipped(Class::Text, "prose".into()),
    }
}

fn is_spaced(cell: &str) -> bool {
    cell.contains(char::is_whitespace)
}

/// A cell with white space inside is never one indicator: a count, an indicator and its remark, a broken URL, several
/// values, or prose.
fn spaced(cell: &str) -> Reading {
    if is_count(cell) {
        return match Observable::parse_as(Kind::Aggregate, cell) {
            Ok(observable) => Reading::Accepted {
                class: Class::Count,
                observable,
                remark: None,
            },
            Err(invalid) => Reading::Rejected(Class::Malformed, invalid.to_string().into()),
        };
    }
    let (first, rest) = cell.split_once(char::is_whitespace).unwrap_or((cell, ""));
    let value = first.trim_end_matches([',', ';', ':', '(']);
    let Ok(observable) = Observable::parse(value) else {
        return unparsed_start(cell, first);
    };
    if rest
        .split_whitespace()
        .all(|word| Observable::parse(word.trim_end_matches([',', ';'])).is_ok())
    {
        return Reading::Rejected(Class::Malformed, "several values in one cell".into());
    }
    let is_marked = value.len() < first.len() || rest.trim_start().starts_with(REMARK_OPENERS);
    let is_prose = is_sentence(rest);
    let remark = || Some(rest.trim().to_owned());
    if is_marked || (is_prose && is_explicit(value)) {
        Reading::Accepted {
            class: Class::Annotated,
            observable,
            remark: remark(),
        }
    } else if value.contains('/') {
        wrapped(cell)
    } else if is_explicit(value) && rest.contains(char::is_alphabetic) {
        Reading::Accepted {
            class: Class::Annotated,
            observable,
            remark: remark(),
        }
    } else {
        Reading::Skipped(Class::Text, "prose".into())
    }
}

/// Punctuation that sets a remark off from the value before it.
const REMARK_OPENERS: [char; 11] = ['(', '-', '–', '—', ',', ';', ':', '|', '=', '→', '*'];

fn unparsed_start(cell: &str, first: &str) -> Reading {
    if has_scheme(first) || is_spaced_at_dots(cell) {
        return wrapped(cell);
    }
    Reading::Skipped(Class::Text, "prose".into())
}

/// A URL broken by a line wrap. The joined form is offered in the reason, and left to a person: a wrap and a remark
/// cannot always be told apart.
fn wrapped(cell: &str) -> Reading {
    let joined: String = cell.split_whitespace().collect();
    let reason = match Observable::parse(&joined) {
        Ok(observable) => format!("white space inside a URL; joined it is {}", observable.value()),
        Err(_) => "white space inside a URL".to_owned(),
    };
    Reading::Rejected(Class::Wrapped, reason.into())
}

fn has_scheme(word: &str) -> bool {
    word.contains("://") || word.contains("[://]") || word.contains("[:]//")
}

fn is_defanged(word: &str) -> bool {
    const MARKS: [&str; 9] = ["[.", ".]", "(.)", "{.}", "[dot]", "(dot)", "[at]", "(at)", "[@]"];
    MARKS.iter().any(|mark| word.contains(mark))
}

/// Written as an indicator, on purpose: a bare `titan.email` in a sentence is not.
fn is_explicit(word: &str) -> bool {
    is_defanged(word) || has_scheme(word) || word.contains('@')
}

/// `evil [.] com`: white space beside a defanged dot, and nothing else in the cell.
fn is_spaced_at_dots(cell: &str) -> bool {
    let words: Vec<&str> = cell.split_whitespace().collect();
    is_defanged(cell)
        && words
            .windows(2)
            .all(|pair| pair[0].ends_with([']', '.']) || pair[1].starts_with(['[', '.']))
}

/// Two words or more of letters: a remark rather than the rest of a broken URL, which has digits, slashes, underscores
/// or is one piece.
fn is_sentence(text: &str) -> bool {
    let is_word = |word: &str| {
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation() || "“”’‘…".contains(c));
        word.chars().count() <= 20 && word.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '’' | '-'))
    };
    text.split_whitespace().count() >= 2 && text.split_whitespace().all(is_word)
}

/// A word that was meant as an indicator: a defanged, dotted or addressed word, or a long hexadecimal run.
fn looks_like_indicator(word: &str) -> bool {
    let is_dotted = word
        .split('.')
        .filter(|label| label.contains(char::is_alphanumeric))
        .count()
        > 1;
    let is_hash = word.len() >= 16
        && word.bytes().all(|b| b.is_ascii_alphanumeric())
        && word.bytes().filter(u8::is_ascii_hexdigit).count() + 1 >= word.len();
    is_explicit(word) || is_dotted || is_hash || word.starts_with('#')
}

/// `63 accounts`, `4,789 accounts`, `18 Instagram accounts`, `About 40 Pages`. A longer one (`About 1,300 accounts
/// joined one or more of these Groups`) counts an audience, not what the operation had: prose.
fn is_count(cell: &str) -> bool {
    const LEADS: [&str; 7] = ["about", "around", "over", "approximately", "nearly", "almost", "some"];
    const NOUNS: [&str; 8] = [
        "account", "page", "group", "channel", "profile", "user", "asset", "event",
    ];
    let lower = cell.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().take(6).collect();
    let words = match words.split_first() {
        Some((lead, rest)) if LEADS.contains(lead) => rest,
        _ => &words,
    };
    let Some((number, [.., noun])) = words.split_first().filter(|(_, rest)| rest.len() <= 3) else {
        return false;
    };
    let is_number = number.starts_with(|c: char| c.is_ascii_digit())
        && number.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | '.'));
    let noun = noun.trim_end_matches('.');
    is_number && NOUNS.contains(&noun.strip_suffix('s').unwrap_or(noun))
}
