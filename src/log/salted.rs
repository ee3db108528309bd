//! An entry on its way into the log, with what can be computed before its position is known. Salting and hashing need no
//! order, so callers do it on their own threads; only the chain and the tree are left to the one writer.

use bytes::Bytes;
use rand::RngCore;

use super::batch::Stored;
use super::merkle::Hash;

/// An entry with its salt and its Merkle leaf.
#[derive(Clone, Debug)]
pub struct Salted {
    pub(super) entry: Stored,
    pub(super) leaf: Hash,
}

impl Salted {
    /// Give an entry a salt of its own. Two entries with one salt would tell those who see the tree that they are equal.
    pub fn new(bytes: Bytes) -> Salted {
        let mut salt = [0; 32];
        rand::rng().fill_bytes(&mut salt);
        let entry = Stored::Whole { salt, bytes };
        let leaf = entry.leaf();
        Salted { entry, leaf }
    }

    /// The length of the entry.
    pub fn size_bytes(&self) -> usize {
        self.entry.bytes().map_or(0, Bytes::len)
    }
}
