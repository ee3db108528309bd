//! What the demo verified, for the program that runs it.

use std::time::Duration;

use serde_json::{Value, json};

/// Statements that hold or do not.
#[derive(Default)]
pub struct Checks {
    checks: Vec<(String, bool, String)>,
    members: Vec<Value>,
}

impl Checks {
    /// One more statement; `detail` says what was seen.
    pub fn add(&mut self, statement: &str, holds: bool, detail: impl Into<String>) {
        self.checks.push((statement.to_owned(), holds, detail.into()));
    }

    /// What a member was to see and what it sees.
    pub fn add_member(&mut self, name: &str, kind: &str, expected: usize, seen: usize, holds: bool) {
        self.members
            .push(json!({"name": name, "kind": kind, "expected": expected, "seen": seen, "ok": holds}));
        self.add(
            &format!("{name} sees what policy grants, and nothing else"),
            holds,
            format!("{seen} of {expected}"),
        );
    }

    /// Whether everything holds. Nothing checked is not "everything holds".
    pub fn all_hold(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|(_, holds, _)| *holds)
    }

    /// The summary.
    pub fn to_json(&self, took: Duration) -> Value {
        let checks = self
            .checks
            .iter()
            .map(|(name, holds, detail)| json!({"name": name, "ok": holds, "detail": detail}));
        json!({
            "ok": self.all_hold(),
            "members": self.members,
            "checks": checks.collect::<Vec<_>>(),
            "seconds": (took.as_secs_f64() * 1000.0).round() / 1000.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_all_and_nothing_checked_is_a_failure() {
        let mut checks = Checks::default();
        assert!(!checks.all_hold());
        checks.add("a", true, "");
        assert!(checks.all_hold());
        checks.add_member("m", "platform", 2, 3, false);
        assert!(!checks.all_hold());
        assert_eq!(checks.to_json(Duration::ZERO)["ok"], false);
    }
}
