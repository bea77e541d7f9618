//! A whole tree in memory: for batches and tests.

use crate::hash::{Hash, node_hash};
use crate::tree::HashReader;

/// Every complete subtree of a tree, 64 octets per leaf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryTree {
    levels: Vec<Vec<Hash>>,
}

impl MemoryTree {
    /// Adds a leaf hash, and the subtrees that it completes.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else {
                return;
            };
            hashes.push(hash);
            // A pair is whole with its second half; the next level then has one more.
            match hashes.as_slice() {
                [.., left, right] if hashes.len().is_multiple_of(2) => {
                    hash = node_hash(left, right)
                }
                _ => return,
            }
        }
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }
}

impl HashReader for MemoryTree {
    type Error = NotInTree;

    fn hash(&self, level: u8, index: u64) -> Result<Hash, NotInTree> {
        let index = usize::try_from(index).map_err(|_| NotInTree)?;
        self.levels
            .get(usize::from(level))
            .and_then(|hashes| hashes.get(index))
            .copied()
            .ok_or(NotInTree)
    }
}

/// The tree is smaller than what was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tree in memory has no such subtree")]
#[non_exhaustive]
pub struct NotInTree;
