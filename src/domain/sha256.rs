//! SHA-256 of short messages of a fixed length. The crate's digest is made to be fed piece by piece; where a message fills no more than
//! two blocks, a third of the time goes into that. The compression function is the crate's; source of the rest: FIPS 180-4, sections
//! 5.1.1 and 5.3.3.

use sha2::compress256;
use sha2::digest::generic_array::GenericArray;

const BLOCK_BYTES: usize = 64;

/// What ends the last block: a bit, and the message's length.
const END_BYTES: usize = 1 + 8;

const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// SHA-256 of a message of at most 119 bytes.
pub fn sha256_of_short<const N: usize>(message: &[u8; N]) -> [u8; 32] {
    const { assert!(N + END_BYTES <= 2 * BLOCK_BYTES, "more than two blocks") };
    let mut padded = [0; 2 * BLOCK_BYTES];
    padded[..N].copy_from_slice(message);
    padded[N] = 0x80;
    let end = (N + END_BYTES).next_multiple_of(BLOCK_BYTES);
    padded[end - 8..end].copy_from_slice(&(8 * N as u64).to_be_bytes());
    let mut state = INITIAL;
    for block in padded[..end].as_chunks::<BLOCK_BYTES>().0 {
        compress256(&mut state, &[GenericArray::from(*block)]);
    }
    let mut hash = [0; 32];
    for (bytes, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    hash
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn agrees<const N: usize>() {
        for first in [0, 0x7f, 0xff] {
            let message: [u8; N] = std::array::from_fn(|at| first ^ at as u8);
            assert_eq!(
                sha256_of_short(&message),
                <[u8; 32]>::from(Sha256::digest(message)),
                "{N}"
            );
        }
    }

    #[test]
    fn the_hash_is_that_of_the_digest_at_each_end_of_a_block() {
        agrees::<0>();
        agrees::<1>();
        agrees::<33>();
        agrees::<40>();
        agrees::<55>();
        agrees::<56>();
        agrees::<63>();
        agrees::<64>();
        agrees::<65>();
        agrees::<119>();
    }
}
