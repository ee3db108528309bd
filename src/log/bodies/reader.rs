//! Reading bodies, from memory where they are there, else from the file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::error::OnDisk;
use super::block::Block;
use super::index::Span;
use super::shared::{Shared, split};
use super::{BodyError, BodyNumber};

/// The most bytes read at once.
const READ_BYTES_MAX: u64 = 1 << 20;

/// Reads a body store from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BodyReader {
    pub(super) shared: Arc<Shared>,
}

impl BodyReader {
    /// Those bodies that are in memory, each in its number's place. Touches no disk.
    pub fn cached(&self, numbers: &[BodyNumber]) -> Vec<Option<Bytes>> {
        self.shared.cached(numbers)
    }

    /// One body, if it is in memory. Touches no disk.
    pub fn cached_one(&self, number: BodyNumber) -> Option<Bytes> {
        self.shared.cached_one(number)
    }

    /// As [`Bodies::wait_for_room`](super::Bodies::wait_for_room), for who does not push itself.
    pub fn wait_for_room(&self, patience: Duration) -> Result<(), String> {
        self.shared.wait_for_room(patience)
    }

    /// All these bodies. Blocks that lie side by side are read at once, and each is unpacked once, so numbers that ascend are cheap.
    pub fn fetch(&self, numbers: &[BodyNumber]) -> Result<Vec<Bytes>, BodyError> {
        let mut found = self.shared.cached(numbers);
        let missing = numbers.iter().zip(&found).filter(|(_, body)| body.is_none());
        let mut blocks: Vec<u32> = missing.map(|(number, _)| split(*number).0).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let read = self.read(&blocks, numbers)?;
        for (number, body) in numbers.iter().zip(&mut found).filter(|(_, body)| body.is_none()) {
            let (block, place) = split(*number);
            let at = read.binary_search_by_key(&block, |(number, _)| *number).ok();
            *body = at.and_then(|at| read[at].1.body(place));
        }
        // All blocks asked for were read, or that was an error; a full block has a body in each place.
        let whole = numbers.iter().zip(found);
        whole
            .map(|(number, body)| body.ok_or(BodyError::Unknown(*number)))
            .collect()
    }

    /// Reads blocks, which ascend.
    fn read(&self, blocks: &[u32], asked: &[BodyNumber]) -> Result<Vec<(u32, Block)>, BodyError> {
        let spans = self.shared.find(blocks);
        let mut places = Vec::with_capacity(blocks.len());
        for (block, span) in blocks.iter().zip(spans) {
            let unknown = || asked.iter().find(|number| split(**number).0 == *block);
            let (at, span) = span.ok_or_else(|| BodyError::Unknown(unknown().copied().unwrap_or_default()))?;
            places.push((*block, at, span));
        }
        let mut read = Vec::with_capacity(places.len());
        let mut rest = &places[..];
        while !rest.is_empty() {
            let (run, after) = rest.split_at(run_length(rest));
            self.read_run(run, &mut read)?;
            rest = after;
        }
        self.shared.keep(&read);
        Ok(read)
    }

    /// Reads blocks that lie side by side.
    fn read_run(&self, run: &[(u32, u64, Span)], read: &mut Vec<(u32, Block)>) -> Result<(), BodyError> {
        let (Some((first, start, _)), Some((_, last_at, last))) = (run.first(), run.last()) else {
            return Ok(());
        };
        let mut bytes = vec![0; (last_at + u64::from(last.bytes) - start) as usize];
        self.read_exact(*first, *start, &mut bytes)?;
        let unpacked = self.shared.with_decompressor(|decompressor| {
            for (number, at, span) in run {
                let from = (at - start) as usize;
                let block = &bytes[from..from + span.bytes as usize];
                let block = Block::decode(*number, span.crc, block, decompressor);
                read.push((*number, block.map_err(|error| (*number, error))?));
            }
            Ok(())
        })?;
        unpacked.map_err(|(number, error): (u32, super::block::BlockError)| self.damaged(number, error.to_string()))
    }

    fn read_exact(&self, block: u32, at: u64, bytes: &mut [u8]) -> Result<(), BodyError> {
        let path = &self.shared.path;
        // Blocks are in the index because they were written through this file.
        let file: Option<&File> = self.shared.file.get();
        let file = file.ok_or_else(|| self.damaged(block, "the file is not open".to_owned()))?;
        match file.read_exact_at(bytes, at) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.damaged(block, "the file is cut short".to_owned()))
            }
            read => Ok(read.on("read", path)?),
        }
    }

    /// Damage is told once here and to whoever asked, and the file is not used by the next start.
    fn damaged(&self, block: u32, reason: String) -> BodyError {
        self.shared.disown();
        let error = BodyError::Damaged {
            block,
            path: self.shared.path.clone(),
            reason,
        };
        tracing::error!(%error, "an indicator's body cannot be read");
        error
    }
}

/// How many blocks at the front lie side by side and are read at once.
fn run_length(places: &[(u32, u64, Span)]) -> usize {
    let start = places[0].1;
    let pairs = places.windows(2).take_while(|pair| {
        let (_, at, span) = pair[0];
        let (_, next_at, next) = pair[1];
        at + u64::from(span.bytes) == next_at && next_at + u64::from(next.bytes) - start <= READ_BYTES_MAX
    });
    1 + pairs.count()
}
