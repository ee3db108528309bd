//! What is wrong with an input: the one error that the pure core knows.

use std::fmt;

/// One field of a request that cannot be accepted, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Path of the field within the item, as on the wire: `handling.tlp`, `ttps[3]`.
    pub field: String,
    /// For a person, starting in lower case: "must not be empty".
    pub reason: String,
}

impl Violation {
    /// A violation of `field` for `reason`.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Violation {
        Violation {
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// The same, seen from the message that holds the field under `parent`.
    pub fn within(self, parent: &str) -> Violation {
        Violation {
            field: format!("{parent}.{}", self.field),
            reason: self.reason,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl std::error::Error for Violation {}
