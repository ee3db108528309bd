//! What the hub answered for one item, as JSON, as text, and counted to an exit code.

use serde_json::{Value, json};

use super::failure::Failure;
use super::output::plain;
use crate::grpc::wire::publish_result::Outcome;
use crate::grpc::wire::{self, PublishResult};

/// An outcome; a result without one is a broken hub.
pub fn of(result: PublishResult) -> Result<Outcome, Failure> {
    result
        .outcome
        .ok_or_else(|| Failure::Failed("the hub gave a result without an outcome".to_owned()))
}

/// As JSON: `{"outcome", "id", "revision"}` or `{"outcome", "field", "reason", "code"}`.
pub fn json(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Accepted(wire::Accepted { id, revision, warnings }) => {
            json!({"id": id, "revision": revision, "outcome": "accepted", "warnings": warnings})
        }
        Outcome::Duplicate(wire::Duplicate { id, revision }) => {
            json!({"id": id, "revision": revision, "outcome": "duplicate"})
        }
        Outcome::Rejected(wire::Rejected {
            field,
            reason,
            code,
            retry_after_ms,
        }) => {
            json!({"outcome": "rejected", "field": field, "reason": reason, "code": code, "retry_after_ms": retry_after_ms})
        }
    }
}

/// `field: reason`.
pub fn rejection_text(rejected: &wire::Rejected) -> String {
    match rejected.field.is_empty() {
        true => plain(&rejected.reason),
        false => format!("{}: {}", plain(&rejected.field), plain(&rejected.reason)),
    }
}

/// The end of a command of which `done` items were done and `rejected` were not, all of it printed already.
pub fn ending(done: u64, rejected: u64) -> Result<(), Failure> {
    match (done, rejected) {
        (_, 0) => Ok(()),
        (0, _) => Err(Failure::Reported),
        _ => Err(Failure::Partly),
    }
}
