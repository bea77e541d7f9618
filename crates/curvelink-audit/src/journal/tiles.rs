//! Tiles and bundles on disk: those of a whole log, and the edge at which it grows.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use curvelink_tlog::tile::{self, Tile, TileReader, TiledHashes};
use curvelink_tlog::{Frontier, Hash, TreeHead, leaf_hash};

use super::error::{About, Damage, JournalError};
use super::files;
use super::layout::{Layout, remove};

const HASH: u64 = 32;
/// Tiles of 256 hashes: eight levels are more than any log has.
const LEVELS: u8 = 8;

/// The tiles of a log of a size, as they stand in its folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskTiles<'a> {
    layout: &'a Layout,
    size: u64,
}

impl<'a> DiskTiles<'a> {
    pub(crate) const fn new(layout: &'a Layout, size: u64) -> Self {
        Self { layout, size }
    }

    /// The hashes of the log's complete subtrees.
    pub(crate) fn hashes(self) -> TiledHashes<Self> {
        TiledHashes::new(self, self.size)
    }

    /// The entries of a bundle, exactly as many as it is wide.
    pub(crate) fn entries(self, index: u64) -> Result<Vec<Vec<u8>>, JournalError> {
        let bundle = Tile::entries(index, self.size).ok_or(JournalError::Range)?;
        let (octets, is_wider) = self.octets(bundle, tile::MAX_BUNDLE as u64)?;
        let wrong = |at: usize, what| {
            let index = index * tile::WIDTH + at as u64;
            JournalError::from(Damage::new(index, &self.relative(bundle), what))
        };
        let mut entries = Vec::with_capacity(bundle.width().into());
        for (at, entry) in tile::entries_of(&octets).enumerate() {
            let entry = entry.map_err(|_| wrong(at, "ends within an entry"))?;
            entries.push(entry.to_vec());
            if is_wider && entries.len() == usize::from(bundle.width()) {
                break;
            }
        }
        if entries.len() == usize::from(bundle.width()) {
            Ok(entries)
        } else {
            let at = entries.len().min(bundle.width().into());
            Err(wrong(at, "has not the entries that it should have"))
        }
    }

    /// One entry.
    pub(crate) fn entry(self, index: u64) -> Result<Vec<u8>, JournalError> {
        let entries = self.entries(index / tile::WIDTH)?;
        let at = usize::try_from(index % tile::WIDTH).unwrap_or(usize::MAX);
        entries.into_iter().nth(at).ok_or(JournalError::Range)
    }

    /// The octets of a tile, or of a wider one that has taken its place since the checkpoint was
    /// read: a journal may be written while it is read.
    fn octets(self, tile: Tile, max: u64) -> Result<(Vec<u8>, bool), JournalError> {
        let path = self.layout.tile(tile);
        let relative = self.relative(tile);
        let read = files::read_bounded(&path, max);
        if read.is_err()
            && let Some(path) = self.wider(tile)
            && let Ok(octets) = files::read_bounded(&path, max)
        {
            return Ok((octets, true));
        }
        match read {
            Ok(octets) => Ok((octets, false)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Damage::new(first_entry(tile), &relative, "is missing").into())
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(Damage::new(first_entry(tile), &relative, "is too long").into())
            }
            Err(error) => Err(error).about(relative),
        }
    }

    fn wider(self, tile: Tile) -> Option<PathBuf> {
        let full = self.layout.tile(tile.full());
        if tile.is_full() || full.exists() {
            return Some(full).filter(|_| !tile.is_full());
        }
        let others = fs::read_dir(self.layout.tile(tile).parent()?).ok()?;
        let wider = others.filter_map(|other| {
            let path = other.ok()?.path();
            let width: u16 = path.file_name()?.to_str()?.parse().ok()?;
            (width > tile.width()).then_some((width, path))
        });
        wider.max().map(|(_, path)| path)
    }

    fn relative(self, tile: Tile) -> PathBuf {
        PathBuf::from(tile.to_string())
    }

    /// Whether every file is there that a log of this size has, entries from `min_index` on, and
    /// every one of hashes is as long as it should be. Reads none of them.
    pub(crate) fn check_files(self, min_index: u64) -> Result<(), JournalError> {
        for index in min_index / tile::WIDTH..self.size.div_ceil(tile::WIDTH) {
            self.check_file(Tile::entries(index, self.size))?;
        }
        for level in 0..LEVELS {
            let count = self.size >> (u32::from(level) * u32::from(tile::HEIGHT));
            let from = if level == 0 {
                min_index / tile::WIDTH
            } else {
                0
            };
            for index in from..count.div_ceil(tile::WIDTH) {
                self.check_file(Tile::hashes(level, index, self.size))?;
            }
        }
        Ok(())
    }

    fn check_file(self, tile: Option<Tile>) -> Result<(), JournalError> {
        let Some(tile) = tile else { return Ok(()) };
        let length = fs::metadata(self.layout.tile(tile)).map(|it| it.len());
        let what = match length {
            Err(error) if error.kind() == ErrorKind::NotFound => "is missing",
            Err(error) => return Err(error).about(self.relative(tile)),
            Ok(length) if is_length(tile, length) => return Ok(()),
            Ok(_) => "has another length than it should have",
        };
        Err(Damage::new(first_entry(tile), &self.relative(tile), what).into())
    }

    /// Whether the entries of a bundle are those that the tile above them says, and that tile is
    /// the one that the tile above it says.
    pub(crate) fn check_bundle(self, index: u64) -> Result<(), JournalError> {
        let entries = self.entries(index)?;
        let bundle = Tile::entries(index, self.size).ok_or(JournalError::Range)?;
        let tile = Tile::hashes(0, index, self.size).ok_or(JournalError::Range)?;
        let hashes = self.tile(tile)?;
        let mut frontier = Frontier::default();
        for (at, (entry, hash)) in entries.iter().zip(&hashes).enumerate() {
            let leaf = leaf_hash(entry);
            if leaf != *hash {
                let index = index * tile::WIDTH + at as u64;
                let file = self.relative(bundle);
                return Err(Damage::new(index, &file, "does not fit its hash").into());
            }
            frontier.push(leaf, |_, _, _| {});
        }
        let above = Tile::hashes(1, index / tile::WIDTH, self.size);
        if let Some(above) = above.filter(|_| tile.is_full()) {
            let at = usize::try_from(index % tile::WIDTH).unwrap_or(usize::MAX);
            if self.tile(above)?.get(at) != Some(&frontier.root()) {
                let first = index * tile::WIDTH;
                return Err(Damage::new(first, &self.relative(above), "does not fit").into());
            }
        }
        Ok(())
    }
}

impl TileReader for DiskTiles<'_> {
    type Error = JournalError;

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, JournalError> {
        let (octets, is_wider) = self.octets(tile, tile::WIDTH * HASH)?;
        let hashes = tile::hashes_of(&octets).map(|mut hashes| {
            if is_wider {
                hashes.truncate(tile.width().into());
            }
            hashes
        });
        let whole = hashes.filter(|hashes| hashes.len() == usize::from(tile.width()));
        let what = "has not the hashes that it should have";
        whole.ok_or_else(|| Damage::new(first_entry(tile), &self.relative(tile), what).into())
    }
}

fn is_length(tile: Tile, length: u64) -> bool {
    let width = u64::from(tile.width());
    match tile.level() {
        Some(_) => length == width * HASH,
        // An entry has an octet at least, and two that say how many.
        None => (3 * width..=tile::MAX_BUNDLE as u64).contains(&length),
    }
}

/// The first entry below a tile.
fn first_entry(tile: Tile) -> u64 {
    let above = u32::from(tile.level().unwrap_or(0) + 1) * u32::from(tile::HEIGHT);
    tile.index().checked_shl(above).unwrap_or(u64::MAX)
}

/// Where the log grows: what is not in full tiles yet, and what is but was not written yet.
#[derive(Debug, Default)]
pub(crate) struct Edge {
    frontier: Frontier,
    /// Of each level of tiles, the hashes of the one that is not full.
    levels: Vec<Vec<Hash>>,
    /// The bundle that is not full.
    bundle: Vec<u8>,
    /// Full tiles that are not on disk yet.
    full: Vec<(Tile, Vec<u8>)>,
    /// Tiles that are not full, as they stand on disk.
    narrow: Vec<PathBuf>,
    /// Files that an interrupted run left of tiles of other widths.
    left: Vec<PathBuf>,
}

impl Edge {
    /// Reads the edge of a log of a size.
    pub(crate) fn open(layout: &Layout, size: u64) -> Result<Self, JournalError> {
        let tiles = DiskTiles::new(layout, size);
        let read = Frontier::read(&tiles.hashes(), size);
        let frontier = read.map_err(|error| match error {
            tile::TileError::Reader(error) => error,
            _ => JournalError::Range,
        })?;
        let mut edge = Self {
            frontier: frontier.unwrap_or_default(),
            ..Self::default()
        };
        for tile in edge.narrow_tiles() {
            let level = tile.level().map(usize::from);
            match level {
                Some(level) => *edge.level(level) = tiles.tile(tile)?,
                None => {
                    for entry in tiles.entries(tile.index())? {
                        push(&mut edge.bundle, &entry);
                    }
                }
            }
            let path = layout.tile(tile);
            let beside = beside(layout, tile)?.into_iter();
            edge.left.extend(beside.filter(|other| *other != path));
            edge.narrow.push(path);
        }
        Ok(edge)
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn head(&self) -> TreeHead {
        self.frontier.head()
    }

    fn level(&mut self, level: usize) -> &mut Vec<Hash> {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        // Made long enough just now.
        &mut self.levels[level]
    }

    /// Adds an entry of at most 65,535 octets.
    pub(crate) fn push(&mut self, entry: &[u8]) {
        push(&mut self.bundle, entry);
        let mut in_tiles = Vec::new();
        self.frontier.push(leaf_hash(entry), |level, index, hash| {
            if level.is_multiple_of(tile::HEIGHT) {
                in_tiles.push((level / tile::HEIGHT, index, hash));
            }
        });
        let size = self.size();
        if size.is_multiple_of(tile::WIDTH)
            && let Some(bundle) = Tile::entries(size / tile::WIDTH - 1, size)
        {
            self.full.push((bundle, std::mem::take(&mut self.bundle)));
        }
        for (level, index, hash) in in_tiles {
            let hashes = self.level(level.into());
            hashes.push(hash);
            if hashes.len() as u64 == tile::WIDTH
                && let Some(tile) = Tile::hashes(level, index / tile::WIDTH, size)
            {
                let octets = octets_of(&std::mem::take(hashes));
                self.full.push((tile, octets));
            }
        }
    }

    /// The tiles and the bundle that are not full, the bundle first.
    fn narrow_tiles(&self) -> Vec<Tile> {
        let size = self.size();
        let bundle = Tile::entries(size / tile::WIDTH, size);
        let tiles = (0..LEVELS).map(|level| {
            let count = size >> (u32::from(level) * u32::from(tile::HEIGHT));
            Tile::hashes(level, count / tile::WIDTH, size)
        });
        [bundle].into_iter().chain(tiles).flatten().collect()
    }

    /// Writes what is not on disk yet, entries before their hashes; lasting when this returns. May
    /// be called again after an error.
    pub(crate) fn write(&mut self, layout: &Layout) -> Result<(), JournalError> {
        let mut written = Vec::new();
        for (tile, octets) in &self.full {
            let path = layout.tile(*tile);
            files::write(&path, octets).about(tile.to_string())?;
            written.push(path);
        }
        let full = written.len();
        for tile in self.narrow_tiles() {
            let path = layout.tile(tile);
            // One width of a tile has one content, and what is signed is never written again.
            if self.narrow.contains(&path) {
                continue;
            }
            let octets = match tile.level() {
                None => self.bundle.clone(),
                Some(level) => octets_of(self.level(level.into())),
            };
            files::write(&path, &octets).about(tile.to_string())?;
            written.push(path);
        }
        files::sync_files(&written).about("tile")?;
        self.full.clear();
        self.narrow.extend(written.into_iter().skip(full));
        Ok(())
    }

    /// Removes tiles that wider ones have taken the place of. What cannot be removed is in nobody's
    /// way.
    pub(crate) fn remove_narrower(&mut self, layout: &Layout) {
        let tiles = self.narrow_tiles();
        let current: Vec<_> = tiles.iter().map(|tile| layout.tile(*tile)).collect();
        self.narrow.append(&mut self.left);
        self.narrow.retain(|path| {
            if current.contains(path) {
                return true;
            }
            let _ = remove(path);
            // The folder of a tile that is full now.
            let _ = path.parent().map(fs::remove_dir);
            false
        });
    }
}

fn push(bundle: &mut Vec<u8>, entry: &[u8]) {
    // Entries are checked to be short before they come here.
    let _ = tile::push_entry(bundle, entry);
}

fn octets_of(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// A narrow tile, and those of other widths that an interrupted run left.
fn beside(layout: &Layout, tile: Tile) -> Result<Vec<PathBuf>, JournalError> {
    let path = layout.tile(tile);
    let Some(folder) = path.parent() else {
        return Ok(Vec::new());
    };
    let listed = fs::read_dir(folder).and_then(|entries| {
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        paths.collect()
    });
    listed.about(tile.to_string())
}

#[cfg(test)]
mod tests {
    use curvelink_tlog::{MemoryTree, root_of};

    use super::*;

    #[test]
    fn a_log_written_in_any_steps_has_the_tiles_of_the_whole() -> Result<(), JournalError> {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let mut edge = Edge::default();
        let mut tree = MemoryTree::default();
        let mut size = 0;
        for step in [1, 2, 252, 1, 1, 255, 256, 300, 700] {
            for _ in 0..step {
                let entry = format!("entry {size}");
                edge.push(entry.as_bytes());
                tree.push(leaf_hash(entry.as_bytes()));
                size += 1;
            }
            edge.write(&layout)?;
            edge.remove_narrower(&layout);
            assert_eq!(edge.head().root, root_of(&tree, size).unwrap());
            let tiles = DiskTiles::new(&layout, size);
            tiles.check_files(0)?;
            for index in 0..size.div_ceil(256) {
                tiles.check_bundle(index)?;
            }
            assert_eq!(
                tiles.entry(size - 1)?,
                format!("entry {}", size - 1).as_bytes()
            );
            let opened = Edge::open(&layout, size)?;
            assert_eq!(opened.head(), edge.head());
            edge = opened;
        }
        Ok(())
    }

    #[test]
    fn a_file_that_is_missing_or_cut_is_named_with_its_first_entry() -> Result<(), JournalError> {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        let mut edge = Edge::default();
        (0..600).for_each(|number| edge.push(format!("{number}").as_bytes()));
        edge.write(&layout)?;
        let tiles = DiskTiles::new(&layout, 600);
        for (file, index) in [
            ("tile/entries/000", 0),
            ("tile/entries/001", 256),
            ("tile/entries/002.p/88", 512),
            ("tile/0/001", 256),
            ("tile/0/002.p/88", 512),
            ("tile/1/000.p/2", 0),
        ] {
            let path = folder.path().join(file);
            let octets = fs::read(&path).unwrap();
            for damaged in [None, Some(&octets[..2])] {
                match damaged {
                    None => fs::remove_file(&path).unwrap(),
                    Some(cut) => fs::write(&path, cut).unwrap(),
                }
                let error = tiles.check_files(0).unwrap_err();
                let JournalError::Damaged(damage) = error else {
                    panic!("{error}");
                };
                assert_eq!(damage.index, Some(index), "{file}");
                assert_eq!(damage.file, PathBuf::from(file));
            }
            fs::write(&path, octets).unwrap();
            tiles.check_files(0)?;
        }
        Ok(())
    }
}
