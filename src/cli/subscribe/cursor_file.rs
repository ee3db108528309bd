//! Where a subscriber stands, on disk. `FILE` holds the cursor in base64 and is replaced as a whole, after the lines that it
//! covers are out. `FILE.mirror` is a journal: changes are written to it before their lines go out, and a cursor is a mark in
//! it. So after a crash the mirror is what stands before the cursor's mark, and what stands after it may or may not have
//! reached the consumer, who must be told if it has gone since.

use std::collections::BTreeSet;
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
    /// May have reached the consumer before a crash, and was not in the mirror.
    undecided: BTreeSet<Uuid>,
    /// The journal on disk names as undecided what is decided by now.
    is_stale: bool,
}

struct Journal {
    file: BufWriter<File>,
    lines: usize,
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
    /// What may have reached the consumer after that cursor.
    pub undecided: BTreeSet<Uuid>,
}

impl CursorFile {
    /// Reads the files, if they are there.
    pub fn open(path: &Path) -> io::Result<(CursorFile, Stored)> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let cursor = STANDARD.decode(&text).map_err(|_| not_a_cursor())?;
        let mut cursor_file = CursorFile {
            path: path.to_owned(),
            journal: None,
            undecided: BTreeSet::new(),
            is_stale: false,
        };
        let (mirror, undecided) = match read_journal(&cursor_file.journal_path(), &text)? {
            Some((mirror, undecided)) => (Some(mirror), undecided),
            // Who has no cursor has nothing.
            None => (cursor.is_empty().then(Mirror::default), BTreeSet::new()),
        };
        cursor_file.undecided.clone_from(&undecided);
        if let Some(mirror) = &mirror {
            // Without the line that a crash may have cut; the mark stays that of the cursor.
            cursor_file.start_journal(&text, mirror)?;
        }
        let stored = Stored {
            cursor,
            mirror,
            undecided,
        };
        Ok((cursor_file, stored))
    }

    /// Writes down what is about to reach the consumer. Without a journal (the mirror is unknown) there is nothing to keep.
    pub fn announce(&mut self, changes: &[Change]) -> io::Result<()> {
        match &mut self.journal {
            Some(journal) if !changes.is_empty() => journal.append(changes),
            _ => Ok(()),
        }
    }

    /// Nothing is undecided any more: the consumer was told.
    pub fn settle(&mut self) {
        self.is_stale |= !self.undecided.is_empty();
        self.undecided.clear();
    }

    /// Stores the cursor: all that was announced has reached the consumer. `mirror` is the mirror at the cursor; nothing where
    /// it is unknown.
    pub fn store(&mut self, cursor: &[u8], mirror: Option<&Mirror>) -> io::Result<()> {
        let cursor = STANDARD.encode(cursor);
        match (mirror, &mut self.journal) {
            (Some(_), Some(journal)) => journal.mark(&cursor)?,
            (Some(mirror), None) => self.start_journal(&cursor, mirror)?,
            (None, _) => self.journal = None,
        }
        // The journal has the marks of the old cursor and of the new one: a crash here or later finds that of either.
        replace(&self.path, |file| writeln!(file, "{cursor}"))?;
        match (mirror, &self.journal) {
            (Some(mirror), Some(journal)) if self.is_stale || journal.lines > 2 * mirror.len() + SLACK_LINES => {
                self.start_journal(&cursor, mirror)
            }
            _ => Ok(()),
        }
    }

    /// Writes the journal anew, with the mark of `cursor` alone.
    fn start_journal(&mut self, cursor: &str, mirror: &Mirror) -> io::Result<()> {
        let path = self.journal_path();
        let undecided = &self.undecided;
        replace(&path, |file| {
            writeln!(file, "{HEADER}")?;
            for (id, revision) in mirror.iter() {
                writeln!(file, "+{id} {revision}")?;
            }
            for id in undecided {
                writeln!(file, "?{id}")?;
            }
            writeln!(file, "={cursor}")
        })?;
        let file = OpenOptions::new().append(true).open(&path)?;
        self.journal = Some(Journal {
            file: BufWriter::new(file),
            lines: mirror.len() + undecided.len() + 2,
        });
        self.is_stale = false;
        Ok(())
    }

    fn journal_path(&self) -> PathBuf {
        beside(&self.path, ".mirror")
    }
}

impl Journal {
    fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        for change in changes {
            match change {
                Change::Put(id, revision) => writeln!(self.file, "+{id} {revision}")?,
                Change::Drop(id) => writeln!(self.file, "-{id}")?,
            }
        }
        self.lines += changes.len();
        self.sync()
    }

    fn mark(&mut self, cursor: &str) -> io::Result<()> {
        writeln!(self.file, "={cursor}")?;
        self.lines += 1;
        self.sync()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }
}

/// The mirror at the cursor's mark, and what is undecided: put after the mark, or said to be so. Nothing without the mark.
fn read_journal(path: &Path, cursor: &str) -> io::Result<Option<(Mirror, BTreeSet<Uuid>)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut mirror, mut at_mark) = (Mirror::default(), None);
    let mut undecided = BTreeSet::new();
    let mut after_mark = BTreeSet::new();
    let mut lines = BufReader::new(file).lines();
    if lines.next().transpose()?.is_none_or(|line| line != HEADER) {
        return Ok(None);
    }
    for line in lines {
        match Line::parse(&line?) {
            Some(Line::Change(Change::Put(id, revision))) => {
                mirror.put(id, revision);
                after_mark.insert(id);
            }
            Some(Line::Change(Change::Drop(id))) => mirror.drop(id),
            Some(Line::Undecided(id)) => drop(undecided.insert(id)),
            Some(Line::Mark(mark)) if mark == cursor => {
                at_mark = Some(mirror.clone());
                after_mark.clear();
            }
            Some(Line::Mark(_)) => {}
            // Cut off by a crash, before its line went out.
            None => break,
        }
    }
    undecided.extend(after_mark);
    Ok(at_mark.map(|mirror| (mirror, undecided)))
}

enum Line {
    Change(Change),
    Undecided(Uuid),
    Mark(String),
}

impl Line {
    fn parse(line: &str) -> Option<Line> {
        match line.split_at_checked(1)? {
            ("+", rest) => {
                let (id, revision) = rest.split_once(' ')?;
                Some(Line::Change(Change::Put(id.parse().ok()?, revision.parse().ok()?)))
            }
            ("-", id) => Some(Line::Change(Change::Drop(id.parse().ok()?))),
            ("?", id) => Some(Line::Undecided(id.parse().ok()?)),
            ("=", cursor) => Some(Line::Mark(cursor.to_owned())),
            _ => None,
        }
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
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn not_a_cursor() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "is no cursor file")
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

    /// One round: announced, out, stored.
    fn round(file: &mut CursorFile, cursor: &[u8], changes: &[Change], mirror: &Mirror) {
        file.announce(changes).unwrap();
        file.store(cursor, Some(mirror)).unwrap();
    }

    #[test]
    fn cursor_and_mirror_come_back_together() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cursor");
        let (mut file, begun) = CursorFile::open(&path).unwrap();
        assert!(begun.cursor.is_empty() && begun.mirror == Some(Mirror::default()));
        round(&mut file, b"one", &[Change::Put(id(1), 1)], &mirror(&[(1, 1)]));
        round(
            &mut file,
            b"two",
            &[Change::Put(id(2), 1), Change::Drop(id(1))],
            &mirror(&[(2, 1)]),
        );
        let stored = stored(&path);
        assert_eq!(
            (stored.cursor.as_slice(), stored.mirror),
            (b"two".as_slice(), Some(mirror(&[(2, 1)])))
        );
        assert!(stored.undecided.is_empty());
        let mut names: Vec<_> = fs::read_dir(home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["cursor", "cursor.mirror"], "no leftovers");
    }

    #[test]
    fn what_went_out_without_its_cursor_is_undecided_until_it_is_settled() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cursor");
        let (mut file, _) = CursorFile::open(&path).unwrap();
        round(&mut file, b"one", &[Change::Put(id(1), 1)], &mirror(&[(1, 1)]));
        file.announce(&[Change::Put(id(2), 1), Change::Drop(id(1))]).unwrap();
        drop(file);
        // Twice: reading must not forget it.
        for _ in 0..2 {
            let stored = stored(&path);
            assert_eq!(stored.mirror, Some(mirror(&[(1, 1)])));
            assert_eq!(stored.undecided, BTreeSet::from([id(2)]));
        }
        let (mut file, _) = CursorFile::open(&path).unwrap();
        file.settle();
        round(&mut file, b"two", &[], &mirror(&[(1, 1)]));
        assert!(stored(&path).undecided.is_empty());
    }

    #[test]
    fn a_crash_during_the_first_snapshot_leaves_what_went_out_undecided() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cursor");
        let (mut file, _) = CursorFile::open(&path).unwrap();
        file.announce(&[Change::Put(id(1), 1)]).unwrap();
        let stored = stored(&path);
        assert!(stored.cursor.is_empty() && stored.mirror == Some(Mirror::default()));
        assert_eq!(stored.undecided, BTreeSet::from([id(1)]));
    }

    #[test]
    fn a_crash_between_mark_and_cursor_goes_back_to_the_cursor() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cursor");
        let (mut file, _) = CursorFile::open(&path).unwrap();
        round(&mut file, b"one", &[Change::Put(id(1), 1)], &mirror(&[(1, 1)]));
        let before = fs::read(&path).unwrap();
        round(&mut file, b"two", &[Change::Put(id(2), 2)], &mirror(&[(1, 1), (2, 2)]));
        fs::write(&path, before).unwrap();
        let stored = stored(&path);
        assert_eq!(
            (stored.cursor.as_slice(), stored.mirror),
            (b"one".as_slice(), Some(mirror(&[(1, 1)])))
        );
        assert_eq!(stored.undecided, BTreeSet::from([id(2)]));
    }

    #[test]
    fn a_journal_that_was_cut_anywhere_gives_the_mirror_or_none_but_never_a_wrong_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("cursor");
        let (mut file, _) = CursorFile::open(&path).unwrap();
        round(&mut file, b"one", &[Change::Put(id(1), 1)], &mirror(&[(1, 1)]));
        round(&mut file, b"two", &[Change::Put(id(2), 7)], &mirror(&[(1, 1), (2, 7)]));
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
            round(&mut file, b"c", &changes, &mirror(&[(1, 3_999)]));
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
        file.store(b"one", None).unwrap();
        fs::remove_file(home.path().join("cursor.mirror")).unwrap();
        let stored = stored(&path);
        assert_eq!((stored.cursor.as_slice(), stored.mirror), (b"one".as_slice(), None));
    }
}
