//! Wire to domain and back. Every message is taken apart field by field, so that a new field is a compile error here.

mod draft;
mod membership;
mod recall;
mod reply;

use crate::domain::id::Timestamp;
use crate::domain::member::{MemberKind, Role, Roles};
use crate::domain::observable::Kind;
use crate::domain::violation::Violation;

use super::wire;

pub use draft::{assessment_draft, content, draft, filter, report};
pub use membership::{asked, member_event, pending};
pub use recall::{recall, subscription};
pub use reply::{
    INDICATOR_BYTES_MORE, agent, assessment, campaign, corroboration, digest, disclosure, disclosure_count, distance,
    group, indicator, indicator_bytes, indicators_bytes, member, outcome, relation, removal,
};

/// The number of `item` on the wire: its place in `all`, from 1. A test holds that the generated enums agree.
fn number<T: PartialEq>(all: &[T], item: &T) -> i32 {
    all.iter()
        .position(|candidate| candidate == item)
        .map_or(0, |place| place as i32 + 1)
}

/// The item with a number of the wire; none for UNSPECIFIED.
fn optional<T: Copy>(all: &[T], field: &str, number: i32) -> Result<Option<T>, Violation> {
    if number == 0 {
        return Ok(None);
    }
    let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    match place.and_then(|place| all.get(place)) {
        Some(item) => Ok(Some(*item)),
        None => Err(Violation::new(field, format!("has the unknown value {number}"))),
    }
}

/// The item with a number of the wire; UNSPECIFIED is refused.
fn required<T: Copy>(all: &[T], field: &str, number: i32) -> Result<T, Violation> {
    optional(all, field, number)?.ok_or_else(|| Violation::new(field, "must be specified"))
}

/// An id in text.
pub fn id<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Violation> {
    text.parse().map_err(|_| Violation::new(field, "must be a UUID"))
}

/// A moment on the wire.
pub fn time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.0.div_euclid(1_000_000),
        nanos: (time.0.rem_euclid(1_000_000) * 1_000) as i32,
    }
}

/// A moment from the wire: years 1 to 9999, as protobuf has it.
fn moment(field: &str, time: prost_types::Timestamp) -> Result<Timestamp, Violation> {
    const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    let prost_types::Timestamp { seconds, nanos } = time;
    if !SECONDS.contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return Err(Violation::new(
            field,
            "must lie in the years 1 to 9999, with nanos of 0 to 999,999,999",
        ));
    }
    Ok(Timestamp(seconds * 1_000_000 + i64::from(nanos) / 1_000))
}

/// The number of a kind on the wire.
pub fn kind_number(kind: Kind) -> i32 {
    number(Kind::ALL, &kind)
}

/// A declared kind; none for UNSPECIFIED.
pub fn optional_kind(field: &str, number: i32) -> Result<Option<Kind>, Violation> {
    optional(Kind::ALL, field, number)
}

/// A member's kind.
pub fn member_kind(field: &str, number: i32) -> Result<MemberKind, Violation> {
    required(&MemberKind::ALL, field, number)
}

/// A set of roles.
pub fn roles(field: &str, numbers: &[i32]) -> Result<Roles, Violation> {
    numbers
        .iter()
        .enumerate()
        .map(|(place, number)| required(&Role::ALL, &format!("{field}[{place}]"), *number))
        .collect()
}

/// The wire's name for each number, so that a test can hold the two orders together.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::handling::Tlp;
    use crate::domain::indicator::{Severity, State, Verdict};
    use crate::domain::member::Standing;

    fn check<T: std::fmt::Debug>(all: &[T], prefix: &str, name: impl Fn(i32) -> Option<&'static str>) {
        for (place, item) in all.iter().enumerate() {
            let squeezed = |text: &str| text.replace('_', "").to_lowercase();
            let wire = name(place as i32 + 1).unwrap_or_else(|| panic!("{item:?} has no number on the wire"));
            let expected = format!("{prefix}{item:?}");
            assert_eq!(squeezed(wire), squeezed(&expected), "number {}", place + 1);
        }
        assert_eq!(
            name(all.len() as i32 + 1),
            None,
            "the wire has a value more than {prefix}"
        );
    }

    #[test]
    fn wire_numbers_are_places_in_the_domains_lists() {
        check(Kind::ALL, "ObservableKind", |n| {
            wire::ObservableKind::try_from(n).ok().map(|v| v.as_str_name())
        });
        check(&MemberKind::ALL, "MemberKind", |n| {
            wire::MemberKind::try_from(n).ok().map(|v| v.as_str_name())
        });
        check(&Standing::ALL, "MemberStanding", |n| {
            wire::MemberStanding::try_from(n).ok().map(|v| v.as_str_name())
        });
        check(&Role::ALL, "AgentRole", |n| {
            wire::AgentRole::try_from(n).ok().map(|v| v.as_str_name())
        });
        check(&Tlp::ALL, "Tlp", |n| {
            wire::Tlp::try_from(n).ok().map(|v| v.as_str_name())
        });
        check(&Verdict::ALL, "Verdict", |n| {
            wire::Verdict::try_from(n).ok().map(|v| v.as_str_name())
        });
        check(&Severity::ALL, "Severity", |n| {
            wire::Severity::try_from(n).ok().map(|v| v.as_str_name())
        });
        check(&State::ALL, "IndicatorState", |n| {
            wire::IndicatorState::try_from(n).ok().map(|v| v.as_str_name())
        });
    }

    #[test]
    fn moments_outside_protobufs_years_are_refused() {
        let at = |seconds, nanos| moment("t", prost_types::Timestamp { seconds, nanos });
        assert_eq!(at(1, 999_999_999), Ok(Timestamp(1_999_999)));
        assert_eq!(at(-1, 0), Ok(Timestamp(-1_000_000)));
        assert!(at(253_402_300_799, 0).is_ok());
        for (seconds, nanos) in [
            (253_402_300_800, 0),
            (i64::MIN, 0),
            (i64::MAX, 0),
            (0, -1),
            (0, 1_000_000_000),
        ] {
            assert!(at(seconds, nanos).is_err(), "{seconds} {nanos}");
        }
    }
}
