//! Where messages are signed; those that are signed by the batch wait here for a moment.

use std::time::Duration;

use curvelink::{Frame, Message};
use curvelink_envelope::{BATCH_DELAY, BatchSigner, SignError, SignMode, Timestamp};
use tokio::time::Instant;

use crate::exit::usage;
use crate::sign::{Pen, Remarks};

/// A batch has at most so many octets: what is larger gains nothing by waiting.
const MOST_OCTETS: usize = 1 << 20;

/// More often than that nobody needs to hear that nothing happened.
const LEAST_BEAT: Duration = Duration::from_millis(100);

/// When the signer says how far the topic has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beats {
    /// As the library has it, while there is input.
    Usual,
    /// That often, and after the input too.
    Every(Duration),
    Never,
}

impl Beats {
    pub(super) fn new(every: Option<Duration>) -> anyhow::Result<Self> {
        match every {
            None => Ok(Self::Usual),
            Some(Duration::ZERO) => Ok(Self::Never),
            Some(every) if every < LEAST_BEAT => {
                Err(usage("--heartbeat is at least 0.1 seconds, or 0 for none"))
            }
            Some(every) => Ok(Self::Every(every)),
        }
    }
}

/// The signer of one topic.
pub(super) struct Desk {
    signer: BatchSigner,
    by_batch: bool,
    remarks: Remarks,
    /// The fingerprint of its key.
    key: String,
    held: Vec<Message>,
    octets: usize,
    /// When the first of them came.
    since: Option<Instant>,
}

impl Desk {
    /// Begins to sign. Waits while another program signs with the same key.
    pub(super) async fn open(
        pen: Pen,
        remarks: Remarks,
        beats: Beats,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let by_batch = pen.mode() == SignMode::Batch;
        let signer = pen.signer(patience).await?;
        let key = signer.verifying_key().fingerprint();
        let signer = match beats {
            Beats::Usual => signer.with_heartbeats(None, None),
            Beats::Every(every) => signer.with_heartbeats(Some(every), Some(every)),
            Beats::Never => signer,
        };
        Ok(Self {
            signer: BatchSigner::new(signer),
            by_batch,
            remarks,
            key,
            held: Vec::new(),
            octets: 0,
            since: None,
        })
    }

    /// The fingerprint of the signing key.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The message with its envelope, where each is signed by itself; otherwise it is held.
    ///
    /// # Errors
    /// [`SignError::SealFirst`] where what is held must go first, with the message untouched.
    pub(super) fn sign(&mut self, message: &mut Message) -> Result<Option<Message>, SignError> {
        let frames: Vec<&Frame> = message.iter().collect();
        let (about, now) = (self.remarks.about(), Timestamp::now());
        if !self.by_batch {
            let envelope = self.signer.sign_with(&frames, &about, now)?;
            message.push_back(envelope);
            return Ok(Some(std::mem::take(message)));
        }
        if !self.held.is_empty() && self.octets + message.octets() > MOST_OCTETS {
            return Err(SignError::SealFirst);
        }
        self.signer.push(&frames, &about, now)?;
        self.octets += message.octets();
        self.held.push(std::mem::take(message));
        self.since.get_or_insert_with(Instant::now);
        Ok(None)
    }

    /// Whether the batch takes no more.
    pub(super) fn is_full(&self) -> bool {
        self.signer.is_full() || self.octets >= MOST_OCTETS
    }

    /// When what is held must go at the latest; none while nothing is.
    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.since? + BATCH_DELAY)
    }

    /// What is held, in its order, each with its envelope.
    pub(super) fn seal(&mut self) -> Result<Vec<Message>, SignError> {
        let envelopes = self.signer.seal()?;
        self.octets = 0;
        self.since = None;
        let mut sealed = std::mem::take(&mut self.held);
        for (message, envelope) in sealed.iter_mut().zip(envelopes) {
            message.push_back(envelope);
        }
        Ok(sealed)
    }

    /// The heartbeats that are due, whole messages.
    ///
    /// # Errors
    /// [`SignError::SealFirst`] while anything is held.
    pub(super) fn heartbeats(&mut self) -> Result<Vec<Message>, SignError> {
        let beats = self.signer.heartbeats(Timestamp::now())?;
        let message = |frames: Vec<Vec<u8>>| {
            let frames: Vec<Frame> = frames.into_iter().map(Frame::from).collect();
            Message::from(frames)
        };
        Ok(beats.into_iter().map(message).collect())
    }

    /// How long until the next heartbeat; none while there are none, or anything is held.
    pub(super) fn until_heartbeat(&mut self) -> Option<Duration> {
        let next = self.signer.idle_signer().ok()?.next_heartbeat()?;
        let ms = next.unix_ms().saturating_sub(Timestamp::now().unix_ms());
        Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
    }

    /// Saves where the numbering stands, so that receivers see a gap across the next start.
    pub(super) fn save(&mut self) -> anyhow::Result<()> {
        Ok(self.signer.idle_signer()?.save()?)
    }
}
