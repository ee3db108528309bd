//! What the log promises while nothing fails: what was appended is read back, across restarts and epochs, and limits
//! hold at the limit and not past it.
#![allow(missing_docs)]

mod support;

use bytes::Bytes;
use clearinghouse::domain::id::Seq;
use clearinghouse::log::{
    APPEND_BYTES_MAX, AppendError, CreateError, ENTRY_BYTES_MAX, Head, Log, OpenError, Options, ReadError, verify,
};
use support::{check_log, check_reader, entries, entry, fill, options, small_epochs};

#[test]
fn appended_entries_are_read_back_at_once_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), options()).unwrap();
    assert_eq!(log.head(), Head::empty());
    fill(&mut log, 1_000, 7);
    check_reader(&log.reader());
    let head = log.head();
    log.close().unwrap();

    let mut log = Log::open(dir.path(), options()).unwrap();
    assert!(log.opening().clean);
    assert_eq!(log.head(), head);
    check_reader(&log.reader());
    fill(&mut log, 500, 100);
    log.close().unwrap();
    assert_eq!(check_log(dir.path()).size, 1_500);
}

#[test]
fn a_log_that_was_dropped_without_closing_has_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), options()).unwrap();
    fill(&mut log, 300, 7);
    let head = log.head();
    drop(log);
    let log = Log::open(dir.path(), options()).unwrap();
    assert!(!log.opening().clean);
    assert_eq!(
        (
            log.head(),
            log.opening().entries_taken_over,
            log.opening().values_dropped
        ),
        (head, 0, 0)
    );
    drop(log);
    assert_eq!(check_log(dir.path()), head);
}

#[test]
fn small_appends_wait_in_the_journal_and_take_no_more_disk_than_they_have() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), Options::default()).unwrap();
    let epoch = dir.path().join("epochs/00000000000000000000");
    let stored = || std::fs::metadata(epoch.join("active/db")).unwrap().len();
    let small = |seq: u64| entry(seq).slice(..390);
    let before = stored();
    for seq in 0..5_000 {
        log.append(&[small(seq)]).unwrap();
    }
    let taken = stored() - before;
    assert!(
        taken < 5_000 * (390 + 36),
        "the store took {taken} bytes of 5,000 small appends"
    );
    let reader = log.reader();
    let page = reader.read(Seq(0), 5_000, usize::MAX).unwrap();
    assert!((0..5_000).map(|seq| (Seq(seq), small(seq))).eq(page));
    for (from, to) in [(0, 5_000), (4_000, 5_000), (4_990, 4_995), (4_999, 5_000)] {
        let mut next = from;
        let visit = &mut |seq, bytes: &bytes::Bytes| {
            assert_eq!((seq, bytes), (Seq(next), &small(next)));
            next += 1;
            std::ops::ControlFlow::Continue(())
        };
        reader.replay(Seq(from), Seq(to), visit).unwrap();
        assert_eq!(next, to, "from {from}");
    }
    let head = log.head();
    drop(log);
    let log = Log::open(dir.path(), Options::default()).unwrap();
    assert_eq!((log.head(), log.opening().entries_taken_over), (head, 0));
    assert_eq!(log.reader().read(Seq(4_999), 5, usize::MAX).unwrap().len(), 1);
    assert!(epoch.join("journal").exists());
    log.close().unwrap();
    assert!(
        !epoch.join("journal").exists(),
        "a clean stop leaves nothing in the journal"
    );
    assert_eq!(verify(dir.path()).unwrap().head, head);
}

#[test]
fn epochs_roll_over_and_reading_crosses_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), small_epochs(300)).unwrap();
    fill(&mut log, 1_400, 33);
    check_reader(&log.reader());
    let head = log.head();
    log.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().epochs, 5);

    let mut log = Log::open(dir.path(), small_epochs(300)).unwrap();
    assert_eq!(log.head(), head);
    let page = log.reader().read(Seq(250), 1_000, usize::MAX).unwrap();
    assert_eq!(page, (250..1_250).map(|seq| (Seq(seq), entry(seq))).collect::<Vec<_>>());
    fill(&mut log, 700, 33);
    drop(log);
    assert_eq!(check_log(dir.path()).size, 2_100);
}

#[test]
fn an_epoch_full_at_exactly_its_limit_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), small_epochs(10)).unwrap();
    fill(&mut log, 9, 9);
    log.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().epochs, 1);
    let mut log = Log::open(dir.path(), small_epochs(10)).unwrap();
    fill(&mut log, 1, 1);
    log.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().epochs, 2);
    check_log(dir.path());
}

#[test]
fn the_next_epoch_is_made_ready_before_it_is_needed_and_counts_for_nothing_until_then() {
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("epochs/next.partial");
    let is_ready = || ready.join("journal").exists();
    let mut log = Log::create(dir.path(), small_epochs(80)).unwrap();
    fill(&mut log, 69, 1);
    assert!(!ready.exists());
    fill(&mut log, 1, 1);
    while !is_ready() {
        std::thread::yield_now();
    }
    log.close().unwrap();
    assert!(!ready.exists(), "a stop leaves none");

    let mut log = Log::open(dir.path(), small_epochs(80)).unwrap();
    fill(&mut log, 1, 1);
    while !is_ready() {
        std::thread::yield_now();
    }
    // The beginning takes what is ready: it is waited for, and has the number of the entry after the last.
    fill(&mut log, 9, 1);
    assert!(!ready.exists() && dir.path().join("epochs/00000000000000000080/active/db").exists());
    fill(&mut log, 75, 1);
    drop(log);
    // As a crash leaves it.
    std::fs::create_dir(&ready).unwrap();
    std::fs::write(ready.join("journal"), "half").unwrap();
    let mut log = Log::open(dir.path(), small_epochs(80)).unwrap();
    assert!(!ready.exists());
    fill(&mut log, 100, 7);
    log.close().unwrap();
    assert_eq!(check_log(dir.path()).size, 255);
    assert_eq!(verify(dir.path()).unwrap().epochs, 4);
}

#[test]
fn an_entry_of_the_largest_size_fits_and_one_byte_more_fails_the_request_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), options()).unwrap();
    let noise: Vec<u8> = (0..ENTRY_BYTES_MAX + 1).map(|at| ((at * at) >> 7) as u8).collect();
    let largest = Bytes::copy_from_slice(&noise[..ENTRY_BYTES_MAX]);
    assert_eq!(
        log.append(&[largest.clone(), largest.clone(), largest.clone()])
            .unwrap(),
        Seq(0)..Seq(3)
    );
    let error = log.append(&[entry(3), Bytes::from(noise)]).unwrap_err();
    assert!(
        matches!(
            error,
            AppendError::TooLarge {
                index: 1,
                max: ENTRY_BYTES_MAX
            }
        ),
        "{error}"
    );
    assert_eq!(log.append(std::slice::from_ref(&largest)).unwrap(), Seq(3)..Seq(4));
    drop(log);
    let log = Log::open(dir.path(), options()).unwrap();
    let page = log.reader().read(Seq(0), 10, usize::MAX).unwrap();
    assert_eq!(page.len(), 4);
    assert!(page.iter().all(|(_, bytes)| *bytes == largest));
    drop(log);
    verify(dir.path()).unwrap();
}

#[test]
fn an_append_past_the_limit_of_all_entries_fails_the_request_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), options()).unwrap();
    let large = Bytes::from(vec![5; ENTRY_BYTES_MAX]);
    let too_many = vec![large.clone(); APPEND_BYTES_MAX / ENTRY_BYTES_MAX];
    let error = log.append(&too_many).unwrap_err();
    assert!(
        matches!(
            error,
            AppendError::TooLarge {
                max: APPEND_BYTES_MAX,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        log.append(&too_many[1..]).unwrap(),
        Seq(0)..Seq(too_many.len() as u64 - 1)
    );
    log.close().unwrap();
    assert_eq!(verify(dir.path()).unwrap().head.size, too_many.len() as u64 - 1);
}

#[test]
fn large_appends_never_reach_blob_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), options()).unwrap();
    let mut state = 1u64;
    let mut noise = |length: usize| {
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        Bytes::from(std::iter::repeat_with(next).take(length).collect::<Vec<u8>>())
    };
    for _ in 0..40 {
        let append: Vec<Bytes> = (0..8).map(|_| noise(90_000)).collect();
        log.append(&append).unwrap();
    }
    log.close().unwrap();
    let blobs = dir.path().join("epochs/00000000000000000000/active/blobs");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0);
    assert_eq!(verify(dir.path()).unwrap().head.size, 320);
}

#[test]
fn an_empty_append_and_an_empty_entry_are_fine() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), options()).unwrap();
    assert_eq!(log.append(&[]).unwrap(), Seq(0)..Seq(0));
    assert_eq!(log.append(&[Bytes::new()]).unwrap(), Seq(0)..Seq(1));
    assert_eq!(log.reader().read(Seq(0), 10, 10).unwrap(), vec![(Seq(0), Bytes::new())]);
    assert_eq!(log.append(&[]).unwrap(), Seq(1)..Seq(1));
}

#[test]
fn pages_keep_both_limits_and_still_move_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), options()).unwrap();
    fill(&mut log, 100, 10);
    let reader = log.reader();
    assert_eq!(reader.read(Seq(5), 17, usize::MAX).unwrap().len(), 17);
    let one = entry(0).len();
    assert_eq!(reader.read(Seq(5), 100, 3 * one).unwrap().len(), 3);
    assert_eq!(reader.read(Seq(5), 100, 3 * one - 1).unwrap().len(), 2);
    assert_eq!(reader.read(Seq(5), 100, 0).unwrap().len(), 1);
    assert_eq!(reader.read(Seq(100), 100, usize::MAX).unwrap(), vec![]);
    assert_eq!(reader.read(Seq(1_000), 100, usize::MAX).unwrap(), vec![]);
}

#[test]
fn what_lies_beyond_the_head_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), options()).unwrap();
    fill(&mut log, 10, 10);
    let reader = log.reader();
    let beyond = |result: Result<(), ReadError>| assert!(matches!(result, Err(ReadError::BeyondHead { .. })));
    beyond(reader.record(Seq(10)).map(drop));
    beyond(reader.record(Seq(u64::MAX)).map(drop));
    beyond(reader.inclusion_proof(Seq(3), 11).map(drop));
    beyond(reader.inclusion_proof(Seq(3), 3).map(drop));
    beyond(reader.consistency_proof(3, 11).map(drop));
    beyond(reader.consistency_proof(4, 3).map(drop));
    beyond(reader.root_at(11).map(drop));
    assert!(reader.record(Seq(9)).is_ok());
    assert!(reader.inclusion_proof(Seq(3), 4).is_ok());
}

#[test]
fn a_reader_outlives_the_log_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), options()).unwrap();
    fill(&mut log, 10, 10);
    let reader = log.reader();
    log.close().unwrap();
    assert!(matches!(
        reader.replay(Seq(0), Seq(10), &mut |_, _| unreachable!()),
        Err(ReadError::Closed)
    ));
    let log = Log::open(dir.path(), options()).unwrap();
    check_reader(&log.reader());
}

#[test]
fn equal_entries_have_different_commitments() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), options()).unwrap();
    log.append(&[entry(0), entry(0)]).unwrap();
    let reader = log.reader();
    assert_ne!(
        reader.record(Seq(0)).unwrap().commitment(),
        reader.record(Seq(1)).unwrap().commitment()
    );
}

#[test]
fn create_refuses_what_is_there_and_open_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    assert!(matches!(Log::open(&path, options()), Err(OpenError::Missing { .. })));
    Log::create(&path, options()).unwrap().close().unwrap();
    assert!(matches!(Log::create(&path, options()), Err(CreateError::Exists { .. })));
    std::fs::write(path.join("FORMAT"), "clearinghouse log 2\n").unwrap();
    assert!(matches!(Log::open(&path, options()), Err(OpenError::Format { .. })));
}

#[test]
fn a_second_opening_is_refused_and_names_the_holder() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::create(dir.path(), options()).unwrap();
    let holder = format!("process {}", std::process::id());
    match Log::open(dir.path(), options()) {
        Err(OpenError::Locked { holder: named, .. }) => assert_eq!(named, holder),
        other => panic!("{other:?}"),
    }
    assert!(matches!(verify(dir.path()), Err(OpenError::Locked { .. })));
    log.close().unwrap();
    Log::open(dir.path(), options()).unwrap();
}

#[test]
fn readers_follow_the_writer_from_other_threads() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path(), small_epochs(500)).unwrap();
    let reader = log.reader();
    let follower = std::thread::spawn(move || {
        let mut at = 0;
        while at < 3_000 {
            for (seq, bytes) in reader.read(Seq(at), 50, usize::MAX).unwrap() {
                assert_eq!((seq, bytes), (Seq(at), entry(at)));
                at += 1;
            }
            std::thread::yield_now();
        }
    });
    let mut from = 0;
    while from < 3_000 {
        log.append(&entries(from, 10)).unwrap();
        from += 10;
    }
    follower.join().unwrap();
    drop(log);
    check_log(dir.path());
}
