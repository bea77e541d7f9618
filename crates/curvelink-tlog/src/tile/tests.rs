//! Paths, tiles and bundles.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;
use crate::tree::tests::{leaves, tree};
use crate::{Frontier, check_consistency, check_inclusion, prove_consistency, prove_inclusion};
use crate::{TreeHead, root_of};

#[test]
fn a_log_of_70_000_entries_has_the_tiles_that_the_specification_counts() {
    let widths = |level| {
        let tiles = (0..).map_while(move |index| Tile::hashes(level, index, 70_000));
        tiles.map(|tile| tile.width()).collect::<Vec<_>>()
    };
    assert_eq!(widths(0), [vec![256; 273], vec![112]].concat());
    assert_eq!(widths(1), [256, 17]);
    assert_eq!(widths(2), [1]);
    assert_eq!(widths(3), [0_u16; 0]);
    assert_eq!(Tile::hashes(1, 0, 256).map(|tile| tile.width()), Some(1));
    assert_eq!(
        Tile::entries(273, 70_000).map(|tile| tile.width()),
        Some(112)
    );
    assert_eq!(Tile::hashes(63, 0, u64::MAX), None);
    assert_eq!(Tile::entries(u64::MAX, u64::MAX), None);
}

#[test]
fn paths_are_those_of_the_specification() {
    for (path, level, index, width) in [
        ("tile/0/x001/x234/067", Some(0), 1_234_067, 256),
        ("tile/0/000", Some(0), 0, 256),
        ("tile/63/999.p/1", Some(63), 999, 1),
        ("tile/1/x001/000.p/255", Some(1), 1_000, 255),
        ("tile/entries/x010/000.p/17", None, 10_000, 17),
        (
            "tile/0/x018/x446/x744/x073/x709/x551/615",
            Some(0),
            u64::MAX,
            256,
        ),
    ] {
        let tile: Tile = path.parse().expect("a path");
        assert_eq!(
            (tile.level(), tile.index(), tile.width()),
            (level, index, width)
        );
        assert_eq!(tile.to_string(), path);
        assert_eq!(tile.is_full(), width == 256);
        assert_eq!(
            tile.full().to_string(),
            path.split(".p").next().expect("a part")
        );
    }
}

#[test]
fn every_other_spelling_of_a_path_is_refused() {
    for path in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/64/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/x001/x002",
        "tile/0/X001/002",
        "tile/0/+01",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000/",
        "tile/Entries/000",
        "tile/0/000.p/1.p/1",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/../000",
        "tile/0/x1000/000",
        "tile/entries/entries/000",
    ] {
        assert_eq!(path.parse::<Tile>(), Err(InvalidTile), "{path}");
    }
}

/// Tiles in a map, as a log writes them.
#[derive(Default)]
struct Stored {
    tiles: HashMap<(u8, u64), Vec<Hash>>,
    read: RefCell<BTreeSet<(u8, u64)>>,
}

impl TileReader for Stored {
    type Error = &'static str;

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, &'static str> {
        let at = (tile.level().ok_or("entries")?, tile.index());
        self.read.borrow_mut().insert(at);
        let hashes = self.tiles.get(&at).ok_or("no tile")?;
        hashes
            .get(..tile.width().into())
            .map(<[_]>::to_vec)
            .ok_or("short")
    }
}

impl TileReader for &Stored {
    type Error = &'static str;

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, &'static str> {
        (**self).tile(tile)
    }
}

fn stored(leaves: &[Hash]) -> Stored {
    let mut stored = Stored::default();
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(*leaf, |level, index, hash| {
            if level % HEIGHT == 0 {
                let tile = stored
                    .tiles
                    .entry((level / HEIGHT, index / WIDTH))
                    .or_default();
                assert_eq!(tile.len() as u64, index % WIDTH, "in order");
                tile.push(hash);
            }
        });
    }
    stored
}

#[test]
fn proofs_from_tiles_are_those_of_the_whole_tree_and_read_few_tiles() {
    let leaves = leaves(70_000);
    let (whole, stored) = (tree(&leaves), stored(&leaves));
    let tiled = |size| TiledHashes::new(&stored, size);
    let head = |size| TreeHead {
        size,
        root: root_of(&whole, size).expect("in memory"),
    };
    for size in [
        1, 2, 255, 256, 257, 511, 65_535, 65_536, 65_537, 69_999, 70_000,
    ] {
        assert_eq!(root_of(&tiled(size), size), Ok(head(size).root));
        for index in [0, 1, 255, 256, size / 2, size - 1] {
            let Ok(proof) = prove_inclusion(&tiled(size), index, size) else {
                assert!(index >= size);
                continue;
            };
            let leaf = leaves[usize::try_from(index).expect("small")];
            assert_eq!(check_inclusion(&proof, leaf, index, head(size)), Ok(()));
        }
        let proof = prove_consistency(&tiled(70_000), size, 70_000).expect("stored");
        assert_eq!(check_consistency(&proof, head(size), head(70_000)), Ok(()));
    }
    stored.read.borrow_mut().clear();
    assert!(prove_inclusion(&tiled(70_000), 12_345, 70_000).is_ok());
    assert!(stored.read.borrow().len() <= 5, "{:?}", stored.read);
}

#[test]
fn a_missing_tile_and_a_hash_beyond_the_log_are_errors() {
    let mut stored = stored(&leaves(600));
    assert_eq!(
        TiledHashes::new(&stored, 600).hash(0, 600),
        Err(TileError::OutOfRange)
    );
    assert_eq!(
        TiledHashes::new(&stored, 600).hash(3, 75),
        Err(TileError::OutOfRange)
    );
    assert_eq!(
        TiledHashes::new(&stored, 600).hash(63, u64::MAX),
        Err(TileError::OutOfRange)
    );
    assert!(TiledHashes::new(&stored, 600).hash(3, 74).is_ok());
    assert_eq!(
        TiledHashes::new(&stored, 601).hash(0, 600),
        Err(TileError::Reader("short"))
    );
    stored.tiles.remove(&(0, 1));
    assert_eq!(
        TiledHashes::new(&stored, 600).hash(0, 300),
        Err(TileError::Reader("no tile"))
    );
}

#[test]
fn the_hashes_of_a_tile_are_whole_and_at_most_256() {
    let octets = vec![7; 257 * 32];
    assert_eq!(hashes_of(&octets[..64]), Some(vec![Hash([7; 32]); 2]));
    assert_eq!(
        hashes_of(&octets[..256 * 32]).map(|hashes| hashes.len()),
        Some(256)
    );
    assert_eq!(hashes_of(&octets), None);
    assert_eq!(hashes_of(&octets[..63]), None);
    assert_eq!(hashes_of(&[]), None);
}

#[test]
fn an_entry_too_long_is_not_added() {
    let mut bundle = Vec::new();
    assert_eq!(push_entry(&mut bundle, &[1; 65_536]), Err(EntryTooLong));
    assert_eq!(push_entry(&mut bundle, &[1; 65_535]), Ok(()));
    assert_eq!(bundle.len(), 2 + 65_535);
    assert_eq!(&bundle[..3], [0xff, 0xff, 1]);
}

proptest! {
    #[test]
    fn entries_come_back_from_their_bundle_and_a_cut_is_seen(
        entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bundle = Vec::new();
        let mut ends = vec![0];
        for entry in &entries {
            push_entry(&mut bundle, entry).expect("short");
            ends.push(bundle.len());
        }
        let read: Result<Vec<_>, _> = entries_of(&bundle).collect();
        prop_assert_eq!(read.expect("whole"), entries);
        let cut = cut.index(bundle.len() + 1);
        let read: Result<Vec<_>, _> = entries_of(&bundle[..cut]).collect();
        prop_assert_eq!(read.is_ok(), ends.contains(&cut));
    }

    #[test]
    fn whatever_parses_as_a_path_is_written_back(text in "tile/([0-9]{1,2}|entries)(/x?[0-9]{2,4}){1,8}(.p/[0-9]{0,3})?") {
        if let Ok(tile) = text.parse::<Tile>() {
            prop_assert_eq!(tile.to_string(), text);
        }
    }
}
