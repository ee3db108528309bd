//! `bench mixed`: publishing, look-up and live feeds at the same time, as a hub at work has them. One row for each; the cost is that of
//! all items together.

use std::time::Duration;

use clap::Args;

use super::chance::Chance;
use super::drive::{Plan, Run};
use super::fanout::{Class, add_subscribers, failed};
use super::lookup::Asker;
use super::publish::Publisher;
use super::report::{Report, Row, Shape};
use super::{Bench, SUBSCRIBERS_MAX, batch_size, count, pace, rate};
use crate::cli::failure::Failure;
use crate::grpc::wire;

/// Publish, look up and deliver at the same time
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  clearinghouse bench mixed --publish-rate 5000 --lookup-rate 5000 --subscribers 10 --profile agora"
)]
pub struct Mixed {
    /// Clients that publish
    #[arg(long, default_value = "4", value_parser = count(256))]
    pub publishers: usize,
    /// Indicators in a call
    #[arg(long, default_value = "16", value_parser = batch_size())]
    pub batch: usize,
    /// Offer so many indicators a second
    #[arg(long, value_name = "PER_SECOND", value_parser = rate())]
    pub publish_rate: Option<f64>,
    /// Clients that look up, one value a call
    #[arg(long, default_value = "8", value_parser = count(256))]
    pub askers: usize,
    /// Ask for so many values a second
    #[arg(long, value_name = "PER_SECOND", value_parser = rate())]
    pub lookup_rate: Option<f64>,
    /// Feeds
    #[arg(long, default_value = "4", value_parser = count(SUBSCRIBERS_MAX))]
    pub subscribers: usize,
    /// Ask for values among so many of this seed, published first where they are not
    #[arg(long, default_value = "100000", value_parser = clap::value_parser!(u64).range(1..))]
    pub items: u64,
}

impl Mixed {
    /// Runs it.
    pub async fn run(&self, bench: &Bench, report: &mut Report<'_>) -> Result<(), Failure> {
        let known_seed = bench.filled(self.items).await?;
        let (seed, source) = bench.fresh_source();
        let publishers = bench.target.clients(self.publishers, self.publishers).await?;
        let askers = bench.target.clients(self.askers, self.askers).await?;
        let mut run = Run::new(Plan {
            warmup: Duration::ZERO,
            ..bench.plan
        });
        let subscribers = bench.target.clients(self.subscribers, self.subscribers).await?;
        let mut feeds = Vec::with_capacity(self.subscribers);
        let mut class = Class::new(subscribers, wire::Filter::default());
        class.open(&mut feeds).await.map_err(failed)?;
        add_subscribers(&mut run, feeds);
        run.course().begin();
        let batch = self.batch;
        let publishers = publishers.into_iter().map(|client| Publisher {
            client,
            source: source.clone(),
            batch,
        });
        run.add_callers(publishers.collect(), pace(self.publish_rate, batch));
        let askers = askers.into_iter().zip(seed..).map(|(client, chance)| Asker {
            client,
            load: bench.target.load(known_seed),
            chance: Chance::new(chance),
            known: self.items,
            hits: 50,
            batch: 1,
        });
        run.add_callers(askers.collect(), pace(self.lookup_rate, 1));
        let measured = run.measure(bench.target.server()).await?;
        let items_of_all = measured.parts.iter().map(|(tally, _)| tally.done.items).sum();
        let shapes = [
            ("deliver", self.subscribers, 1, None),
            ("publish", self.publishers, batch, self.publish_rate),
            ("lookup", self.askers, 1, self.lookup_rate),
        ];
        for ((tally, counted), (mode, clients, batch, offered_per_s)) in measured.parts.into_iter().zip(shapes) {
            let shape = Shape {
                bench: "mixed",
                mode,
                clients,
                connections: clients,
                batch,
                offered_per_s,
                seed,
                notes: Vec::new(),
            };
            report.push(Row::of_part(
                shape,
                tally,
                counted,
                measured.usage.clone(),
                items_of_all,
            ))?;
        }
        Ok(())
    }
}
