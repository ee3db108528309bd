//! `subscription`: the durable subscriptions that `subscribe --name` makes.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::connection::{Context, call};
use super::failure::Failure;
use super::names::Directory;
use super::output::plain;
use super::{json, time};
use crate::grpc::wire;

/// List and drop durable subscriptions
#[derive(Args, Debug)]
pub struct SubscriptionCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List your member's durable subscriptions; an admin sees all
    #[command(after_help = "Example:\n  clearinghouse subscription list")]
    List,
    /// End a durable subscription: its name is free, and recalls that it has not confirmed stay open for ever
    #[command(after_help = "Example:\n  clearinghouse subscription drop siem --agent feed")]
    Drop {
        /// Its name
        name: String,
        /// Whose it is, where it is not the calling agent's
        #[arg(long, value_name = "AGENT", default_value = "", hide_default_value = true)]
        agent: String,
    },
}

impl SubscriptionCommand {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self.action {
            Action::List => list(context).await,
            Action::Drop { name, agent } => drop_one(context, name, agent).await,
        }
    }
}

async fn drop_one(context: &Context, name: String, agent: String) -> Result<(), Failure> {
    let connection = context.connect().await?;
    let request = wire::DropSubscriptionRequest {
        agent: agent.clone(),
        name: name.clone(),
    };
    let response = connection.feeds().drop_subscription(call(request)).await;
    response.map_err(|status| connection.failure(status))?;
    let value = json!({"name": name, "dropped": true});
    context.output.result(&value, || format!("dropped {}", plain(&name)))
}

async fn list(context: &Context) -> Result<(), Failure> {
    let connection = context.connect().await?;
    let request = wire::ListSubscriptionsRequest {};
    let response = connection.feeds().list_subscriptions(call(request)).await;
    let subscriptions = response
        .map_err(|status| connection.failure(status))?
        .into_inner()
        .subscriptions;
    let directory = Directory::of_members(&connection).await?;
    if context.output.is_json() {
        let subscriptions: Vec<_> = subscriptions.iter().map(|one| as_json(one, &directory)).collect();
        return context.output.object(&json!({"subscriptions": subscriptions}));
    }
    let now = Timestamp::now();
    let row = |one: &wire::Subscription| {
        let since = one.changed_at.as_ref().and_then(time::from_wire);
        let since = since.map_or(String::new(), |since| time::distance(now, since));
        vec![
            directory.member_name(&one.member_id).to_owned(),
            plain(&one.agent).to_string(),
            plain(&one.name).to_string(),
            plain(&one.filter).to_string(),
            format!("{} {since}", if one.attached { "opened" } else { "closed" }),
            one.recalls_open.to_string(),
        ]
    };
    let rows = subscriptions.iter().map(row).collect();
    context.output.table(
        "subscriptions",
        &["member", "agent", "name", "filter", "stream", "open recalls"],
        rows,
    )
}

fn as_json(subscription: &wire::Subscription, directory: &Directory) -> Value {
    let wire::Subscription {
        member_id,
        agent,
        name,
        filter,
        attached,
        changed_at,
        recalls_open,
        lag,
    } = subscription;
    json!({
        "member": {"id": member_id, "name": directory.member_name(member_id)},
        "agent": agent,
        "name": name,
        "filter": filter,
        "attached": attached,
        "changed_at": json::moment(changed_at),
        "recalls_open": recalls_open,
        "lag": lag,
    })
}
