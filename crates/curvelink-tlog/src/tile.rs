//! Tiles (c2sp.org/tlog-tiles): 256 neighbouring hashes of every eighth level, and the entries
//! below them, as files with fixed names.

use std::fmt;
use std::str::FromStr;

use crate::decimal;
use crate::hash::Hash;
use crate::tree::{HashReader, fold};

/// A full tile has as many hashes, a full bundle as many entries.
pub const WIDTH: u64 = 256;
/// Levels of a tree from one level of tiles to the next.
pub const HEIGHT: u8 = 8;
/// An entry has at most as many octets.
pub const MAX_ENTRY: usize = u16::MAX as usize;
/// A bundle has at most as many octets: 256 of the longest entries.
pub const MAX_BUNDLE: usize = 256 * (2 + MAX_ENTRY);

/// The name of a tile or of a bundle of entries.
///
/// Displays as, and parses from, its path: `tile/0/x001/x234/067`, `tile/1/000.p/17`,
/// `tile/entries/003`. One tile has one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    kind: Kind,
    index: u64,
    width: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Hashes { level: u8 },
    Entries,
}

impl Tile {
    /// The tile with the hashes of level `level` (in tiles: 0 are the leaves, 1 the subtrees of
    /// 256 leaves), at `index` among its level, when the log has `size` entries; none where the
    /// log does not reach.
    pub fn hashes(level: u8, index: u64, size: u64) -> Option<Self> {
        let count = size
            .checked_shr(u32::from(level) * u32::from(HEIGHT))
            .unwrap_or(0);
        Self::within(Kind::Hashes { level }, index, count)
    }

    /// The bundle with the entries from `index * 256` on, when the log has `size` entries; none
    /// where the log does not reach.
    pub fn entries(index: u64, size: u64) -> Option<Self> {
        Self::within(Kind::Entries, index, size)
    }

    fn within(kind: Kind, index: u64, count: u64) -> Option<Self> {
        let width = count.checked_sub(index.checked_mul(WIDTH)?)?.min(WIDTH);
        let width = u16::try_from(width).ok().filter(|width| *width > 0)?;
        Some(Self { kind, index, width })
    }

    /// The level of the tile, counted in tiles; none for a bundle of entries.
    pub fn level(&self) -> Option<u8> {
        match self.kind {
            Kind::Hashes { level } => Some(level),
            Kind::Entries => None,
        }
    }

    /// The number of the tile within its level.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it has, 1..=256.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether it will never change.
    pub fn is_full(&self) -> bool {
        u64::from(self.width) == WIDTH
    }

    /// The same tile once it is full.
    #[must_use]
    pub fn full(self) -> Self {
        Self { width: 256, ..self }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Hashes { level } => write!(f, "tile/{level}/")?,
            Kind::Entries => f.write_str("tile/entries/")?,
        }
        // The groups of three digits, from the first that is not zero; the last always stands.
        for power in (1..7).rev().map(|group| 1_000_u64.pow(group)) {
            if self.index >= power {
                write!(f, "x{:03}/", self.index / power % 1_000)?;
            }
        }
        write!(f, "{:03}", self.index % 1_000)?;
        if self.is_full() {
            Ok(())
        } else {
            write!(f, ".p/{}", self.width)
        }
    }
}

impl FromStr for Tile {
    type Err = InvalidTile;

    fn from_str(text: &str) -> Result<Self, InvalidTile> {
        let rest = text.strip_prefix("tile/").ok_or(InvalidTile)?;
        let (kind, rest) = rest.split_once('/').ok_or(InvalidTile)?;
        let kind = match kind {
            "entries" => Kind::Entries,
            level => Kind::Hashes {
                level: decimal::parse(level, 63)
                    .and_then(|level| level.try_into().ok())
                    .ok_or(InvalidTile)?,
            },
        };
        let (groups, width) = match rest.split_once(".p/") {
            Some((groups, width)) => (groups, decimal::parse(width, 255).ok_or(InvalidTile)?),
            None => (rest, WIDTH),
        };
        let width = u16::try_from(width)
            .ok()
            .filter(|width| *width > 0)
            .ok_or(InvalidTile)?;
        let mut index = 0_u64;
        for group in groups.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            let number = digits.parse::<u16>().map_err(|_| InvalidTile)?;
            index = index
                .checked_mul(1_000)
                .and_then(|index| index.checked_add(number.into()))
                .ok_or(InvalidTile)?;
        }
        let tile = Self { kind, index, width };
        // Where the x stand, how many digits there are, and zeros in front: what we write, or no path.
        if tile.to_string() == text {
            Ok(tile)
        } else {
            Err(InvalidTile)
        }
    }
}

/// A text is no path of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the path of a tile: expected tile/LEVEL/xNNN/NNN[.p/WIDTH] or tile/entries/...")]
#[non_exhaustive]
pub struct InvalidTile;

/// Where tiles are kept.
pub trait TileReader {
    /// Why a tile cannot be had.
    type Error;

    /// The hashes of `tile`, exactly [`Tile::width`] of them. A reader may cut them from a wider
    /// tile.
    ///
    /// # Errors
    ///
    /// Whatever stands in the way, too few hashes included.
    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, Self::Error>;
}

/// The hashes of the first `size` leaves, read from their tiles: a proof reads one or two tiles
/// per 256-fold of the log.
#[derive(Clone, Copy, Debug)]
pub struct TiledHashes<R> {
    tiles: R,
    size: u64,
}

impl<R: TileReader> TiledHashes<R> {
    /// The hashes in `tiles` of a log of `size` entries.
    pub fn new(tiles: R, size: u64) -> Self {
        Self { tiles, size }
    }
}

impl<R: TileReader> HashReader for TiledHashes<R> {
    type Error = TileError<R::Error>;

    fn hash(&self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        // Between the levels that stand in tiles, a hash is computed from those below it.
        let above = level % HEIGHT;
        let first = index.checked_mul(1 << above).ok_or(TileError::OutOfRange)?;
        let tile =
            Tile::hashes(level / HEIGHT, first / WIDTH, self.size).ok_or(TileError::OutOfRange)?;
        let start = usize::try_from(first % WIDTH).map_err(|_| TileError::OutOfRange)?;
        let hashes = self.tiles.tile(tile).map_err(TileError::Reader)?;
        let hashes = hashes
            .get(start..start + (1 << above))
            .ok_or(TileError::OutOfRange)?;
        Ok(complete_root(hashes))
    }
}

/// The root over hashes whose number is a power of two.
fn complete_root(hashes: &[Hash]) -> Hash {
    let mut frontier = crate::Frontier::default();
    hashes
        .iter()
        .for_each(|hash| frontier.push(*hash, |_, _, _| {}));
    fold(frontier.edge().iter().rev().copied())
}

/// A hash cannot be read from tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError<E> {
    /// The log has no such subtree, or a tile fewer hashes than its width.
    #[error("the log has no such hash, or its tile is too short")]
    OutOfRange,
    /// A tile cannot be had.
    #[error("a tile cannot be read: {0}")]
    Reader(E),
}

/// The hashes of a tile from its octets; none unless they are 1 to 256 whole hashes.
pub fn hashes_of(octets: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, rest) = octets.as_chunks::<32>();
    let whole = rest.is_empty() && (1..=256).contains(&hashes.len());
    whole.then(|| hashes.iter().copied().map(Hash).collect())
}

/// Adds `entry` to the octets of a bundle: its length as 16 bits, the highest first, and itself.
///
/// # Errors
///
/// [`EntryTooLong`] beyond [`MAX_ENTRY`] octets; nothing is added then.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), EntryTooLong> {
    let length = u16::try_from(entry.len()).map_err(|_| EntryTooLong)?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// An entry is longer than a bundle can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry of a log has at most 65535 octets")]
#[non_exhaustive]
pub struct EntryTooLong;

/// The entries of a bundle, in their order; after an error there is none.
pub fn entries_of(bundle: &[u8]) -> Entries<'_> {
    Entries { rest: bundle }
}

/// See [`entries_of`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<&'a [u8], CutEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() {
            return None;
        }
        let entry = rest
            .split_first_chunk()
            .and_then(|(length, rest)| rest.split_at_checked(u16::from_be_bytes(*length).into()));
        Some(match entry {
            Some((entry, rest)) => {
                self.rest = rest;
                Ok(entry)
            }
            None => Err(CutEntry),
        })
    }
}

/// A bundle ends within an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bundle of entries ends within an entry: it was cut or altered")]
#[non_exhaustive]
pub struct CutEntry;

#[cfg(test)]
mod tests;
