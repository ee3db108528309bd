//! `demo`: the main job on an empty machine. Owns the order of the scenes; who plays what is in `script`. Everything goes over
//! mutual TLS to a real hub in this process, as it would over a network: nothing is staged.

mod check;
mod narrator;
mod reckoning;
mod scenes;
mod script;
mod stage;
mod watcher;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::connection::Context;
use super::failure::Failure;

use check::Checks;
use narrator::Narrator;
use stage::Stage;

/// No demo takes longer: then something hangs, and it says so.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Show the whole exchange on this machine: four members, what each may see, and why not
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  clearinghouse demo\n  clearinghouse demo --check\n\n\
Uses this machine alone: a hub on a free loopback port. Values in the sample are never resolved or visited.")]
pub struct Demo {
    /// Where to put the hub and the profiles; must be empty or not exist. Without it a temporary directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Run to the end without a terminal, verify what each member may see, print a JSON summary, exit 0 or 1
    #[arg(long)]
    check: bool,
}

impl Demo {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let is_check = self.check || context.output.is_json();
        let narrator = Narrator::new(context.output, is_check);
        let begun = Instant::now();
        let (dir, is_temporary) = match self.dir {
            Some(dir) => (dir, false),
            None => (temporary_dir(), true),
        };
        let mut checks = Checks::default();
        let played = match tokio::time::timeout(TIME_MAX, play(&dir, &narrator, &mut checks)).await {
            Ok(played) => played,
            Err(_) => Err(Failure::Failed(format!(
                "the demo did not end within {} s",
                TIME_MAX.as_secs()
            ))),
        };
        if is_check && is_temporary {
            // Best effort: what is left is in the system's directory for temporary files.
            let _ = std::fs::remove_dir_all(&dir);
        }
        if !is_check {
            return played;
        }
        if let Err(failure) = &played {
            checks.add("the demo runs to its end", false, failure.to_string());
        }
        context.output.object(&checks.to_json(begun.elapsed()))?;
        if checks.all_hold() {
            Ok(())
        } else {
            Err(Failure::Reported)
        }
    }
}

async fn play(dir: &std::path::Path, narrator: &Narrator, checks: &mut Checks) -> Result<(), Failure> {
    let stage = Stage::open(dir, narrator).await?;
    let played = scenes::play(&stage, narrator, checks).await;
    let closed = stage.close().await;
    played?;
    closed?;
    narrator.next_steps(dir);
    Ok(())
}

fn temporary_dir() -> PathBuf {
    std::env::temp_dir().join(format!("clearinghouse-demo-{}", std::process::id()))
}
