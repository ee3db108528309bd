//! SIGKILL at any moment, under load: the hub comes back with everything that it acknowledged, nothing twice though clients ask
//! again, the same feed, and a record that was not rewritten. `CLEARINGHOUSE_KILLS` sets how many kills.
#![allow(missing_docs)]

mod crash_support;
mod wire_support;

use clearinghouse::grpc::wire;
use clearinghouse::log::verify;
use crash_support::checker::{Attempt, check};
use crash_support::mirror::{Held, Mirror};
use crash_support::scene::Scene;
use crash_support::{Random, knob};
use wire_support::child::{self, ChildHub, Program, Run};

/// So many kills, and another hub is begun: what a start costs grows with what the log holds.
const KILLS_PER_HUB: usize = 20;
/// Every so many kills, the next start is killed too.
const KILL_OPENING_EVERY: usize = 5;
/// Most requests that are acknowledged before a kill.
const ACKNOWLEDGEMENTS_MAX: usize = 24;
/// So small that kills fall into the change of epochs too.
const SHORT_EPOCH_ENTRIES: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigkill_under_load_loses_and_duplicates_nothing() {
    let kills = knob("CLEARINGHOUSE_KILLS", 200);
    let (mut acknowledged, mut repeated) = (0, 0);
    for round in 0..kills.div_ceil(KILLS_PER_HUB) {
        let scene = kill_one_hub(round, KILLS_PER_HUB.min(kills - round * KILLS_PER_HUB)).await;
        acknowledged += scene.acknowledged();
        repeated += scene.repeated();
    }
    println!(
        "{kills} kills, {acknowledged} indicators acknowledged, {repeated} sent again: none lost, none duplicated"
    );
}

/// Kills the hub in one directory again and again, and holds it to its word after each.
async fn kill_one_hub(round: usize, kills: usize) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("hub");
    child::create(&dir);
    let short_epochs = Run {
        epoch_entries: SHORT_EPOCH_ENTRIES,
        ..Run::default()
    };
    let as_members_run_it = Run {
        program: Program::Clearinghouse,
        ..Run::default()
    };
    let run = [&as_members_run_it, &short_epochs][round % 2];
    let start = || tokio::task::block_in_place(|| ChildHub::start(&dir, run));
    let mut random = Random::new(round as u64 + 1);
    let mut hub = start();
    let mut scene = Scene::enrol(&hub.hub, round as u64).await;
    let mut kept = scene.mirror.clone();
    for kill in 0..kills {
        let acknowledgements = random.below(ACKNOWLEDGEMENTS_MAX + 1);
        scene.under_load(hub, acknowledgements, ChildHub::kill).await;
        verify(&dir.join("log")).unwrap_or_else(|error| panic!("round {round}, kill {kill}: {error}"));
        if kill % KILL_OPENING_EVERY == 0 {
            tokio::task::block_in_place(|| ChildHub::kill_while_opening(&dir, &short_epochs));
            // The subscriber crashes as well, and comes back with an older mirror and the cursor that belongs to it.
            scene.mirror = std::mem::replace(&mut kept, scene.mirror.clone());
        }
        hub = start();
        let checked = scene.check_running(&hub.hub).await;
        checked.unwrap_or_else(|fault| panic!("round {round}, kill {kill}: {fault}"));
    }
    scene.settle(&hub.hub).await;
    scene.check_running(&hub.hub).await.unwrap();
    hub.stop();
    scene.check_stopped(&dir);
    scene
}

/// The negative control: a client that asks again under another request id and for another campaign publishes twice, and the
/// checker says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_under_another_request_id_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("hub");
    child::create(&dir);
    let start = || tokio::task::block_in_place(|| ChildHub::start(&dir, &Run::default()));
    let hub = start();
    let mut scene = Scene::enrol(&hub.hub, 1).await;
    scene.under_load(hub, 3, ChildHub::kill).await;
    let hub = start();
    scene.settle(&hub.hub).await;
    scene.check_running(&hub.hub).await.unwrap();

    let forgetful = &mut scene.publishers[0];
    let again = forgetful.attempts.iter_mut().next().unwrap();
    again.request_id.push_str("-again");
    again.campaign.push_str(" again");
    again.acknowledged = None;
    forgetful.ask_again(&hub.hub, 0).await;
    let fault = scene.check_running(&hub.hub).await.unwrap_err();
    assert_eq!(fault, "a-0.example.com is there twice");
    hub.stop();
}

/// The checker notices each single fault.
#[test]
fn the_checker_notices_each_fault() {
    let indicator = |number: u32| wire::Indicator {
        id: format!("id {number}"),
        observable_id: format!("observable {number}"),
        raw: format!("value {number}"),
        campaign: "campaign".into(),
        revision: 1,
        ..Default::default()
    };
    let attempt = |number: u32| Attempt {
        request_id: number.to_string(),
        value: format!("value {number}"),
        campaign: "campaign".into(),
        acknowledged: (number < 3).then(|| format!("id {number}")),
    };
    let attempts: Vec<Attempt> = (0..4).map(attempt).collect();
    let found: Vec<wire::Indicator> = (0..4).map(indicator).collect();
    let mirror_of = |found: &[wire::Indicator]| Mirror {
        held: found
            .iter()
            .map(|indicator| {
                let value = indicator.raw.clone();
                (indicator.id.clone(), Held { revision: 1, value })
            })
            .collect(),
        cursor: Vec::new(),
    };
    let verdict = |found: &[wire::Indicator]| check(&attempts, found, &mirror_of(found));
    assert_eq!(verdict(&found), Ok(()));
    assert_eq!(verdict(&found[..3]), Ok(()), "what was not acknowledged may be missing");

    let lost = verdict(&found[1..]).unwrap_err();
    assert_eq!(lost, "value 0 was acknowledged as id 0 and is lost");
    let mut twice = found.clone();
    twice.push(wire::Indicator {
        id: "id 9".into(),
        ..indicator(2)
    });
    assert_eq!(verdict(&twice).unwrap_err(), "value 2 is there twice");
    let mut other = found.clone();
    other[1].id = "id 9".into();
    let fault = verdict(&other).unwrap_err();
    assert_eq!(fault, "value 1 was acknowledged as id 1 and is there as id 9");
    let mut altered = found.clone();
    altered[1].campaign.clear();
    assert_eq!(verdict(&altered).unwrap_err(), "value 1 was altered");
    let invented: Vec<wire::Indicator> = (0..5).map(indicator).collect();
    assert_eq!(verdict(&invented).unwrap_err(), "value 4 was never published");

    let gap = check(&attempts, &found, &mirror_of(&found[1..])).unwrap_err();
    assert_eq!(gap, "the mirror lacks value 0");
    let more = check(&attempts, &found[..3], &mirror_of(&found)).unwrap_err();
    assert_eq!(more, "the mirror holds 1 that a search does not find");
}

#[test]
#[ignore = "the process that the harness kills"]
fn hub_as_child() {
    child::serve_until_told();
}
