//! How much each member has in the log. Nothing that was written ever leaves these sums: the log keeps it.

use crate::domain::id::MemberId;
use crate::hub::given::GivenMap;
use crate::log::entry::Event;

use super::kept::{kept, kept_newtypes};

/// What one member stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stored {
    /// Indicators ever published.
    pub indicators: u64,
    /// Bytes of all their revisions, before compression.
    pub bytes: u64,
}

/// The view.
#[derive(Default)]
pub struct Storage(GivenMap<MemberId, Stored>);

impl Storage {
    /// What a member stores.
    pub fn of(&self, member: MemberId) -> Stored {
        self.0.get(&member).copied().unwrap_or_default()
    }

    /// Folds an event of an indicator; others take no room that is counted.
    pub fn apply(&mut self, event: &Event) {
        let (stored, new) = match event {
            Event::IndicatorPublished { stored, .. } => (stored, 1),
            Event::IndicatorRevised { stored, .. } | Event::IndicatorRetracted { stored } => (stored, 0),
            _ => return,
        };
        let sum = self.0.entry(stored.indicator.publisher).or_default();
        sum.indicators += new;
        sum.bytes += stored.body.len() as u64;
    }
}

kept_newtypes!(Storage);
kept! {
    Stored { indicators, bytes }
}
