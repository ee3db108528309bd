//! `retract`: take indicators back from those who hold them.

use std::io::BufRead;

use clap::Args;
use serde_json::json;

use super::connection::{Context, call};
use super::failure::Failure;
use super::outcome;
use crate::grpc::wire;
use crate::grpc::wire::publish_result::Outcome;

/// Most ids in one request, by the wire's bound.
const IDS_MAX: usize = 1_000;

/// Take indicators of your own back from those who hold them
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse retract 0198c3a1-… --reason \"a parody account\"\n  \
clearinghouse search --filter campaign:Test --json | jq -r '.indicators[].id' | clearinghouse retract - --reason \"a test\" --confirm-large"
)]
pub struct Retract {
    /// Ids of indicators; `-` reads them from stdin, one a line
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Why, for those who hold them
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Confirm that a large share of your indicators is meant
    #[arg(long)]
    confirm_large: bool,
}

impl Retract {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let ids = expand(&self.ids)?;
        let connection = context.connect().await?;
        let (mut retracted, mut rejected) = (0, 0);
        let mut results = Vec::new();
        for chunk in ids.chunks(IDS_MAX) {
            let request = wire::RetractRequest {
                ids: chunk.to_vec(),
                reason: self.reason.clone(),
                confirm_large: self.confirm_large,
            };
            let response = connection.publishing().retract(call(request)).await;
            let response = response.map_err(|status| connection.failure(status))?.into_inner();
            for (id, result) in chunk.iter().zip(response.results) {
                let outcome = outcome::of(result)?;
                match &outcome {
                    Outcome::Rejected(reason) => {
                        rejected += 1;
                        context
                            .output
                            .note(&format!("{id}: {}", outcome::rejection_text(reason)));
                    }
                    Outcome::Accepted(_) | Outcome::Duplicate(_) => retracted += 1,
                }
                let mut result = outcome::json(&outcome);
                result["id"] = json!(id);
                results.push(result);
            }
        }
        let value = json!({"retracted": retracted, "rejected": rejected, "results": results});
        context
            .output
            .result(&value, || format!("retracted {retracted}, rejected {rejected}"))?;
        outcome::ending(retracted, rejected)
    }
}

fn expand(ids: &[String]) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for id in ids {
        match id.as_str() {
            "-" => {
                for line in std::io::stdin().lock().lines() {
                    let line = line.map_err(|error| Failure::of("stdin", error))?;
                    all.extend(Some(line.trim().to_owned()).filter(|line| !line.is_empty()));
                }
            }
            id => all.push(id.to_owned()),
        }
    }
    Ok(all)
}
