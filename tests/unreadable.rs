//! What is stored and cannot be read: the hub says so, and never that it is not there. And whoever waits for the disk does not hold the
//! views: a test that makes the hub do so ends with a failed assertion in the hub.

mod hub_support;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::IndicatorId;
use clearinghouse::domain::member::MemberKind;
use clearinghouse::domain::subscription::SubscriptionName;
use clearinghouse::domain::violation::Violation;
use clearinghouse::hub::Caller;
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::feed::Feed;
use clearinghouse::hub::publish::{Item, Outcome, RejectionCode};

use hub_support::drafts::{self, Rules};
use hub_support::{TestHub, runtime};

/// Where the blocks of bodies begin in their file.
const HEAD_BYTES: u64 = 4_096;

/// How long the disk may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Enough for some blocks.
const INDICATORS: usize = 48;

struct Stage {
    hub: TestHub,
    publisher: Caller,
    reader: Caller,
}

impl Stage {
    async fn new() -> Stage {
        let hub = TestHub::with_bodies_on_disk();
        let publisher = hub.member("Aurora", MemberKind::Platform).await;
        let reader = hub.member("Borealis", MemberKind::Platform).await;
        Stage { hub, publisher, reader }
    }

    async fn publish(&self, values: impl Iterator<Item = String>) -> Vec<IndicatorId> {
        let item = |value: String| -> Result<Item, Violation> {
            let handling = Rules::open(Tlp::Green).handling().expect("a handling");
            Ok(drafts::item(drafts::content(&value, handling)))
        };
        let items: Vec<_> = values.map(item).collect();
        let outcomes = self.hub.hub().publish(&self.publisher, items).await;
        let id = |outcome: Outcome| match outcome {
            Outcome::Accepted { id, .. } => id,
            other => panic!("{other:?}"),
        };
        outcomes.expect("published").into_iter().map(id).collect()
    }

    async fn retract(&self, ids: &[IndicatorId]) -> Vec<Outcome> {
        let reason = drafts::text("a parody account");
        let retracted = self.hub.hub().retract(&self.publisher, ids.to_vec(), reason, true);
        retracted.await.expect("one outcome for each")
    }

    async fn attach(&self, filter: &Filter, cursor: &[u8]) -> Feed {
        let attached = self
            .hub
            .hub()
            .subscribe_durable(&self.reader, name(), filter.clone(), cursor);
        attached.await.expect("attached")
    }

    /// The middle of the blocks in their file.
    fn middle(&self) -> u64 {
        let length = std::fs::metadata(self.hub.bodies_path()).expect("the file").len();
        HEAD_BYTES + (length - HEAD_BYTES) / 2
    }

    /// Changes a bit of the file of bodies, or changes it back.
    fn flip(&self, at: u64) {
        let path = self.hub.bodies_path();
        let file = File::options().read(true).write(true).open(path).expect("the file");
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("a byte");
        file.write_all_at(&[byte[0] ^ 1], at).expect("a changed byte");
    }
}

fn name() -> SubscriptionName {
    SubscriptionName::parse("name", "siem").expect("a name")
}

/// What is in the mirror once the feed is live, counted, and the last cursor.
async fn until_live(feed: &mut Feed) -> (usize, bytes::Bytes) {
    let mut removed = 0;
    loop {
        let batch = feed.next().await.expect("the feed goes on");
        removed += batch.removals.len();
        if batch.live.is_some() {
            return (removed, batch.cursor);
        }
    }
}

#[test]
fn what_cannot_be_read_is_not_taken_for_what_is_not_there() {
    runtime().block_on(async {
        let mut stage = Stage::new().await;
        let value = |n: usize| format!("{n}.example.com");
        let ids = stage.publish((0..INDICATORS).map(value)).await;
        // Nothing stays in memory once the fold has found it all on disk.
        stage.hub.restart();
        assert!(stage.hub.hub().wait_for_bodies_on_disk(PATIENCE));
        let middle = stage.middle();
        stage.flip(middle);
        let hub = stage.hub.hub();
        let mut damaged = Vec::new();
        for (place, id) in ids.iter().enumerate() {
            let Err(error) = hub.own(&stage.publisher, *id).await else {
                continue;
            };
            let handling = Rules::open(Tlp::Green).handling().expect("a handling");
            let content = drafts::content(&value(place), handling);
            let revised = hub.revise(&stage.publisher, *id, 1, "".into(), content, false).await;
            let read = hub.indicator(&stage.reader, *id).await;
            for error in [Some(error), revised.err(), read.err()] {
                assert!(matches!(error, Some(HubError::Unreadable(_))), "{error:?}");
            }
            damaged.push(place);
        }
        assert!(!damaged.is_empty() && damaged.len() < INDICATORS / 2, "{damaged:?}");
        for (place, outcome) in stage.retract(&ids).await.iter().enumerate() {
            match (damaged.contains(&place), outcome) {
                (false, Outcome::Accepted { .. }) => {}
                (true, Outcome::Rejected(rejection)) => {
                    assert_eq!(rejection.code, RejectionCode::Unreadable);
                    assert!(rejection.retry_after.is_some(), "a retry may help");
                    assert_eq!(rejection.violation.field, format!("ids[{place}]"));
                }
                other => panic!("{place}: {other:?}"),
            }
        }
        stage.flip(middle);
        for (place, outcome) in stage.retract(&ids).await.iter().enumerate() {
            match (damaged.contains(&place), outcome) {
                (true, Outcome::Accepted { .. }) | (false, Outcome::Duplicate { .. }) => {}
                other => panic!("{place}: {other:?}"),
            }
        }
    });
}

/// More recalls than are looked at in one stretch, towards a filter that only bodies answer.
#[test]
fn what_a_proof_confirms_is_read_from_disk_without_the_views() {
    const VALUES: usize = 1_500;
    const WATCHED: usize = VALUES / 3;
    runtime().block_on(async {
        let mut stage = Stage::new().await;
        let value = |n: usize| match n % 3 {
            0 => format!("{n}.example.com"),
            _ => format!("{n}.example.org"),
        };
        let mut ids = stage.publish((0..VALUES / 2).map(value)).await;
        ids.extend(stage.publish((VALUES / 2..VALUES).map(value)).await);
        let filter = Filter {
            value_suffixes: vec!["example.com".into()],
            ..Filter::default()
        };
        let mut feed = stage.attach(&filter, &[]).await;
        let (_, cursor) = until_live(&mut feed).await;
        drop(feed);
        for half in ids.chunks(VALUES / 2) {
            stage.retract(half).await;
        }
        stage.hub.restart();
        assert!(stage.hub.hub().wait_for_bodies_on_disk(PATIENCE));
        let open = async |stage: &Stage| {
            let cards = stage.hub.hub().subscriptions(&stage.reader).await.expect("cards");
            cards[0].recalls_open as usize
        };
        assert_eq!(open(&stage).await, WATCHED);
        // Coming back proves what the cursor says, and the removals are not in it.
        let mut feed = stage.attach(&filter, &cursor).await;
        let (removed, cursor) = until_live(&mut feed).await;
        assert_eq!((removed, open(&stage).await), (WATCHED, WATCHED));
        let acknowledged = stage.hub.hub().acknowledge(&stage.reader, name(), &cursor).await;
        assert_eq!(acknowledged, Ok(WATCHED as u32));
        assert_eq!(open(&stage).await, 0);
        let again = stage.hub.hub().acknowledge(&stage.reader, name(), &cursor).await;
        assert_eq!(again, Ok(0));
        let recall = |id| stage.hub.hub().recall(&stage.publisher, id);
        let confirmed = recall(ids[0]).await.expect("a recall").holders;
        assert!(confirmed.len() == 1 && confirmed[0].confirmed_at.is_some());
        assert_eq!(recall(ids[1]).await.expect("a recall").holders, []);
        drop(feed);
    });
}
