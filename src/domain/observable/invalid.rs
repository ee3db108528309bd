//! Why a raw value is not one observable. The words are short and say nothing but the rule that was broken: they are
//! shown to the publisher beside the value.

use std::fmt;

/// What is wrong with a raw value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Invalid {
    /// Nothing is left once the value is cleaned.
    Empty,
    /// White space stands inside: prose, several values, or one that was broken over lines, but not one observable.
    Whitespace,
    /// It looks like a value and cannot be one.
    Malformed(&'static str),
    /// The host is well formed, but its last label, given here, is no top-level domain: suspect rather than wrong.
    UnknownTld(Box<str>),
    /// The value is longer than `max` bytes.
    TooLong {
        /// The longest that is accepted, in bytes.
        max: usize,
    },
    /// The value is a sound one, but not of the kind that was declared for it.
    WrongKind,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Empty => f.write_str("empty"),
            Invalid::Whitespace => f.write_str("white space inside"),
            Invalid::Malformed(reason) => f.write_str(reason),
            Invalid::UnknownTld(label) => write!(f, "unknown top-level domain '{label}'"),
            Invalid::TooLong { max } => write!(f, "longer than {max} bytes"),
            Invalid::WrongKind => f.write_str("not a value of the declared kind"),
        }
    }
}

impl std::error::Error for Invalid {}
