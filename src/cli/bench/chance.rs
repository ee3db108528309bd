//! Repeatable chance: SplitMix64 (Steele, Lea and Flood, 2014). Written out here because a seed must give the same load in every
//! version, which general generators do not promise. Refuses to be used for secrets.

/// A stream of numbers that a seed decides.
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Chance {
        Chance { state: seed }
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: even enough for shares, and without a division.
        let product = u128::from(self.next()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or_default()
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// One of several.
    pub fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let place = self.below(choices.len() as u64);
        usize::try_from(place)
            .ok()
            .and_then(|place| choices.get(place))
            .copied()
            .unwrap_or_default()
    }

    /// `length` hexadecimal digits.
    pub fn hex(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(length);
        text
    }

    /// Syllables, one after another, cut to `length` bytes.
    pub fn syllables(&mut self, length: usize, syllables: &[&str]) -> String {
        self.joined(length, syllables, "")
    }

    /// Words with spaces between, cut to `length` bytes.
    pub fn words(&mut self, length: usize, words: &[&str]) -> String {
        self.joined(length, words, " ").trim_end().to_owned()
    }

    fn joined(&mut self, length: usize, parts: &[&str], between: &str) -> String {
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            text.push_str(self.pick(parts));
            text.push_str(between);
        }
        // All parts are ASCII, so every byte is a boundary.
        text.truncate(length);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_the_paper() {
        // The reference implementation's first numbers of seed 1234567.
        let mut chance = Chance::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| chance.next()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_it() {
        let mut chance = Chance::new(1);
        let seen: std::collections::HashSet<u64> = (0..1_000).map(|_| chance.below(10)).collect();
        assert_eq!((seen.len(), seen.iter().max()), (10, Some(&9)));
        assert!((200..400).contains(&(0..1_000).filter(|_| chance.percent(30)).count()));
    }

    #[test]
    fn texts_have_their_length() {
        let mut chance = Chance::new(1);
        assert_eq!(chance.hex(40).len(), 40);
        assert_eq!(chance.syllables(11, &["ab", "cde"]).len(), 11);
        assert!(chance.words(20, &["ab", "cde"]).len() <= 20);
    }
}
