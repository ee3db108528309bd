//! Opening an epoch that was not sealed: quickly after a clean stop, with every hash derived again after a crash.
//! It never repairs: what it cannot vouch for it puts back as it was, and says so.

use std::path::PathBuf;

use super::Head;
use super::batch::Batch;
use super::disk;
use super::epoch::{Fold, Place, from_store};
use super::error::{Damage, DiskError, OnDisk, OpenError};
use super::journal::{Journal, Records};
use super::manifest::Manifest;
use super::store::{Store, StoreError};
use crate::domain::id::Seq;

/// What an epoch that was not sealed has to hold.
pub(super) struct Demand {
    /// The head file's.
    pub head: Head,
    /// Where the next epoch starts, if there is one: the disk was full, or a crash came, before this one was sealed.
    pub next: Option<Seq>,
}

impl Demand {
    fn end(&self) -> u64 {
        self.next.map_or(self.head.size, |next| next.0)
    }
}

/// Where the copy goes that recovery starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// On disk, where it survives a crash of recovery itself. A full disk is an error.
    OnDisk,
    /// In memory, where the disk is full: what releasing the ballast gave back is for sled, which must write to open.
    InMemory,
}

/// The store of an epoch that was not sealed.
pub(super) struct Recovered {
    pub store: Store,
    pub journal: Journal,
    /// What the journal holds and the store does not.
    pub waiting: Vec<Batch>,
    /// Whether a clean stop had left it, so that nothing was read.
    pub clean: bool,
    /// How many values beyond the head were taken back out.
    pub values_dropped: usize,
}

/// Open an epoch that grows, after a clean stop or a crash, and continue `fold` over it.
pub(super) fn open_growing(
    place: &Place,
    fold: &mut Fold,
    demand: &Demand,
    keeping: Keeping,
) -> Result<Recovered, OpenError> {
    finish_interrupted_recovery(place)?;
    // What sealing had begun is done again.
    disk::remove_tree(&place.sealed())?;
    if let Some(store) = resume_paused(place, fold, &demand.head)? {
        return Ok(Recovered {
            store,
            journal: Journal::open_empty(&place.journal())?,
            waiting: Vec::new(),
            clean: true,
            values_dropped: 0,
        });
    }
    let original = Original::keep(place, keeping)?;
    match recover(place, fold, demand) {
        Ok(recovered) => {
            original.discard(place)?;
            Ok(recovered)
        }
        Err(error) => {
            original.put_back(place)?;
            Err(error)
        }
    }
}

/// The way of a clean stop: every byte is as it was left, so nothing has to be read.
fn resume_paused(place: &Place, fold: &mut Fold, head: &Head) -> Result<Option<Store>, OpenError> {
    let paused = match Manifest::read(&place.paused())? {
        Some(Ok(paused)) => paused,
        // The file saves time and no more: without it, or with a damaged one, the way of a crash reads everything.
        Some(Err(_)) | None => return Ok(None),
    };
    let damaged = |damage: Damage| OpenError::Damaged(damage.in_epoch(place.first));
    paused.check_files(&place.active())?.map_err(damaged)?;
    let fold_before = fold.head();
    if (paused.first, paused.chain_before) != (Seq(fold_before.size), fold_before.chain) {
        return Err(damaged(
            Damage::new("the epoch does not continue the one before").at(place.first),
        ));
    }
    if paused.head != *head {
        let reason = "the head file and the epoch of the clean stop disagree";
        return Err(damaged(Damage::new(reason).at(Seq(head.size.min(paused.head.size)))));
    }
    fold.tree.extend(&paused.tiles, &paused.tail);
    fold.chain = paused.head.chain;
    if fold.head() != paused.head {
        return Err(damaged(Damage::new(
            "the Merkle root does not match the tiles of the clean stop",
        )));
    }
    // From here on sled writes to the store, so its digests no longer hold: a crash must find no such promise.
    disk::remove_file(&place.paused())?;
    Ok(Some(
        Store::open(&place.active()).map_err(|error| from_store(error, place.first, None))?,
    ))
}

fn recover(place: &Place, fold: &mut Fold, demand: &Demand) -> Result<Recovered, OpenError> {
    disk::remove_file(&place.paused())?;
    let broken = |error: StoreError| from_store(error, place.first, None);
    let store = Store::open(&place.active()).map_err(broken)?;
    let (values_dropped, records) = take_in(&store, place, fold, demand)?;
    if store.has_blobs()? {
        let damage = Damage::new("a value was moved to a blob file, which power cuts tear");
        return Err(damage
            .in_epoch(place.first)
            .in_file(&place.active().join("blobs"), None)
            .into());
    }
    // Entries beyond the head may still be in the kernel's memory only; the head will soon demand them.
    store.flush().map_err(broken)?;
    disk::sync_tree(&place.active())?;
    Ok(Recovered {
        store,
        journal: Journal::open_after(&place.journal(), &records)?,
        waiting: records.batches,
        clean: false,
        values_dropped,
    })
}

/// Take in the store and then the journal. Together they must reach the head. What the store holds beyond its last whole append is
/// removed: it was never acknowledged, or the journal holds it, and left in place it would stand in the way of what comes next.
fn take_in(store: &Store, place: &Place, fold: &mut Fold, demand: &Demand) -> Result<(usize, Records), OpenError> {
    let broken = take_in_store(store, place, fold, demand)?;
    let stored = Seq(fold.tree.size());
    let records = take_in_journal(place, fold, demand)?;
    let reached = fold.tree.size();
    if reached < demand.end() {
        let missing = Damage::new(format!("{} acknowledged entries are missing", demand.end() - reached));
        return Err(broken.unwrap_or(OpenError::Damaged(missing.at(Seq(reached)).in_epoch(place.first))));
    }
    let removed = remove_from(store, stored).map_err(|error| from_store(error, place.first, Some(stored)))?;
    Ok((removed, records))
}

/// Read all values in order, append by append. Up to the head each must be whole; where they are not any more is returned.
fn take_in_store(
    store: &Store,
    place: &Place,
    fold: &mut Fold,
    demand: &Demand,
) -> Result<Option<OpenError>, OpenError> {
    let mut append = Vec::new();
    for found in store
        .scan(place.first)
        .map_err(|error| from_store(error, place.first, None))?
    {
        let at = append.last().map_or(Seq(fold.tree.size()), Batch::end);
        let batch = found
            .map_err(|error| from_store(error, place.first, Some(at)))
            .and_then(|(first, value)| Ok(Batch::decode(first, &value).map_err(|e| Damage::new(e.to_string()).at(at))?))
            .and_then(|batch| continues(&append, at, batch).map_err(OpenError::Damaged));
        match batch {
            Ok(batch) => append.push(batch),
            Err(error) => return Ok(Some(error)),
        }
        if append.last().is_some_and(|batch| batch.values_after == 0) {
            for batch in append.drain(..) {
                fold.push_batch(&batch, &demand.head)
                    .map_err(|damage| damage.in_epoch(place.first))?;
            }
        }
    }
    Ok(None)
}

/// Go on over what the journal holds beyond the store. Records that the store has taken in are passed over.
fn take_in_journal(place: &Place, fold: &mut Fold, demand: &Demand) -> Result<Records, OpenError> {
    let records = Records::read(&place.journal())?;
    let stored = Seq(fold.tree.size());
    if records
        .batches
        .first()
        .is_none_or(|batch| batch.first != stored || batch.chain_before != fold.chain)
    {
        return Ok(Records::default());
    }
    for batch in &records.batches {
        fold.push_batch(batch, &demand.head)
            .map_err(|damage| damage.in_epoch(place.first))?;
    }
    Ok(records)
}

/// Whether a batch goes on where the values of the same append before it left off.
fn continues(append: &[Batch], at: Seq, batch: Batch) -> Result<Batch, Damage> {
    let expected = append.last().map(|last| last.values_after - 1);
    if batch.first == at && expected.is_none_or(|expected| expected == batch.values_after) {
        Ok(batch)
    } else {
        Err(Damage::new(format!("the next stored value starts at {}", batch.first)).at(at))
    }
}

fn remove_from(store: &Store, from: Seq) -> Result<usize, StoreError> {
    // A damaged value may keep the scan from going on, so keys are taken from the end instead.
    let mut removed = 0;
    while store.pop(from)?.is_some() {
        removed += 1;
    }
    Ok(removed)
}

/// The store as it was before sled opened it after a crash. That open zeroes whatever sled takes for a torn tail, and
/// what it zeroes cannot be brought back: the evidence must not depend on sled's judgement.
enum Original {
    Copy,
    /// There was no room for a copy on disk. Better this than not to open: a full disk is no damage.
    InMemory(Vec<(PathBuf, Vec<u8>)>),
}

impl Original {
    fn keep(place: &Place, keeping: Keeping) -> Result<Original, DiskError> {
        let partial = place.before_open_partial();
        disk::remove_tree(&partial)?;
        match keeping {
            Keeping::OnDisk => {
                disk::copy_tree(&place.active(), &partial)?;
                disk::sync_tree(&partial)?;
                disk::rename(&partial, &place.before_open())?;
                Ok(Original::Copy)
            }
            Keeping::InMemory => {
                let files = disk::list(&place.active())?.into_iter().filter(|path| path.is_file());
                let read = |path: PathBuf| std::fs::read(&path).on("read", &path).map(|content| (path, content));
                Ok(Original::InMemory(files.map(read).collect::<Result<_, _>>()?))
            }
        }
    }

    /// Drop the copy, durably and at one stroke, before the first append: a copy that came back after a power cut, or
    /// half of one, would take the place of a store that had grown since.
    fn discard(self, place: &Place) -> Result<(), DiskError> {
        if let Original::InMemory(_) = self {
            return Ok(());
        }
        let partial = place.before_open_partial();
        disk::rename(&place.before_open(), &partial)?;
        disk::remove_tree(&partial)
    }

    fn put_back(self, place: &Place) -> Result<(), DiskError> {
        match self {
            Original::Copy => finish_interrupted_recovery(place),
            Original::InMemory(files) => {
                for path in disk::list(&place.active())?.into_iter().filter(|path| path.is_file()) {
                    if files.iter().all(|(kept, _)| *kept != path) {
                        disk::remove_file(&path)?;
                    }
                }
                files
                    .iter()
                    .try_for_each(|(path, content)| disk::overwrite(path, content))?;
                disk::sync_tree(&place.active())
            }
        }
    }
}

/// A crash during recovery leaves the copy: the next one starts from it again.
fn finish_interrupted_recovery(place: &Place) -> Result<(), DiskError> {
    if place.before_open().exists() {
        disk::remove_tree(&place.active())?;
        disk::rename(&place.before_open(), &place.active())?;
    }
    Ok(())
}
