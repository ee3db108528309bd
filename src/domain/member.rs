//! Members, agents' roles and groups: who takes part. Credentials are `pki`'s.

use std::fmt;
use std::sync::Arc;

use super::id::{GroupId, MemberId};
use super::violation::Violation;

/// What kind of organisation a member is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MemberKind {
    /// A social network, search, mail or advertising company.
    Platform,
    /// A government agency: reads by the rules of the government lane.
    Government,
    /// A security vendor, university or NGO.
    Research,
    /// A news agency or fact-checker.
    Media,
}

impl MemberKind {
    /// All kinds, in the order of their numbers on the wire and in the log, which start at 1.
    pub const ALL: [MemberKind; 4] = [
        MemberKind::Platform,
        MemberKind::Government,
        MemberKind::Research,
        MemberKind::Media,
    ];

    /// The lower-case word used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            MemberKind::Platform => "platform",
            MemberKind::Government => "government",
            MemberKind::Research => "research",
            MemberKind::Media => "media",
        }
    }
}

/// Where a member stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// Takes part.
    Active,
    /// Sees and does nothing until resumed.
    Suspended,
    /// For good.
    Removed,
}

impl Standing {
    /// All standings, in the order of their numbers on the wire and in the log, which start at 1.
    pub const ALL: [Standing; 3] = [Standing::Active, Standing::Suspended, Standing::Removed];
}

/// What an agent may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Publishes, revises, retracts.
    Publisher,
    /// Reads feeds and looks things up.
    Subscriber,
    /// Manages membership; reads nothing by that.
    Admin,
}

impl Role {
    /// All roles, in the order of their numbers on the wire and in the log, which start at 1.
    pub const ALL: [Role; 3] = [Role::Publisher, Role::Subscriber, Role::Admin];

    /// The lower-case word used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Role::Publisher => "publisher",
            Role::Subscriber => "subscriber",
            Role::Admin => "admin",
        }
    }
}

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Roles(u8);

impl Roles {
    /// Whether `role` is in the set.
    pub fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// Whether no role is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles in the set, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Roles {
        Roles(roles.into_iter().fold(0, |set, role| set | 1 << role as u8))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The name of a member or group: 1 to 64 bytes of letters, digits, space and `. - _ & '`, without space at the ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name(Arc<str>);

impl Name {
    /// Longest name, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Checks `text`; `field` is its path in the request.
    pub fn parse(field: &str, text: &str) -> Result<Name, Violation> {
        if text.is_empty() || text.len() > Name::BYTES_MAX {
            return Err(Violation::new(
                field,
                format!("must have 1 to {} bytes", Name::BYTES_MAX),
            ));
        }
        if text.trim() != text {
            return Err(Violation::new(field, "must not begin or end with white space"));
        }
        match text.chars().find(|c| !(c.is_alphanumeric() || " .-_&'".contains(*c))) {
            Some(c) => Err(Violation::new(field, format!("must not contain {c:?}"))),
            None => Ok(Name(text.into())),
        }
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is unique on a hub: two names that differ in letter case only are the same.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A member as policy sees it at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Viewer {
    /// Who looks.
    pub member: MemberId,
    /// What kind of organisation it is.
    pub kind: MemberKind,
    /// Only an active member sees anything.
    pub standing: Standing,
    /// Its groups, sorted.
    pub groups: Vec<GroupId>,
}
