//! Near look-ups: what stands within a distance of a hash and may be seen. The order in which candidates lie in the index, and how
//! many there are, never shows: they are put in an order that the visible ones alone decide, and policy is asked of each in turn.

use std::cmp::Reverse;

use super::super::error::HubError;
use super::super::views::near::stands;
use super::super::{Caller, Hub};
use super::{Known, MATCHES_MAX, Relation, release, viewer};
use crate::domain::observable::Observable;
use crate::domain::similarity::Near;
use crate::domain::violation::Violation;

/// Candidates of which policy is asked under one hold of the views' lock. There may be as many as there are hashes, all hidden:
/// whoever publishes them costs who asks some time, and others none.
const CANDIDATES_PER_HOLD_MAX: usize = 8_192;

/// How far a look-up reaches from a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// The usual distance of the value's kind.
    Usual,
    /// A distance, of 1 to what the kind allows. 0 finds the value itself and nothing near it.
    Within(u32),
}

impl Reach {
    /// What is near an observable; none where its kind has no distance, or where only the value itself is asked for.
    pub(super) fn of(self, observable: &Observable) -> Result<Option<Near>, Violation> {
        match self {
            Reach::Usual => Ok(Near::usual(observable)),
            Reach::Within(0) => Ok(None),
            Reach::Within(distance_max) if Near::usual(observable).is_some() => {
                Near::new("distance_max", observable, Some(distance_max)).map(Some)
            }
            Reach::Within(_) => Ok(None),
        }
    }
}

impl Hub {
    /// Adds what is near, after what was found before.
    pub(super) async fn add_near(&self, caller: &Caller, near: &Near, known: &mut Known) -> Result<(), HubError> {
        let candidates = self.shared.read().near.within(near);
        for slice in candidates.chunks(CANDIDATES_PER_HOLD_MAX) {
            if known.truncated {
                break;
            }
            self.add_visible(caller, slice, known)?;
            // Others come first.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn add_visible(
        &self,
        caller: &Caller,
        candidates: &[(u32, Reverse<u32>)],
        known: &mut Known,
    ) -> Result<(), HubError> {
        let views = self.shared.read();
        let viewer = viewer(&views, caller)?;
        for (distance, Reverse(record)) in candidates {
            let found = release(&views, viewer, *record);
            // It may have been taken back since the candidates were collected; its owner would still see it.
            let Some(found) = found.filter(|release| stands(release.body().state)) else {
                continue;
            };
            if known.found.len() == MATCHES_MAX {
                known.truncated = true;
                return Ok(());
            }
            known.relations.push(Relation::Near(*distance));
            known.found.push(found);
        }
        Ok(())
    }
}
