//! What the tests of the log share: entries that tell their own position, and `check_log`, the oracle that every test
//! that writes ends with.
#![allow(dead_code, missing_docs)]

pub mod child;
pub mod disk;

use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;
use clearinghouse::domain::id::Seq;
use clearinghouse::log::merkle::{self, Edge};
use clearinghouse::log::{Head, Log, LogReader, Options, verify};

/// Options for tests: no ballast, so that a test writes what it is about, and a journal that is emptied so often that what
/// waits in it and what the store holds both matter.
pub fn options() -> Options {
    Options {
        ballast_bytes: 0,
        waiting_bytes_max: 16 * 1024,
        ..Options::default()
    }
}

/// Options with small epochs.
pub fn small_epochs(entries: u64) -> Options {
    Options {
        epoch_entries_max: entries,
        ..options()
    }
}

/// Every so many entries, one is bulky.
const BULKY_EVERY: u64 = 16;
const BULKY_BYTES: usize = 24 * 1024;

/// The entry that belongs at position `seq`: its number and about 400 bytes that compress as real ones do, and now and
/// then a bulky one.
pub fn entry(seq: u64) -> Bytes {
    let mut state = seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut text = format!("{seq:020} https://");
    while text.len() < 300 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("{:08x}", state >> 32));
    }
    text.push_str(&".example/disinformation/campaign".repeat(3));
    let mut bytes = text.into_bytes();
    if seq % BULKY_EVERY == BULKY_EVERY - 1 {
        // Noise, which no compression shrinks: such entries make the files grow fast.
        bytes.extend((0..BULKY_BYTES / 8).flat_map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state ^ (state >> 29)).to_be_bytes()
        }));
    }
    Bytes::from(bytes)
}

pub fn entries(from: u64, count: u64) -> Vec<Bytes> {
    (from..from + count).map(entry).collect()
}

/// Append `count` entries in appends of `batch`.
pub fn fill(log: &mut Log, count: u64, batch: u64) {
    let end = log.head().size + count;
    while log.head().size < end {
        let from = log.head().size;
        let range = log.append(&entries(from, batch.min(end - from))).unwrap();
        assert_eq!(range, Seq(from)..Seq((from + batch).min(end)));
    }
}

/// The oracle: verify the log offline, then open it and derive again what it says: each entry is the one that belongs
/// there, root and chain follow from salts and bytes by RFC 6962's definition, and proofs verify.
pub fn check_log(dir: &Path) -> Head {
    let report = verify(dir).unwrap_or_else(|error| panic!("verify: {error}"));
    let log = Log::open(dir, options()).unwrap_or_else(|error| panic!("open: {error}"));
    assert_eq!(log.head(), report.head);
    check_reader(&log.reader());
    let head = log.head();
    log.close().unwrap();
    assert_eq!(
        verify(dir).unwrap_or_else(|error| panic!("verify after: {error}")).head,
        head
    );
    head
}

pub fn check_reader(reader: &LogReader) {
    let head = reader.head();
    let mut next = 0;
    reader
        .replay(Seq(0), Seq(head.size), &mut |seq, bytes| {
            assert_eq!(seq, Seq(next));
            assert_eq!(*bytes, entry(next));
            next += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(next, head.size);

    let mut edge = Edge::default();
    let mut chain = [0; 32];
    let mut roots = Vec::new();
    let mut leaves = Vec::new();
    for seq in 0..head.size {
        let leaf = merkle::leaf_hash(&reader.record(Seq(seq)).unwrap().commitment());
        chain = sha256(&[&[2], &chain, &leaf]);
        edge.push(leaf);
        roots.push(edge.root());
        leaves.push(leaf);
    }
    assert_eq!(edge.root(), head.root);
    assert_eq!(chain, head.chain);
    check_proofs(reader, &leaves, &roots);
}

fn check_proofs(reader: &LogReader, leaves: &[[u8; 32]], roots: &[[u8; 32]]) {
    let size = leaves.len() as u64;
    let step = (size / 7).max(1);
    for at in (0..size).step_by(step as usize) {
        let tree = (at + step).min(size);
        let root = roots[tree as usize - 1];
        assert_eq!(reader.root_at(tree).unwrap(), root);
        let path = reader.inclusion_proof(Seq(at), tree).unwrap();
        assert!(merkle::verify_inclusion(&leaves[at as usize], at, tree, &path, &root));
        let path = reader.consistency_proof(tree, size).unwrap();
        assert!(merkle::verify_consistency(
            tree,
            size,
            &root,
            &roots[size as usize - 1],
            &path
        ));
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    use sha2::Digest;
    parts
        .iter()
        .fold(sha2::Sha256::new(), |hash, part| hash.chain_update(part))
        .finalize()
        .into()
}

/// A number from the environment, to make a test as long as one likes.
pub fn knob(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Open after a crash: everything acknowledged is there, in order, and nothing that was never appended.
pub fn check_recovered(dir: &Path, options: Options, acknowledged: u64) -> u64 {
    let log = Log::open(dir, options).unwrap_or_else(|error| panic!("open after {acknowledged}: {error}"));
    let size = log.head().size;
    assert!(
        size >= acknowledged,
        "{} of {acknowledged} acknowledged entries are lost",
        acknowledged - size
    );
    let mut next = 0;
    let replay = log.reader().replay(Seq(0), Seq(size), &mut |seq, bytes| {
        assert_eq!((seq, bytes), (Seq(next), &entry(next)));
        next += 1;
        ControlFlow::Continue(())
    });
    replay.unwrap();
    assert_eq!(next, size);
    size
}
