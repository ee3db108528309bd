//! Handling: who may see an indicator, as its publisher stated it. What follows from it is `policy`'s.

use super::id::{GroupId, MemberId, Timestamp};
use super::violation::Violation;

/// Traffic Light Protocol 2.0, <https://www.first.org/tlp/>.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tlp {
    /// All members.
    Clear,
    /// All members, or the audience where one is named.
    Green,
    /// The audience.
    Amber,
    /// The audience, within its members' own organisations.
    AmberStrict,
    /// Members named one by one.
    Red,
}

impl Tlp {
    /// All labels, in the order of their numbers on the wire and in the log, which start at 1.
    pub const ALL: [Tlp; 5] = [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict, Tlp::Red];

    /// The word used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Tlp::Clear => "clear",
            Tlp::Green => "green",
            Tlp::Amber => "amber",
            Tlp::AmberStrict => "amber+strict",
            Tlp::Red => "red",
        }
    }
}

/// A sorted set of members and groups.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Audience {
    members: Vec<MemberId>,
    groups: Vec<GroupId>,
}

impl Audience {
    /// Most members named one by one.
    pub const MEMBERS_MAX: usize = 256;
    /// Most groups.
    pub const GROUPS_MAX: usize = 64;

    /// Sorts and removes repetitions.
    pub fn new(members: Vec<MemberId>, groups: Vec<GroupId>) -> Result<Audience, Violation> {
        let (members, groups) = (sorted_set(members), sorted_set(groups));
        check_length("member_ids", members.len(), Audience::MEMBERS_MAX)?;
        check_length("group_ids", groups.len(), Audience::GROUPS_MAX)?;
        Ok(Audience { members, groups })
    }

    /// The members named one by one, sorted.
    pub fn members(&self) -> &[MemberId] {
        &self.members
    }

    /// The groups, sorted.
    pub fn groups(&self) -> &[GroupId] {
        &self.groups
    }

    /// Whether nobody is named.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.groups.is_empty()
    }
}

/// A time before which only a few see an indicator.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Embargo {
    /// When it ends.
    pub until: Timestamp,
    members: Vec<MemberId>,
}

impl Embargo {
    /// An embargo that `members` see through.
    pub fn new(until: Timestamp, members: Vec<MemberId>) -> Result<Embargo, Violation> {
        let members = sorted_set(members);
        check_length("embargo_member_ids", members.len(), Audience::MEMBERS_MAX)?;
        Ok(Embargo { until, members })
    }

    /// Who sees the indicator before the end, sorted; perhaps nobody.
    pub fn members(&self) -> &[MemberId] {
        &self.members
    }
}

/// Who may see an indicator.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Handling {
    tlp: Tlp,
    audience: Audience,
    /// Whether government members in the audience may see it.
    pub government_release: bool,
    /// Absent: visible at once.
    pub embargo: Option<Embargo>,
    /// From then on only its owner sees it. Absent: never expires.
    pub expires_at: Option<Timestamp>,
}

impl Handling {
    /// Handling by label and audience, with no government release, embargo or expiry. AMBER and RED need an audience; RED refuses
    /// groups.
    pub fn new(tlp: Tlp, audience: Audience) -> Result<Handling, Violation> {
        match tlp {
            Tlp::Amber | Tlp::AmberStrict if audience.is_empty() => Err(Violation::new(
                "member_ids",
                "TLP:AMBER needs an audience: name members or groups",
            )),
            Tlp::Red if !audience.groups.is_empty() => Err(Violation::new(
                "group_ids",
                "TLP:RED is for members named one by one, not for groups",
            )),
            Tlp::Red if audience.members.is_empty() => Err(Violation::new(
                "member_ids",
                "TLP:RED needs an audience: name its members one by one",
            )),
            _ => Ok(Handling {
                tlp,
                audience,
                government_release: false,
                embargo: None,
                expires_at: None,
            }),
        }
    }

    /// The label.
    pub fn tlp(&self) -> Tlp {
        self.tlp
    }

    /// Who may see it; nobody named means all members, which only CLEAR and GREEN allow.
    pub fn audience(&self) -> &Audience {
        &self.audience
    }

    /// Checks the times against the moment of publication.
    pub fn check_times(&self, now: Timestamp) -> Result<(), Violation> {
        if self.embargo.as_ref().is_some_and(|embargo| embargo.until <= now) {
            return Err(Violation::new("embargo_until", "must lie in the future"));
        }
        match (self.expires_at, &self.embargo) {
            (Some(expires_at), _) if expires_at <= now => Err(Violation::new("expires_at", "must lie in the future")),
            (Some(expires_at), Some(embargo)) if expires_at <= embargo.until => {
                Err(Violation::new("expires_at", "must lie after embargo_until"))
            }
            _ => Ok(()),
        }
    }
}

fn sorted_set<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

pub(super) fn check_length(field: &str, length: usize, max: usize) -> Result<(), Violation> {
    match length > max {
        true => Err(Violation::new(
            field,
            format!("has {length} values, at most {max} are accepted"),
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn members(count: usize) -> Vec<MemberId> {
        (0..count).rev().map(|n| MemberId(Uuid::from_u128(n as u128))).collect()
    }

    fn groups(count: usize) -> Vec<GroupId> {
        (0..count).rev().map(|n| GroupId(Uuid::from_u128(n as u128))).collect()
    }

    #[test]
    fn an_audience_is_a_sorted_set_with_a_limit() {
        let twice = [members(Audience::MEMBERS_MAX), members(Audience::MEMBERS_MAX)].concat();
        let audience = Audience::new(twice, groups(Audience::GROUPS_MAX)).unwrap();
        assert_eq!((audience.members().len(), audience.groups().len()), (256, 64));
        assert!(audience.members().is_sorted() && audience.groups().is_sorted());

        let members_over = Audience::new(members(257), Vec::new()).unwrap_err();
        assert_eq!(
            members_over.to_string(),
            "member_ids: has 257 values, at most 256 are accepted"
        );
        let groups_over = Audience::new(Vec::new(), groups(65)).unwrap_err();
        assert_eq!(
            groups_over.to_string(),
            "group_ids: has 65 values, at most 64 are accepted"
        );
    }

    #[test]
    fn an_embargo_names_a_sorted_set_with_a_limit() {
        let embargo = Embargo::new(Timestamp(1), [members(256), members(256)].concat()).unwrap();
        assert!(embargo.members().len() == 256 && embargo.members().is_sorted());
        let over = Embargo::new(Timestamp(1), members(257)).unwrap_err();
        assert_eq!(over.field, "embargo_member_ids");
    }

    #[test]
    fn each_label_takes_its_audiences_and_refuses_others() {
        let nobody = || Audience::default();
        let one = || Audience::new(members(1), Vec::new()).unwrap();
        let group = || Audience::new(Vec::new(), groups(1)).unwrap();
        let both = || Audience::new(members(1), groups(1)).unwrap();
        for (tlp, audience, refused_field) in [
            (Tlp::Clear, nobody(), None),
            (Tlp::Clear, both(), None),
            (Tlp::Green, nobody(), None),
            (Tlp::Green, both(), None),
            (Tlp::Amber, one(), None),
            (Tlp::Amber, group(), None),
            (Tlp::Amber, nobody(), Some("member_ids")),
            (Tlp::AmberStrict, one(), None),
            (Tlp::AmberStrict, group(), None),
            (Tlp::AmberStrict, nobody(), Some("member_ids")),
            (Tlp::Red, one(), None),
            (Tlp::Red, group(), Some("group_ids")),
            (Tlp::Red, both(), Some("group_ids")),
            (Tlp::Red, nobody(), Some("member_ids")),
        ] {
            let refused = Handling::new(tlp, audience.clone())
                .err()
                .map(|violation| violation.field);
            assert_eq!(refused.as_deref(), refused_field, "{tlp:?} for {audience:?}");
        }
    }

    #[test]
    fn the_default_keeps_governments_out() {
        assert!(
            !Handling::new(Tlp::Green, Audience::default())
                .unwrap()
                .government_release
        );
    }

    #[test]
    fn times_must_lie_ahead_in_their_order() {
        let now = 1_000;
        for (embargo, expiry, refused_field) in [
            (None, None, None),
            (Some(now + 1), None, None),
            (Some(now), None, Some("embargo_until")),
            (Some(i64::MIN), None, Some("embargo_until")),
            (None, Some(now + 1), None),
            (None, Some(now), Some("expires_at")),
            (Some(now + 1), Some(now + 2), None),
            (Some(now + 1), Some(now + 1), Some("expires_at")),
            (Some(now + 2), Some(now + 1), Some("expires_at")),
            (Some(i64::MAX), None, None),
        ] {
            let mut handling = Handling::new(Tlp::Green, Audience::default()).unwrap();
            handling.embargo = embargo.map(|until| Embargo::new(Timestamp(until), Vec::new()).unwrap());
            handling.expires_at = expiry.map(Timestamp);
            let refused = handling
                .check_times(Timestamp(now))
                .err()
                .map(|violation| violation.field);
            assert_eq!(
                refused.as_deref(),
                refused_field,
                "embargo {embargo:?}, expiry {expiry:?}"
            );
        }
    }
}
