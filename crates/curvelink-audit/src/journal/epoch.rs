//! The secret key of an epoch: in one file outside the journal, and nowhere once it is over.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curvelink_tlog::NoteSigner;
use zeroize::Zeroizing;

use super::{files, seal};

const HEADING: &str = "curvelink-epoch-key-v1";
const MAX_FILE: usize = 4096;

/// The key that signs the checkpoints of one epoch; wiped when dropped.
pub(crate) struct EpochKey {
    epoch: u64,
    origin: String,
    seed: Zeroizing<[u8; 32]>,
    signer: NoteSigner,
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochKey({})", self.epoch)
    }
}

impl EpochKey {
    /// A new key from the system's random octets.
    pub(crate) fn generate(origin: &str, epoch: u64) -> io::Result<Self> {
        Self::from_seed(origin, epoch, seal::random()?)
    }

    fn from_seed(origin: &str, epoch: u64, seed: Zeroizing<[u8; 32]>) -> io::Result<Self> {
        let signer = NoteSigner::from_seed(origin, &seed).map_err(|_| not_a_key())?;
        Ok(Self {
            epoch,
            origin: origin.to_owned(),
            seed,
            signer,
        })
    }

    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) const fn signer(&self) -> &NoteSigner {
        &self.signer
    }

    /// The public key as a line of text.
    pub(crate) fn vkey(&self) -> String {
        self.signer.verifying_key().to_string()
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new([0; 44]);
        let length = STANDARD.encode_slice(self.seed.as_ref(), text.as_mut());
        let seed = text.get(..length.unwrap_or(0)).unwrap_or_default();
        // Room for all of it: a vector that grows leaves copies that nobody wipes.
        let mut file = Zeroizing::new(Vec::with_capacity(MAX_FILE));
        for part in [
            HEADING.as_bytes(),
            self.origin.as_bytes(),
            self.epoch.to_string().as_bytes(),
            seed,
        ] {
            file.extend_from_slice(part);
            file.push(b'\n');
        }
        file
    }

    fn decode(octets: &[u8]) -> Option<Self> {
        let mut lines = str::from_utf8(octets).ok()?.lines();
        let mut next = || lines.next();
        let (HEADING, origin, epoch, text) = (next()?, next()?, next()?, next()?) else {
            return None;
        };
        // What is decoded may take an octet more than what comes out.
        let mut decoded = Zeroizing::new([0; 36]);
        let length = STANDARD.decode_slice(text, decoded.as_mut()).ok()?;
        let seed = Zeroizing::new(decoded.get(..length)?.try_into().ok()?);
        Self::from_seed(origin, epoch.parse().ok()?, seed).ok()
    }
}

/// The file of the key, and the one beside it that holds the next while epochs change.
#[derive(Clone, Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn next(&self) -> PathBuf {
        files::beside(&self.path, ".next")
    }

    /// Writes the first key; nothing may be there yet.
    pub(crate) fn create(&self, key: &EpochKey) -> io::Result<()> {
        files::write_private(&self.path, &key.encode())
    }

    /// The key in force; `None` where there is none, or where it was being destroyed.
    pub(crate) fn read(&self) -> io::Result<Option<EpochKey>> {
        read(&self.path)
    }

    /// The key of the epoch to come, while epochs change.
    pub(crate) fn read_next(&self) -> io::Result<Option<EpochKey>> {
        read(&self.next())
    }

    /// Keeps the key of the epoch to come beside the one in force.
    pub(crate) fn write_next(&self, key: &EpochKey) -> io::Result<()> {
        self.discard_next()?;
        files::write_private(&self.next(), &key.encode())
    }

    /// Forgets the key of an epoch that does not come.
    pub(crate) fn discard_next(&self) -> io::Result<()> {
        destroy(&self.next())
    }

    /// Destroys the key in force; the next takes its place.
    pub(crate) fn advance(&self) -> io::Result<()> {
        destroy(&self.path)?;
        fs::rename(self.next(), &self.path)?;
        files::sync_folder_of(&self.path)
    }
}

fn read(path: &Path) -> io::Result<Option<EpochKey>> {
    let Some(file) = files::if_there(File::open(path))? else {
        return Ok(None);
    };
    // Room for all of it: a vector that grows leaves copies that nobody wipes.
    let mut octets = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut octets)?;
    // Overwritten, and then there was no time to remove it.
    if octets.iter().all(|octet| *octet == 0) {
        return Ok(None);
    }
    let key = EpochKey::decode(&octets).filter(|_| octets.len() <= MAX_FILE);
    key.map(Some).ok_or_else(not_a_key)
}

/// Overwrites a file, waits until that has reached the disk, and removes it. File systems that
/// copy on write, snapshots and the wear levelling of flash memory may keep the old octets.
fn destroy(path: &Path) -> io::Result<()> {
    let Some(mut file) = files::if_there(OpenOptions::new().write(true).open(path))? else {
        return Ok(());
    };
    let length = usize::try_from(file.metadata()?.len()).map_or(MAX_FILE, |it| it.min(MAX_FILE));
    file.write_all(&vec![0; length])?;
    file.sync_all()?;
    fs::remove_file(path)?;
    files::sync_folder_of(path)
}

fn not_a_key() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not an epoch's key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &tempfile::TempDir) -> KeyFile {
        KeyFile::new(&folder.path().join("epoch.key"))
    }

    #[test]
    fn a_key_comes_back_from_its_file() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = file(&folder);
        assert!(file.read()?.is_none());
        let key = EpochKey::generate("a.example/audit", 7)?;
        file.create(&key)?;
        let read = file.read()?.unwrap();
        assert_eq!((read.epoch(), read.origin()), (7, "a.example/audit"));
        assert_eq!(read.vkey(), key.vkey());
        assert!(file.create(&key).is_err(), "it is never overwritten");
        Ok(())
    }

    #[test]
    fn the_next_key_takes_the_place_of_the_one_that_is_destroyed() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = file(&folder);
        let (old, new) = (EpochKey::generate("o", 0)?, EpochKey::generate("o", 1)?);
        file.create(&old)?;
        // Another name of the same octets shows what became of them.
        let octets = folder.path().join("octets");
        fs::hard_link(file.path(), &octets)?;
        file.write_next(&new)?;
        assert_eq!(file.read_next()?.unwrap().vkey(), new.vkey());
        file.advance()?;
        assert_eq!(file.read()?.unwrap().vkey(), new.vkey());
        assert!(file.read_next()?.is_none());
        assert!(fs::read(&octets)?.iter().all(|octet| *octet == 0));
        assert!(read(&octets)?.is_none(), "half-destroyed is destroyed");
        Ok(())
    }

    #[test]
    fn what_is_no_key_is_an_error_and_not_a_fresh_start() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = file(&folder);
        let key = EpochKey::generate("o", 3)?.encode();
        for cut in 1..key.len() - 1 {
            fs::write(file.path(), &key[..cut])?;
            let error = file.read().expect_err("cut");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{cut}");
        }
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_key() -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir()?;
        let file = file(&folder);
        file.create(&EpochKey::generate("o", 0)?)?;
        file.write_next(&EpochKey::generate("o", 1)?)?;
        for path in [file.path(), &file.next()] {
            assert_eq!(fs::metadata(path)?.permissions().mode() & 0o777, 0o600);
        }
        Ok(())
    }
}
