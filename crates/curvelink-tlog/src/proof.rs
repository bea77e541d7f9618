//! Proofs checked: RFC 9162, sections 2.1.3.2 and 2.1.4.2.

use crate::hash::{EMPTY_ROOT, Hash, node_hash};
use crate::tree::TreeHead;

/// Whether `proof` shows that the leaf number `index` of the tree with `head` has the hash `leaf`.
///
/// Cost: one SHA-256 of 65 octets per hash of the proof, at most 64.
///
/// # Errors
///
/// [`Refuted`] for every other index, leaf, tree or proof.
pub fn check_inclusion(
    proof: &[Hash],
    leaf: Hash,
    index: u64,
    head: TreeHead,
) -> Result<(), Refuted> {
    if index >= head.size {
        return Err(Refuted);
    }
    let (mut at, mut last) = (index, head.size - 1);
    let mut root = leaf;
    for sibling in proof {
        if last == 0 {
            return Err(Refuted);
        }
        if at & 1 == 1 || at == last {
            root = node_hash(sibling, &root);
            // The last of an odd number has no neighbour: it goes up until it has one.
            // Not 0 here, so that this is a shift.
            let up = at.trailing_zeros();
            at >>= up;
            last >>= up;
        } else {
            root = node_hash(&root, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last == 0 && root == head.root {
        Ok(())
    } else {
        Err(Refuted)
    }
}

/// Whether `proof` shows that the tree with head `old` is the beginning of the one with head `new`.
///
/// The empty tree is the beginning of every tree, and needs no proof; nor do equal heads.
///
/// # Errors
///
/// [`Refuted`] for every other pair of trees or proof.
pub fn check_consistency(proof: &[Hash], old: TreeHead, new: TreeHead) -> Result<(), Refuted> {
    let holds = |holds: bool| if holds { Ok(()) } else { Err(Refuted) };
    if old.size == 0 || old.size == new.size {
        let known = if old.size == 0 { EMPTY_ROOT } else { new.root };
        let new_is_sound = new.size > 0 || new.root == EMPTY_ROOT;
        return holds(proof.is_empty() && old.root == known && new_is_sound);
    }
    if old.size > new.size {
        return Err(Refuted);
    }
    // An old tree of a power of two is a subtree of the new one: its root is where to start.
    let (start, rest) = if old.size.is_power_of_two() {
        (old.root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(Refuted)?;
        (*first, rest)
    };
    let up = (old.size - 1).trailing_ones();
    let (mut at, mut last) = ((old.size - 1) >> up, (new.size - 1) >> up);
    let (mut old_root, mut new_root) = (start, start);
    for sibling in rest {
        if last == 0 {
            return Err(Refuted);
        }
        if at & 1 == 1 || at == last {
            old_root = node_hash(sibling, &old_root);
            new_root = node_hash(sibling, &new_root);
            let up = at.trailing_zeros();
            at >>= up;
            last >>= up;
        } else {
            new_root = node_hash(&new_root, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    holds(last == 0 && old_root == old.root && new_root == new.root)
}

/// The proof does not show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not show it: the tree, the leaf or the proof is not what it should be")]
#[non_exhaustive]
pub struct Refuted;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{leaves, tree};
    use crate::tree::{prove_consistency, prove_inclusion, root_of};

    fn flip(hash: &mut Hash, bit: usize) {
        hash.0[bit / 8 % 32] ^= 1 << (bit % 8);
    }

    /// Every proof that differs from `proof` in one hash, or by a hash more or less.
    fn others(proof: &[Hash]) -> impl Iterator<Item = Vec<Hash>> {
        let altered = (0..proof.len()).map(|at| {
            let mut other = proof.to_vec();
            flip(&mut other[at], at * 37);
            other
        });
        let shorter = (0..proof.len()).map(|at| {
            let mut other = proof.to_vec();
            other.remove(at);
            other
        });
        let longer = (0..=proof.len()).map(|at| {
            let mut other = proof.to_vec();
            other.insert(at, EMPTY_ROOT);
            other
        });
        altered.chain(shorter).chain(longer)
    }

    #[test]
    fn every_inclusion_proof_holds_for_its_leaf_index_and_tree_only() {
        let leaves = leaves(40);
        let tree = tree(&leaves);
        let head = |size| TreeHead {
            size,
            root: root_of(&tree, size).expect("in memory"),
        };
        for size in 1..=40 {
            for index in 0..size {
                let leaf = leaves[index as usize];
                let proof = prove_inclusion(&tree, index, size).expect("in memory");
                let check =
                    |proof: &[Hash], leaf, index, head| check_inclusion(proof, leaf, index, head);
                assert_eq!(check(&proof, leaf, index, head(size)), Ok(()));
                for other in 0..=size {
                    let expected = if other == index { Ok(()) } else { Err(Refuted) };
                    assert_eq!(check(&proof, leaf, other, head(size)), expected, "{other}");
                }
                for other in (0..=40).filter(|other| *other != size) {
                    assert_eq!(check(&proof, leaf, index, head(other)), Err(Refuted));
                }
                let wrong = leaves[(index as usize + 1) % 40];
                assert_eq!(check(&proof, wrong, index, head(size)), Err(Refuted));
                for other in others(&proof) {
                    assert_eq!(
                        check(&other, leaf, index, head(size)),
                        Err(Refuted),
                        "{index} {size}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_consistency_proof_holds_for_its_two_trees_only() {
        let tree = tree(&leaves(40));
        let head = |size| TreeHead {
            size,
            root: root_of(&tree, size).expect("in memory"),
        };
        for new in 0..=40 {
            for old in 0..=new {
                let proof = prove_consistency(&tree, old, new).expect("in memory");
                assert_eq!(check_consistency(&proof, head(old), head(new)), Ok(()));
                for other in others(&proof) {
                    let checked = check_consistency(&other, head(old), head(new));
                    assert_eq!(checked, Err(Refuted), "{old} {new}");
                }
                for (mut older, mut newer) in [(head(old), head(new)); 8] {
                    let bit = (old * 41 + new) as usize;
                    flip(&mut older.root, bit);
                    assert_eq!(check_consistency(&proof, older, head(new)), Err(Refuted));
                    flip(&mut newer.root, bit);
                    let unseen = old == 0 && new > 0;
                    let checked = check_consistency(&proof, head(old), newer);
                    assert_eq!(checked.is_ok(), unseen, "nothing is known of it yet");
                }
                if old < new && old > 0 {
                    assert_eq!(
                        check_consistency(&proof, head(new), head(old)),
                        Err(Refuted)
                    );
                    let earlier = check_consistency(&proof, head(old - 1), head(new));
                    assert_eq!(earlier, Err(Refuted), "{old} {new}");
                }
            }
        }
    }

    #[test]
    fn sizes_and_indices_at_the_end_of_64_bits_are_refused_and_nothing_overflows() {
        let hashes = leaves(70);
        for size in [u64::MAX, 1 << 63, (1 << 63) + 1] {
            let head = TreeHead {
                size,
                root: hashes[0],
            };
            for index in [0, 1, size / 2, size - 2, size - 1, size, u64::MAX] {
                for length in [0, 1, 63, 64, 65, 70] {
                    assert!(check_inclusion(&hashes[..length], hashes[1], index, head).is_err());
                    let old = TreeHead {
                        size: index,
                        root: hashes[2],
                    };
                    if index != size {
                        assert!(check_consistency(&hashes[..length], old, head).is_err());
                    }
                }
            }
        }
    }
}
