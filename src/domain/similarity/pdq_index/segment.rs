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

/// Buckets that a query looks at in one table: the part itself, and the part with one bit turned.
const PROBES: usize = 1 + PART_BITS as usize;

/// Entries of one block: with the link to the next, a line of the processor's cache.
const BLOCK_ENTRIES: usize = 15;

/// From so many entries on, what they name is collected first and looked at once, in the order in which it lies: of what is near
/// in every part each hash stands in many buckets.
const COLLECT_FROM_ENTRIES: usize = 16_384;

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

/// A bucket to look at: of which part, and within how many bits the sketch must be.
#[derive(Clone, Copy, Default)]
struct Probe {
    bucket: Bucket,
    sketch_distance_max: u8,
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
        let (probes, entries) = tables.probes(asked, distance_max);
        if entries > self.hashes.len() {
            // Reading all hashes in a row is cheaper than that many entries.
            self.scan(asked, distance_max, visit);
        } else if entries >= COLLECT_FROM_ENTRIES {
            let mut found = vec![0_u64; self.hashes.len().div_ceil(64)];
            tables.entries(&probes, asked, |slot, _| found[slot / 64] |= 1 << (slot % 64));
            for (word, mut bits) in found.into_iter().enumerate() {
                while bits != 0 {
                    let slot = word * 64 + bits.trailing_zeros() as usize;
                    bits &= bits - 1;
                    self.show(slot, asked, distance_max, visit);
                }
            }
        } else {
            tables.entries(&probes, asked, |slot, part| {
                if finds_first(part, asked, self.hashes.at(slot), distance_max) {
                    self.show(slot, asked, distance_max, visit);
                }
            });
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
            let sketch = u32::from(hash.part(part + 1)) & SKETCH_MASK;
            let entry = (slot as u32) << SKETCH_BITS | sketch;
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

    /// The buckets in which everything within the distance is found, and how many entries they hold.
    fn probes(&self, asked: &PdqHash, distance_max: u32) -> ([[Probe; PROBES]; PARTS], usize) {
        let (one_max, two_max) = part_distances_max(distance_max);
        let mut probes = [[Probe::default(); PROBES]; PARTS];
        let mut entries = 0;
        for (part, probes) in probes.iter_mut().enumerate() {
            let table = &self.buckets[part * BUCKETS..][..BUCKETS];
            for (turned, probe) in probes.iter_mut().enumerate() {
                let (bit, apart) = match turned {
                    0 => (0, 0),
                    turned => (1 << (turned - 1), 1),
                };
                if apart <= one_max {
                    probe.bucket = table[usize::from(asked.part(part) ^ bit)];
                    probe.sketch_distance_max = two_max - apart;
                    entries += probe.bucket.entries as usize;
                }
            }
        }
        (probes, entries)
    }

    /// The slot and the part of each entry whose sketch does not rule it out.
    fn entries(&self, probes: &[[Probe; PROBES]; PARTS], asked: &PdqHash, mut found: impl FnMut(usize, usize)) {
        for (part, probes) in probes.iter().enumerate() {
            let sketch = u32::from(asked.part(part + 1)) & SKETCH_MASK;
            // Read first, with nothing that depends on them: memory answers for all at once, and the second reading finds
            // them near.
            let mut nexts = [0; PROBES];
            for (next, probe) in nexts.iter_mut().zip(probes) {
                if probe.bucket.entries > 0 {
                    *next = self.blocks.at(probe.bucket.first as usize).next;
                }
            }
            for (probe, next) in probes.iter().zip(nexts) {
                let mut left = probe.bucket.entries as usize;
                let (mut number, mut next) = (probe.bucket.first, next);
                while left > 0 {
                    let filled = filled_of_first(left);
                    for entry in &self.blocks.at(number as usize).entries[..filled] {
                        let differs = (entry ^ sketch) & SKETCH_MASK;
                        if BITS_SET[differs as usize] <= probe.sketch_distance_max {
                            found((entry >> SKETCH_BITS) as usize, part);
                        }
                    }
                    left -= filled;
                    number = next;
                    if left > 0 {
                        next = self.blocks.at(number as usize).next;
                    }
                }
            }
        }
    }
}

/// Within how many bits one part is of some part of everything that is near, and within how many that part and the next together:
/// no more than their even share of the distance. Were it more for every part, then, going around the ring from one excess to the
/// next, the whole would be more than the distance.
fn part_distances_max(distance_max: u32) -> (u8, u8) {
    let parts = PARTS as u32;
    ((distance_max / parts) as u8, (distance_max * 2 / parts) as u8)
}

/// Entries of a bucket's first block, where the bucket has `entries`: only the first is filled in part.
fn filled_of_first(entries: usize) -> usize {
    (entries - 1) % BLOCK_ENTRIES + 1
}
