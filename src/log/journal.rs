//! The journal of the growing epoch: small appends wait in it until they fill a value of the store. It is a file of
//! fixed length whose blocks are on disk already, so that an append costs one write and one `fdatasync` of data alone:
//! the store wakes seven threads for each write, syncs twice, and would keep a value for each append.
//!
//! A record is one append, in the bytes of a batch that is not compressed, one after another from the start of the file.
//! What the store has taken in is written over from the start. So what is found is a run of records that continue each
//! other; what follows the last of them is the rest of an earlier run, a torn append, or zeros, and counts for nothing.
//! Whether the records reach as far as they must is for the head file to say.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::batch::{Batch, VALUE_BYTES_MAX};
use super::disk;
use super::error::{DiskError, OnDisk};

/// The length of the file. What waits in it has at most `VALUE_BYTES_MAX`; headers of tiny appends come on top.
pub(super) const JOURNAL_BYTES: usize = 2 * VALUE_BYTES_MAX;

/// An open journal and the place of the next record.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    end: usize,
}

impl Journal {
    /// Open the file, or make it, and start over: its records, if any, are in the store.
    pub(super) fn open_empty(path: &Path) -> Result<Journal, DiskError> {
        let mut options = File::options();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .on("open", path)?;
        let present = file.metadata().on("measure", path)?.len() as usize;
        if present < JOURNAL_BYTES {
            // Zeros are written out, for a block that was never written would cost the first sync its metadata. What is there
            // stays: it may be all that is left of what was acknowledged.
            file.write_all_at(&vec![0; JOURNAL_BYTES - present], present as u64)
                .and_then(|()| file.sync_all())
                .on("fill", path)?;
            disk::sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        }
        Ok(Journal {
            path: path.to_path_buf(),
            file,
            end: 0,
        })
    }

    /// Open the file after a crash and go on after `records`, which were found in it and are not in the store. They may
    /// be in the kernel's memory only, and after a failed sync the kernel takes them for written: so they are written
    /// and synced once more.
    pub(super) fn open_after(path: &Path, records: &Records) -> Result<Journal, DiskError> {
        let mut journal = Journal::open_empty(path)?;
        journal.append(&records.bytes)?;
        journal.sync()?;
        Ok(journal)
    }

    /// Whether a record of so many bytes fits.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.end + bytes <= JOURNAL_BYTES
    }

    /// Write a record. It outlives a power cut after [`Journal::sync`].
    pub(super) fn append(&mut self, record: &[u8]) -> Result<(), DiskError> {
        self.file
            .write_all_at(record, self.end as u64)
            .on("write", &self.path)?;
        self.end += record.len();
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().on("sync", &self.path)
    }

    /// Start over, once the store holds durably what the records say.
    pub(super) fn clear(&mut self) {
        self.end = 0;
    }
}

/// What a journal holds.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub batches: Vec<Batch>,
    /// The file up to the end of the last batch.
    pub bytes: Vec<u8>,
}

impl Records {
    /// Read the records that continue each other from the start of the file on. None at all is fine.
    pub(super) fn read(path: &Path) -> Result<Records, DiskError> {
        let mut bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Records::default()),
            Err(error) => return Err(error).on("read", path),
        };
        let mut batches: Vec<Batch> = Vec::new();
        let mut end = 0;
        while let Some((batch, length)) = Batch::decode_front(&bytes[end..]) {
            if batches.last().is_some_and(|last| last.end() != batch.first) {
                break;
            }
            batches.push(batch);
            end += length;
        }
        bytes.truncate(end);
        Ok(Records { batches, bytes })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::batch::{Encoder, Stored};
    use super::*;
    use crate::domain::id::Seq;

    fn record(first: u64, text: &'static str) -> Batch {
        let salt = [first as u8; 32];
        let bytes = Bytes::from_static(text.as_bytes());
        Batch {
            first: Seq(first),
            values_after: 0,
            chain_before: [first as u8; 32],
            entries: vec![Stored::Whole { salt, bytes }],
        }
    }

    fn written(dir: &Path, runs: &[&[Batch]]) -> PathBuf {
        let path = dir.join("journal");
        let mut journal = Journal::open_empty(&path).unwrap();
        for run in runs {
            journal.clear();
            for batch in *run {
                journal.append(Encoder::default().plain(batch)).unwrap();
            }
        }
        path
    }

    #[test]
    fn records_are_read_back_and_an_earlier_run_does_not_show() {
        let dir = tempfile::tempdir().unwrap();
        let early = [record(0, "an entry"), record(1, "an entry"), record(2, "an entry")];
        let late = [record(3, "an entry")];
        let path = written(dir.path(), &[&early]);
        assert_eq!(Records::read(&path).unwrap().batches, early);
        // The rest of the earlier run starts exactly where the later ends.
        let path = written(dir.path(), &[&early, &late]);
        assert_eq!(Records::read(&path).unwrap().batches, late);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), JOURNAL_BYTES as u64);
    }

    #[test]
    fn a_torn_record_ends_the_run_and_the_next_one_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path(), &[&[record(0, "first"), record(1, "second")]]);
        let whole = Encoder::default().plain(&record(0, "first")).len();
        let mut content = std::fs::read(&path).unwrap();
        content[whole + 90] ^= 1;
        std::fs::write(&path, &content).unwrap();
        let found = Records::read(&path).unwrap();
        assert_eq!(found.batches, [record(0, "first")]);
        let mut journal = Journal::open_after(&path, &found).unwrap();
        let again = record(1, "again");
        journal.append(Encoder::default().plain(&again)).unwrap();
        assert_eq!(
            Records::read(&path).unwrap().batches,
            [record(0, "first"), record(1, "again")]
        );
    }

    #[test]
    fn a_file_that_was_cut_keeps_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path(), &[&[record(0, "first")]]);
        let content = std::fs::read(&path).unwrap();
        std::fs::write(&path, &content[..2_000]).unwrap();
        drop(Journal::open_empty(&path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }

    #[test]
    fn a_record_fits_up_to_the_end_of_the_file_and_no_further() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open_empty(&dir.path().join("journal")).unwrap();
        journal.append(&[1; 100]).unwrap();
        assert!(journal.has_room(JOURNAL_BYTES - 100));
        assert!(!journal.has_room(JOURNAL_BYTES - 99));
    }
}
