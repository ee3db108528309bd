//! PDQ hashes of pictures: 256 bits, of which few differ where two pictures look alike (Facebook, "The TMK+PDQF Video-Hashing
//! Algorithm and the PDQ Image-Hashing Algorithm", 2019). Refuses to hash pictures.

use std::fmt;

/// A PDQ hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PdqHash([u64; 4]);

/// Bits of one of the parts that the index looks at.
pub(super) const PART_BITS: u32 = 16;

/// Parts of a hash.
pub(super) const PARTS: usize = 16;

const EVEN_BITS: u64 = 0x5555_5555_5555_5555;
const EVEN_PAIRS: u64 = 0x3333_3333_3333_3333;
const EVEN_NIBBLES: u64 = 0x0f0f_0f0f_0f0f_0f0f;
const EVEN_BYTES: u64 = 0x00ff_00ff_00ff_00ff;

impl PdqHash {
    /// The distance that its authors recommend for "the same picture", and the greatest that an index finds.
    pub const DISTANCE_MAX: u32 = 31;

    /// From its bits, most significant first.
    pub fn from_words(words: [u64; 4]) -> PdqHash {
        PdqHash(words)
    }

    /// Reads 64 hex digits.
    pub fn parse(value: &str) -> Option<PdqHash> {
        if value.len() != 64 || !value.is_ascii() {
            return None;
        }
        let word = |place: usize| u64::from_str_radix(&value[place * 16..][..16], 16).ok();
        Some(PdqHash([word(0)?, word(1)?, word(2)?, word(3)?]))
    }

    /// In how many bits the two differ, 0 to 256.
    pub fn distance(&self, other: &PdqHash) -> u32 {
        (0..4).map(|word| (self.0[word] ^ other.0[word]).count_ones()).sum()
    }

    /// The distance, if it is at most `distance_max`. Hashes that have nothing to do with each other are told by their halves.
    pub(super) fn distance_within(&self, other: &PdqHash, distance_max: u32) -> Option<u32> {
        let in_word = |word: usize| (self.0[word] ^ other.0[word]).count_ones();
        let half = in_word(0) + in_word(1);
        if half > distance_max {
            return None;
        }
        let distance = half + in_word(2) + in_word(3);
        (distance <= distance_max).then_some(distance)
    }

    /// One of its sixteen parts, from the most significant on; after the last comes the first.
    pub(super) fn part(&self, place: usize) -> u16 {
        let place = place % PARTS;
        (self.0[place / 4] >> (48 - PART_BITS as usize * (place % 4))) as u16
    }

    /// In how many bits each part differs.
    pub(super) fn part_distances(&self, other: &PdqHash) -> [u8; PARTS] {
        let mut distances = [0; PARTS];
        for word in 0..4 {
            // The usual count of bits by halves, stopped where each lane of sixteen bits holds its own sum.
            let bits = self.0[word] ^ other.0[word];
            let pairs = bits - ((bits >> 1) & EVEN_BITS);
            let nibbles = (pairs & EVEN_PAIRS) + ((pairs >> 2) & EVEN_PAIRS);
            let bytes = (nibbles + (nibbles >> 4)) & EVEN_NIBBLES;
            let lanes = (bytes & EVEN_BYTES) + ((bytes >> 8) & EVEN_BYTES);
            for lane in 0..4 {
                distances[word * 4 + lane] = (lanes >> (48 - 16 * lane)) as u8;
            }
        }
        distances
    }
}

impl fmt::Display for PdqHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| write!(f, "{word:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_their_distances_are_those_of_the_digits() {
        let text = "0001000200030004000500060007000800090a0b0c0d0e0f1011121314151617";
        let hash = PdqHash::parse(text).unwrap();
        assert_eq!(hash.to_string(), text);
        assert_eq!(
            (hash.part(0), hash.part(8), hash.part(15), hash.part(16)),
            (1, 9, 0x1617, 1)
        );
        let zero = PdqHash([0; 4]);
        let counts: Vec<u8> = (0..PARTS).map(|part| hash.part(part).count_ones() as u8).collect();
        assert_eq!(hash.part_distances(&zero).to_vec(), counts);
        let sum: u32 = counts.iter().map(|count| u32::from(*count)).sum();
        assert_eq!(hash.distance(&zero), sum);
        assert_eq!(hash.distance_within(&zero, sum), Some(sum));
        assert_eq!(hash.distance_within(&zero, sum - 1), None);
        let ones = PdqHash([u64::MAX; 4]);
        assert_eq!((ones.distance(&zero), ones.part_distances(&zero)), (256, [16; PARTS]));
    }

    #[test]
    fn only_64_hex_digits_are_a_hash() {
        for text in ["", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(PdqHash::parse(text), None, "{text}");
        }
    }
}
