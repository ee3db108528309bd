//! Sends items in batches, several at a time, through restarts of the hub. A request that got no answer is sent again with the
//! same request ids, so that the hub gives the first answer again and nothing is published or counted twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use prost::Message;
use tokio::task::JoinSet;

use super::Tally;
use super::plan::PlannedItem;
use crate::cli::connection::{Connection, call};
use crate::cli::failure::Failure;
use crate::cli::{explain, outcome};
use crate::grpc::wire;
use crate::grpc::wire::publish_result::Outcome;

/// Items in one request.
const BATCH_ITEMS_MAX: usize = 500;
/// Encoded length of one request, below the 4 MiB that a hub reads.
const BATCH_BYTES_MAX: usize = 2 << 20;
/// Requests that await their answers.
const IN_FLIGHT_MAX: usize = 4;
/// The first pause before a request is sent again, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What a hub may ask for at least and at most: neither a busy loop nor a wait without end.
const WAIT_MIN: Duration = Duration::from_millis(10);
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Where items go.
pub struct Sender {
    target: Target,
    batch: Vec<PlannedItem>,
    batch_bytes: usize,
    in_flight: JoinSet<Result<Answered, Failure>>,
    progress: ProgressBar,
}

enum Target {
    Hub(Delivery),
    /// Nowhere: what was seen already is counted as the hub would.
    Dry(HashSet<(i32, String, String)>),
}

type Answered = Vec<(PlannedItem, Outcome)>;

impl Sender {
    /// Sends to a hub, giving up when it took nothing for as long as `patience`.
    pub fn new(connection: Connection, patience: Duration) -> Sender {
        let clock = Arc::new(Progress {
            start: Instant::now(),
            last_ms: AtomicU64::new(0),
        });
        Sender::to(Target::Hub(Delivery {
            connection,
            patience,
            clock,
        }))
    }

    /// Sends nowhere.
    pub fn dry() -> Sender {
        Sender::to(Target::Dry(HashSet::new()))
    }

    fn to(target: Target) -> Sender {
        // Hidden by itself where stderr is no terminal.
        let progress = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {msg}") {
            progress.set_style(style);
        }
        Sender {
            target,
            batch: Vec::new(),
            batch_bytes: 0,
            in_flight: JoinSet::new(),
            progress,
        }
    }

    /// That many more items will come.
    pub fn announce(&self, items: usize) {
        self.progress.inc_length(items as u64);
    }

    /// Takes an item, and sends a batch when it is full.
    pub async fn push(&mut self, item: PlannedItem, tally: &mut Tally) -> Result<(), Failure> {
        if let Target::Dry(seen) = &mut self.target {
            let draft = item.item.draft.unwrap_or_default();
            match seen.insert((draft.kind, draft.raw, draft.campaign)) {
                true => tally.summary.accepted += 1,
                false => tally.summary.duplicate += 1,
            }
            self.progress.inc(1);
            return Ok(());
        }
        let bytes = item.item.encoded_len();
        if self.batch.len() >= BATCH_ITEMS_MAX || self.batch_bytes + bytes > BATCH_BYTES_MAX {
            self.send_batch(tally).await?;
        }
        self.batch_bytes += bytes;
        self.batch.push(item);
        Ok(())
    }

    /// Sends what is left and waits for all answers.
    pub async fn finish(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        self.send_batch(tally).await?;
        while !self.in_flight.is_empty() {
            self.take_answer(tally).await?;
        }
        Ok(())
    }

    /// After a failure: waits for the requests under way, so that what the hub did take is counted.
    pub async fn drain(&mut self, tally: &mut Tally) {
        while !self.in_flight.is_empty() {
            // The first failure is the one to report.
            let _ = self.take_answer(tally).await;
        }
    }

    /// Removes the progress bar before the result is printed.
    pub fn clear_progress(&self) {
        self.progress.finish_and_clear();
    }

    async fn send_batch(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        let Target::Hub(delivery) = &self.target else {
            return Ok(());
        };
        if self.batch.is_empty() {
            return Ok(());
        }
        self.batch_bytes = 0;
        let (batch, delivery) = (std::mem::take(&mut self.batch), delivery.clone());
        let progress = self.progress.clone();
        self.in_flight
            .spawn(async move { delivery.deliver(batch, &progress).await });
        while self.in_flight.len() >= IN_FLIGHT_MAX {
            self.take_answer(tally).await?;
        }
        Ok(())
    }

    async fn take_answer(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        let answered = match self.in_flight.join_next().await {
            Some(Ok(answered)) => answered?,
            Some(Err(error)) => return Err(Failure::of("a sending task died", error)),
            None => return Ok(()),
        };
        self.progress.inc(answered.len() as u64);
        for (item, outcome) in answered {
            match outcome {
                Outcome::Accepted(accepted) => tally.summary.add_accepted(accepted.warnings),
                Outcome::Duplicate(_) => tally.summary.duplicate += 1,
                Outcome::Rejected(rejected) => {
                    let mut rejection = item.if_rejected;
                    rejection.reason = outcome::rejection_text(&rejected);
                    tally.reject(rejection);
                }
            }
        }
        Ok(())
    }
}

/// When the hub last took something, shared by all requests: as long as one gets through, the others keep trying.
struct Progress {
    start: Instant,
    last_ms: AtomicU64,
}

impl Progress {
    fn note(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.fetch_max(now, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        self.start
            .elapsed()
            .saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }
}

#[derive(Clone)]
struct Delivery {
    connection: Connection,
    patience: Duration,
    clock: Arc<Progress>,
}

impl Delivery {
    /// Sends a batch until each item has its final outcome.
    async fn deliver(&self, batch: Vec<PlannedItem>, progress: &ProgressBar) -> Result<Answered, Failure> {
        let (mut waiting, mut answered) = (batch, Vec::new());
        let mut pause = PAUSE_MIN;
        loop {
            let items = waiting.iter().map(|planned| planned.item.clone()).collect();
            let response = self
                .connection
                .publishing()
                .publish(call(wire::PublishRequest { items }))
                .await;
            let wait = match response {
                Ok(response) => {
                    let results = response.into_inner().results;
                    let before = answered.len();
                    let (later, wait) = sort(waiting, results, &mut answered)?;
                    waiting = later;
                    if waiting.is_empty() {
                        self.clock.note();
                        progress.set_message("");
                        return Ok(answered);
                    }
                    if answered.len() > before {
                        self.clock.note();
                    }
                    wait
                }
                Err(status) if explain::is_transient(&status) && self.clock.idle() < self.patience => {
                    progress.set_message("waiting for the hub");
                    explain::retry_after_ms(&status).map_or(pause, Duration::from_millis)
                }
                Err(status) => return Err(self.connection.failure(status)),
            };
            if self.clock.idle() >= self.patience {
                return Err(Failure::Failed(format!(
                    "the hub took nothing for {} s",
                    self.patience.as_secs()
                )));
            }
            tokio::time::sleep(wait.clamp(WAIT_MIN, WAIT_MAX)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// Puts the final outcomes aside; gives back what the hub wants later, and how long it wants to wait.
fn sort(
    sent: Vec<PlannedItem>,
    results: Vec<wire::PublishResult>,
    answered: &mut Answered,
) -> Result<(Vec<PlannedItem>, Duration), Failure> {
    if results.len() != sent.len() {
        return Err(Failure::Failed(format!(
            "the hub answered {} of {} items",
            results.len(),
            sent.len()
        )));
    }
    let (mut later, mut wait_ms) = (Vec::new(), 0);
    for (item, result) in sent.into_iter().zip(results) {
        match outcome::of(result)? {
            Outcome::Rejected(rejected) if rejected.retry_after_ms > 0 => {
                wait_ms = wait_ms.max(rejected.retry_after_ms);
                later.push(item);
            }
            outcome => answered.push((item, outcome)),
        }
    }
    Ok((later, Duration::from_millis(wait_ms.into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::import::rejects::Rejection;

    fn planned(request_id: &str) -> PlannedItem {
        let if_rejected = Rejection {
            file: String::new(),
            line: None,
            record: 0,
            class: "indicator",
            reason: String::new(),
            raw: String::new(),
        };
        PlannedItem {
            item: wire::PublishItem {
                request_id: request_id.into(),
                draft: None,
            },
            if_rejected,
        }
    }

    fn result(outcome: Outcome) -> wire::PublishResult {
        wire::PublishResult { outcome: Some(outcome) }
    }

    fn rejected(retry_after_ms: u32) -> wire::PublishResult {
        result(Outcome::Rejected(wire::Rejected {
            retry_after_ms,
            ..Default::default()
        }))
    }

    #[test]
    fn what_may_pass_later_is_kept_and_the_longest_wait_holds() {
        let mut answered = Vec::new();
        let results = vec![
            rejected(0),
            rejected(200),
            result(Outcome::Accepted(wire::Accepted::default())),
            rejected(700),
        ];
        let sent = ["a", "b", "c", "d"].map(planned).into_iter().collect();
        let (later, wait) = sort(sent, results, &mut answered).unwrap();
        let ids: Vec<&str> = later.iter().map(|item| item.item.request_id.as_str()).collect();
        assert_eq!((ids, wait), (vec!["b", "d"], Duration::from_millis(700)));
        assert_eq!(answered.len(), 2);
    }

    #[test]
    fn a_hub_that_answers_fewer_items_is_not_believed() {
        assert!(sort(vec![planned("a")], Vec::new(), &mut Vec::new()).is_err());
        assert!(
            sort(
                vec![planned("a")],
                vec![wire::PublishResult { outcome: None }],
                &mut Vec::new()
            )
            .is_err()
        );
    }
}
