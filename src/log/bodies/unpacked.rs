//! Bodies of one block, unpacked: one allocation, which everybody who reads one of them shares.

use bytes::Bytes;

use super::block::BLOCK_BODIES;

/// Some or all bodies of a block in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unpacked {
    bodies: Bytes,
    ends: [u32; BLOCK_BODIES],
    /// A bit for each place whose body is here.
    places: u8,
}

const _: () = assert!(BLOCK_BODIES == u8::BITS as usize);

impl Unpacked {
    /// All bodies, which lie one after another, and where each ends.
    pub(super) fn new(bodies: Bytes, ends: [u32; BLOCK_BODIES]) -> Unpacked {
        Unpacked {
            bodies,
            ends,
            places: u8::MAX,
        }
    }

    /// Puts [`BLOCK_BODIES`] bodies together. They are copied: each may be a slice of much more.
    pub(super) fn of(bodies: &[Bytes]) -> Unpacked {
        Unpacked::some(std::array::from_fn(|place| bodies.get(place).map(|body| &**body)))
    }

    /// Puts those bodies of a block together that there are. They are copied as well.
    pub(super) fn some(bodies: [Option<&[u8]>; BLOCK_BODIES]) -> Unpacked {
        let mut places = 0;
        let mut end = 0;
        let ends = std::array::from_fn(|place| {
            if let Some(body) = bodies[place] {
                places |= 1 << place;
                end += body.len() as u32;
            }
            end
        });
        let bodies: [&[u8]; BLOCK_BODIES] = bodies.map(Option::unwrap_or_default);
        Unpacked {
            bodies: bodies.concat().into(),
            ends,
            places,
        }
    }

    /// These bodies and those of `others`, which are of the same block.
    pub(super) fn and(&self, others: &Unpacked) -> Unpacked {
        Unpacked::some(std::array::from_fn(|place| {
            self.slice(place).or_else(|| others.slice(place))
        }))
    }

    /// Whether each body of `others` is here.
    pub(super) fn has_all(&self, others: &Unpacked) -> bool {
        others.places & !self.places == 0
    }

    /// The body at `place`, if it is here.
    pub(super) fn body(&self, place: usize) -> Option<Bytes> {
        self.slice(place).map(|body| self.bodies.slice_ref(body))
    }

    fn slice(&self, place: usize) -> Option<&[u8]> {
        if place >= BLOCK_BODIES || self.places & (1 << place) == 0 {
            return None;
        }
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.bodies.get(start as usize..self.ends[place] as usize)
    }

    /// What it takes of memory.
    pub(super) fn cost_bytes(&self) -> usize {
        self.bodies.len() + size_of::<Unpacked>()
    }
}
