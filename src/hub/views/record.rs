//! One indicator as the view holds it: a row of fixed size, and older versions for the few that have any.

use crate::domain::id::{IndicatorId, ObservableId, Timestamp};
use crate::domain::indicator::{Confidence, State};
use crate::log::bodies::BodyNumber;

use super::facets::FacetsNumber;
use super::kept::{kept, kept_newtypes};

/// Index of a record.
pub type RecordIndex = u32;

/// End of a chain of records of one observable.
pub const NO_RECORD: RecordIndex = u32::MAX;

/// One indicator between two changes.
#[derive(Clone, Copy)]
pub struct Version {
    /// The touch that made it.
    pub ordinal: u32,
    /// The indicator's revision.
    pub revision: u32,
    /// What filters and policy ask of it, but for its confidence, value and state.
    pub facets: FacetsNumber,
    /// As it is sent to readers, without state and audience.
    pub body: BodyNumber,
    /// How long that is.
    pub body_size: BodySize,
    /// How sure the publisher is.
    pub confidence: Confidence,
    /// Where it stands in its life, and what is said in one bit each.
    pub marks: Marks,
}

impl Version {
    /// Where it stands in its life.
    pub fn state(&self) -> State {
        self.marks.state()
    }
}

/// A state and two bits, in one byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marks(u8);

impl Marks {
    const INDEPENDENT: u8 = 1 << 7;
    const OLDER: u8 = 1 << 6;

    /// Of a version that replaces none. `independent` says that the publisher saw it itself.
    pub fn new(state: State, independent: bool) -> Marks {
        let independent = if independent { Marks::INDEPENDENT } else { 0 };
        Marks(independent).in_state(state)
    }

    /// The same in another state.
    pub fn in_state(self, state: State) -> Marks {
        Marks(self.0 & (Marks::INDEPENDENT | Marks::OLDER) | state as u8)
    }

    /// The same of a version that replaces one.
    pub fn with_older(self) -> Marks {
        Marks(self.0 | Marks::OLDER)
    }

    /// The state.
    pub fn state(self) -> State {
        let place = usize::from(self.0 & !(Marks::INDEPENDENT | Marks::OLDER));
        // What is put in is one of them.
        State::ALL.get(place).copied().unwrap_or(State::Erased)
    }

    /// Whether the publisher says that it saw it itself.
    pub fn is_independent(self) -> bool {
        self.0 & Marks::INDEPENDENT != 0
    }

    /// Whether there is an older version.
    pub fn has_older(self) -> bool {
        self.0 & Marks::OLDER != 0
    }
}

/// The length of a body in steps of four bytes, rounded up: as exactly as the bounds of batches need it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodySize(u16);

impl BodySize {
    const STEP_BYTES: usize = 4;

    /// The size of a body. The log's entries are bounded at half of what this can say.
    pub fn of(body: &[u8]) -> BodySize {
        BodySize(u16::try_from(body.len().div_ceil(BodySize::STEP_BYTES)).unwrap_or(u16::MAX))
    }

    /// In bytes.
    pub fn bytes(self) -> usize {
        usize::from(self.0) * BodySize::STEP_BYTES
    }
}

/// What is held of each indicator. There may be ten million: each byte here is ten megabytes.
pub struct Row {
    /// Its id.
    pub id: IndicatorId,
    /// What it speaks of.
    pub observable: ObservableId,
    /// The record before it that speaks of the same.
    pub next_of_observable: RecordIndex,
    /// The newest version.
    pub current: Version,
}

const _: () = assert!(size_of::<Row>() <= 56);

/// When a record changes by itself.
#[derive(Clone, Copy)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// When it expires, where `at` is the end of its embargo.
    pub expires_at: Option<Timestamp>,
}

/// One indicator.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// Its id.
    pub id: IndicatorId,
    /// What it speaks of.
    pub observable: ObservableId,
    /// The newest version.
    pub current: &'a Version,
    /// Older ones, oldest first.
    past: &'a [Version],
}

impl<'a> Record<'a> {
    /// The record in `row`, with its older versions, oldest first.
    pub fn new(row: &'a Row, past: &'a [Version]) -> Record<'a> {
        Record {
            id: row.id,
            observable: row.observable,
            current: &row.current,
            past,
        }
    }

    /// The version that held at `ordinal`, none before publication.
    pub fn at(&self, ordinal: u32) -> Option<&'a Version> {
        match self.current.ordinal < ordinal {
            true => Some(self.current),
            false => self.past.iter().rev().find(|version| version.ordinal < ordinal),
        }
    }

    /// The touch that published it.
    pub fn published_at(&self) -> u32 {
        self.past.first().unwrap_or(self.current).ordinal
    }

    /// All versions, newest first.
    pub fn versions(&self) -> impl Iterator<Item = &'a Version> + use<'a> {
        std::iter::once(self.current).chain(self.past.iter().rev())
    }

    /// The first version made at `ordinal` or later.
    pub fn first_since(&self, ordinal: u32) -> Option<&'a Version> {
        self.versions().take_while(|version| version.ordinal >= ordinal).last()
    }

    /// Where its life is over: the last version before the end, and the one that ended it (the expiry, where it was retracted
    /// after that).
    pub fn end(&self) -> Option<(&'a Version, &'a Version)> {
        let over = |version: &&Version| !matches!(version.state(), State::Active | State::Embargoed);
        let end = self.versions().take_while(over).last()?;
        Some((self.at(end.ordinal)?, end))
    }
}

kept_newtypes!(BodySize, Marks);
kept! {
    Row { id, observable, next_of_observable, current }
    Due { at, expires_at }
    Version { ordinal, revision, facets, body, body_size, confidence, marks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_hold_each_state_and_each_bit_by_itself() {
        for state in State::ALL {
            for independent in [false, true] {
                let first = Marks::new(state, independent);
                let next = first.with_older();
                assert_eq!((first.has_older(), next.has_older()), (false, true));
                for marks in [first, next] {
                    assert_eq!((marks.state(), marks.is_independent()), (state, independent));
                }
                for other in State::ALL {
                    let changed = next.in_state(other);
                    assert_eq!(changed.state(), other);
                    assert!(changed.has_older() && changed.is_independent() == independent);
                }
            }
        }
    }
}
