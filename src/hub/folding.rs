//! Folding a log into views: entry by entry for whoever checks one, and as fast as the machine allows for a hub that starts. There
//! the log is read and unpacked by one thread, entries are decoded by several, and applied in order by the caller's.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;

use crate::domain::id::Seq;
use crate::log::LogReader;
use crate::log::entry::Entry;

use super::OpenError;
use super::views::Views;

/// Entries that go from thread to thread at once.
const CHUNK_ENTRIES: usize = 128;

/// Chunks that wait before and behind each thread that decodes. With the largest entries they take 16 MiB each.
const CHUNKS_WAITING_MAX: usize = 2;

/// Most threads that decode. One entry takes two to three times longer to decode than to apply.
const DECODERS_MAX: usize = 3;

/// How long a fold waits for bodies to be written. Where the disk takes none it does not wait: the hub has to start.
const BODIES_PATIENCE: Duration = Duration::from_secs(10);

type Chunk = Vec<(Seq, Bytes)>;
type Decoded = Result<Vec<Entry>, OpenError>;

/// The fold of a log, entry by entry; for whoever checks a log without running a hub.
#[derive(Default)]
pub struct Folding {
    views: Views,
}

impl Folding {
    /// Folds the next entry.
    pub fn entry(&mut self, seq: Seq, bytes: &Bytes) -> Result<(), OpenError> {
        self.views.apply(&decode(seq, bytes)?);
        Ok(())
    }

    /// To be asked after the last entry: whether what is erased is what the log says.
    pub fn end(&mut self) -> Result<(), OpenError> {
        Ok(self.views.end_fold()?)
    }

    /// How many entries the log says are to be erased and are not yet.
    pub fn entries_to_erase(&self) -> u64 {
        let due = self.views.erasures.due().iter();
        due.map(|erased| erased.seqs.len() as u64).sum()
    }

    /// How many members and indicators the views hold.
    pub fn counts(&self) -> (usize, usize) {
        (self.views.roster.members().count(), self.views.indicators.len())
    }
}

fn decode(seq: Seq, bytes: &Bytes) -> Result<Entry, OpenError> {
    Entry::decode(bytes.clone()).map_err(|reason| OpenError::Decode { seq: seq.0, reason })
}

/// Folds the entries from `views.next` up to `to`.
pub(super) fn fold(log: &LogReader, to: Seq, views: &mut Views) -> Result<(), OpenError> {
    let from = views.next;
    views.erasures.begin_fold(from);
    std::thread::scope(|scope| -> Result<(), OpenError> {
        let threads = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(DECODERS_MAX);
        let (mut chunks, mut decoded) = (Vec::new(), Vec::new());
        for _ in 0..threads {
            let (to_decode, taken) = sync_channel(CHUNKS_WAITING_MAX);
            let (done, entries) = sync_channel(CHUNKS_WAITING_MAX);
            scope.spawn(move || decode_all(&taken, &done));
            chunks.push(to_decode);
            decoded.push(entries);
        }
        let reading = scope.spawn(move || read(log, from..to, &chunks));
        apply_all(&decoded, views)?;
        // Whoever still sends finds nobody there, and ends.
        drop(decoded);
        match reading.join() {
            Ok(read) => Ok(read?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    Ok(views.end_fold()?)
}

/// Deals the log out to the threads that decode, a chunk to each in turn. Ends early where one of them does not go on.
fn read(
    log: &LogReader,
    range: std::ops::Range<Seq>,
    chunks: &[SyncSender<Chunk>],
) -> Result<(), crate::log::ReadError> {
    let mut turns = chunks.iter().cycle();
    let mut chunk = Chunk::with_capacity(CHUNK_ENTRIES);
    let mut deal = |chunk: &mut Chunk| {
        let full = std::mem::replace(chunk, Chunk::with_capacity(CHUNK_ENTRIES));
        let sent = turns.next().map(|thread| thread.send(full));
        matches!(sent, Some(Ok(())))
    };
    log.replay(range.start, range.end, &mut |seq, bytes| {
        chunk.push((seq, bytes.clone()));
        match chunk.len() < CHUNK_ENTRIES || deal(&mut chunk) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    deal(&mut chunk);
    Ok(())
}

fn decode_all(chunks: &Receiver<Chunk>, done: &SyncSender<Decoded>) {
    for chunk in chunks {
        let decoded = chunk.iter().map(|(seq, bytes)| decode(*seq, bytes)).collect();
        if done.send(decoded).is_err() {
            return;
        }
    }
}

/// Applies chunks in the order in which they were dealt out, until there are no more.
fn apply_all(decoded: &[Receiver<Decoded>], views: &mut Views) -> Result<(), OpenError> {
    let bodies = views.indicators.bodies();
    for entries in decoded.iter().cycle() {
        let Ok(entries) = entries.recv() else { return Ok(()) };
        for entry in entries? {
            views.apply(&entry);
        }
        // The error is told by the store itself; the bodies stay in memory.
        let _ = bodies.wait_for_room(BODIES_PATIENCE);
    }
    Ok(())
}
