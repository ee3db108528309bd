//! One epoch of the log: its directory, how it is begun and sealed, and the fold that runs over its entries.
//!
//! ```text
//! epochs/00000000000000000000/   the position of the first entry, 20 digits
//!   active/                      the sled store, while it grows
//!   journal                      appends that wait for the store; none after a clean stop
//!   paused                       its manifest, only between a clean stop and the next start
//!   before-open/                 the store as it was before recovery; exists only while recovery runs
//!   sealed/                      the sled store, written once, after the epoch is sealed
//!   manifest                     its manifest: from this file's existence on, `active` counts no more
//!   erased/, erased-manifest     both of these once more, while entries are being erased
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Head;
use super::batch::{Batch, chain_after};
use super::disk;
use super::error::{Damage, DiskError, OpenError};
use super::journal::Journal;
use super::manifest::{self, Manifest};
use super::merkle::Hash;
use super::pack::Source;
use super::store::{Store, StoreError};
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

    pub(super) fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    pub(super) fn sealed(&self) -> PathBuf {
        self.dir.join("sealed")
    }

    pub(super) fn erased(&self) -> PathBuf {
        self.dir.join("erased")
    }

    pub(super) fn erased_manifest(&self) -> PathBuf {
        self.dir.join("erased-manifest")
    }

    pub(super) fn manifest(&self) -> PathBuf {
        self.dir.join("manifest")
    }

    pub(super) fn paused(&self) -> PathBuf {
        self.dir.join("paused")
    }

    pub(super) fn before_open(&self) -> PathBuf {
        self.dir.join("before-open")
    }

    pub(super) fn before_open_partial(&self) -> PathBuf {
        self.dir.join("before-open.partial")
    }

    /// Remove what only a growing epoch has, once a manifest vouches for the sealed store.
    pub(super) fn remove_growing(&self) -> Result<(), DiskError> {
        disk::remove_tree(&self.active())?;
        disk::remove_file(&self.journal())
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

    /// The same of several, where the chain hash after them is known.
    pub(super) fn extend(&mut self, leaves: &[Hash], chain: Hash) {
        self.chain = chain;
        leaves.iter().for_each(|leaf| self.tree.push(*leaf));
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

/// An epoch without entries.
pub(super) struct Fresh {
    pub place: Place,
    pub store: Arc<Store>,
    pub journal: Journal,
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
    let source = Source {
        place,
        store,
        chain_before: span.chain_before,
        head: span.head,
    };
    source.copy(&place.sealed(), &mut |_, entry| entry)?;
    let manifest = span.manifest(&place.sealed())?;
    manifest.write(&place.manifest())?;
    Ok(manifest)
}
