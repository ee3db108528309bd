//! The view of indicators in a snapshot.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::copying::Copying;
use super::super::facets::{FacetSets, FacetsNumber};
use super::super::kept::{Kept, kept};
use super::super::numbers::{Numbers, Room};
use super::super::parallel::joined;
use super::super::record::{Due, NO_RECORD, RecordIndex, Row, Version};
use super::super::rows::{CHUNK_ROWS, Rows};
use super::super::snapshot::{Part, Reading, UNREADABLE};
use super::{Indicators, Publisher, ROSTER_TOUCH, hash_of};
use crate::domain::id::{MemberId, ObservableId};
use crate::hub::given::{DigestKeys, GivenKeys, GivenMap, digest_keys};
use crate::log::Refusal;
use crate::log::bodies::Bodies;

kept! {
    Publisher { active, brought }
}

/// What of the view is neither a list nor held of a record.
pub type Rest = (GivenMap<MemberId, Publisher>, bool);

/// Older versions of records, oldest first.
type Past = GivenMap<RecordIndex, Vec<Version>>;

/// What is held of each record: its row, its older versions, and when it changes by itself.
type OfRecords = (Rows<Row>, Past, GivenMap<RecordIndex, Due>);

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
        let (indexes, posted) = std::thread::scope(|scope| {
            let posted = scope.spawn(|| post(from, &rows, &past));
            (index(&rows, &observable_keys, &id_keys), joined(posted))
        });
        let ((by_id, by_observable), (facets, touches)) = (indexes.ok_or(UNREADABLE)?, posted?);
        Ok(Indicators {
            facets,
            touches,
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
        })
    }
}

/// The touches of a snapshot, and its sets of facets with all touches noted that versions of them came or went with, as they were
/// noted when they came about.
fn post(from: &Reading<'_>, rows: &Rows<Row>, past: &Past) -> Result<(FacetSets, Rows<RecordIndex>), Refusal> {
    let mut facets = FacetSets::load(from)?;
    let touches: Rows<RecordIndex> = from.rows(Part::Touches)?;
    let (mut posts, mut counts) = (Vec::new(), vec![0; facets.len() as usize]);
    for (number, chunk) in touches.chunks().enumerate() {
        let first = (number * CHUNK_ROWS) as u32;
        for (touch, index) in (first..).zip(chunk).filter(|(_, index)| **index != ROSTER_TOUCH) {
            let row = rows.get(*index).ok_or(UNREADABLE)?;
            let (made, before) = change(row, *index, past, touch).ok_or(UNREADABLE)?;
            let gone = before.filter(|before| *before != made);
            for set in std::iter::once(made).chain(gone) {
                *counts.get_mut(set as usize).ok_or(UNREADABLE)? += 1;
                posts.push((set, touch));
            }
        }
        for (set, touch) in posts.drain(..) {
            // At the first of a set there is made room for all of the chunk: lists that grow one by one are moved more than filled.
            match std::mem::take(&mut counts[set as usize]) {
                0 => {}
                count => facets.reserve_posts(set, count),
            }
            facets.post(set, touch);
        }
    }
    Ok((facets, touches))
}

/// The set of facets of the version that a touch made, and that of the version before it.
fn change(row: &Row, index: RecordIndex, past: &Past, touch: u32) -> Option<(FacetsNumber, Option<FacetsNumber>)> {
    let current = &row.current;
    let older = match current.marks.has_older() {
        true => past.get(&index).map(Vec::as_slice).unwrap_or_default(),
        false => &[],
    };
    let place = older.partition_point(|version| version.ordinal < touch);
    let made = older.get(place).unwrap_or(current);
    let before = place.checked_sub(1).map(|before| older[before].facets);
    (made.ordinal == touch).then_some((made.facets, before))
}

/// The indexes of ids and of observables. None where a record goes on to one that there is not.
fn index(rows: &Rows<Row>, observable_keys: &DigestKeys, id_keys: &GivenKeys) -> Option<(Numbers, Numbers)> {
    // Of the records of one observable the newest is in the index: the one that no other goes on to. What is erased is in none.
    let left_out = Flags::none(rows.len());
    let (mut room, of_id) = (Room::default(), |row: &Row| id_keys.hash_one(row.id));
    let by_id = rows.index(
        rows.len(),
        &mut room,
        |index, row| {
            if row.next_of_observable != NO_RECORD {
                left_out.raise(row.next_of_observable);
            }
            if row.observable == ObservableId::ERASED {
                left_out.raise(index);
            }
            Some(of_id(row))
        },
        of_id,
    );
    let of_observable = |row: &Row| hash_of(observable_keys, row.observable);
    let by_observable = rows.index(
        rows.len() - left_out.raised()?,
        &mut room,
        |index, row| (!left_out.is_raised(index)).then(|| of_observable(row)),
        of_observable,
    );
    Some((by_id, by_observable))
}

/// A flag for each record, which several threads may raise.
struct Flags {
    count: usize,
    words: Vec<AtomicU64>,
    is_out_of_range: AtomicBool,
}

impl Flags {
    fn none(count: usize) -> Flags {
        Flags {
            count,
            words: (0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            is_out_of_range: AtomicBool::new(false),
        }
    }

    fn raise(&self, index: RecordIndex) {
        match (index as usize) < self.count {
            true => _ = self.words[index as usize / 64].fetch_or(1 << (index % 64), Ordering::Relaxed),
            false => self.is_out_of_range.store(true, Ordering::Relaxed),
        }
    }

    fn is_raised(&self, index: RecordIndex) -> bool {
        self.words[index as usize / 64].load(Ordering::Relaxed) & 1 << (index % 64) != 0
    }

    /// How many are raised. None where one was to be that there is not.
    fn raised(&self) -> Option<usize> {
        let ones = |word: &AtomicU64| word.load(Ordering::Relaxed).count_ones() as usize;
        (!self.is_out_of_range.load(Ordering::Relaxed)).then(|| self.words.iter().map(ones).sum())
    }
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
