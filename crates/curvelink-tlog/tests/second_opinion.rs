//! Trees and proofs held against somebody else's implementation of RFC 6962, and against answers
//! that have been known for long.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use curvelink_tlog::{
    Frontier, Hash, HashReader, MemoryTree, TreeHead, check_consistency, check_inclusion,
    leaf_hash, prove_consistency, prove_inclusion, root_of,
};
use sha2_11::Sha256;

type TheirRoot = RootHash<Sha256>;

fn octets(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn hashes(octets: &[u8]) -> Vec<Hash> {
    octets
        .as_chunks::<32>()
        .0
        .iter()
        .copied()
        .map(Hash)
        .collect()
}

fn entry(index: usize) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

/// Both trees at one size after the other; `judge` gets the size, ours and theirs.
fn grow(to: usize, mut judge: impl FnMut(usize, &MemoryTree, &MemoryBackedTree<Sha256, Vec<u8>>)) {
    let (mut ours, mut theirs) = (MemoryTree::default(), MemoryBackedTree::new());
    for size in 1..=to {
        ours.push(leaf_hash(&entry(size - 1)));
        theirs.push(entry(size - 1));
        judge(size, &ours, &theirs);
    }
}

fn head(tree: &MemoryTree, size: usize) -> TreeHead {
    let size = size as u64;
    TreeHead {
        size,
        root: root_of(tree, size).expect("in memory"),
    }
}

fn theirs_of(head: TreeHead) -> TheirRoot {
    TheirRoot::new(head.root.0.into(), head.size)
}

#[test]
fn each_proves_to_the_other_that_an_entry_is_in_a_tree_of_1_to_2000() {
    grow(2_000, |size, ours, theirs| {
        let head = head(ours, size);
        assert_eq!(theirs.root(), theirs_of(head), "{size}");
        for index in [0, size / 3, size / 2, size - 1] {
            let entry = entry(index);
            let proof = prove_inclusion(ours, index as u64, size as u64).expect("in memory");
            assert_eq!(hashes(theirs.prove_inclusion(index).as_bytes()), proof);
            let told = InclusionProof::<Sha256>::try_from_bytes(octets(&proof)).expect("whole");
            assert!(
                theirs_of(head)
                    .verify_inclusion(&entry, index as u64, &told)
                    .is_ok()
            );

            // Both refuse the same entry at the next place, unless that is none.
            let next = (index as u64 + 1) % size as u64;
            if size > 1 {
                assert!(check_inclusion(&proof, leaf_hash(&entry), next, head).is_err());
                assert!(
                    theirs_of(head)
                        .verify_inclusion(&entry, next, &told)
                        .is_err()
                );
            }
        }
    });
}

#[test]
fn each_proves_to_the_other_that_a_tree_of_1_to_2000_grew() {
    let mut heads = vec![];
    grow(2_000, |size, ours, theirs| {
        let new = head(ours, size);
        heads.push(new);
        for old in [1, size / 3, size / 2, size - 1, size] {
            if old == 0 {
                continue;
            }
            let before = heads[old - 1];
            let proof = prove_consistency(ours, old as u64, size as u64).expect("in memory");
            let told = theirs.prove_consistency(size - old);
            assert_eq!(hashes(told.as_bytes()), proof, "{old} to {size}");
            assert_eq!(check_consistency(&proof, before, new), Ok(()));
            let told = ConsistencyProof::<Sha256>::try_from_bytes(octets(&proof)).expect("whole");
            assert!(
                theirs_of(new)
                    .verify_consistency(&theirs_of(before), &told)
                    .is_ok()
            );
            if old > 1 {
                let mut other = before;
                other.root = heads[old - 2].root;
                assert!(check_consistency(&proof, other, new).is_err());
                assert!(
                    theirs_of(new)
                        .verify_consistency(&theirs_of(other), &told)
                        .is_err()
                );
            }
        }
    });
}

#[test]
fn the_eight_entries_of_the_reference_tests_have_their_known_roots() {
    let entries: [&[u8]; 8] = [
        b"",
        b"\0",
        b"\x10",
        b" !",
        b"01",
        b"@ABC",
        b"PQRSTUVW",
        b"`abcdefghijklmno",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::default();
    for (entry, root) in entries.into_iter().zip(roots) {
        frontier.push(leaf_hash(entry), |_, _, _| {});
        let shown: String = frontier
            .root()
            .0
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        assert_eq!(shown, root);
    }
}

#[test]
fn a_hash_beyond_the_tree_is_not_made_up() {
    let mut tree = MemoryTree::default();
    (0..5).for_each(|index| tree.push(leaf_hash(&entry(index))));
    assert_eq!(tree.size(), 5);
    assert!(tree.hash(0, 4).is_ok() && tree.hash(2, 0).is_ok());
    for (level, index) in [(0, 5), (1, 2), (2, 1), (3, 0), (255, 0), (0, u64::MAX)] {
        assert!(tree.hash(level, index).is_err(), "{level} {index}");
    }
}
