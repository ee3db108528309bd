//! What waits in the journal, and how entries become batches: one for a record of the journal, several for the store.
//! Pure: it writes nothing, and knows of files and of sled only how large a value may be.

use super::Head;
use super::batch::{Batch, Stored, VALUE_BYTES_MAX, chain_after};
use super::merkle::Hash;
use super::salted::Salted;
use crate::domain::id::Seq;

/// Entries in the journal that wait to become a value of the store.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    entries: Vec<Salted>,
    cost_bytes: usize,
    /// The chain hash before the first of them.
    chain_before: Hash,
}

impl Waiting {
    /// Count in what was written to the journal.
    pub(super) fn push(&mut self, batch: &Batch, leaves: &[Hash]) {
        if self.entries.is_empty() {
            self.chain_before = batch.chain_before;
        }
        for (entry, leaf) in batch.entries.iter().zip(leaves) {
            self.cost_bytes += entry.cost_bytes();
            self.entries.push(Salted {
                entry: entry.clone(),
                leaf: *leaf,
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How much of `VALUE_BYTES_MAX` waits.
    pub(super) fn cost_bytes(&self) -> usize {
        self.cost_bytes
    }

    /// What waits, up to `head`, and `more` after it, as the values of one append.
    /// And the chain hash after all of it.
    pub(super) fn into_batches(self, head: Head, more: impl Iterator<Item = Salted>) -> (Vec<Batch>, Hash) {
        let Waiting {
            entries, chain_before, ..
        } = self;
        let first = Seq(head.size - entries.len() as u64);
        let chain = if entries.is_empty() { head.chain } else { chain_before };
        into_batches(first, chain, entries.into_iter().chain(more))
    }

    /// What waits after a crash.
    pub(super) fn of(batches: &[Batch]) -> Waiting {
        let mut waiting = Waiting::default();
        for batch in batches {
            let leaves: Vec<Hash> = batch.entries.iter().map(Stored::leaf).collect();
            waiting.push(batch, &leaves);
        }
        waiting
    }
}

/// An append that is small enough for one batch, and the leaves of its entries.
pub(super) fn one_batch(before: Head, entries: impl Iterator<Item = Salted>) -> (Batch, Vec<Hash>) {
    let (entries, leaves) = entries.map(|salted| (salted.entry, salted.leaf)).unzip();
    let batch = Batch {
        first: Seq(before.size),
        values_after: 0,
        chain_before: before.chain,
        entries,
    };
    (batch, leaves)
}

/// Cut entries into values that sled keeps out of blob files.
fn into_batches(first: Seq, chain_before: Hash, entries: impl Iterator<Item = Salted>) -> (Vec<Batch>, Hash) {
    let mut batches: Vec<Batch> = Vec::new();
    let mut at = first;
    let mut chain = chain_before;
    let mut room_bytes = 0;
    for Salted { entry, leaf } in entries {
        let cost_bytes = entry.cost_bytes();
        match batches.last_mut().filter(|_| cost_bytes <= room_bytes) {
            Some(batch) => batch.entries.push(entry),
            None => {
                room_bytes = VALUE_BYTES_MAX;
                batches.push(Batch {
                    first: at,
                    values_after: 0,
                    chain_before: chain,
                    entries: vec![entry],
                });
            }
        }
        room_bytes -= cost_bytes;
        chain = chain_after(&chain, &leaf);
        at = at.next();
    }
    for (values_after, batch) in batches.iter_mut().rev().enumerate() {
        // APPEND_BYTES_MAX keeps the number of values far below what fits.
        batch.values_after = values_after as u16;
    }
    (batches, chain)
}
