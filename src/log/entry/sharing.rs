//! Entries about what becomes of shared indicators: assessments, durable subscriptions, disclosures. Domain to stored message and
//! back.

use super::roster::agent;
use super::{Actor, DecodeError, Event, id_bytes, item, number, stored, uuid};
use crate::domain::assessment::{Assessment, AssessmentVerdict, ClaimReview};
use crate::domain::id::{IndicatorId, MemberId, Timestamp};
use crate::domain::indicator::Text;
use crate::domain::member::MemberKind;
use crate::domain::subscription::SubscriptionName;

/// Encodes the events of this file.
pub(super) fn encode(event: &Event) -> stored::entry::Event {
    use stored::entry::Event as Stored;
    match event {
        Event::AssessmentMade(assessment) => Stored::AssessmentMade(encode_assessment(assessment)),
        Event::SubscriptionAttached { name, filter, applied } => {
            Stored::SubscriptionAttached(stored::SubscriptionAttached {
                name: name.to_string(),
                filter: filter.clone(),
                applied: *applied,
            })
        }
        Event::SubscriptionDetached {
            member,
            agent,
            name,
            sent,
        } => Stored::SubscriptionDetached(stored::SubscriptionDetached {
            member_id: id_bytes(member.0),
            agent: agent.to_string(),
            name: name.to_string(),
            sent: *sent,
        }),
        Event::SubscriptionAcknowledged { name, applied } => {
            Stored::SubscriptionAcknowledged(stored::SubscriptionAcknowledged {
                name: name.to_string(),
                applied: *applied,
            })
        }
        Event::SubscriptionDropped { member, agent, name } => {
            Stored::SubscriptionDropped(stored::SubscriptionDropped {
                member_id: id_bytes(member.0),
                agent: agent.to_string(),
                name: name.to_string(),
            })
        }
        Event::IndicatorsDisclosed { agency, indicators } => Stored::IndicatorsDisclosed(stored::IndicatorsDisclosed {
            agency_id: id_bytes(agency.0),
            indicator_ids: indicators.iter().map(|id| id_bytes(id.0)).collect(),
        }),
        _ => unreachable!("the caller hands over the events above only"),
    }
}

/// Decodes the events of this file.
pub(super) fn decode(event: stored::entry::Event, actor: Option<&Actor>, at: Timestamp) -> Result<Event, DecodeError> {
    use stored::entry::Event as Stored;
    Ok(match event {
        Stored::AssessmentMade(assessment) => {
            Event::AssessmentMade(Box::new(decode_assessment(assessment, actor, at)?))
        }
        Stored::SubscriptionAttached(stored::SubscriptionAttached { name, filter, applied }) => {
            Event::SubscriptionAttached {
                name: self::name(&name)?,
                filter,
                applied,
            }
        }
        Stored::SubscriptionDetached(stored::SubscriptionDetached {
            member_id,
            agent,
            name,
            sent,
        }) => Event::SubscriptionDetached {
            member: MemberId(uuid(&member_id)?),
            agent: self::agent(&agent)?,
            name: self::name(&name)?,
            sent,
        },
        Stored::SubscriptionAcknowledged(stored::SubscriptionAcknowledged { name, applied }) => {
            Event::SubscriptionAcknowledged {
                name: self::name(&name)?,
                applied,
            }
        }
        Stored::SubscriptionDropped(stored::SubscriptionDropped { member_id, agent, name }) => {
            Event::SubscriptionDropped {
                member: MemberId(uuid(&member_id)?),
                agent: self::agent(&agent)?,
                name: self::name(&name)?,
            }
        }
        Stored::IndicatorsDisclosed(stored::IndicatorsDisclosed {
            agency_id,
            indicator_ids,
        }) => Event::IndicatorsDisclosed {
            agency: MemberId(uuid(&agency_id)?),
            indicators: indicator_ids
                .iter()
                .map(|id| uuid(id).map(IndicatorId))
                .collect::<Result<_, _>>()?,
        },
        _ => unreachable!("the caller hands over the events above only"),
    })
}

fn encode_assessment(assessment: &Assessment) -> stored::AssessmentMade {
    // The member is the actor, and the time is the entry's.
    let Assessment {
        indicator,
        member: _,
        member_kind,
        verdict,
        independent,
        note,
        claim_review,
        government_release,
        made_at: _,
    } = assessment;
    stored::AssessmentMade {
        indicator_id: id_bytes(indicator.0),
        verdict: number(&AssessmentVerdict::ALL, verdict),
        independent: *independent,
        note: note.as_str().to_owned(),
        claim_review: claim_review.as_ref().map(|review| stored::ClaimReview {
            url: review.url().to_owned(),
            rating: review.rating().to_owned(),
            language: review.language().as_str().to_owned(),
            claim: review.claim().to_owned(),
        }),
        government_release: *government_release,
        member_kind: number(&MemberKind::ALL, member_kind),
    }
}

fn decode_assessment(
    assessment: stored::AssessmentMade,
    actor: Option<&Actor>,
    at: Timestamp,
) -> Result<Assessment, DecodeError> {
    let stored::AssessmentMade {
        indicator_id,
        verdict,
        independent,
        note,
        claim_review,
        government_release,
        member_kind,
    } = assessment;
    let malformed = |error: crate::domain::violation::Violation| DecodeError::Malformed(error.to_string());
    let claim_review = claim_review.map(|review| {
        let stored::ClaimReview {
            url,
            rating,
            language,
            claim,
        } = review;
        ClaimReview::new(&url, &rating, &language, &claim)
    });
    Ok(Assessment {
        indicator: IndicatorId(uuid(&indicator_id)?),
        member: actor.ok_or(DecodeError::Unknown("actor"))?.member,
        member_kind: item(&MemberKind::ALL, member_kind, "member_kind")?,
        verdict: item(&AssessmentVerdict::ALL, verdict, "verdict")?,
        independent,
        note: Text::parse("note", &note).map_err(malformed)?,
        claim_review: claim_review.transpose().map_err(malformed)?,
        government_release,
        made_at: at,
    })
}

fn name(text: &str) -> Result<SubscriptionName, DecodeError> {
    SubscriptionName::parse("name", text).map_err(|_| DecodeError::Unknown("name"))
}
