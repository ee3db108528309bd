//! Views as the sections of a snapshot, and back. What is long is cut into sections that are read by several threads at once; hash
//! indexes are not kept, for to build them again takes less time than to check them.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::log::{DiskError, Durability, Refusal, Snapshot, SnapshotWriter};

use super::kept::{Kept, whole};
use super::rows::{CHUNK_ROWS, Rows};

/// The version of the views: a digest of all sources that decide what a log is folded into. A change of the fold makes other views of
/// the same log, so a snapshot is good for the program that made it and for no other.
pub const VERSION: u64 = match u64::from_str_radix(env!("CLEARINGHOUSE_VIEWS"), 10) {
    Ok(version) => version,
    Err(_) => panic!("the digest is a number"),
};

/// Threads that read.
const READERS_MAX: usize = 4;

/// Writes views.
pub struct Sections {
    writer: SnapshotWriter,
    bytes: Vec<u8>,
}

impl Sections {
    /// Sections that follow one another in `writer`.
    pub fn new(writer: SnapshotWriter) -> Sections {
        Sections {
            writer,
            bytes: Vec::new(),
        }
    }

    /// A section of one thing.
    pub fn one(&mut self, thing: &impl Kept) -> Result<(), DiskError> {
        self.bytes.clear();
        thing.keep(&mut self.bytes);
        self.writer.section(&self.bytes)
    }

    /// A section of bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.writer.section(bytes)
    }

    /// A list of any length: how many chunks it has, then a section for each.
    pub fn list<T: Kept>(&mut self, rows: &Rows<T>) -> Result<(), DiskError> {
        self.one(&(rows.chunks().len() as u32))?;
        for chunk in rows.chunks() {
            self.bytes.clear();
            chunk.iter().for_each(|row| row.keep(&mut self.bytes));
            self.writer.section(&self.bytes)?;
        }
        Ok(())
    }

    /// Whether what is kept has to survive a power cut.
    pub fn is_durable(&self) -> bool {
        self.writer.durability() == Durability::Full
    }

    /// The snapshot, to be finished.
    pub fn into_writer(self) -> SnapshotWriter {
        self.writer
    }
}

/// Reads what [`Sections`] wrote, in the same order.
pub struct Reading<'a> {
    snapshot: &'a Snapshot,
    next: usize,
    buffer: Vec<u8>,
}

impl<'a> Reading<'a> {
    /// From the first section on.
    pub fn new(snapshot: &'a Snapshot) -> Reading<'a> {
        Reading {
            snapshot,
            next: 0,
            buffer: Vec::new(),
        }
    }

    /// A section of bytes.
    pub fn bytes(&mut self) -> Result<&[u8], Refusal> {
        self.next += 1;
        self.snapshot.read(self.next - 1, &mut self.buffer)
    }

    /// A section of one thing.
    pub fn one<T: Kept>(&mut self) -> Result<T, Refusal> {
        whole(self.bytes()?).ok_or(UNREADABLE)
    }

    /// A list.
    pub fn list<T: Kept + Send>(&mut self) -> Result<Rows<T>, Refusal> {
        let count = self.one::<u32>()? as usize;
        let (from, snapshot) = (self.next, self.snapshot);
        if count > snapshot.len() - from {
            return Err(UNREADABLE);
        }
        self.next += count;
        let turn = AtomicUsize::new(0);
        let read = || -> Result<Vec<(usize, Vec<T>)>, Refusal> {
            let (mut chunks, mut buffer) = (Vec::new(), Vec::new());
            loop {
                let place = turn.fetch_add(1, Ordering::Relaxed);
                if place >= count {
                    return Ok(chunks);
                }
                let mut rest = snapshot.read(from + place, &mut buffer)?;
                chunks.push((place, take_chunk(&mut rest).ok_or(UNREADABLE)?));
            }
        };
        let mut chunks: Vec<(usize, Vec<T>)> = Vec::with_capacity(count);
        for read in in_parallel(count, &read) {
            chunks.extend(read?);
        }
        chunks.sort_unstable_by_key(|(place, _)| *place);
        Rows::of_chunks(chunks.into_iter().map(|(_, chunk)| chunk).collect()).ok_or(UNREADABLE)
    }

    /// That nothing is left.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.next == self.snapshot.len() {
            true => Ok(()),
            false => Err(UNREADABLE),
        }
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

/// What each of some threads comes to; one is the caller's own.
fn in_parallel<T: Send>(pieces: usize, work: &(impl Fn() -> T + Sync)) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let others = threads.min(READERS_MAX).min(pieces).saturating_sub(1);
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..others).map(|_| scope.spawn(work)).collect();
        let mut done = vec![work()];
        done.extend(others.into_iter().map(|other| match other.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }));
        done
    })
}
