//! `invite`: a one-time token with which a member enrols an agent. The token is a secret: it is the result on stdout and stands
//! nowhere else.

use clap::Args;
use serde_json::json;

use super::change;
use super::connection::{Connection, Context, call};
use super::failure::Failure;
use super::names::Directory;
use super::words::{self, Number};
use crate::grpc::wire;

/// Make a one-time enrolment token for a member's agent (admin)
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  clearinghouse invite \"Agora Social\" feed --role publisher,subscriber --profile hub/admin > token\n\n\
Hand the token over by a private channel: whoever has it first can enrol as that agent."
)]
pub struct Invite {
    /// Name or id of the member
    member: String,
    /// Name of the agent to be: lower-case letters, digits, '.', '_' and '-'
    agent: String,
    /// What the agent may do
    #[arg(long, value_name = "ROLE", required = true, value_delimiter = ',', value_parser = words::role_parser())]
    role: Vec<Number>,
    /// Seconds until the token ends
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = clap::value_parser!(u32).range(60..=604_800))]
    lifetime: u32,
}

impl Invite {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let directory = Directory::of_members(&connection).await?;
        let member_id = directory.member_id(&self.member)?;
        let request = wire::CreateInvitationRequest {
            member_id,
            agent: self.agent,
            roles: self.role,
            lifetime_secs: self.lifetime,
        };
        let response = connection.membership().create_invitation(call(request)).await;
        let invited = response.map_err(|status| connection.failure(status))?.into_inner();
        if let Some(change) = &invited.pending {
            return pending(context, &connection, change, &directory).await;
        }
        let value = change::invitation(&invited);
        if !context.output.is_json() {
            context.output.note(&format!(
                "The token opens enrolment once, until {}.",
                value["expires"].as_str().unwrap_or("?")
            ));
        }
        context.output.result(&value, || invited.token)
    }
}

/// For a person stdout stays empty: it is the file that the token goes to.
async fn pending(
    context: &Context,
    connection: &Connection,
    change: &wire::PendingChange,
    directory: &Directory,
) -> Result<(), Failure> {
    change::explain(context, connection, change, directory).await;
    match context.output.is_json() {
        true => context
            .output
            .object(&json!({"pending": change::value(change, directory)})),
        false => Ok(()),
    }
}
