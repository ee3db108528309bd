//! The snapshot beside a log: what is read is what was written, for the log that it was made from; whatever is cut, flipped, of
//! another log or of another program is refused, and a crash while one is written leaves the one before.
#![allow(missing_docs)]

mod support;

use std::fs;
use std::path::PathBuf;

use clearinghouse::domain::id::Seq;
use clearinghouse::log::{Durability, Head, Log, Refusal, Snapshot, SnapshotWriter};
use support::{check_log, fill, options, small_epochs};

const VERSION: u64 = 7;

/// A log with a snapshot beside it.
struct Scene {
    dir: tempfile::TempDir,
    log: Log,
}

impl Scene {
    fn new(entries: u64) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::create(&dir.path().join("log"), small_epochs(300)).unwrap();
        fill(&mut log, entries, 50);
        Scene { dir, log }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("views/snapshot")
    }

    /// Writes the sections of a snapshot, all but its end.
    fn begin(&self, word: &str) -> SnapshotWriter {
        let mut writer = SnapshotWriter::create(&self.path(), Durability::Full).unwrap();
        sections(word)
            .iter()
            .for_each(|section| writer.section(section).unwrap());
        writer
    }

    fn write(&self, word: &str) -> Head {
        let head = self.log.head();
        self.begin(word).finish(VERSION, head.size, &head.root).unwrap();
        head
    }

    /// All sections, if the snapshot is taken.
    fn read(&self) -> Result<Option<Taken>, Refusal> {
        read(&self.path(), &self.log)
    }
}

/// Where a snapshot ends in the log, and its sections.
type Taken = (Seq, Vec<Vec<u8>>);

fn read(path: &std::path::Path, log: &Log) -> Result<Option<Taken>, Refusal> {
    let Some(snapshot) = Snapshot::open(path, VERSION, &log.reader())? else {
        return Ok(None);
    };
    let mut buffer = Vec::new();
    let read = (0..snapshot.len()).map(|section| Ok(snapshot.read(section, &mut buffer)?.to_vec()));
    Ok(Some((snapshot.next(), read.collect::<Result<_, Refusal>>()?)))
}

/// Sections of several lengths, also of none.
fn sections(word: &str) -> Vec<Vec<u8>> {
    [3, 0, 100, 1]
        .iter()
        .map(|times| word.repeat(*times).into_bytes())
        .collect()
}

#[test]
fn what_was_written_is_read_for_the_same_log_and_while_it_grows() {
    let mut scene = Scene::new(1_000);
    assert!(scene.read().unwrap().is_none(), "there is none yet");
    let head = scene.write("views");
    assert_eq!(scene.read().unwrap(), Some((Seq(head.size), sections("views"))));
    // Into the same epoch, and past the next one's start.
    for more in [1, 20, 700] {
        fill(&mut scene.log, more, 50);
        assert_eq!(scene.read().unwrap(), Some((Seq(1_000), sections("views"))));
    }
    let snapshot = Snapshot::open(&scene.path(), VERSION, &scene.log.reader())
        .unwrap()
        .unwrap();
    assert!(matches!(snapshot.read(4, &mut Vec::new()), Err(Refusal::Damaged(_))));
    let dir = scene.dir.path().join("log");
    scene.log.close().unwrap();
    check_log(&dir);
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let scene = Scene::new(10);
    scene.write("views");
    let whole = fs::read(scene.path()).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(scene.path(), &flipped).unwrap();
        assert!(scene.read().is_err(), "a bit of byte {at}");
    }
    for length in 0..whole.len() {
        fs::write(scene.path(), &whole[..length]).unwrap();
        assert!(scene.read().is_err(), "cut to {length}");
    }
    fs::write(scene.path(), [&whole[..], &[0]].concat()).unwrap();
    assert!(scene.read().is_err(), "a byte too many");
    fs::write(scene.path(), &whole).unwrap();
    assert!(scene.read().unwrap().is_some());
}

#[test]
fn the_snapshot_of_another_log_is_refused_however_alike_they_are() {
    let scene = Scene::new(1_000);
    scene.write("views");
    // The same entries, with other salts.
    for entries in [1_000, 1_300] {
        let other = Scene::new(entries);
        let taken = read(&scene.path(), &other.log);
        assert!(matches!(taken, Err(Refusal::Foreign)), "{taken:?}");
    }
}

#[test]
fn a_log_taken_back_from_a_backup_refuses_what_was_made_after_it() {
    let mut scene = Scene::new(500);
    let log_dir = scene.dir.path().join("log");
    scene.log.close().unwrap();
    let backup = scene.dir.path().join("backup");
    copy(&log_dir, &backup);
    scene.log = Log::open(&log_dir, options()).unwrap();
    fill(&mut scene.log, 10, 10);
    scene.write("views");
    let mut restored = Log::open(&backup, options()).unwrap();
    let taken = read(&scene.path(), &restored);
    assert!(
        matches!(
            taken,
            Err(Refusal::Ahead {
                made_at: 510,
                size: 500
            })
        ),
        "{taken:?}"
    );
    // As many entries, and other ones.
    fill(&mut restored, 10, 10);
    assert!(matches!(read(&scene.path(), &restored), Err(Refusal::Foreign)));
}

#[test]
fn another_version_of_the_program_does_not_take_it() {
    let scene = Scene::new(10);
    scene.write("views");
    let taken = Snapshot::open(&scene.path(), VERSION + 1, &scene.log.reader());
    assert!(matches!(taken, Err(Refusal::Version)), "{taken:?}");
}

#[test]
fn a_crash_while_one_is_written_leaves_the_one_before() {
    let mut scene = Scene::new(10);
    // A crash runs nothing.
    std::mem::forget(scene.begin("first"));
    assert!(scene.read().unwrap().is_none());
    scene.write("first");
    fill(&mut scene.log, 10, 10);
    std::mem::forget(scene.begin("second"));
    assert_eq!(scene.read().unwrap(), Some((Seq(10), sections("first"))));
    scene.write("third");
    assert_eq!(scene.read().unwrap(), Some((Seq(20), sections("third"))));
    drop(scene.begin("fourth"));
    assert!(
        !scene.path().with_extension("partial").exists(),
        "what failed takes no room"
    );
    Snapshot::remove(&scene.path()).unwrap();
    assert!(scene.read().unwrap().is_none());
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}
