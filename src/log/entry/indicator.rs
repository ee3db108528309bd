//! Indicators: domain to stored message and back. The body that goes to readers and the audience that only the owner may see are
//! apart from here on.

use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp as StoredTime;

use super::{DecodeError, StoredIndicator, id_bytes, item, number, stored, uuid};
use crate::domain::handling::{Audience, Embargo, Handling, Tlp};
use crate::domain::id::{GroupId, IndicatorId, MemberId, Timestamp};
use crate::domain::indicator::{
    Code, Confidence, Content, Evidence, Indicator, Severity, Tag, Targets, Text, Ttp, Verdict,
};
use crate::domain::member::MemberKind;
use crate::domain::observable::{Kind, Observable};
use crate::domain::violation::Violation;

/// The body of `indicator` that readers are sent: everything but audience and state.
pub fn encode_indicator(indicator: &Indicator) -> Bytes {
    let Indicator {
        id,
        publisher,
        publisher_kind,
        revision,
        content,
        published_at,
        revised_at,
        retraction_reason,
        warnings,
    } = indicator;
    let Content {
        observable,
        raw,
        verdict,
        confidence,
        severity,
        campaign,
        attribution,
        ttps,
        targets,
        first_seen,
        last_seen,
        tags,
        note,
        evidence,
        handling,
        hash_quality,
        independent,
    } = content;
    stored::Indicator {
        id: id.to_string(),
        observable_id: observable.id().to_string(),
        observable: Some(stored::Observable {
            kind: number(Kind::ALL, &observable.kind()),
            value: observable.value().to_owned(),
        }),
        raw: raw.as_str().to_owned(),
        publisher_id: publisher.to_string(),
        publisher_kind: number(&MemberKind::ALL, publisher_kind),
        revision: *revision,
        verdict: number(&Verdict::ALL, verdict),
        confidence: u32::from(confidence.value()),
        severity: severity.map_or(0, |severity| number(&Severity::ALL, &severity)),
        campaign: campaign.as_str().to_owned(),
        attribution: attribution.as_str().to_owned(),
        ttps: ttps.iter().map(|ttp| ttp.as_str().to_owned()).collect(),
        targets: stored_targets(targets),
        first_seen: first_seen.map(stored_time),
        last_seen: last_seen.map(stored_time),
        tags: tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
        note: note.as_str().to_owned(),
        evidence: evidence.iter().map(stored_evidence).collect(),
        handling: Some(stored::Handling {
            tlp: number(&Tlp::ALL, &handling.tlp()),
            government_release: handling.government_release,
            embargo_until: handling.embargo.as_ref().map(|embargo| stored_time(embargo.until)),
            expires_at: handling.expires_at.map(stored_time),
            ..stored::Handling::default()
        }),
        published_at: Some(stored_time(*published_at)),
        revised_at: Some(stored_time(*revised_at)),
        retraction_reason: retraction_reason.as_str().to_owned(),
        hash_quality: u32::from(*hash_quality),
        state: 0,
        warnings: warnings.iter().map(|warning| warning.as_str().to_owned()).collect(),
        independent: *independent,
    }
    .encode_to_vec()
    .into()
}

/// The audience as fields of the same message: appended to the body, it makes the owner's view. (Protobuf merges a message field
/// that comes twice.) Empty where nobody is named.
pub fn encode_audience(handling: &Handling) -> Bytes {
    let names = |members: &[MemberId]| members.iter().map(MemberId::to_string).collect();
    let message = stored::Handling {
        member_ids: names(handling.audience().members()),
        group_ids: handling.audience().groups().iter().map(GroupId::to_string).collect(),
        embargo_member_ids: handling
            .embargo
            .as_ref()
            .map(|embargo| names(embargo.members()))
            .unwrap_or_default(),
        ..stored::Handling::default()
    };
    match message == stored::Handling::default() {
        true => Bytes::new(),
        false => stored::Indicator {
            handling: Some(message),
            ..Default::default()
        }
        .encode_to_vec()
        .into(),
    }
}

pub(super) fn stored_audience(indicator: &Indicator) -> Option<stored::Audience> {
    let handling = &indicator.content.handling;
    let ids = |members: &[MemberId]| members.iter().map(|member| id_bytes(member.0)).collect();
    let audience = stored::Audience {
        member_ids: ids(handling.audience().members()),
        group_ids: handling
            .audience()
            .groups()
            .iter()
            .map(|group| id_bytes(group.0))
            .collect(),
        embargo_member_ids: handling
            .embargo
            .as_ref()
            .map(|embargo| ids(embargo.members()))
            .unwrap_or_default(),
    };
    (audience != stored::Audience::default()).then_some(audience)
}

pub(super) fn decode_stored(body: Bytes, audience: Option<stored::Audience>) -> Result<StoredIndicator, DecodeError> {
    let stored::Audience {
        member_ids,
        group_ids,
        embargo_member_ids,
    } = audience.unwrap_or_default();
    let members = |ids: &[Bytes]| {
        ids.iter()
            .map(|id| uuid(id).map(MemberId))
            .collect::<Result<Vec<_>, _>>()
    };
    let groups = group_ids
        .iter()
        .map(|id| uuid(id).map(GroupId))
        .collect::<Result<Vec<_>, _>>()?;
    let audience = Audience::new(members(&member_ids)?, groups).map_err(violation)?;
    let indicator = decode(&body, audience, members(&embargo_member_ids)?)?;
    Ok(StoredIndicator { indicator, body })
}

/// The indicator in a body, with `audience` and `embargo_members` put back.
pub fn decode_indicator(
    body: &Bytes,
    audience: Audience,
    embargo_members: Vec<MemberId>,
) -> Result<Indicator, DecodeError> {
    decode(body, audience, embargo_members)
}

#[expect(clippy::too_many_lines, reason = "a flat table, one arm or field a line")]
fn decode(body: &Bytes, audience: Audience, embargo_members: Vec<MemberId>) -> Result<Indicator, DecodeError> {
    let stored::Indicator {
        id,
        observable_id: _,
        observable,
        raw,
        publisher_id,
        publisher_kind,
        revision,
        verdict,
        confidence,
        severity,
        campaign,
        attribution,
        ttps,
        targets,
        first_seen,
        last_seen,
        tags,
        note,
        evidence,
        handling,
        published_at,
        revised_at,
        retraction_reason,
        hash_quality,
        state: _,
        warnings,
        independent,
    } = stored::Indicator::decode(body.clone())?;
    let stored::Observable { kind, value } = observable.ok_or(DecodeError::Unknown("observable"))?;
    let content = Content {
        observable: Observable::from_canonical(item(Kind::ALL, kind, "observable.kind")?, &value)
            .map_err(|_| DecodeError::Unknown("observable.value"))?,
        raw: text("raw", &raw)?,
        verdict: item(&Verdict::ALL, verdict, "verdict")?,
        confidence: Confidence::new(confidence).map_err(violation)?,
        severity: match severity {
            0 => None,
            severity => Some(item(&Severity::ALL, severity, "severity")?),
        },
        campaign: text("campaign", &campaign)?,
        attribution: text("attribution", &attribution)?,
        ttps: ttps
            .iter()
            .map(|ttp| Ttp::parse("ttps", ttp).map_err(violation))
            .collect::<Result<_, _>>()?,
        targets: decode_targets(targets.unwrap_or_default())?,
        first_seen: first_seen.map(time),
        last_seen: last_seen.map(time),
        tags: tags
            .iter()
            .map(|tag| Tag::parse("tags", tag).map_err(violation))
            .collect::<Result<_, _>>()?,
        note: text("note", &note)?,
        evidence: evidence.into_iter().map(decode_evidence).collect::<Result<_, _>>()?,
        handling: decode_handling(handling.unwrap_or_default(), audience, embargo_members)?,
        hash_quality: u8::try_from(hash_quality).map_err(|_| DecodeError::Unknown("hash_quality"))?,
        independent,
    };
    Ok(Indicator {
        id: id.parse::<IndicatorId>().map_err(|_| DecodeError::Unknown("id"))?,
        publisher: publisher_id
            .parse::<MemberId>()
            .map_err(|_| DecodeError::Unknown("publisher_id"))?,
        publisher_kind: item(&MemberKind::ALL, publisher_kind, "publisher_kind")?,
        revision,
        content,
        published_at: published_at.map(time).unwrap_or_default(),
        revised_at: revised_at.map(time).unwrap_or_default(),
        retraction_reason: text("retraction_reason", &retraction_reason)?,
        warnings: warnings
            .iter()
            .map(|warning| text("warnings", warning))
            .collect::<Result<_, _>>()?,
    })
}

fn decode_handling(
    handling: stored::Handling,
    audience: Audience,
    embargo_members: Vec<MemberId>,
) -> Result<Handling, DecodeError> {
    // The lists in the body are empty: the audience is stored beside it.
    let stored::Handling {
        tlp,
        member_ids: _,
        group_ids: _,
        government_release,
        embargo_until,
        embargo_member_ids: _,
        expires_at,
    } = handling;
    let mut handling = Handling::new(item(&Tlp::ALL, tlp, "handling.tlp")?, audience).map_err(violation)?;
    handling.government_release = government_release;
    handling.embargo = match embargo_until {
        None => None,
        Some(until) => Some(Embargo::new(time(until), embargo_members).map_err(violation)?),
    };
    handling.expires_at = expires_at.map(time);
    Ok(handling)
}

fn stored_targets(targets: &Targets) -> Option<stored::Targets> {
    (*targets != Targets::default()).then(|| stored::Targets {
        countries: targets.countries.iter().map(|code| code.as_str().to_owned()).collect(),
        languages: targets.languages.iter().map(|code| code.as_str().to_owned()).collect(),
        events: targets.events.iter().map(|event| event.as_str().to_owned()).collect(),
    })
}

fn decode_targets(targets: stored::Targets) -> Result<Targets, DecodeError> {
    let stored::Targets {
        countries,
        languages,
        events,
    } = targets;
    Ok(Targets {
        countries: countries
            .iter()
            .map(|code| Code::country("countries", code).map_err(violation))
            .collect::<Result<_, _>>()?,
        languages: languages
            .iter()
            .map(|code| Code::language("languages", code).map_err(violation))
            .collect::<Result<_, _>>()?,
        events: events
            .iter()
            .map(|event| text("events", event))
            .collect::<Result<_, _>>()?,
    })
}

fn stored_evidence(evidence: &Evidence) -> stored::Evidence {
    stored::Evidence {
        description: evidence.description.as_str().to_owned(),
        reference: evidence.reference.as_str().to_owned(),
        sha256: evidence
            .sha256
            .map(|hash| Bytes::copy_from_slice(&hash))
            .unwrap_or_default(),
    }
}

fn decode_evidence(evidence: stored::Evidence) -> Result<Evidence, DecodeError> {
    let stored::Evidence {
        description,
        reference,
        sha256,
    } = evidence;
    Ok(Evidence {
        description: text("evidence.description", &description)?,
        reference: text("evidence.reference", &reference)?,
        sha256: match sha256.is_empty() {
            true => None,
            false => Some(
                sha256
                    .as_ref()
                    .try_into()
                    .map_err(|_| DecodeError::Unknown("evidence.sha256"))?,
            ),
        },
    })
}

fn stored_time(time: Timestamp) -> StoredTime {
    StoredTime {
        seconds: time.0.div_euclid(1_000_000),
        nanos: (time.0.rem_euclid(1_000_000) * 1_000) as i32,
    }
}

fn time(time: StoredTime) -> Timestamp {
    Timestamp(
        time.seconds
            .saturating_mul(1_000_000)
            .saturating_add(i64::from(time.nanos) / 1_000),
    )
}

fn text<const BYTES_MAX: usize>(field: &'static str, text: &str) -> Result<Text<BYTES_MAX>, DecodeError> {
    Text::parse(field, text).map_err(violation)
}

fn violation(violation: Violation) -> DecodeError {
    DecodeError::Malformed(violation.to_string())
}
