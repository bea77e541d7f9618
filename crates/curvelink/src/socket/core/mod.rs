//! The heart of a socket: its pattern and its pipes under one lock.

mod effect;
mod inproc;
mod links;
mod readiness;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use curvelink_proto::{
    Action, EngineConfig, EventId, LinkEvent, LinkEventKind, Message, Peer, PeerAddress, Reason,
    SecurityEvent, SocketType, Topics,
};

pub(crate) use self::effect::Effect;
pub(crate) use self::links::Queues;
pub(crate) use self::readiness::Closed;
use crate::context::Shared;
use crate::error::{ConnectError, RecvError, SendError, SubscribePeerError};
use crate::monitor::Monitors;
use crate::options::Options;
use crate::pattern::{Pattern, Refused, pattern};
use crate::pipe::{LinkStatus, Origin, PipeId, Pipes, Statistics};
use crate::socket::endpoints::Book;
use crate::socket::waiters::{Interest, Waiters};
use crate::sync::lock;

/// What sockets, sessions and inproc peers share of one socket.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) kind: SocketType,
    pub(crate) options: Options,
    pub(crate) engine: Arc<EngineConfig>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) monitors: Monitors,
    pub(crate) book: Mutex<Book>,
    refused: AtomicU64,
    denied: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pattern: Box<dyn Pattern>,
    pipes: Pipes,
    waiters: Waiters,
    /// Messages that were received and given back: they are received first.
    returned: VecDeque<Message>,
    /// Where one message is received, when it is only one; kept for its memory.
    one: Vec<Message>,
    kind: SocketType,
    closed: bool,
}

/// What came of an attempt to send at once. A message that was not sent is as it was.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sent {
    Yes,
    NotNow,
    Never(SendError),
}

impl Core {
    pub(crate) fn new(kind: SocketType, options: Options, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new_cyclic(|owner: &Weak<Self>| Self {
            kind,
            engine: Arc::new(options.engine_config(kind)),
            state: Mutex::new(State {
                pattern: pattern(kind, &options),
                pipes: Pipes::new(owner.clone(), &options),
                waiters: Waiters::default(),
                returned: VecDeque::new(),
                one: Vec::new(),
                kind,
                closed: false,
            }),
            options,
            shared,
            monitors: Monitors::default(),
            book: Mutex::default(),
            refused: AtomicU64::new(0),
            denied: AtomicU64::new(0),
        })
    }

    /// Runs `act` under the lock, then what it caused.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        let result = act(&mut state);
        if state.pipes.is_quiet() {
            return result;
        }
        state.reap();
        let effects = state.pipes.take_effects();
        drop(state);
        effects.into_iter().for_each(Effect::run);
        result
    }

    pub(crate) fn try_send(&self, message: &mut Message) -> Sent {
        self.with(|state| state.send(message))
    }

    /// Sends the message, which stays as it is while there is no room.
    pub(crate) fn poll_send(
        &self,
        message: &mut Message,
        waiter: &mut Option<u64>,
        cx: &Context<'_>,
    ) -> Poll<Result<(), SendError>> {
        self.with(|state| match state.send(message) {
            Sent::Yes => Poll::Ready(Ok(())),
            Sent::Never(error) => Poll::Ready(Err(error)),
            Sent::NotNow => {
                state.waiters.register(waiter, Interest::Room, cx);
                Poll::Pending
            }
        })
    }

    pub(crate) fn try_recv(&self) -> Result<Option<Message>, RecvError> {
        self.with(State::recv)
    }

    pub(crate) fn poll_recv(
        &self,
        waiter: &mut Option<u64>,
        cx: &Context<'_>,
    ) -> Poll<Result<Message, RecvError>> {
        self.with(|state| match state.recv() {
            Ok(Some(message)) => Poll::Ready(Ok(message)),
            Err(error) => Poll::Ready(Err(error)),
            Ok(None) => {
                state.waiters.register(waiter, Interest::Message, cx);
                Poll::Pending
            }
        })
    }

    pub(crate) fn poll_subscribers(
        &self,
        topic: &[u8],
        count: usize,
        waiter: &mut Option<u64>,
        cx: &Context<'_>,
    ) -> Poll<()> {
        self.with(|state| {
            if state.closed || state.pattern.subscribers(topic, &state.pipes).len() >= count {
                return Poll::Ready(());
            }
            state.waiters.register(waiter, Interest::Subscribers, cx);
            Poll::Pending
        })
    }

    pub(crate) fn forget_waiter(&self, waiter: Option<u64>) {
        if let Some(waiter) = waiter {
            lock(&self.state).waiters.forget(waiter);
        }
    }

    pub(crate) fn subscribe(&self, prefix: Bytes, subscribe: bool) {
        self.with(|state| state.pattern.subscribe(prefix, subscribe, &mut state.pipes));
    }

    pub(crate) fn subscribe_peer(
        &self,
        peer: &Arc<Peer>,
        prefix: &Bytes,
        subscribe: bool,
    ) -> Result<(), SubscribePeerError> {
        self.with(|state| {
            state
                .pattern
                .subscribe_peer(peer, prefix, subscribe, &state.pipes)?;
            state.wake(Interest::Subscribers);
            state.wake(Interest::Room);
            Ok(())
        })
    }

    pub(crate) fn topics(&self) -> usize {
        lock(&self.state).pattern.topics()
    }

    pub(crate) fn subscribers(&self, topic: &[u8]) -> Vec<Arc<Peer>> {
        let state = lock(&self.state);
        let pipes = state.pattern.subscribers(topic, &state.pipes);
        pipes
            .into_iter()
            .filter_map(|pipe| state.pipes.peer(pipe).cloned())
            .collect()
    }

    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        lock(&self.state).pipes.peers()
    }

    pub(crate) fn links_now(&self) -> Vec<LinkStatus> {
        let state = lock(&self.state);
        let pattern = &state.pattern;
        state.pipes.status(|pipe| pattern.subscriptions_of(pipe))
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.statistics().dropped.total()
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let state = lock(&self.state);
        let mut statistics = state.pipes.statistics();
        statistics.queued_from_peers += state.pattern.waiting() + state.returned.len();
        statistics.refused = self.refused.load(Ordering::Relaxed);
        statistics.denied = self.denied.load(Ordering::Relaxed);
        statistics
    }

    /// Ends every link: what waits to be written has until `deadline`.
    pub(crate) fn close(&self, deadline: Instant) {
        let endpoints = lock(&self.book).close();
        for (endpoint, work) in endpoints {
            work.stop(self, &endpoint, deadline);
        }
        self.with(|state| {
            state.closed = true;
            for pipe in state.pipes.ids() {
                match state.pipes.outgoing(pipe) {
                    Some(outgoing) => outgoing.close(deadline),
                    None => state.detach(pipe),
                }
            }
            state.wake_all();
        });
    }

    pub(crate) fn emit(
        &self,
        endpoint: &Arc<str>,
        address: Option<PeerAddress>,
        kind: LinkEventKind,
    ) {
        self.tell(&LinkEvent::new(endpoint.clone(), address, kind));
    }

    /// Tells the monitors, the operator what is in the catalogue, and the log every detail.
    pub(crate) fn tell(&self, event: &LinkEvent) {
        tracing::debug!(target: "curvelink::link", id = event.kind.id().map(EventId::code), "{event}");
        if let LinkEventKind::Refused(_) = event.kind {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(mut told) = SecurityEvent::of_link(event, SystemTime::now()) {
            let security = &self.options.security;
            if event.address.is_some() {
                told.mechanism = told.mechanism.or_else(|| Some(security.mechanism.name()));
                told.domain = Some(security.zap_domain.clone()).filter(|domain| !domain.is_empty());
            }
            self.shared.record(told);
        }
        self.monitors.emit(event);
    }

    /// Counts something that a peer tried outside its rights.
    pub(crate) fn count_denied(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a peer may do this with a topic.
    pub(crate) fn allows(&self, peer: &Peer, action: Action, topic: &[u8]) -> bool {
        let limits = self.limits(peer, action);
        limits.is_none_or(|topics| topics.contain(topic))
    }

    /// The topics that a peer is limited to; `None` if it is not, or this socket's pattern has no
    /// topics.
    pub(crate) fn limits<'a>(&self, peer: &'a Peer, action: Action) -> Option<&'a Topics> {
        let topics = match action {
            Action::Publish => &peer.rights.publish,
            _ => &peer.rights.subscribe,
        };
        let topical = matches!(
            self.kind,
            SocketType::Pub
                | SocketType::Xpub
                | SocketType::Sub
                | SocketType::Xsub
                | SocketType::Pull
                | SocketType::Pair
        );
        Some(topics).filter(|topics| topical && **topics != Topics::All)
    }
}

impl State {
    fn send(&mut self, message: &mut Message) -> Sent {
        if self.closed {
            return Sent::Never(SendError::Closed);
        }
        if !self.kind.sends() {
            return Sent::Never(SendError::NotSupported);
        }
        if message.is_empty() {
            return Sent::Never(SendError::Empty);
        }
        match self.pattern.send(message, &mut self.pipes) {
            Ok(()) => {
                self.pass_turn(Interest::Message);
                Sent::Yes
            }
            Err(Refused::Full) => Sent::NotNow,
            Err(Refused::WrongTurn) => Sent::Never(SendError::WrongTurn),
            Err(Refused::Unroutable) => Sent::Never(SendError::Unroutable),
        }
    }

    fn recv(&mut self) -> Result<Option<Message>, RecvError> {
        let mut one = std::mem::take(&mut self.one);
        let received = self.recv_some(&mut one, 1);
        let message = one.pop();
        self.one = one;
        received.map(|_| message)
    }

    /// Appends messages, at least one if there are any and at most `max`, which is 1 or more; how
    /// many.
    fn recv_some(&mut self, into: &mut Vec<Message>, max: usize) -> Result<usize, RecvError> {
        if self.closed {
            return Err(RecvError::Closed);
        }
        if !self.kind.receives() {
            return Err(RecvError::NotSupported);
        }
        if let Some(message) = self.returned.pop_front() {
            into.push(message);
            return Ok(1);
        }
        let received = self.pattern.recv(into, max, &mut self.pipes);
        if let Ok(messages @ 1..) = received {
            let fresh = into.iter().rev().take(messages);
            self.pipes
                .received
                .count(messages, fresh.map(Message::octets).sum());
            self.pass_turn(Interest::Room);
        }
        received.map_err(|_| RecvError::WrongTurn)
    }

    /// Tells the pattern of a pipe that connects.
    fn attach(&mut self, pipe: PipeId, id: Option<&Bytes>) -> Result<PipeId, ConnectError> {
        self.pattern.attach(pipe, &mut self.pipes);
        if id.is_some_and(|id| !self.pattern.choose_id(pipe, id)) {
            self.detach(pipe);
            return Err(ConnectError::RoutingId);
        }
        self.wake(Interest::Room);
        Ok(pipe)
    }

    fn welcome(&mut self, pipe: PipeId, peer: &Arc<Peer>) -> Result<(), Reason> {
        self.pipes.set_peer(pipe, Some(peer.clone()));
        // Over inproc, who connects has greeted when it did.
        if self.pipes.origin(pipe) != Some(Origin::Joined) {
            self.pipes.greet(pipe);
        }
        let welcome = self.pattern.ready(pipe, peer, &mut self.pipes);
        if welcome.is_err() {
            self.pipes.set_peer(pipe, None);
        }
        // A STREAM tells its application.
        self.wake(Interest::Message);
        self.wake(Interest::Room);
        self.wake(Interest::Subscribers);
        welcome
    }

    /// The link is gone for good; the pipe stays while it has messages to receive.
    fn end(&mut self, pipe: PipeId) {
        if self.pipes.end(pipe) {
            self.detach(pipe);
        }
    }

    fn detach(&mut self, pipe: PipeId) {
        self.pattern.detach(pipe, &mut self.pipes);
        self.pipes.remove(pipe);
    }

    /// Frees the pipes that came to their end while they were read.
    fn reap(&mut self) {
        for pipe in self.pipes.take_ended() {
            self.detach(pipe);
        }
    }

    fn wake(&mut self, interest: Interest) {
        for waker in self.waiters.take(interest) {
            self.pipes.push_effect(Effect::Wake(waker));
        }
    }

    fn wake_all(&mut self) {
        self.wake(Interest::Message);
        self.wake(Interest::Room);
        self.wake(Interest::Subscribers);
    }
}
