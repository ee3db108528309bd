//! The snapshot of the views: made at a clean stop, so that the next start need not fold the log anew. The log stays the only truth:
//! what does not fit it exactly is not used, loudly, and removed, and the whole log is folded.

use std::path::{Path, PathBuf};

use crate::domain::id::Seq;
use crate::log::bodies::{Bodies, BodiesOptions};
use crate::log::{DiskError, Durability, Head, LogReader, Refusal, Snapshot, SnapshotWriter};

use super::OpenError;
use super::folding;
use super::views::Views;
use super::views::snapshot::{Reading, Sections, VERSION};

/// The files in the directory of what is made from the log.
const BODIES_FILE: &str = "bodies";
const SNAPSHOT_FILE: &str = "snapshot";

/// Where views are kept between two runs.
pub(super) struct Keeper {
    path: PathBuf,
    durability: Durability,
    /// How many entries the snapshot holds that is there.
    kept: Option<Seq>,
}

impl Keeper {
    /// The views of the whole log: from the snapshot in `views_dir` on, or from nothing.
    pub fn fold(
        views_dir: &Path,
        durability: Durability,
        bodies: BodiesOptions,
        log: &LogReader,
    ) -> Result<(Keeper, Views), OpenError> {
        let (mut keeper, mut views) = Keeper::load(views_dir, durability, bodies, log);
        let end = Seq(log.head().size);
        folding::fold(log, end, &mut views)?;
        if views.erasures.reaches_back() {
            // Its thread writes to the file that is made anew now.
            views.indicators.bodies_mut().close();
            refuse(&keeper.path, "entries that it holds are erased, or are to be");
            keeper.kept = None;
            views = Views::new(Bodies::open(&views_dir.join(BODIES_FILE), bodies));
            folding::fold(log, end, &mut views)?;
        }
        Ok((keeper, views))
    }

    /// How many entries the snapshot holds that the views were folded on from.
    pub fn kept(&self) -> u64 {
        self.kept.map_or(0, |kept| kept.0)
    }

    /// The views as the snapshot has them, or of nothing yet; to be folded on from [`Views::next`].
    fn load(views_dir: &Path, durability: Durability, bodies: BodiesOptions, log: &LogReader) -> (Keeper, Views) {
        let (path, bodies_path) = (views_dir.join(SNAPSHOT_FILE), views_dir.join(BODIES_FILE));
        let loaded = load(&path, &bodies_path, bodies, log).unwrap_or_else(|refusal| {
            refuse(&path, refusal);
            None
        });
        let kept = loaded.as_ref().map(|views| views.next);
        let views = loaded.unwrap_or_else(|| Views::new(Bodies::open(&bodies_path, bodies)));
        let keeper = Keeper { path, durability, kept };
        (keeper, views)
    }

    /// Makes a snapshot of views of the whole log, whose head is `head` and whose bodies are closed. Where it fails, the next start
    /// takes longer, and no more.
    pub fn keep(&mut self, views: &Views, head: &Head) {
        if self.kept == Some(views.next) || views.next != Seq(head.size) {
            return;
        }
        match write(&self.path, self.durability, views, head) {
            Ok(true) => self.kept = Some(views.next),
            Ok(false) => tracing::warn!("no snapshot of the views was made, for their bodies are not all in the file"),
            Err(error) => tracing::warn!(%error, "no snapshot of the views was made"),
        }
    }
}

/// Removes the snapshot in `views_dir`: to be called before anything that it may hold is erased.
pub(super) fn remove(views_dir: &Path) -> Result<(), DiskError> {
    Snapshot::remove(&views_dir.join(SNAPSHOT_FILE))
}

/// Says why a snapshot is not used. It will fit no better, and might be taken for one of the file of bodies that is made now.
fn refuse(path: &Path, reason: impl std::fmt::Display) {
    tracing::warn!(%reason, path = %path.display(), "the snapshot of the views is not used: the whole log is folded");
    if let Err(error) = Snapshot::remove(path) {
        tracing::warn!(%error, path = %path.display(), "the snapshot of the views could not be removed");
    }
}

fn load(path: &Path, bodies_path: &Path, bodies: BodiesOptions, log: &LogReader) -> Result<Option<Views>, Refusal> {
    let Some(snapshot) = Snapshot::open(path, VERSION, log)? else {
        return Ok(None);
    };
    let mut reading = Reading::new(&snapshot);
    let views = Views::load(&mut reading, bodies_path, bodies)?;
    reading.finish()?;
    match views.next == snapshot.next() {
        true => Ok(Some(views)),
        false => Err(Refusal::Damaged("its views are of another moment than it says")),
    }
}

fn write(path: &Path, durability: Durability, views: &Views, head: &Head) -> Result<bool, DiskError> {
    let mut sections = Sections::new(SnapshotWriter::create(path, durability)?);
    if !views.keep(&mut sections)? {
        return Ok(false);
    }
    sections.into_writer().finish(VERSION, head.size, &head.root)?;
    Ok(true)
}
