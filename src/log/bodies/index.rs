//! Where the blocks of the body store lie, and their checksums: in memory, half a byte a body. A block on disk counts only with the
//! checksum that stands here, so what another store wrote in its place is never taken for it.

use super::super::fields::Fields;

/// Where the first block starts: after the head of the file.
pub(super) const FIRST_AT: u64 = 4_096;

/// Blocks between two whole offsets; those between are sums of lengths.
const STRIDE: usize = 16;

/// What is known of one block on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Its length, header included.
    pub bytes: u32,
    /// Its checksum.
    pub crc: u32,
}

/// The blocks on disk, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    spans: Vec<Span>,
    /// Where every [`STRIDE`]th block starts.
    offsets: Vec<u64>,
    /// Where the next block will start, less [`FIRST_AT`].
    length: u64,
}

impl Index {
    /// How many blocks there are.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Where the next block goes.
    pub(super) fn end(&self) -> u64 {
        FIRST_AT + self.length
    }

    pub(super) fn push(&mut self, span: Span) {
        if self.spans.len().is_multiple_of(STRIDE) {
            self.offsets.push(self.end());
        }
        self.spans.push(span);
        self.length += u64::from(span.bytes);
    }

    /// Where a block starts, and what is known of it.
    pub(super) fn find(&self, number: u32) -> Option<(u64, Span)> {
        let number = number as usize;
        let span = *self.spans.get(number)?;
        let stride = number / STRIDE;
        let between = &self.spans[stride * STRIDE..number];
        let skipped: u64 = between.iter().map(|span| u64::from(span.bytes)).sum();
        Some((self.offsets[stride] + skipped, span))
    }

    /// Appends its first `blocks` to a snapshot.
    pub(super) fn save(&self, blocks: u32, out: &mut Vec<u8>) {
        let spans = &self.spans[..blocks as usize];
        out.reserve(4 + 8 * spans.len());
        out.extend_from_slice(&blocks.to_le_bytes());
        for span in spans {
            out.extend_from_slice(&span.bytes.to_le_bytes());
            out.extend_from_slice(&span.crc.to_le_bytes());
        }
    }

    /// Reads what [`Index::save`] wrote.
    pub(super) fn load(fields: &mut Fields<'_>) -> Option<Index> {
        let count = fields.u32()? as usize;
        let bytes = fields.slice(count.checked_mul(8)?)?;
        let mut index = Index::default();
        index.spans.reserve_exact(count);
        for span in bytes.chunks_exact(8) {
            let mut span = Fields { rest: span };
            index.push(Span {
                bytes: span.u32()?,
                crc: span.u32()?,
            });
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(blocks: u32) -> Index {
        let mut index = Index::default();
        (0..blocks).for_each(|number| {
            index.push(Span {
                bytes: 100 + number,
                crc: number ^ 0xabcd,
            });
        });
        index
    }

    #[test]
    fn blocks_lie_one_after_the_other() {
        let index = index(200);
        let mut at = FIRST_AT;
        for number in 0..200 {
            let (found, span) = index.find(number).unwrap();
            assert_eq!((found, span.bytes, span.crc), (at, 100 + number, number ^ 0xabcd));
            at += u64::from(span.bytes);
        }
        assert_eq!(index.end(), at);
        assert_eq!(index.find(200), None);
    }

    #[test]
    fn what_was_saved_is_loaded_and_nothing_shorter() {
        let mut saved = Vec::new();
        index(200).save(130, &mut saved);
        assert_eq!(Index::load(&mut Fields { rest: &saved }), Some(index(130)));
        for length in 0..saved.len() {
            assert_eq!(Index::load(&mut Fields { rest: &saved[..length] }), None);
        }
    }
}
