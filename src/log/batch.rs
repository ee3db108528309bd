//! The bytes of one sled value: a batch of consecutive entries, with salts, checksum and place in the chain.
//! It knows nothing of files or of sled, and it never guesses: bytes that are not exactly a batch are refused.
//! `docs/storage-format.md` is the specification.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::fields::Fields;
use super::merkle::{self, Hash};
use crate::domain::id::Seq;
use crate::domain::sha256::sha256_of_short;

/// The most bytes one entry may have. Far above any indicator, far below what sled would move to a blob file.
pub const ENTRY_BYTES_MAX: usize = 128 * 1024;

/// The most uncompressed bytes (salts, lengths and entries) of one value. A sled leaf holds at most 17 values, and
/// 17 of these still fit into a quarter of a segment, past which sled would write a blob file that power cuts tear.
pub(super) const VALUE_BYTES_MAX: usize = 192 * 1024;

/// The version of values in which nothing is left of what was erased.
const VERSION: u8 = 1;
/// The version of the others.
const VERSION_WITH_RESTS: u8 = 2;
const HEADER_BYTES: usize = 56;
const SALT_BYTES: usize = 32;
const LENGTH_BYTES: usize = 4;
/// In place of a length: the bytes were erased, and the commitment stands where the salt stood.
const ERASED: u32 = u32::MAX;
/// In a length, from version 2 on: the bytes are what is left of an entry that was erased.
const ERASED_BIT: u32 = 1 << 31;
const CODEC_STORED: u8 = 0;
const CODEC_LZ4: u8 = 1;
const CODEC_ZSTD: u8 = 2;
/// zstd's level for sealed stores: higher ones save a hundredth for several times the work.
const ZSTD_LEVEL: i32 = 1;

/// One entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// An entry with its salt.
    Whole { salt: [u8; 32], bytes: Bytes },
    /// Its bytes and salt are gone. `rest` is what the hub left in their place, perhaps nothing; the commitment does not cover it.
    Erased { commitment: Hash, rest: Bytes },
}

impl Stored {
    /// What an entry takes of `VALUE_BYTES_MAX` besides its bytes.
    pub(super) const OVERHEAD_BYTES: usize = SALT_BYTES + LENGTH_BYTES;

    /// `SHA-256(salt ‖ bytes)`, which survives erasure.
    pub(super) fn commitment(&self) -> Hash {
        match self {
            Stored::Whole { salt, bytes } => Sha256::new().chain_update(salt).chain_update(bytes).finalize().into(),
            Stored::Erased { commitment, .. } => *commitment,
        }
    }

    /// The Merkle leaf: RFC 6962's leaf hash over the commitment.
    pub(super) fn leaf(&self) -> Hash {
        merkle::leaf_hash(&self.commitment())
    }

    /// How many bytes of `VALUE_BYTES_MAX` this entry takes.
    pub(super) fn cost_bytes(&self) -> usize {
        Stored::OVERHEAD_BYTES + self.content().len()
    }

    /// The bytes, or what is left of them.
    pub(super) fn content(&self) -> &Bytes {
        match self {
            Stored::Whole { bytes, .. } => bytes,
            Stored::Erased { rest, .. } => rest,
        }
    }

    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Stored::Whole { bytes, .. } => Some(bytes),
            Stored::Erased { .. } => None,
        }
    }
}

/// The chain hash after an entry: `SHA-256(0x02 ‖ chain before ‖ leaf)`. It runs over leaves, one by one, so that
/// neither erasing entries nor cutting the same entries into other batches changes it.
pub(super) fn chain_after(before: &Hash, leaf: &Hash) -> Hash {
    let mut bytes = [0x02; 65];
    bytes[1..33].copy_from_slice(before);
    bytes[33..].copy_from_slice(leaf);
    sha256_of_short(&bytes)
}

/// Consecutive entries that are stored as one sled value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// The position of the first entry.
    pub first: Seq,
    /// How many values of the same append follow this one: an append counts only with all its values.
    pub values_after: u16,
    /// The chain hash before the first entry.
    pub chain_before: Hash,
    /// At least one entry.
    pub entries: Vec<Stored>,
}

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BatchError {
    #[error("the value is cut short")]
    Short,
    #[error("the checksum does not match")]
    Checksum,
    #[error("format version {0} is unknown to this program")]
    Version(u8),
    #[error("the compressed body cannot be unpacked")]
    Body,
    #[error("the lengths of the entries do not add up")]
    Lengths,
    #[error("the value stands under another key than its own")]
    Key,
}

impl Batch {
    /// The position after the last entry.
    pub(super) fn end(&self) -> Seq {
        Seq(self.first.0 + self.entries.len() as u64)
    }

    /// The bytes of a value of a sealed store: smaller, by work that no append waits for.
    pub(super) fn encode_dense(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.body_bytes());
        self.write_body(&mut body);
        let mut value = Vec::new();
        match zstd::bulk::compress(&body, ZSTD_LEVEL) {
            Ok(packed) if packed.len() < body.len() => self.write(CODEC_ZSTD, body.len(), &packed, &mut value),
            Ok(_) | Err(_) => self.write(CODEC_STORED, body.len(), &body, &mut value),
        }
        value
    }

    /// How many bytes [`Encoder::plain`] makes of entries that cost so much.
    pub(super) fn plain_bytes(cost_bytes: usize) -> usize {
        HEADER_BYTES + cost_bytes
    }

    /// Replaces what is in `out`.
    fn write(&self, codec: u8, body_bytes: usize, payload: &[u8], out: &mut Vec<u8>) {
        out.clear();
        out.reserve(HEADER_BYTES + SALT_BYTES * self.entries.len() + payload.len());
        out.extend_from_slice(&[0; 4]);
        out.push(self.version());
        out.push(codec);
        out.extend_from_slice(&self.values_after.to_le_bytes());
        out.extend_from_slice(&self.first.0.to_le_bytes());
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        out.extend_from_slice(&(body_bytes as u32).to_le_bytes());
        out.extend_from_slice(&self.chain_before);
        for entry in &self.entries {
            match entry {
                Stored::Whole { salt, .. } => out.extend_from_slice(salt),
                Stored::Erased { commitment, .. } => out.extend_from_slice(commitment),
            }
        }
        out.extend_from_slice(payload);
        let crc = crc32fast::hash(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
    }

    fn body_bytes(&self) -> usize {
        let bytes = self.entries.iter().map(|entry| entry.content().len());
        LENGTH_BYTES * self.entries.len() + bytes.sum::<usize>()
    }

    /// Replaces what is in `body`.
    fn write_body(&self, body: &mut Vec<u8>) {
        body.clear();
        body.reserve(self.body_bytes());
        let has_rests = self.version() == VERSION_WITH_RESTS;
        for entry in &self.entries {
            let length = match entry {
                Stored::Whole { bytes, .. } => bytes.len() as u32,
                Stored::Erased { rest, .. } if has_rests => ERASED_BIT | rest.len() as u32,
                Stored::Erased { .. } => ERASED,
            };
            body.extend_from_slice(&length.to_le_bytes());
        }
        for entry in &self.entries {
            body.extend_from_slice(entry.content());
        }
    }

    /// Older programs read the values that they can.
    fn version(&self) -> u8 {
        let is_rest = |entry: &Stored| matches!(entry, Stored::Erased { rest, .. } if !rest.is_empty());
        match self.entries.iter().any(is_rest) {
            true => VERSION_WITH_RESTS,
            false => VERSION,
        }
    }

    /// Read the uncompressed batch that `bytes` start with, and how many of them it takes. `None` if they start with none.
    pub(super) fn decode_front(bytes: &[u8]) -> Option<(Batch, usize)> {
        let mut header = Fields {
            rest: bytes.split_at_checked(8)?.1,
        };
        let first = Seq(header.u64()?);
        let count = header.u32()? as usize;
        let body_bytes = header.u32()? as usize;
        let length = count
            .checked_mul(SALT_BYTES)?
            .checked_add(body_bytes)?
            .checked_add(HEADER_BYTES)?;
        let record = bytes.get(..length)?;
        let is_plain = record[5] == CODEC_STORED;
        Some((Batch::decode(first, record).ok().filter(|_| is_plain)?, length))
    }

    /// Read a value found under the key `first`.
    pub(super) fn decode(first: Seq, value: &[u8]) -> Result<Batch, BatchError> {
        let short = BatchError::Short;
        let mut header = Fields { rest: value };
        let crc = header.u32().ok_or(short)?;
        if crc32fast::hash(header.rest) != crc {
            return Err(BatchError::Checksum);
        }
        let [version, codec] = header.array().ok_or(short)?;
        if !matches!(version, VERSION | VERSION_WITH_RESTS) {
            return Err(BatchError::Version(version));
        }
        let values_after = u16::from_le_bytes(header.array().ok_or(short)?);
        if header.u64().ok_or(short)? != first.0 {
            return Err(BatchError::Key);
        }
        let count = header.u32().ok_or(short)? as usize;
        let body_bytes = header.u32().ok_or(short)? as usize;
        let chain_before = header.array().ok_or(short)?;
        // Bounds come before any allocation: a value that passes its checksum may still be another program's work.
        if count == 0 || body_bytes > 2 * VALUE_BYTES_MAX || count > body_bytes / LENGTH_BYTES {
            return Err(BatchError::Lengths);
        }
        let salts = header.slice(count * SALT_BYTES).ok_or(short)?;
        let body = unpack(codec, header.rest, body_bytes)?;
        let entries = split(version, salts, &body, count)?;
        Ok(Batch {
            first,
            values_after,
            chain_before,
            entries,
        })
    }
}

/// Encodes one batch after another in the same memory: buffers of this size that are taken anew for each are pages that the kernel
/// clears for each.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    body: Vec<u8>,
    packed: Vec<u8>,
    value: Vec<u8>,
}

impl Encoder {
    /// The bytes of a value of the store, compressed where that makes them fewer.
    pub(super) fn packed(&mut self, batch: &Batch) -> &[u8] {
        batch.write_body(&mut self.body);
        let packed_bytes_max = lz4_flex::block::get_maximum_output_size(self.body.len());
        if self.packed.len() < packed_bytes_max {
            self.packed.resize(packed_bytes_max, 0);
        }
        match lz4_flex::block::compress_into(&self.body, &mut self.packed) {
            Ok(length) if length < self.body.len() => {
                batch.write(CODEC_LZ4, self.body.len(), &self.packed[..length], &mut self.value);
            }
            Ok(_) | Err(_) => batch.write(CODEC_STORED, self.body.len(), &self.body, &mut self.value),
        }
        &self.value
    }

    /// The bytes of a record of the journal: as fast as can be.
    pub(super) fn plain(&mut self, batch: &Batch) -> &[u8] {
        batch.write_body(&mut self.body);
        batch.write(CODEC_STORED, self.body.len(), &self.body, &mut self.value);
        &self.value
    }
}

fn unpack(codec: u8, payload: &[u8], body_bytes: usize) -> Result<Bytes, BatchError> {
    let body = match codec {
        CODEC_STORED => payload.to_vec(),
        CODEC_LZ4 => lz4_flex::block::decompress(payload, body_bytes).map_err(|_| BatchError::Body)?,
        CODEC_ZSTD => zstd::bulk::decompress(payload, body_bytes).map_err(|_| BatchError::Body)?,
        _ => return Err(BatchError::Body),
    };
    if body.len() == body_bytes {
        Ok(Bytes::from(body))
    } else {
        Err(BatchError::Body)
    }
}

/// Cut the body into entries, which share its one allocation.
fn split(version: u8, salts: &[u8], body: &Bytes, count: usize) -> Result<Vec<Stored>, BatchError> {
    let mut lengths = Fields {
        rest: &body[..count * LENGTH_BYTES],
    };
    let mut at = count * LENGTH_BYTES;
    let mut entries = Vec::with_capacity(count);
    for salt in salts.chunks_exact(SALT_BYTES) {
        let salt: [u8; SALT_BYTES] = salt.try_into().map_err(|_| BatchError::Short)?;
        let length = lengths.u32().ok_or(BatchError::Short)?;
        let (is_erased, length) = match version {
            VERSION if length == ERASED => (true, 0),
            VERSION => (false, length),
            _ => (length & ERASED_BIT != 0, length & !ERASED_BIT),
        };
        let end = at
            .checked_add(length as usize)
            .filter(|end| *end <= body.len())
            .ok_or(BatchError::Lengths)?;
        let bytes = body.slice(at..end);
        entries.push(match is_erased {
            true => Stored::Erased {
                commitment: salt,
                rest: bytes,
            },
            false => Stored::Whole { salt, bytes },
        });
        at = end;
    }
    if at == body.len() {
        Ok(entries)
    } else {
        Err(BatchError::Lengths)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::golden;
    use super::*;

    fn packed(batch: &Batch) -> Vec<u8> {
        Encoder::default().packed(batch).to_vec()
    }

    /// Nothing is left of one entry that was erased.
    fn sample() -> Batch {
        sample_with(b"")
    }

    fn sample_with(rest: &'static [u8]) -> Batch {
        let whole = |salt: u8, text: &'static str| Stored::Whole {
            salt: [salt; 32],
            bytes: Bytes::from(text),
        };
        Batch {
            first: Seq(7),
            values_after: 2,
            chain_before: [9; 32],
            entries: vec![
                whole(1, "one one one one one one one one one"),
                Stored::Erased {
                    commitment: [5; 32],
                    rest: Bytes::from_static(rest),
                },
                whole(3, ""),
            ],
        }
    }

    #[test]
    fn decoding_returns_what_was_encoded() {
        let mut encoder = Encoder::default();
        for (rest, version) in [(&b""[..], VERSION), (b"left", VERSION_WITH_RESTS)] {
            let batch = sample_with(rest);
            // A longer one before it leaves nothing behind.
            encoder.packed(&Batch {
                entries: vec![batch.entries[0].clone(); 100],
                ..batch.clone()
            });
            for value in [
                encoder.packed(&batch).to_vec(),
                encoder.plain(&batch).to_vec(),
                batch.encode_dense(),
            ] {
                assert_eq!(value[4], version);
                assert_eq!(Batch::decode(Seq(7), &value), Ok(batch.clone()));
            }
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let value = sample_with(b"left").encode_dense();
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Batch::decode(Seq(7), &flipped).is_err(), "bit {bit}");
        }
        for length in 0..value.len() {
            assert!(Batch::decode(Seq(7), &value[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_value_under_a_foreign_key_is_refused() {
        assert_eq!(Batch::decode(Seq(8), &packed(&sample())), Err(BatchError::Key));
    }

    #[test]
    fn arbitrary_bytes_with_a_valid_checksum_never_panic() {
        let mut state = 1u64;
        for round in 0..20_000usize {
            let batch = sample_with([&b""[..], b"left"][round / 2 % 2]);
            let mut value = if round % 2 == 0 {
                packed(&batch)
            } else {
                batch.encode_dense()
            };
            for _ in 0..=(round % 5) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = 4 + (state >> 33) as usize % (value.len() - 4);
                value[at] = (state >> 20) as u8;
            }
            let crc = crc32fast::hash(&value[4..]);
            value[..4].copy_from_slice(&crc.to_le_bytes());
            let _ = Batch::decode(Seq(7), &value);
        }
    }

    #[test]
    fn erasing_keeps_leaf_and_chain() {
        let whole = Stored::Whole {
            salt: [1; 32],
            bytes: Bytes::from_static(b"entry"),
        };
        let erased = Stored::Erased {
            commitment: whole.commitment(),
            rest: Bytes::from_static(b"left"),
        };
        assert_eq!(whole.leaf(), erased.leaf());
    }

    #[test]
    fn golden_bytes_of_each_version_are_read_for_ever() {
        let stored = golden::bytes(include_str!("golden/batch-1-stored.hex"));
        let whole = |salt: u8, bytes: &'static [u8]| Stored::Whole {
            salt: [salt; 32],
            bytes: Bytes::from_static(bytes),
        };
        let entries = vec![
            whole(0xA1, b"first"),
            Stored::Erased {
                commitment: [0xB2; 32],
                rest: Bytes::new(),
            },
            whole(0xC3, b""),
        ];
        let batch = Batch {
            first: Seq(0x0102_0304),
            values_after: 0x0506,
            chain_before: [0xD4; 32],
            entries,
        };
        assert_eq!(Batch::decode(batch.first, &stored), Ok(batch.clone()));
        assert_eq!(packed(&batch), stored, "what is written now must be what version 1 was");

        let stored = golden::bytes(include_str!("golden/batch-2-stored.hex"));
        let batch = Batch {
            first: batch.first,
            ..sample_with(b"what is left")
        };
        assert_eq!(Batch::decode(batch.first, &stored), Ok(batch.clone()));
        assert_eq!(
            Encoder::default().plain(&batch),
            stored,
            "what is written now must be what version 2 was"
        );

        // How well a codec packs may change; what it once packed must still be read.
        for (codec, packed) in [
            (CODEC_LZ4, include_str!("golden/batch-1-lz4.hex")),
            (CODEC_ZSTD, include_str!("golden/batch-1-zstd.hex")),
        ] {
            let packed = golden::bytes(packed);
            assert_eq!(packed[5], codec);
            assert_eq!(Batch::decode(Seq(7), &packed), Ok(sample()));
        }
    }
}
