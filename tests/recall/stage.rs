//! The stage of these tests: a hub with a publisher and two subscribers, and short words for what they do.

use bytes::Bytes;
use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Tlp;
use clearinghouse::domain::id::IndicatorId;
use clearinghouse::domain::member::MemberKind;
use clearinghouse::domain::subscription::SubscriptionName;
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::feed::{Batch, Feed, Limits};
use clearinghouse::hub::publish::Outcome;
use clearinghouse::hub::recall::{Holder, Recall};
use clearinghouse::hub::{Caller, Hub};

use super::hub_support::drafts::{self, Rules};
use super::hub_support::waiting::wait;
use super::hub_support::{self, TestHub};

/// A hub with three members.
pub struct Stage {
    pub hub: TestHub,
    pub publisher: Caller,
    pub reader: Caller,
    pub other: Caller,
}

impl Stage {
    pub async fn new() -> Stage {
        let hub = TestHub::new();
        let publisher = hub.member("Aurora", MemberKind::Platform).await;
        let reader = hub.member("Borealis", MemberKind::Platform).await;
        let other = hub.member("Cassini", MemberKind::Research).await;
        Stage {
            hub,
            publisher,
            reader,
            other,
        }
    }

    pub fn hub(&self) -> &Hub {
        self.hub.hub()
    }

    pub async fn publish(&self, value: &str, rules: Rules) -> IndicatorId {
        let content = drafts::content(value, rules.handling().expect("a handling"));
        let items = vec![Ok(drafts::item(content))];
        let mut outcomes = self.hub().publish(&self.publisher, items).await.expect("published");
        match outcomes.remove(0) {
            Outcome::Accepted { id, .. } => id,
            other => panic!("{value} was not accepted: {other:?}"),
        }
    }

    pub async fn revise(&self, id: IndicatorId, rules: Rules) {
        let old = self.hub().own(&self.publisher, id).await.expect("an own indicator");
        let content = drafts::content(old.content.raw.as_str(), rules.handling().expect("a handling"));
        let (revision, request) = (old.revision, "".into());
        let revised = self
            .hub()
            .revise(&self.publisher, id, revision, request, content, false);
        revised.await.expect("revised");
    }

    pub async fn retract(&self, id: IndicatorId) {
        let reason = drafts::text("a parody account");
        let outcomes = self.hub().retract(&self.publisher, vec![id], reason, false).await;
        assert!(
            matches!(outcomes.as_deref(), Ok([Outcome::Accepted { .. }])),
            "{outcomes:?}"
        );
    }

    /// The recall, as its publisher sees it.
    pub fn recall(&self, id: IndicatorId) -> Recall {
        wait(self.hub().recall(&self.publisher, id)).expect("it was taken back")
    }

    /// Who holds it, each with whether it has confirmed.
    pub fn holders(&self, id: IndicatorId) -> Vec<(String, bool)> {
        let told = |holder: Holder| (holder.subscription.to_string(), holder.confirmed_at.is_some());
        let mut holders: Vec<_> = self.recall(id).holders.into_iter().map(told).collect();
        holders.sort();
        holders
    }

    pub async fn attach(&self, caller: &Caller, word: &str, cursor: &[u8]) -> Feed {
        let attached = self
            .hub()
            .subscribe_durable(caller, name(word), Filter::default(), cursor);
        attached.await.expect("attached")
    }

    pub async fn acknowledge(&self, caller: &Caller, word: &str, cursor: &[u8]) -> Result<u32, HubError> {
        self.hub().acknowledge(caller, name(word), cursor).await
    }

    /// Opens a stream, reads all, and closes it; gives the cursor.
    pub async fn visit(&self, caller: &Caller, word: &str, cursor: &[u8]) -> Bytes {
        let mut feed = self.attach(caller, word, cursor).await;
        let cursor = until_live(&mut feed).await.1;
        drop(feed);
        self.settle().await;
        cursor
    }

    /// Waits until what a dropped stream left to be written is in the log.
    pub async fn settle(&self) {
        let nothing = self.hub().publish(&self.publisher, Vec::new());
        nothing.await.expect("the sequencer answers in order");
    }

    pub fn entries(&self) -> u64 {
        self.hub().condition().log.size
    }
}

/// Batches up to live, and the last cursor.
pub async fn until_live(feed: &mut Feed) -> (Vec<Batch>, Bytes) {
    let mut batches = Vec::new();
    loop {
        let batch = feed.next().await.expect("the feed goes on");
        let (cursor, is_live) = (batch.cursor.clone(), batch.live.is_some());
        batches.push(batch);
        if is_live {
            return (batches, cursor);
        }
    }
}

pub fn name(word: &str) -> SubscriptionName {
    SubscriptionName::parse("name", word).expect("a name")
}

pub fn open() -> Rules {
    Rules::open(Tlp::Green)
}

pub fn only(members: &[&Caller]) -> Rules {
    Rules {
        members: members.iter().map(|caller| caller.member).collect(),
        ..Rules::open(Tlp::Amber)
    }
}

/// A batch with one indicator is full.
pub const ONE_BY_ONE: Limits = Limits {
    batch_items_max: 1,
    ..Limits::DEFAULT
};

/// The same test on a hub of its own.
pub fn on_stage(test: impl AsyncFnOnce(Stage)) {
    hub_support::runtime().block_on(async { test(Stage::new().await).await });
}
