//! The subscriber's mirror: which indicators are in it, in which revision, and the sum by which hub and subscriber compare
//! theirs. The indicators themselves are the consumer's.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::grpc::wire;

/// Ids and revisions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mirror {
    revisions: HashMap<Uuid, u32>,
    /// Modulo 2^128, kept up to date: to sum a million again at each digest would take a second.
    sum: u128,
}

impl Mirror {
    /// Puts an indicator in, or replaces its revision.
    pub fn put(&mut self, id: Uuid, revision: u32) {
        if let Some(old) = self.revisions.insert(id, revision) {
            self.sum = self.sum.wrapping_sub(term(id, old));
        }
        self.sum = self.sum.wrapping_add(term(id, revision));
    }

    /// Drops an indicator, if it is there: delivery is at least once.
    pub fn drop(&mut self, id: Uuid) {
        if let Some(old) = self.revisions.remove(&id) {
            self.sum = self.sum.wrapping_sub(term(id, old));
        }
    }

    /// Whether it is what the hub says that it must be.
    pub fn agrees(&self, digest: &wire::Digest) -> bool {
        let wire::Digest { count, hash } = digest;
        *count == self.len() as u64 && hash.as_slice() == self.sum.to_le_bytes()
    }

    /// Whether an indicator is in it.
    pub fn holds(&self, id: Uuid) -> bool {
        self.revisions.contains_key(&id)
    }

    /// Indicators in it.
    pub fn len(&self) -> usize {
        self.revisions.len()
    }

    /// Everything in it.
    pub fn iter(&self) -> impl Iterator<Item = (Uuid, u32)> {
        self.revisions.iter().map(|(id, revision)| (*id, *revision))
    }

    /// What is here and not in `other`.
    pub fn without(&self, other: &Mirror) -> Vec<Uuid> {
        let ids = self.revisions.keys();
        ids.filter(|id| !other.holds(**id)).copied().collect()
    }
}

/// The first 16 bytes, little-endian, of SHA-256(id text ‖ revision big-endian): see `Digest` in `feed_service.proto`.
fn term(id: Uuid, revision: u32) -> u128 {
    let mut text = [0; 36];
    let text = id.hyphenated().encode_lower(&mut text);
    let hash = Sha256::new()
        .chain_update(text.as_bytes())
        .chain_update(revision.to_be_bytes())
        .finalize();
    let mut head = [0; 16];
    head.copy_from_slice(&hash[..16]);
    u128::from_le_bytes(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_sum_is_the_one_that_the_proto_states() {
        let mut mirror = Mirror::default();
        assert!(mirror.agrees(&wire::Digest {
            count: 0,
            hash: vec![0; 16]
        }));
        mirror.put("0190b8a2-7c3e-7def-8a12-3456789abcde".parse().unwrap(), 1);
        // printf '0190b8a2-7c3e-7def-8a12-3456789abcde\0\0\0\1' | sha256sum | head -c 32
        let hash = HASH
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
        let digest = wire::Digest {
            count: 1,
            hash: hash.collect(),
        };
        assert!(mirror.agrees(&digest));
        mirror.put("0190b8a2-7c3e-7def-8a12-3456789abcde".parse().unwrap(), 2);
        assert!(!mirror.agrees(&digest));
    }

    const HASH: &str = "33e0072a35f63ccef6d2dee6a9f0cebf";

    proptest! {
        #[test]
        fn any_order_and_repetition_of_changes_gives_the_sum_of_what_is_left(
            changes in proptest::collection::vec((0_u128..8, 0_u32..4), 0..60)
        ) {
            let mut mirror = Mirror::default();
            for (id, revision) in changes {
                match revision {
                    0 => mirror.drop(Uuid::from_u128(id)),
                    revision => mirror.put(Uuid::from_u128(id), revision),
                }
            }
            let mut again = Mirror::default();
            mirror.iter().for_each(|(id, revision)| again.put(id, revision));
            prop_assert_eq!(&again, &mirror);
            prop_assert!(mirror.without(&again).is_empty());
        }
    }
}
