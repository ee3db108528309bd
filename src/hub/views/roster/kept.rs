//! The roster in a snapshot.

use super::super::copying::Copying;
use super::super::kept::{Kept, kept};
use super::super::requests::{RequestOutcome, Requests};
use super::super::snapshot::{Part, Reading};
use super::{AgentRecord, Approval, GroupRecord, InvitationRecord, MemberRecord, Roster};
use crate::domain::id::MemberId;
use crate::log::Refusal;

impl Roster {
    /// Copies what members' requests led to.
    pub fn copy_requests(&self, copying: &mut Copying) {
        for member in self.members.values() {
            copying.requests(member.id, &member.requests);
        }
    }

    /// Remembers what is copied of members' requests.
    pub fn load_requests(&mut self, from: &Reading<'_>) -> Result<(), Refusal> {
        type OfMember = (MemberId, Vec<(Box<str>, RequestOutcome)>);
        for (member, requests) in from.parts(Part::Requests, |_, rest| OfMember::take(rest))? {
            for (id, outcome) in requests {
                self.remember_request(member, &id, outcome);
            }
        }
        Ok(())
    }
}

kept! {
    Roster { members, groups, invitations, pending, approved }
    Approval { seq, approver, prologue }
    AgentRecord { roles, certificates, newest_serial, expires_at, revoked_at, revoked_itself, votes_with }
    GroupRecord { id, name, created_at, members }
    InvitationRecord { member, agent, roles, expires_at, approver, used }
}

/// Kept without its requests, of which there may be many.
impl Kept for MemberRecord {
    fn keep(&self, out: &mut Vec<u8>) {
        let MemberRecord {
            id,
            name,
            admitted_at,
            agents,
            standing_since,
            history,
            rights,
            requests: _,
        } = self;
        id.keep(out);
        name.keep(out);
        admitted_at.keep(out);
        agents.keep(out);
        standing_since.keep(out);
        history.keep(out);
        rights.keep(out);
    }

    fn take(rest: &mut &[u8]) -> Option<MemberRecord> {
        Some(MemberRecord {
            id: Kept::take(rest)?,
            name: Kept::take(rest)?,
            admitted_at: Kept::take(rest)?,
            agents: Kept::take(rest)?,
            standing_since: Kept::take(rest)?,
            history: Kept::take(rest)?,
            rights: Kept::take(rest)?,
            requests: Requests::default(),
        })
    }
}
