//! What the writer and the readers of the body store share: where blocks lie, what waits to be written, what is kept in memory.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::error::{DiskError, OnDisk};
use super::super::fields::Fields;
use super::block::BLOCK_BODIES;
use super::cache::{Cache, Piece};
use super::file;
use super::index::{Index, Span};
use super::{BACKLOG_BYTES_MAX, BodiesOptions, BodyNumber};

/// Full blocks that wait before the writer is woken: waking it takes longer than packing one. Fewer wait for more, as the block does
/// that is not full, unless somebody waits for them.
const BLOCKS_AT_ONCE_MIN: usize = 16;

/// Bytes of bodies after which fewer blocks are enough, and no more are written at once.
const BYTES_AT_ONCE: usize = 256 << 10;

pub(super) struct Shared {
    pub path: PathBuf,
    state: Mutex<State>,
    /// Held while a block is written, and while another file takes the place of the one that is written to.
    writing: Mutex<()>,
    /// There is something to write, or the end has come.
    work: Condvar,
    /// Something was written, or could not be.
    progress: Condvar,
    cache: RwLock<Cache>,
    is_damaged: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    /// Opened by whoever needs it first.
    file: Option<Arc<File>>,
    /// How often another file took its place.
    generation: u64,
    index: Index,
    /// Full blocks after those of the index.
    waiting: VecDeque<Arc<[Bytes]>>,
    waiting_bytes: usize,
    /// The bodies of the block that is not full.
    open: Vec<Bytes>,
    is_closing: bool,
    /// Whether somebody waits until what waits is written.
    is_awaited: bool,
    is_writer_asleep: bool,
    /// Why the first of those that wait was not written.
    trouble: Option<String>,
}

impl State {
    /// Whether what waits is enough to be written.
    fn is_due(&self) -> bool {
        self.waiting.len() >= BLOCKS_AT_ONCE_MIN || self.waiting_bytes >= BYTES_AT_ONCE
    }

    /// The first of the blocks that wait.
    fn first_waiting(&self) -> Vec<Arc<[Bytes]>> {
        let mut bytes = 0;
        let blocks = self.waiting.iter().take_while(|bodies| {
            let is_one = bytes < BYTES_AT_ONCE;
            bytes += bytes_of(bodies);
            is_one
        });
        blocks.map(Arc::clone).collect()
    }

    /// A body that is not in the file yet; none for one that is, or never was.
    fn unwritten(&self, number: BodyNumber) -> Option<&Bytes> {
        let (block, place) = split(number);
        let after = (block as usize).checked_sub(self.index.len())?;
        let bodies = self.waiting.get(after).map_or(&self.open[..], |block| &block[..]);
        bodies.get(place).filter(|_| after <= self.waiting.len())
    }
}

/// Where blocks lie in a file.
pub(super) struct Places {
    pub file: Option<Arc<File>>,
    /// To be given back with what was read: see [`Shared::keep`].
    pub generation: u64,
    /// Of each block asked for; none for a number that is not in the file.
    pub spans: Vec<Option<(u64, Span)>>,
}

/// The block of a body, and its place there.
pub(super) fn split(number: BodyNumber) -> (u32, usize) {
    let bodies = BLOCK_BODIES as u32;
    (number.0 / bodies, (number.0 % bodies) as usize)
}

/// The first body of a block.
pub(super) fn first_of(block: u32) -> BodyNumber {
    BodyNumber(block * BLOCK_BODIES as u32)
}

impl Shared {
    pub(super) fn new(path: PathBuf, options: BodiesOptions) -> Shared {
        Shared {
            path,
            state: Mutex::default(),
            writing: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
            cache: RwLock::new(Cache::new(options.cache_bytes)),
            is_damaged: AtomicBool::new(false),
        }
    }

    pub(super) fn load(path: PathBuf, options: BodiesOptions, saved: &mut Fields<'_>) -> Option<Shared> {
        let index = Index::load(saved)?;
        let open_count = saved.u32()? as usize;
        let mut open = Vec::with_capacity(open_count.min(BLOCK_BODIES));
        for _ in 0..open_count {
            let length = saved.u32()? as usize;
            open.push(Bytes::copy_from_slice(saved.slice(length)?));
        }
        if open.len() >= BLOCK_BODIES {
            return None;
        }
        let shared = Shared::new(path, options);
        let file = match index.len() {
            0 => None,
            _ => Some(Arc::new(file::open_holding(&shared.path, &index)?)),
        };
        *shared.state() = State {
            file,
            index,
            open,
            ..State::default()
        };
        Some(shared)
    }

    /// How many blocks are full, all of which are written now, and the bodies of the one that is not.
    pub(super) fn full_and_open(&self) -> (u32, Vec<Bytes>) {
        let mut state = self.state();
        self.hurry(&mut state);
        ((state.index.len() + state.waiting.len()) as u32, state.open.clone())
    }

    /// Appends where the first `blocks` lie, which must be in the file.
    pub(super) fn save_index(&self, blocks: u32, out: &mut Vec<u8>) {
        self.state().index.save(blocks, out);
    }

    pub(super) fn present_file(&self) -> Option<Arc<File>> {
        self.state().file.clone()
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    // No lock below is held across a panic that leaves a half-changed state, so poison carries no news.

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> RwLockReadGuard<'_, Cache> {
        self.cache.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache_mut(&self) -> RwLockWriteGuard<'_, Cache> {
        self.cache.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pushed(&self) -> u32 {
        let state = self.state();
        ((state.index.len() + state.waiting.len()) * BLOCK_BODIES + state.open.len()) as u32
    }

    /// Takes a body. Says whether that made a block full.
    pub(super) fn push(&self, body: Bytes) -> bool {
        let mut state = self.state();
        state.open.push(body);
        if state.open.len() < BLOCK_BODIES {
            return false;
        }
        let full: Arc<[Bytes]> = std::mem::take(&mut state.open).into();
        state.waiting_bytes += bytes_of(&full);
        state.waiting.push_back(full);
        state.open.reserve_exact(BLOCK_BODIES);
        let wake = state.is_due() && std::mem::take(&mut state.is_writer_asleep);
        drop(state);
        if wake {
            self.work.notify_one();
        }
        true
    }

    /// The next blocks to write, once there are enough of them; none when the end has come.
    pub(super) fn next_to_write(&self) -> Option<(u32, Vec<Arc<[Bytes]>>)> {
        let mut state = self.state();
        loop {
            let is_due = state.is_closing || state.is_awaited || state.is_due();
            if is_due && !state.waiting.is_empty() {
                return Some((state.index.len() as u32, state.first_waiting()));
            }
            if state.is_closing {
                return None;
            }
            state.is_awaited = false;
            state.is_writer_asleep = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.is_writer_asleep = false;
        }
    }

    /// Has what waits written, however little it is.
    fn hurry(&self, state: &mut State) {
        state.is_awaited = true;
        self.work.notify_one();
    }

    /// Where the next block goes.
    pub(super) fn end(&self) -> u64 {
        self.state().index.end()
    }

    /// Notes that blocks are in the file. The bodies of those that were just written are kept: what is new is asked for.
    pub(super) fn written(&self, bodies: Vec<Piece>, spans: &[Span]) {
        // Before they count as written: what is neither waiting nor here is read from the disk.
        let mut cache = self.cache_mut();
        bodies.into_iter().for_each(|bodies| cache.insert(bodies));
        drop(cache);
        let mut state = self.state();
        spans.iter().for_each(|span| state.index.push(*span));
        let written: Vec<_> = state.waiting.drain(..spans.len()).collect();
        state.waiting_bytes -= written.iter().map(|bodies| bytes_of(bodies)).sum::<usize>();
        if state.trouble.take().is_some() {
            tracing::warn!(path = %self.path.display(), "the bodies of indicators are written again");
        }
        drop(state);
        self.progress.notify_all();
        // Whoever reads need not wait until they are freed: `written` goes last.
    }

    /// Notes why a block was not written, and waits. False says that it is not tried again.
    pub(super) fn not_written(&self, error: &DiskError, retry_after: Duration) -> bool {
        let retry_at = Instant::now() + retry_after;
        let mut state = self.state();
        if state.trouble.replace(error.to_string()).is_none() {
            tracing::error!(%error, "the bodies of indicators cannot be written: they stay in memory for now");
        }
        self.progress.notify_all();
        while !state.is_closing {
            let Some(left) = retry_at.checked_duration_since(Instant::now()) else {
                return true;
            };
            let waited = self.work.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    pub(super) fn wait_for_room(&self, patience: Duration) -> Result<(), String> {
        let until = Instant::now() + patience;
        let mut state = self.state();
        while state.waiting_bytes > BACKLOG_BYTES_MAX {
            if let Some(trouble) = &state.trouble {
                return Err(trouble.clone());
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return Err("the bodies of indicators are written too slowly".to_owned());
            };
            let waited = self.progress.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    pub(super) fn wait_until_written(&self, patience: Duration) -> bool {
        let waits = |state: &mut State| !state.waiting.is_empty();
        let mut state = self.state();
        self.hurry(&mut state);
        let waited = self.progress.wait_timeout_while(state, patience, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting.is_empty()
    }

    pub(super) fn close(&self) {
        self.state().is_closing = true;
        self.work.notify_all();
    }

    /// Whether every full block is in the file.
    pub(super) fn is_settled(&self) -> bool {
        self.state().waiting.is_empty()
    }

    /// Those bodies that are in memory.
    pub(super) fn cached(&self, numbers: &[BodyNumber]) -> Vec<Option<Bytes>> {
        let mut found: Vec<Option<Bytes>> = {
            let state = self.state();
            numbers.iter().map(|number| state.unwritten(*number).cloned()).collect()
        };
        if found.iter().any(Option::is_none) {
            self.cache().find(numbers, &mut found);
        }
        found
    }

    /// One body, if it is in memory.
    pub(super) fn cached_one(&self, number: BodyNumber) -> Option<Bytes> {
        self.cached(&[number]).pop()?
    }

    /// The file, which is made where there is none.
    pub(super) fn file(&self) -> Result<Arc<File>, DiskError> {
        let mut state = self.state();
        if let Some(file) = &state.file {
            return Ok(Arc::clone(file));
        }
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir).on("create directory", dir)?;
        }
        let opened = Arc::new(file::open(&self.path)?);
        state.file = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Where blocks lie.
    pub(super) fn find(&self, blocks: &[u32]) -> Places {
        let state = self.state();
        Places {
            file: state.file.clone(),
            generation: state.generation,
            spans: blocks.iter().map(|block| state.index.find(*block)).collect(),
        }
    }

    /// How many blocks are in the file.
    pub(super) fn written_blocks(&self) -> u32 {
        self.state().index.len() as u32
    }

    /// Takes those bodies out of the block that is not full, and waits until the others are in the file. Whether they are.
    pub(super) fn settle(&self, numbers: &BTreeSet<BodyNumber>, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.state();
        loop {
            let first = (state.index.len() + state.waiting.len()) * BLOCK_BODIES;
            for number in numbers.range(BodyNumber(first as u32)..) {
                if let Some(body) = state.open.get_mut(number.0 as usize - first) {
                    *body = Bytes::new();
                }
            }
            let written = state.index.len() * BLOCK_BODIES;
            let mut waiting = numbers.range(BodyNumber(written as u32)..BodyNumber(first as u32));
            if waiting.next().is_none() {
                return true;
            }
            self.hurry(&mut state);
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return false;
            };
            let waited = self.progress.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Puts another file in the place of the present one, in which `changed` blocks are others. To be called while nothing is
    /// written. Whoever is reading has the old file still; what it reads there is not kept.
    pub(super) fn replace(&self, file: Arc<File>, index: Index, changed: impl IntoIterator<Item = u32>) {
        let mut cache = self.cache_mut();
        let mut state = self.state();
        state.file = Some(file);
        state.index = index;
        state.generation += 1;
        for block in changed {
            let BodyNumber(first) = first_of(block);
            (first..)
                .take(BLOCK_BODIES)
                .for_each(|body| cache.forget(BodyNumber(body)));
        }
    }

    /// Keeps what was read from the file of a generation, if it is the present one.
    pub(super) fn keep(&self, generation: u64, bodies: Piece) {
        let mut cache = self.cache_mut();
        if self.state().generation == generation {
            cache.insert(bodies);
        }
    }

    /// Sees to it that the next start makes the file anew.
    pub(super) fn disown(&self) {
        if self.is_damaged.swap(true, Ordering::Relaxed) {
            return;
        }
        let file = self.state().file.clone();
        if let Some(Err(error)) = file.map(|file| file::disown(&file)) {
            tracing::error!(%error, path = %self.path.display(), "a damaged file cannot be marked: remove it before the next start");
        }
    }
}

fn bytes_of(bodies: &[Bytes]) -> usize {
    bodies.iter().map(|body| body.len() + size_of::<Bytes>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_due_once_they_are_many_or_large() {
        let begin = || Shared::new(PathBuf::new(), BodiesOptions { cache_bytes: 0 });
        let push = |shared: &Shared, body: &Bytes| (0..BLOCK_BODIES).for_each(|_| _ = shared.push(body.clone()));
        let due = |shared: &Shared| {
            let state = shared.state();
            (state.is_due(), state.first_waiting().len())
        };
        let (few, small) = (begin(), Bytes::from_static(b"body"));
        for blocks in 0..BLOCKS_AT_ONCE_MIN {
            assert_eq!(due(&few), (false, blocks));
            push(&few, &small);
        }
        assert_eq!(due(&few), (true, BLOCKS_AT_ONCE_MIN));
        let (one, large) = (begin(), Bytes::from(vec![7; BYTES_AT_ONCE / BLOCK_BODIES]));
        for _ in 0..2 {
            push(&one, &large);
            assert_eq!(due(&one), (true, 1));
        }
    }
}
