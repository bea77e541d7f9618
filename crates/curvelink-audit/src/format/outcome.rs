//! How what happened ended, as all formats tell it.

use curvelink_proto::EventId;

use crate::record::{Record, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Unknown,
    Success,
    Failure,
}

impl Outcome {
    pub(super) fn of(record: &Record) -> Self {
        let Some(event) = record.event() else {
            return Self::Unknown;
        };
        let action = record.field("action").and_then(Value::as_text);
        match event {
            EventId::Accepted
            | EventId::Disconnected
            | EventId::Cut
            | EventId::Subscription
            | EventId::Signed
            | EventId::Verified
            | EventId::Checkpoint => Self::Success,
            EventId::Refused
            | EventId::AcceptFailed
            | EventId::Denied
            | EventId::Unconfirmed
            | EventId::Rejected
            | EventId::NotSaved
            | EventId::Lost => Self::Failure,
            EventId::Decision => {
                let status = record.field("status").and_then(Value::as_number);
                Self::known(status.map(|status| status == 200))
            }
            EventId::Reload => Self::known(action.map(|action| action == "applied")),
            EventId::Witness => {
                Self::known(action.map(|action| matches!(action, "back" | "enough")))
            }
            EventId::Sink => Self::known(action.map(|action| action == "back")),
            EventId::Lifecycle | EventId::Key | EventId::Journal => {
                let has_failed = record.field("error").is_some() || action == Some("lost");
                Self::known(action.map(|_| !has_failed))
            }
            _ => Self::Unknown,
        }
    }

    const fn known(is_success: Option<bool>) -> Self {
        match is_success {
            Some(true) => Self::Success,
            Some(false) => Self::Failure,
            None => Self::Unknown,
        }
    }

    /// One word, lower case.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}
