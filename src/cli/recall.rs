//! `recall`: what became of what one took back.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::connection::{Context, call};
use super::failure::Failure;
use super::names::Directory;
use super::output::plain;
use super::{json, time};
use crate::grpc::wire;

/// See who still holds what you took back
#[derive(Args, Debug)]
pub struct RecallCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Who received an indicator that you took back, and who has confirmed its removal
    #[command(after_help = "Example:\n  clearinghouse recall status 0190b8a2-7c3e-7def-8a12-3456789abcde")]
    Status {
        /// The indicator
        id: String,
    },
    /// What you took back and not all holders have confirmed, oldest first
    #[command(
        after_help = "Example:\n  clearinghouse recall list --json | jq '.recalls[] | select(any(.holders[]; .overdue))'"
    )]
    List,
}

impl RecallCommand {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.action {
            Action::Status { id } => status(context, id).await,
            Action::List => list(context).await,
        }
    }
}

async fn status(context: &Context, indicator_id: String) -> Result<(), Failure> {
    let connection = context.connect().await?;
    let request = wire::GetRecallRequest { indicator_id };
    let response = connection.recalls().get_recall(call(request)).await;
    let response = response.map_err(|status| connection.failure(status))?.into_inner();
    let recall = response.recall.unwrap_or_default();
    let directory = Directory::of_members(&connection).await?;
    if context.output.is_json() {
        return context.output.object(&as_json(&recall, &directory));
    }
    context.output.note(&headline(&recall));
    let now = Timestamp::now();
    let rows = recall.holders.iter().map(|holder| row(holder, &directory, now));
    context.output.table(
        "holders",
        &["member", "agent", "subscription", "removal", "connection"],
        rows.collect(),
    )
}

async fn list(context: &Context) -> Result<(), Failure> {
    let connection = context.connect().await?;
    let request = wire::ListOpenRecallsRequest {};
    let response = connection.recalls().list_open_recalls(call(request)).await;
    let recalls = response
        .map_err(|status| connection.failure(status))?
        .into_inner()
        .recalls;
    if context.output.is_json() {
        let directory = Directory::of_members(&connection).await?;
        let recalls: Vec<_> = recalls.iter().map(|recall| as_json(recall, &directory)).collect();
        return context.output.object(&json!({"recalls": recalls}));
    }
    let row = |recall: &wire::Recall| {
        let overdue = recall.holders.iter().filter(|holder| holder.overdue).count();
        vec![
            recall.indicator_id.clone(),
            cause(recall).to_owned(),
            since(recall.recalled_at.as_ref()),
            format!("{} of {}", recall.outstanding, recall.holders.len()),
            overdue.to_string(),
        ]
    };
    let rows = recalls.iter().map(row).collect();
    context.output.table(
        "open recalls",
        &["indicator", "cause", "taken back", "unconfirmed", "overdue"],
        rows,
    )
}

fn headline(recall: &wire::Recall) -> String {
    format!(
        "{} {}; {} of {} who may hold it have not confirmed",
        cause(recall),
        since(recall.recalled_at.as_ref()),
        recall.outstanding,
        recall.holders.len()
    )
}

fn since(moment: Option<&prost_types::Timestamp>) -> String {
    let moment = moment.and_then(time::from_wire);
    moment.map_or("at an unknown time".to_owned(), |moment| {
        time::distance(Timestamp::now(), moment)
    })
}

fn cause(recall: &wire::Recall) -> &'static str {
    match recall.cause() {
        wire::RecallCause::Retracted => "retracted",
        wire::RecallCause::Tightened => "tightened",
        wire::RecallCause::Unspecified => "unknown",
    }
}

fn row(holder: &wire::RecallHolder, directory: &Directory, now: Timestamp) -> Vec<String> {
    let ago = |moment: &prost_types::Timestamp| {
        time::from_wire(moment).map_or(String::new(), |moment| time::distance(now, moment))
    };
    let removal = match (&holder.confirmed_at, holder.dropped, holder.overdue) {
        (Some(at), ..) => format!("confirmed {}", ago(at)),
        (None, true, _) => "never: dropped".to_owned(),
        (None, false, true) => "OVERDUE".to_owned(),
        (None, false, false) => "not confirmed".to_owned(),
    };
    vec![
        directory.member_name(&holder.member_id).to_owned(),
        plain(&holder.agent).to_string(),
        plain(&holder.subscription).to_string(),
        removal,
        holder
            .offline_since
            .as_ref()
            .map_or("open".to_owned(), |since| format!("closed {}", ago(since))),
    ]
}

fn as_json(recall: &wire::Recall, directory: &Directory) -> Value {
    let wire::Recall {
        indicator_id,
        cause: _,
        recalled_at,
        holders,
        outstanding,
    } = recall;
    let holder = |holder: &wire::RecallHolder| {
        let wire::RecallHolder {
            member_id,
            agent,
            subscription,
            confirmed_at,
            offline_since,
            overdue,
            dropped,
        } = holder;
        json!({
            "member": {"id": member_id, "name": directory.member_name(member_id)},
            "agent": agent,
            "subscription": subscription,
            "confirmed_at": json::moment(confirmed_at),
            "offline_since": json::moment(offline_since),
            "overdue": overdue,
            "dropped": dropped,
        })
    };
    json!({
        "indicator_id": indicator_id,
        "cause": cause(recall),
        "recalled_at": json::moment(recalled_at),
        "outstanding": outstanding,
        "holders": holders.iter().map(holder).collect::<Vec<_>>(),
    })
}
