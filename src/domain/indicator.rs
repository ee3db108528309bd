//! Indicators: one member's published opinion of an observable. Values here cannot be wrong: each is checked where it is made.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::handling::{Handling, check_length};
use super::id::{IndicatorId, MemberId, Timestamp};
use super::member::MemberKind;
use super::observable::{Kind, Observable};
use super::violation::Violation;

/// What the publisher holds of the observable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// Belongs to disinformation activity.
    Malicious,
    /// Probably belongs to it.
    Suspected,
    /// For context.
    Informational,
    /// Looked into and found innocent.
    Benign,
}

impl Verdict {
    /// All verdicts, in the order of their numbers on the wire and in the log, which start at 1.
    pub const ALL: [Verdict; 4] = [
        Verdict::Malicious,
        Verdict::Suspected,
        Verdict::Informational,
        Verdict::Benign,
    ];

    /// The lower-case word used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Malicious => "malicious",
            Verdict::Suspected => "suspected",
            Verdict::Informational => "informational",
            Verdict::Benign => "benign",
        }
    }
}

/// How much harm is at stake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Little reach.
    Low,
    /// Some reach.
    Medium,
    /// Large reach or a sensitive moment.
    High,
    /// Acts on a vote or on lives.
    Critical,
}

impl Severity {
    /// All severities, in the order of their numbers on the wire and in the log, which start at 1.
    pub const ALL: [Severity; 4] = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    /// The lower-case word used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// Where an indicator stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Seen by its handling.
    Active,
    /// Before the end of its embargo.
    Embargoed,
    /// Taken back by its owner.
    Retracted,
    /// Past its expiry.
    Expired,
    /// Its content is no more: nobody sees it.
    Erased,
}

impl State {
    /// All states, in the order of their numbers on the wire, which start at 1.
    pub const ALL: [State; 5] = [
        State::Active,
        State::Embargoed,
        State::Retracted,
        State::Expired,
        State::Erased,
    ];
}

/// Confidence, 0 to 100, as in STIX 2.1. 0 means none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Confidence(u8);

impl Confidence {
    /// Checks the range.
    #[inline]
    pub fn new(value: u32) -> Result<Confidence, Violation> {
        match u8::try_from(value) {
            Ok(value) if value <= 100 => Ok(Confidence(value)),
            _ => Err(Violation::new("confidence", format!("is {value}, must be 0 to 100"))),
        }
    }

    /// 0 to 100.
    pub fn value(self) -> u8 {
        self.0
    }
}

/// Text of at most `BYTES_MAX` bytes, without control characters other than line ends and tabs. May be empty, which means "none".
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Text<const BYTES_MAX: usize>(Box<str>);

impl<const BYTES_MAX: usize> Text<BYTES_MAX> {
    /// Checks `text`; `field` is its path in the item.
    pub fn parse(field: &str, text: &str) -> Result<Self, Violation> {
        Self::check(field, text).map(|()| Text(text.into()))
    }

    /// The same, of a text that need not be copied.
    pub fn take(field: &str, text: String) -> Result<Self, Violation> {
        Self::check(field, &text).map(|()| Text(text.into()))
    }

    fn check(field: &str, text: &str) -> Result<(), Violation> {
        if text.len() > BYTES_MAX {
            let reason = format!("has {} bytes, at most {BYTES_MAX} are accepted", text.len());
            return Err(Violation::new(field, reason));
        }
        // Most texts are plain, which their bytes show.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Ok(());
        }
        // Control characters would let a publisher write on the terminals of those who read.
        match text
            .chars()
            .find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        {
            Some(c) => Err(Violation::new(
                field,
                format!("must not contain the control character {c:?}"),
            )),
            None => Ok(()),
        }
    }

    /// The text as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What an operation does, by the id of a framework: of DISARM a technique (`T0007`, `T0007.001`), tactic (`TA02`) or phase
/// (`P01`, formerly `TP01`); of the Online Operations Kill Chain a tactic, technique or procedure (`0`, `0.9`, `0.9.4`, `0.9.10.0`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ttp(Box<str>);

impl Ttp {
    /// Checks the shape, not whether the framework has it: frameworks grow faster than hubs are upgraded.
    pub fn parse(field: &str, text: &str) -> Result<Ttp, Violation> {
        match is_disarm(text) || is_kill_chain(text) {
            true => Ok(Ttp(text.into())),
            false => Err(Violation::new(
                field,
                "must be a DISARM id such as T0007, T0007.001 or TA02, or an Online Operations Kill Chain id such as 0.9.4",
            )),
        }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_disarm(text: &str) -> bool {
    let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    if let Some(tactic_or_phase) = ["TA", "TP", "P"].iter().find_map(|head| text.strip_prefix(head)) {
        return digits(tactic_or_phase, 2);
    }
    let Some(technique) = text.strip_prefix('T') else {
        return false;
    };
    match technique.split_once('.') {
        Some((technique, sub)) => digits(technique, 4) && digits(sub, 3),
        None => digits(technique, 4),
    }
}

/// One to five numbers. A number has no leading zero, or two spellings would be two procedures.
fn is_kill_chain(text: &str) -> bool {
    let number = |part: &str| {
        let digits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        digits && (part == "0" || !part.starts_with('0'))
    };
    (1..=5).contains(&text.split('.').count()) && text.split('.').all(number)
}

/// A free tag: 1 to 64 bytes without white space or control characters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tag(Box<str>);

impl Tag {
    /// Longest tag, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Checks `text`; `field` is its path in the item.
    pub fn parse(field: &str, text: &str) -> Result<Tag, Violation> {
        if text.is_empty() || text.len() > Tag::BYTES_MAX {
            return Err(Violation::new(
                field,
                format!("must have 1 to {} bytes", Tag::BYTES_MAX),
            ));
        }
        match text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            true => Err(Violation::new(field, "must not contain white space")),
            false => Ok(Tag(text.into())),
        }
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A code of two or three ASCII letters: a country (ISO 3166-1 alpha-2, upper case) or a language (BCP 47 primary tag, lower case).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code([u8; 3]);

impl Code {
    /// A country; lower case is accepted and raised.
    pub fn country(field: &str, text: &str) -> Result<Code, Violation> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Code([a.to_ascii_uppercase(), b.to_ascii_uppercase(), 0]))
            }
            _ => Err(Violation::new(
                field,
                "must be an ISO 3166-1 alpha-2 code of two letters",
            )),
        }
    }

    /// A language; upper case is accepted and lowered.
    pub fn language(field: &str, text: &str) -> Result<Code, Violation> {
        let mut code = [0; 3];
        match text.len() {
            2 | 3 if text.bytes().all(|b| b.is_ascii_alphabetic()) => {
                code[..text.len()].copy_from_slice(text.to_ascii_lowercase().as_bytes());
                Ok(Code(code))
            }
            _ => Err(Violation::new(
                field,
                "must be a BCP 47 primary language tag of two or three letters",
            )),
        }
    }

    /// The letters.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|b| *b == 0).unwrap_or(3);
        // ASCII letters only, by construction.
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an operation aims at.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Targets {
    /// At most 64.
    pub countries: Vec<Code>,
    /// At most 64.
    pub languages: Vec<Code>,
    /// Elections or events; at most 16.
    pub events: Vec<Text<200>>,
}

impl Targets {
    /// Most countries.
    pub const COUNTRIES_MAX: usize = 64;
    /// Most languages.
    pub const LANGUAGES_MAX: usize = 64;
    /// Most events.
    pub const EVENTS_MAX: usize = 16;
}

/// Something a reader can check.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// What it is, in words.
    pub description: Text<500>,
    /// Where it can be found. Never fetched by the hub.
    pub reference: Text<2048>,
    /// Of the referenced document, where known.
    pub sha256: Option<[u8; 32]>,
}

/// What a publisher states of all indicators of one report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The campaign they belong to.
    pub campaign: Text<200>,
    /// Whom the publisher attributes it to.
    pub attribution: Text<200>,
    /// At most 32.
    pub ttps: Vec<Ttp>,
    /// What the operation aims at.
    pub targets: Targets,
    /// At most 32.
    pub tags: Vec<Tag>,
    /// Who may see them.
    pub handling: Handling,
}

/// What a publisher states of an observable. What the report states is read through it as if it were its own, and copied where it is
/// changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Content {
    /// The canonical value.
    pub observable: Observable,
    /// The text that it was read from.
    pub raw: Text<16384>,
    /// What the publisher holds of it.
    pub verdict: Verdict,
    /// How sure the publisher is.
    pub confidence: Confidence,
    /// Absent: not stated.
    pub severity: Option<Severity>,
    /// First sighting. Absent: not stated.
    pub first_seen: Option<Timestamp>,
    /// Last sighting. Absent: not stated.
    pub last_seen: Option<Timestamp>,
    /// Free text.
    pub note: Text<4096>,
    /// At most 16.
    pub evidence: Vec<Evidence>,
    /// 0 to 100, for PDQ hashes; 0 for all other kinds.
    pub hash_quality: u8,
    /// Whether the publisher saw it itself; otherwise it may be an echo, and is no second source.
    pub independent: bool,
    /// Shared by those that came together.
    pub report: Arc<Report>,
}

impl Deref for Content {
    type Target = Report;

    fn deref(&self) -> &Report {
        &self.report
    }
}

impl DerefMut for Content {
    fn deref_mut(&mut self) -> &mut Report {
        Arc::make_mut(&mut self.report)
    }
}

impl Content {
    /// Most TTPs.
    pub const TTPS_MAX: usize = 32;
    /// Most tags.
    pub const TAGS_MAX: usize = 32;
    /// Most pieces of evidence.
    pub const EVIDENCE_MAX: usize = 16;

    /// Checks what no single value can know: the lengths of lists, the order of sightings, and what the kind allows.
    pub fn check(&self) -> Result<(), Violation> {
        let targets = &self.targets;
        check_length("ttps", self.ttps.len(), Content::TTPS_MAX)?;
        check_length("tags", self.tags.len(), Content::TAGS_MAX)?;
        check_length("evidence", self.evidence.len(), Content::EVIDENCE_MAX)?;
        check_length("targets.countries", targets.countries.len(), Targets::COUNTRIES_MAX)?;
        check_length("targets.languages", targets.languages.len(), Targets::LANGUAGES_MAX)?;
        check_length("targets.events", targets.events.len(), Targets::EVENTS_MAX)?;
        if let (Some(first), Some(last)) = (self.first_seen, self.last_seen)
            && last < first
        {
            return Err(Violation::new("last_seen", "must not lie before first_seen"));
        }
        match (self.observable.kind(), self.hash_quality) {
            (_, 0) | (Kind::Pdq, 1..=100) => Ok(()),
            (Kind::Pdq, quality) => Err(Violation::new(
                "hash_quality",
                format!("is {quality}, must be 0 to 100"),
            )),
            _ => Err(Violation::new("hash_quality", "must be 0, except for a PDQ hash")),
        }
    }
}

/// One member's published opinion of an observable, in one revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Indicator {
    /// The same for all revisions.
    pub id: IndicatorId,
    /// Its owner.
    pub publisher: MemberId,
    /// The owner's kind: government origin always shows.
    pub publisher_kind: MemberKind,
    /// From 1; each revision and the retraction adds one.
    pub revision: u32,
    /// What the owner states.
    pub content: Content,
    /// When the hub accepted the first revision.
    pub published_at: Timestamp,
    /// When the hub accepted this one.
    pub revised_at: Timestamp,
    /// Why it was retracted; empty unless it was.
    pub retraction_reason: Text<500>,
    /// Names of the warning lists that the observable stood on at publication; at most [`Indicator::WARNINGS_MAX`].
    pub warnings: Vec<Text<200>>,
}

impl Indicator {
    /// Most warning lists named.
    pub const WARNINGS_MAX: usize = 8;
}

#[cfg(test)]
mod tests;
