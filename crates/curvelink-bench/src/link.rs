//! Two engines joined in memory.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use curvelink_proto::{
    Backlog, Curve, CurveBackend, Engine, EngineConfig, Entropy, EntropyError, Event, KeyPair,
    Mechanism, Message, Null, PeerAddress, SecretKey, SocketType, Stage,
};

use crate::mask::Mask;

/// Chunks that are taken of an engine at once, as a session does.
const CHUNKS: usize = 64;

/// A PUSH and a PULL whose handshake is done, and no network between them: what the one wants
/// written is given to the other by whoever holds the link.
#[derive(Debug)]
pub struct Link {
    push: Engine,
    pull: Engine,
    /// What is on its way, in memory that is used again.
    wire: Vec<u8>,
    /// Clocks are not measured: it is always the same time.
    now: Instant,
}

impl Link {
    /// A link in clear.
    ///
    /// # Panics
    /// If the engines do not agree, as for the others.
    #[must_use]
    pub fn null() -> Self {
        Self::new(Null::new(), Null::new())
    }

    /// A link whose frames both ends seal and open with a backend of CURVE's.
    ///
    /// # Panics
    /// See [`null`](Self::null).
    #[must_use]
    pub fn curve(backend: CurveBackend) -> Self {
        let [server, client] = [[0x11; 32], [0x22; 32]].map(|secret| {
            let secret = SecretKey::from_octets(&secret).expect("not all zeroes");
            KeyPair::from_secret(secret)
        });
        let public = server.public();
        let server = Curve::server(server).accept_anyone().backend(backend);
        Self::new(Curve::client(client, public).backend(backend), server)
    }

    /// A link whose frames are "sealed" by nothing but a copy: what is left is the engine's own work
    /// on sealed frames, which is the same on every machine. A cipher's is not: it chooses its
    /// vector instructions when the program runs.
    ///
    /// # Panics
    /// See [`null`](Self::null).
    #[must_use]
    pub fn masked() -> Self {
        Self::new(Mask, Mask)
    }

    fn new(client: impl Mechanism, server: impl Mechanism) -> Self {
        let now = Instant::now();
        let mut link = Self {
            push: engine(SocketType::Push, client, now),
            pull: engine(SocketType::Pull, server, now),
            wire: Vec::new(),
            now,
        };
        while [&link.push, &link.pull].map(Engine::stage) != [Stage::Traffic; 2] {
            let moved = pass(&mut link.push, &mut link.pull, now);
            assert!(moved + pass(&mut link.pull, &mut link.push, now) > 0);
        }
        while link.pull.poll_event().is_some() {}
        link
    }

    /// Has PUSH send messages; gives the octets for the other end.
    ///
    /// # Panics
    /// When a cipher's counter has come to its end.
    pub fn send(&mut self, messages: Backlog) -> Vec<u8> {
        self.push.send(messages).expect("the counter goes on");
        let mut octets = Vec::new();
        transmit(&mut self.push, &mut octets);
        octets
    }

    /// As [`send`](Self::send), but the octets are only counted: as a socket would take them,
    /// without a copy.
    ///
    /// # Panics
    /// See [`send`](Self::send).
    pub fn send_away(&mut self, messages: Backlog) -> usize {
        self.push.send(messages).expect("the counter goes on");
        let mut sent = 0;
        loop {
            let mut slices = [IoSlice::new(&[]); CHUNKS];
            let chunks = self.push.poll_transmit(&mut slices);
            let octets = slices[..chunks].iter().map(|chunk| chunk.len()).sum();
            if octets == 0 {
                return sent;
            }
            self.push.advance_transmit(octets);
            sent += octets;
        }
    }

    /// Has PUSH send messages and PULL receive them; gives the octets in their bodies.
    ///
    /// # Panics
    /// See [`send`](Self::send).
    pub fn carry(&mut self, messages: Backlog) -> usize {
        self.push.send(messages).expect("the counter goes on");
        self.wire.clear();
        transmit(&mut self.push, &mut self.wire);
        receive(&mut self.pull, &self.wire, self.now)
    }

    /// Has PULL read octets that PUSH sent; gives the octets in the bodies of the messages.
    ///
    /// # Panics
    /// When the octets are not the next ones that PUSH sent.
    pub fn receive(&mut self, octets: &[u8]) -> usize {
        receive(&mut self.pull, octets, self.now)
    }
}

fn engine(kind: SocketType, mechanism: impl Mechanism, now: Instant) -> Engine {
    let config = EngineConfig::new(kind, Arc::new(mechanism));
    let (config, endpoint) = (Arc::new(config), Arc::from("inproc://link"));
    let entropy = Box::new(Same(kind as u8));
    Engine::new(config, PeerAddress::Inproc, endpoint, entropy, now)
}

/// Gives one engine what the other wants written; how many octets.
fn pass(from: &mut Engine, to: &mut Engine, now: Instant) -> usize {
    let mut octets = Vec::new();
    transmit(from, &mut octets);
    to.read_buf().extend_from_slice(&octets);
    to.handle_input(now).expect("the engines agree");
    octets.len()
}

fn transmit(engine: &mut Engine, out: &mut Vec<u8>) {
    loop {
        let mut slices = [IoSlice::new(&[]); CHUNKS];
        let chunks = engine.poll_transmit(&mut slices);
        let before = out.len();
        for chunk in &slices[..chunks] {
            out.extend_from_slice(chunk);
        }
        if out.len() == before {
            return;
        }
        engine.advance_transmit(out.len() - before);
    }
}

fn receive(engine: &mut Engine, octets: &[u8], now: Instant) -> usize {
    engine.read_buf().extend_from_slice(octets);
    let mut received = 0;
    loop {
        engine.handle_input(now).expect("what was sent");
        while let Some(event) = engine.poll_event() {
            if let Event::Messages(messages) = event {
                received += messages.iter().map(Message::octets).sum::<usize>();
                engine.reuse(messages);
            }
        }
        if !engine.holds_input() {
            return received;
        }
    }
}

/// Messages of one frame, ready to be sent.
#[must_use]
pub fn batch(size: usize, messages: usize) -> Backlog {
    let message = Message::from(Bytes::from(vec![0x5a; size]));
    let mut backlog = Backlog::new();
    for _ in 0..messages {
        backlog.push(&message);
    }
    backlog
}

/// INSECURE: the same octets in every run, so that a run can be compared with another.
#[derive(Debug)]
struct Same(u8);

impl Entropy for Same {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), EntropyError> {
        for octet in octets {
            self.0 = self.0.wrapping_mul(5).wrapping_add(77);
            *octet = self.0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_on_a_link_is_received() {
        let links = [Link::null(), Link::masked()];
        let curve = CurveBackend::ALL.iter().copied().map(Link::curve);
        for mut link in links.into_iter().chain(curve) {
            for size in [0, 16, 5000] {
                let octets = link.send(batch(size, 2000));
                assert_eq!(link.receive(&octets), 2000 * size);
                assert_eq!(link.carry(batch(size, 3)), 3 * size);
            }
            assert!(link.send_away(batch(100, 3)) >= 3 * 100);
        }
    }

    #[test]
    fn every_link_says_the_same() {
        let said = |backend: &CurveBackend| Link::curve(*backend).send(batch(100, 1));
        let [one, other] = [0, 1].map(|index| said(&CurveBackend::ALL[index]));
        assert_eq!(one, other);
    }
}
