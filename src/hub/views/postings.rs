//! Postings: at which touches versions with certain facets came or went, in order.

use std::ops::Range;

/// Touches of one set of facets, oldest first.
#[derive(Default)]
pub struct Postings(Vec<u32>);

impl Postings {
    /// Makes room for some more at once.
    pub fn reserve(&mut self, count: usize) {
        if self.0.len() + count > self.0.capacity() {
            // No less than a list grows by itself, or a long one would be moved again and again.
            self.0.reserve_exact(count.max(self.0.len() / 4));
        }
    }

    /// Adds a touch, which is newer than all others.
    pub fn push(&mut self, touch: u32) {
        // Grows by a quarter: a `Vec` by itself would double, and most lists would lie half empty.
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(1 + self.0.len() / 4);
        }
        self.0.push(touch);
    }

    /// Those in a range.
    pub fn within(&self, range: &Range<u32>) -> &[u32] {
        let before = |end: u32| self.0.partition_point(|touch| *touch < end);
        // Most often the range reaches to the newest.
        let to = match self.0.last() {
            Some(newest) if *newest >= range.end => before(range.end),
            _ => self.0.len(),
        };
        let from = if range.start == 0 {
            0
        } else {
            before(range.start).min(to)
        };
        &self.0[from..to]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_touches_holds_its_start_and_not_its_end() {
        let mut postings = Postings::default();
        assert!(postings.within(&(0..9)).is_empty());
        for touch in [1, 4, 5, 8] {
            postings.push(touch);
        }
        for (range, expected) in [
            (0..9, &[1, 4, 5, 8][..]),
            (1..8, &[1, 4, 5]),
            (2..4, &[]),
            (4..5, &[4]),
            (8..9, &[8]),
            (9..20, &[]),
            (6..6, &[]),
        ] {
            assert_eq!(postings.within(&range), expected, "{range:?}");
        }
    }

    #[test]
    fn lists_lie_nearly_full() {
        let mut postings = Postings::default();
        (0..100_000).for_each(|touch| postings.push(touch));
        assert!(postings.0.capacity() <= 125_001);
    }
}
