//! The journal without its thread: one owner, who writes entries and lets time pass.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use curvelink_tlog::{Checkpoint, Note, TlogProof, prove_inclusion};

use super::checkpoints::CheckpointLog;
use super::encrypt::Cipher;
use super::epoch::{EpochKey, KeyFile};
use super::error::{About, AppendError, JournalError};
use super::files::{self, Lock};
use super::layout::{Layout, State};
use super::notice::{Notice, Stamp};
use super::settings::{Durability, JournalSettings};
use super::tiles::{DiskTiles, Edge};
use super::wal::{self, Wal};
use crate::witness::cosignatures;
use crate::{Clock, Record};

/// Unsealed entries may take so many octets: what seals fail for so long that more came is not
/// written.
const MAX_UNSEALED: u64 = 64 << 20;
const SHORTEST_RETRY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Log {
    pub(super) layout: Layout,
    pub(super) state: State,
    pub(super) settings: JournalSettings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stamp: Stamp,
    pub(super) keys: KeyFile,
    pub(super) key: EpochKey,
    /// The key that is to follow: its entry is the last of the log, and nothing may come after it
    /// before the key in force has signed it and is gone.
    pub(super) next: Option<EpochKey>,
    pub(super) cipher: Option<Cipher>,
    pub(super) wal: Wal,
    pub(super) checkpoints: CheckpointLog,
    pub(super) edge: Edge,
    /// The newest checkpoint, and the size that it is of.
    pub(super) note: String,
    pub(super) sealed: u64,
    /// The size of the newest checkpoint that enough witnesses signed, in this run.
    pub(super) witnessed: u64,
    pub(super) unsealed_octets: u64,
    pub(super) times: Times,
    /// What the disk did that only opening anew can mend.
    pub(super) is_broken: bool,
    /// What stood in the way of what was due last.
    pub(super) problem: Option<String>,
    /// What was written of the journal itself and nobody has been told.
    pub(super) notices: Vec<Record>,
    /// Held as long as the journal is.
    pub(super) _lock: Lock,
}

/// When things happened last, by the clock that does not jump.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) seal: Duration,
    /// How long it took.
    pub(super) took: Duration,
    /// Before that, nothing that failed is tried again.
    pub(super) retry: Duration,
    /// The oldest entry that has not reached the disk.
    pub(super) unsynced: Option<Duration>,
    pub(super) epoch: Duration,
    /// The size at which the epoch began.
    pub(super) epoch_size: u64,
}

impl Log {
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Writes entries, all or none, and tells the index of the first. Under
    /// [`Durability::Event`] they have reached the disk when this returns.
    pub(crate) fn write(&mut self, entries: &[Vec<u8>]) -> Result<u64, AppendError> {
        let encrypted = self.encrypt(entries)?;
        let first = self.write_leaves(&encrypted)?;
        if self.settings.durability == Durability::Event {
            self.sync()?;
        }
        Ok(first)
    }

    /// Writes an entry of the journal's own, which is never encrypted.
    pub(crate) fn note(&mut self, notice: Notice) -> Result<u64, AppendError> {
        let record = self.stamp.notice(notice, self.clock.wall());
        let index = self.write_leaves(&[Cow::Owned(self.stamp.entry(record.clone()))])?;
        self.notices.push(record);
        Ok(index)
    }

    fn encrypt<'a>(&mut self, entries: &'a [Vec<u8>]) -> Result<Vec<Cow<'a, [u8]>>, AppendError> {
        self.start_data_key()?;
        let Some(cipher) = &self.cipher else {
            return Ok(entries.iter().map(|it| Cow::Borrowed(&it[..])).collect());
        };
        let indexes = self.edge.size()..;
        let sealed = indexes.zip(entries).map(|(index, entry)| {
            let leaf = cipher.encrypt(&self.state.origin, index, entry);
            leaf.map(Cow::Owned)
                .ok_or(AppendError::NotWritten(ErrorKind::Other))
        });
        sealed.collect()
    }

    /// Sees to it that a data key of this day is in force.
    fn start_data_key(&mut self) -> Result<(), AppendError> {
        if self.settings.recipients.is_empty() {
            return Ok(());
        }
        let today = Cipher::day(self.clock.wall());
        if self
            .cipher
            .as_ref()
            .is_some_and(|cipher| cipher.covers(today))
        {
            return Ok(());
        }
        let failed = |error: std::io::Error| AppendError::NotWritten(error.kind());
        let cipher = Cipher::generate(today).map_err(failed)?;
        let wrapped = cipher.wrap(&self.settings.recipients).map_err(failed)?;
        files::write_synced(&self.layout.data_key(&cipher.id()), &wrapped).map_err(failed)?;
        self.note(Notice::DataKey { key: cipher.id() })?;
        self.cipher = Some(cipher);
        Ok(())
    }

    fn write_leaves(&mut self, leaves: &[Cow<'_, [u8]>]) -> Result<u64, AppendError> {
        if self.is_broken {
            return Err(AppendError::Broken);
        }
        self.finish_epoch().map_err(|error| not_written(&error))?;
        let octets = leaves.iter().map(|leaf| leaf.len() as u64 + wal::OVERHEAD);
        let octets: u64 = octets.sum();
        if self.unsealed_octets + octets > MAX_UNSEALED {
            return Err(AppendError::NotWritten(ErrorKind::StorageFull));
        }
        let first = self.edge.size();
        let written = self.wal.append(first, leaves.iter().map(|leaf| &leaf[..]));
        if let Err(failed) = written {
            self.is_broken = !failed.is_undone;
            return Err(AppendError::NotWritten(failed.error.kind()));
        }
        leaves.iter().for_each(|leaf| self.edge.push(leaf));
        self.unsealed_octets += octets;
        let now = self.clock.monotonic();
        self.times.unsynced.get_or_insert(now);
        Ok(first)
    }

    /// Waits until all entries have reached the disk.
    fn sync(&mut self) -> Result<(), AppendError> {
        // What was written and what was not, nobody knows after an error.
        self.wal.sync().map_err(|_| {
            self.is_broken = true;
            AppendError::Broken
        })?;
        self.times.unsynced = None;
        Ok(())
    }

    /// Does what is due. What fails is tried again after a while.
    pub(crate) fn tick(&mut self) {
        let now = self.clock.monotonic();
        if now < self.times.retry {
            return;
        }
        let done = match self.is_broken {
            true => Err(self.broken()),
            false => self.do_due(now),
        };
        self.problem = done.err().map(|error| error.to_string());
        if self.problem.is_some() {
            self.times.retry = now + self.settings.seal_after.max(SHORTEST_RETRY);
        }
    }

    fn do_due(&mut self, now: Duration) -> Result<(), JournalError> {
        if let Durability::Interval(longest) = self.settings.durability
            && self
                .times
                .unsynced
                .is_some_and(|since| since + longest <= now)
        {
            self.sync().map_err(|_| self.broken())?;
        }
        if self.is_epoch_over(now) {
            self.change_epoch()
        } else if now >= self.seal_due() {
            self.seal()
        } else {
            Ok(())
        }
    }

    /// How long nothing is due.
    pub(crate) fn idle_time(&self) -> Duration {
        let mut due = self.seal_due().min(self.times.epoch + self.settings.epoch);
        if let (Durability::Interval(longest), Some(since)) =
            (self.settings.durability, self.times.unsynced)
        {
            due = due.min(since + longest);
        }
        due.max(self.times.retry)
            .saturating_sub(self.clock.monotonic())
    }

    fn seal_due(&self) -> Duration {
        let unsealed = self.edge.size() - self.sealed;
        let wait = match unsealed {
            0 => self.settings.heartbeat,
            // Sealing takes a tenth of the time at most: more entries are more for one seal.
            _ if unsealed >= self.settings.seal_entries => {
                (self.times.took * 9).min(self.settings.seal_after)
            }
            _ => self.settings.seal_after,
        };
        self.times.seal + wait
    }

    fn is_epoch_over(&self, now: Duration) -> bool {
        let entries = self.edge.size() - self.times.epoch_size;
        self.next.is_some()
            || now >= self.times.epoch + self.settings.epoch
            || entries >= self.settings.epoch_entries
    }

    /// Signs a checkpoint of all entries. The order in which files change is what a crash is
    /// recovered by: entries and hashes, the checkpoint, and only then the write-ahead file.
    pub(crate) fn seal(&mut self) -> Result<(), JournalError> {
        self.times.seal = self.clock.monotonic();
        self.sync().map_err(|_| self.broken())?;
        self.edge.write(&self.layout)?;
        let note = self.sign()?;
        let layout = &self.layout;
        self.checkpoints.append(&note).about("checkpoints.log")?;
        self.sealed = self.edge.size();
        files::replace(&layout.checkpoint(), note.as_bytes()).about("checkpoint")?;
        self.note = note;
        self.wal.clear().about("wal")?;
        self.unsealed_octets = 0;
        self.edge.remove_narrower(&self.layout);
        let now = self.clock.monotonic();
        self.times.took = now.saturating_sub(self.times.seal);
        self.times.seal = now;
        Ok(())
    }

    fn sign(&self) -> Result<String, JournalError> {
        let invalid = |_| JournalError::Origin;
        let checkpoint = Checkpoint::new(&self.state.origin, self.edge.head()).map_err(invalid)?;
        let since = self.clock.wall().duration_since(UNIX_EPOCH);
        let time = since.unwrap_or_default().as_millis();
        let note = self
            .key
            .signer()
            .sign(&format!("{checkpoint}time {time}\n"));
        note.map(|note| note.to_string())
            .map_err(|_| JournalError::Origin)
    }

    /// Lets another key sign from here on, and destroys the one in force.
    pub(crate) fn change_epoch(&mut self) -> Result<(), JournalError> {
        self.finish_epoch()?;
        let next = EpochKey::generate(&self.state.origin, self.key.epoch() + 1);
        let next = next.about(self.keys.path())?;
        self.keys.write_next(&next).about(self.keys.path())?;
        let (epoch, key) = (next.epoch(), next.vkey());
        self.note(Notice::Epoch { epoch, key })
            .map_err(|error| self.unwritten(error))?;
        self.next = Some(next);
        self.finish_epoch()
    }

    /// Goes on with the change to another key, from wherever it was interrupted.
    pub(super) fn finish_epoch(&mut self) -> Result<(), JournalError> {
        let Some(next) = &self.next else {
            return Ok(());
        };
        let (epoch, vkey) = (next.epoch(), next.vkey());
        if self.sealed < self.edge.size() {
            self.seal()?;
        }
        let certificate = self.certify()?;
        for (path, text) in [
            (self.layout.certificate(epoch), certificate),
            (self.layout.vkey(epoch), format!("{vkey}\n")),
        ] {
            let relative = self.layout.relative(&path);
            files::write_synced(&path, text.as_bytes()).about(relative)?;
        }
        self.keys.advance().about(self.keys.path())?;
        if let Some(next) = self.next.take() {
            self.key = next;
        }
        self.times.epoch = self.clock.monotonic();
        self.times.epoch_size = self.edge.size();
        Ok(())
    }

    /// The proof that the last entry, which names the next key, is the last that this key signed.
    fn certify(&self) -> Result<String, JournalError> {
        let size = self.sealed;
        let index = size.saturating_sub(1);
        let tiles = DiskTiles::new(&self.layout, size);
        let hashes = prove_inclusion(&tiles.hashes(), index, size);
        let proof = TlogProof {
            extra: Some(tiles.entry(index)?),
            index,
            hashes: hashes.map_err(|_| JournalError::Range)?,
            checkpoint: self.note.clone(),
        };
        Ok(proof.to_string())
    }

    pub(super) fn keep_witnessed(&mut self, note: &Note) -> Result<bool, JournalError> {
        let checkpoint: Option<Checkpoint> = note.text().parse().ok();
        let checkpoint = checkpoint.filter(|it| it.origin == self.state.origin);
        let size = checkpoint.ok_or(JournalError::Range)?.head.size;
        let count = cosignatures(note, &self.settings.cosigners);
        if count == 0 || count < self.settings.min_witnesses || size < self.witnessed {
            return Ok(false);
        }
        let text = note.to_string();
        files::replace(&self.layout.witnessed(), text.as_bytes()).about("checkpoint.witnessed")?;
        self.witnessed = size;
        Ok(true)
    }

    fn broken(&self) -> JournalError {
        self.unwritten(AppendError::Broken)
    }

    pub(super) fn unwritten(&self, error: AppendError) -> JournalError {
        let kind = match error {
            AppendError::NotWritten(kind) => kind,
            _ => ErrorKind::Other,
        };
        JournalError::Io {
            file: self.layout.relative(&self.layout.wal()),
            error: kind.into(),
        }
    }
}

fn not_written(error: &JournalError) -> AppendError {
    match error {
        JournalError::Io { error, .. } => AppendError::NotWritten(error.kind()),
        _ => AppendError::NotWritten(ErrorKind::Other),
    }
}
