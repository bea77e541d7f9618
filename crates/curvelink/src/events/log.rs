//! Security events as lines of the log.

use std::fmt::Write as _;

use curvelink_proto::{SecurityEvent, Severity, Side};
use tracing::Level;

/// What an event's line looks like to `tracing`: a level must be known when the program is built.
macro_rules! line {
    ($level:expr, $event:ident, $details:ident) => {
        tracing::event!(
            target: "curvelink::event",
            $level,
            id = $event.id.code(),
            endpoint = $event.endpoint.as_deref(),
            peer = $event.address.map(tracing::field::display),
            network = $event.network.map(tracing::field::display),
            key = $event.fingerprint.map(tracing::field::display),
            identity = $event.identity.as_deref(),
            mechanism = $event.mechanism.map(tracing::field::display),
            domain = $event.domain.as_deref(),
            duration = $event.duration.map(|duration| duration.as_secs_f64()),
            by = $event.by.map(Side::name),
            stage = $event.stage.map(tracing::field::display),
            reason = $event.reason,
            status = $event.status,
            action = $event.action,
            topic = $event.topic.as_deref(),
            details = $details.as_deref(),
            count = $event.count,
            seconds = $event.last.duration_since($event.first).unwrap_or_default().as_secs_f64(),
            "{}",
            $event.id.name()
        )
    };
}

/// Writes an event to the log. Text that is not this program's own is quoted there.
pub(super) fn write(event: &SecurityEvent) {
    if event.id.is_default() && event.severity >= Severity::Medium {
        let details = details(event);
        line!(Level::WARN, event, details);
    } else if event.id.is_default() {
        let details = details(event);
        line!(Level::INFO, event, details);
    } else {
        let details = details(event);
        line!(Level::DEBUG, event, details);
    }
}

/// The fields of the entry's own, in one: `name=value`, in the order of the entry.
fn details(event: &SecurityEvent) -> Option<String> {
    let mut line = String::new();
    for (name, value) in &event.details {
        let space = if line.is_empty() { "" } else { " " };
        // A string takes what is written.
        let _ = write!(line, "{space}{name}={value}");
    }
    (!line.is_empty()).then_some(line)
}
