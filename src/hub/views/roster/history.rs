//! What happened to each member, newest kept, for those who ask why things are as they are. It holds what the log's entries say
//! and nothing else; who may read it is decided by the hub.

use std::collections::VecDeque;

use crate::domain::agent::AgentName;
use crate::domain::id::{GroupId, MemberId, Seq, Timestamp};
use crate::domain::member::{MemberKind, Name, Roles, Standing};
use crate::log::entry::{Actor, Event};

use super::super::kept::{kept, kept_variants};

/// Events kept per member, and as many deliberations about it; older ones are in the log alone.
pub const EVENTS_PER_MEMBER_MAX: usize = 1_000;

/// One change of a member, its groups or its agents.
#[derive(Clone, Debug)]
pub struct MemberEvent {
    /// Position of the entry.
    pub seq: Seq,
    /// When it was written.
    pub at: Timestamp,
    /// Who caused it; nobody where the hub itself did.
    pub actor: Option<Actor>,
    /// What happened.
    pub happening: Happening,
}

/// What can happen to a member.
#[derive(Clone, Debug)]
pub enum Happening {
    /// It joined the hub.
    Admitted(Name, MemberKind),
    /// It got another name.
    Renamed(Name),
    /// It was suspended, for a reason.
    Suspended(Box<str>),
    /// It takes part again.
    Resumed,
    /// It was removed for good, for a reason.
    Removed(Box<str>),
    /// It joined a group.
    GroupJoined(GroupId),
    /// It left a group.
    GroupLeft(GroupId),
    /// An agent of it was invited.
    Invited(AgentName, Roles),
    /// An agent of it enrolled or renewed.
    CertificateIssued(AgentName),
    /// An agent of it ended all its certificates but one.
    OtherCertificatesEnded(AgentName),
    /// An agent of it was revoked, for a reason.
    AgentRevoked(AgentName, Box<str>),
    /// A change of it was asked for: what it would do.
    ChangeProposed(Box<str>),
    /// A change of it was approved: what it did.
    ChangeApproved(Box<str>),
    /// A change of it was rejected: what it would have done.
    ChangeRejected(Box<str>),
}

impl Happening {
    /// Whether it speaks of the two-person rule, which is the admins' business alone: to the others, a change that waits has not
    /// happened.
    pub fn is_deliberation(&self) -> bool {
        matches!(
            self,
            Happening::ChangeProposed(_) | Happening::ChangeApproved(_) | Happening::ChangeRejected(_)
        )
    }
}

/// The newest events of one member. Deliberations are kept apart: they must not push out what the member may read, for it would learn of
/// them by what is missing.
#[derive(Default)]
pub struct History {
    told: VecDeque<MemberEvent>,
    deliberations: VecDeque<MemberEvent>,
}

impl History {
    /// What the member itself may read, oldest first.
    pub fn told(&self) -> impl Iterator<Item = &MemberEvent> {
        self.told.iter()
    }

    /// The newest of all, oldest first; for admins.
    pub fn all(&self) -> impl Iterator<Item = &MemberEvent> {
        let mut all: Vec<_> = self.told.iter().chain(&self.deliberations).collect();
        all.sort_by_key(|event| event.seq);
        let surplus = all.len().saturating_sub(EVENTS_PER_MEMBER_MAX);
        all.into_iter().skip(surplus)
    }

    /// Adds the newest event; the oldest of its sort leaves where there is no room.
    pub fn push(&mut self, event: MemberEvent) {
        let events = match event.happening.is_deliberation() {
            true => &mut self.deliberations,
            false => &mut self.told,
        };
        if events.len() >= EVENTS_PER_MEMBER_MAX {
            events.pop_front();
        }
        events.push_back(event);
    }
}

/// The member that an event changes, its groups or its agents.
pub fn subject(event: &Event) -> Option<MemberId> {
    match event {
        Event::MemberAdmitted { member, .. }
        | Event::MemberRenamed { member, .. }
        | Event::MemberStandingChanged { member, .. }
        | Event::GroupMemberAdded { member, .. }
        | Event::GroupMemberRemoved { member, .. }
        | Event::InvitationMade { member, .. }
        | Event::OtherCertificatesEnded { member, .. }
        | Event::AgentRevoked { member, .. } => Some(*member),
        Event::CertificateIssued(issued) => Some(issued.member),
        _ => None,
    }
}

/// What an event means for its [`subject`]. Changes that wait are told by the roster, which knows them.
pub fn happening(event: &Event) -> Option<Happening> {
    Some(match event {
        Event::MemberAdmitted { name, kind, .. } => Happening::Admitted(name.clone(), *kind),
        Event::MemberRenamed { name, .. } => Happening::Renamed(name.clone()),
        Event::MemberStandingChanged { standing, reason, .. } => match standing {
            Standing::Active => Happening::Resumed,
            Standing::Suspended => Happening::Suspended(reason.as_str().into()),
            Standing::Removed => Happening::Removed(reason.as_str().into()),
        },
        Event::GroupMemberAdded { group, .. } => Happening::GroupJoined(*group),
        Event::GroupMemberRemoved { group, .. } => Happening::GroupLeft(*group),
        Event::InvitationMade { agent, roles, .. } => Happening::Invited(agent.clone(), *roles),
        Event::CertificateIssued(issued) => Happening::CertificateIssued(issued.agent.clone()),
        Event::OtherCertificatesEnded { agent, .. } => Happening::OtherCertificatesEnded(agent.clone()),
        Event::AgentRevoked { agent, reason, .. } => Happening::AgentRevoked(agent.clone(), reason.as_str().into()),
        _ => return None,
    })
}

kept! {
    History { told, deliberations }
    MemberEvent { seq, at, actor, happening }
}
kept_variants! {
    Happening {
        1 => Admitted { 0: name, 1: kind },
        2 => Renamed { 0: name },
        3 => Suspended { 0: reason },
        4 => Resumed {},
        5 => Removed { 0: reason },
        6 => GroupJoined { 0: group },
        7 => GroupLeft { 0: group },
        8 => Invited { 0: agent, 1: roles },
        9 => CertificateIssued { 0: agent },
        10 => AgentRevoked { 0: agent, 1: reason },
        11 => ChangeProposed { 0: summary },
        12 => ChangeApproved { 0: summary },
        13 => ChangeRejected { 0: summary },
        14 => OtherCertificatesEnded { 0: agent },
    }
}
