//! Changes that wait for a second admin, and the count of those who have a say. It reads no clock: whoever asks brings the time.

use std::collections::BTreeSet;

use crate::domain::agent::AgentName;
use crate::domain::id::Seq;
use crate::domain::id::{ChangeId, MemberId, Timestamp};
use crate::domain::member::{Role, Roles, Standing};
use crate::log::entry::{Actor, Event};

use super::super::kept::{kept, kept_newtypes};
use super::{AgentRecord, MemberRecord, Roster};

/// How long an admin who was shut out by another still counts towards the two-person rule, in seconds: a week.
///
/// Revocation and suspension act at once, so a stolen admin's key can shut out all other admins. If those no longer counted, it
/// would act alone from then on. So it waits, and the others have a week to see what happened.
pub const SHUT_OUT_COUNTS_SECS: i64 = 7 * 86_400;

/// A change that waits.
#[derive(Clone, Debug)]
pub struct PendingRecord {
    /// Its id.
    pub id: ChangeId,
    /// What would be written.
    pub event: Event,
    /// What it would do, for a person, in the names of the time when it was asked for.
    pub summary: Box<str>,
    /// Who asked.
    pub author: Actor,
    /// When.
    pub asked_at: Timestamp,
    /// When the wait ends by itself.
    pub expires_at: Timestamp,
    /// Position of the entry that asked.
    pub seq: Seq,
}

/// All changes that wait, in the order of the log. Few enough to be looked through.
#[derive(Default)]
pub struct Pending(Vec<PendingRecord>);

impl Pending {
    /// Those that still wait at `now`.
    pub fn at(&self, now: Timestamp) -> impl Iterator<Item = &PendingRecord> {
        self.0.iter().filter(move |pending| pending.expires_at > now)
    }

    /// One that still waits at `now`.
    pub fn find(&self, id: ChangeId, now: Timestamp) -> Option<&PendingRecord> {
        self.at(now).find(|pending| pending.id == id)
    }

    pub(super) fn add(&mut self, record: PendingRecord) {
        // Room is made here, so that the fold holds no more than what can still be decided.
        let now = record.asked_at;
        self.0.retain(|pending| pending.expires_at > now);
        self.0.push(record);
    }

    pub(super) fn take(&mut self, id: ChangeId) -> Option<PendingRecord> {
        let place = self.0.iter().position(|pending| pending.id == id)?;
        Some(self.0.remove(place))
    }

    /// What an admin asked for falls with the admin: it may be the doing of whoever stole the key.
    pub(super) fn drop_of(&mut self, member: MemberId, agent: Option<&AgentName>) {
        let falls = |author: &Actor| author.member == member && agent.is_none_or(|agent| *agent == author.agent);
        self.0.retain(|pending| !falls(&pending.author));
    }
}

impl Roster {
    /// How many votes there are at `now`. With two or more, changes that give rights wait for a second one.
    ///
    /// A vote is an admin's, revoked by nobody, of an active member, with a certificate that has not ended. Admins that were shut
    /// out by another count for [`SHUT_OUT_COUNTS_SECS`] more. Admins whose vote is [`AgentRecord::votes_with`] another's count once.
    pub fn votes(&self, now: Timestamp) -> usize {
        let mut votes: BTreeSet<(MemberId, &AgentName)> = BTreeSet::new();
        for member in self.members() {
            for (name, agent) in &member.agents {
                if agent.roles.has(Role::Admin) && counts(member, agent, now) {
                    votes.insert(match &agent.votes_with {
                        Some(other) => (other.member, &other.agent),
                        None => (member.id, name),
                    });
                }
            }
        }
        votes.len()
    }

    /// Admins who can act at `now`: not revoked, of an active member, with a certificate that has not ended.
    pub fn admins(&self, now: Timestamp) -> impl Iterator<Item = (MemberId, &AgentName)> {
        let active = self
            .members()
            .filter(|member| member.viewer().standing == Standing::Active);
        active.flat_map(move |member| {
            let able = move |agent: &AgentRecord| {
                agent.roles.has(Role::Admin) && agent.revoked_at.is_none() && agent.expires_at > now
            };
            member
                .agents
                .iter()
                .filter(move |(_, agent)| able(agent))
                .map(|(name, _)| (member.id, name))
        })
    }

    /// Whose vote an agent's is.
    pub fn vote_of(&self, actor: &Actor) -> Actor {
        let agent = self
            .member(actor.member)
            .and_then(|member| member.agents.get(&actor.agent));
        agent
            .and_then(|agent| agent.votes_with.clone())
            .unwrap_or_else(|| actor.clone())
    }

    /// What an event does, for a person. Names stand beside ids: a name alone can be made to mislead.
    pub(super) fn summary(&self, event: &Event) -> String {
        let member = |id: &MemberId| match self.member(*id) {
            Some(record) => format!("\"{}\" ({id})", record.name),
            None => id.to_string(),
        };
        let group = |id: &crate::domain::id::GroupId| match self.group(*id) {
            Some(record) => format!("\"{}\" ({id})", record.name),
            None => id.to_string(),
        };
        match event {
            Event::MemberAdmitted { name, kind, .. } => format!("admit the {} member \"{name}\"", kind.name()),
            Event::MemberRenamed { member: id, name } => format!("rename member {} to \"{name}\"", member(id)),
            Event::MemberStandingChanged {
                member: id,
                standing,
                reason,
            } => {
                let verb = match standing {
                    Standing::Active => "resume",
                    Standing::Suspended => "suspend",
                    Standing::Removed => "remove for good",
                };
                let because = if reason.is_empty() {
                    String::new()
                } else {
                    format!(": {reason}")
                };
                format!("{verb} member {}{because}", member(id))
            }
            Event::GroupCreated { name, .. } => format!("create the group \"{name}\""),
            Event::GroupMemberAdded { group: id, member: who } => {
                format!("put member {} into group {}", member(who), group(id))
            }
            Event::GroupMemberRemoved { group: id, member: who } => {
                format!("take member {} out of group {}", member(who), group(id))
            }
            Event::InvitationMade {
                member: id,
                agent,
                roles,
                ..
            } => {
                format!(
                    "invite agent \"{agent}\" of member {} as {}",
                    member(id),
                    role_words(*roles)
                )
            }
            Event::ErasureOrdered { indicator, reason } => format!("erase indicator {indicator}: {reason}"),
            // Nothing else is ever proposed; the decoder refuses it.
            _ => "change the roster".to_owned(),
        }
    }
}

/// Roles as the command line writes them.
pub fn role_words(roles: Roles) -> String {
    roles.iter().map(Role::name).collect::<Vec<_>>().join(",")
}

fn counts(member: &MemberRecord, agent: &AgentRecord, now: Timestamp) -> bool {
    let shut_out_at = match (member.viewer().standing, agent.revoked_at) {
        (Standing::Removed, _) => return false,
        (_, Some(_)) if agent.revoked_itself => return false,
        (_, Some(at)) => at,
        (Standing::Suspended, None) => member.standing_since,
        (Standing::Active, None) => return agent.expires_at > now,
    };
    // Whoever could not act any more by then was not shut out.
    agent.expires_at > shut_out_at && shut_out_at.plus_secs(SHUT_OUT_COUNTS_SECS) > now
}

kept_newtypes!(Pending);
kept! {
    PendingRecord { id, event, summary, author, asked_at, expires_at, seq }
}

#[cfg(test)]
#[path = "pending_tests.rs"]
mod tests;
