//! The head file: how far the log reaches, kept outside sled, because sled drops a damaged tail without a word.
//! It says what was acknowledged; anything less in the epochs is damage.
//!
//! An append writes the head after its entries are durable and before it is acknowledged, so the head never demands
//! what was not acknowledged or about to be. The write alone outlives the process; a thread syncs it, at most
//! [`SYNC_PAUSE`] later, for a sync of its own would double the latency of each append. A power cut may therefore leave
//! a head up to that much behind. Nothing is lost by it: the entries themselves were synced, and those beyond the head
//! are taken over when their checksums and chain hold. What it costs is that damage to the very entries of those last
//! milliseconds, on top of the power cut, would pass for a torn tail.
//!
//! The file has three slots, a page each: one that is known to be on disk, one being synced, one being written. So a
//! torn write never hits the only good one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::error::{DiskError, OnDisk, Stop};
use super::fields::{self, Fields};
use super::merkle::{self, Hash};
use super::{Durability, Head};

/// The longest time between a head being written and being synced, besides the sync itself.
pub(super) const SYNC_PAUSE: Duration = Duration::from_millis(10);

const SLOTS: usize = 3;
const SLOT_BYTES: usize = 4096;
const MAGIC: [u8; 8] = *b"CHhead\x00\x01";
const RECORD_BYTES: usize = 8 + 8 + 8 + 32 + 32 + 4;

impl Head {
    /// The head of a log without entries.
    pub fn empty() -> Head {
        Head {
            size: 0,
            root: merkle::empty_root(),
            chain: [0; 32],
        }
    }
}

/// What a head file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadRecord {
    pub head: Head,
    /// Counts the writes; the slot with the highest one is the newest.
    counter: u64,
    slot: usize,
    /// How many other slots could not be read: a write torn by a power cut, or damage.
    pub slots_unreadable: usize,
}

fn encode(head: &Head, counter: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(RECORD_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&counter.to_le_bytes());
    out.extend_from_slice(&head.size.to_le_bytes());
    out.extend_from_slice(&head.root);
    out.extend_from_slice(&head.chain);
    fields::put_checksum(&mut out);
    out
}

fn decode(slot: &[u8]) -> Option<(Head, u64)> {
    let (record, padding) = slot.split_at_checked(RECORD_BYTES)?;
    if slot.len() != SLOT_BYTES || padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    let mut fields = Fields {
        rest: fields::checked(record)?,
    };
    if fields.array()? != MAGIC {
        return None;
    }
    let counter = fields.u64()?;
    let size = fields.u64()?;
    let root: Hash = fields.array()?;
    let chain: Hash = fields.array()?;
    Some((Head { size, root, chain }, counter))
}

/// Read the newest readable slot. `None` means that no slot is readable, or that the file is not as long as it must be.
pub(super) fn read(path: &Path) -> Result<Option<HeadRecord>, DiskError> {
    let content = std::fs::read(path).on("read", path)?;
    let readable: Vec<HeadRecord> = content
        .chunks(SLOT_BYTES)
        .enumerate()
        .filter_map(|(slot, bytes)| {
            decode(bytes).map(|(head, counter)| HeadRecord {
                head,
                counter,
                slot,
                slots_unreadable: 0,
            })
        })
        .collect();
    if content.len() != SLOTS * SLOT_BYTES {
        return Ok(None);
    }
    let newest = readable.iter().max_by_key(|record| record.counter).copied();
    Ok(newest.map(|record| HeadRecord {
        slots_unreadable: SLOTS - readable.len(),
        ..record
    }))
}

/// The bytes of a head file with the same head in each slot.
pub(super) fn fresh(head: &Head) -> Vec<u8> {
    let mut content = Vec::with_capacity(SLOTS * SLOT_BYTES);
    for counter in 0..SLOTS as u64 {
        content.extend_from_slice(&encode(head, counter));
        content.resize((counter as usize + 1) * SLOT_BYTES, 0);
    }
    content
}

/// The open head file and the thread that syncs it.
#[derive(Debug)]
pub(super) struct HeadFile {
    shared: Arc<Shared>,
    syncer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    file: File,
    path: PathBuf,
    durability: Durability,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    counter: u64,
    /// The slot known to be on disk.
    stable: usize,
    /// The slot that the next write goes to; never the stable one, nor the one being synced.
    writing: usize,
    dirty: bool,
    /// Whether the thread waits for something to sync. Only then is it woken, for that costs more than a write.
    idle: bool,
    closing: bool,
    failed: Option<Stop>,
}

impl HeadFile {
    /// Open the file, whose newest record is `record`.
    pub(super) fn open(path: &Path, record: &HeadRecord, durability: Durability) -> Result<HeadFile, DiskError> {
        let file = File::options().write(true).open(path).on("open", path)?;
        // What was read may only be in the kernel's memory yet (after a kill, say); from here on it counts as stable.
        if durability == Durability::Full {
            file.sync_data().on("sync", path)?;
        }
        let state = State {
            counter: record.counter,
            stable: record.slot,
            writing: (record.slot + 1) % SLOTS,
            dirty: false,
            idle: false,
            closing: false,
            failed: None,
        };
        let shared = Shared {
            file,
            path: path.to_path_buf(),
            durability,
            state: Mutex::new(state),
            changed: Condvar::new(),
        };
        let shared = Arc::new(shared);
        let syncer = std::thread::Builder::new()
            .name("log-head-sync".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.sync_until_closed()
            })
            .on("start the syncing thread of", path)?;
        Ok(HeadFile {
            shared,
            syncer: Some(syncer),
        })
    }

    /// Write the head. From here on it outlives this process; within [`SYNC_PAUSE`], a power cut.
    pub(super) fn write(&self, head: &Head) -> Result<(), Stop> {
        let mut state = self.shared.lock();
        if let Some(stop) = &state.failed {
            return Err(stop.clone());
        }
        state.counter += 1;
        let at = (state.writing * SLOT_BYTES) as u64;
        let written = self.shared.file.write_all_at(&encode(head, state.counter), at);
        written
            .on("write", &self.shared.path)
            .map_err(|error| Stop::from(&error))?;
        state.dirty = true;
        if state.idle {
            state.idle = false;
            self.shared.changed.notify_all();
        }
        Ok(())
    }

    /// Write the head and wait until it is on disk.
    pub(super) fn write_and_sync(&self, head: &Head) -> Result<(), Stop> {
        self.write(head)?;
        let mut state = self.shared.lock();
        if self.shared.durability == Durability::Full {
            self.shared
                .file
                .sync_data()
                .on("sync", &self.shared.path)
                .map_err(|error| Stop::from(&error))?;
        }
        // Whatever the thread is at with another slot, nothing is left for it to do.
        state.dirty = false;
        Ok(())
    }
}

impl Drop for HeadFile {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(syncer) = self.syncer.take() {
            let _ = syncer.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds this lock, so a poisoned state is still a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync_until_closed(&self) {
        let mut state = self.lock();
        loop {
            while !state.dirty && !state.closing {
                state.idle = true;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.idle = false;
            if !state.dirty {
                return;
            }
            state.dirty = false;
            let syncing = state.writing;
            state.writing = SLOTS - state.stable - syncing;
            drop(state);
            let synced = match self.durability {
                Durability::Full => self.file.sync_data().on("sync", &self.path),
                Durability::SkipSync => Ok(()),
            };
            state = self.lock();
            match synced {
                Ok(()) => state.stable = syncing,
                Err(error) => {
                    // The next append finds this and stops the log: what a failed sync left behind is unknown.
                    state.failed = Some(Stop::from(&error));
                    return;
                }
            }
            let paused = self
                .changed
                .wait_timeout_while(state, SYNC_PAUSE, |state| !state.closing);
            state = paused.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::golden;
    use super::*;

    fn head(size: u64) -> Head {
        Head {
            size,
            root: [size as u8; 32],
            chain: [3; 32],
        }
    }

    #[test]
    fn a_torn_slot_leaves_an_earlier_head_and_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("head");
        std::fs::write(&path, fresh(&head(5))).unwrap();
        let file = HeadFile::open(&path, &read(&path).unwrap().unwrap(), Durability::Full).unwrap();
        for size in 6..50 {
            file.write(&head(size)).unwrap();
            let record = read(&path).unwrap().unwrap();
            assert_eq!((record.head, record.slots_unreadable), (head(size), 0));
            let mut content = std::fs::read(&path).unwrap();
            content[record.slot * SLOT_BYTES + 20] ^= 1;
            let torn = dir.path().join("torn");
            std::fs::write(&torn, content).unwrap();
            let record = read(&torn).unwrap().unwrap();
            assert!(record.head.size < size && record.head.size >= 5);
            assert_eq!(record.slots_unreadable, 1);
        }
    }

    #[test]
    fn every_flipped_bit_of_a_slot_makes_it_unreadable() {
        let content = fresh(&head(5));
        for bit in 0..SLOT_BYTES * 8 {
            let mut slot = content[..SLOT_BYTES].to_vec();
            slot[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&slot), None, "bit {bit}");
        }
    }

    #[test]
    fn a_head_file_of_another_length_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("head");
        for length in [0, 100, SLOT_BYTES, 3 * SLOT_BYTES - 1] {
            std::fs::write(&path, &fresh(&head(5))[..length]).unwrap();
            assert_eq!(read(&path).unwrap(), None, "length {length}");
        }
    }

    #[test]
    fn golden_bytes_of_version_1_are_read_for_ever() {
        let record = golden::bytes(include_str!("golden/head-1.hex"));
        let mut slot = record.clone();
        slot.resize(SLOT_BYTES, 0);
        assert_eq!(decode(&slot), Some((head(5), 0x0102)));
        assert_eq!(
            encode(&head(5), 0x0102),
            record,
            "what is written now must be what version 1 was"
        );
    }
}
