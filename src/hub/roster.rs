//! Membership: members, groups, invitations, agents and their certificates. Each change is an entry; each acts at once.

use crate::domain::agent::AgentName;
use crate::domain::id::{GroupId, InvitationId, MemberId, Timestamp};
use crate::domain::indicator::Text;
use crate::domain::member::{MemberKind, Name, Role, Roles, Standing};
use crate::domain::violation::Violation;
use crate::log::entry::{CertificateIssued, Entry, Event};
use crate::pki::{CsrError, InvitationToken, Issued};

use super::error::HubError;
use super::sequencer::Verdict;
use super::views::Views;
use super::views::roster::{GroupRecord, MemberRecord};
use super::{Caller, Hub, new_id};

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
    /// Admits a member.
    pub async fn add_member(&self, caller: &Caller, name: Name, kind: MemberKind) -> Result<MemberCard, HubError> {
        let id = MemberId(new_id());
        self.change(caller, move |views| {
            if views.roster.member_named(&name).is_some() {
                return Err(taken("name"));
            }
            if views.roster.members().count() >= MEMBERS_MAX {
                return Err(HubError::Conflict {
                    field: "name",
                    reason: "the hub has no room for more members".into(),
                });
            }
            Ok(Some(Event::MemberAdmitted {
                member: id,
                name: name.clone(),
                kind,
            }))
        })
        .await?;
        self.member(id)
    }

    /// Suspends, resumes or removes a member. Removal is for good.
    pub async fn change_standing(
        &self,
        caller: &Caller,
        member: MemberId,
        standing: Standing,
        reason: Text<500>,
    ) -> Result<MemberCard, HubError> {
        let own = caller.member;
        self.change(caller, move |views| {
            let record = views.roster.member(member).ok_or(HubError::NotFound { field: "id" })?;
            if member == own && standing != Standing::Active {
                let reason = "is your own member: nobody locks themselves out".into();
                return Err(HubError::Conflict { field: "id", reason });
            }
            let reason = reason.as_str().to_owned();
            match (record.viewer().standing, standing) {
                (Standing::Removed, Standing::Removed) => Ok(None),
                (Standing::Removed, _) => Err(HubError::Conflict {
                    field: "id",
                    reason: "was removed for good; add it anew".into(),
                }),
                (now, wanted) if now == wanted => Ok(None),
                _ => Ok(Some(Event::MemberStandingChanged {
                    member,
                    standing,
                    reason,
                })),
            }
        })
        .await?;
        self.member(member)
    }

    /// Makes a group without members.
    pub async fn create_group(&self, caller: &Caller, name: Name) -> Result<GroupCard, HubError> {
        let id = GroupId(new_id());
        self.change(caller, move |views| {
            let key = name.key();
            if views.roster.groups().any(|group| group.name.key() == key) {
                return Err(taken("name"));
            }
            if views.roster.groups().count() >= GROUPS_MAX {
                return Err(HubError::Conflict {
                    field: "name",
                    reason: "the hub has no room for more groups".into(),
                });
            }
            Ok(Some(Event::GroupCreated {
                group: id,
                name: name.clone(),
            }))
        })
        .await?;
        self.group(id)
    }

    /// Puts a member into a group: it sees what the group already holds.
    pub async fn add_to_group(&self, caller: &Caller, group: GroupId, member: MemberId) -> Result<GroupCard, HubError> {
        self.change(caller, move |views| {
            let record = views
                .roster
                .group(group)
                .ok_or(HubError::NotFound { field: "group_id" })?;
            let joining = views
                .roster
                .member(member)
                .ok_or(HubError::NotFound { field: "member_id" })?;
            if joining.viewer().standing == Standing::Removed {
                return Err(HubError::NotFound { field: "member_id" });
            }
            let there = record.members.binary_search(&member).is_ok();
            Ok((!there).then_some(Event::GroupMemberAdded { group, member }))
        })
        .await?;
        self.group(group)
    }

    /// Takes a member out of a group: what it saw by the group alone leaves its mirrors.
    pub async fn remove_from_group(
        &self,
        caller: &Caller,
        group: GroupId,
        member: MemberId,
    ) -> Result<GroupCard, HubError> {
        self.change(caller, move |views| {
            let record = views
                .roster
                .group(group)
                .ok_or(HubError::NotFound { field: "group_id" })?;
            let there = record.members.binary_search(&member).is_ok();
            Ok(there.then_some(Event::GroupMemberRemoved { group, member }))
        })
        .await?;
        self.group(group)
    }

    /// Makes a one-time right to enrol an agent, and the token that carries it.
    pub async fn invite(
        &self,
        caller: &Caller,
        member: MemberId,
        agent: AgentName,
        roles: Roles,
        lifetime_secs: u32,
    ) -> Result<(InvitationId, InvitationToken), HubError> {
        caller.require(Role::Admin)?;
        if roles.is_empty() {
            return Err(Violation::new("roles", "must name at least one role").into());
        }
        let invitation = InvitationId(new_id());
        let token = self
            .shared
            .authority
            .issue_invitation(invitation, self.now(), lifetime_secs);
        let token = token.map_err(|error| Violation::new("lifetime_secs", error.to_string()))?;
        let expires_at = token.not_after();
        self.change(caller, move |views| {
            let record = views
                .roster
                .member(member)
                .ok_or(HubError::NotFound { field: "member_id" })?;
            if record.viewer().standing == Standing::Removed {
                return Err(HubError::NotFound { field: "member_id" });
            }
            if record
                .agents
                .get(&agent)
                .is_some_and(|agent| agent.revoked_at.is_none())
            {
                let reason = "exists; revoke it first, or choose another name".into();
                return Err(HubError::Conflict { field: "agent", reason });
            }
            if record.agents.len() >= AGENTS_PER_MEMBER_MAX {
                return Err(HubError::Conflict {
                    field: "agent",
                    reason: "the member has too many agents".into(),
                });
            }
            let agent = agent.clone();
            Ok(Some(Event::InvitationMade {
                invitation,
                member,
                agent,
                roles,
                expires_at,
            }))
        })
        .await?;
        Ok((invitation, token))
    }

    /// Turns an invitation into a certificate. The same public key may ask again, in case the first answer was lost; no other may.
    pub async fn enroll(&self, invitation: InvitationId, csr_pem: &str) -> Result<Enrolment, HubError> {
        let unknown = HubError::Unauthenticated("the invitation is not known");
        let record = self
            .shared
            .read()
            .roster
            .invitation(invitation)
            .cloned()
            .ok_or(unknown)?;
        let now = self.now();
        if record.expires_at <= now {
            return Err(HubError::Unauthenticated("the invitation has ended; ask for another"));
        }
        let issued = self.certify(csr_pem, record.member, &record.agent, now)?;
        let certificate = recorded(&issued, record.member, &record.agent, record.roles, Some(invitation));
        let key = certificate.public_key_sha256;
        let entry = Entry {
            at: now,
            actor: None,
            event: Event::CertificateIssued(Box::new(certificate)),
        };
        let held: CertificateIssued = self
            .sequencer
            .propose(move |views, staged| {
                let record = views.roster.invitation(invitation);
                let record = record.ok_or(HubError::Unauthenticated("the invitation is not known"))?;
                active(views, record.member)?;
                match &record.used {
                    Some(used) if used.public_key_sha256 == key => return Ok(Verdict::answer(used.clone())),
                    Some(_) => return Err(HubError::Denied("the invitation was used before")),
                    None => {}
                }
                if !staged.alone() {
                    return Ok(Verdict::AfterOthers);
                }
                staged.push(entry.clone());
                match &entry.event {
                    Event::CertificateIssued(issued) => Ok(Verdict::answer((**issued).clone())),
                    _ => Err(HubError::ShuttingDown),
                }
            })
            .await?;
        self.enrolment(&held)
    }

    /// A new certificate for the calling agent. The one it called with stays valid until it ends.
    pub async fn renew(&self, caller: &Caller, csr_pem: &str) -> Result<Enrolment, HubError> {
        let now = self.now();
        let issued = self.certify(csr_pem, caller.member, &caller.agent, now)?;
        let certificate = recorded(&issued, caller.member, &caller.agent, caller.roles, None);
        let (member, agent, held) = (caller.member, caller.agent.clone(), certificate.clone());
        let actor = caller.actor();
        self.sequencer
            .propose(move |views, staged| {
                let record = active(views, member)?.agents.get(&agent);
                if record.is_none_or(|agent| agent.revoked_at.is_some()) {
                    return Err(HubError::Unauthenticated("the agent was revoked"));
                }
                if !staged.alone() {
                    return Ok(Verdict::AfterOthers);
                }
                let event = Event::CertificateIssued(Box::new(certificate.clone()));
                staged.push(Entry {
                    at: now,
                    actor: actor.clone(),
                    event,
                });
                Ok(Verdict::answer(()))
            })
            .await?;
        self.enrolment(&held)
    }

    /// Ends all certificates of an agent, and its open connections. An admin revokes any agent; any agent revokes itself.
    pub async fn revoke_agent(
        &self,
        caller: &Caller,
        member: MemberId,
        agent: AgentName,
        reason: Text<500>,
    ) -> Result<AgentCard, HubError> {
        let itself = caller.member == member && caller.agent == agent;
        if !itself {
            caller.require(Role::Admin)?;
        }
        let revoked = agent.clone();
        self.write(caller, move |views| {
            let record = views.roster.member(member).and_then(|member| member.agents.get(&agent));
            let record = record.ok_or(HubError::NotFound { field: "agent" })?;
            if record.roles.has(Role::Admin) && admins_left(views) == 1 && record.revoked_at.is_none() {
                let reason = "is the last admin: enrol another first".into();
                return Err(HubError::Conflict { field: "agent", reason });
            }
            let reason = reason.as_str().to_owned();
            let event = Event::AgentRevoked {
                member,
                agent: agent.clone(),
                reason,
            };
            Ok(record.revoked_at.is_none().then_some(event))
        })
        .await?;
        let cards = self.agent_cards(|id| id == member);
        cards
            .into_iter()
            .find(|card| card.name == revoked)
            .ok_or(HubError::NotFound { field: "agent" })
    }

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

    fn certify(&self, csr_pem: &str, member: MemberId, agent: &AgentName, now: Timestamp) -> Result<Issued, HubError> {
        let lifetime = self.shared.certificate_lifetime_secs;
        let issued = self
            .shared
            .authority
            .issue_agent(csr_pem.as_bytes(), member, agent, now, lifetime);
        issued.map_err(|error: CsrError| Violation::new("csr_pem", error.to_string()).into())
    }

    fn enrolment(&self, issued: &CertificateIssued) -> Result<Enrolment, HubError> {
        let views = self.shared.read();
        let record = views
            .roster
            .member(issued.member)
            .ok_or(HubError::NotFound { field: "member_id" })?;
        let agent = agent_card(record, &issued.agent).ok_or(HubError::NotFound { field: "agent" })?;
        Ok(Enrolment {
            chain_pem: crate::pki::certificate_pem(&issued.certificate),
            ca_pem: self.shared.authority.ca_pem().to_owned(),
            member: member_card(record),
            agent,
        })
    }

    /// Writes the event that `decide` asks for, if any, for an admin.
    async fn change(
        &self,
        caller: &Caller,
        decide: impl Fn(&Views) -> Result<Option<Event>, HubError> + Send + 'static,
    ) -> Result<(), HubError> {
        caller.require(Role::Admin)?;
        self.write(caller, decide).await
    }

    async fn write(
        &self,
        caller: &Caller,
        decide: impl Fn(&Views) -> Result<Option<Event>, HubError> + Send + 'static,
    ) -> Result<(), HubError> {
        let (at, actor, author) = (self.now(), caller.actor(), caller.member);
        self.sequencer
            .propose(move |views, staged| {
                if !staged.alone() {
                    return Ok(Verdict::AfterOthers);
                }
                active(views, author)?;
                if let Some(event) = decide(views)? {
                    staged.push(Entry {
                        at,
                        actor: actor.clone(),
                        event,
                    });
                }
                Ok(Verdict::answer(()))
            })
            .await
    }
}

fn active(views: &Views, member: MemberId) -> Result<&MemberRecord, HubError> {
    let record = views
        .roster
        .member(member)
        .filter(|record| record.viewer().standing == Standing::Active);
    record.ok_or(HubError::Unauthenticated("the member is suspended or was removed"))
}

fn admins_left(views: &Views) -> usize {
    let active = views
        .roster
        .members()
        .filter(|member| member.viewer().standing == Standing::Active);
    let agents = active.flat_map(|member| member.agents.values());
    agents
        .filter(|agent| agent.revoked_at.is_none() && agent.roles.has(Role::Admin))
        .count()
}

fn taken(field: &'static str) -> HubError {
    HubError::Conflict {
        field,
        reason: "is taken (names that differ in letter case only are the same)".into(),
    }
}

fn recorded(
    issued: &Issued,
    member: MemberId,
    agent: &AgentName,
    roles: Roles,
    invitation: Option<InvitationId>,
) -> CertificateIssued {
    CertificateIssued {
        member,
        agent: agent.clone(),
        roles,
        serial: issued.serial.as_bytes().to_vec(),
        not_before: issued.not_before,
        not_after: issued.not_after,
        public_key_sha256: issued.spki_sha256,
        invitation,
        certificate: issued.der.clone(),
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
