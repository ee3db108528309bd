//! The scenes: publications, a retraction, a reconnection, a lookup.

use std::collections::BTreeMap;

use super::check::Checks;
use super::narrator::Narrator;
use super::reckoning;
use super::script::{ACTS, Act, LANTERN, LOOKUP, LOOKUP_FOUND_BY, MEMBERS, OFFICE, PLAZA, SAMPLE, SAMPLE_NAME, VIDORA};
use super::stage::Stage;
use super::watcher::{Seen, Watcher};
use crate::cli::connection::{Connection, call};
use crate::cli::failure::Failure;
use crate::cli::import::{Planned, Template};
use crate::cli::query::summary;
use crate::cli::{outcome, words};
use crate::domain::handling::Tlp;
use crate::domain::indicator::Verdict;
use crate::grpc::wire;
use crate::grpc::wire::publish_result::Outcome;
use crate::import::{Fate, Report};

/// Ids published, by campaign.
pub type Published = BTreeMap<&'static str, Vec<String>>;

/// Plays all scenes.
pub async fn play(stage: &Stage, narrator: &Narrator, checks: &mut Checks) -> Result<(), Failure> {
    let mut watchers = Vec::new();
    for actor in stage.actors() {
        watchers.push(Watcher::start(&actor.connection, Seen::default()).await?);
    }
    narrator.tell("four subscribers are live, one for each member").await;
    let report = read_sample(narrator, checks).await?;
    let mut published = Published::new();
    for act in &ACTS {
        publish_act(stage, narrator, &mut watchers, &report, act, &mut published).await?;
    }
    retraction(stage, narrator, &mut watchers, &mut published, checks).await?;
    reconnection(stage, narrator, &mut watchers, &mut published, checks).await?;
    lookup(stage, narrator, checks).await?;
    reckoning::reckon(stage, narrator, &watchers, &published, checks).await
}

async fn read_sample(narrator: &Narrator, checks: &mut Checks) -> Result<Report, Failure> {
    narrator.scene("A report is read row by row").await;
    let report =
        crate::import::read_any(SAMPLE_NAME, SAMPLE.as_bytes()).map_err(|error| Failure::of(SAMPLE_NAME, error))?;
    let tally = report.tally();
    narrator
        .tell(&format!(
            "samples/{SAMPLE_NAME}: {} rows, {} indicators, {} rejected, {} skipped",
            tally.rows, tally.accepted, tally.rejected, tally.skipped
        ))
        .await;
    for row in report.rows.iter().filter(|row| row.fate() == Fate::Rejected) {
        let reason = row.reason().unwrap_or_default();
        narrator
            .tell(&format!(
                "line {}: {:?} is held back: {reason}",
                row.line.unwrap_or_default(),
                row.raw
            ))
            .await;
    }
    let adds_up = tally.rows == tally.accepted + tally.rejected + tally.skipped;
    checks.add(
        "every row of the report is accounted for",
        adds_up,
        format!("{} rows", tally.rows),
    );
    Ok(report)
}

async fn publish_act(
    stage: &Stage,
    narrator: &Narrator,
    watchers: &mut [Watcher],
    report: &Report,
    act: &Act,
    published: &mut Published,
) -> Result<(), Failure> {
    let publisher = stage.actor(act.publisher);
    let items = items_of(stage, report, act);
    let count = items.len();
    narrator
        .scene(&format!(
            "{} publishes {count} indicators of {:?}: {}",
            publisher.name, act.campaign, act.rule
        ))
        .await;
    let ids = publish(&publisher.connection, items).await?;
    published.insert(act.campaign, ids);
    for place in act.seen_by {
        let arrived = watchers[*place]
            .until(act.campaign, |seen| seen.count(act.campaign) == count)
            .await?;
        narrator
            .receives(MEMBERS[*place].0, &format!("{} received", arrived.count(act.campaign)))
            .await;
    }
    for (place, why) in act.withheld {
        // The reckoning at the end compares whole sets; here a leak that is already visible ends the play.
        if watchers[*place].seen().count(act.campaign) > 0 {
            return Err(Failure::Failed(format!(
                "{} received {:?}",
                MEMBERS[*place].0, act.campaign
            )));
        }
        narrator.withheld(MEMBERS[*place].0, why).await;
    }
    Ok(())
}

fn items_of(stage: &Stage, report: &Report, act: &Act) -> Vec<wire::PublishItem> {
    let handling = wire::Handling {
        tlp: words::number(&Tlp::ALL, act.tlp),
        member_ids: act
            .to_members
            .iter()
            .map(|place| stage.actor(*place).id.clone())
            .collect(),
        group_ids: act.to_group.then(|| stage.group_id().to_owned()).into_iter().collect(),
        government_release: act.government_release,
        ..Default::default()
    };
    let draft = wire::IndicatorDraft {
        verdict: words::number(&Verdict::ALL, Verdict::Malicious),
        confidence: 80,
        handling: Some(handling),
        ..Default::default()
    };
    let mut template = Template::new(draft);
    let file = template.start_file(SAMPLE_NAME, report);
    let of_campaign =
        |row: &&crate::import::Row| row.draft().and_then(|draft| draft.campaign.as_deref()) == Some(act.campaign);
    let rows: Vec<_> = report.rows.iter().filter(of_campaign).cloned().collect();
    let planned = rows.into_iter().map(|row| template.plan(&file, row));
    planned
        .filter_map(|planned| {
            if let Planned::Publish(one) = planned {
                Some(one.item)
            } else {
                None
            }
        })
        .collect()
}

async fn publish(connection: &Connection, items: Vec<wire::PublishItem>) -> Result<Vec<String>, Failure> {
    let response = connection
        .publishing()
        .publish(call(wire::PublishRequest { items }))
        .await;
    let results = response
        .map_err(|status| connection.failure(status))?
        .into_inner()
        .results;
    results.into_iter().map(accepted_id).collect()
}

fn accepted_id(result: wire::PublishResult) -> Result<String, Failure> {
    match outcome::of(result)? {
        Outcome::Accepted(accepted) => Ok(accepted.id),
        Outcome::Duplicate(duplicate) => Err(Failure::Failed(format!("{} was there already", duplicate.id))),
        Outcome::Rejected(rejected) => Err(Failure::Failed(outcome::rejection_text(&rejected))),
    }
}

async fn retract(connection: &Connection, id: &str, reason: &str) -> Result<(), Failure> {
    let request = wire::RetractRequest {
        ids: vec![id.to_owned()],
        reason: reason.to_owned(),
        confirm_large: false,
    };
    let response = connection.publishing().retract(call(request)).await;
    let results = response
        .map_err(|status| connection.failure(status))?
        .into_inner()
        .results;
    results.into_iter().try_for_each(|result| accepted_id(result).map(drop))
}

async fn retraction(
    stage: &Stage,
    narrator: &Narrator,
    watchers: &mut [Watcher],
    published: &mut Published,
    checks: &mut Checks,
) -> Result<(), Failure> {
    narrator
        .scene("Lantern Lab was wrong about one, and takes it back from exactly those who hold it")
        .await;
    let Some(id) = published.get_mut("Doppelganger").and_then(Vec::pop) else {
        return Err(Failure::Failed("nothing was published".to_owned()));
    };
    let before = watchers[OFFICE].seen().removals.len();
    retract(
        &stage.actor(LANTERN).connection,
        &id,
        "a parody site, not part of the operation",
    )
    .await?;
    let retracted = wire::RemovalReason::Retracted as i32;
    for place in [PLAZA, VIDORA] {
        let is_removed = |seen: &Seen| seen.removals.contains(&(id.clone(), retracted));
        watchers[place].until("the retraction", is_removed).await?;
        narrator.receives(MEMBERS[place].0, "told to drop it: retracted").await;
    }
    narrator
        .withheld(MEMBERS[OFFICE].0, "it never had it, and learns of nothing")
        .await;
    let unaware = watchers[OFFICE].seen().removals.len() == before;
    checks.add(
        "a retraction reaches those who held the indicator, and nobody else",
        unaware,
        id,
    );
    Ok(())
}

async fn reconnection(
    stage: &Stage,
    narrator: &Narrator,
    watchers: &mut Vec<Watcher>,
    published: &mut Published,
    checks: &mut Checks,
) -> Result<(), Failure> {
    narrator
        .scene("Vidora's feed breaks off; meanwhile the world goes on")
        .await;
    let stored = watchers.remove(VIDORA).cut().await;
    let handling = wire::Handling {
        tlp: words::number(&Tlp::ALL, Tlp::Green),
        ..Default::default()
    };
    let draft = wire::IndicatorDraft {
        raw: "hxxps://breaking-news[.]example[.]com/urgent".to_owned(),
        campaign: "Doppelganger".to_owned(),
        handling: Some(handling),
        ..Default::default()
    };
    let item = wire::PublishItem {
        request_id: "demo-while-away".to_owned(),
        draft: Some(draft),
    };
    let fresh = publish(&stage.actor(LANTERN).connection, vec![item]).await?;
    let gone = published.get_mut("Doppelganger").and_then(Vec::pop).unwrap_or_default();
    retract(&stage.actor(LANTERN).connection, &gone, "the domain was sold").await?;
    narrator
        .tell("Lantern Lab publishes one indicator and retracts another")
        .await;

    let (upserts, removals) = (stored.upserts, stored.removals.len());
    let mut vidora = Watcher::start(&stage.actor(VIDORA).connection, stored).await?;
    let arrived = |seen: &Seen| fresh.iter().all(|id| seen.mirror.contains_key(id)) && !seen.mirror.contains_key(&gone);
    let seen = vidora.until("what was missed", arrived).await?;
    let (came, went) = (seen.upserts - upserts, seen.removals.len() - removals);
    narrator
        .receives(
            MEMBERS[VIDORA].0,
            &format!("resumed at its cursor: {came} came, {went} went, nothing else was sent again"),
        )
        .await;
    checks.add(
        "a reconnection by cursor brings what was missed, and only that",
        (came, went) == (1, 1),
        format!("{came} came, {went} went"),
    );
    watchers.insert(VIDORA, vidora);
    published.entry("Doppelganger").or_default().extend(fresh);
    Ok(())
}

async fn lookup(stage: &Stage, narrator: &Narrator, checks: &mut Checks) -> Result<(), Failure> {
    narrator.scene(&format!("Everyone looks up {LOOKUP}")).await;
    let mut found_by = Vec::new();
    for (place, actor) in stage.actors().iter().enumerate() {
        let request = wire::LookupRequest {
            values: vec![LOOKUP.to_owned()],
            ..Default::default()
        };
        let response = actor.connection.queries().lookup(call(request)).await;
        let results = response
            .map_err(|status| actor.connection.failure(status))?
            .into_inner()
            .results;
        let matched = results.into_iter().flat_map(|result| result.matches).next();
        match matched.and_then(|one| Some((one.relation, one.indicator?))) {
            Some((relation, indicator)) => {
                found_by.push(place);
                let text = format!(
                    "by its {}: {}",
                    words::relation(relation),
                    summary(&indicator, &actor.directory)
                );
                narrator.receives(actor.name, &text).await;
            }
            None => {
                narrator
                    .withheld(actor.name, "nothing known: unknown and forbidden look alike")
                    .await
            }
        }
    }
    let holds = found_by == LOOKUP_FOUND_BY;
    checks.add(
        "a defanged URL finds its host, for those who may see it",
        holds,
        format!("found by {}", found_by.len()),
    );
    Ok(())
}
