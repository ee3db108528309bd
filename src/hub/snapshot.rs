//! The snapshot of the views, so that the next start need not fold the log anew: made at a clean stop and, at intervals, while the hub
//! runs. The log stays the only truth: what does not fit it exactly is not used, loudly, and removed, and the whole log is folded.
//!
//! What is being erased is in none: it is removed before anything is erased, and one that was begun before that does not appear.

pub(super) mod interval;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::domain::id::{Seq, Timestamp};
use crate::log::bodies::{Bodies, BodiesOptions};
use crate::log::{DiskError, Durability, Head, LogReader, ReadError, Refusal, Snapshot, SnapshotWriter};

use super::views::Views;
use super::views::copying::Copying;
use super::views::snapshot::{Part, Reading, Sections, VERSION};
use super::{Hub, OpenError, Shared, folding};

/// The files in the directory of what is made from the log.
const BODIES_FILE: &str = "bodies";
const SNAPSHOT_FILE: &str = "snapshot";

/// How long a snapshot waits for the bodies of its moment to be written.
const BODIES_PATIENCE: Duration = Duration::from_secs(60);

/// Where views are kept between two runs.
pub(super) struct Snapshots {
    path: PathBuf,
    durability: Durability,
    kept: Mutex<Option<Kept>>,
    /// Held while a snapshot appears, and while one is removed.
    appearing: Mutex<()>,
    /// How often what may be there was removed.
    removals: AtomicU64,
}

/// The snapshot that is there.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// How many entries it holds. A start folds the rest.
    pub entries: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// Whether it is the one that a stop would make at the same entry, byte for byte.
    pub is_plain: bool,
}

/// Why no snapshot was made. The one before stays.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// It could not be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log could not be asked for its root.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The disk has too little room.
    #[error("the disk has too little room: {needed} bytes must be free")]
    Room {
        /// What it would take, and what the log must have besides.
        needed: u64,
    },
    /// Bodies of its moment are not in their file.
    #[error("the bodies of indicators are not all in their file")]
    Bodies,
}

impl Snapshots {
    /// The views of the whole log: from the snapshot in `views_dir` on, or from nothing.
    pub fn fold(
        views_dir: &Path,
        durability: Durability,
        bodies: BodiesOptions,
        log: &LogReader,
    ) -> Result<(Snapshots, Views), OpenError> {
        let (path, bodies_path) = (views_dir.join(SNAPSHOT_FILE), views_dir.join(BODIES_FILE));
        let loaded = load(&path, &bodies_path, bodies, log).unwrap_or_else(|refusal| {
            refuse(&path, refusal);
            None
        });
        let (mut views, mut kept) = match loaded {
            Some((views, kept)) => (views, Some(kept)),
            None => (Views::new(Bodies::open(&bodies_path, bodies)), None),
        };
        let end = Seq(log.head().size);
        folding::fold(log, end, &mut views)?;
        if views.erasures.reaches_back() {
            // Its thread writes to the file that is made anew now.
            views.indicators.bodies_mut().close();
            refuse(&path, "entries that it holds are erased, or are to be");
            kept = None;
            views = Views::new(Bodies::open(&bodies_path, bodies));
            folding::fold(log, end, &mut views)?;
        }
        let snapshots = Snapshots {
            path,
            durability,
            kept: Mutex::new(kept),
            appearing: Mutex::default(),
            removals: AtomicU64::default(),
        };
        Ok((snapshots, views))
    }

    /// The snapshot that is there.
    pub fn kept(&self) -> Option<Kept> {
        *self.kept_mut()
    }

    /// Removes the snapshot: to be called before anything that it may hold is erased. One that is being made does not appear.
    pub fn remove(&self) -> Result<(), DiskError> {
        let _appearing = self.appearing();
        self.removals.fetch_add(1, Ordering::AcqRel);
        *self.kept_mut() = None;
        Snapshot::remove(&self.path)
    }

    // No lock below is held across a panic that leaves a half-changed state, so poison carries no news.

    fn kept_mut(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn appearing(&self) -> MutexGuard<'_, ()> {
        self.appearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn removals(&self) -> u64 {
        self.removals.load(Ordering::Acquire)
    }
}

/// Says why a snapshot is not used. It will fit no better, and might be taken for one of the file of bodies that is made now.
fn refuse(path: &Path, reason: impl std::fmt::Display) {
    tracing::warn!(%reason, path = %path.display(), "the snapshot of the views is not used: the whole log is folded");
    if let Err(error) = Snapshot::remove(path) {
        tracing::warn!(%error, path = %path.display(), "the snapshot of the views could not be removed");
    }
}

fn load(
    path: &Path,
    bodies_path: &Path,
    bodies: BodiesOptions,
    log: &LogReader,
) -> Result<Option<(Views, Kept)>, Refusal> {
    let Some(snapshot) = Snapshot::open(path, VERSION, log)? else {
        return Ok(None);
    };
    let reading = Reading::new(&snapshot)?;
    let views = Views::load(&reading, bodies_path, bodies)?;
    if views.next != snapshot.next() {
        return Err(Refusal::Damaged("its views are of another moment than it says"));
    }
    let kept = Kept {
        entries: views.next.0,
        made_at: changed_at(path),
        is_plain: reading.is_plain(),
    };
    Ok(Some((views, kept)))
}

/// When a file was written last; 1970 where the system does not say.
fn changed_at(path: &Path) -> Timestamp {
    let changed = path.metadata().and_then(|metadata| metadata.modified()).ok();
    let since_1970 = changed.and_then(|changed| changed.duration_since(SystemTime::UNIX_EPOCH).ok());
    Timestamp(since_1970.unwrap_or_default().as_micros() as i64)
}

/// Leaves a snapshot of views that change no more; `head` is that of the log, which may be closed. Where it fails, the next start takes
/// longer, and no more.
pub(super) fn leave(shared: &Arc<Shared>, head: &Head) {
    let is_there = |kept: Kept| kept.entries == head.size && kept.is_plain;
    if shared.snapshots.kept().is_some_and(is_there) || shared.read().next != Seq(head.size) {
        return;
    }
    let made = Making::begin(shared).and_then(|making| {
        let Some(mut making) = making else { return Ok(false) };
        loop {
            making = match making.step(|_| Ok(head.root))? {
                Step::More(making) => *making,
                Step::Made => return Ok(true),
                Step::GivenUp => return Ok(false),
            };
        }
    });
    match made {
        Ok(true) => {}
        Ok(false) => tracing::info!("no snapshot of the views was made, for something is being erased"),
        Err(error) => tracing::warn!(%error, "no snapshot of the views was made"),
    }
}

impl Hub {
    /// The snapshot from which a start would go on now.
    pub fn snapshot(&self) -> Option<Kept> {
        self.shared.snapshots.kept()
    }

    /// Begins a snapshot as the hub does at intervals; for tests, which say when it goes on. None while something is being erased.
    #[doc(hidden)]
    pub fn begin_snapshot(&self) -> Result<Option<Making>, NotMade> {
        Making::begin(&self.shared)
    }

    /// The next step of a snapshot; for tests.
    #[doc(hidden)]
    pub fn go_on(&self, making: Making) -> Result<Step, NotMade> {
        let log = self.shared.log_handles().reader;
        making.step(|size| log.root_at(size))
    }
}

/// A snapshot in the making.
pub struct Making {
    shared: Arc<Shared>,
    removals: u64,
    begun_at: Seq,
    sections: Sections,
    copying: Copying,
    /// Once the views are copied: how many entries they hold, and since when.
    copied: Option<(Seq, Instant)>,
    began: Instant,
    longest_hold: Duration,
}

/// What a step came to.
pub enum Step {
    /// There is more to do.
    More(Box<Making>),
    /// The snapshot is there.
    Made,
    /// There will be none, for something is being erased.
    GivenUp,
}

impl Making {
    /// Begins a snapshot, one at a time; none while something is being erased.
    pub(super) fn begin(shared: &Arc<Shared>) -> Result<Option<Making>, NotMade> {
        let snapshots = &shared.snapshots;
        let (removals, begun_at) = {
            let views = shared.read();
            if shared.is_erasing(&views) {
                return Ok(None);
            }
            // Whatever is erased from here on removes the snapshot first.
            (snapshots.removals(), views.next)
        };
        let writer = SnapshotWriter::create(&snapshots.path, snapshots.durability)?;
        Ok(Some(Making {
            shared: Arc::clone(shared),
            removals,
            begun_at,
            sections: Sections::new(writer),
            copying: Copying::default(),
            copied: None,
            began: Instant::now(),
            longest_hold: Duration::ZERO,
        }))
    }

    /// Does a little more of it: the views are locked for no longer than it takes to copy a part. `root_at` gives the root of the log at
    /// the entry that the snapshot will be of.
    pub(super) fn step(
        self,
        root_at: impl FnOnce(u64) -> Result<crate::log::merkle::Hash, ReadError>,
    ) -> Result<Step, NotMade> {
        if self.shared.snapshots.removals() != self.removals {
            return Ok(Step::GivenUp);
        }
        match self.copied {
            None => self.copy(),
            Some((next, since)) => match self.copying.bodies().is_some_and(|bodies| bodies.is_written()) {
                true => self.finish(next, root_at),
                false if since.elapsed() < BODIES_PATIENCE => Ok(Step::More(Box::new(self))),
                false => Err(NotMade::Bodies),
            },
        }
    }

    fn copy(mut self) -> Result<Step, NotMade> {
        {
            let views = self.shared.read();
            let locked = Instant::now();
            if views.copy(&mut self.copying) {
                if self.shared.is_erasing(&views) {
                    return Ok(Step::GivenUp);
                }
                self.copied = Some((views.next, Instant::now()));
            }
            self.longest_hold = self.longest_hold.max(locked.elapsed());
        }
        for (part, bytes) in self.copying.take_parts() {
            self.sections.add(part, &bytes)?;
        }
        Ok(Step::More(Box::new(self)))
    }

    fn finish(
        self,
        next: Seq,
        root_at: impl FnOnce(u64) -> Result<crate::log::merkle::Hash, ReadError>,
    ) -> Result<Step, NotMade> {
        let Making {
            shared,
            removals,
            begun_at,
            mut sections,
            copying,
            copied: _,
            began,
            longest_hold,
        } = self;
        let (bodies, mut saved) = (copying.bodies().ok_or(NotMade::Bodies)?, Vec::new());
        if !bodies.save(sections.is_durable(), &mut saved)? {
            return Err(NotMade::Bodies);
        }
        sections.add(Part::Bodies, &saved)?;
        let kept = Kept {
            entries: next.0,
            made_at: (shared.clock)(),
            is_plain: begun_at == next,
        };
        let (root, writer) = (root_at(next.0)?, sections.into_writer(kept.is_plain)?);
        let snapshots = &shared.snapshots;
        let _appearing = snapshots.appearing();
        if snapshots.removals() != removals {
            return Ok(Step::GivenUp);
        }
        writer.finish(VERSION, next.0, &root)?;
        *snapshots.kept_mut() = Some(kept);
        tracing::info!(
            entries = next.0,
            took_ms = began.elapsed().as_millis() as u64,
            longest_hold_us = longest_hold.as_micros() as u64,
            "a snapshot of the views was made"
        );
        Ok(Step::Made)
    }
}
