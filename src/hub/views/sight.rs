//! What one member saw through one filter at any moment of the fold. It looks back only: what may be handed out now is policy's
//! to say, with a release as proof.

use crate::domain::filter::Filter;
use crate::domain::id::MemberId;
use crate::domain::member::{Standing, Viewer};
use crate::domain::policy;

use super::at_hand::AtHand;
use super::indicators::{Indicators, Record, Version};
use super::kept::kept;
use super::roster::MemberRecord;

/// Moments of the fold, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first.
    pub from: u32,
    /// The last.
    pub to: u32,
}

impl Span {
    /// What of it lies between two moments; none if nothing does.
    pub fn within(self, from: u32, to: u32) -> Option<Span> {
        let span = Span {
            from: self.from.max(from),
            to: self.to.min(to),
        };
        (span.from <= span.to).then_some(span)
    }
}

kept! {
    Span { from, to }
}

/// One member's eyes.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// The indicators looked at.
    pub indicators: &'a Indicators,
    /// Whose eyes.
    pub member: &'a MemberRecord,
    /// What it asked for.
    pub filter: &'a Filter,
    /// Bodies, for filters that ask for what only they tell.
    pub bodies: &'a AtHand,
}

impl Sight<'_> {
    /// Whose an indicator is.
    pub fn publisher(&self, record: Record<'_>) -> MemberId {
        self.indicators.class(record.current).publisher
    }

    /// Whether it saw the indicator at `moment`.
    pub fn saw_at(&self, record: Record<'_>, moment: u32) -> bool {
        let (Some(viewer), Some(version)) = (self.member.viewer_at(moment), record.at(moment)) else {
            return false;
        };
        self.may_see(viewer, version) && self.indicators.passes(self.filter, version, self.bodies)
    }

    /// Whether it could see the indicator at `moment`, whatever it asked for.
    pub fn could_see_at(&self, record: Record<'_>, moment: u32) -> bool {
        let (viewer, version) = (self.member.viewer_at(moment), record.at(moment));
        viewer.is_some_and(|viewer| version.is_some_and(|version| self.may_see(viewer, version)))
    }

    /// Whether it saw the indicator at any moment of `span`.
    pub fn saw_within(&self, record: Record<'_>, span: Span) -> bool {
        if record.published_at() >= span.to {
            return false;
        }
        // What is seen changes only where the indicator changes or the member's rights do.
        let changes = record.versions().map(|version| version.ordinal + 1);
        self.saw_at(record, span.from)
            || changes
                .filter(|moment| (span.from + 1..=span.to).contains(moment))
                .chain(self.member.rights_changes(span.from, span.to))
                .any(|moment| self.saw_at(record, moment))
    }

    /// Whether the change `touch` of the indicator's handling took it from this member, were the member active: what a suspended
    /// member holds is taken back from it all the same. The filter does not count, for what no longer passes it may still be
    /// looked up.
    pub fn lost_by(&self, record: Record<'_>, touch: u32) -> bool {
        let (Some(before), Some(after)) = (record.at(touch), record.at(touch + 1)) else {
            return false;
        };
        let Some(viewer) = self.member.viewer_at(touch) else {
            return false;
        };
        let viewer = Viewer {
            standing: Standing::Active,
            ..Viewer::clone(viewer)
        };
        self.may_see(&viewer, before) && !self.may_see(&viewer, after)
    }

    fn may_see(&self, viewer: &Viewer, version: &Version) -> bool {
        policy::evaluate(viewer, &self.indicators.subject(version), ()).is_some()
    }
}
