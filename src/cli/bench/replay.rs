//! `bench replay`: feeds from the start until they are live, again and again.

use std::time::Instant;

use clap::Args;
use prost::bytes::Bytes;
use serde_json::json;
use tonic::Status;

use super::drive::{Run, Turns};
use super::fanout::subscription;
use super::report::{Report, Row, Shape};
use super::tally::{Done, Pace, Tally};
use super::thin::Client;
use super::{Bench, SUBSCRIBERS_MAX, count};
use crate::cli::failure::Failure;
use crate::grpc::wire;

/// Read the whole feed from the start; latency is that of a whole replay
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse bench replay --items 1000000 --seed 1 --profile agora\n  \
clearinghouse bench replay --filter 'kind:sha256' --profile agora"
)]
pub struct Replay {
    /// First make sure that the hub holds so many indicators of this seed
    #[arg(long, default_value = "0")]
    pub items: u64,
    /// Feeds at the same time
    #[arg(long, default_value = "1", value_parser = count(SUBSCRIBERS_MAX))]
    pub clients: usize,
    /// Only what passes
    #[arg(long, value_name = "EXPR", default_value = "")]
    pub filter: String,
}

impl Replay {
    /// Runs it.
    pub async fn run(&self, bench: &Bench, report: &mut Report<'_>) -> Result<(), Failure> {
        let seed = bench.filled(self.items).await?;
        let filter = bench.target.filter(&self.filter)?;
        let mut clients = bench.target.clients(self.clients, self.clients).await?.into_iter();
        let mut run = Run::new(bench.plan);
        run.add_workers(self.clients, Pace::Closed, |turns, tally| {
            let (client, filter) = (clients.next(), filter.clone());
            async move {
                match client {
                    Some(client) => replay(client, filter, turns, tally).await,
                    None => tally,
                }
            }
        });
        let mut measured = run.measure(bench.target.server()).await?;
        let (tally, counted) = measured.parts.remove(0);
        let shape = Shape {
            bench: "replay",
            mode: if self.filter.is_empty() { "all" } else { "filtered" },
            clients: self.clients,
            connections: self.clients,
            batch: 1,
            seed,
            notes: vec![("filter", json!(self.filter))],
            ..Shape::default()
        };
        report.push(Row::new(shape, tally, counted, measured.usage))
    }
}

async fn replay(mut client: Client, filter: wire::Filter, mut turns: Turns, mut tally: Tally) -> Tally {
    while let Some(due) = turns.next().await {
        let result = once(&mut client, &filter, &mut tally).await;
        let failed = result.is_err();
        match result {
            Ok(None) => {}
            Ok(Some(wrong)) => tally.record(
                due,
                Ok(Done {
                    wrong,
                    ..Done::default()
                }),
            ),
            Err(status) => tally.record(Instant::now(), Err(status)),
        }
        if failed {
            break;
        }
    }
    tally
}

/// One replay. Returns by how much what came differs from the hub's own sum; none if the run ended before the replay did.
async fn once(client: &mut Client, filter: &wire::Filter, tally: &mut Tally) -> Result<Option<u64>, Status> {
    let mut feed = client.subscribe(subscription(filter, &Bytes::new(), true)).await?;
    let mut upserts = 0;
    let mut promised = None;
    while let Some(changes) = feed.message().await? {
        upserts += changes.upserts;
        tally.arrived(changes.upserts);
        promised = changes.digest.map(|digest| digest.count).or(promised);
        if tally.is_over() {
            return Ok(None);
        }
    }
    Ok(promised.map(|promised| promised.abs_diff(upserts)))
}
