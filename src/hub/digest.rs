//! Digests: the sum that a subscriber's mirror must have. Order-independent, so it can be kept up to date by adding what comes
//! and subtracting what goes.

use crate::domain::id::IndicatorId;
use crate::domain::sha256::sha256_of_short;

/// Count and sum (modulo 2^128) over a set of indicators in certain revisions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest {
    /// How many.
    pub count: u64,
    /// Sum of the little-endian first 16 bytes of `SHA-256(id text ‖ revision as 4 bytes big-endian)`.
    pub sum: u128,
}

impl Digest {
    /// With one more indicator.
    pub fn add(&mut self, id: IndicatorId, revision: u32) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(term(id, revision));
    }

    /// Without an indicator that was added before.
    pub fn subtract(&mut self, id: IndicatorId, revision: u32) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(term(id, revision));
    }
}

/// One block of SHA-256, on the stack: this is paid for each indicator that a feed sends.
fn term(id: IndicatorId, revision: u32) -> u128 {
    let mut text = [0; 40];
    id.0.hyphenated().encode_lower(&mut text);
    text[36..].copy_from_slice(&revision.to_be_bytes());
    let mut head = [0; 16];
    head.copy_from_slice(&sha256_of_short(&text)[..16]);
    u128::from_le_bytes(head)
}
