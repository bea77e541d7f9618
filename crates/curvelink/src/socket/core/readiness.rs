//! Whether a socket could receive or send now, and doing so many times under one lock.

use std::task::{Context, Poll};

use curvelink_proto::{Message, SocketType};

use super::{Core, Sent, State};
use crate::error::{RecvError, SendError};
use crate::socket::waiters::Interest;

/// The socket is closed: nothing will be ready any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;

impl From<Closed> for RecvError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<Closed> for SendError {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl Core {
    /// Whether a message is there, or room for one; nothing is taken.
    pub(crate) fn is_ready(&self, interest: Interest) -> Result<bool, Closed> {
        self.with(|state| state.is_ready(interest))
    }

    pub(crate) fn poll_ready(
        &self,
        interest: Interest,
        waiter: &mut Option<u64>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        self.with(|state| match state.is_ready(interest) {
            Ok(true) => Poll::Ready(Ok(())),
            Err(closed) => Poll::Ready(Err(closed)),
            Ok(false) => {
                state.waiters.register(waiter, interest, cx);
                Poll::Pending
            }
        })
    }

    /// Receives up to `max` messages that are there; how many.
    pub(crate) fn try_recv_batch(
        &self,
        into: &mut Vec<Message>,
        max: usize,
    ) -> Result<usize, RecvError> {
        self.with(|state| state.recv_batch(into, max))
    }

    pub(crate) fn poll_recv_batch(
        &self,
        into: &mut Vec<Message>,
        max: usize,
        waiter: &mut Option<u64>,
        cx: &Context<'_>,
    ) -> Poll<Result<usize, RecvError>> {
        self.with(|state| match state.recv_batch(into, max) {
            Ok(0) if max > 0 => {
                state.waiters.register(waiter, Interest::Message, cx);
                Poll::Pending
            }
            received => Poll::Ready(received),
        })
    }

    /// Sends from the front of `messages` while there is room; how many. What was not sent stays,
    /// and with an error nothing was sent: it is about the first.
    pub(crate) fn try_send_batch(&self, messages: &mut Vec<Message>) -> Result<usize, SendError> {
        self.with(|state| state.send_batch(messages))
    }

    /// Ready once all are sent, or with an error about the first of those that stay.
    pub(crate) fn poll_send_batch(
        &self,
        messages: &mut Vec<Message>,
        waiter: &mut Option<u64>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        self.with(|state| {
            while !messages.is_empty() {
                if state.send_batch(messages)? == 0 {
                    state.waiters.register(waiter, Interest::Room, cx);
                    return Poll::Pending;
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Takes messages back that were received and could not be passed on: they are received again,
    /// before all others.
    pub(crate) fn give_back(&self, messages: impl DoubleEndedIterator<Item = Message>) {
        self.with(|state| {
            for message in messages.rev() {
                state.returned.push_front(message);
            }
            state.wake(Interest::Message);
        });
    }
}

impl State {
    fn is_ready(&mut self, interest: Interest) -> Result<bool, Closed> {
        if self.closed {
            return Err(Closed);
        }
        Ok(match interest {
            Interest::Room => self.pattern.can_send(&self.pipes),
            _ => !self.returned.is_empty() || self.pattern.can_recv(&mut self.pipes),
        })
    }

    fn recv_batch(&mut self, into: &mut Vec<Message>, max: usize) -> Result<usize, RecvError> {
        let mut received = 0;
        while received < max {
            match self.recv_some(into, max - received) {
                Ok(0) => break,
                Ok(more) => received += more,
                Err(error) if received == 0 => return Err(error),
                // Of a REQ or a REP it is the turn to send now.
                Err(_) => break,
            }
        }
        Ok(received)
    }

    fn send_batch(&mut self, messages: &mut Vec<Message>) -> Result<usize, SendError> {
        let mut sent = 0;
        for message in &mut *messages {
            match self.send(message) {
                Sent::Yes => sent += 1,
                Sent::Never(error) if sent == 0 => return Err(error),
                Sent::Never(_) | Sent::NotNow => break,
            }
        }
        messages.drain(..sent);
        Ok(sent)
    }

    /// After a send or a receive of a REQ or REP, whoever waits for the other may go on.
    pub(super) fn pass_turn(&mut self, to: Interest) {
        if matches!(self.kind, SocketType::Req | SocketType::Rep) {
            self.wake(to);
        }
    }
}
