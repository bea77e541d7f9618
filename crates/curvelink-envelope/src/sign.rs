//! The sending side: numbers each message, states what it is and signs the statement.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::about::About;
use crate::heartbeat::{HEARTBEAT_LATER, HEARTBEAT_SOON, Heartbeats};
use crate::keys::{SigningKey, VerifyingKey};
use crate::progress::{Progress, TOPICS_PER_EPOCH};
use crate::statement::{MAX_INTEGER, Statement, digests, is_name};
use crate::store::ProgressStore;
use crate::time::Timestamp;
use crate::trailer::{MAX_STATEMENT, Trailer};

/// Signs messages with one key, under one name, for one audience.
///
/// A key has one signer at a time: a receiver refuses what comes from an older one once it has
/// seen the younger.
pub struct Signer {
    key: SigningKey,
    name: String,
    audience: String,
    store: Box<dyn ProgressStore>,
    progress: Progress,
    /// Whether the store knows of the current epoch; if not, it is not signed in.
    epoch_is_saved: bool,
    next_seq: u64,
    topic_limit: usize,
    heartbeats: Option<Heartbeats>,
}

/// A message that can be stated, without its numbers.
pub(crate) struct Draft<'a> {
    topic: &'a str,
    /// The digest of frame 0, as topics are counted by.
    key: [u8; 32],
    frames: Vec<[u8; 32]>,
    about: About<'a>,
}

impl Signer {
    /// Begins a new epoch: the time `now` in milliseconds, or one more than the last epoch where
    /// the clock has fallen behind it. It is saved before anything is signed.
    ///
    /// `name` is the identity under which receivers know the key, `audience` the name of the one
    /// that the messages are for; each 1 to 255 octets without control characters.
    ///
    /// # Errors
    ///
    /// [`SignError::Name`], or [`SignError::Store`] when the last epoch cannot be learnt or the
    /// new one not be saved.
    pub fn start(
        key: SigningKey,
        name: &str,
        audience: &str,
        mut store: impl ProgressStore + 'static,
        now: Timestamp,
    ) -> Result<Self, SignError> {
        if !is_name(name) || !is_name(audience) {
            return Err(SignError::Name);
        }
        let progress = store.load()?;
        let mut signer = Self {
            key,
            name: name.to_owned(),
            audience: audience.to_owned(),
            store: Box::new(store),
            progress,
            epoch_is_saved: false,
            next_seq: 0,
            topic_limit: TOPICS_PER_EPOCH,
            heartbeats: None,
        };
        signer.start_epoch(now)?;
        Ok(signer)
    }

    /// Counts at most `limit` topics per epoch, 1..=65 536 (the default; other values are brought
    /// into that range). One topic takes some 60 octets of memory.
    #[must_use]
    pub fn with_topic_limit(mut self, limit: usize) -> Self {
        self.topic_limit = limit.clamp(1, TOPICS_PER_EPOCH);
        self
    }

    /// Says again how far each topic has come, `soon` after its messages and then every `later`:
    /// see [`Self::heartbeats`]. `None` is [`HEARTBEAT_SOON`] and [`HEARTBEAT_LATER`].
    ///
    /// Keeps the names of the epoch's topics, up to 1 MiB of them.
    #[must_use]
    pub fn with_heartbeats(mut self, soon: Option<Duration>, later: Option<Duration>) -> Self {
        let (soon, later) = (
            soon.unwrap_or(HEARTBEAT_SOON),
            later.unwrap_or(HEARTBEAT_LATER),
        );
        self.heartbeats = Some(Heartbeats::new(soon, later));
        self
    }

    /// The trailer for a message of `frames`, by the system clock: see [`Self::sign_at`].
    ///
    /// # Errors
    ///
    /// As [`Self::sign_at`].
    pub fn sign(
        &mut self,
        frames: &[impl AsRef<[u8]>],
        content_type: &str,
    ) -> Result<Vec<u8>, SignError> {
        self.sign_at(frames, content_type, Timestamp::now())
    }

    /// The trailer for a message of `frames`: the caller appends it as the last frame and sends
    /// all of them unchanged.
    ///
    /// `frames[0]` is the topic, which may be empty but must be UTF-8, since the statement is
    /// JSON; the frames behind it are the body, of the media type `content_type` (1 to 255
    /// printable ASCII characters). Routing ids and delimiters of ROUTER, DEALER, REQ and REP do
    /// not belong to `frames`.
    ///
    /// Cost: SHA-256 of the frames and one Ed25519 signature; each frame adds about 110 octets to
    /// the trailer, so that some 590 frames fit.
    ///
    /// # Errors
    ///
    /// [`SignError`]; no number was used then.
    pub fn sign_at(
        &mut self,
        frames: &[impl AsRef<[u8]>],
        content_type: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, SignError> {
        self.sign_with(frames, &About::new(content_type), now)
    }

    /// As [`Self::sign_at`], for a message that answers another or is part of a trace.
    ///
    /// # Errors
    ///
    /// [`SignError`]; no number was used then.
    pub fn sign_with(
        &mut self,
        frames: &[impl AsRef<[u8]>],
        about: &About<'_>,
        now: Timestamp,
    ) -> Result<Vec<u8>, SignError> {
        let draft = self.draft(frames, about)?;
        let statement = self.state(draft, now)?;
        Ok(Trailer::sign(statement, &self.key).to_octets())
    }

    /// The heartbeats that are due, whole messages of a topic, an empty body and a trailer: to be sent
    /// like any other, so that who gets a topic gets them too, and notices that its last messages are
    /// lost. Who knows nothing of them finds nothing in them.
    ///
    /// A heartbeat says the number of the topic's last message and has none of its own. None comes
    /// without [`Self::with_heartbeats`], and none for topics without a message in this epoch.
    pub fn heartbeats(&mut self, now: Timestamp) -> Vec<Vec<Vec<u8>>> {
        let due = self
            .heartbeats
            .as_mut()
            .map(|beats| beats.take_due(now))
            .unwrap_or_default();
        due.into_iter()
            .filter_map(|topic| self.heartbeat(topic, now))
            .collect()
    }

    /// When to ask for [`Self::heartbeats`] again; none while there are no topics.
    pub fn next_heartbeat(&self) -> Option<Timestamp> {
        self.heartbeats.as_ref().and_then(Heartbeats::next)
    }

    fn heartbeat(&mut self, topic: String, now: Timestamp) -> Option<Vec<Vec<u8>>> {
        let frames = digests(&[topic.as_bytes(), b""]);
        let key = *frames.first()?;
        let tseq = self
            .progress
            .position(&key)
            .filter(|at| at.epoch == self.epoch())?
            .tseq;
        // A topic is about to begin another epoch then, with its next message.
        if self.next_seq > MAX_INTEGER {
            return None;
        }
        let about = About::new("application/octet-stream");
        let draft = Draft {
            topic: &topic,
            key,
            frames,
            about,
        };
        let statement = Statement {
            tseq,
            prev: None,
            heartbeat: true,
            ..self.statement(draft, now)
        };
        let octets = statement
            .to_octets()
            .ok()
            .filter(|octets| octets.len() <= MAX_STATEMENT)?;
        self.next_seq += 1;
        let trailer = Trailer::sign(octets, &self.key).to_octets();
        Some(vec![topic.into_bytes(), Vec::new(), trailer])
    }

    /// Whether a message of `frames` can be stated at all.
    pub(crate) fn draft<'a>(
        &self,
        frames: &'a [impl AsRef<[u8]>],
        about: &About<'a>,
    ) -> Result<Draft<'a>, SignError> {
        let topic = frames.first().ok_or(SignError::NoTopic)?.as_ref();
        let topic = str::from_utf8(topic).map_err(|_| SignError::TopicNotUtf8)?;
        about.check()?;
        // Tested before anything is hashed: no frame can do with less.
        if frames.len() > MAX_STATEMENT / 100 {
            return Err(SignError::TooLong);
        }
        let frames = digests(frames);
        let key = *frames.first().ok_or(SignError::NoTopic)?;
        Ok(Draft {
            topic,
            key,
            frames,
            about: *about,
        })
    }

    /// Whether the message would be the first of another epoch.
    pub(crate) fn must_start_epoch(&self, draft: &Draft<'_>) -> bool {
        let has_room = self.progress.has_room(&draft.key, self.topic_limit);
        self.next_seq > MAX_INTEGER || !has_room || !self.epoch_is_saved
    }

    /// The octets of the message's statement, with the next numbers.
    pub(crate) fn state(&mut self, draft: Draft<'_>, now: Timestamp) -> Result<Vec<u8>, SignError> {
        if self.must_start_epoch(&draft) {
            self.start_epoch(now)?;
        }
        let (topic, key) = (draft.topic, draft.key);
        let statement = self.statement(draft, now);
        let octets = statement.to_octets().map_err(io::Error::from)?;
        if octets.len() > MAX_STATEMENT {
            return Err(SignError::TooLong);
        }
        self.next_seq += 1;
        self.progress.advance(key, statement.tseq);
        if let Some(beats) = &mut self.heartbeats {
            beats.note(topic, now);
        }
        Ok(octets)
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.progress.epoch().unwrap_or(0)
    }

    /// Saves where each topic stands, so that the next run can say so (`prev`) and receivers see
    /// a gap across the restart. Call it when signing ends; a run that does not get to it costs
    /// only that.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub fn save(&mut self) -> io::Result<()> {
        self.store.save(&self.progress)
    }

    /// The public half of the key.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    fn start_epoch(&mut self, now: Timestamp) -> Result<(), SignError> {
        let now = u64::try_from(now.unix_ms()).unwrap_or(0);
        let epoch = self.progress.epoch().map_or(now, |last| now.max(last + 1));
        if epoch > MAX_INTEGER {
            return Err(SignError::OutOfEpochs);
        }
        self.progress.start_epoch(epoch);
        self.next_seq = 0;
        if let Some(beats) = &mut self.heartbeats {
            beats.clear();
        }
        self.epoch_is_saved = false;
        self.store.save(&self.progress)?;
        self.epoch_is_saved = true;
        Ok(())
    }

    fn statement(&self, draft: Draft<'_>, time: Timestamp) -> Statement {
        let epoch = self.epoch();
        let last = self.progress.position(&draft.key);
        let current = last.filter(|last| last.epoch == epoch);
        Statement {
            signer: self.name.clone(),
            audience: self.audience.clone(),
            epoch,
            seq: self.next_seq,
            tseq: current.map_or(0, |last| last.tseq + 1),
            prev: if current.is_some() { None } else { last },
            time,
            topic: draft.topic.to_owned(),
            content_type: draft.about.content_type.to_owned(),
            in_reply_to: draft.about.in_reply_to,
            traceparent: draft.about.traceparent.map(str::to_owned),
            heartbeat: false,
            frames: draft.frames,
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("key", &self.key)
            .field("name", &self.name)
            .field("audience", &self.audience)
            .field("epoch", &self.progress.epoch())
            .field("next_seq", &self.next_seq)
            .finish_non_exhaustive()
    }
}

/// A message was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The signer's or the audience's name cannot stand in a statement.
    #[error("a signer's and an audience's name have 1 to 255 octets and no control characters")]
    Name,
    /// The message has no frame.
    #[error("a signed message needs a topic: give an empty first frame where there is none")]
    NoTopic,
    /// Frame 0 is not text.
    #[error("the topic is not utf-8: a signed statement can only name a topic that is text")]
    TopicNotUtf8,
    /// The media type cannot stand in a statement.
    #[error("a content type has 1 to 255 printable ascii characters")]
    ContentType,
    /// The trace cannot stand in a statement.
    #[error("a traceparent is 00-, 32, 16 and 2 lower-case hexadecimal digits, with - between")]
    Traceparent,
    /// Messages are held that must be sent first.
    #[error("messages are held for a batch: seal and send them first")]
    SealFirst,
    /// The batch cannot be signed.
    #[error("the batch cannot be signed: its checkpoint cannot be made")]
    Batch,
    /// The statement would have more than 65 535 octets.
    #[error("too many frames or too long a topic to sign: the statement exceeds 65535 octets")]
    TooLong,
    /// The last epoch is the greatest there can be; only a damaged or forged store says so.
    #[error("the key has no epochs left: make a new key")]
    OutOfEpochs,
    /// The store of the signer's progress failed.
    #[error("the signer's progress cannot be kept: {0}")]
    Store(#[from] io::Error),
}

#[cfg(test)]
mod tests;
