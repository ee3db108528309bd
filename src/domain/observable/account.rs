//! Accounts, and what else has a name on a platform: pages, groups, channels, posts. Knows how handles are compared and
//! which platforms are one under two names. Where each stands in an address is in `platform.rs` and `post.rs`.

mod platform;
mod post;

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use self::platform::Address;
use super::text::{fold, is_word};
use super::{Invalid, Kind, Observable};

/// The longest name of a platform, in bytes.
const PLATFORM_BYTES_MAX: usize = 64;
/// The longest handle or id, in bytes, before it is read.
const HANDLE_BYTES_MAX: usize = 200;

/// The account that a canonical domain or web address leads to, as `platform:handle`.
pub(super) fn of_address(address: &str) -> Option<String> {
    let address = Address::read(address)?;
    let platform = address.platform;
    if let Some(id) = address.account_number() {
        return Some(format!("{}:id:{id}", platform.name));
    }
    // An older way to write an invitation.
    if platform.name == "telegram" && address.path[0].eq_ignore_ascii_case("joinchat") {
        return join(platform.name, &format!("+{}", address.path[1]));
    }
    join(platform.name, &decode(address.handle()?)?)
}

/// An account, a page or a channel: `platform:handle`, `platform:id:123`, or an address that leads to an account.
pub(super) fn named(text: &str) -> Result<String, Invalid> {
    if let Some((platform, raw)) = split_platform(text) {
        return named_on(&platform, raw);
    }
    of_address(address(text)?.value()).ok_or(Invalid::WrongKind)
}

/// A group: as an account, or an address that leads to a group.
pub(super) fn group(text: &str) -> Result<String, Invalid> {
    if let Some((platform, raw)) = split_platform(text) {
        return named_on(&platform, raw);
    }
    let address = address(text)?;
    let address = Address::read(address.value()).ok_or(Invalid::WrongKind)?;
    let group = address
        .group()
        .and_then(|raw| join(address.platform.name, &decode(raw)?));
    group.ok_or(Invalid::WrongKind)
}

/// A post: `platform:id`, or an address that leads to a post. The letter case of the id is kept, since most platforms
/// tell posts apart by it.
pub(super) fn post(text: &str) -> Result<String, Invalid> {
    let (platform, id) = match split_platform(text) {
        Some((platform, id)) => (platform, Cow::Borrowed(id)),
        None => {
            let address = address(text)?;
            let address = Address::read(address.value()).ok_or(Invalid::WrongKind)?;
            let id = post::id_of(&address).ok_or(Invalid::WrongKind)?;
            (Cow::Borrowed(address.platform.name), Cow::Owned(id))
        }
    };
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.+=/:".contains(&byte);
    match !id.is_empty() && id.len() <= HANDLE_BYTES_MAX && id.bytes().all(is_id) && !id.starts_with('/') {
        true => Ok(format!("{platform}:{id}")),
        false => Err(Invalid::Malformed("character that no post id has")),
    }
}

/// Splits `platform:rest` and gives the platform its one name. `None` if what stands first is no platform's name.
pub(super) fn split_platform(text: &str) -> Option<(Cow<'static, str>, &str)> {
    let (platform, rest) = text.split_once(':')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if platform.is_empty()
        || platform.len() > PLATFORM_BYTES_MAX
        || !platform.bytes().all(is_name)
        || rest.starts_with('/')
    {
        return None;
    }
    let platform = match platform.to_ascii_lowercase() {
        name if name == "twitter" => Cow::Borrowed("x"),
        name if name == "odnoklassniki" => Cow::Borrowed("ok"),
        name if name == "vkontakte" => Cow::Borrowed("vk"),
        name => Cow::Owned(name),
    };
    Some((platform, rest))
}

fn named_on(platform: &str, raw: &str) -> Result<String, Invalid> {
    match raw.strip_prefix("id:") {
        Some(id) if is_account_id(id) => Ok(format!("{platform}:{raw}")),
        Some(_) => Err(Invalid::Malformed("character that no account id has")),
        None => join(platform, raw).ok_or(Invalid::Malformed("character that no handle has")),
    }
}

fn address(text: &str) -> Result<Observable, Invalid> {
    match Observable::parse(text) {
        Ok(address) if matches!(address.kind(), Kind::Url | Kind::Domain) => Ok(address),
        _ => Err(Invalid::Malformed("neither platform:name nor an address on a platform")),
    }
}

fn decode(raw: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(raw).decode_utf8().ok()
}

fn join(platform: &str, raw: &str) -> Option<String> {
    handle(platform, raw).map(|handle| format!("{platform}:{handle}"))
}

/// A handle as it is compared: case-folded, without its `@`. Ids in which letter case counts are kept.
fn handle(platform: &str, raw: &str) -> Option<String> {
    let is_exact = match platform {
        "youtube" => raw.len() == 24 && raw.starts_with("UC"),
        "telegram" => raw.starts_with('+'),
        _ => false,
    };
    let name = raw.strip_prefix('@').unwrap_or(raw);
    let is_handle = |character: char| is_word(character) || matches!(character, '-' | '.' | '+' | '~');
    let is_named = name.chars().any(char::is_alphanumeric) && name.chars().all(is_handle);
    if !is_named || name.len() > HANDLE_BYTES_MAX || (is_exact && !name.is_ascii()) {
        return None;
    }
    Some(if is_exact { name.to_owned() } else { fold(name) })
}

/// The number or code by which a platform knows an account that may change its handle.
fn is_account_id(id: &str) -> bool {
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !id.is_empty() && id.len() <= HANDLE_BYTES_MAX && id.bytes().all(is_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_in_addresses() {
        for (address, account) in [
            ("https://twitter.com/Example_1", Some("x:example_1")),
            ("https://x.com/example_1/status/1?s=20", Some("x:example_1")),
            ("mobile.twitter.com/example_1", Some("x:example_1")),
            ("https://x.com/i/user/123", Some("x:id:123")),
            ("https://x.com/search?q=a", None),
            ("https://x.com", None),
            ("https://t.me/Example", Some("telegram:example")),
            ("https://t.me/s/Example", Some("telegram:example")),
            ("https://t.me/s/Example/12", None),
            ("https://t.me/example/12", None),
            ("https://t.me/+AbC_d", Some("telegram:+AbC_d")),
            ("https://t.me/joinchat/AbC_d", Some("telegram:+AbC_d")),
            ("https://telegram.me/example", Some("telegram:example")),
            ("https://example.t.me", Some("telegram:example")),
            ("https://t.me/share/url?url=a", None),
            ("https://www.youtube.com/@Example", Some("youtube:example")),
            (
                "https://m.youtube.com/channel/UCabcdefghijklmnopqrstuv",
                Some("youtube:UCabcdefghijklmnopqrstuv"),
            ),
            ("https://youtube.com/c/Example", Some("youtube:example")),
            ("https://youtube.com/user/Example", Some("youtube:example")),
            ("https://youtube.com/watch?v=abc", None),
            ("https://youtube.com/@%D8%A7%D9%85", Some("youtube:\u{627}\u{645}")),
            ("https://tiktok.com/@ex.ample/video/1", Some("tiktok:ex.ample")),
            ("https://tiktok.com/tag/a", None),
            ("https://medium.com/@Example/title-1", Some("medium:example")),
            ("example.medium.com", Some("medium:example")),
            ("help.medium.com", None),
            ("https://reddit.com/user/Example-1/comments/1", Some("reddit:example-1")),
            ("https://old.reddit.com/u/Example", Some("reddit:example")),
            ("https://reddit.com/r/example", None),
            ("https://linktr.ee/Example", Some("linktree:example")),
            ("https://pinterest.com/Example/", Some("pinterest:example")),
            ("https://pinterest.com/pin/1", None),
            ("https://truthsocial.com/@Example", Some("truthsocial:example")),
            ("https://gettr.com/user/Example", Some("gettr:example")),
            ("https://gab.com/Example", Some("gab:example")),
            ("https://de.linkedin.com/in/Example", Some("linkedin:example")),
            ("https://ok.ru/group/70000000000001", Some("ok:70000000000001")),
            ("https://ok.ru/profile/580000000001", Some("ok:580000000001")),
            ("https://vk.com/id123", Some("vk:id:123")),
            ("https://vk.com/Example", Some("vk:example")),
            (
                "https://facebook.com/profile.php?id=100000000000001&sk=about",
                Some("facebook:id:100000000000001"),
            ),
            ("https://fr-fr.facebook.com/Example.1", Some("facebook:example.1")),
            ("https://facebook.com/groups/1", None),
            ("https://instagram.com/stories/Example/1", Some("instagram:example")),
            ("https://instagram.com/p/Abc", None),
            ("https://threads.net/@Example", Some("threads:example")),
            (
                "https://bsky.app/profile/Example.bsky.social",
                Some("bluesky:example.bsky.social"),
            ),
            ("https://example.com/@example", None),
            ("https://nottwitter.com/example", None),
        ] {
            let found = Observable::parse(address).ok().and_then(|address| address.account());
            assert_eq!(found.as_ref().map(Observable::value), account, "{address}");
            if let Some(found) = found {
                assert_eq!(
                    Observable::from_canonical(Kind::Account, found.value()),
                    Ok(found),
                    "{address}"
                );
            }
        }
    }

    #[test]
    fn declared_accounts_and_posts_take_their_canonical_form() {
        for (read, raw, value) in [
            (
                named as fn(&str) -> Result<String, Invalid>,
                "Twitter:@Example",
                Some("x:example"),
            ),
            (named, "https://x.com/Example", Some("x:example")),
            (named, "facebook:id:123", Some("facebook:id:123")),
            (named, "mastodon:Example@example.com", None),
            (named, "forum-1:Example", Some("forum-1:example")),
            (named, "example", None),
            (named, "@example", None),
            (named, "x:", None),
            (named, "x:a b", None),
            (named, "https://example.com/a", None),
            (post, "twitter:1562640310273921025", Some("x:1562640310273921025")),
            (post, "youtube:aBc-_1", Some("youtube:aBc-_1")),
            (post, "telegram:example/12", Some("telegram:example/12")),
            (post, "https://x.com/a/status/1", Some("x:1")),
            (post, "https://x.com/a", None),
            (post, "https://example.com/a/status/1", None),
            (post, "x:", None),
            (post, "x:a b", None),
            (group, "facebook:Example", Some("facebook:example")),
            (
                group,
                "https://facebook.com/groups/Example.1/posts/2",
                Some("facebook:example.1"),
            ),
            (group, "https://ok.ru/group/70000000000001", Some("ok:70000000000001")),
            (group, "https://vk.com/club123", Some("vk:club123")),
            (group, "https://reddit.com/r/Example", Some("reddit:example")),
            (group, "https://facebook.com/Example", None),
        ] {
            assert_eq!(read(raw).ok().as_deref(), value, "{raw}");
        }
    }
}
