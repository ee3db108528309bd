//! `serve`: runs the hub in this process. Owns the signals and the line that says where it listens; the hub is `serve`'s.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::connection::Context;
use super::failure::Failure;
use crate::config::{Config, Overrides};
use crate::serve;

/// Tasks that a busy thread runs before it looks for what has arrived. A task may take a tenth of a millisecond, so with the runtime's
/// own 61 a member's request would lie unseen for as long as another member's flood takes that many.
const TASKS_PER_LOOK: u32 = 8;

/// Run the hub
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  clearinghouse serve --dir hub --listen 0.0.0.0:8443\n\n\
Prints `listening on https://HOST:PORT` once it accepts. SIGTERM and SIGINT drain and end it, SIGHUP reads the certificates anew.")]
pub struct Serve {
    /// The hub's directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

impl Serve {
    /// Runs it, in a runtime of the configured size.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let config = Config::load(&self.dir, Overrides { listen: self.listen })
            .map_err(|error| Failure::Failed(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.worker_threads)
            .event_interval(TASKS_PER_LOOK)
            .enable_all()
            .build()
            .map_err(|error| Failure::of("cannot start", error))?;
        runtime.block_on(until_stopped(config, context))
    }
}

async fn until_stopped(config: Config, context: &Context) -> Result<(), Failure> {
    let on = |kind| signal(kind).map_err(|error| Failure::of("cannot listen for signals", error));
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let mut hangup = on(SignalKind::hangup())?;
    // A signal that comes while certificates are being read is kept: `notify_one` leaves a permit.
    let (asked, reload) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let listening = tokio::spawn({
        let (asked, reload) = (asked.clone(), reload.clone());
        async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => asked.notify_one(),
                    _ = interrupt.recv() => asked.notify_one(),
                    _ = hangup.recv() => reload.notify_one(),
                }
            }
        }
    });
    let next_reload = || -> serve::ReloadSignal {
        let reload = reload.clone();
        Box::pin(async move { reload.notified().await })
    };
    let served = serve::run(
        config,
        |address| announce(context, address),
        next_reload,
        asked.notified(),
    )
    .await;
    listening.abort();
    served.map_err(|error| Failure::Failed(error.to_string()))
}

/// A reader of stdout that has gone must not stop the hub.
fn announce(context: &Context, address: SocketAddr) {
    let url = format!("https://{address}");
    let _ = context
        .output
        .result(&json!({"listening": url}), || format!("listening on {url}"));
}
