//! `member`: who takes part. Needs an admin's profile, but for `list`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::connection::{Connection, Context, call};
use super::failure::Failure;
use super::json;
use super::names::Directory;
use super::output::plain;
use super::words::{self, Number};
use crate::grpc::wire;

/// Admit, list, suspend, resume and remove members
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
        match self.action {
            Action::List => list(context, &Directory::of_members(&connection).await?),
            Action::Add { name, kind } => {
                let request = wire::AddMemberRequest { name, kind };
                let response = connection.membership().add_member(call(request)).await;
                let member = response
                    .map_err(|status| connection.failure(status))?
                    .into_inner()
                    .member;
                print(context, "admitted", member)
            }
            Action::Suspend(Target { member, reason }) => {
                let request = wire::SuspendMemberRequest {
                    id: id_of(&connection, &member).await?,
                    reason,
                };
                let response = connection.membership().suspend_member(call(request)).await;
                let member = response
                    .map_err(|status| connection.failure(status))?
                    .into_inner()
                    .member;
                print(context, "suspended", member)
            }
            Action::Resume { member } => {
                let request = wire::ResumeMemberRequest {
                    id: id_of(&connection, &member).await?,
                };
                let response = connection.membership().resume_member(call(request)).await;
                let member = response
                    .map_err(|status| connection.failure(status))?
                    .into_inner()
                    .member;
                print(context, "resumed", member)
            }
            Action::Remove(Target { member, reason }) => {
                let request = wire::RemoveMemberRequest {
                    id: id_of(&connection, &member).await?,
                    reason,
                };
                let response = connection.membership().remove_member(call(request)).await;
                let member = response
                    .map_err(|status| connection.failure(status))?
                    .into_inner()
                    .member;
                print(context, "removed", member)
            }
        }
    }
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
