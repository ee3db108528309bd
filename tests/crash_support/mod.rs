//! What the crash harnesses share: clients that publish and never forget what they asked (`publisher`), a subscriber that keeps
//! its mirror and cursor (`mirror`), the checker that compares both with what the hub says (`checker`), and the two put together
//! against one hub's directory (`scene`).
#![allow(dead_code, missing_docs)]

pub mod checker;
pub mod mirror;
pub mod publisher;
pub mod scene;

/// A number from the environment, to make a test as long as one likes.
pub fn knob(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Numbers that look random and are the same in every run (xorshift64*): what fails once can be run again.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From 0 to `bound - 1`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}
