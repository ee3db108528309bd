//! How the words of the domain are kept. Their makers check them again when they are taken.

use bytes::Bytes;
use uuid::Uuid;

use super::super::snapshot::Part;
use super::{Kept, count, kept};
use crate::domain::agent::AgentName;
use crate::domain::assessment::{Assessment, AssessmentVerdict, ClaimReview};
use crate::domain::handling::{Audience, Embargo, Handling, Tlp};
use crate::domain::id::{ChangeId, GroupId, IndicatorId, InvitationId, MemberId, ObservableId, RunId, Seq, Timestamp};
use crate::domain::indicator::{Code, Confidence, Severity, State, Tag, Targets, Text, Ttp, Verdict};
use crate::domain::member::{MemberKind, Name, Role, Roles, Standing, Viewer};
use crate::domain::observable::Kind;
use crate::domain::subscription::SubscriptionName;
use crate::log::bodies::BodyNumber;
use crate::log::entry::{Actor, CertificateIssued, Entry, Event};

/// Keeps what wraps one thing as that thing.
macro_rules! kept_newtypes {
    ($($name:ident),+ $(,)?) => {
        $(impl $crate::hub::views::kept::Kept for $name {
            fn keep(&self, out: &mut Vec<u8>) {
                let $name(inner) = self;
                $crate::hub::views::kept::Kept::keep(inner, out);
            }

            #[inline]
            fn take(rest: &mut &[u8]) -> Option<Self> {
                $crate::hub::views::kept::Kept::take(rest).map($name)
            }
        })+
    };
}
pub(in crate::hub::views) use kept_newtypes;

kept_newtypes!(MemberId, GroupId, IndicatorId, ObservableId, InvitationId, ChangeId);
kept_newtypes!(Seq, RunId, Timestamp, BodyNumber);

/// Keeps a word by its place among all.
macro_rules! kept_choices {
    ($($name:ident),+ $(,)?) => {
        $(impl Kept for $name {
            fn keep(&self, out: &mut Vec<u8>) {
                // There are far fewer than 256, and each is among them.
                let place = $name::ALL.iter().position(|one| one == self).unwrap_or(usize::from(u8::MAX));
                (place as u8).keep(out);
            }

            fn take(rest: &mut &[u8]) -> Option<Self> {
                $name::ALL.get(usize::from(u8::take(rest)?)).copied()
            }
        })+
    };
}
kept_choices!(
    Part,
    Tlp,
    MemberKind,
    Standing,
    Role,
    Verdict,
    Severity,
    State,
    Kind,
    AssessmentVerdict
);

/// Keeps what is made of a text.
macro_rules! kept_texts {
    ($($name:ident $(<const $bytes:ident>)?: $parse:expr;)+) => {
        $(impl $(<const $bytes: usize>)? Kept for $name $(<$bytes>)? {
            fn keep(&self, out: &mut Vec<u8>) {
                keep_text(self.as_str(), out);
            }

            fn take(rest: &mut &[u8]) -> Option<Self> {
                take_text(rest).and_then($parse)
            }
        })+
    };
}
kept_texts! {
    Name: |text| Name::parse("", text).ok();
    AgentName: |text| text.parse().ok();
    SubscriptionName: |text| SubscriptionName::parse("", text).ok();
    Text<const BYTES>: |text| Text::parse("", text).ok();
    Ttp: |text| Ttp::parse("", text).ok();
    Tag: |text| Tag::parse("", text).ok();
}

pub(in crate::hub::views) fn keep_text(text: &str, out: &mut Vec<u8>) {
    (text.len() as u32).keep(out);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = count(rest)?;
    let (text, after) = rest.split_at(length);
    *rest = after;
    std::str::from_utf8(text).ok()
}

impl Kept for Uuid {
    fn keep(&self, out: &mut Vec<u8>) {
        self.as_bytes().keep(out);
    }

    #[inline]
    fn take(rest: &mut &[u8]) -> Option<Uuid> {
        Kept::take(rest).map(Uuid::from_bytes)
    }
}

impl Kept for Bytes {
    fn keep(&self, out: &mut Vec<u8>) {
        (self.len() as u32).keep(out);
        out.extend_from_slice(self);
    }

    fn take(rest: &mut &[u8]) -> Option<Bytes> {
        let length = count(rest)?;
        let (bytes, after) = rest.split_at(length);
        *rest = after;
        Some(Bytes::copy_from_slice(bytes))
    }
}

impl Kept for Confidence {
    fn keep(&self, out: &mut Vec<u8>) {
        self.value().keep(out);
    }

    #[inline]
    fn take(rest: &mut &[u8]) -> Option<Confidence> {
        Confidence::new(u8::take(rest)?.into()).ok()
    }
}

impl Kept for Roles {
    fn keep(&self, out: &mut Vec<u8>) {
        self.iter().collect::<Vec<Role>>().keep(out);
    }

    fn take(rest: &mut &[u8]) -> Option<Roles> {
        Vec::take(rest).map(Roles::from_iter)
    }
}

impl Kept for Audience {
    fn keep(&self, out: &mut Vec<u8>) {
        self.members().to_vec().keep(out);
        self.groups().to_vec().keep(out);
    }

    fn take(rest: &mut &[u8]) -> Option<Audience> {
        Audience::new(Vec::take(rest)?, Vec::take(rest)?).ok()
    }
}

impl Kept for Embargo {
    fn keep(&self, out: &mut Vec<u8>) {
        self.until.keep(out);
        self.members().to_vec().keep(out);
    }

    fn take(rest: &mut &[u8]) -> Option<Embargo> {
        Embargo::new(Timestamp::take(rest)?, Vec::take(rest)?).ok()
    }
}

impl Kept for Handling {
    fn keep(&self, out: &mut Vec<u8>) {
        self.tlp().keep(out);
        self.audience().keep(out);
        self.government_release.keep(out);
        self.embargo.keep(out);
        self.expires_at.keep(out);
    }

    fn take(rest: &mut &[u8]) -> Option<Handling> {
        let mut handling = Handling::new(Tlp::take(rest)?, Audience::take(rest)?).ok()?;
        handling.government_release = Kept::take(rest)?;
        handling.embargo = Kept::take(rest)?;
        handling.expires_at = Kept::take(rest)?;
        Some(handling)
    }
}

impl Kept for Targets {
    fn keep(&self, out: &mut Vec<u8>) {
        let Targets {
            countries,
            languages,
            events,
        } = self;
        for codes in [countries, languages] {
            (codes.len() as u32).keep(out);
            codes.iter().for_each(|code| keep_text(code.as_str(), out));
        }
        events.keep(out);
    }

    fn take(rest: &mut &[u8]) -> Option<Targets> {
        type Parse = fn(&str, &str) -> Result<Code, crate::domain::violation::Violation>;
        let mut codes = |parse: Parse| -> Option<Vec<Code>> {
            let count = count(rest)?;
            (0..count)
                .map(|_| take_text(rest).and_then(|text| parse("", text).ok()))
                .collect()
        };
        Some(Targets {
            countries: codes(Code::country)?,
            languages: codes(Code::language)?,
            events: Kept::take(rest)?,
        })
    }
}

impl Kept for ClaimReview {
    fn keep(&self, out: &mut Vec<u8>) {
        for text in [self.url(), self.rating(), self.language().as_str(), self.claim()] {
            keep_text(text, out);
        }
    }

    fn take(rest: &mut &[u8]) -> Option<ClaimReview> {
        let mut next = || take_text(rest);
        ClaimReview::new(next()?, next()?, next()?, next()?).ok()
    }
}

/// An event is kept as the entry that would bring it.
impl Kept for Event {
    fn keep(&self, out: &mut Vec<u8>) {
        let entry = Entry {
            at: Timestamp::default(),
            actor: None,
            event: self.clone(),
        };
        entry.encode().keep(out);
    }

    fn take(rest: &mut &[u8]) -> Option<Event> {
        Entry::decode(Bytes::take(rest)?).ok().map(|entry| entry.event)
    }
}

kept! {
    Viewer { member, kind, standing, groups }
    Actor { member, agent }
    CertificateIssued {
        member, agent, roles, serial, not_before, not_after, public_key_sha256, invitation, certificate,
    }
    Assessment {
        indicator, member, member_kind, verdict, independent, note, claim_review, government_release, made_at,
    }
}
