//! Values of one size, as incompressible as hashes, that carry the moment at which each was due.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Bytes of a value.
pub const VALUE_BYTES: usize = 512;

/// The next number of a stream that a seed decides: SplitMix64 (Steele, Lea and Flood, 2014), which the hub's bench has too.
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// `count` values with the numbers from `from` on, due then.
pub fn values(from: u64, count: u64, due: Instant) -> Vec<Bytes> {
    let value = |number: u64| {
        let mut state = number;
        let mut bytes = Vec::with_capacity(VALUE_BYTES);
        bytes.extend_from_slice(&micros(due).to_le_bytes());
        while bytes.len() < VALUE_BYTES {
            bytes.extend_from_slice(&next(&mut state).to_le_bytes());
        }
        Bytes::from(bytes)
    };
    (from..from + count).map(value).collect()
}

/// How long a value has been under way.
pub fn age(value: &[u8]) -> Duration {
    let due = value.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    Duration::from_micros(micros(Instant::now()).saturating_sub(due))
}

/// Since a moment that all of this process share.
fn micros(moment: Instant) -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let origin = *ORIGIN.get_or_init(|| Instant::now() - Duration::from_secs(1));
    moment.saturating_duration_since(origin).as_micros() as u64
}
