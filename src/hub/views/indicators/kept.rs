//! The view of indicators in a snapshot.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use super::super::copying::Copying;
use super::super::facets::FacetSets;
use super::super::kept::{Kept, kept};
use super::super::numbers::Numbers;
use super::super::record::{Due, NO_RECORD, RecordIndex, Row, Version};
use super::super::rows::Rows;
use super::super::snapshot::{Part, Reading, UNREADABLE};
use super::{Indicators, Publisher, ROSTER_TOUCH};
use crate::domain::id::MemberId;
use crate::hub::given::{DigestKeys, GivenKeys, GivenMap, digest_keys};
use crate::log::Refusal;
use crate::log::bodies::Bodies;

kept! {
    Publisher { active, brought }
}

/// What of the view is neither a list nor held of a record.
pub type Rest = (GivenMap<MemberId, Publisher>, bool);

/// What is held of each record: its row, its older versions, and when it changes by itself.
type OfRecords = (
    Rows<Row>,
    GivenMap<RecordIndex, Vec<Version>>,
    GivenMap<RecordIndex, Due>,
);

impl Indicators {
    /// Copies what is a list, but for the records.
    pub fn copy(&self, copying: &mut Copying) {
        let Indicators {
            // Copied as records.
            rows: _,
            past: _,
            due_of: _,
            facets,
            touches,
            // A file of its own.
            bodies: _,
            // Derived.
            observable_keys: _,
            id_keys: _,
            by_id: _,
            by_observable: _,
            due: _,
            // See [`Indicators::keep_rest`].
            publishers: _,
            has_networks: _,
            // Empty but within a fold.
            late: _,
        } = self;
        facets.copy(copying);
        copying.list(Part::Touches, |number| touches.chunk(number));
    }

    /// A chunk of the records.
    pub fn chunk(&self, number: usize) -> Option<&[Row]> {
        self.rows.chunk(number)
    }

    /// One record as it is held.
    pub fn row(&self, index: RecordIndex) -> &Row {
        self.rows.at(index)
    }

    /// Older versions of a record; none where there are none.
    pub fn past(&self, index: RecordIndex, row: &Row) -> Option<&Vec<Version>> {
        self.past.get(&index).filter(|_| row.current.marks.has_older())
    }

    /// When a record changes by itself.
    pub fn due(&self, index: RecordIndex) -> Option<Due> {
        self.due_of.get(&index).copied()
    }

    /// Keeps what is neither a list nor held of a record.
    pub fn keep_rest(&self, out: &mut Vec<u8>) {
        self.publishers.keep(out);
        self.has_networks.keep(out);
    }

    /// Takes what [`Indicators::keep_rest`] kept.
    pub fn take_rest(rest: &mut &[u8]) -> Option<Rest> {
        Kept::take(rest)
    }

    /// The view in a snapshot.
    pub fn load(
        from: &Reading<'_>,
        bodies: Bodies,
        (rows, past, due_of): OfRecords,
        (publishers, has_networks): Rest,
    ) -> Result<Indicators, Refusal> {
        let (observable_keys, id_keys) = (digest_keys(), GivenKeys::default());
        let (by_id, by_observable) = index(&rows, &observable_keys, &id_keys).ok_or(UNREADABLE)?;
        let mut indicators = Indicators {
            facets: FacetSets::load(from)?,
            touches: from.rows(Part::Touches)?,
            due: due_of
                .iter()
                .map(|(index, due)| (due.at, *index))
                .collect::<BTreeSet<_>>(),
            rows,
            past,
            bodies,
            observable_keys,
            id_keys,
            by_id,
            by_observable,
            due_of,
            publishers,
            has_networks,
            late: Vec::new(),
        };
        indicators.post_all().ok_or(UNREADABLE)?;
        Ok(indicators)
    }

    /// Notes all touches at the sets of facets that came or went with them, as they were noted when they came about.
    fn post_all(&mut self) -> Option<()> {
        let Indicators {
            rows,
            past,
            facets,
            touches,
            ..
        } = self;
        for (touch, index) in (0..).zip(touches.iter()) {
            if *index == ROSTER_TOUCH {
                continue;
            }
            if *index as usize >= rows.len() {
                return None;
            }
            let current = &rows.at(*index).current;
            let older = match current.marks.has_older() {
                true => past.get(index).map(Vec::as_slice).unwrap_or_default(),
                false => &[],
            };
            let place = older.partition_point(|version| version.ordinal < touch);
            let made = older.get(place).unwrap_or(current);
            let before = place.checked_sub(1).map(|before| older[before].facets);
            let is_one = made.ordinal == touch && made.facets < facets.len();
            if !is_one {
                return None;
            }
            facets.post(made.facets, touch);
            if let Some(before) = before.filter(|before| *before != made.facets) {
                facets.post(before, touch);
            }
        }
        Some(())
    }
}

/// The indexes of ids and of observables, each on a thread of its own.
fn index(rows: &Rows<Row>, observable_keys: &DigestKeys, id_keys: &GivenKeys) -> Option<(Numbers, Numbers)> {
    let of_id = |row: &Row| id_keys.hash_one(row.id);
    let of_observable = |row: &Row| observable_keys.hash_one(row.observable);
    // Of the records of one observable the newest is in the index: the one that no other goes on to.
    let mut is_older = vec![false; rows.len()];
    for row in rows.iter().filter(|row| row.next_of_observable != NO_RECORD) {
        *is_older.get_mut(row.next_of_observable as usize)? = true;
    }
    let observables = is_older.iter().filter(|is_older| !**is_older).count();
    Some(std::thread::scope(|scope| {
        let by_id = scope.spawn(|| {
            let hashed = rows.iter().map(of_id).zip(0..);
            Numbers::of(rows.len(), hashed, |number| of_id(rows.at(number)))
        });
        let newest = rows.iter().zip(0..).filter(|(_, number)| !is_older[*number as usize]);
        let hashed = newest.map(|(row, number)| (of_observable(row), number));
        let by_observable = Numbers::of(observables, hashed, |number| of_observable(rows.at(number)));
        match by_id.join() {
            Ok(by_id) => (by_id, by_observable),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }))
}
