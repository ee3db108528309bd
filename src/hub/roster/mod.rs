//! Membership: members, groups, invitations, agents and their certificates. Each change is an entry. What only takes rights away
//! acts at once; what gives them waits for a second admin where there is one (`approval`). This file owns what is shown of it.

mod rules;

mod approval;

mod credentials;
mod members;

use crate::domain::agent::AgentName;
use crate::domain::id::{GroupId, MemberId, Seq, Timestamp};
use crate::domain::member::{MemberKind, Name, Role, Roles, Standing};

use super::error::HubError;
use super::views::roster::{GroupRecord, Happening, MemberEvent, MemberRecord, Roster, role_words};
use super::{Caller, Hub};

pub use approval::{Approved, Asked, PENDING_MAX, PENDING_SECS, PendingCard};
pub use credentials::Invitation;
pub(super) use rules::active;

/// Most members of one hub.
pub const MEMBERS_MAX: usize = 10_000;

/// Most groups of one hub.
pub const GROUPS_MAX: usize = 10_000;

/// Most agents of one member.
pub const AGENTS_PER_MEMBER_MAX: usize = 256;

/// A member, as others may know it.
#[derive(Clone, Debug)]
pub struct MemberCard {
    /// Its id.
    pub id: MemberId,
    /// Its name.
    pub name: Name,
    /// Its kind.
    pub kind: MemberKind,
    /// Where it stands.
    pub standing: Standing,
    /// When it joined.
    pub admitted_at: Timestamp,
}

/// A group, as its members may know it.
#[derive(Clone, Debug)]
pub struct GroupCard {
    /// Its id.
    pub id: GroupId,
    /// Its name.
    pub name: Name,
    /// Its members.
    pub members: Vec<MemberId>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An agent, as its own member and admins may know it.
#[derive(Clone, Debug)]
pub struct AgentCard {
    /// Its member.
    pub member: MemberId,
    /// Its name.
    pub name: AgentName,
    /// What it may do.
    pub roles: Roles,
    /// Serial of the newest certificate, big-endian.
    pub serial: Vec<u8>,
    /// End of the newest certificate.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// One change of a member, its groups or its agents, as an admin or the member itself may know it.
#[derive(Clone, Debug)]
pub struct MemberEventCard {
    /// When.
    pub at: Timestamp,
    /// A stable word for programs.
    pub kind: &'static str,
    /// What happened, for a person.
    pub summary: String,
    /// Who caused it; nobody where the hub itself did.
    pub author: Option<(MemberId, AgentName)>,
    /// Position of the entry; admins alone may know it.
    pub seq: Option<Seq>,
}

/// A certificate and whom it makes of its holder.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// Leaf first, PEM.
    pub chain_pem: String,
    /// The hub's authority, PEM.
    pub ca_pem: String,
    /// The member.
    pub member: MemberCard,
    /// The agent.
    pub agent: AgentCard,
}

impl Hub {
    /// All members.
    pub fn members(&self) -> Vec<MemberCard> {
        self.shared.read().roster.members().map(member_card).collect()
    }

    /// The groups that the caller's member belongs to; all, for an admin.
    pub fn groups(&self, caller: &Caller) -> Vec<GroupCard> {
        let admin = caller.roles.has(Role::Admin);
        let views = self.shared.read();
        let mine = views
            .roster
            .groups()
            .filter(|group| admin || group.members.binary_search(&caller.member).is_ok());
        mine.map(group_card).collect()
    }

    /// The agents of the caller's member; of all members, for an admin.
    pub fn agents(&self, caller: &Caller, of: Option<MemberId>) -> Vec<AgentCard> {
        let admin = caller.roles.has(Role::Admin);
        self.agent_cards(|id| (admin || id == caller.member) && of.is_none_or(|wanted| wanted == id))
    }

    /// What happened to a member, oldest first: an admin asks for any member, an agent for its own.
    pub fn member_history(&self, caller: &Caller, member: MemberId) -> Result<Vec<MemberEventCard>, HubError> {
        let admin = caller.roles.has(Role::Admin);
        if !admin && member != caller.member {
            return Err(HubError::Denied("only an admin may ask for another member's history"));
        }
        let views = self.shared.read();
        let record = views
            .roster
            .member(member)
            .ok_or(HubError::NotFound { field: "member_id" })?;
        let card = |event| event_card(&views.roster, event, admin);
        Ok(match admin {
            true => record.history.all().map(card).collect(),
            false => record.history.told().map(card).collect(),
        })
    }

    fn agent_cards(&self, wanted: impl Fn(MemberId) -> bool) -> Vec<AgentCard> {
        let views = self.shared.read();
        let members = views.roster.members().filter(|member| wanted(member.id));
        members
            .flat_map(|member| member.agents.keys().filter_map(|name| agent_card(member, name)))
            .collect()
    }

    fn member(&self, id: MemberId) -> Result<MemberCard, HubError> {
        self.shared
            .read()
            .roster
            .member(id)
            .map(member_card)
            .ok_or(HubError::NotFound { field: "id" })
    }

    fn group(&self, id: GroupId) -> Result<GroupCard, HubError> {
        self.shared
            .read()
            .roster
            .group(id)
            .map(group_card)
            .ok_or(HubError::NotFound { field: "group_id" })
    }
}

fn member_card(record: &MemberRecord) -> MemberCard {
    MemberCard {
        id: record.id,
        name: record.name.clone(),
        kind: record.viewer().kind,
        standing: record.viewer().standing,
        admitted_at: record.admitted_at,
    }
}

fn group_card(record: &GroupRecord) -> GroupCard {
    GroupCard {
        id: record.id,
        name: record.name.clone(),
        members: record.members.clone(),
        created_at: record.created_at,
    }
}

fn agent_card(member: &MemberRecord, name: &AgentName) -> Option<AgentCard> {
    let agent = member.agents.get(name)?;
    Some(AgentCard {
        member: member.id,
        name: name.clone(),
        roles: agent.roles,
        serial: agent.newest_serial.clone(),
        expires_at: agent.expires_at,
        revoked_at: agent.revoked_at,
    })
}

fn event_card(roster: &Roster, event: &MemberEvent, admin: bool) -> MemberEventCard {
    let group = |id: &GroupId| match roster.group(*id) {
        Some(group) => format!("\"{}\" ({id})", group.name),
        None => id.to_string(),
    };
    let because = |what: &str, reason: &str| match reason.is_empty() {
        true => what.to_owned(),
        false => format!("{what}: {reason}"),
    };
    let (kind, summary) = match &event.happening {
        Happening::Admitted(name, kind) => ("ADMITTED", format!("admitted as the {} \"{name}\"", kind.name())),
        Happening::Renamed(name) => ("RENAMED", format!("renamed to \"{name}\"")),
        Happening::Suspended(reason) => ("SUSPENDED", because("suspended", reason)),
        Happening::Resumed => ("RESUMED", "resumed".to_owned()),
        Happening::Removed(reason) => ("REMOVED", because("removed for good", reason)),
        Happening::GroupJoined(id) => ("GROUP_JOINED", format!("joined group {}", group(id))),
        Happening::GroupLeft(id) => ("GROUP_LEFT", format!("left group {}", group(id))),
        Happening::Invited(agent, roles) => ("INVITED", format!("agent {agent} invited as {}", role_words(*roles))),
        Happening::CertificateIssued(agent) => ("CERTIFICATE_ISSUED", format!("agent {agent} got a certificate")),
        Happening::OtherCertificatesEnded(agent) => (
            "OTHER_CERTIFICATES_ENDED",
            format!("agent {agent} ended its older certificates"),
        ),
        Happening::AgentRevoked(agent, reason) => ("AGENT_REVOKED", because(&format!("agent {agent} revoked"), reason)),
        Happening::ChangeProposed(change) => ("CHANGE_PROPOSED", format!("asked for: {change}")),
        Happening::ChangeApproved(change) => ("CHANGE_APPROVED", format!("approved: {change}")),
        Happening::ChangeRejected(change) => ("CHANGE_REJECTED", format!("rejected: {change}")),
    };
    MemberEventCard {
        at: event.at,
        kind,
        summary,
        author: event.actor.as_ref().map(|actor| (actor.member, actor.agent.clone())),
        seq: admin.then_some(event.seq),
    }
}
