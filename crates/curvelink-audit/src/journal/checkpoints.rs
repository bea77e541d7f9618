//! `checkpoints.log`: every checkpoint that was ever signed, oldest first.
//!
//! ```text
//! u32 length | u32 crc32c over the length and the note | the signed note
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::crc32c::crc32c;
use super::files;

/// The longest note that is believed; ours have some 300 octets.
const MAX_NOTE: usize = 16 << 10;
const HEAD: usize = 8;

/// The file, open to append.
#[derive(Debug)]
pub(crate) struct CheckpointLog {
    file: File,
    length: u64,
}

impl CheckpointLog {
    /// Opens the file, or makes it, to go on after `length` octets. What follows them is gone.
    pub(crate) fn open(path: &Path, length: u64) -> io::Result<Self> {
        let is_new = !path.try_exists()?;
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        if is_new {
            files::sync_folder_of(path)?;
        }
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        Ok(Self { file, length })
    }

    /// Appends a note; lasting when this returns. After an error the file is as it was, if the
    /// system lets it.
    pub(crate) fn append(&mut self, note: &str) -> io::Result<()> {
        let record = encode(note);
        let written = self
            .file
            .write_all(&record)
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            return Err(error);
        }
        self.length += record.len() as u64;
        Ok(())
    }
}

pub(crate) fn encode(note: &str) -> Vec<u8> {
    let length = u32::try_from(note.len()).unwrap_or(u32::MAX).to_be_bytes();
    let crc = crc32c(&[&length, note.as_bytes()]).to_be_bytes();
    [&length[..], &crc, note.as_bytes()].concat()
}

/// The last whole note, and where the whole notes end.
#[derive(Debug, Default)]
pub(crate) struct Last {
    pub(crate) note: Option<String>,
    pub(crate) length: u64,
    /// Octets after them.
    pub(crate) rest: Vec<u8>,
}

/// Finds the last note. Where the file ends with a whole one, little of it is read.
pub(crate) fn last(path: &Path) -> io::Result<Last> {
    let Some(mut file) = files::if_there(File::open(path))? else {
        return Ok(Last::default());
    };
    let length = file.metadata()?.len();
    let from = length.saturating_sub((MAX_NOTE + HEAD) as u64);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let note = (0..tail.len()).find_map(|at| {
        let (note, rest) = decode(tail.get(at..)?)?;
        rest.is_empty().then_some(note)
    });
    if note.is_some() {
        return Ok(Last {
            note,
            length,
            rest: Vec::new(),
        });
    }
    scan(path)
}

fn scan(path: &Path) -> io::Result<Last> {
    let mut last = Last::default();
    for note in Notes::open(path)? {
        match note {
            Ok(note) => {
                last.length += (HEAD + note.len()) as u64;
                last.note = Some(note);
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => break,
            Err(error) => return Err(error),
        }
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(last.length))?;
    file.take((MAX_NOTE + HEAD) as u64)
        .read_to_end(&mut last.rest)?;
    Ok(last)
}

/// The notes in order. What is no whole note is an [`ErrorKind::InvalidData`], and the end.
#[derive(Debug)]
pub(crate) struct Notes {
    file: Option<BufReader<File>>,
    /// Octets before the note that comes next.
    pub(crate) at: u64,
}

impl Notes {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(1 << 16, File::open(path)?);
        Ok(Self {
            file: Some(file),
            at: 0,
        })
    }

    fn read(&mut self) -> io::Result<Option<String>> {
        let Some(file) = &mut self.file else {
            return Ok(None);
        };
        let mut record = Vec::with_capacity(512);
        file.by_ref().take(HEAD as u64).read_to_end(&mut record)?;
        if record.is_empty() {
            return Ok(None);
        }
        let length = record.first_chunk().copied().map(u32::from_be_bytes);
        let length = length
            .filter(|length| *length as usize <= MAX_NOTE)
            .ok_or(BROKEN)?;
        file.by_ref().take(length.into()).read_to_end(&mut record)?;
        let (note, _) = decode(&record).ok_or(BROKEN)?;
        self.at += record.len() as u64;
        Ok(Some(note))
    }
}

impl Iterator for Notes {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if !matches!(read, Ok(Some(_))) {
            self.file = None;
        }
        read.transpose()
    }
}

const BROKEN: ErrorKind = ErrorKind::InvalidData;

fn decode(octets: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = octets.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if !(1..=MAX_NOTE).contains(&size) {
        return None;
    }
    let (note, rest) = rest.split_at_checked(size)?;
    if crc32c(&[length, note]) != u32::from_be_bytes(*crc) {
        return None;
    }
    Some((str::from_utf8(note).ok()?.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn notes_come_back_in_order_and_the_last_is_found_at_the_end() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("log");
        assert!(last(&path)?.note.is_none());
        let mut log = CheckpointLog::open(&path, 0)?;
        // More than what is looked at for the last.
        let notes: Vec<_> = (0..1000).map(|it| format!("note number {it}\n")).collect();
        notes.iter().try_for_each(|note| log.append(note))?;
        let read: io::Result<Vec<_>> = Notes::open(&path)?.collect();
        assert_eq!(read?, notes);
        let found = last(&path)?;
        assert_eq!(found.note.as_ref(), notes.last());
        assert_eq!(found.length, fs::metadata(&path)?.len());
        Ok(())
    }

    #[test]
    fn a_torn_end_leaves_the_note_before_and_is_cut_when_opened() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("log");
        let whole = [encode("one"), encode("two")].concat();
        for cut in 1..encode("three").len() {
            let torn = &encode("three")[..cut];
            fs::write(&path, [&whole[..], torn].concat())?;
            let found = last(&path)?;
            assert_eq!(found.note.as_deref(), Some("two"), "{cut}");
            assert_eq!(found.length, whole.len() as u64);
            assert_eq!(found.rest, torn);
            CheckpointLog::open(&path, found.length)?.append("four")?;
            assert_eq!(last(&path)?.note.as_deref(), Some("four"));
        }
        Ok(())
    }

    #[test]
    fn a_flipped_octet_is_the_end_of_the_notes() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("log");
        let whole = [encode("one"), encode("two")].concat();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, &flipped)?;
            let notes: Vec<_> = Notes::open(&path)?.collect();
            let (broken, good) = notes.split_last().unwrap();
            assert_eq!(broken.as_ref().unwrap_err().kind(), BROKEN, "{at}");
            assert_eq!(good.len(), at / encode("one").len());
        }
        Ok(())
    }
}
