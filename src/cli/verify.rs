//! `verify`: checks a hub's log without the hub. Offline.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::connection::Context;
use super::failure::Failure;
use super::json;
use super::output::plain;
use crate::serve;

/// Re-derive every hash of the log and name the first bad entry
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  clearinghouse verify --dir hub --json\n\nThe hub must not be running. Exit code 1 if anything is wrong."
)]
pub struct Verify {
    /// The hub's directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

impl Verify {
    /// Runs it.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        match serve::verify(&self.dir) {
            Ok(serve::Verified {
                log: report,
                entry_bytes,
                entries_to_erase,
                members,
                indicators,
            }) => {
                let value = json!({
                    "ok": true,
                    "entries": report.head.size,
                    "entry_bytes": entry_bytes,
                    "root": json::hex(&report.head.root),
                    "members": members,
                    "indicators": indicators,
                    "epochs": report.epochs,
                    "entries_erased": report.entries_erased,
                    "entries_to_erase": entries_to_erase,
                    "entries_beyond_head": report.entries_beyond_head,
                });
                context.output.result(&value, || {
                    let erased = match report.entries_erased {
                        0 => String::new(),
                        erased => format!(" ({erased} of them erased, each with its record)"),
                    };
                    format!(
                        "the log is whole: {} entries{erased}, {members} members, {indicators} indicators, root {}",
                        report.head.size,
                        json::hex(&report.head.root)
                    )
                })
            }
            Err(error) if context.output.is_json() => {
                context
                    .output
                    .object(&json!({"ok": false, "error": error.to_string()}))?;
                Err(Failure::Failed(plain(&error.to_string())))
            }
            Err(error) => Err(Failure::Failed(plain(&error.to_string()))),
        }
    }
}
