//! The two-person rule: a change that gives rights waits for a second admin where there is one. Who counts as one is
//! [`Roster::votes`](crate::hub::views::roster::Roster::votes)'s to say; what a change may do is `rules`'.

use std::time::Duration;

use super::rules;
use crate::domain::agent::AgentName;
use crate::domain::id::{ChangeId, InvitationId, MemberId, Timestamp};
use crate::domain::member::Role;
use crate::hub::error::HubError;
use crate::hub::sequencer::Verdict;
use crate::hub::views::Views;
use crate::hub::views::roster::PendingRecord;
use crate::hub::{Caller, Hub, new_id};
use crate::log::entry::{Actor, Entry, Event};
use crate::pki::InvitationToken;

/// Most changes that wait at once.
pub const PENDING_MAX: usize = 1_000;

/// How long a change waits, in seconds: a week.
pub const PENDING_SECS: i64 = 7 * 86_400;

/// What became of a change that was asked for.
#[derive(Clone, Debug)]
pub enum Asked<T> {
    /// It was carried out, or had been before.
    Done(T),
    /// It waits for a second admin.
    Pending(PendingCard),
}

/// A change that waits.
#[derive(Clone, Debug)]
pub struct PendingCard {
    /// Its id.
    pub id: ChangeId,
    /// What it would do, for a person.
    pub summary: String,
    /// The member of who asked.
    pub author_member: MemberId,
    /// The agent who asked.
    pub author_agent: AgentName,
    /// When.
    pub asked_at: Timestamp,
    /// When the wait ends by itself.
    pub expires_at: Timestamp,
}

/// A change that a second admin has just let through.
pub struct Approved {
    /// What was done, for a person.
    pub summary: String,
    /// Where it was an invitation: the token, which is shown to nobody else and never again.
    pub invitation: Option<(InvitationId, InvitationToken)>,
}

impl Hub {
    /// Changes that wait, oldest first.
    pub fn pending_changes(&self, caller: &Caller) -> Result<Vec<PendingCard>, HubError> {
        caller.require(Role::Admin)?;
        Ok(self.shared.read().roster.pending().at(self.now()).map(card).collect())
    }

    /// Carries out what another admin asked for, if it is still allowed. The approval and the change are one durable write: the
    /// entry of the approval names the approver, and that of the change, which follows, its author.
    pub async fn approve_change(&self, caller: &Caller, id: ChangeId) -> Result<Approved, HubError> {
        caller.require(Role::Admin)?;
        let now = self.now();
        let invitation = self.invitation_for(caller, id, now)?;
        let ends = invitation.as_ref().map(|(_, token)| token.not_after());
        let by = caller.clone();
        let summary = self
            .sequencer
            .of(caller.member)
            .propose(move |views, staged| {
                if !staged.alone() {
                    return Ok(Verdict::AfterOthers);
                }
                rules::acting_admin(views, &by)?;
                let pending = second_of(views, &by, id, now)?;
                let event = with_end(pending.event.clone(), ends);
                if !rules::check(views, &event, now)? {
                    let reason = "would change nothing any more; reject it";
                    return Err(rules::conflict("id", reason));
                }
                let settled = Event::ChangeSettled {
                    change: id,
                    approved: true,
                };
                staged.push(Entry {
                    at: now,
                    actor: by.actor(),
                    event: settled,
                });
                staged.push(Entry {
                    at: now,
                    actor: Some(pending.author.clone()),
                    event,
                });
                Ok(Verdict::answer(pending.summary.to_string()))
            })
            .await?;
        Ok(Approved { summary, invitation })
    }

    /// Drops a change that waits. Its author may do that too.
    pub async fn reject_change(&self, caller: &Caller, id: ChangeId) -> Result<(), HubError> {
        caller.require(Role::Admin)?;
        let (now, by) = (self.now(), caller.clone());
        self.sequencer
            .of(caller.member)
            .propose(move |views, staged| {
                if !staged.alone() {
                    return Ok(Verdict::AfterOthers);
                }
                rules::acting_admin(views, &by)?;
                find(views, id, now)?;
                let event = Event::ChangeSettled {
                    change: id,
                    approved: false,
                };
                staged.push(Entry {
                    at: now,
                    actor: by.actor(),
                    event,
                });
                Ok(Verdict::answer(()))
            })
            .await
    }

    /// Writes `event` for an admin, or the wish for it where a second admin must agree; nothing where it would change nothing.
    pub(in crate::hub) async fn ask(&self, caller: &Caller, event: Event) -> Result<Option<PendingCard>, HubError> {
        caller.require(Role::Admin)?;
        let (now, by, change) = (self.now(), caller.clone(), ChangeId(new_id()));
        self.sequencer
            .of(caller.member)
            .propose(move |views, staged| {
                if !staged.alone() {
                    return Ok(Verdict::AfterOthers);
                }
                rules::acting_admin(views, &by)?;
                if !rules::check(views, &event, now)? {
                    return Ok(Verdict::answer(None));
                }
                let actor = by.actor();
                if !rules::waits(&event) || views.roster.votes(now) < 2 {
                    staged.push(Entry {
                        at: now,
                        actor,
                        event: event.clone(),
                    });
                    return Ok(Verdict::answer(None));
                }
                if views.roster.pending().at(now).count() >= PENDING_MAX {
                    return Err(HubError::Exhausted {
                        reason: "too many changes wait for a second admin: approve or reject some",
                        retry_after: Duration::from_secs(60),
                    });
                }
                let expires_at = now.plus_secs(PENDING_SECS);
                let proposed = Event::ChangeProposed {
                    change,
                    event: Box::new(event.clone()),
                    expires_at,
                };
                staged.push(Entry {
                    at: now,
                    actor,
                    event: proposed,
                });
                Ok(Verdict::Done(Box::new(move |views| {
                    views.roster.pending().find(change, now).map(card)
                })))
            })
            .await
    }

    /// The token of an invitation that is about to be approved, with the life that its author asked for, counted from now.
    fn invitation_for(
        &self,
        caller: &Caller,
        id: ChangeId,
        now: Timestamp,
    ) -> Result<Option<(InvitationId, InvitationToken)>, HubError> {
        let (invitation, lifetime_secs) = {
            let views = self.shared.read();
            let pending = second_of(&views, caller, id, now)?;
            let Event::InvitationMade {
                invitation, expires_at, ..
            } = &pending.event
            else {
                return Ok(None);
            };
            (*invitation, expires_at.0.saturating_sub(pending.asked_at.0) / 1_000_000)
        };
        self.issue_invitation(invitation, now, u32::try_from(lifetime_secs).unwrap_or_default())
            .map(|token| Some((invitation, token)))
    }
}

/// A change that `by` may approve: somebody else asked for it, with a vote that is not the same.
fn second_of<'a>(views: &'a Views, by: &Caller, id: ChangeId, now: Timestamp) -> Result<&'a PendingRecord, HubError> {
    let pending = find(views, id, now)?;
    let approver = Actor {
        member: by.member,
        agent: by.agent.clone(),
    };
    if pending.author == approver {
        return Err(HubError::Denied(
            "you asked for this change yourself: another admin must approve it",
        ));
    }
    if views.roster.vote_of(&pending.author) == views.roster.vote_of(&approver) {
        let reason = "your vote and the author's are one, since one of you was handed the other's invitation: another admin must approve";
        return Err(HubError::Denied(reason));
    }
    Ok(pending)
}

fn find(views: &Views, id: ChangeId, now: Timestamp) -> Result<&PendingRecord, HubError> {
    views
        .roster
        .pending()
        .find(id, now)
        .ok_or(HubError::NotFound { field: "id" })
}

/// An invitation lasts from its approval on; nothing else has an end.
fn with_end(event: Event, ends: Option<Timestamp>) -> Event {
    match (event, ends) {
        (
            Event::InvitationMade {
                invitation,
                member,
                agent,
                roles,
                ..
            },
            Some(expires_at),
        ) => Event::InvitationMade {
            invitation,
            member,
            agent,
            roles,
            expires_at,
        },
        (event, _) => event,
    }
}

fn card(pending: &PendingRecord) -> PendingCard {
    PendingCard {
        id: pending.id,
        summary: pending.summary.to_string(),
        author_member: pending.author.member,
        author_agent: pending.author.agent.clone(),
        asked_at: pending.asked_at,
        expires_at: pending.expires_at,
    }
}
