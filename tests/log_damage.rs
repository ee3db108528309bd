//! Damage is found: any flipped bit and any cut of any file is an error, or is healed from a second copy and reported.
//! Nothing panics, and no entry is lost or altered without a word. `CLEARINGHOUSE_FLIPS` sets how many positions.
#![allow(missing_docs)]

mod support;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clearinghouse::domain::id::Seq;
use clearinghouse::log::{Head, Log, OpenError, ReadError, verify};
use support::{check_log, entry, fill, knob, small_epochs};

const EPOCH_ENTRIES: u64 = 200;

/// A log with two sealed epochs and a growing one, and a copy to set it back to.
struct Fixture {
    dir: PathBuf,
    pristine: PathBuf,
    head: Head,
    files: Vec<PathBuf>,
    /// Of each file: how many bytes it has, and how many up to the zeros at its end.
    lengths: Vec<(usize, usize)>,
    random: u64,
    _temporary: tempfile::TempDir,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Opening said what is wrong, and left every file as it was.
    Refused,
    /// Reading said what is wrong.
    RefusedAtReading,
    /// Everything is there, and opening reported that something was not as it should be.
    Healed,
    /// Everything is there, as if nothing had happened.
    Unnoticed,
}

impl Fixture {
    fn new(clean: bool) -> Fixture {
        // In memory where there is such a place: thousands of times, megabytes are copied and synced.
        let memory = Path::new("/dev/shm");
        let temporary = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        }
        .unwrap();
        let (dir, pristine) = (temporary.path().join("log"), temporary.path().join("pristine"));
        let mut log = Log::create(&dir, small_epochs(EPOCH_ENTRIES)).unwrap();
        fill(&mut log, 520, 9);
        let head = log.head();
        if clean {
            log.close().unwrap();
        } else {
            drop(log);
        }
        copy(&dir, &pristine);
        let mut files = Vec::new();
        list(&pristine, Path::new(""), &mut files);
        files.retain(|file| !file.ends_with("lock"));
        let lengths = files
            .iter()
            .map(|file| lengths(&fs::read(pristine.join(file)).unwrap()))
            .collect();
        Fixture {
            dir,
            pristine,
            head,
            files,
            lengths,
            random: 0x2545_F491_4F6C_DD1D,
            _temporary: temporary,
        }
    }

    fn next(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % below.max(1)
    }

    /// Put everything back that opening a log may change.
    fn restore(&self) {
        let growing = Path::new("epochs/00000000000000000414");
        fs::remove_dir_all(self.dir.join(growing)).unwrap();
        copy(&self.pristine.join(growing), &self.dir.join(growing));
        fs::copy(self.pristine.join("head"), self.dir.join("head")).unwrap();
    }

    fn outcome(&self) -> Outcome {
        let log = match Log::open(&self.dir, small_epochs(EPOCH_ENTRIES)) {
            Ok(log) => log,
            Err(OpenError::Damaged(_) | OpenError::Format { .. } | OpenError::Missing { .. }) => {
                return Outcome::Refused;
            }
            Err(error) => panic!("not an answer to damage: {error:?}"),
        };
        let reader = log.reader();
        assert_eq!(reader.head(), self.head, "the log opened, and is another one");
        let mut next = 0;
        let replayed = reader.replay(Seq(0), Seq(self.head.size), &mut |seq, bytes| {
            assert_eq!((seq, bytes), (Seq(next), &entry(next)));
            next += 1;
            ControlFlow::Continue(())
        });
        match replayed {
            Err(ReadError::Damaged(_)) => return Outcome::RefusedAtReading,
            Err(error) => panic!("not an answer to damage: {error:?}"),
            Ok(()) => assert_eq!(next, self.head.size, "a shorter log"),
        }
        let opening = log.opening();
        if opening.clean && opening.head_slots_unreadable == 0 {
            Outcome::Unnoticed
        } else {
            Outcome::Healed
        }
    }

    /// Damage one file, look, undo, and make sure that what was refused is whole again once the damage is undone.
    fn try_damage(&mut self, file: &Path, damage: impl Fn(&mut Vec<u8>)) -> Outcome {
        let path = self.dir.join(file);
        let before = fs::read(&path).unwrap();
        let mut after = before.clone();
        damage(&mut after);
        assert_ne!(before, after);
        fs::write(&path, &after).unwrap();
        let outcome = self.outcome();
        if matches!(outcome, Outcome::Refused | Outcome::RefusedAtReading) {
            assert_eq!(
                fs::read(&path).unwrap(),
                after,
                "{}: what refused changed the file",
                file.display()
            );
        }
        fs::write(&path, &before).unwrap();
        if outcome == Outcome::Refused {
            // No restoring here: that the next round finds a whole log shows that refusing changes nothing. Now and
            // then it is looked at directly.
            if self.next(16) > 0 {
                return outcome;
            }
            let after_undoing = self.outcome();
            assert!(
                matches!(after_undoing, Outcome::Unnoticed | Outcome::Healed),
                "{after_undoing:?}"
            );
        }
        self.restore();
        outcome
    }

    /// A position that is mostly in what was written, now and then in the zeros after it.
    fn position(&mut self, file: usize) -> usize {
        let (length, written) = self.lengths[file];
        if self.next(8) == 0 {
            self.next(length)
        } else {
            self.next(written)
        }
    }

    /// Flip bits and cut files at sampled positions, and return what was neither refused nor healed.
    fn sweep(&mut self, positions: usize) -> Vec<(PathBuf, String)> {
        let mut unnoticed = Vec::new();
        for round in 0..positions {
            let number = round % self.files.len();
            let file = self.files[number].clone();
            let at = self.position(number);
            let (outcome, what) = if round / self.files.len() % 3 == 2 {
                (
                    self.try_damage(&file, |content| content.truncate(at)),
                    format!("cut at {at}"),
                )
            } else {
                let bit = self.next(8);
                (
                    self.try_damage(&file, |content| content[at] ^= 1 << bit),
                    format!("byte {at} bit {bit}"),
                )
            };
            if outcome == Outcome::Unnoticed {
                unnoticed.push((file, what));
            }
        }
        unnoticed
    }
}

#[test]
fn any_damage_to_a_cleanly_closed_log_is_noticed() {
    let mut fixture = Fixture::new(true);
    let unnoticed = fixture.sweep(knob("CLEARINGHOUSE_FLIPS", 2_000) / 2);
    assert_eq!(unnoticed, vec![]);
}

#[test]
fn damage_to_a_log_that_was_not_closed_never_loses_an_entry_in_silence() {
    // Without a clean stop no digest of the growing file exists, so a bit that nothing stands on may change unnoticed.
    // `outcome` asserts that every entry is there and unaltered whenever the log opens.
    let mut fixture = Fixture::new(false);
    let positions = knob("CLEARINGHOUSE_FLIPS", 2_000) / 2;
    for growing in ["active/db", "journal"] {
        let growing = Path::new("epochs/00000000000000000414").join(growing);
        let at = fixture.files.iter().position(|file| *file == growing).unwrap();
        assert!(fixture.lengths[at].1 > 1_000, "{} holds entries", growing.display());
        for _ in 0..fixture.files.len() {
            fixture.files.push(growing.clone());
            fixture.lengths.push(fixture.lengths[at]);
        }
    }
    fixture.sweep(positions);
}

#[test]
fn a_lost_tail_is_refused_and_verify_names_where_it_starts() {
    for file in ["active/db", "journal"] {
        let fixture = Fixture::new(false);
        let path = fixture.dir.join("epochs/00000000000000000414").join(file);
        let mut content = fs::read(&path).unwrap();
        let written = content.iter().rposition(|byte| *byte != 0).unwrap();
        // What an earlier run left in the journal is longer than what counts now: all of that goes.
        let lost = if file == "journal" { written } else { 200 };
        content[written - lost..].fill(0);
        fs::write(&path, &content).unwrap();
        for _ in 0..2 {
            match Log::open(&fixture.dir, small_epochs(EPOCH_ENTRIES)) {
                Err(OpenError::Damaged(damage)) => {
                    assert!(damage.seq.is_some_and(|seq| (414..520).contains(&seq.0)), "{damage}");
                }
                other => panic!("{file}: {other:?}"),
            }
            assert_eq!(fs::read(&path).unwrap(), content, "the evidence was altered");
        }
        match verify(&fixture.dir) {
            Err(OpenError::Damaged(damage)) => assert!(damage.seq.is_some_and(|seq| (414..520).contains(&seq.0))),
            other => panic!("{file}: {other:?}"),
        }
    }
}

#[test]
fn verify_names_the_first_entry_that_a_flipped_bit_spoils() {
    let mut fixture = Fixture::new(true);
    let sealed = Path::new("epochs/00000000000000000207/sealed/db").to_path_buf();
    let content = fs::read(fixture.dir.join(&sealed)).unwrap();
    // The salts of a value are stored as they are, so that one finds the place of an entry.
    let log = Log::open(&fixture.dir, small_epochs(EPOCH_ENTRIES)).unwrap();
    let clearinghouse::log::Record::Whole { salt, .. } = log.reader().record(Seq(207)).unwrap() else {
        panic!("nothing was erased")
    };
    log.close().unwrap();
    let at = content.windows(32).position(|window| window == salt).unwrap();
    let mut flipped = content.clone();
    flipped[at] ^= 4;
    fs::write(fixture.dir.join(&sealed), &flipped).unwrap();
    match verify(&fixture.dir) {
        Err(OpenError::Damaged(damage)) => {
            assert_eq!((damage.seq, damage.epoch), (Some(Seq(207)), Some(Seq(207))), "{damage}");
            assert_eq!(damage.offset_bytes, Some(at as u64 / 65_536 * 65_536));
        }
        other => panic!("{other:?}"),
    }
    fs::write(fixture.dir.join(&sealed), &content).unwrap();
    fixture.random = 1;
    assert_eq!(check_log(&fixture.dir), fixture.head);
}

#[test]
fn a_missing_epoch_or_head_file_is_refused() {
    for (name, damaged_at) in [
        ("epochs/00000000000000000207", 207),
        ("epochs/00000000000000000414", 414),
    ] {
        let fixture = Fixture::new(true);
        fs::remove_dir_all(fixture.dir.join(name)).unwrap();
        match Log::open(&fixture.dir, small_epochs(EPOCH_ENTRIES)) {
            Err(OpenError::Damaged(damage)) => assert_eq!(damage.seq, Some(Seq(damaged_at)), "{damage}"),
            other => panic!("{other:?}"),
        }
        assert!(verify(&fixture.dir).is_err());
    }
    let fixture = Fixture::new(true);
    fs::remove_file(fixture.dir.join("head")).unwrap();
    assert!(matches!(
        Log::open(&fixture.dir, small_epochs(EPOCH_ENTRIES)),
        Err(OpenError::Damaged(_))
    ));
}

#[test]
fn an_older_copy_of_the_growing_epoch_is_refused() {
    let fixture = Fixture::new(true);
    let mut log = Log::open(&fixture.dir, small_epochs(EPOCH_ENTRIES)).unwrap();
    fill(&mut log, 30, 1);
    log.close().unwrap();
    let growing = "epochs/00000000000000000414";
    fs::remove_dir_all(fixture.dir.join(growing)).unwrap();
    copy(&fixture.pristine.join(growing), &fixture.dir.join(growing));
    assert!(matches!(
        Log::open(&fixture.dir, small_epochs(EPOCH_ENTRIES)),
        Err(OpenError::Damaged(_))
    ));
}

fn lengths(content: &[u8]) -> (usize, usize) {
    (
        content.len(),
        content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1),
    )
}

fn list(base: &Path, below: &Path, files: &mut Vec<PathBuf>) {
    for found in fs::read_dir(base.join(below)).unwrap() {
        let found = found.unwrap();
        let name = below.join(found.file_name());
        if found.path().is_dir() {
            list(base, &name, files);
        } else {
            files.push(name);
        }
    }
    files.sort();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for found in fs::read_dir(from).unwrap() {
        let found = found.unwrap();
        let target = to.join(found.file_name());
        if found.path().is_dir() {
            copy(&found.path(), &target);
        } else {
            fs::copy(found.path(), &target).unwrap();
        }
    }
}
