//! How fast the log takes and gives entries: durable appends of several sizes, and a replay of everything.
//! Entries have 414 bytes, as a small indicator has. Run with `TMPDIR` on the disk to be measured.
#![allow(missing_docs)]

use std::hint::black_box;
use std::ops::ControlFlow;

use bytes::Bytes;
use clearinghouse::domain::id::Seq;
use clearinghouse::log::{Log, Options};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ENTRY_BYTES: usize = 414;
const REPLAY_ENTRIES: u64 = 200_000;

/// Half noise, half text that repeats: about what ids and hashes, and urls and labels, are to a compressor.
fn entry(seq: u64) -> Bytes {
    let mut state = seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(ENTRY_BYTES);
    while bytes.len() < ENTRY_BYTES / 2 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state ^ (state >> 29)).to_be_bytes());
    }
    while bytes.len() < ENTRY_BYTES {
        bytes.extend_from_slice(b"https://example.org/disinformation/campaign");
    }
    bytes.truncate(ENTRY_BYTES);
    Bytes::from(bytes)
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log append, durable");
    group.sample_size(20);
    for batch in [1u64, 16, 256, 1024] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = Log::create(&dir.path().join("log"), Options::default()).expect("a log");
        let entries: Vec<Bytes> = (0..batch).map(entry).collect();
        group.throughput(Throughput::Elements(batch));
        group.bench_function(format!("{batch} entries"), |bencher| {
            bencher.iter(|| log.append(black_box(&entries)).expect("an append"));
        });
    }
    group.finish();
}

fn replay(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = Log::create(&dir.path().join("log"), Options::default()).expect("a log");
    for from in (0..REPLAY_ENTRIES).step_by(1_000) {
        log.append(&(from..from + 1_000).map(entry).collect::<Vec<_>>())
            .expect("an append");
    }
    let reader = log.reader();
    let mut group = criterion.benchmark_group("log replay");
    group.sample_size(10).throughput(Throughput::Elements(REPLAY_ENTRIES));
    group.bench_function("from the start", |bencher| {
        bencher.iter(|| {
            let mut bytes_total = 0;
            let replayed = reader.replay(Seq(0), Seq(REPLAY_ENTRIES), &mut |_, bytes| {
                bytes_total += bytes.len();
                ControlFlow::Continue(())
            });
            replayed.expect("a replay");
            black_box(bytes_total)
        });
    });
    group.finish();
}

criterion_group!(benches, append, replay);
criterion_main!(benches);
