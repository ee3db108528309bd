//! Where in an address the id of a post stands, platform by platform.

use super::platform::{Address, is_number};

/// The id of the post that the address leads to. Where a platform counts posts within an account, the id has both.
pub(super) fn id_of(address: &Address<'_>) -> Option<String> {
    let id = match (address.platform.name, address.path) {
        ("x", [_, "status", id, _]) | ("tiktok", [_, "video" | "photo", id, _]) => number(id)?,
        ("truthsocial" | "threads", [_, "posts" | "post", id, _]) => id,
        ("youtube", ["watch", ..]) => address.field("v")?,
        ("youtube", ["shorts" | "live" | "embed", id, ..]) => id,
        ("youtube", [id, "", ..]) if address.host == "youtu.be" => id,
        ("instagram", ["p" | "reel" | "tv", id, ..] | [_, "p" | "reel", id, _]) => id,
        ("facebook", ["permalink.php" | "story.php", ..]) => address.field("story_fbid")?,
        ("facebook", ["photo.php" | "photo", ..]) => address.field("fbid")?,
        ("facebook", ["watch", ..]) => address.field("v")?,
        ("facebook", ["reel", id, ..] | [_, "posts" | "videos", id, _]) => id,
        ("reddit", ["r" | "user" | "u", _, "comments", id]) => id,
        ("vk", [id, "", ..]) if id.starts_with("wall") => id,
        ("telegram", ["s", name, id, _] | [name, id, "", _]) => return within(name, number(id)?),
        ("bluesky", ["profile", name, "post", id]) => return within(name, id),
        _ => return None,
    };
    (!id.is_empty()).then(|| id.to_owned())
}

fn number(id: &str) -> Option<&str> {
    Some(id).filter(|id| is_number(id))
}

fn within(name: &str, id: &str) -> Option<String> {
    (!name.is_empty() && !id.is_empty()).then(|| format!("{}/{id}", name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posts_are_found_in_addresses() {
        for (address, id) in [
            ("x.com/example/status/123", Some("123")),
            ("x.com/example/status/abc", None),
            ("mobile.twitter.com/example/status/123/photo/1", Some("123")),
            ("t.me/Example/12", Some("example/12")),
            ("t.me/s/example/12", Some("example/12")),
            ("t.me/example", None),
            ("youtube.com/watch?a=b&v=aBc-_123456", Some("aBc-_123456")),
            ("youtube.com/watch", None),
            ("youtube.com/shorts/aBc-_123456", Some("aBc-_123456")),
            ("youtu.be/aBc-_123456", Some("aBc-_123456")),
            ("youtube.com/@example", None),
            ("youtube.com/examplename", None),
            ("tiktok.com/@example/video/123", Some("123")),
            ("instagram.com/p/AbC", Some("AbC")),
            ("instagram.com/example/reel/AbC", Some("AbC")),
            ("facebook.com/example/posts/123", Some("123")),
            ("facebook.com/permalink.php?story_fbid=123&id=4", Some("123")),
            ("facebook.com/example", None),
            ("reddit.com/r/example/comments/aBc1/a_title", Some("aBc1")),
            ("vk.com/wall-1_2", Some("wall-1_2")),
            ("bsky.app/profile/example.com/post/abc", Some("example.com/abc")),
            ("truthsocial.com/@example/posts/123", Some("123")),
        ] {
            let found = Address::read(address).and_then(|address| id_of(&address));
            assert_eq!(found.as_deref(), id, "{address}");
        }
    }
}
