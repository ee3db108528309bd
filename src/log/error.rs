//! What can go wrong in the log, one enum per operation. An error that stops the log carries a [`Stop`]; every other
//! one fails a single request and leaves the log as it was.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::domain::id::Seq;

/// A failed step on a file or directory: what was being done, where, and the system's answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct DiskError {
    /// What was being done, as a verb phrase.
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// The system's answer.
    pub source: io::Error,
}

impl DiskError {
    pub(super) fn new(action: &'static str, path: &Path, source: io::Error) -> DiskError {
        DiskError {
            action,
            path: path.to_path_buf(),
            source,
        }
    }

    /// Whether something was used up that may come back: the room on the disk, a quota, or the files that may be open.
    pub fn is_full(&self) -> bool {
        let descriptors = [Errno::MFILE, Errno::NFILE].map(|error| Some(error.raw_os_error()));
        let room = matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        room || descriptors.contains(&self.source.raw_os_error())
    }
}

/// Attaches the step and the path to an `io::Result`.
pub(super) trait OnDisk<T> {
    fn on(self, action: &'static str, path: &Path) -> Result<T, DiskError>;
}

impl<T> OnDisk<T> for io::Result<T> {
    fn on(self, action: &'static str, path: &Path) -> Result<T, DiskError> {
        self.map_err(|source| DiskError::new(action, path, source))
    }
}

/// A place where the record is not what it must be. Nothing was dropped or repaired: the files are as they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The first position in doubt, where it is known.
    pub seq: Option<Seq>,
    /// The first position of the epoch concerned.
    pub epoch: Option<Seq>,
    /// The file concerned.
    pub file: Option<PathBuf>,
    /// Where in the file the first damaged block starts.
    pub offset_bytes: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

impl Damage {
    pub(super) fn new(reason: impl Into<String>) -> Damage {
        Damage {
            seq: None,
            epoch: None,
            file: None,
            offset_bytes: None,
            reason: reason.into(),
        }
    }

    pub(super) fn at(self, seq: Seq) -> Damage {
        Damage { seq: Some(seq), ..self }
    }

    pub(super) fn in_epoch(self, epoch: Seq) -> Damage {
        Damage {
            epoch: self.epoch.or(Some(epoch)),
            ..self
        }
    }

    pub(super) fn in_file(self, file: &Path, offset_bytes: Option<u64>) -> Damage {
        Damage {
            file: Some(file.to_path_buf()),
            offset_bytes,
            ..self
        }
    }

    /// What an operator can do about it.
    pub fn way_back(&self) -> &'static str {
        "the files are untouched: check the disk, run `clearinghouse verify` to see the extent, then restore the last \
         backup with `clearinghouse restore`; publishers resend what came after it"
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log is damaged")?;
        if let Some(seq) = self.seq {
            write!(f, " at entry {seq}")?;
        }
        if let Some(epoch) = self.epoch {
            write!(f, " in the epoch that starts at {epoch}")?;
        }
        if let Some(file) = &self.file {
            write!(f, " in file {}", file.display())?;
        }
        if let Some(offset) = self.offset_bytes {
            write!(f, " at byte {offset}")?;
        }
        write!(f, ": {}; {}", self.reason, self.way_back())
    }
}

impl std::error::Error for Damage {}

/// Why a log could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The directory holds a log, or something else.
    #[error("{} is not empty: a log is only created in an empty or new directory", dir.display())]
    Exists {
        /// The directory.
        dir: PathBuf,
    },
    /// A file could not be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The new log did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no log.
    #[error("{} holds no log: create one with `clearinghouse init`", dir.display())]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// Another process, or another handle of this one, has it open.
    #[error("the log in {} is in use by {holder}", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// Who has it open, as that process wrote it down.
        holder: String,
    },
    /// It was written in a format that this program does not know.
    #[error("the log in {} has format {found:?}, which this program does not know", dir.display())]
    Format {
        /// The directory.
        dir: PathBuf,
        /// What its FORMAT file says.
        found: String,
    },
    /// Something acknowledged is missing or altered. The files are as they were found.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// A file could not be read or written. If [`DiskError::is_full`], free some space and open again.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Why nothing was appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Fails this request: an entry is too large, or all together are. Nothing was written.
    #[error("entry {index} of the append takes it past {max} bytes")]
    TooLarge {
        /// The first entry past the limit.
        index: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// Stops the log: the disk is full. Reads go on; appends work again once space was freed and the log reopened.
    #[error("the log stopped, for the disk is full: {0}")]
    Full(Stop),
    /// Stops the log: a write or a sync failed, so what is on disk is unknown until the log is reopened.
    #[error("the log stopped: {0}")]
    Failed(Stop),
}

/// Why a log takes no more appends. It lasts until the log is closed and opened again: after a failed sync the kernel
/// may report success for pages that it dropped, so trying again would acknowledge what is not on disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; reads go on, reopen the log to append")]
pub struct Stop {
    /// Whether lack of space was the reason.
    pub full: bool,
    /// What failed.
    pub reason: String,
}

impl Stop {
    pub(super) fn into_append_error(self) -> AppendError {
        if self.full {
            AppendError::Full(self)
        } else {
            AppendError::Failed(self)
        }
    }
}

impl Stop {
    /// For the open path, where a failed head write is one more file that could not be written.
    pub(super) fn into_disk_error(self, path: &Path) -> DiskError {
        let kind = if self.full {
            io::ErrorKind::StorageFull
        } else {
            io::ErrorKind::Other
        };
        DiskError::new("write", path, io::Error::new(kind, self.reason))
    }
}

impl From<&DiskError> for Stop {
    fn from(error: &DiskError) -> Stop {
        Stop {
            full: error.is_full(),
            reason: error.to_string(),
        }
    }
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The position, or the size of a proof, lies beyond the head.
    #[error("position {asked} lies beyond the head of the log at {size}")]
    BeyondHead {
        /// What was asked for.
        asked: u64,
        /// How many entries there are.
        size: u64,
    },
    /// The log was closed.
    #[error("the log was closed")]
    Closed,
    /// What is stored there is not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// A file could not be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Why a log could not be closed cleanly. What was acknowledged is on disk all the same.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// A file could not be written; the next open takes the way of a crash.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log had stopped.
    #[error("the log had stopped: {0}")]
    Stopped(Stop),
}
