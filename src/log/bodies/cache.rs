//! Bodies that were written or read last, unpacked, as many as fit into a number of bytes. They stay in the pieces in which they came,
//! and the oldest piece goes first: what is as large as one body, and comes and goes by itself, leaves holes in the allocator's pages
//! that came to two thirds of the cache. Whatever goes too early is in the system's page cache.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::BodyNumber;

/// What a body takes besides its bytes: in the table, which is never full, and in its piece's list.
const BODY_BYTES: usize = 32;

/// What a piece takes besides its bodies.
const PIECE_BYTES: usize = 160;

/// The cache.
#[derive(Debug)]
pub(super) struct Cache {
    bytes_max: usize,
    bytes: usize,
    /// Numbers are the hub's own, so that nobody chooses them.
    places: HashMap<BodyNumber, Place, foldhash::fast::RandomState>,
    /// Oldest first.
    pieces: VecDeque<Piece>,
    /// How many pieces came before the oldest, from 0 again where the range ends.
    gone: u32,
}

/// Where a body lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// How many pieces came before its own.
    piece: u32,
    /// How many bodies come before it there.
    at: u32,
}

/// Bodies that came together, one after another in one allocation.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub bytes: Bytes,
    /// Each body, and where it ends.
    pub ends: Vec<(BodyNumber, u32)>,
}

impl Piece {
    /// Puts consecutive bodies together, from `first` on. They are copied: each may be a slice of much more.
    pub(super) fn of<'a>(first: BodyNumber, bodies: impl Iterator<Item = &'a Bytes> + Clone) -> Piece {
        let mut bytes = Vec::with_capacity(bodies.clone().map(Bytes::len).sum());
        let ends = (first.0..).zip(bodies).map(|(number, body)| {
            bytes.extend_from_slice(body);
            (BodyNumber(number), bytes.len() as u32)
        });
        Piece {
            ends: ends.collect(),
            bytes: bytes.into(),
        }
    }

    fn cost_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * BODY_BYTES + PIECE_BYTES
    }

    /// The body `number`, if it is the one at a place.
    fn body(&self, number: BodyNumber, at: u32) -> Option<Bytes> {
        let at = at as usize;
        let (_, end) = *self.ends.get(at).filter(|(held, _)| *held == number)?;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].1);
        Some(self.bytes.slice(start as usize..end as usize))
    }
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Cache {
        Cache {
            bytes_max,
            bytes: 0,
            places: HashMap::default(),
            pieces: VecDeque::new(),
            gone: 0,
        }
    }

    /// Those bodies that are here, for those that are not found yet.
    pub(super) fn find(&self, numbers: &[BodyNumber], found: &mut [Option<Bytes>]) {
        let mut last: Option<Place> = None;
        for (number, body) in numbers.iter().zip(found) {
            if body.is_some() || *number == BodyNumber::ERASED {
                continue;
            }
            // Mostly it lies after the one before.
            let after = last.map(|Place { piece, at }| Place { piece, at: at + 1 });
            let found = after.and_then(|place| Some((place, self.body(*number, place)?)));
            let found = found.or_else(|| {
                let place = *self.places.get(number)?;
                Some((place, self.body(*number, place)?))
            });
            (last, *body) = found.unzip();
        }
    }

    fn body(&self, number: BodyNumber, Place { piece, at }: Place) -> Option<Bytes> {
        let piece = self.pieces.get(piece.wrapping_sub(self.gone) as usize)?;
        piece.body(number, at)
    }

    /// Keeps a piece, unless it is larger than all that may be kept.
    pub(super) fn insert(&mut self, mut piece: Piece) {
        let cost = piece.cost_bytes();
        if piece.ends.is_empty() || cost > self.bytes_max {
            return;
        }
        while self.bytes + cost > self.bytes_max {
            self.let_go_of_oldest();
        }
        self.bytes += cost;
        let number = self.gone.wrapping_add(self.pieces.len() as u32);
        for (at, (body, _)) in (0..).zip(&mut piece.ends) {
            match self.places.entry(*body) {
                Entry::Vacant(place) => _ = place.insert(Place { piece: number, at }),
                // Two had asked for it. It is found in one place alone.
                Entry::Occupied(_) => *body = BodyNumber::ERASED,
            }
        }
        self.pieces.push_back(piece);
    }

    /// Lets go of a body that is not what it was, and of the piece that it lies in.
    pub(super) fn forget(&mut self, number: BodyNumber) {
        let Some(Place { piece, .. }) = self.places.get(&number) else {
            return;
        };
        // An empty piece keeps its place, for those after it are found by counting.
        let emptied = self.pieces.get_mut(piece.wrapping_sub(self.gone) as usize);
        let emptied = emptied.map(std::mem::take).unwrap_or_default();
        self.bytes += PIECE_BYTES;
        self.take_out(&emptied);
    }

    fn let_go_of_oldest(&mut self) {
        if let Some(oldest) = self.pieces.pop_front() {
            self.gone = self.gone.wrapping_add(1);
            self.take_out(&oldest);
        }
    }

    fn take_out(&mut self, piece: &Piece) {
        self.bytes -= piece.cost_bytes();
        for (body, _) in &piece.ends {
            self.places.remove(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(first: u32, lengths: &[usize]) -> Piece {
        let body = |(number, length): (u32, &usize)| Bytes::from(vec![number as u8; *length]);
        let bodies: Vec<Bytes> = (first..).zip(lengths).map(body).collect();
        Piece::of(BodyNumber(first), bodies.iter())
    }

    /// Which of the first numbers are there, each of which must be what it was.
    fn held(cache: &Cache) -> Vec<u32> {
        let numbers: Vec<BodyNumber> = (0..200).map(BodyNumber).collect();
        let (mut together, mut backwards) = (vec![None; 200], vec![None; 200]);
        cache.find(&numbers, &mut together);
        for number in (0..200).rev() {
            cache.find(&numbers[number..=number], &mut backwards[number..=number]);
        }
        assert_eq!(together, backwards);
        let is_right = |(number, body): (u32, Option<Bytes>)| {
            assert!(body?.iter().all(|byte| *byte == number as u8));
            Some(number)
        };
        (0..).zip(together).filter_map(is_right).collect()
    }

    #[test]
    fn the_oldest_piece_goes_first_and_the_limit_holds() {
        let cost = piece(0, &[100, 0, 300]).cost_bytes();
        let mut cache = Cache {
            // The count of pieces runs over the end of its range.
            gone: u32::MAX - 3,
            ..Cache::new(3 * cost + 1)
        };
        for first in 0..9 {
            cache.insert(piece(3 * first, &[100, 0, 300]));
            let oldest = first.saturating_sub(2);
            assert_eq!(held(&cache), (3 * oldest..3 * first + 3).collect::<Vec<_>>());
            assert!(cache.bytes <= 3 * cost);
        }
        assert_eq!((cache.pieces.len(), cache.places.len()), (3, 9));
        let (mut found, kept) = (vec![None, Some(Bytes::from_static(b"kept")), None], [26, 24, 25]);
        cache.find(&kept.map(BodyNumber), &mut found);
        let lengths: Vec<usize> = found.into_iter().flatten().map(|body| body.len()).collect();
        assert_eq!(lengths, [300, 4, 0]);
    }

    #[test]
    fn a_body_that_comes_twice_is_found_once() {
        let mut cache = Cache::new(3 * piece(0, &[100, 100]).cost_bytes());
        cache.insert(piece(0, &[100, 100]));
        cache.insert(piece(1, &[100, 100]));
        assert_eq!((held(&cache), cache.places.len()), (vec![0, 1, 2], 3));
        cache.forget(BodyNumber(1));
        assert_eq!((held(&cache), cache.places.len()), (vec![2], 1));
        cache.insert(piece(3, &[100, 100]));
        cache.insert(piece(5, &[100, 100]));
        assert_eq!(held(&cache), [2, 3, 4, 5, 6]);
        cache.insert(piece(8, &[100]));
        cache.insert(piece(7, &[100, 100]));
        let mut found = [None, None];
        cache.find(&[BodyNumber(7), BodyNumber::ERASED], &mut found);
        assert_eq!(found.map(|body| body.is_some()), [true, false]);
    }

    #[test]
    fn what_is_forgotten_goes_with_its_piece_and_others_are_found() {
        let cost = piece(0, &[100, 100]).cost_bytes();
        let mut cache = Cache::new(3 * cost);
        (0..3).for_each(|first| cache.insert(piece(2 * first, &[100, 100])));
        cache.forget(BodyNumber(2));
        cache.forget(BodyNumber(3));
        cache.forget(BodyNumber(9));
        assert_eq!((held(&cache), cache.places.len()), (vec![0, 1, 4, 5], 4));
        assert_eq!(cache.bytes, 2 * cost + PIECE_BYTES);
        cache.insert(piece(6, &[100, 100]));
        cache.insert(piece(8, &[100, 100]));
        assert_eq!((held(&cache), cache.bytes), (vec![4, 5, 6, 7, 8, 9], 3 * cost));
    }

    #[test]
    fn a_piece_above_the_limit_is_not_kept_nor_one_without_bodies() {
        let mut cache = Cache::new(piece(0, &[100]).cost_bytes() - 1);
        cache.insert(piece(0, &[100]));
        cache.insert(Piece::default());
        assert_eq!((held(&cache), cache.bytes, cache.pieces.len()), (vec![], 0, 0));
    }
}
