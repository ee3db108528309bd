//! Recalls: who may still hold what a publisher took back. Only the publisher is told, and only of its own indicators. Nothing is
//! stored for it: the answer follows from the subscriptions' positions and the indicators' history.

use std::collections::BTreeMap;

use crate::domain::agent::AgentName;
use crate::domain::id::{IndicatorId, MemberId, Timestamp};
use crate::domain::indicator::State;
use crate::domain::member::Role;
use crate::domain::subscription::SubscriptionName;

use super::error::HubError;
use super::views::Views;
use super::views::at_hand::AtHand;
use super::views::indicators::RecordIndex;
use super::views::recalls::Recalled;
use super::views::subscriptions::{Key, SubscriptionRecord};
use super::{Caller, Hub};

/// Most recalls in one answer.
pub const RECALLS_MAX: usize = 1_000;

/// Pairs of recall and subscription looked at under one hold of the views' lock.
const PAIRS_PER_HOLD_MAX: usize = 16_384;

/// When taking back is too slow, or too much at once.
#[derive(Clone, Copy, Debug)]
pub struct RecallRules {
    /// A holder that has not confirmed within so many seconds is overdue.
    pub confirm_secs: u32,
    /// Taking back more than this share of what a member shares needs a second confirmation.
    pub large_share: f64,
    /// So many may always be taken back without one.
    pub large_floor: u32,
    /// What is taken back within so many seconds counts as one.
    pub large_window_secs: u32,
}

impl RecallRules {
    /// A day to confirm; a fifth of what is shared, and more than twenty, within an hour.
    pub const DEFAULT: RecallRules = RecallRules {
        confirm_secs: 86_400,
        large_share: 0.2,
        large_floor: 20,
        large_window_secs: 3_600,
    };
}

/// Why an indicator was taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecallCause {
    /// Its publisher retracted it.
    Retracted,
    /// Its handling no longer grants it to somebody.
    Tightened,
}

/// What became of one indicator that was taken back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recall {
    /// Which.
    pub indicator: IndicatorId,
    /// Why, the last time.
    pub cause: RecallCause,
    /// When, the last time.
    pub recalled_at: Timestamp,
    /// The durable subscriptions that may have received it; those first that have not confirmed.
    pub holders: Vec<Holder>,
}

impl Recall {
    /// How many have not confirmed.
    pub fn outstanding(&self) -> usize {
        self.holders
            .iter()
            .filter(|holder| holder.confirmed_at.is_none())
            .count()
    }
}

/// A durable subscription that may have received the indicator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Whose.
    pub member: MemberId,
    /// Which agent's.
    pub agent: AgentName,
    /// Its name.
    pub subscription: SubscriptionName,
    /// When it confirmed; none: it may still hold the indicator.
    pub confirmed_at: Option<Timestamp>,
    /// When its stream was last closed; none: it is open.
    pub offline_since: Option<Timestamp>,
    /// Not confirmed in time.
    pub overdue: bool,
    /// The subscription was dropped before it confirmed, and never will.
    pub dropped: bool,
}

/// How many indicators were taken back and not confirmed by all who may hold them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecallCounts {
    /// In all.
    pub open: u32,
    /// Of them, those with a holder that is overdue.
    pub overdue: u32,
}

impl Hub {
    /// The recall of one of the caller's own indicators.
    pub async fn recall(&self, caller: &Caller, id: IndicatorId) -> Result<Recall, HubError> {
        caller.require(Role::Publisher)?;
        let recall = self.consult(|views, bodies| {
            let index = views.indicators.find(id);
            let own = index.filter(|index| publisher(views, *index) == caller.member);
            let index = own.ok_or(HubError::NotFound { field: "indicator_id" })?;
            self.recall_of((views, bodies), index).ok_or(HubError::Conflict {
                field: "indicator_id",
                reason: "was not taken back from anybody".into(),
            })
        });
        recall.await?
    }

    /// The caller's recalls that are not confirmed by all holders, oldest first; at most [`RECALLS_MAX`].
    pub async fn open_recalls(&self, caller: &Caller) -> Result<Vec<Recall>, HubError> {
        caller.require(Role::Publisher)?;
        let mut recalls = Vec::new();
        for (index, _) in self.open_indicators(caller.member, RECALLS_MAX).await? {
            let recall = self
                .consult(|views, bodies| self.recall_of((views, bodies), index))
                .await?;
            // It may have been confirmed since.
            recalls.extend(recall.filter(|recall| recall.outstanding() > 0));
        }
        recalls.sort_by_key(|recall| (recall.recalled_at, recall.indicator));
        Ok(recalls)
    }

    /// How many of a publisher's recalls are open.
    pub async fn recall_counts_of(&self, publisher: MemberId) -> Result<RecallCounts, HubError> {
        let open = self.open_indicators(publisher, usize::MAX).await?;
        let overdue = open.values().filter(|since| self.is_overdue(**since)).count();
        Ok(RecallCounts {
            open: u32::try_from(open.len()).unwrap_or(u32::MAX),
            overdue: u32::try_from(overdue).unwrap_or(u32::MAX),
        })
    }

    /// How many recalls are open on the whole hub.
    pub async fn recall_counts(&self) -> Result<RecallCounts, HubError> {
        let publishers = self.shared.read().recalls.publishers();
        let mut sum = RecallCounts::default();
        for publisher in publishers {
            let counts = self.recall_counts_of(publisher).await?;
            sum.open += counts.open;
            sum.overdue += counts.overdue;
        }
        Ok(sum)
    }

    fn is_overdue(&self, recalled_at: Timestamp) -> bool {
        recalled_at.plus_secs(self.shared.recall.confirm_secs.into()) < self.now()
    }

    /// A publisher's indicators with an open recall, each with the time of the oldest. Looks at a bounded number of pairs at a time.
    async fn open_indicators(
        &self,
        publisher: MemberId,
        max: usize,
    ) -> Result<BTreeMap<RecordIndex, Timestamp>, HubError> {
        let mut open = BTreeMap::new();
        let mut next = Some(0);
        while let Some(touch) = next.filter(|_| open.len() < max) {
            let scanned = self.consult(|views, bodies| scan((views, bodies), (publisher, touch), max, &open));
            let (found, after) = scanned.await?;
            open.extend(found);
            next = after;
            tokio::task::yield_now().await;
        }
        Ok(open)
    }

    fn recall_of(&self, (views, bodies): (&Views, &AtHand), index: RecordIndex) -> Option<Recall> {
        let record = views.indicators.record(index);
        let recalled: Vec<Recalled> = record
            .versions()
            .filter_map(|version| views.recalls.at(version.ordinal))
            .collect();
        let newest = recalled.first()?;
        let after = record.at(newest.touch + 1)?;
        let mut holders: Vec<Holder> = views
            .subscriptions
            .all()
            .filter_map(|(key, one)| self.holder((views, bodies), key, one, index, &recalled))
            .collect();
        holders.sort_by_key(|holder| {
            (
                holder.confirmed_at,
                holder.member,
                holder.agent.clone(),
                holder.subscription.clone(),
            )
        });
        Some(Recall {
            indicator: record.id,
            cause: match after.state() {
                State::Retracted => RecallCause::Retracted,
                _ => RecallCause::Tightened,
            },
            recalled_at: newest.at,
            holders,
        })
    }

    /// What a subscription has to do with an indicator that was taken back at `recalled`, newest first; none if it never held it.
    fn holder(
        &self,
        (views, bodies): (&Views, &AtHand),
        key: &Key,
        subscription: &SubscriptionRecord,
        index: RecordIndex,
        recalled: &[Recalled],
    ) -> Option<Holder> {
        let sight = views.others(bodies).sight(key, subscription)?;
        let record = views.indicators.record(index);
        let outstanding = recalled
            .iter()
            .rfind(|one| subscription.is_outstanding(&sight, record, one.touch));
        let confirmed = recalled
            .iter()
            .find_map(|one| subscription.confirmed_at(&sight, record, one.touch));
        if outstanding.is_none() && confirmed.is_none() {
            return None;
        }
        let is_open = self.shared.streams.is_open(key) && subscription.dropped_at.is_none();
        Some(Holder {
            member: key.member,
            agent: key.agent.clone(),
            subscription: key.name.clone(),
            confirmed_at: confirmed.filter(|_| outstanding.is_none()),
            offline_since: (!is_open).then_some(subscription.changed_at),
            overdue: outstanding.is_some_and(|one| self.is_overdue(one.at)),
            dropped: subscription.dropped_at.is_some(),
        })
    }
}

fn publisher(views: &Views, index: RecordIndex) -> MemberId {
    let version = views.indicators.record(index).current;
    views.indicators.class(version).publisher
}

/// One hold of the lock: what it adds to `open`, and the touch to go on with.
fn scan(
    (views, bodies): (&Views, &AtHand),
    (publisher, touch): (MemberId, u32),
    max: usize,
    open: &BTreeMap<RecordIndex, Timestamp>,
) -> (BTreeMap<RecordIndex, Timestamp>, Option<u32>) {
    let mut found = BTreeMap::new();
    // Before the least that is proven everything is confirmed.
    let Some(proven) = views
        .subscriptions
        .all()
        .map(|(_, one)| one.applied_of(publisher))
        .min()
    else {
        return (found, None);
    };
    let mut pairs = 0;
    for Recalled { touch, at, .. } in views.recalls.of_publisher_since(publisher, touch.max(proven)) {
        if pairs >= PAIRS_PER_HOLD_MAX || open.len() + found.len() >= max {
            return (found, Some(*touch));
        }
        let Some(index) = views.indicators.touched(*touch) else {
            continue;
        };
        let mut all = views.subscriptions.all().inspect(|_| pairs += 1);
        let is_known = open.contains_key(&index) || found.contains_key(&index);
        if !is_known && all.any(|(key, one)| is_outstanding((views, bodies), key, one, index, *touch)) {
            found.insert(index, *at);
        }
    }
    (found, None)
}

fn is_outstanding(
    (views, bodies): (&Views, &AtHand),
    key: &Key,
    subscription: &SubscriptionRecord,
    index: RecordIndex,
    touch: u32,
) -> bool {
    let sight = views.others(bodies).sight(key, subscription);
    sight.is_some_and(|sight| subscription.is_outstanding(&sight, views.indicators.record(index), touch))
}
