//! The encoded bodies of versions, by number. A version that says the same as the one before (an embargo or a validity ended) has
//! the same body.

use bytes::Bytes;

use super::rows::Rows;

/// The number of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyNumber(u32);

/// All bodies.
#[derive(Default)]
pub struct Bodies(Rows<Bytes>);

impl Bodies {
    /// Keeps one more.
    pub fn push(&mut self, body: Bytes) -> BodyNumber {
        BodyNumber(self.0.push(body))
    }

    /// One of them.
    pub fn of(&self, number: BodyNumber) -> Bytes {
        self.0.at(number.0).clone()
    }
}
