//! `bench idle`: feeds that are live and get nothing. What counts is what they hold of the hub's memory and how much it works for them.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::drive::Run;
use super::fanout::{Class, add_subscribers, failed};
use super::report::{Report, Row, Shape};
use super::tally::Pace;
use super::{Bench, CLIENTS_MAX, SUBSCRIBERS_MAX, count};
use crate::cli::failure::Failure;
use crate::cli::profile::Profile;
use crate::grpc::wire;

/// Hold feeds open to which nothing comes; memory is that of the feeds, opened before the run
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example:\n  clearinghouse bench idle --subscribers 10000 --connections 100 --seconds 30 --profile agora"
)]
pub struct Idle {
    /// Feeds open at the same time; a hub takes 8,192 of one member unless its configuration says otherwise
    #[arg(long, default_value = "10000", value_parser = count(SUBSCRIBERS_MAX))]
    pub subscribers: usize,
    /// Connections that they share; a hub takes 256 streams on one
    #[arg(long, default_value = "100", value_parser = count(CLIENTS_MAX))]
    pub connections: usize,
    /// Profiles that subscribe, each to an equal part [default: the one of the bench]
    #[arg(long, value_name = "DIR")]
    pub subscriber_profile: Vec<PathBuf>,
}

impl Idle {
    /// Runs it.
    pub async fn run(&self, bench: &Bench, report: &mut Report<'_>) -> Result<(), Failure> {
        let memory = || Some(bench.target.server()?.memory()?.resident_bytes);
        let before = memory();
        let mut feeds = Vec::with_capacity(self.subscribers);
        let own = [bench.target.profile_dir().to_owned()];
        let profiles: &[PathBuf] = match self.subscriber_profile.is_empty() {
            true => &own,
            false => &self.subscriber_profile,
        };
        for (place, profile) in profiles.iter().enumerate() {
            let share = |whole: usize| (place..whole).step_by(profiles.len()).len();
            let (profile, connections) = (Profile::load(profile)?, share(self.connections).max(1));
            let clients = bench
                .target
                .clients_as(&profile, share(self.subscribers), connections)
                .await?;
            let mut class = Class::new(clients, wire::Filter::default());
            class.open(&mut feeds).await.map_err(failed)?;
        }
        let grown = before.zip(memory()).map(|(before, after)| after.saturating_sub(before));
        let mut run = Run::new(bench.plan);
        add_subscribers(&mut run, feeds);
        let course = run.course().clone();
        // Without work that lasts the run would be over at once.
        run.add_workers(1, Pace::Closed, |_, tally| {
            let course = course.clone();
            async move {
                course.over().cancelled().await;
                tally
            }
        });
        let mut measured = run.measure(bench.target.server()).await?;
        let (mut tally, counted) = measured.parts.remove(0);
        // Nothing was published, so nothing should have come.
        tally.done.wrong = tally.done.items;
        tally.done.items = self.subscribers as u64;
        let shape = Shape {
            bench: "idle",
            clients: self.subscribers,
            connections: self.connections,
            batch: 1,
            seed: bench.seed,
            notes: vec![
                ("feeds_memory_bytes", json!(grown)),
                (
                    "feeds_memory_bytes_each",
                    json!(grown.map(|bytes| bytes / self.subscribers as u64)),
                ),
            ],
            ..Shape::default()
        };
        report.push(Row::new(shape, tally, counted, measured.usage))
    }
}
