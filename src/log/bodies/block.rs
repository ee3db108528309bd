//! The bytes of one block of the body store. It knows nothing of files, and it never guesses: bytes that are not exactly the
//! block that was asked for are refused. `docs/storage-format.md` is the specification.
//!
//! Each body is unpacked by itself: the first is the dictionary of all others.

use bytes::Bytes;
use lz4_flex::block::{compress_into_with_dict, decompress_into_with_dict, get_maximum_output_size};

use super::super::batch::ENTRY_BYTES_MAX;
use super::super::fields::Fields;
use super::index::Span;

/// Bodies in a block. Fewer pack worse, and more take longer to be read and checked for one (`docs/decisions/0019-each-body-by-itself.md`).
pub(super) const BLOCK_BODIES: usize = 8;

/// What precedes the ends.
pub(super) const HEADER_BYTES: usize = 20;

/// For each body where it ends, packed and unpacked.
const ENDS_BYTES: usize = 8 * BLOCK_BODIES;

/// Where the first body starts.
const CONTENT_AT: usize = HEADER_BYTES + ENDS_BYTES;

/// The most bytes of a block's bodies. A body is a part of an entry, so it is shorter than one may be.
const RAW_BYTES_MAX: usize = BLOCK_BODIES * ENTRY_BYTES_MAX;

/// How much of the first body is the dictionary of the others: LZ4 looks no further back.
const DICTIONARY_BYTES_MAX: usize = 32 << 10;

/// A shorter one holds no match, and the crate that packs does not look for that case.
const DICTIONARY_BYTES_MIN: usize = 4;

/// Consecutive bodies, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// As on disk, and checked.
    bytes: Bytes,
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

/// What a block says of itself before its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// CRC of all that follows it.
    pub crc: u32,
    pub number: u32,
    /// Of all that follows the header.
    pub packed_bytes: u32,
    /// Of the bodies before packing: from these, a block on disk is known to hold what the log holds without unpacking it.
    pub raw: Raw,
}

/// What is known of bodies that are, or are to be, in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    /// Of where each ends (`u32`), then of the bodies.
    crc: u32,
    bytes: u32,
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Result<Header, BlockError> {
        let mut fields = Fields { rest: bytes };
        let mut next = || fields.u32().ok_or(BlockError::Short);
        Ok(Header {
            crc: next()?,
            number: next()?,
            packed_bytes: next()?,
            raw: Raw {
                crc: next()?,
                bytes: next()?,
            },
        })
    }
}

impl Raw {
    pub(super) fn of(bodies: &[Bytes]) -> Raw {
        let mut crc = crc32fast::Hasher::new();
        let mut bytes = 0u32;
        for body in bodies {
            // Far below the range: see RAW_BYTES_MAX.
            bytes += body.len() as u32;
            crc.update(&bytes.to_le_bytes());
        }
        bodies.iter().for_each(|body| crc.update(body));
        Raw {
            crc: crc.finalize(),
            bytes,
        }
    }
}

impl Block {
    /// Packs [`BLOCK_BODIES`] bodies.
    pub(super) fn pack(number: u32, bodies: &[Bytes]) -> Block {
        let mut bytes = Vec::new();
        put_block(&mut bytes, number, bodies);
        Block { bytes: bytes.into() }
    }

    /// Takes block `number` from the disk, which must be the very one with the checksum `crc`.
    pub(super) fn check(number: u32, crc: u32, bytes: Bytes) -> Result<Block, BlockError> {
        let header = Header::read(&bytes)?;
        if (header.number, header.crc) != (number, crc) {
            return Err(BlockError::Foreign);
        }
        if crc32fast::hash(&bytes[4..]) != crc {
            return Err(BlockError::Checksum);
        }
        let block = Block { bytes };
        // What passes its checksum may still be another program's work.
        match block.is_whole(&header) {
            true => Ok(block),
            false => Err(BlockError::Lengths),
        }
    }

    /// The block `number` with the same bodies, but for those at `places`, which are empty.
    pub(super) fn without(&self, number: u32, places: &[usize]) -> Result<Block, BlockError> {
        let mut bodies = self.unpack_all()?;
        for (place, body) in bodies.iter_mut().enumerate() {
            if places.contains(&place) {
                *body = Bytes::new();
            }
        }
        Ok(Block::pack(number, &bodies))
    }

    fn is_whole(&self, header: &Header) -> bool {
        let mut before = (0, 0);
        let ascend = (0..BLOCK_BODIES).all(|place| {
            self.end(place).is_some_and(|end| {
                let before = std::mem::replace(&mut before, end);
                before.0 <= end.0 && before.1 <= end.1
            })
        });
        let length = self.bytes.len() - HEADER_BYTES;
        ascend
            && header.packed_bytes as usize == length
            && ENDS_BYTES + before.0 == length
            && before.1 == header.raw.bytes as usize
            && before.1 <= RAW_BYTES_MAX
    }

    /// As it is on disk.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The length of the body at `place`, unpacked; none where there is no such place.
    pub(super) fn body_bytes(&self, place: usize) -> Option<usize> {
        let (_, start) = self.start(place)?;
        let (_, end) = self.end(place)?;
        end.checked_sub(start)
    }

    /// All bodies.
    pub(super) fn unpack_all(&self) -> Result<Vec<Bytes>, BlockError> {
        let body = |place| {
            let mut body = vec![0; self.body_bytes(place).ok_or(BlockError::Lengths)?];
            self.unpack(place, &mut body)?;
            Ok(body.into())
        };
        (0..BLOCK_BODIES).map(body).collect()
    }

    /// Unpacks the body at `place` into a room of exactly its length.
    pub(super) fn unpack(&self, place: usize, into: &mut [u8]) -> Result<(), BlockError> {
        let packed = self.packed(place).ok_or(BlockError::Lengths)?;
        if packed.len() == into.len() {
            into.copy_from_slice(packed);
            return Ok(());
        }
        let dictionary = dictionary_of(self.packed(0).ok_or(BlockError::Lengths)?);
        match decompress_into_with_dict(packed, into, dictionary) {
            Ok(length) if length == into.len() => Ok(()),
            _ => Err(BlockError::Packed),
        }
    }

    fn packed(&self, place: usize) -> Option<&[u8]> {
        let (start, _) = self.start(place)?;
        let (end, _) = self.end(place)?;
        self.bytes.get(CONTENT_AT + start..CONTENT_AT + end)
    }

    fn start(&self, place: usize) -> Option<(usize, usize)> {
        match place.checked_sub(1) {
            None => Some((0, 0)),
            Some(before) => self.end(before),
        }
    }

    /// Where a body ends, packed and unpacked.
    fn end(&self, place: usize) -> Option<(usize, usize)> {
        let at = HEADER_BYTES + 8 * place;
        let bytes = self.bytes.get(at..at + 8).filter(|_| place < BLOCK_BODIES)?;
        let mut fields = Fields { rest: bytes };
        Some((fields.u32()? as usize, fields.u32()? as usize))
    }
}

/// Appends a block of [`BLOCK_BODIES`] bodies.
pub(super) fn put_block(out: &mut Vec<u8>, number: u32, bodies: &[Bytes]) -> Span {
    let begin = out.len();
    let raw = Raw::of(bodies);
    out.resize(begin + CONTENT_AT, 0);
    let mut raw_end = 0;
    let mut dictionary = None;
    for (place, body) in bodies.iter().enumerate() {
        put_packed(out, body, dictionary);
        dictionary.get_or_insert(body);
        raw_end += body.len() as u32;
        let packed_end = (out.len() - begin - CONTENT_AT) as u32;
        let at = begin + HEADER_BYTES + 8 * place;
        out[at..at + 4].copy_from_slice(&packed_end.to_le_bytes());
        out[at + 4..at + 8].copy_from_slice(&raw_end.to_le_bytes());
    }
    let block = &mut out[begin..];
    let packed_bytes = (block.len() - HEADER_BYTES) as u32;
    for (place, field) in [number, packed_bytes, raw.crc, raw.bytes].into_iter().enumerate() {
        block[4 + 4 * place..8 + 4 * place].copy_from_slice(&field.to_le_bytes());
    }
    let crc = crc32fast::hash(&block[4..]);
    block[..4].copy_from_slice(&crc.to_le_bytes());
    Span {
        bytes: block.len() as u32,
        crc,
    }
}

/// Appends a body: packed against the dictionary where that makes it shorter, else as it is.
fn put_packed(out: &mut Vec<u8>, body: &[u8], dictionary: Option<&Bytes>) {
    let begin = out.len();
    if let Some(dictionary) = dictionary {
        out.resize(begin + get_maximum_output_size(body.len()), 0);
        let packed = compress_into_with_dict(body, &mut out[begin..], dictionary_of(dictionary));
        // It cannot fail, for the room is enough for what cannot be packed at all.
        out.truncate(begin + packed.unwrap_or(body.len()));
        if out.len() - begin < body.len() {
            return;
        }
        out.truncate(begin);
    }
    out.extend_from_slice(body);
}

fn dictionary_of(first: &[u8]) -> &[u8] {
    match first.len() {
        ..DICTIONARY_BYTES_MIN => &[],
        length => &first[..length.min(DICTIONARY_BYTES_MAX)],
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fields::golden;
    use super::*;

    fn sample() -> Vec<Bytes> {
        let body = |place| Bytes::from(format!("body {place} ").repeat(place));
        (0..BLOCK_BODIES)
            .map(|place| body((place + 3) % BLOCK_BODIES))
            .collect()
    }

    fn check(number: u32, crc: u32, bytes: &[u8]) -> Result<Block, BlockError> {
        Block::check(number, crc, Bytes::copy_from_slice(bytes))
    }

    fn packed() -> (Block, Vec<u8>, u32) {
        let block = Block::pack(7, &sample());
        let crc = Header::read(&block.bytes).unwrap().crc;
        (block.clone(), block.bytes.to_vec(), crc)
    }

    fn bodies(block: &Block) -> Vec<Bytes> {
        assert_eq!(block.body_bytes(BLOCK_BODIES), None);
        block.unpack_all().unwrap()
    }

    #[test]
    fn bodies_come_back_as_they_were_packed() {
        let (block, bytes, crc) = packed();
        assert_eq!(bodies(&block), sample());
        let read = check(7, crc, &bytes).unwrap();
        assert_eq!(bodies(&read), sample());
        let raw_bytes: usize = sample().iter().map(Bytes::len).sum();
        assert!(bytes.len() < CONTENT_AT + raw_bytes * 2 / 3, "{}", bytes.len());
    }

    #[test]
    fn bodies_of_any_length_come_back() {
        let mut state = 1u32;
        let mut noise = |length: usize| -> Bytes {
            let next = || {
                state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
                (state >> 24) as u8
            };
            std::iter::repeat_with(next).take(length).collect()
        };
        for first in [0, 1, 3, 300, DICTIONARY_BYTES_MAX - 1, ENTRY_BYTES_MAX] {
            let first = noise(first);
            let mut all = vec![first.clone()];
            all.extend([0, 3, 400, 70_000].map(&mut noise));
            all.extend([
                first.slice(..first.len().min(299)),
                first.clone(),
                vec![7; ENTRY_BYTES_MAX].into(),
            ]);
            assert_eq!(all.len(), BLOCK_BODIES);
            let block = Block::pack(7, &all);
            let crc = Header::read(&block.bytes).unwrap().crc;
            assert_eq!(bodies(&check(7, crc, &block.bytes).unwrap()), all);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let (_, bytes, crc) = packed();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check(7, crc, &flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(check(7, crc, &bytes[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_whole_block_in_the_place_of_another_is_refused() {
        let (_, bytes, crc) = packed();
        assert_eq!(check(8, crc, &bytes), Err(BlockError::Foreign));
        assert_eq!(check(7, crc ^ 1, &bytes), Err(BlockError::Foreign));
    }

    #[test]
    fn arbitrary_bytes_with_a_valid_checksum_never_panic() {
        let mut state = 1u64;
        let mut refused = 0;
        for round in 0..20_000usize {
            let (_, mut bytes, _) = packed();
            for _ in 0..=(round % 5) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = 8 + (state >> 33) as usize % (bytes.len() - 8);
                bytes[at] = (state >> 20) as u8;
            }
            let crc = crc32fast::hash(&bytes[4..]);
            bytes[..4].copy_from_slice(&crc.to_le_bytes());
            match check(7, crc, &bytes) {
                Ok(block) => {
                    let unpack = |place| block.unpack(place, &mut vec![0; block.body_bytes(place).unwrap()]);
                    let bad = (0..BLOCK_BODIES).filter(|place| unpack(*place).is_err()).count();
                    assert_eq!(block.unpack_all().is_err(), bad > 0);
                    refused += bad;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 10_000, "{refused}");
    }

    #[test]
    fn bodies_that_are_cut_elsewhere_are_known_for_others() {
        let cut = |at: usize| -> Vec<Bytes> {
            let text = Bytes::from_static(b"one body and another");
            vec![text.slice(..at), text.slice(at..)]
        };
        assert_eq!(Raw::of(&cut(8)), Raw::of(&cut(8)));
        assert_ne!(Raw::of(&cut(8)), Raw::of(&cut(9)));
    }

    #[test]
    fn golden_bytes_of_version_2_are_read() {
        let bytes = golden::bytes(include_str!("../golden/body-block-2.hex"));
        let crc = Header::read(&bytes).unwrap().crc;
        assert_eq!(bodies(&check(7, crc, &bytes).unwrap()), sample());
    }
}
