//! Retracting: a publisher takes indicators back. Those who hold them are told by the feed; who has confirmed is `recall`'s.

use crate::domain::id::{IndicatorId, MemberId, Timestamp};
use crate::domain::indicator::{Indicator, State, Text};
use crate::domain::member::Role;
use crate::domain::violation::Violation;
use crate::log::entry::{Actor, Entry, Event, StoredIndicator};

use super::error::HubError;
use super::guard::check_share;
use super::publish::{Outcome, Rejection, RejectionCode, own, state_of};
use super::roster;
use super::sequencer::Verdict;
use super::views::Views;
use super::views::at_hand::AtHand;
use super::writing::Staged;
use super::{Caller, Hub};

impl Hub {
    /// Takes back indicators of the caller's. One outcome per id, in order.
    pub async fn retract(
        &self,
        caller: &Caller,
        ids: Vec<IndicatorId>,
        reason: Text<500>,
        confirm_large: bool,
    ) -> Result<Vec<Outcome>, HubError> {
        caller.require(Role::Publisher)?;
        if reason.is_empty() {
            return Err(Violation::new("reason", "must not be empty: those who hold the indicators are told").into());
        }
        let (member, actor, now) = (caller.member, caller.actor(), self.now());
        let rules = self.shared.recall;
        let bodies = self.bodies_of(member, &ids).await?;
        let mut outcomes = Vec::with_capacity(ids.len());
        self.sequencer
            .of(member)
            .propose(move |views, staged| {
                roster::active(views, member)?;
                let left = &ids[outcomes.len()..];
                if left.iter().any(|id| staged.touched.contains(id)) {
                    return Ok(Verdict::AfterOthers);
                }
                // Of all ids at once, before the first is taken back. No other retraction of the member comes between the parts.
                if outcomes.is_empty() {
                    check_share(views, staged, &rules, (member, now), ids.len(), confirm_large)?;
                }
                for (place, id) in ids.iter().enumerate().skip(outcomes.len()) {
                    if !staged.has_room() {
                        return Ok(Verdict::Partly);
                    }
                    let by = (member, &actor, now);
                    outcomes.push(stage_retraction((views, &bodies), staged, by, (place, *id), &reason));
                }
                Ok(Verdict::answer(std::mem::take(&mut outcomes)))
            })
            .await
    }
}

fn stage_retraction(
    (views, bodies): (&Views, &AtHand),
    staged: &mut Staged,
    (member, actor, now): (MemberId, &Option<Actor>, Timestamp),
    (place, id): (usize, IndicatorId),
    reason: &Text<500>,
) -> Outcome {
    let old = match own((views, bodies), member, id) {
        Ok(old) => old,
        Err(error) => {
            let reason = match error {
                HubError::Unreadable(_) => "cannot be read; tell who operates the hub",
                _ => "not found",
            };
            return Outcome::Rejected(Rejection {
                violation: Violation::new(format!("ids[{place}]"), reason),
                code: RejectionCode::NotFound,
                retry_after: None,
            });
        }
    };
    // Named twice in one request, or retracted before: once is enough.
    if staged.touched.contains(&id) {
        return Outcome::Duplicate {
            id,
            revision: old.revision + 1,
        };
    }
    if state_of(views, id) == Some(State::Retracted) {
        return Outcome::Duplicate {
            id,
            revision: old.revision,
        };
    }
    let revision = old.revision + 1;
    let indicator = Indicator {
        revision,
        revised_at: now,
        retraction_reason: reason.clone(),
        ..old
    };
    staged.touched.insert(id);
    let event = Event::IndicatorRetracted {
        stored: Box::new(StoredIndicator::new(indicator)),
    };
    staged.push(Entry {
        at: now,
        actor: actor.clone(),
        event,
    });
    Outcome::Accepted {
        id,
        revision,
        warnings: Vec::new(),
    }
}
