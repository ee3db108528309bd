//! What peers send: drafts and filters, checked field by field.

use std::sync::Arc;

use crate::domain::assessment::{Assessment, AssessmentVerdict, ClaimReview};
use crate::domain::filter::Filter;
use crate::domain::handling::{Audience, Embargo, Handling, Tlp};
use crate::domain::id::{GroupId, MemberId, Timestamp};
use crate::domain::indicator::{
    Code, Confidence, Content, Evidence, Report, Severity, Tag, Targets, Text, Ttp, Verdict,
};
use crate::domain::member::MemberKind;
use crate::domain::observable::{Kind, Observable};
use crate::domain::similarity::Near;
use crate::domain::violation::Violation;

use super::{id, moment, optional, required, wire};

const TTPS_MAX: usize = 32;
const TAGS_MAX: usize = 32;
const CODES_MAX: usize = 64;
const EVENTS_MAX: usize = 16;
const EVIDENCE_MAX: usize = 16;

/// A draft, or its first violation with the field's path within it.
pub fn draft(draft: wire::IndicatorDraft) -> Result<Content, Violation> {
    let report = report(&draft)?;
    content(draft, Arc::new(report))
}

/// What a draft states of all indicators of its report.
pub fn report(draft: &wire::IndicatorDraft) -> Result<Report, Violation> {
    let wire::IndicatorDraft {
        raw: _,
        kind: _,
        verdict: _,
        confidence: _,
        severity: _,
        campaign,
        attribution,
        ttps,
        targets,
        first_seen: _,
        last_seen: _,
        tags,
        note: _,
        evidence: _,
        handling,
        hash_quality: _,
        independent: _,
    } = draft;
    let handling = handling.as_ref();
    let handling = handling.ok_or_else(|| Violation::new("handling", "must be given: who may see it?"))?;
    Ok(Report {
        campaign: name("campaign", campaign)?,
        attribution: name("attribution", attribution)?,
        ttps: list("ttps", TTPS_MAX, ttps, |field, ttp| Ttp::parse(field, ttp))?,
        targets: match targets {
            Some(targets) => self::targets(targets).map_err(|violation| violation.within("targets"))?,
            None => Targets::default(),
        },
        tags: list("tags", TAGS_MAX, tags, |field, tag| Tag::parse(field, tag))?,
        handling: self::handling(handling).map_err(|violation| violation.within("handling"))?,
    })
}

/// A draft of which `report` was made, or of one that has the same.
pub fn content(draft: wire::IndicatorDraft, report: Arc<Report>) -> Result<Content, Violation> {
    let wire::IndicatorDraft {
        raw,
        kind,
        verdict,
        confidence,
        severity,
        campaign: _,
        attribution: _,
        ttps: _,
        targets: _,
        first_seen,
        last_seen,
        tags: _,
        note,
        evidence,
        handling: _,
        hash_quality,
        independent,
    } = draft;
    let observable = observable(&raw, kind)?;
    let first_seen = first_seen.map(|time| moment("first_seen", time)).transpose()?;
    let last_seen = last_seen.map(|time| moment("last_seen", time)).transpose()?;
    if first_seen.zip(last_seen).is_some_and(|(first, last)| last < first) {
        return Err(Violation::new("last_seen", "must not lie before first_seen"));
    }
    Ok(Content {
        hash_quality: quality(&observable, hash_quality)?,
        independent,
        observable,
        raw: Text::take("raw", raw)?,
        verdict: optional(&Verdict::ALL, "verdict", verdict)?.unwrap_or(Verdict::Suspected),
        confidence: Confidence::new(confidence)?,
        severity: optional(&Severity::ALL, "severity", severity)?,
        first_seen,
        last_seen,
        note: Text::take("note", note)?,
        evidence: list("evidence", EVIDENCE_MAX, &evidence, self::evidence)?,
        report,
    })
}

fn observable(raw: &str, kind: i32) -> Result<Observable, Violation> {
    let parsed = match optional(Kind::ALL, "kind", kind)? {
        None => Observable::parse(raw),
        Some(kind) => Observable::parse_as(kind, raw),
    };
    parsed.map_err(|invalid| Violation::new("raw", invalid.to_string()))
}

fn quality(observable: &Observable, quality: u32) -> Result<u8, Violation> {
    match (observable.kind(), u8::try_from(quality)) {
        (Kind::Pdq, Ok(quality @ 0..=100)) => Ok(quality),
        (Kind::Pdq, _) => Err(Violation::new(
            "hash_quality",
            format!("is {quality}, must be 0 to 100"),
        )),
        (_, Ok(0)) => Ok(0),
        _ => Err(Violation::new("hash_quality", "is for PDQ hashes only")),
    }
}

/// A name is one line, without space at its ends: it is compared as it stands.
fn name<const BYTES_MAX: usize>(field: &str, text: &str) -> Result<Text<BYTES_MAX>, Violation> {
    if text.trim() != text {
        return Err(Violation::new(field, "must not begin or end with white space"));
    }
    if text.chars().any(char::is_control) {
        return Err(Violation::new(field, "must be one line without control characters"));
    }
    Text::parse(field, text)
}

fn targets(targets: &wire::Targets) -> Result<Targets, Violation> {
    let wire::Targets {
        countries,
        languages,
        events,
    } = targets;
    Ok(Targets {
        countries: list("countries", CODES_MAX, countries, |field, code| {
            Code::country(field, code)
        })?,
        languages: list("languages", CODES_MAX, languages, |field, code| {
            Code::language(field, code)
        })?,
        events: list("events", EVENTS_MAX, events, |field, event| name(field, event))?,
    })
}

fn evidence(field: &str, evidence: &wire::Evidence) -> Result<Evidence, Violation> {
    let wire::Evidence {
        description,
        reference,
        sha256,
    } = evidence;
    let sha256 = match sha256.len() {
        0 => None,
        _ => Some(sha256.as_slice().try_into().map_err(|_| {
            Violation::new(
                format!("{field}.sha256"),
                format!("has {} bytes, must have 32 or none", sha256.len()),
            )
        })?),
    };
    Ok(Evidence {
        description: Text::parse(&format!("{field}.description"), description)?,
        reference: Text::parse(&format!("{field}.reference"), reference)?,
        sha256,
    })
}

fn handling(handling: &wire::Handling) -> Result<Handling, Violation> {
    let wire::Handling {
        tlp,
        member_ids,
        group_ids,
        government_release,
        embargo_until,
        embargo_member_ids,
        expires_at,
    } = handling;
    let tlp = required(&Tlp::ALL, "tlp", *tlp)?;
    let members = list("member_ids", Audience::MEMBERS_MAX, member_ids, |field, text| {
        id::<MemberId>(field, text)
    })?;
    let groups = list("group_ids", Audience::GROUPS_MAX, group_ids, |field, text| {
        id::<GroupId>(field, text)
    })?;
    let mut handling = Handling::new(tlp, Audience::new(members, groups)?)?;
    let embargo_members = list(
        "embargo_member_ids",
        Audience::MEMBERS_MAX,
        embargo_member_ids,
        |field, text| id(field, text),
    )?;
    handling.government_release = *government_release;
    handling.embargo = match embargo_until {
        Some(until) => Some(Embargo::new(moment("embargo_until", *until)?, embargo_members)?),
        None if embargo_members.is_empty() => None,
        None => {
            return Err(Violation::new(
                "embargo_until",
                "must be given where embargo_member_ids are",
            ));
        }
    };
    handling.expires_at = expires_at.map(|time| moment("expires_at", time)).transpose()?;
    Ok(handling)
}

/// An assessment without its author and time, which are not the peer's to say.
pub fn assessment_draft(request: wire::AssessRequest) -> Result<Assessment, Violation> {
    let wire::AssessRequest {
        indicator_id,
        verdict,
        independent,
        note,
        claim_review,
        government_release,
    } = request;
    let claim_review = claim_review.map(|review| {
        let wire::ClaimReview {
            url,
            rating,
            language,
            claim,
        } = review;
        ClaimReview::new(&url, &rating, &language, &claim).map_err(|violation| violation.within("claim_review"))
    });
    Ok(Assessment {
        indicator: id("indicator_id", &indicator_id)?,
        member: MemberId(uuid::Uuid::nil()),
        member_kind: MemberKind::Platform,
        verdict: required(&AssessmentVerdict::ALL, "verdict", verdict)?,
        independent,
        note: Text::parse("note", &note)?,
        claim_review: claim_review.transpose()?,
        government_release,
        made_at: Timestamp::default(),
    })
}

/// A filter, or its first violation with the field's path within it.
pub fn filter(filter: wire::Filter) -> Result<Filter, Violation> {
    let wire::Filter {
        kinds,
        campaigns,
        ttps,
        target_countries,
        target_languages,
        target_events,
        tags,
        publisher_kinds,
        publisher_ids,
        confidence_min,
        value_suffixes,
        verdicts,
        severity_min,
        platforms,
        near,
    } = filter;
    const VALUES_MAX: usize = 256;
    let filter = Filter {
        kinds: list("kinds", VALUES_MAX, &kinds, |field, kind| {
            required(Kind::ALL, field, *kind)
        })?,
        campaigns,
        ttps,
        target_countries: list("target_countries", VALUES_MAX, &target_countries, |field, code| {
            Code::country(field, code)
        })?,
        target_languages: list("target_languages", VALUES_MAX, &target_languages, |field, code| {
            Code::language(field, code)
        })?,
        target_events,
        tags,
        publisher_kinds: list("publisher_kinds", VALUES_MAX, &publisher_kinds, |field, kind| {
            required(&MemberKind::ALL, field, *kind)
        })?,
        publishers: list("publisher_ids", VALUES_MAX, &publisher_ids, |field, text| {
            id(field, text)
        })?,
        confidence_min: Confidence::new(confidence_min)
            .map_err(|violation| Violation::new("confidence_min", violation.reason))?
            .value(),
        value_suffixes,
        verdicts: list("verdicts", VALUES_MAX, &verdicts, |field, verdict| {
            required(&Verdict::ALL, field, *verdict)
        })?,
        severity_min: optional(&Severity::ALL, "severity_min", severity_min)?,
        platforms,
        near: list("near", Filter::NEAR_MAX, &near, self::near)?,
    };
    filter.canonical()
}

fn near(field: &str, near: &wire::NearHash) -> Result<Near, Violation> {
    let wire::NearHash {
        kind,
        value,
        distance_max,
    } = near;
    let kind = required(Kind::ALL, field, *kind)?;
    let observable = Observable::parse_as(kind, value).map_err(|invalid| Violation::new(field, invalid.to_string()))?;
    Near::new(field, &observable, Some(*distance_max).filter(|distance| *distance > 0))
}

/// Each item of a bounded list, with its path.
fn list<I, T>(
    field: &str,
    items_max: usize,
    items: &[I],
    parse: impl Fn(&str, &I) -> Result<T, Violation>,
) -> Result<Vec<T>, Violation> {
    if items.len() > items_max {
        let reason = format!("has {} values, at most {items_max} are accepted", items.len());
        return Err(Violation::new(field, reason));
    }
    let numbered = items.iter().enumerate();
    numbered
        .map(|(place, item)| match parse(field, item) {
            Ok(value) => Ok(value),
            // Only what is refused needs its path.
            Err(_) => parse(&format!("{field}[{place}]"), item),
        })
        .collect()
}
