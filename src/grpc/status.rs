//! The one table from the hub's errors to gRPC status, with `google.rpc` details. Internal text stays in the hub's own logs.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::domain::violation::Violation;
use crate::hub::error::HubError;
use crate::hub::publish::UNREADABLE_RETRY_AFTER;

/// The domain of the machine-readable reasons.
const ERROR_DOMAIN: &str = "clearinghouse";

/// A refused request, with field paths, a machine-readable reason and a retry delay where they apply.
pub fn from_hub(error: HubError) -> Status {
    let message = error.to_string();
    let mut details = ErrorDetails::new();
    let (code, reason) = match error {
        HubError::Invalid(violations) => {
            let violations = violations
                .into_iter()
                .map(|Violation { field, reason }| FieldViolation::new(field, reason));
            details.set_bad_request(violations.collect::<Vec<_>>());
            (Code::InvalidArgument, "INVALID")
        }
        HubError::NotFound { field } => {
            details.add_bad_request_violation(field, "not found");
            (Code::NotFound, "NOT_FOUND")
        }
        HubError::Unauthenticated(_) => (Code::Unauthenticated, "UNAUTHENTICATED"),
        HubError::Denied(_) => (Code::PermissionDenied, "DENIED"),
        HubError::Conflict { field, reason } => {
            details.add_bad_request_violation(field, reason);
            (Code::FailedPrecondition, "CONFLICT")
        }
        HubError::Exhausted { retry_after, .. } => {
            details.set_retry_info(Some(retry_after));
            (Code::ResourceExhausted, "EXHAUSTED")
        }
        HubError::CursorRefused { field, reason } => {
            details.add_bad_request_violation(field, reason);
            (Code::FailedPrecondition, "CURSOR_REFUSED")
        }
        HubError::ReadOnly(text) => {
            tracing::warn!(reason = text, "a change was refused: the hub is read-only");
            details.set_retry_info(Some(std::time::Duration::from_secs(5)));
            return with_reason(
                Code::Unavailable,
                "the hub accepts no changes for now",
                details,
                "READ_ONLY",
            );
        }
        HubError::Unreadable(text) => {
            tracing::error!(reason = text, "a request failed: what is stored cannot be read");
            details.set_retry_info(Some(UNREADABLE_RETRY_AFTER));
            return with_reason(
                Code::Internal,
                "the hub cannot read what it has stored",
                details,
                "UNREADABLE",
            );
        }
        HubError::ShuttingDown => {
            details.set_retry_info(Some(std::time::Duration::from_secs(1)));
            (Code::Unavailable, "SHUTTING_DOWN")
        }
    };
    with_reason(code, message, details, reason)
}

/// A field of a request that cannot be accepted.
pub fn invalid(violation: Violation) -> Status {
    from_hub(HubError::Invalid(vec![violation]))
}

fn with_reason(code: Code, message: impl Into<String>, mut details: ErrorDetails, reason: &str) -> Status {
    details.set_error_info(reason, ERROR_DOMAIN, HashMap::new());
    Status::with_error_details(code, message, details)
}
