//! The log: the one totally ordered, append-only record that everything else is folded from. This is the only room
//! that names sled. Entries are opaque bytes here; what they mean belongs to the hub.
//!
//! It promises: what [`Log::append`] returned survives a power cut; what is read is what was written; anything less is
//! an error that names the position, never a shorter log. It refuses to repair, to guess, and to go on after a failed
//! write. One [`Log`] writes; any number of [`LogReader`]s read, from any thread, and an [`Eraser`] takes out what must go.
//! All calls block: none belongs on an async worker thread.
//!
//! In reading order: `merkle` and `tree` (hashes and proofs), `batch` (the bytes of a value), `salted` and `waiting` (entries
//! on their way in), `store` (sled), `journal` (what waits for the store), `manifest`, `pack`, `epoch` and `recover` (a span
//! of entries on disk), `head` (how far the log reaches), `open`, `seal`, `next`, `append`, `read`, `erase`, `verify`,
//! `bodies` and `snapshot` (made from the log, beside it). `docs/storage-format.md` specifies the bytes.

pub mod entry;

pub mod merkle;

mod tree;

mod fields;

mod batch;

mod salted;

mod waiting;

mod disk;

mod store;

mod journal;

mod manifest;

mod pack;

mod epoch;

mod recover;

mod head;

mod cache;

mod error;

mod shared;

mod open;

mod seal;

mod next;

mod append;

mod read;

mod erase;

mod verify;

pub mod bodies;

mod snapshot;

pub use append::APPEND_BYTES_MAX;
pub use batch::ENTRY_BYTES_MAX;
pub use erase::{EraseError, Eraser, Erasure, Leave};
pub use error::{AppendError, CloseError, CreateError, Damage, DiskError, OpenError, ReadError, Stop};
pub use open::Opening;
pub use read::{LogReader, Record};
pub use salted::Salted;
pub use snapshot::{Refusal, Snapshot, SnapshotWriter};
pub use verify::{Report, VerifyError, verify, verify_each};

use std::sync::Arc;

use merkle::Hash;

/// How far the log reaches, and the two hashes that bind everything before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of entries, which is the position of the next one.
    pub size: u64,
    /// The RFC 6962 root over the commitments of all entries.
    pub root: Hash,
    /// The chain hash after the last entry.
    pub chain: Hash,
}

/// How far an append goes before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::manual_non_exhaustive,
    reason = "the hidden variant is a choice that nobody should make, not a future one"
)]
pub enum Durability {
    /// Acknowledged entries survive a power cut.
    Full,
    /// Nothing is synced: what a power cut leaves is chance. For the negative control of the power-cut test.
    #[doc(hidden)]
    SkipSync,
}

/// The limits of a log. They may differ from one start to the next.
#[derive(Clone, Debug)]
pub struct Options {
    /// An epoch whose store has grown past this is sealed.
    pub epoch_bytes_max: u64,
    /// An epoch that has this many entries is sealed.
    pub epoch_entries_max: u64,
    /// Small appends wait in the journal until they are so many bytes; more than fills one value counts as that. 0 sends each
    /// to the store at once.
    pub waiting_bytes_max: usize,
    /// The memory for decoded batches, which is what makes reading page by page cheap; reading alone takes it. Little by default: a
    /// hub that runs answers from its views, and reads its log at a start alone, past this.
    pub cache_bytes: usize,
    /// The space put aside so that the log can be reopened on a full disk; 0 for none.
    pub ballast_bytes: u64,
    /// Leave it at [`Durability::Full`].
    pub durability: Durability,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            epoch_bytes_max: 128 * 1024 * 1024,
            epoch_entries_max: 250_000,
            waiting_bytes_max: batch::VALUE_BYTES_MAX,
            cache_bytes: 1024 * 1024,
            ballast_bytes: 2 * store::SEGMENT_BYTES as u64,
            durability: Durability::Full,
        }
    }
}

/// The one writer of a log.
#[derive(Debug)]
pub struct Log {
    options: Options,
    shared: Arc<shared::Shared>,
    head_file: head::HeadFile,
    growing: append::Growing,
    encoder: batch::Encoder,
    sealer: seal::Sealer,
    next: next::Next,
    stop: Option<Stop>,
    opening: Opening,
    _closer: shared::Closer,
    /// Given back last, when everything else is closed.
    _lock: disk::Lock,
}
