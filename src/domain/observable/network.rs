//! Networks, autonomous systems and telephone numbers: what is numbered and announced. Refuses networks so wide that
//! one of them would cover a good part of the world.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Invalid;

/// The shortest prefix of an IPv4 network: what a registry hands to one region at most.
const IPV4_PREFIX_BITS_MIN: u8 = 8;
/// The shortest prefix of an IPv6 network.
const IPV6_PREFIX_BITS_MIN: u8 = 16;
/// Digits of an E.164 number, with the country code.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Step 7 of rule N: a literal IPv6 address, in the compressed form of RFC 5952.
pub(super) fn ipv6(text: &str) -> Option<String> {
    text.parse::<Ipv6Addr>().ok().map(|address| address.to_string())
}

/// `address/bits`; bits of the host are cleared, a lone address is a network of one.
pub(super) fn ipv4_network(text: &str) -> Result<String, Invalid> {
    let plain = super::clean::refang(text);
    let network = match plain.contains('/') {
        true => plain.parse::<Ipv4Net>().ok(),
        false => plain.parse::<Ipv4Addr>().ok().map(Ipv4Net::from),
    };
    let network = network.ok_or(Invalid::Malformed("not a valid IPv4 network"))?;
    match network.prefix_len() < IPV4_PREFIX_BITS_MIN {
        true => Err(Invalid::Malformed("IPv4 network is wider than /8")),
        false => Ok(network.trunc().to_string()),
    }
}

/// `address/bits`; bits of the host are cleared, a lone address is a network of one.
pub(super) fn ipv6_network(text: &str) -> Result<String, Invalid> {
    let plain = super::clean::refang(text);
    let network = match plain.contains('/') {
        true => plain.parse::<Ipv6Net>().ok(),
        false => plain.parse::<Ipv6Addr>().ok().map(Ipv6Net::from),
    };
    let network = network.ok_or(Invalid::Malformed("not a valid IPv6 network"))?;
    match network.prefix_len() < IPV6_PREFIX_BITS_MIN {
        true => Err(Invalid::Malformed("IPv6 network is wider than /16")),
        false => Ok(network.trunc().to_string()),
    }
}

/// The networks that hold an address and can be indicators, narrowest first.
pub(super) fn around(address: IpAddr) -> impl Iterator<Item = String> {
    let (longest, shortest) = match address {
        IpAddr::V4(_) => (32, IPV4_PREFIX_BITS_MIN),
        IpAddr::V6(_) => (128, IPV6_PREFIX_BITS_MIN),
    };
    let network = move |bits| {
        IpNet::new(address, bits)
            .ok()
            .map(|network| network.trunc().to_string())
    };
    (shortest..=longest).rev().filter_map(network)
}

/// `AS` and the number.
pub(super) fn asn(text: &str) -> Result<String, Invalid> {
    let upper = text.to_ascii_uppercase();
    let digits = upper
        .strip_prefix("ASN")
        .or_else(|| upper.strip_prefix("AS"))
        .unwrap_or(&upper)
        .trim_start();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u32> = digits.parse().ok().filter(|_| is_number);
    number
        .map(|number| format!("AS{number}"))
        .ok_or(Invalid::Malformed("not an autonomous system number"))
}

/// E.164: `+`, country code, number. A number without its country code could be anyone's, so it is refused.
pub(super) fn phone(text: &str) -> Result<String, Invalid> {
    let number = text.strip_prefix("tel:").unwrap_or(text);
    let number = number
        .strip_prefix('+')
        .ok_or(Invalid::Malformed("phone number without '+' and country code"))?;
    // Only the digits reach the parser: it would take letters for keys and drop extensions.
    let mut digits = String::with_capacity(number.len() + 1);
    digits.push('+');
    for character in number.chars() {
        match character {
            '0'..='9' => digits.push(character),
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{2010}'..='\u{2015}' => {}
            _ => return Err(Invalid::Malformed("character that no phone number has")),
        }
    }
    if !PHONE_DIGITS.contains(&(digits.len() - 1)) {
        return Err(Invalid::Malformed("a phone number has 7 to 15 digits"));
    }
    let shortened = e164(&digits).ok_or(Invalid::Malformed("not a valid phone number"))?;
    // The parser takes off what it holds for a trunk prefix, as the 0 in `+44 (0)20`, but also the first digit of some
    // numbers that start like one. So its form counts only if it is a valid number, and its own.
    match shortened {
        (number, _) if number == digits => Ok(number),
        (number, Validity::Valid) if e164(&number).is_some_and(|(again, _)| again == number) => Ok(number),
        _ => Ok(digits),
    }
}

enum Validity {
    Valid,
    Unknown,
}

fn e164(digits: &str) -> Option<(String, Validity)> {
    let number = phonenumber::parse(None, digits).ok()?;
    let validity = if number.is_valid() {
        Validity::Valid
    } else {
        Validity::Unknown
    };
    Some((number.format().mode(phonenumber::Mode::E164).to_string(), validity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_numbers_take_their_canonical_form() {
        for (read, raw, value) in [
            (
                ipv4_network as fn(&str) -> Result<String, Invalid>,
                "203.0.113.0/24",
                Some("203.0.113.0/24"),
            ),
            (ipv4_network, "203.0.113.7/24", Some("203.0.113.0/24")),
            (ipv4_network, "203.0[.]113.7", Some("203.0.113.7/32")),
            (ipv4_network, "203.0.113.7/33", None),
            (ipv4_network, "10.0.0.0/8", Some("10.0.0.0/8")),
            (ipv4_network, "10.0.0.0/7", None),
            (ipv6_network, "2001:DB8::1/32", Some("2001:db8::/32")),
            (ipv6_network, "2001:db8::1", Some("2001:db8::1/128")),
            (ipv6_network, "2000::/15", None),
            (ipv6_network, "203.0.113.0/24", None),
            (asn, "as64496", Some("AS64496")),
            (asn, "ASN 64496", Some("AS64496")),
            (asn, "064496", Some("AS64496")),
            (asn, "AS4294967295", Some("AS4294967295")),
            (asn, "AS4294967296", None),
            (asn, "AS+1", None),
            (asn, "AS", None),
            (phone, "+44 (0)20 7946 0123", Some("+442079460123")),
            (phone, "tel:+1-202-555-0123", Some("+12025550123")),
            (phone, "+39 06 1234 5678", Some("+390612345678")),
            (phone, "+7 800 555 00 00", Some("+78005550000")),
            (phone, "+7800001", Some("+7800001")),
            (phone, "020 7946 0123", None),
            (phone, "+1 202 555 CALL", None),
            (phone, "+12345", None),
            (phone, "+1234567890123456", None),
        ] {
            assert_eq!(read(raw).ok().as_deref(), value, "{raw}");
        }
    }
}
