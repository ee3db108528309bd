//! `bench publish`: indicators that nobody has published before, each acknowledged when it is on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::{Args, ValueEnum};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::drafts::{Drafts, Request};
use super::drive::{Caller, Run, Turns};
use super::load::Load;
use super::report::{Report, Row, Shape};
use super::tally::{Done, Tally};
use super::thin::Client;
use super::{Bench, Clients, batch_size, pace, rate};
use crate::cli::failure::Failure;

/// Messages of one stream that may await their answer, as the API bounds it.
const UNANSWERED_MAX: usize = 64;

/// How indicators are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Mode {
    /// One a call.
    Unary,
    /// Many a call.
    Batch,
    /// A stream of messages of one indicator, up to 64 unanswered.
    Stream,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Unary => "unary",
            Mode::Batch => "batch",
            Mode::Stream => "stream",
        }
    }
}

/// Publish indicators as fast as the hub takes them, or at a fixed rate
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse bench publish --mode batch --clients 8 --profile agora\n  \
clearinghouse bench publish --mode unary --clients 64 --rate 5000 --seconds 10 --json --profile agora"
)]
pub struct Publish {
    /// How to send them
    #[arg(long, value_enum, default_value = "batch")]
    pub mode: Mode,
    #[command(flatten)]
    pub clients: Clients,
    /// Indicators in a call; in a stream, in a message [default: 128 for batch, 1 otherwise]
    #[arg(long, value_parser = batch_size())]
    pub batch: Option<usize>,
    /// Offer so many indicators a second, whatever the hub does, and count latency from when each was due
    #[arg(long, value_name = "PER_SECOND", value_parser = rate())]
    pub rate: Option<f64>,
}

impl Publish {
    /// Runs it.
    pub async fn run(&self, bench: &Bench, report: &mut Report<'_>) -> Result<(), Failure> {
        let batch = match self.mode {
            Mode::Unary if self.batch.is_some_and(|batch| batch != 1) => {
                return Err(Failure::Usage(
                    "--mode unary sends one indicator a call: leave out --batch".into(),
                ));
            }
            Mode::Unary => 1,
            Mode::Batch => self.batch.unwrap_or(128),
            Mode::Stream => self.batch.unwrap_or(1),
        };
        let clients = bench
            .target
            .clients(self.clients.clients, self.clients.connections())
            .await?;
        let (seed, source) = bench.fresh_source();
        let pace = pace(self.rate, batch);
        let mut run = Run::new(bench.plan);
        match self.mode {
            Mode::Unary | Mode::Batch => {
                let callers = clients.into_iter().map(|client| Publisher {
                    client,
                    source: source.clone(),
                    batch,
                });
                run.add_callers(callers.collect(), pace);
            }
            Mode::Stream => {
                let mut clients = clients.into_iter();
                run.add_workers(self.clients.clients, pace, |turns, tally| {
                    let client = clients.next();
                    let source = source.clone();
                    async move {
                        match client {
                            Some(client) => stream(client, source, batch, turns, tally).await,
                            None => tally,
                        }
                    }
                });
            }
        }
        let measured = run.measure(bench.target.server()).await?;
        let shape = Shape {
            bench: "publish",
            mode: self.mode.name(),
            clients: self.clients.clients,
            connections: self.clients.connections(),
            batch,
            offered_per_s: self.rate,
            seed,
            notes: Vec::new(),
        };
        for (tally, counted) in measured.parts {
            report.push(Row::new(shape.clone(), tally, counted, measured.usage.clone()))?;
        }
        Ok(())
    }
}

/// Drafts that no two publishers of a run share.
#[derive(Clone)]
pub struct Source {
    drafts: Drafts,
    next: Arc<AtomicU64>,
    end: u64,
}

impl Source {
    /// The first drafts of a load, `count` of them.
    pub fn of_first(load: Load, count: u64) -> Source {
        Source {
            drafts: Drafts::of(load),
            next: Arc::default(),
            end: count,
        }
    }

    /// A request with the next drafts; none when all are taken.
    pub fn take(&mut self, count: usize) -> Option<Request> {
        let from = self.next.fetch_add(count as u64, Ordering::Relaxed);
        let to = self.end.min(from.saturating_add(count as u64));
        (from < to).then(|| self.drafts.request(from..to))
    }
}

/// Publishes call by call.
pub struct Publisher {
    /// Over which.
    pub client: Client,
    /// What.
    pub source: Source,
    /// How many a call.
    pub batch: usize,
}

impl Caller for Publisher {
    type Prepared = Request;

    fn prepare(&mut self) -> Option<Request> {
        self.source.take(self.batch)
    }

    async fn call(&mut self, request: Request, due: Instant) -> Result<Done, Status> {
        Ok(self.client.publish(request.stamped(due)).await?.done())
    }
}

/// Publishes over one stream: messages go out while earlier ones await their answer, which comes in their order.
async fn stream(mut client: Client, mut source: Source, batch: usize, mut turns: Turns, mut tally: Tally) -> Tally {
    let (requests, outgoing) = mpsc::channel(1);
    let (sent, mut awaited) = mpsc::channel::<Instant>(UNANSWERED_MAX);
    let sending = tokio::spawn(async move {
        while let Some(request) = source.take(batch) {
            let Some(due) = turns.next().await else { return };
            // Room among the unanswered comes first: at a closed pace that is what sets it.
            if sent.send(due).await.is_err() || requests.send(request.stamped(due)).await.is_err() {
                return;
            }
        }
    });
    let mut answers = match client.publish_stream(ReceiverStream::new(outgoing)).await {
        Ok(answers) => answers,
        Err(status) => {
            tally.record(Instant::now(), Err(status));
            sending.abort();
            return tally;
        }
    };
    loop {
        let answer = answers.message().await;
        // A message is sent after its moment was noted: the first moment that waits is that of the first answer.
        let due = awaited.try_recv().unwrap_or_else(|_| Instant::now());
        match answer {
            Ok(Some(published)) => tally.record(due, Ok(published.done())),
            Ok(None) => break,
            Err(status) => {
                tally.record(due, Err(status));
                break;
            }
        }
    }
    sending.abort();
    tally
}
