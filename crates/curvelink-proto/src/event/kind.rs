//! What happens on a link, and sets of it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::BitOr;
use std::sync::Arc;
use std::time::Duration;

use super::{EventId, Reason, Refusal};
use crate::peer::Peer;

/// What happened. Those of the catalogue have an [`id`](LinkEventKind::id).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LinkEventKind {
    /// A listener is open.
    Listening,
    /// A listener could not be opened; the error was given to whoever asked for it too.
    BindFailed {
        /// What the operating system said.
        error: SystemError,
    },
    /// A listener could not accept: usually no file descriptor is left.
    AcceptFailed {
        /// What the operating system said.
        error: SystemError,
    },
    /// A connection was accepted; nothing is known of the peer yet.
    Accepted,
    /// Names are resolved, and an attempt to connect begins (tcp only).
    Connecting,
    /// The attempt failed; [`Retrying`](Self::Retrying) or [`Stopped`](Self::Stopped) follows.
    ConnectFailed {
        /// What the operating system said.
        error: SystemError,
    },
    /// A connection was made; the handshake begins.
    Connected,
    /// Connecting failed, or the connection ended; the next attempt follows after this time.
    Retrying {
        /// How long until the next attempt.
        after: Duration,
        /// What the operating system said of the last attempt, where it failed there.
        error: Option<ErrorKind>,
    },
    /// The handshake is done and the policy said yes.
    HandshakeSucceeded(Arc<Peer>),
    /// The connection was refused, by us or by the peer.
    Refused(Refusal),
    /// A link that was up has ended.
    Disconnected {
        /// Why, where the protocol knows; `None` when the peer closed or the network failed.
        reason: Option<Reason>,
        /// Whole messages that came in.
        received: u64,
        /// Whole messages that were written, counting subscriptions.
        sent: u64,
    },
    /// A peer asked for, or sent, a topic outside its rights; the link stays up.
    Denied {
        /// What it tried.
        action: Action,
        /// The name that the policy gave the peer.
        name: Option<Arc<str>>,
        /// The topic, or the first of them, [escaped](super::Escaped).
        topic: Arc<str>,
        /// How often on this link since the last such event, at least 1.
        count: u64,
    },
    /// A listener is closed: it was unbound, or its socket was closed.
    Closed,
    /// A socket connects to an endpoint no more.
    Stopped {
        /// Why.
        cause: StopCause,
        /// Messages that waited for the peer and are lost, counting subscriptions.
        dropped: u64,
    },
    /// The socket is gone: a monitor's last event.
    MonitorStopped,
}

impl LinkEventKind {
    /// What it is in the catalogue of security events, where it is in it.
    #[must_use]
    pub const fn id(&self) -> Option<EventId> {
        match self {
            Self::HandshakeSucceeded(_) => Some(EventId::Accepted),
            Self::Refused(_) => Some(EventId::Refused),
            Self::Disconnected {
                reason: Some(reason),
                ..
            } if reason.is_withdrawal() => Some(EventId::Cut),
            Self::Disconnected { .. } => Some(EventId::Disconnected),
            Self::Denied { .. } => Some(EventId::Denied),
            Self::AcceptFailed { .. } => Some(EventId::AcceptFailed),
            _ => None,
        }
    }
}

impl fmt::Display for LinkEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening => f.write_str("listening"),
            Self::BindFailed { error } => write!(f, "cannot be bound: {error}"),
            Self::AcceptFailed { error } => write!(f, "cannot accept a connection: {error}"),
            Self::Accepted => f.write_str("accepted"),
            Self::Connecting => f.write_str("connecting"),
            Self::ConnectFailed { error } => write!(f, "cannot connect: {error}"),
            Self::Connected => f.write_str("connected"),
            Self::Retrying { after, error } => {
                if let Some(error) = error {
                    write!(f, "{error}; ")?;
                }
                write!(f, "next attempt in {} ms", after.as_millis())
            }
            Self::HandshakeSucceeded(peer) => write!(f, "admitted {peer}"),
            Self::Refused(refusal) => write!(f, "{refusal}"),
            Self::Disconnected {
                reason: Some(reason),
                ..
            } => write!(f, "disconnected: {reason}"),
            Self::Disconnected { reason: None, .. } => f.write_str("disconnected"),
            Self::Denied {
                action,
                name,
                count,
                ..
            } => {
                write!(f, "denied: {action} outside the rights of ")?;
                write!(
                    f,
                    "{} ({count} times)",
                    name.as_deref().unwrap_or("the peer")
                )
            }
            Self::Closed => f.write_str("closed"),
            Self::Stopped { cause, dropped } => {
                write!(f, "stopped: {cause}; {dropped} messages dropped")
            }
            Self::MonitorStopped => f.write_str("the monitor stops"),
        }
    }
}

/// What the operating system said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SystemError {
    /// The kind, the same on every system.
    pub kind: ErrorKind,
    /// The system's own number (`errno`), where the system said it.
    pub code: Option<i32>,
}

impl From<&io::Error> for SystemError {
    fn from(error: &io::Error) -> Self {
        Self {
            kind: error.kind(),
            code: error.raw_os_error(),
        }
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)
    }
}

/// Why a socket connects to an endpoint no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopCause {
    /// The endpoint was disconnected, or the socket closed.
    Asked,
    /// Nobody listened there, and the socket was told to stop then.
    ConnectionRefused,
    /// The handshake failed, and the socket was told to stop then.
    HandshakeFailed,
    /// The attempt failed or the link ended, and the socket was told to connect once only.
    NoReconnect,
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "as asked",
            Self::ConnectionRefused => "the connection was refused",
            Self::HandshakeFailed => "the handshake failed",
            Self::NoReconnect => "it connects once only",
        })
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $bit:literal $pattern:pat,)*) => {
        /// A set of kinds of [`LinkEvent`](crate::LinkEvent)s, for monitors that want some only.
        ///
        /// ```
        /// # use curvelink_proto::{LinkEventKind, LinkEvents};
        /// let both = LinkEvents::LISTENING | LinkEvents::ACCEPTED;
        /// assert!(both.contains(&LinkEventKind::Accepted));
        /// assert!(!both.contains(&LinkEventKind::Connected));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct LinkEvents(u32);

        impl LinkEvents {
            /// None.
            pub const NONE: Self = Self(0);
            /// Every kind, those of later versions included.
            pub const ALL: Self = Self(u32::MAX);
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// Whether events of this kind are in the set.
            #[must_use]
            pub const fn contains(self, kind: &LinkEventKind) -> bool {
                let kind = match kind { $($pattern => Self::$name,)* };
                self.0 & kind.0 != 0
            }
        }
    };
}

kinds! {
    /// [`LinkEventKind::Listening`].
    LISTENING = 0 LinkEventKind::Listening,
    /// [`LinkEventKind::BindFailed`].
    BIND_FAILED = 1 LinkEventKind::BindFailed { .. },
    /// [`LinkEventKind::AcceptFailed`].
    ACCEPT_FAILED = 2 LinkEventKind::AcceptFailed { .. },
    /// [`LinkEventKind::Accepted`].
    ACCEPTED = 3 LinkEventKind::Accepted,
    /// [`LinkEventKind::Connecting`].
    CONNECTING = 4 LinkEventKind::Connecting,
    /// [`LinkEventKind::ConnectFailed`].
    CONNECT_FAILED = 5 LinkEventKind::ConnectFailed { .. },
    /// [`LinkEventKind::Connected`].
    CONNECTED = 6 LinkEventKind::Connected,
    /// [`LinkEventKind::Retrying`].
    RETRYING = 7 LinkEventKind::Retrying { .. },
    /// [`LinkEventKind::HandshakeSucceeded`].
    HANDSHAKE_SUCCEEDED = 8 LinkEventKind::HandshakeSucceeded(_),
    /// [`LinkEventKind::Refused`].
    REFUSED = 9 LinkEventKind::Refused(_),
    /// [`LinkEventKind::Disconnected`].
    DISCONNECTED = 10 LinkEventKind::Disconnected { .. },
    /// [`LinkEventKind::Denied`].
    DENIED = 11 LinkEventKind::Denied { .. },
    /// [`LinkEventKind::Closed`].
    CLOSED = 12 LinkEventKind::Closed,
    /// [`LinkEventKind::Stopped`].
    STOPPED = 13 LinkEventKind::Stopped { .. },
    /// [`LinkEventKind::MonitorStopped`].
    MONITOR_STOPPED = 14 LinkEventKind::MonitorStopped,
}

impl BitOr for LinkEvents {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a peer tried outside its rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// To publish a topic.
    Publish,
    /// To subscribe to a prefix.
    Subscribe,
}

impl Action {
    /// One word, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
