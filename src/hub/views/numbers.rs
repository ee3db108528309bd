//! Numbers: a hash index that holds nothing but the numbers of rows, four bytes and one for each. The keys lie in the rows, where they
//! are needed anyway; whoever asks brings the comparison.

use hashbrown::HashTable;

/// Parts that grow each by itself. One table of ten million numbers would hash all of them again under the views' lock when it
/// doubles, which takes a second; a part of it takes a few milliseconds, and is all that is ever held twice.
const PARTS: usize = 256;

/// A part of fewer numbers grows fourfold: to grow is to hash all of it again, for which each row is fetched. A larger one doubles, or
/// too much of it would lie empty.
const GROWN_FOURFOLD_MAX: usize = 256;

/// The index. Hashes must be keyed with what no member can know, for members choose what is hashed.
pub struct Numbers {
    parts: Box<[HashTable<u32>]>,
}

impl Default for Numbers {
    fn default() -> Numbers {
        Numbers {
            parts: (0..PARTS).map(|_| HashTable::new()).collect(),
        }
    }
}

/// Hashes that are computed ahead of being put in, when an index of many is made at once.
const AHEAD: usize = 1 << 20;

impl Numbers {
    /// The index of many numbers, about `count` of them, each given with its hash and none twice. It takes a part at a time: what a
    /// part takes stays in the processor's cache meanwhile, which random places of the whole index do not.
    pub fn of(count: usize, hashed: impl Iterator<Item = (u64, u32)>, hash_of: impl Fn(u32) -> u64) -> Numbers {
        let mut parts: Box<[HashTable<u32>]> = (0..PARTS).map(|_| HashTable::with_capacity(count / PARTS)).collect();
        let mut ahead: Vec<Vec<(u64, u32)>> = vec![Vec::new(); PARTS];
        let mut hashed = hashed.peekable();
        while hashed.peek().is_some() {
            for (hash, number) in hashed.by_ref().take(AHEAD) {
                ahead[part(hash)].push((hash, number));
            }
            for (part, ahead) in parts.iter_mut().zip(&mut ahead) {
                for (hash, number) in ahead.drain(..) {
                    part.insert_unique(hash, number, |number| hash_of(*number));
                }
            }
        }
        Numbers { parts }
    }

    /// The number under `hash` for which `is` holds.
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.parts[part(hash)].find(hash, |number| is(*number)).copied()
    }

    /// Adds a number that is not there; `hash_of` gives the hash of any number that is.
    pub fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        let part = &mut self.parts[part(hash)];
        if part.len() == part.capacity() && part.len() < GROWN_FOURFOLD_MAX {
            part.reserve(3 * part.len(), |number| hash_of(*number));
        }
        part.insert_unique(hash, number, |number| hash_of(*number));
    }

    /// Puts a number in the place of the one for which `is` holds, and gives that one; adds it where there is none.
    pub fn replace(
        &mut self,
        hash: u64,
        number: u32,
        is: impl Fn(u32) -> bool,
        hash_of: impl Fn(u32) -> u64,
    ) -> Option<u32> {
        match self.parts[part(hash)].find_mut(hash, |held| is(*held)) {
            Some(held) => Some(std::mem::replace(held, number)),
            None => {
                self.insert(hash, number, hash_of);
                None
            }
        }
    }

    /// Takes out the number for which `is` holds.
    pub fn remove(&mut self, hash: u64, is: impl Fn(u32) -> bool) {
        if let Ok(held) = self.parts[part(hash)].find_entry(hash, |held| is(*held)) {
            held.remove();
        }
    }
}

/// Bits that the table itself uses least: it takes its tag from the top and its place from the bottom.
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn every_number_is_found_by_its_key_and_the_newest_takes_the_place_of_the_older() {
        let keys = RandomState::new();
        let name = |number: u32| format!("row {}", number % 5_000);
        let hash_of = |number: u32| keys.hash_one(name(number));
        let mut numbers = Numbers::default();
        for number in 0..10_000 {
            let older = numbers.replace(hash_of(number), number, |held| name(held) == name(number), hash_of);
            assert_eq!(older, number.checked_sub(5_000));
        }
        for number in 5_000..10_000 {
            let found = numbers.find(hash_of(number), |held| name(held) == name(number));
            assert_eq!(found, Some(number));
        }
        assert_eq!(
            numbers.find(keys.hash_one("row 5000"), |held| name(held) == "row 5000"),
            None
        );
    }

    #[test]
    fn an_index_of_many_numbers_takes_few_bytes_for_each() {
        let keys = RandomState::new();
        let mut numbers = Numbers::default();
        let count = 300_000;
        for number in 0..count {
            numbers.insert(keys.hash_one(number), number, |number| keys.hash_one(number));
        }
        let bytes: usize = numbers.parts.iter().map(HashTable::allocation_size).sum();
        assert!(bytes <= 12 * count as usize, "{bytes} bytes for {count} numbers");
    }
}
