//! What went through a socket, and what did not.

use std::sync::Arc;
use std::time::Instant;

use curvelink_proto::Peer;

/// What a socket has sent, received and dropped since it was made, and what waits in it now.
///
/// Numbers of one moment: taking them holds the socket's lock for as long as counting its pipes
/// takes. A copy of a message for each peer counts as one message (PUB).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Messages accepted for a peer; what waits in `queued_to_peers` is among them.
    pub sent: Traffic,
    /// Messages that the application received.
    pub received: Traffic,
    /// Messages that wait to be written to a peer. Over inproc they wait at the receiver.
    pub queued_to_peers: usize,
    /// Messages that wait to be received.
    pub queued_from_peers: usize,
    /// Messages that were dropped, by reason.
    pub dropped: Drops,
    /// Connections that were refused, by this side or by the peer.
    pub refused: u64,
    /// Messages and subscriptions that peers' rights did not hold.
    pub denied: u64,
}

/// One link that is up: who is at its other end, since when, and what went over it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkStatus {
    /// The peer, as the policy knows it.
    pub peer: Arc<Peer>,
    /// When its handshake was done.
    pub since: Instant,
    /// Messages written to it since then, counting subscriptions, with what they take on the wire
    /// before they are sealed. Over inproc, messages that arrived.
    pub sent: Traffic,
    /// Messages of it that arrived since then, received by the application or not.
    pub received: Traffic,
    /// Messages that wait to be written to it; 0 over inproc, where they wait at the receiver.
    pub queued_to_peer: usize,
    /// Messages of it that wait to be received.
    pub queued_from_peer: usize,
    /// Prefixes that it subscribes to (PUB, XPUB).
    pub subscriptions: usize,
}

/// Messages, and the octets of their frames without framing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// How many messages.
    pub messages: u64,
    /// How many octets.
    pub octets: u64,
}

impl Traffic {
    pub(crate) const fn count(&mut self, messages: usize, octets: usize) {
        self.messages += messages as u64;
        self.octets += octets as u64;
    }
}

/// Why messages were dropped, and how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drops {
    /// The peer's queue was full (PUB, XPUB, XSUB, ROUTER, REP).
    pub no_room: u64,
    /// No peer had the routing id (ROUTER), or the requester had gone (REP).
    pub unroutable: u64,
    /// The peer went while they waited for it, and nobody comes in its place.
    pub peer_gone: u64,
    /// The peer's right to be here ended, or the application ended its link, while they waited:
    /// those from the peer and those for it.
    pub cut: u64,
    /// A publisher sent what was not subscribed, or not any more (SUB).
    pub not_subscribed: u64,
    /// A reply to a request that is over, or from a peer that was not asked (REQ).
    pub late_reply: u64,
    /// The envelope was not what the pattern demands (REQ, REP).
    pub malformed: u64,
    /// A newer message took their place (`conflate`).
    pub conflated: u64,
    /// A peer sent upstream more than waits for an application that does not receive (XPUB), or
    /// anything to a socket that only sends (PUB, PUSH).
    pub unread: u64,
}

impl Drops {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.no_room
            + self.unroutable
            + self.peer_gone
            + self.cut
            + self.not_subscribed
            + self.late_reply
            + self.malformed
            + self.conflated
            + self.unread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_leaves_no_reason_out() {
        let drops = Drops {
            no_room: 1,
            unroutable: 10,
            peer_gone: 100,
            not_subscribed: 1000,
            late_reply: 10_000,
            malformed: 100_000,
            conflated: 1_000_000,
            unread: 10_000_000,
            cut: 100_000_000,
        };
        assert_eq!(drops.total(), 111_111_111);
    }
}
