//! `bench all`: the runs that a hub is judged by, one after another, each as it could be run alone.

use clap::Args;

use super::fanout::Fanout;
use super::lookup::{self, Lookup};
use super::mixed::Mixed;
use super::publish::{self, Publish};
use super::replay::Replay;
use super::report::Report;
use super::{Bench, Clients};
use crate::cli::failure::Failure;

/// Indicators that each fan-out publishes: fewer where more subscribers receive them.
const FANOUTS: [(usize, u64); 3] = [(1, 200_000), (10, 50_000), (100, 8_000)];

/// Subscribers of the fan-outs at a fixed rate, and that rate.
const PACED_SUBSCRIBERS: [usize; 2] = [10, 100];
const PACED_RATE: f64 = 1_000.0;

/// Run the whole set: publish, fan-out, replay, look-up, mixed
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  clearinghouse bench all --seconds 3 --seed 1 --json --profile agora")]
pub struct All {
    /// Indicators that the hub holds when it is read
    #[arg(long, default_value = "100000", value_parser = clap::value_parser!(u64).range(1..))]
    pub items: u64,
}

impl All {
    /// Runs it.
    pub async fn run(&self, bench: &Bench, report: &mut Report<'_>) -> Result<(), Failure> {
        self.reads(bench, report).await?;
        for (mode, counts) in [
            (publish::Mode::Unary, &[1, 64, 256][..]),
            (publish::Mode::Batch, &[1, 8]),
            (publish::Mode::Stream, &[1, 8]),
        ] {
            for clients in counts {
                let clients = Clients {
                    clients: *clients,
                    connections: None,
                };
                Publish {
                    mode,
                    clients,
                    batch: None,
                    rate: None,
                }
                .run(bench, report)
                .await?;
            }
        }
        for (subscribers, items) in FANOUTS {
            fanout(subscribers, Some(items), None).run(bench, report).await?;
        }
        for subscribers in PACED_SUBSCRIBERS {
            fanout(subscribers, None, Some(PACED_RATE)).run(bench, report).await?;
        }
        let mixed = Mixed {
            publishers: 4,
            batch: 16,
            publish_rate: None,
            askers: 8,
            lookup_rate: None,
            subscribers: 4,
            items: self.items,
        };
        mixed.run(bench, report).await
    }

    /// First, so that the hub holds what was asked for and not what the other runs left.
    async fn reads(&self, bench: &Bench, report: &mut Report<'_>) -> Result<(), Failure> {
        for filter in ["", "kind:sha256"] {
            let replay = Replay {
                items: self.items,
                clients: 1,
                filter: filter.into(),
            };
            replay.run(bench, report).await?;
        }
        for (mode, clients) in [(lookup::Mode::Unary, 64), (lookup::Mode::Batch, 8)] {
            for hits in [0, 100] {
                let clients = Clients {
                    clients,
                    connections: None,
                };
                let lookup = Lookup {
                    mode,
                    clients,
                    batch: None,
                    items: self.items,
                    hits,
                    rate: None,
                };
                lookup.run(bench, report).await?;
            }
        }
        Ok(())
    }
}

fn fanout(subscribers: usize, items: Option<u64>, rate: Option<f64>) -> Fanout {
    Fanout {
        subscribers,
        publishers: 8,
        batch: if rate.is_some() { 1 } else { 128 },
        items,
        rate,
        subscriber_profile: Vec::new(),
        filter: Vec::new(),
    }
}
