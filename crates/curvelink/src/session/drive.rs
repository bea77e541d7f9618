//! The steps of a session's turn.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use curvelink_proto::{Action, Event, LinkEventKind, Message, Peer, ProtocolError, Stage};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::slots::Slot;
use super::warrant::Warrant;
use super::{LinkEnd, Session};
use crate::pattern::topic;
use crate::sync::lock;
use crate::zap;

/// Most chunks of one write.
const SLICES: usize = 64;

/// After this time without a message, a link gives the memory back that it had for them.
const QUIET: Duration = Duration::from_secs(1);

/// Whether a step has more to do at once, or has registered a waker for what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Parked,
    More,
}

impl Progress {
    pub(super) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Parked, Self::Parked) => Self::Parked,
            _ => Self::More,
        }
    }
}

type Step = Result<Progress, LinkEnd>;

impl From<ProtocolError> for LinkEnd {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<io::Error> for LinkEnd {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl Session {
    pub(super) fn drive_admission(&mut self, cx: &mut Context<'_>) -> Step {
        let Some(admission) = &mut self.admission else {
            return Ok(Progress::Parked);
        };
        let Poll::Ready(reply) = admission.as_mut().poll(cx) else {
            return Ok(Progress::Parked);
        };
        self.admission = None;
        let reply = self.note_answer(reply);
        let result = self.engine.handle_verdict(reply, Instant::now());
        self.take_events()?;
        result?;
        Ok(Progress::More)
    }

    pub(super) fn drive_read(&mut self, cx: &mut Context<'_>) -> Step {
        // While the socket has no room, or the peer is ahead of its rate, the peer's octets stay in the kernel, and then with it.
        if !self.engine.wants_input() || !self.inbox.is_empty() {
            return Ok(Progress::Parked);
        }
        if !self.engine.holds_input() {
            let read = pin!(self.stream.read_buf(self.engine.read_buf())).poll(cx);
            match read {
                Poll::Pending => return Ok(Progress::Parked),
                Poll::Ready(Err(_) | Ok(0)) => return Err(self.peer_closed()),
                Poll::Ready(Ok(octets)) => self.read_now += octets,
            }
        }
        if self.peer.is_none() && self.engine.has_costly_step() {
            return Err(LinkEnd::Work);
        }
        let result = self.engine.handle_input(Instant::now());
        self.heed(result)?;
        Ok(Progress::More)
    }

    /// Takes what came of the peer's octets.
    pub(super) fn heed(&mut self, result: Result<(), ProtocolError>) -> Result<(), LinkEnd> {
        self.take_events()?;
        result?;
        if self.slot.is_none() || self.engine.stage() == Stage::Greeting {
            return Ok(());
        }
        self.keep_slot()
    }

    /// The greeting is there: the connection need not give way any more, unless it was told to.
    pub(super) fn keep_slot(&mut self) -> Result<(), LinkEnd> {
        let keeps = self.slot.as_mut().is_none_or(Slot::greeted);
        keeps.then_some(()).ok_or(LinkEnd::GaveWay)
    }

    fn peer_closed(&mut self) -> LinkEnd {
        self.engine
            .handle_close()
            .map_or(LinkEnd::Gone, LinkEnd::Protocol)
    }

    pub(super) fn take_events(&mut self) -> Result<(), LinkEnd> {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Authenticate(request) => {
                    let asked = self.core.shared.policy.changes();
                    self.warrant = Some(Warrant::new(&request, asked, Instant::now()));
                    self.admission = Some(zap::authenticate(self.core.clone(), request));
                }
                Event::Ready(peer) => self.welcome(peer)?,
                Event::Messages(messages) => self.take_messages(messages),
                Event::Subscribe(prefix) => self.take_subscription(true, &prefix)?,
                Event::End => return Err(LinkEnd::Gone),
                Event::Cancel(prefix) => self.take_subscription(false, &prefix)?,
                _ => {}
            }
        }
        match self.engine.take_unwanted() {
            0 => {}
            messages => self.core.unread(messages),
        }
        Ok(())
    }

    fn welcome(&mut self, peer: Arc<Peer>) -> Result<(), LinkEnd> {
        lock(&self.core.book).end_handshake(&self.queues.outgoing);
        let pipe = self
            .core
            .ready(self.pipe, &self.queues, &peer)
            .map_err(LinkEnd::Pattern)?;
        self.pipe = Some(pipe);
        self.slot = None;
        self.peer = Some(peer.clone());
        self.set_rate(peer.rights.rate);
        self.emit(LinkEventKind::HandshakeSucceeded(peer));
        self.review_if_stale()
    }

    fn take_messages(&mut self, mut messages: VecDeque<Message>) {
        self.received += messages.len() as u64;
        self.keep_allowed(&mut messages);
        if self.inbox.is_empty() {
            std::mem::swap(&mut self.inbox, &mut messages);
        } else {
            self.inbox.append(&mut messages);
        }
        self.engine.reuse(messages);
    }

    /// Drops the messages whose topic the peer may not publish.
    fn keep_allowed(&mut self, messages: &mut VecDeque<Message>) {
        let Some(peer) = &self.peer else {
            messages.clear();
            return;
        };
        let Some(topics) = self.core.limits(peer, Action::Publish) else {
            return;
        };
        let mut told = Vec::new();
        messages.retain(|message| {
            let topic = topic(message);
            let is_allowed = topics.contain(topic);
            if !is_allowed {
                self.core.count_denied();
                told.extend(self.denials.count(Action::Publish, peer, topic));
            }
            is_allowed
        });
        told.into_iter().for_each(|denied| self.emit(denied));
    }

    fn take_subscription(&mut self, subscribe: bool, prefix: &Bytes) -> Result<(), LinkEnd> {
        let (Some(peer), Some(pipe)) = (&self.peer, self.pipe) else {
            return Ok(());
        };
        if !self.core.allows(peer, Action::Subscribe, prefix) {
            self.core.count_denied();
            let denied = self.denials.count(Action::Subscribe, peer, prefix);
            denied.into_iter().for_each(|denied| self.emit(denied));
            return Ok(());
        }
        // An XPUB receives both: what the peer sent before comes before, if need be on credit.
        self.pay(self.inbox.len(), VecDeque::new());
        if self.queues.incoming.push_rest(&mut self.inbox) {
            self.core.readable(pipe);
        }
        self.core
            .subscription(pipe, subscribe, prefix)
            .map_err(LinkEnd::Pattern)
    }

    pub(super) fn drive_inbox(&mut self, cx: &mut Context<'_>) -> Step {
        let Some(pipe) = self.pipe.filter(|_| !self.inbox.is_empty()) else {
            return Ok(Progress::Parked);
        };
        let held = self.hold_back();
        let offered = self.inbox.len();
        if offered > 0 && self.queues.incoming.push_batch(&mut self.inbox, cx.waker()) {
            self.core.readable(pipe);
        }
        self.pay(offered - self.inbox.len(), held);
        // With room for all of it, reading goes on; without, the queue has our waker, and the timer
        // knows when the peer's rate allows more.
        Ok(if self.inbox.is_empty() {
            Progress::More
        } else {
            Progress::Parked
        })
    }

    pub(super) fn drive_pipe(&mut self, cx: &mut Context<'_>) -> Step {
        let taken = self
            .queues
            .outgoing
            .poll_take(self.engine.backlog_room(), cx);
        self.closing = taken.closing;
        if let Some(order) = taken.order {
            self.obey(order)?;
        }
        // Beyond the linger time not one message more goes out.
        if taken.closing.is_some_and(|end| Instant::now() >= end) {
            return Err(LinkEnd::Closed);
        }
        let more = taken.backlog.is_some() || taken.order.is_some();
        if let Some(backlog) = taken.backlog {
            self.engine.send(backlog)?;
        }
        // After an order, steps that were parked may have something to do.
        Ok(if more {
            Progress::More
        } else {
            Progress::Parked
        })
    }

    pub(super) fn drive_write(&mut self, cx: &mut Context<'_>) -> Step {
        if self.deaf || !self.engine.wants_output() {
            return Ok(Progress::Parked);
        }
        match self.poll_flush(cx) {
            Poll::Pending => Ok(Progress::Parked),
            Poll::Ready(Ok(())) => Ok(Progress::More),
            // The peer takes no more; what it had sent before may still be there to be read.
            Poll::Ready(Err(_)) => {
                self.deaf = true;
                Ok(Progress::Parked)
            }
        }
    }

    /// Writes what the engine has; ready when nothing is left.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.engine.wants_output() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let shown = self.engine.poll_transmit(&mut slices);
            let write = Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..shown]);
            let octets = ready!(write)?;
            if octets == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let written = self.engine.advance_transmit(octets);
            self.sent += written.messages as u64;
            if written.messages > 0
                && self.queues.outgoing.written(written)
                && let Some(pipe) = self.pipe
            {
                self.core.writable(pipe);
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn drive_timer(&mut self, cx: &mut Context<'_>) -> Step {
        // While we do not read, silence is not the peer's.
        let reads = self.inbox.is_empty();
        let timeout = self.engine.poll_timeout().filter(|_| reads);
        let quiet = self.quiet();
        let rate = self.rate_deadline();
        let deadlines = [timeout, self.closing, quiet, self.look(), rate];
        let deadline = deadlines.into_iter().flatten().min();
        let Poll::Ready(now) = self.timer.poll(deadline, cx) else {
            return Ok(Progress::Parked);
        };
        if self.closing.is_some_and(|deadline| now >= deadline) {
            return Err(LinkEnd::Closed);
        }
        if quiet.is_some_and(|quiet| now >= quiet) {
            self.rest();
        }
        if timeout.is_some_and(|timeout| now >= timeout) {
            self.engine.handle_timeout(now)?;
        }
        self.check_term(now)?;
        self.check_rate(now)?;
        Ok(Progress::More)
    }

    /// When the link will have been quiet for long enough to give its memory back, if it has any.
    fn quiet(&mut self) -> Option<Instant> {
        let moved = (self.received, self.sent);
        if moved != self.moved {
            self.moved = moved;
            self.rests = Instant::now().checked_add(QUIET);
        }
        self.rests
    }

    fn rest(&mut self) {
        self.rests = None;
        self.engine.rest();
        if self.inbox.is_empty() {
            self.inbox = VecDeque::new();
        }
        if let Some(pipe) = self.pipe {
            self.core.rest(pipe);
        }
    }
}
