//! Wallet addresses of crypto-currencies. Each has a checksum of its own, and an address that fails it is refused: one
//! wrong letter is another person's wallet, or nobody's.

mod bech32;
mod keccak;

use super::Invalid;

const WRONG: Invalid = Invalid::Malformed("not a valid wallet address");

/// Chains whose addresses are base58check over one version byte and 20 bytes of hash: name and versions.
const BASE58_CHAINS: &[(&str, &[u8])] = &[
    ("bitcoin", &[0x00, 0x05]),
    ("litecoin", &[0x30, 0x32]),
    ("dogecoin", &[0x1e, 0x16]),
    ("tron", &[0x41]),
];

/// Chains that have segregated witnesses: name and human-readable part.
const BECH32_CHAINS: &[(&str, &str)] = &[("bitcoin", "bc"), ("litecoin", "ltc")];

/// `chain:address`. The chain may be left out, since the checksummed forms show it.
pub(super) fn parse(text: &str) -> Result<String, Invalid> {
    let (declared, address) = match text.split_once(':') {
        Some((chain, address)) => (Some(chain.to_ascii_lowercase()), address),
        None => (None, text),
    };
    let (chain, address) = ethereum(address)
        .or_else(|| segwit(address))
        .or_else(|| base58(address))
        .ok_or(WRONG)?;
    match declared {
        Some(declared) if declared != chain => Err(Invalid::Malformed("wallet address of another chain")),
        _ => Ok(format!("{chain}:{address}")),
    }
}

/// 20 bytes of hex, lower case. In mixed case the letters are a checksum (EIP-55).
fn ethereum(address: &str) -> Option<(&'static str, String)> {
    let digits = address.strip_prefix("0x").or_else(|| address.strip_prefix("0X"))?;
    if digits.len() != 40 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let is_mixed = digits != lower && digits != digits.to_ascii_uppercase();
    if is_mixed {
        let hash = keccak::keccak256(lower.as_bytes());
        let is_checked = digits.bytes().enumerate().all(|(at, byte)| {
            let nibble = if at % 2 == 0 {
                hash[at / 2] >> 4
            } else {
                hash[at / 2] & 15
            };
            byte.is_ascii_digit() || byte.is_ascii_uppercase() == (nibble >= 8)
        });
        if !is_checked {
            return None;
        }
    }
    Some(("ethereum", format!("0x{lower}")))
}

fn segwit(address: &str) -> Option<(&'static str, String)> {
    let lower = address.to_ascii_lowercase();
    let is_one_case = address == lower || address == address.to_ascii_uppercase();
    let (chain, part) = BECH32_CHAINS
        .iter()
        .find(|(_, part)| lower.strip_prefix(part).is_some_and(|rest| rest.starts_with('1')))?;
    (is_one_case && bech32::is_witness_address(part, &lower)).then_some((*chain, lower))
}

fn base58(address: &str) -> Option<(&'static str, String)> {
    // The longest such address has 35 characters; decoding costs the square of the length.
    if !(25..=35).contains(&address.len()) {
        return None;
    }
    let bytes = bs58::decode(address).with_check(None).into_vec().ok()?;
    let chain = BASE58_CHAINS
        .iter()
        .find(|(_, versions)| bytes.len() == 21 && versions.contains(&bytes[0]))?;
    Some((chain.0, address.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wallets_are_checked_and_take_their_canonical_form() {
        for (raw, value) in [
            // The examples of BIP-173, BIP-350 and EIP-55, and addresses over an all-zero hash.
            (
                "1111111111111111111114oLvT2",
                Some("bitcoin:1111111111111111111114oLvT2"),
            ),
            ("1111111111111111111114oLvT3", None),
            (
                "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
                Some("bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
            ),
            ("Bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", None),
            ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", None),
            (
                "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
                Some("bitcoin:bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"),
            ),
            // Version 0 with the checksum of version 1 (BIP-350's list of invalid addresses).
            ("bc1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", None),
            (
                "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
                Some("ethereum:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"),
            ),
            ("0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", None),
            (
                "ethereum:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
                Some("ethereum:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"),
            ),
            ("bitcoin:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", None),
            ("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae", None),
            ("", None),
        ] {
            assert_eq!(parse(raw).ok().as_deref(), value, "{raw}");
        }
    }
}
