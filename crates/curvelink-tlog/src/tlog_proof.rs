//! Proofs that stand alone (c2sp.org/tlog-proof@v1): where an entry is in which tree, as text.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::decimal;
use crate::hash::Hash;
use crate::note::{MAX_NOTE, Note, NoteError, VerifyingNoteKey};
use crate::proof::{Refuted, check_inclusion};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1\n";
/// A tree of 64 bits is no higher.
const MAX_HASHES: usize = 64;
const MAX_EXTRA: usize = 16 << 10;
/// The text of a proof has at most as many octets.
pub const MAX_PROOF: usize = MAX_NOTE + (32 << 10);

/// A proof that an entry stands at a place in a log. Nothing in it is proven before
/// [`Self::verify`] has said so.
///
/// Displays as, and parses from, the text of a `.tlog-proof` file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "the parts of the format, to be put together"
)]
pub struct TlogProof {
    /// Octets of the application, at most 16 KiB. No signature covers them.
    pub extra: Option<Vec<u8>>,
    /// The place of the entry, from 0.
    pub index: u64,
    /// The hashes beside the way to the root, the entry's neighbour first.
    pub hashes: Vec<Hash>,
    /// The signed checkpoint as it was received.
    pub checkpoint: String,
}

impl TlogProof {
    /// Whether the entry with the hash `leaf` stands in the log `origin`, whose key is `key`: the
    /// checkpoint that says so.
    ///
    /// # Errors
    ///
    /// [`TlogProofError`].
    pub fn verify(
        &self,
        leaf: Hash,
        key: &VerifyingNoteKey,
        origin: &str,
    ) -> Result<Checkpoint, TlogProofError> {
        let note: Note = self.checkpoint.parse().map_err(CheckpointError::Note)?;
        let checkpoint = Checkpoint::open(&note, key, origin)?;
        check_inclusion(&self.hashes, leaf, self.index, checkpoint.head)?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FIRST_LINE)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes
            .iter()
            .try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = TlogProofError;

    fn from_str(text: &str) -> Result<Self, TlogProofError> {
        const FORM: TlogProofError = TlogProofError::Form;
        if text.len() > MAX_PROOF {
            return Err(FORM);
        }
        let text = text.strip_prefix(FIRST_LINE).ok_or(FORM)?;
        // No line of the proof is empty, so the first empty one ends it.
        let (proof, checkpoint) = text.split_once("\n\n").ok_or(FORM)?;
        let mut lines = proof.split('\n').peekable();
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(extra) => {
                lines.next();
                let octets = STANDARD.decode(extra).map_err(|_| FORM)?;
                Some(octets)
                    .filter(|octets| octets.len() <= MAX_EXTRA)
                    .ok_or(FORM)?
                    .into()
            }
            None => None,
        };
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .ok_or(FORM)?;
        let index = decimal::parse(index, u64::MAX >> 1).ok_or(FORM)?;
        let hashes: Vec<Hash> = lines
            .take(MAX_HASHES + 1)
            .map(|line| line.parse().map_err(|_| FORM))
            .collect::<Result<_, _>>()?;
        if hashes.len() > MAX_HASHES {
            return Err(FORM);
        }
        Ok(Self {
            extra,
            index,
            hashes,
            checkpoint: checkpoint.to_owned(),
        })
    }
}

/// A proof cannot be read, or does not prove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogProofError {
    /// The text has not the lines of a proof.
    #[error(
        "not a tlog-proof: expected its first line, an index, hashes, an empty line and a checkpoint"
    )]
    Form,
    /// The checkpoint cannot be read, is not signed by the key, or of another log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The hashes do not lead from the entry to the root.
    #[error(transparent)]
    Refuted(#[from] Refuted),
}

impl From<NoteError> for TlogProofError {
    fn from(error: NoteError) -> Self {
        Self::Checkpoint(error.into())
    }
}

#[cfg(test)]
mod tests;
