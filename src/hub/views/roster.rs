//! The view of members, groups, agents and invitations, with each member's rights at every moment of the fold.

mod agent;
mod history;
mod kept;
mod pending;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use crate::domain::agent::AgentName;
use crate::domain::id::{ChangeId, GroupId, InvitationId, MemberId, Seq, Timestamp};
use crate::domain::member::{MemberKind, Name, Role, Roles, Standing, Viewer};
use crate::log::entry::{Actor, CertificateIssued, Entry, Event};

use super::requests::{RequestOutcome, Requests};

pub use agent::AgentRecord;
pub use history::{Happening, History, MemberEvent};
pub use pending::{Pending, PendingRecord, role_words};

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
    /// When its standing last changed.
    pub standing_since: Timestamp,
    /// What happened to it.
    pub history: History,
    rights: Vec<(u32, Arc<Viewer>)>,
    requests: Requests,
}

impl MemberRecord {
    /// Its rights now.
    pub fn viewer(&self) -> &Arc<Viewer> {
        // Admission writes the first element, and nothing removes one.
        &self.rights[self.rights.len() - 1].1
    }

    /// Its rights at `ordinal`; none before it joined.
    pub fn viewer_at(&self, ordinal: u32) -> Option<&Arc<Viewer>> {
        self.rights
            .iter()
            .rev()
            .find(|(since, _)| *since < ordinal)
            .map(|(_, viewer)| viewer)
    }

    /// The moments after `from` and up to `to` at which it had other rights than just before.
    pub fn rights_changes(&self, from: u32, to: u32) -> impl Iterator<Item = u32> {
        let moments = self.rights.iter().map(|(since, _)| since + 1);
        moments.filter(move |moment| (from + 1..=to).contains(moment))
    }

    /// Whether its rights changed between two ordinals.
    pub fn rights_changed(&self, between: Range<u32>) -> bool {
        self.rights.iter().any(|(since, _)| between.contains(since))
    }

    /// What its newest requests led to.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }
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
    /// The second admin, who approved it and was handed the token; none where there was no second admin.
    pub approver: Option<Actor>,
    /// The certificate it was turned into.
    pub used: Option<CertificateIssued>,
}

/// The view.
#[derive(Default)]
pub struct Roster {
    members: BTreeMap<MemberId, MemberRecord>,
    groups: BTreeMap<GroupId, GroupRecord>,
    invitations: HashMap<InvitationId, InvitationRecord>,
    pending: Pending,
    /// The last approval: the entry after it is the change.
    approved: Option<Approval>,
}

/// A second admin's word, until the next entry carries it out.
struct Approval {
    seq: Seq,
    approver: Actor,
    /// What the history of a member that is about to be admitted begins with.
    prologue: Vec<MemberEvent>,
}

impl Roster {
    /// Changes that wait for a second admin.
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

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
    pub fn remember_request(&mut self, member: MemberId, request_id: &str, outcome: RequestOutcome) {
        if let Some(member) = self.members.get_mut(&member).filter(|_| !request_id.is_empty()) {
            member.requests.remember(request_id, outcome);
        }
    }

    /// Folds an entry of the roster at moment `ordinal`. Says whether somebody's rights to see changed.
    pub fn apply(&mut self, seq: Seq, entry: &Entry, ordinal: u32) -> bool {
        let changed = self.fold(seq, entry, ordinal);
        let subject = history::subject(&entry.event);
        if let Some(happening) = history::happening(&entry.event) {
            self.remember(subject, seq, entry, happening);
        }
        changed
    }

    fn fold(&mut self, seq: Seq, entry: &Entry, ordinal: u32) -> bool {
        let Entry { at, event, .. } = entry;
        match event {
            Event::MemberAdmitted { member, name, kind } => {
                self.admit(seq, *at, (*member, name, *kind), ordinal);
                true
            }
            Event::MemberStandingChanged { member, standing, .. } => {
                self.change_standing(*at, *member, *standing, ordinal)
            }
            Event::GroupCreated { group, name } => {
                self.create_group(*at, *group, name);
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
            Event::InvitationMade { .. }
            | Event::CertificateIssued(_)
            | Event::OtherCertificatesEnded { .. }
            | Event::AgentRevoked { .. } => {
                self.fold_agent(seq, entry);
                false
            }
            Event::MemberRenamed { member, name } => {
                if let Some(record) = self.members.get_mut(member) {
                    record.name = name.clone();
                }
                false
            }
            Event::ChangeProposed {
                change,
                event,
                expires_at,
            } => {
                self.propose(seq, entry, (*change, event, *expires_at));
                false
            }
            Event::ChangeSettled { change, approved } => {
                self.settle(seq, entry, *change, *approved);
                false
            }
            Event::AssessmentMade(_)
            | Event::SubscriptionAttached { .. }
            | Event::SubscriptionDetached { .. }
            | Event::SubscriptionAcknowledged { .. }
            | Event::SubscriptionDropped { .. }
            | Event::IndicatorsDisclosed { .. }
            | Event::HubCreated { .. }
            | Event::HubStarted { .. }
            | Event::IndicatorPublished { .. }
            | Event::IndicatorRevised { .. }
            | Event::IndicatorRetracted { .. }
            | Event::EntriesErased(_)
            | Event::ErasureOrdered { .. }
            | Event::IndicatorErased(_)
            | Event::ClockTicked { .. } => false,
        }
    }

    fn fold_agent(&mut self, seq: Seq, entry: &Entry) {
        let Entry { at, actor, event } = entry;
        match event {
            Event::InvitationMade { .. } => self.invite(seq, event),
            Event::CertificateIssued(issued) => self.certify(issued),
            Event::OtherCertificatesEnded { member, agent, kept } => {
                let record = self.members.get_mut(member);
                if let Some(agent) = record.and_then(|record| record.agents.get_mut(agent)) {
                    agent.end_certificates_but(kept);
                }
            }
            Event::AgentRevoked { member, agent, .. } => self.revoke(*at, actor.as_ref(), *member, agent),
            _ => {}
        }
    }

    fn admit(&mut self, seq: Seq, at: Timestamp, (id, name, kind): (MemberId, &Name, MemberKind), ordinal: u32) {
        let mut history = History::default();
        if let Some(approval) = self.approval_of(seq) {
            approval.prologue.into_iter().for_each(|event| history.push(event));
        }
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
            standing_since: at,
            history,
            rights: vec![(ordinal, Arc::new(viewer))],
            requests: Requests::default(),
        };
        self.members.insert(id, record);
    }

    fn change_standing(&mut self, at: Timestamp, member: MemberId, standing: Standing, ordinal: u32) -> bool {
        if let Some(record) = self.members.get_mut(&member) {
            record.standing_since = at;
        }
        if standing != Standing::Active {
            self.pending.drop_of(member, None);
        }
        if standing == Standing::Removed {
            self.groups
                .values_mut()
                .for_each(|group| group.members.retain(|held| *held != member));
            self.invitations.retain(|_, invitation| invitation.member != member);
        }
        self.change_viewer(member, ordinal, |viewer| {
            viewer.standing = standing;
            if standing == Standing::Removed {
                viewer.groups.clear();
            }
        })
    }

    fn create_group(&mut self, at: Timestamp, id: GroupId, name: &Name) {
        let record = GroupRecord {
            id,
            name: name.clone(),
            created_at: at,
            members: Vec::new(),
        };
        self.groups.insert(id, record);
    }

    fn change_viewer(&mut self, member: MemberId, ordinal: u32, change: impl FnOnce(&mut Viewer)) -> bool {
        let Some(record) = self.members.get_mut(&member) else {
            return false;
        };
        let mut viewer = Viewer::clone(record.viewer());
        change(&mut viewer);
        record.rights.push((ordinal, Arc::new(viewer)));
        true
    }

    fn invite(&mut self, seq: Seq, event: &Event) {
        let Event::InvitationMade {
            invitation,
            member,
            agent,
            roles,
            expires_at,
        } = event
        else {
            return;
        };
        let approver = self.approval_of(seq).map(|approval| approval.approver);
        let record = InvitationRecord {
            member: *member,
            agent: agent.clone(),
            roles: *roles,
            expires_at: *expires_at,
            approver,
            used: None,
        };
        self.invitations.insert(*invitation, record);
    }

    fn certify(&mut self, issued: &CertificateIssued) {
        let invitation = issued.invitation.and_then(|id| self.invitations.get_mut(&id));
        let approver = invitation.map(|invitation| {
            invitation.used = Some(issued.clone());
            invitation.approver.clone()
        });
        let votes_with = approver.map(|approver| approver.map(|approver| self.vote_of(&approver)));
        let Some(member) = self.members.get_mut(&issued.member) else {
            return;
        };
        let agent = member
            .agents
            .entry(issued.agent.clone())
            .and_modify(|agent| agent.certify(issued))
            .or_insert_with(|| AgentRecord::new(issued));
        if let Some(votes_with) = votes_with {
            agent.votes_with = votes_with.filter(|_| issued.roles.has(Role::Admin));
        }
    }

    fn revoke(&mut self, at: Timestamp, actor: Option<&Actor>, member: MemberId, name: &AgentName) {
        let record = self.members.get_mut(&member);
        if let Some(agent) = record.and_then(|record| record.agents.get_mut(name)) {
            let itself = actor.is_some_and(|actor| actor.member == member && actor.agent == *name);
            agent.revoke(at, itself);
        }
        // An older token for the same name would bring the agent back.
        self.invitations
            .retain(|_, invitation| invitation.member != member || invitation.agent != *name);
        self.pending.drop_of(member, Some(name));
    }

    fn propose(&mut self, seq: Seq, entry: &Entry, (id, event, expires_at): (ChangeId, &Event, Timestamp)) {
        let Some(author) = entry.actor.clone() else { return };
        let summary: Box<str> = self.summary(event).into();
        let happening = Happening::ChangeProposed(summary.clone());
        self.remember(history::subject(event), seq, entry, happening);
        self.pending.add(PendingRecord {
            id,
            event: event.clone(),
            summary,
            author,
            asked_at: entry.at,
            expires_at,
            seq,
        });
    }

    fn settle(&mut self, seq: Seq, entry: &Entry, id: ChangeId, approved: bool) {
        let Some(pending) = self.pending.take(id) else { return };
        let subject = history::subject(&pending.event);
        if !approved {
            return self.remember(subject, seq, entry, Happening::ChangeRejected(pending.summary));
        }
        let Some(approver) = entry.actor.clone() else { return };
        let approval = MemberEvent {
            seq,
            at: entry.at,
            actor: Some(approver.clone()),
            happening: Happening::ChangeApproved(pending.summary.clone()),
        };
        let proposal = MemberEvent {
            seq: pending.seq,
            at: pending.asked_at,
            actor: Some(pending.author),
            happening: Happening::ChangeProposed(pending.summary),
        };
        let prologue = match subject.and_then(|subject| self.members.get_mut(&subject)) {
            Some(member) => {
                member.history.push(approval);
                Vec::new()
            }
            None => vec![proposal, approval],
        };
        self.approved = Some(Approval {
            seq,
            approver,
            prologue,
        });
    }

    /// The approval that the entry at `seq` carries out, if it does.
    fn approval_of(&mut self, seq: Seq) -> Option<Approval> {
        self.approved.take().filter(|approval| approval.seq.next() == seq)
    }

    /// What is said of a member that is not there yet is not kept: its history begins with its admission.
    fn remember(&mut self, subject: Option<MemberId>, seq: Seq, entry: &Entry, happening: Happening) {
        if let Some(member) = subject.and_then(|subject| self.members.get_mut(&subject)) {
            member.history.push(MemberEvent {
                seq,
                at: entry.at,
                actor: entry.actor.clone(),
                happening,
            });
        }
    }
}

fn insert_sorted<T: Ord + Copy>(items: &mut Vec<T>, item: T) {
    if let Err(place) = items.binary_search(&item) {
        items.insert(place, item);
    }
}
