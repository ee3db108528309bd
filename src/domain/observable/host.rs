//! The host of an address: names, IPv4 and IPv6 addresses, and which names stand above a name. Refuses names that the
//! public DNS cannot hold; never resolves anything.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use psl::{Psl, Type};

use super::{Invalid, Kind};

/// The longest host name, in bytes (RFC 1035, without the root's dot).
const NAME_BYTES_MAX: usize = 253;
/// The longest label of a host name, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// Top-level domains that IANA's list has and the suffix list, asked for one label, does not know: those below which
/// everything is a public suffix, and those whose end the suffix list has seen before IANA's has.
const TLDS_BESIDE_SUFFIXES: &[&str] = &[
    "bd", "ck", "er", "fk", "helsinki", "jm", "juniper", "kh", "mm", "np", "pg", "za",
];

/// Suffixes of the ICANN part that IANA has not delegated: a special-use name, and reserved variants of Arabic and
/// Chinese ones.
const SUFFIXES_BESIDE_TLDS: &[&str] = &[
    "onion",
    "xn--mgb2ddes",
    "xn--mgba3a4fra",
    "xn--mgbtf8fl",
    "xn--mix082f",
    "xn--nnx388a",
];

/// Appends the canonical form of `raw` to `out` and says what it is: `Domain`, `Ipv4` or `Ipv6` (which stands in
/// brackets, and is appended without them).
pub(super) fn append(raw: &str, out: &mut String) -> Result<Kind, Invalid> {
    if let Some(inside) = raw.strip_prefix('[') {
        let inside = inside
            .strip_suffix(']')
            .ok_or(Invalid::Malformed("bracket in the host is not closed"))?;
        let address: Ipv6Addr = inside
            .parse()
            .map_err(|_| Invalid::Malformed("not a valid IPv6 address"))?;
        // Writing to a string cannot fail.
        let _ = write!(out, "{address}");
        return Ok(Kind::Ipv6);
    }
    let mapped = map(raw)?;
    let name = mapped.strip_suffix('.').unwrap_or(&mapped);
    if name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && !name.is_empty() {
        let address: Ipv4Addr = name
            .parse()
            .map_err(|_| Invalid::Malformed("not a valid IPv4 address"))?;
        let _ = write!(out, "{address}");
        return Ok(Kind::Ipv4);
    }
    append_name(name, out)?;
    Ok(Kind::Domain)
}

/// One leading `www.` goes when two labels remain.
pub(super) fn without_www(name: &str) -> &str {
    match name.strip_prefix("www.") {
        Some(rest) if rest.contains('.') => rest,
        _ => name,
    }
}

/// Whether `label`, in lower case, is a top-level domain of the public DNS.
///
/// The ICANN part of the public suffix list has one entry for each that IANA delegates; a test holds it against IANA's
/// own list.
pub(super) fn is_tld(label: &str) -> bool {
    let info = psl::List.find(std::iter::once(label.as_bytes()));
    match info.typ {
        Some(Type::Icann) => !SUFFIXES_BESIDE_TLDS.contains(&label),
        _ => TLDS_BESIDE_SUFFIXES.contains(&label),
    }
}

/// The names above `name`, nearest first, up to and including the registrable domain. Private suffixes count: what
/// unrelated people share (`blogspot.com`, `github.io`) is never above one of them.
pub(super) fn parents(name: &str) -> impl Iterator<Item = &str> {
    let registrable = psl::domain_str(name).unwrap_or(name).len();
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, above)| above))
        .skip(1)
        .take_while(move |above| above.len() >= registrable)
}

/// Non-ASCII names go through UTS 46, non-transitional; ASCII names stay, whatever their `xn--` labels hold.
fn map(raw: &str) -> Result<Cow<'_, str>, Invalid> {
    if raw.is_ascii() {
        return Ok(Cow::Borrowed(raw));
    }
    // Mapping grows a name at most a few times over, so a far longer one cannot become valid and is not worth the work.
    if raw.len() > NAME_BYTES_MAX * 4 {
        return Err(Invalid::Malformed("host is longer than 253 characters"));
    }
    Uts46::new()
        .to_ascii(raw.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore)
        .map_err(|_| Invalid::Malformed("not a valid internationalised host name"))
}

fn append_name(name: &str, out: &mut String) -> Result<(), Invalid> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Invalid::Malformed("host is longer than 253 characters"));
    }
    let start = out.len();
    let mut labels = 0;
    for label in name.split('.') {
        check_label(label)?;
        labels += 1;
    }
    if labels < 2 {
        return Err(Invalid::Malformed("host has fewer than two labels"));
    }
    out.push_str(name);
    out[start..].make_ascii_lowercase();
    let tld = out[start..].rsplit('.').next().unwrap_or_default();
    if is_tld(tld) {
        Ok(())
    } else {
        Err(Invalid::UnknownTld(tld.into()))
    }
}

fn check_label(label: &str) -> Result<(), Invalid> {
    let bytes = label.as_bytes();
    if !bytes
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    {
        return Err(Invalid::Malformed("character in the host that no host name has"));
    }
    match bytes {
        [] => Err(Invalid::Malformed("empty label in the host")),
        [b'-', ..] | [.., b'-'] => Err(Invalid::Malformed("host label starts or ends with '-'")),
        _ if bytes.len() > LABEL_BYTES_MAX => Err(Invalid::Malformed("host label is longer than 63 characters")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(raw: &str) -> Result<String, Invalid> {
        let mut out = String::new();
        append(raw, &mut out).map(|_| out)
    }

    #[test]
    fn hosts_take_their_canonical_form() {
        for (raw, canonical) in [
            ("EXAMPLE.com", "example.com"),
            ("example.com.", "example.com"),
            ("a_b.example.com", "a_b.example.com"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1.", "192.0.2.1"),
            ("[2001:DB8:0:0::1]", "2001:db8::1"),
            ("b\u{fc}cher.example.com", "xn--bcher-kva.example.com"),
            ("fa\u{df}.de", "xn--fa-hia.de"),
            ("BU\u{308}CHER.de", "xn--bcher-kva.de"),
            ("example\u{3002}com", "example.com"),
            (
                "\u{43f}\u{440}\u{435}\u{437}\u{438}\u{434}\u{435}\u{43d}\u{442}.\u{440}\u{444}",
                "xn--d1abbgf6aiiy.xn--p1ai",
            ),
            ("\u{ff11}\u{ff19}\u{ff12}.0.2.1", "192.0.2.1"),
            ("xn--nissn-3jc.com", "xn--nissn-3jc.com"),
            ("example.mm", "example.mm"),
        ] {
            assert_eq!(host(raw).as_deref(), Ok(canonical), "{raw}");
        }
    }

    #[test]
    fn what_the_dns_cannot_hold_is_refused() {
        let long = format!("{}.com", "a".repeat(64));
        let longest = vec!["a".repeat(49); 5].join(".") + ".com"; // 253
        assert_eq!(longest.len(), 253);
        assert!(host(&longest).is_ok());
        let too_long = longest.replacen('a', "aa", 1);
        for (raw, reason) in [
            ("com", "host has fewer than two labels"),
            ("com.", "host has fewer than two labels"),
            ("", "empty label in the host"),
            ("a..com", "empty label in the host"),
            ("example.com..", "empty label in the host"),
            ("-a.com", "host label starts or ends with '-'"),
            ("a-.com", "host label starts or ends with '-'"),
            ("a!.com", "character in the host that no host name has"),
            ("1.2.3", "not a valid IPv4 address"),
            ("1.2.3.256", "not a valid IPv4 address"),
            ("1.2.3.4.5", "not a valid IPv4 address"),
            ("[::1", "bracket in the host is not closed"),
            ("[::g]", "not a valid IPv6 address"),
            ("example.lab", "unknown top-level domain 'lab'"),
            (&long, "host label is longer than 63 characters"),
            (&too_long, "host is longer than 253 characters"),
        ] {
            assert_eq!(
                host(raw).map_err(|invalid| invalid.to_string()),
                Err(reason.to_owned()),
                "{raw}"
            );
        }
    }

    #[test]
    fn one_www_goes_when_two_labels_remain() {
        for (name, rest) in [
            ("www.example.com", "example.com"),
            ("www.com", "www.com"),
            ("www.www.com", "www.com"),
            ("www2.example.com", "www2.example.com"),
        ] {
            assert_eq!(without_www(name), rest);
        }
    }

    #[test]
    fn parents_stop_at_the_registrable_domain() {
        for (name, above) in [
            ("a.b.example.com", vec!["b.example.com", "example.com"]),
            ("example.com", vec![]),
            ("a.example.co.uk", vec!["example.co.uk"]),
            ("x.y.blogspot.com", vec!["y.blogspot.com"]),
            ("y.blogspot.com", vec![]),
            ("blogspot.com", vec![]),
            ("a.user.github.io", vec!["user.github.io"]),
            ("github.io", vec![]),
            ("co.uk", vec![]),
            ("a.b.c.mm", vec!["b.c.mm"]),
            ("b.c.mm", vec![]),
            ("a.b.xn--55qx5d.cn", vec!["b.xn--55qx5d.cn"]),
        ] {
            assert_eq!(parents(name).collect::<Vec<_>>(), above, "{name}");
        }
    }
}
