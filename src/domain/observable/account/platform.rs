//! The platforms: their hosts, and where in an address the name of an account or group stands. Refuses to guess at
//! platforms that are not in its table.

use std::sync::LazyLock;

use crate::domain::observable::url;

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

/// One platform.
pub(super) struct Platform {
    /// Its name in accounts.
    pub name: &'static str,
    /// Hosts without `www.`, `m.` and `mobile.`; the first is the platform's own.
    hosts: &'static [&'static str],
    /// Tried in this order.
    places: &'static [Place],
    /// First parts of the path, and labels below the host, that name something else than an account: words with spaces
    /// between them.
    reserved: &'static str,
}

const PLATFORMS: &[Platform] = &[
    Platform {
        name: "x",
        hosts: &["twitter.com", "x.com"],
        places: &[Place::First],
        reserved: "about compose download explore hashtag home i intent jobs login messages notifications \
                   privacy search settings share signup tos",
    },
    Platform {
        name: "telegram",
        hosts: &["t.me", "telegram.me", "telegram.dog"],
        places: &[Place::After(&["s"]), Place::First, Place::Below],
        reserved: "addemoji addlist addstickers addtheme bg boost c confirmphone contact giftcode invoice iv \
                   joinchat login m proxy s setlanguage share socks",
    },
    Platform {
        name: "youtube",
        hosts: &["youtube.com", "music.youtube.com", "youtu.be"],
        places: &[Place::At, Place::After(&["channel", "c", "user"])],
        reserved: "",
    },
    Platform {
        name: "tiktok",
        hosts: &["tiktok.com"],
        places: &[Place::At],
        reserved: "",
    },
    Platform {
        name: "medium",
        hosts: &["medium.com"],
        places: &[Place::At, Place::Below],
        reserved: "api blog cdn-images-1 help link miro policy status",
    },
    Platform {
        name: "reddit",
        hosts: &["reddit.com", "old.reddit.com", "new.reddit.com"],
        places: &[Place::After(&["user", "u"])],
        reserved: "",
    },
    Platform {
        name: "linktree",
        hosts: &["linktr.ee"],
        places: &[Place::First],
        reserved: "admin blog discover help login marketplace register s",
    },
    Platform {
        name: "pinterest",
        hosts: &["pinterest.com", "pinterest.co.uk", "pinterest.de", "pinterest.fr"],
        places: &[Place::First],
        reserved: "about business categories explore ideas login pin search settings topics",
    },
    Platform {
        name: "truthsocial",
        hosts: &["truthsocial.com"],
        places: &[Place::At],
        reserved: "",
    },
    Platform {
        name: "gettr",
        hosts: &["gettr.com"],
        places: &[Place::After(&["user"])],
        reserved: "",
    },
    Platform {
        name: "gab",
        hosts: &["gab.com"],
        places: &[Place::First],
        reserved: "about auth explore g group groups home hashtag search tags tv",
    },
    Platform {
        name: "linkedin",
        hosts: &["linkedin.com"],
        places: &[Place::After(&["in"])],
        reserved: "",
    },
    Platform {
        name: "ok",
        hosts: &["ok.ru", "odnoklassniki.ru"],
        places: &[Place::After(&["group", "profile"]), Place::First],
        reserved: "discover dk feed game games gifts group help live music profile video",
    },
    Platform {
        name: "vk",
        hosts: &["vk.com", "vkontakte.ru", "vk.ru"],
        places: &[Place::First],
        reserved: "about app apps clips doc feed friends login music search video wall",
    },
    Platform {
        name: "facebook",
        hosts: &["facebook.com", "fb.com", "web.facebook.com"],
        places: &[Place::First],
        reserved: "ads business dialog events games gaming groups hashtag help login login.php marketplace \
                   media pages people permalink.php photo photo.php photos plugins policies posts privacy \
                   profile.php reel search settings share share.php sharer sharer.php stories story.php tr \
                   video videos watch",
    },
    Platform {
        name: "instagram",
        hosts: &["instagram.com", "instagr.am"],
        places: &[Place::After(&["stories"]), Place::First],
        reserved: "about accounts api developer direct explore legal p reel reels stories tv web",
    },
    Platform {
        name: "threads",
        hosts: &["threads.net", "threads.com"],
        places: &[Place::At],
        reserved: "",
    },
    Platform {
        name: "bluesky",
        hosts: &["bsky.app"],
        places: &[Place::After(&["profile"])],
        reserved: "",
    },
    Platform {
        name: "rumble",
        hosts: &["rumble.com"],
        places: &[Place::After(&["user", "c"])],
        reserved: "",
    },
    Platform {
        name: "bitchute",
        hosts: &["bitchute.com"],
        places: &[Place::After(&["channel"])],
        reserved: "",
    },
    Platform {
        name: "twitch",
        hosts: &["twitch.tv"],
        places: &[Place::First],
        reserved: "directory downloads jobs login p search settings store turbo videos",
    },
    Platform {
        name: "snapchat",
        hosts: &["snapchat.com"],
        places: &[Place::After(&["add"]), Place::At],
        reserved: "",
    },
];

/// A canonical address on a platform, taken apart.
pub(super) struct Address<'a> {
    pub platform: &'static Platform,
    pub host: &'a str,
    /// The label below the platform's own host, or nothing.
    below: &'a str,
    /// The first parts of the path, empty where there are no more.
    pub path: [&'a str; 4],
    query: &'a str,
}

impl<'a> Address<'a> {
    /// Takes a canonical domain or web address apart, if it is on a platform.
    pub fn read(address: &'a str) -> Option<Address<'a>> {
        let host = url::host_of(address);
        let (platform, below) = platform_of(host)?;
        let (path, query) = url::path_and_query(address);
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        Some(Address {
            platform,
            host,
            below,
            path: std::array::from_fn(|_| parts.next().unwrap_or("")),
            query,
        })
    }

    /// The value of a field of the query.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The number of an account that the address names by number.
    pub fn account_number(&self) -> Option<&'a str> {
        let id = match (self.platform.name, self.path) {
            ("x", ["i", "user", id, _]) => id,
            ("facebook", ["profile.php", ..]) => self.field("id")?,
            ("facebook", ["people", _, id, _]) => id,
            ("vk", [first, ..]) => first.strip_prefix("id")?,
            _ => return None,
        };
        is_number(id).then_some(id)
    }

    /// The handle of an account as it stands in the address.
    pub fn handle(&self) -> Option<&'a str> {
        if self.platform.name == "telegram" {
            match self.path {
                // The address of one message names a post: rule N gives posts to their account on x and reddit only.
                ["s" | "S", _, message, _] | [_, message, "", _] if is_number(message) => return None,
                _ => {}
            }
        }
        self.platform.places.iter().find_map(|place| self.at(place))
    }

    /// The name of a group as it stands in the address.
    pub fn group(&self) -> Option<&'a str> {
        let name = match (self.platform.name, self.path) {
            ("facebook", ["groups", name, ..]) | ("ok", ["group", name, ..]) | ("reddit", ["r", name, ..]) => name,
            ("gab", ["groups" | "g", name, ..]) | ("linkedin", ["groups", name, ..]) => name,
            ("vk", [name, ..]) if name.strip_prefix("club").is_some_and(is_number) => name,
            _ => return None,
        };
        Some(name).filter(|name| !name.is_empty())
    }

    fn at(&self, place: &Place) -> Option<&'a str> {
        let [first, second, ..] = self.path;
        match place {
            Place::First => Some(first).filter(|part| self.is_free(part)),
            Place::At => Some(first).filter(|part| part.len() > 1 && part.starts_with('@')),
            Place::After(words) => {
                let is_here = words.iter().any(|word| first.eq_ignore_ascii_case(word));
                Some(second).filter(|part| is_here && !part.is_empty())
            }
            Place::Below => Some(self.below).filter(|label| self.is_free(label)),
        }
    }

    fn is_free(&self, part: &str) -> bool {
        !part.is_empty()
            && !self
                .platform
                .reserved
                .split(' ')
                .any(|word| part.eq_ignore_ascii_case(word))
    }
}

/// Whether `text` is made of digits.
pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The platform that has exactly this host.
fn platform_at(host: &str) -> Option<&'static Platform> {
    /// Sorted: every address that is read is looked for here, and most are on no platform.
    static HOSTS: LazyLock<Vec<(&str, &Platform)>> = LazyLock::new(|| {
        let hosts_of = |platform: &'static Platform| platform.hosts.iter().map(move |host| (*host, platform));
        let mut hosts: Vec<_> = PLATFORMS.iter().flat_map(hosts_of).collect();
        hosts.sort_unstable_by_key(|(host, _)| *host);
        hosts
    });
    let place = HOSTS.binary_search_by_key(&host, |(host, _)| host).ok()?;
    Some(HOSTS[place].1)
}

/// The platform whose host this is, and the label below its own host (empty for the host itself).
fn platform_of(host: &str) -> Option<(&'static Platform, &str)> {
    let host = host
        .strip_prefix("mobile.")
        .or_else(|| host.strip_prefix("m."))
        .unwrap_or(host);
    if let Some(platform) = platform_at(host) {
        return Some((platform, ""));
    }
    let (below, own) = host.split_once('.')?;
    let platform = platform_at(own).filter(|platform| platform.hosts[0] == own)?;
    if platform.places.iter().any(|place| matches!(place, Place::Below)) {
        return Some((platform, below));
    }
    // Elsewhere only a country or language may stand there: `de.linkedin.com`, `fr-fr.facebook.com`.
    let is_country = below.len() == 2 || (below.len() == 5 && below.as_bytes()[2] == b'-');
    is_country.then_some((platform, ""))
}
