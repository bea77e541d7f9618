//! A witness: somebody else who remembers how far a journal had come, and signs only what goes on
//! from there.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use curvelink_tlog::{
    Checkpoint, Cosigner, Hash, Note, TlogProof, TreeHead, VerifyingCosignerKey, VerifyingNoteKey,
    check_consistency, leaf_hash,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::journal::error::{About, JournalError};
use crate::journal::files::{self, Lock};
use crate::journal::notice::Notice;
use crate::reader::{JournalReader, parse};

const MAX_STATE: u64 = 16 << 20;
const MAX_KEY_FILE: u64 = 1 << 20;
/// The longest proof: a tree has 64 levels.
const MAX_HASHES: usize = 64;
/// So many certificates go with one request: a witness that was away for longer is asked again.
/// An epoch lasts an hour, or until the program is started again.
const MAX_CERTIFICATES: usize = 256;

/// What a journal asks a witness: the request `add-checkpoint` of c2sp.org/tlog-witness, and the
/// certificates of the keys that the witness does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WitnessRequest {
    /// The size that the witness knows.
    pub old: u64,
    /// The proof that the checkpoint goes on from there.
    pub proof: Vec<Hash>,
    /// The checkpoint: a signed note.
    pub checkpoint: Note,
    /// Tlog-proofs of the entries that name keys, in order.
    pub certificates: Vec<TlogProof>,
}

impl WitnessRequest {
    /// The request as texts, each the frame of a message: `add-checkpoint`, and the certificates.
    #[must_use]
    pub fn to_frames(&self) -> Vec<String> {
        let mut body = format!("old {}\n", self.old);
        for hash in &self.proof {
            body.push_str(&format!("{hash}\n"));
        }
        let body = format!("{body}\n{}", self.checkpoint);
        let certificates = self.certificates.iter().map(ToString::to_string);
        [body].into_iter().chain(certificates).collect()
    }

    /// Reads what [`to_frames`](Self::to_frames) gives.
    ///
    /// # Errors
    ///
    /// [`WitnessError::Malformed`].
    pub fn from_frames(frames: &[&[u8]]) -> Result<Self, WitnessError> {
        Self::parse(frames).ok_or(WitnessError::Malformed)
    }

    fn parse(frames: &[&[u8]]) -> Option<Self> {
        let (body, certificates) = frames.split_first()?;
        let (head, checkpoint) = str::from_utf8(body).ok()?.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let old = lines.next()?.strip_prefix("old ")?;
        let digits = old.bytes().all(|it| it.is_ascii_digit());
        let mut proof = Vec::new();
        for line in lines {
            proof.push(line.parse().ok()?);
        }
        if !digits || proof.len() > MAX_HASHES || certificates.len() > MAX_CERTIFICATES {
            return None;
        }
        let mut parsed = Vec::new();
        for certificate in certificates {
            parsed.push(str::from_utf8(certificate).ok()?.parse().ok()?);
        }
        Some(Self {
            old: old.parse().ok()?,
            proof,
            checkpoint: checkpoint.parse().ok()?,
            certificates: parsed,
        })
    }
}

impl JournalReader {
    /// What to ask a witness that knows this journal up to a size and an epoch: 0 and 0 for one that
    /// knows its anchor alone. Where it knows other numbers it says so
    /// ([`WitnessError::Elsewhere`]).
    ///
    /// Of the newest checkpoint; of an older one where more than 256 keys followed each other since:
    /// then ask again.
    ///
    /// # Errors
    ///
    /// [`JournalError::Range`] for a size that the journal does not have.
    pub fn witness_request(&self, old: u64, epoch: u64) -> Result<WitnessRequest, JournalError> {
        let malformed = |_| JournalError::Range;
        let mut certificates = Vec::new();
        // The number may be anything that a witness says.
        for epoch in (epoch.saturating_add(1)..=u64::MAX).take(MAX_CERTIFICATES) {
            let path = self.layout.certificate(epoch);
            let octets = files::if_there(files::read_bounded(&path, MAX_KEY_FILE)).about("keys")?;
            let Some(octets) = octets else { break };
            let text = String::from_utf8(octets).map_err(|_| JournalError::Range)?;
            let proof: TlogProof = text.parse().map_err(|_| JournalError::Range)?;
            if proof.index >= self.checkpoint().head.size {
                break;
            }
            certificates.push(proof);
        }
        let note = match certificates.last() {
            // There may be more: what the last of these stands in, the key before it signed.
            Some(last) if certificates.len() == MAX_CERTIFICATES => &last.checkpoint,
            _ => self.note(),
        };
        let new = parse(note).ok_or(JournalError::Range)?.head.size;
        Ok(WitnessRequest {
            old,
            proof: self.prove_consistency(old, new)?,
            checkpoint: note.parse().map_err(malformed)?,
            certificates,
        })
    }
}

/// Remembers journals in a file, and cosigns what goes on from what it remembers.
#[derive(Debug)]
pub struct Witness {
    path: PathBuf,
    cosigner: Cosigner,
    seen: BTreeMap<String, Seen>,
    _lock: Lock,
}

/// How far a journal had come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    epoch: u64,
    /// The key of the epoch.
    vkey: String,
    /// The size at which the epoch began.
    begun: u64,
    size: u64,
    /// The root, where there is an entry.
    root: Option<String>,
}

impl Witness {
    /// Takes hold of the file at `path`, which need not exist; beside it stands `PATH.lock`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] while another process has it, [`ErrorKind::InvalidData`] where it
    /// is damaged: a witness that forgot would sign anything.
    pub fn open(path: &Path, cosigner: Cosigner) -> io::Result<Self> {
        let lock = Lock::take(&files::beside(path, ".lock"))?;
        let octets = files::if_there(files::read_bounded(path, MAX_STATE))?;
        let seen = match octets {
            Some(octets) => serde_json::from_slice(&octets).map_err(|_| ErrorKind::InvalidData)?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            path: path.to_owned(),
            cosigner,
            seen,
            _lock: lock,
        })
    }

    /// Begins to watch the journal with this anchor. One that is watched stays as it is.
    ///
    /// # Errors
    ///
    /// [`WitnessError::NotSaved`].
    pub fn watch(&mut self, anchor: &VerifyingNoteKey) -> Result<(), WitnessError> {
        let mut seen = self.seen.clone();
        seen.entry(anchor.name().to_owned())
            .or_insert_with(|| Seen {
                epoch: 0,
                vkey: anchor.to_string(),
                begun: 0,
                size: 0,
                root: None,
            });
        self.save(seen)
    }

    /// The size and the epoch that are known of a log.
    #[must_use]
    pub fn known(&self, origin: &str) -> Option<(u64, u64)> {
        self.seen.get(origin).map(|seen| (seen.size, seen.epoch))
    }

    /// Looks whether a checkpoint goes on from what is known, remembers it, and returns the line
    /// with the cosignature (c2sp.org/tlog-cosignature).
    ///
    /// # Errors
    ///
    /// [`WitnessError`]; nothing is remembered then.
    pub fn cosign(
        &mut self,
        request: &WitnessRequest,
        now: SystemTime,
    ) -> Result<String, WitnessError> {
        let checkpoint: Checkpoint = request
            .checkpoint
            .text()
            .parse()
            .map_err(|_| WitnessError::Malformed)?;
        let seen = self
            .seen
            .get(&checkpoint.origin)
            .ok_or(WitnessError::Unknown)?;
        if request.old != seen.size || checkpoint.head.size < seen.size {
            return Err(WitnessError::Elsewhere {
                size: seen.size,
                epoch: seen.epoch,
            });
        }
        let next = seen.follow(request, &checkpoint)?;
        let time = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let line = self.cosigner.cosign(&request.checkpoint, time);
        let line = line.map_err(|_| WitnessError::Malformed)?.to_string();
        // Remembered before anybody has the signature: a crash between leaves us knowing more.
        let mut all = self.seen.clone();
        all.insert(checkpoint.origin, next);
        self.save(all)?;
        Ok(line)
    }

    fn save(&mut self, seen: BTreeMap<String, Seen>) -> Result<(), WitnessError> {
        let not_saved = |error: io::Error| WitnessError::NotSaved(error.kind());
        let octets = serde_json::to_vec(&seen).map_err(|error| not_saved(error.into()))?;
        files::replace(&self.path, &octets).map_err(not_saved)?;
        self.seen = seen;
        Ok(())
    }
}

impl Seen {
    /// What is known after a request, if it goes on from here.
    fn follow(
        &self,
        request: &WitnessRequest,
        checkpoint: &Checkpoint,
    ) -> Result<Self, WitnessError> {
        let head = checkpoint.head;
        let old = TreeHead {
            size: self.size,
            root: self.root()?,
        };
        let mut next = Self {
            size: head.size,
            root: Some(head.root.to_string()),
            ..self.signer(request, checkpoint)?
        };
        check_consistency(&request.proof, old, head).map_err(|_| WitnessError::Inconsistent)?;
        next.size = head.size;
        Ok(next)
    }

    fn root(&self) -> Result<Hash, WitnessError> {
        match &self.root {
            Some(root) => root.parse().map_err(|_| WitnessError::Malformed),
            None => Ok(curvelink_tlog::EMPTY_ROOT),
        }
    }

    /// The epoch whose key signed the checkpoint, which must lie within it.
    fn signer(
        &self,
        request: &WitnessRequest,
        checkpoint: &Checkpoint,
    ) -> Result<Self, WitnessError> {
        let size = checkpoint.head.size;
        let mut at = self.clone();
        let mut certificates = request.certificates.iter();
        loop {
            let key: VerifyingNoteKey = at.vkey.parse().map_err(|_| WitnessError::Malformed)?;
            let next = certificates.next();
            let end = next.map_or(u64::MAX, |proof| proof.index.saturating_add(1));
            if request.checkpoint.verify(&key).is_ok() {
                let within = (at.begun..=end).contains(&size);
                return if within {
                    Ok(at)
                } else {
                    Err(WitnessError::Signature)
                };
            }
            at = at.after(
                next.ok_or(WitnessError::Signature)?,
                &key,
                &checkpoint.origin,
            )?;
        }
    }

    /// The epoch after this one, if its key vouched for it with the last that it signed.
    fn after(
        &self,
        proof: &TlogProof,
        key: &VerifyingNoteKey,
        origin: &str,
    ) -> Result<Self, WitnessError> {
        let entry = proof.extra.as_deref().unwrap_or_default();
        let certified = proof.verify(leaf_hash(entry), key, origin);
        let certified = certified.map_err(|_| WitnessError::Certificate)?;
        match Notice::read(entry) {
            Some(Notice::Epoch { epoch, key })
                if self.epoch.checked_add(1) == Some(epoch)
                    && certified.head.size == proof.index + 1 =>
            {
                Ok(Self {
                    epoch,
                    vkey: key,
                    begun: certified.head.size,
                    ..self.clone()
                })
            }
            _ => Err(WitnessError::Certificate),
        }
    }
}

/// How many of these witnesses have signed. One that is listed twice is one.
pub(crate) fn cosignatures(note: &Note, cosigners: &[VerifyingCosignerKey]) -> usize {
    let signed = |key: &VerifyingCosignerKey| key.verify(note).is_ok();
    let is_first = |at: usize, key| !cosigners.iter().take(at).any(|before| before == key);
    let each = cosigners.iter().enumerate();
    each.filter(|(at, key)| is_first(*at, *key) && signed(key))
        .count()
}

/// A witness does not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// The request is none.
    #[error("not a request for a cosignature")]
    Malformed,
    /// The log is not watched.
    #[error("this witness does not watch that log")]
    Unknown,
    /// The witness knows another size than the request says; smaller than the checkpoint's, it can
    /// be asked again from there.
    #[error("this witness knows the log with {size} entries in epoch {epoch}: ask from there")]
    Elsewhere {
        /// What it knows.
        size: u64,
        /// The epoch in which that was signed.
        epoch: u64,
    },
    /// The key of the epoch did not sign the checkpoint.
    #[error("the checkpoint is not signed by the key of its epoch")]
    Signature,
    /// A key is not vouched for by the one before.
    #[error("a key of the log is not vouched for by the one before")]
    Certificate,
    /// The log does not go on from what the witness saw.
    #[error("the log does not go on from what this witness saw: it was altered or forked")]
    Inconsistent,
    /// What was seen could not be kept, so nothing was signed.
    #[error("what was seen could not be saved: {0}")]
    NotSaved(ErrorKind),
}

impl WitnessError {
    /// A word for programs: lower case and dashes.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown-log",
            Self::Elsewhere { .. } => "elsewhere",
            Self::Signature => "bad-signature",
            Self::Certificate => "bad-certificate",
            Self::Inconsistent => "inconsistent",
            Self::NotSaved(_) => "not-saved",
        }
    }
}
