//! Durable subscriptions in a world: the observer's own, whose every batch is told, and those of others, who hold what the observer
//! published and confirm what it takes back.

use bytes::Bytes;
use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::subscription::SubscriptionName;
use clearinghouse::hub::Caller;
use clearinghouse::hub::feed::{Feed, Limits};

use super::hub_support::waiting::wait;
use super::script::{Other, Streaming};
use super::world::{CAMPAIGNS, OBSERVER, World};

/// One durable subscription.
pub(super) struct Durable {
    /// By its number among the others; the observer comes after them.
    pub by: usize,
    name: SubscriptionName,
    filter: Filter,
    feed: Option<Feed>,
    /// The newest cursor that it was given, and the one that it stored.
    cursor: Bytes,
    stored: Bytes,
}

impl World<'_> {
    /// Something that a durable subscriber does. `campaign` names its filter: none for everything.
    pub(super) fn stream(&mut self, by: usize, campaign: Option<usize>, what: Streaming) {
        let at = self.durable(by, campaign);
        match what {
            Streaming::Read => self.read_durable(at),
            Streaming::Acknowledge => self.acknowledge(at),
            Streaming::Close => self.close(at, true),
            Streaming::Crash => self.close(at, false),
        }
    }

    /// The subscription's place; made where it is new.
    fn durable(&mut self, by: usize, campaign: Option<usize>) -> usize {
        let word = campaign.map_or("all".to_owned(), |campaign| format!("campaign-{campaign}"));
        let name = name(&word);
        let known = self.durables.iter().position(|one| one.by == by && one.name == name);
        known.unwrap_or_else(|| {
            let mut filter = Filter::default();
            filter
                .campaigns
                .extend(campaign.map(|campaign| CAMPAIGNS[campaign].into()));
            self.durables.push(Durable {
                by,
                name,
                filter,
                feed: None,
                cursor: Bytes::new(),
                stored: Bytes::new(),
            });
            self.durables.len() - 1
        })
    }

    /// Reads all that there is, connecting first where it is not connected.
    fn read_durable(&mut self, at: usize) {
        let is_observer = self.durables[at].by == OBSERVER;
        if self.durables[at].feed.is_none() {
            let limits = if is_observer { self.limits } else { Limits::DEFAULT };
            let Durable {
                by,
                name,
                filter,
                cursor,
                ..
            } = &self.durables[at];
            let (caller, hub) = (self.caller(*by), self.hub());
            let opened = wait(hub.subscribe_durable_within(caller, name.clone(), filter.clone(), cursor, limits));
            self.durables[at].feed = Some(opened.expect("a member may subscribe"));
        }
        loop {
            let stage = &self.stage.hub;
            let durable = &mut self.durables[at];
            let Some(batch) = durable.feed.as_mut().and_then(|feed| stage.next_now(feed)) else {
                return;
            };
            let batch = batch.expect("a member may read");
            durable.cursor = batch.cursor.clone();
            if is_observer {
                let word = format!("durable feed {}", durable.name);
                self.tell_batch(&word, 0, batch);
            }
        }
    }

    fn acknowledge(&mut self, at: usize) {
        let durable = &mut self.durables[at];
        durable.stored = durable.cursor.clone();
        if durable.stored.is_empty() {
            return;
        }
        let Durable { by, name, stored, .. } = &self.durables[at];
        let confirmed = wait(self.hub().acknowledge(self.caller(*by), name.clone(), stored));
        if *by == OBSERVER {
            self.tell("acknowledged", confirmed);
        }
    }

    /// Its stream ends; one that crashes comes back with the cursor that it stored last.
    fn close(&mut self, at: usize, stores: bool) {
        let durable = &mut self.durables[at];
        match stores {
            true => durable.stored = durable.cursor.clone(),
            false => durable.cursor = durable.stored.clone(),
        }
        durable.feed = None;
        self.settle();
    }

    /// What a dropped stream left to be written is in the log after this.
    pub(super) fn settle(&self) {
        wait(self.hub().publish(self.stage.hub.admin(), Vec::new())).expect("the sequencer answers in order");
    }

    /// Ends all of them, for good.
    pub(super) fn end_streams(&mut self) {
        for durable in std::mem::take(&mut self.durables) {
            drop(durable.feed);
            let caller: &Caller = self.caller(durable.by);
            let ended = wait(self.hub().drop_subscription(caller, caller.agent.clone(), durable.name));
            // One that never read was never made.
            drop(ended);
        }
        self.settle();
    }
}

impl Other {
    /// Its number among the others.
    pub(super) fn number(self) -> usize {
        self as usize
    }
}

pub(super) fn name(word: &str) -> SubscriptionName {
    SubscriptionName::parse("name", word).expect("a name")
}
