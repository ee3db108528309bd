//! The accounting of an import, whose sum must add up: rows = accepted + duplicate + rejected + skipped (+ unsent, where the
//! import was cut short).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Context;
use super::Failure;
use crate::cli::output::plain;
use crate::import::Class;

/// Counts of files and rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Files read.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// New on the hub.
    pub accepted: u64,
    /// Already on the hub, or twice in the files.
    pub duplicate: u64,
    /// Looks like an indicator and is none, or the hub refused it.
    pub rejected: u64,
    /// Separators, prose, empty cells.
    pub skipped: u64,
    /// Rows of each class.
    pub by_class: BTreeMap<&'static str, u64>,
    /// How many of those accepted stand on each warning list.
    pub warnings: BTreeMap<String, u64>,
    /// Files that could not be read, and why.
    pub unreadable: Vec<(String, String)>,
    /// Files found in directories that are no reports.
    pub ignored: Vec<String>,
}

impl Summary {
    /// One more file.
    pub fn add_file(&mut self) {
        self.files += 1;
    }

    /// One more row, whatever becomes of it.
    pub fn add_row(&mut self, class: Class) {
        self.rows += 1;
        *self.by_class.entry(class.name()).or_default() += 1;
    }

    /// One more new on the hub, with the warning lists that it stands on.
    pub fn add_accepted(&mut self, warnings: Vec<String>) {
        self.accepted += 1;
        for list in warnings {
            *self.warnings.entry(list).or_default() += 1;
        }
    }

    /// Rows of which the end is not known.
    pub fn unsent(&self) -> u64 {
        self.rows - (self.accepted + self.duplicate + self.rejected + self.skipped)
    }

    /// As scripts read it.
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "files": self.files,
            "rows": self.rows,
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "rejected": self.rejected,
            "skipped": self.skipped,
            "by_class": self.by_class,
        });
        if self.unsent() > 0 {
            value["unsent"] = json!(self.unsent());
        }
        if !self.warnings.is_empty() {
            value["warnings"] = json!(self.warnings);
        }
        if !self.unreadable.is_empty() {
            let files = self
                .unreadable
                .iter()
                .map(|(file, reason)| json!({"file": file, "reason": reason}));
            value["unreadable"] = files.collect();
        }
        if !self.ignored.is_empty() {
            value["ignored"] = json!(self.ignored);
        }
        value
    }

    /// As a person reads it.
    pub fn to_text(&self) -> String {
        let classes: Vec<String> = self
            .by_class
            .iter()
            .map(|(class, count)| format!("{count} {class}"))
            .collect();
        let unsent = if self.unsent() > 0 {
            format!(", {} unsent", self.unsent())
        } else {
            String::new()
        };
        format!(
            "{} files, {} rows: {} accepted, {} duplicate, {} rejected, {} skipped{unsent}\nby class: {}",
            self.files,
            self.rows,
            self.accepted,
            self.duplicate,
            self.rejected,
            self.skipped,
            classes.join(", ")
        )
    }

    /// Says which files were not read, and what may be there by mistake.
    pub fn explain(&self, context: &Context) {
        for (file, reason) in &self.unreadable {
            context.output.note(&format!("{}: {}", plain(file), plain(reason)));
        }
        for file in &self.ignored {
            context.output.note(&format!("{}: no report, ignored", plain(file)));
        }
        for (list, count) in &self.warnings {
            let list = plain(list);
            context.output.note(&format!(
                "warning: {count} of the accepted stand on the list {list:?}; are they false positives?"
            ));
        }
    }

    /// The exit code: a file that could not be read counts as a rejected item.
    pub fn ending(&self) -> Result<(), Failure> {
        match (self.files, self.rejected, self.unreadable.is_empty()) {
            (0, _, _) => Err(Failure::Failed("no report was read".to_owned())),
            (_, 0, true) => Ok(()),
            _ => Err(Failure::Partly),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_adds_up_and_what_is_missing_is_named() {
        let mut summary = Summary::default();
        summary.add_file();
        for class in [Class::Indicator, Class::Indicator, Class::Malformed, Class::Separator] {
            summary.add_row(class);
        }
        (summary.accepted, summary.rejected, summary.skipped) = (1, 1, 1);
        assert_eq!(summary.to_json()["unsent"], 1);
        summary.duplicate = 1;
        let expected = json!({"files": 1, "rows": 4, "accepted": 1, "duplicate": 1, "rejected": 1, "skipped": 1,
            "by_class": {"indicator": 2, "malformed": 1, "separator": 1}});
        assert_eq!(summary.to_json(), expected);
        assert!(matches!(summary.ending(), Err(Failure::Partly)));
    }

    #[test]
    fn what_stands_on_a_list_is_counted_and_is_accepted_all_the_same() {
        let mut summary = Summary::default();
        (0..3).for_each(|_| summary.add_row(Class::Indicator));
        summary.add_accepted(vec![]);
        assert_eq!(summary.to_json().get("warnings"), None);
        summary.add_accepted(vec!["Popular".into()]);
        summary.add_accepted(vec!["Popular".into(), "Banks".into()]);
        let value = summary.to_json();
        assert_eq!(
            (&value["accepted"], &value["warnings"]),
            (&json!(3), &json!({"Banks": 1, "Popular": 2}))
        );
    }

    #[test]
    fn the_exit_code_tells_all_some_and_none() {
        let mut summary = Summary::default();
        assert!(matches!(summary.ending(), Err(Failure::Failed(_))));
        summary.add_file();
        assert!(summary.ending().is_ok());
        summary.unreadable.push(("x".into(), "y".into()));
        assert!(matches!(summary.ending(), Err(Failure::Partly)));
    }
}
