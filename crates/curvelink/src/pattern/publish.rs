//! PUB and XPUB (RFC 29): each message to every peer that subscribed to a prefix of its topic.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use curvelink_proto::{Message, Peer, Reason};

use super::subscriptions::{Change, MAX_PREFIXES, Subscriptions};
use super::{Pattern, Refused, WrongTurn};
use crate::pipe::{PipeId, Pipes};

/// Most subscriptions and messages that wait for an XPUB's application.
const MAX_PENDING: usize = 65_536;

#[derive(Debug)]
pub(super) struct Publish {
    subscriptions: Subscriptions,
    /// XPUB: subscriptions and upstream messages that the application has not received.
    pending: Option<VecDeque<Message>>,
    /// The pipes of one message; kept for its memory.
    targets: Vec<PipeId>,
}

impl Publish {
    /// `shown`: the application receives subscriptions (XPUB).
    pub(super) fn new(shown: bool) -> Self {
        Self {
            subscriptions: Subscriptions::new(MAX_PREFIXES),
            pending: shown.then(VecDeque::new),
            targets: Vec::new(),
        }
    }

    fn show(&mut self, subscribe: bool, prefix: &[u8], peer: Option<Arc<Peer>>) -> bool {
        let Some(pending) = &mut self.pending else {
            return true;
        };
        if pending.len() >= MAX_PENDING {
            return false;
        }
        let mut frame = BytesMut::with_capacity(1 + prefix.len());
        frame.put_u8(u8::from(subscribe));
        frame.put_slice(prefix);
        let mut message = Message::from(frame.freeze());
        message.set_peer(peer);
        pending.push_back(message);
        true
    }

    fn forget(&mut self, pipe: PipeId) {
        for prefix in self.subscriptions.remove_pipe(pipe) {
            self.show(false, &prefix, None);
        }
    }
}

impl Pattern for Publish {
    /// Nobody has subscribed yet, so nothing waits.
    fn attach(&mut self, _: PipeId, _: &mut Pipes) {}

    fn ready(&mut self, _: PipeId, _: &Arc<Peer>, _: &mut Pipes) -> Result<(), Reason> {
        Ok(())
    }

    /// A peer that comes back subscribes again.
    fn lost(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.forget(pipe);
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.forget(pipe);
    }

    /// XPUB: upstream messages join the subscriptions in the order of their coming. Nobody receives
    /// on PUB: what an inproc peer sends there is dropped here, a stream's by its engine.
    fn readable(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        while let Some(message) = pipes.read(pipe) {
            match &mut self.pending {
                Some(pending) if pending.len() < MAX_PENDING => pending.push_back(message),
                Some(_) => pipes.drops.unread += 1,
                None => {}
            }
        }
    }

    fn send(&mut self, message: Message, pipes: &mut Pipes) -> Result<(), Refused> {
        let mut targets = std::mem::take(&mut self.targets);
        let topic = message.first().map(|frame| &frame[..]).unwrap_or_default();
        self.subscriptions
            .matching(topic, |pipe| targets.push(pipe));
        targets.sort_unstable();
        targets.dedup();
        for pipe in targets.drain(..) {
            // RFC 29, "PUB Socket Type": a peer without room loses the message, others do not wait.
            if !pipes.try_write(pipe, &message) {
                pipes.drops.no_room += 1;
            }
        }
        self.targets = targets;
        Ok(())
    }

    fn recv(&mut self, _: &mut Pipes) -> Result<Option<Message>, WrongTurn> {
        Ok(self.pending.as_mut().and_then(VecDeque::pop_front))
    }

    fn waiting(&self) -> usize {
        self.pending.as_ref().map_or(0, VecDeque::len)
    }

    /// Always: a peer without room loses the message.
    fn can_send(&mut self, _: &Pipes) -> bool {
        true
    }

    fn can_recv(&mut self, _: &mut Pipes) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| !pending.is_empty())
    }

    fn subscription(
        &mut self,
        pipe: PipeId,
        subscribe: bool,
        prefix: &Bytes,
        pipes: &mut Pipes,
    ) -> Result<(), Reason> {
        let change = if subscribe {
            self.subscriptions.add(pipe, prefix)
        } else {
            self.subscriptions.remove(pipe, prefix)
        };
        let peer = pipes.peer(pipe).cloned();
        match change {
            Change::ForAll if self.show(subscribe, prefix, peer) => Ok(()),
            Change::ForAll | Change::TooMany => Err(Reason::TooLarge),
            Change::ForOne | Change::Nothing => Ok(()),
        }
    }

    fn subscribers(&self, topic: &[u8]) -> Vec<PipeId> {
        let mut found = Vec::new();
        self.subscriptions.matching(topic, |pipe| found.push(pipe));
        found.sort_unstable();
        found.dedup();
        found
    }
}
