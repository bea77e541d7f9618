//! Making a journal, and opening one after whatever the last run left.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, absolute};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use curvelink_tlog::tile::{self};
use curvelink_tlog::{Checkpoint, Note, VerifyingNoteKey, leaf_hash};

use super::checkpoints::{self, CheckpointLog};
use super::epoch::{EpochKey, KeyFile};
use super::error::{About, Damage, JournalError, KeyProblem};
use super::files::{self, Lock};
use super::layout::{Layout, State};
use super::log::{Log, Times};
use super::notice::{Notice, Stamp};
use super::settings::JournalSettings;
use super::tiles::{DiskTiles, Edge};
use super::wal::{self, Wal};
use crate::Clock;

/// So many bundles, the newest, are read when a journal is opened.
const LOOKED_AT: u64 = 256;
const MAX_VKEY: u64 = 4096;

impl Log {
    pub(crate) fn create(
        folder: &Path,
        key_file: &Path,
        origin: &str,
        settings: JournalSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<String, JournalError> {
        let layout = Layout::new(folder);
        files::make_folder(folder).about(".")?;
        if fs::read_dir(folder).about(".")?.next().is_some() {
            return Err(JournalError::NotEmpty);
        }
        outside(folder, key_file)?;
        let lock = lock(&layout)?;
        let key = EpochKey::generate(origin, 0).map_err(|_| JournalError::Origin)?;
        let keys = KeyFile::new(key_file);
        keys.create(&key).about(key_file)?;
        let anchor = key.vkey();
        files::make_folder(&layout.root().join("keys")).about("keys")?;
        let line = format!("{anchor}\n");
        files::write_synced(&layout.vkey(0), line.as_bytes()).about("keys/anchor.vkey")?;
        let found = Found {
            wal: Wal::open(&layout.wal(), 0).about("wal")?,
            checkpoints: CheckpointLog::open(&layout.checkpoints(), 0).about("checkpoints.log")?,
            edge: Edge::default(),
            note: String::new(),
        };
        let state = State::new(origin);
        let mut log = Self::new(layout, state, keys, key, lock, found, settings, clock);
        let created = Notice::Created {
            key: anchor.clone(),
        };
        log.note(created).map_err(|error| log.unwritten(error))?;
        log.seal()?;
        // What has a state is a journal: before it, everything is there.
        log.state.write(&log.layout).about("state.json")?;
        Ok(anchor)
    }

    pub(crate) fn open(
        folder: &Path,
        key_file: &Path,
        settings: JournalSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, JournalError> {
        let layout = Layout::new(folder);
        let state = read_state(&layout)?;
        if state.archive {
            return Err(JournalError::Archive);
        }
        outside(folder, key_file)?;
        let lock = lock(&layout)?;
        let (newest, torn_note) = newest(&layout, &state)?;
        let (keys, key, next) = find_keys(&layout, &state, key_file, &newest)?;
        let edge = read_tree(&layout, &state, &newest)?;
        let contents = wal::read(&layout.wal()).about("wal")?;
        let unsealed = check_wal(&layout, &newest, &contents)?;
        let torn = [&torn_note.rest[..], &contents.rest].concat();
        if !torn.is_empty() {
            put_aside(&layout, &*clock, &torn)?;
        }
        let found = Found {
            wal: Wal::open(&layout.wal(), contents.length).about("wal")?,
            checkpoints: CheckpointLog::open(&layout.checkpoints(), torn_note.length)
                .about("checkpoints.log")?,
            edge,
            note: newest.note.to_string(),
        };
        let mut log = Self::new(layout, state, keys, key, lock, found, settings, clock);
        for entry in &unsealed {
            log.edge.push(entry);
            log.unsealed_octets += entry.len() as u64 + wal::OVERHEAD;
        }
        log.resume_epoch(next)?;
        if !torn.is_empty() {
            let (octets, index) = (torn.len() as u64, log.size());
            let notice = Notice::Recovered { octets, index };
            log.note(notice).map_err(|error| log.unwritten(error))?;
        }
        // A key does not outlive the run that made it: what restarts often changes it often.
        log.change_epoch()?;
        // Of the checkpoint that may have been signed and not published.
        files::replace(&log.layout.checkpoint(), log.note.as_bytes()).about("checkpoint")?;
        Ok(log)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of the one thing")]
    fn new(
        layout: Layout,
        state: State,
        keys: KeyFile,
        key: EpochKey,
        lock: Lock,
        found: Found,
        settings: JournalSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let now = clock.monotonic();
        let size = found.edge.size();
        let is_encrypted = !settings.recipients.is_empty();
        Self {
            layout,
            state,
            stamp: Stamp::new(settings.origin.clone(), is_encrypted),
            settings,
            clock,
            keys,
            key,
            next: None,
            cipher: None,
            wal: found.wal,
            checkpoints: found.checkpoints,
            edge: found.edge,
            note: found.note,
            sealed: size,
            witnessed: 0,
            unsealed_octets: 0,
            times: Times {
                seal: now,
                took: Duration::ZERO,
                retry: Duration::ZERO,
                unsynced: None,
                epoch: now,
                epoch_size: size,
            },
            is_broken: false,
            notices: Vec::new(),
            problem: None,
            _lock: lock,
        }
    }

    /// Goes on with a change of epochs that was interrupted, if its entry is in the log; forgets
    /// the key that was made for it, if it is not.
    fn resume_epoch(&mut self, next: Option<EpochKey>) -> Result<(), JournalError> {
        let Some(next) = next else { return Ok(()) };
        let last = self.last_entry()?;
        let expected = Notice::Epoch {
            epoch: next.epoch(),
            key: next.vkey(),
        };
        if last.as_deref().and_then(Notice::read) == Some(expected) {
            self.next = Some(next);
            self.finish_epoch()
        } else {
            self.keys.discard_next().about(self.keys.path())
        }
    }

    fn last_entry(&mut self) -> Result<Option<Vec<u8>>, JournalError> {
        let Some(last) = self.size().checked_sub(1) else {
            return Ok(None);
        };
        // Unsealed entries are not in tiles yet.
        if self.sealed < self.size() {
            self.edge.write(&self.layout)?;
        }
        let tiles = DiskTiles::new(&self.layout, self.size());
        tiles.entry(last).map(Some)
    }
}

/// What stands in the folder, open to go on.
struct Found {
    wal: Wal,
    checkpoints: CheckpointLog,
    edge: Edge,
    note: String,
}

/// The newest checkpoint, as it was read.
#[derive(Debug)]
struct Newest {
    note: Note,
    checkpoint: Checkpoint,
}

pub(crate) fn read_state(layout: &Layout) -> Result<State, JournalError> {
    match State::read(layout) {
        Ok(state) => Ok(state),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(JournalError::Missing),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            let what = "is not the state of a journal of this version";
            Err(Damage::new(None, Path::new("state.json"), what).into())
        }
        Err(error) => Err(error).about("state.json"),
    }
}

fn lock(layout: &Layout) -> Result<Lock, JournalError> {
    match Lock::take(&layout.lock()) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(JournalError::InUse),
        taken => taken.about("lock"),
    }
}

/// Refuses a key file inside the journal: a copy of the journal would be a copy of the key.
fn outside(folder: &Path, key_file: &Path) -> Result<(), JournalError> {
    let folder = folder.canonicalize().about(".")?;
    let above = absolute(key_file).about(key_file)?;
    let above = above.parent().unwrap_or_else(|| Path::new("/"));
    if above.canonicalize().about(key_file)?.starts_with(folder) {
        return Err(JournalError::Key(KeyProblem::Inside));
    }
    Ok(())
}

/// The last checkpoint of the log of them, which `checkpoint` has too unless a crash came between.
fn newest(layout: &Layout, state: &State) -> Result<(Newest, checkpoints::Last), JournalError> {
    let file = Path::new("checkpoints.log");
    let damaged = |what| JournalError::from(Damage::new(None, file, what));
    let mut last = checkpoints::last(&layout.checkpoints()).about(file)?;
    let text = last
        .note
        .take()
        .ok_or_else(|| damaged("holds no checkpoint"))?;
    let note: Note = text
        .parse()
        .map_err(|_| damaged("ends with no signed note"))?;
    let checkpoint: Checkpoint = note
        .text()
        .parse()
        .map_err(|_| damaged("ends with no checkpoint"))?;
    if checkpoint.origin != state.origin {
        return Err(damaged("ends with the checkpoint of another log"));
    }
    // The file is written after the log of checkpoints: it is never ahead.
    let published = files::if_there(files::read_bounded(&layout.checkpoint(), 1 << 20));
    let published = published.about("checkpoint")?;
    let published = published.and_then(|octets| String::from_utf8(octets).ok());
    let published: Option<Note> = published.and_then(|text| text.parse().ok());
    let older = published.and_then(|note| note.text().parse::<Checkpoint>().ok());
    if older.is_none_or(|older| older.head.size > checkpoint.head.size) {
        let what = "is no checkpoint, or one that the journal does not know";
        return Err(Damage::new(None, Path::new("checkpoint"), what).into());
    }
    Ok((Newest { note, checkpoint }, last))
}

/// The key in force and the one that was to follow, after any interruption of a change.
fn find_keys(
    layout: &Layout,
    state: &State,
    key_file: &Path,
    newest: &Newest,
) -> Result<(KeyFile, EpochKey, Option<EpochKey>), JournalError> {
    let keys = KeyFile::new(key_file);
    let malformed = |error: std::io::Error| match error.kind() {
        ErrorKind::InvalidData => JournalError::Key(KeyProblem::Malformed),
        _ => JournalError::Io {
            file: key_file.to_owned(),
            error,
        },
    };
    let mut key = keys.read().map_err(malformed)?;
    let mut next = keys.read_next().map_err(malformed)?;
    if key.is_none()
        && let Some(key_of_next) = &next
        && vkey(layout, key_of_next.epoch())? == Some(key_of_next.vkey())
    {
        // Interrupted while the key before was destroyed: its successor is certified already.
        keys.advance().about(key_file)?;
        key = next.take();
    }
    let key = key.ok_or(JournalError::Key(KeyProblem::Missing))?;
    let known = vkey(layout, key.epoch())?;
    if key.origin() != state.origin || known != Some(key.vkey()) {
        return Err(JournalError::Key(KeyProblem::Other));
    }
    // Before its first checkpoint, the newest is that of the key before.
    let signers = [Some(key.epoch()), key.epoch().checked_sub(1)];
    for epoch in signers.into_iter().flatten() {
        let signer: Option<VerifyingNoteKey> =
            vkey(layout, epoch)?.and_then(|text| text.parse().ok());
        if signer.is_some_and(|signer| newest.note.verify(&signer).is_ok()) {
            return Ok((keys, key, next));
        }
    }
    let what = "ends with a checkpoint that the key of this epoch did not sign";
    let index = newest.checkpoint.head.size.saturating_sub(1);
    Err(Damage::new(index, Path::new("checkpoints.log"), what).into())
}

fn vkey(layout: &Layout, epoch: u64) -> Result<Option<String>, JournalError> {
    let path = layout.vkey(epoch);
    let octets = files::if_there(files::read_bounded(&path, MAX_VKEY));
    let octets = octets.about(layout.relative(&path))?;
    let text = octets.and_then(|octets| String::from_utf8(octets).ok());
    Ok(text.map(|text| text.trim_end().to_owned()))
}

/// The tree of the newest checkpoint, after a look at its files and its newest entries.
fn read_tree(layout: &Layout, state: &State, newest: &Newest) -> Result<Edge, JournalError> {
    let head = newest.checkpoint.head;
    let tiles = DiskTiles::new(layout, head.size);
    tiles.check_files(state.min_index)?;
    let bundles = head.size.div_ceil(tile::WIDTH);
    let from = bundles
        .saturating_sub(LOOKED_AT)
        .max(state.min_index / tile::WIDTH);
    (from..bundles).try_for_each(|index| tiles.check_bundle(index))?;
    let edge = Edge::open(layout, head.size)?;
    if edge.head() != head {
        let what = "do not lead to the root of the newest checkpoint";
        return Err(Damage::new(from * tile::WIDTH, Path::new("tile"), what).into());
    }
    Ok(edge)
}

/// The entries that no checkpoint covers. What it does cover may still stand in the file.
fn check_wal(
    layout: &Layout,
    newest: &Newest,
    contents: &wal::Contents,
) -> Result<Vec<Vec<u8>>, JournalError> {
    let size = newest.checkpoint.head.size;
    let damaged = |index, what| JournalError::from(Damage::new(index, Path::new("wal"), what));
    let mut unsealed = Vec::new();
    for (index, entry) in &contents.records {
        if *index < size {
            let sealed = DiskTiles::new(layout, size).entry(*index)?;
            if leaf_hash(&sealed) != leaf_hash(entry) {
                return Err(damaged(
                    *index,
                    "has another entry than the one that was signed",
                ));
            }
        } else if *index == size + unsealed.len() as u64 {
            unsealed.push(entry.clone());
        } else {
            return Err(damaged(size, "does not go on where the checkpoint ends"));
        }
    }
    if contents.rest_was_whole {
        let index = contents
            .records
            .last()
            .map_or(size, |(index, _)| index.saturating_add(1));
        return Err(damaged(index, "is damaged in what had reached the disk"));
    }
    Ok(unsealed)
}

/// Keeps what a crash left half-written, for whoever wants to know what it was.
fn put_aside(layout: &Layout, clock: &dyn Clock, torn: &[u8]) -> Result<(), JournalError> {
    let wall = clock.wall().duration_since(UNIX_EPOCH);
    let us = u64::try_from(wall.unwrap_or(Duration::ZERO).as_micros()).unwrap_or(u64::MAX);
    let path = layout.torn(us);
    files::write_synced(&path, torn).about(layout.relative(&path))
}
