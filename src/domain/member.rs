//! Members, agents' roles and groups: who takes part. Credentials are `pki`'s.

use std::fmt;
use std::str::FromStr;
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

/// The name of a member or group: 1 to 64 bytes of letters, digits, space and `. - _ & '`, without space at the ends or two in a
/// row, and not of the shape of an id.
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
        // Two names that look alike on a page must not be two members.
        if text.contains("  ") {
            return Err(Violation::new(field, "must not hold two spaces in a row"));
        }
        // Where a name or an id is accepted, a member that is called like another's id would be taken for it.
        if MemberId::from_str(text).is_ok() {
            return Err(Violation::new(field, "must not have the shape of an id"));
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
    /// Its groups, sorted. Unsorted ones hide what they should show; they never show what they should hide.
    pub groups: Vec<GroupId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_accepted_or_refused_for_a_reason() {
        let longest = "a".repeat(Name::BYTES_MAX);
        for name in [
            "a",
            "Example Labs",
            "A.B-C_d & e's",
            "\u{420}\u{430}\u{434}\u{456}\u{43e}",
            "42",
            &longest,
        ] {
            assert_eq!(Name::parse("name", name).unwrap().as_str(), name);
        }
        for (name, reason) in [
            ("", "must have 1 to 64 bytes"),
            (&format!("{longest}a"), "must have 1 to 64 bytes"),
            (" a", "must not begin or end with white space"),
            ("a ", "must not begin or end with white space"),
            ("a  b", "must not hold two spaces in a row"),
            ("a\tb", "must not contain '\\t'"),
            ("a\u{a0}b", "must not contain '\\u{a0}'"),
            ("a\u{202e}b", "must not contain '\\u{202e}'"),
            ("a\u{1b}[31m", "must not contain '\\u{1b}'"),
            ("member:a", "must not contain ':'"),
            ("a,b", "must not contain ','"),
            ("a/b", "must not contain '/'"),
            (
                "018f2e5c-0000-7000-8000-000000000001",
                "must not have the shape of an id",
            ),
            ("018F2E5C000070008000000000000001", "must not have the shape of an id"),
        ] {
            let violation = Name::parse("name", name).expect_err(name);
            assert_eq!(
                (violation.field.as_str(), violation.reason.as_str()),
                ("name", reason),
                "{name:?}"
            );
        }
    }

    #[test]
    fn names_that_differ_in_letter_case_only_are_the_same() {
        let key = |name: &str| Name::parse("name", name).unwrap().key();
        assert_eq!(key("Example Labs"), key("EXAMPLE labs"));
        assert_ne!(key("Example Labs"), key("ExampleLabs"));
    }

    #[test]
    fn a_set_of_roles_has_what_was_put_in_and_nothing_else() {
        for bits in 0..8 {
            let wanted: Vec<Role> = Role::ALL
                .into_iter()
                .filter(|role| bits & (1 << *role as u8) != 0)
                .collect();
            let roles: Roles = wanted.iter().copied().chain(wanted.first().copied()).collect();
            assert_eq!(roles.iter().collect::<Vec<_>>(), wanted);
            assert!(Role::ALL.iter().all(|role| roles.has(*role) == wanted.contains(role)));
            assert_eq!(roles.is_empty(), wanted.is_empty());
        }
    }
}
