//! Options of a socket, each with a default that is safe and finite: one file for each concern.

mod ipc;
mod links;
mod notices;
mod pattern;
mod queues;
mod security;
mod sources;
mod topics;
mod transport;

use curvelink_proto::{EngineConfig, MechanismName, SocketType};

pub use self::ipc::IpcFilter;
use self::links::Links;
pub use self::links::ReconnectStop;
use self::notices::Notices;
use self::pattern::Pattern;
use self::queues::Queues;
use self::security::Security;
pub use self::sources::SourceLimits;
pub(crate) use self::topics::{Shown, Topics};
pub(crate) use self::transport::{Tcp, Transport};
use crate::error::RefusedEndpoint;

/// What a socket is told when it is made. Every method takes and gives the whole value.
///
/// ```
/// use std::time::Duration;
/// let options = curvelink::Options::new().send_hwm(2000).linger(Duration::ZERO);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Options {
    pub(crate) security: Security,
    pub(crate) queues: Queues,
    pub(crate) links: Links,
    pub(crate) transport: Transport,
    pub(crate) pattern: Pattern,
    pub(crate) topics: Topics,
    pub(crate) notices: Notices,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a socket of this type cannot be bound or connected with.
    pub(crate) fn check(&self, kind: SocketType) -> Result<(), RefusedEndpoint> {
        let id = &self.pattern.routing_id;
        if id.len() > 255 || id.first() == Some(&0) {
            return Err(RefusedEndpoint::Option("routing_id"));
        }
        if self.security.zap_domain.len() > 255 {
            return Err(RefusedEndpoint::Option("zap_domain"));
        }
        self.transport.check().map_err(RefusedEndpoint::Option)?;
        let misplaced = None
            .or_else(|| self.security.misplaced(kind))
            .or_else(|| self.pattern.misplaced(kind))
            .or_else(|| self.topics.misplaced(kind))
            .or_else(|| self.notices.misplaced(kind))
            .or_else(|| self.queues.misplaced(kind));
        misplaced.map_or(Ok(()), |option| {
            Err(RefusedEndpoint::OptionOfOthers(option))
        })
    }

    /// Whether a verdict is asked on each peer.
    pub(crate) fn asks_policy(&self) -> bool {
        let mechanism = &self.security.mechanism;
        let properties = mechanism.properties();
        // NULL about everybody, a client about the server that has proven its key.
        let null = mechanism.name() == MechanismName::NULL;
        let in_a_domain = null || properties.confidential && !mechanism.as_server();
        properties.asks_policy || in_a_domain && !self.security.zap_domain.is_empty()
    }

    /// Whether what is sent may be seen beyond this host: it is sealed, or the override was written.
    pub(crate) fn may_leave_this_host(&self) -> bool {
        self.security.mechanism.properties().confidential || self.security.clear_text
    }

    pub(crate) fn engine_config(&self, kind: SocketType) -> EngineConfig {
        let mut config = EngineConfig::new(kind, self.security.mechanism.clone());
        config.routing_id = self.pattern.routing_id.to_bytes();
        config.zap_domain = self.security.zap_domain.clone();
        config.on_deny = self.security.on_deny;
        config.limits = self.queues.limits;
        config.greeting_timeout = self.links.greeting_timeout;
        config.handshake_timeout = self.links.handshake_timeout;
        config.heartbeat = self.links.heartbeat;
        config
    }
}
