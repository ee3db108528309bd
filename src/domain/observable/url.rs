//! Step 8 of rule N: `[scheme://]host[:port][path][?query][#fragment]`. Refuses schemes other than http, https and ftp
//! (and their disguises), and user information; never fetches anything.

use super::{Invalid, Kind, host};

/// The schemes of step 8, and the ways in which reports write them so that no program makes a link of them. The scheme
/// is not part of the value, so that a disguise needs no rewriting.
const SCHEMES: &[&str] = &[
    "http", "https", "ftp", "hxxp", "hxxps", "h**p", "h**ps", "hxtp", "hxtps", "htxp", "htxps", "meow", "meows", "fxp",
];

/// Reads a web address, a host name or an IP address.
pub(super) fn parse(text: &str) -> Result<(Kind, String), Invalid> {
    let text = without_scheme(text)?;
    let ends_authority = |byte: u8| matches!(byte, b'/' | b'?' | b'#');
    let (authority, tail) = text.split_at(text.bytes().position(ends_authority).unwrap_or(text.len()));
    if authority.contains('@') {
        return Err(Invalid::Malformed("user information before the host"));
    }
    let (name, port) = split_port(authority)?;
    let tail = &tail[..tail.find('#').unwrap_or(tail.len())];
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let path = path.strip_suffix('/').unwrap_or(path);

    let mut value = String::with_capacity(authority.len() + tail.len());
    let kind = host::append(name, &mut value)?;
    if kind == Kind::Domain {
        let www = value.len() - host::without_www(&value).len();
        value.drain(..www);
    }
    if port.is_empty() && path.is_empty() && query.is_empty() {
        return Ok((kind, value));
    }
    if kind == Kind::Ipv6 {
        value.insert(0, '[');
        value.push(']');
    }
    if !port.is_empty() {
        value.push(':');
        value.push_str(port);
    }
    append_encoded(path, &mut value);
    if !query.is_empty() {
        value.push('?');
        append_encoded(query, &mut value);
    }
    Ok((Kind::Url, value))
}

/// The host of a canonical web address. An IPv6 address comes without its brackets.
pub(super) fn host_of(value: &str) -> &str {
    if let Some(inside) = value.strip_prefix('[') {
        return inside.split(']').next().unwrap_or_default();
    }
    value.split(['/', '?', ':']).next().unwrap_or_default()
}

/// Path and query of a canonical web address, each empty if absent.
pub(super) fn path_and_query(value: &str) -> (&str, &str) {
    let (before, query) = value.split_once('?').unwrap_or((value, ""));
    (before.find('/').map_or("", |slash| &before[slash..]), query)
}

fn without_scheme(text: &str) -> Result<&str, Invalid> {
    let ends_scheme = |byte: u8| matches!(byte, b':' | b'/' | b'?' | b'#');
    let Some(colon) = text.bytes().position(ends_scheme) else {
        return Ok(text);
    };
    let (scheme, rest) = text.split_at(colon);
    // A `://` later on belongs to the path or query of an address without scheme.
    let Some(rest) = rest.strip_prefix("://") else {
        return Ok(text);
    };
    if SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Ok(rest);
    }
    Err(Invalid::Malformed("scheme other than http, https and ftp"))
}

/// Splits off the port and drops it if it is empty or a default one.
fn split_port(authority: &str) -> Result<(&str, &str), Invalid> {
    let after_address = authority.find(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[after_address..].find(':') else {
        return Ok((authority, ""));
    };
    let (name, port) = (
        &authority[..after_address + colon],
        &authority[after_address + colon + 1..],
    );
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Invalid::Malformed("port is not a number"));
    }
    let port = match port.trim_start_matches('0') {
        "" if !port.is_empty() => return Err(Invalid::Malformed("port is out of range")),
        digits => digits,
    };
    match port {
        "" | "80" | "443" => Ok((name, "")),
        _ if port.parse::<u16>().is_err() => Err(Invalid::Malformed("port is out of range")),
        _ => Ok((name, port)),
    }
}

/// Upper-case digits for what is encoded already, encoding for what must be, and not a byte else.
fn append_encoded(text: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    let mut at = 0;
    // What lies between two encoded bytes is plain ASCII or nothing, so that each cut falls between characters.
    let push_plain = |out: &mut String, from: usize, to: usize| {
        if from < to {
            out.push_str(&text[from..to]);
        }
    };
    while at < bytes.len() {
        match bytes[at] {
            b'%' if is_hex_pair(bytes, at + 1) => {
                push_plain(out, plain_from, at);
                out.extend(
                    bytes[at..at + 3]
                        .iter()
                        .map(|byte| char::from(byte.to_ascii_uppercase())),
                );
                at += 3;
                plain_from = at;
            }
            0x21..=0x7e => at += 1,
            byte => {
                push_plain(out, plain_from, at);
                out.push('%');
                out.push(char::from(DIGITS[usize::from(byte >> 4)]));
                out.push(char::from(DIGITS[usize::from(byte & 15)]));
                at += 1;
                plain_from = at;
            }
        }
    }
    push_plain(out, plain_from, bytes.len());
}

fn is_hex_pair(bytes: &[u8], at: usize) -> bool {
    bytes
        .get(at..at + 2)
        .is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::observable::Observable;

    #[test]
    fn addresses_take_their_canonical_form() {
        for (raw, kind, value) in [
            // Scheme, fragment and www.
            ("HTTPS://Example.COM/Path", Kind::Url, "example.com/Path"),
            ("hXXps://example[.]com/a", Kind::Url, "example.com/a"),
            ("h**p://example.com/a", Kind::Url, "example.com/a"),
            ("hxtp://example.com", Kind::Domain, "example.com"),
            ("htxps://example.com", Kind::Domain, "example.com"),
            ("meows://example.com", Kind::Domain, "example.com"),
            ("fxp://example.com", Kind::Domain, "example.com"),
            ("ftp://example.com/a", Kind::Url, "example.com/a"),
            ("hxxp[:]//example.com", Kind::Domain, "example.com"),
            ("hxxp[://]example.com", Kind::Domain, "example.com"),
            ("meow.com", Kind::Domain, "meow.com"),
            ("www.example.com/a#b?c", Kind::Url, "example.com/a"),
            ("https://www.com", Kind::Domain, "www.com"),
            ("http://www.www.example.com", Kind::Domain, "www.example.com"),
            ("https://example.com/#", Kind::Domain, "example.com"),
            // Ports.
            ("http://example.com:80/", Kind::Domain, "example.com"),
            ("http://example.com:443/a", Kind::Url, "example.com/a"),
            ("http://example.com:/a", Kind::Url, "example.com/a"),
            ("example.com:8080", Kind::Url, "example.com:8080"),
            ("example.com:008080/", Kind::Url, "example.com:8080"),
            ("example.com:65535", Kind::Url, "example.com:65535"),
            // Slashes and queries.
            ("http://example.com//", Kind::Url, "example.com/"),
            ("http://example.com/a/", Kind::Url, "example.com/a"),
            ("http://example.com/a//", Kind::Url, "example.com/a/"),
            ("http://example.com/?q=1", Kind::Url, "example.com?q=1"),
            ("http://example.com/a/?q=1/", Kind::Url, "example.com/a?q=1/"),
            ("http://example.com/?", Kind::Domain, "example.com"),
            ("http://example.com/a?", Kind::Url, "example.com/a"),
            ("http://example.com/a??", Kind::Url, "example.com/a??"),
            (
                "example.com?u=http://example.org",
                Kind::Url,
                "example.com?u=http://example.org",
            ),
            ("example.com?a@example.org", Kind::Url, "example.com?a@example.org"),
            // Percent-encoding.
            ("example.com/%c3%A9%2f%zz%", Kind::Url, "example.com/%C3%A9%2F%zz%"),
            ("example.com/\u{e9}?\u{20ac}", Kind::Url, "example.com/%C3%A9?%E2%82%AC"),
            ("example.com/\u{1}\u{7f}", Kind::Url, "example.com/%01%7F"),
            ("example.com/a|b\\c", Kind::Url, "example.com/a|b\\c"),
            // Addresses for hosts.
            ("http://192.0.2.1/", Kind::Ipv4, "192.0.2.1"),
            ("192.0.2.1:8080/a", Kind::Url, "192.0.2.1:8080/a"),
            ("http://[2001:DB8::0:1]/", Kind::Ipv6, "2001:db8::1"),
            ("http://[2001:db8::1]:8080/a", Kind::Url, "[2001:db8::1]:8080/a"),
            ("2001:DB8:0:0:0:0:0:1", Kind::Ipv6, "2001:db8::1"),
            ("2001[:]db8::1", Kind::Ipv6, "2001:db8::1"),
            // Looks like mail, and is not.
            ("tiktok.com/@a.b", Kind::Url, "tiktok.com/@a.b"),
            ("a[at]example[.]com", Kind::Email, "a@example.com"),
        ] {
            let read = Observable::parse(raw);
            assert_eq!(
                read.as_ref().map(|read| (read.kind(), read.value())),
                Ok((kind, value)),
                "{raw}"
            );
            assert_eq!(Observable::from_canonical(kind, value), read, "{raw}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (raw, reason) in [
            ("http://user@example.com/", "user information before the host"),
            ("http://user:pass@example.com/", "user information before the host"),
            ("mailto:a@example.com", "user information before the host"),
            ("gopher://example.com", "scheme other than http, https and ftp"),
            ("javascript://example.com", "scheme other than http, https and ftp"),
            ("http://", "empty label in the host"),
            ("http:///a", "empty label in the host"),
            ("example.com:a", "port is not a number"),
            ("example.com:80:80", "port is not a number"),
            ("example.com:65536", "port is out of range"),
            ("example.com:0", "port is out of range"),
            ("http://[2001", "bracket in the host is not closed"),
            ("t[.]/example", "host has fewer than two labels"),
            ("http://example.com/a b", "white space inside"),
            ("", "empty"),
            (" '\" ", "empty"),
        ] {
            assert_eq!(
                Observable::parse(raw).map_err(|invalid| invalid.to_string()),
                Err(reason.to_owned()),
                "{raw}"
            );
        }
    }

    #[test]
    fn an_address_may_be_as_long_as_the_limit_and_no_longer() {
        let longest = format!("example.com/{}", "a".repeat(8 * 1024 - 12));
        assert!(Observable::parse(&longest).is_ok());
        assert_eq!(
            Observable::parse(&(longest + "a")),
            Err(Invalid::TooLong { max: 8 * 1024 })
        );
        let encoded = format!("example.com/{}", "\u{e9}".repeat(4 * 1024));
        assert_eq!(Observable::parse(&encoded), Err(Invalid::TooLong { max: 8 * 1024 }));
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for (kind, value) in [
            (Kind::Domain, "Example.com"),
            (Kind::Domain, "example.com/"),
            (Kind::Domain, "example.com/a"),
            (Kind::Domain, "192.0.2.1"),
            (Kind::Url, "example.com"),
            (Kind::Url, "http://example.com/a"),
            (Kind::Url, "example.com:80/a"),
            (Kind::Url, "example.com/a#b"),
            (Kind::Url, "example.com/a?"),
            (Kind::Url, "example.com/%c3"),
            (Kind::Url, "example.com/\u{e9}"),
            (Kind::Url, " example.com/a"),
            (Kind::Ipv6, "2001:DB8::1"),
            (Kind::Md5, "D41D8CD98F00B204E9800998ECF8427E"),
            (Kind::Sha1, "d41d8cd98f00b204e9800998ecf8427e"),
            (Kind::Ipv4Network, "203.0.113.7/24"),
            (Kind::Account, "twitter:example"),
            (Kind::Text, "two  spaces"),
        ] {
            assert!(Observable::from_canonical(kind, value).is_err(), "{kind} {value}");
        }
    }
}
