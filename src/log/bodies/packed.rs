//! Bodies that were found and are still packed. They are unpacked side by side into one allocation, for they are sent together.

use bytes::Bytes;

use super::block::{Block, BlockError};

/// Bodies of one question.
#[derive(Default)]
pub(super) struct Packed {
    /// Each with its number.
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
    /// Adds bodies of the block `number`: each with its place in the answer, and in the block.
    pub(super) fn add(&mut self, number: u32, block: Block, bodies: impl Iterator<Item = (usize, usize)>) {
        let of_block = self.blocks.len();
        let body = |(at, place)| {
            Some(Body {
                at,
                block: of_block,
                place,
                bytes: block.body_bytes(place)?,
            })
        };
        self.bodies.extend(bodies.filter_map(body));
        self.blocks.push((number, block));
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
