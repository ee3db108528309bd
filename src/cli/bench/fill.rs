//! Brings a hub to the size that a bench needs, as fast as it takes it and unmeasured. Refuses to publish what is there already.

use std::time::Duration;

use super::drive::{Plan, Run};
use super::load::Load;
use super::publish::{Publisher, Source};
use super::tally::Pace;
use super::target::Target;
use crate::cli::failure::Failure;
use crate::grpc::wire;

const CLIENTS: usize = 4;
const BATCH: usize = 500;

/// Longest that it may take.
const LENGTH_MAX: Duration = Duration::from_secs(3_600);

/// Values that are asked for to see whether the load is there.
const PROBES: u64 = 100;

/// Publishes the first `count` drafts of `load`, unless probes among them find them all.
pub async fn fill(target: &Target, load: &Load, count: u64) -> Result<(), Failure> {
    if count == 0 || is_filled(target, load, count).await? {
        return Ok(());
    }
    let source = Source::of_first(load.clone(), count);
    let clients = target.clients(CLIENTS, CLIENTS).await?;
    let mut run = Run::new(Plan {
        warmup: Duration::ZERO,
        length: LENGTH_MAX,
    });
    // Begun before the workers: every call counts.
    run.course().begin();
    let publishers = clients.into_iter().map(|client| Publisher {
        client,
        source: source.clone(),
        batch: BATCH,
    });
    run.add_callers(publishers.collect(), Pace::Closed);
    let mut measured = run.measure(None).await?;
    let (tally, _) = measured.parts.remove(0);
    match (tally.done.items == count, tally.last_failure) {
        (true, None) => Ok(()),
        (_, Some(status)) => Err(Failure::Failed(format!(
            "the hub could not be filled: {}",
            status.message()
        ))),
        (false, None) => Err(Failure::Failed(format!(
            "the hub took {} of {count} indicators",
            tally.done.items
        ))),
    }
}

async fn is_filled(target: &Target, load: &Load, count: u64) -> Result<bool, Failure> {
    let values = (0..PROBES)
        .map(|probe| load.asked((count - 1) * (probe + 1) / PROBES))
        .collect();
    let clients = target.clients(1, 1).await?;
    let mut found = true;
    for mut client in clients {
        let answer = client
            .lookup(wire::LookupRequest {
                values: Vec::clone(&values),
                ..Default::default()
            })
            .await;
        let answer = answer.map_err(|status| Failure::Failed(format!("look-up: {}", status.message())))?;
        found &= answer.results.iter().all(|result| !result.matches.is_empty());
    }
    Ok(found)
}
