//! Opens a file that decides who gets in, if nobody else can decide what is in it.

use std::path::Path;

use zeroize::Zeroizing;

use crate::error::Problem;
use crate::file::MAX_OCTETS;
use crate::owned_file::{FileProblem, OwnedFile};

/// A file's octets, and whether others may read them too.
pub(crate) struct Opened {
    pub(crate) octets: Zeroizing<Vec<u8>>,
    readers: Result<(), FileProblem>,
}

/// Reads a regular file of up to 1 MiB that nobody else can write or swap.
pub(crate) fn read(path: &Path) -> Result<Opened, Problem> {
    let file = OwnedFile::open(path)?;
    file.check_writers()?;
    let readers = file.check_readers();
    let octets = file.read(MAX_OCTETS)?;
    Ok(Opened { octets, readers })
}

impl Opened {
    /// Refuses a file that others may read; for files with passwords.
    pub(crate) fn check_private(self) -> Result<(), Problem> {
        Ok(self.readers?)
    }
}

impl From<FileProblem> for Problem {
    fn from(problem: FileProblem) -> Self {
        match problem {
            FileProblem::Read(error) => Self::Read(error),
            // A policy may be reached through links: they are checked as the way to it.
            FileProblem::NotRegular | FileProblem::Link => Self::NotRegular,
            FileProblem::Writable(what) => Self::Writable(what),
            FileProblem::Owner(what) => Self::Owner(what),
            FileProblem::Readable => Self::Readable,
            FileProblem::TooLarge => Self::TooLarge,
        }
    }
}
