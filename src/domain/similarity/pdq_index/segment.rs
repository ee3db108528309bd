//! Up to a million PDQ hashes with their tables. Below some thousands there are none: a scan of so few is as fast, and a hub
//! without pictures pays nothing. Slots are filled in order and never filled again; who empties one marks it.

use super::super::Key;
use super::super::chunks::Chunks;
use super::super::pdq::{PART_BITS, PARTS, PdqHash};

/// Slots of a segment: as many as twenty bits of an entry can name.
pub(super) const SLOTS_MAX: usize = 1 << (32 - SKETCH_BITS);

/// Where a segment changes its shape.
#[derive(Clone, Copy)]
pub(in super::super) struct Sizes {
    /// Slots that it has at most, up to [`SLOTS_MAX`].
    pub slots_max: usize,
    /// From so many slots on there are tables.
    pub tables_from_slots: usize,
    /// With fewer empty slots it is not built anew for them.
    pub empty_slots_min: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes {
            slots_max: SLOTS_MAX,
            tables_from_slots: 8_192,
            empty_slots_min: 1_024,
        }
    }
}

/// Bits of the next part that an entry carries.
const SKETCH_BITS: u32 = 12;
const SKETCH_MASK: u32 = (1 << SKETCH_BITS) - 1;

/// Buckets of one table.
const BUCKETS: usize = 1 << PART_BITS;

/// Entries of one block: with the link to the next, a line of the processor's cache.
const BLOCK_ENTRIES: usize = 15;

/// From so many entries on, what they name is collected first and looked at once, in the order in which it lies: what is near in
/// every part stands in many buckets. A full segment of hashes that have nothing to do with each other has 4,352 to look at.
const COLLECT_FROM_ENTRIES: usize = 6_144;

/// In the place of a key: the slot is empty.
const NOBODY: Key = Key::MAX;

/// How many bits of a sketch are set.
const BITS_SET: [u8; 1 << SKETCH_BITS] = bits_set();

const fn bits_set() -> [u8; 1 << SKETCH_BITS] {
    let mut counts = [0; 1 << SKETCH_BITS];
    let mut sketch = 0;
    while sketch < counts.len() {
        counts[sketch] = sketch.count_ones() as u8;
        sketch += 1;
    }
    counts
}

/// Hashes with their keys, and tables once they are worth it.
#[derive(Default)]
pub(super) struct Segment {
    hashes: Chunks<PdqHash>,
    keys: Chunks<Key>,
    empty: usize,
    tables: Option<Tables>,
}

/// A table for each part. A bucket is a chain of blocks, of which the first may be filled in part.
struct Tables {
    buckets: Box<[Bucket]>,
    blocks: Chunks<Block>,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    first: u32,
    entries: u32,
}

/// An entry is a slot and, in its low bits, the sketch: the low bits of the part after the one that the table is of.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Block {
    next: u32,
    entries: [u32; BLOCK_ENTRIES],
}

/// What is left of a bucket to look at.
#[derive(Clone, Copy)]
struct Chain {
    block: u32,
    entries: u32,
    /// Of which part the table is.
    part: u8,
    /// Within how many bits the sketch of what is near must be of the one asked for.
    sketch_distance_max: u8,
    sketch: u16,
}

impl Segment {
    /// Whether another hash fits.
    pub fn has_room(&self, sizes: Sizes) -> bool {
        self.hashes.len() < sizes.slots_max
    }

    /// Fills the next slot and returns it.
    pub fn push(&mut self, key: Key, hash: PdqHash, sizes: Sizes) -> usize {
        let slot = self.hashes.len();
        self.hashes.push(hash);
        self.keys.push(key);
        match &mut self.tables {
            Some(tables) => tables.add(slot, &hash),
            None if slot + 1 == sizes.tables_from_slots => {
                let mut tables = Tables::new();
                for (slot, hash) in self.hashes.iter().enumerate() {
                    tables.add(slot, hash);
                }
                self.tables = Some(tables);
            }
            None => {}
        }
        slot
    }

    /// Empties a slot.
    pub fn clear(&mut self, slot: usize) {
        *self.keys.at_mut(slot) = NOBODY;
        self.empty += 1;
    }

    /// The hash in a slot that is not empty.
    pub fn hash(&self, slot: usize) -> PdqHash {
        *self.hashes.at(slot)
    }

    /// Whether most slots are empty.
    pub fn is_wasteful(&self, sizes: Sizes) -> bool {
        self.empty >= sizes.empty_slots_min && self.empty * 2 > self.hashes.len()
    }

    /// What it holds, in the order in which it came.
    pub fn held(&self) -> impl Iterator<Item = (Key, PdqHash)> {
        let all = self.keys.iter().copied().zip(self.hashes.iter().copied());
        all.filter(|(key, _)| *key != NOBODY)
    }

    /// Shows each key within the distance, once.
    pub fn near(&self, asked: &PdqHash, distance_max: u32, visit: &mut impl FnMut(Key, u32)) {
        let Some(tables) = &self.tables else {
            return self.scan(asked, distance_max, visit);
        };
        let chains = tables.chains(asked, distance_max);
        let entries = chains.iter().map(|chain| chain.entries as usize).sum::<usize>();
        if entries > self.hashes.len() {
            // Reading all hashes in a row is cheaper than that many entries.
            self.scan(asked, distance_max, visit);
        } else if entries >= COLLECT_FROM_ENTRIES {
            let mut found = vec![0_u64; self.hashes.len().div_ceil(64)];
            tables.entries(chains, |slot, _| found[slot / 64] |= 1 << (slot % 64));
            for (word, mut bits) in found.into_iter().enumerate() {
                while bits != 0 {
                    let slot = word * 64 + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    self.show(slot, asked, distance_max, visit);
                }
            }
        } else {
            // Looked at in a row, so that memory answers for several at once.
            let mut found = Vec::new();
            tables.entries(chains, |slot, part| found.push((slot, part)));
            for (slot, part) in found {
                self.show(slot, asked, distance_max, &mut |key, distance| {
                    if finds_first(part, asked, self.hashes.at(slot), distance_max) {
                        visit(key, distance);
                    }
                });
            }
        }
    }

    fn scan(&self, asked: &PdqHash, distance_max: u32, visit: &mut impl FnMut(Key, u32)) {
        for (hash, key) in self.hashes.iter().zip(self.keys.iter()) {
            if let Some(distance) = asked.distance_within(hash, distance_max)
                && *key != NOBODY
            {
                visit(*key, distance);
            }
        }
    }

    fn show(&self, slot: usize, asked: &PdqHash, distance_max: u32, visit: &mut impl FnMut(Key, u32)) {
        let key = *self.keys.at(slot);
        if let Some(distance) = asked.distance_within(self.hashes.at(slot), distance_max)
            && key != NOBODY
        {
            visit(key, distance);
        }
    }
}

/// Whether `part` is the first by which the hash can be found: what is near is found by some part, often by several, and is to be
/// shown by one. Of what is not near it says nothing.
fn finds_first(part: usize, asked: &PdqHash, hash: &PdqHash, distance_max: u32) -> bool {
    let apart = asked.part_distances(hash);
    let (one_max, two_max) = part_distances_max(distance_max);
    let finds = |part: &usize| {
        let one = apart[*part];
        one <= one_max && one + apart[(*part + 1) % PARTS] <= two_max
    };
    (0..PARTS).find(finds) == Some(part)
}

impl Tables {
    fn new() -> Tables {
        Tables {
            buckets: vec![Bucket::default(); PARTS * BUCKETS].into_boxed_slice(),
            blocks: Chunks::default(),
        }
    }

    fn add(&mut self, slot: usize, hash: &PdqHash) {
        for part in 0..PARTS {
            let entry = (slot as u32) << SKETCH_BITS | u32::from(sketch(hash, part));
            let bucket = &mut self.buckets[part * BUCKETS + usize::from(hash.part(part))];
            let place = bucket.entries as usize % BLOCK_ENTRIES;
            if place == 0 {
                self.blocks.push(Block {
                    next: bucket.first,
                    entries: [0; BLOCK_ENTRIES],
                });
                bucket.first = self.blocks.len() as u32 - 1;
            }
            self.blocks.at_mut(bucket.first as usize).entries[place] = entry;
            bucket.entries += 1;
        }
    }

    /// The buckets in which everything within the distance is found.
    fn chains(&self, asked: &PdqHash, distance_max: u32) -> Vec<Chain> {
        let (one_max, two_max) = part_distances_max(distance_max);
        let turns = if one_max == 0 { 0 } else { PART_BITS };
        let mut chains = Vec::with_capacity(PARTS * (1 + turns as usize));
        for part in 0..PARTS {
            let table = &self.buckets[part * BUCKETS..][..BUCKETS];
            let same = asked.part(part);
            let turned = (0..turns).map(|bit| (same ^ (1 << bit), 1));
            for (value, apart) in std::iter::once((same, 0)).chain(turned) {
                let bucket = table[usize::from(value)];
                if bucket.entries > 0 {
                    chains.push(Chain {
                        block: bucket.first,
                        entries: bucket.entries,
                        part: part as u8,
                        sketch_distance_max: two_max - apart,
                        sketch: sketch(asked, part),
                    });
                }
            }
        }
        chains
    }

    /// The slot and the part of each entry whose sketch does not rule it out. All chains are followed in step, and of each step the
    /// links are read first, with nothing that waits for them: memory answers for many at once, and the entries are then near.
    fn entries(&self, mut chains: Vec<Chain>, mut found: impl FnMut(usize, usize)) {
        let mut nexts = Vec::with_capacity(chains.len());
        while !chains.is_empty() {
            nexts.clear();
            nexts.extend(chains.iter().map(|chain| self.blocks.at(chain.block as usize).next));
            for (chain, next) in chains.iter_mut().zip(&nexts) {
                let filled = filled_of_first(chain.entries);
                for entry in &self.blocks.at(chain.block as usize).entries[..filled as usize] {
                    let differs = (entry ^ u32::from(chain.sketch)) & SKETCH_MASK;
                    if BITS_SET[differs as usize] <= chain.sketch_distance_max {
                        found((entry >> SKETCH_BITS) as usize, chain.part.into());
                    }
                }
                chain.block = *next;
                chain.entries -= filled;
            }
            chains.retain(|chain| chain.entries > 0);
        }
    }
}

/// What an entry of the table of `part` carries of the next part.
fn sketch(hash: &PdqHash, part: usize) -> u16 {
    hash.part(part + 1) & SKETCH_MASK as u16
}

/// Within how many bits one part is of some part of everything that is near, and within how many that part and the next together:
/// no more than their even share of the distance. Were it more for every part, then, going around the ring from one excess to the
/// next, the whole would be more than the distance.
fn part_distances_max(distance_max: u32) -> (u8, u8) {
    let parts = PARTS as u32;
    ((distance_max / parts) as u8, (distance_max * 2 / parts) as u8)
}

/// Entries of a bucket's first block, where the bucket has `entries`: only the first is filled in part.
fn filled_of_first(entries: u32) -> u32 {
    (entries - 1) % BLOCK_ENTRIES as u32 + 1
}
