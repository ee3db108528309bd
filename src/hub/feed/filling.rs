//! The batch of a feed in the making: what was gathered, and when it is full. It may be one that several feeds have in common.

use std::sync::Arc;

use bytes::Bytes;

use super::super::cursor::Position;
use super::super::views::indicators::Indicators;
use super::alike::Common;
use super::pass::{Change, Gathered, Pass};
use super::upserts::{Upserts, ready};
use super::{Limits, RemovalReason, Step};
use crate::domain::id::IndicatorId;
use crate::domain::policy::Release;
use crate::log::bodies::BodyNumber;

/// The batch in the making. It outlives a call of `Feed::next` that is cancelled: the position has already moved on.
#[derive(Default)]
pub(super) struct Filling {
    upserts: Vec<Gathered>,
    removals: Vec<(IndicatorId, RemovalReason)>,
    bytes: usize,
    /// The head when all of it was last known to be visible.
    checked_at: u32,
    /// A pass ended: the next change may be of an indicator that is in it.
    closed: bool,
    /// The whole of it, where it is in common with other feeds; nothing is gathered beside it.
    common: Option<InHand>,
}

/// Upserts, removals, and whether nothing more goes into the batch.
pub(super) type Parts = (Vec<Gathered>, Vec<(IndicatorId, RemovalReason)>, bool);

/// A batch in common with other feeds.
pub(super) enum InHand {
    /// Worked out by this feed.
    Own(Arc<Common>),
    /// Worked out by another, and proven to be this viewer's to see.
    Alike(Release<Arc<Common>>),
}

impl Filling {
    /// What was gathered under earlier holds of the lock may have been taken back since. It is left out then, as it would be had it
    /// been reached only now. Says whether something is owed because of that; nothing, and nothing is changed, where that takes
    /// bodies that are missing.
    pub fn check(&mut self, pass: &Pass<'_>, head: u32) -> Option<bool> {
        let mut owed = false;
        if self.checked_at == head {
            return Some(owed);
        }
        let mut kept = Vec::with_capacity(self.upserts.len());
        for gathered in &self.upserts {
            match pass.refreshed(gathered) {
                Ok(newest) => kept.push(newest),
                Err(owes) => owed |= owes,
            }
        }
        if pass.is_short() {
            return None;
        }
        (self.upserts, self.checked_at) = (kept, head);
        Some(owed)
    }

    /// Whether there is nothing to hand out.
    pub fn is_empty(&self) -> bool {
        self.gathered().is_empty() && self.removals().is_empty()
    }

    /// Whether nothing was begun.
    pub fn is_new(&self) -> bool {
        self.is_empty() && !self.closed
    }

    /// A batch in common, at the present head.
    pub fn of(common: InHand, head: u32) -> Filling {
        Filling {
            checked_at: head,
            common: Some(common),
            ..Filling::default()
        }
    }

    fn common(&self) -> Option<&Common> {
        self.common.as_ref().map(|common| match common {
            InHand::Own(common) => &**common,
            InHand::Alike(release) => &**release.body(),
        })
    }

    /// When all of it was last known to be visible.
    pub fn checked_at(&self) -> u32 {
        self.checked_at
    }

    /// A pass ended: nothing more goes into what was begun.
    pub fn close(&mut self) {
        self.closed = !self.is_empty();
    }

    /// Indicators that became visible or changed.
    pub fn gathered(&self) -> &[Gathered] {
        self.common().map_or(&self.upserts, |common| &common.gathered)
    }

    fn removals(&self) -> &[(IndicatorId, RemovalReason)] {
        self.common().map_or(&self.removals, |common| &common.removals)
    }

    /// Makes a batch in common one's own again: it was in hand when a call was cancelled, and may have to be changed.
    pub fn take_apart(&mut self) {
        if let Some(common) = self.common() {
            let (upserts, removals) = (common.gathered.clone(), common.removals.clone());
            let is_closed = common.is_closed;
            self.common = None;
            let sizes = upserts.iter().map(|gathered| gathered.release.body().body_size.bytes());
            self.bytes = sizes.sum();
            (self.upserts, self.removals, self.closed) = (upserts, removals, is_closed);
        }
    }

    /// What was gathered, for others to have as well.
    pub fn in_common(&mut self, indicators: &Indicators, before: &Position, after: (&Position, &Step)) -> Common {
        let Filling {
            upserts,
            removals,
            closed,
            ..
        } = std::mem::take(self);
        Common::new(indicators, before, after, (upserts, removals, closed))
    }

    /// The numbers of the bodies that it takes to send it; none where another feed has sent it.
    pub fn lacks(&self) -> Vec<BodyNumber> {
        if self.common().is_some_and(Common::is_ready) {
            return Vec::new();
        }
        let found = self.gathered().iter().map(|gathered| gathered.release.body());
        found.map(|found| found.body).collect()
    }

    /// What is sent of it, with the bodies that it lacked.
    pub fn hand_out(self, bodies: Vec<Bytes>) -> (Upserts, Vec<(IndicatorId, RemovalReason)>) {
        match self.common {
            None => (Upserts::own(Arc::new(ready(self.upserts, bodies))), self.removals),
            Some(InHand::Own(common)) => (Upserts::own(common.ready(bodies)), common.removals.clone()),
            Some(InHand::Alike(release)) => {
                let (ready, removals) = (release.body().ready(bodies), release.body().removals.clone());
                (Upserts::alike(release.map(|_| ready)), removals)
            }
        }
    }

    /// What was taken back goes out before anything else does, in a batch of its own that can be confirmed at once.
    pub fn is_full_for(&self, change: &Change, limits: &Limits) -> bool {
        let items = self.upserts.len() + self.removals.len();
        let is_upsert_after_removal = matches!(change, Change::Upsert(..)) && !self.removals.is_empty();
        self.closed
            || is_upsert_after_removal
            || items >= limits.batch_items_max
            || self.bytes >= limits.batch_bytes_max
    }

    /// Gathers a change.
    pub fn add(&mut self, change: Change, head: u32) {
        if self.is_empty() {
            self.checked_at = head;
        }
        match change {
            Change::Upsert(gathered) => {
                self.bytes += gathered.release.body().body_size.bytes();
                self.upserts.push(gathered);
            }
            Change::Remove(id, reason) => self.removals.push((id, reason)),
        }
    }
}
