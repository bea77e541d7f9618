//! Options of a socket, each with a default that is safe and finite.

use std::sync::Arc;
use std::time::Duration;

use curvelink_proto::{
    EngineConfig, Frame, Heartbeat, Limits, Mechanism, Null, OnDeny, SocketType,
};

use crate::error::RefusedEndpoint;

/// What a socket is told when it is made. Every method takes and gives the whole value.
///
/// ```
/// use std::time::Duration;
/// let options = curvelink::Options::new().send_hwm(2000).linger(Duration::ZERO);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    pub(crate) mechanism: Arc<dyn Mechanism>,
    pub(crate) zap_domain: Arc<str>,
    pub(crate) zap_timeout: Duration,
    pub(crate) on_deny: OnDeny,
    pub(crate) clear_text: bool,
    pub(crate) routing_id: Frame,
    pub(crate) send_hwm: usize,
    pub(crate) recv_hwm: usize,
    pub(crate) queue_octets: usize,
    pub(crate) limits: Limits,
    pub(crate) linger: Duration,
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) recv_timeout: Option<Duration>,
    pub(crate) connect_timeout: Duration,
    pub(crate) greeting_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) reconnect_interval: Duration,
    pub(crate) reconnect_interval_max: Duration,
    pub(crate) refused_interval: Duration,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) max_handshakes: usize,
    pub(crate) backlog: u32,
    pub(crate) ipc_mode: u32,
    pub(crate) mandatory: bool,
}

impl Default for Options {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            mechanism: Arc::new(Null::new()),
            zap_domain: Arc::from(""),
            zap_timeout: 2 * second,
            on_deny: OnDeny::Error,
            clear_text: false,
            routing_id: Frame::empty(),
            send_hwm: 1000,
            recv_hwm: 1000,
            queue_octets: 64 << 20,
            limits: Limits::default(),
            linger: 5 * second,
            send_timeout: None,
            recv_timeout: None,
            connect_timeout: 10 * second,
            greeting_timeout: 2 * second,
            handshake_timeout: 5 * second,
            reconnect_interval: Duration::from_millis(100),
            reconnect_interval_max: 10 * second,
            refused_interval: 60 * second,
            heartbeat: Heartbeat::default(),
            max_handshakes: 256,
            backlog: 1024,
            ipc_mode: 0o600,
            mandatory: false,
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The security mechanism. Default: NULL, which binds and connects on this host only.
    pub fn security(mut self, mechanism: impl Mechanism) -> Self {
        self.mechanism = Arc::new(mechanism);
        self
    }

    /// The domain in questions to the policy, 0 to 255 octets. Default: empty. With a domain, NULL
    /// asks the policy too (RFC 27, "Overall Operation").
    #[doc(alias = "ZMQ_ZAP_DOMAIN")]
    pub fn zap_domain(mut self, domain: &str) -> Self {
        self.zap_domain = Arc::from(domain);
        self
    }

    /// How long the policy may take to answer; a slower one refuses. Default 2 s.
    pub const fn zap_timeout(mut self, timeout: Duration) -> Self {
        self.zap_timeout = timeout;
        self
    }

    /// What a refused peer is told. Default: ERROR with the status, as libzmq does.
    pub const fn on_deny(mut self, on_deny: OnDeny) -> Self {
        self.on_deny = on_deny;
        self
    }

    /// Lets NULL and PLAIN bind and connect beyond this host, where anybody on the way can read,
    /// change and forge every message, and PLAIN's passwords.
    pub const fn allow_clear_text_beyond_this_host(mut self) -> Self {
        self.clear_text = true;
        self
    }

    /// The routing id that ROUTER peers know us by: up to 255 octets, not beginning with 0.
    /// Default: empty, the ROUTER makes one.
    #[doc(alias = "ZMQ_ROUTING_ID")]
    pub fn routing_id(mut self, id: impl Into<Frame>) -> Self {
        self.routing_id = id.into();
        self
    }

    /// Messages that wait for each peer before `send` waits (or, on PUB, drops): 1 and more, or 0
    /// for no bound but that of octets. Default 1000.
    #[doc(alias = "ZMQ_SNDHWM")]
    pub const fn send_hwm(mut self, messages: usize) -> Self {
        self.send_hwm = messages;
        self
    }

    /// Messages from each peer that wait to be received before we stop reading its connection:
    /// 1 and more, or 0 for no bound but that of octets. Default 1000.
    #[doc(alias = "ZMQ_RCVHWM")]
    pub const fn recv_hwm(mut self, messages: usize) -> Self {
        self.recv_hwm = messages;
        self
    }

    /// Octets that may wait for, and from, each peer: what one peer can cost in memory, twice.
    /// One larger message still passes alone. Default 64 MiB.
    pub const fn queue_octets(mut self, octets: usize) -> Self {
        self.queue_octets = octets;
        self
    }

    /// The largest whole message, over all its frames, that a peer may send; a larger one ends the
    /// connection. Default 16 MiB.
    #[doc(alias = "ZMQ_MAXMSGSIZE")]
    pub const fn max_message_size(mut self, octets: usize) -> Self {
        self.limits.message = octets;
        self
    }

    /// The most frames of one message that a peer may send. Default 1024.
    pub const fn max_frames(mut self, frames: usize) -> Self {
        self.limits.frames = frames;
        self
    }

    /// How long messages that were accepted may still be written after the socket is closed.
    /// Default 5 s (libzmq: for ever); zero drops them at once.
    #[doc(alias = "ZMQ_LINGER")]
    pub const fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// How long `send` waits. Default: for ever.
    #[doc(alias = "ZMQ_SNDTIMEO")]
    pub const fn send_timeout(mut self, time: Duration) -> Self {
        self.send_timeout = Some(time);
        self
    }

    /// How long `recv` waits. Default: for ever.
    #[doc(alias = "ZMQ_RCVTIMEO")]
    pub const fn recv_timeout(mut self, time: Duration) -> Self {
        self.recv_timeout = Some(time);
        self
    }

    /// How long one attempt to connect may take. Default 10 s.
    #[doc(alias = "ZMQ_CONNECT_TIMEOUT")]
    pub const fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// How long the peer's greeting may take. Default 2 s.
    pub const fn greeting_timeout(mut self, time: Duration) -> Self {
        self.greeting_timeout = time;
        self
    }

    /// How long greeting, handshake and verdict may take together. Default 5 s.
    #[doc(alias = "ZMQ_HANDSHAKE_IVL")]
    pub const fn handshake_timeout(mut self, time: Duration) -> Self {
        self.handshake_timeout = time;
        self
    }

    /// The wait before the second attempt to connect; it doubles up to
    /// [`reconnect_interval_max`](Self::reconnect_interval_max). Default 100 ms.
    #[doc(alias = "ZMQ_RECONNECT_IVL")]
    pub const fn reconnect_interval(mut self, time: Duration) -> Self {
        self.reconnect_interval = time;
        self
    }

    /// The longest wait between attempts to connect. Default 10 s.
    #[doc(alias = "ZMQ_RECONNECT_IVL_MAX")]
    pub const fn reconnect_interval_max(mut self, time: Duration) -> Self {
        self.reconnect_interval_max = time;
        self
    }

    /// The wait after the peer refused us. A refusal is not authenticated, so it never ends the
    /// attempts. Default 60 s.
    pub const fn refused_interval(mut self, time: Duration) -> Self {
        self.refused_interval = time;
        self
    }

    /// The silence after which a PING is sent; zero: never. Default 30 s.
    #[doc(alias = "ZMQ_HEARTBEAT_IVL")]
    pub const fn heartbeat_interval(mut self, time: Duration) -> Self {
        self.heartbeat.interval = time;
        self
    }

    /// The silence after a PING that ends the connection. Default 30 s.
    #[doc(alias = "ZMQ_HEARTBEAT_TIMEOUT")]
    pub const fn heartbeat_timeout(mut self, time: Duration) -> Self {
        self.heartbeat.timeout = time;
        self
    }

    /// How long the peer may wait for a sign of life of ours; zero: not told. At most 65.5 s is
    /// told. Default zero.
    #[doc(alias = "ZMQ_HEARTBEAT_TTL")]
    pub const fn heartbeat_ttl(mut self, time: Duration) -> Self {
        self.heartbeat.ttl = time;
        self
    }

    /// Connections of one listener whose handshake is not done; further ones wait to be accepted.
    /// Default 256.
    pub const fn max_handshakes(mut self, connections: usize) -> Self {
        self.max_handshakes = connections;
        self
    }

    /// Connections that the system holds for a listener before it accepts them. Default 1024.
    #[doc(alias = "ZMQ_BACKLOG")]
    pub const fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// The mode of an ipc socket's file, as in `chmod`. Default 0600: our own user only.
    pub const fn ipc_mode(mut self, mode: u32) -> Self {
        self.ipc_mode = mode;
        self
    }

    /// ROUTER: `send` to a routing id that no peer has is an error, and to one without room waits,
    /// instead of dropping the message. Default off.
    #[doc(alias = "ZMQ_ROUTER_MANDATORY")]
    pub const fn router_mandatory(mut self, mandatory: bool) -> Self {
        self.mandatory = mandatory;
        self
    }

    pub(crate) fn check(&self) -> Result<(), RefusedEndpoint> {
        let id = &self.routing_id;
        if id.len() > 255 || id.first() == Some(&0) {
            return Err(RefusedEndpoint::Option("routing_id"));
        }
        if self.zap_domain.len() > 255 {
            return Err(RefusedEndpoint::Option("zap_domain"));
        }
        if self.max_handshakes == 0 {
            return Err(RefusedEndpoint::Option("max_handshakes"));
        }
        Ok(())
    }

    /// Whether a verdict is asked on each peer.
    pub(crate) fn asks_policy(&self) -> bool {
        self.mechanism.properties().asks_policy || !self.zap_domain.is_empty() && self.is_null()
    }

    fn is_null(&self) -> bool {
        self.mechanism.name() == curvelink_proto::MechanismName::NULL
    }

    pub(crate) fn engine_config(&self, kind: SocketType) -> EngineConfig {
        let mut config = EngineConfig::new(kind, self.mechanism.clone());
        config.routing_id = self.routing_id.to_bytes();
        config.zap_domain = self.zap_domain.clone();
        config.on_deny = self.on_deny;
        config.limits = self.limits;
        config.greeting_timeout = self.greeting_timeout;
        config.handshake_timeout = self.handshake_timeout;
        config.heartbeat = self.heartbeat;
        config
    }
}
