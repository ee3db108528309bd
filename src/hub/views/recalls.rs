//! The view of recalls: at which touches publishers took something back. From whom follows from the subscriptions' positions, so
//! it holds no more than a few bytes for each taking back, however many hold the indicator.

use std::collections::HashMap;

use crate::domain::filter::Filter;
use crate::domain::id::{MemberId, Timestamp};
use crate::domain::indicator::State;

use super::at_hand::AtHand;
use super::copying::Copying;
use super::indicators::{Indicators, Record, RecordIndex};
use super::kept::kept;
use super::roster::Roster;
use super::rows::CHUNK_ROWS;
use super::sight::Sight;
use super::snapshot::{Part, Reading};
use crate::log::Refusal;

/// One taking back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recalled {
    /// The touch.
    pub touch: u32,
    /// When it was written.
    pub at: Timestamp,
    /// Whether it was a retraction; else narrower handling.
    pub is_retraction: bool,
}

/// How many a publisher wrote of late.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recent {
    /// In all.
    pub recalled: u64,
    /// Of them, retractions.
    pub retracted: u64,
}

/// The view.
#[derive(Default)]
pub struct Recalls {
    all: Vec<Recalled>,
    by_publisher: HashMap<MemberId, Vec<Recalled>>,
}

impl Recalls {
    /// Folds the change of the indicator at `index` that has just been applied: remembers it where it took the indicator back
    /// from somebody. A retraction always counts; another handling only if some member sees it no more.
    pub fn fold(&mut self, indicators: &Indicators, roster: &Roster, index: RecordIndex, at: Timestamp) {
        let record = indicators.record(index);
        let (publisher, touch) = (indicators.class(record.current).publisher, record.current.ordinal);
        let is_retraction = record.current.state() == State::Retracted;
        let is_other = |before| !indicators.is_handled_alike(before, record.current);
        let takes_back =
            is_retraction || record.at(touch).is_some_and(is_other) && is_lost(indicators, roster, record, touch);
        if takes_back {
            let recalled = Recalled {
                touch,
                at,
                is_retraction,
            };
            self.all.push(recalled);
            self.by_publisher.entry(publisher).or_default().push(recalled);
        }
    }

    /// Copies all of them.
    pub fn copy(&self, copying: &mut Copying) {
        let Recalls {
            all,
            // Derived.
            by_publisher: _,
        } = self;
        copying.list(Part::Recalls, |number| all.chunks(CHUNK_ROWS).nth(number));
    }

    /// The view in a snapshot. None where something else was taken back than an indicator.
    pub fn load(from: &Reading<'_>, indicators: &Indicators) -> Result<Option<Recalls>, Refusal> {
        let all: Vec<Recalled> = from.rows(Part::Recalls)?.into_vec();
        let mut by_publisher: HashMap<MemberId, Vec<Recalled>> = HashMap::new();
        for recalled in &all {
            let Some(publisher) = indicators.publisher_at(recalled.touch) else {
                return Ok(None);
            };
            by_publisher.entry(publisher).or_default().push(*recalled);
        }
        Ok(Some(Recalls { all, by_publisher }))
    }

    /// What was taken back at a touch.
    pub fn at(&self, touch: u32) -> Option<Recalled> {
        self.since(touch).first().copied().filter(|one| one.touch == touch)
    }

    /// Who ever took something back.
    pub fn publishers(&self) -> Vec<MemberId> {
        self.by_publisher.keys().copied().collect()
    }

    /// All of them at or after a touch, oldest first.
    pub fn since(&self, touch: u32) -> &[Recalled] {
        since(&self.all, touch)
    }

    /// One publisher's at or after a touch, oldest first.
    pub fn of_publisher_since(&self, publisher: MemberId, touch: u32) -> &[Recalled] {
        self.by_publisher
            .get(&publisher)
            .map(|recalled| since(recalled, touch))
            .unwrap_or_default()
    }

    /// How many a publisher wrote after `moment`.
    pub fn count_after(&self, publisher: MemberId, moment: Timestamp) -> Recent {
        let recalled = self.by_publisher.get(&publisher).map(Vec::as_slice).unwrap_or_default();
        let mut recent = Recent::default();
        for one in recalled.iter().rev().take_while(|one| one.at > moment) {
            recent.recalled += 1;
            recent.retracted += u64::from(one.is_retraction);
        }
        recent
    }
}

/// Whether the change `touch` took the indicator from a member that does not own it.
fn is_lost(indicators: &Indicators, roster: &Roster, record: Record<'_>, touch: u32) -> bool {
    let publisher = indicators.class(record.current).publisher;
    // What was lost is asked of policy alone.
    let (filter, bodies) = (&Filter::default(), &AtHand::collecting(&indicators.bodies()));
    let mut others = roster.members().filter(|member| member.id != publisher);
    others.any(|member| {
        let sight = Sight {
            indicators,
            member,
            filter,
            bodies,
        };
        sight.lost_by(record, touch)
    })
}

fn since(recalled: &[Recalled], touch: u32) -> &[Recalled] {
    &recalled[recalled.partition_point(|one| one.touch < touch)..]
}

kept! {
    Recalled { touch, at, is_retraction }
}
