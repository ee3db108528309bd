//! Appending, and going over from one epoch to the next.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::batch::{Batch, ENTRY_BYTES_MAX, Stored, VALUE_BYTES_MAX, chain_after};
use super::disk;
use super::epoch::{self, Place, Span};
use super::erase::Eraser;
use super::error::{AppendError, CloseError, DiskError, OpenError, Stop};
use super::journal::Journal;
use super::merkle::Hash;
use super::read::LogReader;
use super::salted::Salted;
use super::shared::{Body, Epoch};
use super::store::{Store, StoreError};
use super::waiting::{Waiting, one_batch};
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
    pub journal: Journal,
    /// What the journal holds and the store does not.
    pub waiting: Waiting,
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

    /// A handle for erasing, for a thread of its own.
    pub fn eraser(&self) -> Eraser {
        Eraser {
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
        check_sizes(entries.iter().map(Bytes::len))?;
        let mut salted = entries.iter().cloned().map(Salted::new).collect();
        self.append_salted(&mut salted)
    }

    /// As [`Log::append`], of entries that their callers have salted and hashed. They are taken out of `entries`, but where an error
    /// says that none was looked at.
    pub fn append_salted(&mut self, entries: &mut Vec<Salted>) -> Result<Range<Seq>, AppendError> {
        if let Err(stop) = self.sealer.look() {
            self.stop_with(stop);
        }
        if let Some(stop) = &self.stop {
            return Err(stop.clone().into_append_error());
        }
        check_sizes(entries.iter().map(Salted::size_bytes))?;
        let before = self.head();
        let range = Seq(before.size)..Seq(before.size + entries.len() as u64);
        if entries.is_empty() {
            return Ok(range);
        }
        if let Err(stop) = self.write(before, entries) {
            tracing::error!(reason = %stop.reason, "the log stopped");
            self.stop = Some(stop.clone());
            return Err(stop.into_append_error());
        }
        self.begin_epoch_if_full();
        Ok(range)
    }

    /// Make entries durable and move the head over them. What is small waits in the journal; once enough of it waits, it goes to the
    /// store together with what comes then.
    fn write(&mut self, before: Head, entries: &mut Vec<Salted>) -> Result<(), Stop> {
        let cost_bytes: usize = entries.iter().map(|salted| salted.entry.cost_bytes()).sum();
        let record_bytes = Batch::plain_bytes(cost_bytes);
        let waiting_bytes = self.growing.waiting.cost_bytes() + cost_bytes;
        if waiting_bytes <= self.options.waiting_bytes_max.min(VALUE_BYTES_MAX)
            && self.growing.journal.has_room(record_bytes)
        {
            let (batch, leaves) = one_batch(before, entries.drain(..));
            self.write_journal(&batch).map_err(|error| Stop::from(&error))?;
            self.growing.waiting.push(&batch, &leaves);
            let chain = leaves
                .iter()
                .fold(before.chain, |chain, leaf| chain_after(&chain, leaf));
            return self.publish(&leaves, chain, Some(batch));
        }
        let leaves: Vec<Hash> = entries.iter().map(|salted| salted.leaf).collect();
        let chain = self.write_store(entries.drain(..))?;
        self.publish(&leaves, chain, None)
    }

    /// A crash before the sync leaves the record, or nothing that passes for one.
    fn write_journal(&mut self, batch: &Batch) -> Result<(), DiskError> {
        self.growing.journal.append(self.encoder.plain(batch))?;
        match self.options.durability {
            Durability::Full => self.growing.journal.sync(),
            Durability::SkipSync => Ok(()),
        }
    }

    /// Move what waits to the store, and more after it. A crash before the sync leaves none, some or all of the values; opening takes
    /// them over only if all are whole. Until then the journal holds what was acknowledged.
    /// Gives the chain hash after all of it.
    fn write_store(&mut self, more: impl Iterator<Item = Salted>) -> Result<Hash, Stop> {
        let waiting = std::mem::take(&mut self.growing.waiting);
        let (batches, chain) = waiting.into_batches(self.head(), more);
        let (store, encoder) = (&self.growing.store, &mut self.encoder);
        let mut write = || {
            batches
                .iter()
                .try_for_each(|batch| store.insert(batch.first, encoder.packed(batch)))?;
            store.flush()?;
            match self.options.durability {
                Durability::Full => Ok(store.sync()?),
                Durability::SkipSync => Ok(()),
            }
        };
        write().map_err(|error: StoreError| match error {
            StoreError::Disk(error) => Stop::from(&error),
            StoreError::Corrupt(reason) => Stop { full: false, reason },
        })?;
        self.growing.journal.clear();
        Ok(chain)
    }

    /// Move what waits to the store, if anything does.
    fn empty_journal(&mut self) -> Result<(), Stop> {
        if self.growing.waiting.is_empty() {
            return Ok(());
        }
        let chain = self.write_store(std::iter::empty())?;
        self.publish(&[], chain, None)
    }

    /// Move the head over what is durable now, first in its file, then for readers. A crash between the two leaves a
    /// head that demands entries whose append never returned, and they are there.
    ///
    /// What was written just now is not put into the cache: nobody reads it from the log, for the views have it.
    fn publish(&self, leaves: &[Hash], chain: Hash, in_journal: Option<Batch>) -> Result<(), Stop> {
        let mut view = self.shared.view_mut();
        view.fold.extend(leaves, chain);
        let head = view.fold.head();
        self.head_file.write(&head)?;
        view.head = head;
        match in_journal {
            Some(batch) => view.pending.push(Arc::new(batch)),
            None => view.pending.clear(),
        }
        Ok(())
    }

    fn begin_epoch_if_full(&mut self) {
        let entries = self.head().size - self.growing.place.first.0;
        // Looked at where the store was just written; an append to the journal has not changed it.
        let bytes = match self.growing.waiting.is_empty() {
            true => self.growing.store.size_bytes().unwrap_or(u64::MAX),
            false => 0,
        };
        let (entries_max, bytes_max) = (self.options.epoch_entries_max, self.options.epoch_bytes_max);
        if entries >= entries_max || bytes >= bytes_max {
            self.end_epoch();
        } else if entries >= nearly(entries_max) || bytes >= nearly(bytes_max) {
            self.next.prepare(&self.shared.log_dir);
        }
    }

    /// Begin another epoch and have the one before sealed, in the background, however few entries it has: what is in it can be
    /// erased then. Nothing happens where it has none, or where there is no room.
    pub fn end_epoch(&mut self) {
        if self.stop.is_some() || self.head().size == self.growing.place.first.0 {
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
        if let Err(stop) = self.sealer.finish().and_then(|()| self.empty_journal()) {
            return Err(OpenError::Disk(self.stop_with(stop)));
        }
        // A sealed epoch beyond the head would look like damage: the head must be on disk first.
        if let Err(stop) = self.head_file.write_and_sync(&head) {
            return Err(OpenError::Disk(self.stop_with(stop)));
        }
        let made = self.next.take(&self.shared.log_dir);
        let begun = made.and_then(|made| made.begin(&self.shared.log_dir, first));
        let epoch::Fresh { place, store, journal } = match begun {
            Ok(begun) => begun,
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
                journal,
                waiting: Waiting::default(),
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
    pub fn close(mut self) -> Result<(), CloseError> {
        if self.stop.is_none() {
            self.empty_journal().map_err(CloseError::Stopped)?;
        }
        // Dropped from the right to the left: the lock goes last.
        let Log {
            _lock,
            _closer,
            shared,
            head_file,
            growing,
            mut sealer,
            next,
            stop,
            ..
        } = self;
        if let Some(stop) = stop {
            return Err(CloseError::Stopped(stop));
        }
        sealer.finish().map_err(CloseError::Stopped)?;
        drop(next);
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
        // All of it is in the store, and no digest covers it.
        disk::remove_file(&growing.place.journal())?;
        Ok(())
    }
}

/// What of a limit leaves time to make the next epoch ready.
fn nearly(max: u64) -> u64 {
    max - max / 8
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

fn check_sizes(entries: impl Iterator<Item = usize>) -> Result<(), AppendError> {
    let mut total = 0;
    for (index, entry_bytes) in entries.enumerate() {
        if entry_bytes > ENTRY_BYTES_MAX {
            return Err(AppendError::TooLarge {
                index,
                max: ENTRY_BYTES_MAX,
            });
        }
        total += entry_bytes + Stored::OVERHEAD_BYTES;
        if total > APPEND_BYTES_MAX {
            return Err(AppendError::TooLarge {
                index,
                max: APPEND_BYTES_MAX,
            });
        }
    }
    Ok(())
}
