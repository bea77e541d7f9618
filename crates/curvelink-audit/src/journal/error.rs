//! What can go wrong with a journal.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A journal cannot be made, opened, read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The operating system said no.
    #[error("{}: {error}", file.display())]
    Io {
        /// Which file, below the journal's folder.
        file: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// Another program has the journal's lock.
    #[error("another program writes this journal: stop it, or use another folder")]
    InUse,
    /// The folder holds no journal.
    #[error("no journal is in this folder: make one first")]
    Missing,
    /// A journal is made in a folder of its own.
    #[error("the folder holds something already: make the journal in a new one")]
    NotEmpty,
    /// The name of the log is none.
    #[error("not an origin: give a host name and a path without spaces or plus signs")]
    Origin,
    /// What was exported is no journal that could go on.
    #[error("this is an archive of a journal: it can be read and not written")]
    Archive,
    /// What was signed is not there any more, or is not as it was. Nothing is appended over it.
    #[error("damaged: {0}")]
    Damaged(#[from] Damage),
    /// The secret key of the epoch cannot be used.
    #[error("the epoch's key: {0}")]
    Key(KeyProblem),
    /// Entries cannot be let go there.
    #[error("prune at a multiple of 256 that is sealed and above what was pruned")]
    PruneAt,
    /// There are no such entries, or the checkpoint is of another log.
    #[error("the journal has no such entry or checkpoint")]
    Range,
    /// A tree that was signed is not the beginning of a later one.
    #[error("the second checkpoint does not go on from the first: what was signed was altered")]
    Inconsistent,
    /// The journal was closed, or its thread has ended.
    #[error("the journal is closed")]
    Closed,
}

/// The journal's own work stopped where the system had nothing to say.
impl From<io::ErrorKind> for JournalError {
    fn from(kind: io::ErrorKind) -> Self {
        Self::Io {
            file: PathBuf::from("."),
            error: kind.into(),
        }
    }
}

/// Why the key of an epoch is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// It is not there.
    #[error("its file is missing: without it the journal cannot go on, only be verified")]
    Missing,
    /// It is inside the folder of the journal.
    #[error("its file must not be in the journal's folder: who copies that would get it too")]
    Inside,
    /// It is that of another journal or epoch.
    #[error("its file holds the key of another journal or epoch")]
    Other,
    /// The file holds no key.
    #[error("its file holds no key")]
    Malformed,
}

/// What is wrong where in a journal's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The first entry that it concerns, where it concerns entries.
    pub index: Option<u64>,
    /// The file, below the folder.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Damage {
    pub(crate) fn new(index: impl Into<Option<u64>>, file: &Path, what: &'static str) -> Self {
        Self {
            index: index.into(),
            file: file.to_owned(),
            what,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.index {
            write!(f, "entry {index}: ")?;
        }
        write!(f, "{} {}", self.file.display(), self.what)
    }
}

impl std::error::Error for Damage {}

/// Makes errors of the system say which file they are about.
pub(crate) trait About<T> {
    fn about(self, file: impl AsRef<Path>) -> Result<T, JournalError>;
}

impl<T> About<T> for io::Result<T> {
    fn about(self, file: impl AsRef<Path>) -> Result<T, JournalError> {
        self.map_err(|error| JournalError::Io {
            file: file.as_ref().to_owned(),
            error,
        })
    }
}

/// An entry is not in the journal, or was not when the answer was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// As many entries wait for the disk as may.
    #[error("too many entries wait for the disk: the journal is slower than its events")]
    Busy,
    /// The disk took no more; it may later.
    #[error("the entry could not be written: {0}")]
    NotWritten(io::ErrorKind),
    /// What reached the disk is not known any more; the journal must be opened anew.
    #[error("the disk failed: open the journal anew")]
    Broken,
    /// It is of the kind that only the journal itself writes.
    #[error("only the journal writes this kind of entry")]
    Reserved,
    /// The journal was closed, or its thread has ended.
    #[error("the journal is closed")]
    Closed,
}
