//! The Merkle tree over the whole log, held small: one hash for each tile of 256 leaves and what stands above, half a
//! byte an entry or less. The leaves below are computed again from the entries when a proof needs them.

use super::merkle::{self, Edge, Hash};

/// The height of a tile.
const TILE_LEVEL: u32 = 8;
/// The leaves of a tile.
pub(super) const TILE_LEAVES: u64 = 1 << TILE_LEVEL;

/// The tree over all entries up to some size.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    /// The edge of the complete tiles.
    tiles_edge: Edge,
    /// The edge of the leaves after them. Kept apart, so that a node below a tile's root is hashed once.
    tail_edge: Edge,
    /// `levels[0]` holds the roots of complete tiles, `levels[n]` those of complete subtrees of `2^n` tiles.
    levels: Vec<Vec<Hash>>,
    /// The leaves after the last complete tile.
    tail: Vec<Hash>,
}

impl Tree {
    pub(super) fn size(&self) -> u64 {
        self.tiles_edge.size() + self.tail_edge.size()
    }

    pub(super) fn root(&self) -> Hash {
        self.tiles_edge.root_with(&self.tail_edge)
    }

    /// The roots of the complete tiles.
    pub(super) fn tiles(&self) -> &[Hash] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// The leaves after the last complete tile.
    pub(super) fn tail(&self) -> &[Hash] {
        &self.tail
    }

    pub(super) fn push(&mut self, leaf: Hash) {
        self.tail_edge.push(leaf);
        self.tail.push(leaf);
        if self.tail.len() as u64 == TILE_LEAVES {
            let tile = std::mem::take(&mut self.tail_edge).root();
            self.tail.clear();
            self.push_tile(tile);
        }
    }

    fn push_tile(&mut self, tile: Hash) {
        self.tiles_edge.push_subtree(tile, TILE_LEVEL);
        self.push_node(0, tile);
    }

    /// Continue with the complete tiles and the tail of an epoch, as its manifest has them. The tail that was there is
    /// the beginning of the first tile, so it is dropped.
    pub(super) fn extend(&mut self, tiles: &[Hash], tail: &[Hash]) {
        tiles.iter().for_each(|tile| self.push_tile(*tile));
        self.tail_edge = Edge::default();
        tail.iter().for_each(|leaf| self.tail_edge.push(*leaf));
        self.tail = tail.to_vec();
    }

    fn push_node(&mut self, level: usize, node: Hash) {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        let nodes = &mut self.levels[level];
        nodes.push(node);
        if let (0, [.., left, right]) = (nodes.len() % 2, nodes.as_slice()) {
            let above = merkle::node_hash(left, right);
            self.push_node(level + 1, above);
        }
    }

    /// The root of a complete subtree, if memory tells it: a tile or more, or leaves of the tail. Otherwise it is
    /// [`node_in_tile`] of the leaves of its tile.
    pub(super) fn node(&self, level: u32, index: u64) -> Option<Hash> {
        if let Some(height) = level.checked_sub(TILE_LEVEL) {
            return self.levels.get(height as usize)?.get(index as usize).copied();
        }
        let in_tail = (index << level) >> TILE_LEVEL == self.tiles().len() as u64;
        in_tail.then(|| node_in_tile(level, index, &self.tail))
    }
}

/// The root of a complete subtree smaller than a tile, from the leaves of its tile.
pub(super) fn node_in_tile(level: u32, index: u64, leaves: &[Hash]) -> Hash {
    let from = ((index << level) % TILE_LEAVES) as usize;
    merkle::root_of(&leaves[from..from + (1 << level)])
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count)
            .map(|number| merkle::leaf_hash(&number.to_be_bytes()))
            .collect()
    }

    #[test]
    fn proofs_from_tiles_verify_at_every_kind_of_size() {
        let leaves = leaves(2_000);
        let mut tree = Tree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        assert_eq!(tree.root(), merkle::root_of(&leaves));
        let mut node = |level: u32, index: u64| -> Result<Hash, Infallible> {
            let tile = ((index << level) / TILE_LEAVES * TILE_LEAVES) as usize;
            Ok(tree
                .node(level, index)
                .unwrap_or_else(|| node_in_tile(level, index, &leaves[tile..])))
        };
        for size in [1, 2, 255, 256, 257, 512, 700, 1024, 1025, 1999, 2000u64] {
            let root = merkle::root_of(&leaves[..size as usize]);
            for index in [0, 1, size / 2, size - 1] {
                let index = index.min(size - 1);
                let path = merkle::inclusion_path(index, size, &mut node).unwrap();
                assert!(merkle::verify_inclusion(
                    &leaves[index as usize],
                    index,
                    size,
                    &path,
                    &root
                ));
            }
            let path = merkle::consistency_path(size, 2_000, &mut node).unwrap();
            assert!(merkle::verify_consistency(
                size,
                2_000,
                &root,
                &merkle::root_of(&leaves),
                &path
            ));
        }
    }

    #[test]
    fn a_tree_continued_from_tiles_equals_one_built_from_leaves() {
        let leaves = leaves(1_100);
        let mut whole = Tree::default();
        leaves.iter().for_each(|leaf| whole.push(*leaf));
        let mut parts = Tree::default();
        leaves[..300].iter().for_each(|leaf| parts.push(*leaf));
        parts.extend(&whole.tiles()[1..], whole.tail());
        assert_eq!((parts.root(), parts.size()), (whole.root(), whole.size()));
        assert_eq!(parts.levels, whole.levels);
    }
}
