//! The write-ahead file: entries that are in no sealed tile yet, each with its checksum.
//!
//! ```text
//! u32 length, its highest bit: all before this record had reached the disk when it was written
//! u32 crc32c over the length, the index and the entry
//! u64 index
//! ... the entry
//! ```
//!
//! All numbers are big-endian. The bit is what tells a crash from damage: behind octets that a
//! crash left half-written stands no record that says that they had been whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use curvelink_tlog::tile::MAX_ENTRY;

use super::crc32c::crc32c;
use super::files;

const HEAD: usize = 16;
const SYNCED: u32 = 1 << 31;
/// The longest file: what the journal keeps unsealed, and a group that was being written.
const MAX_FILE: u64 = 1 << 30;

/// The file, open to append. One writer: the journal's lock says so.
#[derive(Debug)]
pub(crate) struct Wal {
    file: File,
    /// Octets of whole records.
    length: u64,
    /// Whether everything in it has reached the disk.
    is_synced: bool,
    group: Vec<u8>,
}

impl Wal {
    /// Opens the file, or makes it, to go on after `length` octets. What follows them is gone.
    pub(crate) fn open(path: &Path, length: u64) -> io::Result<Self> {
        let is_new = !path.try_exists()?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        if is_new {
            files::sync_folder_of(path)?;
        }
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        file.sync_all()?;
        Ok(Self {
            file,
            length,
            is_synced: true,
            group: Vec::new(),
        })
    }

    /// Appends a group of entries, of which the first has this index: all of them or none.
    ///
    /// # Errors
    ///
    /// What the system says, and whether the file is as it was.
    pub(crate) fn append<'a>(
        &mut self,
        first: u64,
        entries: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), AppendFailed> {
        self.group.clear();
        for (index, entry) in (first..).zip(entries) {
            let is_synced = self.is_synced && self.group.is_empty();
            encode(&mut self.group, is_synced, index, entry);
        }
        let written = self.file.write_all(&self.group);
        self.group.shrink_to(1 << 20);
        match written {
            Ok(()) => {
                self.length += self.group.len() as u64;
                self.is_synced &= self.group.is_empty();
                Ok(())
            }
            Err(error) => Err(AppendFailed {
                is_undone: self.cut(self.length).is_ok(),
                error,
            }),
        }
    }

    /// Waits until everything has reached the disk.
    ///
    /// After an error nobody knows what has: the system may have dropped what it could not write
    /// and say nothing the next time.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if !self.is_synced {
            self.file.sync_data()?;
            self.is_synced = true;
        }
        Ok(())
    }

    /// Empties it: what it held is sealed.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.cut(0)?;
        self.length = 0;
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(SeekFrom::Start(length)).map(drop)
    }
}

/// A group was not written.
#[derive(Debug)]
pub(crate) struct AppendFailed {
    pub(crate) error: io::Error,
    /// Whether the file is again as it was before.
    pub(crate) is_undone: bool,
}

fn encode(into: &mut Vec<u8>, is_synced: bool, index: u64, entry: &[u8]) {
    // Entries are checked to be short before they come here.
    let length = u32::try_from(entry.len()).unwrap_or(u32::MAX >> 1);
    let length = if is_synced { length | SYNCED } else { length };
    let (length, index) = (length.to_be_bytes(), index.to_be_bytes());
    let crc = crc32c(&[&length, &index, entry]);
    for part in [&length[..], &crc.to_be_bytes(), &index, entry] {
        into.extend_from_slice(part);
    }
}

/// What stands in the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Whole records, in order: index and entry.
    pub(crate) records: Vec<(u64, Vec<u8>)>,
    /// Octets of whole records.
    pub(crate) length: u64,
    /// What follows them.
    pub(crate) rest: Vec<u8>,
    /// Whether the rest had been whole once: a later record says so.
    pub(crate) rest_was_whole: bool,
}

/// Reads the file to its first bad record.
pub(crate) fn read(path: &Path) -> io::Result<Contents> {
    let octets = files::if_there(files::read_bounded(path, MAX_FILE))?.unwrap_or_default();
    Ok(parse(&octets))
}

fn parse(octets: &[u8]) -> Contents {
    let mut contents = Contents::default();
    let mut rest = octets;
    let mut expected = None;
    while let Some((record, after)) = decode(rest) {
        if expected.is_some_and(|expected| expected != record.index) {
            break;
        }
        expected = record.index.checked_add(1);
        contents.records.push((record.index, record.entry.to_vec()));
        rest = after;
    }
    contents.length = (octets.len() - rest.len()) as u64;
    contents.rest_was_whole = says_it_was_whole(rest);
    contents.rest = rest.to_vec();
    contents
}

/// Whether a record stands anywhere behind the first octet that was written after all before it
/// had reached the disk.
fn says_it_was_whole(rest: &[u8]) -> bool {
    (1..rest.len()).any(|at| {
        // The bit is looked at first: a checksum at each octet would take long.
        let record = rest.get(at..).filter(|it| it.first() == Some(&0x80));
        let record = record.and_then(decode);
        record.is_some_and(|(record, _)| record.is_synced)
    })
}

struct Found<'a> {
    is_synced: bool,
    index: u64,
    entry: &'a [u8],
}

fn decode(octets: &[u8]) -> Option<(Found<'_>, &[u8])> {
    let (length, rest) = octets.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let (index, rest) = rest.split_first_chunk::<8>()?;
    let (is_synced, size) = match u32::from_be_bytes(*length) {
        flagged if flagged & SYNCED != 0 => (true, flagged & !SYNCED),
        size => (false, size),
    };
    let size = usize::try_from(size)
        .ok()
        .filter(|it| (1..=MAX_ENTRY).contains(it))?;
    let (entry, rest) = rest.split_at_checked(size)?;
    if crc32c(&[length, index, entry]) != u32::from_be_bytes(*crc) {
        return None;
    }
    let index = u64::from_be_bytes(*index);
    Some((
        Found {
            is_synced,
            index,
            entry,
        },
        rest,
    ))
}

/// Octets that a record takes beside its entry.
pub(crate) const OVERHEAD: u64 = HEAD as u64;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(is_synced: bool, index: u64, entry: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        encode(&mut octets, is_synced, index, entry);
        octets
    }

    fn three() -> Vec<u8> {
        [
            record(true, 7, b"one"),
            record(false, 8, b"two"),
            record(true, 9, b"three"),
        ]
        .concat()
    }

    #[test]
    fn what_is_appended_is_read_in_order() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("wal");
        let mut wal = Wal::open(&path, 0)?;
        wal.append(7, [&b"one"[..], b"two"].into_iter()).unwrap();
        wal.sync()?;
        wal.append(9, [&b"three"[..]].into_iter()).unwrap();
        assert_eq!(fs::read(&path)?, three());
        let read = read(&path)?;
        let entries: Vec<_> = read.records.iter().map(|(at, it)| (*at, &it[..])).collect();
        assert_eq!(entries, [(7, &b"one"[..]), (8, b"two"), (9, b"three")]);
        assert!(read.rest.is_empty());
        wal.clear()?;
        assert_eq!(super::read(&path)?, Contents::default());
        Ok(())
    }

    #[test]
    fn a_file_that_is_not_there_is_empty() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        assert_eq!(read(&folder.path().join("wal"))?, Contents::default());
        Ok(())
    }

    #[test]
    fn a_torn_tail_is_told_from_its_whole_records_at_every_length() {
        let octets = three();
        let ends = [0, 19, 38, 59];
        for cut in 0..octets.len() {
            let read = parse(&octets[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!(read.records.len(), whole, "{cut}");
            assert_eq!(read.length, ends[whole] as u64);
            assert_eq!(read.rest, octets[ends[whole]..cut]);
            assert!(!read.rest_was_whole, "{cut}");
        }
    }

    #[test]
    fn a_flipped_octet_before_what_was_synced_is_no_torn_tail() {
        let octets = three();
        for at in 0..octets.len() {
            let mut flipped = octets.clone();
            flipped[at] ^= 0x40;
            let read = parse(&flipped);
            assert_eq!(read.records.len(), (at / 19).min(2), "{at}");
            assert_eq!(read.rest_was_whole, at < 38, "{at}");
        }
    }

    #[test]
    fn indexes_that_do_not_follow_each_other_end_the_records() {
        let octets = [record(false, 7, b"one"), record(false, 9, b"two")].concat();
        let read = parse(&octets);
        assert_eq!((read.records.len(), read.length), (1, 19));
    }

    #[test]
    fn lengths_that_no_entry_has_are_not_believed() {
        for length in [0, MAX_ENTRY + 1] {
            let octets = record(false, 0, &vec![0; length]);
            assert_eq!(parse(&octets).records.len(), 0, "{length}");
        }
        assert_eq!(parse(&record(false, 0, &[0; MAX_ENTRY])).records.len(), 1);
        assert_eq!(parse(&[0; 64]).records.len(), 0);
    }
}
