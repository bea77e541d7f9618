//! One end of a connection: an engine, the driver around it, and what it was told.

use std::io::IoSlice;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use curvelink_proto::{
    Backlog, Curve, Engine, EngineConfig, Entropy, EntropyError, Event, KeyPair, Limits, Mechanism,
    Message, Peer, PeerAddress, ProtocolError, Rights, SecretKey, SocketType, ZapReply, ZapRequest,
    ZapStatus,
};

use crate::support::random::Random;

/// The name that the policy of the targets gives to whom it admits.
pub(super) const NAME: &str = "admitted";

/// The same octets for one seed, others for each draw.
pub(super) struct Seeded(Random);

impl Seeded {
    pub(super) const fn new(seed: u64) -> Self {
        Self(Random::seeded(seed))
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), EntropyError> {
        octets.fill_with(|| self.0.below(256) as u8);
        Ok(())
    }
}

/// What an engine told its driver.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) asked: Vec<ZapRequest>,
    pub(super) ready: Option<Arc<Peer>>,
    pub(super) messages: Vec<Message>,
    /// Prefixes, and whether they were subscribed to or cancelled.
    pub(super) subscriptions: Vec<(bool, Bytes)>,
    /// The peer said that all has come.
    pub(super) end: bool,
    pub(super) error: Option<ProtocolError>,
}

/// An engine and a driver that does what the runtime does.
#[derive(Debug)]
pub(super) struct Side {
    engine: Engine,
    now: Instant,
    /// `None` never answers.
    verdict: Option<ZapReply>,
    /// Closed on purpose.
    pub(super) closed: bool,
    pub(super) seen: Seen,
    /// All that it ever wrote.
    pub(super) written: Vec<u8>,
}

impl Side {
    pub(super) fn new(config: &Arc<EngineConfig>, seed: u64) -> Self {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        let entropy = Box::new(Seeded::new(seed));
        let endpoint = Arc::from("tcp://127.0.0.1:9");
        Self {
            engine: Engine::new(
                config.clone(),
                PeerAddress::Inproc,
                endpoint,
                entropy,
                *START,
            ),
            now: *START,
            verdict: Some(ZapReply::admit(NAME, Rights::all())),
            closed: false,
            seen: Seen::default(),
            written: Vec::new(),
        }
    }

    /// A side whose policy says something else than yes.
    pub(super) fn with_verdict(mut self, verdict: Option<ZapReply>) -> Self {
        self.verdict = verdict;
        self
    }

    /// Reads octets, as much at a time as the engine has room for. What comes after the end of
    /// the connection must change nothing.
    pub(super) fn feed(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() {
            let over = self.is_over();
            let buffer = self.engine.read_buf();
            let room = buffer.capacity() - buffer.len();
            if room == 0 {
                assert!(!self.engine.wants_input(), "there is room to read");
                return;
            }
            let (read, rest) = octets.split_at(room.min(octets.len()));
            buffer.extend_from_slice(read);
            octets = rest;
            let result = self.engine.handle_input(self.now);
            self.take_events(result);
            if over {
                return;
            }
        }
    }

    const fn is_over(&self) -> bool {
        self.closed || self.seen.end || self.seen.error.is_some()
    }

    fn take_events(&mut self, mut result: Result<(), ProtocolError>) {
        let mut over = self.is_over();
        loop {
            while let Some(event) = self.engine.poll_event() {
                assert!(!over, "nothing happens after the end: {event:?}");
                if let Some(judged) = self.take_event(event) {
                    result = result.and(judged);
                }
                over = self.seen.end;
            }
            if let Err(error) = result {
                self.seen.error.get_or_insert(error);
                assert!(!self.engine.wants_input() && self.engine.peer().is_none());
            }
            if !self.engine.holds_input() || self.is_over() {
                return;
            }
            result = self.engine.handle_input(self.now);
        }
    }

    fn take_event(&mut self, event: Event) -> Option<Result<(), ProtocolError>> {
        match event {
            Event::Authenticate(request) => {
                self.seen.asked.push(request);
                let verdict = self.verdict.clone()?;
                return Some(self.engine.handle_verdict(verdict, self.now));
            }
            Event::Ready(peer) => {
                let before = self.seen.ready.replace(peer);
                assert!(before.is_none(), "a link is ready once");
            }
            Event::Messages(messages) => {
                assert!(!messages.is_empty());
                self.seen.messages.extend(messages);
            }
            Event::Subscribe(prefix) => self.seen.subscriptions.push((true, prefix)),
            Event::Cancel(prefix) => self.seen.subscriptions.push((false, prefix)),
            Event::End => self.seen.end = true,
            event => panic!("an event that the targets do not know: {event:?}"),
        }
        assert!(self.seen.ready.is_some(), "nothing comes before Ready");
        None
    }

    /// What it wrote since the last call.
    pub(super) fn output(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = self.engine.poll_transmit(&mut slices);
            let chunk: Vec<u8> = slices[..count]
                .iter()
                .flat_map(|s| s.iter())
                .copied()
                .collect();
            if chunk.is_empty() {
                break;
            }
            self.engine.advance_transmit(chunk.len());
            output.extend(chunk);
        }
        self.written.extend_from_slice(&output);
        output
    }

    /// Sends a message; ignored, as by the runtime, before the link is ready.
    pub(super) fn send(&mut self, message: &Message) -> bool {
        if !self.engine.backlog_room() {
            return false;
        }
        let mut backlog = Backlog::new();
        backlog.push(message);
        self.engine.send(backlog).expect("nonces are left");
        true
    }

    /// Ends the connection on purpose.
    pub(super) fn close(&mut self) {
        self.engine.close();
        self.closed = true;
    }

    /// Finds that the other side is gone: a sealed stream that does not say so has been cut.
    pub(super) fn hang_up(&mut self) {
        let cut = self.seen.ready.is_some() && !self.is_over();
        let told = self.engine.handle_close();
        assert_eq!(told == Some(ProtocolError::Truncated), cut, "{self:?}");
    }

    /// Whether a peer got to Ready only in the way that the policy wants.
    pub(super) fn check_admission(&self, asks: bool) {
        let admits = |verdict: &ZapReply| verdict.status == ZapStatus::Admitted;
        let admitted = self.verdict.as_ref().is_some_and(admits);
        if let Some(peer) = &self.seen.ready {
            assert!(!asks || (admitted && self.seen.asked.len() == 1));
            let name = asks.then_some(NAME);
            assert_eq!(peer.name.as_deref(), name, "the name is the policy's");
        }
        assert!(self.seen.asked.len() <= usize::from(asks));
    }
}

/// Carries octets both ways until nobody has more to say.
pub(super) fn link(one: &mut Side, other: &mut Side) {
    loop {
        let (from_one, from_other) = (one.output(), other.output());
        if from_one.is_empty() && from_other.is_empty() {
            return;
        }
        other.feed(&from_one);
        one.feed(&from_other);
    }
}

/// Links two fresh engines of the configurations and lets a message through.
pub(super) fn still_works(receiver: &Arc<EngineConfig>, sender: &Arc<EngineConfig>) {
    let mut receiver = Side::new(receiver, 101);
    let mut sender = Side::new(sender, 102);
    link(&mut receiver, &mut sender);
    let message = Message::from("good");
    assert!(sender.send(&message), "a good peer is let in: {sender:?}");
    link(&mut receiver, &mut sender);
    assert_eq!((receiver.seen.error, sender.seen.error), (None, None));
    let kind = receiver
        .seen
        .ready
        .expect("ready on both sides")
        .socket_type;
    if kind != SocketType::Sub && kind != SocketType::Pull {
        assert_eq!(receiver.seen.messages, [message]);
    }
}

/// A configuration with limits that inputs can reach.
pub(super) fn config(kind: SocketType, mechanism: impl Mechanism) -> EngineConfig {
    let mut config = EngineConfig::new(kind, Arc::new(mechanism));
    config.limits = limits();
    config
}

pub(super) fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.message, limits.frames, limits.topic) = (2048, 8, 64);
    limits
}

/// The secrets of the targets: the server's, the client's, and somebody else's.
pub(super) const SERVER: [u8; 32] = [1; 32];
pub(super) const CLIENT: [u8; 32] = [2; 32];
pub(super) const OTHER: [u8; 32] = [3; 32];

pub(super) fn keys(secret: &[u8; 32]) -> KeyPair {
    KeyPair::from_secret(SecretKey::from_octets(secret).expect("a good secret"))
}

pub(super) fn curve_server() -> Curve {
    Curve::server(keys(&SERVER))
}

pub(super) fn curve_client() -> Curve {
    Curve::client(keys(&CLIENT), keys(&SERVER).public())
}
