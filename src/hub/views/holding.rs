//! What a durable subscription may hold, in moments of the fold: what was visible at the one that it has proven to have applied, and
//! during the spans since in which a stream was open.

use crate::domain::id::Timestamp;

use super::indicators::Record;
use super::kept::kept;
use super::sight::{Sight, Span};

/// Most spans of one subscription; past that, neighbours are joined, which makes what may be held more, never less.
const SPANS_MAX: usize = 64;

/// Confirmations remembered of one subscription for one publisher; older recalls no longer list it as confirmed.
pub const CONFIRMATIONS_MAX: usize = 4_096;

/// What may be held.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Holding {
    /// All changes before this moment are known to be applied: what was visible then may be held.
    pub applied: u32,
    /// What was visible then may have been received besides.
    pub spans: Vec<Span>,
}

impl Holding {
    /// Whether the indicator may have been held just before `touch`.
    pub fn may_hold(&self, sight: &Sight<'_>, record: Record<'_>, touch: u32) -> bool {
        if record.published_at() >= touch {
            return false;
        }
        let mut spans = self.spans.iter().filter_map(|span| span.within(self.applied, touch));
        (self.applied <= touch && sight.saw_at(record, self.applied))
            || spans.any(|span| sight.saw_within(record, span))
    }

    /// Moves on to a proven moment. A mirror that goes back (a restored backup, or none at all) may still hold what it had.
    pub fn prove(&mut self, applied: u32) {
        if applied < self.applied {
            self.push(Span {
                from: self.applied,
                to: self.applied,
            });
        }
        self.applied = applied;
        self.spans.retain_mut(|span| {
            span.from = span.from.max(applied);
            span.from <= span.to && span.to > applied
        });
    }

    /// Adds a span in which a stream was open.
    pub fn push(&mut self, span: Span) {
        if span.to < span.from {
            return;
        }
        let place = self.spans.partition_point(|other| other.from <= span.from);
        self.spans.insert(place, span);
        if self.spans.len() > SPANS_MAX {
            let gap = |place: &usize| self.spans[place + 1].from.saturating_sub(self.spans[*place].to);
            let nearest = (0..self.spans.len() - 1).min_by_key(gap).unwrap_or_default();
            let next = self.spans.remove(nearest + 1);
            self.spans[nearest].to = self.spans[nearest].to.max(next.to);
        }
    }
}

/// A move of the proven moment that confirmed a recall.
pub struct Confirmation {
    /// What may have been held before.
    pub held: Holding,
    /// Touches before this one are confirmed.
    pub to: u32,
    /// When.
    pub at: Timestamp,
}

kept! {
    Holding { applied, spans }
    Confirmation { held, to, at }
}
