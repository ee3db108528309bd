//! The store of bodies: what is read is what was pushed, whatever became of its file; a file that is short, damaged or another
//! log's is found out and made anew, and a disk that takes no writes loses nothing.
#![allow(missing_docs)]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clearinghouse::log::bodies::{BACKLOG_BYTES_MAX, Bodies, BodiesOptions, BodyError, BodyNumber};

/// Nothing stays in memory but what the cache must hold to be one.
const LITTLE_MEMORY: BodiesOptions = BodiesOptions { cache_bytes: 4_096 };

const PATIENCE: Duration = Duration::from_secs(30);

/// Where the blocks begin.
const HEAD_BYTES: u64 = 4_096;

/// Bodies in a block.
const BLOCK_BODIES: u32 = 8;

struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        Scene { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("views").join("bodies")
    }

    /// A store into which the bodies of `log` were pushed and written.
    fn fold(&self, log: &str, count: u32) -> Bodies {
        let mut bodies = Bodies::open(&self.path(), LITTLE_MEMORY);
        push(&mut bodies, log, 0..count);
        assert!(bodies.wait_until_written(PATIENCE));
        bodies
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }
}

/// The body that `log` has at `number`: no two are alike, and lengths vary.
fn body(log: &str, number: u32) -> Bytes {
    let tail = number.wrapping_mul(0x9e37_79b9).to_string();
    Bytes::from(format!("{log} {number} {}", tail.repeat(number as usize % 50)))
}

fn push(bodies: &mut Bodies, log: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(bodies.push(body(log, number)), BodyNumber(number));
    }
}

fn check(bodies: &Bodies, log: &str, numbers: impl IntoIterator<Item = u32>) {
    let numbers: Vec<BodyNumber> = numbers.into_iter().map(BodyNumber).collect();
    let read = bodies.reader().fetch(&numbers).unwrap();
    assert_eq!(read.len(), numbers.len());
    for (number, read) in numbers.iter().zip(read) {
        assert_eq!(read, body(log, number.0), "{number:?}");
    }
}

fn truncate(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn flip(path: &Path, at: u64, bit: u32) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
}

#[test]
fn what_was_pushed_is_read_from_memory_and_from_disk() {
    let scene = Scene::new();
    let mut bodies = scene.fold("a", 1_000);
    push(&mut bodies, "a", 1_000..1_007);
    check(&bodies, "a", 0..1_007);
    check(&bodies, "a", (0..1_007).rev());
    check(&bodies, "a", (0..1_007).map(|number| number * 619 % 1_007));
    check(&bodies, "a", [5, 5, 1_006, 5, 990]);
    check(&bodies, "a", []);
    assert!(scene.bytes().len() > 1_000);
}

#[test]
fn only_what_is_in_memory_is_answered_without_the_disk() {
    let scene = Scene::new();
    let mut bodies = scene.fold("a", 1_000);
    let number = bodies.push(body("a", 1_000));
    let cached = bodies.reader().cached(&[BodyNumber(0), number]);
    assert_eq!(cached, [None, Some(body("a", 1_000))]);
    check(&bodies, "a", [0]);
    assert_eq!(bodies.reader().cached(&[BodyNumber(0)]), [Some(body("a", 0))]);
}

#[test]
fn of_what_is_read_alone_what_was_asked_for_is_kept_unless_one_passes_by() {
    let scene = Scene::new();
    let bodies = scene.fold("a", 1_000);
    let reader = bodies.reader();
    let is_kept = |number: u32| reader.cached(&[BodyNumber(number)]) == [Some(body("a", number))];
    check(&bodies, "a", [80, 83]);
    assert_eq!([80, 81, 82, 83].map(is_kept), [true, false, false, true]);
    check(&bodies, "a", [81]);
    assert_eq!([80, 81, 82, 83].map(is_kept), [true, true, false, true]);
    // Blocks side by side, of which who walks through many comes by once.
    check(&bodies, "a", [400, 408]);
    assert_eq!([400, 408].map(is_kept), [false, false]);
    let read = reader.passing_by().fetch(&[BodyNumber(640)]).unwrap();
    assert_eq!((read, is_kept(640)), (vec![body("a", 640)], false));
}

#[test]
fn what_is_at_hand_is_what_was_pushed_and_what_is_not_is_read_by_who_waits() {
    let scene = Scene::new();
    let bodies = scene.fold("a", 100_000);
    let reader = bodies.reader().passing_by();
    let few: Vec<BodyNumber> = (0..100).map(|number| BodyNumber(number * 900)).collect();
    let expected: Vec<Bytes> = few.iter().map(|number| body("a", number.0)).collect();
    // Just written, so the system has it in memory; unless the file system does not tell.
    let told = reader.at_hand(&few).unwrap();
    assert!(told.is_none_or(|read| read == expected));
    let file = File::open(scene.path()).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let told = reader.at_hand(&few).unwrap();
    assert!(told.is_none_or(|read| read == expected));
    assert_eq!(reader.fetch(&few).unwrap(), expected);
    let all: Vec<BodyNumber> = (0..100_000).map(BodyNumber).collect();
    assert_eq!(reader.at_hand(&all).unwrap(), None, "it is too much to be read at once");
    assert!(matches!(
        reader.at_hand(&[BodyNumber(100_000)]),
        Err(BodyError::Unknown(BodyNumber(100_000)))
    ));
}

#[test]
fn a_number_that_was_never_pushed_has_no_body() {
    let scene = Scene::new();
    let bodies = scene.fold("a", 40);
    check(&bodies, "a", [39]);
    for number in [40, 47, 48, 1_000, u32::MAX] {
        let asked = bodies.reader().fetch(&[BodyNumber(0), BodyNumber(number)]);
        assert!(matches!(asked, Err(BodyError::Unknown(BodyNumber(unknown))) if unknown == number));
    }
}

#[test]
fn a_store_that_keeps_nothing_counts_and_has_nothing() {
    let mut bodies = Bodies::discarding();
    push(&mut bodies, "a", 0..100);
    assert_eq!(bodies.len(), 100);
    let asked = bodies.reader().fetch(&[BodyNumber(3)]);
    assert!(matches!(asked, Err(BodyError::Unknown(BodyNumber(3)))));
}

#[test]
fn a_fold_keeps_the_file_that_it_finds() {
    let scene = Scene::new();
    drop(scene.fold("a", 2_000));
    let (before, changed) = (scene.bytes(), fs::metadata(scene.path()).unwrap().modified().unwrap());
    let mut bodies = scene.fold("a", 2_000);
    assert_eq!(
        fs::metadata(scene.path()).unwrap().modified().unwrap(),
        changed,
        "not written"
    );
    check(&bodies, "a", 0..2_000);
    push(&mut bodies, "a", 2_000..2_100);
    assert!(bodies.wait_until_written(PATIENCE));
    check(&bodies, "a", 0..2_100);
    assert_eq!(scene.bytes()[..before.len()], before);
}

#[test]
fn a_file_cut_anywhere_is_completed() {
    let scene = Scene::new();
    drop(scene.fold("a", 200));
    let whole = scene.bytes();
    for length in (0..whole.len()).step_by(41) {
        truncate(&scene.path(), length as u64);
        let bodies = scene.fold("a", 200);
        check(&bodies, "a", 0..200);
        drop(bodies);
        assert_eq!(scene.bytes(), whole, "cut to {length}");
    }
}

#[test]
fn a_bit_flipped_anywhere_is_set_right() {
    let scene = Scene::new();
    drop(scene.fold("a", 200));
    let whole = scene.bytes();
    let head = 0..12;
    for at in head.chain((HEAD_BYTES as usize..whole.len()).step_by(7)) {
        flip(&scene.path(), at as u64, at as u32 % 8);
        let bodies = scene.fold("a", 200);
        check(&bodies, "a", 0..200);
        drop(bodies);
        assert_eq!(scene.bytes(), whole, "a bit of byte {at}");
    }
}

#[test]
fn the_file_of_another_log_is_not_believed() {
    let scene = Scene::new();
    drop(scene.fold("b", 500));
    let bodies = scene.fold("a", 300);
    check(&bodies, "a", 0..300);
    let foreign = bodies.reader().fetch(&[BodyNumber(400)]);
    assert!(matches!(foreign, Err(BodyError::Unknown(_))));
    drop(bodies);
    drop(scene.fold("a", 500));
    let after = scene.bytes();
    let fresh = Scene::new();
    drop(fresh.fold("a", 500));
    assert_eq!(after, fresh.bytes());
}

#[test]
fn the_file_of_an_earlier_version_is_made_anew() {
    let fresh = Scene::new();
    drop(fresh.fold("a", 500));
    let scene = Scene::new();
    let block = include_str!("../src/log/golden/body-block-1.hex");
    let digits: Vec<u8> = block.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let mut first = b"CHbody\0\x01\x10\0\0\0".to_vec();
    first.resize(HEAD_BYTES as usize, 0);
    first.extend(digits.chunks(2).map(byte));
    fs::create_dir(scene.path().parent().unwrap()).unwrap();
    fs::write(scene.path(), first).unwrap();
    let bodies = scene.fold("a", 500);
    check(&bodies, "a", 0..500);
    assert_eq!(scene.bytes(), fresh.bytes());
}

#[test]
fn who_walks_through_everything_leaves_what_many_ask_for_in_memory() {
    let scene = Scene::new();
    let bodies = scene.fold("a", 1_000);
    check(&bodies, "a", [3]);
    check(&bodies, "a", 0..1_000);
    let cached = bodies.reader().cached(&[BodyNumber(3), BodyNumber(500)]);
    assert_eq!(cached, [Some(body("a", 3)), None]);
}

#[test]
fn a_longer_file_of_the_same_log_shows_no_more_than_was_pushed() {
    let scene = Scene::new();
    drop(scene.fold("a", 500));
    let mut bodies = scene.fold("a", 160);
    assert!(matches!(
        bodies.reader().fetch(&[BodyNumber(160)]),
        Err(BodyError::Unknown(_))
    ));
    // The log went another way from here.
    for number in 160..480 {
        bodies.push(body("b", number));
    }
    assert!(bodies.wait_until_written(PATIENCE));
    check(&bodies, "a", 0..160);
    check(&bodies, "b", 160..480);
}

#[test]
fn damage_under_a_running_store_is_an_error_and_never_another_body() {
    let scene = Scene::new();
    let bodies = scene.fold("a", 1_000);
    let length = scene.bytes().len() as u64;
    let mut found = 0;
    for at in (HEAD_BYTES..length).step_by(97) {
        flip(&scene.path(), at, 3);
        let mut damaged = 0;
        for block in 0..1_000 / BLOCK_BODIES {
            // A store as it is right after its start: nothing is in memory.
            let number = BodyNumber(block * BLOCK_BODIES);
            match bodies.reader().fetch(&[number]) {
                Ok(read) => assert_eq!(read[0], body("a", number.0)),
                Err(BodyError::Damaged { .. }) => damaged += 1,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(damaged <= 1);
        found += damaged;
        flip(&scene.path(), at, 3);
    }
    assert!(found > 100, "{found} damages were read");
    drop(bodies);
    let bodies = scene.fold("a", 1_000);
    check(&bodies, "a", 0..1_000);
}

#[test]
fn a_file_cut_under_a_running_store_is_an_error() {
    let scene = Scene::new();
    let bodies = scene.fold("a", 1_000);
    truncate(&scene.path(), HEAD_BYTES + 100);
    let asked = bodies.reader().fetch(&[BodyNumber(500)]);
    assert!(matches!(asked, Err(BodyError::Damaged { block: 62, .. })), "{asked:?}");
}

#[test]
fn what_was_saved_is_loaded_without_a_fold() {
    let scene = Scene::new();
    let mut bodies = scene.fold("a", 1_003);
    let mut saved = Vec::new();
    assert!(bodies.close() && bodies.moment().save(true, &mut saved).unwrap());
    drop(bodies);
    let mut bodies = Bodies::load(&scene.path(), LITTLE_MEMORY, &saved).unwrap();
    assert_eq!(bodies.len(), 1_003);
    check(&bodies, "a", 0..1_003);
    push(&mut bodies, "a", 1_003..2_000);
    check(&bodies, "a", 0..2_000);
    assert!(bodies.close());
    // What was written since is found again.
    let mut bodies = Bodies::load(&scene.path(), LITTLE_MEMORY, &saved).unwrap();
    let before = scene.bytes();
    push(&mut bodies, "a", 1_003..2_000);
    assert!(bodies.wait_until_written(PATIENCE));
    check(&bodies, "a", 0..2_000);
    assert_eq!(scene.bytes(), before);
}

#[test]
fn few_bodies_are_written_for_a_moment_though_no_more_come() {
    let scene = Scene::new();
    let mut bodies = Bodies::open(&scene.path(), LITTLE_MEMORY);
    push(&mut bodies, "a", 0..BLOCK_BODIES + 1);
    let (moment, until) = (bodies.moment(), Instant::now() + PATIENCE);
    while !moment.is_written() {
        assert!(Instant::now() < until, "the full block is not written");
        std::thread::yield_now();
    }
    let mut saved = Vec::new();
    assert!(moment.save(false, &mut saved).unwrap());
    check(
        &Bodies::load(&scene.path(), LITTLE_MEMORY, &saved).unwrap(),
        "a",
        0..BLOCK_BODIES + 1,
    );
}

#[test]
fn nothing_is_loaded_from_a_file_that_is_not_the_one() {
    let scene = Scene::new();
    let mut bodies = scene.fold("a", 1_000);
    let mut saved = Vec::new();
    assert!(bodies.close() && bodies.moment().save(false, &mut saved).unwrap());
    let whole = scene.bytes();
    let load = |saved: &[u8]| Bodies::load(&scene.path(), LITTLE_MEMORY, saved);
    assert!(load(&saved).is_some());
    for length in 0..saved.len() {
        assert!(load(&saved[..length]).is_none());
    }
    assert!(load(&[&saved[..], &[0]].concat()).is_none());
    truncate(&scene.path(), whole.len() as u64 - 1);
    assert!(load(&saved).is_none(), "a short file");
    fs::write(scene.path(), &whole).unwrap();
    flip(&scene.path(), 3, 0);
    assert!(load(&saved).is_none(), "another head");
    fs::remove_file(scene.path()).unwrap();
    assert!(load(&saved).is_none(), "no file");
    // Another log's file of the same length passes at first, and each of its blocks is refused.
    drop(scene.fold("b", 2_000));
    let loaded = load(&saved).unwrap();
    for block in 0..1_000 / BLOCK_BODIES {
        let asked = loaded.reader().fetch(&[BodyNumber(block * BLOCK_BODIES)]);
        assert!(matches!(asked, Err(BodyError::Damaged { .. })));
    }
}

#[test]
fn what_is_damaged_is_not_saved_and_the_next_start_begins_anew() {
    let scene = Scene::new();
    let mut bodies = scene.fold("a", 1_000);
    let mut saved = Vec::new();
    assert!(bodies.close() && bodies.moment().save(false, &mut saved).unwrap());
    flip(&scene.path(), HEAD_BYTES + 30, 0);
    let asked = bodies.reader().fetch(&[BodyNumber(0)]);
    assert!(matches!(asked, Err(BodyError::Damaged { block: 0, .. })));
    check(&bodies, "a", BLOCK_BODIES..1_000);
    assert!(!bodies.moment().save(false, &mut Vec::new()).unwrap());
    drop(bodies);
    assert!(Bodies::load(&scene.path(), LITTLE_MEMORY, &saved).is_none());
    check(&scene.fold("a", 1_000), "a", 0..1_000);
}

#[test]
fn a_disk_that_takes_no_writes_loses_nothing() {
    let scene = Scene::new();
    // A file stands where the directory has to be.
    let views = scene.dir.path().join("views");
    fs::write(&views, b"in the way").unwrap();
    let mut bodies = Bodies::open(&scene.path(), LITTLE_MEMORY);
    let large = Bytes::from(vec![7; 100_000]);
    let mut pushed = 0;
    push(&mut bodies, "a", 0..100);
    bodies.wait_for_room(PATIENCE).unwrap();
    while bodies.wait_for_room(PATIENCE).is_ok() {
        bodies.push(large.clone());
        pushed += 1;
        assert!(pushed < 2 * BACKLOG_BYTES_MAX / large.len(), "there is an end to it");
    }
    assert!(pushed > BACKLOG_BYTES_MAX / large.len());
    let reason = bodies.wait_for_room(PATIENCE).unwrap_err();
    assert!(reason.contains("views"), "{reason}");
    check(&bodies, "a", 0..100);
    fs::remove_file(&views).unwrap();
    assert!(bodies.wait_until_written(PATIENCE));
    bodies.wait_for_room(PATIENCE).unwrap();
    check(&bodies, "a", 0..100);
    let last = bodies.reader().fetch(&[BodyNumber(99 + pushed as u32)]).unwrap();
    assert_eq!(last, [large]);
}

fn erase(bodies: &Bodies, numbers: impl IntoIterator<Item = u32>) -> Result<u64, BodyError> {
    let numbers = numbers.into_iter().map(BodyNumber).collect();
    bodies.eraser().erase(&numbers, PATIENCE)
}

/// The bodies that a fold pushes which finds every third erased.
fn erased_body(number: u32) -> Bytes {
    match number % 3 {
        0 => Bytes::new(),
        _ => body("a", number),
    }
}

#[test]
fn what_is_erased_is_empty_for_good_and_the_file_is_that_of_a_fold_without_it() {
    let scene = Scene::new();
    let mut bodies = scene.fold("a", 1_003);
    let before = scene.bytes();
    // Blocks in memory must forget as well, and so must what is not written yet.
    check(&bodies, "a", [0, 3, 500, 1_002]);
    let returned = erase(&bodies, (0..1_003).filter(|number| number % 3 == 0)).unwrap();
    assert_eq!(returned, (before.len() - scene.bytes().len()) as u64);
    assert!(returned > before.len() as u64 / 8, "{returned} of {}", before.len());
    let check_erased = |bodies: &Bodies| {
        let numbers: Vec<BodyNumber> = (0..1_003).map(BodyNumber).collect();
        let read = bodies.reader().fetch(&numbers).unwrap();
        assert!(
            numbers
                .iter()
                .zip(read)
                .all(|(number, read)| read == erased_body(number.0))
        );
    };
    check_erased(&bodies);
    assert_eq!(erase(&bodies, []).unwrap(), 0);
    push(&mut bodies, "a", 1_003..2_000);
    check(&bodies, "a", 1_003..2_000);
    assert!(bodies.close());
    let after = scene.bytes();
    drop(bodies);
    let mut again = Bodies::open(&scene.path(), LITTLE_MEMORY);
    for number in 0..1_003 {
        again.push(erased_body(number));
    }
    push(&mut again, "a", 1_003..2_000);
    check_erased(&again);
    assert!(again.close());
    assert_eq!(scene.bytes(), after, "found as it was");
}

#[test]
fn a_fold_that_finds_bodies_erased_erases_them() {
    let scene = Scene::new();
    drop(scene.fold("a", 1_000));
    fs::write(
        scene.path().with_extension("partial"),
        b"of an erasure that did not end",
    )
    .unwrap();
    let mut bodies = Bodies::open(&scene.path(), LITTLE_MEMORY);
    for number in 0..1_000 {
        bodies.push(erased_body(number));
    }
    assert!(bodies.close());
    let fresh = Scene::new();
    let mut other = Bodies::open(&fresh.path(), LITTLE_MEMORY);
    for number in 0..1_000 {
        other.push(erased_body(number));
    }
    assert!(other.close());
    assert_eq!(scene.bytes(), fresh.bytes());
    assert!(!scene.path().with_extension("partial").exists());
}

#[test]
fn many_read_and_one_pushes_while_bodies_are_erased() {
    let scene = Scene::new();
    let mut bodies = scene.fold("a", 4_000);
    let eraser = bodies.eraser();
    let erasing = std::thread::spawn(move || {
        for step in 0..20 {
            let numbers = (step * 100..step * 100 + 100)
                .filter(|number| number % 3 == 0)
                .map(BodyNumber);
            eraser.erase(&numbers.collect(), PATIENCE).unwrap();
        }
    });
    let reader = bodies.reader();
    let reading = std::thread::spawn(move || {
        for round in 0..200u32 {
            let numbers: Vec<_> = (0..40)
                .map(|step| BodyNumber((round * 97 + step * 53) % 4_000))
                .collect();
            for (number, read) in numbers.iter().zip(reader.fetch(&numbers).unwrap()) {
                let may_be_erased = read.is_empty() && number.0 % 3 == 0 && number.0 < 2_000;
                assert!(may_be_erased || read == body("a", number.0), "{number:?}");
            }
        }
    });
    push(&mut bodies, "a", 4_000..12_000);
    erasing.join().unwrap();
    reading.join().unwrap();
    for number in 0..2_000 {
        let read = bodies.reader().fetch(&[BodyNumber(number)]).unwrap();
        assert_eq!(read[0], erased_body(number));
    }
    check(&bodies, "a", 2_000..12_000);
    assert!(bodies.close());
}

#[test]
fn many_read_while_one_pushes() {
    let scene = Scene::new();
    let mut bodies = Bodies::open(&scene.path(), LITTLE_MEMORY);
    let pushed = std::sync::atomic::AtomicU32::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    const COUNT: u32 = 20_000;
    std::thread::scope(|scope| {
        for reader in 0..3u32 {
            let (bodies, pushed) = (bodies.reader(), &pushed);
            scope.spawn(move || {
                let mut state = reader;
                while pushed.load(order) < COUNT {
                    let known = pushed.load(order).max(1);
                    state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
                    let from = state % known;
                    let numbers: Vec<_> = (from..known.min(from + 60)).map(BodyNumber).collect();
                    if pushed.load(order) == 0 {
                        continue;
                    }
                    for (number, read) in numbers.iter().zip(bodies.fetch(&numbers).unwrap()) {
                        assert_eq!(read, body("a", number.0));
                    }
                }
            });
        }
        for number in 0..COUNT {
            bodies.push(body("a", number));
            pushed.store(number + 1, order);
        }
    });
    assert!(bodies.close());
    check(&bodies, "a", 0..COUNT);
}
