//! Numbers: a hash index that holds nothing but the numbers of rows, four bytes and one for each. The keys lie in the rows, where they
//! are needed anyway; whoever asks brings the comparison.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use hashbrown::HashTable;

use super::parallel::{each, in_parallel, threads};

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

/// When an index of many is made at once, it takes so many rounds, unless each would be of fewer numbers than [`AHEAD_MIN`]. Before a
/// round puts its numbers in, it has them ahead of it, eight bytes each.
const ROUNDS: usize = 8;

/// Fewer are not worth a round, nor a thread.
const AHEAD_MIN: usize = if cfg!(debug_assertions) { 1 << 8 } else { 1 << 20 };

/// Numbers on their way into an index, each with what its place there is told by.
pub struct Ahead {
    parts: Vec<Vec<(u32, u32)>>,
}

impl Ahead {
    fn with_room(count: usize) -> Ahead {
        // Hashes spread evenly, but not exactly so, and nor do threads.
        let each = count / PARTS * 9 / 8;
        Ahead {
            parts: (0..PARTS).map(|_| Vec::with_capacity(each)).collect(),
        }
    }

    /// Adds a number.
    pub fn push(&mut self, hash: u64, number: u32) {
        self.parts[part(hash)].push((folded(hash), number));
    }

    fn clear(&mut self) {
        self.parts.iter_mut().for_each(Vec::clear);
    }
}

/// Memory for numbers that are ahead, empty; from one index to the next.
#[derive(Default)]
pub struct Room(Vec<Ahead>);

impl Numbers {
    /// The index of those numbers, about `count` of them and none twice, that `hash` pushes for the chunks of a list. It takes a part at
    /// a time: what a part takes stays in the processor's cache meanwhile, which random places of the whole index do not. Several
    /// threads share the chunks, and then the parts.
    pub fn of(
        (count, chunks): (usize, usize),
        room: &mut Room,
        hash: impl Fn(usize, &mut Ahead) + Sync,
        hash_of: impl Fn(u32) -> u64 + Sync,
    ) -> Numbers {
        let mut parts: Box<[HashTable<u32>]> = (0..PARTS).map(|_| HashTable::with_capacity(count / PARTS)).collect();
        let rounds = count.div_ceil(AHEAD_MIN).clamp(1, ROUNDS);
        let is_many = count >= AHEAD_MIN;
        let shares = if is_many { chunks / rounds } else { 1 };
        let share = count / rounds / threads(shares);
        for round in 0..rounds {
            let end = chunks * (round + 1) / rounds;
            let turn = AtomicUsize::new(chunks * round / rounds);
            let empty = Mutex::new(std::mem::take(&mut room.0));
            let mut ahead = in_parallel(shares, &|| {
                let held = empty.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let mut ahead = held.unwrap_or_else(|| Ahead::with_room(share));
                loop {
                    match turn.fetch_add(1, Ordering::Relaxed) {
                        chunk if chunk < end => hash(chunk, &mut ahead),
                        _ => return ahead,
                    }
                }
            });
            let fill = |(place, part): (usize, &mut HashTable<u32>)| {
                for (bits, number) in ahead.iter().flat_map(|ahead| &ahead.parts[place]) {
                    part.insert_unique(spread(*bits), *number, |held| spread(folded(hash_of(*held))));
                }
            };
            let numbered = parts.iter_mut().enumerate();
            match is_many {
                true => _ = each(numbered.collect(), fill),
                false => numbered.for_each(fill),
            }
            ahead.iter_mut().for_each(Ahead::clear);
            room.0 = ahead;
        }
        Numbers { parts }
    }

    /// The number under `hash` for which `is` holds.
    pub fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        let found = self.parts[part(hash)].find(spread(folded(hash)), |number| is(*number));
        found.copied()
    }

    /// Adds a number that is not there; `hash_of` gives the hash of any number that is.
    pub fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        let part = &mut self.parts[part(hash)];
        let hash_of = |number: &u32| spread(folded(hash_of(*number)));
        if part.len() == part.capacity() && part.len() < GROWN_FOURFOLD_MAX {
            part.reserve(3 * part.len(), hash_of);
        }
        part.insert_unique(spread(folded(hash)), number, hash_of);
    }

    /// Puts a number in the place of the one for which `is` holds, and gives that one; adds it where there is none.
    pub fn replace(
        &mut self,
        hash: u64,
        number: u32,
        is: impl Fn(u32) -> bool,
        hash_of: impl Fn(u32) -> u64,
    ) -> Option<u32> {
        match self.parts[part(hash)].find_mut(spread(folded(hash)), |held| is(*held)) {
            Some(held) => Some(std::mem::replace(held, number)),
            None => {
                self.insert(hash, number, hash_of);
                None
            }
        }
    }

    /// Takes out the number for which `is` holds.
    pub fn remove(&mut self, hash: u64, is: impl Fn(u32) -> bool) {
        if let Ok(held) = self.parts[part(hash)].find_entry(spread(folded(hash)), |held| is(*held)) {
            held.remove();
        }
    }
}

/// The part that a hash belongs to, told by other bits than those that [`folded`] keeps.
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

/// What is used of a hash within its part. A part of as many numbers as there can be has 2^25 places, and the table tells those of one
/// place apart by seven bits more.
fn folded(hash: u64) -> u32 {
    hash as u32
}

/// The hash that the table is given: it takes its tag from the top and its place from the bottom.
fn spread(folded: u32) -> u64 {
    u64::from(folded) << 32 | u64::from(folded)
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
