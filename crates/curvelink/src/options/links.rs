//! The life of a link: deadlines, reconnecting, heartbeat.

use std::io::ErrorKind;
use std::time::Duration;

use curvelink_proto::{Heartbeat, StopCause};

use super::Options;

#[derive(Clone, Debug)]
pub(crate) struct Links {
    pub(crate) connect_timeout: Duration,
    pub(crate) greeting_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) reconnect_interval: Duration,
    pub(crate) reconnect_interval_max: Duration,
    pub(crate) refused_interval: Duration,
    pub(crate) reconnect_stop: ReconnectStop,
    pub(crate) heartbeat: Heartbeat,
}

impl Default for Links {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            connect_timeout: 10 * second,
            greeting_timeout: 2 * second,
            handshake_timeout: 5 * second,
            reconnect_interval: Duration::from_millis(100),
            reconnect_interval_max: 10 * second,
            refused_interval: 60 * second,
            reconnect_stop: ReconnectStop::new(),
            heartbeat: Heartbeat::default(),
        }
    }
}

/// When a socket connects to an endpoint no more, though nobody asked it to stop.
///
/// The endpoint is then as if it had been disconnected: messages that wait for it are lost, which
/// [`LinkEventKind::Stopped`](crate::LinkEventKind::Stopped) tells with their number, and
/// connecting to it again is an endpoint of its own.
///
/// ```
/// use curvelink::{Options, ReconnectStop};
/// let stop = ReconnectStop::new().connection_refused().handshake_failed();
/// let options = Options::new().reconnect_stop(stop);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ReconnectStop {
    refused: bool,
    handshake: bool,
    disconnect: bool,
    first: bool,
}

impl ReconnectStop {
    /// Never: whatever happens, the next attempt comes.
    pub const fn new() -> Self {
        Self {
            refused: false,
            handshake: false,
            disconnect: false,
            first: false,
        }
    }

    /// Once nobody listens at the address: the system, or the proxy, says that the connection was
    /// refused.
    #[doc(alias = "ZMQ_RECONNECT_STOP_CONN_REFUSED")]
    pub const fn connection_refused(mut self) -> Self {
        self.refused = true;
        self
    }

    /// Once a connection ends before its handshake is done, whoever ended it. What the peer said
    /// is not authenticated: somebody on the way can bring this about.
    #[doc(alias = "ZMQ_RECONNECT_STOP_HANDSHAKE_FAILED")]
    pub const fn handshake_failed(mut self) -> Self {
        self.handshake = true;
        self
    }

    /// Once the endpoint is disconnected and no link to it is up: messages that wait are not
    /// lingered for.
    #[doc(alias = "ZMQ_RECONNECT_STOP_AFTER_DISCONNECT")]
    pub const fn after_disconnect(mut self) -> Self {
        self.disconnect = true;
        self
    }

    /// With the first attempt that fails and with the first link that ends: there is no second
    /// attempt. What libzmq calls a reconnect interval of -1.
    pub const fn at_first_end(mut self) -> Self {
        self.first = true;
        self
    }

    pub(crate) const fn on_disconnect(self) -> bool {
        self.disconnect
    }

    /// Whether a failed attempt to connect was the last.
    pub(crate) fn on_failure(self, error: ErrorKind) -> Option<StopCause> {
        let refused = self.refused && error == ErrorKind::ConnectionRefused;
        self.cause(refused, StopCause::ConnectionRefused)
    }

    /// Whether a connection that has ended was the last.
    pub(crate) fn on_end(self, was_ready: bool) -> Option<StopCause> {
        let failed = self.handshake && !was_ready;
        self.cause(failed, StopCause::HandshakeFailed)
    }

    fn cause(self, met: bool, cause: StopCause) -> Option<StopCause> {
        let first = self.first.then_some(StopCause::NoReconnect);
        met.then_some(cause).or(first)
    }
}

impl Options {
    /// How long one attempt to connect may take, over all addresses of a name. Default 10 s
    /// (libzmq: what the system takes).
    #[doc(alias = "ZMQ_CONNECT_TIMEOUT")]
    pub const fn connect_timeout(mut self, time: Duration) -> Self {
        self.links.connect_timeout = time;
        self
    }

    /// How long the peer's greeting may take. Default 2 s.
    pub const fn greeting_timeout(mut self, time: Duration) -> Self {
        self.links.greeting_timeout = time;
        self
    }

    /// How long greeting, handshake and verdict may take together. Default 5 s (libzmq: 30 s).
    #[doc(alias = "ZMQ_HANDSHAKE_IVL")]
    pub const fn handshake_timeout(mut self, time: Duration) -> Self {
        self.links.handshake_timeout = time;
        self
    }

    /// The wait before the second attempt to connect; it doubles up to
    /// [`reconnect_interval_max`](Self::reconnect_interval_max), less a random quarter. At least
    /// 1 ms. Default 100 ms. To connect once only, see [`ReconnectStop::at_first_end`].
    #[doc(alias = "ZMQ_RECONNECT_IVL")]
    pub const fn reconnect_interval(mut self, time: Duration) -> Self {
        self.links.reconnect_interval = time;
        self
    }

    /// The longest wait between attempts to connect; what is less than the interval, as zero,
    /// keeps the wait as it begins. Default 10 s (libzmq: 0, always the interval).
    #[doc(alias = "ZMQ_RECONNECT_IVL_MAX")]
    pub const fn reconnect_interval_max(mut self, time: Duration) -> Self {
        self.links.reconnect_interval_max = time;
        self
    }

    /// When connecting is given up. Default: never.
    #[doc(alias = "ZMQ_RECONNECT_STOP")]
    pub const fn reconnect_stop(mut self, stop: ReconnectStop) -> Self {
        self.links.reconnect_stop = stop;
        self
    }

    /// The wait after the peer refused us. A refusal is not authenticated, so it never ends the
    /// attempts. Default 60 s.
    pub const fn refused_interval(mut self, time: Duration) -> Self {
        self.links.refused_interval = time;
        self
    }

    /// The silence after which a PING is sent; zero: never. Default 30 s.
    #[doc(alias = "ZMQ_HEARTBEAT_IVL")]
    pub const fn heartbeat_interval(mut self, time: Duration) -> Self {
        self.links.heartbeat.interval = time;
        self
    }

    /// The silence after a PING that ends the connection. Default 30 s.
    #[doc(alias = "ZMQ_HEARTBEAT_TIMEOUT")]
    pub const fn heartbeat_timeout(mut self, time: Duration) -> Self {
        self.links.heartbeat.timeout = time;
        self
    }

    /// How long the peer may wait for a sign of life of ours; zero: not told. At most 65.5 s is
    /// told. Default zero.
    #[doc(alias = "ZMQ_HEARTBEAT_TTL")]
    pub const fn heartbeat_ttl(mut self, time: Duration) -> Self {
        self.links.heartbeat.ttl = time;
        self
    }
}
