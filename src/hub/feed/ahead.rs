//! What goes before anything else where a feed is resumed in the middle of a pass: what was taken back since the pass began. The pass
//! itself goes on as it began, perhaps for millions of indicators, and only the next one would tell of it. What is told ahead is
//! told again by that pass: a removal may come twice, and the digest counts it once, in its place.

use super::super::cursor::{Phase, Position};
use super::super::views::indicators::Indicators;
use super::super::views::roster::MemberRecord;
use super::pass::Pass;
use super::{Feed, Step, earlier};

/// How far the look ahead has got: the next touch, and the head when it began.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    scanned: u32,
    head: u32,
}

/// Whether there is something to look ahead for.
#[derive(Clone, Copy)]
pub(super) enum Looking {
    /// The feed was opened in the middle of a pass.
    Due,
    /// Under way.
    At(Ahead),
    /// Nothing is left to tell ahead.
    Done,
}

impl Feed {
    /// Gathers what goes first, under one hold of the lock. Gives the step where the hold ends with it; none where the pass goes on.
    pub(super) fn look_ahead(
        &mut self,
        indicators: &Indicators,
        member: &MemberRecord,
        touches_left: &mut u32,
    ) -> Option<Step> {
        let mut ahead = match self.looking {
            Looking::Done => return None,
            Looking::At(ahead) => ahead,
            Looking::Due => Ahead {
                scanned: u32::MAX,
                head: indicators.ordinal(),
            },
        };
        let further = Position {
            base: self.position.goal,
            goal: ahead.head,
            phase: Phase::Removals,
            again: false,
            ..self.position
        };
        let begun = Pass::new((indicators, &self.bodies), member, &self.filter, &self.position, &[]);
        let further = Pass::new(
            (indicators, &self.bodies),
            member,
            &self.filter,
            &further,
            earlier(&self.durable),
        );
        if matches!(self.looking, Looking::Due) {
            ahead.scanned = further.start();
        }
        while ahead.scanned < ahead.head {
            if *touches_left == 0 {
                self.looking = Looking::At(ahead);
                return Some(Step::More);
            }
            *touches_left -= 1;
            let gone = further.gone_since(&begun, self.may_have_sent(), ahead.scanned);
            if further.is_short_at(ahead.scanned) {
                self.looking = Looking::At(ahead);
                return Some(Step::Short);
            }
            if further.is_untold() {
                return Some(Step::Untold);
            }
            if let Some((change, owes)) = gone {
                if self.filling.is_full_for(&change, &self.limits) {
                    self.looking = Looking::At(ahead);
                    return Some(Step::Full);
                }
                self.position.owed |= owes;
                self.filling.add(change, ahead.head);
            }
            ahead.scanned += 1;
        }
        self.looking = Looking::Done;
        // The pass may have a change of the same indicator.
        self.filling.close();
        None
    }

    /// The touch that is looked at, ahead or in the pass.
    pub(super) fn place(&self) -> u32 {
        match self.looking {
            Looking::At(ahead) => ahead.scanned,
            Looking::Due | Looking::Done => self.position.scanned,
        }
    }

    /// The touch before which the pass may have sent what is visible at its goal. Of a durable subscription more may be out than its
    /// cursor says: the line was out, and the program ended before it stored the next one.
    fn may_have_sent(&self) -> u32 {
        match (&self.durable, self.position.phase) {
            (Some(_), _) => u32::MAX,
            (None, Phase::Removals) => 0,
            (None, Phase::Upserts | Phase::Both) => self.position.scanned,
        }
    }
}
