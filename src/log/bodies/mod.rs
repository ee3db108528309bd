//! The bodies of indicators, out of memory: a file of packed blocks, beside the log and made from it. The log holds the truth, so
//! nothing waits for this store to be synced, it may be lost or cut short, and is made anew from the log by whoever folds it.
//!
//! It promises that a body which is handed out is the one that was pushed under its number: a block counts only with the checksum
//! that the store keeps in memory, and anything else is an error. What stands in the file at a start counts as far as the fold
//! pushes the same bodies again; at the first that differs the file is cut, and written anew from there.
//!
//! Bodies are numbered in the order of the fold. They are packed and written by a thread of their own; until then they are in
//! memory, where a disk that takes no writes leaves them: [`Bodies::wait_for_room`] says when that is too much. One [`Bodies`]
//! pushes; any number of [`BodyReader`]s read, and a [`BodyEraser`] makes bodies empty, for good. [`BodyReader::cached`] touches no disk, and
//! [`BodyReader::at_hand`] never waits for it; [`BodyReader::fetch`] may, and belongs on no async worker thread.

mod block;
mod cache;
mod erase;
mod file;
mod index;
mod moment;
mod packed;
mod reader;
mod shared;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use super::error::DiskError;
use super::fields::Fields;
use shared::Shared;

pub use erase::BodyEraser;
pub use moment::Moment;
pub use reader::BodyReader;

/// Bytes of bodies that may wait to be written before no more should be pushed.
pub const BACKLOG_BYTES_MAX: usize = 32 << 20;

/// The number of a body: how many were pushed before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BodyNumber(pub u32);

impl BodyNumber {
    /// Of a body that was erased: nobody asks for it.
    pub const ERASED: BodyNumber = BodyNumber(u32::MAX);
}

/// The limits of a store. They may differ from one start to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodiesOptions {
    /// The memory for bodies that were written or read last.
    pub cache_bytes: usize,
}

impl Default for BodiesOptions {
    fn default() -> BodiesOptions {
        BodiesOptions { cache_bytes: 96 << 20 }
    }
}

/// Why a body was not read. None of it touches the log.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// What stands in the file is not what was written. The file is marked, and the next start makes it anew.
    #[error("block {block} of {} is damaged: {reason}; the next start makes the file anew from the log", path.display())]
    Damaged {
        /// The block.
        block: u32,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file could not be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Bodies that are to be erased wait to be written, for the disk takes no writes.
    #[error("the bodies of indicators cannot be written")]
    Unwritten,
    /// The number was never pushed, or this store keeps nothing.
    #[error("there is no body {}", .0.0)]
    Unknown(BodyNumber),
}

/// The one writer of a body store.
#[derive(Debug)]
pub struct Bodies {
    shared: Arc<Shared>,
    /// Started with the first block.
    thread: Option<JoinHandle<()>>,
    keeps: bool,
    pushed: u32,
}

impl Bodies {
    /// The store in the file `path`, for a fold from the first entry on. Nothing is read yet, nor made: that is done when the first
    /// block is full, and a disk that does not take it leaves the bodies in memory.
    pub fn open(path: &Path, options: BodiesOptions) -> Bodies {
        Bodies::new(Shared::new(path.to_path_buf(), options), true)
    }

    /// A store that only counts; for a fold of which nobody reads bodies.
    pub fn discarding() -> Bodies {
        Bodies::new(Shared::new(PathBuf::new(), BodiesOptions { cache_bytes: 0 }), false)
    }

    /// The store as it was at a moment that was [saved](Moment::save). None where the file is not the one, or is shorter.
    pub fn load(path: &Path, options: BodiesOptions, saved: &[u8]) -> Option<Bodies> {
        let mut saved = Fields { rest: saved };
        let shared = Shared::load(path.to_path_buf(), options, &mut saved)?;
        if !saved.rest.is_empty() {
            return None;
        }
        let mut bodies = Bodies::new(shared, true);
        bodies.pushed = bodies.shared.pushed();
        Some(bodies)
    }

    fn new(shared: Shared, keeps: bool) -> Bodies {
        Bodies {
            shared: Arc::new(shared),
            thread: None,
            keeps,
            pushed: 0,
        }
    }

    /// How many bodies there are.
    pub fn len(&self) -> u32 {
        self.pushed
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pushed == 0
    }

    /// Takes the next body. It never fails and never waits.
    pub fn push(&mut self, body: Bytes) -> BodyNumber {
        let number = BodyNumber(self.pushed);
        self.pushed += 1;
        if self.keeps && self.shared.push(body) && self.thread.is_none() {
            self.thread = writer::start(&self.shared);
        }
        number
    }

    /// A handle for reading.
    pub fn reader(&self) -> BodyReader {
        BodyReader {
            shared: Arc::clone(&self.shared),
            keeps: true,
        }
    }

    /// A handle for erasing.
    pub fn eraser(&self) -> BodyEraser {
        BodyEraser {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Waits until no more than [`BACKLOG_BYTES_MAX`] are to be written. An error says why that does not come about: the disk takes
    /// no writes, or takes them for longer than `patience`.
    pub fn wait_for_room(&self, patience: Duration) -> Result<(), String> {
        self.shared.wait_for_room(patience)
    }

    /// Waits until all full blocks are in the file. Says whether they are.
    pub fn wait_until_written(&self, patience: Duration) -> bool {
        self.shared.wait_until_written(patience)
    }

    /// Writes what waits, and ends the thread. Bodies can still be read. Says whether all of it was written.
    pub fn close(&mut self) -> bool {
        self.shared.close();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has left its block unwritten, which is_settled finds.
            let _ = thread.join();
        }
        self.shared.is_settled()
    }

    /// What it holds now.
    pub fn moment(&self) -> Moment {
        Moment::of(&self.shared)
    }
}

impl Drop for Bodies {
    fn drop(&mut self) {
        self.shared.close();
    }
}
