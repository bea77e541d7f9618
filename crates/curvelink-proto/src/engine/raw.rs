//! STREAM: a connection without ZMTP. What is read is a message, what is sent are octets.

use std::sync::Arc;

use super::{Engine, Event, State};
use crate::peer::Peer;
use crate::socket_type::SocketType;

impl Engine {
    /// Nobody greets and nobody proves anything: the connection is ready as it is made.
    pub(super) fn begin_raw(&mut self) {
        let mut peer = Peer::anonymous(self.address, SocketType::Stream);
        // Without commands there is no PING either.
        peer.minor = 0;
        let peer = Arc::new(peer);
        self.deadline = None;
        self.inbound.trust();
        self.events.push(Event::Ready(peer.clone()));
        self.state = State::Ready {
            peer,
            sealer: None,
            opener: None,
            awaits_end: false,
        };
    }

    /// What one read gave is one message of one frame, or more if it is over the limit of one.
    pub(super) fn parse_raw(&mut self) {
        while !self.inbound.is_empty() {
            if self.events.is_full() {
                self.holds_input = true;
                return;
            }
            let octets = self.inbound.take(self.config.limits.message.max(1));
            self.events.push_message(octets.into());
        }
    }
}
