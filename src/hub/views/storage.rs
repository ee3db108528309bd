//! How much each member has written to the log. Nothing ever leaves these sums, also where it was erased since.

use crate::domain::id::MemberId;
use crate::hub::given::GivenMap;
use crate::log::entry::{Change, Event};

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
        let (indicator, is_new, bytes) = match event {
            Event::IndicatorPublished { stored, .. } => (&stored.indicator, true, stored.body.len() as u64),
            Event::IndicatorRevised { stored, .. } | Event::IndicatorRetracted { stored } => {
                (&stored.indicator, false, stored.body.len() as u64)
            }
            Event::IndicatorErased(left) => {
                let is_new = left.change == Change::Published;
                (&left.stored.indicator, is_new, u64::from(left.body_bytes))
            }
            _ => return,
        };
        let sum = self.0.entry(indicator.publisher).or_default();
        sum.indicators += u64::from(is_new);
        sum.bytes += bytes;
    }
}

kept_newtypes!(Storage);
kept! {
    Stored { indicators, bytes }
}
