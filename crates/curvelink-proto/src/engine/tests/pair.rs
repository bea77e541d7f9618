//! Two engines and what is between them: two wires, and a clock that stands until it is told to go.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::backlog::Backlog;
use crate::engine::config::EngineConfig;
use crate::engine::tests::wire::{Cut, Wire};
use crate::engine::{Engine, Event};
use crate::error::ProtocolError;
use crate::mechanism::testing::Seeded;
use crate::message::Message;
use crate::peer::{Peer, PeerAddress};
use crate::rights::Rights;
use crate::zap::{ZapReply, ZapRequest};

/// One engine, its wire to the other, its policy, and what became of it.
pub(super) struct Side {
    pub(super) engine: Engine,
    pub(super) out: Wire,
    pub(super) cut: Cut,
    /// What the policy answers; `None` leaves every question open.
    pub(super) verdict: Option<ZapReply>,
    pub(super) asked: Vec<ZapRequest>,
    pub(super) ready: Option<Arc<Peer>>,
    pub(super) messages: Vec<Message>,
    pub(super) subscriptions: Vec<(bool, Bytes)>,
    pub(super) error: Option<ProtocolError>,
    /// The peer has said that its stream ends.
    pub(super) ended: bool,
    /// All of it in words and in order, to compare two runs.
    pub(super) log: Vec<String>,
    /// Messages that were written whole.
    pub(super) written: usize,
    /// What has arrived and the engine does not want yet.
    inbox: VecDeque<u8>,
}

impl Side {
    pub(super) fn new(config: EngineConfig, seed: u8, now: Instant) -> Self {
        let address = PeerAddress::Tcp(([192, 0, 2, seed], 999).into());
        let entropy = Box::new(Seeded::new(seed));
        Self {
            engine: Engine::new(Arc::new(config), address, "tcp://*:1".into(), entropy, now),
            out: Wire::default(),
            cut: Cut::Whole,
            verdict: Some(ZapReply::admit("scanner", Rights::all())),
            asked: Vec::new(),
            ready: None,
            messages: Vec::new(),
            subscriptions: Vec::new(),
            error: None,
            ended: false,
            log: Vec::new(),
            written: 0,
            inbox: VecDeque::new(),
        }
    }

    /// Hands octets to the engine as a driver would: when it wants them, as many as its buffer has
    /// room for.
    pub(super) fn receive(&mut self, octets: &[u8], now: Instant) {
        self.inbox.extend(octets);
        while self.engine.wants_input() && !self.inbox.is_empty() {
            let buffer = self.engine.read_buf();
            let room = buffer.capacity() - buffer.len();
            assert!(
                room > 0,
                "a read that could take nothing would look like the end"
            );
            let read = self.cut.read().min(room).min(self.inbox.len());
            buffer.extend(self.inbox.drain(..read));
            self.parse(now);
        }
    }

    fn parse(&mut self, now: Instant) {
        let result = self.engine.handle_input(now);
        self.settle(result, now);
        while self.engine.wants_input() && self.engine.holds_input() {
            let result = self.engine.handle_input(now);
            self.settle(result, now);
        }
    }

    /// Gives the engine octets though it may not want them.
    pub(super) fn force(&mut self, octets: &[u8], now: Instant) {
        self.engine.read_buf().extend_from_slice(octets);
        self.parse(now);
    }

    pub(super) fn decide(&mut self, reply: ZapReply, now: Instant) {
        let result = self.engine.handle_verdict(reply, now);
        self.settle(result, now);
        self.receive(&[], now);
    }

    /// Ends the connection of this side's own accord; what it still says is [sent](Self::sent).
    pub(super) fn leave(&mut self) {
        self.engine.close();
        assert!(!self.engine.wants_input());
    }

    /// The other side has closed.
    pub(super) fn close(&mut self) {
        let result = self.engine.handle_close().map_or(Ok(()), Err);
        self.fail(result);
    }

    pub(super) fn send<M: Into<Message>>(&mut self, messages: impl IntoIterator<Item = M>) {
        let mut backlog = Backlog::new();
        for message in messages {
            backlog.push(&message.into());
        }
        let result = self.engine.send(backlog);
        self.fail(result);
    }

    pub(super) fn subscribe(&mut self, subscribe: bool, prefix: &[u8]) {
        let mut backlog = Backlog::new();
        backlog.push_subscription(prefix, subscribe);
        let result = self.engine.send(backlog);
        self.fail(result);
    }

    fn fail(&mut self, result: Result<(), ProtocolError>) {
        if let Err(error) = result {
            self.log.push(format!("error {error:?}"));
            assert!(!self.engine.wants_input(), "closed after {error:?}");
            self.error.get_or_insert(error);
        }
    }

    fn settle(&mut self, result: Result<(), ProtocolError>, now: Instant) {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Authenticate(request) => {
                    self.log.push(format!("asked {request:?}"));
                    self.asked.push(request);
                    if let Some(reply) = self.verdict.clone() {
                        let result = self.engine.handle_verdict(reply, now);
                        self.settle(result, now);
                    }
                }
                Event::Ready(peer) => {
                    self.log.push(format!("ready {peer:?}"));
                    assert!(self.ready.replace(peer).is_none(), "ready twice");
                }
                Event::Messages(messages) => {
                    for message in messages {
                        let frames: Vec<_> = message.iter().map(|frame| frame.to_vec()).collect();
                        self.log.push(format!("message {frames:?}"));
                        self.messages.push(message);
                    }
                }
                Event::Subscribe(prefix) => self.note_subscription(true, prefix),
                Event::Cancel(prefix) => self.note_subscription(false, prefix),
                Event::End => {
                    self.log.push("end".to_owned());
                    self.ended = true;
                }
            }
        }
        self.fail(result);
    }

    fn note_subscription(&mut self, subscribe: bool, prefix: Bytes) {
        self.log
            .push(format!("subscription {subscribe} {prefix:?}"));
        self.subscriptions.push((subscribe, prefix));
    }

    /// Writes what the engine shows, in steps as uneven as a socket's.
    fn transmit(&mut self) {
        while self.engine.wants_output() && self.out.room() > 0 {
            let mut slices = [IoSlice::new(&[]); 3];
            let shown = self.engine.poll_transmit(&mut slices);
            assert!(shown > 0, "output is announced and none is shown");
            let shown: Vec<u8> = slices[..shown]
                .iter()
                .flat_map(|slice| slice.to_vec())
                .collect();
            let step = shown.len().min(self.out.room()).min(60_000);
            self.out.write(&shown[..step]);
            self.written += self.engine.advance_transmit(step).messages;
        }
        self.out.closed = self.error.is_some() || (self.out.room() == 0);
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let result = self.engine.handle_timeout(now);
        self.settle(result, now);
    }

    /// Moves what this side has for the other; gives whether there was anything.
    fn speak(&mut self, to: &mut Self, now: Instant) -> bool {
        self.transmit();
        let octets = self.out.carry();
        to.receive(&octets, now);
        let ends = self.out.closed && to.engine.wants_input();
        if ends {
            to.close();
        }
        ends || !octets.is_empty()
    }

    /// Everything that went out so far, and afterwards counts as read.
    pub(super) fn sent(&mut self) -> Vec<u8> {
        self.transmit();
        mem::take(&mut self.out.under_way)
    }
}

/// Two sides.
pub(super) struct Pair {
    pub(super) client: Side,
    pub(super) server: Side,
    pub(super) now: Instant,
}

impl Pair {
    /// The random octets of both sides are the same in every run.
    pub(super) fn new(client: EngineConfig, server: EngineConfig) -> Self {
        let now = Instant::now();
        Self {
            client: Side::new(client, 1, now),
            server: Side::new(server, 2, now),
            now,
        }
    }

    pub(super) fn cut(mut self, cut: Cut) -> Self {
        self.client.cut = cut;
        self.server.cut = cut;
        self
    }

    /// Moves octets, verdicts and ends until nothing is left to do; no time passes.
    pub(super) fn drive(&mut self) {
        let Self {
            client,
            server,
            now,
        } = self;
        while client.speak(server, *now) | server.speak(client, *now) {}
    }

    /// Lets time pass; what is due is done when it is due.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.drive();
        while let Some(due) = self.due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.client.tick(self.now);
            self.server.tick(self.now);
            self.drive();
            assert!(
                self.due().is_none_or(|next| next > self.now),
                "time stands still"
            );
        }
        self.now = end;
    }

    fn due(&self) -> Option<Instant> {
        [&self.client, &self.server]
            .into_iter()
            .filter_map(|side| side.engine.poll_timeout())
            .min()
    }

    /// Whether messages can flow.
    pub(super) fn is_up(&self) -> bool {
        self.client.engine.peer().is_some() && self.server.engine.peer().is_some()
    }
}
