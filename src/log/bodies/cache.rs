//! Unpacked blocks, or what was asked for of them, as many as fit into a number of bytes. A block that was asked for again since it
//! came is spared once when room is made.

use std::collections::{HashMap, VecDeque};

use super::unpacked::Unpacked;

/// What the table and the queue take for a block besides its bytes.
const SLOT_BYTES: usize = 64;

/// The blocks.
#[derive(Debug)]
pub(super) struct Cache {
    bytes_max: usize,
    bytes: usize,
    blocks: HashMap<u32, Slot>,
    /// In the order in which they came or were spared.
    order: VecDeque<u32>,
}

#[derive(Debug)]
struct Slot {
    block: Unpacked,
    is_used: bool,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Cache {
        Cache {
            bytes_max,
            bytes: 0,
            blocks: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// A block, if it is here.
    pub(super) fn find(&mut self, number: u32) -> Option<&Unpacked> {
        let slot = self.blocks.get_mut(&number)?;
        slot.is_used = true;
        Some(&slot.block)
    }

    /// Keeps bodies of a block, beside those of it that are here already.
    pub(super) fn insert(&mut self, number: u32, block: Unpacked) {
        let block = match self.blocks.get(&number) {
            None => block,
            Some(held) if held.block.has_all(&block) => return,
            Some(held) => held.block.and(&block),
        };
        let cost = block.cost_bytes() + SLOT_BYTES;
        if cost > self.bytes_max {
            return;
        }
        self.make_room(cost);
        self.bytes += cost;
        match self.blocks.get_mut(&number) {
            Some(held) => {
                self.bytes -= held.block.cost_bytes() + SLOT_BYTES;
                held.block = block;
            }
            None => {
                self.order.push_back(number);
                self.blocks.insert(number, Slot { block, is_used: false });
            }
        }
    }

    /// Lets go of a block that is not what it was.
    pub(super) fn forget(&mut self, number: u32) {
        if let Some(slot) = self.blocks.remove(&number) {
            self.bytes -= slot.block.cost_bytes() + SLOT_BYTES;
            self.order.retain(|other| *other != number);
        }
    }

    fn make_room(&mut self, cost: usize) {
        while self.bytes + cost > self.bytes_max {
            let Some(oldest) = self.order.pop_front() else { return };
            match self.blocks.get_mut(&oldest) {
                Some(slot) if slot.is_used => {
                    slot.is_used = false;
                    self.order.push_back(oldest);
                }
                Some(slot) => {
                    self.bytes -= slot.block.cost_bytes() + SLOT_BYTES;
                    self.blocks.remove(&oldest);
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::block::BLOCK_BODIES;
    use super::*;

    fn block(byte: u8) -> Unpacked {
        Unpacked::of(&vec![Bytes::from(vec![byte; 100]); BLOCK_BODIES])
    }

    fn cost() -> usize {
        block(0).cost_bytes() + SLOT_BYTES
    }

    #[test]
    fn the_oldest_goes_first_unless_it_was_used() {
        let mut cache = Cache::new(3 * cost());
        (0..3).for_each(|number| cache.insert(number, block(number as u8)));
        assert_eq!(cache.find(0), Some(&block(0)));
        cache.insert(3, block(3));
        assert_eq!(cache.find(1), None, "the oldest that nobody used");
        assert!([0, 2, 3].iter().all(|number| cache.blocks.contains_key(number)));
        assert_eq!(cache.bytes, 3 * cost());
    }

    #[test]
    fn the_limit_holds_also_where_all_are_used() {
        let mut cache = Cache::new(3 * cost());
        for number in 0..100 {
            cache.insert(number, block(number as u8));
            cache.insert(number, block(number as u8));
            assert!(cache.find(number).is_some() && cache.bytes <= 3 * cost());
        }
        assert_eq!((cache.blocks.len(), cache.order.len()), (3, 3));
    }

    #[test]
    fn bodies_that_come_one_by_one_are_kept_beside_each_other() {
        let mut cache = Cache::new(3 * cost());
        let (body, other) = ([1; 100], [2; 200]);
        let one = |at: usize, body| Unpacked::some(std::array::from_fn(|place| (place == at).then_some(body)));
        cache.insert(7, one(1, &body[..]));
        cache.insert(7, one(6, &other[..]));
        cache.insert(7, one(6, &other[..]));
        let held = cache.find(7).cloned().unwrap();
        for (place, expected) in [
            (0, None),
            (1, Some(&body[..])),
            (2, None),
            (6, Some(&other[..])),
            (7, None),
            (8, None),
        ] {
            assert_eq!(held.body(place).as_deref(), expected, "{place}");
        }
        assert_eq!((cache.bytes, cache.order.len()), (held.cost_bytes() + SLOT_BYTES, 1));
        cache.insert(7, block(3));
        assert_eq!(cache.find(7).and_then(|held| held.body(1)).as_deref(), Some(&body[..]));
        assert_eq!(
            cache.find(7).and_then(|held| held.body(0)).as_deref(),
            Some(&[3; 100][..])
        );
        cache.forget(7);
        assert_eq!((cache.bytes, cache.order.len()), (0, 0));
    }

    #[test]
    fn a_block_above_the_limit_is_not_kept() {
        let mut cache = Cache::new(cost() - 1);
        cache.insert(0, block(0));
        assert_eq!(cache.find(0), None);
        assert_eq!(cache.bytes, 0);
    }
}
