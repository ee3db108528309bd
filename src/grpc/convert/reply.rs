//! What the hub answers, as messages. An indicator is never encoded here: its bytes are as old as its publication.

use crate::domain::assessment::{Assessment, AssessmentVerdict};
use crate::domain::indicator::State;
use crate::domain::member::{MemberKind, Role, Standing};
use crate::domain::policy::Release;
use crate::hub::Sighting;
use crate::hub::assess::Corroboration;
use crate::hub::digest::Digest;
use crate::hub::disclosure::{DisclosureCard, DisclosureCount};
use crate::hub::feed::RemovalReason;
use crate::hub::publish::{Outcome, Rejection, RejectionCode};
use crate::hub::query::{Campaign, Relation};
use crate::hub::roster::{AgentCard, GroupCard, MemberCard};

use super::{number, time, wire};
use crate::grpc::encoded::Encoded;

/// The encoded field `state` of `Indicator` (number 25) for each [`State`], in the order of `State::ALL`.
static STATE_FIELDS: [[u8; 3]; 5] = [
    [0xc8, 0x01, 1],
    [0xc8, 0x01, 2],
    [0xc8, 0x01, 3],
    [0xc8, 0x01, 4],
    [0xc8, 0x01, 5],
];

/// The encoded fields of one `Indicator`: the body as it was published, its present state, and for the owner the audience.
pub fn indicator(release: &Release<Sighting>, fields: &mut Encoded) {
    let sighting = release.body();
    let place = State::ALL
        .iter()
        .position(|state| *state == sighting.state)
        .unwrap_or_default();
    fields.push_shared(&sighting.body);
    fields.push(&STATE_FIELDS[place]);
    if release.is_own() {
        fields.push(&sighting.owner_suffix);
    }
}

/// How many bytes [`indicator`] writes.
pub fn indicator_bytes(release: &Release<Sighting>) -> usize {
    let sighting = release.body();
    let suffix = if release.is_own() {
        sighting.owner_suffix.len()
    } else {
        0
    };
    sighting.body.len() + STATE_FIELDS[0].len() + suffix
}

/// What an indicator takes in an answer besides its body, most often.
pub const INDICATOR_BYTES_MORE: usize = 8;

/// About how many bytes indicators take in an answer: one that grows to its size by doubling leaves as much again behind.
pub fn indicators_bytes<'a>(releases: impl IntoIterator<Item = &'a Release<Sighting>>) -> usize {
    let sizes = releases.into_iter().map(indicator_bytes);
    sizes.map(|bytes| bytes + INDICATOR_BYTES_MORE).sum()
}

/// How a match speaks of the value that was asked.
pub fn relation(relation: Relation) -> i32 {
    match relation {
        Relation::Exact => wire::MatchRelation::Exact.into(),
        Relation::Host => wire::MatchRelation::Host.into(),
        Relation::Parent => wire::MatchRelation::Parent.into(),
        Relation::Near(_) => wire::MatchRelation::Near.into(),
    }
}

/// How far a match is from the value that was asked; 0 where distance says nothing.
pub fn distance(relation: Relation) -> u32 {
    match relation {
        Relation::Near(distance) => distance,
        Relation::Exact | Relation::Host | Relation::Parent => 0,
    }
}

/// What left a mirror.
pub fn removal((id, reason): (crate::domain::id::IndicatorId, RemovalReason)) -> wire::Removal {
    let reason = match reason {
        RemovalReason::Retracted => wire::RemovalReason::Retracted,
        RemovalReason::Expired => wire::RemovalReason::Expired,
        RemovalReason::NoLongerVisible => wire::RemovalReason::NoLongerVisible,
    };
    wire::Removal {
        id: id.to_string(),
        reason: reason.into(),
    }
}

/// The sum that a mirror must have.
pub fn digest(digest: Digest) -> wire::Digest {
    wire::Digest {
        count: digest.count,
        hash: digest.sum.to_le_bytes().to_vec(),
    }
}

/// What became of one item: the fields of `PublishResult`.
pub fn outcome(outcome: &Outcome, fields: &mut Encoded) {
    const ACCEPTED: u32 = 1;
    const DUPLICATE: u32 = 2;
    const REJECTED: u32 = 3;
    match outcome {
        Outcome::Accepted { id, revision, warnings } => fields.push_field(ACCEPTED, |accepted| {
            accepted.push_id(1, id.0);
            accepted.push_number(2, u64::from(*revision));
            warnings
                .iter()
                .for_each(|name| accepted.push_item(3, name.as_str().as_bytes()));
        }),
        Outcome::Duplicate { id, revision } => fields.push_field(DUPLICATE, |duplicate| {
            duplicate.push_id(1, id.0);
            duplicate.push_number(2, u64::from(*revision));
        }),
        Outcome::Rejected(Rejection {
            violation,
            code,
            retry_after,
        }) => {
            let code = match code {
                RejectionCode::Invalid => "INVALID",
                RejectionCode::NotFound => "NOT_FOUND",
                RejectionCode::Quota => "QUOTA",
                RejectionCode::Unreadable => "UNREADABLE",
            };
            let retry_after_ms = retry_after.map_or(0, |delay| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX));
            fields.push_field(REJECTED, |rejected| {
                rejected.push_text(1, &violation.field);
                rejected.push_text(2, &violation.reason);
                rejected.push_text(3, code);
                rejected.push_number(4, u64::from(retry_after_ms));
            });
        }
    }
}

/// A member.
pub fn member(card: &MemberCard) -> wire::Member {
    wire::Member {
        id: card.id.to_string(),
        name: card.name.to_string(),
        kind: number(&MemberKind::ALL, &card.kind),
        standing: number(&Standing::ALL, &card.standing),
        admitted_at: Some(time(card.admitted_at)),
    }
}

/// A group.
pub fn group(card: &GroupCard) -> wire::Group {
    wire::Group {
        id: card.id.to_string(),
        name: card.name.to_string(),
        member_ids: card.members.iter().map(ToString::to_string).collect(),
        created_at: Some(time(card.created_at)),
    }
}

/// An agent.
pub fn agent(card: &AgentCard) -> wire::Agent {
    wire::Agent {
        member_id: card.member.to_string(),
        name: card.name.to_string(),
        roles: card.roles.iter().map(|role| number(&Role::ALL, &role)).collect(),
        certificate_serial: card.serial.iter().map(|byte| format!("{byte:02x}")).collect(),
        certificate_expires_at: Some(time(card.expires_at)),
        revoked_at: card.revoked_at.map(time),
    }
}

/// What the sources of an observable amount to.
pub fn corroboration(corroboration: Corroboration) -> wire::Corroboration {
    let Corroboration { observers, disputes } = corroboration;
    wire::Corroboration {
        observers,
        disputes,
        contested: disputes > 0,
    }
}

/// An assessment.
pub fn assessment(assessment: &Assessment) -> wire::Assessment {
    let Assessment {
        indicator,
        member,
        member_kind,
        verdict,
        independent,
        note,
        claim_review,
        government_release,
        made_at,
    } = assessment;
    wire::Assessment {
        indicator_id: indicator.to_string(),
        member_id: member.to_string(),
        member_kind: number(&MemberKind::ALL, member_kind),
        verdict: number(&AssessmentVerdict::ALL, verdict),
        independent: *independent,
        note: note.as_str().to_owned(),
        claim_review: claim_review.as_ref().map(|review| wire::ClaimReview {
            url: review.url().to_owned(),
            rating: review.rating().to_owned(),
            language: review.language().as_str().to_owned(),
            claim: review.claim().to_owned(),
        }),
        government_release: *government_release,
        made_at: Some(time(*made_at)),
    }
}

/// A count of crossings.
pub fn disclosure_count(count: DisclosureCount) -> wire::DisclosureCount {
    let DisclosureCount {
        agency,
        publisher,
        campaign,
        month,
        indicators,
    } = count;
    wire::DisclosureCount {
        agency_id: agency.to_string(),
        publisher_id: publisher.to_string(),
        campaign,
        month,
        indicators,
    }
}

/// One crossing.
pub fn disclosure(card: DisclosureCard) -> wire::Disclosure {
    let DisclosureCard {
        indicator,
        agency,
        campaign,
        at,
    } = card;
    wire::Disclosure {
        indicator_id: indicator.to_string(),
        agency_id: agency.to_string(),
        campaign,
        disclosed_at: Some(time(at)),
    }
}

/// A campaign as the caller sees it.
pub fn campaign(campaign: Campaign) -> wire::CampaignSummary {
    let Campaign {
        name,
        attributions,
        countries,
        languages,
        events,
        ttps,
        publishers,
        indicators,
        first_seen,
        last_seen,
    } = campaign;
    wire::CampaignSummary {
        name,
        attributions,
        targets: Some(wire::Targets {
            countries: countries.iter().map(|code| code.as_str().to_owned()).collect(),
            languages: languages.iter().map(|code| code.as_str().to_owned()).collect(),
            events,
        }),
        ttps,
        publisher_ids: publishers.iter().map(ToString::to_string).collect(),
        indicators,
        first_seen: Some(time(first_seen)),
        last_seen: Some(time(last_seen)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prost::Message;
    use uuid::Uuid;

    use super::*;
    use crate::domain::id::IndicatorId;
    use crate::domain::indicator::Text;
    use crate::domain::violation::Violation;

    #[test]
    fn outcomes_are_written_as_their_messages() {
        use wire::publish_result::Outcome as Wire;
        let id = IndicatorId(Uuid::from_u128(7));
        let warnings = vec![Text::parse("warnings", "top sites").unwrap(), Text::default()];
        let rejection = Rejection {
            violation: Violation::new("draft.raw", "is no value"),
            code: RejectionCode::Quota,
            retry_after: Some(Duration::from_secs(1)),
        };
        for (outcome, expected) in [
            (
                Outcome::Accepted {
                    id,
                    revision: 1,
                    warnings,
                },
                Wire::Accepted(wire::Accepted {
                    id: id.to_string(),
                    revision: 1,
                    warnings: vec!["top sites".into(), String::new()],
                }),
            ),
            (
                Outcome::Duplicate { id, revision: 300 },
                Wire::Duplicate(wire::Duplicate {
                    id: id.to_string(),
                    revision: 300,
                }),
            ),
            (
                Outcome::Rejected(rejection),
                Wire::Rejected(wire::Rejected {
                    field: "draft.raw".into(),
                    reason: "is no value".into(),
                    code: "QUOTA".into(),
                    retry_after_ms: 1_000,
                }),
            ),
            (
                Outcome::Rejected(Rejection::unreadable("ids[3]".into())),
                Wire::Rejected(wire::Rejected {
                    field: "ids[3]".into(),
                    reason: "is stored, and cannot be read for now; tell who operates the hub".into(),
                    code: "UNREADABLE".into(),
                    retry_after_ms: 60_000,
                }),
            ),
        ] {
            let mut fields = Encoded::default();
            super::outcome(&outcome, &mut fields);
            let expected = wire::PublishResult {
                outcome: Some(expected),
            };
            assert_eq!(fields.encode_to_vec(), expected.encode_to_vec());
        }
    }
}
