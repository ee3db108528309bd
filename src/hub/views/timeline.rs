//! The view of when touches were made and where their entries lie, roughly: one point for many. Views count time in touches and hold
//! no positions; whoever looks for old entries finds here where to look, and errs by some minutes or some thousand entries.

use std::ops::Range;

use crate::domain::id::{Seq, Timestamp};

use super::kept::{kept, kept_newtypes};

/// Entries between two points at most.
const ENTRIES_MAX: u64 = 4_096;

/// Time between two points, unless there are that many entries between them: so a year takes 50,000 points at most besides.
const SECS: i64 = 600;

/// The state before an entry.
#[derive(Clone, Copy)]
struct Point {
    seq: Seq,
    ordinal: u32,
    at: Timestamp,
}

/// The view.
#[derive(Default)]
pub struct Timeline(Vec<Point>);

impl Timeline {
    /// Folds that the entry at `seq`, written at `at`, comes at the moment `ordinal`.
    pub fn pass(&mut self, seq: Seq, ordinal: u32, at: Timestamp) {
        let is_far = |last: &Point| seq.0 >= last.seq.0 + ENTRIES_MAX || at >= last.at.plus_secs(SECS);
        if self.0.last().is_none_or(is_far) {
            self.0.push(Point { seq, ordinal, at });
        }
    }

    /// A moment before which all touches were made at `time` or before, but for clocks that were set back.
    pub fn ordinal_at(&self, time: Timestamp) -> u32 {
        let before = self.0.iter().rev().find(|point| point.at <= time);
        before.map_or(0, |point| point.ordinal)
    }

    /// Touches among which are all of the entries in `seqs`.
    pub fn ordinals(&self, seqs: &Range<Seq>) -> Range<u32> {
        let first = self
            .0
            .partition_point(|point| point.seq <= seqs.start)
            .saturating_sub(1);
        let after = self.0.partition_point(|point| point.seq < seqs.end);
        let ordinal = |place: usize| self.0.get(place).map(|point| point.ordinal);
        ordinal(first).unwrap_or_default()..ordinal(after).unwrap_or(u32::MAX)
    }

    /// Entries among which is the one that made a touch.
    pub fn seqs(&self, ordinal: u32) -> Range<Seq> {
        let after = self.0.partition_point(|point| point.ordinal <= ordinal);
        let seq = |place: usize| self.0.get(place).map(|point| point.seq);
        seq(after.saturating_sub(1)).unwrap_or_default()..seq(after).unwrap_or(Seq(u64::MAX))
    }
}

kept_newtypes!(Timeline);
kept! {
    Point { seq, ordinal, at }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every third entry makes two touches, and one comes a minute.
    fn timeline() -> (Timeline, Vec<(Seq, u32, Timestamp)>) {
        let (mut timeline, mut all, mut ordinal) = (Timeline::default(), Vec::new(), 0);
        for seq in 0..10_000u64 {
            let at = Timestamp(0).plus_secs(seq as i64 * 60);
            timeline.pass(Seq(seq), ordinal, at);
            all.push((Seq(seq), ordinal, at));
            ordinal += if seq % 3 == 0 { 2 } else { 0 };
        }
        (timeline, all)
    }

    #[test]
    fn touches_lie_where_it_says_and_are_as_old_as_it_says() {
        let (timeline, all) = timeline();
        for (seq, ordinal, at) in all.iter().copied().step_by(7) {
            let made = if seq.0 % 3 == 0 {
                ordinal..ordinal + 2
            } else {
                ordinal..ordinal
            };
            for touch in made.clone() {
                let seqs = timeline.seqs(touch);
                assert!(seqs.contains(&seq), "{touch} of {seq} in {seqs:?}");
            }
            let ordinals = timeline.ordinals(&(seq..seq.next()));
            assert!(
                ordinals.start <= made.start && made.end <= ordinals.end,
                "{seq} in {ordinals:?}"
            );
            assert!(timeline.ordinal_at(at) <= ordinal);
            assert!(timeline.ordinal_at(at.plus_secs(2 * SECS)) > ordinal || seq.0 > 9_900);
        }
        assert!(timeline.0.len() <= 1_001, "{} points", timeline.0.len());
        assert_eq!(timeline.ordinal_at(Timestamp(-1)), 0);
    }
}
