//! Reading bodies, from memory where they are there, else from the file.

use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::super::error::OnDisk;
use super::block::{Block, BlockError};
use super::index::Span;
use super::packed::Packed;
use super::shared::{Places, Shared, split};
use super::{BodyError, BodyNumber};

/// Bytes of blocks that are in memory at once while they are read, unless one block has more; and the most that is read for who
/// does not wait, for it takes time all the same.
const READ_BYTES_MAX: u64 = 1 << 20;

/// Reads a body store from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BodyReader {
    pub(super) shared: Arc<Shared>,
    pub(super) keeps: bool,
}

/// What a read may wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Nothing: what the system does not have in memory is not read.
    Never,
    /// The disk.
    ForDisk,
}

/// A block that is to be read.
struct Wanted<'a> {
    block: u32,
    at: u64,
    span: Span,
    /// The bodies that are wanted of it, with their places in the answer.
    bodies: &'a [(BodyNumber, usize)],
}

impl BodyReader {
    /// The same for who comes by once: what it reads from the file is not kept in memory, where it would take the room of what is
    /// asked for again.
    pub fn passing_by(&self) -> BodyReader {
        BodyReader {
            shared: Arc::clone(&self.shared),
            keeps: false,
        }
    }

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

    /// All these bodies, if it takes no waiting: they are in memory, or the system has the pages of the file that they lie on.
    pub fn at_hand(&self, numbers: &[BodyNumber]) -> Result<Option<Vec<Bytes>>, BodyError> {
        self.read(numbers, Waiting::Never)
    }

    /// All these bodies. Blocks that lie side by side are read at once, so numbers that ascend are cheap.
    pub fn fetch(&self, numbers: &[BodyNumber]) -> Result<Vec<Bytes>, BodyError> {
        let read = self.read(numbers, Waiting::ForDisk)?;
        // Whoever waits gets all of them or an error.
        Ok(read.unwrap_or_default())
    }

    fn read(&self, numbers: &[BodyNumber], waiting: Waiting) -> Result<Option<Vec<Bytes>>, BodyError> {
        let mut found = self.shared.cached(numbers);
        let mut missing: Vec<(BodyNumber, usize)> = numbers.iter().copied().zip(0..).collect();
        missing.retain(|(_, at)| found[*at].is_none());
        missing.sort_unstable();
        let (from, wanted) = self.wanted(&missing)?;
        let mut rest = &wanted[..];
        while !rest.is_empty() {
            let (together, after) = rest.split_at(within_bound(rest));
            let is_too_much = waiting == Waiting::Never && !after.is_empty();
            if is_too_much || !self.read_together(&from, together, waiting, &mut found)? {
                return Ok(None);
            }
            rest = after;
        }
        // All blocks asked for were read; a full block has a body in each place.
        let whole = numbers.iter().zip(found);
        let whole = whole.map(|(number, body)| body.ok_or(BodyError::Unknown(*number)));
        whole.collect::<Result<_, _>>().map(Some)
    }

    /// The blocks of bodies, which ascend, each once.
    fn wanted<'a>(&self, missing: &'a [(BodyNumber, usize)]) -> Result<(Places, Vec<Wanted<'a>>), BodyError> {
        let of_blocks = missing.chunk_by(|(one, _), (next, _)| split(*one).0 == split(*next).0);
        let of_blocks: Vec<&[(BodyNumber, usize)]> = of_blocks.collect();
        let blocks: Vec<u32> = of_blocks.iter().map(|bodies| split(bodies[0].0).0).collect();
        let from = self.shared.find(&blocks);
        let mut wanted = Vec::with_capacity(blocks.len());
        for (place, bodies) in of_blocks.into_iter().enumerate() {
            let (at, span) = from.spans[place].ok_or(BodyError::Unknown(bodies[0].0))?;
            wanted.push(Wanted {
                block: blocks[place],
                at,
                span,
                bodies,
            });
        }
        Ok((from, wanted))
    }

    /// Reads blocks, those at once that lie side by side, and unpacks what is wanted of them. Says whether that was done without
    /// waiting for what must not be waited for.
    fn read_together(
        &self,
        from: &Places,
        blocks: &[Wanted<'_>],
        waiting: Waiting,
        found: &mut [Option<Bytes>],
    ) -> Result<bool, BodyError> {
        let mut bytes = vec![0; blocks.iter().map(Wanted::bytes).sum()];
        let mut room = &mut bytes[..];
        for run in blocks.chunk_by(Wanted::is_followed_by) {
            let (into, after) = room.split_at_mut(run.iter().map(Wanted::bytes).sum());
            let read = self
                .shared
                .read_at(from.file.as_deref(), (run[0].block, run[0].at), into, waiting);
            if !read? {
                return Ok(false);
            }
            room = after;
        }
        let mut bytes = Bytes::from(bytes);
        let damaged = |block: u32, error: BlockError| self.shared.damaged(block, error.to_string());
        // Blocks side by side are read by who walks through many, and comes by once; those that are read alone may be asked for again.
        let (mut lone, mut many) = (Packed::default(), Packed::default());
        for run in blocks.chunk_by(Wanted::is_followed_by) {
            let packed = if run.len() == 1 { &mut lone } else { &mut many };
            for wanted in run {
                let block = Block::check(wanted.block, wanted.span.crc, bytes.split_to(wanted.bytes()));
                let block = block.map_err(|error| damaged(wanted.block, error))?;
                packed.add(wanted.block, block, wanted.bodies);
            }
        }
        let mut unpack = |packed: Packed| packed.unpack(found).map_err(|(block, error)| damaged(block, error));
        unpack(many)?;
        let lone = unpack(lone)?;
        if self.keeps {
            self.shared.keep(from.generation, lone);
        }
        Ok(true)
    }
}

impl Wanted<'_> {
    fn bytes(&self) -> usize {
        self.span.bytes as usize
    }

    fn is_followed_by(&self, next: &Wanted<'_>) -> bool {
        self.at + u64::from(self.span.bytes) == next.at
    }
}

impl Shared {
    /// Reads what lies from a block on.
    pub(super) fn read_exact(&self, file: Option<&File>, block: (u32, u64), bytes: &mut [u8]) -> Result<(), BodyError> {
        self.read_at(file, block, bytes, Waiting::ForDisk).map(drop)
    }

    /// The same. False where it would wait for what must not be waited for.
    fn read_at(
        &self,
        file: Option<&File>,
        (block, at): (u32, u64),
        bytes: &mut [u8],
        waiting: Waiting,
    ) -> Result<bool, BodyError> {
        // Blocks are in the index because they were written through this file.
        let file = file.ok_or_else(|| self.damaged(block, "the file is not open".to_owned()))?;
        if waiting == Waiting::Never {
            return Ok(read_from_memory(file, at, bytes).on("read", &self.path)?);
        }
        match file.read_exact_at(bytes, at) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(self.damaged(block, "the file is cut short".to_owned()))
            }
            read => Ok(read.map(|()| true).on("read", &self.path)?),
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

/// Fills `bytes` with what the system has in memory of the file at `at`. False where that is not all, or where it cannot tell.
fn read_from_memory(file: &File, at: u64, bytes: &mut [u8]) -> io::Result<bool> {
    let length = bytes.len();
    loop {
        match preadv2(file, &mut [IoSliceMut::new(bytes)], at, ReadWriteFlags::NOWAIT) {
            Ok(read) => return Ok(read == length),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

/// How many blocks at the front are in memory together while they are read.
fn within_bound(blocks: &[Wanted<'_>]) -> usize {
    let mut bytes = 0;
    let within = blocks.iter().take_while(|wanted| {
        bytes += u64::from(wanted.span.bytes);
        bytes <= READ_BYTES_MAX
    });
    within.count().max(1)
}
