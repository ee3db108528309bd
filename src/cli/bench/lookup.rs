//! `bench lookup`: what is known of raw values, of which a share is known.

use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::json;
use tonic::Status;

use super::chance::Chance;
use super::drive::{Caller, Run};
use super::load::Load;
use super::report::{Report, Row, Shape};
use super::tally::Done;
use super::thin::Client;
use super::{Bench, Clients, batch_size, pace, rate};
use crate::cli::failure::Failure;
use crate::grpc::wire;

/// How values are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Mode {
    /// One a call.
    Unary,
    /// Many a call.
    Batch,
}

/// Look raw values up
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Examples:\n  clearinghouse bench lookup --mode unary --clients 64 --profile agora\n  \
clearinghouse bench lookup --mode batch --items 1000000 --seed 1 --hits 10 --profile agora"
)]
pub struct Lookup {
    /// How to ask
    #[arg(long, value_enum, default_value = "batch")]
    pub mode: Mode,
    #[command(flatten)]
    pub clients: Clients,
    /// Values in a call [default: 128 for batch]
    #[arg(long, value_parser = batch_size())]
    pub batch: Option<usize>,
    /// Ask for values among so many of this seed, published first where they are not
    #[arg(long, default_value = "100000", value_parser = clap::value_parser!(u64).range(1..))]
    pub items: u64,
    /// Of a hundred values so many are known
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u64).range(0..=100))]
    pub hits: u64,
    /// Offer so many values a second
    #[arg(long, value_name = "PER_SECOND", value_parser = rate())]
    pub rate: Option<f64>,
}

impl Lookup {
    /// Runs it.
    pub async fn run(&self, bench: &Bench, report: &mut Report<'_>) -> Result<(), Failure> {
        let batch = match self.mode {
            Mode::Unary if self.batch.is_some_and(|batch| batch != 1) => {
                return Err(Failure::Usage(
                    "--mode unary asks for one value a call: leave out --batch".into(),
                ));
            }
            Mode::Unary => 1,
            Mode::Batch => self.batch.unwrap_or(128),
        };
        let seed = bench.filled(self.items).await?;
        let clients = bench
            .target
            .clients(self.clients.clients, self.clients.connections())
            .await?;
        let mut run = Run::new(bench.plan);
        let askers = clients.into_iter().zip(seed..).map(|(client, chance)| Asker {
            client,
            load: bench.target.load(seed),
            chance: Chance::new(chance),
            known: self.items,
            hits: self.hits,
            batch,
        });
        run.add_callers(askers.collect(), pace(self.rate, batch));
        let mut measured = run.measure(bench.target.server()).await?;
        let (tally, counted) = measured.parts.remove(0);
        let shape = Shape {
            bench: "lookup",
            mode: if self.mode == Mode::Unary { "unary" } else { "batch" },
            clients: self.clients.clients,
            connections: self.clients.connections(),
            batch,
            offered_per_s: self.rate,
            seed,
            notes: vec![("hits_percent", json!(self.hits)), ("known", json!(self.items))],
        };
        report.push(Row::new(shape, tally, counted, measured.usage))
    }
}

/// Asks call by call.
pub struct Asker {
    /// Over which connection.
    pub client: Client,
    /// Whose values.
    pub load: Load,
    /// Decides which.
    pub chance: Chance,
    /// The first so many are known.
    pub known: u64,
    /// Of a hundred values so many are to be known.
    pub hits: u64,
    /// Values in a call.
    pub batch: usize,
}

impl Asker {
    fn number(&mut self) -> (u64, bool) {
        let number = self.chance.below(self.known);
        match self.chance.percent(self.hits) {
            true => (number, true),
            // Far behind all that a run publishes, and below where values repeat.
            false => (number + (1 << 36), false),
        }
    }
}

impl Caller for Asker {
    type Prepared = (Vec<String>, u64);

    fn prepare(&mut self) -> Option<(Vec<String>, u64)> {
        let mut hits = 0;
        let values = (0..self.batch).map(|_| {
            let (number, is_known) = self.number();
            hits += u64::from(is_known);
            self.load.asked(number)
        });
        Some((values.collect(), hits))
    }

    async fn call(&mut self, (values, hits): (Vec<String>, u64), _due: Instant) -> Result<Done, Status> {
        let found = self
            .client
            .lookup(wire::LookupRequest {
                values,
                ..Default::default()
            })
            .await?;
        let known = found.results.iter().filter(|result| !result.matches.is_empty()).count() as u64;
        Ok(Done {
            items: found.results.len() as u64,
            found: known,
            // More may be found than was meant: another run may have published the value.
            wrong: hits.saturating_sub(known),
            ..Done::default()
        })
    }
}
