//! A hub that starts from the snapshot of its views: it is the hub that a fold of the log makes, and where the snapshot is not of this
//! log, or not what was written, it is that hub all the same. That both come to the same views is proved by `feed_model` too.
#![allow(missing_docs)]

mod hub_support;

use std::fs;

use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::{IndicatorId, Timestamp};
use clearinghouse::domain::member::{MemberKind, Role, Roles};
use clearinghouse::hub::Caller;
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::publish::Outcome;
use hub_support::drafts::{self, Rules};
use hub_support::{TestHub, runtime};

/// A hub with something in each of its views.
struct Scene {
    hub: TestHub,
    publisher: Caller,
    published: Vec<IndicatorId>,
}

impl Scene {
    fn new() -> Scene {
        let hub = TestHub::new();
        let publisher = runtime().block_on(async {
            let publisher = hub.member("Publisher", MemberKind::Platform).await;
            hub.group("A group", &[publisher.member]).await;
            hub.enrol(publisher.member, "second", Roles::from_iter([Role::Admin]))
                .await;
            publisher
        });
        let mut scene = Scene {
            hub,
            publisher,
            published: Vec::new(),
        };
        scene.publish(40);
        scene
    }

    fn publish(&mut self, count: usize) {
        let from = self.published.len();
        let items = (from..from + count).map(|number| {
            let handling = Rules::open(Tlp::Green).handling().unwrap();
            Ok(drafts::item(drafts::content(
                &format!("{number}.example.com"),
                handling,
            )))
        });
        let items: Vec<_> = items.collect();
        let outcomes = runtime().block_on(self.hub.hub().publish(&self.publisher, items));
        for outcome in outcomes.unwrap() {
            match outcome {
                Outcome::Accepted { id, .. } => self.published.push(id),
                other => panic!("{other:?}"),
            }
        }
    }

    /// How many entries were folded, of how many.
    fn folded(&self) -> (u64, u64) {
        (self.hub.hub().entries_folded(), self.hub.hub().condition().log.size)
    }

    /// Everything that was published is there, with its body.
    fn check(&self) {
        let hub = self.hub.hub();
        assert_eq!(hub.indicators_published(), self.published.len());
        for id in &self.published {
            let found = runtime().block_on(hub.indicator(&self.publisher, *id)).unwrap();
            assert_eq!(found.body().id, *id);
        }
    }

    /// Opens the hub, which must fold the whole log and make another snapshot in the end.
    fn open_unkept(&mut self, why: &str) {
        self.hub.open();
        let (folded, size) = self.folded();
        assert_eq!(folded, size, "{why}");
        assert!(!self.hub.snapshot_path().exists(), "{why}: what is not used is removed");
        self.check();
        self.hub.close();
        self.hub.open();
        assert_eq!(self.folded().0, 0, "{why}: the next one is used");
        self.hub.close();
    }
}

#[test]
fn a_start_after_a_clean_stop_folds_nothing_and_one_after_a_crash_folds_the_rest() {
    let mut scene = Scene::new();
    scene.check();
    scene.hub.restart();
    assert_eq!(scene.folded().0, 0);
    scene.check();
    scene.publish(40);
    scene.check();
    let before = fs::read(scene.hub.snapshot_path()).unwrap();
    scene.hub.close();
    // A hub that is killed leaves the snapshot that it began with.
    fs::write(scene.hub.snapshot_path(), before).unwrap();
    scene.hub.open();
    // Forty publications, and the start of the run that wrote them.
    assert_eq!(scene.folded().0, 41);
    scene.check();
    scene.publish(1);
    scene.hub.restart_every_way(&mut None);
    scene.check();
}

#[test]
fn a_start_after_a_crash_goes_on_from_the_snapshot_that_was_made_while_the_hub_ran() {
    let mut scene = Scene::new();
    let mut making = scene.hub.make_snapshot(None, 2);
    assert!(making.is_some());
    scene.publish(40);
    while making.is_some() {
        making = scene.hub.make_snapshot(making, 1);
        scene.publish(1);
    }
    let (kept, size) = (scene.hub.hub().snapshot().unwrap(), scene.folded().1);
    assert!(!kept.is_plain && kept.entries < size, "{kept:?} of {size}");
    let mut earlier = Some(scene.hub.keep_snapshot());
    let made = scene.hub.snapshot();
    scene.publish(10);
    scene.hub.close();
    scene.hub.write_snapshot(&made);
    scene.hub.open();
    let size = scene.folded().1;
    assert_eq!(scene.folded().0, size - kept.entries);
    scene.check();
    scene.hub.restart_every_way(&mut earlier);
    scene.check();
}

#[test]
fn a_crash_while_a_snapshot_is_made_leaves_the_one_before() {
    let mut scene = Scene::new();
    scene.hub.restart();
    let before = scene.hub.snapshot();
    scene.publish(40);
    let making = scene.hub.make_snapshot(None, 3);
    let partial = scene.hub.snapshot_path().with_extension("partial");
    let begun = fs::read(&partial).unwrap();
    assert!(making.is_some() && !begun.is_empty() && scene.hub.snapshot() == before);
    drop(making);
    assert!(!partial.exists(), "what is given up takes no room");
    scene.hub.close();
    scene.hub.write_snapshot(&before);
    fs::write(&partial, begun).unwrap();
    scene.hub.open();
    assert_eq!(scene.folded().0, 41);
    scene.check();
    scene.hub.restart();
    assert_eq!(scene.folded().0, 0);
    assert!(!partial.exists());
}

#[test]
fn a_snapshot_that_cannot_be_written_leaves_the_one_before() {
    let mut scene = Scene::new();
    scene.hub.restart();
    let kept = scene.hub.hub().snapshot().unwrap().entries;
    scene.publish(1);
    fs::create_dir(scene.hub.snapshot_path().with_extension("partial")).unwrap();
    assert!(scene.hub.hub().begin_snapshot().is_err());
    assert_eq!(scene.hub.hub().snapshot().unwrap().entries, kept);
    scene.hub.restart();
    assert_eq!(scene.folded().0, 2, "a publication, and the start of its run");
    scene.check();
}

/// Whether a member sees an indicator.
fn sees(hub: &TestHub, caller: &Caller, id: IndicatorId) -> bool {
    match runtime().block_on(hub.hub().indicator(caller, id)) {
        Ok(_) => true,
        Err(HubError::NotFound { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn what_is_due_after_a_start_from_the_snapshot_comes_about() {
    let mut hub = TestHub::new();
    let publisher = runtime().block_on(hub.member("Publisher", MemberKind::Platform));
    let reader = runtime().block_on(hub.member("Reader", MemberKind::Research));
    let after_secs = |seconds: i64| Timestamp(hub.clock().now().0 + seconds * 1_000_000);
    let embargoed = Rules {
        embargo: Some((after_secs(100), Vec::new())),
        expires_at: Some(after_secs(300)),
        ..Rules::open(Tlp::Green)
    };
    let passing = Rules {
        expires_at: Some(after_secs(200)),
        ..Rules::open(Tlp::Green)
    };
    let items = [("embargoed.example.com", embargoed), ("passing.example.com", passing)];
    let items = items.into_iter().map(|(value, rules)| {
        let handling = rules.handling().unwrap();
        Ok(drafts::item(drafts::content(value, handling)))
    });
    let items: Vec<_> = items.collect();
    let outcomes = runtime().block_on(hub.hub().publish(&publisher, items));
    let ids = outcomes.unwrap().into_iter().map(|outcome| match outcome {
        Outcome::Accepted { id, .. } => id,
        other => panic!("{other:?}"),
    });
    let ids: Vec<_> = ids.collect();
    for expected in [[false, true], [true, true], [true, false], [false, false]] {
        hub.restart();
        assert_eq!(hub.hub().entries_folded(), 0);
        assert_eq!([0, 1].map(|place| sees(&hub, &reader, ids[place])), expected);
        runtime().block_on(hub.pass_secs(100));
    }
}

#[test]
fn a_snapshot_that_is_damaged_anywhere_is_not_used() {
    let mut scene = Scene::new();
    scene.hub.close();
    let whole = fs::read(scene.hub.snapshot_path()).unwrap();
    let last = whole.len() - 1;
    for at in (0..last).step_by(211).chain([last]) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(scene.hub.snapshot_path(), flipped).unwrap();
        scene.open_unkept(&format!("a bit of byte {at}"));
    }
    for length in [0, 7, 100, last] {
        fs::write(scene.hub.snapshot_path(), &whole[..length]).unwrap();
        scene.open_unkept(&format!("cut to {length}"));
    }
}

#[test]
fn a_snapshot_is_not_used_without_its_bodies() {
    let mut scene = Scene::new();
    scene.hub.close();
    let bodies = scene.hub.snapshot_path().with_file_name("bodies");
    let length = fs::metadata(&bodies).unwrap().len();
    fs::File::options()
        .write(true)
        .open(&bodies)
        .unwrap()
        .set_len(length - 1)
        .unwrap();
    scene.open_unkept("a short file of bodies");
    fs::remove_file(&bodies).unwrap();
    scene.open_unkept("no file of bodies");
}

#[test]
fn a_log_that_was_restored_is_folded_whole() {
    let mut scene = Scene::new();
    let backup = scene.hub.back_up();
    let kept = scene.published.clone();
    scene.publish(10);
    scene.hub.restore(&backup);
    assert_eq!(scene.folded().0, scene.folded().1, "the snapshot is of a longer log");
    scene.published = kept.clone();
    scene.check();
    scene.publish(10);
    scene.hub.close();
    let otherwise = fs::read(scene.hub.snapshot_path()).unwrap();
    scene.hub.restore(&backup);
    scene.published = kept;
    scene.publish(10);
    scene.hub.close();
    fs::write(scene.hub.snapshot_path(), otherwise).unwrap();
    scene.open_unkept("as many entries, and other ones");
}

#[test]
fn the_snapshot_of_another_hub_is_not_used() {
    let (mut one, mut other) = (Scene::new(), Scene::new());
    one.hub.close();
    other.hub.close();
    fs::copy(one.hub.snapshot_path(), other.hub.snapshot_path()).unwrap();
    other.open_unkept("another hub's");
}
