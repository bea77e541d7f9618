//! One signature for many messages: they are held for a moment and signed together.

use std::time::Duration;

use curvelink_tlog::{MemoryTree, TlogProof, TreeHead, leaf_hash, prove_inclusion, root_of};

use crate::about::About;
use crate::batch_proof;
use crate::sign::{SignError, Signer};
use crate::time::Timestamp;
use crate::trailer::Trailer;

/// A batch is full with as many messages, unless set otherwise: larger ones gain nothing.
pub const BATCH_MESSAGES: usize = 64;
/// A batch is due so long after its first message, unless set otherwise.
pub const BATCH_DELAY: Duration = Duration::from_millis(5);
const MOST_MESSAGES: usize = 1_024;

/// Signs messages by the batch: each gets a trailer of its own that proves it to whoever has that
/// message alone.
///
/// The caller keeps the messages in their order, and adds the trailers when the batch is sealed:
///
/// ```
/// use curvelink_envelope::{About, BatchSigner, Progress, SignError, Signer, SigningKey, Timestamp};
///
/// # fn main() -> Result<(), SignError> {
/// # let key = SigningKey::generate().expect("randomness");
/// # let now = Timestamp::now();
/// let signer = Signer::start(key, "ci", "hub", Progress::default(), now)?;
/// let mut batch = BatchSigner::new(signer);
/// let mut held = Vec::new();
/// for body in ["one", "two"] {
///     let message = vec![b"findings/a".to_vec(), body.into()];
///     batch.push(&message, &About::new("text/plain"), now)?;
///     held.push(message);
///     if batch.is_full() {
///         // As below.
///     }
/// }
/// // At `batch.due()`, or at once when nothing more is coming:
/// for (message, trailer) in held.iter_mut().zip(batch.seal()?) {
///     message.push(trailer);
/// }
/// # Ok(())
/// # }
/// ```
///
/// What is held when the program dies was not sent: nobody misses it but the sender.
#[derive(Debug)]
pub struct BatchSigner {
    signer: Signer,
    most: usize,
    delay: Duration,
    /// The statements that are held, and when the first of them came.
    held: Vec<Vec<u8>>,
    since: Option<Timestamp>,
    /// The epoch of the last batch, and the number of the next.
    next: (u64, u64),
}

impl BatchSigner {
    /// Batches of [`BATCH_MESSAGES`] within [`BATCH_DELAY`], numbered and signed by `signer`.
    pub fn new(signer: Signer) -> Self {
        Self {
            signer,
            most: BATCH_MESSAGES,
            delay: BATCH_DELAY,
            held: Vec::new(),
            since: None,
            next: (0, 0),
        }
    }

    /// Holds at most `messages` (brought into 1..=1024), for at most `delay`.
    #[must_use]
    pub fn with_limits(mut self, messages: usize, delay: Duration) -> Self {
        self.most = messages.clamp(1, MOST_MESSAGES);
        self.delay = delay;
        self
    }

    /// States and holds a message: `frames` and `now` as for [`Signer::sign_at`].
    ///
    /// Cost: SHA-256 of the frames.
    ///
    /// # Errors
    ///
    /// [`SignError::SealFirst`] when the batch is full, or the message begins another epoch: seal,
    /// send, and push it again. Otherwise as [`Signer::sign_at`]. Nothing is held then.
    pub fn push(
        &mut self,
        frames: &[impl AsRef<[u8]>],
        about: &About<'_>,
        now: Timestamp,
    ) -> Result<(), SignError> {
        let draft = self.signer.draft(frames, about)?;
        if self.is_full() || !self.held.is_empty() && self.signer.must_start_epoch(&draft) {
            return Err(SignError::SealFirst);
        }
        let statement = self.signer.state(draft, now)?;
        self.held.push(statement);
        self.since.get_or_insert(now);
        Ok(())
    }

    /// How many messages are held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether no further message is taken before [`Self::seal`].
    pub fn is_full(&self) -> bool {
        self.held.len() >= self.most
    }

    /// When to seal at the latest; none while nothing is held.
    pub fn due(&self) -> Option<Timestamp> {
        let delay = i64::try_from(self.delay.as_millis()).unwrap_or(i64::MAX);
        let since = self.since?;
        // A time beyond the calendar is never; sealing at once is the safe reading of it.
        Some(Timestamp::from_unix_ms(since.unix_ms().saturating_add(delay)).unwrap_or(since))
    }

    /// Whether to seal now: the batch is full, due, or the clock went back behind its beginning.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let is_early = self.since.is_some_and(|since| now < since);
        self.is_full() || is_early || self.due().is_some_and(|due| now >= due)
    }

    /// The trailers of the messages that are held, in their order; none when none is. Then none is
    /// held.
    ///
    /// Cost: one Ed25519 signature, and some SHA-256 per message.
    ///
    /// # Errors
    ///
    /// [`SignError::Batch`], which no batch made here meets.
    pub fn seal(&mut self) -> Result<Vec<Vec<u8>>, SignError> {
        let Some(size) = u64::try_from(self.held.len()).ok().filter(|size| *size > 0) else {
            return Ok(Vec::new());
        };
        let mut tree = MemoryTree::default();
        self.held
            .iter()
            .for_each(|statement| tree.push(leaf_hash(statement)));
        let root = root_of(&tree, size).map_err(|_| SignError::Batch)?;
        let (key, epoch) = (self.signer.key(), self.signer.epoch());
        let number = if self.next.0 == epoch { self.next.1 } else { 0 };
        let origin = batch_proof::origin(key.verifying_key().id(), epoch, number);
        let checkpoint = batch_proof::sign(&origin, TreeHead { size, root }, key)?;
        let mut proof = TlogProof {
            extra: None,
            index: 0,
            hashes: Vec::new(),
            checkpoint,
        };
        let mut trailers = Vec::with_capacity(self.held.len());
        for (index, statement) in (0..).zip(&self.held) {
            proof.index = index;
            proof.hashes = prove_inclusion(&tree, index, size).map_err(|_| SignError::Batch)?;
            trailers.push(Trailer::batch_octets(statement, &proof.to_string()));
        }
        self.next = (epoch, number + 1);
        self.held.clear();
        self.since = None;
        Ok(trailers)
    }

    /// Signs one message by itself, as [`Signer::sign_with`]: for topics that are not batched.
    ///
    /// # Errors
    ///
    /// [`SignError::SealFirst`] while messages are held, which would arrive behind a later one;
    /// otherwise as [`Signer::sign_with`].
    pub fn sign_with(
        &mut self,
        frames: &[impl AsRef<[u8]>],
        about: &About<'_>,
        now: Timestamp,
    ) -> Result<Vec<u8>, SignError> {
        self.idle_signer()?.sign_with(frames, about, now)
    }

    /// The heartbeats that are due: see [`Signer::heartbeats`].
    ///
    /// # Errors
    ///
    /// [`SignError::SealFirst`] while messages are held, which a heartbeat would announce too
    /// early.
    pub fn heartbeats(&mut self, now: Timestamp) -> Result<Vec<Vec<Vec<u8>>>, SignError> {
        Ok(self.idle_signer()?.heartbeats(now))
    }

    /// The signer, to save its progress or to sign on without batches.
    ///
    /// # Errors
    ///
    /// [`SignError::SealFirst`] while messages are held.
    pub fn idle_signer(&mut self) -> Result<&mut Signer, SignError> {
        if self.held.is_empty() {
            Ok(&mut self.signer)
        } else {
            Err(SignError::SealFirst)
        }
    }
}

#[cfg(test)]
mod tests;
