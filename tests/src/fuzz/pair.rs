//! Two engines under CURVE, and an attacker who holds every octet between them.
//!
//! Whatever it does, each side is given nothing but a first part of what the other has sent, whole
//! messages in their order; all of it if it does nothing, or if that side is told of the end.

use std::sync::{Arc, LazyLock};

use curvelink_proto::{EngineConfig, Frame, Message, SocketType};

use super::input::Input;
use super::side::{Side, config, curve_client, curve_server, link, still_works};

static CONFIGS: LazyLock<[Arc<EngineConfig>; 2]> = LazyLock::new(|| {
    let client = Arc::new(config(SocketType::Pair, curve_client()));
    [client, Arc::new(config(SocketType::Pair, curve_server()))]
});

/// How much an input can make of itself.
const MOST_OCTETS: usize = 64 * 1024;

pub(super) fn run(data: &[u8]) {
    let [client, server] = &*CONFIGS;
    let mut way = Way::new([Side::new(client, 1), Side::new(server, 2)]);
    let mut input = Input::new(data);
    while !input.is_empty() {
        way.step(&mut input);
    }
    way.finish();
    still_works(server, client);
}

/// The way between two sides: index 0 is the client's, and its octets to the server.
struct Way {
    sides: [Side; 2],
    /// What each has sent, as messages.
    sent: [Vec<Message>; 2],
    /// What each has sent and the other not read, in the pieces that were written.
    segments: [Vec<Vec<u8>>; 2],
    /// Whether the attacker has done anything.
    edited: bool,
}

impl Way {
    fn new(sides: [Side; 2]) -> Self {
        Self {
            sides,
            sent: Default::default(),
            segments: Default::default(),
            edited: false,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let choice = input.octet();
        let from = usize::from(choice & 1);
        match choice >> 1 & 15 {
            _ if choice >= 0xe0 => self.sides[from].close(),
            0..=3 => self.collect(from),
            4..=7 => self.deliver(from),
            8 => self.send(from, input),
            9 => link_honestly(self),
            edit => {
                self.edited = true;
                self.edit(edit - 10, from, input);
            }
        }
    }

    /// Has a side send a message of several frames.
    fn send(&mut self, from: usize, input: &mut Input<'_>) {
        let count = self.sent[from].len() as u8;
        let frames = (0..=input.below(3)).map(|i| {
            let mut octets = vec![count; usize::from(input.octet()) * 2];
            octets.push(i as u8);
            Frame::copy_from(&octets)
        });
        let message = frames.collect();
        if self.sides[from].send(&message) {
            self.sent[from].push(message);
        }
    }

    /// Takes what a side has written.
    fn collect(&mut self, from: usize) {
        let output = self.sides[from].output();
        if !output.is_empty() {
            self.segments[from].push(output);
        }
    }

    /// Lets one segment through.
    fn deliver(&mut self, from: usize) {
        if !self.segments[from].is_empty() {
            let segment = self.segments[from].remove(0);
            self.sides[1 - from].feed(&segment);
        }
    }

    /// Six things to do to the segments on the way.
    fn edit(&mut self, edit: u8, from: usize, input: &mut Input<'_>) {
        let waiting: usize = self.segments.iter().flatten().map(Vec::len).sum();
        let (one, other) = (input.octet(), input.octet());
        let foreign = self.segments[1 - from].first().cloned().unwrap_or_default();
        let segments = &mut self.segments[from];
        if segments.is_empty() || waiting > MOST_OCTETS {
            segments.push(input.chunk().to_vec());
            return;
        }
        let (i, j) = (
            usize::from(one) % segments.len(),
            usize::from(other) % segments.len(),
        );
        let cut = input.wide() % (segments[i].len() + 1);
        match edit {
            0 => drop(segments.remove(i)),
            1 => segments.insert(j, segments[i].clone()),
            2 => segments.swap(i, j),
            3 => segments[i].truncate(cut),
            4 => {
                if let Some(octet) = segments[i].get_mut(cut) {
                    *octet ^= 1 << (other & 7);
                }
            }
            // Cuts a piece out, or puts one in: of another segment, of the other way, of its own.
            _ => {
                let end = (cut + input.wide()).min(segments[i].len());
                let piece = match other % 4 {
                    0 => Vec::new(),
                    1 => segments[j].clone(),
                    2 => foreign,
                    _ => input.chunk().to_vec(),
                };
                segments[i].splice(cut..end, piece);
            }
        }
    }

    /// Lets everything through, then lets both talk on, and looks at what arrived.
    fn finish(&mut self) {
        for from in [0, 1] {
            self.collect(from);
            while !self.segments[from].is_empty() {
                self.deliver(from);
            }
        }
        let [client, server] = &mut self.sides;
        link(client, server);
        server.check_admission(true);
        client.check_admission(false);
        for (sent, receiver) in self.sent.iter().zip(self.sides.iter().rev()) {
            let received = &receiver.seen.messages;
            assert!(received.len() <= sent.len(), "nothing is made up");
            assert_eq!(received[..], sent[..received.len()], "nothing is changed");
            let whole = received.len() == sent.len();
            assert!(
                whole || !receiver.seen.end,
                "the end is said after all of it"
            );
            let honest = receiver.seen.error.is_none() && (whole || receiver.closed);
            assert!(self.edited || honest, "{receiver:?}");
        }
        self.sides.iter_mut().for_each(Side::hang_up);
    }
}

/// Lets all that waits through until both are quiet.
fn link_honestly(way: &mut Way) {
    for _ in 0..4 {
        for from in [0, 1] {
            way.collect(from);
            while !way.segments[from].is_empty() {
                way.deliver(from);
            }
        }
    }
}
