//! Line numbers from byte offsets, for readers that know only the latter. Counts as it goes, so a file is scanned once.

/// Where a reader stands in a text.
pub(super) struct LineCounter<'t> {
    text: &'t str,
    offset: usize,
    line: u64,
}

impl<'t> LineCounter<'t> {
    pub(super) fn new(text: &'t str) -> LineCounter<'t> {
        LineCounter {
            text,
            offset: 0,
            line: 1,
        }
    }

    /// The line of a byte offset, from 1. Offsets must not go back: one that does gets the line already reached.
    pub(super) fn at(&mut self, offset: u64) -> u64 {
        let offset = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .clamp(self.offset, self.text.len());
        self.line += newlines(&self.text.as_bytes()[self.offset..offset]);
        self.offset = offset;
        self.line
    }

    /// The line of the first byte at or after the offset that is no line break: where a record begins whose reader
    /// stopped inside a CR LF.
    pub(super) fn at_record(&mut self, offset: u64) -> u64 {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        let breaks = self.text.as_bytes()[start..]
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        self.at((start + breaks) as u64)
    }
}

pub(super) fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
