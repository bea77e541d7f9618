//! Opens a file that decides who gets in, if nobody else can decide what is in it.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::Problem;
use crate::file::MAX_OCTETS;

/// A file's octets, and what the file was when they were read.
pub(crate) struct Opened {
    pub(crate) octets: Zeroizing<Vec<u8>>,
    metadata: Metadata,
}

/// Reads a regular file of up to 1 MiB that nobody else can write or swap.
pub(crate) fn read(path: &Path) -> Result<Opened, Problem> {
    // Asked before opening too: opening a pipe would wait for its writer.
    regular(&fs::metadata(path).map_err(Problem::Read)?)?;
    let file = File::open(path).map_err(Problem::Read)?;
    let metadata = file.metadata().map_err(Problem::Read)?;
    regular(&metadata)?;
    owned::check(&metadata, path)?;
    let octets = read_all(file)?;
    Ok(Opened { octets, metadata })
}

impl Opened {
    /// Refuses a file that others may read; for files with passwords.
    pub(crate) fn check_private(&self) -> Result<(), Problem> {
        owned::check_private(&self.metadata)
    }
}

fn regular(metadata: &Metadata) -> Result<(), Problem> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(Problem::NotRegular)
    }
}

fn read_all(file: File) -> Result<Zeroizing<Vec<u8>>, Problem> {
    // One block from the start: a vector that grows leaves copies that nobody wipes.
    let mut octets = Zeroizing::new(Vec::with_capacity(MAX_OCTETS + 1));
    let limit = u64::try_from(MAX_OCTETS + 1).unwrap_or(u64::MAX);
    let read: io::Result<usize> = file.take(limit).read_to_end(&mut octets);
    if read.map_err(Problem::Read)? > MAX_OCTETS {
        return Err(Problem::TooLarge);
    }
    Ok(octets)
}

#[cfg(unix)]
mod owned {
    use std::fs::{self, File, Metadata};
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, absolute};

    use crate::error::Problem;

    const ROOT: u32 = 0;
    const STICKY: u32 = 0o1000;
    const WRITABLE_BY_GROUP_OR_OTHERS: u32 = 0o022;
    const WRITABLE_BY_OTHERS: u32 = 0o002;

    const FILE: &str = "the file";
    const DIRECTORY: &str = "its directory";
    const ABOVE: &str = "a directory above it";

    /// Refuses a file, or a way to it, that another user could change.
    pub(super) fn check(file: &Metadata, path: &Path) -> Result<(), Problem> {
        let us = effective_uid().map_err(Problem::Read)?;
        check_owner(file, us, FILE)?;
        if file.mode() & WRITABLE_BY_GROUP_OR_OTHERS != 0 {
            return Err(Problem::Writable(FILE));
        }
        // The name as it was given may lead through symbolic links; where they lead counts too.
        check_way(&absolute(path).map_err(Problem::Read)?, us)?;
        check_way(&path.canonicalize().map_err(Problem::Read)?, us)
    }

    pub(super) fn check_private(file: &Metadata) -> Result<(), Problem> {
        if file.mode() & 0o077 == 0 {
            Ok(())
        } else {
            Err(Problem::Readable)
        }
    }

    fn check_way(path: &Path, us: u32) -> Result<(), Problem> {
        let link = fs::symlink_metadata(path).map_err(Problem::Read)?;
        check_owner(&link, us, FILE)?;
        let mut what = DIRECTORY;
        let mut mask = WRITABLE_BY_GROUP_OR_OTHERS;
        for directory in path.ancestors().skip(1) {
            let link = fs::symlink_metadata(directory).map_err(Problem::Read)?;
            check_owner(&link, us, what)?;
            let mode = fs::metadata(directory).map_err(Problem::Read)?.mode();
            if mode & mask != 0 && mode & STICKY == 0 {
                return Err(Problem::Writable(what));
            }
            (what, mask) = (ABOVE, WRITABLE_BY_OTHERS);
        }
        Ok(())
    }

    fn check_owner(metadata: &Metadata, us: u32, what: &'static str) -> Result<(), Problem> {
        if [us, ROOT].contains(&metadata.uid()) {
            Ok(())
        } else {
            Err(Problem::Owner(what))
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

    use crate::error::Problem;

    /// Access lists of other systems are not read: the administrator's care.
    pub(super) fn check(_: &Metadata, _: &Path) -> Result<(), Problem> {
        Ok(())
    }

    /// Whether others can read the file cannot be told, so it must not hold passwords.
    pub(super) fn check_private(_: &Metadata) -> Result<(), Problem> {
        Err(Problem::Readable)
    }
}
