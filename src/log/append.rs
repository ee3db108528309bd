//! Appending, and going over from one epoch to the next.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::RngCore;

use super::batch::{Batch, ENTRY_BYTES_MAX, Stored, VALUE_BYTES_MAX, chain_after};
use super::epoch::{self, Place, Span};
use super::error::{AppendError, CloseError, DiskError, OpenError, Stop};
use super::merkle::Hash;
use super::read::LogReader;
use super::shared::{Body, Epoch};
use super::store::{Store, StoreError};
use super::{Durability, Head, Log, Opening};
use crate::domain::id::Seq;

/// The most bytes one append may have in all, overhead included.
pub const APPEND_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long closing waits for readers.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(2);

/// The epoch that is being written.
#[derive(Debug)]
pub(super) struct Growing {
    pub place: Place,
    pub store: Arc<Store>,
    /// The chain hash before its first entry.
    pub chain_before: Hash,
}

impl Log {
    /// How far the log reaches.
    pub fn head(&self) -> Head {
        self.shared.view().head
    }

    /// A handle for reading, for any thread.
    pub fn reader(&self) -> LogReader {
        LogReader {
            shared: Arc::clone(&self.shared),
        }
    }

    /// What opening the log came upon.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Why the log takes no more appends, if it stopped.
    pub fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// Append entries, all or none, as one durable write: when it returns, they survive a power cut.
    ///
    /// [`AppendError::TooLarge`] fails this request alone. Any other error stops the log until it is reopened; whether
    /// the entries are in it then is unknown until then, and either all of them are or none.
    pub fn append(&mut self, entries: &[Bytes]) -> Result<Range<Seq>, AppendError> {
        if let Err(stop) = self.sealer.look() {
            self.stop_with(stop);
        }
        if let Some(stop) = &self.stop {
            return Err(stop.clone().into_append_error());
        }
        check_sizes(entries)?;
        let before = self.head();
        let range = Seq(before.size)..Seq(before.size + entries.len() as u64);
        if entries.is_empty() {
            return Ok(range);
        }
        let (batches, leaves) = into_batches(before, salted(entries));
        let written = self.write(&batches).and_then(|()| self.publish(batches, &leaves));
        if let Err(stop) = written {
            tracing::error!(reason = %stop.reason, "the log stopped");
            self.stop = Some(stop.clone());
            return Err(stop.into_append_error());
        }
        self.begin_epoch_if_full();
        Ok(range)
    }

    /// Make batches durable. A crash before the sync leaves none, some or all of them; opening takes them over only if
    /// all are whole.
    fn write(&self, batches: &[Batch]) -> Result<(), Stop> {
        let store = &self.growing.store;
        let write = || {
            batches
                .iter()
                .try_for_each(|batch| store.insert(batch.first, batch.encode()))?;
            store.flush()?;
            match self.options.durability {
                Durability::Full => Ok(store.sync()?),
                Durability::SkipSync => Ok(()),
            }
        };
        write().map_err(|error: StoreError| match error {
            StoreError::Disk(error) => Stop::from(&error),
            StoreError::Corrupt(reason) => Stop { full: false, reason },
        })
    }

    /// Move the head over what is durable now, first in its file, then for readers. A crash between the two leaves a
    /// head that demands entries whose append never returned, and they are there.
    fn publish(&self, batches: Vec<Batch>, leaves: &[Hash]) -> Result<(), Stop> {
        let mut view = self.shared.view_mut();
        leaves.iter().for_each(|leaf| view.fold.push(*leaf));
        let head = view.fold.head();
        self.head_file.write(&head)?;
        view.head = head;
        let mut cache = self.shared.cache();
        batches.into_iter().for_each(|batch| cache.insert(Arc::new(batch)));
        Ok(())
    }

    fn begin_epoch_if_full(&mut self) {
        let entries = self.head().size - self.growing.place.first.0;
        let bytes = self.growing.store.size_bytes().unwrap_or(u64::MAX);
        if entries < self.options.epoch_entries_max && bytes < self.options.epoch_bytes_max {
            return;
        }
        // Whatever comes of it, the append that came before is durable and stays acknowledged.
        match self.begin_epoch() {
            Ok(()) => {}
            // The old epoch goes on growing and the next append tries again, or it waits, readable, for the next
            // opening to seal it. An append that finds no room itself will say so.
            Err(OpenError::Disk(error)) if error.is_full() => {
                tracing::warn!(%error, "no room for the change of epochs");
            }
            Err(error) => {
                self.stop_with(Stop {
                    full: false,
                    reason: error.to_string(),
                });
            }
        }
    }

    /// Begin the next epoch and seal the one before. A crash in between leaves two unsealed epochs, and opening seals
    /// the first.
    fn begin_epoch(&mut self) -> Result<(), OpenError> {
        let head = self.head();
        let first = Seq(head.size);
        if let Err(stop) = self.sealer.finish() {
            return Err(OpenError::Disk(self.stop_with(stop)));
        }
        // A sealed epoch beyond the head would look like damage: the head must be on disk first.
        if let Err(stop) = self.head_file.write_and_sync(&head) {
            return Err(OpenError::Disk(self.stop_with(stop)));
        }
        let (place, store) = match epoch::create(&self.shared.log_dir, first) {
            Ok(created) => created,
            Err(error) => {
                let place = Place::new(&self.shared.log_dir, first);
                let error = epoch::from_store(error, first, None);
                if place.dir.exists() {
                    // Neither begun nor taken back: appends to the old epoch would run into the new one's place.
                    self.stop_with(Stop {
                        full: false,
                        reason: error.to_string(),
                    });
                }
                return Err(error);
            }
        };
        let body = Body::Growing(Arc::clone(&store));
        self.shared.view_mut().epochs.push(Epoch {
            place: place.clone(),
            body,
        });
        let full = std::mem::replace(
            &mut self.growing,
            Growing {
                place,
                store,
                chain_before: head.chain,
            },
        );
        let span = Span::new(full.place.first, full.chain_before, &self.shared.view().fold);
        Ok(self.sealer.start(&self.shared, full.place, full.store, span)?)
    }

    fn stop_with(&mut self, stop: Stop) -> DiskError {
        tracing::error!(reason = %stop.reason, "the log stopped");
        let error = stop.clone().into_disk_error(&self.shared.log_dir);
        self.stop = Some(stop);
        error
    }

    /// Stop cleanly, so that the next start need not read the log. Readers get
    /// [`ReadError::Closed`](super::ReadError::Closed) from here on.
    pub fn close(self) -> Result<(), CloseError> {
        // Dropped from the right to the left: the lock goes last.
        let Log {
            _lock,
            _closer,
            shared,
            head_file,
            growing,
            mut sealer,
            stop,
            ..
        } = self;
        if let Some(stop) = stop {
            return Err(CloseError::Stopped(stop));
        }
        sealer.finish().map_err(CloseError::Stopped)?;
        let (head, span) = {
            let view = shared.view();
            (
                view.head,
                Span::new(growing.place.first, growing.chain_before, &view.fold),
            )
        };
        head_file.write_and_sync(&head).map_err(CloseError::Stopped)?;
        shared.close();
        if !let_go(growing.store) {
            // A reader is still in the middle of a scan. Nothing is lost: the next start takes the way of a crash.
            return Ok(());
        }
        span.manifest(&growing.place.active())?.write(&growing.place.paused())?;
        Ok(())
    }
}

/// Close a store once the readers that are using it are done. Whether they were, in time.
fn let_go(mut store: Arc<Store>) -> bool {
    for _ in 0..CLOSE_WAIT_MAX.as_millis() {
        match Arc::try_unwrap(store) {
            Ok(last) => {
                drop(last);
                return true;
            }
            Err(shared) => store = shared,
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a blocking room, and nothing tells when the lock is free"
        )]
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

fn check_sizes(entries: &[Bytes]) -> Result<(), AppendError> {
    let mut total = 0;
    for (index, entry) in entries.iter().enumerate() {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(AppendError::TooLarge {
                index,
                max: ENTRY_BYTES_MAX,
            });
        }
        total += entry.len() + Stored::OVERHEAD_BYTES;
        if total > APPEND_BYTES_MAX {
            return Err(AppendError::TooLarge {
                index,
                max: APPEND_BYTES_MAX,
            });
        }
    }
    Ok(())
}

/// Give each entry its own salt. Two entries with one salt would tell those who see the tree that they are equal.
fn salted(entries: &[Bytes]) -> impl Iterator<Item = Stored> {
    let mut random = rand::rng();
    entries.iter().map(move |bytes| {
        let mut salt = [0; 32];
        random.fill_bytes(&mut salt);
        Stored::Whole {
            salt,
            bytes: bytes.clone(),
        }
    })
}

/// Cut an append into values that sled keeps out of blob files, and compute the leaves of its entries.
fn into_batches(before: Head, entries: impl Iterator<Item = Stored>) -> (Vec<Batch>, Vec<Hash>) {
    let mut batches: Vec<Batch> = Vec::new();
    let mut leaves = Vec::new();
    let mut chain = before.chain;
    let mut room_bytes = 0;
    for entry in entries {
        let cost_bytes = entry.cost_bytes();
        let first = Seq(before.size + leaves.len() as u64);
        leaves.push(entry.leaf());
        match batches.last_mut().filter(|_| cost_bytes <= room_bytes) {
            Some(batch) => batch.entries.push(entry),
            None => {
                room_bytes = VALUE_BYTES_MAX;
                batches.push(Batch {
                    first,
                    values_after: 0,
                    chain_before: chain,
                    entries: vec![entry],
                });
            }
        }
        room_bytes -= cost_bytes;
        chain = chain_after(&chain, &leaves[leaves.len() - 1]);
    }
    for (values_after, batch) in batches.iter_mut().rev().enumerate() {
        // APPEND_BYTES_MAX keeps the number of values far below what fits.
        batch.values_after = values_after as u16;
    }
    (batches, leaves)
}
