//! SUB and XSUB (RFC 29): tells every publisher what it wants, receives from all in turn.

use std::sync::Arc;

use bytes::Bytes;
use curvelink_proto::{Message, Peer, Reason};

use super::subscriptions::{Change, Subscriptions};
use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn};
use crate::pipe::{PipeId, Pipes};

#[derive(Debug)]
pub(super) struct Subscribe {
    incoming: Turns,
    /// Publishers whose handshake is done.
    publishers: Vec<PipeId>,
    /// What this socket itself wants, under [`PipeId::OWN`].
    wanted: Subscriptions,
    /// SUB: drop what was not subscribed; a publisher may send more than it was asked for.
    filter: bool,
}

impl Subscribe {
    pub(super) fn new(filter: bool) -> Self {
        Self {
            incoming: Turns::default(),
            publishers: Vec::new(),
            wanted: Subscriptions::new(usize::MAX),
            filter,
        }
    }
}

fn matches(wanted: &Subscriptions, message: &Message) -> bool {
    let topic = message.first().map(|frame| &frame[..]).unwrap_or_default();
    let mut found = false;
    wanted.matching(topic, |_| found = true);
    found
}

impl Pattern for Subscribe {
    /// Publishers learn the subscriptions when their handshake is done, each time anew.
    fn attach(&mut self, _: PipeId, _: &mut Pipes) {}

    fn ready(&mut self, pipe: PipeId, _: &Arc<Peer>, pipes: &mut Pipes) -> Result<(), Reason> {
        for prefix in self.wanted.of(PipeId::OWN) {
            pipes.subscribe(pipe, prefix, true);
        }
        self.publishers.push(pipe);
        Ok(())
    }

    fn lost(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        self.publishers.retain(|known| *known != pipe);
        pipes.clear_outgoing(pipe);
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.publishers.retain(|known| *known != pipe);
        self.incoming.remove(pipe);
    }

    fn readable(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.activate(pipe);
    }

    /// XSUB: a message of one frame that begins with 1 or 0 is a subscription or its end; any
    /// other goes upstream to every publisher.
    fn send(&mut self, message: Message, pipes: &mut Pipes) -> Result<(), Refused> {
        if let Some(frame) = message.first().filter(|_| message.len() == 1)
            && let Some((change @ (0 | 1), prefix)) = frame.split_first()
        {
            self.subscribe(Bytes::copy_from_slice(prefix), *change == 1, pipes);
            return Ok(());
        }
        for pipe in &self.publishers {
            if !pipes.try_write(*pipe, &message) {
                pipes.drops.no_room += 1;
            }
        }
        Ok(())
    }

    fn recv(&mut self, pipes: &mut Pipes) -> Result<Option<Message>, WrongTurn> {
        while let Some((_, message)) = self.incoming.recv(pipes) {
            if !self.filter || matches(&self.wanted, &message) {
                return Ok(Some(message));
            }
            pipes.drops.not_subscribed += 1;
        }
        Ok(None)
    }

    /// XSUB, always: a publisher without room loses the message. SUB has nothing to send.
    fn can_send(&mut self, _: &Pipes) -> bool {
        !self.filter
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        let (filter, wanted) = (self.filter, &self.wanted);
        self.incoming
            .has_message(pipes, |_, message| !filter || matches(wanted, message))
    }

    fn subscribe(&mut self, prefix: Bytes, subscribe: bool, pipes: &mut Pipes) {
        let change = if subscribe {
            self.wanted.add(PipeId::OWN, &prefix)
        } else {
            self.wanted.remove(PipeId::OWN, &prefix)
        };
        if change == Change::ForAll {
            for pipe in &self.publishers {
                pipes.subscribe(*pipe, &prefix, subscribe);
            }
        }
    }
}
