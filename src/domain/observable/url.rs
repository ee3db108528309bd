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
    let (authority, tail) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
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
    let Some(colon) = text.find("://") else { return Ok(text) };
    let scheme = &text[..colon];
    if SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Ok(&text[colon + 3..]);
    }
    // A `://` later on belongs to the path or query of an address without scheme.
    match scheme.contains(['/', '?', '#']) {
        true => Ok(text),
        false => Err(Invalid::Malformed("scheme other than http, https and ftp")),
    }
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
