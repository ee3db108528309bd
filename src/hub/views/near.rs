//! The view of hashes that have a distance: those of all indicators that stand, whoever may see them. What was retracted or has
//! expired is not in it, so that what a publisher took back costs nobody's look-ups anything.

use std::cmp::Reverse;
use std::ops::Range;

use crate::domain::indicator::State;
use crate::domain::observable::{Kind, Observable};
use crate::domain::similarity::{Near, PdqHash, SimilarityHash, SimilarityIndex, TlshHash};

use super::indicators::{Indicators, RecordIndex};
use super::kept::Kept;

/// The view.
#[derive(Default)]
pub struct NearHashes {
    index: SimilarityIndex,
}

impl NearHashes {
    /// Folds a publication, revision or retraction.
    pub fn put(&mut self, record: RecordIndex, observable: &Observable, state: State) {
        let Some(hash) = SimilarityHash::of(observable) else {
            return;
        };
        match stands(state) {
            true => self.index.insert(record, &hash),
            false => self.index.remove(record),
        }
    }

    /// Folds that an indicator stands no more.
    pub fn forget(&mut self, record: RecordIndex) {
        self.index.remove(record);
    }

    /// Folds what the passage of time changed.
    pub fn tick(&mut self, indicators: &Indicators, touches: Range<u32>) {
        for record in touches.filter_map(|touch| indicators.touched(touch)) {
            if !stands(indicators.record(record).current.state()) {
                self.index.remove(record);
            }
        }
    }

    /// The hash of a record, if it is in the view.
    pub fn hash(&self, record: RecordIndex) -> Option<SimilarityHash> {
        self.index.hash(record)
    }

    /// The view in which those hashes are.
    pub fn of(hashes: impl IntoIterator<Item = (RecordIndex, SimilarityHash)>) -> NearHashes {
        let mut index = SimilarityIndex::default();
        for (record, hash) in hashes {
            index.insert(record, &hash);
        }
        NearHashes { index }
    }

    /// Every record within reach but not at the hash itself, with its distance: nearest first, newest first among those.
    pub fn within(&self, near: &Near) -> Vec<(u32, Reverse<RecordIndex>)> {
        let mut found = Vec::new();
        self.index.near(near, |record, distance| {
            if distance > 0 {
                found.push((distance, Reverse(record)));
            }
        });
        found.sort_unstable();
        found
    }
}

/// Whether an indicator is one that others may be told of, now or when its embargo ends.
pub fn stands(state: State) -> bool {
    matches!(state, State::Active | State::Embargoed)
}

impl Kept for SimilarityHash {
    fn keep(&self, out: &mut Vec<u8>) {
        self.kind().keep(out);
        self.value().keep(out);
    }

    fn take(rest: &mut &[u8]) -> Option<SimilarityHash> {
        let (kind, value) = (Kind::take(rest)?, String::take(rest)?);
        match kind {
            Kind::Pdq => PdqHash::parse(&value).map(SimilarityHash::Pdq),
            Kind::Tlsh => TlshHash::parse(&value).map(SimilarityHash::Tlsh),
            _ => None,
        }
    }
}
