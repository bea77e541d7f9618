//! The sending side: numbers each message, states what it is and signs the statement.

use std::fmt;
use std::io;

use crate::keys::{SigningKey, VerifyingKey};
use crate::progress::{Progress, TOPICS_PER_EPOCH};
use crate::statement::{MAX_INTEGER, Statement, digests, is_content_type, is_name};
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
        let topic = frames.first().ok_or(SignError::NoTopic)?.as_ref();
        let topic = str::from_utf8(topic).map_err(|_| SignError::TopicNotUtf8)?;
        if !is_content_type(content_type) {
            return Err(SignError::ContentType);
        }
        // Tested before anything is hashed: no frame can do with less.
        if frames.len() > MAX_STATEMENT / 100 {
            return Err(SignError::TooLong);
        }
        let frames = digests(frames);
        let [key, ..] = frames[..] else {
            return Err(SignError::NoTopic);
        };
        let is_full =
            self.next_seq > MAX_INTEGER || !self.progress.has_room(&key, self.topic_limit);
        if is_full || !self.epoch_is_saved {
            self.start_epoch(now)?;
        }
        let statement = self.statement(topic, frames, content_type, now);
        let octets = statement.to_octets().map_err(io::Error::from)?;
        if octets.len() > MAX_STATEMENT {
            return Err(SignError::TooLong);
        }
        self.next_seq += 1;
        self.progress.advance(key, statement.tseq);
        Ok(Trailer::sign(octets, &self.key).to_octets())
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
        self.epoch_is_saved = false;
        self.store.save(&self.progress)?;
        self.epoch_is_saved = true;
        Ok(())
    }

    fn statement(
        &self,
        topic: &str,
        frames: Vec<[u8; 32]>,
        content_type: &str,
        time: Timestamp,
    ) -> Statement {
        let epoch = self.progress.epoch().unwrap_or(0);
        let last = frames
            .first()
            .and_then(|topic| self.progress.position(topic));
        let current = last.filter(|last| last.epoch == epoch);
        Statement {
            signer: self.name.clone(),
            audience: self.audience.clone(),
            epoch,
            seq: self.next_seq,
            tseq: current.map_or(0, |last| last.tseq + 1),
            prev: if current.is_some() { None } else { last },
            time,
            topic: topic.to_owned(),
            content_type: content_type.to_owned(),
            frames,
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
