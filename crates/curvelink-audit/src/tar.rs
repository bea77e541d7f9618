//! As much of the tar format (POSIX.1-1988, ustar) as a list of small files needs.

use std::io::{self, ErrorKind, Write};

const BLOCK: usize = 512;

/// Writes one file after the other.
#[derive(Debug)]
pub(crate) struct Tar<W> {
    out: W,
}

impl<W: Write> Tar<W> {
    pub(crate) const fn new(out: W) -> Self {
        Self { out }
    }

    /// Adds a file with a name of at most 100 octets, readable by all.
    pub(crate) fn add(&mut self, name: &str, octets: &[u8]) -> io::Result<()> {
        let header = header(name, octets.len()).ok_or(ErrorKind::InvalidInput)?;
        self.out.write_all(&header)?;
        self.out.write_all(octets)?;
        let rest = octets.len().next_multiple_of(BLOCK) - octets.len();
        self.out
            .write_all([0; BLOCK].get(..rest).unwrap_or_default())
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()
    }
}

fn header(name: &str, size: usize) -> Option<[u8; BLOCK]> {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| {
        header.get_mut(at..at + text.len())?.copy_from_slice(text);
        Some(())
    };
    if name.len() > 100 {
        return None;
    }
    put(0, name.as_bytes())?;
    put(100, b"0000644\0")?;
    put(108, b"0000000\0")?;
    put(116, b"0000000\0")?;
    put(124, format!("{size:011o}\0").as_bytes())?;
    // No time of its own: the same journal gives the same archive.
    put(136, b"00000000000\0")?;
    // The checksum is computed with spaces in its own place.
    put(148, b"        ")?;
    put(156, b"0")?;
    put(257, b"ustar\x0000")?;
    let sum: u32 = header.iter().map(|octet| u32::from(*octet)).sum();
    let sum = format!("{sum:06o}\0 ");
    header.get_mut(148..156)?.copy_from_slice(sum.as_bytes());
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_padded_to_blocks_and_the_end_is_two_of_zeros() {
        let mut out = Vec::new();
        let mut tar = Tar::new(&mut out);
        tar.add("a/b", b"octets").unwrap();
        tar.add("empty", b"").unwrap();
        assert!(tar.add(&"x".repeat(101), b"").is_err());
        tar.finish().unwrap();
        assert_eq!(out.len(), 5 * BLOCK);
        assert_eq!(out[BLOCK..BLOCK + 6], *b"octets");
        assert_eq!(out[124..136], *b"00000000006\0");
        assert!(out[3 * BLOCK..].iter().all(|octet| *octet == 0));
    }
}
