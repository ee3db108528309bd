//! The view of the hub's runs on this log. A copy of the log that is taken back from a backup goes on otherwise than the log went on
//! after the backup was made; which run a moment belongs to tells the two apart.

use crate::domain::id::RunId;

use super::kept::kept_newtypes;

/// The view.
#[derive(Default)]
pub struct Runs(Vec<(u32, RunId)>);

impl Runs {
    /// Folds a start at the moment `ordinal`.
    pub fn start(&mut self, ordinal: u32, run: RunId) {
        self.0.push((ordinal, run));
    }

    /// The run that wrote the last touch before the moment `ordinal`. It never changes once the moment is past: what starts later
    /// writes later touches only.
    pub fn at(&self, ordinal: u32) -> RunId {
        let after = self.0.partition_point(|(since, _)| *since < ordinal);
        after.checked_sub(1).map(|last| self.0[last].1).unwrap_or_default()
    }
}

kept_newtypes!(Runs);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_belongs_to_the_run_that_wrote_what_led_to_it() {
        let mut runs = Runs::default();
        assert_eq!(runs.at(7), RunId::default());
        runs.start(3, RunId(1));
        runs.start(3, RunId(2));
        runs.start(5, RunId(3));
        for (moment, run) in [(0, 0), (3, 0), (4, 2), (5, 2), (6, 3), (u32::MAX, 3)] {
            assert_eq!(runs.at(moment), RunId(run), "{moment}");
        }
    }
}
