//! Taking bodies out of the store. The file is written once more without them, beside the old one, and takes its place at one
//! stroke. It is the file that a fold makes which finds these bodies empty: a crash before the stroke costs no more than that fold's
//! work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use super::super::error::OnDisk;
use super::block::{Block, BlockError, Header};
use super::file;
use super::index::{Index, Span};
use super::shared::{Places, Shared, split};
use super::{BodyError, BodyNumber};

/// Takes bodies out of a store, on a thread that may wait. One call at a time.
#[derive(Clone, Debug)]
pub struct BodyEraser {
    pub(super) shared: Arc<Shared>,
}

impl BodyEraser {
    /// Makes these bodies empty: in memory, and in the file. When it returns they are handed out no more, but to who was reading
    /// already. Gives the bytes by which the file became smaller. Bodies that wait to be written for longer than `patience` are an
    /// error, and nothing is changed in the file then.
    pub fn erase(&self, numbers: &BTreeSet<BodyNumber>, patience: Duration) -> Result<u64, BodyError> {
        let shared = &self.shared;
        if !shared.settle(numbers, patience) {
            return Err(BodyError::Unwritten);
        }
        let written = shared.written_blocks();
        let mut blocks = BTreeMap::<u32, Vec<usize>>::new();
        for (block, place) in numbers.iter().map(|number| split(*number)) {
            if block < written {
                blocks.entry(block).or_default().push(place);
            }
        }
        if blocks.is_empty() {
            return Ok(0);
        }
        let path = file::partial(&shared.path);
        let mut copy = Copy {
            shared,
            file: file::create(&path)?,
            index: Index::default(),
            blocks: &blocks,
        };
        let copied = copy.up_to(written).and_then(|()| {
            // What was written meanwhile is little, and nothing is written while it is copied.
            let _writing = shared.writing();
            let before = shared.end();
            copy.up_to(shared.written_blocks())?;
            std::fs::rename(&path, &shared.path).on("rename", &path)?;
            let Copy { file, index, .. } = copy;
            let returned = before.saturating_sub(index.end());
            shared.replace(Arc::new(file), index, blocks.keys().copied());
            Ok(returned)
        });
        if copied.is_err() {
            // The next one begins by making it anew.
            let _ = std::fs::remove_file(&path);
        }
        copied
    }
}

/// The new file in the making.
struct Copy<'a> {
    shared: &'a Shared,
    file: File,
    index: Index,
    /// What is to be empty, by block.
    blocks: &'a BTreeMap<u32, Vec<usize>>,
}

impl Copy<'_> {
    /// Goes on to the block `end`.
    fn up_to(&mut self, end: u32) -> Result<(), BodyError> {
        while (self.index.len() as u32) < end {
            let number = self.index.len() as u32;
            let Places { file, spans, .. } = self.shared.find(&[number]);
            let damaged = |error: BlockError| self.shared.damaged(number, error.to_string());
            let (at, span) = spans.into_iter().flatten().next().ok_or(BodyError::Unwritten)?;
            let mut bytes = vec![0; span.bytes as usize];
            self.shared.read_exact(file.as_deref(), (number, at), &mut bytes)?;
            let mut block = Block::check(number, span.crc, bytes.into()).map_err(damaged)?;
            if let Some(places) = self.blocks.get(&number) {
                block = block.without(number, places).map_err(damaged)?;
            }
            let bytes = block.bytes();
            self.file
                .write_all_at(bytes, self.index.end())
                .on("write", &file::partial(&self.shared.path))?;
            self.index.push(Span {
                bytes: bytes.len() as u32,
                crc: Header::read(bytes).map_err(damaged)?.crc,
            });
        }
        Ok(())
    }
}
