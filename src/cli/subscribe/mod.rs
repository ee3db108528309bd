//! `subscribe`: a feed as JSON lines. Owns the order of things that makes it safe: a line is out before the cursor that covers it
//! is stored, and a mirror that does not agree with the hub's digest is fetched anew. Reconnects for ever.

mod cursor_file;
mod feed;
mod mirror;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tonic::{Request, Status, Streaming};

use super::connection::{Connection, Context};
use super::failure::Failure;
use super::{explain, filter};
use crate::grpc::wire;

use feed::{Feed, Verdict};

/// The first pause before connecting again, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Snapshots in a row that do not agree with the hub's digest, after which something is broken that a snapshot cannot mend.
const SNAPSHOTS_MAX: u32 = 3;

/// Print what you may see, then each change as it happens, one JSON object a line
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:\n  clearinghouse subscribe --filter 'kind:domain confidence>=70' --cursor-file feed.cursor\n  \
clearinghouse subscribe --until-live | jq -r 'select(.type==\"upsert\").indicator.observable.value'\n\n\
Lines: upsert (\"indicator\"), remove (\"id\", \"reason\"), live, digest (\"count\", \"hash\", \"verified\"), each with \"cursor\".\n\
Delivery is at least once: apply upsert and remove by id.\n\n{}", filter::HELP))]
pub struct Subscribe {
    /// Which indicators
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Resume where this file says, and keep it up to date; FILE.mirror beside it serves to check digests
    #[arg(long, value_name = "FILE")]
    cursor_file: Option<PathBuf>,
    /// End once everything visible now is printed
    #[arg(long)]
    until_live: bool,
    /// Exit with 1 when the hub's digest and the own mirror disagree, instead of taking a snapshot
    #[arg(long)]
    check: bool,
    /// Make the subscription durable under this name: recalls are tracked until it confirms them
    #[arg(long, default_value = "")]
    name: String,
}

/// How a stream came to its end.
enum End {
    /// Everything asked for is printed, or the person said stop.
    Done,
    /// The connection broke, or the hub asked to come back.
    Lost(String),
    /// The cursor or the mirror is of no use any more.
    Snapshot(String),
}

impl Subscribe {
    /// Runs it.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let connection = context.connect().await?;
        let mut feed = Feed::open(
            connection.clone(),
            self.cursor_file.as_deref(),
            self.name.clone(),
            context.output,
        )
        .await?;
        let filter = filter::read(self.filter.as_deref(), feed.directory())?;
        let mut stop = Stop::new()?;
        let (mut pause, mut snapshots) = (PAUSE_MIN, 0);
        loop {
            let before = feed.messages();
            let end = self.follow(&connection, &filter, &mut feed, &mut stop).await?;
            if feed.messages() > before {
                pause = PAUSE_MIN;
            }
            match end {
                End::Done => return Ok(()),
                End::Lost(reason) if self.until_live => return Err(Failure::Failed(reason)),
                // Once for each outage, however long it takes.
                End::Lost(reason) if feed.was_connected() => {
                    context.output.note(&format!("{reason}; connecting again"))
                }
                End::Lost(_) => {}
                End::Snapshot(reason) => {
                    snapshots = if feed.has_agreed() { 1 } else { snapshots + 1 };
                    if snapshots > SNAPSHOTS_MAX {
                        return Err(Failure::Failed(format!(
                            "{reason}; {SNAPSHOTS_MAX} snapshots did not mend it"
                        )));
                    }
                    context.output.note(&format!("{reason}; taking a snapshot"));
                    feed.start_over();
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                () = stop.asked() => return Ok(()),
            }
        }
    }

    /// Follows one stream to its end.
    async fn follow(
        &self,
        connection: &Connection,
        filter: &wire::Filter,
        feed: &mut Feed,
        stop: &mut Stop,
    ) -> Result<End, Failure> {
        let request = wire::SubscribeRequest {
            filter: Some(filter.clone()),
            cursor: feed.cursor().to_vec(),
            name: self.name.clone(),
            until_live: self.until_live,
        };
        let mut stream = match connection.feeds().subscribe(Request::new(request)).await {
            Ok(response) => response.into_inner(),
            Err(status) => return of_status(connection, status, feed),
        };
        feed.connected();
        loop {
            let next = tokio::select! {
                biased;
                () = stop.asked() => {
                    feed.flush_and_acknowledge().await?;
                    return Ok(End::Done);
                }
                next = next_or_flush(&mut stream, feed) => next?,
            };
            let response = match next {
                Ok(Some(response)) => response,
                Ok(None) if self.until_live && feed.is_live() => {
                    feed.flush_and_acknowledge().await?;
                    return Ok(End::Done);
                }
                Ok(None) => {
                    feed.flush_and_acknowledge().await?;
                    return Ok(End::Lost("the hub ended the stream".to_owned()));
                }
                Err(status) => {
                    feed.flush_and_acknowledge().await?;
                    return of_status(connection, status, feed);
                }
            };
            match feed.apply(response).await? {
                Verdict::Fine => {}
                Verdict::Disagrees(reason) if self.check => {
                    feed.flush_and_acknowledge().await?;
                    return Err(Failure::Failed(reason));
                }
                Verdict::Disagrees(reason) => return Ok(End::Snapshot(reason)),
            }
        }
    }
}

/// The next message. Before waiting for one that is not here yet, the lines go out and the cursor is stored: so a replay is not
/// slowed by a sync for each batch, and a live tail is never behind.
async fn next_or_flush(
    stream: &mut Streaming<wire::SubscribeResponse>,
    feed: &mut Feed,
) -> Result<Result<Option<wire::SubscribeResponse>, Status>, Failure> {
    tokio::select! {
        biased;
        message = stream.message() => return Ok(message),
        () = std::future::ready(()) => feed.flush_and_acknowledge().await?,
    }
    Ok(stream.message().await)
}

/// What a failed stream means.
fn of_status(connection: &Connection, status: Status, feed: &Feed) -> Result<End, Failure> {
    if explain::refuses_cursor(&status) && !feed.cursor().is_empty() {
        return Ok(End::Snapshot(format!(
            "the hub cannot serve this cursor ({})",
            super::output::plain(status.message())
        )));
    }
    match explain::is_transient(&status) {
        true => Ok(End::Lost(connection.failure(status).to_string())),
        false => Err(connection.failure(status)),
    }
}

/// SIGINT and SIGTERM: the lines that are out and the cursor agree before the program ends.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Stop, Failure> {
        let on = |kind| signal(kind).map_err(|error| Failure::of("cannot listen for signals", error));
        Ok(Stop {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
