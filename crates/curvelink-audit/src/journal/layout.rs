//! Where things stand in the folder of a journal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use curvelink_tlog::tile::{self, Tile};
use serde::{Deserialize, Serialize};

use super::files;

/// The version of the layout that this crate reads and writes.
const VERSION: u32 = 1;
const MAX_STATE: u64 = 1 << 20;

/// The folder of a journal.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The newest checkpoint: a signed note.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// The newest checkpoint that enough witnesses signed.
    pub(crate) fn witnessed(&self) -> PathBuf {
        self.root.join("checkpoint.witnessed")
    }

    /// Every checkpoint ever signed.
    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints.log")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.root.join("wal")
    }

    /// The public key of an epoch. That of epoch 0 is the anchor, to be kept elsewhere too.
    pub(crate) fn vkey(&self, epoch: u64) -> PathBuf {
        match epoch {
            0 => self.root.join("keys/anchor.vkey"),
            _ => self.root.join(format!("keys/epoch-{epoch:06}.vkey")),
        }
    }

    /// The proof that the epoch before vouches for an epoch's key.
    pub(crate) fn certificate(&self, epoch: u64) -> PathBuf {
        self.root.join(format!("keys/epoch-{epoch:06}.tlog-proof"))
    }

    /// A wrapped data key, by its id.
    pub(crate) fn data_key(&self, id: &str) -> PathBuf {
        self.root.join(format!("keys/data-{id}.json"))
    }

    /// What a crash left half-written, by when it was found.
    pub(crate) fn torn(&self, unix_us: u64) -> PathBuf {
        self.root.join(format!("torn-{unix_us}.bin"))
    }

    /// A tile of hashes or a bundle of entries.
    pub(crate) fn tile(&self, tile: Tile) -> PathBuf {
        self.root.join(tile.to_string())
    }

    /// A path as it is told: below the folder, so that nobody learns where that is.
    pub(crate) fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }
}

/// `state.json`: what is not in the log itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) version: u32,
    /// The name of the log, in its checkpoints and keys.
    pub(crate) origin: String,
    /// Entries below it were let go: a multiple of 256.
    pub(crate) min_index: u64,
    /// Whether this is an excerpt that was exported, and no journal that could go on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) archive: bool,
}

impl State {
    pub(crate) fn new(origin: &str) -> Self {
        Self {
            version: VERSION,
            origin: origin.to_owned(),
            min_index: 0,
            archive: false,
        }
    }

    /// Reads it; [`io::ErrorKind::InvalidData`] where it is none of this version.
    pub(crate) fn read(layout: &Layout) -> io::Result<Self> {
        let octets = files::read_bounded(&layout.state(), MAX_STATE)?;
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not a state of a journal");
        let state: Self = serde_json::from_slice(&octets).map_err(|_| invalid())?;
        if state.version != VERSION || !state.min_index.is_multiple_of(tile::WIDTH) {
            return Err(invalid());
        }
        Ok(state)
    }

    pub(crate) fn write(&self, layout: &Layout) -> io::Result<()> {
        files::replace(&layout.state(), &self.to_json()?)
    }

    pub(crate) fn to_json(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }
}

/// Removes a file that nobody needs any more; that it is gone already is as good.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    files::if_there(fs::remove_file(path)).map(drop)
}
