//! Bodies that were found and are still packed. They are unpacked side by side into one allocation, for they are sent together.

use bytes::Bytes;

use super::block::{Block, BlockError};

/// Bodies of one question: in which place of the answer each goes, its block, and its place there.
#[derive(Default)]
pub(super) struct Packed {
    bodies: Vec<(usize, Block, usize)>,
}

impl Packed {
    pub(super) fn add(&mut self, at: usize, block: Block, place: usize) {
        self.bodies.push((at, block, place));
    }

    /// Unpacks all of them into `answer`. An error says which could not be.
    pub(super) fn unpack(&self, answer: &mut [Option<Bytes>]) -> Result<(), (usize, BlockError)> {
        let length =
            |(at, block, place): &(usize, Block, usize)| block.body_bytes(*place).ok_or((*at, BlockError::Lengths));
        let lengths = self.bodies.iter().map(length).collect::<Result<Vec<usize>, _>>()?;
        let mut room = vec![0; lengths.iter().sum()];
        let mut rest = &mut room[..];
        for ((at, block, place), length) in self.bodies.iter().zip(&lengths) {
            let (into, after) = rest.split_at_mut(*length);
            block.unpack(*place, into).map_err(|error| (*at, error))?;
            rest = after;
        }
        let mut room = Bytes::from(room);
        for ((at, _, _), length) in self.bodies.iter().zip(lengths) {
            answer[*at] = Some(room.split_to(length));
        }
        Ok(())
    }
}
