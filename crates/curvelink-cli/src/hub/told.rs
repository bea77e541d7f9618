//! What the hub tells its operator: events of the catalogue, beside those of its sockets.

use std::time::SystemTime;

use curvelink::{Escaped, EventId, Fingerprint, Frame, Peer, SecurityEvent};
use curvelink_envelope::Flag;

use super::gate::Refused;
use crate::control::Reloaded;
use crate::output;

fn event(id: EventId) -> SecurityEvent {
    SecurityEvent::new(id, SystemTime::now())
}

fn of_peer(id: EventId, peer: &Peer) -> SecurityEvent {
    let mut event = event(id);
    event.of(peer);
    event
}

fn shown(topic: &[u8]) -> std::sync::Arc<str> {
    Escaped(topic).to_string().into()
}

/// The hub started, or stops.
pub(crate) fn lifecycle(action: &'static str, key: &str) -> SecurityEvent {
    let mut event = event(EventId::Lifecycle);
    event.action = Some(action);
    event.detail("version", env!("CARGO_PKG_VERSION"));
    event.detail("key", key.to_owned());
    event
}

/// Policy and keys were read again, and are in force.
pub(super) fn reloaded(old: &[u8; 32], new: &[u8; 32], change: &Reloaded) -> SecurityEvent {
    let mut event = event(EventId::Reload);
    event.action = Some("applied");
    event.detail("old", output::hex(old));
    event.detail("new", output::hex(new));
    let mut changed = Vec::new();
    for (what, names) in [
        ("gained", &change.gained),
        ("lost", &change.lost),
        ("cut", &change.cut),
    ] {
        if !names.is_empty() {
            changed.push(format!("{what} {}", names.join(",")));
        }
    }
    if change.envelope {
        changed.push("envelope".to_owned());
    }
    let next = change.keys.next.iter();
    let keys = std::iter::once(&change.keys.current).chain(next);
    changed.push(format!(
        "keys {}",
        keys.cloned().collect::<Vec<_>>().join(",")
    ));
    event.detail("changed", changed.join("; "));
    event
}

/// They were read again, and one is wrong: what was in force stays.
pub(crate) fn not_reloaded(error: &str) -> SecurityEvent {
    let mut event = event(EventId::Reload);
    event.action = Some("refused");
    event.detail("error", error.to_owned());
    event
}

/// A key counts from now on, or does so no more.
pub(super) fn key(
    action: &'static str,
    purpose: &'static str,
    key: Fingerprint,
    identity: Option<&str>,
) -> SecurityEvent {
    let mut event = event(EventId::Key);
    event.action = Some(action);
    event.fingerprint = Some(key);
    event.identity = identity.map(Into::into);
    event.detail("purpose", purpose);
    event
}

/// A setting is in force that leaves a door open.
pub(super) fn insecure(setting: &'static str) -> SecurityEvent {
    let mut event = event(EventId::Insecure);
    event.detail("setting", setting);
    event
}

/// What was seen could not be written down.
pub(super) fn not_saved(error: &anyhow::Error) -> SecurityEvent {
    let mut event = event(EventId::NotSaved);
    event.detail("error", format!("{error:#}"));
    event
}

/// A message passed the gate.
pub(super) fn published(
    peer: &Peer,
    topic: &Frame,
    subscribers: usize,
    digest: Option<&[u8; 32]>,
) -> SecurityEvent {
    let mut event = of_peer(EventId::Verified, peer);
    event.topic = Some(shown(topic));
    if let Some(digest) = digest {
        event.detail("digest", output::hex(digest));
    }
    event.detail("subscribers", subscribers.to_string());
    event
}

/// What a message's numbers tell of those before it.
pub(super) fn gap(peer: &Peer, topic: &Frame, flag: Flag) -> SecurityEvent {
    let mut event = of_peer(EventId::Gap, peer);
    event.reason = Some(flag.code());
    event.topic = Some(shown(topic));
    event.detail("missing", flag.missing().to_string());
    event
}

/// A message did not pass: the sender has no right to the topic, or the envelope is not right.
pub(super) fn refused(peer: &Peer, topic: &[u8], refused: &Refused) -> SecurityEvent {
    let is_right = refused.code == Refused::TOPIC_DENIED;
    let id = if is_right {
        EventId::Denied
    } else {
        EventId::Rejected
    };
    let mut event = of_peer(id, peer);
    event.action = is_right.then_some("publish");
    event.reason = Some(refused.code);
    event.topic = Some(shown(topic));
    event
}

/// What came at the ingest is no request of a REQ socket.
pub(super) fn not_a_request(peer: &Peer) -> SecurityEvent {
    let mut event = of_peer(EventId::Rejected, peer);
    event.reason = Some("not-a-request");
    event
}

/// A peer subscribed to a prefix, or cancelled it.
pub(super) fn subscription(peer: Option<&Peer>, prefix: &[u8], subscribed: bool) -> SecurityEvent {
    let mut event = event(EventId::Subscription);
    if let Some(peer) = peer {
        event.of(peer);
    }
    event.action = Some(if subscribed { "subscribe" } else { "cancel" });
    event.topic = Some(shown(prefix));
    event
}

/// A subscriber did not confirm a message in time.
pub(super) fn unconfirmed(name: &str) -> SecurityEvent {
    let mut event = event(EventId::Unconfirmed);
    event.identity = Some(name.into());
    event
}
