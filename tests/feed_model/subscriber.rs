//! A subscriber: a mirror that it keeps by the batches it reads, and its cursors. Each batch is held against the oracle.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use clearinghouse::domain::filter::Filter;
use clearinghouse::domain::handling::Audience;
use clearinghouse::domain::id::IndicatorId;
use clearinghouse::domain::indicator::State;
use clearinghouse::domain::member::{MemberKind, Standing};
use clearinghouse::domain::observable::Kind;
use clearinghouse::domain::policy::Release;
use clearinghouse::domain::subscription::SubscriptionName;
use clearinghouse::hub::error::HubError;
use clearinghouse::hub::feed::{Batch, Feed, Limits, RemovalReason};
use clearinghouse::hub::recall::Holder;
use clearinghouse::hub::{Caller, Hub, Sighting};
use clearinghouse::log::entry::decode_indicator;

use super::holdings::Holdings;
use super::hub_support::TestHub;
use super::hub_support::waiting::wait;
use super::oracle::{Oracle, digest};
use super::steps::{CONFIDENCES, Wish};

/// Mirrors and cursors that a subscriber may fall back to.
const KEPT_MAX: usize = 4;

type Mirror = BTreeMap<IndicatorId, (u32, State)>;

pub struct Subscriber {
    pub member: usize,
    pub wish: Wish,
    pub caller: Caller,
    limits: Limits,
    feed: Option<Feed>,
    mirror: Mirror,
    /// The last cursors, newest last, each with the mirror that belongs to it and the number of its batch.
    kept: Vec<(Bytes, Mirror, u64)>,
    /// Of a durable subscription: its name, and what it may hold.
    name: Option<SubscriptionName>,
    pub books: Option<Holdings>,
    has_come_back: bool,
}

/// What a read came to.
pub enum Read {
    Batch { live: bool, changes: u64 },
    Idle,
    Closed,
}

impl Subscriber {
    pub fn new(member: usize, caller: Caller, wish: Wish, batch_items: usize, hold_touches: u32) -> Subscriber {
        Subscriber {
            member,
            wish,
            caller,
            limits: Limits {
                batch_items_max: batch_items,
                batch_bytes_max: Limits::DEFAULT.batch_bytes_max,
                touches_per_hold_max: hold_touches,
                // Half of them look at each touch, the others only at those that may matter.
                touches_walked_max: [0, u32::MAX][hold_touches as usize % 2],
            },
            feed: None,
            mirror: Mirror::new(),
            kept: vec![(Bytes::new(), Mirror::new(), 0)],
            name: None,
            books: None,
            has_come_back: false,
        }
    }

    /// The same, durable under a name.
    pub fn durable(self, name: SubscriptionName) -> Subscriber {
        Subscriber {
            name: Some(name),
            books: Some(Holdings::default()),
            ..self
        }
    }

    /// Whether a recall names this subscriber.
    pub fn is_named(&self, holder: &Holder) -> bool {
        holder.member == self.caller.member && self.name.as_ref() == Some(&holder.subscription)
    }

    /// Connects, if it is not connected, with the cursor before the last `lost` ones.
    pub fn open(&mut self, hub: &Hub, lost: usize) -> Result<(), String> {
        match self.feed {
            Some(_) => Ok(()),
            None => self.connect(hub, lost),
        }
    }

    /// Connects anew; where a durable stream is open, the new one takes over.
    pub fn connect(&mut self, hub: &Hub, lost: usize) -> Result<(), String> {
        self.kept.truncate(self.kept.len().saturating_sub(lost).max(1));
        let (cursor, mirror, batch) = self.kept.last().cloned().unwrap_or_default();
        self.mirror = mirror;
        let wanted = filter(self.wish);
        let feed = match &self.name {
            None => hub.subscribe_within(&self.caller, wanted, &cursor, self.limits),
            Some(name) => wait(hub.subscribe_durable_within(&self.caller, name.clone(), wanted, &cursor, self.limits)),
        };
        match feed {
            Ok(feed) => self.feed = Some(feed),
            // A durable subscription is an entry, and an inactive member writes none.
            Err(HubError::Unauthenticated(_)) if self.name.is_some() => {
                self.feed = None;
                return Ok(());
            }
            Err(error) => return Err(format!("subscribe: {error}")),
        }
        if let Some(books) = &mut self.books {
            books.come_back(batch);
            self.has_come_back = true;
        }
        Ok(())
    }

    /// Confirms what was read last.
    pub fn acknowledge(&mut self, hub: &Hub) -> Result<(), String> {
        let (Some(name), Some(books), Some((cursor, _, batch))) = (&self.name, &mut self.books, self.kept.last())
        else {
            return Ok(());
        };
        if cursor.is_empty() {
            return Ok(());
        }
        let confirmed = wait(hub.acknowledge(&self.caller, name.clone(), cursor));
        confirmed.map_err(|error| format!("acknowledge: {error}"))?;
        books.confirm(*batch);
        Ok(())
    }

    /// Ends a durable subscription for good.
    pub fn end(self, hub: &Hub) {
        drop(self.feed);
        if let Some(name) = self.name {
            // One of a member that never was active since was never made.
            drop(wait(hub.drop_subscription(
                &self.caller,
                self.caller.agent.clone(),
                name,
            )));
        }
    }

    pub fn close(&mut self) {
        self.feed = None;
    }

    /// Reads one batch if there is one, and holds it against the oracle. A refusal ends the connection.
    pub fn read(&mut self, hub: &TestHub, oracle: &Oracle) -> Result<Read, String> {
        let Some(feed) = &mut self.feed else {
            return Ok(Read::Closed);
        };
        let active = oracle.members[self.member].standing == Standing::Active;
        if let Some(books) = self.books.as_mut().filter(|_| std::mem::take(&mut self.has_come_back)) {
            let (member, wish) = (self.member, self.wish);
            let due = oracle.mirror(member, wish);
            books.owe_first(|id| due.contains_key(&id));
        }
        let batch = match hub.next_now(feed) {
            Some(Err(HubError::Unauthenticated(_))) if !active => {
                self.feed = None;
                return Ok(Read::Closed);
            }
            Some(Err(error)) => return Err(format!("the feed ended: {error}")),
            Some(Ok(batch)) if active => batch,
            // An inactive member's feed ends at once; it neither delivers nor waits.
            _ if !active => return Err("the feed of an inactive member goes on".into()),
            _ => {
                self.expect_mirror(oracle, "while the feed is idle")?;
                return Ok(Read::Idle);
            }
        };
        let (live, changes) = (batch.live, (batch.upserts.len() + batch.removals.len()) as u64);
        self.apply(oracle, batch)?;
        if let Some(sum) = live {
            self.expect_mirror(oracle, "when live")?;
            if (sum.count, sum.sum) != digest(&self.mirror) {
                return Err(format!(
                    "the digest {sum:?} is not the mirror's {:?}",
                    digest(&self.mirror)
                ));
            }
        }
        Ok(Read::Batch {
            live: live.is_some(),
            changes,
        })
    }

    fn expect_mirror(&self, oracle: &Oracle, when: &str) -> Result<(), String> {
        let due = oracle.mirror(self.member, self.wish);
        match self.mirror == due {
            true => Ok(()),
            false => Err(format!("{when} the mirror is {:#?}\nand must be {due:#?}", self.mirror)),
        }
    }

    fn apply(&mut self, oracle: &Oracle, batch: Batch) -> Result<(), String> {
        let Batch {
            upserts,
            removals,
            cursor,
            live: _,
        } = batch;
        let mut ids = BTreeSet::new();
        let sent: Vec<_> = upserts.iter().map(|release| release.body().id).collect();
        let taken: Vec<_> = removals.iter().map(|(id, _)| *id).collect();
        if upserts.len() + removals.len() > self.limits.batch_items_max {
            return Err("a batch is over its limit".into());
        }
        for release in &upserts {
            self.check_upsert(oracle, release)?;
            let sighting = release.body();
            if !ids.insert(sighting.id) {
                return Err(format!("{} stands twice in one batch", sighting.id));
            }
            self.mirror.insert(sighting.id, (sighting.revision, sighting.state));
        }
        for (id, reason) in removals {
            self.check_removal(oracle, id, reason)?;
            if !ids.insert(id) {
                return Err(format!("{id} stands twice in one batch"));
            }
            self.mirror.remove(&id);
        }
        let number = match &mut self.books {
            None => 0,
            Some(books) => books.hand_out(&sent, &taken)?,
        };
        self.kept.push((cursor, self.mirror.clone(), number));
        if self.kept.len() > KEPT_MAX {
            self.kept.remove(0);
        }
        Ok(())
    }

    fn check_upsert(&self, oracle: &Oracle, release: &Release<Sighting>) -> Result<(), String> {
        let sighting = release.body();
        let known = oracle.items.iter().find(|item| item.id == sighting.id);
        let item = known.ok_or(format!("an upsert of the unknown {}", sighting.id))?;
        if !oracle.sees(self.member, item) || !oracle.wants(self.wish, item) {
            return Err(format!("an upsert of {}, which may not be seen", sighting.id));
        }
        if (sighting.revision, sighting.state) != (item.revision, item.state) {
            return Err(format!("an upsert of {} is not of its newest version", sighting.id));
        }
        if release.is_own() != (item.owner == self.member) {
            return Err(format!("{} is taken for another's", sighting.id));
        }
        // The body goes without its audience; some labels need one to be read back.
        let somebody =
            Audience::new(vec![self.caller.member], Vec::new()).map_err(|violation| violation.to_string())?;
        let body = decode_indicator(&sighting.body, somebody, Vec::new());
        let confidence = body.map(|indicator| indicator.content.confidence.value());
        match confidence {
            Ok(value) if value == CONFIDENCES[item.said.confidence] => Ok(()),
            other => Err(format!("the body of {} has confidence {other:?}", sighting.id)),
        }
    }

    fn check_removal(&self, oracle: &Oracle, id: IndicatorId, reason: RemovalReason) -> Result<(), String> {
        let known = oracle.items.iter().find(|item| item.id == id);
        let item = known.ok_or(format!("a removal of the unknown {id}"))?;
        if !item.ever.contains(&(self.member, self.wish as u8)) {
            return Err(format!("a removal of {id}, which could never be seen"));
        }
        let told = item.end.as_ref().filter(|end| end.seen_by.contains(&self.member));
        let due = match told.map(|end| end.state) {
            _ if !oracle.wants(self.wish, item) => RemovalReason::NoLongerVisible,
            Some(State::Retracted) => RemovalReason::Retracted,
            Some(State::Expired) => RemovalReason::Expired,
            _ => RemovalReason::NoLongerVisible,
        };
        match reason == due {
            true => Ok(()),
            false => Err(format!("{id} is removed as {reason:?} and must be as {due:?}")),
        }
    }
}

/// The filter of a wish.
pub fn filter(wish: Wish) -> Filter {
    let mut filter = Filter::default();
    match wish {
        Wish::Everything => {}
        Wish::Sure => filter.confidence_min = 50,
        Wish::Red => filter.tags = vec!["red".into()],
        Wish::Domains => filter.kinds = vec![Kind::Domain],
        Wish::OfGovernments => filter.publisher_kinds = vec![MemberKind::Government],
        Wish::SureOfPlatforms => {
            filter.confidence_min = 50;
            filter.publisher_kinds = vec![MemberKind::Platform];
        }
    }
    filter
}
