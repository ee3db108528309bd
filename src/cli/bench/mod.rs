//! `bench`: loads a running hub and says what it gave and what it cost. Every client is a real one (mutual TLS, gRPC, its own
//! connection unless told otherwise) in this process. Owns the flags that all benches share; refuses to load a hub that is not on this
//! machine unless told so, and to run without an end.

mod chance;
mod drafts;
mod load;
mod meter;
mod pictures;
mod thin;

mod tally;

mod drive;
mod report;
mod target;

mod publish;

mod fanout;
mod idle;
mod lookup;
mod replay;
mod similarity;

mod mixed;

mod all;
mod fill;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::connection::Context;
use super::failure::Failure;
use drive::Plan;
use publish::Source;
use report::Report;
use tally::Pace;
use target::Target;

/// Most clients of one run.
const CLIENTS_MAX: u64 = 4_096;

/// Most feeds of one run.
const SUBSCRIBERS_MAX: u64 = 20_000;

/// Most items in a call, as the API bounds it.
const BATCH_MAX: u64 = 1_000;

/// Longest run, in seconds.
const SECONDS_MAX: f64 = 3_600.0;

/// Most items a second that can be offered.
const RATE_MAX: f64 = 10_000_000.0;

/// Load a running hub; print its rate, latency, and processor time per item
///
/// The profile's agent needs the roles publisher and subscriber. What is published stays in the hub's log: use a hub made for it.
#[derive(Args, Debug)]
#[command(subcommand_required = true)]
pub struct BenchCommand {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    bench: Which,
}

/// What all benches share.
#[derive(Args, Clone, Debug)]
struct Settings {
    /// Seconds that are counted
    #[arg(long, global = true, default_value = "5", value_parser = seconds(0.1))]
    seconds: f64,
    /// Seconds before that, in which connections open and caches fill
    #[arg(long, global = true, default_value = "1", value_parser = seconds(0.0))]
    warmup: f64,
    /// Threads of the clients
    #[arg(long, global = true, default_value = "2", value_parser = count(64))]
    threads: usize,
    /// Process of the hub, where it is not the one that listens at the profile's address on this machine
    #[arg(long, global = true, value_name = "PID")]
    server_pid: Option<u32>,
    /// Of what the indicators are made: the same seed gives the same ones [default: another each time]
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Load a hub that is not on this machine. Its log keeps what a bench publishes
    #[arg(long, global = true)]
    yes_this_hub: bool,
}

#[derive(Subcommand, Debug)]
enum Which {
    Publish(publish::Publish),
    Fanout(fanout::Fanout),
    Idle(idle::Idle),
    Replay(replay::Replay),
    Lookup(lookup::Lookup),
    Similarity(similarity::Similarity),
    Mixed(mixed::Mixed),
    All(all::All),
}

/// How many clients, over how many connections.
#[derive(Args, Clone, Copy, Debug)]
pub struct Clients {
    /// Clients at the same time
    #[arg(long, default_value = "8", value_parser = count(CLIENTS_MAX))]
    pub clients: usize,
    /// Connections that they share [default: one each]
    #[arg(long, value_parser = count(CLIENTS_MAX))]
    pub connections: Option<usize>,
}

impl Clients {
    /// Connections.
    pub fn connections(&self) -> usize {
        self.connections.unwrap_or(self.clients).min(self.clients)
    }
}

impl BenchCommand {
    /// Runs it, in a runtime of the clients' own size.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.settings.threads)
            .enable_all()
            .build()
            .map_err(|error| Failure::of("cannot start", error))?;
        // Spawned, so that the work is done by the runtime's threads and not by this one beside them.
        let context = context.clone();
        let running = runtime.spawn(async move { self.run_all(&context).await });
        match runtime.block_on(running) {
            Ok(result) => result,
            Err(error) => Err(Failure::of("the bench died", error)),
        }
    }

    async fn run_all(self, context: &Context) -> Result<(), Failure> {
        let bench = Bench::new(&self.settings, context).await?;
        let mut report = Report::new(context);
        match &self.bench {
            Which::Publish(publish) => publish.run(&bench, &mut report).await?,
            Which::Fanout(fanout) => fanout.run(&bench, &mut report).await?,
            Which::Idle(idle) => idle.run(&bench, &mut report).await?,
            Which::Replay(replay) => replay.run(&bench, &mut report).await?,
            Which::Lookup(lookup) => lookup.run(&bench, &mut report).await?,
            Which::Similarity(similarity) => similarity.run(&bench, &mut report).await?,
            Which::Mixed(mixed) => mixed.run(&bench, &mut report).await?,
            Which::All(all) => all.run(&bench, &mut report).await?,
        }
        report.finish()
    }
}

/// What every bench is given.
pub struct Bench {
    target: Target,
    plan: Plan,
    seed: u64,
    runs: AtomicU64,
}

impl Bench {
    async fn new(settings: &Settings, context: &Context) -> Result<Bench, Failure> {
        let target = Target::of(context, settings.server_pid, settings.yes_this_hub).await?;
        Ok(Bench {
            target,
            plan: Plan {
                warmup: Duration::from_secs_f64(settings.warmup),
                length: Duration::from_secs_f64(settings.seconds),
            },
            seed: settings.seed.unwrap_or_else(another_seed),
            runs: AtomicU64::new(0),
        })
    }

    /// Drafts that no earlier run of this bench published, and their seed.
    fn fresh_source(&self) -> (u64, Source) {
        self.fresh_source_of(u64::MAX)
    }

    /// At most `count` such drafts.
    fn fresh_source_of(&self, count: u64) -> (u64, Source) {
        // The seed itself is that of what the hub is filled with.
        let seed = self.seed.wrapping_add(1 + self.runs.fetch_add(1, Ordering::Relaxed));
        (seed, Source::of_first(self.target.load(seed), count))
    }

    /// Makes sure that the hub holds the first `count` drafts of the seed, which is returned.
    async fn filled(&self, count: u64) -> Result<u64, Failure> {
        fill::fill(&self.target, &self.target.load(self.seed), count).await?;
        Ok(self.seed)
    }
}

/// An open pace where a rate of items is given.
fn pace(items_per_second: Option<f64>, batch: usize) -> Pace {
    items_per_second.map_or(Pace::Closed, |rate| Pace::Open(rate / batch as f64))
}

/// The time is enough: the seed has to differ, not to be secret.
fn another_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Few enough digits that JSON keeps them all.
    u64::try_from(since.as_micros()).unwrap_or_default() % 1_000_000_000_000
}

fn count(max: u64) -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=max)
}

/// Items in a call.
fn batch_size() -> impl TypedValueParser<Value = usize> {
    count(BATCH_MAX)
}

fn seconds(min: f64) -> impl TypedValueParser<Value = f64> {
    number_within(min..=SECONDS_MAX)
}

/// Items a second.
fn rate() -> impl TypedValueParser<Value = f64> {
    number_within(0.1..=RATE_MAX)
}

fn number_within(range: RangeInclusive<f64>) -> impl TypedValueParser<Value = f64> {
    clap::builder::StringValueParser::new().try_map(move |text| match text.parse::<f64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("must be a number from {} to {}", range.start(), range.end())),
    })
}
