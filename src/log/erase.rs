//! Erasing: entries of sealed epochs give up their bytes and salts and keep their commitments, so that the space comes back and
//! no proof changes. An epoch is written once more without them, beside what is there, and takes its place at one stroke. What is
//! left in an entry's place, and whether it may go at all, is the caller's to say.
//!
//! ```text
//!   erased/            the new store; counts once its manifest stands
//!   erased-manifest    its manifest: from this file's existence on, `sealed` and `manifest` count no more
//! ```
//!
//! What a crash leaves: before `erased-manifest` stands, work to be thrown away; after it, work to be finished: `sealed` is
//! removed, `erased` takes its name, and then its manifest does. Each step may be done again.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::batch::Stored;
use super::disk::{self, FileDigest};
use super::epoch::Place;
use super::error::{Damage, DiskError, OpenError, ReadError};
use super::manifest::{self, Manifest};
use super::pack::Source;
use super::shared::{Body, Epoch, Shared};
use crate::domain::id::Seq;

/// Erases entries of a log, on any thread; one call at a time. Appends and reads go on meanwhile. Closing the log waits for it.
#[derive(Clone, Debug)]
pub struct Eraser {
    pub(super) shared: Arc<Shared>,
}

/// What became of entries that were to be erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erasure {
    /// Erased now.
    pub entries_erased: u64,
    /// Left as they are, for their epoch still grows. Once it is sealed, they can be erased.
    pub entries_growing: u64,
    /// By how much the files of the log have become smaller.
    pub bytes_returned: u64,
}

/// Says what is left of an entry, given its bytes; none where it must not be erased.
pub type Leave<'a> = dyn FnMut(Seq, &Bytes) -> Option<Bytes> + 'a;

/// Why entries were not erased. They are then as they were.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// One of them must not be erased.
    #[error("entry {seq} must not be erased")]
    Kept {
        /// Which.
        seq: Seq,
    },
    /// The epoch could not be read, or its new store not be written.
    #[error(transparent)]
    Epoch(#[from] OpenError),
}

impl From<DiskError> for EraseError {
    fn from(error: DiskError) -> EraseError {
        EraseError::Epoch(OpenError::Disk(error))
    }
}

impl Eraser {
    /// Erase the entries at `seqs`, epoch by epoch; `leave` says what is left of each. When it returns, their bytes are in no file of
    /// the log's epochs and are not handed out any more. Those that were erased before are passed over.
    pub fn erase(&self, seqs: &BTreeSet<Seq>, leave: &mut Leave<'_>) -> Result<Erasure, EraseError> {
        let _one_at_a_time = self.shared.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut erasure = Erasure::default();
        for (span, epoch) in self.epochs()? {
            let wanted = seqs.range(span);
            match &epoch.body {
                _ if wanted.clone().next().is_none() => {}
                Body::Growing(_) => erasure.entries_growing += wanted.count() as u64,
                Body::Sealed(_) => self.erase_in(&epoch.place, seqs, leave, &mut erasure)?,
            }
        }
        Ok(erasure)
    }

    /// The epochs that are sealed, in order: only what is in them can be erased.
    pub fn sealed(&self) -> Result<Vec<Range<Seq>>, EraseError> {
        let sealed = self.epochs()?.into_iter();
        let sealed = sealed.filter(|(_, epoch)| matches!(epoch.body, Body::Sealed(_)));
        Ok(sealed.map(|(span, _)| span).collect())
    }

    /// Wait until every epoch but the one that is written to is sealed. Whether that came about.
    pub fn wait_until_sealed(&self, patience: Duration) -> bool {
        self.shared.wait_until_sealed(patience)
    }

    fn epochs(&self) -> Result<Vec<(Range<Seq>, Epoch)>, EraseError> {
        let (epochs, head) = {
            let view = self.shared.view();
            (view.epochs.clone(), Seq(view.head.size))
        };
        if epochs.is_empty() {
            return Err(EraseError::Closed);
        }
        let ends: Vec<Seq> = epochs.iter().skip(1).map(|epoch| epoch.place.first).collect();
        let spans = epochs.into_iter().zip(ends.into_iter().chain([head]));
        Ok(spans.map(|(epoch, end)| (epoch.place.first..end, epoch)).collect())
    }

    fn erase_in(
        &self,
        place: &Place,
        seqs: &BTreeSet<Seq>,
        leave: &mut Leave<'_>,
        erasure: &mut Erasure,
    ) -> Result<(), EraseError> {
        let read = Manifest::read(&place.manifest())?;
        let missing = || Damage::new("the manifest is gone").in_epoch(place.first);
        let manifest = read
            .ok_or_else(missing)
            .and_then(|read| read)
            .map_err(OpenError::Damaged)?;
        let store = self.shared.sealed_store(place).map_err(of_reading)?;
        let (mut erased, mut kept) = (0, None);
        let source = Source {
            place,
            store: &store,
            chain_before: manifest.chain_before,
            head: manifest.head,
        };
        source.copy(&place.erased(), &mut |seq, entry| match &entry {
            Stored::Whole { bytes, .. } if seqs.contains(&seq) => match leave(seq, bytes) {
                Some(rest) => {
                    erased += 1;
                    Stored::Erased {
                        commitment: entry.commitment(),
                        rest,
                    }
                }
                None => {
                    kept = Some(seq);
                    entry
                }
            },
            _ => entry,
        })?;
        drop(store);
        if erased == 0 || kept.is_some() {
            disk::remove_tree(&place.erased())?;
            return kept.map_or(Ok(()), |seq| Err(EraseError::Kept { seq }));
        }
        let files = manifest::digest_files(&place.erased())?;
        let bytes = |files: &[FileDigest]| files.iter().map(|file| file.length_bytes).sum::<u64>();
        erasure.bytes_returned += bytes(&manifest.files).saturating_sub(bytes(&files));
        let manifest = Manifest { files, ..manifest };
        manifest.write(&place.erased_manifest())?;
        self.shared.take_erased(place, manifest)?;
        erasure.entries_erased += erased;
        Ok(())
    }
}

impl Place {
    /// The manifest that counts and the store that it describes, also in the middle of an erasure.
    pub(super) fn sealed_now(&self) -> (PathBuf, PathBuf) {
        match (self.erased_manifest().exists(), self.erased().exists()) {
            (true, true) => (self.erased_manifest(), self.erased()),
            (true, false) => (self.erased_manifest(), self.sealed()),
            (false, _) => (self.manifest(), self.sealed()),
        }
    }

    /// Finish an erasure that has come so far that it counts, or throw away one that has not.
    pub(super) fn finish_erasure(&self) -> Result<(), DiskError> {
        if !self.erased_manifest().exists() {
            return disk::remove_tree(&self.erased());
        }
        if self.erased().exists() {
            disk::remove_tree(&self.sealed())?;
            disk::rename(&self.erased(), &self.sealed())?;
        }
        disk::rename(&self.erased_manifest(), &self.manifest())
    }
}

fn of_reading(error: ReadError) -> EraseError {
    match error {
        ReadError::Disk(error) => EraseError::from(error),
        ReadError::Damaged(damage) => EraseError::Epoch(OpenError::Damaged(damage)),
        ReadError::Closed | ReadError::BeyondHead { .. } => EraseError::Closed,
    }
}
