//! A snapshot: what somebody folded from the log up to some entry, kept beside it so that a start need not fold it again. What it
//! holds is opaque here: sections of bytes. It is made from the log, may be lost at any time, and is never the truth.
//!
//! It promises: what is read is what was written, for the very log that it is opened with and as a prefix of that; anything else is
//! a [`Refusal`]. A crash while it is written leaves the one before, or none. `docs/storage-format.md` specifies the bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Durability;
use super::disk;
use super::error::{DiskError, OnDisk, ReadError};
use super::fields::{self, Fields};
use super::merkle::Hash;
use super::read::LogReader;
use crate::domain::id::Seq;

/// What a file starts with: a name, and the version of all that is not in the sections.
const MAGIC: [u8; 8] = *b"CHsnap\0\x01";

/// Length and checksum of a section.
const SECTION_BYTES: usize = 8;

/// What follows the list of sections: their number, the version of the program, size and root of the log that they were made from, a checksum.
const FOOTER_BYTES: usize = 4 + 8 + 8 + 32 + 4;

/// Bytes written between two syncs: the disk is not to be kept busy with all of it at once, for the log needs it as well.
const SYNC_BYTES: u64 = 16 << 20;

/// Why a snapshot is not used. It says nothing against the log.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// Another version of the program made it.
    #[error("another version of the program made it")]
    Version,
    /// It goes further than the log does: the log was taken back from a backup.
    #[error("it was made at entry {made_at} of a log, and this log ends at {size}")]
    Ahead {
        /// Entries that it holds.
        made_at: u64,
        /// Entries that the log holds.
        size: u64,
    },
    /// It was made from other entries.
    #[error("it was made from another log")]
    Foreign,
    /// It could not be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log could not be asked for its root.
    #[error(transparent)]
    Log(#[from] ReadError),
}

#[derive(Clone, Copy, Debug)]
struct Section {
    at: u64,
    bytes: u32,
    crc: u32,
}

/// A snapshot that fits the log.
#[derive(Debug)]
pub struct Snapshot {
    file: File,
    path: PathBuf,
    sections: Vec<Section>,
    next: Seq,
}

impl Snapshot {
    /// The snapshot in the file `path`, if there is one and it is of `log`. Its sections are checked as they are read.
    pub fn open(path: &Path, version: u64, log: &LogReader) -> Result<Option<Snapshot>, Refusal> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).on("open", path).map_err(Refusal::Disk),
        };
        let length = file.metadata().on("measure", path)?.len();
        let mut magic = [0; MAGIC.len()];
        let ends_at = length.checked_sub(FOOTER_BYTES as u64);
        let ends_at = ends_at.filter(|at| *at >= MAGIC.len() as u64);
        let ends_at = ends_at.ok_or(Refusal::Damaged("it is cut short"))?;
        file.read_exact_at(&mut magic, 0).on("read", path)?;
        if magic != MAGIC {
            return Err(Refusal::Damaged("it does not start as a snapshot does"));
        }
        let count = {
            let mut count = [0; 4];
            file.read_exact_at(&mut count, ends_at).on("read", path)?;
            u64::from(u32::from_le_bytes(count))
        };
        let list_at = ends_at.checked_sub(count * SECTION_BYTES as u64);
        let list_at = list_at.ok_or(Refusal::Damaged("its list of sections is cut short"))?;
        let mut trailer = vec![0; (length - list_at) as usize];
        file.read_exact_at(&mut trailer, list_at).on("read", path)?;
        let (sections, made_by, made_at) = decode_trailer(&trailer, count as usize)
            .ok_or(Refusal::Damaged("its list of sections does not match its checksum"))?;
        if sections.last().map_or(MAGIC.len() as u64, Section::end) != list_at {
            return Err(Refusal::Damaged("its sections do not add up"));
        }
        if made_by != version {
            return Err(Refusal::Version);
        }
        fits(&made_at, log)?;
        Ok(Some(Snapshot {
            file,
            path: path.to_path_buf(),
            sections,
            next: Seq(made_at.size),
        }))
    }

    /// Removes the snapshot in the file `path`, for good, and what a crash left of one that was being written.
    pub fn remove(path: &Path) -> Result<(), DiskError> {
        disk::remove_file(&partial(path))?;
        disk::remove_file(path)
    }

    /// The first entry that is not in it.
    pub fn next(&self) -> Seq {
        self.next
    }

    /// How many sections it has.
    pub fn len(&self) -> usize {
        self.sections.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Reads a section, into memory that may be used again.
    pub fn read<'a>(&self, section: usize, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Refusal> {
        let section = self.sections.get(section);
        let section = section.ok_or(Refusal::Damaged("it has fewer sections than it should"))?;
        let bytes = section.bytes as usize;
        if buffer.len() < bytes {
            buffer.resize(bytes, 0);
        }
        let read = &mut buffer[..bytes];
        self.file.read_exact_at(read, section.at).on("read", &self.path)?;
        match crc32fast::hash(read) == section.crc {
            true => Ok(read),
            false => Err(Refusal::Damaged("a section does not match its checksum")),
        }
    }
}

impl Section {
    fn end(&self) -> u64 {
        self.at + u64::from(self.bytes)
    }
}

/// The log that a snapshot was made from: as far as it reached then.
struct MadeAt {
    size: u64,
    root: Hash,
}

fn decode_trailer(trailer: &[u8], count: usize) -> Option<(Vec<Section>, u64, MadeAt)> {
    let mut fields = Fields {
        rest: fields::checked(trailer)?,
    };
    let mut at = MAGIC.len() as u64;
    let mut sections = Vec::with_capacity(count);
    for _ in 0..count {
        let section = Section {
            at,
            bytes: fields.u32()?,
            crc: fields.u32()?,
        };
        at = section.end();
        sections.push(section);
    }
    let (_, version) = (fields.u32()?, fields.u64()?);
    let made_at = MadeAt {
        size: fields.u64()?,
        root: fields.array()?,
    };
    Some((sections, version, made_at))
}

/// Whether the log starts with the very entries that a snapshot was made from. Salts are random, so no others have their root.
fn fits(made_at: &MadeAt, log: &LogReader) -> Result<(), Refusal> {
    let size = log.head().size;
    if made_at.size > size {
        let made_at = made_at.size;
        return Err(Refusal::Ahead { made_at, size });
    }
    match log.root_at(made_at.size)? == made_at.root {
        true => Ok(()),
        false => Err(Refusal::Foreign),
    }
}

/// Where a snapshot is written until it is whole.
fn partial(path: &Path) -> PathBuf {
    path.with_extension("partial")
}

/// A snapshot that is being written, under another name until it is whole and on disk.
#[derive(Debug)]
pub struct SnapshotWriter {
    file: File,
    partial: PathBuf,
    path: PathBuf,
    at: u64,
    synced_to: u64,
    list: Vec<u8>,
    count: u32,
    durability: Durability,
}

impl SnapshotWriter {
    /// Begins a snapshot that will stand at `path`.
    pub fn create(path: &Path, durability: Durability) -> Result<SnapshotWriter, DiskError> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).on("create directory", dir)?;
        }
        let partial = partial(path);
        let file = File::create(&partial).on("create", &partial)?;
        file.write_all_at(&MAGIC, 0).on("write", &partial)?;
        Ok(SnapshotWriter {
            file,
            partial,
            path: path.to_path_buf(),
            at: MAGIC.len() as u64,
            synced_to: 0,
            list: Vec::new(),
            count: 0,
            durability,
        })
    }

    /// Whether what it speaks of has to survive a power cut as well.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Adds a section. Memory for reading is taken by the section, so it should be no longer than it must.
    pub fn section(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let too_long = |_| std::io::Error::from(std::io::ErrorKind::FileTooLarge);
        let length = u32::try_from(bytes.len())
            .map_err(too_long)
            .on("write", &self.partial)?;
        self.file.write_all_at(bytes, self.at).on("write", &self.partial)?;
        self.list.extend_from_slice(&length.to_le_bytes());
        self.list.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
        self.at += bytes.len() as u64;
        self.count += 1;
        if self.durability == Durability::Full && self.at - self.synced_to >= SYNC_BYTES {
            self.file.sync_data().on("sync", &self.partial)?;
            self.synced_to = self.at;
        }
        Ok(())
    }

    /// Puts it in the place of the one before. It was made from the first `size` entries of the log, whose root is `root`; `version`
    /// tells the program from any other that would make something else of them.
    pub fn finish(mut self, version: u64, size: u64, root: &Hash) -> Result<(), DiskError> {
        let trailer = &mut self.list;
        trailer.extend_from_slice(&self.count.to_le_bytes());
        trailer.extend_from_slice(&version.to_le_bytes());
        trailer.extend_from_slice(&size.to_le_bytes());
        trailer.extend_from_slice(root);
        fields::put_checksum(trailer);
        self.file.write_all_at(trailer, self.at).on("write", &self.partial)?;
        if self.durability == Durability::Full {
            self.file.sync_all().on("sync", &self.partial)?;
        }
        disk::rename(&self.partial, &self.path)
    }
}

/// What is not finished takes no room: a disk that was too full for it has none to spare.
impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.partial);
    }
}
