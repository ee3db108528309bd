//! Bodies that were found and are still packed. They are unpacked side by side into one allocation, for they are sent together.

use bytes::Bytes;

use super::block::{Block, BlockError};

/// Bodies of one question.
#[derive(Default)]
pub(super) struct Packed {
    /// Each with its number, which none shares with the one before.
    blocks: Vec<(u32, Block)>,
    bodies: Vec<Body>,
}

/// One of them.
struct Body {
    /// Its place in the answer.
    at: usize,
    /// Which of the blocks it is in, and where there.
    block: usize,
    place: usize,
    bytes: usize,
}

impl Packed {
    /// Adds the body at `place` of block `number`, which `find` gives. Bodies of one block mostly come one after another: it is looked
    /// for once.
    pub(super) fn add(&mut self, at: usize, (number, place): (u32, usize), find: impl FnOnce() -> Option<Block>) {
        if self.blocks.last().is_none_or(|(last, _)| *last != number) {
            let Some(block) = find() else { return };
            self.blocks.push((number, block));
        }
        let block = self.blocks.len() - 1;
        if let Some(bytes) = self.blocks[block].1.body_bytes(place) {
            self.bodies.push(Body {
                at,
                block,
                place,
                bytes,
            });
        }
    }

    /// Unpacks all of them into `answer`. An error says which block could not be.
    pub(super) fn unpack(&self, answer: &mut [Option<Bytes>]) -> Result<(), (u32, BlockError)> {
        let mut room = vec![0; self.bodies.iter().map(|body| body.bytes).sum()];
        let mut rest = &mut room[..];
        for body in &self.bodies {
            let (into, after) = rest.split_at_mut(body.bytes);
            let (number, block) = &self.blocks[body.block];
            block.unpack(body.place, into).map_err(|error| (*number, error))?;
            rest = after;
        }
        let mut room = Bytes::from(room);
        for body in &self.bodies {
            answer[body.at] = Some(room.split_to(body.bytes));
        }
        Ok(())
    }
}
