//! Rows: a list that grows to millions of elements without ever being moved as a whole. A `Vec` that doubles would hold its elements
//! twice while it moves them, and up to half of it would lie empty afterwards; at ten million indicators both show.

use super::numbers::{Ahead, Numbers, Room};

/// Elements of one chunk. Where assertions are on, as in all tests, chunks are small, so that a small hub has several.
pub const CHUNK_ROWS: usize = if cfg!(debug_assertions) { 1 << 4 } else { 1 << 14 };

/// A list in chunks of one size. The first chunk grows as a `Vec` does, so that a small list stays small.
pub struct Rows<T> {
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows { chunks: Vec::new() }
    }
}

impl<T> Rows<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self.chunks.split_last() {
            None => 0,
            Some((last, full)) => full.len() * CHUNK_ROWS + last.len(),
        }
    }

    /// A chunk by its number. All but the last have one size.
    pub fn chunk(&self, number: usize) -> Option<&[T]> {
        self.chunks.get(number).map(Vec::as_slice)
    }

    /// The index of those, about `count`, for which `hash` gives any; `hash_of` gives the same for those.
    pub fn index(
        &self,
        count: usize,
        room: &mut Room,
        hash: impl Fn(u32, &T) -> Option<u64> + Sync,
        hash_of: impl Fn(&T) -> u64 + Sync,
    ) -> Numbers
    where
        T: Sync,
    {
        let hash = |number: usize, ahead: &mut Ahead| {
            let first = (number * CHUNK_ROWS) as u32;
            for (place, row) in (first..).zip(&self.chunks[number]) {
                if let Some(hash) = hash(place, row) {
                    ahead.push(hash, place);
                }
            }
        };
        Numbers::of((count, self.chunks.len()), room, hash, |place| hash_of(self.at(place)))
    }

    /// All chunks, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &[T]> {
        self.chunks.iter().map(Vec::as_slice)
    }

    /// The list of which these are the chunks; none where they are of other sizes.
    pub fn of_chunks(mut chunks: Vec<Vec<T>>) -> Option<Rows<T>> {
        if let Some((last, full)) = chunks.split_last_mut() {
            if full.iter().any(|chunk| chunk.len() != CHUNK_ROWS) || !(1..=CHUNK_ROWS).contains(&last.len()) {
                return None;
            }
            if !full.is_empty() {
                last.reserve_exact(CHUNK_ROWS - last.len());
            }
        }
        Some(Rows { chunks })
    }

    /// All of them in one list.
    pub fn into_vec(self) -> Vec<T> {
        self.chunks.into_iter().flatten().collect()
    }

    /// Adds one, and gives its place.
    pub fn push(&mut self, row: T) -> u32 {
        let place = self.len() as u32;
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_ROWS => chunk.push(row),
            last => {
                let mut chunk = Vec::with_capacity(if last.is_some() { CHUNK_ROWS } else { 0 });
                chunk.push(row);
                self.chunks.push(chunk);
            }
        }
        place
    }

    /// The one at a place, which must have come from [`Rows::push`].
    pub fn at(&self, place: u32) -> &T {
        &self.chunks[place as usize / CHUNK_ROWS][place as usize % CHUNK_ROWS]
    }

    /// The one at a place, if there is one.
    pub fn get(&self, place: u32) -> Option<&T> {
        self.chunks
            .get(place as usize / CHUNK_ROWS)?
            .get(place as usize % CHUNK_ROWS)
    }

    /// The one at a place, to be changed.
    pub fn at_mut(&mut self, place: u32) -> &mut T {
        &mut self.chunks[place as usize / CHUNK_ROWS][place as usize % CHUNK_ROWS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_places_over_the_ends_of_chunks_and_are_never_moved_after_the_first_chunk() {
        let mut rows = Rows::default();
        let count = 3 * CHUNK_ROWS as u32 + 1;
        let mut seventh_of_second = std::ptr::null();
        for number in 0..count {
            assert_eq!(rows.len(), number as usize);
            assert_eq!(rows.push(number), number);
            if number == CHUNK_ROWS as u32 + 7 {
                seventh_of_second = std::ptr::from_ref(rows.at(number));
            }
        }
        assert!((0..count).all(|number| *rows.at(number) == number));
        assert!(std::ptr::eq(rows.at(CHUNK_ROWS as u32 + 7), seventh_of_second));
        *rows.at_mut(count - 1) = 0;
        assert_eq!(*rows.at(count - 1), 0);
        assert!(
            rows.chunks
                .iter()
                .all(|chunk| chunk.capacity() == CHUNK_ROWS || chunk.len() < CHUNK_ROWS)
        );
    }
}
