//! The thread that packs full blocks and writes them, several at a time. Where the disk takes no writes it says so, keeps them, and
//! tries again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use super::super::error::{DiskError, OnDisk};
use super::block::{Raw, put_block};
use super::cache::Piece;
use super::file::LeftOver;
use super::index::Span;
use super::shared::{Shared, first_of};

/// Blocks whose bodies are kept in memory in one piece. Fewer would be as good for memory, and more leave holes: pieces of 50 KiB and
/// more come in so many sizes that the cache takes a quarter more than its bytes.
const PIECE_BLOCKS: usize = 4;

/// Bytes written between two syncs. The store needs none; but what nobody syncs goes to the disk half a minute later, all at once, and
/// no sync of the log comes through meanwhile: 41 ms for one in a thousand publications.
const SYNC_BYTES: usize = 1 << 20;

/// How often a block that could not be written is tried again.
pub(super) const RETRY_EVERY: Duration = Duration::from_secs(2);

/// Starts the thread. Without one the bodies stay in memory, which is said.
pub(super) fn start(shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
    let writer = Writer {
        shared: Arc::clone(shared),
        left_over: None,
        file: None,
        packed: Vec::new(),
        unsynced_bytes: 0,
    };
    let thread = std::thread::Builder::new().name("bodies".into());
    let started = thread.spawn(move || writer.run());
    started
        .inspect_err(|error| tracing::error!(%error, "no thread writes the bodies of indicators: they stay in memory"))
        .ok()
}

struct Writer {
    shared: Arc<Shared>,
    left_over: Option<LeftOver>,
    /// The one that was written to last.
    file: Option<Arc<File>>,
    /// What is being written.
    packed: Vec<u8>,
    unsynced_bytes: usize,
}

impl Writer {
    fn run(mut self) {
        while let Some((number, blocks)) = self.shared.next_to_write() {
            let shared = Arc::clone(&self.shared);
            let written = {
                let _writing = shared.writing();
                let written = self.write(number, &blocks);
                written.map(|(piece, spans)| shared.written(piece, &spans))
            };
            if let Err(error) = written
                && !shared.not_written(&error, RETRY_EVERY)
            {
                return;
            }
        }
    }

    /// Brings blocks into the file, or finds them there. Gives their bodies if they were written.
    fn write(&mut self, number: u32, blocks: &[Arc<[Bytes]>]) -> Result<(Vec<Piece>, Vec<Span>), DiskError> {
        let path = &self.shared.path;
        let file = &self.shared.file()?;
        let at = self.shared.end();
        let before = self.file.replace(Arc::clone(file));
        if !before.is_some_and(|before| Arc::ptr_eq(&before, file)) {
            // Beyond its end there is nothing in a file that took the place of another.
            self.left_over = LeftOver::new(file, at);
        }
        let numbered = (number..).zip(blocks);
        if let Some(left_over) = &mut self.left_over {
            let found = numbered
                .clone()
                .map(|(number, bodies)| left_over.next(number, &Raw::of(bodies)));
            if let Some(spans) = found.collect() {
                return Ok((Vec::new(), spans));
            }
            self.left_over = None;
            // What stands here is of another log, or torn: nobody may find it again.
            file.set_len(at).on("cut", path)?;
        }
        self.packed.clear();
        let spans = numbered.map(|(number, bodies)| put_block(&mut self.packed, number, bodies));
        let spans = spans.collect();
        file.write_all_at(&self.packed, at).on("write", path)?;
        self.unsynced_bytes += self.packed.len();
        if self.unsynced_bytes >= SYNC_BYTES {
            file.sync_data().on("sync", path)?;
            self.unsynced_bytes = 0;
        }
        let pieces = blocks.chunks(PIECE_BLOCKS).zip((number..).step_by(PIECE_BLOCKS));
        let pieces = pieces.map(|(blocks, number)| {
            let bodies = blocks.iter().flat_map(|bodies| bodies.iter());
            Piece::of(first_of(number), bodies)
        });
        Ok((pieces.collect(), spans))
    }
}
