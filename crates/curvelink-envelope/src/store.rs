//! Where a signer's progress outlives its process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::progress::Progress;

/// A full table takes some 15 MiB.
const MAX_FILE: u64 = 32 << 20;

/// Keeps a signer's [`Progress`] between runs. Whatever answers `load` with less than was last
/// given to `save` makes receivers refuse what the key signs next, as replayed.
pub trait ProgressStore: Send {
    /// What was saved last; [`Progress::default`] when nothing ever was.
    ///
    /// # Errors
    ///
    /// Whatever stands in the way; the signer then does not start.
    fn load(&mut self) -> io::Result<Progress>;

    /// Keeps `progress`. It must be safe before this returns: the signer uses an epoch only after
    /// it was saved.
    ///
    /// # Errors
    ///
    /// Whatever stands in the way; the signer then does not sign.
    fn save(&mut self, progress: &Progress) -> io::Result<()>;
}

/// In memory: for tests, and for a key that does not outlive the process.
impl ProgressStore for Progress {
    fn load(&mut self) -> io::Result<Progress> {
        Ok(self.clone())
    }

    fn save(&mut self, progress: &Progress) -> io::Result<()> {
        self.clone_from(progress);
        Ok(())
    }
}

/// A JSON file, replaced as a whole and held by one process at a time.
///
/// Beside `FILE` stand `FILE.lock`, which stays, and for a moment `FILE.new`.
#[derive(Debug)]
pub struct ProgressFile {
    path: PathBuf,
    lock: File,
}

impl ProgressFile {
    /// Takes hold of the file at `path` until dropped; it need not exist, its folder must.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] while another process signs with the same file: two signers
    /// with one key would make each other's messages look replayed. Otherwise what the operating
    /// system says.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let lock = private()
            .create(true)
            .truncate(false)
            .open(beside(&path, ".lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::WouldBlock,
                "another program is signing with this key: wait for it or use another key",
            ),
            TryLockError::Error(error) => error,
        })?;
        Ok(Self { path, lock })
    }
}

impl Drop for ProgressFile {
    fn drop(&mut self) {
        // Closing is not enough: a process that another thread has just forked has the file too,
        // until it becomes the program that it is to run.
        let _ = self.lock.unlock();
    }
}

impl ProgressStore for ProgressFile {
    fn load(&mut self) -> io::Result<Progress> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Progress::default()),
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut text)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, crate::DamagedState);
        if text.len() as u64 > MAX_FILE {
            return Err(damaged());
        }
        serde_json::from_slice(&text).map_err(|_| damaged())
    }

    fn save(&mut self, progress: &Progress) -> io::Result<()> {
        let new = beside(&self.path, ".new");
        // Left behind by a run that was cut short; the lock says that nobody else is writing it.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private().create_new(true).open(&new)?;
        file.write_all(&serde_json::to_vec(progress)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        sync_folder(&self.path)
    }
}

/// Makes a renaming last through a loss of power.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// To write a file that only its owner can read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(epoch: u64) -> Progress {
        let mut progress = Progress::default();
        progress.start_epoch(epoch);
        progress.advance([1; 32], 4);
        progress
    }

    #[test]
    fn a_file_gives_back_what_was_saved_last() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("signer.json");
        let mut store = ProgressFile::open(&path)?;
        assert_eq!(store.load()?, Progress::default());
        for epoch in 1..4 {
            // As if a run had been cut short while saving.
            fs::write(beside(&path, ".new"), "half")?;
            store.save(&progress(epoch))?;
            assert_eq!(store.load()?, progress(epoch));
        }
        Ok(())
    }

    #[test]
    fn one_process_at_a_time_holds_the_file() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("signer.json");
        let first = ProgressFile::open(&path)?;
        let second = ProgressFile::open(&path).expect_err("held");
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        ProgressFile::open(&path).map(drop)
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_a_fresh_start() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("signer.json");
        let mut store = ProgressFile::open(&path)?;
        for damaged in ["", "{}", r#"{"epoch":1,"topics":{},"more":1}"#] {
            fs::write(&path, damaged)?;
            let error = store.load().expect_err("damaged");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{damaged}");
        }
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir()?;
        let path = folder.path().join("signer.json");
        ProgressFile::open(&path)?.save(&progress(1))?;
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        Ok(())
    }
}
