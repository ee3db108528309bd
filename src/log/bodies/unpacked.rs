//! The bodies of one block, unpacked: one allocation, which everybody who reads one of them shares.

use bytes::Bytes;

use super::block::BLOCK_BODIES;

/// Consecutive bodies in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unpacked {
    bodies: Bytes,
    ends: [u32; BLOCK_BODIES],
}

impl Unpacked {
    /// Bodies that lie one after another, and where each ends.
    pub(super) fn new(bodies: Bytes, ends: [u32; BLOCK_BODIES]) -> Unpacked {
        Unpacked { bodies, ends }
    }

    /// Puts [`BLOCK_BODIES`] bodies together. They are copied: each may be a slice of much more.
    pub(super) fn of(bodies: &[Bytes]) -> Unpacked {
        let mut end = 0;
        let ends = std::array::from_fn(|place| {
            end += bodies.get(place).map_or(0, |body| body.len() as u32);
            end
        });
        Unpacked::new(bodies.concat().into(), ends)
    }

    /// The body at `place`, if there is such a place.
    pub(super) fn body(&self, place: usize) -> Option<Bytes> {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        let end = *self.ends.get(place)?;
        Some(self.bodies.slice(start as usize..end as usize))
    }

    /// What it takes of memory.
    pub(super) fn cost_bytes(&self) -> usize {
        self.bodies.len() + size_of::<Unpacked>()
    }
}
