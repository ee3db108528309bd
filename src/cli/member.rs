//! `member`: who takes part. Needs an admin's profile, but for `list`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tonic::{Response, Status};

use super::change;
use super::connection::{Connection, Context, call};
use super::failure::Failure;
use super::json;
use super::names::Directory;
use super::output::plain;
use super::time;
use super::words::{self, Number};
use crate::grpc::wire;

/// Admit, list, rename, suspend, resume and remove members, and show their history
#[derive(Args, Debug)]
pub struct MemberCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Admit an organisation
    #[command(after_help = "Example:\n  clearinghouse member add \"Agora Social\" --kind platform --profile hub/admin")]
    Add {
        /// Its name, unique on the hub
        name: String,
        /// What kind of organisation it is
        #[arg(long, value_parser = words::member_kind_parser())]
        kind: Number,
    },
    /// Give a member another name
    #[command(
        after_help = "Example:\n  clearinghouse member rename \"Agora Social\" \"Agora Networks\" --profile hub/admin"
    )]
    Rename {
        /// Name or id
        member: String,
        /// The new name
        name: String,
    },
    /// Show what happened to a member: its groups, agents, standing, and who decided
    #[command(after_help = "Example:\n  clearinghouse member history \"Agora Social\" --profile hub/admin")]
    History {
        /// Name or id; your own member unless given
        member: Option<String>,
    },
    /// List all members
    #[command(after_help = "Example:\n  clearinghouse member list --profile hub/admin --json")]
    List,
    /// Stop all that a member does and sees, within a second, until it is resumed
    #[command(
        after_help = "Example:\n  clearinghouse member suspend \"Agora Social\" --reason \"credentials leaked\" --profile hub/admin"
    )]
    Suspend(Target),
    /// Let a suspended member take part again
    #[command(after_help = "Example:\n  clearinghouse member resume \"Agora Social\" --profile hub/admin")]
    Resume {
        /// Name or id
        member: String,
    },
    /// Remove a member for good; what it published stays readable under its name
    #[command(
        after_help = "Example:\n  clearinghouse member remove \"Agora Social\" --reason \"left\" --profile hub/admin"
    )]
    Remove(Target),
}

#[derive(Args, Debug)]
struct Target {
    /// Name or id
    member: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

impl MemberCommand {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let (done, member, pending) = match self.action {
            Action::List => return list(context, &Directory::of_members(&connection).await?),
            Action::History { member } => return history(context, &connection, member).await,
            Action::Add { name, kind } => {
                let request = wire::AddMemberRequest { name, kind };
                let response = connection.membership().add_member(call(request)).await;
                let wire::AddMemberResponse { member, pending } = answer(&connection, response)?;
                ("admitted", member, pending)
            }
            Action::Rename { member, name } => {
                let id = id_of(&connection, &member).await?;
                let request = wire::RenameMemberRequest { id, name };
                let response = connection.membership().rename_member(call(request)).await;
                let wire::RenameMemberResponse { member, pending } = answer(&connection, response)?;
                ("renamed", member, pending)
            }
            Action::Suspend(Target { member, reason }) => {
                let id = id_of(&connection, &member).await?;
                let request = wire::SuspendMemberRequest { id, reason };
                let response = connection.membership().suspend_member(call(request)).await;
                let wire::SuspendMemberResponse { member } = answer(&connection, response)?;
                ("suspended", member, None)
            }
            Action::Resume { member } => {
                let id = id_of(&connection, &member).await?;
                let request = wire::ResumeMemberRequest { id };
                let response = connection.membership().resume_member(call(request)).await;
                let wire::ResumeMemberResponse { member, pending } = answer(&connection, response)?;
                ("resumed", member, pending)
            }
            Action::Remove(Target { member, reason }) => {
                let id = id_of(&connection, &member).await?;
                let request = wire::RemoveMemberRequest { id, reason };
                let response = connection.membership().remove_member(call(request)).await;
                let wire::RemoveMemberResponse { member, pending } = answer(&connection, response)?;
                ("removed", member, pending)
            }
        };
        match pending {
            Some(change) => change::print_pending(context, &connection, &change).await,
            None => print(context, done, member),
        }
    }
}

fn answer<T>(connection: &Connection, response: Result<Response<T>, Status>) -> Result<T, Failure> {
    response
        .map(Response::into_inner)
        .map_err(|status| connection.failure(status))
}

async fn id_of(connection: &Connection, member: &str) -> Result<String, Failure> {
    Directory::of_members(connection).await?.member_id(member)
}

fn print(context: &Context, done: &str, member: Option<wire::Member>) -> Result<(), Failure> {
    let member = member.unwrap_or_default();
    context.output.result(&json::member(&member), || {
        let kind = words::member_kind(member.kind);
        format!("{done} {} ({kind}): {}", plain(&member.name), plain(&member.id))
    })
}

async fn history(context: &Context, connection: &Connection, member: Option<String>) -> Result<(), Failure> {
    let directory = Directory::of_members(connection).await?;
    let member_id = match member {
        Some(member) => directory.member_id(&member)?,
        None => directory.own_member_id().to_owned(),
    };
    let request = wire::ListMemberHistoryRequest {
        member_id: member_id.clone(),
    };
    let response = connection.membership().list_member_history(call(request)).await;
    let wire::ListMemberHistoryResponse { events } = answer(connection, response)?;
    if context.output.is_json() {
        let events: Vec<Value> = events.iter().map(|event| event_value(event, &directory)).collect();
        let member = json!({"id": member_id, "name": directory.member_name(&member_id)});
        return context.output.object(&json!({"member": member, "events": events}));
    }
    let row = |event: &wire::MemberEvent| {
        let at = event.at.as_ref().and_then(time::text).unwrap_or_default();
        let author = change::author(&event.author_member_id, &event.author_agent, &directory);
        vec![at, event.kind.clone(), event.summary.clone(), author]
    };
    let rows = events.iter().map(row).collect();
    context.output.table("events", &["at", "kind", "what", "by"], rows)
}

fn event_value(event: &wire::MemberEvent, directory: &Directory) -> Value {
    let wire::MemberEvent {
        at,
        kind,
        summary,
        author_member_id,
        author_agent,
        seq,
    } = event;
    json!({
        "at": json::moment(at),
        "kind": kind,
        "summary": summary,
        "author": change::author_value(author_member_id, author_agent, directory),
        "seq": (*seq > 0).then_some(seq),
    })
}

fn list(context: &Context, directory: &Directory) -> Result<(), Failure> {
    if context.output.is_json() {
        let members: Vec<_> = directory.members().iter().map(json::member).collect();
        return context
            .output
            .object(&json!({"members": members, "own_member_id": directory.own_member_id()}));
    }
    let row = |member: &wire::Member| {
        let own = if member.id == directory.own_member_id() {
            "(you)"
        } else {
            ""
        };
        vec![
            member.name.clone(),
            words::member_kind(member.kind).to_owned(),
            words::standing(member.standing).to_owned(),
            member.id.clone(),
            own.to_owned(),
        ]
    };
    let rows = directory.members().iter().map(row).collect();
    context
        .output
        .table("members", &["name", "kind", "standing", "id", ""], rows)
}
