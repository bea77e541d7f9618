//! The hub's answer to a publisher, in JSON.

use curvelink::Frame;
use serde::{Deserialize, Serialize};

/// Whether a message was passed on, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ack {
    /// Whether it was.
    pub(crate) ok: bool,
    /// The names of the subscribers that receive the topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) subscribers: Vec<String>,
    /// Of these, who said that they confirm messages and have not confirmed this one in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unconfirmed: Vec<String>,
    /// Why it was not, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// Why it was not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

impl Ack {
    pub(super) const fn accepted(subscribers: Vec<String>) -> Self {
        Self {
            ok: true,
            subscribers,
            unconfirmed: Vec::new(),
            code: None,
            message: None,
        }
    }

    pub(super) fn refused(code: &str, message: String) -> Self {
        Self {
            ok: false,
            subscribers: Vec::new(),
            unconfirmed: Vec::new(),
            code: Some(code.to_owned()),
            message: Some(message),
        }
    }

    pub(super) fn to_frame(&self) -> Frame {
        // Strings and a flag always have a form in JSON.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        serde_json::from_slice(octets).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_survives_the_wire() {
        for ack in [
            Ack::accepted(vec!["siem".into()]),
            Ack::accepted(Vec::new()),
            Ack::refused(
                "topic-denied",
                "ci-scanner may publish findings/ only".into(),
            ),
        ] {
            assert_eq!(Ack::parse(&ack.to_frame()), Some(ack));
        }
        assert_eq!(Ack::parse(b"{}"), None);
    }
}
