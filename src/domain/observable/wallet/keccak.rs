//! Keccak-256 of a short message, as EIP-55 needs it: the original padding, not that of FIPS 202's SHA3-256. One block
//! only, which an address of 40 characters is well within.

const RATE_BYTES: usize = 136;
const ROUNDS: usize = 24;

/// The digest of `message`, which must be shorter than one block (136 bytes); what goes beyond is not read.
pub(super) fn keccak256(message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; RATE_BYTES];
    let length = message.len().min(RATE_BYTES - 1);
    block[..length].copy_from_slice(&message[..length]);
    block[length] ^= 0x01;
    block[RATE_BYTES - 1] ^= 0x80;
    let mut state = [0u64; 25];
    for (lane, bytes) in state.iter_mut().zip(block.chunks_exact(8)) {
        *lane = bytes.iter().rev().fold(0, |lane, byte| lane << 8 | u64::from(*byte));
    }
    permute(&mut state);
    let mut digest = [0; 32];
    for (bytes, lane) in digest.chunks_exact_mut(8).zip(state) {
        bytes.copy_from_slice(&lane.to_le_bytes());
    }
    digest
}

/// Keccak-f[1600]: theta, rho and pi, chi, iota (The Keccak reference, version 3.0, section 1.2).
fn permute(state: &mut [u64; 25]) {
    let mut register = 1u8;
    for _ in 0..ROUNDS {
        let parity: [u64; 5] = std::array::from_fn(|x| (0..5).fold(0, |sum, y| sum ^ state[x + 5 * y]));
        for (at, lane) in state.iter_mut().enumerate() {
            let x = at % 5;
            *lane ^= parity[(x + 4) % 5] ^ parity[(x + 1) % 5].rotate_left(1);
        }
        let (mut x, mut y, mut carried) = (1, 0, state[1]);
        for step in 1..=24u32 {
            (x, y) = (y, (2 * x + 3 * y) % 5);
            let lane = &mut state[x + 5 * y];
            carried = std::mem::replace(lane, carried.rotate_left(step * (step + 1) / 2 % 64));
        }
        for row in state.chunks_exact_mut(5) {
            let old: [u64; 5] = std::array::from_fn(|x| row[x]);
            for x in 0..5 {
                row[x] = old[x] ^ (!old[(x + 1) % 5] & old[(x + 2) % 5]);
            }
        }
        state[0] ^= round_constant(&mut register);
    }
}

/// The next round's constant, from the linear feedback register over x^8 + x^6 + x^5 + x^4 + 1.
fn round_constant(register: &mut u8) -> u64 {
    (0..7).fold(0, |constant, bit| {
        let is_set = *register & 1 == 1;
        *register = (*register << 1) ^ if *register >> 7 == 1 { 0x71 } else { 0 };
        if is_set {
            constant | 1 << ((1u32 << bit) - 1)
        } else {
            constant
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn known_digests_come_out() {
        assert_eq!(
            hex(&keccak256(b"")),
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
        );
        assert_eq!(
            hex(&keccak256(b"abc")),
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
        );
    }
}
