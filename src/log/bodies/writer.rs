//! The thread that packs full blocks and writes them. Where the disk takes no writes it says so, keeps them, and tries again.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use super::super::error::{DiskError, OnDisk};
use super::block::{Block, Header, Raw};
use super::file::LeftOver;
use super::index::Span;
use super::shared::Shared;
use super::unpacked::Unpacked;

/// How often a block that could not be written is tried again.
pub(super) const RETRY_EVERY: Duration = Duration::from_secs(2);

/// Starts the thread. Without one the bodies stay in memory, which is said.
pub(super) fn start(shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
    let writer = Writer {
        shared: Arc::clone(shared),
        left_over: None,
        file: None,
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
}

impl Writer {
    fn run(mut self) {
        while let Some((number, bodies)) = self.shared.next_to_write() {
            let shared = Arc::clone(&self.shared);
            let written = {
                let _writing = shared.writing();
                let written = self.write(number, &bodies);
                written.map(|(block, span)| shared.written(number, block, span))
            };
            if let Err(error) = written
                && !shared.not_written(&error, RETRY_EVERY)
            {
                return;
            }
        }
    }

    /// Brings bodies into the file as a block, or finds them there. Gives it unpacked if it was written.
    fn write(&mut self, number: u32, bodies: &[Bytes]) -> Result<(Option<Unpacked>, Span), DiskError> {
        let path = &self.shared.path;
        let file = &self.shared.file()?;
        let at = self.shared.end();
        let before = self.file.replace(Arc::clone(file));
        if !before.is_some_and(|before| Arc::ptr_eq(&before, file)) {
            // Beyond its end there is nothing in a file that took the place of another.
            self.left_over = LeftOver::new(file, at);
        }
        if let Some(left_over) = &mut self.left_over {
            if let Some(span) = left_over.next(number, &Raw::of(bodies)) {
                return Ok((None, span));
            }
            self.left_over = None;
            // What stands here is of another log, or torn: nobody may find it again.
            file.set_len(at).on("cut", path)?;
        }
        let block = Block::pack(number, bodies);
        file.write_all_at(block.bytes(), at).on("write", path)?;
        let span = Span {
            bytes: block.bytes().len() as u32,
            crc: Header::read(block.bytes()).map_or(0, |header| header.crc),
        };
        Ok((Some(Unpacked::of(bodies)), span))
    }
}
