//! What an XPUB's application has not received yet.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use curvelink_proto::{Message, Peer};

use super::is_from;
use crate::pipe::PipeId;

/// Most subscriptions and messages that wait.
const MAX_PENDING: usize = 65_536;

/// Subscriptions and upstream messages of all peers in the order of their coming (R29-23): were
/// each peer's read in turn, one's cancel could overtake another's subscription of the same prefix.
#[derive(Debug)]
pub(super) struct Pending {
    queue: VecDeque<(Option<PipeId>, Message)>,
    octets: usize,
    max_octets: usize,
}

impl Pending {
    pub(super) const fn new(max_octets: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            octets: 0,
            max_octets,
        }
    }

    /// Adds a subscription, or its end, in the form that applications receive, with whose it is;
    /// `subscriber` is still there. Whether there was room.
    pub(super) fn show(
        &mut self,
        subscriber: Option<PipeId>,
        subscribe: bool,
        prefix: &[u8],
        peer: Option<Arc<Peer>>,
    ) -> bool {
        let mut frame = BytesMut::with_capacity(1 + prefix.len());
        frame.put_u8(u8::from(subscribe));
        frame.put_slice(prefix);
        let mut message = Message::from(frame.freeze());
        message.set_peer(peer);
        self.enter(subscriber, message)
    }

    /// Adds a message; whether there was room.
    pub(super) fn push(&mut self, message: Message) -> bool {
        self.enter(None, message)
    }

    fn enter(&mut self, subscriber: Option<PipeId>, message: Message) -> bool {
        let room = self.queue.len() < MAX_PENDING && self.octets < self.max_octets;
        if room {
            self.octets += message.octets();
            self.queue.push_back((subscriber, message));
        }
        room
    }

    /// The next, and whose subscription it is.
    pub(super) fn pop(&mut self) -> Option<(Option<PipeId>, Message)> {
        let (subscriber, message) = self.queue.pop_front()?;
        self.octets -= message.octets();
        Some((subscriber, message))
    }

    /// Forgets the messages of a peer; how many. Its subscriptions stay: whoever passes them on
    /// hears of their end next, and must have heard of them.
    pub(super) fn forget_messages(&mut self, peer: &Peer) -> usize {
        let before = self.queue.len();
        self.queue.retain(|(subscriber, message)| {
            let goes = subscriber.is_none() && is_from(message, peer);
            self.octets -= if goes { message.octets() } else { 0 };
            !goes
        });
        before - self.queue.len()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_in_number_and_in_octets() {
        let mut pending = Pending::new(1000);
        assert!(pending.push(vec![0; 5000].into()), "one large one passes");
        assert!(!pending.show(None, true, b"", None));
        assert!(pending.pop().is_some() && pending.pop().is_none());
        assert!((0..MAX_PENDING).all(|_| pending.push("".into())));
        assert!(!pending.push("".into()));
        assert!(pending.pop().is_some() && pending.push("".into()));
    }
}
