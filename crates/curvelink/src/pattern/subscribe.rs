//! SUB and XSUB (RFC 29): tells every publisher what it wants, receives from all in turn.

use std::sync::Arc;

use bytes::Bytes;
use curvelink_proto::{Message, Peer, Reason};

use super::subscriptions::Wanted;
use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn, leading_subscription, topic};
use crate::options::Topics;
use crate::pipe::{PipeId, Pipes};

#[derive(Debug)]
pub(super) struct Subscribe {
    options: Topics,
    incoming: Turns,
    /// Where messages go upstream: publishers, and endpoints that we connect to.
    upstream: Vec<PipeId>,
    /// Publishers whose handshake is done.
    publishers: Vec<PipeId>,
    wanted: Wanted,
    /// SUB: drop what was not subscribed; a publisher may send more than it was asked for.
    filter: bool,
}

impl Subscribe {
    pub(super) fn new(options: &Topics, filter: bool) -> Self {
        Self {
            options: options.clone(),
            incoming: Turns::default(),
            upstream: Vec::new(),
            publishers: Vec::new(),
            wanted: Wanted::default(),
            filter,
        }
    }

    /// Whether a change is told to the publishers. Every subscription is, as libzmq does it: an
    /// XPUB may show them all.
    fn change(&mut self, prefix: &Bytes, subscribe: bool) -> bool {
        if subscribe {
            self.wanted.add(prefix);
            return true;
        }
        self.wanted.remove(prefix) || self.options.verbose_unsubscribe
    }
}

impl Pattern for Subscribe {
    /// Messages of an XSUB may wait for the connection.
    fn attach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.upstream.push(pipe);
    }

    /// Publishers learn the subscriptions when their handshake is done, each time anew.
    fn ready(&mut self, pipe: PipeId, _: &Arc<Peer>, pipes: &mut Pipes) -> Result<(), Reason> {
        pipes.introduce(pipe, self.wanted.prefixes());
        self.publishers.push(pipe);
        if !self.upstream.contains(&pipe) {
            self.upstream.push(pipe);
        }
        Ok(())
    }

    /// Subscriptions that waited are old by the next connection, and messages stood among them.
    fn lost(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        self.publishers.retain(|known| *known != pipe);
        if !pipes.reconnects(pipe) {
            self.upstream.retain(|known| *known != pipe);
        }
        pipes.clear_outgoing(pipe);
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.publishers.retain(|known| *known != pipe);
        self.upstream.retain(|known| *known != pipe);
        self.incoming.remove(pipe);
    }

    fn readable(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.activate(pipe);
    }

    /// XSUB: a message of one frame that begins with 1 or 0 is a subscription or its end; any
    /// other goes upstream to every publisher, and waits for those that we connect to.
    fn send(&mut self, message: &mut Message, pipes: &mut Pipes) -> Result<(), Refused> {
        if let Some((subscribe, prefix)) = leading_subscription(message) {
            if message.len() == 1 {
                self.subscribe(prefix, subscribe, pipes);
                return Ok(());
            }
            if self.options.first_frame {
                // The publisher takes it out of the message.
                self.change(&prefix, subscribe);
            }
        }
        for pipe in &self.upstream {
            if !pipes.try_write(*pipe, message) {
                pipes.drops.no_room += u64::from(pipes.is_full(*pipe));
            }
        }
        Ok(())
    }

    fn recv(
        &mut self,
        into: &mut Vec<Message>,
        max: usize,
        pipes: &mut Pipes,
    ) -> Result<usize, WrongTurn> {
        let before = into.len();
        while self.incoming.recv(into, max, pipes) > 0 {
            if !self.filter {
                break;
            }
            let fresh = into.extract_if(before.., |message| {
                self.wanted.matches(topic(message)) == self.options.invert
            });
            pipes.drops.not_subscribed += fresh.count() as u64;
            if into.len() > before {
                break;
            }
        }
        Ok(into.len() - before)
    }

    /// XSUB, always: a publisher without room loses the message. SUB has nothing to send.
    fn can_send(&mut self, _: &Pipes) -> bool {
        !self.filter
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        let (filter, invert, wanted) = (self.filter, self.options.invert, &self.wanted);
        let mut refused = 0;
        let found = self.incoming.has_message(pipes, |_, message| {
            let given = !filter || wanted.matches(topic(message)) != invert;
            refused += u64::from(!given);
            given
        });
        pipes.drops.not_subscribed += refused;
        found
    }

    fn subscribe(&mut self, prefix: Bytes, subscribe: bool, pipes: &mut Pipes) {
        if self.change(&prefix, subscribe) {
            for pipe in &self.publishers {
                pipes.subscribe(*pipe, &prefix, subscribe);
            }
        }
    }

    fn topics(&self) -> usize {
        self.wanted.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use curvelink_proto::{PeerAddress, SocketType};

    use super::*;
    use crate::options::Options;
    use crate::pipe::{Incoming, Origin, Outgoing, Outlet};

    #[test]
    fn subscriptions_that_were_not_written_are_forgotten_with_the_link() {
        let options = Options::new();
        let mut pipes = Pipes::new(Weak::new(), &options);
        let mut subscribe = Subscribe::new(&options.topics, true);
        let outgoing = Arc::new(Outgoing::new(0, 1000, false));
        let pipe = pipes.insert(
            Some(Outlet::Link(outgoing.clone())),
            Arc::new(Incoming::new(0, 1000, false)),
            Origin::Dialled,
        );
        subscribe.attach(pipe, &mut pipes);
        let peer = Arc::new(Peer::anonymous(PeerAddress::Inproc, SocketType::Pub));
        for prefix in ["a", "b"] {
            subscribe.subscribe(prefix.into(), true, &mut pipes);
        }
        subscribe.ready(pipe, &peer, &mut pipes).unwrap();
        assert_eq!(outgoing.messages(), 2);
        subscribe.lost(pipe, &mut pipes);
        subscribe.subscribe("a".into(), false, &mut pipes);
        assert_eq!(outgoing.messages(), 0);
        subscribe.ready(pipe, &peer, &mut pipes).unwrap();
        assert_eq!(outgoing.messages(), 1, "what is wanted now, and once");
        assert_eq!(pipes.drops.total(), 0, "no message was among them");
    }
}
