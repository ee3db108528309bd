//! One sled database: the only file that names sled. It keeps values under positions, makes them durable, and turns
//! sled's panics into errors. It knows nothing of what a value means.
//!
//! How sled 0.34.7 must be used, and why, as measured:
//! - `flush` ends in `sync_file_range`, which a power cut undoes: our own `fdatasync` on the file `db` follows it.
//! - A page that outgrows a quarter of a segment goes to a blob file, which a power cut tears. A leaf holds at most 17
//!   values, so values are capped (`VALUE_BYTES_MAX`) and segments are as large as sled allows.
//! - Opening after an unclean stop writes to the file: it zeroes what it takes for a torn tail. The caller keeps a copy.
//! - A leaf is rewritten when it gathers ten updates and again when it splits, so one tree would write each value two to
//!   three times. So values are spread over small trees, the runs, each below ten, and are written once.
//! - Pages stay in memory as long as the store is open, whatever its cache may hold: an access counts there once 64 others of its
//!   shard have come, and none of the 256 shards lets go of its last page, each of which is one of our runs. So a sealed store is
//!   not kept open by who walks through it.
//! - Each write wakes all threads of sled's pool, so small appends do not come here: see `journal`.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::disk;
use super::error::{DiskError, OnDisk};
use crate::domain::id::Seq;

/// The largest segment that sled takes.
pub(super) const SEGMENT_BYTES: usize = 16 * 1024 * 1024;

/// How many values a run holds: below sled's threshold for rewriting a leaf.
const RUN_VALUES_MAX: usize = 8;

/// sled's own page cache, for each open store. Decoded batches are cached above, so little is gained by more.
const PAGE_CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// How long opening waits for an earlier handle of this process to let go.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
const LOCK_WAIT_STEP: Duration = Duration::from_millis(2);

/// Why the store gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// sled refused, or gave up with a panic: the bytes in its files are not what it wrote.
    #[error("the store cannot be read: {0}")]
    Corrupt(String),
}

/// Trees of consecutive values, in ascending order: the first position of each and its tree.
#[derive(Debug)]
struct Runs {
    trees: Vec<(u64, sled::Tree)>,
    /// How many more values the last one takes.
    room: usize,
}

/// An open sled database.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    runs: RwLock<Runs>,
    /// Our own handle on sled's data file, for the sync that sled leaves out.
    data: File,
    /// Dropped last, and with care: see [`Drop`].
    db: Option<sled::Db>,
}

impl Store {
    /// Open the store in `dir`, or make one. sled itself does not tell these apart: the caller does.
    pub(super) fn open(dir: &Path) -> Result<Store, StoreError> {
        let db = open_when_let_go(dir)?;
        let path = dir.join("db");
        let data = File::open(&path).on("open", &path)?;
        let trees = guarded(dir, || runs(&db))?;
        Ok(Store {
            dir: dir.to_path_buf(),
            runs: RwLock::new(Runs { trees, room: 0 }),
            data,
            db: Some(db),
        })
    }

    /// Take note that the directory has another name now. sled itself uses its files alone after it opened them: it would ask for the
    /// name for blobs, of which there are none.
    pub(super) fn moved_to(&mut self, dir: &Path) {
        self.dir = dir.to_path_buf();
    }

    /// Put a value under a position above all others. It is not durable, nor even in the file, before [`Store::sync`].
    pub(super) fn insert(&self, first: Seq, value: &[u8]) -> Result<(), StoreError> {
        let key = first.0.to_be_bytes();
        let db = self.db()?;
        let mut runs = self.runs_mut();
        if runs.room == 0 {
            let tree = guarded(&self.dir, || db.open_tree(key))?;
            runs.trees.push((first.0, tree));
            runs.room = RUN_VALUES_MAX;
        }
        runs.room -= 1;
        let last = runs.trees.last().map(|(_, tree)| tree.clone());
        drop(runs);
        guarded(&self.dir, || last.map(|tree| tree.insert(key, value)).transpose()).map(|_| ())
    }

    /// Take the last value back out, if it stands at `from` or after it. What its position was.
    pub(super) fn pop(&self, from: Seq) -> Result<Option<Seq>, StoreError> {
        let mut runs = self.runs_mut();
        while let Some((_, tree)) = runs.trees.last() {
            match guarded(&self.dir, || tree.last())? {
                Some((key, _)) => {
                    let first = self.position(&key)?;
                    if first < from {
                        return Ok(None);
                    }
                    guarded(&self.dir, || tree.remove(key))?;
                    return Ok(Some(first));
                }
                // An empty run would hide the values of the one before it.
                None => {
                    runs.trees.pop();
                    runs.room = 0;
                }
            }
        }
        Ok(None)
    }

    fn db(&self) -> Result<&sled::Db, StoreError> {
        let closed = || StoreError::Corrupt("the store closed itself".to_owned());
        self.db.as_ref().ok_or_else(closed)
    }

    // The lock is never held across a panic that leaves a half-changed state, so poison carries no news.

    fn runs(&self) -> RwLockReadGuard<'_, Runs> {
        self.runs.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs_mut(&self) -> RwLockWriteGuard<'_, Runs> {
        self.runs.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that would hold a position.
    fn run_at(&self, seq: Seq) -> Option<(u64, sled::Tree)> {
        let runs = self.runs();
        let after = runs.trees.partition_point(|(first, _)| *first <= seq.0);
        after.checked_sub(1).and_then(|run| runs.trees.get(run)).cloned()
    }

    /// The run that starts first after a position.
    fn run_after(&self, first: u64) -> Option<(u64, sled::Tree)> {
        let runs = self.runs();
        let after = runs.trees.partition_point(|(known, _)| *known <= first);
        runs.trees.get(after).cloned()
    }

    /// Hand what was inserted to the kernel. It now outlives this process, but no power cut.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let db = self.db()?;
        guarded(&self.dir, || db.flush()).map(|_| ())
    }

    /// Make what was flushed outlive a power cut.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.data.sync_data().on("sync", &self.dir.join("db"))
    }

    /// The value whose key is the greatest not above `seq`.
    pub(super) fn value_at(&self, seq: Seq) -> Result<Option<(Seq, sled::IVec)>, StoreError> {
        let Some((_, tree)) = self.run_at(seq) else {
            return Ok(None);
        };
        let found = guarded(&self.dir, || tree.range(..=seq.0.to_be_bytes()).next_back().transpose())?;
        found.map(|(key, value)| Ok((self.position(&key)?, value))).transpose()
    }

    /// All values from the one that holds `from` on, in order.
    pub(super) fn scan(&self, from: Seq) -> Result<Scan<'_>, StoreError> {
        let start = self.value_at(from)?.map_or(from, |(first, _)| first);
        let run = self.run_at(start).or_else(|| self.run_after(0));
        Ok(Scan {
            store: self,
            run: run.as_ref().map_or(0, |(first, _)| *first),
            values: run.map(|(_, tree)| tree.range(start.0.to_be_bytes()..)),
        })
    }

    fn position(&self, key: &[u8]) -> Result<Seq, StoreError> {
        let key = key
            .try_into()
            .map_err(|_| StoreError::Corrupt(format!("a key has {} bytes", key.len())))?;
        Ok(Seq(u64::from_be_bytes(key)))
    }

    /// The size of the data file.
    pub(super) fn size_bytes(&self) -> Result<u64, DiskError> {
        self.data
            .metadata()
            .map(|metadata| metadata.len())
            .on("measure", &self.dir.join("db"))
    }

    /// Whether sled moved a value to a blob file, which the caps are there to prevent.
    pub(super) fn has_blobs(&self) -> Result<bool, DiskError> {
        Ok(!disk::list(&self.dir.join("blobs"))?.is_empty())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.runs_mut().trees.clear();
        // sled's own drop syncs, and panics if that fails. What counted was synced before; a panic here would only
        // turn a failing disk, already reported, into an abort.
        if let Some(db) = self.db.take() {
            let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
        }
    }
}

/// sled closes in the background: a task that still holds the file keeps its lock for a moment. No other process can
/// hold it, for the lock of the whole log is ours.
fn open_when_let_go(dir: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(dir)
        .segment_size(SEGMENT_BYTES)
        .cache_capacity(PAGE_CACHE_BYTES)
        .flush_every_ms(None);
    let waited_from = Instant::now();
    loop {
        match guarded(dir, || config.open()) {
            Err(StoreError::Disk(error)) if is_lock_held(&error) && waited_from.elapsed() < LOCK_WAIT_MAX => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a blocking room, and nothing tells when the lock is free"
                )]
                std::thread::sleep(LOCK_WAIT_STEP);
            }
            opened => return opened,
        }
    }
}

/// sled gives this error no kind of its own.
fn is_lock_held(error: &DiskError) -> bool {
    error.source.kind() == io::ErrorKind::Other && error.source.to_string().contains("could not acquire lock")
}

fn runs(db: &sled::Db) -> sled::Result<Vec<(u64, sled::Tree)>> {
    let mut runs = Vec::new();
    for name in db.tree_names() {
        if let Ok(first) = <[u8; 8]>::try_from(&*name) {
            runs.push((u64::from_be_bytes(first), db.open_tree(&name)?));
        }
    }
    // Stores of earlier versions grew in the default tree.
    if db.last()?.is_some() {
        runs.push((0, (**db).clone()));
    }
    runs.sort_by_key(|(first, _)| *first);
    // A crash may come before the first value of a run. Empty, it would hide the values of the one before it.
    while runs.last().is_some_and(|(_, tree)| tree.is_empty()) {
        runs.pop();
    }
    Ok(runs)
}

/// Call into sled: its errors, and its panics on damaged files, become ours.
fn guarded<T>(dir: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(source))) => Err(StoreError::Disk(DiskError::new("use the store in", dir, source))),
        Ok(Err(error)) => Err(StoreError::Corrupt(error.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text
                .or(panic.downcast_ref::<&str>().copied())
                .unwrap_or("no reason given");
            Err(StoreError::Corrupt(format!("sled gave up: {text}")))
        }
    }
}

/// The values of a store in order.
pub(super) struct Scan<'a> {
    store: &'a Store,
    run: u64,
    values: Option<sled::Iter>,
}

impl Iterator for Scan<'_> {
    type Item = Result<(Seq, sled::IVec), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let values = self.values.as_mut()?;
            match guarded(&self.store.dir, || values.next().transpose()).transpose() {
                Some(Ok((key, value))) => return Some(self.store.position(&key).map(|first| (first, value))),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    let (first, tree) = self.store.run_after(self.run)?;
                    self.run = first;
                    self.values = Some(tree.iter());
                }
            }
        }
    }
}

/// Writes a store that will never grow again.
pub(super) struct SealedWriter {
    dir: PathBuf,
    store: Store,
}

impl SealedWriter {
    /// Start in a directory that does not exist yet.
    pub(super) fn create(dir: &Path) -> Result<SealedWriter, StoreError> {
        Ok(SealedWriter {
            dir: dir.to_path_buf(),
            store: Store::open(dir)?,
        })
    }

    /// Add a value; positions ascend.
    pub(super) fn push(&mut self, first: Seq, value: Vec<u8>) -> Result<(), StoreError> {
        self.store.insert(first, &value)
    }

    /// Write everything out and settle it: a store's first reopening completes its last segment and writes a snapshot,
    /// and from then on opening it changes no byte, so that digests taken now hold for ever.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        let SealedWriter { dir, store } = self;
        store.flush()?;
        drop(store);
        drop(Store::open(&dir)?);
        Ok(disk::sync_tree(&dir)?)
    }
}
