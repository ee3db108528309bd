//! Accounts, and what else has a name on a platform. Knows which part of an address names the account on each platform,
//! and which platforms are one under two names. Refuses to guess at platforms that are not in its table.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::text::{fold, is_word};
use super::{Invalid, Kind, Observable, url};

/// The longest name of a platform, in bytes.
const PLATFORM_BYTES_MAX: usize = 64;
/// The longest handle or id, in bytes, before it is read.
const HANDLE_BYTES_MAX: usize = 200;

/// Where in an address the handle stands.
enum Place {
    /// The first part of the path.
    First,
    /// The first part of the path, if it starts with `@`.
    At,
    /// The part of the path after one of these.
    After(&'static [&'static str]),
    /// The label below the platform's own host.
    Below,
}

struct Platform {
    name: &'static str,
    /// Hosts without `www.`, `m.` and `mobile.`; the first is the platform's own.
    hosts: &'static [&'static str],
    /// Tried in this order.
    places: &'static [Place],
    /// First parts of the path, and labels below the host, that name something else than an account.
    reserved: &'static [&'static str],
}

const PLATFORMS: &[Platform] = &[
    Platform {
        name: "x",
        hosts: &["twitter.com", "x.com"],
        places: &[Place::First],
        reserved: &[
            "about",
            "compose",
            "download",
            "explore",
            "hashtag",
            "home",
            "i",
            "intent",
            "jobs",
            "login",
            "messages",
            "notifications",
            "privacy",
            "search",
            "settings",
            "share",
            "signup",
            "tos",
        ],
    },
    Platform {
        name: "telegram",
        hosts: &["t.me", "telegram.me", "telegram.dog"],
        places: &[Place::After(&["s"]), Place::First, Place::Below],
        reserved: &[
            "addemoji",
            "addlist",
            "addstickers",
            "addtheme",
            "bg",
            "boost",
            "c",
            "confirmphone",
            "contact",
            "giftcode",
            "invoice",
            "iv",
            "joinchat",
            "login",
            "m",
            "proxy",
            "s",
            "setlanguage",
            "share",
            "socks",
        ],
    },
    Platform {
        name: "youtube",
        hosts: &["youtube.com", "music.youtube.com"],
        places: &[Place::At, Place::After(&["channel", "c", "user"])],
        reserved: &[],
    },
    Platform {
        name: "tiktok",
        hosts: &["tiktok.com"],
        places: &[Place::At],
        reserved: &[],
    },
    Platform {
        name: "medium",
        hosts: &["medium.com"],
        places: &[Place::At, Place::Below],
        reserved: &[
            "api",
            "blog",
            "cdn-images-1",
            "help",
            "link",
            "miro",
            "policy",
            "status",
        ],
    },
    Platform {
        name: "reddit",
        hosts: &["reddit.com", "old.reddit.com", "new.reddit.com"],
        places: &[Place::After(&["user", "u"])],
        reserved: &[],
    },
    Platform {
        name: "linktree",
        hosts: &["linktr.ee"],
        places: &[Place::First],
        reserved: &[
            "admin",
            "blog",
            "discover",
            "help",
            "login",
            "marketplace",
            "register",
            "s",
        ],
    },
    Platform {
        name: "pinterest",
        hosts: &["pinterest.com", "pinterest.co.uk", "pinterest.de", "pinterest.fr"],
        places: &[Place::First],
        reserved: &[
            "about",
            "business",
            "categories",
            "explore",
            "ideas",
            "login",
            "pin",
            "search",
            "settings",
            "topics",
        ],
    },
    Platform {
        name: "truthsocial",
        hosts: &["truthsocial.com"],
        places: &[Place::At],
        reserved: &[],
    },
    Platform {
        name: "gettr",
        hosts: &["gettr.com"],
        places: &[Place::After(&["user"])],
        reserved: &[],
    },
    Platform {
        name: "gab",
        hosts: &["gab.com"],
        places: &[Place::First],
        reserved: &[
            "about", "auth", "explore", "g", "group", "groups", "home", "hashtag", "search", "tags", "tv",
        ],
    },
    Platform {
        name: "linkedin",
        hosts: &["linkedin.com"],
        places: &[Place::After(&["in"])],
        reserved: &[],
    },
    Platform {
        name: "ok",
        hosts: &["ok.ru", "odnoklassniki.ru"],
        places: &[Place::After(&["group", "profile"]), Place::First],
        reserved: &[
            "discover", "dk", "feed", "game", "games", "gifts", "group", "help", "live", "music", "profile", "video",
        ],
    },
    Platform {
        name: "vk",
        hosts: &["vk.com", "vkontakte.ru", "vk.ru"],
        places: &[Place::First],
        reserved: &[
            "about", "app", "apps", "clips", "doc", "feed", "friends", "login", "music", "search", "video", "wall",
        ],
    },
    Platform {
        name: "facebook",
        hosts: &["facebook.com", "fb.com", "web.facebook.com"],
        places: &[Place::First],
        reserved: &[
            "ads",
            "business",
            "dialog",
            "events",
            "games",
            "gaming",
            "groups",
            "hashtag",
            "help",
            "login",
            "login.php",
            "marketplace",
            "media",
            "pages",
            "people",
            "permalink.php",
            "photo",
            "photo.php",
            "photos",
            "plugins",
            "policies",
            "posts",
            "privacy",
            "profile.php",
            "reel",
            "search",
            "settings",
            "share",
            "share.php",
            "sharer",
            "sharer.php",
            "stories",
            "story.php",
            "tr",
            "video",
            "videos",
            "watch",
        ],
    },
    Platform {
        name: "instagram",
        hosts: &["instagram.com", "instagr.am"],
        places: &[Place::After(&["stories"]), Place::First],
        reserved: &[
            "about",
            "accounts",
            "api",
            "developer",
            "direct",
            "explore",
            "legal",
            "p",
            "reel",
            "reels",
            "stories",
            "tv",
            "web",
        ],
    },
    Platform {
        name: "threads",
        hosts: &["threads.net", "threads.com"],
        places: &[Place::At],
        reserved: &[],
    },
    Platform {
        name: "bluesky",
        hosts: &["bsky.app"],
        places: &[Place::After(&["profile"])],
        reserved: &[],
    },
    Platform {
        name: "rumble",
        hosts: &["rumble.com"],
        places: &[Place::After(&["user", "c"])],
        reserved: &[],
    },
    Platform {
        name: "bitchute",
        hosts: &["bitchute.com"],
        places: &[Place::After(&["channel"])],
        reserved: &[],
    },
    Platform {
        name: "twitch",
        hosts: &["twitch.tv"],
        places: &[Place::First],
        reserved: &[
            "directory",
            "downloads",
            "jobs",
            "login",
            "p",
            "search",
            "settings",
            "store",
            "turbo",
            "videos",
        ],
    },
    Platform {
        name: "snapchat",
        hosts: &["snapchat.com"],
        places: &[Place::After(&["add"]), Place::At],
        reserved: &[],
    },
];

/// The account that a canonical domain or web address leads to, as `platform:handle`.
pub(super) fn of_address(address: &str) -> Option<String> {
    let host = url::host_of(address);
    let (path, query) = url::path_and_query(address);
    let (platform, below) = platform_of(host)?;
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let path = [
        parts.next().unwrap_or(""),
        parts.next().unwrap_or(""),
        parts.next().unwrap_or(""),
    ];
    if let Some(id) = numbered(platform.name, path, query) {
        return Some(format!("{}:id:{id}", platform.name));
    }
    if platform.name == "telegram" {
        match path {
            [first, invite, _] if first.eq_ignore_ascii_case("joinchat") => {
                return join("telegram", &format!("+{invite}"));
            }
            // The address of one message names a post: rule N gives posts to their account on x and reddit only.
            ["s" | "S", _, message] | [_, message, ""] if is_number(message) => return None,
            _ => {}
        }
    }
    let raw = platform
        .places
        .iter()
        .find_map(|place| place.find(platform, path, below))?;
    let decoded = percent_decode_str(raw).decode_utf8().ok()?;
    join(platform.name, &decoded)
}

/// `platform:handle` or `platform:id:123`, or an address that leads to an account.
pub(super) fn named(text: &str) -> Result<String, Invalid> {
    if let Some((platform, raw)) = split_platform(text) {
        return match raw.strip_prefix("id:") {
            Some(id) if is_account_id(id) => Ok(format!("{platform}:{raw}")),
            Some(_) => Err(Invalid::Malformed("character that no account id has")),
            None => join(&platform, raw).ok_or(Invalid::Malformed("character that no handle has")),
        };
    }
    let address = match Observable::parse(text) {
        Ok(address) if matches!(address.kind(), Kind::Url | Kind::Domain) => address,
        _ => return Err(Invalid::Malformed("not of the form platform:handle")),
    };
    of_address(address.value()).ok_or(Invalid::WrongKind)
}

/// `platform:id`; the letter case of the id is kept, since most platforms tell posts apart by it.
pub(super) fn post(text: &str) -> Result<String, Invalid> {
    let (platform, id) = split_platform(text).ok_or(Invalid::Malformed("not of the form platform:id"))?;
    let is_id =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b':' | b'+' | b'=');
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

impl Place {
    fn find<'a>(&self, platform: &Platform, path: [&'a str; 3], below: &'a str) -> Option<&'a str> {
        let is_free =
            |part: &str| !part.is_empty() && !platform.reserved.iter().any(|word| part.eq_ignore_ascii_case(word));
        match self {
            Place::First => Some(path[0]).filter(|part| is_free(part)),
            Place::At => Some(path[0]).filter(|part| part.len() > 1 && part.starts_with('@')),
            Place::After(words) => {
                let is_here = words.iter().any(|word| path[0].eq_ignore_ascii_case(word));
                Some(path[1]).filter(|part| is_here && !part.is_empty())
            }
            Place::Below => Some(below).filter(|label| is_free(label) && !label.contains('.')),
        }
    }
}

/// The platform whose host this is, and what stands below its own host (empty for the host itself).
fn platform_of(host: &str) -> Option<(&'static Platform, &str)> {
    let host = host
        .strip_prefix("mobile.")
        .or_else(|| host.strip_prefix("m."))
        .unwrap_or(host);
    let exact = |host: &str| PLATFORMS.iter().find(|platform| platform.hosts.contains(&host));
    if let Some(platform) = exact(host) {
        return Some((platform, ""));
    }
    let (below, own) = host.split_once('.')?;
    let platform = exact(own).filter(|platform| platform.hosts[0] == own)?;
    let has_accounts_below = platform.places.iter().any(|place| matches!(place, Place::Below));
    // Otherwise only a country or language may stand there: `de.linkedin.com`, `fr-fr.facebook.com`.
    let is_country = below.len() == 2 || (below.len() == 5 && below.as_bytes()[2] == b'-');
    match (has_accounts_below, is_country) {
        (true, _) => Some((platform, below)),
        (false, true) => Some((platform, "")),
        (false, false) => None,
    }
}

/// Accounts that the address names by number.
fn numbered<'a>(platform: &str, path: [&'a str; 3], query: &'a str) -> Option<&'a str> {
    let id = match (platform, path) {
        ("x", ["i", "user", id]) => id,
        ("facebook", ["profile.php", ..]) => query.split('&').find_map(|pair| pair.strip_prefix("id="))?,
        ("facebook", ["people", _, id]) => id,
        ("vk", [first, ..]) => first.strip_prefix("id")?,
        _ => return None,
    };
    is_number(id).then_some(id)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
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
            (post, "https://x.com/a/status/1", None),
        ] {
            assert_eq!(read(raw).ok().as_deref(), value, "{raw}");
        }
    }
}
