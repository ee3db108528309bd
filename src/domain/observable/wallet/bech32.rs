//! Addresses of witness programs: bech32 (BIP-173) for version 0, bech32m (BIP-350) for later ones. Only checks; a
//! wallet's value is its address, not the program in it.

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const BECH32: u32 = 1;
const BECH32M: u32 = 0x2bc8_30a3;

/// Whether `address`, in lower case, is a witness address with the human-readable part `part`.
pub(super) fn is_witness_address(part: &str, address: &str) -> bool {
    let Some(data) = address.strip_prefix(part).and_then(|rest| rest.strip_prefix('1')) else {
        return false;
    };
    let values: Option<Vec<u8>> = data.bytes().map(value_of).collect();
    let Some(values) = values.filter(|values| address.len() <= 90 && values.len() > 7) else {
        return false;
    };
    let version = values[0];
    let program_values = &values[1..values.len() - 6];
    let bits = program_values.len() * 5;
    let (length, padding) = (bits / 8, bits % 8);
    let is_padded = padding < 5
        && program_values
            .last()
            .is_some_and(|last| last & ((1 << padding) - 1) == 0);
    let is_sized = match version {
        0 => length == 20 || length == 32,
        1..=16 => (2..=40).contains(&length),
        _ => false,
    };
    let constant = if version == 0 { BECH32 } else { BECH32M };
    is_padded && is_sized && checksum(part, &values) == constant
}

fn value_of(byte: u8) -> Option<u8> {
    ALPHABET
        .iter()
        .position(|letter| *letter == byte)
        .and_then(|at| u8::try_from(at).ok())
}

/// The BCH code's remainder over the expanded human-readable part and the data.
fn checksum(part: &str, values: &[u8]) -> u32 {
    const GENERATORS: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let high = part.bytes().map(|byte| byte >> 5);
    let low = part.bytes().map(|byte| byte & 31);
    let all = high.chain(std::iter::once(0)).chain(low).chain(values.iter().copied());
    all.fold(1, |sum: u32, value| {
        let top = sum >> 25;
        let shifted = ((sum & 0x01ff_ffff) << 5) ^ u32::from(value);
        let taken = GENERATORS.iter().enumerate().filter(|(bit, _)| top >> bit & 1 == 1);
        taken.fold(shifted, |sum, (_, generator)| sum ^ generator)
    })
}
