//! Drafts of indicators, as short as a test wants them.

use std::sync::Arc;

use clearinghouse::domain::handling::{Audience, Embargo, Handling, Tlp};
use clearinghouse::domain::id::{GroupId, MemberId, Timestamp};
use clearinghouse::domain::indicator::{Confidence, Content, Report, Tag, Targets, Text, Verdict};
use clearinghouse::domain::observable::Observable;
use clearinghouse::domain::violation::Violation;
use clearinghouse::hub::publish::Item;

/// What a test says of handling.
#[derive(Clone, Debug)]
pub struct Rules {
    pub tlp: Tlp,
    pub members: Vec<MemberId>,
    pub groups: Vec<GroupId>,
    pub government_release: bool,
    pub embargo: Option<(Timestamp, Vec<MemberId>)>,
    pub expires_at: Option<Timestamp>,
}

impl Rules {
    /// For all members, by label only.
    pub fn open(tlp: Tlp) -> Rules {
        Rules {
            tlp,
            members: Vec::new(),
            groups: Vec::new(),
            government_release: false,
            embargo: None,
            expires_at: None,
        }
    }

    pub fn handling(self) -> Result<Handling, Violation> {
        let audience = Audience::new(self.members, self.groups)?;
        let mut handling = Handling::new(self.tlp, audience)?;
        handling.government_release = self.government_release;
        handling.embargo = match self.embargo {
            Some((until, members)) => Some(Embargo::new(until, members)?),
            None => None,
        };
        handling.expires_at = self.expires_at;
        Ok(handling)
    }
}

/// The content of an indicator about `value`, with nothing said that need not be.
pub fn content(value: &str, handling: Handling) -> Content {
    content_of(Observable::parse(value).expect("a value"), handling)
}

/// The same about an observable of any kind.
pub fn content_of(observable: Observable, handling: Handling) -> Content {
    Content {
        raw: text(observable.value()),
        observable,
        verdict: Verdict::Malicious,
        confidence: Confidence::new(50).expect("0 to 100"),
        severity: None,
        first_seen: None,
        last_seen: None,
        note: Text::default(),
        evidence: Vec::new(),
        hash_quality: 0,
        independent: false,
        report: Arc::new(Report {
            campaign: Text::default(),
            attribution: Text::default(),
            ttps: Vec::new(),
            targets: Targets::default(),
            tags: Vec::new(),
            handling,
        }),
    }
}

pub fn tag(word: &str) -> Tag {
    Tag::parse("tags", word).expect("a tag")
}

pub fn text<const BYTES_MAX: usize>(words: &str) -> Text<BYTES_MAX> {
    Text::parse("text", words).expect("a text")
}

/// An item without a request id.
pub fn item(content: Content) -> Item {
    Item {
        request_id: "".into(),
        content,
    }
}
