//! Files and directories: atomic and durable writes, copies, block digests, the lock and the ballast.
//! It knows nothing of entries, and it overwrites a file in place only to put back what was there.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::{DiskError, OnDisk};

/// The unit of the digests that precede each open: damage is found to within one block.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;

/// Make a directory's own entries durable. Without it, a power cut may forget a file whose content was synced.
pub(super) fn sync_dir(dir: &Path) -> Result<(), DiskError> {
    File::open(dir)
        .and_then(|handle| handle.sync_all())
        .on("sync directory", dir)
}

/// Sync each file below `dir`, then each directory, then `dir` itself.
pub(super) fn sync_tree(dir: &Path) -> Result<(), DiskError> {
    for entry in list(dir)? {
        if entry.is_dir() {
            sync_tree(&entry)?;
        } else {
            File::open(&entry).and_then(|file| file.sync_all()).on("sync", &entry)?;
        }
    }
    sync_dir(dir)
}

/// The paths in a directory, sorted.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let mut paths = fs::read_dir(dir)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<Vec<_>>>()
        })
        .on("list", dir)?;
    paths.sort();
    Ok(paths)
}

/// Replace a file as a whole: after a crash at any point, the old or the new content is there, never a mixture.
pub(super) fn write_atomically(path: &Path, content: &[u8]) -> Result<(), DiskError> {
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial).on("create", &partial)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .on("write", &partial)?;
    fs::rename(&partial, path).on("rename", &partial)?;
    sync_dir(parent(path))
}

/// Put content back where it was. Blocks that the file has are written over, not given up: on a full disk, those that
/// are given up may not come back.
pub(super) fn overwrite(path: &Path, content: &[u8]) -> Result<(), DiskError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .on("open", path)?;
    file.write_all_at(content, 0)
        .and_then(|()| file.set_len(content.len() as u64))
        .on("put back", path)
}

/// Rename within one directory, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    fs::rename(from, to).on("rename", from)?;
    sync_dir(parent(to))
}

/// Remove a directory and all in it; none is fine.
pub(super) fn remove_tree(dir: &Path) -> Result<(), DiskError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DiskError::new("remove", dir, error)),
        _ => Ok(()),
    }
}

/// Remove a file, durably; none is fine.
pub(super) fn remove_file(path: &Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Ok(()) => sync_dir(parent(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(DiskError::new("remove", path, error)),
    }
}

/// Copy a directory with all in it. Not synced: the caller decides what has to last.
pub(super) fn copy_tree(from: &Path, to: &Path) -> Result<(), DiskError> {
    fs::create_dir(to).on("create directory", to)?;
    for entry in list(from)? {
        let Some(name) = entry.file_name() else { continue };
        let target = to.join(name);
        if entry.is_dir() {
            copy_tree(&entry, &target)?;
        } else {
            fs::copy(&entry, &target).on("copy", &entry)?;
        }
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// The length of a file and the CRC-32 of each of its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileDigest {
    /// Relative to the store's directory.
    pub name: String,
    pub length_bytes: u64,
    pub block_crcs: Vec<u32>,
}

impl FileDigest {
    pub(super) fn of(dir: &Path, name: &str) -> Result<FileDigest, DiskError> {
        let path = dir.join(name);
        let mut file = File::open(&path).on("open", &path)?;
        let mut block = vec![0; BLOCK_BYTES];
        let (mut length_bytes, mut block_crcs) = (0, Vec::new());
        loop {
            let filled = fill(&mut file, &mut block).on("read", &path)?;
            if filled == 0 {
                return Ok(FileDigest {
                    name: name.to_owned(),
                    length_bytes,
                    block_crcs,
                });
            }
            length_bytes += filled as u64;
            block_crcs.push(crc32fast::hash(&block[..filled]));
        }
    }

    /// Where the first block starts that differs, if any does.
    pub(super) fn first_difference(&self, found: &FileDigest) -> Option<u64> {
        let blocks = self.block_crcs.iter().zip(&found.block_crcs);
        let block = blocks.take_while(|(expected, found)| expected == found).count();
        if self == found {
            None
        } else {
            Some((block * BLOCK_BYTES) as u64)
        }
    }
}

fn fill(file: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The right to use a log's directory, held until dropped. The kernel gives it back when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Why the lock was not taken.
#[derive(Debug)]
pub(super) enum LockError {
    Held { holder: String },
    Disk(DiskError),
}

impl Lock {
    pub(super) fn take(dir: &Path) -> Result<Lock, LockError> {
        let path = dir.join("lock");
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .on("open", &path)
            .map_err(LockError::Disk)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.take(200).read_to_string(&mut holder);
                let holder = if holder.is_empty() {
                    "an unknown process".to_owned()
                } else {
                    holder
                };
                return Err(LockError::Held { holder });
            }
            Err(TryLockError::Error(error)) => return Err(LockError::Disk(DiskError::new("lock", &path, error))),
        }
        // The name of the holder is a courtesy to the operator: a full disk must not keep the log from opening.
        let _ = file
            .set_len(0)
            .and_then(|()| write!(file, "process {}", std::process::id()));
        Ok(Lock { _file: file })
    }
}

/// Space put aside, so that a log can be reopened on a full disk: sled writes a segment and a snapshot to do so.
#[derive(Clone, Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    pub(super) fn new(dir: &Path, bytes: u64) -> Ballast {
        Ballast {
            path: dir.join("ballast"),
            bytes,
        }
    }

    /// Put the space aside, if it is not. Zeros are written out, for a sparse file would reserve nothing.
    pub(super) fn fill(&self) -> Result<(), DiskError> {
        let present = fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        if present >= self.bytes {
            return Ok(());
        }
        let mut file = File::create(&self.path).on("create", &self.path)?;
        let block = vec![0; BLOCK_BYTES];
        let mut missing = self.bytes;
        while missing > 0 {
            let part = missing.min(BLOCK_BYTES as u64);
            if let Err(error) = file.write_all(&block[..part as usize]) {
                // Half a ballast would take the last space and give no promise.
                let _ = fs::remove_file(&self.path);
                return Err(DiskError::new("fill", &self.path, error));
            }
            missing -= part;
        }
        file.sync_all().on("sync", &self.path)
    }

    /// Give the space back.
    pub(super) fn release(&self) -> Result<(), DiskError> {
        remove_file(&self.path)
    }
}
