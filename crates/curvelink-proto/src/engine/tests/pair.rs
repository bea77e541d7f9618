//! Two engines and what is between them: a clock that stands until it is told to go, and a wire
//! that cuts, breaks and forges as it is told.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::backlog::Backlog;
use crate::engine::config::EngineConfig;
use crate::engine::{Engine, Event};
use crate::error::ProtocolError;
use crate::mechanism::testing::Seeded;
use crate::message::Message;
use crate::peer::{Peer, PeerAddress};
use crate::rights::Rights;
use crate::zap::{ZapReply, ZapRequest};

/// How octets arrive: what one read gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// All that is there.
    Whole,
    /// One octet at a time.
    Octets,
}

impl Cut {
    /// Behaviour must not depend on it, so each test of behaviour runs with both.
    pub(super) const BOTH: [Self; 2] = [Self::Whole, Self::Octets];

    const fn read(self) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Octets => 1,
        }
    }
}

/// What happens to a stretch of octets on the way.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// So many octets are lost.
    Drop(usize),
    /// So many octets come twice.
    Repeat(usize),
    /// One octet is changed.
    Flip(u8),
    /// Octets that nobody sent come before.
    Insert(Vec<u8>),
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Wire {
    under_way: Vec<u8>,
    /// All that was ever written, before any fault.
    pub(super) record: Vec<u8>,
    /// Faults, each at an octet of `record`.
    pub(super) faults: Vec<(usize, Fault)>,
    /// After how many octets the wire takes no more.
    pub(super) breaks_at: Option<usize>,
    closed: bool,
}

impl Wire {
    fn room(&self) -> usize {
        self.breaks_at.map_or(usize::MAX, |breaks_at| {
            breaks_at.saturating_sub(self.record.len())
        })
    }

    fn write(&mut self, octets: &[u8]) {
        self.under_way.extend_from_slice(octets);
        self.record.extend_from_slice(octets);
    }

    /// Gives what has come to the other end.
    fn carry(&mut self) -> Vec<u8> {
        let mut octets = mem::take(&mut self.under_way);
        let start = self.record.len() - octets.len();
        let mut faults = self.faults.clone();
        // From the end, so that no fault moves the place of another.
        faults.sort_by_key(|(at, _)| Reverse(*at));
        for (at, fault) in faults {
            let Some(at) = at.checked_sub(start).filter(|at| *at < octets.len()) else {
                continue;
            };
            match fault {
                Fault::Drop(length) => {
                    let end = octets.len().min(at + length);
                    octets.drain(at..end);
                }
                Fault::Repeat(length) => {
                    let end = octets.len().min(at + length);
                    let again = octets[at..end].to_vec();
                    octets.splice(end..end, again);
                }
                Fault::Flip(mask) => octets[at] ^= mask,
                Fault::Insert(more) => {
                    octets.splice(at..at, more);
                }
            }
        }
        octets
    }
}

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
            let result = self.engine.handle_input(now);
            self.settle(result, now);
        }
    }

    /// Gives the engine octets though it may not want them.
    pub(super) fn force(&mut self, octets: &[u8], now: Instant) {
        self.engine.read_buf().extend_from_slice(octets);
        let result = self.engine.handle_input(now);
        self.settle(result, now);
    }

    pub(super) fn decide(&mut self, reply: ZapReply, now: Instant) {
        let result = self.engine.handle_verdict(reply, now);
        self.settle(result, now);
        self.receive(&[], now);
    }

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
                Event::Message(message) => {
                    let frames: Vec<_> = message.iter().map(|frame| frame.to_vec()).collect();
                    self.log.push(format!("message {frames:?}"));
                    self.messages.push(message);
                }
                Event::Subscribe(prefix) => self.note_subscription(true, prefix),
                Event::Cancel(prefix) => self.note_subscription(false, prefix),
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

#[test]
fn a_wire_does_to_octets_what_it_is_told() {
    let carried = |faults: Vec<(usize, Fault)>| {
        let mut wire = Wire {
            faults,
            ..Wire::default()
        };
        wire.write(b"abc");
        let mut carried = wire.carry();
        wire.write(b"def");
        carried.extend(wire.carry());
        assert_eq!(wire.record, b"abcdef");
        String::from_utf8(carried).unwrap()
    };
    assert_eq!(carried(vec![]), "abcdef");
    assert_eq!(carried(vec![(4, Fault::Drop(9))]), "abcd");
    assert_eq!(carried(vec![(0, Fault::Repeat(2))]), "ababcdef");
    assert_eq!(carried(vec![(5, Fault::Flip(1))]), "abcdeg");
    let insert = |at| (at, Fault::Insert(b"-".to_vec()));
    assert_eq!(carried(vec![insert(3), insert(1), insert(6)]), "a-bc-def");
}
