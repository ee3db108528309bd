//! What the writer and the readers share: the published head, the Merkle tree, the epochs and their open stores.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::Head;
use super::batch::Batch;
use super::cache::Cache;
use super::epoch::{self, Fold, Place, Span};
use super::error::{Damage, DiskError, OpenError, ReadError};
use super::manifest::Manifest;
use super::store::{Store, StoreError};
use crate::domain::id::Seq;

/// How many sealed stores are open at once. sled's memory grows with each.
const SEALED_OPEN_MAX: usize = 3;

#[derive(Debug)]
pub(super) struct Shared {
    pub log_dir: PathBuf,
    view: RwLock<View>,
    cache: Mutex<Cache>,
    /// Held while entries are being erased, and by whoever closes.
    pub erasing: Mutex<()>,
    /// The sealed stores that are open, the one used last at the end.
    sealed_open: Mutex<Vec<(Seq, Arc<Store>)>>,
    /// An epoch was sealed, or the log was closed.
    sealed: Condvar,
}

#[derive(Debug)]
pub(super) struct View {
    /// What readers may see. It trails `fold` while an append is being made durable.
    pub head: Head,
    pub fold: Fold,
    /// In order, without gaps; none after the log was closed.
    pub epochs: Vec<Epoch>,
    /// The last entries, of the last epoch, which only the journal holds yet.
    pub pending: Vec<Arc<Batch>>,
}

#[derive(Clone, Debug)]
pub(super) struct Epoch {
    pub place: Place,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Growing(Arc<Store>),
    Sealed(Arc<Manifest>),
}

impl View {
    /// The batch of the journal that holds `seq`.
    fn pending_at(&self, seq: Seq) -> Option<&Arc<Batch>> {
        let at = self.pending.partition_point(|batch| batch.end() <= seq);
        self.pending.get(at).filter(|batch| batch.first <= seq)
    }
}

impl Shared {
    pub(super) fn new(log_dir: PathBuf, view: View, cache_bytes: usize) -> Shared {
        let cache = Mutex::new(Cache::new(cache_bytes));
        Shared {
            log_dir,
            view: RwLock::new(view),
            cache,
            erasing: Mutex::new(()),
            sealed_open: Mutex::new(Vec::new()),
            sealed: Condvar::new(),
        }
    }

    // The locks below are never held across a panic that leaves a half-changed state, so poison carries no news.

    pub(super) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The epoch that holds `seq`.
    pub(super) fn epoch_at(&self, seq: Seq) -> Result<Epoch, ReadError> {
        let view = self.view();
        let after = view.epochs.partition_point(|epoch| epoch.place.first <= seq);
        let epoch = after.checked_sub(1).and_then(|at| view.epochs.get(at));
        epoch.cloned().ok_or(ReadError::Closed)
    }

    /// The open store of an epoch.
    pub(super) fn store(&self, epoch: &Epoch) -> Result<Arc<Store>, ReadError> {
        match &epoch.body {
            Body::Growing(store) => Ok(Arc::clone(store)),
            Body::Sealed(_) => self.sealed_store(&epoch.place),
        }
    }

    pub(super) fn sealed_store(&self, place: &Place) -> Result<Arc<Store>, ReadError> {
        let mut open = self.sealed_open();
        if let Some(at) = open.iter().position(|(first, _)| *first == place.first) {
            let found = open.remove(at);
            let store = Arc::clone(&found.1);
            open.push(found);
            return Ok(store);
        }
        // Under the lock, for erasing entries changes the files and then the manifest.
        let Body::Sealed(manifest) = self.epoch_at(place.first)?.body else {
            return Err(ReadError::Closed);
        };
        // sled must never open a damaged file: it would drop what it cannot read, and write that down.
        let whole = manifest.check_files(&place.sealed())?;
        whole.map_err(|damage| damage.in_epoch(place.first))?;
        let store = Store::open(&place.sealed()).map_err(|error| from_store(error, place.first, None))?;
        let store = Arc::new(store);
        if open.len() == SEALED_OPEN_MAX {
            open.remove(0);
        }
        open.push((place.first, Arc::clone(&store)));
        Ok(store)
    }

    /// Close the sealed store of an epoch to whose end somebody walked: who walks on does not come back, and sled would keep all that
    /// it read in memory.
    pub(super) fn let_go(&self, place: &Place) {
        self.sealed_open().retain(|(first, _)| *first != place.first);
    }

    /// How many sealed stores are open.
    #[cfg(test)]
    pub(super) fn sealed_open_count(&self) -> usize {
        self.sealed_open().len()
    }

    fn sealed_open(&self) -> MutexGuard<'_, Vec<(Seq, Arc<Store>)>> {
        self.sealed_open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Put the store that [`Eraser`](super::Eraser) wrote in the place of the one that was read until now. Readers that are in the middle of the old
    /// one keep it until they are done.
    pub(super) fn take_erased(&self, place: &Place, manifest: Manifest) -> Result<(), DiskError> {
        let mut open = self.sealed_open();
        place.finish_erasure()?;
        open.retain(|(first, _)| *first != place.first);
        let end = Seq(manifest.head.size);
        let mut view = self.view_mut();
        if let Some(epoch) = view.epochs.iter_mut().find(|epoch| epoch.place == *place) {
            epoch.body = Body::Sealed(Arc::new(manifest.without_tree()));
        }
        self.cache().forget(place.first, end);
        Ok(())
    }

    /// The batch that holds `seq`, which must lie below the head.
    pub(super) fn batch_at(&self, seq: Seq) -> Result<Arc<Batch>, ReadError> {
        if let Some(batch) = self.cache().batch_at(seq) {
            return Ok(batch);
        }
        let pending = self.view().pending_at(seq).cloned();
        if let Some(batch) = pending {
            return Ok(batch);
        }
        let forgotten = self.cache().forgotten();
        let epoch = self.epoch_at(seq)?;
        let first = epoch.place.first;
        let missing = || ReadError::Damaged(Damage::new("the entry is missing").at(seq).in_epoch(first));
        let found = self
            .store(&epoch)?
            .value_at(seq)
            .map_err(|error| from_store(error, first, Some(seq)))?;
        let (key, value) = found.ok_or_else(missing)?;
        let batch = decode(key, &value, first)?;
        if batch.end() <= seq {
            return Err(missing());
        }
        let batch = Arc::new(batch);
        let mut cache = self.cache();
        // What was erased since then must not come back.
        if cache.forgotten() == forgotten {
            cache.insert(Arc::clone(&batch));
        }
        drop(cache);
        Ok(batch)
    }

    /// Seal an epoch that grows no more, and read it from its sealed store from here on. Readers that are in the middle
    /// of the old one keep it until they are done.
    pub(super) fn seal(&self, place: &Place, store: &Store, span: Span) -> Result<(), OpenError> {
        let manifest = epoch::seal(place, store, span)?.without_tree();
        let mut view = self.view_mut();
        if let Some(epoch) = view.epochs.iter_mut().find(|epoch| epoch.place == *place) {
            epoch.body = Body::Sealed(Arc::new(manifest));
        }
        drop(view);
        self.tell_sealed();
        Ok(place.remove_growing()?)
    }

    pub(super) fn wait_until_sealed(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut guard = self.sealed_open();
        loop {
            let growing = |epoch: &Epoch| matches!(epoch.body, Body::Growing(_));
            match self.view().epochs.split_last() {
                None => return false,
                Some((_, before)) if !before.iter().any(growing) => return true,
                Some(_) => {}
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return false;
            };
            let waited = self.sealed.wait_timeout(guard, left);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Under the lock that those who wait look under, or one that is about to wait would miss it.
    fn tell_sealed(&self) {
        let _looking = self.sealed_open();
        self.sealed.notify_all();
    }

    /// Let go of all stores, so that the log can be opened again. Readers get [`ReadError::Closed`] from here on.
    pub(super) fn close(&self) {
        let _erased = self.erasing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut view = self.view_mut();
        view.epochs.clear();
        view.pending.clear();
        drop(view);
        self.sealed_open().clear();
        self.tell_sealed();
    }
}

pub(super) fn decode(first: Seq, value: &[u8], epoch: Seq) -> Result<Batch, ReadError> {
    let damaged = |error: super::batch::BatchError| Damage::new(error.to_string()).at(first).in_epoch(epoch);
    Ok(Batch::decode(first, value).map_err(damaged)?)
}

pub(super) fn from_store(error: StoreError, epoch: Seq, at: Option<Seq>) -> ReadError {
    match error {
        StoreError::Disk(error) => ReadError::Disk(error),
        StoreError::Corrupt(reason) => ReadError::Damaged(
            Damage {
                seq: at,
                ..Damage::new(reason)
            }
            .in_epoch(epoch),
        ),
    }
}

/// Closes what is shared when the writer goes, however it goes.
#[derive(Debug)]
pub(super) struct Closer(pub Arc<Shared>);

impl Drop for Closer {
    fn drop(&mut self) {
        self.0.close();
    }
}
