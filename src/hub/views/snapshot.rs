//! Views as the sections of a snapshot, and back. A section holds a part of one kind; the last one says which kinds the others are, in
//! their order. What is long is cut into parts that are copied one at a time and read by several threads at once; what can be derived
//! from the rest quickly, hash indexes above all, is not kept.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::log::{DiskError, Durability, Refusal, Snapshot, SnapshotWriter};

use super::kept::{Kept, whole};
use super::parallel::in_parallel;
use super::rows::{CHUNK_ROWS, Rows};

/// The version of the views: a digest of all sources that decide what a log is folded into. A change of the fold makes other views of
/// the same log, so a snapshot is good for the program that made it and for no other.
pub const VERSION: u64 = match u64::from_str_radix(env!("CLEARINGHOUSE_VIEWS"), 10) {
    Ok(version) => version,
    Err(_) => panic!("the digest is a number"),
};

/// What a section holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// A chunk of indicators, with all that is held of each.
    Records,
    /// Indicators that changed since their chunk was copied.
    Changes,
    /// A chunk of the touches.
    Touches,
    /// A chunk of the sets of facets.
    Sets,
    /// A chunk of the classes.
    Classes,
    /// A chunk of the contexts.
    Contexts,
    /// A chunk of the campaigns.
    Campaigns,
    /// A chunk of the recalls.
    Recalls,
    /// A chunk of the disclosures.
    Disclosures,
    /// Some of a member's requests.
    Requests,
    /// All the rest.
    Others,
    /// Where the bodies lie.
    Bodies,
}

impl Part {
    /// All kinds.
    pub const ALL: [Part; 12] = [
        Part::Records,
        Part::Changes,
        Part::Touches,
        Part::Sets,
        Part::Classes,
        Part::Contexts,
        Part::Campaigns,
        Part::Recalls,
        Part::Disclosures,
        Part::Requests,
        Part::Others,
        Part::Bodies,
    ];
}

/// Writes parts.
pub struct Sections {
    writer: SnapshotWriter,
    kinds: Vec<Part>,
}

impl Sections {
    /// Sections that follow one another in `writer`.
    pub fn new(writer: SnapshotWriter) -> Sections {
        Sections {
            writer,
            kinds: Vec::new(),
        }
    }

    /// Adds a part.
    pub fn add(&mut self, kind: Part, bytes: &[u8]) -> Result<(), DiskError> {
        self.kinds.push(kind);
        self.writer.section(bytes)
    }

    /// Whether what is kept has to survive a power cut.
    pub fn is_durable(&self) -> bool {
        self.writer.durability() == Durability::Full
    }

    /// The snapshot, to be finished. It is plain where nothing changed while it was made: then equal views have equal sections.
    pub fn into_writer(mut self, is_plain: bool) -> Result<SnapshotWriter, DiskError> {
        let mut bytes = Vec::new();
        is_plain.keep(&mut bytes);
        self.kinds.keep(&mut bytes);
        self.writer.section(&bytes)?;
        Ok(self.writer)
    }
}

/// Reads what [`Sections`] wrote.
pub struct Reading<'a> {
    snapshot: &'a Snapshot,
    is_plain: bool,
    kinds: Vec<Part>,
}

impl<'a> Reading<'a> {
    /// All parts of a snapshot.
    pub fn new(snapshot: &'a Snapshot) -> Result<Reading<'a>, Refusal> {
        let last = snapshot.len().checked_sub(1).ok_or(UNREADABLE)?;
        let said = whole::<(bool, Vec<Part>)>(snapshot.read(last, &mut Vec::new())?);
        let (is_plain, kinds) = said.filter(|(_, kinds)| kinds.len() == last).ok_or(UNREADABLE)?;
        Ok(Reading {
            snapshot,
            is_plain,
            kinds,
        })
    }

    /// Whether nothing changed while it was made.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// What all parts of a kind come to, in their order, read by several threads. `take` gets the number of the part among those.
    pub fn parts<T: Send>(
        &self,
        kind: Part,
        take: impl Fn(usize, &mut &[u8]) -> Option<T> + Sync,
    ) -> Result<Vec<T>, Refusal> {
        let places: Vec<usize> = (0..self.kinds.len()).filter(|at| self.kinds[*at] == kind).collect();
        let turn = AtomicUsize::new(0);
        let read = || -> Result<Vec<(usize, T)>, Refusal> {
            let (mut taken, mut buffer) = (Vec::new(), Vec::new());
            loop {
                let number = turn.fetch_add(1, Ordering::Relaxed);
                let Some(place) = places.get(number) else {
                    return Ok(taken);
                };
                let mut rest = self.snapshot.read(*place, &mut buffer)?;
                let part = take(number, &mut rest).filter(|_| rest.is_empty());
                taken.push((number, part.ok_or(UNREADABLE)?));
            }
        };
        let mut parts: Vec<(usize, T)> = Vec::with_capacity(places.len());
        for read in in_parallel(places.len(), &read) {
            parts.extend(read?);
        }
        parts.sort_unstable_by_key(|(number, _)| *number);
        Ok(parts.into_iter().map(|(_, part)| part).collect())
    }

    /// The one part of a kind.
    pub fn one<T: Send>(&self, kind: Part, take: impl Fn(&mut &[u8]) -> Option<T> + Sync) -> Result<T, Refusal> {
        let mut parts = self.parts(kind, |_, rest| take(rest))?;
        parts.pop().filter(|_| parts.is_empty()).ok_or(UNREADABLE)
    }

    /// A list in chunks.
    pub fn rows<T: Kept + Send>(&self, kind: Part) -> Result<Rows<T>, Refusal> {
        Rows::of_chunks(self.parts(kind, |_, rest| take_chunk(rest))?).ok_or(UNREADABLE)
    }
}

/// What passes its checksum and still makes no sense is the work of another program.
pub const UNREADABLE: Refusal = Refusal::Damaged("a section does not hold what this program writes");

fn take_chunk<T: Kept>(rest: &mut &[u8]) -> Option<Vec<T>> {
    let mut chunk = Vec::with_capacity(CHUNK_ROWS.min(rest.len()));
    while !rest.is_empty() {
        if chunk.len() == CHUNK_ROWS {
            return None;
        }
        chunk.push(T::take(rest)?);
    }
    Some(chunk)
}
