//! What is erased is gone: from every file, from memory, and from every answer, for good. What is left is what everybody else needs:
//! recalls, repetitions, proofs. What must not be erased is not, and whoever may not order it does not.
#![allow(missing_docs)]

#[path = "erasure/files.rs"]
mod files;
mod hub_support;
#[path = "erasure/snapshots.rs"]
mod snapshots;

use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::IndicatorId;
use clearinghouse::domain::indicator::State;
use clearinghouse::domain::member::{MemberKind, Role};
use clearinghouse::domain::observable::Observable;
use clearinghouse::domain::subscription::SubscriptionName;
use clearinghouse::hub::Caller;
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::feed::{Batch, Feed, RemovalReason};
use clearinghouse::hub::publish::{Item, Outcome};
use clearinghouse::hub::roster::Asked;
use clearinghouse::log::entry::{Entry, Event, left_of};
use files::{MARKER, Traces, is_marked};
use hub_support::drafts::{self, Rules};
use hub_support::{TestHub, caller, runtime};

/// A hub that erases, a publisher and a reader.
struct Scene {
    hub: TestHub,
    publisher: Caller,
    reader: Caller,
}

impl Scene {
    async fn new() -> Scene {
        let hub = TestHub::erasing();
        let publisher = hub.member("Aurora", MemberKind::Platform).await;
        let reader = hub.member("Borealis", MemberKind::Platform).await;
        Scene { hub, publisher, reader }
    }

    async fn publish(&self, value: &str, request_id: &str) -> Outcome {
        let mut content = drafts::content(value, Rules::open(Tlp::Green).handling().unwrap());
        content.note = drafts::text(&format!("{value} was seen"));
        let item = Item {
            request_id: request_id.into(),
            content,
        };
        let outcomes = self.hub.hub().publish(&self.publisher, vec![Ok(item)]).await;
        outcomes.unwrap().remove(0)
    }

    async fn published(&self, value: &str) -> IndicatorId {
        match self.publish(value, "").await {
            Outcome::Accepted { id, .. } => id,
            other => panic!("{value}: {other:?}"),
        }
    }

    async fn revise(&self, id: IndicatorId, note: &str) {
        let old = self.hub.hub().own(&self.publisher, id).await.unwrap();
        let mut content = old.content.clone();
        content.note = drafts::text(note);
        let revised = self
            .hub
            .hub()
            .revise(&self.publisher, id, old.revision, "".into(), content, false);
        revised.await.unwrap();
    }

    async fn retract(&self, id: IndicatorId) {
        let reason = drafts::text("a mistake");
        let outcomes = self.hub.hub().retract(&self.publisher, vec![id], reason, true).await;
        assert!(matches!(outcomes.unwrap()[0], Outcome::Accepted { .. }));
    }

    async fn order(&self, id: IndicatorId) -> Result<Asked<IndicatorId>, HubError> {
        let reason = drafts::text("court order 12/34");
        self.hub.hub().order_erasure(self.hub.admin(), id, reason).await
    }

    /// What was written so far lies in sealed epochs then.
    async fn end_epoch(&self) {
        let id = self.published("ordered.example.com").await;
        self.order(id).await.unwrap();
        self.hub.erase_round().await;
        assert!(self.is_erased(id));
    }

    fn is_erased(&self, id: IndicatorId) -> bool {
        let own = self.hub.hub().indicator(&self.publisher, id);
        matches!(hub_support::waiting::wait(own), Err(HubError::Conflict { field: "id", reason }) if reason == "was erased")
    }

    async fn lookup(&self, value: &str) -> Vec<IndicatorId> {
        let asked = [Observable::parse(value).ok()];
        let answers = self.hub.hub().lookup(&self.reader, &asked).await.unwrap();
        let found = answers[0].found.iter();
        found.map(|(_, release)| release.body().id).collect()
    }
}

async fn until_live(feed: &mut Feed) -> Result<Vec<Batch>, HubError> {
    let mut batches = Vec::new();
    loop {
        batches.push(feed.next().await?);
        if batches.last().is_some_and(|batch| batch.live.is_some()) {
            return Ok(batches);
        }
    }
}

fn on_scene(test: impl AsyncFnOnce(Scene)) {
    runtime().block_on(async { test(Scene::new().await).await });
}

#[test]
fn what_was_ordered_is_in_no_file_and_no_answer() {
    on_scene(async |mut scene| {
        let other = scene.published("kept.example.com").await;
        let id = scene.published(MARKER).await;
        for number in 0..40 {
            scene.published(&format!("more-{number}.example.com")).await;
        }
        scene.revise(id, &format!("{MARKER} once more")).await;
        let before = scene.hub.back_up();
        let traces = Traces::of(before.path());
        assert_eq!(traces.entries, 2);
        let is_in_bodies = |scene: &Scene| {
            let blocks = files::bodies(&scene.hub.dir().join("views/bodies"));
            blocks.iter().any(|block| is_marked(block))
        };
        let is_found = traces.are_in(before.path()) && is_in_bodies(&scene);
        assert!(is_found, "what is looked for is not found while it is there");

        scene.order(id).await.unwrap();
        assert!(scene.lookup(MARKER).await.is_empty(), "it is taken back at once");
        scene.hub.erase().await;
        assert!(scene.is_erased(id));
        assert_eq!(scene.hub.hub().erased().entries, 2);
        for _ in 0..2 {
            let after = scene.hub.back_up();
            assert!(!traces.are_in(after.path()));
            assert!(!is_in_bodies(&scene));
            assert!(scene.is_erased(id), "also after a restart");
            assert_eq!(scene.lookup("kept.example.com").await, [other]);
            assert_eq!(scene.hub.hub().erased().entries, 2);
        }
        let report = clearinghouse::log::verify(&scene.hub.back_up().path().join("log")).unwrap();
        assert_eq!(report.entries_erased, 2);
    });
}

#[test]
fn crash_between_log_and_bodies_leaves_no_body_to_the_next_start() {
    on_scene(async |mut scene| {
        let id = scene.published(MARKER).await;
        for number in 0..40 {
            scene.published(&format!("more-{number}.example.com")).await;
        }
        let mut before = Vec::new();
        let path = |dir: &std::path::Path| dir.join("views/bodies");
        scene
            .hub
            .restart_after(|dir| before = std::fs::read(path(dir)).unwrap());
        scene.order(id).await.unwrap();
        scene.hub.erase().await;
        // The log is erased, and the bodies are those of before.
        scene
            .hub
            .restart_after(|dir| std::fs::write(path(dir), &before).unwrap());
        assert!(scene.is_erased(id));
        scene.hub.restart_after(|dir| {
            let blocks = files::bodies(&path(dir));
            assert!(blocks.len() >= 32 && !blocks.iter().any(|block| is_marked(block)));
        });
        assert_eq!(scene.lookup("more-3.example.com").await.len(), 1);
    });
}

#[test]
fn record_that_is_not_carried_out_is_carried_out_after_a_restart() {
    on_scene(async |mut scene| {
        let id = scene.published(MARKER).await;
        scene.retract(id).await;
        scene.end_epoch().await;
        scene.hub.let_time_pass().await;
        // The first round writes down what the sealed epochs hold; the copy is of the moment before it is erased.
        scene.hub.erase_round().await;
        assert!(scene.is_erased(id), "its owner is told before it is gone");
        let recorded = scene.hub.back_up();
        let traces = Traces::of(recorded.path());
        assert_eq!(traces.entries, 2, "nothing is erased in the round that writes it down");
        assert!(scene.is_erased(id));
        scene.hub.erase_round().await;
        let after = scene.hub.back_up();
        assert!(traces.are_in(recorded.path()) && !traces.are_in(after.path()));
    });
}

#[test]
fn an_erasure_without_its_record_is_damage() {
    on_scene(async |mut scene| {
        let id = scene.published(MARKER).await;
        scene.end_epoch().await;
        let copy = scene.hub.back_up();
        let dir = copy.path().join("log");
        let log = clearinghouse::log::Log::open(&dir, hub_support::log_options()).unwrap();
        let seq = files::seq_of(&log.reader(), id);
        let erased = log
            .eraser()
            .erase(&[seq].into(), &mut |_, bytes| left_of(bytes))
            .unwrap();
        assert_eq!(erased.entries_erased, 1);
        log.close().unwrap();
        assert!(clearinghouse::log::verify(&dir).is_ok(), "the log alone cannot tell");
        let refused = scene.hub.refusal_of(&copy);
        assert!(refused.contains("is erased, and no entry says so"), "{refused}");
    });
}

#[test]
fn nothing_but_what_indicators_said_can_be_erased() {
    on_scene(async |mut scene| {
        let id = scene.published("one.example.com").await;
        let agency = scene.hub.member("Agency", MemberKind::Government).await;
        let mut content = drafts::content("open.example.com", Rules::open(Tlp::Clear).handling().unwrap());
        content.note = drafts::text("for all");
        let item = Ok(drafts::item(content));
        scene.hub.hub().publish(&scene.publisher, vec![item]).await.unwrap();
        let mut feed = scene.hub.hub().subscribe(&agency, Filter::default(), &[]).unwrap();
        until_live(&mut feed).await.unwrap();
        drop(feed);
        scene.retract(id).await;
        scene.order(id).await.unwrap();
        scene.hub.erase().await;
        let copy = scene.hub.back_up();
        let log = clearinghouse::log::Log::open(&copy.path().join("log"), hub_support::log_options()).unwrap();
        let (mut kept, mut gone) = (0, 0);
        files::each_entry(&log.reader(), |_, bytes| {
            let event = Entry::decode(bytes.clone()).unwrap().event;
            let may_go = matches!(
                event,
                Event::IndicatorPublished { .. } | Event::IndicatorRevised { .. } | Event::IndicatorRetracted { .. }
            );
            assert_eq!(left_of(bytes).is_some(), may_go, "{event:?}");
            kept += usize::from(!may_go);
            gone += usize::from(matches!(event, Event::IndicatorErased(_)));
        });
        assert!(kept > 8 && gone == 2, "{kept} and {gone}");
    });
}

#[test]
fn recall_of_what_is_erased_is_delivered_and_confirmed() {
    on_scene(async |mut scene| {
        let name = || SubscriptionName::parse("name", "mirror").unwrap();
        let id = scene.published(MARKER).await;
        let hub = scene.hub.hub().clone();
        let mut feed = hub
            .subscribe_durable(&scene.reader, name(), Filter::default(), &[])
            .await
            .unwrap();
        let cursor = until_live(&mut feed).await.unwrap().pop().unwrap().cursor;
        drop((feed, hub));
        scene.order(id).await.unwrap();
        scene.hub.erase().await;
        scene.hub.restart();
        assert!(scene.is_erased(id));
        let recall = scene.hub.hub().recall(&scene.publisher, id).await.unwrap();
        assert_eq!(recall.outstanding(), 1, "{recall:?}");

        let hub = scene.hub.hub().clone();
        let mut feed = hub
            .subscribe_durable(&scene.reader, name(), Filter::default(), &cursor)
            .await
            .unwrap();
        let batches = until_live(&mut feed).await.unwrap();
        let removals: Vec<_> = batches.iter().flat_map(|batch| batch.removals.clone()).collect();
        assert_eq!(removals, [(id, RemovalReason::Retracted)]);
        let last = batches.last().unwrap().cursor.clone();
        assert_eq!(hub.acknowledge(&scene.reader, name(), &last).await.unwrap(), 1);
        drop((feed, hub));
        for _ in 0..2 {
            let recall = scene.hub.hub().recall(&scene.publisher, id).await.unwrap();
            assert_eq!((recall.outstanding(), recall.holders.len()), (0, 1), "{recall:?}");
            scene.hub.restart();
        }
    });
}

#[test]
fn feed_that_would_have_to_ask_for_an_erased_value_is_told_to_begin_anew() {
    on_scene(async |mut scene| {
        let by_value = Filter {
            value_suffixes: vec!["example.com".into()],
            ..Filter::default()
        };
        let (id, kept) = (scene.published(MARKER).await, scene.published("kept.example.com").await);
        let mut cursors = Vec::new();
        for filter in [&by_value, &Filter::default()] {
            let mut feed = scene.hub.hub().subscribe(&scene.reader, filter.clone(), &[]).unwrap();
            cursors.push(until_live(&mut feed).await.unwrap().pop().unwrap().cursor);
        }
        scene.order(id).await.unwrap();
        scene.hub.erase().await;
        for _ in 0..2 {
            let mut feed = scene
                .hub
                .hub()
                .subscribe(&scene.reader, by_value.clone(), &cursors[0])
                .unwrap();
            let refused = until_live(&mut feed).await;
            assert!(matches!(refused, Err(HubError::CursorRefused { .. })), "{refused:?}");
            let mut feed = scene.hub.hub().subscribe(&scene.reader, by_value.clone(), &[]).unwrap();
            let batches = until_live(&mut feed).await.unwrap();
            let sent: Vec<_> = batches
                .iter()
                .flat_map(|batch| &batch.upserts)
                .map(|one| one.body().id)
                .collect();
            assert_eq!(sent, [kept]);
            let mut feed = scene
                .hub
                .hub()
                .subscribe(&scene.reader, Filter::default(), &cursors[1])
                .unwrap();
            let batches = until_live(&mut feed).await.unwrap();
            let removals: Vec<_> = batches.iter().flat_map(|batch| batch.removals.clone()).collect();
            assert_eq!(removals, [(id, RemovalReason::Retracted)]);
            drop(feed);
            scene.hub.restart();
        }
    });
}

#[test]
fn repetition_of_what_is_erased_is_known_and_its_value_can_be_published_anew() {
    on_scene(async |mut scene| {
        let Outcome::Accepted { id, .. } = scene.publish(MARKER, "attempt 1").await else {
            panic!("accepted");
        };
        scene.retract(id).await;
        scene.order(id).await.unwrap();
        scene.hub.erase().await;
        for _ in 0..2 {
            let again = scene.publish(MARKER, "attempt 1").await;
            assert!(
                matches!(again, Outcome::Accepted { id: same, revision: 1, .. } if same == id),
                "{again:?}"
            );
            let reason = drafts::text("twice");
            let outcomes = scene
                .hub
                .hub()
                .retract(&scene.publisher, vec![id], reason, true)
                .await
                .unwrap();
            assert!(
                matches!(outcomes[0], Outcome::Duplicate { revision: 2, .. }),
                "{outcomes:?}"
            );
            scene.hub.restart();
        }
        let anew = scene.published(MARKER).await;
        assert_ne!(anew, id);
        assert_eq!(scene.lookup(MARKER).await, [anew]);
    });
}

#[test]
fn revisions_go_and_what_stands_keeps_its_place() {
    on_scene(async |mut scene| {
        let first = scene.published(MARKER).await;
        let other = caller(scene.reader.member, [Role::Publisher, Role::Subscriber]);
        let item = Ok(drafts::item(drafts::content(
            MARKER,
            Rules::open(Tlp::Green).handling().unwrap(),
        )));
        let outcomes = scene.hub.hub().publish(&other, vec![item]).await.unwrap();
        let Outcome::Accepted { id: second, .. } = outcomes[0] else {
            panic!("accepted");
        };
        let traces = Traces::of(scene.hub.back_up().path());
        assert_eq!(traces.entries, 2);
        for note in ["nothing", "of", "note", "is left"] {
            scene.revise(first, note).await;
        }
        scene.end_epoch().await;
        scene.hub.erase().await;
        assert_eq!(
            scene.hub.hub().erased().entries,
            5,
            "four revisions, and what made the epoch end"
        );
        for _ in 0..2 {
            assert_eq!(
                scene.lookup(MARKER).await,
                [second, first],
                "newest first, by publication"
            );
            let own = scene.hub.hub().indicator(&scene.publisher, first).await.unwrap();
            assert_eq!((own.body().revision, own.body().state), (5, State::Active));
            scene.hub.restart();
        }
    });
}

#[test]
fn what_may_be_kept_is_kept() {
    runtime().block_on(async {
        let hub = TestHub::new();
        let publisher = hub.member("Aurora", MemberKind::Platform).await;
        let reader = hub.member("Borealis", MemberKind::Platform).await;
        let scene = Scene { hub, publisher, reader };
        let (over, ordered) = (
            scene.published(MARKER).await,
            scene.published("ordered.example.com").await,
        );
        scene.retract(over).await;
        scene.order(ordered).await.unwrap();
        scene.hub.erase().await;
        assert!(scene.is_erased(ordered) && !scene.is_erased(over));
        let own = scene.hub.hub().indicator(&scene.publisher, over).await.unwrap();
        assert_eq!(own.body().state, State::Retracted);
    });
}

#[test]
fn order_is_an_admins_and_a_second_ones() {
    on_scene(async |scene| {
        let id = scene.published(MARKER).await;
        let hub = scene.hub.hub();
        let reason = || drafts::text("because");
        let by_publisher = hub.order_erasure(&scene.publisher, id, reason()).await;
        assert!(matches!(by_publisher, Err(HubError::Denied(_))), "{by_publisher:?}");
        let unknown = IndicatorId(uuid::Uuid::now_v7());
        let of_unknown = hub.order_erasure(scene.hub.admin(), unknown, reason()).await;
        assert!(
            matches!(of_unknown, Err(HubError::NotFound { field: "indicator_id" })),
            "{of_unknown:?}"
        );

        scene
            .hub
            .enrol(scene.reader.member, "second", [Role::Admin].into_iter().collect())
            .await;
        let mut second = caller(scene.reader.member, [Role::Admin]);
        second.agent = "second".parse().unwrap();
        let Ok(Asked::Pending(pending)) = scene.order(id).await else {
            panic!("the order waits");
        };
        assert!(pending.summary.contains(&id.to_string()), "{}", pending.summary);
        scene.hub.erase().await;
        assert!(
            !scene.is_erased(id) && !scene.lookup(MARKER).await.is_empty(),
            "it is not approved"
        );
        let own = hub.approve_change(scene.hub.admin(), pending.id).await;
        assert!(matches!(own.map(drop), Err(HubError::Denied(_))));
        hub.approve_change(&second, pending.id).await.unwrap();
        assert!(scene.lookup(MARKER).await.is_empty());
        scene.hub.erase().await;
        assert!(scene.is_erased(id));
        assert!(
            matches!(scene.order(id).await, Ok(Asked::Done(_))),
            "nothing is left to do"
        );
    });
}
