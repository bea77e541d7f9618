//! Messages as JSON: text frames as strings, other frames as `{"base64": "..."}`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curvelink::{Frame, Message, Peer};
use curvelink_envelope::Verified;
use serde::{Deserialize, Serialize};

/// One message. What is not known of its sender and its signer is left out.
#[derive(Serialize)]
pub(super) struct Shown {
    frames: Vec<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<Sender>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<Signed>,
}

/// Who signed a message, as the verifier proved it.
#[derive(Serialize)]
struct Signed {
    signer: String,
    key: String,
    seq: u64,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    /// The identities that signed it too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cosigners: Vec<String>,
    flags: Vec<&'static str>,
    /// How many messages of the topic have not come before it.
    missing: u64,
}

/// Who sent a message, as the connection proved it.
#[derive(Serialize)]
struct Sender {
    address: String,
    mechanism: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cipher: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// One message to be sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    frames: Vec<Text>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Utf8(String),
    Octets { base64: String },
}

impl Shown {
    pub(super) fn of(message: &Message, verified: Option<&Verified>) -> Self {
        Self {
            signed: verified.map(Signed::of),
            frames: message.iter().map(|frame| Text::of(frame)).collect(),
            peer: message.peer().map(|peer| Sender::of(peer)),
        }
    }
}

impl Signed {
    fn of(verified: &Verified) -> Self {
        Self {
            signer: verified.statement.signer.clone(),
            key: verified.key.fingerprint(),
            seq: verified.statement.seq,
            time: verified.statement.time.to_string(),
            traceparent: verified.statement.traceparent.clone(),
            cosigners: verified.cosigners.clone(),
            flags: verified.flags.iter().map(|flag| flag.code()).collect(),
            missing: verified.flags.iter().map(|flag| flag.missing()).sum(),
        }
    }
}

impl Sender {
    fn of(peer: &Peer) -> Self {
        Self {
            address: peer.address.to_string(),
            mechanism: peer.mechanism.to_string(),
            cipher: peer.cipher,
            name: peer.name.as_deref().map(str::to_owned),
            key: peer.key.map(|key| key.fingerprint().to_string()),
        }
    }
}

impl Text {
    fn of(octets: &[u8]) -> Self {
        match str::from_utf8(octets) {
            Ok(text) => Self::Utf8(text.to_owned()),
            Err(_) => Self::Octets {
                base64: STANDARD.encode(octets),
            },
        }
    }

    fn into_frame(self) -> Option<Frame> {
        match self {
            Self::Utf8(text) => Some(text.into()),
            Self::Octets { base64 } => STANDARD.decode(base64).ok().map(Frame::from),
        }
    }
}

/// Reads one message; `None` for text that is none, or has no frames.
pub(super) fn parse(line: &[u8]) -> Option<Message> {
    let typed: Typed = serde_json::from_slice(line).ok()?;
    let frames: Option<Vec<Frame>> = typed.frames.into_iter().map(Text::into_frame).collect();
    frames
        .filter(|frames| !frames.is_empty())
        .map(Message::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_sent_again() {
        let message = Message::from([&b"findings/"[..], b"\xff\x00", b""]);
        let text = serde_json::to_string(&Shown::of(&message, None)).unwrap();
        assert_eq!(text, r#"{"frames":["findings/",{"base64":"/wA="},""]}"#);
        assert_eq!(parse(text.as_bytes()), Some(message));
    }

    #[test]
    fn other_json_is_no_message() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"frames":[]}"#,
            r#"{"frames":["a"],"x":1}"#,
            r#"{"frames":[1]}"#,
            r#"{"frames":[{"base64":"!"}]}"#,
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
