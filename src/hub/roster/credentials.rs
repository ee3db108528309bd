//! Invitations, enrolment, renewal, revocation. Keys are made by those who hold them; what a certificate says is `pki`'s.

use super::approval::Asked;
use super::{AgentCard, Enrolment, agent_card, member_card, rules};
use crate::domain::agent::AgentName;
use crate::domain::id::{InvitationId, MemberId, Timestamp};
use crate::domain::indicator::Text;
use crate::domain::member::{Role, Roles};
use crate::domain::violation::Violation;
use crate::hub::error::HubError;
use crate::hub::sequencer::Verdict;
use crate::hub::{Caller, Hub, new_id};
use crate::log::entry::{CertificateIssued, Entry, Event};
use crate::pki::{CsrError, InvitationToken, Issued, Serial};

/// A right to enrol, and the secret that carries it.
pub type Invitation = (InvitationId, InvitationToken);

impl Hub {
    /// Makes a one-time right to enrol an agent, and the token that carries it. Where it waits for a second admin, that one gets
    /// the token.
    pub async fn invite(
        &self,
        caller: &Caller,
        member: MemberId,
        agent: AgentName,
        roles: Roles,
        lifetime_secs: u32,
    ) -> Result<Asked<Invitation>, HubError> {
        caller.require(Role::Admin)?;
        if roles.is_empty() {
            return Err(Violation::new("roles", "must name at least one role").into());
        }
        let invitation = InvitationId(new_id());
        let token = self.issue_invitation(invitation, self.now(), lifetime_secs)?;
        let expires_at = token.not_after();
        let event = Event::InvitationMade {
            invitation,
            member,
            agent,
            roles,
            expires_at,
        };
        Ok(match self.ask(caller, event).await? {
            // This token never leaves: the approval makes another.
            Some(pending) => Asked::Pending(pending),
            None => Asked::Done((invitation, token)),
        })
    }

    pub(super) fn issue_invitation(
        &self,
        invitation: InvitationId,
        now: Timestamp,
        lifetime_secs: u32,
    ) -> Result<InvitationToken, HubError> {
        let token = self.shared.authority.issue_invitation(invitation, now, lifetime_secs);
        token.map_err(|error| Violation::new("lifetime_secs", error.to_string()).into())
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
            .of(record.member)
            .propose(move |views, staged| {
                let record = views.roster.invitation(invitation);
                let record = record.ok_or(HubError::Unauthenticated("the invitation is not known"))?;
                let member = rules::active(views, record.member)?;
                match &record.used {
                    Some(used) if used.public_key_sha256 == key => return Ok(Verdict::answer(used.clone())),
                    Some(_) => return Err(HubError::Denied("the invitation was used before")),
                    None => {}
                }
                let held = member.agents.get(&record.agent);
                if held.is_some_and(|agent| agent.revoked_at.is_none()) {
                    return Err(HubError::Denied("the agent enrolled with another invitation meanwhile"));
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
        let (by, held) = (caller.clone(), certificate.clone());
        self.sequencer
            .of(caller.member)
            .propose(move |views, staged| {
                rules::acting(views, &by)?;
                if !staged.alone() {
                    return Ok(Verdict::AfterOthers);
                }
                let event = Event::CertificateIssued(Box::new(certificate.clone()));
                staged.push(Entry {
                    at: now,
                    actor: by.actor(),
                    event,
                });
                Ok(Verdict::answer(()))
            })
            .await?;
        self.enrolment(&held)
    }

    /// Ends all certificates of the calling agent but the one that it calls with, and the connections under them: what makes a
    /// renewal a change of keys. Says how many there were.
    pub async fn end_other_certificates(&self, caller: &Caller, kept: Serial) -> Result<usize, HubError> {
        let (now, by, kept) = (self.now(), caller.clone(), kept.as_bytes().to_vec());
        self.sequencer
            .of(caller.member)
            .propose(move |views, staged| {
                if !staged.alone() {
                    return Ok(Verdict::AfterOthers);
                }
                let held = &rules::acting(views, &by)?.certificates;
                // It may have been ended by another while this waited: two must not end each other.
                if !held.iter().any(|certificate| certificate.serial == kept) {
                    return Err(HubError::Unauthenticated("the certificate was replaced or revoked"));
                }
                let others = held.len() - 1;
                if others > 0 {
                    staged.push(Entry {
                        at: now,
                        actor: by.actor(),
                        event: Event::OtherCertificatesEnded {
                            member: by.member,
                            agent: by.agent.clone(),
                            kept: kept.clone(),
                        },
                    });
                }
                Ok(Verdict::answer(others))
            })
            .await
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
        let (now, by, revoked) = (self.now(), caller.clone(), agent.clone());
        self.sequencer
            .of(caller.member)
            .propose(move |views, staged| {
                if !staged.alone() {
                    return Ok(Verdict::AfterOthers);
                }
                match itself {
                    true => rules::acting(views, &by).map(|_| ())?,
                    false => rules::acting_admin(views, &by)?,
                }
                let record = views.roster.member(member).and_then(|member| member.agents.get(&agent));
                let record = record.ok_or(HubError::NotFound { field: "agent" })?;
                if record.revoked_at.is_some() {
                    return Ok(Verdict::answer(()));
                }
                let mut admins = views.roster.admins(now);
                if record.roles.has(Role::Admin) && admins.all(|admin| admin == (member, &agent)) {
                    return Err(rules::conflict("agent", "is the last admin: enrol another first"));
                }
                let reason = reason.as_str().to_owned();
                let event = Event::AgentRevoked {
                    member,
                    agent: agent.clone(),
                    reason,
                };
                staged.push(Entry {
                    at: now,
                    actor: by.actor(),
                    event,
                });
                Ok(Verdict::answer(()))
            })
            .await?;
        let cards = self.agent_cards(|id| id == member);
        cards
            .into_iter()
            .find(|card| card.name == revoked)
            .ok_or(HubError::NotFound { field: "agent" })
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
