//! What the hub has seen, on disk: so that a restart is no chance to replay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use curvelink_envelope::ReplayState;

use super::gate::Gate;
use crate::exit::{Exit, OrExit};
use crate::secret_file;

/// The file, and what was last written to it.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    written: ReplayState,
}

impl Memory {
    /// Reads what is on disk, if anything is. A damaged file is an error: to go on without it
    /// would let everything pass again.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("hub.replay.json");
        let written = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => ReplayState::default(),
            text => {
                let state = text.map_err(anyhow::Error::from).and_then(|text| {
                    serde_json::from_slice::<ReplayState>(&text).map_err(anyhow::Error::from)
                });
                let state = state.with_context(|| path.display().to_string());
                state.or_exit(Exit::Damaged)?
            }
        };
        Ok(Self { path, written })
    }

    /// What had been seen when it was opened, or last saved.
    pub(super) fn seen(&self) -> &ReplayState {
        &self.written
    }

    /// Writes down what the gate has seen since the last time.
    pub(super) fn save(&mut self, gate: &Gate) -> anyhow::Result<()> {
        let seen = gate.seen();
        if self.written == *seen {
            return Ok(());
        }
        let new = self.path.with_extension("json.new");
        // Left behind by a run that was cut short.
        let _ = fs::remove_file(&new);
        secret_file::create(&new, &serde_json::to_string(seen)?)?;
        fs::rename(&new, &self.path)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.written = seen.clone();
        Ok(())
    }
}
