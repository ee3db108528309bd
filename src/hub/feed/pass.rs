//! One pass of a feed: what each touch comes to, asked of the fold's history at three moments (`base`, `goal` and now). It holds
//! nothing and sends nothing; the feed does both.

use std::cell::Cell;
use std::ops::Range;

use crate::domain::filter::Filter;
use crate::domain::id::IndicatorId;
use crate::domain::indicator::State;
use crate::domain::member::Viewer;
use crate::domain::policy::{self, Release, Subject};

use super::super::bodies::Found;
use super::super::cursor::{Phase, Position};
use super::super::digest::Digest;
use super::super::views::at_hand::AtHand;
use super::super::views::indicators::{FacetsNumber, Indicators, Record, RecordIndex, Version};
use super::super::views::roster::MemberRecord;
use super::super::views::sight::{Sight, Span};
use super::RemovalReason;

/// Touches looked at for the bodies that they take, where one is missing.
const TOUCHES_AHEAD: u32 = 256;

/// The moments of one pass, and who looks.
pub(super) struct Pass<'a> {
    indicators: &'a Indicators,
    filter: &'a Filter,
    bodies: &'a AtHand,
    member: &'a MemberRecord,
    at_base: Option<&'a Viewer>,
    at_goal: Option<&'a Viewer>,
    base: u32,
    goal: u32,
    again: bool,
    from_start: bool,
    phase: Phase,
    /// When earlier streams of a durable subscription may have brought what its cursor does not cover.
    earlier: Vec<Span>,
    untold: Cell<bool>,
}

/// An indicator that may be seen, in the version that was the newest when it was gathered.
#[derive(Clone)]
pub(super) struct Gathered {
    pub record: RecordIndex,
    version: u32,
    pub release: Release<Found>,
}

/// What a touch comes to for the subscriber.
pub(super) enum Change {
    Upsert(Gathered),
    Remove(IndicatorId, RemovalReason),
}

/// What a touch comes to in all.
#[derive(Default)]
pub(super) struct Dealt {
    pub change: Option<Change>,
    /// Something is left out for want of a right that the member had at `goal`; perhaps nothing but its return will tell of it.
    pub owes: bool,
    subtract: Option<(IndicatorId, u32)>,
    add: Option<(IndicatorId, u32)>,
}

impl Dealt {
    /// Brings the digest from what was visible at `base` to what is at `goal`.
    pub fn count(&self, digest: &mut Digest) {
        if let Some((id, revision)) = self.subtract {
            digest.subtract(id, revision);
        }
        if let Some((id, revision)) = self.add {
            digest.add(id, revision);
        }
    }
}

/// Whether a pass scans from the first touch: other rights reach back to everything that was published before, and so does what is
/// owed.
fn starts_over(member: &MemberRecord, position: &Position) -> bool {
    position.again || member.rights_changed(position.base..position.goal)
}

impl<'a> Pass<'a> {
    pub fn new(
        (indicators, bodies): (&'a Indicators, &'a AtHand),
        member: &'a MemberRecord,
        filter: &'a Filter,
        position: &Position,
        earlier: &[Span],
    ) -> Pass<'a> {
        let earlier = earlier
            .iter()
            .filter_map(|span| span.within(position.base, position.goal));
        let at = |ordinal| member.viewer_at(ordinal).map(|viewer| &**viewer);
        Pass {
            indicators,
            filter,
            bodies,
            member,
            at_base: at(position.base),
            at_goal: at(position.goal),
            base: position.base,
            goal: position.goal,
            again: position.again,
            from_start: starts_over(member, position),
            phase: position.phase,
            earlier: earlier.collect(),
            untold: Cell::new(false),
        }
    }

    /// The touch that each phase begins with. It follows from the position alone, so that a pass that is resumed begins its next
    /// phase where it would have.
    pub fn start(&self) -> u32 {
        if self.from_start { 0 } else { self.base }
    }

    /// The touches that each phase may look at.
    pub fn touches(&self) -> Range<u32> {
        self.start()..self.goal
    }

    /// Whether a touch may matter for another reason than what was visible at `base` or is at `goal`.
    pub fn looks_at_all(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// How many sets of facets there are.
    pub fn facet_sets(&self) -> FacetsNumber {
        self.indicators.facets().len()
    }

    /// Whether a version of these facets may have been visible at `base` or be at `goal`, in whatever state.
    pub fn concerns(&self, set: FacetsNumber) -> bool {
        let facets = self.indicators.facets();
        let class = facets.class(set);
        let may_see = |viewer: &Viewer| {
            State::ALL.into_iter().any(|state| {
                let subject = Subject {
                    publisher: class.publisher,
                    publisher_kind: class.publisher_kind,
                    state,
                    handling: &class.handling,
                };
                policy::evaluate(viewer, &subject, ()).is_some()
            })
        };
        [self.at_base, self.at_goal].into_iter().flatten().any(may_see)
            && (self.filter.is_all() || facets.passes(self.filter, set) != Some(false))
    }

    /// The touches posted under a set of facets, in a range.
    pub fn posted(&self, set: FacetsNumber, range: &Range<u32>) -> &'a [u32] {
        self.indicators.facets().postings(set).within(range)
    }

    /// What the touch `ordinal` comes to. Changes nothing, so it can be asked again.
    ///
    /// Each indicator is dealt with at one touch, and one that the member could see happen, or the order of what is sent would tell
    /// of others: what is visible at `goal` at its last one, what has gone at the first since `base`; or, if the member's rights
    /// changed on the way, where it was last visible.
    pub fn deal_with(&self, ordinal: u32) -> Dealt {
        let mut dealt = Dealt::default();
        let Some(index) = self.indicators.touched(ordinal) else {
            return dealt;
        };
        let record = self.indicators.record(index);
        let Some(at_goal) = record.at(self.goal) else {
            return dealt;
        };
        // The greater part of all touches: nothing to take back.
        if self.phase == Phase::Removals && record.published_at() >= self.base && self.earlier.is_empty() {
            return dealt;
        }
        let at_base = record.at(self.base);
        let goes_at = match at_base.filter(|_| self.from_start) {
            Some(version) => Some(version.ordinal),
            None => record.first_since(self.base).map(|version| version.ordinal),
        };
        if ordinal != at_goal.ordinal && Some(ordinal) != goes_at {
            return dealt;
        }
        let is = self.tells(self.at_goal, at_goal);
        if matches!((self.phase, is), (Phase::Removals, true) | (Phase::Upserts, false))
            || is && ordinal != at_goal.ordinal
            || !is && Some(ordinal) != goes_at
        {
            return dealt;
        }
        let was = at_base.filter(|version| self.tells(self.at_base, version));
        let changed = at_goal.ordinal >= self.base || was.is_some() != is;
        if changed {
            dealt.subtract = was.map(|version| (record.id, version.revision));
            dealt.add = is.then_some((record.id, at_goal.revision));
        }
        if is && (changed || self.again) {
            match self.release_now(index) {
                Some(release) => {
                    dealt.change = Some(Change::Upsert(release));
                    return dealt;
                }
                None => dealt.owes = self.lacks_right_to(at_goal),
            }
        }
        let is_held = match was {
            Some(_) => !is || changed || self.again,
            None => !is && self.may_have_come_before(record),
        };
        if is_held {
            dealt.change = Some(Change::Remove(record.id, self.removal_reason(record)));
        }
        dealt
    }

    /// What the touch `ordinal` took from a mirror in the middle of the pass `begun`, which ends where this one begins and may have sent
    /// what stands before the touch `sent`; none where the mirror cannot have it. Also whether a right was lost with it: then nothing
    /// tells of its return but a pass that sends everything again.
    pub fn gone_since(&self, begun: &Pass<'_>, sent: u32, ordinal: u32) -> Option<(Change, bool)> {
        let change = self.deal_with(ordinal).change?;
        let record = self.indicators.record(self.indicators.touched(ordinal)?);
        let at_base = record.at(self.base);
        let was_in_mirror = record
            .at(begun.base)
            .is_some_and(|version| begun.tells(begun.at_base, version));
        if begun.untold.get() {
            self.untold.set(true);
        }
        let was_sent = at_base.is_some_and(|version| version.ordinal < sent);
        let owes = at_base.is_some_and(|version| self.lacks_right_to(version));
        (was_in_mirror || was_sent || self.may_have_come_before(record)).then_some((change, owes))
    }

    /// What was gathered before, in its newest version. An error where it may not be seen any more: whether something is owed
    /// because of that.
    pub fn refreshed(&self, gathered: &Gathered) -> Result<Gathered, bool> {
        self.release_now(gathered.record).ok_or_else(|| {
            let record = self.indicators.record(gathered.record);
            let version = record.at(gathered.version + 1);
            version.is_some_and(|version| self.lacks_right_to(version))
        })
    }

    /// Whether something that was asked cannot be told any more, for it was erased: whether an indicator was in the mirror. Then the
    /// mirror cannot be brought to what it must be.
    pub fn is_untold(&self) -> bool {
        self.untold.get()
    }

    /// Whether a body was missing for what was asked last: then the answers do not count.
    pub fn is_short(&self) -> bool {
        self.bodies.is_short()
    }

    /// The same of the touch `touch`. Where one was missing, the touches after it are asked about as well, so that what they take is
    /// read with what this one takes.
    pub fn is_short_at(&self, touch: u32) -> bool {
        if self.is_short() {
            let ahead = touch + 1..self.goal.min(touch.saturating_add(TOUCHES_AHEAD));
            ahead.for_each(|touch| drop(self.deal_with(touch)));
        }
        self.is_short()
    }

    /// The newest version, if it may be seen now and passes the filter.
    fn release_now(&self, index: RecordIndex) -> Option<Gathered> {
        let record = self.indicators.record(index);
        let version = record.current;
        let found = Found::new(self.indicators, record, version);
        let release = policy::evaluate(self.member.viewer(), &self.indicators.subject(version), found)?;
        self.indicators
            .passes(self.filter, version, self.bodies)
            .then_some(Gathered {
                record: index,
                version: version.ordinal,
                release,
            })
    }

    /// Of a version that could be seen: whether it is a right that is missing now. What became of the indicator since must not be
    /// asked here, for without the right it is not the member's to know.
    fn lacks_right_to(&self, version: &Version) -> bool {
        !self.sees(Some(self.member.viewer()), version)
    }

    /// Whether an earlier stream may have brought the indicator after the moment that the cursor stands for: the line was out,
    /// and the program ended before it stored the cursor.
    fn may_have_come_before(&self, record: Record<'_>) -> bool {
        let sight = Sight {
            indicators: self.indicators,
            member: self.member,
            filter: self.filter,
            bodies: self.bodies,
        };
        self.earlier.iter().any(|span| sight.saw_within(record, *span))
    }

    /// As [`sees`](Pass::sees), where an answer that errs would make the mirror another.
    fn tells(&self, viewer: Option<&Viewer>, version: &Version) -> bool {
        let sees = self.sees(viewer, version);
        if sees && self.indicators.is_untold(self.filter, version) {
            self.untold.set(true);
        }
        sees
    }

    fn sees(&self, viewer: Option<&Viewer>, version: &Version) -> bool {
        let subject = self.indicators.subject(version);
        viewer.is_some_and(|viewer| policy::evaluate(viewer, &subject, ()).is_some())
            && self.indicators.passes(self.filter, version, self.bodies)
    }

    /// The end of an indicator's life is named to those only who saw it until that moment: what happens to it after it left the
    /// member's sight is not the member's to know, and what they held they are told of, whatever label it stood under.
    fn removal_reason(&self, record: Record<'_>) -> RemovalReason {
        let held = |(before, end): &(&Version, &Version)| {
            let viewer = self.member.viewer_at(end.ordinal);
            self.sees(viewer.map(|viewer| &**viewer), before)
        };
        match record.end().filter(held).map(|(_, end)| end.state()) {
            Some(State::Retracted | State::Erased) => RemovalReason::Retracted,
            Some(State::Expired) => RemovalReason::Expired,
            Some(State::Active | State::Embargoed) | None => RemovalReason::NoLongerVisible,
        }
    }
}
