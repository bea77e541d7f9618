//! What the driver is told, in order: messages by the batch.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::frame::Frame;
use crate::message::Message;
use crate::peer::Peer;
use crate::zap::ZapRequest;

/// What the driver has to act on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Ask the policy, then call [`Engine::handle_verdict`](super::Engine::handle_verdict).
    Authenticate(ZapRequest),
    /// The handshake is done: messages may flow.
    Ready(Arc<Peer>),
    /// Whole messages, at least one, in the order of their coming. Emptied, the queue may go back
    /// to [`Engine::reuse`](super::Engine::reuse).
    Messages(VecDeque<Message>),
    /// The peer subscribes to a prefix (publishers only).
    Subscribe(Bytes),
    /// The peer has closed its side on purpose, and all that it sent has come: the connection is
    /// over.
    End,
    /// The peer cancels one subscription to a prefix (publishers only).
    Cancel(Bytes),
}

/// How many events and messages may wait before parsing stops: an empty message takes two octets
/// to send, and what is told of it forty times as many.
pub(super) const MAX_EVENTS: usize = 1024;

/// The events that wait.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Those before `messages`.
    earlier: VecDeque<Event>,
    /// The batch that the next message joins.
    messages: VecDeque<Message>,
    /// Memory for the next batch.
    spare: VecDeque<Message>,
    waiting: usize,
}

impl Events {
    pub(super) const fn is_full(&self) -> bool {
        self.waiting >= MAX_EVENTS
    }

    pub(super) fn push(&mut self, event: Event) {
        if let Some(messages) = self.take_messages() {
            self.earlier.push_back(Event::Messages(messages));
        }
        self.earlier.push_back(event);
        self.waiting += 1;
    }

    pub(super) fn push_message(&mut self, message: Message) {
        self.messages.push_back(message);
        self.waiting += 1;
    }

    /// Adds a message of one small frame; whether it is small enough.
    pub(super) fn push_small(&mut self, octets: &[u8]) -> bool {
        if octets.len() > Frame::INLINE {
            return false;
        }
        self.messages.push_back(Message::new());
        if let Some(message) = self.messages.back_mut() {
            message.set_small(octets);
        }
        self.waiting += 1;
        true
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.earlier.pop_front();
        let event = event.or_else(|| self.take_messages().map(Event::Messages))?;
        self.waiting -= match &event {
            Event::Messages(messages) => messages.len(),
            _ => 1,
        };
        Some(event)
    }

    fn take_messages(&mut self) -> Option<VecDeque<Message>> {
        if self.messages.is_empty() {
            return None;
        }
        let next = std::mem::take(&mut self.spare);
        Some(std::mem::replace(&mut self.messages, next))
    }

    /// Keeps the memory of a batch that was taken, if it is more than there is.
    pub(super) fn reuse(&mut self, mut spent: VecDeque<Message>) {
        spent.clear();
        if self.messages.capacity() == 0 {
            self.messages = spent;
        } else if self.spare.capacity() < spent.capacity() {
            self.spare = spent;
        }
    }

    /// Gives memory back: nothing comes for now.
    pub(super) fn rest(&mut self) {
        if self.waiting == 0 {
            *self = Self::default();
        }
    }

    #[cfg(test)]
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many events and messages there is memory for.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.earlier.capacity() + self.messages.capacity() + self.spare.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_subscriptions_keep_their_order_and_are_counted() {
        let mut events = Events::default();
        events.push_message("a".into());
        events.push_message("b".into());
        events.push(Event::Subscribe(Bytes::from("s")));
        events.push(Event::Cancel(Bytes::from("s")));
        events.push_message("c".into());
        assert_eq!(events.waiting, 5);
        let mut told = Vec::new();
        while let Some(event) = events.pop() {
            told.push(match event {
                Event::Messages(messages) => format!("{} {}", messages.len(), events.waiting),
                Event::Subscribe(_) => "subscribe".to_owned(),
                _ => "cancel".to_owned(),
            });
        }
        assert_eq!(told, ["2 3", "subscribe", "cancel", "1 0"]);
    }

    #[test]
    fn the_memory_of_a_batch_is_used_again() {
        let mut events = Events::default();
        for _ in 0..3 {
            (0..100).for_each(|_| events.push_message("x".into()));
            let Some(Event::Messages(messages)) = events.pop() else {
                panic!("no messages");
            };
            assert_eq!(messages.len(), 100);
            events.reuse(messages);
            assert!(events.messages.is_empty() && events.messages.capacity() >= 100);
        }
        for _ in 0..MAX_EVENTS {
            assert!(!events.is_full());
            events.push_message("x".into());
        }
        assert!(events.is_full());
    }
}
