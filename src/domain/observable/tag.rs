//! The identifiers by which sites and advertisements are tied to one owner: analytics tags, pixels, advertising
//! accounts. Refuses an identifier whose vendor is neither named nor plain from its shape.

use super::Invalid;
use super::account::split_platform;

/// How vendors mark their own identifiers: the mark, the vendor, and whether digits and dashes alone may follow.
const MARKS: &[(&str, &str, Rest)] = &[
    ("UA-", "google-analytics", Rest::Digits),
    ("G-", "google-analytics", Rest::Letters),
    ("GTM-", "google-tag-manager", Rest::Letters),
    ("AW-", "google-ads", Rest::Digits),
    ("DC-", "google-marketing", Rest::Digits),
    ("CA-PUB-", "google-adsense", Rest::Digits),
    ("PUB-", "google-adsense", Rest::Digits),
];

/// The longest identifier after the vendor's name, in bytes.
const ID_BYTES_MAX: usize = 80;

#[derive(Clone, Copy)]
enum Rest {
    Digits,
    Letters,
}

/// `vendor:id`. The vendor may be left out where the identifier shows it (`UA-`, `G-`, `GTM-`, `AW-`, `ca-pub-`).
pub(super) fn tracker(text: &str) -> Result<String, Invalid> {
    let (declared, id) = match split_platform(text) {
        Some((vendor, id)) => (Some(vendor), id),
        None => (None, text),
    };
    if let Some((vendor, id)) = marked(id) {
        return match declared {
            Some(declared) if declared != vendor => Err(Invalid::Malformed("identifier of another vendor")),
            _ => Ok(format!("{vendor}:{id}")),
        };
    }
    let vendor = declared.ok_or(Invalid::Malformed("not of the form vendor:id"))?;
    if is_id(id) {
        Ok(format!("{vendor}:{id}"))
    } else {
        Err(Invalid::Malformed("character that no tracker id has"))
    }
}

/// `platform:id`; `act_123` is Meta's, and dashes between digits go.
pub(super) fn ad_account(text: &str) -> Result<String, Invalid> {
    let (platform, id) = match split_platform(text) {
        Some((platform, id)) => (platform.into_owned(), id),
        None if text.starts_with("act_") => ("meta".to_owned(), text),
        None => return Err(Invalid::Malformed("not of the form platform:id")),
    };
    let id = if platform == "meta" {
        id.strip_prefix("act_").unwrap_or(id)
    } else {
        id
    };
    let is_number = id.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let id = if is_number { id.replace('-', "") } else { id.to_owned() };
    if is_id(&id) {
        Ok(format!("{platform}:{id}"))
    } else {
        Err(Invalid::Malformed("character that no account id has"))
    }
}

/// An identifier that shows its vendor, in its usual letter case.
fn marked(id: &str) -> Option<(&'static str, String)> {
    let upper = id.to_ascii_uppercase();
    let (mark, vendor, rest) = MARKS.iter().find(|(mark, ..)| upper.starts_with(mark))?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let is_letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let tail = &upper[mark.len()..];
    let fits = match rest {
        Rest::Digits => is_digits(tail),
        Rest::Letters => is_letters(tail),
    };
    if tail.is_empty() || !fits || tail.len() > ID_BYTES_MAX {
        return None;
    }
    // Google writes the publisher's id in lower case, with `ca-` in pages and without it in ads.txt.
    let id = if *vendor == "google-adsense" {
        format!("pub-{tail}")
    } else {
        upper
    };
    Some((vendor, id))
}

fn is_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trackers_take_their_canonical_form() {
        for (raw, value) in [
            ("ua-000001-2", Some("google-analytics:UA-000001-2")),
            ("G-AbC123", Some("google-analytics:G-ABC123")),
            ("google-analytics:G-ABC123", Some("google-analytics:G-ABC123")),
            ("GTM-abc12", Some("google-tag-manager:GTM-ABC12")),
            ("AW-123456789", Some("google-ads:AW-123456789")),
            ("ca-pub-0000000000000001", Some("google-adsense:pub-0000000000000001")),
            ("pub-0000000000000001", Some("google-adsense:pub-0000000000000001")),
            ("meta-pixel:100000000000001", Some("meta-pixel:100000000000001")),
            ("yandex-metrica:12345678", Some("yandex-metrica:12345678")),
            ("meta-pixel:UA-1-1", None),
            ("UA-", None),
            ("12345678", None),
            ("meta-pixel:a b", None),
        ] {
            assert_eq!(tracker(raw).ok().as_deref(), value, "{raw}");
        }
    }

    #[test]
    fn ad_accounts_take_their_canonical_form() {
        for (raw, value) in [
            ("act_123", Some("meta:123")),
            ("meta:act_123", Some("meta:123")),
            ("google-ads:123-456-7890", Some("google-ads:1234567890")),
            ("tiktok:Ab1", Some("tiktok:Ab1")),
            ("123", None),
            ("meta:-", None),
        ] {
            assert_eq!(ad_account(raw).ok().as_deref(), value, "{raw}");
        }
    }
}
