//! The bodies that a question takes which the views alone cannot answer. Bodies are on disk, and the views are behind a lock, so a
//! question asked under it may find one missing. It is noted, and whoever asked lets the lock go, has it read, and asks again.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::super::locked::about_to_wait;
use crate::log::bodies::{BodyNumber, BodyReader};

/// The bodies that are at hand, and those that were asked for and are not.
pub struct AtHand {
    reader: BodyReader,
    kept: HashMap<BodyNumber, Bytes>,
    /// Those that cannot be read.
    lost: HashSet<BodyNumber>,
    missing: RefCell<Vec<BodyNumber>>,
}

impl AtHand {
    /// None at hand but what is in memory.
    pub fn collecting(reader: &BodyReader) -> AtHand {
        AtHand {
            reader: reader.clone(),
            kept: HashMap::new(),
            lost: HashSet::new(),
            missing: RefCell::default(),
        }
    }

    /// A body; none where it is missing, and then what follows from that does not count, or where it cannot be read.
    pub fn body(&self, number: BodyNumber) -> Option<Bytes> {
        if let Some(body) = self.kept.get(&number) {
            return Some(body.clone());
        }
        if self.lost.contains(&number) {
            return None;
        }
        let found = self.reader.cached_one(number);
        if found.is_none() {
            self.missing.borrow_mut().push(number);
        }
        found
    }

    /// Whether a body was missing since they were last taken.
    pub fn is_short(&self) -> bool {
        !self.missing.borrow().is_empty()
    }

    /// Takes the numbers of those that were missing, each once, in order.
    pub fn take_missing(&self) -> Vec<BodyNumber> {
        let mut missing = self.missing.take();
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Brings bodies to hand.
    pub fn keep(&mut self, bodies: impl IntoIterator<Item = (BodyNumber, Bytes)>) {
        self.kept.extend(bodies);
    }

    /// Reads bodies, on a thread that may wait. Those that cannot be read are given up, and are not missing any more.
    pub fn read(&mut self, numbers: &[BodyNumber]) {
        about_to_wait();
        if let Ok(bodies) = self.reader.fetch(numbers) {
            return self.keep(numbers.iter().copied().zip(bodies));
        }
        for number in numbers {
            match self.reader.fetch(&[*number]) {
                Ok(bodies) => self.keep(bodies.into_iter().map(|body| (*number, body))),
                Err(error) => {
                    tracing::error!(%error, "a body is given up");
                    self.lost.insert(*number);
                }
            }
        }
    }

    /// Lets go of what was brought to hand.
    pub fn forget(&mut self) {
        self.kept.clear();
    }
}
