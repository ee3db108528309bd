//! Warning lists in MISP's format: one JSON object with `name`, `type`, `matching_attributes` and `list`.

use serde_json::Value;

use super::{ReadError, limits};
use crate::domain::indicator::Text;
use crate::domain::observable::Kind;
use crate::domain::warning::{Comparison, WarningList};

/// Reads one list.
pub fn read_warning_list(bytes: &[u8]) -> Result<WarningList, ReadError> {
    let text = limits::text(bytes)?;
    let value = limits::json(text)?;
    let wrong = |expected| ReadError::WrongShape { expected };
    let name = value
        .get("name")
        .and_then(Value::as_str)
        .ok_or(wrong("a warning list with a name"))?;
    let comparison = match value.get("type").and_then(Value::as_str) {
        Some("string") => Comparison::Exact,
        Some("hostname" | "substring") => Comparison::Host,
        Some("cidr") => Comparison::Network,
        Some("regex") => Comparison::Pattern,
        _ => {
            return Err(wrong(
                "a warning list of type string, substring, hostname, cidr or regex",
            ));
        }
    };
    let entries = value
        .get("list")
        .and_then(Value::as_array)
        .ok_or(wrong("a warning list with a list"))?;
    let attributes = value.get("matching_attributes").and_then(Value::as_array);
    let kinds = match attributes {
        // A list that names none speaks of everything.
        None => Kind::ALL.to_vec(),
        Some(attributes) => {
            let mut kinds: Vec<Kind> = attributes
                .iter()
                .filter_map(Value::as_str)
                .flat_map(kinds_of)
                .copied()
                .collect();
            kinds.sort_unstable();
            kinds.dedup();
            kinds
        }
    };
    Ok(WarningList {
        name: Text::parse("name", name).map_err(|_| wrong("a name of at most 200 bytes"))?,
        comparison,
        kinds,
        entries: entries.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

/// The kinds that a MISP attribute type stands for; composites stand for each part.
fn kinds_of(attribute: &str) -> &'static [Kind] {
    match attribute {
        "domain" | "hostname" | "hostname|port" => &[Kind::Domain],
        "domain|ip" => &[Kind::Domain, Kind::Ipv4, Kind::Ipv6],
        "url" | "uri" | "link" => &[Kind::Domain, Kind::Url],
        "ip-src" | "ip-dst" | "ip-src|port" | "ip-dst|port" => &[Kind::Ipv4, Kind::Ipv6],
        "md5" | "filename|md5" => &[Kind::Md5],
        "sha1" | "filename|sha1" => &[Kind::Sha1],
        "sha256" | "filename|sha256" => &[Kind::Sha256],
        "sha512" | "filename|sha512" => &[Kind::Sha512],
        "email" | "email-src" | "email-dst" | "target-email" | "whois-registrant-email" | "dns-soa-email" => {
            &[Kind::Email]
        }
        "phone-number" | "whois-registrant-phone" => &[Kind::Phone],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_read_with_its_kinds() {
        let text = r#"{"name": "Popular", "type": "hostname", "version": 1, "description": "x",
            "matching_attributes": ["hostname", "domain", "url"], "list": ["example.com", 3]}"#;
        let list = read_warning_list(text.as_bytes()).unwrap();
        assert_eq!(list.name.as_str(), "Popular");
        assert_eq!(list.comparison, Comparison::Host);
        assert_eq!(list.kinds, [Kind::Domain, Kind::Url]);
        assert_eq!(list.entries, ["example.com"]);
    }

    #[test]
    fn what_is_no_list_says_what_is_missing() {
        for text in [
            "[]",
            "{}",
            r#"{"name":"a"}"#,
            r#"{"name":"a","type":"soundex","list":[]}"#,
        ] {
            assert!(
                matches!(read_warning_list(text.as_bytes()), Err(ReadError::WrongShape { .. })),
                "{text}"
            );
        }
        assert!(read_warning_list(b"{").is_err());
        assert!(read_warning_list(b"\xff").is_err());
    }
}
