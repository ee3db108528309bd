//! Reading bodies, from memory where they are there, else from the file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::error::OnDisk;
use super::block::Block;
use super::index::Span;
use super::packed::Packed;
use super::shared::{Places, Shared, split};
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

    /// As [`Bodies::wait_until_written`](super::Bodies::wait_until_written), for who does not push itself.
    pub fn wait_until_written(&self, patience: Duration) -> bool {
        self.shared.wait_until_written(patience)
    }

    /// All these bodies. Blocks that lie side by side are read at once, so numbers that ascend are cheap.
    pub fn fetch(&self, numbers: &[BodyNumber]) -> Result<Vec<Bytes>, BodyError> {
        let mut found = self.shared.cached(numbers);
        let mut missing: Vec<(BodyNumber, usize)> = numbers.iter().copied().zip(0..).collect();
        missing.retain(|(_, at)| found[*at].is_none());
        missing.sort_unstable();
        let read = self.read(&missing)?;
        let mut packed = Packed::default();
        // Both ascend, and each block is there: it was read, or that was an error.
        let mut blocks = read.into_iter();
        for (number, at) in missing {
            packed.add(at, split(number), || blocks.next().map(|(_, block)| block));
        }
        let unpacked = packed.unpack(&mut found);
        unpacked.map_err(|(block, error)| self.shared.damaged(block, error.to_string()))?;
        // All blocks asked for were read, or that was an error; a full block has a body in each place.
        let whole = numbers.iter().zip(found);
        whole
            .map(|(number, body)| body.ok_or(BodyError::Unknown(*number)))
            .collect()
    }

    /// Reads the blocks of bodies, which ascend, each once.
    fn read(&self, missing: &[(BodyNumber, usize)]) -> Result<Vec<(u32, Block)>, BodyError> {
        let mut blocks: Vec<u32> = missing.iter().map(|(number, _)| split(*number).0).collect();
        blocks.dedup();
        let mut places = Vec::with_capacity(blocks.len());
        let from = self.shared.find(&blocks);
        for (block, found) in blocks.iter().zip(&from.spans) {
            let unknown = || missing.iter().find(|(number, _)| split(*number).0 == *block);
            let unknown = || BodyError::Unknown(unknown().map(|(number, _)| *number).unwrap_or_default());
            let (at, span) = (*found).ok_or_else(unknown)?;
            places.push((*block, at, span));
        }
        let mut read = Vec::with_capacity(places.len());
        let mut rest = &places[..];
        while !rest.is_empty() {
            let (run, after) = rest.split_at(run_length(rest));
            self.read_run(&from, run, &mut read)?;
            rest = after;
        }
        Ok(read)
    }

    /// Reads blocks that lie side by side. One that lies alone is kept in memory, for it may be asked for again; who walks through
    /// many comes by once.
    fn read_run(&self, from: &Places, run: &[(u32, u64, Span)], read: &mut Vec<(u32, Block)>) -> Result<(), BodyError> {
        let (Some((first, start, _)), Some((_, last_at, last))) = (run.first(), run.last()) else {
            return Ok(());
        };
        let mut bytes = vec![0; (last_at + u64::from(last.bytes) - start) as usize];
        let file = from.file.as_deref();
        self.shared.read_exact(file, (*first, *start), &mut bytes)?;
        let mut bytes = Bytes::from(bytes);
        for (number, _, span) in run {
            let block = Block::check(*number, span.crc, bytes.split_to(span.bytes as usize));
            let block = block.map_err(|error| self.shared.damaged(*number, error.to_string()))?;
            if run.len() == 1 {
                let unpacked = block.unpack_all();
                let unpacked = unpacked.map_err(|error| self.shared.damaged(*number, error.to_string()))?;
                self.shared.keep(from.generation, *number, unpacked);
            }
            read.push((*number, block));
        }
        Ok(())
    }
}

impl Shared {
    /// Reads what lies from a block on.
    pub(super) fn read_exact(
        &self,
        file: Option<&File>,
        (block, at): (u32, u64),
        bytes: &mut [u8],
    ) -> Result<(), BodyError> {
        // Blocks are in the index because they were written through this file.
        let file = file.ok_or_else(|| self.damaged(block, "the file is not open".to_owned()))?;
        match file.read_exact_at(bytes, at) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.damaged(block, "the file is cut short".to_owned()))
            }
            read => Ok(read.on("read", &self.path)?),
        }
    }

    /// Damage is told once here and to whoever asked, and the file is not used by the next start.
    pub(super) fn damaged(&self, block: u32, reason: String) -> BodyError {
        self.disown();
        let error = BodyError::Damaged {
            block,
            path: self.path.clone(),
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
