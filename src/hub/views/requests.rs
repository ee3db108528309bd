//! What a member's newest requests led to, by the ids that it gave them. Older ones are forgotten.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::indicators::RecordIndex;
use super::kept::{Kept, keep_text};

/// Request ids remembered per member; older ones are recognised by their content only.
pub const REQUESTS_REMEMBERED_MAX: usize = 65_536;

/// Requests copied at once.
const COPIED_AT_ONCE_MAX: usize = if cfg!(debug_assertions) { 8 } else { 1 << 14 };

/// Requests of a member that may be left for the last hold of the lock: members may be many.
const LEFT_FOR_LAST_MAX: usize = if cfg!(debug_assertions) { 2 } else { 256 };

/// How far the requests of a member are copied.
pub struct Copied {
    /// The place of the next.
    to: u32,
    changed: u32,
}

/// A record and its revision.
pub type RequestOutcome = (RecordIndex, u32);

/// Those of one member.
#[derive(Default)]
pub struct Requests {
    /// Oldest first.
    answered: VecDeque<Answered>,
    /// The ids of all of them, one after another: an allocation of its own for each would have to be touched to be forgotten.
    ids: VecDeque<u8>,
    /// The place of the oldest: places count all that were ever remembered, from 0 again where the range ends.
    first: u32,
    /// The place of the first byte of `ids`, counted in the same way.
    ids_first: u32,
    /// How many were answered otherwise since.
    changed: u32,
    places: HashTable<u32>,
    keys: RandomState,
}

struct Answered {
    /// Kept, so that whoever is forgotten or moved need not be read again.
    hash: u64,
    id_at: u32,
    id_bytes: u32,
    outcome: RequestOutcome,
}

impl Requests {
    /// The hash of an id, keyed with what no member knows.
    pub fn hash(&self, id: &str) -> u64 {
        self.keys.hash_one(id)
    }

    /// What the request with this id, and its hash, led to.
    pub fn find(&self, hash: u64, id: &str) -> Option<RequestOutcome> {
        let place = self.place(hash, id)?;
        Some(self.answered[self.index(place)].outcome)
    }

    /// Remembers one, in the place of an earlier one with the same id.
    pub fn remember(&mut self, id: &str, outcome: RequestOutcome) {
        let hash = self.hash(id);
        if let Some(place) = self.place(hash, id) {
            let index = self.index(place);
            self.answered[index].outcome = outcome;
            self.changed = self.changed.wrapping_add(1);
            return;
        }
        let place = self.first.wrapping_add(self.answered.len() as u32);
        self.answered.push_back(Answered {
            hash,
            id_at: self.ids_first.wrapping_add(self.ids.len() as u32),
            id_bytes: id.len() as u32,
            outcome,
        });
        self.ids.extend(id.as_bytes());
        let (answered, first) = (&self.answered, self.first);
        let hash_of = |place: &u32| answered[place.wrapping_sub(first) as usize].hash;
        self.places.insert_unique(hash, place, hash_of);
        if self.answered.len() > REQUESTS_REMEMBERED_MAX {
            self.forget_oldest();
        }
    }

    /// Nothing of them is copied yet.
    pub fn copied_none(&self) -> Copied {
        Copied {
            to: self.first,
            changed: self.changed,
        }
    }

    /// Copies the next that are not copied, oldest first, or with `is_last` all of them; none where so few are left that they can wait
    /// for that. To remember the copied ones in their order leads to the same as to remember all.
    pub fn copy(&self, copied: &mut Copied, is_last: bool, out: &mut Vec<u8>) -> bool {
        let Requests {
            answered,
            ids: _,
            first,
            ids_first: _,
            changed,
            places: _,
            keys: _,
        } = self;
        if is_last && copied.changed != *changed {
            *copied = self.copied_none();
        }
        let end = first.wrapping_add(answered.len() as u32);
        // Some may be forgotten that were not copied.
        let left = (end.wrapping_sub(copied.to) as usize).min(answered.len());
        let count = if is_last { left } else { left.min(COPIED_AT_ONCE_MAX) };
        if count == 0 || (!is_last && left <= LEFT_FOR_LAST_MAX) {
            return false;
        }
        let from = answered.len() - left;
        copied.to = first.wrapping_add((from + count) as u32);
        (count as u32).keep(out);
        for answered in answered.range(from..from + count) {
            // They are texts, cut where they were joined.
            let id: Vec<u8> = self.id(answered).copied().collect();
            keep_text(std::str::from_utf8(&id).unwrap_or_default(), out);
            answered.outcome.keep(out);
        }
        true
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.answered.pop_front() else {
            return;
        };
        if let Ok(place) = self.places.find_entry(oldest.hash, |place| *place == self.first) {
            place.remove();
        }
        self.first = self.first.wrapping_add(1);
        self.ids.drain(..oldest.id_bytes as usize);
        self.ids_first = self.ids_first.wrapping_add(oldest.id_bytes);
    }

    fn place(&self, hash: u64, id: &str) -> Option<u32> {
        let is = |place: &u32| {
            let answered = &self.answered[self.index(*place)];
            answered.hash == hash && self.id(answered).eq(id.as_bytes())
        };
        self.places.find(hash, is).copied()
    }

    fn id(&self, answered: &Answered) -> impl Iterator<Item = &u8> {
        let start = answered.id_at.wrapping_sub(self.ids_first) as usize;
        self.ids.range(start..start + answered.id_bytes as usize)
    }

    fn index(&self, place: u32) -> usize {
        place.wrapping_sub(self.first) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the request with an id led to.
    fn found(requests: &Requests, id: &str) -> Option<RequestOutcome> {
        requests.find(requests.hash(id), id)
    }

    fn id(number: usize) -> String {
        format!("request {number}")
    }

    #[test]
    fn the_newest_are_found_and_one_more_forgets_the_oldest() {
        let mut requests = Requests {
            // The places run over the end of their range.
            first: u32::MAX - 100,
            ids_first: u32::MAX - 100,
            ..Requests::default()
        };
        let outcome = |number: usize| (number as u32, 1);
        for number in 0..3 * REQUESTS_REMEMBERED_MAX {
            assert_eq!(found(&requests, &id(number)), None);
            requests.remember(&id(number), outcome(number));
            assert_eq!(found(&requests, &id(number)), Some(outcome(number)));
            if let Some(oldest) = (number + 1).checked_sub(REQUESTS_REMEMBERED_MAX) {
                assert_eq!(found(&requests, &id(oldest)), Some(outcome(oldest)));
                let forgotten = oldest
                    .checked_sub(1)
                    .and_then(|forgotten| found(&requests, &id(forgotten)));
                assert_eq!(forgotten, None);
            }
        }
        assert_eq!(requests.places.len(), REQUESTS_REMEMBERED_MAX);
    }

    #[test]
    fn what_was_kept_is_forgotten_in_the_same_order() {
        let mut requests = Requests::default();
        for number in 0..REQUESTS_REMEMBERED_MAX {
            requests.remember(&id(number), (number as u32, 1));
        }
        let (mut copied, mut kept) = (requests.copied_none(), Vec::new());
        assert!(requests.copy(&mut copied, true, &mut kept));
        let mut taken = Requests::default();
        for (id, outcome) in Vec::<(Box<str>, RequestOutcome)>::take(&mut &kept[..]).unwrap() {
            taken.remember(&id, outcome);
        }
        assert_eq!(found(&taken, &id(0)), Some((0, 1)));
        taken.remember(&id(REQUESTS_REMEMBERED_MAX), (7, 1));
        assert_eq!((found(&taken, &id(0)), found(&taken, &id(1))), (None, Some((1, 1))));
        assert_eq!(taken.answered.len(), REQUESTS_REMEMBERED_MAX);
    }

    #[test]
    fn one_id_has_one_outcome_the_last() {
        let mut requests = Requests::default();
        requests.remember(&id(1), (7, 1));
        requests.remember(&id(2), (8, 1));
        requests.remember(&id(1), (7, 2));
        assert_eq!(
            (found(&requests, &id(1)), found(&requests, &id(2))),
            (Some((7, 2)), Some((8, 1)))
        );
        assert_eq!(requests.answered.len(), 2);
    }
}
