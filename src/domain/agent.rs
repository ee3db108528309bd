//! The name of an agent: one credential of a member, a service or a person. It is written into certificates, paths and
//! logs, so its alphabet leaves nothing to escape anywhere. This file refuses everything else; it does not know what
//! an agent may do.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest agent name, in characters (all are ASCII, so also in bytes).
pub const AGENT_NAME_CHARS_MAX: usize = 63;

/// An agent's name, unique within its member: `[a-z0-9][a-z0-9._-]{0,62}`. The first character rules out `.` and `..`,
/// so a name is also safe as a folder of a profile. Each request and each entry names an agent, so copies share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentName(Arc<str>);

impl AgentName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentName({})", self.0)
    }
}

impl FromStr for AgentName {
    type Err = BadAgentName;

    fn from_str(text: &str) -> Result<Self, BadAgentName> {
        if text.is_empty() {
            return Err(BadAgentName::Empty);
        }
        if text.len() > AGENT_NAME_CHARS_MAX {
            return Err(BadAgentName::TooLong);
        }
        if !text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) {
            return Err(BadAgentName::FirstCharacter);
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        match text.chars().position(|c| !allowed(c)) {
            Some(position) => Err(BadAgentName::Character { position }),
            None => Ok(AgentName(text.into())),
        }
    }
}

/// Why a text is no agent name. The text itself is not repeated: it may be a peer's, and of any length.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadAgentName {
    /// Nothing was given.
    #[error("agent name: is empty")]
    Empty,
    /// More than [`AGENT_NAME_CHARS_MAX`].
    #[error("agent name: is longer than {AGENT_NAME_CHARS_MAX} characters")]
    TooLong,
    /// The first character is none of `a-z0-9`.
    #[error("agent name: must begin with one of a-z 0-9")]
    FirstCharacter,
    /// A later character is none of `a-z0-9._-`.
    #[error("agent name: character {} is none of a-z 0-9 . _ -", position + 1)]
    Character {
        /// Where, in characters from 0.
        position: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_safe_everywhere_pass_and_others_say_why() {
        let longest = "a".repeat(AGENT_NAME_CHARS_MAX);
        for name in ["a", "0", "feed-reader", "j.doe", "a_b", "x..y", longest.as_str()] {
            assert_eq!(name.parse::<AgentName>().unwrap().as_str(), name);
        }
        let too_long = "a".repeat(AGENT_NAME_CHARS_MAX + 1);
        for (name, reason) in [
            ("", BadAgentName::Empty),
            (too_long.as_str(), BadAgentName::TooLong),
            (".", BadAgentName::FirstCharacter),
            ("..", BadAgentName::FirstCharacter),
            ("-rf", BadAgentName::FirstCharacter),
            ("Admin", BadAgentName::FirstCharacter),
            ("é", BadAgentName::FirstCharacter),
            ("aB", BadAgentName::Character { position: 1 }),
            ("a/b", BadAgentName::Character { position: 1 }),
            ("a%2fb", BadAgentName::Character { position: 1 }),
            ("ab\n", BadAgentName::Character { position: 2 }),
            ("ab ", BadAgentName::Character { position: 2 }),
            ("a\0", BadAgentName::Character { position: 1 }),
        ] {
            assert_eq!(name.parse::<AgentName>(), Err(reason), "{name:?}");
        }
    }
}
