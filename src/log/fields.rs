//! Reads fixed-size fields off the front of stored bytes. It never reads past the end and never panics.

use super::merkle::Hash;

/// What is left to read.
pub(super) struct Fields<'a> {
    pub rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*field)
    }

    pub(super) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(field)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A `u32` count and as many hashes. The slice is taken before anything is allocated.
    pub(super) fn hashes(&mut self) -> Option<Vec<Hash>> {
        let count = self.u32()? as usize;
        let bytes = self.slice(count.checked_mul(32)?)?;
        bytes.chunks_exact(32).map(|hash| hash.try_into().ok()).collect()
    }
}

/// Append a `u32` count and the hashes.
pub(super) fn put_hashes(out: &mut Vec<u8>, hashes: &[Hash]) {
    out.extend_from_slice(&(hashes.len() as u32).to_le_bytes());
    hashes.iter().for_each(|hash| out.extend_from_slice(hash));
}

/// Append the CRC-32 of all that comes before it.
pub(super) fn put_checksum(out: &mut Vec<u8>) {
    out.extend_from_slice(&crc32fast::hash(out).to_le_bytes());
}

/// The bytes before a trailing CRC-32, if it matches.
pub(super) fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(content) == u32::from_le_bytes(*crc)).then_some(content)
}

#[cfg(test)]
pub(super) mod golden {
    //! Golden bytes are kept as hexadecimal text, lines of any length.

    pub(in crate::log) fn bytes(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }
}
