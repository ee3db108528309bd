//! `group`: sharing groups. Needs an admin's profile, but for `list`, which shows everyone their own groups.

use clap::{Args, Subcommand};
use serde_json::json;

use super::change;
use super::connection::{Connection, Context, call};
use super::failure::Failure;
use super::json;
use super::names::Directory;
use super::output::plain;
use crate::grpc::wire;

/// Create, fill and list sharing groups
#[derive(Args, Debug)]
pub struct GroupCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Create a group without members
    #[command(after_help = "Example:\n  clearinghouse group create \"Election 2026\" --profile hub/admin")]
    Create {
        /// Its name, unique on the hub
        name: String,
    },
    /// Put a member into a group: it sees what the group already holds
    #[command(
        after_help = "Example:\n  clearinghouse group add \"Election 2026\" \"Agora Social\" --profile hub/admin"
    )]
    Add(Place),
    /// Take a member out of a group: what it saw by it is taken back
    #[command(
        after_help = "Example:\n  clearinghouse group remove \"Election 2026\" \"Agora Social\" --profile hub/admin"
    )]
    Remove(Place),
    /// List your groups; an admin sees all
    #[command(after_help = "Example:\n  clearinghouse group list --profile hub/admin")]
    List,
}

#[derive(Args, Debug)]
struct Place {
    /// Name or id of the group
    group: String,
    /// Name or id of the member
    member: String,
}

impl GroupCommand {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let directory = Directory::of_all(&connection).await?;
        let (done, (group, pending)) = match self.action {
            Action::List => return list(context, &directory),
            Action::Create { name } => ("created", create(&connection, name).await?),
            Action::Add(place) => ("added to", add(&connection, &directory, &place).await?),
            Action::Remove(place) => ("removed from", remove(&connection, &directory, &place).await?),
        };
        if let Some(change) = pending {
            return change::print_pending(context, &connection, &change).await;
        }
        let group = group.unwrap_or_default();
        context.output.result(&json::group(&group, &directory), || {
            format!(
                "{done} {}: {} members, {}",
                plain(&group.name),
                group.member_ids.len(),
                plain(&group.id)
            )
        })
    }
}

/// The group, or the change that waits for a second admin.
type Asked = (Option<wire::Group>, Option<wire::PendingChange>);

async fn create(connection: &Connection, name: String) -> Result<Asked, Failure> {
    let response = connection
        .membership()
        .create_group(call(wire::CreateGroupRequest { name }))
        .await;
    let response = response.map_err(|status| connection.failure(status))?;
    let wire::CreateGroupResponse { group, pending } = response.into_inner();
    Ok((group, pending))
}

async fn add(connection: &Connection, directory: &Directory, place: &Place) -> Result<Asked, Failure> {
    let request = wire::AddGroupMemberRequest {
        group_id: directory.group_id(&place.group)?,
        member_id: directory.member_id(&place.member)?,
    };
    let response = connection.membership().add_group_member(call(request)).await;
    let response = response.map_err(|status| connection.failure(status))?;
    let wire::AddGroupMemberResponse { group, pending } = response.into_inner();
    Ok((group, pending))
}

async fn remove(connection: &Connection, directory: &Directory, place: &Place) -> Result<Asked, Failure> {
    let request = wire::RemoveGroupMemberRequest {
        group_id: directory.group_id(&place.group)?,
        member_id: directory.member_id(&place.member)?,
    };
    let response = connection.membership().remove_group_member(call(request)).await;
    let response = response.map_err(|status| connection.failure(status))?;
    let wire::RemoveGroupMemberResponse { group, pending } = response.into_inner();
    Ok((group, pending))
}

fn list(context: &Context, directory: &Directory) -> Result<(), Failure> {
    if context.output.is_json() {
        let groups: Vec<_> = directory
            .groups()
            .iter()
            .map(|group| json::group(group, directory))
            .collect();
        return context.output.object(&json!({"groups": groups}));
    }
    let row = |group: &wire::Group| {
        let names: Vec<&str> = group.member_ids.iter().map(|id| directory.member_name(id)).collect();
        vec![group.name.clone(), names.join(", "), group.id.clone()]
    };
    let rows = directory.groups().iter().map(row).collect();
    context.output.table("groups", &["name", "members", "id"], rows)
}
