//! Retracting: a publisher takes indicators back. Those who hold them are told by the feed; who has confirmed is `recall`'s.

use std::sync::Arc;

use crate::domain::id::{IndicatorId, MemberId, Timestamp};
use crate::domain::indicator::{Indicator, State, Text};
use crate::domain::member::Role;
use crate::domain::violation::Violation;
use crate::log::entry::{Actor, Entry, Event, StoredIndicator};

use super::error::HubError;
use super::guard::check_share;
use super::publish::{Outcome, Rejection, RejectionCode, own, own_version};
use super::recall::RecallRules;
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
        let retraction = Retraction {
            actor: caller.actor(),
            member: caller.member,
            ids,
            reason,
            confirm_large,
            now: self.now(),
            rules: self.shared.recall,
        };
        let (retraction, mut outcomes) = (Arc::new(retraction), Vec::new());
        // Once, but where one of the indicators is revised meanwhile.
        loop {
            let left = &retraction.ids[outcomes.len()..];
            let bodies = self.bodies_of(caller.member, left).await?;
            let (asked, mut decided) = (retraction.clone(), outcomes);
            let decide = move |views: &Views, staged: &mut Staged| asked.stage((views, &bodies), staged, &mut decided);
            outcomes = self.sequencer.of(caller.member).propose(decide).await?;
            if outcomes.len() == retraction.ids.len() {
                return Ok(outcomes);
            }
        }
    }
}

/// A retraction that was asked for.
struct Retraction {
    actor: Option<Actor>,
    member: MemberId,
    ids: Vec<IndicatorId>,
    reason: Text<500>,
    confirm_large: bool,
    now: Timestamp,
    rules: RecallRules,
}

impl Retraction {
    /// Stages what comes after the ids that are decided. Answers with the outcomes up to the first whose body is not at hand.
    fn stage(
        &self,
        (views, bodies): (&Views, &AtHand),
        staged: &mut Staged,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<Verdict<Vec<Outcome>>, HubError> {
        roster::active(views, self.member)?;
        if self.ids[outcomes.len()..].iter().any(|id| staged.touched.contains(id)) {
            return Ok(Verdict::AfterOthers);
        }
        // Of all ids at once, before the first is taken back. No other retraction of the member comes between the parts.
        if outcomes.is_empty() {
            let by = (self.member, self.now);
            check_share(views, staged, &self.rules, by, self.ids.len(), self.confirm_large)?;
        }
        for place in outcomes.len()..self.ids.len() {
            if !staged.has_room() {
                return Ok(Verdict::Partly);
            }
            let outcome = self.stage_one((views, bodies), staged, place);
            if bodies.is_short() {
                break;
            }
            outcomes.push(outcome);
        }
        Ok(Verdict::answer(std::mem::take(outcomes)))
    }

    fn stage_one(&self, (views, bodies): (&Views, &AtHand), staged: &mut Staged, place: usize) -> Outcome {
        let id = self.ids[place];
        if let Some(revision) = taken_back(views, self.member, id) {
            return Outcome::Duplicate { id, revision };
        }
        let old = match own((views, bodies), self.member, id) {
            Ok(old) => old,
            Err(error) => return Outcome::Rejected(rejection(&error, format!("ids[{place}]"))),
        };
        // Named twice in one request: once is enough.
        if staged.touched.contains(&id) {
            return Outcome::Duplicate {
                id,
                revision: old.revision + 1,
            };
        }
        let revision = old.revision + 1;
        let indicator = Indicator {
            revision,
            revised_at: self.now,
            retraction_reason: self.reason.clone(),
            ..old
        };
        staged.touched.insert(id);
        let event = Event::IndicatorRetracted {
            stored: Box::new(StoredIndicator::new(indicator)),
        };
        staged.push(Entry {
            at: self.now,
            actor: self.actor.clone(),
            event,
        });
        Outcome::Accepted {
            id,
            revision,
            warnings: Vec::new(),
        }
    }
}

/// Why one of the ids cannot be retracted. What is there and cannot be read is never taken for what is not there.
fn rejection(error: &HubError, field: String) -> Rejection {
    match error {
        HubError::Unreadable(_) => Rejection::unreadable(field),
        _ => Rejection {
            violation: Violation::new(field, "not found"),
            code: RejectionCode::NotFound,
            retry_after: None,
        },
    }
}

/// The last revision of one of the member's own indicators that was retracted before, or of which nothing is left.
fn taken_back(views: &Views, member: MemberId, id: IndicatorId) -> Option<u32> {
    let version = own_version(views, member, id)?;
    matches!(version.state(), State::Retracted | State::Erased).then_some(version.revision)
}
