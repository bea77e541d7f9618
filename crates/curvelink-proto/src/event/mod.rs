//! What happens on links, as one list: the log, the monitor, metrics and the audit trail share it.

mod catalogue;
mod escaped;
mod kind;
mod reason;
mod refusal;
mod security;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::catalogue::{EventId, Severity, Telling};
pub use self::escaped::Escaped;
pub use self::kind::{Action, LinkEventKind, LinkEvents, StopCause, SystemError};
pub use self::reason::Reason;
pub use self::refusal::{Refusal, Side, Stage};
pub use self::security::SecurityEvent;
use crate::peer::{Peer, PeerAddress};

/// Something that happened on one endpoint of a socket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkEvent {
    /// The endpoint that was bound or connected, as the application wrote it or as it was resolved.
    pub endpoint: Arc<str>,
    /// The other side, once there is one.
    pub address: Option<PeerAddress>,
    /// How old the connection is, where the event is one of a connection.
    pub age: Option<Duration>,
    /// Who the other side is, once the link is up.
    pub peer: Option<Arc<Peer>>,
    /// What happened.
    pub kind: LinkEventKind,
}

impl LinkEvent {
    /// Puts an event together.
    #[must_use]
    pub const fn new(
        endpoint: Arc<str>,
        address: Option<PeerAddress>,
        kind: LinkEventKind,
    ) -> Self {
        Self {
            endpoint,
            address,
            age: None,
            peer: None,
            kind,
        }
    }
}

/// One line for a log; no octet of a peer's choosing is in it but its socket address.
impl fmt::Display for LinkEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.endpoint)?;
        if let Some(address) = &self.address {
            write!(f, " peer {address}")?;
        }
        write!(f, ": {}", self.kind)
    }
}
