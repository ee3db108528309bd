//! The words of the command line for the wire's numbers, both ways. Each list is the domain's own `ALL`, whose order is that
//! of the wire's numbers, which start at 1: a word cannot be forgotten here.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::domain::assessment::AssessmentVerdict;
use crate::domain::handling::Tlp;
use crate::domain::indicator::{Severity, Verdict};
use crate::domain::member::{MemberKind, Role};
use crate::domain::observable::Kind;
use crate::grpc::wire;

/// Shown for a number that this program is too old to know.
const UNKNOWN: &str = "unknown";

/// A number on the wire for which there is a word.
pub type Number = i32;

/// Reads a TLP label.
pub fn tlp_parser() -> impl TypedValueParser<Value = Number> {
    parser(&Tlp::ALL, Tlp::name)
}

/// Reads a verdict.
pub fn verdict_parser() -> impl TypedValueParser<Value = Number> {
    parser(&Verdict::ALL, Verdict::name)
}

/// Reads an assessment's verdict.
pub fn assessment_verdict_parser() -> impl TypedValueParser<Value = Number> {
    parser(&AssessmentVerdict::ALL, AssessmentVerdict::name)
}

/// Reads a severity.
pub fn severity_parser() -> impl TypedValueParser<Value = Number> {
    parser(&Severity::ALL, Severity::name)
}

/// Reads a kind of member.
pub fn member_kind_parser() -> impl TypedValueParser<Value = Number> {
    parser(&MemberKind::ALL, MemberKind::name)
}

/// Reads a role.
pub fn role_parser() -> impl TypedValueParser<Value = Number> {
    parser(&Role::ALL, Role::name)
}

/// Reads a kind of observable.
pub fn kind_parser() -> impl TypedValueParser<Value = Number> {
    parser(Kind::ALL, Kind::name)
}

/// The word for a TLP label.
pub fn tlp(number: Number) -> &'static str {
    word(&Tlp::ALL, Tlp::name, number).unwrap_or(UNKNOWN)
}

/// The word for a verdict.
pub fn verdict(number: Number) -> &'static str {
    word(&Verdict::ALL, Verdict::name, number).unwrap_or(UNKNOWN)
}

/// The word for an assessment's verdict.
pub fn assessment_verdict(number: Number) -> &'static str {
    word(&AssessmentVerdict::ALL, AssessmentVerdict::name, number).unwrap_or(UNKNOWN)
}

/// The word for a severity; nothing where none is stated.
pub fn severity(number: Number) -> Option<&'static str> {
    (number != 0).then(|| word(&Severity::ALL, Severity::name, number).unwrap_or(UNKNOWN))
}

/// The word for a kind of member.
pub fn member_kind(number: Number) -> &'static str {
    word(&MemberKind::ALL, MemberKind::name, number).unwrap_or(UNKNOWN)
}

/// The word for a role.
pub fn role(number: Number) -> &'static str {
    word(&Role::ALL, Role::name, number).unwrap_or(UNKNOWN)
}

/// The word for a kind of observable.
pub fn kind(number: Number) -> &'static str {
    word(Kind::ALL, Kind::name, number).unwrap_or(UNKNOWN)
}

/// The word for where a member stands.
pub fn standing(number: Number) -> &'static str {
    match wire::MemberStanding::try_from(number) {
        Ok(wire::MemberStanding::Active) => "active",
        Ok(wire::MemberStanding::Suspended) => "suspended",
        Ok(wire::MemberStanding::Removed) => "removed",
        Ok(wire::MemberStanding::Unspecified) | Err(_) => UNKNOWN,
    }
}

/// The word for where an indicator stands in its life.
pub fn state(number: Number) -> &'static str {
    match wire::IndicatorState::try_from(number) {
        Ok(wire::IndicatorState::Active) => "active",
        Ok(wire::IndicatorState::Embargoed) => "embargoed",
        Ok(wire::IndicatorState::Retracted) => "retracted",
        Ok(wire::IndicatorState::Expired) => "expired",
        Ok(wire::IndicatorState::Erased) => "erased",
        Ok(wire::IndicatorState::Unspecified) | Err(_) => UNKNOWN,
    }
}

/// The word for how a match speaks of a value.
pub fn relation(number: Number) -> &'static str {
    match wire::MatchRelation::try_from(number) {
        Ok(wire::MatchRelation::Exact) => "exact",
        Ok(wire::MatchRelation::Host) => "host",
        Ok(wire::MatchRelation::Parent) => "parent",
        Ok(wire::MatchRelation::Near) => "near",
        Ok(wire::MatchRelation::Unspecified) | Err(_) => UNKNOWN,
    }
}

/// The word for why an indicator left a mirror.
pub fn removal_reason(number: Number) -> &'static str {
    match wire::RemovalReason::try_from(number) {
        Ok(wire::RemovalReason::Retracted) => "retracted",
        Ok(wire::RemovalReason::Expired) => "expired",
        Ok(wire::RemovalReason::NoLongerVisible) => "no_longer_visible",
        Ok(wire::RemovalReason::Unspecified) | Err(_) => UNKNOWN,
    }
}

/// The wire's number for a domain value, by its place in `all`.
pub fn number<T: Copy + PartialEq>(all: &[T], value: T) -> Number {
    // Every value is in its own list, so the fallback, which the hub refuses, is never sent.
    let place = all.iter().position(|other| *other == value);
    place.and_then(|place| Number::try_from(place + 1).ok()).unwrap_or(0)
}

fn word<T: Copy>(all: &[T], name: fn(T) -> &'static str, number: Number) -> Option<&'static str> {
    let place = usize::try_from(number).ok()?.checked_sub(1)?;
    all.get(place).map(|value| name(*value))
}

fn parser<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = Number> + use<T> {
    let words: Vec<&'static str> = all.iter().map(|value| name(*value)).collect();
    PossibleValuesParser::new(words.clone()).map(move |text| {
        // The parser lets only these words through.
        let place = words.iter().position(|word| *word == text).unwrap_or_default();
        Number::try_from(place + 1).unwrap_or_default()
    })
}

/// What the sources of an observable amount to.
pub fn corroboration(corroboration: &wire::Corroboration) -> String {
    let wire::Corroboration {
        observers,
        disputes,
        contested,
    } = corroboration;
    let contested = if *contested { "; contested" } else { "" };
    format!("observed by {observers}, disputed by {disputes}{contested}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_agree_with_the_wires_own_names() {
        for (number, wire_name) in [
            (wire::Tlp::AmberStrict as i32, "amber+strict"),
            (wire::Tlp::Clear as i32, "clear"),
        ] {
            assert_eq!(tlp(number), wire_name);
        }
        for kind in [
            wire::MemberKind::Platform,
            wire::MemberKind::Government,
            wire::MemberKind::Research,
        ] {
            let wire_name = kind.as_str_name().trim_start_matches("MEMBER_KIND_").to_lowercase();
            assert_eq!(member_kind(kind as i32), wire_name);
        }
        for role_number in [
            wire::AgentRole::Publisher,
            wire::AgentRole::Subscriber,
            wire::AgentRole::Admin,
        ] {
            let wire_name = role_number
                .as_str_name()
                .trim_start_matches("AGENT_ROLE_")
                .to_lowercase();
            assert_eq!(role(role_number as i32), wire_name);
        }
        for verdict_number in [
            wire::Verdict::Malicious,
            wire::Verdict::Suspected,
            wire::Verdict::Benign,
        ] {
            let wire_name = verdict_number
                .as_str_name()
                .trim_start_matches("VERDICT_")
                .to_lowercase();
            assert_eq!(verdict(verdict_number as i32), wire_name);
        }
        assert_eq!(Kind::ALL.len(), wire::ObservableKind::Aggregate as usize);
    }

    #[test]
    fn numbers_out_of_range_are_unknown_and_an_unstated_severity_is_nothing() {
        for number in [-1, 0, 99, i32::MIN, i32::MAX] {
            assert_eq!(verdict(number), UNKNOWN);
            assert_eq!(state(number), UNKNOWN);
        }
        assert_eq!(severity(0), None);
        assert_eq!(severity(4), Some("critical"));
        assert_eq!(number(&Tlp::ALL, Tlp::Red), wire::Tlp::Red as i32);
    }
}
