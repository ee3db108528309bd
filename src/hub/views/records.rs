//! The records in a snapshot, with all that the views hold of each.

use std::collections::HashMap;

use crate::domain::assessment::Assessment;
use crate::domain::similarity::SimilarityHash;
use crate::hub::given::GivenMap;
use crate::log::Refusal;

use super::copying::{HAS_ASSESSMENTS, HAS_DUE, HAS_HASH};
use super::kept::Kept;
use super::record::{Due, RecordIndex, Row, Version};
use super::rows::{CHUNK_ROWS, Rows};
use super::snapshot::{Part, Reading, UNREADABLE};

/// All records.
#[derive(Default)]
pub struct Records {
    /// Their rows.
    pub rows: Rows<Row>,
    /// What few have.
    pub past: GivenMap<RecordIndex, Vec<Version>>,
    /// When they change by themselves.
    pub due: GivenMap<RecordIndex, Due>,
    /// Hashes that have a distance.
    pub hashes: HashMap<RecordIndex, SimilarityHash>,
    /// What others said of them.
    pub assessments: GivenMap<RecordIndex, Vec<Assessment>>,
}

/// One record.
struct One {
    row: Row,
    past: Option<Vec<Version>>,
    due: Option<Due>,
    hash: Option<SimilarityHash>,
    assessments: Option<Vec<Assessment>>,
}

/// What is held of some records besides their rows.
#[derive(Default)]
struct Few {
    past: Vec<(RecordIndex, Vec<Version>)>,
    due: Vec<(RecordIndex, Due)>,
    hashes: Vec<(RecordIndex, SimilarityHash)>,
    assessments: Vec<(RecordIndex, Vec<Assessment>)>,
}

impl Records {
    /// The records of a snapshot.
    pub fn load(from: &Reading<'_>) -> Result<Records, Refusal> {
        let chunks = from.parts(Part::Records, |number, rest| take_chunk(number * CHUNK_ROWS, rest))?;
        let changes = from.parts(Part::Changes, |_, rest| take_changes(rest))?;
        let (rows, few): (Vec<Vec<Row>>, Vec<Few>) = chunks.into_iter().unzip();
        let mut records = Records {
            rows: Rows::of_chunks(rows).ok_or(UNREADABLE)?,
            ..Records::default()
        };
        records.reserve(&few);
        few.into_iter().for_each(|few| records.add(few));
        for (index, one) in changes.into_iter().flatten() {
            if index as usize >= records.rows.len() {
                return Err(UNREADABLE);
            }
            records.change(index, one);
        }
        Ok(records)
    }

    fn reserve(&mut self, few: &[Few]) {
        let sum = |count: fn(&Few) -> usize| few.iter().map(count).sum::<usize>();
        self.past.reserve(sum(|few| few.past.len()));
        self.due.reserve(sum(|few| few.due.len()));
        self.hashes.reserve(sum(|few| few.hashes.len()));
        self.assessments.reserve(sum(|few| few.assessments.len()));
    }

    fn add(&mut self, few: Few) {
        let Few {
            past,
            due,
            hashes,
            assessments,
        } = few;
        self.past.extend(past);
        self.due.extend(due);
        self.hashes.extend(hashes);
        self.assessments.extend(assessments);
    }

    fn change(&mut self, index: RecordIndex, one: One) {
        let One {
            row,
            past,
            due,
            hash,
            assessments,
        } = one;
        *self.rows.at_mut(index) = row;
        set(&mut self.past, index, past);
        set(&mut self.due, index, due);
        set(&mut self.hashes, index, hash);
        set(&mut self.assessments, index, assessments);
    }
}

fn set<T, S: std::hash::BuildHasher>(map: &mut HashMap<RecordIndex, T, S>, index: RecordIndex, value: Option<T>) {
    match value {
        Some(value) => map.insert(index, value),
        None => map.remove(&index),
    };
}

fn take_chunk(first: usize, rest: &mut &[u8]) -> Option<(Vec<Row>, Few)> {
    let (mut rows, mut few) = (Vec::with_capacity(CHUNK_ROWS.min(rest.len())), Few::default());
    while !rest.is_empty() {
        if rows.len() == CHUNK_ROWS {
            return None;
        }
        let row = Row::take(rest)?;
        if let (false, Some((0, after))) = (row.current.marks.has_older(), rest.split_first()) {
            // Most have nothing besides, and need not be taken apart.
            *rest = after;
            rows.push(row);
            continue;
        }
        let index = (first + rows.len()) as RecordIndex;
        let One {
            row,
            past,
            due,
            hash,
            assessments,
        } = One::of(row, rest)?;
        rows.push(row);
        few.past.extend(past.map(|past| (index, past)));
        few.due.extend(due.map(|due| (index, due)));
        few.hashes.extend(hash.map(|hash| (index, hash)));
        few.assessments
            .extend(assessments.map(|assessments| (index, assessments)));
    }
    Some((rows, few))
}

fn take_changes(rest: &mut &[u8]) -> Option<Vec<(RecordIndex, One)>> {
    let mut changes = Vec::new();
    while !rest.is_empty() {
        changes.push((Kept::take(rest)?, One::of(Row::take(rest)?, rest)?));
    }
    Some(changes)
}

impl One {
    /// The record of a row, with what follows that.
    fn of(row: Row, rest: &mut &[u8]) -> Option<One> {
        fn taken<T: Kept>(is_there: bool, rest: &mut &[u8]) -> Option<Option<T>> {
            match is_there {
                true => T::take(rest).map(Some),
                false => Some(None),
            }
        }
        let past = taken(row.current.marks.has_older(), rest)?;
        let flags = u8::take(rest)?;
        Some(One {
            row,
            past,
            due: taken(flags & HAS_DUE != 0, rest)?,
            hash: taken(flags & HAS_HASH != 0, rest)?,
            assessments: taken(flags & HAS_ASSESSMENTS != 0, rest)?,
        })
    }
}
