//! Decoded batches, those read last: whoever reads page by page, or asks for proofs, comes back for the rest of a batch.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::batch::{Batch, Stored};
use crate::domain::id::Seq;

/// What one entry costs besides its bytes.
const ENTRY_OVERHEAD_BYTES: usize = size_of::<Stored>();

/// A bounded set of batches. When it is full, those that came first go first: reading is sequential, so the age of a
/// batch says more than how often it was read.
#[derive(Debug)]
pub(super) struct Cache {
    bytes_max: usize,
    bytes: usize,
    batches: BTreeMap<u64, Arc<Batch>>,
    order: VecDeque<u64>,
    /// How often something was forgotten.
    forgotten: u64,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Cache {
        Cache {
            bytes_max,
            bytes: 0,
            batches: BTreeMap::new(),
            order: VecDeque::new(),
            forgotten: 0,
        }
    }

    /// The batch that holds `seq`.
    pub(super) fn batch_at(&self, seq: Seq) -> Option<Arc<Batch>> {
        let (_, batch) = self.batches.range(..=seq.0).next_back()?;
        (seq < batch.end()).then(|| Arc::clone(batch))
    }

    /// Drop the batches that start in a span whose stored values have changed.
    pub(super) fn forget(&mut self, from: Seq, to: Seq) {
        self.forgotten += 1;
        let stale: Vec<u64> = self.batches.range(from.0..to.0).map(|(first, _)| *first).collect();
        for first in stale {
            self.bytes -= self.batches.remove(&first).map_or(0, |batch| cost_bytes(&batch));
        }
    }

    /// Changes whenever something is forgotten: what was read before may not be put in after.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn insert(&mut self, batch: Arc<Batch>) {
        let first = batch.first.0;
        let cost = cost_bytes(&batch);
        if cost > self.bytes_max {
            return;
        }
        // Small appends come back as one batch once they have become a value of the store. What it covers would hide it.
        let covered: Vec<u64> = self
            .batches
            .range(first..batch.end().0)
            .map(|(first, _)| *first)
            .collect();
        for first in &covered {
            self.bytes -= self.batches.remove(first).map_or(0, |covered| cost_bytes(&covered));
        }
        self.batches.insert(first, batch);
        if covered.first() != Some(&first) {
            self.order.push_back(first);
        }
        self.bytes += cost;
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(batch) = self.batches.remove(&oldest) {
                self.bytes -= cost_bytes(&batch);
            }
        }
    }
}

fn cost_bytes(batch: &Batch) -> usize {
    batch
        .entries
        .iter()
        .map(|entry| ENTRY_OVERHEAD_BYTES + entry.cost_bytes())
        .sum()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn batch(first: u64, count: u64) -> Arc<Batch> {
        let entry = Stored::Whole {
            salt: [0; 32],
            bytes: Bytes::from_static(&[7; 100]),
        };
        let entries = vec![entry; count as usize];
        Arc::new(Batch {
            first: Seq(first),
            values_after: 0,
            chain_before: [0; 32],
            entries,
        })
    }

    #[test]
    fn a_batch_is_found_by_any_of_its_positions_and_no_other() {
        let mut cache = Cache::new(1 << 20);
        cache.insert(batch(10, 5));
        assert!(cache.batch_at(Seq(9)).is_none());
        assert!((10..15).all(|seq| cache.batch_at(Seq(seq)).is_some()));
        assert!(cache.batch_at(Seq(15)).is_none());
    }

    #[test]
    fn the_oldest_batches_go_when_the_limit_is_passed() {
        let cost = cost_bytes(&batch(0, 1));
        let mut cache = Cache::new(3 * cost);
        (0..3).for_each(|first| cache.insert(batch(first, 1)));
        assert!(cache.batch_at(Seq(0)).is_some());
        cache.insert(batch(3, 1));
        assert!(cache.batch_at(Seq(0)).is_none());
        assert!((1..4).all(|seq| cache.batch_at(Seq(seq)).is_some()));
        cache.insert(batch(4, 100));
        assert!(cache.batch_at(Seq(4)).is_none(), "a batch above the limit is not kept");
        cache.insert(batch(3, 1));
        assert_eq!(cache.bytes, 3 * cost);
    }

    #[test]
    fn a_batch_takes_the_place_of_those_that_it_covers() {
        let cost = cost_bytes(&batch(0, 1));
        let mut cache = Cache::new(100 * cost);
        (0..10).for_each(|first| cache.insert(batch(first, 1)));
        cache.insert(batch(2, 6));
        assert!((0..10).all(|seq| cache.batch_at(Seq(seq)).is_some()));
        assert_eq!(cache.batch_at(Seq(7)).map(|batch| batch.first), Some(Seq(2)));
        assert_eq!(cache.bytes, 10 * cost);
    }
}
