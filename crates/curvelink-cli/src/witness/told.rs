//! What hub and witness tell their operators of witnessing.

use std::time::SystemTime;

use curvelink::{EventId, SecurityEvent, Severity};

use super::answer::{BEHIND, NO_ANSWER};

/// Why no signature was had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The witness was not reached, or did not answer.
    Away(String),
    /// It does not sign, or what it says is not believed.
    Refused(&'static str),
    /// The journal itself cannot be read.
    Unread(String),
}

impl Trouble {
    /// In a few words.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Away(_) => "away",
            Self::Refused(code) => code,
            Self::Unread(_) => "journal-unreadable",
        }
    }
}

fn event(action: &'static str, severity: Severity) -> SecurityEvent {
    let mut event = SecurityEvent::new(EventId::Witness, SystemTime::now());
    event.action = Some(action);
    event.severity = severity;
    event
}

/// A witness does not sign.
pub(super) fn trouble(witness: &str, endpoint: &str, trouble: &Trouble) -> SecurityEvent {
    let mut event = match trouble {
        Trouble::Away(error) => {
            let mut event = event("away", Severity::Medium);
            event.detail("error", error.clone());
            event
        }
        Trouble::Refused(reason) => refused(reason),
        Trouble::Unread(error) => {
            let mut event = refused(trouble.code());
            event.detail("error", error.clone());
            event
        }
    };
    event.identity = Some(witness.into());
    event.endpoint = Some(endpoint.into());
    event
}

/// It signs again.
pub(super) fn back(witness: &str, endpoint: &str) -> SecurityEvent {
    let mut event = event("back", Severity::Informational);
    event.identity = Some(witness.into());
    event.endpoint = Some(endpoint.into());
    event
}

/// Too few have signed what came after the first `size` entries.
pub(super) fn few(size: u64) -> SecurityEvent {
    let mut event = event("few", Severity::High);
    event.detail("size", size.to_string());
    event
}

/// Enough have signed again.
pub(super) fn enough(size: u64) -> SecurityEvent {
    let mut event = event("enough", Severity::Informational);
    event.detail("size", size.to_string());
    event
}

/// This witness did not sign for a hub.
pub(super) fn not_signed(hub: Option<&str>, reason: &'static str) -> SecurityEvent {
    let mut event = refused(reason);
    event.identity = hub.map(Into::into);
    event
}

fn refused(reason: &'static str) -> SecurityEvent {
    let is_tampering = matches!(
        reason,
        "inconsistent" | "bad-signature" | "bad-certificate" | BEHIND | NO_ANSWER
    );
    let severity = if is_tampering {
        Severity::High
    } else {
        Severity::Medium
    };
    let mut event = event("refused", severity);
    event.reason = Some(reason);
    event
}
