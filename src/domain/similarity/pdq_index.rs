//! The index of PDQ hashes: everything within a distance of 31 bits or less, exactly, among millions.
//!
//! Multi-index hashing (Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012): a hash is
//! cut into sixteen parts of sixteen bits. If two hashes differ in at most 31 bits, some part differs in at most one; so whatever
//! is near lies in one of 17 buckets of one of 16 tables. The stronger form of that argument (Qin, Xiao, "Pigeonring: A Principle
//! for Faster Thresholded Similarity Search", VLDB 2018) says that for some such part the next one is near as well, so a bucket
//! keeps twelve bits of the next part beside each entry, and of what lies in a bucket by chance next to nothing is looked at.
//!
//! Where buckets are so long that a scan of all hashes is cheaper, that is what is done: nothing that a publisher puts in makes a
//! query dearer than a scan.

mod segment;

use std::collections::HashMap;

pub(super) use self::segment::Sizes;
use self::segment::{SLOTS_MAX, Segment};
use super::Key;
use super::pdq::PdqHash;

/// The index.
#[derive(Default)]
pub struct PdqIndex {
    sizes: Sizes,
    /// Each bounds what an entry of a table has to name, and how much is built anew at once.
    segments: Vec<Segment>,
    /// Where the hash of a key lies: the segment's number times [`SLOTS_MAX`], and the slot in it.
    places: HashMap<Key, u32>,
}

impl PdqIndex {
    /// One that reaches its sizes with a few hashes.
    #[cfg(test)]
    pub(super) fn with_sizes(sizes: Sizes) -> PdqIndex {
        PdqIndex {
            sizes,
            ..PdqIndex::default()
        }
    }

    /// How many hashes it holds.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Puts a hash in. A key that was there moves to the new hash.
    pub fn insert(&mut self, key: Key, hash: PdqHash) {
        self.remove(key);
        let number = match self.segments.iter().position(|segment| segment.has_room(self.sizes)) {
            Some(number) => number,
            None => {
                self.segments.push(Segment::default());
                self.segments.len() - 1
            }
        };
        let slot = self.segments[number].push(key, hash, self.sizes);
        self.places.insert(key, (number * SLOTS_MAX + slot) as u32);
    }

    /// Takes the hash of a key out, if it is there. Its slot stays until half of the segment's are empty: then the segment is
    /// built anew, which costs each removal a bounded share.
    pub fn remove(&mut self, key: Key) {
        let Some(place) = self.places.remove(&key) else { return };
        let number = place as usize / SLOTS_MAX;
        self.segments[number].clear(place as usize % SLOTS_MAX);
        if !self.segments[number].is_wasteful(self.sizes) {
            return;
        }
        let mut anew = Segment::default();
        for (key, hash) in self.segments[number].held() {
            let slot = anew.push(key, hash, self.sizes);
            self.places.insert(key, (number * SLOTS_MAX + slot) as u32);
        }
        self.segments[number] = anew;
    }

    /// The hash of a key, if it is there.
    pub fn hash(&self, key: Key) -> Option<PdqHash> {
        let place = *self.places.get(&key)? as usize;
        Some(self.segments[place / SLOTS_MAX].hash(place % SLOTS_MAX))
    }

    /// Shows each key whose hash is at most `distance_max` bits from `hash`, once, with the distance. A distance above
    /// [`PdqHash::DISTANCE_MAX`] counts as that.
    pub fn near(&self, hash: &PdqHash, distance_max: u32, mut visit: impl FnMut(Key, u32)) {
        let distance_max = distance_max.min(PdqHash::DISTANCE_MAX);
        for segment in &self.segments {
            segment.near(hash, distance_max, &mut visit);
        }
    }
}
