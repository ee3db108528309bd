//! Hashes of files, images, certificates and favicons. Refuses a digest of another length than its kind has; compares
//! nothing (nearness of perceptual hashes is the index's business).

use super::{Invalid, Kind};

/// Step 2 of rule N: 32, 40, 64 or 128 hex digits.
pub(super) fn kind_of(text: &str) -> Option<Kind> {
    let kind = match text.len() {
        32 => Kind::Md5,
        40 => Kind::Sha1,
        64 => Kind::Sha256,
        128 => Kind::Sha512,
        _ => return None,
    };
    is_hex(text).then_some(kind)
}

/// 256 bits of PDQ as 64 hex digits, lower case. The quality (0 to 100) that the hasher reports is a fact about one
/// picture, not about the hash: it belongs to the indicator.
pub(super) fn pdq(text: &str) -> Result<String, Invalid> {
    match text.len() == 64 && is_hex(text) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(Invalid::Malformed("a PDQ hash has 64 hex digits")),
    }
}

/// `T1` and 70 hex digits, upper case, as the TLSH tools of version 4 print it. Older digests lack the `T1`.
pub(super) fn tlsh(text: &str) -> Result<String, Invalid> {
    let digits = match text.get(..2) {
        Some("T1" | "t1") if text.len() == 72 => &text[2..],
        _ => text,
    };
    match digits.len() == 70 && is_hex(digits) {
        true => Ok(format!("T1{}", digits.to_ascii_uppercase())),
        false => Err(Invalid::Malformed("a TLSH digest has T1 and 70 hex digits")),
    }
}

/// The SHA-256 of the certificate's DER form as 64 hex digits, lower case; colons, spaces and a `sha256:` go.
pub(super) fn certificate(text: &str) -> Result<String, Invalid> {
    let bare = match text.get(..7) {
        Some(prefix) if prefix.eq_ignore_ascii_case("sha256:") => &text[7..],
        _ => text,
    };
    let digits: String = bare
        .chars()
        .filter(|character| !matches!(character, ':' | ' '))
        .collect();
    match digits.len() == 64 && is_hex(&digits) {
        true => Ok(digits.to_ascii_lowercase()),
        false => Err(Invalid::Malformed("a certificate fingerprint has 64 hex digits")),
    }
}

/// The 32-bit MurmurHash3 as a signed decimal number.
pub(super) fn favicon(text: &str) -> Result<String, Invalid> {
    let number = text.strip_prefix("mmh3:").unwrap_or(text);
    let number: i32 = number
        .parse()
        .map_err(|_| Invalid::Malformed("a favicon hash is a signed 32-bit number"))?;
    Ok(number.to_string())
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_known_by_its_length() {
        for (length, kind) in [
            (32, Some(Kind::Md5)),
            (40, Some(Kind::Sha1)),
            (64, Some(Kind::Sha256)),
            (128, Some(Kind::Sha512)),
            (31, None),
            (33, None),
            (56, None),
        ] {
            assert_eq!(kind_of(&"aF".repeat(64)[..length]), kind, "{length}");
        }
        assert_eq!(kind_of(&"g".repeat(32)), None);
    }

    #[test]
    fn perceptual_and_certificate_hashes_take_their_canonical_form() {
        let hex = "Ab".repeat(35);
        assert_eq!(tlsh(&hex), Ok(format!("T1{}", "AB".repeat(35))));
        assert_eq!(tlsh(&format!("t1{hex}")), Ok(format!("T1{}", "AB".repeat(35))));
        assert!(tlsh(&hex[1..]).is_err());
        assert_eq!(pdq(&hex[..64]), Ok("ab".repeat(32)));
        assert!(pdq(&hex[..62]).is_err());
        let colons = vec!["AB"; 32].join(":");
        assert_eq!(certificate(&format!("SHA256:{colons}")), Ok("ab".repeat(32)));
        assert!(certificate("ab:cd").is_err());
        for (raw, value) in [
            ("-1", Ok("-1")),
            ("+7", Ok("7")),
            ("mmh3:007", Ok("7")),
            ("2147483648", Err(())),
        ] {
            assert_eq!(favicon(raw).map_err(|_| ()), value.map(str::to_owned), "{raw}");
        }
    }
}
