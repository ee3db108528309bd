//! The bytes of one block of the body store. It knows nothing of files, and it never guesses: bytes that are not exactly the
//! block that was asked for are refused. `docs/storage-format.md` is the specification.

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use super::super::batch::ENTRY_BYTES_MAX;
use super::super::fields::Fields;

/// Bodies in a block. A look-up unpacks a whole block for one body, and fewer than this pack badly: at 16, unpacking takes 4 µs
/// and a body a third of its bytes (`docs/decisions/0013-bodies-on-disk.md`).
pub(super) const BLOCK_BODIES: usize = 16;

/// What precedes the packed bytes.
pub(super) const HEADER_BYTES: usize = 20;

/// Where each body ends, in front of the bodies.
const ENDS_BYTES: usize = 4 * BLOCK_BODIES;

/// The most bytes of a block before it is packed. A body is a part of an entry, so it is shorter than one may be.
const RAW_BYTES_MAX: usize = ENDS_BYTES + BLOCK_BODIES * ENTRY_BYTES_MAX;

/// zstd's level: twice as fast as level 1 in both directions, for a fifth more bytes.
const LEVEL: i32 = -1;

/// Consecutive bodies in memory: one allocation, which everybody who reads one of them shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Where each body ends, counted from the first, then the bodies.
    raw: Bytes,
}

/// Why bytes are not the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BlockError {
    #[error("the block is cut short")]
    Short,
    #[error("the block's checksum does not match")]
    Checksum,
    #[error("another block stands in its place")]
    Foreign,
    #[error("the block cannot be unpacked")]
    Packed,
    #[error("the lengths in the block do not add up")]
    Lengths,
}

/// What a block says of itself before its packed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// CRC of all that follows it.
    pub crc: u32,
    pub number: u32,
    pub packed_bytes: u32,
    /// Of the block before packing: from these, a block on disk is known to hold what the log holds without unpacking it.
    pub raw_crc: u32,
    pub raw_bytes: u32,
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Result<Header, BlockError> {
        let mut fields = Fields { rest: bytes };
        let mut next = || fields.u32().ok_or(BlockError::Short);
        Ok(Header {
            crc: next()?,
            number: next()?,
            packed_bytes: next()?,
            raw_crc: next()?,
            raw_bytes: next()?,
        })
    }
}

impl Block {
    /// Puts bodies together; [`BLOCK_BODIES`] of them.
    pub(super) fn pack(bodies: &[Bytes]) -> Block {
        let length: usize = bodies.iter().map(Bytes::len).sum();
        let mut raw = Vec::with_capacity(ENDS_BYTES + length);
        let mut end = 0u32;
        for body in bodies {
            // Far below the range: see RAW_BYTES_MAX.
            end += body.len() as u32;
            raw.extend_from_slice(&end.to_le_bytes());
        }
        bodies.iter().for_each(|body| raw.extend_from_slice(body));
        Block { raw: raw.into() }
    }

    /// The body at `place` of the block.
    pub(super) fn body(&self, place: usize) -> Option<Bytes> {
        let start = match place.checked_sub(1) {
            None => 0,
            Some(before) => self.end(before)?,
        };
        let end = self.end(place)?;
        Some(self.raw.slice(ENDS_BYTES + start..ENDS_BYTES + end))
    }

    fn end(&self, place: usize) -> Option<usize> {
        let bytes = self
            .raw
            .get(4 * place..4 * place + 4)
            .filter(|_| place < BLOCK_BODIES)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
    }

    /// What it takes of memory.
    pub(super) fn cost_bytes(&self) -> usize {
        self.raw.len() + size_of::<Block>()
    }

    /// Whether a block on disk with this header holds the same bodies.
    pub(super) fn is_described_by(&self, number: u32, header: &Header) -> bool {
        header.number == number
            && header.raw_bytes as usize == self.raw.len()
            && header.raw_crc == crc32fast::hash(&self.raw)
    }

    pub(super) fn encode(&self, number: u32, compressor: &mut Compressor<'_>) -> std::io::Result<Vec<u8>> {
        let packed = compressor.compress(&self.raw)?;
        let mut out = Vec::with_capacity(HEADER_BYTES + packed.len());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&self.raw).to_le_bytes());
        out.extend_from_slice(&(self.raw.len() as u32).to_le_bytes());
        out.extend_from_slice(&packed);
        let crc = crc32fast::hash(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        Ok(out)
    }

    /// Reads block `number`, which must be the very one with the checksum `crc`.
    pub(super) fn decode(
        number: u32,
        crc: u32,
        bytes: &[u8],
        decompressor: &mut Decompressor<'_>,
    ) -> Result<Block, BlockError> {
        let header = Header::read(bytes)?;
        if (header.number, header.crc) != (number, crc) {
            return Err(BlockError::Foreign);
        }
        if crc32fast::hash(&bytes[4..]) != crc {
            return Err(BlockError::Checksum);
        }
        let raw_bytes = header.raw_bytes as usize;
        // The bound comes before the allocation: what passes its checksum may still be another program's work.
        if raw_bytes > RAW_BYTES_MAX || bytes.len() - HEADER_BYTES != header.packed_bytes as usize {
            return Err(BlockError::Lengths);
        }
        let raw = decompressor.decompress(&bytes[HEADER_BYTES..], raw_bytes);
        let raw = raw.map_err(|_| BlockError::Packed)?;
        let block = Block { raw: raw.into() };
        if block.raw.len() == raw_bytes && block.is_whole() {
            Ok(block)
        } else {
            Err(BlockError::Lengths)
        }
    }

    fn is_whole(&self) -> bool {
        let mut before = 0;
        let ascend = (0..BLOCK_BODIES).all(|place| {
            self.end(place)
                .is_some_and(|end| std::mem::replace(&mut before, end) <= end)
        });
        ascend && ENDS_BYTES + before == self.raw.len()
    }
}

/// A packer, to be kept: making one takes longer than packing a block.
pub(super) fn compressor() -> std::io::Result<Compressor<'static>> {
    Compressor::new(LEVEL)
}

/// The same for unpacking.
pub(super) fn decompressor() -> std::io::Result<Decompressor<'static>> {
    Decompressor::new()
}

#[cfg(test)]
mod tests {
    use super::super::super::fields::golden;
    use super::*;

    fn sample() -> (Vec<Bytes>, Block) {
        let bodies: Vec<Bytes> = (0..BLOCK_BODIES)
            .map(|place| Bytes::from(format!("body {place} ").repeat(place)))
            .collect();
        let block = Block::pack(&bodies);
        (bodies, block)
    }

    fn decode(number: u32, crc: u32, bytes: &[u8]) -> Result<Block, BlockError> {
        Block::decode(number, crc, bytes, &mut decompressor().unwrap())
    }

    fn encoded() -> (Block, Vec<u8>, u32) {
        let block = sample().1;
        let bytes = block.encode(7, &mut compressor().unwrap()).unwrap();
        let crc = Header::read(&bytes).unwrap().crc;
        (block, bytes, crc)
    }

    #[test]
    fn bodies_come_back_as_they_were_packed() {
        let (bodies, block) = sample();
        let places = 0..BLOCK_BODIES;
        assert_eq!(
            places.map(|place| block.body(place).unwrap()).collect::<Vec<_>>(),
            bodies
        );
        assert_eq!(block.body(BLOCK_BODIES), None);
        let (block, bytes, crc) = encoded();
        assert_eq!(decode(7, crc, &bytes), Ok(block));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let (_, bytes, crc) = encoded();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(7, crc, &flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(decode(7, crc, &bytes[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_whole_block_in_the_place_of_another_is_refused() {
        let (_, bytes, crc) = encoded();
        assert_eq!(decode(8, crc, &bytes), Err(BlockError::Foreign));
        assert_eq!(decode(7, crc ^ 1, &bytes), Err(BlockError::Foreign));
    }

    #[test]
    fn arbitrary_bytes_with_a_valid_checksum_never_panic() {
        let mut state = 1u64;
        for round in 0..20_000usize {
            let (_, mut bytes, _) = encoded();
            for _ in 0..=(round % 5) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = 8 + (state >> 33) as usize % (bytes.len() - 8);
                bytes[at] = (state >> 20) as u8;
            }
            let crc = crc32fast::hash(&bytes[4..]);
            bytes[..4].copy_from_slice(&crc.to_le_bytes());
            if let Ok(block) = decode(7, crc, &bytes) {
                assert!((0..BLOCK_BODIES).all(|place| block.body(place).is_some()));
            }
        }
    }

    #[test]
    fn golden_bytes_of_version_1_are_read() {
        let bytes = golden::bytes(include_str!("../golden/body-block-1.hex"));
        let crc = Header::read(&bytes).unwrap().crc;
        assert_eq!(decode(7, crc, &bytes), Ok(sample().1));
    }
}
