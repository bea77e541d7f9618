//! A part of a journal as one file that can be verified by itself.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::PathBuf;

use curvelink_tlog::tile::{self, Tile, TileReader as _, TiledHashes};
use curvelink_tlog::{TlogProof, prove_inclusion};

use crate::journal::checkpoints::{self, Notes};
use crate::journal::error::{About, JournalError};
use crate::journal::files;
use crate::journal::layout::State;
use crate::progress::Progress;
use crate::reader::{JournalReader, parse, unread};
use crate::tar::Tar;

const MAX_KEY_FILE: u64 = 1 << 20;

/// What an archive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// The entries: those that were asked for and some around them, since 256 stand in a file and a
    /// checkpoint has to cover them.
    pub range: Range<u64>,
    /// The checkpoint that covers them: a signed note.
    pub checkpoint: String,
}

impl JournalReader {
    /// Writes a tar file with the entries of a range, their tiles, the first checkpoint that covers
    /// them and all before it, the public keys with their certificates and, with `proofs`, a
    /// tlog-proof for each entry. Unpacked it is a folder that [`verify`](crate::verify()) takes
    /// with `allow_archive`.
    ///
    /// # Errors
    ///
    /// [`JournalError::Range`] where the range holds no entry; what reading the journal or writing
    /// the archive meets, of the kind [`Interrupted`](ErrorKind::Interrupted) when `progress` said
    /// so. What was written then is no archive.
    pub fn export(
        &self,
        range: Range<u64>,
        proofs: bool,
        out: &mut dyn Write,
        progress: &mut dyn Progress,
    ) -> Result<Exported, JournalError> {
        let kept = self.range();
        let wanted = range.start.max(kept.start)..range.end.min(kept.end);
        if wanted.is_empty() {
            return Err(JournalError::Range);
        }
        let (checkpoint, size, log) = self.checkpoints_to(wanted.end)?;
        let from = wanted.start - wanted.start % tile::WIDTH;
        let mut archive = Archive {
            reader: self,
            tar: Tar::new(out),
            size,
        };
        let state = State {
            min_index: from,
            archive: true,
            ..self.state.clone()
        };
        archive.add("state.json", &state.to_json().about("state.json")?)?;
        archive.add("checkpoint", checkpoint.as_bytes())?;
        archive.add("checkpoints.log", &log)?;
        archive.witnessed(from)?;
        archive.keys()?;
        archive.hashes(from)?;
        archive.entries(from..size, progress)?;
        if proofs {
            archive.proofs(wanted, &checkpoint, progress)?;
        }
        archive.tar.finish().about("archive")?;
        Ok(Exported {
            range: from..size,
            checkpoint,
        })
    }

    /// The first checkpoint of at least this size, its size, and the log of those up to it.
    fn checkpoints_to(&self, size: u64) -> Result<(String, u64, Vec<u8>), JournalError> {
        let mut log = Vec::new();
        for note in Notes::open(&self.layout.checkpoints()).about("checkpoints.log")? {
            let note = note.about("checkpoints.log")?;
            log.extend(checkpoints::encode(&note));
            let reached = parse(&note).map(|it| it.head.size).filter(|it| *it >= size);
            if let Some(reached) = reached {
                return Ok((note, reached, log));
            }
        }
        Err(JournalError::Range)
    }
}

struct Archive<'a> {
    reader: &'a JournalReader,
    tar: Tar<&'a mut dyn Write>,
    /// The size of its tree: that of its checkpoint.
    size: u64,
}

impl Archive<'_> {
    fn add(&mut self, name: &str, octets: &[u8]) -> Result<(), JournalError> {
        self.tar.add(name, octets).about("archive")
    }

    /// What witnesses signed, if it is of entries that are here.
    fn witnessed(&mut self, from: u64) -> Result<(), JournalError> {
        let layout = &self.reader.layout;
        let path = layout.witnessed();
        let name = layout.relative(&path);
        let octets = files::if_there(files::read_bounded(&path, MAX_KEY_FILE)).about(&name)?;
        let Some(text) = octets.and_then(|octets| String::from_utf8(octets).ok()) else {
            return Ok(());
        };
        let size = parse(&text).map_or(0, |it| it.head.size);
        if from < size && size <= self.size {
            self.add(&name.to_string_lossy(), text.as_bytes())?;
        }
        Ok(())
    }

    /// Public keys and certificates of the epochs up to the checkpoint, and the wrapped data keys.
    fn keys(&mut self) -> Result<(), JournalError> {
        let layout = &self.reader.layout;
        let mut paths = vec![layout.vkey(0)];
        for epoch in 1.. {
            let certificate = layout.certificate(epoch);
            let octets = files::if_there(files::read_bounded(&certificate, MAX_KEY_FILE));
            let text = octets
                .about("keys")?
                .and_then(|it| String::from_utf8(it).ok());
            let proof: Option<TlogProof> = text.and_then(|text| text.parse().ok());
            if proof.is_none_or(|proof| proof.index >= self.size) {
                break;
            }
            paths.extend([certificate, layout.vkey(epoch)]);
        }
        paths.extend(data_keys(&layout.root().join("keys")).about("keys")?);
        for path in paths {
            let name = layout.relative(&path);
            let octets = files::read_bounded(&path, MAX_KEY_FILE).about(&name)?;
            self.add(&name.to_string_lossy(), &octets)?;
        }
        Ok(())
    }

    fn hashes(&mut self, from: u64) -> Result<(), JournalError> {
        let tiles = self.reader.tiles();
        for level in 0..8 {
            let first = if level == 0 { from / tile::WIDTH } else { 0 };
            for index in first.. {
                let Some(tile) = Tile::hashes(level, index, self.size) else {
                    break;
                };
                let whole = Tile::hashes(level, index, self.reader.checkpoint().head.size);
                let hashes = tiles.tile(whole.unwrap_or(tile))?;
                let octets = hashes.iter().take(tile.width().into()).flat_map(|it| it.0);
                let octets: Vec<u8> = octets.collect();
                self.add(&tile.to_string(), &octets)?;
            }
        }
        Ok(())
    }

    fn entries(
        &mut self,
        range: Range<u64>,
        progress: &mut dyn Progress,
    ) -> Result<(), JournalError> {
        let tiles = self.reader.tiles();
        for index in range.start / tile::WIDTH.. {
            let Some(bundle) = Tile::entries(index, self.size) else {
                break;
            };
            let mut octets = Vec::new();
            for entry in tiles.entries(index)?.iter().take(bundle.width().into()) {
                tile::push_entry(&mut octets, entry).map_err(|_| JournalError::Range)?;
            }
            self.add(&bundle.to_string(), &octets)?;
            if !progress.tell(index * tile::WIDTH - range.start, range.end - range.start) {
                return Err(ErrorKind::Interrupted.into());
            }
        }
        Ok(())
    }

    fn proofs(
        &mut self,
        range: Range<u64>,
        checkpoint: &str,
        progress: &mut dyn Progress,
    ) -> Result<(), JournalError> {
        let hashes: TiledHashes<_> = self.reader.tiles().hashes();
        let (start, end) = (range.start, range.end);
        for index in range {
            let proof = TlogProof {
                extra: None,
                index,
                hashes: prove_inclusion(&hashes, index, self.size).map_err(unread)?,
                checkpoint: checkpoint.to_owned(),
            };
            self.add(
                &format!("proofs/{index}.tlog-proof"),
                proof.to_string().as_bytes(),
            )?;
            if !progress.tell(index - start, end - start) {
                return Err(ErrorKind::Interrupted.into());
            }
        }
        Ok(())
    }
}

fn data_keys(folder: &std::path::Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("data-") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
