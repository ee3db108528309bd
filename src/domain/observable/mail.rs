//! Step 6 of rule N: mail addresses. Refuses quoted local parts and comments, which no campaign has been seen to use
//! and every disguise could hide in.

use super::{Invalid, host};

/// The longest local part, in bytes (RFC 5321).
const LOCAL_BYTES_MAX: usize = 64;

/// Reads `local@host`. `None` if the text has more than one `@`, so that it is no mail address.
pub(super) fn parse(text: &str) -> Result<Option<String>, Invalid> {
    let Some((local, name)) = text.split_once('@') else {
        return Ok(None);
    };
    if name.contains('@') {
        return Ok(None);
    }
    if local.is_empty() {
        return Err(Invalid::Malformed("nothing before the '@'"));
    }
    if !local.chars().all(is_local) {
        return Err(Invalid::Malformed("character before the '@' that no mail address has"));
    }
    let mut value = match local.is_ascii() {
        true => local.to_ascii_lowercase(),
        false => local.to_lowercase(),
    };
    if value.len() > LOCAL_BYTES_MAX {
        return Err(Invalid::Malformed("more than 64 bytes before the '@'"));
    }
    value.reserve_exact(1 + name.len());
    value.push('@');
    host::append(name, &mut value)?;
    Ok(Some(value))
}

/// The characters of an RFC 5322 dot-atom, and what RFC 6532 adds beyond ASCII.
fn is_local(character: char) -> bool {
    match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' | '+' => true,
        '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '=' | '^' | '`' | '|' | '~' => true,
        '\u{2018}'..='\u{201f}' => false,
        _ => !character.is_ascii() && !character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_addresses_take_their_canonical_form() {
        for (raw, value) in [
            ("Info@Example.COM", Ok(Some("info@example.com"))),
            ("a.b+c@example.com.", Ok(Some("a.b+c@example.com"))),
            ("\u{c4}@example.com", Ok(Some("\u{e4}@example.com"))),
            ("a@192.0.2.1", Ok(Some("a@192.0.2.1"))),
            ("a@www.example.com", Ok(Some("a@www.example.com"))),
            ("a@b@example.com", Ok(None)),
            ("a@b", Err("host has fewer than two labels")),
            ("@example.com", Err("nothing before the '@'")),
            (
                "a,b@example.com",
                Err("character before the '@' that no mail address has"),
            ),
        ] {
            let read = parse(raw).map_err(|invalid| invalid.to_string());
            assert_eq!(
                read,
                value.map(|v| v.map(str::to_owned)).map_err(str::to_owned),
                "{raw}"
            );
        }
        assert!(parse(&format!("{}@example.com", "a".repeat(64))).is_ok());
        assert!(parse(&format!("{}@example.com", "a".repeat(65))).is_err());
    }
}
