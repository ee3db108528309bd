//! Copying the views while they change, a part at a time, so that nobody who needs their lock waits for long. Lists only grow, and
//! what is held of a record changes with a touch or with an assessment alone: so what was copied before is mended by copying those
//! records again, and the last hold of the lock, which copies what little is left, makes the whole a copy of that very moment.

use std::collections::BTreeMap;

use crate::domain::id::MemberId;
use crate::domain::observable::Kind;
use crate::log::bodies::Moment;

use super::Views;
use super::kept::Kept;
use super::record::{RecordIndex, Row};
use super::requests::{self, Requests};
use super::rows::CHUNK_ROWS;
use super::snapshot::Part;

/// Changes that may be left for the last hold.
const CHANGES_AT_LAST_MAX: usize = if cfg!(debug_assertions) { 2 } else { 512 };

/// Changes looked at in one hold before.
const CHANGES_PER_HOLD_MAX: usize = 8 * CHANGES_AT_LAST_MAX;

/// Of what belongs to a record besides its row.
pub(super) const HAS_DUE: u8 = 1;
pub(super) const HAS_HASH: u8 = 2;
pub(super) const HAS_ASSESSMENTS: u8 = 4;

/// How far the lists of what changes records reach.
#[derive(Clone, Copy, Default)]
struct Changes {
    touches: u32,
    assessments: usize,
}

/// A copy in the making.
#[derive(Default)]
pub struct Copying {
    /// Chunks copied of each list.
    chunks: BTreeMap<u8, usize>,
    /// The moments at which chunks of records were copied.
    copied_at: Vec<Changes>,
    /// Changes up to there are in what is copied.
    settled: Changes,
    requests: BTreeMap<MemberId, requests::Copied>,
    /// Parts that were copied under the present hold, to be written once the lock is let go.
    parts: Vec<(Part, Vec<u8>)>,
    bodies: Option<Moment>,
}

impl Copying {
    /// Takes what the last hold copied.
    pub fn take_parts(&mut self) -> Vec<(Part, Vec<u8>)> {
        std::mem::take(&mut self.parts)
    }

    /// What the store of bodies held at the moment of the copy, once it is whole.
    pub fn bodies(&self) -> Option<&Moment> {
        self.bodies.as_ref()
    }

    fn is_last(&self) -> bool {
        self.bodies.is_some()
    }

    fn part(&mut self, part: Part, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        fill(&mut bytes);
        self.parts.push((part, bytes));
    }

    /// Copies the next chunk of a list: one that is full, if nothing else was copied in this hold; in the last hold what is left.
    pub fn list<'a, T: Kept + 'a>(&mut self, part: Part, chunk: impl FnOnce(usize) -> Option<&'a [T]>) {
        self.chunk(part, chunk, |_, item, out| item.keep(out));
    }

    fn chunk<'a, T: 'a>(
        &mut self,
        part: Part,
        chunk: impl FnOnce(usize) -> Option<&'a [T]>,
        keep: impl Fn(u32, &T, &mut Vec<u8>),
    ) {
        if !self.is_last() && !self.parts.is_empty() {
            return;
        }
        let number = self.chunks.entry(part as u8).or_default();
        let Some(chunk) = chunk(*number).filter(|chunk| self.bodies.is_some() || chunk.len() == CHUNK_ROWS) else {
            return;
        };
        let places = (*number * CHUNK_ROWS) as u32..;
        *number += 1;
        self.part(part, |out| {
            places.zip(chunk).for_each(|(place, item)| keep(place, item, out));
        });
    }

    /// Copies requests of a member, under the same rule.
    pub fn requests(&mut self, member: MemberId, requests: &Requests) {
        if !self.is_last() && !self.parts.is_empty() {
            return;
        }
        let copied = self.requests.entry(member).or_insert_with(|| requests.copied_none());
        let mut bytes = Vec::new();
        member.keep(&mut bytes);
        if requests.copy(copied, self.bodies.is_some(), &mut bytes) {
            self.parts.push((Part::Requests, bytes));
        }
    }

    /// Whether a change of a record came before its copy. One that is not copied yet will be.
    fn has(&self, index: RecordIndex, is_before: impl Fn(&Changes) -> bool) -> bool {
        let copied_at = self.copied_at.get(index as usize / CHUNK_ROWS);
        copied_at.is_none_or(is_before)
    }
}

impl Views {
    /// Copies some more, under one hold of the lock. True once that was the last: then the copy is of this moment.
    pub fn copy(&self, copying: &mut Copying) -> bool {
        if copying.copied_at.is_empty() {
            // No record is copied yet.
            copying.settled = self.changes();
        }
        self.copy_lists(copying);
        if !copying.parts.is_empty() {
            return false;
        }
        if self.changes_since(copying.settled) > CHANGES_AT_LAST_MAX {
            self.copy_changes(copying, CHANGES_PER_HOLD_MAX);
            return false;
        }
        copying.bodies = Some(self.indicators.bodies_moment());
        self.copy_changes(copying, CHANGES_AT_LAST_MAX);
        self.copy_lists(copying);
        copying.part(Part::Others, |out| self.keep_others(out));
        true
    }

    fn copy_lists(&self, copying: &mut Copying) {
        let chunks = copying.parts.len();
        copying.chunk(
            Part::Records,
            |number| self.indicators.chunk(number),
            |index, row, out| self.keep_record(index, row, out),
        );
        if copying.parts.len() > chunks {
            copying.copied_at.push(self.changes());
        }
        self.indicators.copy(copying);
        self.recalls.copy(copying);
        self.sharing.copy(copying);
        self.roster.copy_requests(copying);
    }

    fn changes(&self) -> Changes {
        Changes {
            touches: self.indicators.ordinal(),
            assessments: self.sharing.assessed().len(),
        }
    }

    fn changes_since(&self, since: Changes) -> usize {
        let Changes { touches, assessments } = self.changes();
        (touches - since.touches) as usize + assessments - since.assessments
    }

    /// Copies the records of the next changes anew.
    fn copy_changes(&self, copying: &mut Copying, count_max: usize) {
        let (from, now) = (copying.settled, self.changes());
        let touches = from.touches..now.touches.min(from.touches + count_max as u32);
        let assessments = from.assessments..now.assessments.min(from.assessments + count_max);
        copying.settled = Changes {
            touches: touches.end,
            assessments: assessments.end,
        };
        let touched = touches.filter_map(|touch| {
            let index = self.indicators.touched(touch)?;
            (!copying.has(index, |copied_at| touch < copied_at.touches)).then_some(index)
        });
        let assessed = assessments.filter_map(|place| {
            let index = self.sharing.assessed()[place];
            (!copying.has(index, |copied_at| place < copied_at.assessments)).then_some(index)
        });
        let mut changed: Vec<RecordIndex> = touched.chain(assessed).collect();
        changed.sort_unstable();
        changed.dedup();
        if changed.is_empty() {
            return;
        }
        copying.part(Part::Changes, |out| {
            for index in changed {
                index.keep(out);
                self.keep_record(index, self.indicators.row(index), out);
            }
        });
    }

    /// Everything that the views hold of one record.
    fn keep_record(&self, index: RecordIndex, row: &Row, out: &mut Vec<u8>) {
        row.keep(out);
        if let Some(past) = self.indicators.past(index, row) {
            past.keep(out);
        }
        let due = self.indicators.due(index);
        let kind = self.indicators.facets().kind(row.current.facets);
        let hash = match kind {
            Kind::Pdq | Kind::Tlsh => self.near.hash(index),
            _ => None,
        };
        let assessments = self.sharing.all_assessments(index);
        let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
        let flags = flag(due.is_some(), HAS_DUE)
            | flag(hash.is_some(), HAS_HASH)
            | flag(assessments.is_some(), HAS_ASSESSMENTS);
        flags.keep(out);
        if let Some(due) = due {
            due.keep(out);
        }
        if let Some(hash) = hash {
            hash.keep(out);
        }
        if let Some(assessments) = assessments {
            assessments.keep(out);
        }
    }
}
