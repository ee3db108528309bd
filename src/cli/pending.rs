//! A change that waits for a second admin: neither done nor failed, and said so.

use serde_json::{Value, json};

use super::connection::Context;
use super::failure::Failure;
use super::json;
use super::output::plain;
use crate::grpc::wire;

/// Prints what was done, or that it waits for a second admin.
pub fn print(
    context: &Context,
    pending: Option<wire::PendingChange>,
    value: Value,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match pending {
        None => context.output.result(&value, text),
        Some(pending) => {
            let wire::PendingChange {
                id,
                summary,
                author_member_id,
                author_agent,
                asked_at,
                expires_at,
            } = pending;
            let expires = json::moment(&expires_at);
            let value = json!({"pending": {
                "id": id,
                "summary": summary,
                "author_member_id": author_member_id,
                "author_agent": author_agent,
                "asked_at": json::moment(&asked_at),
                "expires": expires,
            }});
            let until = expires.as_str().unwrap_or("?").to_owned();
            context.output.result(&value, || {
                format!(
                    "waits for a second admin until {until}: {} (change {})",
                    plain(&summary),
                    plain(&id)
                )
            })
        }
    }
}
