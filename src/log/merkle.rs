//! The Merkle tree of RFC 6962: leaf and node hashes, the growing edge, inclusion and consistency proofs, and their
//! verification. Pure: it owns no nodes and reads no files; whoever asks for a proof hands in a way to look up nodes.
//!
//! Source: RFC 6962 section 2.1 (hash tree, paths, proofs); RFC 9162 sections 2.1.3.2 and 2.1.4.2 (verification).

use sha2::{Digest, Sha256};

use crate::domain::sha256::sha256_of_short;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf's content: `SHA-256(0x00 ‖ content)`.
pub fn leaf_hash(content: &[u8]) -> Hash {
    match <&Hash>::try_from(content) {
        // All that the log has.
        Ok(commitment) => {
            let mut bytes = [0x00; 33];
            bytes[1..].copy_from_slice(commitment);
            sha256_of_short(&bytes)
        }
        Err(_) => Sha256::new()
            .chain_update([0x00])
            .chain_update(content)
            .finalize()
            .into(),
    }
}

/// The hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0x01; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    sha256_of_short(&bytes)
}

/// The root of the tree without leaves: the hash of the empty string.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The root over leaf hashes, by the recursive definition. For tests and small sets: it visits every leaf.
pub fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split_point(leaves.len() as u64) as usize);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// The growing right edge of a tree: the roots of its complete subtrees, largest first, at most 64 of them.
/// Appending a leaf costs two hashes on average, the root at most 64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    peaks: Vec<Hash>,
}

impl Edge {
    /// How many leaves were pushed.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Append one leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        self.push_subtree(leaf, 0);
    }

    /// Append a complete subtree of `2^level` leaves.
    ///
    /// The size must be a multiple of `2^level`; otherwise the result would be another tree than RFC 6962 defines.
    pub fn push_subtree(&mut self, root: Hash, level: u32) {
        debug_assert!(
            self.size.is_multiple_of(1 << level),
            "a subtree must start at a multiple of its own size"
        );
        let mut merged = root;
        let mut position = self.size >> level;
        while position & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            merged = node_hash(&left, &merged);
            position >>= 1;
        }
        self.peaks.push(merged);
        self.size += 1 << level;
    }

    /// The Merkle root over everything pushed.
    pub fn root(&self) -> Hash {
        root_of_peaks(self.peaks.iter().rev())
    }

    /// The root over everything pushed here and then to `after`, which must be smaller than any subtree pushed here.
    pub fn root_with(&self, after: &Edge) -> Hash {
        root_of_peaks(after.peaks.iter().rev().chain(self.peaks.iter().rev()))
    }
}

/// The root over complete subtrees, the last one first.
fn root_of_peaks<'a>(mut peaks: impl Iterator<Item = &'a Hash>) -> Hash {
    let Some(last) = peaks.next() else { return empty_root() };
    peaks.fold(*last, |right, left| node_hash(left, &right))
}

/// Looks up the root of the complete subtree `index` at `level`: the one over leaves
/// `index << level .. (index + 1) << level`.
pub type NodeLookup<'a, E> = dyn FnMut(u32, u64) -> Result<Hash, E> + 'a;

/// The root over the leaves `from..to`, which must be a range that RFC 6962's recursion visits.
pub fn range_root<E>(from: u64, to: u64, node: &mut NodeLookup<'_, E>) -> Result<Hash, E> {
    let count = to - from;
    if count == 0 {
        return Ok(empty_root());
    }
    if count.is_power_of_two() && from.is_multiple_of(count) {
        let level = count.trailing_zeros();
        return node(level, from >> level);
    }
    let middle = from + split_point(count);
    let left = range_root(from, middle, node)?;
    let right = range_root(middle, to, node)?;
    Ok(node_hash(&left, &right))
}

/// The audit path of leaf `index` in the tree of the first `size` leaves, leaf's sibling first: RFC 6962 `PATH`.
/// `index` must be below `size`.
pub fn inclusion_path<E>(index: u64, size: u64, node: &mut NodeLookup<'_, E>) -> Result<Vec<Hash>, E> {
    let (mut from, mut to) = (0, size);
    let mut siblings = Vec::new();
    while to - from > 1 {
        let middle = from + split_point(to - from);
        if index < middle {
            siblings.push((middle, to));
            to = middle;
        } else {
            siblings.push((from, middle));
            from = middle;
        }
    }
    siblings
        .iter()
        .rev()
        .map(|(from, to)| range_root(*from, *to, node))
        .collect()
}

/// The proof that the tree of the first `new` leaves extends that of the first `old`: RFC 6962 `PROOF`.
/// `old` must not be above `new`. The proof is empty when `old` is 0 or equals `new`.
pub fn consistency_path<E>(old: u64, new: u64, node: &mut NodeLookup<'_, E>) -> Result<Vec<Hash>, E> {
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut from, mut to) = (0, new);
    let mut parts = Vec::new();
    // `whole` says that the old tree is exactly the subtree looked at, whose root the verifier then knows already.
    let mut whole = true;
    while old != to {
        let middle = from + split_point(to - from);
        if old <= middle {
            parts.push((middle, to));
            to = middle;
        } else {
            parts.push((from, middle));
            from = middle;
            whole = false;
        }
    }
    if !whole {
        parts.push((from, to));
    }
    parts
        .iter()
        .rev()
        .map(|(from, to)| range_root(*from, *to, node))
        .collect()
}

/// Whether `path` proves that `leaf` is leaf `index` of the tree of `size` leaves with `root`.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut position, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if position & 1 == 1 || position == last {
            hash = node_hash(sibling, &hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `path` proves that the tree of `new` leaves with `new_root` extends that of `old` leaves with `old_root`.
pub fn verify_consistency(old: u64, new: u64, old_root: &Hash, new_root: &Hash, path: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty() && *old_root == empty_root();
    }
    // A complete old tree is a node of the new one, and its root, which the verifier holds, is left out of the path.
    let (start, rest) = if old.is_power_of_two() {
        (old_root, path)
    } else {
        let Some((first, rest)) = path.split_first() else {
            return false;
        };
        (first, rest)
    };
    let (mut position, mut last) = (old - 1, new - 1);
    while position & 1 == 1 {
        position >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*start, *start);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if position & 1 == 1 || position == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

/// The largest power of two below `count`, which must be at least 2.
fn split_point(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// The leaves and roots of certificate-transparency's reference test (merkletree/merkle_tree_test.cc).
    const REFERENCE_LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const REFERENCE_ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    fn reference_leaves() -> Vec<Hash> {
        REFERENCE_LEAVES.iter().map(|leaf| leaf_hash(&unhex(leaf))).collect()
    }

    fn numbered_leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    fn lookup(leaves: &[Hash]) -> impl FnMut(u32, u64) -> Result<Hash, Infallible> + '_ {
        |level, index| {
            Ok(root_of(
                &leaves[(index << level) as usize..((index + 1) << level) as usize],
            ))
        }
    }

    #[test]
    fn roots_match_the_reference_vectors() {
        assert_eq!(
            empty_root().to_vec(),
            unhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        );
        let leaves = reference_leaves();
        let mut edge = Edge::default();
        for (size, expected) in REFERENCE_ROOTS.iter().enumerate() {
            edge.push(leaves[size]);
            assert_eq!(edge.root().to_vec(), unhex(expected), "size {}", size + 1);
            assert_eq!(root_of(&leaves[..=size]).to_vec(), unhex(expected), "size {}", size + 1);
        }
    }

    #[test]
    fn inclusion_paths_match_the_reference_vectors() {
        let leaves = reference_leaves();
        let path = |index, size| inclusion_path(index, size, &mut lookup(&leaves)).unwrap();
        assert!(path(0, 1).is_empty());
        let expected = [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ];
        assert_eq!(path(0, 8), expected.map(|hash| <Hash>::try_from(unhex(hash)).unwrap()));
    }

    #[test]
    fn consistency_paths_match_the_reference_vectors() {
        let leaves = reference_leaves();
        let path = |old, new| consistency_path(old, new, &mut lookup(&leaves)).unwrap();
        assert!(path(1, 1).is_empty());
        let expected = [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ];
        assert_eq!(path(6, 8), expected.map(|hash| <Hash>::try_from(unhex(hash)).unwrap()));
    }

    #[test]
    fn every_inclusion_proof_verifies_and_no_altered_one_does() {
        let leaves = numbered_leaves(40);
        for size in 1..=40u64 {
            let root = root_of(&leaves[..size as usize]);
            for index in 0..size {
                let path = inclusion_path(index, size, &mut lookup(&leaves)).unwrap();
                let leaf = &leaves[index as usize];
                assert!(verify_inclusion(leaf, index, size, &path, &root));
                assert!(!verify_inclusion(&leaf_hash(b"other"), index, size, &path, &root));
                assert!(!verify_inclusion(leaf, size, size, &path, &root));
                if size > 1 {
                    assert!(!verify_inclusion(leaf, (index + 1) % size, size, &path, &root));
                    assert!(!verify_inclusion(leaf, index, size, &path[1..], &root));
                }
                let longer: Vec<Hash> = path.iter().copied().chain([root]).collect();
                assert!(!verify_inclusion(leaf, index, size, &longer, &root));
            }
        }
    }

    #[test]
    fn every_consistency_proof_verifies_and_no_altered_one_does() {
        let leaves = numbered_leaves(40);
        let other = leaf_hash(b"other");
        for new in 0..=40u64 {
            let new_root = root_of(&leaves[..new as usize]);
            for old in 0..=new {
                let old_root = root_of(&leaves[..old as usize]);
                let path = consistency_path(old, new, &mut lookup(&leaves)).unwrap();
                assert!(
                    verify_consistency(old, new, &old_root, &new_root, &path),
                    "{old} -> {new}"
                );
                assert!(!verify_consistency(old, new, &other, &new_root, &path));
                if old > 0 {
                    assert!(!verify_consistency(old, new, &old_root, &other, &path));
                }
                if !path.is_empty() {
                    assert!(!verify_consistency(old, new, &old_root, &new_root, &path[1..]));
                }
            }
        }
    }

    #[test]
    fn an_edge_built_from_subtrees_equals_one_built_from_leaves() {
        let leaves = numbered_leaves(100);
        let mut by_leaf = Edge::default();
        leaves.iter().for_each(|leaf| by_leaf.push(*leaf));
        let mut by_subtree = Edge::default();
        leaves
            .chunks_exact(8)
            .for_each(|tile| by_subtree.push_subtree(root_of(tile), 3));
        leaves[96..].iter().for_each(|leaf| by_subtree.push(*leaf));
        assert_eq!(by_leaf, by_subtree);
    }
}
