//! The view of members, groups, agents and invitations, with each member's rights at every moment of the fold.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::domain::agent::AgentName;
use crate::domain::id::{GroupId, InvitationId, MemberId, Timestamp};
use crate::domain::member::{MemberKind, Name, Roles, Standing, Viewer};
use crate::log::entry::{CertificateIssued, Event};

use super::indicators::RecordIndex;

/// Request ids remembered per member; older ones are recognised by their content only.
pub const REQUESTS_REMEMBERED_MAX: usize = 65_536;

/// One member.
pub struct MemberRecord {
    /// Its id.
    pub id: MemberId,
    /// Its name.
    pub name: Name,
    /// When it joined.
    pub admitted_at: Timestamp,
    /// Its agents by name.
    pub agents: BTreeMap<AgentName, AgentRecord>,
    history: Vec<(u32, Arc<Viewer>)>,
    requests: HashMap<Box<str>, (RecordIndex, u32)>,
    request_order: VecDeque<Box<str>>,
}

impl MemberRecord {
    /// Its rights now.
    pub fn viewer(&self) -> &Arc<Viewer> {
        // Admission writes the first element, and nothing removes one.
        &self.history[self.history.len() - 1].1
    }

    /// Its rights at `ordinal`; none before it joined.
    pub fn viewer_at(&self, ordinal: u32) -> Option<&Arc<Viewer>> {
        self.history
            .iter()
            .rev()
            .find(|(since, _)| *since < ordinal)
            .map(|(_, viewer)| viewer)
    }

    /// What an earlier request with this id led to.
    pub fn request(&self, request_id: &str) -> Option<(RecordIndex, u32)> {
        self.requests.get(request_id).copied()
    }
}

/// One agent.
#[derive(Clone)]
pub struct AgentRecord {
    /// What it may do.
    pub roles: Roles,
    /// Certificates that are accepted, oldest first; none once revoked.
    pub certificates: Vec<CertificateIssued>,
    /// The serial of the newest certificate, also after revocation.
    pub newest_serial: Vec<u8>,
    /// The end of the newest certificate.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// One group.
#[derive(Clone)]
pub struct GroupRecord {
    /// Its id.
    pub id: GroupId,
    /// Its name.
    pub name: Name,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its members, sorted.
    pub members: Vec<MemberId>,
}

/// One right to enrol.
#[derive(Clone)]
pub struct InvitationRecord {
    /// For whom.
    pub member: MemberId,
    /// The agent to be.
    pub agent: AgentName,
    /// What it will be allowed.
    pub roles: Roles,
    /// When the right ends.
    pub expires_at: Timestamp,
    /// The certificate it was turned into.
    pub used: Option<CertificateIssued>,
}

/// The view.
#[derive(Default)]
pub struct Roster {
    members: BTreeMap<MemberId, MemberRecord>,
    groups: BTreeMap<GroupId, GroupRecord>,
    invitations: HashMap<InvitationId, InvitationRecord>,
}

impl Roster {
    /// A member by id.
    pub fn member(&self, id: MemberId) -> Option<&MemberRecord> {
        self.members.get(&id)
    }

    /// All members, in the order of admission.
    pub fn members(&self) -> impl Iterator<Item = &MemberRecord> {
        self.members.values()
    }

    /// A member by name, ignoring case.
    pub fn member_named(&self, name: &Name) -> Option<&MemberRecord> {
        let key = name.key();
        self.members.values().find(|member| member.name.key() == key)
    }

    /// A group by id.
    pub fn group(&self, id: GroupId) -> Option<&GroupRecord> {
        self.groups.get(&id)
    }

    /// All groups, in the order of creation.
    pub fn groups(&self) -> impl Iterator<Item = &GroupRecord> {
        self.groups.values()
    }

    /// An invitation by id.
    pub fn invitation(&self, id: InvitationId) -> Option<&InvitationRecord> {
        self.invitations.get(&id)
    }

    /// Remembers what a request id led to.
    pub fn remember_request(&mut self, member: MemberId, request_id: &str, outcome: (RecordIndex, u32)) {
        let Some(member) = self.members.get_mut(&member) else {
            return;
        };
        if request_id.is_empty() || member.requests.insert(request_id.into(), outcome).is_some() {
            return;
        }
        member.request_order.push_back(request_id.into());
        if member.request_order.len() > REQUESTS_REMEMBERED_MAX
            && let Some(oldest) = member.request_order.pop_front()
        {
            member.requests.remove(&oldest);
        }
    }

    /// Folds an event of the roster at moment `ordinal`. Says whether somebody's rights to see changed.
    #[expect(clippy::too_many_lines, reason = "a flat table, one arm or field a line")]
    pub fn apply(&mut self, at: Timestamp, event: &Event, ordinal: u32) -> bool {
        match event {
            Event::MemberAdmitted { member, name, kind } => {
                self.admit(at, *member, name, *kind, ordinal);
                true
            }
            Event::MemberStandingChanged { member, standing, .. } => {
                self.change_viewer(*member, ordinal, |viewer| viewer.standing = *standing)
            }
            Event::GroupCreated { group, name } => {
                let record = GroupRecord {
                    id: *group,
                    name: name.clone(),
                    created_at: at,
                    members: Vec::new(),
                };
                self.groups.insert(*group, record);
                false
            }
            Event::GroupMemberAdded { group, member } => {
                if let Some(record) = self.groups.get_mut(group) {
                    insert_sorted(&mut record.members, *member);
                }
                self.change_viewer(*member, ordinal, |viewer| insert_sorted(&mut viewer.groups, *group))
            }
            Event::GroupMemberRemoved { group, member } => {
                if let Some(record) = self.groups.get_mut(group) {
                    record.members.retain(|candidate| candidate != member);
                }
                self.change_viewer(*member, ordinal, |viewer| viewer.groups.retain(|held| held != group))
            }
            Event::InvitationMade {
                invitation,
                member,
                agent,
                roles,
                expires_at,
            } => {
                let record = InvitationRecord {
                    member: *member,
                    agent: agent.clone(),
                    roles: *roles,
                    expires_at: *expires_at,
                    used: None,
                };
                self.invitations.insert(*invitation, record);
                false
            }
            Event::CertificateIssued(issued) => {
                self.certify(issued);
                false
            }
            Event::AgentRevoked { member, agent, .. } => {
                let member = self.members.get_mut(member);
                if let Some(agent) = member.and_then(|member| member.agents.get_mut(agent)) {
                    agent.certificates.clear();
                    agent.revoked_at = Some(at);
                }
                false
            }
            Event::MemberRenamed { member, name } => {
                if let Some(record) = self.members.get_mut(member) {
                    record.name = name.clone();
                }
                false
            }
            Event::ChangeProposed { .. }
            | Event::ChangeSettled { .. }
            | Event::AssessmentMade(_)
            | Event::SubscriptionAttached { .. }
            | Event::SubscriptionDetached { .. }
            | Event::SubscriptionAcknowledged { .. }
            | Event::SubscriptionDropped { .. }
            | Event::IndicatorsDisclosed { .. }
            | Event::HubCreated { .. }
            | Event::IndicatorPublished { .. }
            | Event::IndicatorRevised { .. }
            | Event::IndicatorRetracted { .. }
            | Event::ClockTicked { .. } => false,
        }
    }

    fn admit(&mut self, at: Timestamp, id: MemberId, name: &Name, kind: MemberKind, ordinal: u32) {
        let viewer = Viewer {
            member: id,
            kind,
            standing: Standing::Active,
            groups: Vec::new(),
        };
        let record = MemberRecord {
            id,
            name: name.clone(),
            admitted_at: at,
            agents: BTreeMap::new(),
            history: vec![(ordinal, Arc::new(viewer))],
            requests: HashMap::new(),
            request_order: VecDeque::new(),
        };
        self.members.insert(id, record);
    }

    fn change_viewer(&mut self, member: MemberId, ordinal: u32, change: impl FnOnce(&mut Viewer)) -> bool {
        let Some(record) = self.members.get_mut(&member) else {
            return false;
        };
        let mut viewer = Viewer::clone(record.viewer());
        change(&mut viewer);
        record.history.push((ordinal, Arc::new(viewer)));
        true
    }

    fn certify(&mut self, issued: &CertificateIssued) {
        if let Some(invitation) = issued.invitation.and_then(|id| self.invitations.get_mut(&id)) {
            invitation.used = Some(issued.clone());
        }
        let Some(member) = self.members.get_mut(&issued.member) else {
            return;
        };
        let agent = member
            .agents
            .entry(issued.agent.clone())
            .or_insert_with(|| AgentRecord {
                roles: issued.roles,
                certificates: Vec::new(),
                newest_serial: Vec::new(),
                expires_at: issued.not_after,
                revoked_at: None,
            });
        agent.roles = issued.roles;
        agent.revoked_at = None;
        agent.newest_serial.clone_from(&issued.serial);
        agent.expires_at = issued.not_after;
        // Certificates that have ended by the start of this one can never be accepted again.
        agent.certificates.retain(|held| held.not_after > issued.not_before);
        agent.certificates.push(issued.clone());
    }
}

fn insert_sorted<T: Ord + Copy>(items: &mut Vec<T>, item: T) {
    if let Err(place) = items.binary_search(&item) {
        items.insert(place, item);
    }
}
