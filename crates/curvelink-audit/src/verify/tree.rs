//! R3: the tree, computed from the entries, beside the tiles that stand on disk.

use std::path::PathBuf;

use curvelink_tlog::tile::{self, Tile, TileReader};
use curvelink_tlog::{Frontier, Hash, TreeHead, leaf_hash};

use super::report::{Finding, Rule};
use crate::journal::error::Damage;
use crate::journal::tiles::DiskTiles;

/// The tree of the entries that were pushed; each hash of it that has its place in a tile is
/// compared with the one that stands there.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    tiles: DiskTiles<'a>,
    size: u64,
    frontier: Frontier,
    /// By level of tiles, the tile that was read last.
    read: Vec<Option<(u64, Vec<Hash>)>>,
}

impl<'a> Tree<'a> {
    /// The tree of a log of this size whose entries below `min_index` are gone: their hashes are
    /// taken from the tiles that were kept, which the next root will prove.
    pub(super) fn new(tiles: DiskTiles<'a>, size: u64, min_index: u64) -> Result<Self, Finding> {
        let mut tree = Self {
            tiles,
            size,
            frontier: Frontier::default(),
            read: Vec::new(),
        };
        // A tree whose leaves are the subtrees of 256 entries: the same tree from there up.
        let mut upper = Frontier::default();
        for index in 0..min_index / tile::WIDTH {
            let hash = tree.hash(1, index)?;
            let mut completed = Vec::new();
            upper.push(hash, |level, index, hash| {
                completed.push((level, index, hash))
            });
            for (level, index, hash) in completed {
                tree.compare(level + tile::HEIGHT, index, hash)?;
            }
        }
        let edge = upper.edge().to_vec();
        let restored = Frontier::restore(min_index, edge);
        let what = "has not the hashes that it should have";
        let wrong = |_| tree.bad(0, PathBuf::from("tile/1"), what);
        tree.frontier = restored.map_err(wrong)?;
        Ok(tree)
    }

    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(super) fn head(&self) -> TreeHead {
        self.frontier.head()
    }

    pub(super) fn push(&mut self, entry: &[u8]) -> Result<(), Finding> {
        let mut completed = [None; 8];
        self.frontier.push(leaf_hash(entry), |level, index, hash| {
            if level.is_multiple_of(tile::HEIGHT)
                && let Some(place) = completed.get_mut(usize::from(level / tile::HEIGHT))
            {
                *place = Some((level, index, hash));
            }
        });
        for (level, index, hash) in completed.into_iter().flatten() {
            self.compare(level, index, hash)?;
        }
        Ok(())
    }

    fn compare(&mut self, level: u8, index: u64, hash: Hash) -> Result<(), Finding> {
        if !level.is_multiple_of(tile::HEIGHT) {
            return Ok(());
        }
        let level = level / tile::HEIGHT;
        if self.hash(level, index)? == hash {
            return Ok(());
        }
        let first = index << (u32::from(level) * u32::from(tile::HEIGHT));
        let tile = Tile::hashes(level, index / tile::WIDTH, self.size);
        let file = tile.map_or_else(String::new, |tile| tile.to_string());
        let what = match level {
            0 => "has another hash than its entry: one of the two was altered",
            _ => "has another hash than the entries below it: one of them was altered",
        };
        Err(self.bad(first, file.into(), what))
    }

    /// The hash at a place in the tiles.
    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, Finding> {
        let wanted = index / tile::WIDTH;
        let place = usize::from(level);
        if self.read.len() <= place {
            self.read.resize_with(place + 1, || None);
        }
        let known = self.read.get(place).and_then(Option::as_ref);
        if known.is_none_or(|(index, _)| *index != wanted) {
            let missing = "has not the hashes that it should have";
            let tile = Tile::hashes(level, wanted, self.size);
            let tile = tile.ok_or_else(|| self.bad(index, PathBuf::from("tile"), missing))?;
            let hashes = self.tiles.tile(tile)?;
            if let Some(slot) = self.read.get_mut(place) {
                *slot = Some((wanted, hashes));
            }
        }
        let known = self.read.get(place).and_then(Option::as_ref);
        let at = usize::try_from(index % tile::WIDTH).unwrap_or(usize::MAX);
        let hash = known.and_then(|(_, hashes)| hashes.get(at).copied());
        hash.ok_or_else(|| self.bad(index, PathBuf::from("tile"), "is too short"))
    }

    fn bad(&self, index: u64, file: PathBuf, what: &'static str) -> Finding {
        Finding::Bad(Rule::Roots, Damage::new(index, &file, what))
    }
}
