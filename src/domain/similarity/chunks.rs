//! A list that grows without moving what it holds: a vector of a hundred megabytes that doubles would stop everything while it
//! copies, and hold half of its room for nothing. Refuses to shrink.

/// Items of one chunk.
const CHUNK_ITEMS: usize = 1 << 10;

/// The list.
pub(super) struct Chunks<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Chunks {
            chunks: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Chunks<T> {
    /// How many items it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: T) {
        if self.len.is_multiple_of(CHUNK_ITEMS) {
            // The first chunk grows from nothing, for most lists stay short; all others are made whole.
            let room = if self.len == 0 { 0 } else { CHUNK_ITEMS };
            self.chunks.push(Vec::with_capacity(room));
        }
        self.chunks[self.len / CHUNK_ITEMS].push(item);
        self.len += 1;
    }

    /// The item at `place`, which must be below the length.
    #[inline]
    pub fn at(&self, place: usize) -> &T {
        &self.chunks[place / CHUNK_ITEMS][place % CHUNK_ITEMS]
    }

    /// The same, to change it.
    pub fn at_mut(&mut self, place: usize) -> &mut T {
        &mut self.chunks[place / CHUNK_ITEMS][place % CHUNK_ITEMS]
    }

    /// All items, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }
}
