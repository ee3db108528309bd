//! The batch of a feed in the making: when it is full, and what is still true of it. What goes into it is the pass's to say.

use crate::domain::id::IndicatorId;

use super::pass::{Change, Gathered, Pass};
use super::{Limits, RemovalReason};

/// The batch in the making. It outlives a call of `Feed::next` that is cancelled: the position has already moved on.
#[derive(Default)]
pub(super) struct Filling {
    /// What became visible or changed.
    pub(super) upserts: Vec<Gathered>,
    /// What ceased to be visible.
    pub(super) removals: Vec<(IndicatorId, RemovalReason)>,
    bytes: usize,
    /// The head when all of it was last known to be visible.
    pub(super) checked_at: u32,
    /// A pass ended: the next change may be of an indicator that is in it.
    pub(super) closed: bool,
}

impl Filling {
    /// What was gathered under earlier holds of the lock may have been taken back since. It is left out then, as it would be had it
    /// been reached only now. Says whether something is owed because of that; nothing, and nothing is changed, where that takes
    /// bodies that are missing.
    pub(super) fn check(&mut self, pass: &Pass<'_>, head: u32) -> Option<bool> {
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

    /// Whether nothing was gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.removals.is_empty()
    }

    /// What was taken back goes out before anything else does, in a batch of its own that can be confirmed at once.
    pub(super) fn is_full_for(&self, change: &Change, limits: &Limits) -> bool {
        let items = self.upserts.len() + self.removals.len();
        let is_upsert_after_removal = matches!(change, Change::Upsert(..)) && !self.removals.is_empty();
        self.closed
            || is_upsert_after_removal
            || items >= limits.batch_items_max
            || self.bytes >= limits.batch_bytes_max
    }

    /// Gathers a change, which was found to hold at `head`.
    pub(super) fn add(&mut self, change: Change, head: u32) {
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
