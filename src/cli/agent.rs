//! `agent`: credentials of members.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::connection::{Connection, Context, call};
use super::failure::Failure;
use super::names::Directory;
use super::output::plain;
use super::{json, time, words};
use crate::grpc::wire;

/// List and revoke agents
#[derive(Args, Debug)]
pub struct AgentCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List your member's agents; an admin sees all
    #[command(after_help = "Example:\n  clearinghouse agent list --member \"Agora Social\" --profile hub/admin")]
    List {
        /// Only those of this member (name or id)
        #[arg(long, value_name = "MEMBER")]
        member: Option<String>,
    },
    /// Revoke an agent: within a second it sees and does nothing, on open streams too
    #[command(
        after_help = "Example:\n  clearinghouse agent revoke \"Agora Social\" feed --reason \"laptop lost\" --profile hub/admin"
    )]
    Revoke {
        /// Name or id of the member
        member: String,
        /// Name of the agent
        agent: String,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

impl AgentCommand {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let directory = Directory::of_members(&connection).await?;
        match self.action {
            Action::List { member } => {
                let member_id = member
                    .map(|member| directory.member_id(&member))
                    .transpose()?
                    .unwrap_or_default();
                list(context, &connection, &directory, member_id).await
            }
            Action::Revoke { member, agent, reason } => {
                let request = wire::RevokeAgentRequest {
                    member_id: directory.member_id(&member)?,
                    agent,
                    reason,
                };
                let response = connection.membership().revoke_agent(call(request)).await;
                let response = response.map_err(|status| connection.failure(status))?.into_inner();
                let agent = response.agent.unwrap_or_default();
                context.output.result(&json::agent(&agent, &directory), || {
                    format!(
                        "revoked {} of {}",
                        plain(&agent.name),
                        plain(directory.member_name(&agent.member_id))
                    )
                })
            }
        }
    }
}

async fn list(
    context: &Context,
    connection: &Connection,
    directory: &Directory,
    member_id: String,
) -> Result<(), Failure> {
    let response = connection
        .membership()
        .list_agents(call(wire::ListAgentsRequest { member_id }))
        .await;
    let agents = response
        .map_err(|status| connection.failure(status))?
        .into_inner()
        .agents;
    if context.output.is_json() {
        let agents: Vec<_> = agents.iter().map(|agent| json::agent(agent, directory)).collect();
        return context.output.object(&json!({"agents": agents}));
    }
    let now = Timestamp::now();
    let row = |agent: &wire::Agent| {
        let roles: Vec<&str> = agent.roles.iter().map(|role| words::role(*role)).collect();
        let ends = agent.certificate_expires_at.as_ref().and_then(time::from_wire);
        let standing = match (&agent.revoked_at, ends) {
            (Some(_), _) => "revoked".to_owned(),
            (None, Some(ends)) => format!("ends {}", time::distance(now, ends)),
            (None, None) => String::new(),
        };
        vec![
            directory.member_name(&agent.member_id).to_owned(),
            agent.name.clone(),
            roles.join(","),
            standing,
        ]
    };
    let rows = agents.iter().map(row).collect();
    context
        .output
        .table("agents", &["member", "agent", "roles", "certificate"], rows)
}
