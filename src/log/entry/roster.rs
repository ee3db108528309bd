//! Entries about members, groups, agents and the hub itself: domain to stored message and back.

use bytes::Bytes;
use prost::Message;

use super::{CertificateIssued, DecodeError, Event, erasure, id_bytes, item, number, stored, uuid};
use crate::domain::agent::AgentName;
use crate::domain::id::{ChangeId, GroupId, InvitationId, MemberId, RunId, Timestamp};
use crate::domain::member::{MemberKind, Name, Role, Roles, Standing};

/// Encodes every event that does not speak of an indicator or of time.
#[expect(clippy::too_many_lines, reason = "a flat table, one arm or field a line")]
pub(super) fn encode(event: &Event) -> stored::entry::Event {
    use stored::entry::Event as Stored;
    match event {
        Event::HubCreated { name, trust_domain } => Stored::HubCreated(stored::HubCreated {
            name: name.clone(),
            trust_domain: trust_domain.clone(),
        }),
        Event::HubStarted { run } => Stored::HubStarted(stored::HubStarted { run: run.0 }),
        Event::MemberAdmitted { member, name, kind } => Stored::MemberAdmitted(stored::MemberAdmitted {
            member_id: id_bytes(member.0),
            name: name.to_string(),
            kind: number(&MemberKind::ALL, kind),
        }),
        Event::MemberStandingChanged {
            member,
            standing,
            reason,
        } => Stored::MemberStandingChanged(stored::MemberStandingChanged {
            member_id: id_bytes(member.0),
            standing: number(&Standing::ALL, standing),
            reason: reason.clone(),
        }),
        Event::GroupCreated { group, name } => Stored::GroupCreated(stored::GroupCreated {
            group_id: id_bytes(group.0),
            name: name.to_string(),
        }),
        Event::GroupMemberAdded { group, member } => Stored::GroupMemberAdded(stored::GroupMemberAdded {
            group_id: id_bytes(group.0),
            member_id: id_bytes(member.0),
        }),
        Event::GroupMemberRemoved { group, member } => Stored::GroupMemberRemoved(stored::GroupMemberRemoved {
            group_id: id_bytes(group.0),
            member_id: id_bytes(member.0),
        }),
        Event::InvitationMade {
            invitation,
            member,
            agent,
            roles,
            expires_at,
        } => Stored::InvitationMade(stored::InvitationMade {
            invitation_id: id_bytes(invitation.0),
            member_id: id_bytes(member.0),
            agent: agent.to_string(),
            roles: role_numbers(*roles),
            expires_at: expires_at.0,
        }),
        Event::CertificateIssued(issued) => Stored::CertificateIssued(encode_certificate(issued)),
        Event::AgentRevoked { member, agent, reason } => Stored::AgentRevoked(stored::AgentRevoked {
            member_id: id_bytes(member.0),
            agent: agent.to_string(),
            reason: reason.clone(),
        }),
        Event::OtherCertificatesEnded { member, agent, kept } => {
            Stored::OtherCertificatesEnded(stored::OtherCertificatesEnded {
                member_id: id_bytes(member.0),
                agent: agent.to_string(),
                kept_serial: kept.clone().into(),
            })
        }
        Event::MemberRenamed { member, name } => Stored::MemberRenamed(stored::MemberRenamed {
            member_id: id_bytes(member.0),
            name: name.to_string(),
        }),
        Event::ChangeProposed {
            change,
            event,
            expires_at,
        } => {
            let change_entry = stored::Entry {
                at: 0,
                actor: None,
                event: Some(super::encode_event(event)),
            }
            .encode_to_vec();
            Stored::ChangeProposed(stored::ChangeProposed {
                change_id: id_bytes(change.0),
                change: change_entry.into(),
                expires_at: expires_at.0,
            })
        }
        Event::ChangeSettled { change, approved } => Stored::ChangeSettled(stored::ChangeSettled {
            change_id: id_bytes(change.0),
            approved: *approved,
        }),
        Event::IndicatorPublished { .. }
        | Event::IndicatorRevised { .. }
        | Event::IndicatorRetracted { .. }
        | Event::ClockTicked { .. }
        | Event::AssessmentMade(_)
        | Event::SubscriptionAttached { .. }
        | Event::SubscriptionDetached { .. }
        | Event::SubscriptionAcknowledged { .. }
        | Event::SubscriptionDropped { .. }
        | Event::IndicatorsDisclosed { .. }
        | Event::EntriesErased(_)
        | Event::ErasureOrdered { .. }
        | Event::IndicatorErased(_) => unreachable!("encoded by the caller"),
    }
}

fn encode_certificate(issued: &CertificateIssued) -> stored::CertificateIssued {
    stored::CertificateIssued {
        member_id: id_bytes(issued.member.0),
        agent: issued.agent.to_string(),
        roles: role_numbers(issued.roles),
        serial: issued.serial.clone().into(),
        not_before: issued.not_before.0,
        not_after: issued.not_after.0,
        public_key_sha256: Bytes::copy_from_slice(&issued.public_key_sha256),
        invitation_id: issued.invitation.map(|id| id_bytes(id.0)).unwrap_or_default(),
        certificate: issued.certificate.clone().into(),
    }
}

/// Decodes every event that does not speak of an indicator or of time.
#[expect(clippy::too_many_lines, reason = "a flat table, one arm or field a line")]
pub(super) fn decode(event: stored::entry::Event) -> Result<Event, DecodeError> {
    use stored::entry::Event as Stored;
    Ok(match event {
        Stored::HubCreated(stored::HubCreated { name, trust_domain }) => Event::HubCreated { name, trust_domain },
        Stored::HubStarted(stored::HubStarted { run }) => Event::HubStarted { run: RunId(run) },
        Stored::MemberAdmitted(stored::MemberAdmitted { member_id, name, kind }) => Event::MemberAdmitted {
            member: MemberId(uuid(&member_id)?),
            name: self::name(&name)?,
            kind: item(&MemberKind::ALL, kind, "kind")?,
        },
        Stored::MemberStandingChanged(stored::MemberStandingChanged {
            member_id,
            standing,
            reason,
        }) => {
            let standing = item(&Standing::ALL, standing, "standing")?;
            Event::MemberStandingChanged {
                member: MemberId(uuid(&member_id)?),
                standing,
                reason,
            }
        }
        Stored::GroupCreated(stored::GroupCreated { group_id, name }) => Event::GroupCreated {
            group: GroupId(uuid(&group_id)?),
            name: self::name(&name)?,
        },
        Stored::GroupMemberAdded(stored::GroupMemberAdded { group_id, member_id }) => Event::GroupMemberAdded {
            group: GroupId(uuid(&group_id)?),
            member: MemberId(uuid(&member_id)?),
        },
        Stored::GroupMemberRemoved(stored::GroupMemberRemoved { group_id, member_id }) => Event::GroupMemberRemoved {
            group: GroupId(uuid(&group_id)?),
            member: MemberId(uuid(&member_id)?),
        },
        Stored::InvitationMade(stored::InvitationMade {
            invitation_id,
            member_id,
            agent,
            roles,
            expires_at,
        }) => Event::InvitationMade {
            invitation: InvitationId(uuid(&invitation_id)?),
            member: MemberId(uuid(&member_id)?),
            agent: self::agent(&agent)?,
            roles: self::roles(&roles)?,
            expires_at: Timestamp(expires_at),
        },
        Stored::CertificateIssued(issued) => Event::CertificateIssued(Box::new(decode_certificate(issued)?)),
        Stored::AgentRevoked(stored::AgentRevoked {
            member_id,
            agent,
            reason,
        }) => Event::AgentRevoked {
            member: MemberId(uuid(&member_id)?),
            agent: self::agent(&agent)?,
            reason,
        },
        Stored::OtherCertificatesEnded(stored::OtherCertificatesEnded {
            member_id,
            agent,
            kept_serial,
        }) => Event::OtherCertificatesEnded {
            member: MemberId(uuid(&member_id)?),
            agent: self::agent(&agent)?,
            kept: kept_serial.into(),
        },
        Stored::MemberRenamed(stored::MemberRenamed { member_id, name }) => Event::MemberRenamed {
            member: MemberId(uuid(&member_id)?),
            name: self::name(&name)?,
        },
        Stored::ChangeProposed(stored::ChangeProposed {
            change_id,
            change,
            expires_at,
        }) => Event::ChangeProposed {
            change: ChangeId(uuid(&change_id)?),
            event: Box::new(decode_change(change)?),
            expires_at: Timestamp(expires_at),
        },
        Stored::ChangeSettled(stored::ChangeSettled { change_id, approved }) => Event::ChangeSettled {
            change: ChangeId(uuid(&change_id)?),
            approved,
        },
        Stored::IndicatorPublished(_)
        | Stored::IndicatorRevised(_)
        | Stored::IndicatorRetracted(_)
        | Stored::ClockTicked(_)
        | Stored::AssessmentMade(_)
        | Stored::SubscriptionAttached(_)
        | Stored::SubscriptionDetached(_)
        | Stored::SubscriptionAcknowledged(_)
        | Stored::SubscriptionDropped(_)
        | Stored::IndicatorsDisclosed(_)
        | Stored::EntriesErased(_)
        | Stored::ErasureOrdered(_)
        | Stored::IndicatorErased(_) => unreachable!("decoded by the caller"),
    })
}

/// The change that waits is an event of the roster, or an order to erase: one that holds another, or anything else, is refused, so that no entry can make
/// the decoder recurse.
fn decode_change(bytes: Bytes) -> Result<Event, DecodeError> {
    use stored::entry::Event as Stored;
    let event = stored::Entry::decode(bytes)?
        .event
        .ok_or(DecodeError::Unknown("change"))?;
    match event {
        Stored::MemberAdmitted(_)
        | Stored::MemberRenamed(_)
        | Stored::MemberStandingChanged(_)
        | Stored::GroupCreated(_)
        | Stored::GroupMemberAdded(_)
        | Stored::GroupMemberRemoved(_)
        | Stored::InvitationMade(_) => decode(event),
        Stored::ErasureOrdered(_) => erasure::decode(event, &Bytes::new()),
        _ => Err(DecodeError::Unknown("change")),
    }
}

fn decode_certificate(issued: stored::CertificateIssued) -> Result<CertificateIssued, DecodeError> {
    let stored::CertificateIssued {
        member_id,
        agent,
        roles,
        serial,
        not_before,
        not_after,
        public_key_sha256,
        invitation_id,
        certificate,
    } = issued;
    Ok(CertificateIssued {
        member: MemberId(uuid(&member_id)?),
        agent: self::agent(&agent)?,
        roles: self::roles(&roles)?,
        serial: serial.into(),
        not_before: Timestamp(not_before),
        not_after: Timestamp(not_after),
        public_key_sha256: public_key_sha256
            .as_ref()
            .try_into()
            .map_err(|_| DecodeError::Unknown("public_key_sha256"))?,
        invitation: match invitation_id.is_empty() {
            true => None,
            false => Some(InvitationId(uuid(&invitation_id)?)),
        },
        certificate: certificate.into(),
    })
}

pub(super) fn agent(text: &str) -> Result<AgentName, DecodeError> {
    text.parse().map_err(|_| DecodeError::Unknown("agent"))
}

fn name(text: &str) -> Result<Name, DecodeError> {
    Name::parse("name", text).map_err(|_| DecodeError::Unknown("name"))
}

fn role_numbers(roles: Roles) -> Vec<u32> {
    roles.iter().map(|role| number(&Role::ALL, &role)).collect()
}

fn roles(numbers: &[u32]) -> Result<Roles, DecodeError> {
    numbers
        .iter()
        .map(|number| item(&Role::ALL, *number, "roles"))
        .collect()
}
