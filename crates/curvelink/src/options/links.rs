//! The life of a link: deadlines, reconnecting, heartbeat.

use std::time::Duration;

use curvelink_proto::Heartbeat;

use super::Options;

#[derive(Clone, Debug)]
pub(crate) struct Links {
    pub(crate) connect_timeout: Duration,
    pub(crate) greeting_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) reconnect_interval: Duration,
    pub(crate) reconnect_interval_max: Duration,
    pub(crate) refused_interval: Duration,
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
            heartbeat: Heartbeat::default(),
        }
    }
}

impl Options {
    /// How long one attempt to connect may take. Default 10 s.
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

    /// How long greeting, handshake and verdict may take together. Default 5 s.
    #[doc(alias = "ZMQ_HANDSHAKE_IVL")]
    pub const fn handshake_timeout(mut self, time: Duration) -> Self {
        self.links.handshake_timeout = time;
        self
    }

    /// The wait before the second attempt to connect; it doubles up to
    /// [`reconnect_interval_max`](Self::reconnect_interval_max). Default 100 ms.
    #[doc(alias = "ZMQ_RECONNECT_IVL")]
    pub const fn reconnect_interval(mut self, time: Duration) -> Self {
        self.links.reconnect_interval = time;
        self
    }

    /// The longest wait between attempts to connect. Default 10 s.
    #[doc(alias = "ZMQ_RECONNECT_IVL_MAX")]
    pub const fn reconnect_interval_max(mut self, time: Duration) -> Self {
        self.links.reconnect_interval_max = time;
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
