//! What sinks tell: how they do, and what the journal has signed.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use curvelink::{EventId, SecurityEvent, Severity};
use curvelink_tlog::{Checkpoint, Note};

use super::queue::Told;
use crate::output;

/// A sink cannot be reached.
pub(super) fn away(sink: &str, error: String) -> SecurityEvent {
    let mut event = of_sink(sink, "away");
    event.detail("error", error);
    event
}

/// A sink is reached again.
pub(super) fn back(sink: &str) -> SecurityEvent {
    let mut event = of_sink(sink, "back");
    event.severity = Severity::Informational;
    event
}

/// A sink does not get so many events.
pub(super) fn lost(sink: &str, count: u64) -> SecurityEvent {
    let mut event = of_sink(sink, "lost");
    event.count = count;
    event
}

fn of_sink(sink: &str, action: &'static str) -> SecurityEvent {
    let mut event = SecurityEvent::new(EventId::Sink, SystemTime::now());
    event.endpoint = Some(sink.into());
    event.action = Some(action);
    event
}

/// In the place of the events that a sink did not get.
pub(super) fn missing(lost: Told) -> SecurityEvent {
    let mut event = SecurityEvent::new(EventId::Lost, lost.first.into());
    event.last = lost.last.into();
    event.count = lost.count;
    event
}

/// A checkpoint was signed. The note goes whole, in letters that no collector changes, so that it
/// can be taken out again and held against the journal.
pub(super) fn checkpoint(text: &str) -> SecurityEvent {
    let mut event = SecurityEvent::new(EventId::Checkpoint, SystemTime::now());
    if let Ok(note) = text.parse::<Note>() {
        if let Ok(checkpoint) = note.text().parse::<Checkpoint>() {
            event.detail("origin", checkpoint.origin);
            event.detail("size", checkpoint.head.size.to_string());
            event.detail("root", checkpoint.head.root.to_string());
        }
        if let Some(signature) = note.signatures().first() {
            event.detail("key", output::hex(&signature.key_id()));
        }
    }
    event.detail("note", STANDARD.encode(text));
    event
}
