//! The view of indicators in a snapshot.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::super::facets::FacetSets;
use super::super::kept::kept;
use super::super::numbers::Numbers;
use super::super::record::{NO_RECORD, RecordIndex, Row};
use super::super::rows::Rows;
use super::super::snapshot::{Reading, Sections, UNREADABLE};
use super::{Due, Indicators, Publisher};
use crate::hub::given::{GivenKeys, GivenMap};
use crate::log::bodies::{Bodies, BodiesOptions};
use crate::log::{DiskError, Refusal};

kept! {
    Due { at, expires_at }
    Publisher { active, brought }
}

impl Indicators {
    /// Adds the view to a snapshot. False where the bodies are not all in their file, and so no snapshot is to be made.
    pub fn keep(&self, out: &mut Sections) -> Result<bool, DiskError> {
        let Indicators {
            rows,
            past,
            bodies,
            facets,
            touches,
            keys: _,
            id_keys: _,
            by_id: _,
            by_observable: _,
            due: _,
            due_of,
            publishers,
            has_networks,
            late: _,
        } = self;
        let mut saved = Vec::new();
        if !bodies.save(out.is_durable(), &mut saved)? {
            return Ok(false);
        }
        out.bytes(&saved)?;
        out.list(rows)?;
        out.one(past)?;
        facets.keep(out)?;
        out.list(touches)?;
        out.one(due_of)?;
        out.one(publishers)?;
        out.one(has_networks)?;
        Ok(true)
    }

    /// The view in a snapshot, with its bodies in the file `bodies_path`.
    pub fn load(from: &mut Reading<'_>, bodies_path: &Path, options: BodiesOptions) -> Result<Indicators, Refusal> {
        let bodies = Bodies::load(bodies_path, options, from.bytes()?).ok_or(Refusal::Damaged(
            "the file of the bodies is not the one that it speaks of",
        ))?;
        let rows = from.list()?;
        let past = from.one()?;
        let facets = FacetSets::load(from)?;
        let touches = from.list()?;
        let due_of: GivenMap<RecordIndex, Due> = from.one()?;
        let publishers = from.one()?;
        let has_networks = from.one()?;
        let (keys, id_keys) = (RandomState::new(), GivenKeys::default());
        let (by_id, by_observable) = index(&rows, &keys, &id_keys).ok_or(UNREADABLE)?;
        let due: BTreeSet<_> = due_of.iter().map(|(index, due)| (due.at, *index)).collect();
        Ok(Indicators {
            rows,
            past,
            bodies,
            facets,
            touches,
            keys,
            id_keys,
            by_id,
            by_observable,
            due,
            due_of,
            publishers,
            has_networks,
            late: Vec::new(),
        })
    }
}

/// The indexes of ids and of observables, each on a thread of its own.
fn index(rows: &Rows<Row>, keys: &RandomState, id_keys: &GivenKeys) -> Option<(Numbers, Numbers)> {
    let of_id = |row: &Row| id_keys.hash_one(row.id);
    let of_observable = |row: &Row| keys.hash_one(row.observable);
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
