//! A live subscriber of the demo: keeps a mirror, and lets others wait until it holds something. It waits on events, never on
//! the clock.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::Request;

use crate::cli::connection::Connection;
use crate::cli::failure::Failure;
use crate::grpc::wire;

/// How long an expected change may take. It takes milliseconds; the rest is for busy machines.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// What a subscriber has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Campaign by indicator's id.
    pub mirror: BTreeMap<String, String>,
    /// Upserts received in all.
    pub upserts: usize,
    /// Removals received, with their reasons.
    pub removals: Vec<(String, i32)>,
    /// Where it stands.
    pub cursor: Vec<u8>,
    /// Whether the mirror equals what a query would return.
    pub is_live: bool,
    /// Why the stream ended, if it did.
    pub end: Option<String>,
}

impl Seen {
    /// How many indicators of a campaign are in the mirror.
    pub fn count(&self, campaign: &str) -> usize {
        self.mirror.values().filter(|other| *other == campaign).count()
    }

    fn apply(&mut self, response: wire::SubscribeResponse) {
        let wire::SubscribeResponse {
            upserts,
            removals,
            cursor,
            live,
            digest: _,
        } = response;
        self.upserts += upserts.len();
        for indicator in upserts {
            self.mirror.insert(indicator.id, indicator.campaign);
        }
        for removal in removals {
            self.mirror.remove(&removal.id);
            self.removals.push((removal.id, removal.reason));
        }
        self.cursor = cursor;
        self.is_live = live;
    }
}

/// A subscriber at work.
pub struct Watcher {
    task: JoinHandle<()>,
    seen: watch::Receiver<Seen>,
}

impl Watcher {
    /// Subscribes, from `before` on, and waits until the mirror is whole.
    pub async fn start(connection: &Connection, before: Seen) -> Result<Watcher, Failure> {
        let request = wire::SubscribeRequest {
            cursor: before.cursor.clone(),
            name: "demo".to_owned(),
            ..Default::default()
        };
        let response = connection.feeds().subscribe(Request::new(request)).await;
        let mut stream = response.map_err(|status| connection.failure(status))?.into_inner();
        let (tell, seen) = watch::channel(Seen {
            is_live: false,
            ..before
        });
        let connection = connection.clone();
        let task = tokio::spawn(async move {
            loop {
                let end = match stream.message().await {
                    Ok(Some(response)) => {
                        tell.send_modify(|seen| seen.apply(response));
                        continue;
                    }
                    Ok(None) => "the stream ended".to_owned(),
                    Err(status) => connection.failure(status).to_string(),
                };
                tell.send_modify(|seen| seen.end = Some(end));
                return;
            }
        });
        let mut watcher = Watcher { task, seen };
        watcher.until("everything visible", |seen| seen.is_live).await?;
        Ok(watcher)
    }

    /// Waits until `holds`.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Seen) -> bool) -> Result<Seen, Failure> {
        let wait = self.seen.wait_for(|seen| seen.end.is_some() || holds(seen));
        let seen = match tokio::time::timeout(WAIT_MAX, wait).await {
            Ok(Ok(seen)) => seen.clone(),
            Ok(Err(_)) => return Err(Failure::Failed(format!("the subscriber ended before it saw {what}"))),
            Err(_) => {
                return Err(Failure::Failed(format!(
                    "{what} did not arrive within {} s",
                    WAIT_MAX.as_secs()
                )));
            }
        };
        match (holds(&seen), &seen.end) {
            (true, _) => Ok(seen),
            (false, end) => Err(Failure::Failed(format!(
                "{what} did not arrive: {}",
                end.clone().unwrap_or_default()
            ))),
        }
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Cuts the stream, as a crash would, and gives what a subscriber would have on disk.
    pub async fn cut(mut self) -> Seen {
        self.task.abort();
        // It was told to end: how it ended is of no interest.
        let _ = (&mut self.task).await;
        self.seen.borrow().clone()
    }
}

impl Drop for Watcher {
    /// A task does not end by itself when its handle goes, and an open stream would hold up the hub's stop.
    fn drop(&mut self) {
        self.task.abort();
    }
}
