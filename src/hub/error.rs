//! Why the hub refuses. Doors map it to their wire in one exhaustive match.

use std::time::Duration;

use crate::domain::violation::Violation;

/// A request that was not carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HubError {
    /// Fields of the request are wrong.
    #[error("{}", .0.iter().map(Violation::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Violation>),
    /// What the field names does not exist, or the caller may not know of it: the two look alike.
    #[error("{field}: not found")]
    NotFound {
        /// Path of the field.
        field: &'static str,
    },
    /// The caller is nobody that the hub knows.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The caller may not do that.
    #[error("{0}")]
    Denied(&'static str),
    /// It would contradict what is there.
    #[error("{field}: {reason}")]
    Conflict {
        /// Path of the field.
        field: &'static str,
        /// For a person.
        reason: String,
    },
    /// Too much at once.
    #[error("{reason}")]
    Exhausted {
        /// What is used up.
        reason: &'static str,
        /// When to come back.
        retry_after: Duration,
    },
    /// The cursor or page token cannot be served; a snapshot can.
    #[error("{field}: {reason}")]
    CursorRefused {
        /// Path of the field.
        field: &'static str,
        /// For a person.
        reason: &'static str,
    },
    /// The hub accepts no writes for now: its disk is full or failing.
    #[error("the hub is read-only: {0}")]
    ReadOnly(String),
    /// What is stored cannot be read: a disk fails, or a file was damaged. The record is not touched by it.
    #[error("what is stored cannot be read: {0}")]
    Unreadable(String),
    /// The hub is shutting down.
    #[error("the hub is shutting down")]
    ShuttingDown,
}

impl From<Violation> for HubError {
    fn from(violation: Violation) -> HubError {
        HubError::Invalid(vec![violation])
    }
}
