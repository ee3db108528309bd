//! Observables: typed, canonical values, and the rule (N, version 1) that makes them from what people write. Two
//! observables are the same thing exactly if kind and value are equal, on every hub. Refuses whatever is not one
//! value; never resolves, fetches or opens one.
//!
//! `docs/observables.md` has the canonical form of each kind. Much of this runs on every publish, before the
//! sequencer, so the common forms take one pass and one allocation.

mod account;
mod app;
mod clean;
mod hash;
mod host;
mod invalid;
mod kind;
mod mail;
mod network;
mod tag;
mod text;
mod url;
mod wallet;

use sha1::{Digest, Sha1};
use uuid::{Uuid, uuid};

pub use self::invalid::Invalid;
pub use self::kind::Kind;
use super::id::ObservableId;

/// The namespace of observable ids: UUIDv5 of `https://example.org/clearinghouse/observable` in the URL namespace of
/// RFC 9562. An id is the UUIDv5 in this namespace of the kind's name, a colon and the value.
pub const NAMESPACE: Uuid = uuid!("89f39f0e-c634-5c02-b542-19fa7e9f46fb");

/// The longest raw value that is looked at, in bytes: room for the longest text with its white space unfolded.
pub const RAW_BYTES_MAX: usize = 64 * 1024;

/// A typed canonical value. It can only be made by reading one, so it cannot be wrong; or stands for one that was erased.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Observable {
    kind: Kind,
    value: Box<str>,
}

impl Observable {
    /// Rule N: reads one observable from text alone.
    ///
    /// N peels one layer: of several leading `www.` or trailing `/` it takes one off. But for values that keep such a
    /// layer, reading a value again gives the same observable.
    pub fn parse(raw: &str) -> Result<Observable, Invalid> {
        let (kind, value) = read(raw)?;
        sized(kind, value)
    }

    /// Reads one observable of a declared kind. The declared kind wins where text cannot decide (an Android package
    /// looks like a domain); a declared domain, URL, address or mail address is whatever rule N finds it to be, so the
    /// kind of the result may differ there and only there.
    pub fn parse_as(kind: Kind, raw: &str) -> Result<Observable, Invalid> {
        if matches!(kind, Kind::Domain | Kind::Url | Kind::Ipv4 | Kind::Ipv6 | Kind::Email) {
            return Observable::parse(raw);
        }
        if raw.len() > RAW_BYTES_MAX {
            return Err(Invalid::TooLong { max: RAW_BYTES_MAX });
        }
        sized(kind, read_as(kind, raw)?)
    }

    /// Takes a value that claims to be canonical, from disk or from another hub, and refuses one that no reading of any
    /// raw value yields.
    pub fn from_canonical(kind: Kind, value: &str) -> Result<Observable, Invalid> {
        let is_same = |read: &Observable| read.kind == kind && *read.value == *value;
        let read = Observable::parse_as(kind, value)?;
        if is_same(&read) {
            return Ok(read);
        }
        // N may have taken one `www.`, one `/` and a fragment off a raw value that had more of them. Put them back: if
        // they come off again and leave this value, it is canonical.
        let layered = match kind {
            Kind::Domain | Kind::Url => Observable::parse(&with_layers(value)).ok(),
            _ => None,
        };
        layered
            .filter(is_same)
            .ok_or(Invalid::Malformed("not in canonical form"))
    }

    /// What stands for a value that was erased: its kind is known still. It is empty, as no value is that was read.
    pub fn erased(kind: Kind) -> Observable {
        Observable { kind, value: "".into() }
    }

    /// What sort of thing it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The canonical value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The id, the same on every hub: UUIDv5 of `kind:value` in [`NAMESPACE`].
    pub fn id(&self) -> ObservableId {
        id_of(self.kind, &self.value)
    }

    /// The host of a domain, URL, mail address or IP address, an IPv6 address without brackets.
    pub fn host(&self) -> Option<&str> {
        match self.kind {
            Kind::Domain | Kind::Ipv4 | Kind::Ipv6 => Some(&self.value),
            Kind::Url => Some(url::host_of(&self.value)),
            Kind::Email => self.value.rsplit_once('@').map(|(_, host)| host),
            _ => None,
        }
    }

    /// What a look-up of this observable also looks for, nearest first: of a URL or mail address its host, then each
    /// domain above the host up to and including the registrable one. Private public suffixes bound it too, so what
    /// unrelated people share is never a parent.
    pub fn parents(&self) -> impl Iterator<Item = (Kind, &str)> {
        self.host().into_iter().flat_map(|host| {
            let kind = host_kind(host);
            // The host of an observable is canonical but for a leading `www.` of a mail host, which stays a host as it is.
            let name = host::without_www(host);
            let has_host = matches!(self.kind, Kind::Url | Kind::Email);
            let above = (kind == Kind::Domain).then(|| host::parents(name));
            let above = above.into_iter().flatten().map(|name| (Kind::Domain, name));
            has_host.then_some((kind, name)).into_iter().chain(above)
        })
    }

    /// The networks around the address that this observable is or lies on, narrowest first; none for a name.
    pub fn networks(&self) -> Vec<Observable> {
        let Some(address) = self.host().and_then(|host| host.trim_matches(['[', ']']).parse().ok()) else {
            return Vec::new();
        };
        let kind = match address {
            std::net::IpAddr::V4(_) => Kind::Ipv4Network,
            std::net::IpAddr::V6(_) => Kind::Ipv6Network,
        };
        network::around(address)
            .map(|value| Observable {
                kind,
                value: value.into(),
            })
            .collect()
    }

    /// The account that a URL (or a host such as `name.medium.com`) leads to.
    pub fn account(&self) -> Option<Observable> {
        match self.kind {
            Kind::Domain | Kind::Url => {
                let value = account::of_address(&self.value)?;
                Some(Observable {
                    kind: Kind::Account,
                    value: value.into(),
                })
            }
            _ => None,
        }
    }
}

/// The id of an observable, from its kind and its canonical value.
pub fn id_of(kind: Kind, value: &str) -> ObservableId {
    let digest = Sha1::new()
        .chain_update(NAMESPACE)
        .chain_update(kind.name())
        .chain_update(":")
        .chain_update(value)
        .finalize();
    // UUIDv5 takes the first 16 of SHA-1's 20 bytes.
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    ObservableId(uuid::Builder::from_sha1_bytes(bytes).into_uuid())
}

fn host_kind(host: &str) -> Kind {
    if host.contains(':') {
        Kind::Ipv6
    } else if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        Kind::Ipv4
    } else {
        Kind::Domain
    }
}

fn sized(kind: Kind, value: String) -> Result<Observable, Invalid> {
    match kind.value_bytes_max() {
        max if value.len() > max => Err(Invalid::TooLong { max }),
        _ => Ok(Observable {
            kind,
            value: value.into_boxed_str(),
        }),
    }
}

/// Rule N, in the order of its steps.
fn read(raw: &str) -> Result<(Kind, String), Invalid> {
    if raw.len() > RAW_BYTES_MAX {
        return Err(Invalid::TooLong { max: RAW_BYTES_MAX });
    }
    let text = clean::clean(raw);
    if text.is_empty() {
        return Err(Invalid::Empty);
    }
    if let Some(kind) = hash::kind_of(&text) {
        return Ok((kind, text.to_ascii_lowercase()));
    }
    let seen = clean::Seen::look(&text);
    if seen.bracket() {
        let plain = clean::refang(&text);
        let seen = clean::Seen::look(&plain);
        return read_plain(&plain, seen);
    }
    read_plain(&text, seen)
}

fn read_plain(text: &str, seen: clean::Seen) -> Result<(Kind, String), Invalid> {
    if let Some(value) = text::hashtag(text) {
        return Ok((Kind::Hashtag, value));
    }
    if seen.space(text) {
        return Err(Invalid::Whitespace);
    }
    if seen.mail()
        && let Some(value) = mail::parse(text)?
    {
        return Ok((Kind::Email, value));
    }
    if seen.colon()
        && let Some(value) = network::ipv6(text)
    {
        return Ok((Kind::Ipv6, value));
    }
    url::parse(text)
}

/// The kinds that text alone cannot tell.
fn read_as(kind: Kind, raw: &str) -> Result<String, Invalid> {
    // Quotation marks belong to a text, and are shed from everything else.
    let text = match kind {
        Kind::Text | Kind::Narrative => clean::drop_invisible(raw),
        _ => clean::clean(raw),
    };
    let text = &*text;
    if text.is_empty() {
        return Err(Invalid::Empty);
    }
    match kind {
        Kind::Domain | Kind::Url | Kind::Ipv4 | Kind::Ipv6 | Kind::Email => {
            // `parse_as` sends these to rule N; the arm keeps the match exhaustive.
            read(raw).and_then(|(found, value)| {
                if found == kind {
                    Ok(value)
                } else {
                    Err(Invalid::WrongKind)
                }
            })
        }
        Kind::Ipv4Network => network::ipv4_network(text),
        Kind::Ipv6Network => network::ipv6_network(text),
        Kind::Asn => network::asn(text),
        Kind::Phone => network::phone(text),
        Kind::Account | Kind::Page | Kind::Channel => account::named(text),
        Kind::Group => account::group(text),
        Kind::Post => account::post(text),
        Kind::Hashtag => text::hashtag_declared(text),
        Kind::AdAccount => tag::ad_account(text),
        Kind::AndroidApp => app::android(text),
        Kind::IosApp => app::ios(text),
        Kind::BrowserExtension => app::extension(text),
        Kind::Md5 | Kind::Sha1 | Kind::Sha256 | Kind::Sha512 => match hash::kind_of(text) {
            Some(found) if found == kind => Ok(text.to_ascii_lowercase()),
            _ => Err(Invalid::WrongKind),
        },
        Kind::Pdq => hash::pdq(text),
        Kind::Tlsh => hash::tlsh(text),
        Kind::TrackerId => tag::tracker(text),
        Kind::CryptoWallet => wallet::parse(text),
        Kind::CertificateFingerprint => hash::certificate(text),
        Kind::FaviconHash => hash::favicon(text),
        Kind::Text | Kind::Narrative => text::prose(text),
        Kind::Aggregate => text::aggregate(text),
    }
}

/// A raw address that N reads as `value`, if any does: with each layer that N takes off exactly once.
fn with_layers(value: &str) -> String {
    let www = if value.starts_with("www.") { "www." } else { "" };
    let (before, query) = value.split_at(value.find('?').unwrap_or(value.len()));
    format!("http://{www}{before}/{query}#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups_go_from_the_host_to_the_registrable_domain() {
        for (raw, host, above) in [
            (
                "https://a.b.example.com/c",
                "a.b.example.com",
                vec!["a.b.example.com", "b.example.com", "example.com"],
            ),
            ("https://example.com:8080", "example.com", vec!["example.com"]),
            (
                "a.b.example.com",
                "a.b.example.com",
                vec!["b.example.com", "example.com"],
            ),
            ("example.com", "example.com", vec![]),
            (
                "a@mail.example.co.uk",
                "mail.example.co.uk",
                vec!["mail.example.co.uk", "example.co.uk"],
            ),
            ("a@www.example.com", "www.example.com", vec!["example.com"]),
            (
                "a.example.blogspot.com/b",
                "a.example.blogspot.com",
                vec!["a.example.blogspot.com", "example.blogspot.com"],
            ),
            ("user.github.io/a", "user.github.io", vec!["user.github.io"]),
            ("192.0.2.1/a", "192.0.2.1", vec!["192.0.2.1"]),
            ("192.0.2.1", "192.0.2.1", vec![]),
            ("[2001:db8::1]:8080/a", "2001:db8::1", vec!["2001:db8::1"]),
        ] {
            let read = Observable::parse(raw).unwrap();
            assert_eq!(read.host(), Some(host), "{raw}");
            let parents: Vec<(Kind, &str)> = read.parents().collect();
            assert_eq!(
                parents.iter().map(|(_, name)| *name).collect::<Vec<_>>(),
                above,
                "{raw}"
            );
            for (kind, name) in parents {
                let parent = Observable::parse(name).unwrap();
                assert_eq!(
                    (parent.kind(), parent.value(), parent.id()),
                    (kind, name, id_of(kind, name)),
                    "{raw}"
                );
            }
        }
        let tag = Observable::parse("#example").unwrap();
        assert_eq!((tag.host(), tag.parents().count(), tag.account()), (None, 0, None));
    }

    #[test]
    fn a_declared_kind_wins_where_text_cannot_decide() {
        for (declared, raw, found) in [
            (Kind::AndroidApp, "com.example.app", Ok(Kind::AndroidApp)),
            (Kind::IosApp, "1234567890", Ok(Kind::IosApp)),
            (Kind::Pdq, &*"0f".repeat(32), Ok(Kind::Pdq)),
            (
                Kind::CertificateFingerprint,
                &*"0f".repeat(32),
                Ok(Kind::CertificateFingerprint),
            ),
            (Kind::Url, "https://example.com", Ok(Kind::Domain)),
            (Kind::Domain, "example.com/a", Ok(Kind::Url)),
            (Kind::Domain, "192.0.2.1", Ok(Kind::Ipv4)),
            (Kind::Ipv4, "2001:db8::1", Ok(Kind::Ipv6)),
            (Kind::Md5, &*"0f".repeat(20), Err(Invalid::WrongKind)),
            (Kind::Sha256, "example.com", Err(Invalid::WrongKind)),
            (Kind::Hashtag, "example", Ok(Kind::Hashtag)),
            (Kind::Text, "example.com", Ok(Kind::Text)),
        ] {
            assert_eq!(
                Observable::parse_as(declared, raw).map(|read| read.kind()),
                found,
                "{declared} {raw}"
            );
        }
    }

    #[test]
    fn each_bound_is_held() {
        let text = |bytes: usize| Observable::parse_as(Kind::Text, &"a".repeat(bytes));
        assert!(text(16 * 1024).is_ok());
        assert_eq!(text(16 * 1024 + 1), Err(Invalid::TooLong { max: 16 * 1024 }));
        let spaced = |bytes: usize| Observable::parse_as(Kind::Text, &format!("a{}", " ".repeat(bytes - 1)));
        assert!(spaced(RAW_BYTES_MAX).is_ok());
        assert_eq!(spaced(RAW_BYTES_MAX + 1), Err(Invalid::TooLong { max: RAW_BYTES_MAX }));
        assert_eq!(Observable::parse(&" ".repeat(RAW_BYTES_MAX)), Err(Invalid::Empty));
        let narrative = |bytes: usize| Observable::parse_as(Kind::Narrative, &"a".repeat(bytes));
        assert!(narrative(2 * 1024).is_ok() && narrative(2 * 1024 + 1).is_err());
        let hashtag = |bytes: usize| Observable::parse(&format!("#{}", "a".repeat(bytes - 1)));
        assert!(hashtag(512).is_ok() && hashtag(513).is_err());
    }
}
