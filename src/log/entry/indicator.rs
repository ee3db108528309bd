//! Indicators: domain to stored message and back. The body that goes to readers and the audience that only the owner may see are
//! apart from here on.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp as StoredTime;

use super::fields::Fields;
use super::{DecodeError, StoredIndicator, id_bytes, item, number, stored, uuid};
use crate::domain::handling::{Audience, Embargo, Handling, Tlp};
use crate::domain::id::{GroupId, IndicatorId, MemberId, ObservableId, Timestamp};
use crate::domain::indicator::{
    Code, Confidence, Content, Evidence, Indicator, Report, Severity, Tag, Targets, Text, Ttp, Verdict,
};
use crate::domain::member::MemberKind;
use crate::domain::observable::{Kind, Observable};
use crate::domain::violation::Violation;

/// Bytes of most bodies.
const BODY_BYTES_USUAL: usize = 512;

/// The body of `indicator` that readers are sent: everything but audience and state.
pub fn encode_indicator(indicator: &Indicator) -> Bytes {
    encode(indicator, indicator.content.observable.id())
}

/// The same, where the observable's id is known.
pub(super) fn encode(indicator: &Indicator, observable_id: ObservableId) -> Bytes {
    let mut fields = Fields::with_capacity(BODY_BYTES_USUAL);
    body_fields(indicator, observable_id, &mut fields, |part, fields| {
        common_fields(part, indicator, fields);
    });
    fields.finish()
}

/// Fields that the bodies of one publication have in common, where they speak of one report: a part for each place in the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Common {
    /// Whose it is.
    Publisher,
    /// What is said of the operation.
    Operation,
    Tags,
    /// Handling and times.
    Handling,
}

impl Common {
    pub(super) const ALL: [Common; 4] = [Common::Publisher, Common::Operation, Common::Tags, Common::Handling];
}

/// The fields of the body. Those of each part that is common are written by `common`.
pub(super) fn body_fields(
    indicator: &Indicator,
    observable_id: ObservableId,
    fields: &mut Fields,
    common: impl Fn(Common, &mut Fields),
) {
    let Indicator {
        id,
        publisher: _,
        publisher_kind: _,
        revision: _,
        content,
        published_at: _,
        revised_at: _,
        retraction_reason,
        warnings,
    } = indicator;
    let Content {
        observable,
        raw,
        verdict,
        confidence,
        severity,
        first_seen,
        last_seen,
        note,
        evidence,
        hash_quality,
        independent,
        report: _,
    } = content;
    fields.id(1, id.0);
    fields.id(2, observable_id.0);
    fields.message(3, |fields| {
        fields.number(1, number(Kind::ALL, &observable.kind()).into());
        fields.text(2, observable.value());
    });
    fields.text(4, raw.as_str());
    common(Common::Publisher, fields);
    fields.number(8, number(&Verdict::ALL, verdict).into());
    fields.number(9, confidence.value().into());
    fields.number(
        10,
        severity.map_or(0, |severity| number(&Severity::ALL, &severity)).into(),
    );
    common(Common::Operation, fields);
    fields.time(15, *first_seen);
    fields.time(16, *last_seen);
    common(Common::Tags, fields);
    fields.text(18, note.as_str());
    evidence.iter().for_each(|piece| evidence_fields(piece, fields));
    common(Common::Handling, fields);
    fields.text(23, retraction_reason.as_str());
    fields.number(24, (*hash_quality).into());
    warnings
        .iter()
        .for_each(|warning| fields.item(26, warning.as_str().as_bytes()));
    fields.number(27, (*independent).into());
}

/// The fields of a part.
pub(super) fn common_fields(part: Common, indicator: &Indicator, fields: &mut Fields) {
    let Report {
        campaign,
        attribution,
        ttps,
        targets,
        tags,
        handling,
    } = &*indicator.content.report;
    match part {
        Common::Publisher => {
            fields.id(5, indicator.publisher.0);
            fields.number(6, number(&MemberKind::ALL, &indicator.publisher_kind).into());
            fields.number(7, indicator.revision.into());
        }
        Common::Operation => {
            fields.text(11, campaign.as_str());
            fields.text(12, attribution.as_str());
            ttps.iter().for_each(|ttp| fields.item(13, ttp.as_str().as_bytes()));
            target_fields(targets, fields);
        }
        Common::Tags => tags.iter().for_each(|tag| fields.item(17, tag.as_str().as_bytes())),
        Common::Handling => {
            handling_fields(handling, fields);
            fields.time(21, Some(indicator.published_at));
            fields.time(22, Some(indicator.revised_at));
        }
    }
}

/// The audience is not among them.
fn handling_fields(handling: &Handling, fields: &mut Fields) {
    fields.message(20, |fields| {
        fields.number(1, number(&Tlp::ALL, &handling.tlp()).into());
        fields.number(4, handling.government_release.into());
        fields.time(5, handling.embargo.as_ref().map(|embargo| embargo.until));
        fields.time(7, handling.expires_at);
    });
}

fn target_fields(targets: &Targets, fields: &mut Fields) {
    let Targets {
        countries,
        languages,
        events,
    } = targets;
    if countries.is_empty() && languages.is_empty() && events.is_empty() {
        return;
    }
    fields.message(14, |fields| {
        countries
            .iter()
            .for_each(|code| fields.item(1, code.as_str().as_bytes()));
        languages
            .iter()
            .for_each(|code| fields.item(2, code.as_str().as_bytes()));
        events
            .iter()
            .for_each(|event| fields.item(3, event.as_str().as_bytes()));
    });
}

fn evidence_fields(evidence: &Evidence, fields: &mut Fields) {
    let Evidence {
        description,
        reference,
        sha256,
    } = evidence;
    fields.message(19, |fields| {
        fields.text(1, description.as_str());
        fields.text(2, reference.as_str());
        if let Some(hash) = sha256 {
            fields.item(3, hash);
        }
    });
}

/// The fields of `IndicatorPublished`, `IndicatorRevised` or (without a request) `IndicatorRetracted`.
pub(super) fn event_fields(stored: &StoredIndicator, request_id: &str, fields: &mut Fields) {
    fields.item(1, &stored.body);
    audience_fields(&stored.indicator.content.handling, fields);
    fields.text(REQUEST_ID, request_id);
}

/// The number of their field `request_id`, the last.
pub(super) const REQUEST_ID: u32 = 3;

/// The one of them that follows the body.
pub(super) fn audience_fields(handling: &Handling, fields: &mut Fields) {
    let embargo = handling
        .embargo
        .as_ref()
        .map(|embargo| embargo.members())
        .unwrap_or_default();
    let audience = handling.audience();
    if !audience.is_empty() || !embargo.is_empty() {
        fields.message(2, |fields| {
            audience
                .members()
                .iter()
                .for_each(|member| fields.item(1, member.0.as_bytes()));
            audience
                .groups()
                .iter()
                .for_each(|group| fields.item(2, group.0.as_bytes()));
            embargo.iter().for_each(|member| fields.item(3, member.0.as_bytes()));
        });
    }
}

/// Whom a handling names, as it is stored beside the indicator.
pub(super) fn stored_audience(handling: &Handling) -> Option<stored::Audience> {
    let ids = |members: &[MemberId]| members.iter().map(|member| id_bytes(member.0)).collect();
    let audience = stored::Audience {
        member_ids: ids(handling.audience().members()),
        group_ids: handling
            .audience()
            .groups()
            .iter()
            .map(|group| id_bytes(group.0))
            .collect(),
        embargo_member_ids: ids(handling.embargo.as_ref().map(Embargo::members).unwrap_or_default()),
    };
    (audience != stored::Audience::default()).then_some(audience)
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
    Ok(StoredIndicator {
        observable: indicator.content.observable.id(),
        indicator,
        body,
    })
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
    let report = Report {
        campaign: text("campaign", &campaign)?,
        attribution: text("attribution", &attribution)?,
        ttps: ttps
            .iter()
            .map(|ttp| Ttp::parse("ttps", ttp).map_err(violation))
            .collect::<Result<_, _>>()?,
        targets: decode_targets(targets.unwrap_or_default())?,
        tags: tags
            .iter()
            .map(|tag| Tag::parse("tags", tag).map_err(violation))
            .collect::<Result<_, _>>()?,
        handling: decode_handling(handling.unwrap_or_default(), audience, embargo_members)?,
    };
    let kind = item(Kind::ALL, kind, "observable.kind")?;
    let content = Content {
        observable: match value.is_empty() {
            true => Observable::erased(kind),
            false => Observable::from_canonical(kind, &value).map_err(|_| DecodeError::Unknown("observable.value"))?,
        },
        raw: text("raw", &raw)?,
        verdict: item(&Verdict::ALL, verdict, "verdict")?,
        confidence: Confidence::new(confidence).map_err(violation)?,
        severity: match severity {
            0 => None,
            severity => Some(item(&Severity::ALL, severity, "severity")?),
        },
        first_seen: first_seen.map(time),
        last_seen: last_seen.map(time),
        note: text("note", &note)?,
        evidence: evidence.into_iter().map(decode_evidence).collect::<Result<_, _>>()?,
        hash_quality: u8::try_from(hash_quality).map_err(|_| DecodeError::Unknown("hash_quality"))?,
        independent,
        report: Arc::new(report),
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
