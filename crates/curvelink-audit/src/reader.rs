//! A journal that is only read: its entries, and proofs of them. It may be written meanwhile.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use curvelink_tlog::{
    Checkpoint, Note, ProveError, TlogProof, check_consistency, prove_consistency, prove_inclusion,
    tile,
};

use crate::journal::checkpoints;
use crate::journal::encrypt::{Decryptor, RecipientKey, is_encrypted};
use crate::journal::error::{About, Damage, JournalError};
use crate::journal::layout::{Layout, State};
use crate::journal::recover::read_state;
use crate::journal::tiles::DiskTiles;

/// A journal as of its newest checkpoint. Nothing of it is verified: see [`verify`](crate::verify()).
#[derive(Debug)]
pub struct JournalReader {
    pub(crate) layout: Layout,
    pub(crate) state: State,
    note: String,
    checkpoint: Checkpoint,
}

impl JournalReader {
    /// Reads the state and the newest checkpoint.
    ///
    /// # Errors
    ///
    /// [`JournalError::Missing`] where there is no journal, [`JournalError::Damaged`] where its
    /// checkpoint cannot be read.
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let layout = Layout::new(folder);
        let state = read_state(&layout)?;
        let file = Path::new("checkpoints.log");
        let damaged = |what| JournalError::from(Damage::new(None, file, what));
        let last = checkpoints::last(&layout.checkpoints()).about(file)?;
        let note = last.note.ok_or_else(|| damaged("holds no checkpoint"))?;
        let checkpoint = parse(&note).ok_or_else(|| damaged("ends with no checkpoint"))?;
        Ok(Self {
            layout,
            state,
            note,
            checkpoint,
        })
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.state.origin
    }

    /// The newest checkpoint, as it was signed.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// What the newest checkpoint says.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The entries that there are: those below were let go, those above are not sealed.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.state.min_index..self.checkpoint.head.size
    }

    pub(crate) const fn tiles(&self) -> DiskTiles<'_> {
        DiskTiles::new(&self.layout, self.checkpoint.head.size)
    }

    /// The entries with these indexes, as far as they are in [`range`](Self::range), in order. The
    /// same that [`verify`](crate::verify()) reads.
    #[must_use]
    pub fn entries(&self, range: Range<u64>) -> Entries<'_> {
        Entries {
            tiles: self.tiles(),
            next: range.start.max(self.state.min_index),
            end: range.end.min(self.checkpoint.head.size),
            bundle: Vec::new().into_iter(),
            key: None,
        }
    }

    /// As [`entries`](Self::entries), in clear as far as this recipient may read them.
    #[must_use]
    pub fn entries_for<'a>(&'a self, range: Range<u64>, key: &'a RecipientKey) -> Entries<'a> {
        let key = Decryptor::new(&self.layout, &self.state.origin, key);
        Entries {
            key: Some(key),
            ..self.entries(range)
        }
    }

    /// The proof that an entry stands in the tree of the newest checkpoint, for a stranger who has
    /// the entry and the key of the epoch. Reads a few tiles, however large the journal is.
    ///
    /// # Errors
    ///
    /// [`JournalError::Range`] where there is no such entry, [`JournalError::Damaged`] where its
    /// tiles are not as they should be.
    pub fn prove(&self, index: u64) -> Result<TlogProof, JournalError> {
        if !self.range().contains(&index) {
            return Err(JournalError::Range);
        }
        let hashes = prove_inclusion(&self.tiles().hashes(), index, self.checkpoint.head.size);
        Ok(TlogProof {
            extra: None,
            index,
            hashes: hashes.map_err(unread)?,
            checkpoint: self.note.clone(),
        })
    }

    /// The hashes that show that the journal was only added to between two of its sizes.
    ///
    /// # Errors
    ///
    /// [`JournalError::Range`] unless `old` is at most `new` and that at most the newest size.
    pub fn prove_consistency(
        &self,
        old: u64,
        new: u64,
    ) -> Result<Vec<curvelink_tlog::Hash>, JournalError> {
        if new > self.checkpoint.head.size {
            return Err(JournalError::Range);
        }
        prove_consistency(&self.tiles().hashes(), old, new).map_err(unread)
    }

    /// Whether the journal was only added to between two checkpoints, with the proof of it, which
    /// a stranger can check. Their signatures are not looked at.
    ///
    /// # Errors
    ///
    /// [`JournalError::Range`] for a checkpoint of another log or beyond this one, or where the
    /// second is older; [`JournalError::Inconsistent`] where what was signed first was altered.
    pub fn diff(&self, old: &str, new: &str) -> Result<Diff, JournalError> {
        let read = |note: &str| {
            let checkpoint = parse(note).filter(|it| it.origin == self.state.origin);
            checkpoint.ok_or(JournalError::Range)
        };
        let (old, new) = (read(old)?, read(new)?);
        let proof = self.prove_consistency(old.head.size, new.head.size)?;
        check_consistency(&proof, old.head, new.head).map_err(|_| JournalError::Inconsistent)?;
        Ok(Diff { old, new, proof })
    }
}

/// Two checkpoints of which the second only adds to the first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Diff {
    /// The older.
    pub old: Checkpoint,
    /// The newer.
    pub new: Checkpoint,
    /// The proof (RFC 6962, section 2.1.2).
    pub proof: Vec<curvelink_tlog::Hash>,
}

pub(crate) fn parse(note: &str) -> Option<Checkpoint> {
    let note: Note = note.parse().ok()?;
    note.text().parse().ok()
}

pub(crate) fn unread(error: ProveError<tile::TileError<JournalError>>) -> JournalError {
    match error {
        ProveError::Reader(tile::TileError::Reader(error)) => error,
        _ => JournalError::Range,
    }
}

/// An entry and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its index in the log.
    pub index: u64,
    /// Its octets: a record in JSON, or what only its recipients read.
    pub octets: Vec<u8>,
}

impl Entry {
    /// Whether only its recipients read it.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        is_encrypted(&self.octets)
    }
}

/// The entries of a journal, in order. After an error there is none.
#[derive(Debug)]
pub struct Entries<'a> {
    tiles: DiskTiles<'a>,
    next: u64,
    end: u64,
    bundle: std::vec::IntoIter<Vec<u8>>,
    key: Option<Decryptor<'a>>,
}

impl Entries<'_> {
    fn read(&mut self) -> Result<Option<Entry>, JournalError> {
        if self.next >= self.end {
            return Ok(None);
        }
        if self.bundle.len() == 0 {
            let entries = self.tiles.entries(self.next / tile::WIDTH)?;
            let skipped = usize::try_from(self.next % tile::WIDTH).unwrap_or(usize::MAX);
            self.bundle = entries.into_iter();
            if let Some(before) = skipped.checked_sub(1) {
                self.bundle.nth(before);
            }
        }
        let missing = || JournalError::from(ErrorKind::UnexpectedEof);
        let octets = self.bundle.next().ok_or_else(missing)?;
        let index = self.next;
        self.next += 1;
        let clear = self
            .key
            .as_mut()
            .and_then(|key| key.decrypt(index, &octets));
        let octets = clear.unwrap_or(octets);
        Ok(Some(Entry { index, octets }))
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            self.end = self.next;
        }
        read.transpose()
    }
}
