//! The bodies that a question takes which the views alone cannot answer. Bodies are on disk, and the views are behind a lock, so a
//! question asked under it may find one missing. It is noted, and whoever asked lets the lock go, has it read, and asks again.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;

use crate::log::bodies::{BodyNumber, BodyReader};

/// The bodies that are at hand, and those that were asked for and are not.
pub struct AtHand {
    reader: BodyReader,
    kept: HashMap<BodyNumber, Bytes>,
    missing: RefCell<Vec<BodyNumber>>,
    may_wait: bool,
}

impl AtHand {
    /// For a thread that may wait for the disk: nothing is missing, but what cannot be read.
    pub fn waiting(reader: &BodyReader) -> AtHand {
        AtHand {
            may_wait: true,
            ..AtHand::collecting(reader)
        }
    }

    /// For a thread that may not: what is not in memory is noted as missing.
    pub fn collecting(reader: &BodyReader) -> AtHand {
        AtHand {
            reader: reader.clone(),
            kept: HashMap::new(),
            missing: RefCell::default(),
            may_wait: false,
        }
    }

    /// A body; none where it is missing, and then what follows from that does not count.
    pub fn body(&self, number: BodyNumber) -> Option<Bytes> {
        if let Some(body) = self.kept.get(&number) {
            return Some(body.clone());
        }
        let found = match self.may_wait {
            true => self.reader.fetch(&[number]).ok().and_then(|mut bodies| bodies.pop()),
            false => self.reader.cached_one(number),
        };
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

    /// Lets go of what was brought to hand.
    pub fn forget(&mut self) {
        self.kept.clear();
    }
}
