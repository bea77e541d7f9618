//! A tree that grows, kept as its right edge: at most 64 hashes, however many leaves.

use crate::hash::Hash;
use crate::hash::node_hash;
use crate::tree::{HashReader, TreeHead, complete_subtrees, fold};

/// Beyond any log; below it, sums of sizes do not overflow.
const MAX_SIZE: u64 = 1 << 62;

/// The complete subtrees along the right edge of a tree, the greatest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    edge: Vec<Hash>,
}

impl Frontier {
    /// A frontier of `size` leaves whose right edge is `edge`: the hashes of the subtrees that
    /// [`Self::subtrees`] names, in that order.
    ///
    /// # Errors
    ///
    /// [`InvalidFrontier`] unless `edge` has a hash for each 1 in the binary form of `size`, and
    /// `size` is below 2^62. Whether the hashes are right, only a root can tell.
    pub fn restore(size: u64, edge: Vec<Hash>) -> Result<Self, InvalidFrontier> {
        if size >= MAX_SIZE || edge.len() as u64 != u64::from(size.count_ones()) {
            return Err(InvalidFrontier);
        }
        Ok(Self { size, edge })
    }

    /// The frontier of the first `size` leaves of what `reader` has; none for a size of 2^62 and
    /// more.
    ///
    /// # Errors
    ///
    /// What `reader` says.
    pub fn read<R: HashReader>(reader: &R, size: u64) -> Result<Option<Self>, R::Error> {
        let edge: Result<Vec<_>, _> = Self::subtrees(size)
            .map(|(level, index)| reader.hash(level, index))
            .collect();
        Ok(Self::restore(size, edge?).ok())
    }

    /// Level and index of each hash along the right edge of a tree of `size` leaves.
    pub fn subtrees(size: u64) -> impl Iterator<Item = (u8, u64)> {
        complete_subtrees(0, size)
    }

    /// Adds a leaf hash and gives `completed` each subtree that is whole with it: level, index
    /// and hash, first the leaf itself at level 0, then its ancestors upwards.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(u8, u64, Hash)) {
        let mut hash = leaf;
        let mut index = self.size;
        let mut level = 0;
        completed(level, index, hash);
        while index & 1 == 1 {
            let Some(left) = self.edge.pop() else { break };
            hash = node_hash(&left, &hash);
            index >>= 1;
            level += 1;
            completed(level, index, hash);
        }
        self.edge.push(hash);
        self.size += 1;
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes along the right edge, the greatest subtree first.
    pub fn edge(&self) -> &[Hash] {
        &self.edge
    }

    /// The root over all leaves so far.
    pub fn root(&self) -> Hash {
        fold(self.edge.iter().rev().copied())
    }

    /// Size and root.
    pub fn head(&self) -> TreeHead {
        TreeHead {
            size: self.size,
            root: self.root(),
        }
    }
}

/// The hashes are not the right edge of a tree of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the right edge of the tree does not have the hashes that its size asks for")]
#[non_exhaustive]
pub struct InvalidFrontier;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::hash::EMPTY_ROOT;
    use crate::tree::root_of;
    use crate::tree::tests::{leaves, naive_root, tree};

    #[test]
    fn each_size_has_the_root_of_the_definition_and_comes_back_from_its_edge() {
        let leaves = leaves(2_000);
        let mut frontier = Frontier::default();
        let mut subtrees = HashMap::new();
        assert_eq!(frontier.root(), EMPTY_ROOT);
        for (count, leaf) in leaves.iter().enumerate() {
            frontier.push(*leaf, |level, index, hash| {
                assert_eq!(subtrees.insert((level, index), hash), None, "told once");
            });
            let size = count as u64 + 1;
            let root = naive_root(&leaves[..=count]);
            assert_eq!(frontier.head(), TreeHead { size, root });
            let edge: Vec<_> = Frontier::subtrees(size).map(|at| subtrees[&at]).collect();
            assert_eq!(Frontier::restore(size, edge).as_ref(), Ok(&frontier));
        }
        let whole = tree(&leaves);
        assert_eq!(Frontier::read(&whole, 2_000), Ok(Some(frontier.clone())));
        assert_eq!(root_of(&whole, 2_000), Ok(frontier.root()));
        for (at, hash) in subtrees {
            assert_eq!(whole.hash(at.0, at.1), Ok(hash), "{at:?}");
        }
    }

    #[test]
    fn an_edge_of_another_length_or_a_size_beyond_all_logs_is_refused() {
        let edge = leaves(64);
        assert!(Frontier::restore(5, edge[..2].to_vec()).is_ok());
        for (size, length) in [(5, 1), (5, 3), (0, 1), (1 << 62, 1), (u64::MAX, 64)] {
            let refused = Frontier::restore(size, edge[..length].to_vec());
            assert_eq!(refused, Err(InvalidFrontier), "{size}");
        }
    }
}
