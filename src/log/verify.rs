//! Checking a log offline, from the bytes up: every file digest, checksum, commitment, chain hash and the Merkle root
//! are derived again. It changes nothing: stores are copied before sled opens them.

use std::path::Path;

use bytes::Bytes;

use super::Head;
use super::batch::Batch;
use super::disk::{self, Lock, LockError};
use super::epoch::{Fold, Place, from_store};
use super::error::{Damage, DiskError, OpenError};
use super::journal::Records;
use super::manifest::Manifest;
use super::open::{check_format, read_head};
use super::store::Store;
use crate::domain::id::Seq;

/// What a check found whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The head that was derived from the entries.
    pub head: Head,
    /// How many of them were erased.
    pub entries_erased: u64,
    /// How many epochs there are.
    pub epochs: usize,
    /// Entries beyond the head file: an append that was cut off. Opening takes them over.
    pub entries_beyond_head: u64,
}

/// Why a log does not pass.
pub type VerifyError = OpenError;

/// Check the log in `dir`, which must not be in use. The first thing that is wrong is the error.
pub fn verify(dir: &Path) -> Result<Report, VerifyError> {
    verify_each(dir, &mut |_, _| {})
}

/// As [`verify`], and hand each entry to `visit`, in order, once its batch was found whole: its bytes, or what was left of them.
pub fn verify_each(dir: &Path, visit: &mut dyn FnMut(Seq, &Bytes)) -> Result<Report, VerifyError> {
    check_format(dir)?;
    let _lock = Lock::take(dir).map_err(|error| match error {
        LockError::Held { holder } => OpenError::Locked {
            dir: dir.to_path_buf(),
            holder,
        },
        LockError::Disk(error) => OpenError::Disk(error),
    })?;
    let record = read_head(dir)?;
    if record.slots_unreadable > 1 {
        // A crash tears one slot at most.
        let reason = format!("{} slots cannot be read", record.slots_unreadable);
        return Err(Damage::new(reason).in_file(&dir.join("head"), None).into());
    }
    let mut checked = Checked {
        fold: Fold::empty(),
        head: record.head,
        entries_erased: 0,
        visit,
    };
    let places = Place::all(dir)?;
    for place in &places {
        checked.epoch(dir, place)?;
    }
    let size = checked.fold.tree.size();
    if size < record.head.size {
        let missing = record.head.size - size;
        return Err(Damage::new(format!("{missing} acknowledged entries are missing"))
            .at(Seq(size))
            .into());
    }
    Ok(Report {
        head: checked.fold.head(),
        entries_erased: checked.entries_erased,
        epochs: places.len(),
        entries_beyond_head: size - record.head.size,
    })
}

struct Checked<'a> {
    fold: Fold,
    head: Head,
    entries_erased: u64,
    visit: &'a mut dyn FnMut(Seq, &Bytes),
}

impl Checked<'_> {
    fn epoch(&mut self, dir: &Path, place: &Place) -> Result<(), VerifyError> {
        let in_epoch = |damage: Damage| OpenError::Damaged(damage.in_epoch(place.first));
        if place.first.0 != self.fold.tree.size() {
            let reason = format!("the next epoch on disk starts at {}", place.first);
            return Err(Damage::new(reason).at(Seq(self.fold.tree.size())).into());
        }
        let (manifest, sealed) = place.sealed_now();
        let (path, manifest) = match Manifest::read(&manifest)? {
            Some(manifest) => (sealed, Some(manifest.map_err(in_epoch)?)),
            None => (
                place.unsealed(),
                Manifest::read(&place.paused())?.transpose().map_err(in_epoch)?,
            ),
        };
        let digests = match &manifest {
            Some(manifest) => manifest.check_files(&path)?,
            None => Ok(()),
        };
        // The entries are read even if a digest is wrong: they tell which entry is concerned.
        let entries = self.entries(dir, place, &path);
        match (digests, entries) {
            (Err(file), Err(OpenError::Damaged(entry))) => {
                return Err(in_epoch(Damage {
                    seq: entry.seq,
                    reason: format!("{}; {}", file.reason, entry.reason),
                    ..file
                }));
            }
            (Err(file), _) => return Err(in_epoch(file)),
            (Ok(()), entries) => entries?,
        }
        match manifest {
            Some(manifest) if manifest.head != self.fold.head() => Err(in_epoch(Damage::new(
                "the manifest's head is not what its entries lead to",
            ))),
            _ => Ok(()),
        }
    }

    fn entries(&mut self, dir: &Path, place: &Place, path: &Path) -> Result<(), VerifyError> {
        let scratch = Scratch::of(dir, path)?;
        let broken = |error, at| from_store(error, place.first, at);
        let store = Store::open(&scratch.0).map_err(|error| broken(error, Some(place.first)))?;
        if store.has_blobs()? {
            let damage = Damage::new("a value was moved to a blob file, which power cuts tear");
            return Err(damage.in_epoch(place.first).into());
        }
        for found in store
            .scan(place.first)
            .map_err(|error| broken(error, Some(place.first)))?
        {
            let at = Seq(self.fold.tree.size());
            let batch = found
                .map_err(|error| broken(error, Some(at)))
                .and_then(|(first, value)| {
                    let batch = Batch::decode(first, &value).map_err(|error| Damage::new(error.to_string()).at(at));
                    Ok(batch.map_err(|damage| damage.in_epoch(place.first))?)
                });
            let beyond_head = at.0 >= self.head.size;
            match batch.and_then(|batch| Ok(self.fold.push_batch(&batch, &self.head).map(|()| batch)?)) {
                Ok(batch) => self.visit_batch(at, &batch),
                // What is torn beyond the head was never acknowledged: opening drops it.
                Err(_) if beyond_head => break,
                Err(OpenError::Damaged(damage)) => return Err(damage.in_epoch(place.first).into()),
                Err(error) => return Err(error),
            }
        }
        self.journal(place)
    }

    /// What the journal holds beyond the store.
    fn journal(&mut self, place: &Place) -> Result<(), VerifyError> {
        for batch in Records::read(&place.journal())?.batches {
            let at = Seq(self.fold.tree.size());
            if batch.first != at || batch.chain_before != self.fold.chain {
                break;
            }
            let pushed = self.fold.push_batch(&batch, &self.head);
            pushed.map_err(|damage| damage.in_epoch(place.first))?;
            self.visit_batch(at, &batch);
        }
        Ok(())
    }
}

impl Checked<'_> {
    fn visit_batch(&mut self, first: Seq, batch: &Batch) {
        for (place, entry) in batch.entries.iter().enumerate() {
            self.entries_erased += u64::from(entry.bytes().is_none());
            (self.visit)(Seq(first.0 + place as u64), entry.content());
        }
    }
}

/// A copy of a store, gone when dropped.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn of(dir: &Path, store: &Path) -> Result<Scratch, DiskError> {
        let scratch = Scratch(dir.join("verify.partial"));
        disk::remove_tree(&scratch.0)?;
        disk::copy_tree(store, &scratch.0)?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = disk::remove_tree(&self.0);
    }
}
