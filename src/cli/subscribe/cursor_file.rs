//! Where a subscriber stands, on disk. `FILE` holds the cursor in base64 and is replaced as a whole, after the lines that it
//! covers are out. `FILE.mirror` is a journal of the mirror's changes, in which each cursor is a mark: after a crash the
//! journal is read up to the mark of the cursor in `FILE`, so the two can never disagree.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::mirror::Mirror;

/// First line of a journal; another form takes another number.
const HEADER: &str = "clearinghouse mirror 1";
/// A journal is written anew when it has this many lines more than twice what the mirror holds.
const SLACK_LINES: usize = 10_000;

/// The two files.
pub struct CursorFile {
    path: PathBuf,
    journal: Option<Journal>,
}

struct Journal {
    file: BufWriter<File>,
    lines: usize,
}

impl Journal {
    fn append(&mut self, cursor: &str, changes: &[Change]) -> io::Result<()> {
        for change in changes {
            match change {
                Change::Put(id, revision) => writeln!(self.file, "+{id} {revision}")?,
                Change::Drop(id) => writeln!(self.file, "-{id}")?,
            }
        }
        writeln!(self.file, "={cursor}")?;
        self.lines += changes.len() + 1;
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }
}

/// A change of the mirror.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Put in this revision.
    Put(Uuid, u32),
    /// Drop.
    Drop(Uuid),
}

/// What the files held.
#[derive(Debug, Default)]
pub struct Stored {
    /// The cursor; empty where there is none.
    pub cursor: Vec<u8>,
    /// The mirror at that cursor. Nothing: the journal is lost or of another cursor, and digests cannot be checked.
    pub mirror: Option<Mirror>,
}

impl CursorFile {
    /// Reads the files, if they are there.
    pub fn open(path: &Path) -> io::Result<(CursorFile, Stored)> {
        let mut cursor_file = CursorFile {
            path: path.to_owned(),
            journal: None,
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((
                    cursor_file,
                    Stored {
                        cursor: Vec::new(),
                        mirror: Some(Mirror::default()),
                    },
                ));
            }
            Err(error) => return Err(error),
        };
        let cursor = STANDARD.decode(text.trim()).map_err(|_| invalid("is no cursor file"))?;
        let mirror = match cursor.is_empty() {
            true => Some(Mirror::default()),
            false => read_journal(&cursor_file.journal_path(), text.trim())?,
        };
        if let Some(mirror) = &mirror
            && !cursor.is_empty()
        {
            // Without what a crash left behind the mark; the mark itself stays that of the cursor.
            cursor_file.start_journal(text.trim(), mirror)?;
        }
        Ok((cursor_file, Stored { cursor, mirror }))
    }

    /// Stores the cursor with the changes since the last one. `mirror` is the mirror at the cursor; nothing where it is unknown.
    pub fn store(&mut self, cursor: &[u8], changes: &[Change], mirror: Option<&Mirror>) -> io::Result<()> {
        let cursor = STANDARD.encode(cursor);
        match (mirror, &mut self.journal) {
            (Some(_), Some(journal)) => journal.append(&cursor, changes)?,
            (Some(mirror), None) => self.start_journal(&cursor, mirror)?,
            (None, _) => self.journal = None,
        }
        // The journal has the marks of the old cursor and of the new one: a crash here or later finds that of either.
        replace(&self.path, |file| writeln!(file, "{cursor}"))?;
        match (mirror, &self.journal) {
            (Some(mirror), Some(journal)) if journal.lines > 2 * mirror.len() + SLACK_LINES => {
                self.start_journal(&cursor, mirror)
            }
            _ => Ok(()),
        }
    }

    /// Writes the journal anew, with the mark of `cursor` alone.
    fn start_journal(&mut self, cursor: &str, mirror: &Mirror) -> io::Result<()> {
        let path = self.journal_path();
        replace(&path, |file| {
            writeln!(file, "{HEADER}")?;
            for (id, revision) in mirror.iter() {
                writeln!(file, "+{id} {revision}")?;
            }
            writeln!(file, "={cursor}")
        })?;
        let file = OpenOptions::new().append(true).open(&path)?;
        self.journal = Some(Journal {
            file: BufWriter::new(file),
            lines: mirror.len() + 2,
        });
        Ok(())
    }

    fn journal_path(&self) -> PathBuf {
        beside(&self.path, ".mirror")
    }
}

fn read_journal(path: &Path, cursor: &str) -> io::Result<Option<Mirror>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut mirror, mut at_cursor) = (Mirror::default(), None);
    let mut lines = BufReader::new(file).lines();
    if lines.next().transpose()?.is_none_or(|line| line != HEADER) {
        return Ok(None);
    }
    for line in lines {
        let line = line?;
        if line.strip_prefix('=') == Some(cursor) {
            at_cursor = Some(mirror.clone());
            continue;
        }
        match parse(&line) {
            Some(Change::Put(id, revision)) => mirror.put(id, revision),
            Some(Change::Drop(id)) => mirror.drop(id),
            None if line.starts_with('=') => {}
            // A line that was cut off by a crash stands after the last mark that counts.
            None => break,
        }
    }
    Ok(at_cursor)
}

fn parse(line: &str) -> Option<Change> {
    match line.split_at_checked(1)? {
        ("+", rest) => {
            let (id, revision) = rest.split_once(' ')?;
            Some(Change::Put(id.parse().ok()?, revision.parse().ok()?))
        }
        ("-", id) => Some(Change::Drop(id.parse().ok()?)),
        _ => None,
    }
}

/// Writes a file as a whole or not at all, and durably: beside it, synced, then renamed over it.
fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let temporary = beside(path, ".new");
    let mut file = BufWriter::new(File::create(&temporary)?);
    write(&mut file)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    fs::rename(&temporary, path)?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn mirror(entries: &[(u128, u32)]) -> Mirror {
        let mut mirror = Mirror::default();
        entries
            .iter()
            .for_each(|(number, revision)| mirror.put(id(*number), *revision));
        mirror
    }

    fn stored(path: &Path) -> Stored {
        CursorFile::open(path).unwrap().1
    }

    #[test]
    fn cursor_and_mirror_come_back_together() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cursor");
        let (mut file, begun) = CursorFile::open(&path).unwrap();
        assert!(begun.cursor.is_empty() && begun.mirror == Some(Mirror::default()));
        file.store(b"one", &[Change::Put(id(1), 1)], Some(&mirror(&[(1, 1)])))
            .unwrap();
        file.store(
            b"two",
            &[Change::Put(id(2), 1), Change::Drop(id(1))],
            Some(&mirror(&[(2, 1)])),
        )
        .unwrap();
        let stored = stored(&path);
        assert_eq!(
            (stored.cursor.as_slice(), stored.mirror),
            (b"two".as_slice(), Some(mirror(&[(2, 1)])))
        );
        let mut names: Vec<_> = fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["cursor", "cursor.mirror"], "no leftovers");
    }

    #[test]
    fn a_crash_between_journal_and_cursor_goes_back_to_the_cursor() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cursor");
        let (mut file, _) = CursorFile::open(&path).unwrap();
        file.store(b"one", &[], Some(&mirror(&[(1, 1)]))).unwrap();
        let before = fs::read(&path).unwrap();
        file.store(b"two", &[Change::Put(id(1), 2)], Some(&mirror(&[(1, 2)])))
            .unwrap();
        fs::write(&path, before).unwrap();
        let stored = stored(&path);
        assert_eq!(
            (stored.cursor.as_slice(), stored.mirror),
            (b"one".as_slice(), Some(mirror(&[(1, 1)])))
        );
    }

    #[test]
    fn a_journal_that_was_cut_anywhere_gives_the_mirror_or_none_but_never_a_wrong_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cursor");
        let (mut file, _) = CursorFile::open(&path).unwrap();
        file.store(b"one", &[], Some(&mirror(&[(1, 1)]))).unwrap();
        file.store(b"two", &[Change::Put(id(2), 7)], Some(&mirror(&[(1, 1), (2, 7)])))
            .unwrap();
        let journal = fs::read(home.path().join("cursor.mirror")).unwrap();
        for length in 0..journal.len() {
            // Opening writes what it believes anew, so each cut begins from the whole.
            fs::write(home.path().join("cursor.mirror"), &journal[..length]).unwrap();
            let read = stored(&path).mirror;
            // Without its last byte, the line's end, the last mark is still whole.
            let expected = (length == journal.len() - 1).then(|| mirror(&[(1, 1), (2, 7)]));
            assert_eq!(read, expected, "cut at {length}");
        }
    }

    #[test]
    fn a_journal_is_written_anew_before_it_grows_without_bound() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cursor");
        let (mut file, _) = CursorFile::open(&path).unwrap();
        let changes: Vec<Change> = (0..4_000).map(|revision| Change::Put(id(1), revision)).collect();
        for _ in 0..6 {
            file.store(b"c", &changes, Some(&mirror(&[(1, 3_999)]))).unwrap();
        }
        let lines = fs::read_to_string(home.path().join("cursor.mirror"))
            .unwrap()
            .lines()
            .count();
        assert!(lines < 2 * SLACK_LINES, "{lines}");
        assert_eq!(stored(&path).mirror, Some(mirror(&[(1, 3_999)])));
    }

    #[test]
    fn a_file_that_is_no_cursor_is_refused_and_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cursor");
        fs::write(&path, "my thesis").unwrap();
        assert!(CursorFile::open(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "my thesis");
    }

    #[test]
    fn without_a_journal_the_mirror_is_unknown_not_empty() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cursor");
        let (mut file, _) = CursorFile::open(&path).unwrap();
        file.store(b"one", &[], None).unwrap();
        let stored = stored(&path);
        assert_eq!((stored.cursor.as_slice(), stored.mirror), (b"one".as_slice(), None));
    }
}
