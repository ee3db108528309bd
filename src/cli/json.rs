//! Indicators and what belongs to them as JSON: one shape, used by every command. Keys are those of the proto in snake case,
//! enums are the command line's words, times are RFC 3339; every key is always there, `null` where nothing is stated.

use serde_json::{Map, Value, json};

use super::names::Directory;
use super::{time, words};
use crate::grpc::wire;

/// An indicator.
pub fn indicator(indicator: &wire::Indicator, directory: &Directory) -> Value {
    Value::Object(indicator_fields(indicator, directory))
}

/// A match of a lookup: the indicator with how it speaks of the value.
pub fn matched(matched: &wire::Match, directory: &Directory) -> Value {
    let wire::Match {
        relation,
        indicator,
        distance,
    } = matched;
    let mut fields = indicator
        .as_ref()
        .map(|indicator| indicator_fields(indicator, directory))
        .unwrap_or_default();
    fields.insert("relation".into(), json!(words::relation(*relation)));
    let is_near = *relation == wire::MatchRelation::Near as i32;
    fields.insert("distance".into(), json!(is_near.then_some(*distance)));
    Value::Object(fields)
}

/// What a lookup found of one value.
pub fn lookup_result(result: &wire::LookupResult, directory: &Directory) -> Value {
    let wire::LookupResult {
        raw,
        observable,
        observable_id,
        reason,
        matches,
        truncated,
        corroboration,
    } = result;
    let observable = observable
        .as_ref()
        .map(|observable| self::observable(observable, observable_id));
    let matches: Vec<Value> = matches.iter().map(|one| matched(one, directory)).collect();
    let mut value = json!({"raw": raw, "observable": observable, "matches": matches, "truncated": truncated});
    if let Some(corroboration) = corroboration {
        value["corroboration"] = self::corroboration(corroboration);
    }
    if !reason.is_empty() {
        value["reason"] = json!(reason);
    }
    value
}

/// What the sources of an observable amount to for the caller.
pub fn corroboration(corroboration: &wire::Corroboration) -> Value {
    let wire::Corroboration {
        observers,
        disputes,
        contested,
    } = corroboration;
    json!({"observers": observers, "disputes": disputes, "contested": contested})
}

/// An assessment.
pub fn assessment(assessment: &wire::Assessment, directory: &Directory) -> Value {
    let wire::Assessment {
        indicator_id,
        member_id,
        member_kind,
        verdict,
        independent,
        note,
        claim_review,
        government_release,
        made_at,
    } = assessment;
    let review = claim_review.as_ref().map(|review| {
        let wire::ClaimReview {
            url,
            rating,
            language,
            claim,
        } = review;
        json!({"url": url, "rating": rating, "language": language, "claim": claim})
    });
    json!({
        "indicator_id": indicator_id,
        "member": {
            "id": member_id,
            "name": directory.member(member_id).map(|member| member.name.as_str()),
            "kind": words::member_kind(*member_kind),
        },
        "verdict": words::assessment_verdict(*verdict),
        "independent": independent,
        "note": note,
        "claim_review": review,
        "government_release": government_release,
        "made_at": moment(made_at),
    })
}

/// A member.
pub fn member(member: &wire::Member) -> Value {
    let wire::Member {
        id,
        name,
        kind,
        standing,
        admitted_at,
    } = member;
    json!({
        "id": id,
        "name": name,
        "kind": words::member_kind(*kind),
        "standing": words::standing(*standing),
        "admitted_at": moment(admitted_at),
    })
}

/// A group, its members with their names.
pub fn group(group: &wire::Group, directory: &Directory) -> Value {
    let wire::Group {
        id,
        name,
        member_ids,
        created_at,
    } = group;
    let members: Vec<Value> = member_ids
        .iter()
        .map(|id| json!({"id": id, "name": directory.member_name(id)}))
        .collect();
    json!({"id": id, "name": name, "members": members, "created_at": moment(created_at)})
}

/// An agent.
pub fn agent(agent: &wire::Agent, directory: &Directory) -> Value {
    let wire::Agent {
        member_id,
        name,
        roles,
        certificate_serial,
        certificate_expires_at,
        revoked_at,
    } = agent;
    json!({
        "member": {"id": member_id, "name": directory.member_name(member_id)},
        "name": name,
        "roles": roles.iter().map(|role| words::role(*role)).collect::<Vec<_>>(),
        "certificate_serial": certificate_serial,
        "certificate_expires_at": moment(certificate_expires_at),
        "revoked_at": moment(revoked_at),
    })
}

/// A campaign, as far as the caller sees it.
pub fn campaign(campaign: &wire::CampaignSummary, directory: &Directory) -> Value {
    let wire::CampaignSummary {
        name,
        attributions,
        targets,
        ttps,
        publisher_ids,
        indicators,
        first_seen,
        last_seen,
    } = campaign;
    json!({
        "name": name,
        "attributions": attributions,
        "targets": self::targets(targets.as_ref()),
        "ttps": ttps,
        "publishers": publisher_ids.iter().map(|id| json!({"id": id, "name": directory.member_name(id)})).collect::<Vec<_>>(),
        "indicators": indicators,
        "first_seen": moment(first_seen),
        "last_seen": moment(last_seen),
    })
}

/// An optional time.
pub fn moment(moment: &Option<prost_types::Timestamp>) -> Value {
    moment.as_ref().and_then(time::text).map_or(Value::Null, Value::String)
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn observable(observable: &wire::Observable, id: &str) -> Value {
    let wire::Observable { kind, value } = observable;
    json!({"id": id, "kind": words::kind(*kind), "value": value})
}

fn indicator_fields(indicator: &wire::Indicator, directory: &Directory) -> Map<String, Value> {
    // Field by field, so that a new field of the wire is a compile error here.
    let wire::Indicator {
        id,
        observable_id,
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
        state,
        warnings,
        independent,
    } = indicator;
    let value = json!({
        "id": id,
        "observable": observable.as_ref().map(|observable| self::observable(observable, observable_id)),
        "raw": raw,
        "publisher": {
            "id": publisher_id,
            "name": directory.member(publisher_id).map(|member| member.name.as_str()),
            "kind": words::member_kind(*publisher_kind),
        },
        "revision": revision,
        "state": words::state(*state),
        "verdict": words::verdict(*verdict),
        "confidence": confidence,
        "severity": words::severity(*severity),
        "campaign": campaign,
        "attribution": attribution,
        "ttps": ttps,
        "targets": self::targets(targets.as_ref()),
        "first_seen": moment(first_seen),
        "last_seen": moment(last_seen),
        "tags": tags,
        "note": note,
        "evidence": evidence.iter().map(self::evidence).collect::<Vec<_>>(),
        "handling": handling.as_ref().map(self::handling),
        "published_at": moment(published_at),
        "revised_at": moment(revised_at),
        "retraction_reason": retraction_reason,
        "hash_quality": hash_quality,
        "independent": independent,
        "warnings": warnings,
    });
    match value {
        Value::Object(fields) => fields,
        // `json!` of braces is an object.
        _ => Map::new(),
    }
}

fn targets(targets: Option<&wire::Targets>) -> Value {
    let default = wire::Targets::default();
    let wire::Targets {
        countries,
        languages,
        events,
    } = targets.unwrap_or(&default);
    json!({"countries": countries, "languages": languages, "events": events})
}

fn evidence(evidence: &wire::Evidence) -> Value {
    let wire::Evidence {
        description,
        reference,
        sha256,
    } = evidence;
    json!({
        "description": description,
        "reference": reference,
        "sha256": (!sha256.is_empty()).then(|| hex(sha256)),
    })
}

fn handling(handling: &wire::Handling) -> Value {
    let wire::Handling {
        tlp,
        member_ids,
        group_ids,
        government_release,
        embargo_until,
        embargo_member_ids,
        expires_at,
    } = handling;
    json!({
        "tlp": words::tlp(*tlp),
        "member_ids": member_ids,
        "group_ids": group_ids,
        "government_release": government_release,
        "embargo_until": moment(embargo_until),
        "embargo_member_ids": embargo_member_ids,
        "expires_at": moment(expires_at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indicator_has_every_key_even_when_nothing_is_stated() {
        let value = indicator(&wire::Indicator::default(), &Directory::default());
        for key in [
            "id",
            "observable",
            "publisher",
            "severity",
            "targets",
            "handling",
            "first_seen",
            "state",
        ] {
            assert!(value.get(key).is_some(), "{key}");
        }
        assert_eq!(value["severity"], Value::Null);
        assert_eq!(value["ttps"], json!([]));
    }

    #[test]
    fn words_and_times_are_spelled_out() {
        let handling = wire::Handling {
            tlp: wire::Tlp::AmberStrict as i32,
            ..Default::default()
        };
        let full = wire::Indicator {
            id: "i".into(),
            observable_id: "o".into(),
            observable: Some(wire::Observable {
                kind: wire::ObservableKind::Domain as i32,
                value: "a.example".into(),
            }),
            verdict: wire::Verdict::Malicious as i32,
            handling: Some(handling),
            published_at: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            ..Default::default()
        };
        let value = indicator(&full, &Directory::default());
        assert_eq!(value["observable"]["id"], "o");
        assert_eq!(value["observable"]["value"], "a.example");
        assert_eq!(value["verdict"], "malicious");
        assert_eq!(value["handling"]["tlp"], "amber+strict");
        assert_eq!(value["published_at"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn a_lookup_states_value_matches_and_relation() {
        let result = wire::LookupResult {
            raw: "hxxp://a[.]example".into(),
            observable_id: "o".into(),
            observable: Some(wire::Observable {
                kind: 1,
                value: "a.example".into(),
            }),
            matches: vec![wire::Match {
                relation: wire::MatchRelation::Parent as i32,
                indicator: Some(wire::Indicator {
                    id: "i".into(),
                    ..Default::default()
                }),
                distance: 0,
            }],
            ..Default::default()
        };
        let value = lookup_result(&result, &Directory::default());
        assert_eq!(value["raw"], "hxxp://a[.]example");
        assert_eq!(value["observable"]["value"], "a.example");
        assert_eq!(value["matches"][0]["id"], "i");
        assert_eq!(value["matches"][0]["relation"], "parent");
        assert_eq!(value["matches"][0]["distance"], Value::Null);
        let near = wire::Match {
            relation: wire::MatchRelation::Near as i32,
            distance: 12,
            ..result.matches[0].clone()
        };
        let near = matched(&near, &Directory::default());
        assert_eq!((&near["relation"], &near["distance"]), (&"near".into(), &12.into()));
        assert_eq!(value.get("reason"), None);
    }
}
