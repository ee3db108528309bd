//! `erase`: an admin's order that what an indicator said must go, by law.

use clap::Args;
use serde_json::json;

use super::change;
use super::connection::{Context, call};
use super::failure::Failure;
use super::output::plain;
use crate::grpc::wire;

/// Erase an indicator for good, from the log and from all who can be reached
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  clearinghouse erase 0198c3a1-7c3e-7def-8a12-3456789abcde --reason \"court order 12/34\" --profile hub/admin\n\n\
One that stands is taken back from everybody first. The reason stays in the record: it must not repeat what is to go."
)]
pub struct Erase {
    /// The indicator's id
    id: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Erase {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let request = wire::OrderErasureRequest {
            indicator_id: self.id.clone(),
            reason: self.reason,
        };
        let response = connection.erasures().order_erasure(call(request)).await;
        let wire::OrderErasureResponse { pending } =
            response.map_err(|status| connection.failure(status))?.into_inner();
        if let Some(pending) = pending {
            return change::print_pending(context, &connection, &pending).await;
        }
        let value = json!({"id": self.id, "ordered": true});
        context.output.result(&value, || {
            format!(
                "the erasure of {} is ordered; it begins within seconds",
                plain(&self.id)
            )
        })
    }
}
