//! A file that decides or holds something that other users of the machine must not reach.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

/// A regular file that was opened and can be asked who else reaches it. What is asked is the
/// opened file, not its name: swapping the name afterwards changes nothing.
#[derive(Debug)]
pub struct OwnedFile {
    file: File,
    metadata: Metadata,
    path: PathBuf,
}

/// Why a file is not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// The operating system said no.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// A directory, a pipe, a device.
    #[error("is not a regular file: give the path of one")]
    NotRegular,
    /// Somebody else could put another file in its place; says what they can write.
    #[error("{0} is writable by others: run chmod go-w on it")]
    Writable(&'static str),
    /// Somebody else owns what is read, or the way to it; says which.
    #[error("{0} belongs to another user: chown it to root or to the user that runs this")]
    Owner(&'static str),
    /// Somebody else can read it.
    #[error("is readable by others: run chmod 600 on it")]
    Readable,
    /// The name is a symbolic link.
    #[error("is a symbolic link: give the file that it leads to")]
    Link,
    /// More octets than the caller takes.
    #[error("is too large")]
    TooLarge,
}

impl OwnedFile {
    /// Opens a regular file. Of a pipe, a device or a directory nothing is read, and a pipe is not
    /// waited for.
    ///
    /// # Errors
    /// [`FileProblem::Read`], [`FileProblem::NotRegular`].
    pub fn open(path: &Path) -> Result<Self, FileProblem> {
        // Asked before opening too: opening a pipe would wait for its writer.
        regular(&fs::metadata(path).map_err(FileProblem::Read)?)?;
        let file = File::open(path).map_err(FileProblem::Read)?;
        let metadata = file.metadata().map_err(FileProblem::Read)?;
        regular(&metadata)?;
        Ok(Self {
            file,
            metadata,
            path: path.to_owned(),
        })
    }

    /// Refuses a file, or a way to it, that another user could change. On Unix the file, its
    /// directory and each directory above must belong to this process's effective user or to root;
    /// the file and its directory must not be writable by group or others, the directories above
    /// not by others (sticky directories may be). Elsewhere nothing is checked.
    ///
    /// # Errors
    /// [`FileProblem::Writable`], [`FileProblem::Owner`], [`FileProblem::Read`].
    pub fn check_writers(&self) -> Result<(), FileProblem> {
        owned::check(&self.metadata, &self.path)
    }

    /// Refuses a file that group or others may read, write or run. Where modes are not known, any
    /// file.
    ///
    /// # Errors
    /// [`FileProblem::Readable`].
    pub fn check_readers(&self) -> Result<(), FileProblem> {
        owned::check_private(&self.metadata)
    }

    /// Refuses a file that was opened through a symbolic link as the last part of its path.
    ///
    /// # Errors
    /// [`FileProblem::Link`], [`FileProblem::Read`].
    pub fn check_not_a_link(&self) -> Result<(), FileProblem> {
        let link = fs::symlink_metadata(&self.path).map_err(FileProblem::Read)?;
        if link.is_symlink() {
            return Err(FileProblem::Link);
        }
        Ok(())
    }

    /// Reads all of it, if it has at most `max_octets`. The octets are wiped when dropped.
    ///
    /// # Errors
    /// [`FileProblem::TooLarge`], [`FileProblem::Read`].
    pub fn read(self, max_octets: usize) -> Result<Zeroizing<Vec<u8>>, FileProblem> {
        // One block from the start: a vector that grows leaves copies that nobody wipes.
        let room = max_octets.saturating_add(1);
        let mut octets = Zeroizing::new(Vec::with_capacity(room));
        let limit = u64::try_from(room).unwrap_or(u64::MAX);
        let read = self.file.take(limit).read_to_end(&mut octets);
        if read.map_err(FileProblem::Read)? > max_octets {
            return Err(FileProblem::TooLarge);
        }
        Ok(octets)
    }
}

fn regular(metadata: &Metadata) -> Result<(), FileProblem> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(FileProblem::NotRegular)
    }
}

#[cfg(unix)]
mod owned {
    use std::fs::{self, File, Metadata};
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, absolute};

    use super::FileProblem;

    const ROOT: u32 = 0;
    const STICKY: u32 = 0o1000;
    const WRITABLE_BY_GROUP_OR_OTHERS: u32 = 0o022;
    const WRITABLE_BY_OTHERS: u32 = 0o002;

    const FILE: &str = "the file";
    const DIRECTORY: &str = "its directory";
    const ABOVE: &str = "a directory above it";

    /// Refuses a file, or a way to it, that another user could change.
    pub(super) fn check(file: &Metadata, path: &Path) -> Result<(), FileProblem> {
        let us = effective_uid().map_err(FileProblem::Read)?;
        check_owner(file, us, FILE)?;
        if file.mode() & WRITABLE_BY_GROUP_OR_OTHERS != 0 {
            return Err(FileProblem::Writable(FILE));
        }
        // The name as it was given may lead through symbolic links; where they lead counts too.
        check_way(&absolute(path).map_err(FileProblem::Read)?, us)?;
        check_way(&path.canonicalize().map_err(FileProblem::Read)?, us)
    }

    pub(super) fn check_private(file: &Metadata) -> Result<(), FileProblem> {
        if file.mode() & 0o077 == 0 {
            Ok(())
        } else {
            Err(FileProblem::Readable)
        }
    }

    fn check_way(path: &Path, us: u32) -> Result<(), FileProblem> {
        let link = fs::symlink_metadata(path).map_err(FileProblem::Read)?;
        check_owner(&link, us, FILE)?;
        let mut what = DIRECTORY;
        let mut mask = WRITABLE_BY_GROUP_OR_OTHERS;
        for directory in path.ancestors().skip(1) {
            let link = fs::symlink_metadata(directory).map_err(FileProblem::Read)?;
            check_owner(&link, us, what)?;
            let mode = fs::metadata(directory).map_err(FileProblem::Read)?.mode();
            if mode & mask != 0 && mode & STICKY == 0 {
                return Err(FileProblem::Writable(what));
            }
            (what, mask) = (ABOVE, WRITABLE_BY_OTHERS);
        }
        Ok(())
    }

    fn check_owner(metadata: &Metadata, us: u32, what: &'static str) -> Result<(), FileProblem> {
        if [us, ROOT].contains(&metadata.uid()) {
            Ok(())
        } else {
            Err(FileProblem::Owner(what))
        }
    }

    /// The owner of a pipe made just now: the standard library tells the user id no other way.
    fn effective_uid() -> io::Result<u32> {
        let (reader, _writer) = io::pipe()?;
        Ok(File::from(OwnedFd::from(reader)).metadata()?.uid())
    }
}

#[cfg(not(unix))]
mod owned {
    use std::fs::Metadata;
    use std::path::Path;

    use super::FileProblem;

    /// Access lists of other systems are not read: the administrator's care.
    pub(super) fn check(_: &Metadata, _: &Path) -> Result<(), FileProblem> {
        Ok(())
    }

    /// Whether others can read the file cannot be told, so it must not hold passwords.
    pub(super) fn check_private(_: &Metadata) -> Result<(), FileProblem> {
        Err(FileProblem::Readable)
    }
}
