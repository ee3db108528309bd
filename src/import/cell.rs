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

impl Setting {
    /// The setting of a value whose source declares a type: the declared one where the text cannot show it, else the
    /// place's own. A declared domain, URL, address or hash is read by its text, so that `https://bardai.news` declared
    /// a URL is the domain it is.
    pub(super) fn declared(declared: &str, place: Setting) -> Setting {
        match Kind::from_name(declared) {
            Some(
                Kind::Domain
                | Kind::Url
                | Kind::Ipv4
                | Kind::Ipv6
                | Kind::Email
                | Kind::Hashtag
                | Kind::Md5
                | Kind::Sha1
                | Kind::Sha256
                | Kind::Sha512,
            )
            | None => place,
            Some(kind) => Setting::Declared(kind),
        }
    }
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
        Ok(observable) => {
            let is_count = observable.kind() == Kind::Aggregate;
            let class = if is_count { Class::Count } else { Class::Indicator };
            Reading::Accepted {
                class,
                observable,
                remark: None,
            }
        }
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
    if is_values(rest) {
        return Reading::Rejected(Class::Malformed, "several values in one cell".into());
    }
    if cell.lines().count() > REMARK_LINES_MAX {
        return Reading::Rejected(
            Class::Malformed,
            "many lines after a value: a stray quote before it?".into(),
        );
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

/// Most lines of a cell that opens with a value. More are rows that a stray quote made into one.
const REMARK_LINES_MAX: usize = 4;

/// Punctuation that sets a remark off from the value before it.
const REMARK_OPENERS: [char; 11] = ['(', '-', '–', '—', ',', ';', ':', '|', '=', '→', '*'];

/// Further values and what joins them. The publisher splits the cell: which of them the notes speak of is unknown.
fn is_values(rest: &str) -> bool {
    const JOINTS: [&str; 6] = ["and", "or", "&", "/", "|", "+"];
    let mut values = rest.split_whitespace().filter(|word| !JOINTS.contains(word)).peekable();
    values.peek().is_some() && values.all(|word| Observable::parse(word.trim_end_matches([',', ';'])).is_ok())
}

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

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::report;
    use super::*;

    fn class(cell: &str, setting: Setting) -> Class {
        match classify(cell, setting) {
            Reading::Accepted { class, .. } | Reading::Rejected(class, _) | Reading::Skipped(class, _) => class,
        }
    }

    /// A line per case, as they stand in real tables or might.
    const KILL_CHAIN_CELLS: [(Class, &[&str]); 8] = [
        (
            Class::Indicator,
            &["usmimedia[.]com", " https[:]//t[.]me/newstopafrique\n", "#peoplesay"],
        ),
        (
            Class::Annotated,
            &[
                "info[at]amc239[.]com, hosted with Titan.email service",
                "jiraboom[.]pro (Hosted a spoof of Der Spiegel)",
                "https://tinyurl[.]com/google-vpn-download\nredirects to: ",
                "https://tinyurl[.]com/google-vpn-download redirects to: ",
                "evil[.]example[.]com hosts a copy of the ministry's site",
                "evil[.]com - parked",
            ],
        ),
        (
            Class::Wrapped,
            &[
                "https://twitter[.]com/new_observation/status/1562640310273 921025",
                "https://www[.]freelancer[.]com/projects/articles/ Writing-article s-35666510/details",
                "http://89ijlop.blogspot[.]com/2021/12/why-boycott-beijing-win ter-olympics_5.html",
                "https:// evil[.]com/page",
                "evil [.] com",
            ],
        ),
        (
            Class::Malformed,
            &[
                "t[.]/RGUD_bot",
                "v21b4327d6881be1893fd2a8431317f6b",
                "evil[.]com worse[.]com",
                "evil[.]com\nworse[.]com",
                "evil[.]com\n,worse[.]com,x\n,,\n,c.com\n,d.com",
                "evil[.]com, worse[.]com and worst[.]com",
            ],
        ),
        (Class::Suspect, &["evil.notatld"]),
        (
            Class::Count,
            &[
                "63 accounts",
                "4,789 accounts",
                "18 Instagram accounts",
                "5 Groups ",
                "1 Page",
                "About 40 Pages",
            ],
        ),
        (
            Class::Text,
            &[
                "About 1,300 accounts joined one or more of these Groups",
                "5,200 accounts followed one or more of these Instagram accounts.",
                "BDAnalytica",
                "Newstop:Afrique",
                "Using bit[.]ly to hide the ultimate destination of malicious links",
                "Using MediaFire[.]com",
                "Titan.email is the provider",
                "Around $1.2 million in spending for ads on Facebook",
                "2 of the accounts posed as journalists",
                "Sharing on X / Twitter",
            ],
        ),
        (Class::Empty, &["", " \u{200b}\u{a0}"]),
    ];

    #[test]
    fn cells_of_a_kill_chain_table_are_classified() {
        for (expected, cells) in KILL_CHAIN_CELLS {
            for cell in cells {
                assert_eq!(class(cell, Setting::Prose), expected, "{cell:?}");
            }
        }
    }

    #[test]
    fn places_for_values_hold_no_prose_words() {
        let cases = [
            ("fbc8213450838f7ae251d4", Class::Malformed),
            ("BDAnalytica", Class::Malformed),
            ("amazing.lab", Class::Suspect),
            ("a.com,b.com", Class::Malformed),
            ("two words", Class::Text),
        ];
        for (cell, expected) in cases {
            assert_eq!(class(cell, Setting::Value), expected, "{cell:?}");
        }
        assert_eq!(
            class("com.abs.provideo_editor", Setting::Declared(Kind::AndroidApp)),
            Class::Indicator
        );
        assert_eq!(
            class("no package", Setting::Declared(Kind::AndroidApp)),
            Class::Malformed
        );
    }

    #[test]
    fn cell_at_the_limit_is_read_and_one_byte_more_is_not() {
        let prose = |bytes: usize| "ab ".repeat(bytes / 3 + 1)[..bytes].to_owned();
        assert_eq!(class(&prose(CELL_BYTES_MAX), Setting::Prose), Class::Text);
        assert_eq!(class(&prose(CELL_BYTES_MAX + 1), Setting::Prose), Class::Malformed);
        let report = report(
            Format::Csv,
            &format!("Procedure,Indicator\n,\"{}\"\n", prose(CELL_BYTES_MAX + 9)),
        );
        assert_eq!(report.rows[0].raw.len(), CELL_BYTES_MAX);
    }
}
