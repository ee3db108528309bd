//! The epoch after the one that grows, made ready in the background: to make a store takes sled a tenth of a second, for which no append
//! should wait. Where there was no time for that, it is made when it is needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::disk;
use super::epoch::{Fresh, Place};
use super::error::{DiskError, OnDisk};
use super::journal::Journal;
use super::store::{Store, StoreError};
use crate::domain::id::Seq;

/// An epoch without entries, and all of it but its name.
#[derive(Debug)]
pub(super) struct Unnamed {
    dir: PathBuf,
    store: Store,
}

/// Where it is made.
fn dir(log_dir: &Path) -> PathBuf {
    log_dir.join("epochs").join("next.partial")
}

/// Remove what a crash left of one.
pub(super) fn clean(log_dir: &Path) -> Result<(), DiskError> {
    disk::remove_tree(&dir(log_dir))
}

impl Unnamed {
    /// Make one. It is on disk when this returns, and no epoch of the log.
    pub(super) fn make(log_dir: &Path) -> Result<Unnamed, StoreError> {
        clean(log_dir)?;
        let dir = dir(log_dir);
        std::fs::create_dir(&dir).on("create directory", &dir)?;
        // The first opening makes the store, the second takes the room of its first segment: a disk without that room has
        // to say so before the epoch exists.
        drop(Store::open(&dir.join("active"))?);
        let store = Store::open(&dir.join("active"))?;
        drop(Journal::open_empty(&dir.join("journal"))?);
        disk::sync_tree(&dir)?;
        Ok(Unnamed { dir, store })
    }

    /// Make it the epoch that starts at `first`. It appears as a whole or not at all.
    pub(super) fn begin(self, log_dir: &Path, first: Seq) -> Result<Fresh, StoreError> {
        let Unnamed { dir, mut store } = self;
        let place = Place::new(log_dir, first);
        disk::rename(&dir, &place.dir)?;
        store.moved_to(&place.active());
        match Journal::open_empty(&place.journal()) {
            Ok(journal) => Ok(Fresh {
                place,
                store: Arc::new(store),
                journal,
            }),
            Err(error) => {
                drop(store);
                disk::rename(&place.dir, &dir)?;
                Err(error.into())
            }
        }
    }
}

/// At most one that is being made, or is ready. Dropping it waits, and removes it.
#[derive(Debug, Default)]
pub(super) struct Next {
    working: Option<(PathBuf, JoinHandle<Result<Unnamed, StoreError>>)>,
}

impl Next {
    /// Begin to make one, unless that was done.
    pub(super) fn prepare(&mut self, log_dir: &Path) {
        if self.working.is_some() {
            return;
        }
        let dir = log_dir.to_path_buf();
        let thread = std::thread::Builder::new().name("log-next".to_owned());
        match thread.spawn(move || Unnamed::make(&dir)) {
            Ok(thread) => self.working = Some((log_dir.to_path_buf(), thread)),
            Err(error) => tracing::warn!(%error, "no thread makes the next epoch ready"),
        }
    }

    /// The one that is ready, or will be soon; else one that is made now.
    pub(super) fn take(&mut self, log_dir: &Path) -> Result<Unnamed, StoreError> {
        match self.working.take().map(|(_, thread)| thread.join()) {
            Some(Ok(made)) => made,
            // It died of a defect, and did not get far.
            Some(Err(_)) | None => Unnamed::make(log_dir),
        }
    }
}

impl Drop for Next {
    fn drop(&mut self) {
        let Some((log_dir, thread)) = self.working.take() else {
            return;
        };
        // The thread works in the log's directory: it must have ended before the lock is given back.
        drop(thread.join());
        if let Err(error) = clean(&log_dir) {
            tracing::warn!(%error, "an epoch that was made ready stays until the next start");
        }
    }
}
