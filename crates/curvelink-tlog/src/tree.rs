//! Roots and proofs of a tree whose complete subtrees can be looked up (RFC 6962, section 2.1).

use std::convert::Infallible;

use crate::hash::{EMPTY_ROOT, Hash, node_hash};

/// What a checkpoint commits to: how many leaves, and the hash over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(
    clippy::exhaustive_structs,
    reason = "size and root are all that a tree head is"
)]
pub struct TreeHead {
    /// The number of leaves.
    pub size: u64,
    /// The root; [`EMPTY_ROOT`] for a tree without leaves.
    pub root: Hash,
}

/// Where the hashes of a tree are kept.
pub trait HashReader {
    /// Why a hash cannot be had.
    type Error;

    /// The hash of the complete subtree over the leaves `index << level .. (index + 1) << level`.
    /// Level 0 are the leaf hashes themselves.
    ///
    /// A root, proof or frontier of a tree of `size` leaves asks only for subtrees within `size`,
    /// and for at most 2 * 64 of them.
    ///
    /// # Errors
    ///
    /// Whatever stands in the way; the caller of what asked gets it back.
    fn hash(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

impl<R: HashReader + ?Sized> HashReader for &R {
    type Error = R::Error;

    fn hash(&self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        (**self).hash(level, index)
    }
}

/// The root of the first `size` leaves.
///
/// # Errors
///
/// What `reader` says.
pub fn root_of<R: HashReader>(reader: &R, size: u64) -> Result<Hash, R::Error> {
    range_root(reader, 0, size)
}

/// The hashes beside the way from leaf `index` up to the root of the first `size` leaves, the
/// leaf's neighbour first (RFC 6962, section 2.1.1).
///
/// # Errors
///
/// [`ProveError::OutOfRange`] unless `index < size`, otherwise what `reader` says.
pub fn prove_inclusion<R: HashReader>(
    reader: &R,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, ProveError<R::Error>> {
    if index >= size {
        return Err(ProveError::OutOfRange);
    }
    let mut proof = Vec::new();
    let (mut low, mut high) = (0, size);
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            proof.push(range_root(reader, middle, high)?);
            high = middle;
        } else {
            proof.push(range_root(reader, low, middle)?);
            low = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// What shows that the first `old` leaves are the beginning of the first `new` (RFC 6962, section
/// 2.1.2). It is empty where `old` is 0 or `new`.
///
/// # Errors
///
/// [`ProveError::OutOfRange`] unless `old <= new`, otherwise what `reader` says.
pub fn prove_consistency<R: HashReader>(
    reader: &R,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, ProveError<R::Error>> {
    if old > new {
        return Err(ProveError::OutOfRange);
    }
    let mut proof = Vec::new();
    if old == 0 {
        return Ok(proof);
    }
    let (mut low, mut high) = (0, new);
    while old < high {
        let middle = low + split(high - low);
        if old <= middle {
            proof.push(range_root(reader, middle, high)?);
            high = middle;
        } else {
            proof.push(range_root(reader, low, middle)?);
            low = middle;
        }
    }
    // Whoever checks knows the old root; a part of it must be told.
    if low > 0 {
        proof.push(range_root(reader, low, high)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The hash over the leaves `low..high`, where the recursion of RFC 6962 leads there: `low` is a
/// multiple of every power of two up to `high - low`.
fn range_root<R: HashReader>(reader: &R, low: u64, high: u64) -> Result<Hash, R::Error> {
    let mut subtrees = Vec::with_capacity(64);
    for (level, index) in complete_subtrees(low, high) {
        subtrees.push(reader.hash(level, index)?);
    }
    Ok(fold(subtrees.into_iter().rev()))
}

/// The complete subtrees of `low..high`, the greatest first.
pub(crate) fn complete_subtrees(low: u64, high: u64) -> impl Iterator<Item = (u8, u64)> {
    let length = high - low;
    (0..64_u8)
        .rev()
        .filter(move |level| length >> level & 1 == 1)
        .map(move |level| {
            // What comes before is the greater subtrees: the bits of the length above this one.
            let before = length.checked_shr(u32::from(level) + 1).unwrap_or(0) << 1;
            (level, (low >> level) + before)
        })
}

/// The root over neighbouring subtrees, the last and smallest of them first.
pub(crate) fn fold(mut smallest_first: impl Iterator<Item = Hash>) -> Hash {
    let Some(last) = smallest_first.next() else {
        return EMPTY_ROOT;
    };
    smallest_first.fold(last, |right, left| node_hash(&left, &right))
}

/// The greatest power of two below `length`, which is at least 2.
fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}

/// A proof cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProveError<E = Infallible> {
    /// The tree is not that large.
    #[error("no such proof: the leaf or tree asked for lies beyond the tree that it is to be in")]
    OutOfRange,
    /// A hash cannot be had.
    #[error("a hash of the tree cannot be read: {0}")]
    Reader(#[from] E),
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::hash::leaf_hash;
    use crate::memory::MemoryTree;

    /// The definitions of RFC 6962 word for word, over all leaves.
    pub(crate) fn naive_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => EMPTY_ROOT,
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(naive_split(leaves.len()));
                node_hash(&naive_root(left), &naive_root(right))
            }
        }
    }

    fn naive_split(length: usize) -> usize {
        let mut k = 1;
        while 2 * k < length {
            k *= 2;
        }
        k
    }

    fn naive_inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let k = naive_split(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut proof, sibling) = if index < k {
            (naive_inclusion(index, left), right)
        } else {
            (naive_inclusion(index - k, right), left)
        };
        proof.push(naive_root(sibling));
        proof
    }

    fn naive_consistency(old: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
        if old == leaves.len() {
            return if known {
                Vec::new()
            } else {
                vec![naive_root(leaves)]
            };
        }
        let k = naive_split(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut proof, sibling) = if old <= k {
            (naive_consistency(old, left, known), right)
        } else {
            (naive_consistency(old - k, right, false), left)
        };
        proof.push(naive_root(sibling));
        proof
    }

    pub(crate) fn leaves(count: usize) -> Vec<Hash> {
        (0..count)
            .map(|number| leaf_hash(number.to_string().as_bytes()))
            .collect()
    }

    pub(crate) fn tree(leaves: &[Hash]) -> MemoryTree {
        let mut tree = MemoryTree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        tree
    }

    #[test]
    fn roots_of_every_size_are_those_of_the_definition() {
        let leaves = leaves(2_000);
        let tree = tree(&leaves);
        for size in 0..=2_000 {
            let expected = naive_root(&leaves[..size]);
            assert_eq!(root_of(&tree, size as u64), Ok(expected), "{size}");
        }
        assert!(root_of(&tree, 2_001).is_err());
    }

    #[test]
    fn every_proof_of_small_trees_is_that_of_the_definition() {
        let leaves = leaves(70);
        let tree = tree(&leaves);
        for size in 1..=70 {
            for index in 0..size {
                let expected = naive_inclusion(index, &leaves[..size]);
                let proof = prove_inclusion(&tree, index as u64, size as u64);
                assert_eq!(proof, Ok(expected), "{index} in {size}");
            }
            for old in 1..=size {
                let expected = naive_consistency(old, &leaves[..size], true);
                let proof = prove_consistency(&tree, old as u64, size as u64);
                assert_eq!(proof, Ok(expected), "{old} in {size}");
            }
        }
    }

    #[test]
    fn what_the_tree_has_not_cannot_be_proven() {
        let tree = tree(&leaves(5));
        assert_eq!(prove_inclusion(&tree, 5, 5), Err(ProveError::OutOfRange));
        assert_eq!(prove_inclusion(&tree, 0, 0), Err(ProveError::OutOfRange));
        assert_eq!(prove_consistency(&tree, 6, 5), Err(ProveError::OutOfRange));
        assert!(matches!(
            prove_inclusion(&tree, 0, 6),
            Err(ProveError::Reader(_))
        ));
        assert!(matches!(
            prove_consistency(&tree, 5, 6),
            Err(ProveError::Reader(_))
        ));
        assert_eq!(prove_consistency(&tree, 0, 5), Ok(vec![]));
    }

    #[test]
    fn sizes_of_64_bits_are_cut_into_their_subtrees() {
        let subtrees: Vec<_> = complete_subtrees(0, u64::MAX).collect();
        assert_eq!(subtrees.len(), 64);
        assert_eq!(subtrees.first(), Some(&(63, 0)));
        assert_eq!(subtrees.last(), Some(&(0, u64::MAX - 1)));
        assert_eq!(split(u64::MAX), 1 << 63);
    }
}
