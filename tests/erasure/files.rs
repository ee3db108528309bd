//! Looks for what should be gone in whatever lies in the files of a hub: as it is, packed in the log, packed among the bodies.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clearinghouse::domain::id::{IndicatorId, Seq};
use clearinghouse::log::entry::Entry;
use clearinghouse::log::{Log, LogReader, Record};

use super::hub_support::log_options;

/// A value that stands nowhere by chance.
pub const MARKER: &str = "zq7-marked-value.example.com";

/// Where the blocks of the bodies' file begin, and the length of a block's head.
const BLOCKS_AT: usize = 4_096;
const HEAD_BYTES: usize = 20;
/// How many bodies are in a block, and where they begin in it.
const BLOCK_BODIES: usize = 8;
const CONTENT_AT: usize = HEAD_BYTES + 8 * BLOCK_BODIES;

/// What marks the entries that are to go: their salts, which no packing hides.
pub struct Traces {
    pub entries: usize,
    salts: Vec<[u8; 32]>,
}

impl Traces {
    /// Of all entries that hold the marker, in a copy of a hub's directory.
    pub fn of(dir: &Path) -> Traces {
        let log = Log::open(&dir.join("log"), log_options()).expect("the log opens");
        let mut salts = Vec::new();
        each_entry(&log.reader(), |seq, bytes| {
            if is_marked(bytes)
                && let Record::Whole { salt, .. } = log.reader().record(seq).expect("a record")
            {
                salts.push(salt);
            }
        });
        log.close().expect("the log closes");
        Traces {
            entries: salts.len(),
            salts,
        }
    }

    /// Whether a salt, or the marker itself, is in any file of a directory, or in an entry of the log there.
    pub fn are_in(&self, dir: &Path) -> bool {
        let contents: Vec<Vec<u8>> = files(dir).iter().map(|file| fs::read(file).expect("a file")).collect();
        let holds = |salt: &[u8; 32]| contents.iter().any(|content| find(content, salt));
        let log = Log::open(&dir.join("log"), log_options()).expect("the log opens");
        let mut found = false;
        each_entry(&log.reader(), |_, bytes| found |= is_marked(bytes));
        log.close().expect("the log closes");
        found || self.salts.iter().any(holds) || contents.iter().any(|content| is_marked(content))
    }
}

/// Whether the marker is in it.
pub fn is_marked(content: &[u8]) -> bool {
    find(content, MARKER.as_bytes())
}

/// The bodies of a file, as a store reads them that believes it: unpacked, those that no fold would ask for included.
pub fn bodies(file: &Path) -> Vec<Vec<u8>> {
    let content = fs::read(file).unwrap_or_default();
    let number = |at: usize| u32::from_le_bytes(content[at..at + 4].try_into().expect("four bytes")) as usize;
    let mut bodies = Vec::new();
    let mut at = BLOCKS_AT;
    while at + CONTENT_AT < content.len() {
        let ends = |place: usize| {
            (
                number(at + HEAD_BYTES + 8 * place),
                number(at + HEAD_BYTES + 8 * place + 4),
            )
        };
        let (mut packed_start, mut start) = (0, 0);
        let mut first: Option<Vec<u8>> = None;
        for place in 0..BLOCK_BODIES {
            let (packed_end, end) = ends(place);
            let packed = &content[at + CONTENT_AT + packed_start..at + CONTENT_AT + packed_end];
            let body = match packed.len() == end - start {
                true => packed.to_vec(),
                false => {
                    let dictionary = first.as_deref().unwrap_or_default();
                    lz4_flex::block::decompress_with_dict(packed, end - start, dictionary).expect("a body")
                }
            };
            (packed_start, start) = (packed_end, end);
            first.get_or_insert_with(|| body.clone());
            bodies.push(body);
        }
        at += HEAD_BYTES + number(at + 8);
    }
    bodies
}

/// Every entry of a log, or what is left of it.
pub fn each_entry(reader: &LogReader, mut visit: impl FnMut(Seq, &Bytes)) {
    let end = Seq(reader.head().size);
    let replayed = reader.replay(Seq(0), end, &mut |seq, bytes| {
        visit(seq, bytes);
        ControlFlow::Continue(())
    });
    replayed.expect("the log is read");
}

/// The first entry of an indicator.
pub fn seq_of(reader: &LogReader, id: IndicatorId) -> Seq {
    let mut found = None;
    each_entry(reader, |seq, bytes| {
        let entry = Entry::decode(bytes.clone()).expect("an entry");
        if entry.indicator_id() == Some(id) {
            found.get_or_insert(seq);
        }
    });
    found.expect("the indicator is in the log")
}

fn find(content: &[u8], wanted: &[u8]) -> bool {
    content.windows(wanted.len()).any(|window| window == wanted)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}
