//! The index of TLSH hashes: everything within a distance, exactly. Hashes lie in buckets by the logarithm of the file's length
//! and the ratios of the quartiles, which bound the distance from below; what lies in a bucket that can hold something near is
//! compared one by one.

use std::collections::{BTreeMap, HashMap};

use super::Key;
use super::tlsh::{TlshHash, length_distance, ratios_distance};

/// The index.
#[derive(Default)]
pub struct TlshIndex {
    buckets: BTreeMap<(u8, u8), Vec<(Key, TlshHash)>>,
    /// Where the hash of a key lies.
    places: HashMap<Key, ((u8, u8), u32)>,
}

impl TlshIndex {
    /// How many hashes it holds.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Puts a hash in. A key that was there moves to the new hash.
    pub fn insert(&mut self, key: Key, hash: TlshHash) {
        self.remove(key);
        let head = (hash.length(), hash.ratios());
        let bucket = self.buckets.entry(head).or_default();
        self.places.insert(key, (head, bucket.len() as u32));
        bucket.push((key, hash));
    }

    /// Takes the hash of a key out, if it is there.
    pub fn remove(&mut self, key: Key) {
        let Some((head, place)) = self.places.remove(&key) else {
            return;
        };
        let Some(bucket) = self.buckets.get_mut(&head) else {
            return;
        };
        bucket.swap_remove(place as usize);
        match bucket.get(place as usize) {
            Some((moved, _)) => drop(self.places.insert(*moved, (head, place))),
            None if bucket.is_empty() => drop(self.buckets.remove(&head)),
            None => {}
        }
    }

    /// The hash of a key, if it is there.
    pub fn hash(&self, key: Key) -> Option<TlshHash> {
        let (head, place) = self.places.get(&key)?;
        Some(self.buckets.get(head)?.get(*place as usize)?.1)
    }

    /// Shows each key whose hash is at most `distance_max` from `hash`, once, with the distance.
    pub fn near(&self, hash: &TlshHash, distance_max: u32, mut visit: impl FnMut(Key, u32)) {
        for length in 0..=u8::MAX {
            let of_length = length_distance(hash.length(), length);
            if of_length > distance_max {
                continue;
            }
            for ((_, ratios), bucket) in self.buckets.range((length, 0)..=(length, u8::MAX)) {
                if of_length + ratios_distance(hash.ratios(), *ratios) > distance_max {
                    continue;
                }
                for (key, held) in bucket {
                    if let Some(distance) = hash.distance_within(held, distance_max) {
                        visit(*key, distance);
                    }
                }
            }
        }
    }
}
