//! `bench similarity`: what lies near a picture's hash, among hashes that are drawn evenly and among families of copies.

use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::json;
use tonic::Status;

use super::chance::Chance;
use super::drive::{Caller, Run};
use super::fill;
use super::pictures::{self, Pictures};
use super::report::{Report, Row, Shape};
use super::tally::Done;
use super::thin::Client;
use super::{Bench, Clients, batch_size, pace, rate};
use crate::cli::failure::Failure;
use crate::grpc::wire;

/// How hashes lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Mode {
    /// Each by itself: next to nothing is near another.
    Uniform,
    /// In families of a thousand copies.
    Clustered,
}

/// Look up what is near PDQ hashes, half of which are within 31 bits of one that is there
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse bench similarity --mode uniform --items 1000000 --seed 1 --profile agora\n  \
clearinghouse bench similarity --mode clustered --clients 1 --json --profile agora"
)]
pub struct Similarity {
    /// How the hashes lie
    #[arg(long, value_enum, default_value = "uniform")]
    pub mode: Mode,
    #[command(flatten)]
    pub clients: Clients,
    /// Hashes in a call
    #[arg(long, default_value = "1", value_parser = batch_size())]
    pub batch: usize,
    /// Ask among so many hashes of this seed, published first where they are not
    #[arg(long, default_value = "100000", value_parser = clap::value_parser!(u64).range(1..))]
    pub items: u64,
    /// Offer so many hashes a second
    #[arg(long, value_name = "PER_SECOND", value_parser = rate())]
    pub rate: Option<f64>,
}

impl Similarity {
    /// Runs it.
    pub async fn run(&self, bench: &Bench, report: &mut Report<'_>) -> Result<(), Failure> {
        let pictures = Pictures::new(bench.seed, self.mode == Mode::Clustered);
        let load = bench.target.load(bench.seed).of_pictures(pictures);
        fill::fill(&bench.target, &load, self.items).await?;
        let clients = bench
            .target
            .clients(self.clients.clients, self.clients.connections())
            .await?;
        let mut run = Run::new(bench.plan);
        let askers = clients.into_iter().zip(bench.seed..).map(|(client, chance)| Asker {
            client,
            pictures,
            chance: Chance::new(chance),
            known: self.items,
            batch: self.batch,
        });
        run.add_callers(askers.collect(), pace(self.rate, self.batch));
        let mut measured = run.measure(bench.target.server()).await?;
        let (tally, counted) = measured.parts.remove(0);
        let shape = Shape {
            bench: "similarity",
            mode: match self.mode {
                Mode::Uniform => "uniform",
                Mode::Clustered => "clustered",
            },
            clients: self.clients.clients,
            connections: self.clients.connections(),
            batch: self.batch,
            offered_per_s: self.rate,
            seed: bench.seed,
            notes: vec![("known", json!(self.items))],
        };
        report.push(Row::new(shape, tally, counted, measured.usage))
    }
}

/// Asks call by call.
struct Asker {
    client: Client,
    pictures: Pictures,
    chance: Chance,
    known: u64,
    batch: usize,
}

impl Caller for Asker {
    type Prepared = (Vec<String>, u64);

    fn prepare(&mut self) -> Option<(Vec<String>, u64)> {
        let mut planted = 0;
        let values = (0..self.batch).map(|_| match self.chance.percent(50) {
            true => {
                planted += 1;
                let number = self.chance.below(self.known);
                self.pictures.near(number, &mut self.chance)
            }
            false => pictures::unknown(&mut self.chance),
        });
        Some((values.collect(), planted))
    }

    async fn call(&mut self, (values, planted): (Vec<String>, u64), _due: Instant) -> Result<Done, Status> {
        let request = wire::LookupRequest {
            values,
            kind: wire::ObservableKind::Pdq.into(),
            distance_max: None,
        };
        let found = self.client.lookup(request).await?;
        let known = found.results.iter().filter(|result| !result.matches.is_empty()).count() as u64;
        Ok(Done {
            items: found.results.len() as u64,
            found: known,
            wrong: planted.saturating_sub(known),
            ..Done::default()
        })
    }
}
