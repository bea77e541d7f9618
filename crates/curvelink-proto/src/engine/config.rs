//! What an engine is told before it starts.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::mechanism::{Mechanism, MechanismName};
use crate::socket_type::SocketType;
use crate::wire::metadata::{self, END_OF_STREAM, IDENTITY, SOCKET_TYPE};

/// Octets of a SUBSCRIBE or CANCEL beside its prefix.
const COMMAND_NAME: usize = 16;

/// The configuration that all connections of one socket share.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Our socket's type.
    pub socket_type: SocketType,
    /// The security mechanism of our side.
    pub mechanism: Arc<dyn Mechanism>,
    /// The routing id that we ask the peer to use; up to 255 octets, not beginning with 0, empty
    /// for none.
    pub routing_id: Bytes,
    /// The domain in questions to the policy; empty for none. Up to 255 octets.
    pub zap_domain: Arc<str>,
    /// What the peer is told when the policy refuses it.
    pub on_deny: OnDeny,
    /// Sizes.
    pub limits: Limits,
    /// Time for the peer's greeting. Default 2 s.
    pub greeting_timeout: Duration,
    /// Time for greeting, handshake and verdict together. Default 5 s.
    pub handshake_timeout: Duration,
    /// PING and PONG.
    pub heartbeat: Heartbeat,
}

impl EngineConfig {
    /// Defaults for a type and a mechanism.
    #[must_use]
    pub fn new(socket_type: SocketType, mechanism: Arc<dyn Mechanism>) -> Self {
        Self {
            socket_type,
            mechanism,
            routing_id: Bytes::new(),
            zap_domain: Arc::from(""),
            on_deny: OnDeny::Error,
            limits: Limits::default(),
            greeting_timeout: Duration::from_secs(2),
            handshake_timeout: Duration::from_secs(5),
            heartbeat: Heartbeat::default(),
        }
    }

    /// Whether connections are octets without ZMTP. A STREAM that was told to keep strangers out
    /// cannot, so it greets like the others and finds nobody who talks to it.
    pub(crate) fn is_raw(&self) -> bool {
        let open = self.mechanism.name() == MechanismName::NULL && self.zap_domain.is_empty();
        self.socket_type.is_raw() && open
    }

    /// What a command may need, whatever a peer's messages are limited to.
    pub(crate) fn command_room(&self) -> usize {
        let longest = self.limits.topic.saturating_add(COMMAND_NAME);
        longest.min(self.limits.message)
    }

    /// Our metadata. As libzmq does it, only the types that are addressed by a routing id send
    /// one, and they send it even if it is empty. The end of stream is announced where nobody on the
    /// way can take the announcement out.
    pub(crate) fn metadata(&self) -> Bytes {
        let mut out = BytesMut::new();
        metadata::write(&mut out, SOCKET_TYPE, self.socket_type.name().as_bytes());
        if matches!(
            self.socket_type,
            SocketType::Req | SocketType::Dealer | SocketType::Router
        ) {
            metadata::write(&mut out, IDENTITY, &self.routing_id);
        }
        if self.mechanism.properties().confidential {
            metadata::write(&mut out, END_OF_STREAM, b"1");
        }
        out.freeze()
    }
}

/// What a refused peer is told. RFC 26 says both: "INITIATE" to close without a word (R26-45),
/// "ERROR" to send one (R26-65).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum OnDeny {
    /// ERROR with the status (400 or 500), as libzmq does; 300 closes without a word.
    #[default]
    Error,
    /// Nothing: a stranger does not learn whether the policy knows it.
    Close,
}

/// Sizes that a peer must keep to. Each is checked before memory is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The octets of a whole multipart message. Default 16 MiB; what one peer can make us hold
    /// while it sends one message.
    pub message: usize,
    /// The frames of a message. Default 1024.
    pub frames: usize,
    /// The octets of a subscription's prefix. Default 4 KiB.
    pub topic: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 16 << 20,
            frames: 1024,
            topic: 4 << 10,
        }
    }
}

/// When to ask a silent peer for a sign of life (RFC 37, "The PING and PONG Commands").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heartbeat {
    /// Silence after which a PING goes out; zero: never. Default 30 s.
    pub interval: Duration,
    /// Silence after a PING that ends the connection. Default 30 s.
    pub timeout: Duration,
    /// How long the peer may wait for our next octet, told in each PING; zero: for ever. At most
    /// 65.5 s goes out: libzmq multiplies the field by 100 in 16 bits and drops the peer above
    /// that. Default zero.
    pub ttl: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        let interval = Duration::from_secs(30);
        Self {
            interval,
            timeout: interval,
            ttl: Duration::ZERO,
        }
    }
}
