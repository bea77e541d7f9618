//! Events as libzmq numbers them, for programs and bindings that were written for its monitor.

use crate::event::{LinkEvent, LinkEventKind, Reason, Refusal, Side, Stage, SystemError};

const CONNECTED: u16 = 0x0001;
const CONNECT_DELAYED: u16 = 0x0002;
const CONNECT_RETRIED: u16 = 0x0004;
const LISTENING: u16 = 0x0008;
const BIND_FAILED: u16 = 0x0010;
const ACCEPTED: u16 = 0x0020;
const ACCEPT_FAILED: u16 = 0x0040;
const CLOSED: u16 = 0x0080;
const DISCONNECTED: u16 = 0x0200;
const MONITOR_STOPPED: u16 = 0x0400;
const HANDSHAKE_FAILED_NO_DETAIL: u16 = 0x0800;
const HANDSHAKE_SUCCEEDED: u16 = 0x1000;
const HANDSHAKE_FAILED_PROTOCOL: u16 = 0x2000;
const HANDSHAKE_FAILED_AUTH: u16 = 0x4000;

const MALFORMED_COMMAND: u32 = 0x1000_0011;
const CRYPTOGRAPHIC: u32 = 0x1100_0001;
const MECHANISM_MISMATCH: u32 = 0x1100_0002;

/// What `connect` says while a connection is under way (`EINPROGRESS`).
const IN_PROGRESS: u32 = if cfg!(any(target_os = "linux", target_os = "android")) {
    115
} else {
    36
};

/// An event of libzmq's monitor: `ZMQ_EVENT_...` and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct LibzmqEvent {
    /// The number of the event: one bit.
    pub number: u16,
    /// `errno`, milliseconds, a ZAP status or `ZMQ_PROTOCOL_ERROR_...`, by the event; 0 where
    /// libzmq gives a file descriptor, and where nothing is known.
    pub value: u32,
}

impl LinkEvent {
    /// The events that libzmq's monitor would tell of the same, in its order.
    ///
    /// | event | libzmq's | value |
    /// |---|---|---|
    /// | `Listening` | LISTENING | 0 |
    /// | `BindFailed` | BIND_FAILED | errno |
    /// | `Accepted` | ACCEPTED | 0 |
    /// | `AcceptFailed` | ACCEPT_FAILED | errno |
    /// | `Connecting` | CONNECT_DELAYED | EINPROGRESS |
    /// | `ConnectFailed` | CLOSED | 0 |
    /// | `Connected` | CONNECTED | 0 |
    /// | `Retrying` | CONNECT_RETRIED | milliseconds |
    /// | `HandshakeSucceeded` | HANDSHAKE_SUCCEEDED | 0 |
    /// | `Refused` with a ZAP status | HANDSHAKE_FAILED_AUTH, DISCONNECTED | the status |
    /// | `Refused` for what the peer sent | HANDSHAKE_FAILED_PROTOCOL, DISCONNECTED | the code |
    /// | `Refused` for the socket type | DISCONNECTED | 0 |
    /// | `Refused` by an ipc filter | ACCEPT_FAILED | 0 |
    /// | `Refused` otherwise | HANDSHAKE_FAILED_NO_DETAIL, DISCONNECTED | 0 |
    /// | `Disconnected` | DISCONNECTED | 0 |
    /// | `Closed` | CLOSED | 0 |
    /// | `MonitorStopped` | MONITOR_STOPPED | 0 |
    /// | `Denied`, `Stopped`, all of inproc | none | |
    ///
    /// CLOSE_FAILED never occurs: a descriptor that was closed is gone. Before BIND_FAILED libzmq
    /// tells a CLOSED of a listener that never listened; that one is left out.
    pub fn libzmq(&self) -> impl Iterator<Item = LibzmqEvent> + use<> {
        let inproc = self.endpoint.starts_with("inproc://");
        let events = if inproc { NONE } else { events(&self.kind) };
        events.into_iter().flatten()
    }
}

type Events = [Option<LibzmqEvent>; 2];

const NONE: Events = [None, None];

fn events(kind: &LinkEventKind) -> Events {
    match kind {
        LinkEventKind::Listening => one(LISTENING, 0),
        LinkEventKind::BindFailed { error } => one(BIND_FAILED, errno(error)),
        LinkEventKind::AcceptFailed { error } => one(ACCEPT_FAILED, errno(error)),
        LinkEventKind::Accepted => one(ACCEPTED, 0),
        LinkEventKind::Connecting => one(CONNECT_DELAYED, IN_PROGRESS),
        LinkEventKind::ConnectFailed { .. } | LinkEventKind::Closed => one(CLOSED, 0),
        LinkEventKind::Connected => one(CONNECTED, 0),
        LinkEventKind::Retrying { after, .. } => {
            let milliseconds = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
            one(CONNECT_RETRIED, milliseconds)
        }
        LinkEventKind::HandshakeSucceeded(_) => one(HANDSHAKE_SUCCEEDED, 0),
        LinkEventKind::Refused(refusal) => refused(refusal),
        LinkEventKind::Disconnected { .. } => one(DISCONNECTED, 0),
        LinkEventKind::MonitorStopped => one(MONITOR_STOPPED, 0),
        LinkEventKind::Denied { .. } | LinkEventKind::Stopped { .. } => NONE,
    }
}

fn refused(refusal: &Refusal) -> Events {
    match (refusal.stage, refusal.reason) {
        (Stage::Transport, Reason::AddressDenied) => one(ACCEPT_FAILED, 0),
        // There was no connection yet.
        (Stage::Transport, _) => NONE,
        (_, Reason::SocketType) => one(DISCONNECTED, 0),
        _ => [failed(refusal), event(DISCONNECTED, 0)],
    }
}

fn failed(refusal: &Refusal) -> Option<LibzmqEvent> {
    if let Some(status) = refusal.status {
        return event(HANDSHAKE_FAILED_AUTH, status.into());
    }
    let code = match refusal.reason {
        _ if refusal.by == Side::Peer => return event(HANDSHAKE_FAILED_NO_DETAIL, 0),
        Reason::MechanismMismatch => MECHANISM_MISMATCH,
        Reason::WrongServerKey | Reason::BadVouch | Reason::WeakKey | Reason::Nonce => {
            CRYPTOGRAPHIC
        }
        Reason::Malformed | Reason::TooLarge => MALFORMED_COMMAND,
        _ => return event(HANDSHAKE_FAILED_NO_DETAIL, 0),
    };
    event(HANDSHAKE_FAILED_PROTOCOL, code)
}

fn one(number: u16, value: u32) -> Events {
    [event(number, value), None]
}

fn event(number: u16, value: u32) -> Option<LibzmqEvent> {
    Some(LibzmqEvent { number, value })
}

fn errno(error: &SystemError) -> u32 {
    error
        .code
        .and_then(|code| u32::try_from(code).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::mechanism::MechanismName;

    fn told(endpoint: &str, kind: LinkEventKind) -> Vec<(u16, u32)> {
        let event = LinkEvent::new(Arc::from(endpoint), None, kind);
        event
            .libzmq()
            .map(|event| (event.number, event.value))
            .collect()
    }

    fn refusal(by: Side, stage: Stage, reason: Reason, status: Option<u16>) -> Vec<(u16, u32)> {
        let mut refusal = Refusal::new(by, stage, reason, MechanismName::CURVE);
        refusal.status = status;
        told("tcp://h:1", LinkEventKind::Refused(refusal))
    }

    #[test]
    fn a_refusal_is_told_by_who_refused_and_why() {
        use Reason::*;
        use Stage::*;
        let gone = (0x0200, 0);
        for (by, stage, reason, status, expected) in [
            (
                Side::Us,
                Admission,
                UnknownKey,
                Some(400),
                vec![(0x4000, 400), gone],
            ),
            (
                Side::Peer,
                Handshake,
                Denied,
                Some(400),
                vec![(0x4000, 400), gone],
            ),
            (
                Side::Peer,
                Handshake,
                WrongServerKey,
                None,
                vec![(0x0800, 0), gone],
            ),
            (
                Side::Us,
                Handshake,
                WrongServerKey,
                None,
                vec![(0x2000, 0x1100_0001), gone],
            ),
            (
                Side::Us,
                Greeting,
                MechanismMismatch,
                None,
                vec![(0x2000, 0x1100_0002), gone],
            ),
            (
                Side::Us,
                Handshake,
                Malformed,
                None,
                vec![(0x2000, 0x1000_0011), gone],
            ),
            (Side::Us, Greeting, Timeout, None, vec![(0x0800, 0), gone]),
            (Side::Us, Handshake, SocketType, None, vec![gone]),
            (Side::Us, Transport, AddressDenied, None, vec![(0x0040, 0)]),
            (Side::Us, Transport, ClearText, None, vec![]),
        ] {
            assert_eq!(refusal(by, stage, reason, status), expected, "{reason}");
        }
    }

    #[test]
    fn values_are_errno_or_milliseconds_and_inproc_is_not_told() {
        let error = SystemError::from(&std::io::Error::from_raw_os_error(98));
        assert_eq!(
            told("tcp://h:1", LinkEventKind::BindFailed { error }),
            [(0x0010, 98)]
        );
        let retrying = LinkEventKind::Retrying {
            after: std::time::Duration::from_millis(75),
            error: None,
        };
        assert_eq!(told("ipc://x", retrying), [(0x0004, 75)]);
        assert_eq!(told("tcp://h:1", LinkEventKind::Listening), [(0x0008, 0)]);
        assert_eq!(told("inproc://x", LinkEventKind::Listening), []);
    }
}
