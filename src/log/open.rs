//! Creating and opening a log. Opening compares what the epochs hold with what the head file demands, and refuses less.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::append::Growing;
use super::batch::{Batch, Encoder};
use super::disk::{self, Ballast, Lock, LockError};
use super::epoch::{self, Fold, Place, Span};
use super::error::{CreateError, Damage, OnDisk, OpenError};
use super::head::{self, HeadFile, HeadRecord};
use super::manifest::Manifest;
use super::next::{self, Next, Unnamed};
use super::recover::{self, Demand, Keeping};
use super::seal::Sealer;
use super::shared::{Body, Closer, Epoch, Shared, View};
use super::store::StoreError;
use super::waiting::Waiting;
use super::{Head, Log, Options, Stop};
use crate::domain::id::Seq;

/// What the file FORMAT says. It is written last at creation, so that a log exists as a whole or not at all.
pub(super) const FORMAT: &str = "clearinghouse log 1\n";

/// What opening a log came upon. None of it is damage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Whether the log had been closed cleanly, so that nothing had to be read.
    pub clean: bool,
    /// Entries beyond the head file that were whole and durable, and are now part of the log: their append was cut off
    /// before it could return, or a power cut took the last write of the head file.
    pub entries_taken_over: u64,
    /// Stored values beyond the head that belonged to no whole append. They were never acknowledged, and are gone.
    pub values_dropped: usize,
    /// Slots of the head file that could not be read. One after a power cut is a torn write.
    pub head_slots_unreadable: usize,
}

impl Log {
    /// Create a log in a directory that is empty or does not exist, and open it.
    pub fn create(dir: &Path, options: Options) -> Result<Log, CreateError> {
        fs::create_dir_all(dir).on("create directory", dir)?;
        if !disk::list(dir)?.is_empty() {
            return Err(CreateError::Exists { dir: dir.to_path_buf() });
        }
        let epochs = dir.join("epochs");
        fs::create_dir(&epochs).on("create directory", &epochs)?;
        let broken = |error: StoreError| CreateError::Open(epoch::from_store(error, Seq(0), None));
        let made = Unnamed::make(dir).and_then(|made| made.begin(dir, Seq(0)));
        drop(made.map_err(broken)?);
        disk::write_atomically(&dir.join("head"), &head::fresh(&Head::empty()))?;
        disk::sync_dir(&epochs)?;
        disk::write_atomically(&dir.join("FORMAT"), FORMAT.as_bytes())?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            disk::sync_dir(parent)?;
        }
        Ok(Log::open(dir, options)?)
    }

    /// Open a log. Whatever was acknowledged is there, or this is an error and the files are as they were.
    ///
    /// On a disk without room for the ballast, the log opens to be read: it is stopped from the start (see [`Log::stop`]).
    pub fn open(dir: &Path, options: Options) -> Result<Log, OpenError> {
        check_format(dir)?;
        let lock = Lock::take(dir).map_err(|error| match error {
            LockError::Held { holder } => OpenError::Locked {
                dir: dir.to_path_buf(),
                holder,
            },
            LockError::Disk(error) => OpenError::Disk(error),
        })?;
        next::clean(dir)?;
        let ballast = Ballast::new(dir, options.ballast_bytes);
        let opened = match Opened::open(dir, &options, Keeping::OnDisk) {
            Err(OpenError::Disk(error)) if error.is_full() => {
                ballast.release()?;
                Opened::open(dir, &options, Keeping::InMemory)?
            }
            opened => opened?,
        };
        let mut log = opened.into_log(dir, options, lock);
        if let Err(error) = ballast.fill() {
            tracing::warn!(%error, "no space could be put aside for reopening the log on a full disk");
            // Appends would use up what is left, and then the log could not even be opened.
            log.stop = error.is_full().then(|| Stop::from(&error));
        }
        Ok(log)
    }
}

pub(super) fn check_format(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join("FORMAT");
    match fs::read(&path) {
        Ok(content) if content == FORMAT.as_bytes() => Ok(()),
        Ok(content) => {
            let found = String::from_utf8_lossy(&content[..content.len().min(64)]).into_owned();
            Err(OpenError::Format {
                dir: dir.to_path_buf(),
                found,
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(OpenError::Missing { dir: dir.to_path_buf() })
        }
        Err(error) => Err(error).on("read", &path).map_err(OpenError::Disk),
    }
}

/// The head file's newest record, or the damage that hides it.
pub(super) fn read_head(dir: &Path) -> Result<HeadRecord, OpenError> {
    let path = dir.join("head");
    if !path.exists() {
        return Err(Damage::new("the head file is missing").in_file(&path, None).into());
    }
    let record = head::read(&path)?;
    Ok(record.ok_or_else(|| Damage::new("no slot of the head file can be read").in_file(&path, Some(0)))?)
}

/// A log on its way to being open.
struct Opened {
    head_file: HeadFile,
    fold: Fold,
    epochs: Vec<Epoch>,
    growing: Growing,
    pending: Vec<Batch>,
    opening: Opening,
}

impl Opened {
    fn open(dir: &Path, options: &Options, keeping: Keeping) -> Result<Opened, OpenError> {
        let record = read_head(dir)?;
        let places = Place::all(dir)?;
        let mut opening = Opening {
            head_slots_unreadable: record.slots_unreadable,
            ..Opening::default()
        };
        let mut fold = Fold::empty();
        let mut epochs = Vec::new();
        let mut growing: Option<Growing> = None;
        let mut pending = Vec::new();
        for (place, next) in with_next(places) {
            continues_at(&place, &fold)?;
            if let Some(before) = growing.take() {
                seal_left_over(&before, &mut epochs, &fold)?;
            }
            let chain_before = fold.chain;
            if let Some(manifest) = sealed(&place, &mut fold)? {
                epochs.push(Epoch {
                    place,
                    body: Body::Sealed(Arc::new(manifest.without_tree())),
                });
                continue;
            }
            let recovered = recover::open_growing(
                &place,
                &mut fold,
                &Demand {
                    head: record.head,
                    next,
                },
                keeping,
            )?;
            opening.clean = recovered.clean;
            opening.values_dropped += recovered.values_dropped;
            let store = Arc::new(recovered.store);
            pending = recovered.waiting;
            epochs.push(Epoch {
                place: place.clone(),
                body: Body::Growing(Arc::clone(&store)),
            });
            growing = Some(Growing {
                place,
                store,
                chain_before,
                journal: recovered.journal,
                waiting: Waiting::of(&pending),
            });
        }
        reaches(&fold, &record.head)?;
        let head_file = HeadFile::open(&dir.join("head"), &record, options.durability)?;
        opening.entries_taken_over = fold.tree.size() - record.head.size;
        let stopped = |stop: Stop| OpenError::Disk(stop.into_disk_error(&dir.join("head")));
        head_file.write_and_sync(&fold.head()).map_err(stopped)?;
        let growing = match growing {
            Some(growing) => growing,
            None => begin(dir, &mut epochs, &fold)?,
        };
        Ok(Opened {
            head_file,
            fold,
            epochs,
            growing,
            pending,
            opening,
        })
    }

    fn into_log(self, dir: &Path, options: Options, lock: Lock) -> Log {
        let Opened {
            head_file,
            fold,
            epochs,
            growing,
            pending,
            opening,
        } = self;
        let view = View {
            head: fold.head(),
            fold,
            epochs,
            pending: pending.into_iter().map(Arc::new).collect(),
        };
        let shared = Arc::new(Shared::new(dir.to_path_buf(), view, options.cache_bytes));
        let _closer = Closer(Arc::clone(&shared));
        Log {
            options,
            shared,
            head_file,
            growing,
            encoder: Encoder::default(),
            sealer: Sealer::default(),
            next: Next::default(),
            stop: None,
            opening,
            _closer,
            _lock: lock,
        }
    }
}

/// Each epoch, and where the one after it starts.
fn with_next(places: Vec<Place>) -> Vec<(Place, Option<Seq>)> {
    let nexts: Vec<Option<Seq>> = places
        .iter()
        .skip(1)
        .map(|place| Some(place.first))
        .chain([None])
        .collect();
    places.into_iter().zip(nexts).collect()
}

fn continues_at(place: &Place, fold: &Fold) -> Result<(), Damage> {
    let at = Seq(fold.tree.size());
    if place.first == at {
        return Ok(());
    }
    Err(Damage::new(format!("the next epoch on disk starts at {}", place.first)).at(at.min(place.first)))
}

/// Every head that was ever written was reached by the epochs: less means that an epoch is gone.
fn reaches(fold: &Fold, head: &Head) -> Result<(), Damage> {
    let reached = fold.tree.size();
    if reached < head.size {
        let missing = head.size - reached;
        return Err(Damage::new(format!("{missing} acknowledged entries are missing")).at(Seq(reached)));
    }
    if reached == head.size && fold.head() != *head {
        return Err(Damage::new("chain hash or Merkle root differ from the head file").at(Seq(reached)));
    }
    Ok(())
}

/// Continue the fold over a sealed epoch, from its manifest alone. `None` if the epoch is not sealed.
pub(super) fn sealed(place: &Place, fold: &mut Fold) -> Result<Option<Manifest>, OpenError> {
    finish_erasure(place)?;
    let Some(read) = Manifest::read(&place.manifest())? else {
        return Ok(None);
    };
    let checked = read.and_then(|manifest| {
        if (manifest.first, manifest.chain_before) != (Seq(fold.tree.size()), fold.chain) {
            return Err(Damage::new("the epoch does not continue the one before").at(place.first));
        }
        manifest.check_lengths(&place.sealed())?;
        fold.tree.extend(&manifest.tiles, &manifest.tail);
        fold.chain = manifest.head.chain;
        if fold.head() != manifest.head {
            return Err(Damage::new("the manifest's Merkle root does not match its tiles"));
        }
        Ok(manifest)
    });
    let manifest = checked.map_err(|damage| damage.in_epoch(place.first))?;
    // What a crash after the manifest was written left behind.
    place.remove_growing()?;
    Ok(Some(manifest))
}

/// Finish an erasure that a crash interrupted, once it is sure that what takes the old one's place is whole.
fn finish_erasure(place: &Place) -> Result<(), OpenError> {
    let (manifest, store) = place.sealed_now();
    if manifest == place.erased_manifest()
        && let Some(read) = Manifest::read(&manifest)?
    {
        read.and_then(|manifest| manifest.check_lengths(&store))
            .map_err(|damage| damage.in_epoch(place.first))?;
    }
    Ok(place.finish_erasure()?)
}

/// Seal an epoch that a later one follows: a crash, or a full disk, came between. On a disk still full it stays as it
/// is, for it can be read as well; the next opening tries again.
fn seal_left_over(before: &Growing, epochs: &mut [Epoch], fold: &Fold) -> Result<(), OpenError> {
    let span = Span::new(before.place.first, before.chain_before, fold);
    let manifest = match epoch::seal(&before.place, &before.store, span) {
        Err(OpenError::Disk(error)) if error.is_full() => {
            tracing::warn!(%error, "an epoch could not be sealed");
            return Ok(());
        }
        sealed => sealed?,
    };
    if let Some(epoch) = epochs.last_mut() {
        epoch.body = Body::Sealed(Arc::new(manifest.without_tree()));
    }
    Ok(before.place.remove_growing()?)
}

/// Begin an epoch where none is growing: a crash came between sealing the last and beginning this.
fn begin(dir: &Path, epochs: &mut Vec<Epoch>, fold: &Fold) -> Result<Growing, OpenError> {
    let first = Seq(fold.tree.size());
    let begun = Unnamed::make(dir).and_then(|made| made.begin(dir, first));
    let epoch::Fresh { place, store, journal } = begun.map_err(|error| epoch::from_store(error, first, None))?;
    epochs.push(Epoch {
        place: place.clone(),
        body: Body::Growing(Arc::clone(&store)),
    });
    Ok(Growing {
        place,
        store,
        chain_before: fold.chain,
        journal,
        waiting: Waiting::default(),
    })
}
