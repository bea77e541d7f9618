//! What frames mean to a socket, read a second time: what the engine tells is held against it.

use bytes::Bytes;
use curvelink_proto::{Command, Message, SocketType};

use super::side::{Seen, limits};

#[derive(Debug)]
pub(super) struct Meaning {
    kind: SocketType,
    /// Whether the sender has announced that it says when its stream ends.
    announced: bool,
    pub(super) end: bool,
    /// The message of which frames are still to come.
    partial: Vec<Vec<u8>>,
    messages: Vec<Vec<Vec<u8>>>,
    subscriptions: Vec<(bool, Bytes)>,
}

impl Meaning {
    /// Of what a socket of this type is sent.
    pub(super) const fn of(kind: SocketType, announced: bool) -> Self {
        Self {
            kind,
            announced,
            end: false,
            partial: Vec::new(),
            messages: Vec::new(),
            subscriptions: Vec::new(),
        }
    }

    pub(super) fn assert_seen(&self, seen: &Seen) {
        let octets = |message: &Message| -> Vec<_> { message.iter().map(|f| f.to_vec()).collect() };
        let messages: Vec<Vec<Vec<u8>>> = seen.messages.iter().map(octets).collect();
        assert_eq!(messages, self.messages);
        assert_eq!(seen.subscriptions, self.subscriptions);
        assert_eq!(seen.end, self.end);
    }

    /// Takes a command; `None` if it ends the connection.
    pub(super) fn command(&mut self, body: &[u8]) -> Option<()> {
        let command = Command::parse(body)?;
        if command.is("PING") {
            return (2..=18).contains(&command.body.len()).then_some(());
        }
        if self.announced && command.is("ENDOFSTREAM") {
            self.end = command.body.is_empty() && self.partial.is_empty();
            return self.end.then_some(());
        }
        if command.is("SUBSCRIBE") || command.is("CANCEL") {
            self.subscribe(command.is("SUBSCRIBE"), command.body)?;
        }
        Some(())
    }

    /// Takes a frame of a message; `None` if it ends the connection.
    pub(super) fn frame(&mut self, body: &[u8], more: bool) -> Option<()> {
        // Nobody receives on PUB and PUSH: of what is dropped in the end nothing is counted before.
        let kept = !more || self.kind.receives();
        let body = if kept { body.to_vec() } else { Vec::new() };
        self.partial.push(body);
        let octets: usize = self.partial.iter().map(Vec::len).sum();
        if octets > limits().message || self.partial.len() > limits().frames {
            return None;
        }
        if more {
            return Some(());
        }
        let message = std::mem::take(&mut self.partial);
        if let ([frame], true) = (&message[..], self.publishes())
            && let [subscribe @ 0..=1, prefix @ ..] = &frame[..]
        {
            return self.subscribe(*subscribe == 1, prefix);
        }
        if self.kind.receives() {
            self.messages.push(message);
        }
        Some(())
    }

    fn subscribe(&mut self, subscribe: bool, prefix: &[u8]) -> Option<()> {
        if prefix.len() > limits().topic {
            return None;
        }
        if self.publishes() {
            let prefix = Bytes::copy_from_slice(prefix);
            self.subscriptions.push((subscribe, prefix));
        }
        Some(())
    }

    const fn publishes(&self) -> bool {
        matches!(self.kind, SocketType::Pub | SocketType::Xpub)
    }
}
