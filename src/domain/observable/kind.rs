//! The kinds of observable: their names, the names other formats use for them, and their bounds. Refuses to guess:
//! a name that is not in the tables has no kind.

use std::fmt;

/// What sort of thing an observable is. The kind decides the canonical form; `docs/observables.md` has the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A host name.
    Domain,
    /// A web address, without scheme.
    Url,
    /// One IPv4 address.
    Ipv4,
    /// One IPv6 address.
    Ipv6,
    /// A range of IPv4 addresses.
    Ipv4Network,
    /// A range of IPv6 addresses.
    Ipv6Network,
    /// An autonomous system.
    Asn,
    /// A mail address.
    Email,
    /// A telephone number.
    Phone,
    /// An account on a platform.
    Account,
    /// A page on a platform, such as a Facebook Page.
    Page,
    /// A group on a platform.
    Group,
    /// A channel on a platform.
    Channel,
    /// One post on a platform.
    Post,
    /// A hashtag.
    Hashtag,
    /// An account that buys advertisements.
    AdAccount,
    /// An Android package.
    AndroidApp,
    /// An app of Apple's store.
    IosApp,
    /// A browser extension.
    BrowserExtension,
    /// The MD5 of a file.
    Md5,
    /// The SHA-1 of a file.
    Sha1,
    /// The SHA-256 of a file.
    Sha256,
    /// The SHA-512 of a file.
    Sha512,
    /// The PDQ perceptual hash of an image.
    Pdq,
    /// The TLSH locality-sensitive hash of a file.
    Tlsh,
    /// A text that is copied and pasted.
    Text,
    /// A claim or story line, in a sentence.
    Narrative,
    /// The identifier of an analytics or advertising tag.
    TrackerId,
    /// A wallet address.
    CryptoWallet,
    /// The SHA-256 of a TLS certificate.
    CertificateFingerprint,
    /// The MurmurHash3 of a favicon, as scan engines compute it.
    FaviconHash,
    /// A number of things that are not named, such as "63 accounts".
    Aggregate,
}

impl Kind {
    /// Every kind, in the order of declaration.
    pub const ALL: &[Kind] = &[
        Kind::Domain,
        Kind::Url,
        Kind::Ipv4,
        Kind::Ipv6,
        Kind::Ipv4Network,
        Kind::Ipv6Network,
        Kind::Asn,
        Kind::Email,
        Kind::Phone,
        Kind::Account,
        Kind::Page,
        Kind::Group,
        Kind::Channel,
        Kind::Post,
        Kind::Hashtag,
        Kind::AdAccount,
        Kind::AndroidApp,
        Kind::IosApp,
        Kind::BrowserExtension,
        Kind::Md5,
        Kind::Sha1,
        Kind::Sha256,
        Kind::Sha512,
        Kind::Pdq,
        Kind::Tlsh,
        Kind::Text,
        Kind::Narrative,
        Kind::TrackerId,
        Kind::CryptoWallet,
        Kind::CertificateFingerprint,
        Kind::FaviconHash,
        Kind::Aggregate,
    ];

    /// The kind's own name, in kebab-case. It is part of every observable's id, so it never changes.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Domain => "domain",
            Kind::Url => "url",
            Kind::Ipv4 => "ipv4",
            Kind::Ipv6 => "ipv6",
            Kind::Ipv4Network => "ipv4-network",
            Kind::Ipv6Network => "ipv6-network",
            Kind::Asn => "asn",
            Kind::Email => "email",
            Kind::Phone => "phone",
            Kind::Account => "account",
            Kind::Page => "page",
            Kind::Group => "group",
            Kind::Channel => "channel",
            Kind::Post => "post",
            Kind::Hashtag => "hashtag",
            Kind::AdAccount => "ad-account",
            Kind::AndroidApp => "android-package",
            Kind::IosApp => "ios-app-id",
            Kind::BrowserExtension => "browser-extension",
            Kind::Md5 => "md5",
            Kind::Sha1 => "sha1",
            Kind::Sha256 => "sha256",
            Kind::Sha512 => "sha512",
            Kind::Pdq => "pdq",
            Kind::Tlsh => "tlsh",
            Kind::Text => "text",
            Kind::Narrative => "narrative",
            Kind::TrackerId => "tracker-id",
            Kind::CryptoWallet => "crypto-wallet",
            Kind::CertificateFingerprint => "certificate-fingerprint",
            Kind::FaviconHash => "favicon-hash",
            Kind::Aggregate => "aggregate",
        }
    }

    /// The kind that a name means: our own, or one that a report, MISP or STIX declares. Letter case does not matter,
    /// and `_` and `-` are the same.
    pub fn from_name(name: &str) -> Option<Kind> {
        let own = |name: &str| Kind::ALL.iter().copied().find(|kind| kind.name() == name);
        own(name).or_else(|| {
            let name = name.trim().replace('_', "-").to_ascii_lowercase();
            own(&name).or_else(|| declared(&name))
        })
    }

    /// The longest canonical value of this kind, in bytes.
    pub fn value_bytes_max(self) -> usize {
        match self {
            Kind::Text => 16 * 1024,
            Kind::Url => 8 * 1024,
            Kind::Narrative => 2 * 1024,
            Kind::Account | Kind::Page | Kind::Group | Kind::Channel | Kind::Post => 512,
            Kind::Hashtag | Kind::Aggregate => 512,
            Kind::Email => 318, // 64 for the local part, the sign, 253 for the host
            Kind::AndroidApp => 255,
            Kind::Domain => 253,
            Kind::TrackerId | Kind::AdAccount | Kind::CryptoWallet | Kind::BrowserExtension => 160,
            Kind::Sha512 => 128,
            Kind::Tlsh => 72,
            Kind::Sha256 | Kind::Pdq | Kind::CertificateFingerprint => 64,
            Kind::Ipv6Network => 50,
            Kind::Ipv6 => 46,
            Kind::Sha1 => 40,
            Kind::Md5 => 32,
            Kind::IosApp => 20,
            Kind::Ipv4Network => 18,
            Kind::Phone => 16,
            Kind::Ipv4 => 15,
            Kind::Asn => 12,
            Kind::FaviconHash => 11,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Names that other formats declare: the reports of platforms, MISP attribute types, STIX object types.
fn declared(name: &str) -> Option<Kind> {
    Some(match name {
        "domain-name" | "hostname" | "host" | "fqdn" => Kind::Domain,
        "cib-url" | "telegram-url" | "phishing-url" | "uri" | "link" => Kind::Url,
        "ip" | "ip-src" | "ip-dst" | "ip-address" | "ipv4-addr" => Kind::Ipv4,
        "ipv6-addr" => Kind::Ipv6,
        "ipv4-cidr" => Kind::Ipv4Network,
        "ipv6-cidr" => Kind::Ipv6Network,
        "as" | "autonomous-system" => Kind::Asn,
        "email-addr" | "email-address" | "email-src" | "email-dst" => Kind::Email,
        "phone-number" => Kind::Phone,
        "user-account" | "handle" => Kind::Account,
        "facebook-page" => Kind::Page,
        "facebook-group" => Kind::Group,
        "telegram-channel" | "youtube-channel" => Kind::Channel,
        "android-package-name" | "android-app" => Kind::AndroidApp,
        "ios-app" => Kind::IosApp,
        "chrome-extension-id" => Kind::BrowserExtension,
        "sha-1" => Kind::Sha1,
        "sha-256" => Kind::Sha256,
        "sha-512" => Kind::Sha512,
        "copypasta" => Kind::Text,
        "tracking-id" | "analytics-id" => Kind::TrackerId,
        "btc" | "wallet" | "cryptocurrency-wallet" => Kind::CryptoWallet,
        "x509-fingerprint-sha256" => Kind::CertificateFingerprint,
        "favicon-mmh3" => Kind::FaviconHash,
        "count" => Kind::Aggregate,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(*kind));
            assert!(kind.value_bytes_max() > 0);
        }
    }

    #[test]
    fn names_of_reports_misp_and_stix_are_understood() {
        for (name, kind) in [
            ("android_package_name", Kind::AndroidApp),
            ("ios_app_id", Kind::IosApp),
            ("domain_name", Kind::Domain),
            ("cib_url", Kind::Url),
            ("telegram_url", Kind::Url),
            ("phishing_url", Kind::Url),
            ("SHA-256", Kind::Sha256),
            ("ip-dst", Kind::Ipv4),
            ("ipv6-addr", Kind::Ipv6),
            ("email-src", Kind::Email),
        ] {
            assert_eq!(Kind::from_name(name), Some(kind), "{name}");
        }
        assert_eq!(Kind::from_name("mutex"), None);
        assert_eq!(Kind::from_name(""), None);
    }
}
