//! `bench fanout`: feeds that are live while indicators are published. Subscribers are spread over profiles and filters in turn,
//! so that rights and filters are mixed. Afterwards each is held against a catch-up from where it began: what it got live must be
//! as many as a late-comer gets.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use prost::bytes::Bytes;
use serde_json::json;
use tonic::Streaming;

use super::drive::{Plan, Run};
use super::publish::Publisher;
use super::report::{Report, Row, Shape};
use super::tally::{Course, Pace, Tally};
use super::thin::{Changes, Client};
use super::{Bench, SUBSCRIBERS_MAX, batch_size, count, pace, rate};
use crate::cli::failure::Failure;
use crate::cli::profile::Profile;
use crate::grpc::wire;

/// A subscriber that got nothing for so long after the last publication has all that will come.
const QUIET: Duration = Duration::from_secs(2);

/// Deliver what is published to live subscribers
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse bench fanout --subscribers 100 --items 8000 --profile agora\n  \
clearinghouse bench fanout --subscribers 10 --rate 1000 --batch 1 --profile agora \\\n    \
--subscriber-profile feeds/a --subscriber-profile feeds/b --filter '' --filter 'kind:domain confidence>=70'"
)]
pub struct Fanout {
    /// Feeds open at the same time, each over a connection of its own
    #[arg(long, default_value = "10", value_parser = count(SUBSCRIBERS_MAX))]
    pub subscribers: usize,
    /// Clients that publish
    #[arg(long, default_value = "8", value_parser = count(256))]
    pub publishers: usize,
    /// Indicators in a call
    #[arg(long, default_value = "128", value_parser = batch_size())]
    pub batch: usize,
    /// Publish so many and no more; without it, for as many seconds as the run has
    #[arg(long)]
    pub items: Option<u64>,
    /// Offer so many indicators a second
    #[arg(long, value_name = "PER_SECOND", value_parser = rate())]
    pub rate: Option<f64>,
    /// Profiles that subscribe, in turn [default: the one that publishes]
    #[arg(long, value_name = "DIR")]
    pub subscriber_profile: Vec<PathBuf>,
    /// Filters of the feeds, in turn
    #[arg(long, value_name = "EXPR")]
    pub filter: Vec<String>,
}

impl Fanout {
    /// Runs it.
    pub async fn run(&self, bench: &Bench, report: &mut Report<'_>) -> Result<(), Failure> {
        let mut classes = self.classes(bench).await?;
        let (seed, source) = match self.items {
            Some(items) => bench.fresh_source_of(items),
            None => bench.fresh_source(),
        };
        let publishers = bench.target.clients(self.publishers, self.publishers).await?;
        // Nothing is discarded as warm-up: what is published in it would be delivered later, and cost.
        let mut run = Run::new(Plan {
            warmup: Duration::ZERO,
            ..bench.plan
        });
        let mut feeds = Vec::with_capacity(self.subscribers);
        for class in &mut classes {
            class.open(&mut feeds).await.map_err(failed)?;
        }
        add_subscribers(&mut run, feeds);
        run.course().begin();
        let batch = self.batch;
        let publishers = publishers.into_iter().map(|client| Publisher {
            client,
            source: source.clone(),
            batch,
        });
        run.add_callers(publishers.collect(), pace(self.rate, self.batch));
        let mut measured = run.measure(bench.target.server()).await?;
        let (published, published_for) = measured.parts.remove(1);
        let (mut delivered, counted) = measured.parts.remove(0);
        delivered.done.wrong = self.missing(&mut classes, delivered.done.items).await?;
        delivered.failures += published.failures;
        delivered.missed += published.missed;
        delivered.done.duplicates += published.done.duplicates;
        delivered.done.rejected += published.done.rejected;
        delivered.last_failure = delivered.last_failure.or(published.last_failure);
        let shape = Shape {
            bench: "fanout",
            mode: if self.rate.is_some() { "paced" } else { "full" },
            clients: self.subscribers,
            connections: self.subscribers + self.publishers,
            batch: self.batch,
            offered_per_s: self.rate,
            seed,
            notes: vec![
                ("published", json!(published.done.items)),
                (
                    "published_per_s",
                    json!((published.done.items as f64 / published_for.as_secs_f64()).round()),
                ),
                ("publishers", json!(self.publishers)),
                ("rights_and_filters", json!(classes.len())),
            ],
        };
        report.push(Row::new(shape, delivered, counted, measured.usage))
    }

    /// The profiles with the filters, each with as many clients as it has subscribers.
    async fn classes(&self, bench: &Bench) -> Result<Vec<Class>, Failure> {
        let own = [bench.target.profile_dir().to_owned()];
        let profiles: &[PathBuf] = if self.subscriber_profile.is_empty() {
            &own
        } else {
            &self.subscriber_profile
        };
        let everything = [String::new()];
        let filters: &[String] = if self.filter.is_empty() {
            &everything
        } else {
            &self.filter
        };
        let count = (profiles.len() * filters.len()).min(self.subscribers);
        let mut classes = Vec::new();
        for place in 0..count {
            let profile = Profile::load(&profiles[place % profiles.len()])?;
            let filter = bench.target.filter(&filters[place / profiles.len()])?;
            let subscribers = (place..self.subscribers).step_by(count).len();
            let clients = bench.target.clients_as(&profile, subscribers, subscribers).await?;
            classes.push(Class::new(clients, filter));
        }
        Ok(classes)
    }

    /// By how much the deliveries differ from what late-comers get.
    async fn missing(&self, classes: &mut [Class], delivered: u64) -> Result<u64, Failure> {
        let mut expected = 0;
        for class in classes {
            expected += class.catch_up().await.map_err(failed)? * class.clients.len() as u64;
        }
        Ok(expected.abs_diff(delivered))
    }
}

/// Subscribers of one member with one filter, and where they stand.
pub struct Class {
    clients: Vec<Client>,
    filter: wire::Filter,
    cursor: Bytes,
}

impl Class {
    /// The subscribers of one member.
    pub fn new(clients: Vec<Client>, filter: wire::Filter) -> Class {
        Class {
            clients,
            filter,
            cursor: Bytes::new(),
        }
    }

    /// Opens all feeds where the hub stands now. One takes the snapshot; the others begin at its cursor.
    pub async fn open(&mut self, feeds: &mut Vec<Streaming<Changes>>) -> Result<(), tonic::Status> {
        self.catch_up().await?;
        for client in &mut self.clients {
            let mut feed = client
                .subscribe(subscription(&self.filter, &self.cursor, false))
                .await?;
            while let Some(changes) = feed.message().await? {
                if changes.live {
                    break;
                }
            }
            feeds.push(feed);
        }
        Ok(())
    }

    /// Reads from the cursor until live; returns how many indicators came.
    async fn catch_up(&mut self) -> Result<u64, tonic::Status> {
        let Some(client) = self.clients.first_mut() else {
            return Ok(0);
        };
        let mut feed = client.subscribe(subscription(&self.filter, &self.cursor, true)).await?;
        let mut upserts = 0;
        while let Some(changes) = feed.message().await? {
            upserts += changes.upserts;
            self.cursor = changes.cursor;
        }
        Ok(upserts)
    }
}

/// A subscription to what passes a filter. Not a durable one: of those an agent has each with one filter and one stream.
pub fn subscription(filter: &wire::Filter, cursor: &Bytes, until_live: bool) -> wire::SubscribeRequest {
    wire::SubscribeRequest {
        filter: Some(filter.clone()),
        cursor: cursor.to_vec(),
        name: String::new(),
        until_live,
    }
}

/// Lets open feeds be counted in a run.
pub fn add_subscribers(run: &mut Run, feeds: Vec<Streaming<Changes>>) {
    let course = run.course().clone();
    let mut feeds = feeds.into_iter();
    run.add_workers(feeds.len(), Pace::Arrival, |_, tally| {
        let (feed, course) = (feeds.next(), course.clone());
        async move {
            match feed {
                Some(feed) => receive(feed, &course, tally).await,
                None => tally,
            }
        }
    });
}

/// Counts what arrives, and how long indicators were under way, until all is quiet after the last publication.
async fn receive(mut feed: Streaming<Changes>, course: &Course, mut tally: Tally) -> Tally {
    loop {
        let quiet = async {
            course.answered().cancelled().await;
            tokio::time::sleep(QUIET).await;
        };
        let message = tokio::select! {
            message = feed.message() => message,
            () = quiet => return tally,
        };
        match message {
            Ok(Some(changes)) => arrived(&changes, &mut tally),
            Ok(None) => return tally,
            Err(status) => {
                tally.record(Instant::now(), Err(status));
                return tally;
            }
        }
    }
}

fn arrived(changes: &Changes, tally: &mut Tally) {
    let now = SystemTime::now();
    for sent in changes
        .sent
        .iter()
        .filter_map(|stamp| SystemTime::try_from(*stamp).ok())
    {
        // The hub keeps microseconds and the clock may be set back: what seems to come before it was sent took no time.
        tally.latency(now.duration_since(sent).unwrap_or_default());
    }
    tally.arrived(changes.upserts);
}

/// Why a feed could not be read.
pub fn failed(status: tonic::Status) -> Failure {
    Failure::Failed(format!("a feed could not be opened: {}", status.message()))
}
