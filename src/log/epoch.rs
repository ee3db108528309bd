//! One epoch of the log: its directory, how it is begun, recovered after a crash, and sealed.
//!
//! ```text
//! epochs/00000000000000000000/   the position of the first entry, 20 digits
//!   active/                      the sled store, while it grows
//!   paused                       its manifest, only between a clean stop and the next start
//!   before-open/                 the store as it was before recovery; exists only while recovery runs
//!   sealed/                      the sled store, written once, after the epoch is sealed
//!   manifest                     its manifest: from this file's existence on, `active` counts no more
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Head;
use super::batch::{Batch, Stored, VALUE_BYTES_MAX, chain_after};
use super::disk;
use super::error::{Damage, DiskError, OnDisk, OpenError};
use super::manifest::{self, Manifest};
use super::merkle::Hash;
use super::store::{SealedWriter, Store, StoreError};
use super::tree::Tree;
use crate::domain::id::Seq;

/// The directory of an epoch and the files in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub first: Seq,
    pub dir: PathBuf,
}

impl Place {
    pub(super) fn new(log_dir: &Path, first: Seq) -> Place {
        Place {
            first,
            dir: log_dir.join("epochs").join(format!("{:020}", first.0)),
        }
    }

    /// All epochs of a log, in order. What a crash left half-made is not among them.
    pub(super) fn all(log_dir: &Path) -> Result<Vec<Place>, DiskError> {
        let is_first = |name: &str| (name.len() == 20).then(|| name.parse().ok()).flatten().map(Seq);
        let names = disk::list(&log_dir.join("epochs"))?;
        Ok(names
            .into_iter()
            .filter_map(|dir| {
                dir.file_name()
                    .and_then(|name| name.to_str())
                    .and_then(is_first)
                    .map(|first| Place { first, dir })
            })
            .collect())
    }

    pub(super) fn active(&self) -> PathBuf {
        self.dir.join("active")
    }

    pub(super) fn sealed(&self) -> PathBuf {
        self.dir.join("sealed")
    }

    pub(super) fn manifest(&self) -> PathBuf {
        self.dir.join("manifest")
    }

    pub(super) fn paused(&self) -> PathBuf {
        self.dir.join("paused")
    }

    fn before_open(&self) -> PathBuf {
        self.dir.join("before-open")
    }

    fn before_open_partial(&self) -> PathBuf {
        self.dir.join("before-open.partial")
    }

    /// The store that counts while the epoch grows: the copy, if a crash interrupted recovery.
    pub(super) fn unsealed(&self) -> PathBuf {
        if self.before_open().exists() {
            self.before_open()
        } else {
            self.active()
        }
    }
}

/// Where a fold over the log stands: what comes next must continue this.
#[derive(Clone, Debug)]
pub(super) struct Fold {
    pub tree: Tree,
    pub chain: Hash,
}

impl Fold {
    pub(super) fn empty() -> Fold {
        Fold {
            tree: Tree::default(),
            chain: Head::empty().chain,
        }
    }

    pub(super) fn head(&self) -> Head {
        Head {
            size: self.tree.size(),
            root: self.tree.root(),
            chain: self.chain,
        }
    }

    pub(super) fn push(&mut self, leaf: Hash) {
        self.chain = chain_after(&self.chain, &leaf);
        self.tree.push(leaf);
    }

    /// Take in a batch, which must continue the chain, and must agree with `head` if it passes it.
    pub(super) fn push_batch(&mut self, batch: &Batch, head: &Head) -> Result<(), Damage> {
        let at = Seq(self.tree.size());
        if batch.first != at {
            return Err(Damage::new(format!("the next stored entry is {}", batch.first)).at(at));
        }
        if batch.chain_before != self.chain {
            return Err(Damage::new("the chain hash does not continue the entry before").at(at));
        }
        for entry in &batch.entries {
            self.push(entry.leaf());
            if self.tree.size() == head.size && self.head() != *head {
                return Err(Damage::new("chain hash or Merkle root differ from the head file").at(at));
            }
        }
        Ok(())
    }
}

/// Begin the epoch that starts at `first`. It appears as a whole or not at all.
pub(super) fn create(log_dir: &Path, first: Seq) -> Result<(Place, Arc<Store>), StoreError> {
    let place = Place::new(log_dir, first);
    let partial = place.dir.with_extension("partial");
    disk::remove_tree(&partial)?;
    std::fs::create_dir(&partial).on("create directory", &partial)?;
    // The first opening makes the store, the second takes the room of its first segment: a disk without that room has
    // to say so before the epoch exists. The third is under the final name, for sled remembers paths.
    drop(Store::open(&partial.join("active"))?);
    drop(Store::open(&partial.join("active"))?);
    disk::sync_tree(&partial)?;
    disk::rename(&partial, &place.dir)?;
    let opened = Store::open(&place.active()).and_then(|store| {
        disk::sync_tree(&place.active())?;
        Ok(store)
    });
    match opened {
        Ok(store) => Ok((place, Arc::new(store))),
        Err(error) => {
            disk::rename(&place.dir, &partial)?;
            Err(error)
        }
    }
}

/// The store of an epoch that was not sealed.
pub(super) struct Recovered {
    pub store: Store,
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
    let values_dropped = take_in(&store, place, fold, demand)?;
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
        clean: false,
        values_dropped,
    })
}

/// Read all values in order. Up to the head each must be whole. Beyond it, whole appends are taken over, and the rest
/// removed: it was never acknowledged, and left in place it would stand in the way of the next append.
fn take_in(store: &Store, place: &Place, fold: &mut Fold, demand: &Demand) -> Result<usize, OpenError> {
    let mut append = Vec::new();
    let mut broken = None;
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
            Err(error) => {
                broken = Some(error);
                break;
            }
        }
        if append.last().is_some_and(|batch| batch.values_after == 0) {
            for batch in append.drain(..) {
                fold.push_batch(&batch, &demand.head)
                    .map_err(|damage| damage.in_epoch(place.first))?;
            }
        }
    }
    let reached = fold.tree.size();
    if reached < demand.end() {
        let missing = Damage::new(format!("{} acknowledged entries are missing", demand.end() - reached));
        return Err(broken.unwrap_or(OpenError::Damaged(missing.at(Seq(reached)).in_epoch(place.first))));
    }
    remove_from(store, Seq(reached)).map_err(|error| from_store(error, place.first, Some(Seq(reached))))
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
    while let Some((first, _)) = store.value_at(Seq(u64::MAX))?.filter(|(first, _)| *first >= from) {
        store.remove(first)?;
        removed += 1;
    }
    Ok(removed)
}

pub(super) fn from_store(error: StoreError, epoch: Seq, at: Option<Seq>) -> OpenError {
    match error {
        StoreError::Disk(error) => OpenError::Disk(error),
        StoreError::Corrupt(reason) => OpenError::Damaged(
            Damage {
                seq: at,
                ..Damage::new(reason)
            }
            .in_epoch(epoch),
        ),
    }
}

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

/// Everything about an epoch that its manifest says, except for the files.
pub(super) struct Span {
    pub first: Seq,
    pub chain_before: Hash,
    pub head: Head,
    pub tiles: Vec<Hash>,
    pub tail: Vec<Hash>,
}

impl Span {
    /// The span from `first` to where `fold` stands.
    pub(super) fn new(first: Seq, chain_before: Hash, fold: &Fold) -> Span {
        let tiles_before = (first.0 / super::tree::TILE_LEAVES) as usize;
        Span {
            first,
            chain_before,
            head: fold.head(),
            tiles: fold.tree.tiles()[tiles_before..].to_vec(),
            tail: fold.tree.tail().to_vec(),
        }
    }

    pub(super) fn manifest(self, store: &Path) -> Result<Manifest, DiskError> {
        let Span {
            first,
            chain_before,
            head,
            tiles,
            tail,
        } = self;
        Ok(Manifest {
            first,
            chain_before,
            head,
            tiles,
            tail,
            files: manifest::digest_files(store)?,
        })
    }
}

/// Seal an epoch: write its entries once more, into a store that never changes again and holds each value once, then
/// the manifest. Until the manifest stands, `active` is the epoch, and a crash leaves nothing but work to be redone.
pub(super) fn seal(place: &Place, store: &Store, span: Span) -> Result<Manifest, OpenError> {
    let sealed = place.sealed();
    disk::remove_tree(&sealed)?;
    let broken = |error: StoreError| from_store(error, place.first, None);
    let mut writer = SealedWriter::create(&sealed).map_err(broken)?;
    let mut chain = span.chain_before;
    let mut packed = Pack {
        first: span.first,
        entries: Vec::new(),
        cost_bytes: 0,
    };
    for found in store.scan(span.first).map_err(broken)? {
        let (first, value) = found.map_err(broken)?;
        if first.0 >= span.head.size {
            break;
        }
        let batch = Batch::decode(first, &value).map_err(|error| Damage::new(error.to_string()).at(first))?;
        for entry in batch.entries {
            if packed.cost_bytes + entry.cost_bytes() > VALUE_BYTES_MAX && !packed.entries.is_empty() {
                packed.write(&mut writer, &mut chain).map_err(broken)?;
            }
            packed.cost_bytes += entry.cost_bytes();
            packed.entries.push(entry);
        }
    }
    if !packed.entries.is_empty() {
        packed.write(&mut writer, &mut chain).map_err(broken)?;
    }
    if (packed.first.0, chain) != (span.head.size, span.head.chain) {
        let reason = "the entries do not lead to the chain hash that was computed as they were appended";
        return Err(Damage::new(reason).in_epoch(place.first).into());
    }
    writer.finish().map_err(broken)?;
    disk::sync_dir(&place.dir)?;
    let manifest = span.manifest(&sealed)?;
    manifest.write(&place.manifest())?;
    Ok(manifest)
}

/// Entries on their way into one value of a sealed store.
struct Pack {
    first: Seq,
    entries: Vec<Stored>,
    cost_bytes: usize,
}

impl Pack {
    fn write(&mut self, writer: &mut SealedWriter, chain: &mut Hash) -> Result<(), StoreError> {
        let entries = std::mem::take(&mut self.entries);
        let batch = Batch {
            first: self.first,
            values_after: 0,
            chain_before: *chain,
            entries,
        };
        *chain = batch
            .entries
            .iter()
            .fold(*chain, |chain, entry| chain_after(&chain, &entry.leaf()));
        writer.push(batch.first, batch.encode())?;
        self.first = batch.end();
        self.cost_bytes = 0;
        Ok(())
    }
}
