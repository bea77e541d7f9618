//! Files that survive a loss of power, or are as they were.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Puts a file in place as a whole: whoever reads it sees the old or the new octets, also after a
/// loss of power.
pub(crate) fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut file = File::create(&new)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_folder_of(path)
}

/// Writes a file that nobody is promised before the folder's other files say so; what an
/// interrupted run left under that name is overwritten. Lasting when this returns.
pub(crate) fn write_synced(path: &Path, octets: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    make_folder(&folder)?;
    let mut file = File::create(path)?;
    file.write_all(octets)?;
    file.sync_all()?;
    sync_folder(&folder)
}

/// Writes a file that lasts once [`sync_files`] says so.
pub(crate) fn write(path: &Path, octets: &[u8]) -> io::Result<()> {
    make_folder(&folder_of(path))?;
    fs::write(path, octets)
}

/// Makes files last that were written before. Many are made to last at once, with whatever else
/// the file system has to write: one wait instead of one for each.
pub(crate) fn sync_files(files: &[PathBuf]) -> io::Result<()> {
    const FEW: usize = 4;
    if files.len() > FEW
        && let Some(path) = files.first()
        && let Some(synced) = sync_file_system_of(path)
    {
        return synced;
    }
    for path in files {
        File::open(path)?.sync_all()?;
        sync_folder_of(path)?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn sync_file_system_of(path: &Path) -> Option<io::Result<()>> {
    let file = File::open(path);
    Some(file.and_then(|file| nix::unistd::syncfs(&file).map_err(Into::into)))
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system_of(_: &Path) -> Option<io::Result<()>> {
    None
}

/// Like [`write_synced`], for a new file that its owner alone may read.
pub(crate) fn write_private(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = private().create_new(true).open(path)?;
    file.write_all(octets)?;
    file.sync_all()?;
    sync_folder_of(path)
}

/// A file that one program has at a time. Dropping it gives it free.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Takes hold of the file, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] while somebody has it.
    pub(crate) fn take(path: &Path) -> io::Result<Self> {
        let file = private().create(true).truncate(false).open(path)?;
        file.try_lock()?;
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that another thread has just forked has the file too,
        // until it becomes the program that it is to run.
        let _ = self.0.unlock();
    }
}

/// To write a file that its owner alone may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Reads a file of at most `max` octets; [`ErrorKind::InvalidData`] when it has more.
pub(crate) fn read_bounded(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(path)?
        .take(max.saturating_add(1))
        .read_to_end(&mut octets)?;
    if octets.len() as u64 > max {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "longer than it can be",
        ));
    }
    Ok(octets)
}

/// The result, or `None` where there is no such file.
pub(crate) fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a folder and those above it, each lasting.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Ok(()) => sync_folder_of(folder),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let Some(above) = folder.parent().filter(|it| !it.as_os_str().is_empty()) else {
                return Err(error);
            };
            make_folder(above)?;
            make_folder(folder)
        }
        Err(error) => Err(error),
    }
}

/// Makes what was created, renamed or removed in the folder of a file last.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    sync_folder(&folder_of(path))
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_not_read_in_part() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        write(&path, b"12345")?;
        assert_eq!(read_bounded(&path, 5)?, b"12345");
        let error = read_bounded(&path, 4).expect_err("longer");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        Ok(())
    }
}
