//! Perceptual hashes of pictures that do not exist: drawn evenly, or in families as copies of a picture have them. Refuses to be like
//! any real picture's.

use super::chance::Chance;

/// Hashes of one family.
const FAMILY: u64 = 1_000;

/// Bits in which a copy differs from its family's first picture, at most.
const COPY_BITS_MAX: u64 = 16;

/// Bits in which two pictures that look alike differ, at most.
const NEAR_BITS_MAX: u64 = 31;

/// A sequence of PDQ hashes.
#[derive(Clone, Copy, Debug)]
pub struct Pictures {
    seed: u64,
    families: bool,
}

impl Pictures {
    /// The hashes of `seed`: in families of a thousand, or each by itself.
    pub fn new(seed: u64, families: bool) -> Pictures {
        Pictures { seed, families }
    }

    /// Hash `number`, as 64 hex digits.
    pub fn value(&self, number: u64) -> String {
        text(self.words(number))
    }

    /// A hash near hash `number`.
    pub fn near(&self, number: u64, chance: &mut Chance) -> String {
        let mut words = self.words(number);
        let bits = chance.below(NEAR_BITS_MAX + 1);
        turn(&mut words, bits, chance);
        text(words)
    }

    fn words(&self, number: u64) -> [u64; 4] {
        if !self.families {
            return drawn(&mut self.chance(number));
        }
        // Families stand apart from single hashes by what they are drawn from.
        let mut words = drawn(&mut self.chance((number / FAMILY) ^ 0xfa31_0000_0000_0000));
        let mut chance = self.chance(number);
        let bits = chance.below(COPY_BITS_MAX + 1);
        turn(&mut words, bits, &mut chance);
        words
    }

    fn chance(&self, number: u64) -> Chance {
        Chance::new(self.seed ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }
}

/// A hash that has nothing to do with any other.
pub fn unknown(chance: &mut Chance) -> String {
    text(drawn(chance))
}

fn drawn(chance: &mut Chance) -> [u64; 4] {
    [chance.next(), chance.next(), chance.next(), chance.next()]
}

/// Turns at most so many bits: one that is drawn twice stands as it was.
fn turn(words: &mut [u64; 4], bits: u64, chance: &mut Chance) {
    for _ in 0..bits {
        let bit = chance.below(256);
        let word = usize::try_from(bit / 64).unwrap_or_default();
        words[word] ^= 1 << (bit % 64);
    }
}

fn text(words: [u64; 4]) -> String {
    words.iter().map(|word| format!("{word:016x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::similarity::PdqHash;

    #[test]
    fn copies_are_near_their_family_and_what_is_asked_is_near_what_is_there() {
        let hash = |text: &str| PdqHash::parse(text).unwrap();
        let mut chance = Chance::new(3);
        for families in [false, true] {
            let pictures = Pictures::new(7, families);
            for number in 0..200 {
                let there = hash(&pictures.value(number));
                assert!(there.distance(&hash(&pictures.near(number, &mut chance))) <= PdqHash::DISTANCE_MAX);
                let first = hash(&pictures.value(0)).distance(&there);
                assert_eq!(number == 0 || families, first <= 2 * COPY_BITS_MAX as u32, "{number}");
            }
        }
        assert_eq!(unknown(&mut chance).len(), 64);
    }
}
