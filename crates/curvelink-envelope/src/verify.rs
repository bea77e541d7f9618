//! The receiving side: every check that stands between a message and the program that acts on it.

use std::collections::VecDeque;
use std::time::Duration;

use curvelink_tlog::{TreeHead, leaf_hash};
use sha2::{Digest as _, Sha256};

use crate::batch_proof::BatchProof;
use crate::keys::KeyId;
use crate::malformed::Malformed;
use crate::registry::{Identity, KnownKey, Registry};
use crate::replay::{Flag, Refused, ReplayState};
use crate::statement::{Statement, digests};
use crate::time::Timestamp;
use crate::trailer::{Trailer, pae};

/// How far a statement's time may lie from the receiver's clock, unless set otherwise.
pub const DEFAULT_MAX_SKEW: Duration = Duration::from_secs(300);

/// Checks signed messages against a registry of senders, and remembers what it has seen.
#[derive(Clone, Debug)]
pub struct Verifier {
    registry: Registry,
    audiences: Vec<String>,
    max_skew: Duration,
    replay: ReplayState,
    /// The checkpoints of batches that were verified last, the newest at the end: the other
    /// messages of their batches need no signature checked.
    checkpoints: VecDeque<Verdict>,
}

/// So many batches arrive interleaved, at the most, without their checkpoints being checked again.
const CHECKPOINTS: usize = 16;

/// A checkpoint as it came, that the key it names has signed.
#[derive(Clone, Debug)]
struct Verdict {
    checkpoint: String,
    head: TreeHead,
}

/// Over which connection a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Via<'a> {
    /// One that belongs to the identity of this name: it may bring its own messages only.
    Identity(&'a str),
    /// One that belongs to an identity which is trusted to pass on what others signed.
    Relay,
}

/// A message that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// What was stated; `statement.signer` is the identity that a key was found for.
    pub statement: Statement,
    /// The key of that identity.
    pub key: KeyId,
    /// The identities whose keys signed it too, each once, in the order of their signatures.
    pub cosigners: Vec<String>,
    /// What the numbers tell; empty when the message is the next of its topic.
    pub flags: Vec<Flag>,
    /// The statement as it was signed.
    octets: Vec<u8>,
}

impl Verified {
    /// SHA-256 of the statement's octets: the name of this message in a journal. Computed at each
    /// call.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.octets).into()
    }

    /// Whether the message says to answer the request whose statement has the SHA-256 `request`:
    /// the [`Verified::digest`] of it, or [`Trailer::statement_digest`] of what was sent.
    pub fn answers(&self, request: &[u8; 32]) -> bool {
        self.statement.in_reply_to.as_ref() == Some(request)
    }
}

/// What a message is held against beside its own octets. At rest there is neither a clock to be
/// near, nor a stream to be new in, nor a connection to have come over.
#[derive(Clone, Copy)]
enum Setting<'a> {
    Live { now: Timestamp, via: Via<'a> },
    AtRest,
}

impl Verifier {
    /// A verifier that knows the senders in `registry` and goes by the names `audiences`; without
    /// any name it refuses every message. Time may differ by [`DEFAULT_MAX_SKEW`], and nothing has
    /// been seen yet.
    pub fn new<S: Into<String>>(
        registry: Registry,
        audiences: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            registry,
            audiences: audiences.into_iter().map(Into::into).collect(),
            max_skew: DEFAULT_MAX_SKEW,
            replay: ReplayState::default(),
            checkpoints: VecDeque::new(),
        }
    }

    /// Lets a statement's time differ by `max_skew` from the clock, either way; zero lets it be
    /// any time. It also bounds what can be replayed to a verifier that remembers nothing.
    #[must_use]
    pub fn with_max_skew(mut self, max_skew: Duration) -> Self {
        self.max_skew = max_skew;
        self
    }

    /// Goes on from what an earlier verifier had seen.
    #[must_use]
    pub fn with_replay_state(mut self, state: ReplayState) -> Self {
        self.replay = state;
        self
    }

    /// What has been seen so far, to be saved.
    pub fn replay_state(&self) -> &ReplayState {
        &self.replay
    }

    /// Checks a message that has just come, by the system clock: see [`Self::verify_at`].
    ///
    /// # Errors
    ///
    /// As [`Self::verify_at`].
    pub fn verify(
        &mut self,
        message: &[impl AsRef<[u8]>],
        via: Via<'_>,
    ) -> Result<Verified, VerifyError> {
        self.verify_at(message, via, Timestamp::now())
    }

    /// Checks a message that came over `via` at the time `now`.
    ///
    /// `message` is all its frames: topic, body, and the trailer last; not the routing ids and
    /// delimiters of ROUTER, DEALER, REQ and REP. Every signature in the trailer must be good, and
    /// one must be by the signer that the statement names.
    ///
    /// Cost: SHA-256 of the frames and one Ed25519 verification per signature; of messages that
    /// were signed by the batch, one for the first of each batch. A message that is refused changes
    /// nothing; one that passes is remembered, so that it passes once.
    ///
    /// A [heartbeat](Statement::heartbeat) passes like a message: look for it before the body is
    /// used.
    ///
    /// # Errors
    ///
    /// The first check that fails, in the order of [`VerifyError`].
    pub fn verify_at(
        &mut self,
        message: &[impl AsRef<[u8]>],
        via: Via<'_>,
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        let (verified, checkpoint) = self.check(message, Setting::Live { now, via })?;
        self.replay.record(verified.key, &verified.statement);
        if let Some(checkpoint) = checkpoint {
            if self.checkpoints.len() >= CHECKPOINTS {
                self.checkpoints.pop_front();
            }
            self.checkpoints.push_back(checkpoint);
        }
        Ok(verified)
    }

    /// Checks a message that was kept, perhaps for months: as [`Self::verify_at`], without the
    /// checks of time skew, replay and connection, and without flags.
    ///
    /// A key's validity is compared with the time that the signer stated. Who has stolen an
    /// expired key can state an earlier time; live, the skew check stands in the way of that, at
    /// rest only a witness of when the message came does.
    ///
    /// # Errors
    ///
    /// The first check that fails, in the order of [`VerifyError`].
    pub fn verify_at_rest(&self, message: &[impl AsRef<[u8]>]) -> Result<Verified, VerifyError> {
        self.check(message, Setting::AtRest)
            .map(|(verified, _)| verified)
    }

    /// What the message is, and the checkpoint that was verified for it and not known before.
    fn check(
        &self,
        message: &[impl AsRef<[u8]>],
        setting: Setting<'_>,
    ) -> Result<(Verified, Option<Verdict>), VerifyError> {
        let (last, frames) = message.split_last().ok_or(Malformed::NoTrailer)?;
        let trailer = Trailer::parse(last.as_ref())?;
        let statement = trailer.statement()?;
        let (signer, checkpoint) = self.check_signatures(&trailer, &statement)?;
        check_frames(&statement, frames)?;
        if !signer.identity.covers(&statement.topic) {
            return Err(VerifyError::TopicDenied);
        }
        if !self.audiences.contains(&statement.audience) {
            return Err(VerifyError::WrongAudience);
        }
        let flags = match setting {
            Setting::Live { now, via } => {
                self.check_skew(statement.time, now)?;
                let flags = self.replay.judge(signer.id, &statement)?;
                check_connection(signer.identity, via)?;
                flags
            }
            Setting::AtRest => Vec::new(),
        };
        let verified = Verified {
            key: signer.id,
            cosigners: signer.others,
            statement,
            flags,
            octets: trailer.into_statement(),
        };
        Ok((verified, checkpoint))
    }

    /// All keys known, all valid at the stated time, all signatures good, and as many signers as the
    /// topic asks for; the answer is the one that the statement names.
    fn check_signatures(
        &self,
        trailer: &Trailer,
        statement: &Statement,
    ) -> Result<(FoundSigner<'_>, Option<Verdict>), VerifyError> {
        let proof = trailer.proof();
        let signed = trailer.signatures().iter().map(|signature| signature.key());
        let keys = signed.chain(proof.map(BatchProof::key));
        let known = keys
            .map(|id| {
                Ok((
                    id,
                    self.registry
                        .find(id)
                        .ok_or(VerifyError::UnknownKey { key: id })?,
                ))
            })
            .collect::<Result<Vec<_>, VerifyError>>()?;
        let of_signer = |(_, key): &&(KeyId, KnownKey<'_>)| key.identity.name() == statement.signer;
        let (id, key) = known
            .iter()
            .find(of_signer)
            .ok_or(VerifyError::NotTheSignersKey)?;
        let signer = FoundSigner {
            identity: key.identity,
            id: *id,
            others: cosigners(&known, &statement.signer),
        };
        for (_, key) in &known {
            if key.is_not_yet_valid_at(statement.time) {
                return Err(VerifyError::KeyNotYetValid);
            }
            if key.has_expired_at(statement.time) {
                return Err(VerifyError::KeyExpired);
            }
        }
        // The keys stand in the order of the signatures, that of the proof last.
        let keys = known.iter().map(|(_, key)| key);
        let octets = if trailer.signatures().is_empty() {
            Vec::new()
        } else {
            pae(trailer.statement_octets())
        };
        let is_good =
            |(key, by): (&KnownKey<'_>, &crate::Signature)| key.verifies(&octets, by.as_octets());
        if !keys.zip(trailer.signatures()).all(is_good) {
            return Err(VerifyError::BadSignature);
        }
        let checkpoint = match (proof, known.last()) {
            (Some(proof), Some((_, key))) => self.check_proof(proof, key, trailer, statement)?,
            _ => None,
        };
        self.check_quorum(statement, known.iter().map(|(_, key)| key.identity.name()))?;
        Ok((signer, checkpoint))
    }

    /// The checkpoint is signed by the key that it names, and the statement is in its tree.
    fn check_proof(
        &self,
        proof: &BatchProof,
        key: &KnownKey<'_>,
        trailer: &Trailer,
        statement: &Statement,
    ) -> Result<Option<Verdict>, VerifyError> {
        // A log of another run: its signer did not sign this statement there.
        if proof.epoch() != statement.epoch {
            return Err(VerifyError::BadSignature);
        }
        let seen = self
            .checkpoints
            .iter()
            .rev()
            .find(|seen| seen.checkpoint == proof.checkpoint());
        let head = match seen {
            Some(seen) => seen.head,
            None => proof
                .signed_head(key.key())
                .ok_or(VerifyError::BadSignature)?,
        };
        if !proof.includes(leaf_hash(trailer.statement_octets()), head) {
            return Err(VerifyError::BadSignature);
        }
        let checkpoint = || Verdict {
            checkpoint: proof.checkpoint().to_owned(),
            head,
        };
        Ok(seen.is_none().then(checkpoint))
    }

    fn check_quorum<'a>(
        &self,
        statement: &Statement,
        signers: impl Iterator<Item = &'a str>,
    ) -> Result<(), VerifyError> {
        let Some(quorum) = self.registry.quorum(&statement.topic) else {
            return Ok(());
        };
        let (needed, present) = (quorum.threshold(), quorum.count(signers));
        if present < needed {
            return Err(VerifyError::TooFewSigners { needed, present });
        }
        Ok(())
    }

    fn check_skew(&self, stated: Timestamp, now: Timestamp) -> Result<(), VerifyError> {
        if self.max_skew.is_zero() || stated.distance(now) <= self.max_skew {
            Ok(())
        } else {
            Err(VerifyError::Stale)
        }
    }
}

struct FoundSigner<'a> {
    identity: &'a Identity,
    id: KeyId,
    others: Vec<String>,
}

/// The identities of the keys, without the signer.
fn cosigners(known: &[(KeyId, KnownKey<'_>)], signer: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, key) in known {
        let name = key.identity.name();
        if name != signer && !names.iter().any(|it| it == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// As many frames as were signed, each with its digest, the first being the topic.
pub(crate) fn check_frames(
    statement: &Statement,
    frames: &[impl AsRef<[u8]>],
) -> Result<(), VerifyError> {
    if frames.len() != statement.frames.len() {
        return Err(VerifyError::FrameCount {
            signed: statement.frames.len(),
            present: frames.len(),
        });
    }
    let present = digests(frames);
    if let Some(frame) = present
        .iter()
        .zip(&statement.frames)
        .position(|(a, b)| a != b)
    {
        return Err(VerifyError::DigestMismatch { frame });
    }
    if frames
        .first()
        .is_none_or(|topic| topic.as_ref() != statement.topic.as_bytes())
    {
        return Err(Malformed::TopicDiffers.into());
    }
    Ok(())
}

fn check_connection(signer: &Identity, via: Via<'_>) -> Result<(), VerifyError> {
    match via {
        Via::Identity(name) if name != signer.name() => Err(VerifyError::NotTheSender),
        Via::Identity(_) | Via::Relay => Ok(()),
    }
}

/// Why a message was refused. The order is that of the checks: the first that fails is reported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// `malformed-envelope` or `unsupported-kind`: there is no envelope that can be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// `unknown-key`: a key that no identity has.
    #[error("the message is signed with a key that no known identity has")]
    UnknownKey {
        /// What the trailer calls the key.
        key: KeyId,
    },
    /// `unknown-key`: keys of known identities, but not of the one that is said to have signed.
    #[error("the message is signed with keys of other identities than the signer that it names")]
    NotTheSignersKey,
    /// `key-expired`: the statement's time is before the key's `not_before`.
    #[error("the signing key was not yet valid at the time that the message states")]
    KeyNotYetValid,
    /// `key-expired`: the statement's time is after the key's `not_after`.
    #[error("the signing key had expired at the time that the message states")]
    KeyExpired,
    /// `bad-signature`: the statement is not what the key signed.
    #[error("the signature does not fit the statement: it was altered or forged")]
    BadSignature,
    /// `too-few-signers`: the topic asks for more of those whom its rule names.
    #[error("the topic needs {needed} signers of those that its rule names, but {present} signed")]
    TooFewSigners {
        /// How many the rule asks for.
        needed: usize,
        /// How many of those that it names have signed.
        present: usize,
    },
    /// `digest-mismatch`: frames were added or taken away.
    #[error("the message has {present} frames, but {signed} were signed")]
    FrameCount {
        /// How many the statement lists.
        signed: usize,
        /// How many there are, without the trailer.
        present: usize,
    },
    /// `digest-mismatch`: a frame is not the one that was signed.
    #[error("frame/{frame} digest mismatch: it is not the frame that was signed")]
    DigestMismatch {
        /// Which one; 0 is the topic.
        frame: usize,
    },
    /// `topic-denied`: no prefix of the signer covers the topic.
    #[error("the signer may not publish on this topic")]
    TopicDenied,
    /// `wrong-audience`: the message is for somebody else.
    #[error("the message was signed for another audience")]
    WrongAudience,
    /// `stale`: the stated time is too far from the clock.
    #[error("the message's time is too far from the clock: it is old, or a clock is wrong")]
    Stale,
    /// `replayed`: the message came before, or is too old to tell.
    #[error("the message was received before, or is older than the replay window")]
    Replayed,
    /// `not-the-sender`: the connection belongs to another identity, and that is no relay.
    #[error("the message came over a connection of another identity than its signer")]
    NotTheSender,
}

impl VerifyError {
    /// The reason code: stable, for logs and counters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(malformed) => malformed.code(),
            Self::UnknownKey { .. } | Self::NotTheSignersKey => "unknown-key",
            Self::KeyNotYetValid | Self::KeyExpired => "key-expired",
            Self::BadSignature => "bad-signature",
            Self::TooFewSigners { .. } => "too-few-signers",
            Self::FrameCount { .. } | Self::DigestMismatch { .. } => "digest-mismatch",
            Self::TopicDenied => "topic-denied",
            Self::WrongAudience => "wrong-audience",
            Self::Stale => "stale",
            Self::Replayed => "replayed",
            Self::NotTheSender => "not-the-sender",
        }
    }
}

impl From<Refused> for VerifyError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Replayed => Self::Replayed,
            Refused::Malformed(malformed) => Self::Malformed(malformed),
        }
    }
}

#[cfg(test)]
mod tests;
