//! The reckoning: for each member, what it sees against what it must see.

use std::collections::BTreeSet;

use tonic::Request;

use super::check::Checks;
use super::narrator::Narrator;
use super::scenes::Published;
use super::script::{ACTS, Act, MEMBERS, Place};
use super::stage::{Actor, Stage};
use super::watcher::{Seen, Watcher};
use crate::cli::failure::Failure;
use crate::cli::output::layout;
use crate::cli::query::Pages;
use crate::grpc::wire;

/// Compares, for each member, four things that must be one set: what the script grants, what the live subscriber holds, what a
/// new subscriber is given, and what a search finds.
pub async fn reckon(
    stage: &Stage,
    narrator: &Narrator,
    watchers: &[Watcher],
    published: &Published,
    checks: &mut Checks,
) -> Result<(), Failure> {
    narrator.scene("Who sees what").await;
    for (place, actor) in stage.actors().iter().enumerate() {
        let expected = granted(place, published);
        let live: BTreeSet<String> = watchers[place].seen().mirror.into_keys().collect();
        let fresh = snapshot(actor).await?;
        // One's own retracted indicators stay visible to their owner: they are compared apart.
        let visible: BTreeSet<String> = fresh
            .iter()
            .filter(|one| is_active(one))
            .map(|one| one.id.clone())
            .collect();
        let found = search(actor).await?;
        let is_mirror = expected.is_subset(&live) && live.len() == fresh.len() && found.len() == fresh.len();
        let holds = visible == expected && expected.is_subset(&found) && is_mirror;
        checks.add_member(
            actor.name,
            MEMBERS[place].1.name(),
            expected.len(),
            visible.len(),
            holds,
        );
    }
    let header: Vec<&str> = std::iter::once("member")
        .chain(ACTS.iter().map(|act| act.campaign))
        .collect();
    let rows = (0..MEMBERS.len())
        .map(|place| row_of(place, &watchers[place].seen(), published))
        .collect();
    layout(&header, rows)
        .lines()
        .for_each(|line| narrator.say(&format!("  {line}")));
    Ok(())
}

fn granted(place: Place, published: &Published) -> BTreeSet<String> {
    let acts = ACTS
        .iter()
        .filter(|act| act.publisher == place || act.seen_by.contains(&place));
    acts.flat_map(|act| published.get(act.campaign).cloned().unwrap_or_default())
        .collect()
}

fn is_active(indicator: &wire::Indicator) -> bool {
    indicator.state == wire::IndicatorState::Active as i32
}

async fn snapshot(actor: &Actor) -> Result<Vec<wire::Indicator>, Failure> {
    let request = wire::SubscribeRequest {
        until_live: true,
        ..Default::default()
    };
    let failed = |status| actor.connection.failure(status);
    let mut stream = actor
        .connection
        .feeds()
        .subscribe(Request::new(request))
        .await
        .map_err(failed)?
        .into_inner();
    let mut indicators = Vec::new();
    while let Some(response) = stream.message().await.map_err(failed)? {
        indicators.extend(response.upserts);
    }
    Ok(indicators)
}

async fn search(actor: &Actor) -> Result<BTreeSet<String>, Failure> {
    let mut pages = Pages::new(&actor.connection, wire::Filter::default(), usize::MAX);
    let mut ids = BTreeSet::new();
    while let Some(page) = pages.next().await? {
        ids.extend(page.into_iter().map(|indicator| indicator.id));
    }
    Ok(ids)
}

fn row_of(place: Place, seen: &Seen, published: &Published) -> Vec<String> {
    let cell = |act: &Act| match (act.publisher == place, seen.count(act.campaign)) {
        (true, _) => format!("{} (its own)", published.get(act.campaign).map_or(0, Vec::len)),
        (false, 0) => "-".to_owned(),
        (false, count) => count.to_string(),
    };
    std::iter::once(MEMBERS[place].0.to_owned())
        .chain(ACTS.iter().map(cell))
        .collect()
}
