//! How full the disk is that the log lies on. It looks at files and asks the system; it changes nothing.

use std::path::Path;

/// How full the disk is that the log lies on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk {
    /// Bytes of the log's files.
    pub used_bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
}

impl Disk {
    /// Looks at all files below `dir`: not for a hot path.
    pub(super) fn look(dir: &Path) -> Disk {
        Disk {
            used_bytes: bytes_below(dir),
            free_bytes: free_bytes(dir).unwrap_or_default(),
        }
    }
}

/// Bytes free where `dir` lies; none if the system does not say.
pub(super) fn free_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        // It went away between the two looks.
        Err(_) => 0,
    });
    sizes.sum()
}
