//! Mobile apps and browser extensions, by the identifiers of their stores.

use super::Invalid;

/// The longest Android package name that stores accept, in bytes.
const PACKAGE_BYTES_MAX: usize = 255;

/// An Android package: two or more names with dots between them, letter case kept.
pub(super) fn android(text: &str) -> Result<String, Invalid> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if text.len() > PACKAGE_BYTES_MAX {
        return Err(Invalid::TooLong { max: PACKAGE_BYTES_MAX });
    }
    match text.contains('.') && text.split('.').all(is_name) && text.starts_with(|first: char| first.is_alphabetic()) {
        true => Ok(text.to_owned()),
        false => Err(Invalid::Malformed("not an Android package name")),
    }
}

/// The number of an app in Apple's store, with or without the `id` that its addresses have.
pub(super) fn ios(text: &str) -> Result<String, Invalid> {
    let digits = text.strip_prefix("id").unwrap_or(text);
    let number: Option<u64> = digits.parse().ok();
    match number {
        Some(1..) if !digits.starts_with(['+', '0']) => Ok(digits.to_owned()),
        _ => Err(Invalid::Malformed("not the number of an iOS app")),
    }
}

/// `chrome:` and 32 letters a to p (all Chromium browsers share them), or `firefox:` and a UUID in braces or a
/// mail-like id. A lone Chromium id needs no prefix.
pub(super) fn extension(text: &str) -> Result<String, Invalid> {
    const WRONG: Invalid = Invalid::Malformed("not the id of a browser extension");
    let (store, id) = text.split_once(':').unwrap_or(("chrome", text));
    let id = id.to_ascii_lowercase();
    let is_known = match store {
        "chrome" => id.len() == 32 && id.bytes().all(|byte| (b'a'..=b'p').contains(&byte)),
        "firefox" => is_firefox(&id),
        _ => false,
    };
    if is_known {
        Ok(format!("{store}:{id}"))
    } else {
        Err(WRONG)
    }
}

fn is_firefox(id: &str) -> bool {
    let is_plain = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    if let Some(inside) = id.strip_prefix('{').and_then(|id| id.strip_suffix('}')) {
        return inside.len() == 36 && uuid::Uuid::try_parse(inside).is_ok();
    }
    match id.split_once('@') {
        Some((name, domain)) => id.len() <= 80 && !domain.is_empty() && is_plain(name) && is_plain(domain),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_take_their_canonical_form() {
        let chromium = "abcdefghijklmnopabcdefghijklmnop";
        let chrome = format!("chrome:{chromium}");
        for (read, raw, value) in [
            (
                android as fn(&str) -> Result<String, Invalid>,
                "com.example.App_1",
                Some("com.example.App_1"),
            ),
            (android, "example", None),
            (android, "com..example", None),
            (android, "1com.example", None),
            (android, "com.example-app", None),
            (ios, "1234567890", Some("1234567890")),
            (ios, "id1234567890", Some("1234567890")),
            (ios, "0123", None),
            (ios, "+123", None),
            (ios, "com.example", None),
            (extension, chromium, Some(chrome.as_str())),
            (extension, &chrome, Some(chrome.as_str())),
            (extension, &chromium.replace('a', "q"), None),
            (
                extension,
                "firefox:Add-on@example.com",
                Some("firefox:add-on@example.com"),
            ),
            (
                extension,
                "firefox:{2E1F5A56-0000-4000-8000-0123456789AB}",
                Some("firefox:{2e1f5a56-0000-4000-8000-0123456789ab}"),
            ),
            (extension, "opera:abc", None),
        ] {
            assert_eq!(read(raw).ok().as_deref(), value, "{raw}");
        }
    }
}
