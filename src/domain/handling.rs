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

fn check_length(field: &str, length: usize, max: usize) -> Result<(), Violation> {
    match length > max {
        true => Err(Violation::new(
            field,
            format!("has {length} values, at most {max} are accepted"),
        )),
        false => Ok(()),
    }
}
