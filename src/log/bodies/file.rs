//! The file of the body store: its head, and the comparison of what stands in it with what a fold pushes again.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::disk;
use super::super::error::{DiskError, OnDisk};
use super::block::{BLOCK_BODIES, HEADER_BYTES, Header, Raw};
use super::index::{FIRST_AT, Index, Span};

/// What a file starts with: a name, and the version of the format.
const MAGIC: &[u8; 8] = b"CHbody\0\x02";

/// Read at a time when what stands in the file is compared.
const READ_BYTES: usize = 1 << 20;

/// A packed block is never longer: what cannot be packed is in it as it is.
const PACKED_BYTES_MAX: u32 = 4 << 20;

fn head() -> [u8; 12] {
    let mut head = [0; 12];
    head[..8].copy_from_slice(MAGIC);
    head[8..].copy_from_slice(&(BLOCK_BODIES as u32).to_le_bytes());
    head
}

/// Where a file is written that is to take the place of another.
pub(super) fn partial(path: &Path) -> PathBuf {
    path.with_extension("partial")
}

/// Opens the file, or makes it. One that is not of this format is made anew.
pub(super) fn open(path: &Path) -> Result<File, DiskError> {
    disk::remove_file(&partial(path))?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .on("open", path)?;
    if !has_head(&file) {
        begin(&file).on("begin", path)?;
    }
    Ok(file)
}

/// Makes a file without blocks in the place of whatever is there.
pub(super) fn create(path: &Path) -> Result<File, DiskError> {
    let file = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(path)
        .on("create", path)?;
    begin(&file).on("begin", path)?;
    Ok(file)
}

fn begin(file: &File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.set_len(FIRST_AT)?;
    file.write_all_at(&head(), 0)
}

/// Opens a file that must hold all blocks of `index`.
pub(super) fn open_holding(path: &Path, index: &Index) -> Option<File> {
    disk::remove_file(&partial(path)).ok()?;
    let file = File::options().read(true).write(true).open(path).ok()?;
    let length = file.metadata().ok()?.len();
    (has_head(&file) && length >= index.end()).then_some(file)
}

fn has_head(file: &File) -> bool {
    let mut found = [0; 12];
    file.read_exact_at(&mut found, 0).is_ok() && found == head()
}

/// Marks a file so that the next start makes it anew.
pub(super) fn disown(file: &File) -> std::io::Result<()> {
    file.write_all_at(&[0; 12], 0)
}

/// Blocks that an earlier run left. They count as long as they hold what is pushed now.
#[derive(Debug)]
pub(super) struct LeftOver {
    rest: BufReader<File>,
}

impl LeftOver {
    /// What stands in `file` from `at` on.
    pub(super) fn new(file: &File, at: u64) -> Option<LeftOver> {
        let mut file = file.try_clone().ok()?;
        file.seek(SeekFrom::Start(at)).ok()?;
        let rest = BufReader::with_capacity(READ_BYTES, file);
        Some(LeftOver { rest })
    }

    /// Where the next block is whole and holds the bodies `raw`: what is known of it. None is for good.
    pub(super) fn next(&mut self, number: u32, raw: &Raw) -> Option<Span> {
        let mut bytes = vec![0; HEADER_BYTES];
        self.rest.read_exact(&mut bytes).ok()?;
        let header = Header::read(&bytes).ok()?;
        if (header.number, &header.raw) != (number, raw) || header.packed_bytes > PACKED_BYTES_MAX {
            return None;
        }
        bytes.resize(HEADER_BYTES + header.packed_bytes as usize, 0);
        self.rest.read_exact(&mut bytes[HEADER_BYTES..]).ok()?;
        (crc32fast::hash(&bytes[4..]) == header.crc).then_some(Span {
            bytes: bytes.len() as u32,
            crc: header.crc,
        })
    }
}
