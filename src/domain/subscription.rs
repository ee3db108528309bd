//! Durable subscriptions: the name under which an agent comes back to a feed.

use std::fmt;
use std::sync::Arc;

use super::violation::Violation;

/// The name of a durable subscription, unique within its agent: 1 to 64 bytes of lower-case letters, digits and `. _ -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SubscriptionName(Arc<str>);

impl SubscriptionName {
    /// Longest name, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Checks `text`; `field` is its path in the request.
    pub fn parse(field: &str, text: &str) -> Result<SubscriptionName, Violation> {
        if text.is_empty() || text.len() > SubscriptionName::BYTES_MAX {
            return Err(Violation::new(
                field,
                format!("must have 1 to {} bytes", SubscriptionName::BYTES_MAX),
            ));
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        match text.chars().find(|c| !allowed(*c)) {
            Some(_) => Err(Violation::new(
                field,
                "must have lower-case letters, digits, '.', '_' and '-' only",
            )),
            None => Ok(SubscriptionName(text.into())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubscriptionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::SubscriptionName;

    #[test]
    fn names_of_64_plain_bytes_pass_and_all_else_is_refused() {
        let parse = |text: &str| SubscriptionName::parse("name", text);
        assert!(parse("siem-feed.1").is_ok());
        assert!(parse(&"a".repeat(64)).is_ok());
        for text in ["", "Upper", "a b", "a/b", "\u{e9}", &"a".repeat(65)] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
