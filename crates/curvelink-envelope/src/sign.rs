//! The sending side: numbers each message, states what it is and signs the statement.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::heartbeat::{HEARTBEAT_LATER, HEARTBEAT_SOON, Heartbeats};
use crate::keys::{SigningKey, VerifyingKey};
use crate::progress::{Progress, TOPICS_PER_EPOCH};
use crate::statement::{MAX_INTEGER, Statement, digests, is_content_type, is_name, is_traceparent};
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

/// What a statement says about a message beside its frames and numbers.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    content_type: &'a str,
    in_reply_to: Option<[u8; 32]>,
    traceparent: Option<&'a str>,
}

impl<'a> About<'a> {
    /// A body of the media type `content_type`: 1 to 255 printable ASCII characters.
    pub fn new(content_type: &'a str) -> Self {
        Self {
            content_type,
            in_reply_to: None,
            traceparent: None,
        }
    }

    /// An answer to the request whose statement has the SHA-256 `digest`: the
    /// [`Verified::digest`](crate::Verified::digest) of it.
    #[must_use]
    pub fn in_reply_to(self, digest: [u8; 32]) -> Self {
        Self {
            in_reply_to: Some(digest),
            ..self
        }
    }

    /// A part of a trace: `00-TRACE-PARENT-FLAGS`, as the W3C writes it.
    #[must_use]
    pub fn traceparent(self, text: &'a str) -> Self {
        Self {
            traceparent: Some(text),
            ..self
        }
    }
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

    /// The heartbeats that are due, whole messages of a topic and a trailer: to be sent like any
    /// other, so that who gets a topic gets them too, and notices that its last messages are lost.
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
        let frames = digests(&[&topic]);
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
        Some(vec![topic.into_bytes(), trailer])
    }

    /// Whether a message of `frames` can be stated at all.
    pub(crate) fn draft<'a>(
        &self,
        frames: &'a [impl AsRef<[u8]>],
        about: &About<'a>,
    ) -> Result<Draft<'a>, SignError> {
        let topic = frames.first().ok_or(SignError::NoTopic)?.as_ref();
        let topic = str::from_utf8(topic).map_err(|_| SignError::TopicNotUtf8)?;
        if !is_content_type(about.content_type) {
            return Err(SignError::ContentType);
        }
        if about.traceparent.is_some_and(|text| !is_traceparent(text)) {
            return Err(SignError::Traceparent);
        }
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
mod tests {
    use super::*;
    use crate::statement::Position;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms).expect("in range")
    }

    fn signer(store: impl ProgressStore + 'static, now: i64) -> Signer {
        let key = SigningKey::from_seed(&[7; 32]);
        Signer::start(key, "ci-scanner", "hub", store, at(now)).expect("starts")
    }

    fn signed(signer: &mut Signer, topic: &str, now: i64) -> Statement {
        let trailer = signer
            .sign_at(&[topic, "body"], "text/plain", at(now))
            .expect("signs");
        Trailer::parse(&trailer)
            .and_then(|trailer| trailer.statement())
            .expect("well formed")
    }

    #[test]
    fn a_statement_says_what_was_signed() {
        let mut signer = signer(Progress::default(), 1_000);
        let trailer = signer.sign_at(&["findings/", "body"], "text/plain", at(2_000));
        let trailer = Trailer::parse(&trailer.expect("signs")).expect("well formed");
        let [signature] = trailer.signatures() else {
            panic!("one signature")
        };
        assert_eq!(signature.key(), signer.verifying_key().id());
        let pae = crate::export::pae(&trailer);
        assert!(signer.verifying_key().verifies(&pae, signature.as_octets()));
        assert_eq!(
            trailer.statement(),
            Ok(Statement {
                signer: "ci-scanner".into(),
                audience: "hub".into(),
                epoch: 1_000,
                seq: 0,
                tseq: 0,
                prev: None,
                time: at(2_000),
                topic: "findings/".into(),
                content_type: "text/plain".into(),
                in_reply_to: None,
                traceparent: None,
                heartbeat: false,
                frames: digests(&["findings/", "body"]),
            })
        );
    }

    #[test]
    fn messages_are_numbered_in_all_and_by_topic() {
        let mut signer = signer(Progress::default(), 1_000);
        let numbers = ["a", "b", "a", "a", "b"].map(|topic| {
            let statement = signed(&mut signer, topic, 1_000);
            (statement.seq, statement.tseq)
        });
        assert_eq!(numbers, [(0, 0), (1, 0), (2, 1), (3, 2), (4, 1)]);
    }

    #[test]
    fn an_epoch_is_greater_than_the_last_one_though_the_clock_went_back() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let open = || crate::ProgressFile::open(folder.path().join("progress"));
        let epochs = [5_000, 9_000, 9_000, 100].map(|now| {
            let mut signer = signer(open().expect("free"), now);
            signed(&mut signer, "a", now).epoch
        });
        assert_eq!(epochs, [5_000, 9_000, 9_001, 9_002]);
        Ok(())
    }

    #[test]
    fn the_first_message_of_a_topic_after_a_restart_says_where_it_stood() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let open = || crate::ProgressFile::open(folder.path().join("progress"));
        let mut first = signer(open()?, 1_000);
        signed(&mut first, "a", 1_000);
        signed(&mut first, "a", 1_000);
        first.save()?;
        drop(first);
        // This run does not use "a", and is cut short.
        signed(&mut signer(open()?, 2_000), "b", 2_000);

        let mut third = signer(open()?, 3_000);
        assert_eq!(
            signed(&mut third, "a", 3_000).prev,
            Some(Position::new(1_000, 1))
        );
        assert_eq!(signed(&mut third, "a", 3_000).prev, None);
        assert_eq!(signed(&mut third, "b", 3_000).prev, None, "not known");
        Ok(())
    }

    #[test]
    fn a_topic_too_many_begins_the_next_epoch() {
        let mut signer = signer(Progress::default(), 1_000).with_topic_limit(2);
        let mut next = |topic| {
            let statement = signed(&mut signer, topic, 1_000);
            (
                statement.epoch,
                statement.seq,
                statement.tseq,
                statement.prev.map(|at| at.tseq),
            )
        };
        assert_eq!(next("a"), (1_000, 0, 0, None));
        assert_eq!(next("b"), (1_000, 1, 0, None));
        assert_eq!(next("a"), (1_000, 2, 1, None));
        assert_eq!(next("c"), (1_001, 0, 0, None));
        assert_eq!(next("a"), (1_001, 1, 0, Some(1)));
    }

    #[test]
    fn a_heartbeat_tells_the_last_number_of_each_topic_of_the_epoch_when_it_is_due() {
        let (soon, later) = (Duration::from_millis(5), Duration::from_millis(60));
        let mut signer =
            signer(Progress::default(), 1_000).with_heartbeats(Some(soon), Some(later));
        assert_eq!(signer.next_heartbeat(), None);
        for topic in ["a", "a", "b"] {
            signed(&mut signer, topic, 1_000);
        }
        assert_eq!(signer.next_heartbeat(), Some(at(1_005)));
        assert_eq!(signer.heartbeats(at(1_004)).len(), 0);
        let told = |signer: &mut Signer, now| {
            let beats = signer.heartbeats(at(now)).into_iter().map(|message| {
                let [topic, trailer] = message.as_slice() else {
                    panic!("a topic and a trailer")
                };
                let trailer = Trailer::parse(trailer).expect("well formed");
                let statement = trailer.statement().expect("sound");
                assert_eq!(statement.topic.as_bytes(), topic);
                assert_eq!(statement.frames, digests(&[topic]));
                (
                    statement.topic,
                    statement.seq,
                    statement.tseq,
                    statement.heartbeat,
                )
            });
            beats.collect::<Vec<_>>()
        };
        let expected = [("a".into(), 3, 1, true), ("b".into(), 4, 0, true)];
        assert_eq!(told(&mut signer, 1_005), expected);
        let next = signed(&mut signer, "b", 1_010);
        assert_eq!(
            (next.seq, next.tseq, next.heartbeat),
            (5, 1, false),
            "no number of its own"
        );
        assert_eq!(told(&mut signer, 1_015), [("b".into(), 6, 1, true)]);
        assert_eq!(told(&mut signer, 1_065), [("a".into(), 7, 1, true)]);
        assert_eq!(
            tests::signer(Progress::default(), 0)
                .heartbeats(at(9))
                .len(),
            0
        );
    }

    #[test]
    fn a_new_epoch_has_no_heartbeats_of_the_topics_of_the_last() {
        let mut signer = signer(Progress::default(), 1_000)
            .with_topic_limit(1)
            .with_heartbeats(Some(Duration::ZERO), None);
        signed(&mut signer, "a", 1_000);
        signed(&mut signer, "b", 1_000);
        let beats = signer.heartbeats(at(1_000));
        assert_eq!(
            beats.iter().map(|message| &*message[0]).collect::<Vec<_>>(),
            [b"b"]
        );
    }

    #[test]
    fn what_cannot_be_signed_is_refused_and_uses_no_number() {
        let mut signer = signer(Progress::default(), 1_000);
        let mut refusal = |frames: &[&[u8]], content_type: &str| {
            signer
                .sign_at(frames, content_type, at(1_000))
                .expect_err("refused")
                .to_string()
        };
        assert!(refusal(&[], "text/plain").contains("needs a topic"));
        assert!(refusal(&[b"\xff"], "text/plain").contains("not utf-8"));
        assert!(refusal(&[b"a"], "").contains("content type"));
        assert!(refusal(&[b"a"], "text/pl\u{e4}in").contains("content type"));
        assert!(refusal(&[b"a".as_slice(); 1_000], "text/plain").contains("too many frames"));
        assert!(refusal(&[b"a".as_slice(); 620], "text/plain").contains("too many frames"));
        assert!(refusal(&[&[b'a'; 70_000]], "text/plain").contains("too long a topic"));
        assert_eq!(signed(&mut signer, "a", 1_000).seq, 0);
    }

    #[test]
    fn names_that_no_verifier_would_take_are_refused_at_the_start() {
        for (name, audience) in [
            ("", "hub"),
            ("a", ""),
            ("a\n", "hub"),
            ("a", &*"x".repeat(256)),
        ] {
            let key = SigningKey::from_seed(&[7; 32]);
            let refusal = Signer::start(key, name, audience, Progress::default(), at(0));
            assert!(matches!(refusal, Err(SignError::Name)));
        }
    }

    #[test]
    fn nothing_is_signed_in_an_epoch_that_was_not_saved() {
        /// Fails every save but the `n`th.
        struct Full(usize);
        impl ProgressStore for Full {
            fn load(&mut self) -> io::Result<Progress> {
                Ok(Progress::default())
            }
            fn save(&mut self, _: &Progress) -> io::Result<()> {
                self.0 = self.0.wrapping_sub(1);
                if self.0 == 0 {
                    Ok(())
                } else {
                    Err(io::ErrorKind::StorageFull.into())
                }
            }
        }
        let key = || SigningKey::from_seed(&[7; 32]);
        let refusal = Signer::start(key(), "a", "b", Full(2), at(0));
        assert!(matches!(refusal, Err(SignError::Store(_))));

        let mut signer = signer(Full(1), 0).with_topic_limit(1);
        signed(&mut signer, "a", 0);
        for topic in ["b", "b", "a"] {
            let refusal = signer.sign_at(&[topic], "text/plain", at(0));
            assert!(matches!(refusal, Err(SignError::Store(_))), "{topic}");
        }
    }
}
