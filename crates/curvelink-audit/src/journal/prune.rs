//! Letting old entries go, while what is kept can be proven as before.

use std::io::ErrorKind;

use curvelink_tlog::tile::{self, Tile};

use super::error::{About, JournalError};
use super::layout::{Layout, remove};
use super::log::Log;
use super::notice::Notice;
use super::{AppendError, Journal};
use crate::Progress;

impl Journal {
    /// Lets go of all entries below `index`, a multiple of 256: first an entry says so and is
    /// sealed, then their files are removed. Their hashes above the lowest tiles stay, so proofs
    /// of what is kept hold as before. May be interrupted and called again.
    ///
    /// # Errors
    ///
    /// [`JournalError::PruneAt`] unless `index` is such a multiple, sealed, and not below what was
    /// pruned before; [`JournalError::Io`].
    pub fn prune(&self, index: u64, progress: &mut dyn Progress) -> Result<(), JournalError> {
        let layout = self.call(move |log| log.prune(index))?;
        remove_below(&layout, index, progress)
    }
}

impl Log {
    /// Records that entries below `index` go; removes nothing yet.
    fn prune(&mut self, index: u64) -> Result<Layout, JournalError> {
        let is_new = index > self.state.min_index;
        if !index.is_multiple_of(tile::WIDTH) || index > self.sealed || index < self.state.min_index
        {
            return Err(JournalError::PruneAt);
        }
        if is_new {
            let noted = self.note(Notice::Pruned { index });
            noted.map_err(|error: AppendError| self.unwritten(error))?;
            self.seal()?;
            self.state.min_index = index;
            self.state.write(&self.layout).about("state.json")?;
        }
        Ok(self.layout.clone())
    }
}

/// Removes bundles and lowest tiles, the oldest first: an interruption leaves a part of the newest,
/// which the next run removes.
fn remove_below(
    layout: &Layout,
    index: u64,
    progress: &mut dyn Progress,
) -> Result<(), JournalError> {
    for bundle in 0..index / tile::WIDTH {
        let tiles = [Tile::entries(bundle, index), Tile::hashes(0, bundle, index)];
        for tile in tiles.into_iter().flatten() {
            remove(&layout.tile(tile)).about(tile.to_string())?;
        }
        if !progress.tell((bundle + 1) * tile::WIDTH, index) {
            return Err(ErrorKind::Interrupted.into());
        }
    }
    Ok(())
}
