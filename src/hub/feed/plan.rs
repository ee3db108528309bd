//! Which touches a pass looks at. A short pass looks at each. A long one first decides which sets of facets may matter to it, by
//! filter and by policy, and then looks only at the touches that are posted under those: what it costs follows from what it sends.
//!
//! It only leaves out touches that would come to nothing. What is sent, and where batches end, stays with the pass. A touch matters for
//! what was visible at `base` or is at `goal`. The one it is dealt with at made the version at `goal`, or made the one at `base`, or
//! replaced that one; the view posts a touch under the facets of what it made and of what it replaced.

use std::ops::Range;

use super::super::views::indicators::FacetsNumber;
use super::Limits;
use super::pass::Pass;

/// Touches that are listed at once, where they lie evenly: 64 KiB. With many sets of facets more, so that the search in each set is
/// shared by as many touches as there are sets.
const LISTED_TOUCHES: usize = 16_384;

/// For a pass of so many times more touches it pays to decide sets of facets first: deciding a set costs about what a touch does.
const SETS_PER_WALKED_TOUCH: u32 = 128;

/// What comes next.
pub(super) enum Next {
    /// This touch is to be looked at.
    Touch(u32),
    /// Nothing is left in this phase.
    End,
    /// The lock is to be let go before there is an answer.
    Later,
}

/// The touches of one pass.
pub(super) struct Plan {
    stage: Stage,
    /// Sets of facets that may matter. Grows to one number for each set at most.
    sets: Vec<FacetsNumber>,
    /// Touches posted under them in the whole pass.
    posted: usize,
    /// Of them those of one range, in order once listed.
    listed: Vec<u32>,
    range: Range<u32>,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Each touch.
    Walk,
    /// Decides sets of facets, from this one on.
    Choose(FacetsNumber, FacetsNumber),
    /// Takes from the sets what lies in the range, from this place on.
    Gather(usize),
    /// The list is complete but for its order.
    Sort,
    /// Goes through the list, from this place on.
    List(usize),
}

impl Plan {
    /// The plan of a pass.
    pub fn new(pass: &Pass<'_>, limits: &Limits) -> Plan {
        let sets = pass.facet_sets();
        let walked = limits.touches_walked_max;
        let is_short =
            pass.touches().len() as u32 <= walked.max(sets.min(walked.saturating_mul(SETS_PER_WALKED_TOUCH)));
        Plan {
            stage: match is_short || pass.looks_at_all() {
                true => Stage::Walk,
                false => Stage::Choose(0, sets),
            },
            sets: Vec::new(),
            posted: 0,
            listed: Vec::new(),
            range: 0..0,
        }
    }

    /// To be called without the lock: what takes long and needs nothing that is under it.
    pub fn sort(&mut self) {
        if matches!(self.stage, Stage::Sort) {
            self.listed.sort_unstable();
            // What replaces other facets is posted twice.
            self.listed.dedup();
            self.stage = Stage::List(0);
        }
    }

    /// The next touch from `scanned` on. Takes from `steps_left` for what it looks at itself.
    pub fn next(&mut self, pass: &Pass<'_>, scanned: u32, steps_left: &mut u32) -> Next {
        let goal = pass.touches().end;
        loop {
            match self.stage {
                Stage::Walk if scanned < goal => return Next::Touch(scanned),
                Stage::Walk => return Next::End,
                Stage::Choose(..) | Stage::Gather(_) if *steps_left == 0 => return Next::Later,
                Stage::Choose(next, end) => self.choose(pass, (next, end), scanned, steps_left),
                Stage::Gather(place) => self.gather(pass, place, steps_left),
                Stage::Sort => return Next::Later,
                Stage::List(place) => {
                    let passed = self.listed[place..]
                        .iter()
                        .take_while(|touch| **touch < scanned)
                        .count();
                    self.stage = Stage::List(place + passed);
                    match self.listed.get(place + passed) {
                        Some(touch) => return Next::Touch(*touch),
                        None if self.range.end >= goal => return Next::End,
                        None => self.begin_range(pass, self.range.end),
                    }
                }
            }
        }
    }

    /// Goes back to `scanned`, for the next phase.
    pub fn rewind(&mut self, pass: &Pass<'_>, scanned: u32) {
        match self.stage {
            Stage::Walk | Stage::Choose(..) => {}
            Stage::Gather(_) | Stage::Sort | Stage::List(_) => self.begin_range(pass, scanned),
        }
    }

    fn choose(&mut self, pass: &Pass<'_>, (next, end): (u32, u32), scanned: u32, steps_left: &mut u32) {
        let until = end.min(next.saturating_add(*steps_left));
        *steps_left -= until - next;
        for set in next..until {
            if pass.concerns(set) {
                let posted = pass.posted(set, &pass.touches()).len();
                self.posted += posted;
                if posted > 0 {
                    self.sets.push(set);
                }
            }
        }
        self.stage = Stage::Choose(until, end);
        if until == end {
            match self.posted > pass.touches().len() / 2 {
                // Most of all touches: to put them in order would cost more than to look at the others.
                true => {
                    self.sets = Vec::new();
                    self.stage = Stage::Walk;
                }
                false => self.begin_range(pass, scanned),
            }
        }
    }

    /// A range that holds as many touches as are listed at once, if they lie evenly. If they do not, it holds at most the square root
    /// of `LISTED_TOUCHES` times all touches: 400,000 of ten million.
    fn begin_range(&mut self, pass: &Pass<'_>, from: u32) {
        let goal = pass.touches().end;
        let wanted = LISTED_TOUCHES.max(self.sets.len()) as u64;
        let width = wanted * pass.touches().len() as u64 / (self.posted as u64).max(1);
        let to = u64::from(from).saturating_add(width).min(u64::from(goal)) as u32;
        self.range = from..to.max(from.saturating_add(1).min(goal));
        self.listed.clear();
        self.stage = Stage::Gather(0);
    }

    fn gather(&mut self, pass: &Pass<'_>, place: usize, steps_left: &mut u32) {
        let until = self.sets.len().min(place + *steps_left as usize);
        *steps_left -= (until - place) as u32;
        for set in &self.sets[place..until] {
            self.listed.extend_from_slice(pass.posted(*set, &self.range));
        }
        self.stage = match until == self.sets.len() {
            true => Stage::Sort,
            false => Stage::Gather(until),
        };
    }
}
