//! The statement: what is signed about a message, as an in-toto Statement v1.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hex;
use crate::json;
use crate::malformed::Malformed;
use crate::time::Timestamp;
use crate::trailer::MAX_STATEMENT;

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The predicate type of a message. It names the rules of this module and is not a page to visit.
pub const PREDICATE_TYPE: &str = "https://curvelink.dev/message/v1";

/// I-JSON (RFC 7493): JavaScript and jq lose greater integers.
pub(crate) const MAX_INTEGER: u64 = (1 << 53) - 1;
const MAX_NAME: usize = 255;
/// How a digest of a statement begins.
const SHA256: &str = "sha256:";

/// What a signer states about one message.
///
/// Its octets are JSON; a reader refuses repeated keys, integers from 2^53 on, subjects that are
/// not `frame/0`, `frame/1`, ... in order, and unknown members other than in the predicate, where
/// they are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement {
    /// Who says so: 1 to 255 octets without control characters.
    pub signer: String,
    /// Whom it is for: 1 to 255 octets without control characters.
    pub audience: String,
    /// The signer's run: greater than every epoch that the same key used before.
    pub epoch: u64,
    /// The number of this message among all of the key's messages in the epoch, from 0.
    pub seq: u64,
    /// The number of this message among those of the same topic in the epoch, from 0.
    pub tseq: u64,
    /// Where the topic stood when the epoch before ended; only beside `tseq` 0, and only when the
    /// signer knows.
    pub prev: Option<Position>,
    /// When the message was signed, by the signer's clock.
    pub time: Timestamp,
    /// Frame 0. JSON is text, so a topic that is not UTF-8 cannot be signed.
    pub topic: String,
    /// The media type of the body: 1 to 255 printable ASCII characters.
    pub content_type: String,
    /// SHA-256 of the statement of the request that this message answers.
    pub in_reply_to: Option<[u8; 32]>,
    /// The trace that the message is part of (W3C Trace Context, version 00).
    pub traceparent: Option<String>,
    /// Whether this is no message but a word on how far the topic has come: `tseq` is the number
    /// of its last message, and the frames are the topic and an empty body.
    pub heartbeat: bool,
    /// SHA-256 of each frame, the topic first.
    pub frames: Vec<[u8; 32]>,
}

/// A place in the numbering of one topic by one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Position {
    /// The signer's run.
    pub epoch: u64,
    /// The number of the last message of the topic in that run.
    pub tseq: u64,
}

impl Position {
    pub(crate) fn new(epoch: u64, tseq: u64) -> Self {
        Self { epoch, tseq }
    }
}

impl Statement {
    /// Reads a statement strictly.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when any rule is broken.
    pub fn parse(octets: &[u8]) -> Result<Self, Malformed> {
        if !(1..=MAX_STATEMENT).contains(&octets.len()) {
            return Err(Malformed::StatementLength);
        }
        let text = str::from_utf8(octets).map_err(|_| Malformed::Json)?;
        let statement = match serde_json::from_str::<Wire<'_>>(text) {
            Ok(wire) => wire.read()?,
            Err(_) => Self::parse_extended(octets)?,
        };
        match statement.broken_rule() {
            Some(field) => Err(Malformed::Field { field }),
            None => Ok(statement),
        }
    }

    /// Reads a statement whose predicate has members that this version does not know.
    ///
    /// Where all are known, none can be repeated: what is derived refuses that.
    fn parse_extended(octets: &[u8]) -> Result<Self, Malformed> {
        if !json::is_unambiguous(octets) {
            return Err(Malformed::Json);
        }
        let mut value: serde_json::Value =
            serde_json::from_slice(octets).map_err(|_| Malformed::Json)?;
        if let Some(predicate) = value.get_mut("predicate").and_then(|it| it.as_object_mut()) {
            predicate.retain(|name, _| PREDICATE_MEMBERS.contains(&&**name));
        }
        let known = value.to_string();
        let wire: Wire<'_> = serde_json::from_str(&known).map_err(|_| Malformed::Json)?;
        wire.read()
    }

    /// The octets to sign. Who calls has checked [`Self::broken_rule`].
    pub(crate) fn to_octets(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Wire::of(self))
    }

    /// The first member whose value breaks a rule.
    pub(crate) fn broken_rule(&self) -> Option<&'static str> {
        let prev_is_early = self
            .prev
            .is_none_or(|prev| self.tseq == 0 && prev.epoch < self.epoch);
        let prev_is_small = self.prev.is_none_or(|prev| prev.tseq <= MAX_INTEGER);
        [
            ("signer", is_name(&self.signer)),
            ("aud", is_name(&self.audience)),
            ("epoch", self.epoch <= MAX_INTEGER),
            ("seq", self.seq <= MAX_INTEGER),
            ("tseq", self.tseq <= self.seq),
            ("prev", prev_is_early && prev_is_small),
            ("contentType", is_content_type(&self.content_type)),
            (
                "traceparent",
                self.traceparent.as_deref().is_none_or(is_traceparent),
            ),
            (
                "heartbeat",
                !self.heartbeat || self.has_an_empty_body() && self.prev.is_none(),
            ),
            ("subject", !self.frames.is_empty()),
        ]
        .into_iter()
        .find_map(|(field, holds)| (!holds).then_some(field))
    }

    fn has_an_empty_body(&self) -> bool {
        let body: [u8; 32] = Sha256::digest(b"").into();
        self.frames.len() == 2 && self.frames.get(1) == Some(&body)
    }
}

/// Whether `text` can name a signer or an audience.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.contains(char::is_control)
}

/// Whether `text` can be a media type.
pub(crate) fn is_content_type(text: &str) -> bool {
    is_name(text) && text.is_ascii()
}

/// Whether `text` is a `traceparent` of version 00: `00-TRACE-PARENT-FLAGS` in lower-case
/// hexadecimal, neither id all zeros.
pub(crate) fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &&str, length| {
        part.len() == length
            && part
                .bytes()
                .all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id = |part: &&str, length| is_hex(part, length) && part.contains(|digit| digit != '0');
    match text.split('-').collect::<Vec<_>>().as_slice() {
        ["00", trace, parent, flags] => is_id(trace, 32) && is_id(parent, 16) && is_hex(flags, 2),
        _ => false,
    }
}

/// SHA-256 of every frame.
pub(crate) fn digests(frames: &[impl AsRef<[u8]>]) -> Vec<[u8; 32]> {
    frames
        .iter()
        .map(|frame| Sha256::digest(frame).into())
        .collect()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow, rename = "_type")]
    statement_type: Cow<'a, str>,
    #[serde(borrow)]
    subject: Vec<Subject<'a>>,
    #[serde(borrow, rename = "predicateType")]
    predicate_type: Cow<'a, str>,
    #[serde(borrow)]
    predicate: Predicate<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    digest: DigestSet<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestSet<'a> {
    #[serde(borrow)]
    sha256: Cow<'a, str>,
}

/// The members of [`Predicate`].
const PREDICATE_MEMBERS: [&str; 12] = [
    "signer",
    "aud",
    "epoch",
    "seq",
    "tseq",
    "prev",
    "time",
    "topic",
    "contentType",
    "inReplyTo",
    "traceparent",
    "heartbeat",
];

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Predicate<'a> {
    #[serde(borrow)]
    signer: Cow<'a, str>,
    #[serde(borrow)]
    aud: Cow<'a, str>,
    epoch: u64,
    seq: u64,
    tseq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<Position>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    content_type: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<Text<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    heartbeat: Option<bool>,
}

/// What serde borrows only where the type is spelt out.
type Text<'a> = Cow<'a, str>;

impl<'a> Wire<'a> {
    fn of(statement: &'a Statement) -> Self {
        let subject = |(index, digest)| Subject {
            name: format!("frame/{index}").into(),
            digest: DigestSet {
                sha256: hex::encode(digest).into(),
            },
        };
        Self {
            statement_type: STATEMENT_TYPE.into(),
            subject: statement.frames.iter().enumerate().map(subject).collect(),
            predicate_type: PREDICATE_TYPE.into(),
            predicate: Predicate {
                signer: (&statement.signer).into(),
                aud: (&statement.audience).into(),
                epoch: statement.epoch,
                seq: statement.seq,
                tseq: statement.tseq,
                prev: statement.prev,
                time: statement.time.to_string().into(),
                topic: (&statement.topic).into(),
                content_type: (&statement.content_type).into(),
                in_reply_to: statement
                    .in_reply_to
                    .map(|digest| format!("{SHA256}{}", hex::encode(&digest)).into()),
                traceparent: statement.traceparent.as_deref().map(Into::into),
                heartbeat: statement.heartbeat.then_some(true),
            },
        }
    }

    fn read(self) -> Result<Statement, Malformed> {
        let broken = |field| Malformed::Field { field };
        if self.statement_type != STATEMENT_TYPE {
            return Err(broken("_type"));
        }
        if self.predicate_type != PREDICATE_TYPE {
            return Err(broken("predicateType"));
        }
        let frame = |(index, subject): (usize, &Subject<'_>)| {
            let named_in_order = is_frame(&subject.name, index);
            hex::decode(&subject.digest.sha256).filter(|_| named_in_order)
        };
        let frames: Option<_> = self.subject.iter().enumerate().map(frame).collect();
        let predicate = self.predicate;
        let in_reply_to = match &predicate.in_reply_to {
            None => None,
            Some(text) => Some(
                text.strip_prefix(SHA256)
                    .and_then(hex::decode)
                    .ok_or_else(|| broken("inReplyTo"))?,
            ),
        };
        if predicate.heartbeat == Some(false) {
            return Err(broken("heartbeat"));
        }
        Ok(Statement {
            signer: predicate.signer.into_owned(),
            audience: predicate.aud.into_owned(),
            epoch: predicate.epoch,
            seq: predicate.seq,
            tseq: predicate.tseq,
            prev: predicate.prev,
            time: predicate.time.parse().map_err(|_| broken("time"))?,
            topic: predicate.topic.into_owned(),
            content_type: predicate.content_type.into_owned(),
            in_reply_to,
            traceparent: predicate.traceparent.map(Text::into_owned),
            heartbeat: predicate.heartbeat.is_some(),
            frames: frames.ok_or_else(|| broken("subject"))?,
        })
    }
}

/// Whether a subject's name is that of a frame, in its one spelling.
fn is_frame(name: &str, index: usize) -> bool {
    let digits = name.strip_prefix("frame/").unwrap_or_default();
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    let is_shortest = digits == "0" || !digits.starts_with('0');
    is_number && is_shortest && digits.parse() == Ok(index)
}

#[cfg(test)]
pub(crate) mod tests;
