//! Bodies that were found and are still packed. They are unpacked side by side into one allocation, for they are sent together.

use bytes::Bytes;

use super::BodyNumber;
use super::block::{Block, BlockError};
use super::cache::Piece;
use super::shared::split;

/// Bodies of one question.
#[derive(Default)]
pub(super) struct Packed {
    /// Each with its number.
    blocks: Vec<(u32, Block)>,
    bodies: Vec<Body>,
}

/// One of them.
struct Body {
    number: BodyNumber,
    /// Its place in the answer.
    at: usize,
    /// Which of the blocks it is in.
    block: usize,
    bytes: usize,
}

impl Packed {
    /// Adds bodies of the block `number`, each with its place in the answer.
    pub(super) fn add(&mut self, number: u32, block: Block, bodies: &[(BodyNumber, usize)]) {
        let of_block = self.blocks.len();
        let body = |(number, at): &(BodyNumber, usize)| {
            Some(Body {
                number: *number,
                at: *at,
                block: of_block,
                bytes: block.body_bytes(split(*number).1)?,
            })
        };
        self.bodies.extend(bodies.iter().filter_map(body));
        self.blocks.push((number, block));
    }

    /// Unpacks all of them into `answer`, and gives them in one piece. An error says which block could not be.
    pub(super) fn unpack(&self, answer: &mut [Option<Bytes>]) -> Result<Piece, (u32, BlockError)> {
        let mut room = vec![0; self.bodies.iter().map(|body| body.bytes).sum()];
        let mut rest = &mut room[..];
        for body in &self.bodies {
            let (into, after) = rest.split_at_mut(body.bytes);
            let (number, block) = &self.blocks[body.block];
            let unpacked = block.unpack(split(body.number).1, into);
            unpacked.map_err(|error| (*number, error))?;
            rest = after;
        }
        let bytes = Bytes::from(room);
        let mut end = 0;
        let ends = self.bodies.iter().map(|body| {
            let start = end;
            end += body.bytes;
            answer[body.at] = Some(bytes.slice(start..end));
            (body.number, end as u32)
        });
        Ok(Piece {
            ends: ends.collect(),
            bytes: bytes.clone(),
        })
    }
}
