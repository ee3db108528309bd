//! What becomes of one item that a publisher hands in.

use std::time::Duration;

use crate::domain::id::IndicatorId;
use crate::domain::indicator::Text;
use crate::domain::violation::Violation;

use super::views::indicators::RECORDS_OF_OBSERVABLE_MAX;

/// When to come back for what cannot be read: a disk may recover, and a hub that is restarted makes a damaged file anew.
pub const UNREADABLE_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What became of one item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// On disk.
    Accepted {
        /// Its id.
        id: IndicatorId,
        /// Its revision.
        revision: u32,
        /// Names of the warning lists that the observable stands on.
        warnings: Vec<Text<200>>,
    },
    /// It was there already.
    Duplicate {
        /// The id that it has.
        id: IndicatorId,
        /// Its present revision.
        revision: u32,
    },
    /// Nothing was stored.
    Rejected(Rejection),
}

/// Why nothing was stored for one item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The field and the reason.
    pub violation: Violation,
    /// For programs.
    pub code: RejectionCode,
    /// When a retry may succeed; none if it cannot.
    pub retry_after: Option<Duration>,
}

/// The kinds of rejections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RejectionCode {
    /// The field is wrong.
    Invalid,
    /// What the field names does not exist, or may not be known to the caller.
    NotFound,
    /// The member has used up what it may store.
    Quota,
    /// What is stored cannot be read. It is there all the same.
    Unreadable,
}

impl Rejection {
    /// Of an item whose publisher has as many indicators of its observable as it may.
    pub(super) fn of_observable_published_too_often() -> Rejection {
        let reason = format!("was published {RECORDS_OF_OBSERVABLE_MAX} times by the member, which is the most");
        Rejection {
            violation: Violation::new("draft.raw", reason),
            code: RejectionCode::Quota,
            retry_after: None,
        }
    }

    /// Of an item that is there and cannot be read.
    pub fn unreadable(field: String) -> Rejection {
        Rejection {
            violation: Violation::new(
                field,
                "is stored, and cannot be read for now; tell who operates the hub",
            ),
            code: RejectionCode::Unreadable,
            retry_after: Some(UNREADABLE_RETRY_AFTER),
        }
    }
}

impl From<Violation> for Outcome {
    fn from(violation: Violation) -> Outcome {
        Outcome::Rejected(Rejection {
            violation,
            code: RejectionCode::Invalid,
            retry_after: None,
        })
    }
}
