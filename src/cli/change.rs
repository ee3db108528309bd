//! `change`: changes of membership that wait for a second admin. Also owns how every command of an admin shows that what it asked
//! for waits; refuses to wait itself.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::connection::{Connection, Context, call};
use super::failure::Failure;
use super::names::Directory;
use super::output::plain;
use super::{json, time};
use crate::domain::member::{Role, Standing};
use crate::grpc::wire;

/// Most admins named when a change waits.
const APPROVERS_NAMED_MAX: usize = 5;

/// List, approve and reject changes that wait for a second admin
#[derive(Args, Debug)]
pub struct ChangeCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List what waits for a second admin
    #[command(after_help = "Example:\n  clearinghouse change list --profile second-admin")]
    List,
    /// Carry out what another admin asked for
    #[command(
        after_help = "Example:\n  clearinghouse change approve 0190b8a2-7c3e-7def-8a12-3456789abcde --profile second-admin\n\n\
Where the change is an invitation, its token is printed: hand it over by a private channel. It is not shown again."
    )]
    Approve {
        /// The change's id
        id: String,
    },
    /// Drop a change that waits; also one's own
    #[command(
        after_help = "Example:\n  clearinghouse change reject 0190b8a2-7c3e-7def-8a12-3456789abcde --profile second-admin"
    )]
    Reject {
        /// The change's id
        id: String,
    },
}

impl ChangeCommand {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        match self.action {
            Action::List => list(context, &connection).await,
            Action::Approve { id } => approve(context, &connection, id).await,
            Action::Reject { id } => reject(context, &connection, id).await,
        }
    }
}

async fn list(context: &Context, connection: &Connection) -> Result<(), Failure> {
    let directory = Directory::of_members(connection).await?;
    let request = wire::ListPendingChangesRequest {};
    let response = connection.membership().list_pending_changes(call(request)).await;
    let changes = response
        .map_err(|status| connection.failure(status))?
        .into_inner()
        .changes;
    if context.output.is_json() {
        let changes: Vec<Value> = changes.iter().map(|change| value(change, &directory)).collect();
        return context.output.object(&json!({"changes": changes}));
    }
    let now = Timestamp::now();
    let row = |change: &wire::PendingChange| {
        let ends = change.expires_at.as_ref().and_then(time::from_wire);
        vec![
            change.summary.clone(),
            author(&change.author_member_id, &change.author_agent, &directory),
            ends.map(|ends| time::distance(now, ends)).unwrap_or_default(),
            change.id.clone(),
        ]
    };
    let rows = changes.iter().map(row).collect();
    context
        .output
        .table("changes that wait", &["change", "asked by", "ends", "id"], rows)
}

async fn approve(context: &Context, connection: &Connection, id: String) -> Result<(), Failure> {
    let request = wire::ApproveChangeRequest { id: id.clone() };
    let response = connection.membership().approve_change(call(request)).await;
    let wire::ApproveChangeResponse { summary, invitation } =
        response.map_err(|status| connection.failure(status))?.into_inner();
    let token = invitation.as_ref().map(|invitation| invitation.token.clone());
    if token.is_some() && !context.output.is_json() {
        context.output.note(&format!("approved: {}", plain(&summary)));
        context
            .output
            .note("The token opens enrolment once and is not shown again: hand it over by a private channel.");
    }
    let invitation = invitation.as_ref().map(self::invitation);
    let value = json!({"id": id, "approved": summary, "invitation": invitation});
    context.output.result(&value, || {
        token.unwrap_or_else(|| format!("approved: {}", plain(&summary)))
    })
}

async fn reject(context: &Context, connection: &Connection, id: String) -> Result<(), Failure> {
    let request = wire::RejectChangeRequest { id: id.clone() };
    let response = connection.membership().reject_change(call(request)).await;
    response.map_err(|status| connection.failure(status))?;
    context
        .output
        .result(&json!({"rejected": id}), || format!("rejected {}", plain(&id)))
}

/// An invitation as JSON.
pub fn invitation(invitation: &wire::CreateInvitationResponse) -> Value {
    let wire::CreateInvitationResponse {
        token,
        expires_at,
        invitation_id,
        pending: _,
    } = invitation;
    json!({"token": token, "expires": json::moment(expires_at), "invitation_id": invitation_id})
}

/// Shows that what was asked for is not done yet, and who can approve it.
pub async fn print_pending(
    context: &Context,
    connection: &Connection,
    change: &wire::PendingChange,
) -> Result<(), Failure> {
    let directory = Directory::of_members(connection).await?;
    explain(context, connection, change, &directory).await;
    let summary = plain(&change.summary);
    let value = json!({"pending": value(change, &directory)});
    context
        .output
        .result(&value, || format!("waits for a second admin: {summary}"))
}

/// Tells a person on stderr what is still to be done.
pub async fn explain(context: &Context, connection: &Connection, change: &wire::PendingChange, directory: &Directory) {
    let ends = change.expires_at.as_ref().and_then(time::text).unwrap_or_default();
    let who = match approvers(connection, change, directory).await {
        Some(names) if !names.is_empty() => format!("another admin ({})", names.join(", ")),
        _ => "another admin".to_owned(),
    };
    context.output.note(&format!(
        "Not done yet: {who} must run `clearinghouse change approve {}` before {ends}.",
        plain(&change.id)
    ));
}

/// Admins besides the author. Only a help: without it the hub knows just as well who may approve.
async fn approvers(
    connection: &Connection,
    change: &wire::PendingChange,
    directory: &Directory,
) -> Option<Vec<String>> {
    let request = wire::ListAgentsRequest {
        member_id: String::new(),
    };
    let agents = connection
        .membership()
        .list_agents(call(request))
        .await
        .ok()?
        .into_inner()
        .agents;
    let admin = super::words::number(&Role::ALL, Role::Admin);
    let active = super::words::number(&Standing::ALL, Standing::Active);
    let is_approver = |agent: &&wire::Agent| {
        let is_author = agent.member_id == change.author_member_id && agent.name == change.author_agent;
        let is_active = directory
            .member(&agent.member_id)
            .is_some_and(|member| member.standing == active);
        agent.roles.contains(&admin) && agent.revoked_at.is_none() && is_active && !is_author
    };
    let named = agents.iter().filter(is_approver).take(APPROVERS_NAMED_MAX);
    Some(
        named
            .map(|agent| author(&agent.member_id, &agent.name, directory))
            .collect(),
    )
}

/// A change that waits, as JSON.
pub fn value(change: &wire::PendingChange, directory: &Directory) -> Value {
    let wire::PendingChange {
        id,
        summary,
        author_member_id,
        author_agent,
        asked_at,
        expires_at,
    } = change;
    json!({
        "id": id,
        "summary": summary,
        "author": author_value(author_member_id, author_agent, directory),
        "asked_at": json::moment(asked_at),
        "expires_at": json::moment(expires_at),
    })
}

/// Who caused something, as JSON; null where the hub itself did.
pub fn author_value(member_id: &str, agent: &str, directory: &Directory) -> Value {
    match member_id.is_empty() {
        true => Value::Null,
        false => json!({"member": {"id": member_id, "name": directory.member_name(member_id)}, "agent": agent}),
    }
}

/// Who caused something, for a person.
pub fn author(member_id: &str, agent: &str, directory: &Directory) -> String {
    match member_id.is_empty() {
        true => "the hub".to_owned(),
        false => format!("{} of {}", plain(agent), plain(directory.member_name(member_id))),
    }
}
