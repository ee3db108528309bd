//! Erased entries are gone from every file and every answer, while the log stays the one that it was: head, commitments and
//! proofs. A crash at any step of it leaves the log before it or after it, never one that does not open.
#![allow(missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearinghouse::domain::id::Seq;
use clearinghouse::log::merkle::{self, Hash};
use clearinghouse::log::{EraseError, Erasure, Head, Log, LogReader, OpenError, Record, verify};
use support::{entry, fill, small_epochs};

const PATIENCE: Duration = Duration::from_secs(60);
const EPOCH_ENTRIES: u64 = 300;
const ENTRIES: u64 = 1_000;
/// Of the first two epochs; the fourth still grows.
const SEALED: u64 = 600;

fn third(seq: &u64) -> bool {
    seq.is_multiple_of(3)
}

fn chosen(below: u64) -> BTreeSet<Seq> {
    (0..below).filter(third).map(Seq).collect()
}

/// Of every second entry that is erased something is left.
fn rest(seq: Seq) -> Bytes {
    match seq.0.is_multiple_of(2) {
        true => Bytes::from(format!("left of {seq}")),
        false => Bytes::new(),
    }
}

fn leave(seq: Seq, bytes: &Bytes) -> Option<Bytes> {
    assert_eq!(*bytes, entry(seq.0));
    Some(rest(seq))
}

fn new_log(dir: &Path) -> Log {
    let mut log = Log::create(dir, small_epochs(EPOCH_ENTRIES)).unwrap();
    fill(&mut log, ENTRIES, 50);
    log
}

fn commitments(reader: &LogReader) -> Vec<Hash> {
    let commitment = |seq| reader.record(Seq(seq)).unwrap().commitment();
    (0..reader.head().size).map(commitment).collect()
}

/// The log is the one it was, and of its entries exactly `erased` are gone.
fn check(reader: &LogReader, head: &Head, commitments: &[Hash], erased: &BTreeSet<Seq>) {
    assert_eq!(reader.head(), *head);
    let kept = (0..head.size).map(Seq).filter(|seq| !erased.contains(seq));
    let page = reader.read(Seq(0), usize::MAX, usize::MAX).unwrap();
    assert!(
        kept.map(|seq| (seq, entry(seq.0))).eq(page),
        "what was not erased is there, and nothing else"
    );
    let mut replayed = Vec::new();
    let replay = reader.replay(Seq(0), Seq(head.size), &mut |seq, bytes| {
        let due = match erased.contains(&seq) {
            true => rest(seq),
            false => entry(seq.0),
        };
        assert_eq!(*bytes, due, "{seq}");
        replayed.push(seq);
        ControlFlow::Continue(())
    });
    replay.unwrap();
    assert!(replayed.into_iter().eq((0..head.size).map(Seq)), "each is folded");
    for (seq, commitment) in (0..).map(Seq).zip(commitments) {
        let record = reader.record(seq).unwrap();
        match &record {
            Record::Erased { rest: left, .. } => assert!(erased.contains(&seq) && *left == rest(seq), "{seq}"),
            Record::Whole { .. } => assert!(!erased.contains(&seq), "{seq}"),
        }
        assert_eq!(record.commitment(), *commitment);
        let path = reader.inclusion_proof(seq, head.size).unwrap();
        let leaf = merkle::leaf_hash(commitment);
        assert!(merkle::verify_inclusion(&leaf, seq.0, head.size, &path, &head.root));
    }
}

fn salts(reader: &LogReader, seqs: impl Iterator<Item = u64>) -> Vec<[u8; 32]> {
    let salt = |seq| match reader.record(Seq(seq)).unwrap() {
        Record::Whole { salt, .. } => salt,
        Record::Erased { .. } => panic!("{seq} is erased"),
    };
    seqs.map(salt).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(dir).unwrap().map(|found| found.unwrap().path()) {
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// What an epoch's entries grew in is removed after all that read it were told that they are sealed.
fn wait_until_gone(path: &Path) {
    let until = Instant::now() + PATIENCE;
    while path.exists() {
        assert!(Instant::now() < until, "{} is still there", path.display());
        std::thread::yield_now();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

#[test]
fn erased_entries_are_gone_and_every_proof_still_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = new_log(dir.path());
    let (head, reader, before) = (log.head(), log.reader(), commitments(&log.reader()));
    let gone = salts(&reader, (0..SEALED).filter(third));
    let kept = salts(&reader, (0..SEALED).filter(|seq| !third(seq)));

    // Sealing goes on in the background; only a closed log is sure to have ended it.
    log.close().unwrap();
    log = Log::open(dir.path(), small_epochs(EPOCH_ENTRIES)).unwrap();
    let growing = (ENTRIES - 1) / EPOCH_ENTRIES * EPOCH_ENTRIES;
    let all = chosen(ENTRIES);
    let erasure = log.eraser().erase(&chosen(SEALED), &mut leave).unwrap();
    let expected = Erasure {
        entries_erased: SEALED.div_ceil(3),
        entries_growing: 0,
        bytes_returned: erasure.bytes_returned,
    };
    assert_eq!(erasure, expected);
    check(&log.reader(), &head, &before, &chosen(SEALED));
    let again = log.eraser().erase(&all, &mut leave).unwrap();
    assert_eq!(again.entries_growing, (growing..ENTRIES).filter(third).count() as u64);
    let erased = chosen(growing);
    check(&log.reader(), &head, &before, &erased);

    let stored: Vec<Vec<u8>> = files(dir.path()).iter().map(|file| fs::read(file).unwrap()).collect();
    let holds = |salt: &[u8; 32]| stored.iter().any(|content| memchr(content, salt));
    assert!(!gone.iter().any(holds), "a salt is in a file still");
    assert!(
        kept.iter().take(20).all(holds),
        "salts are not looked for where they stand"
    );

    fill(&mut log, 50, 10);
    assert_eq!(log.reader().record(Seq(ENTRIES)).unwrap().commitment().len(), 32);
    log.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().entries_erased, erased.len() as u64);
    drop(Log::open(dir.path(), small_epochs(EPOCH_ENTRIES)).unwrap());
}

fn memchr(content: &[u8], wanted: &[u8; 32]) -> bool {
    let mut from = 0;
    while let Some(at) = content[from..].iter().position(|byte| *byte == wanted[0]) {
        from += at;
        if content[from..].starts_with(wanted) {
            return true;
        }
        from += 1;
    }
    false
}

#[test]
fn a_crash_at_any_step_leaves_the_log_before_or_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let (before, after, at) = (
        dir.path().join("before"),
        dir.path().join("after"),
        dir.path().join("at"),
    );
    let log = new_log(&before);
    let (head, known) = (log.head(), commitments(&log.reader()));
    log.close().unwrap();
    copy(&before, &after);
    let log = Log::open(&after, small_epochs(EPOCH_ENTRIES)).unwrap();
    log.eraser().erase(&chosen(EPOCH_ENTRIES), &mut leave).unwrap();
    log.close().unwrap();

    let epoch = "epochs/00000000000000000000";
    let (old, new, now) = (before.join(epoch), after.join(epoch), at.join(epoch));
    let half_written = || {
        copy(&new.join("sealed"), &now.join("erased"));
        let db = now.join("erased/db");
        let content = fs::read(&db).unwrap();
        fs::write(&db, &content[..content.len() / 2]).unwrap();
    };
    let written = || copy(&new.join("sealed"), &now.join("erased"));
    let counts = || {
        written();
        fs::copy(new.join("manifest"), now.join("erased-manifest")).unwrap();
    };
    let half_removed = || {
        counts();
        fs::remove_file(now.join("sealed/db")).unwrap();
    };
    let removed = || {
        counts();
        fs::remove_dir_all(now.join("sealed")).unwrap();
    };
    let renamed = || {
        removed();
        fs::rename(now.join("erased"), now.join("sealed")).unwrap();
    };
    let steps: [(&str, &dyn Fn(), bool); 6] = [
        ("half written", &half_written, false),
        ("written", &written, false),
        ("its manifest stands", &counts, true),
        ("the old store half removed", &half_removed, true),
        ("the old store removed", &removed, true),
        ("the new store renamed", &renamed, true),
    ];
    for (step, make, counts) in steps {
        let _ = fs::remove_dir_all(&at);
        copy(&before, &at);
        make();
        let erased = if counts { chosen(EPOCH_ENTRIES) } else { BTreeSet::new() };
        let report = verify(&at).unwrap_or_else(|error| panic!("{step}: {error}"));
        assert_eq!(
            (report.head, report.entries_erased),
            (head, erased.len() as u64),
            "{step}"
        );
        let log = Log::open(&at, small_epochs(EPOCH_ENTRIES)).unwrap_or_else(|error| panic!("{step}: {error}"));
        check(&log.reader(), &head, &known, &erased);
        log.close().unwrap();
        assert!(
            !now.join("erased").exists() && !now.join("erased-manifest").exists(),
            "{step}"
        );
        assert_eq!(verify(&at).unwrap().entries_erased, erased.len() as u64, "{step}");
    }
    assert!(old.join("sealed").exists());
}

#[test]
fn a_damaged_erasure_is_refused_and_what_it_would_replace_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (path, store) = (dir.path().join("log"), "epochs/00000000000000000000");
    new_log(&path).close().unwrap();
    let epoch = path.join(store);
    copy(&epoch.join("sealed"), &epoch.join("erased"));
    let mut manifest = fs::read(epoch.join("manifest")).unwrap();
    manifest[100] ^= 1;
    fs::write(epoch.join("erased-manifest"), &manifest).unwrap();
    let sealed = fs::read(epoch.join("sealed/db")).unwrap();
    for _ in 0..2 {
        let opened = Log::open(&path, small_epochs(EPOCH_ENTRIES));
        assert!(matches!(opened, Err(OpenError::Damaged(_))), "{opened:?}");
    }
    assert!(verify(&path).is_err());
    assert_eq!(fs::read(epoch.join("sealed/db")).unwrap(), sealed);
}

#[test]
fn reading_goes_on_while_entries_are_erased() {
    let dir = tempfile::tempdir().unwrap();
    new_log(dir.path()).close().unwrap();
    let log = Log::open(dir.path(), small_epochs(EPOCH_ENTRIES)).unwrap();
    let (reader, eraser) = (log.reader(), log.eraser());
    let erasing = std::thread::spawn(move || {
        for step in 1..=6 {
            eraser.erase(&chosen(step * 100), &mut leave).unwrap();
        }
    });
    while !erasing.is_finished() {
        for (seq, bytes) in reader.read(Seq(0), 700, usize::MAX).unwrap() {
            assert_eq!(bytes, entry(seq.0));
        }
    }
    erasing.join().unwrap();
    let left = reader.read(Seq(0), 400, usize::MAX).unwrap();
    assert!(left.iter().all(|(seq, _)| seq.0 >= SEALED || !third(&seq.0)));
}

#[test]
fn an_entry_that_must_stay_keeps_its_whole_epoch_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    new_log(dir.path()).close().unwrap();
    let log = Log::open(dir.path(), small_epochs(EPOCH_ENTRIES)).unwrap();
    let refused = log.eraser().erase(&chosen(EPOCH_ENTRIES), &mut |seq, bytes| {
        leave(seq, bytes).filter(|_| seq != Seq(150))
    });
    assert!(
        matches!(refused, Err(EraseError::Kept { seq: Seq(150) })),
        "{refused:?}"
    );
    let page = log.reader().read(Seq(0), 300, usize::MAX).unwrap();
    assert!(page.into_iter().eq((0..300).map(|seq| (Seq(seq), entry(seq)))));
    log.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().entries_erased, 0);
}

#[test]
fn an_epoch_that_is_ended_early_can_be_erased_from() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), small_epochs(EPOCH_ENTRIES)).unwrap();
    log.end_epoch();
    assert!(log.eraser().sealed().unwrap().is_empty(), "there is nothing to seal");
    fill(&mut log, 100, 50);
    let (head, before) = (log.head(), commitments(&log.reader()));
    assert_eq!(
        log.eraser().erase(&chosen(100), &mut leave).unwrap().entries_growing,
        34
    );
    log.end_epoch();
    assert!(log.eraser().wait_until_sealed(PATIENCE));
    assert_eq!(log.eraser().sealed().unwrap(), [Seq(0)..Seq(100)]);
    assert_eq!(log.eraser().erase(&chosen(100), &mut leave).unwrap().entries_erased, 34);
    check(&log.reader(), &head, &before, &chosen(100));
    log.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().entries_erased, 34);
}

#[test]
fn space_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), small_epochs(EPOCH_ENTRIES)).unwrap();
    // What cannot be packed, in more than one segment of the store.
    let mut state = 1u64;
    for _ in 0..EPOCH_ENTRIES {
        let mut noise = Vec::with_capacity(100_000);
        while noise.len() < 100_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            noise.extend_from_slice(&(state >> 16).to_le_bytes()[..6]);
        }
        log.append(&[noise.into()]).unwrap();
    }
    assert!(log.eraser().wait_until_sealed(PATIENCE));
    let size = |dir: &Path| -> u64 { files(dir).iter().map(|file| fs::metadata(file).unwrap().len()).sum() };
    let sealed = dir.path().join("epochs/00000000000000000000");
    wait_until_gone(&sealed.join("active"));
    let before = size(&sealed);
    let all = (0..EPOCH_ENTRIES).map(Seq).collect();
    let erasure = log.eraser().erase(&all, &mut |_, _| Some(Bytes::new())).unwrap();
    let after = size(&sealed);
    assert!(before > 30 << 20, "{before} bytes were there");
    assert!(after <= before / 2, "{before} bytes became {after}");
    assert!(before - after >= erasure.bytes_returned && erasure.bytes_returned > 0);
    log.close().unwrap();
}

#[test]
fn a_closed_log_erases_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = new_log(dir.path());
    let eraser = log.eraser();
    log.close().unwrap();
    assert!(matches!(eraser.erase(&chosen(10), &mut leave), Err(EraseError::Closed)));
    assert_eq!(verify(dir.path()).unwrap().entries_erased, 0);
}
