//! One direction of a proxy.

use std::task::{Context, Poll, ready};

use curvelink_proto::Message;

use super::ProxyError;
use super::handle::Shared;
use super::statistics::{ProxyCount, Towards};
use crate::error::{RecvError, SendError};
use crate::socket::AnySocket;
use crate::socket::waiters::Interest;

/// Most messages that are moved at once, and that wait here at most.
const BURST: usize = 64;

#[derive(Debug)]
pub(super) struct Lane {
    from: AnySocket,
    to: AnySocket,
    towards: Towards,
    /// Taken from one and not yet given to the other.
    held: Vec<Message>,
    /// The places among the sockets' waiters.
    reads: Option<u64>,
    writes: Option<u64>,
}

impl Lane {
    pub(super) fn new(from: &AnySocket, to: &AnySocket, towards: Towards) -> Self {
        Self {
            from: from.clone(),
            to: to.clone(),
            towards,
            held: Vec::new(),
            reads: None,
            writes: None,
        }
    }

    /// Moves some messages; pending if there are none, or no room.
    pub(super) fn poll_move(
        &mut self,
        capture: Option<&AnySocket>,
        shared: &Shared,
        cx: &Context<'_>,
    ) -> Poll<Result<(), ProxyError>> {
        if self.held.is_empty() {
            ready!(self.poll_room(cx))?;
            ready!(self.poll_take(cx))?;
        }
        let copies = capture.map(|capture| (capture, self.held.clone()));
        let (before, waiting) = (self.held.len(), ProxyCount::of(&self.held));
        let mut lost = ProxyCount::default();
        let result = self.poll_give(&mut lost, cx);
        let taken = waiting - ProxyCount::of(&self.held);
        let not_captured = copies.map_or(0, |(capture, mut copies)| {
            copies.truncate(before - self.held.len());
            not_captured(capture, copies)
        });
        shared.count(|statistics| {
            let (from, to) = statistics.of(self.towards);
            *from += taken;
            *to += taken - lost;
            statistics.undeliverable += lost.messages;
            statistics.not_captured += not_captured;
        });
        result
    }

    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<Result<(), ProxyError>> {
        let room = self
            .to
            .core()
            .poll_ready(Interest::Room, &mut self.writes, cx);
        room.map_err(|_| ProxyError::Closed)
    }

    fn poll_take(&mut self, cx: &Context<'_>) -> Poll<Result<(), ProxyError>> {
        let from = self.from.core();
        // Not `recv` at once, which on a REQ or a REP may be an error where it is only too early.
        let there = from.poll_ready(Interest::Message, &mut self.reads, cx);
        ready!(there).map_err(|_| ProxyError::Closed)?;
        match from.try_recv_batch(&mut self.held, BURST) {
            Err(RecvError::Closed) => Poll::Ready(Err(ProxyError::Closed)),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Gives what is held to the other side; pending while that has no room for all.
    fn poll_give(
        &mut self,
        lost: &mut ProxyCount,
        cx: &Context<'_>,
    ) -> Poll<Result<(), ProxyError>> {
        loop {
            let to = self.to.core();
            let given = to.poll_send_batch(&mut self.held, &mut self.writes, cx);
            match ready!(given) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(SendError::Closed) => return Poll::Ready(Err(ProxyError::Closed)),
                Err(SendError::WrongTurn) => ready!(self.poll_room(cx))?,
                // Nobody will ever take it.
                Err(_) => *lost += ProxyCount::of(&[self.held.remove(0)]),
            }
        }
    }

    /// Waits for nothing and holds nothing any more.
    pub(super) fn stop(&mut self) {
        self.from.core().forget_waiter(self.reads.take());
        self.to.core().forget_waiter(self.writes.take());
        if !self.held.is_empty() {
            self.from.core().give_back(self.held.drain(..));
        }
    }
}

/// Sends copies; how many found no room.
fn not_captured(capture: &AnySocket, mut copies: Vec<Message>) -> u64 {
    while let Ok(1..) = capture.try_send_batch(&mut copies) {}
    copies.len() as u64
}
