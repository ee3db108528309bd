//! `init`: creates a hub on this machine. Offline.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::connection::Context;
use super::failure::Failure;
use super::output::plain;
use crate::serve::{self, InitError, InitRequest};

/// Create a hub: its authority, its certificate and the first admin's profile
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  clearinghouse init --dir hub --name \"Election Integrity Exchange\" --host hub.example\n  \
clearinghouse serve --dir hub\n\nThe admin's profile is DIR/admin. DIR/admin/ca.pem is what members need to recognise the hub."
)]
pub struct Init {
    /// The hub's directory, which must be empty or not exist
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The hub's name, also that of the member that operates it
    #[arg(long, default_value = "Clearinghouse")]
    name: String,
    /// A name or address by which members reach the hub, besides loopback; may be repeated
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
}

impl Init {
    /// Runs it.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let request = InitRequest {
            dir: self.dir,
            name: self.name,
            hosts: self.host,
        };
        let made = serve::init(&request).map_err(|error| match error {
            InitError::Value(violation) => Failure::Usage(violation.to_string()),
            error => Failure::Failed(error.to_string()),
        })?;
        let value = json!({
            "dir": made.dir.display().to_string(),
            "admin_profile": made.admin_profile.display().to_string(),
            "member": {"id": made.member.to_string(), "name": request.name},
            "trust_domain": made.trust_domain,
        });
        context.output.result(&value, || {
            let (dir, profile) = (made.dir.display(), made.admin_profile.display());
            format!(
                "created the hub {:?} in {dir}; its first admin's profile is {profile}\nnext: clearinghouse serve --dir {dir}",
                plain(&request.name)
            )
        })
    }
}
