//! What one side heard in a connection that was recorded, to be told to a fresh engine again.

use std::rc::Rc;
use std::time::Instant;

use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::Side;
use crate::socket_type::SocketType;
use crate::wire::frame_header::FrameHeader;
use crate::wire::greeting;

/// One side's input: the same in every run, as are the random octets of the side that hears it.
pub(super) struct Transcript {
    case: Case,
    role: Role,
    /// The greeting and the commands of the handshake, one by one.
    pub(super) handshake: Vec<Vec<u8>>,
    /// The names of the commands.
    names: Vec<String>,
    /// What came after.
    pub(super) traffic: Vec<u8>,
}

impl Transcript {
    /// Records a connection of two DEALERs in which each sends a few messages.
    pub(super) fn record(case: &Case, role: Role) -> Self {
        let mut pair = case.up();
        let handshake = |side: &Side| pieces(&side.out.record);
        let (by_client, by_server) = (handshake(&pair.client), handshake(&pair.server));
        for side in [&mut pair.client, &mut pair.server] {
            side.send([[&b"topic"[..], b"", &[7; 300]], [b"a", b"b", b"c"]]);
            side.subscribe(true, b"x");
            side.send(["last"]);
        }
        pair.drive();
        assert_eq!(
            (pair.client.messages.len(), pair.server.messages.len()),
            (3, 3)
        );
        let (handshake, record) = match role {
            Role::Client => (by_server, &pair.server.out.record),
            Role::Server => (by_client, &pair.client.out.record),
        };
        Self {
            case: case.clone(),
            role,
            traffic: record[handshake.concat().len()..].to_vec(),
            names: handshake[1..].iter().map(|frame| name(frame)).collect(),
            handshake,
        }
    }

    /// All of it.
    pub(super) fn octets(&self) -> Vec<u8> {
        [self.handshake.concat(), self.traffic.clone()].concat()
    }

    /// The engine that hears it, before its first octet.
    pub(super) fn listener(&self, now: Instant) -> Side {
        let seed = match self.role {
            Role::Client => 1,
            Role::Server => 2,
        };
        Side::new(self.case.config(self.role, SocketType::Dealer), seed, now)
    }

    /// The engine after so many pieces of the handshake: 0 before the greeting, all of them when
    /// it is ready.
    pub(super) fn after(&self, pieces: usize, now: Instant) -> Side {
        let mut side = self.listener(now);
        side.receive(&self.handshake[..pieces].concat(), now);
        assert_eq!(side.error, None);
        side.sent();
        side
    }
}

/// The name of a command frame.
pub(super) fn name(frame: &[u8]) -> String {
    let body = body(frame);
    String::from_utf8(body[1..=usize::from(body[0])].to_vec()).unwrap()
}

/// A frame without its header.
pub(super) fn body(frame: &[u8]) -> &[u8] {
    let (_, header) = FrameHeader::parse(frame, usize::MAX).unwrap().unwrap();
    &frame[header..]
}

/// Cuts what one side wrote into its greeting and its frames.
pub(super) fn pieces(octets: &[u8]) -> Vec<Vec<u8>> {
    let (greeting, rest) = octets.split_at(greeting::LENGTH);
    let mut pieces = vec![greeting.to_vec()];
    pieces.extend(frames(rest));
    pieces
}

/// Cuts octets into frames, headers included.
pub(super) fn frames(mut octets: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some((header, length)) = FrameHeader::parse(octets, usize::MAX).unwrap() {
        let (frame, rest) = octets.split_at(length + header.length);
        frames.push(frame.to_vec());
        octets = rest;
    }
    assert!(octets.is_empty());
    frames
}

/// A command frame.
pub(super) fn command(name: &str, body: &[u8]) -> Vec<u8> {
    let octets = crate::mechanism::testing::command(name, body);
    frame(4, &octets)
}

/// A frame with these flags; its header is in the form that its length asks for.
pub(super) fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    let mut octets = match u8::try_from(body.len()) {
        Ok(length) => vec![flags, length],
        Err(_) => [&[flags | 2][..], &(body.len() as u64).to_be_bytes()].concat(),
    };
    octets.extend(body);
    octets
}

/// One state of one engine: how much of the handshake it has heard.
pub(super) struct State {
    pub(super) what: String,
    pub(super) case: Case,
    pub(super) role: Role,
    pub(super) transcript: Rc<Transcript>,
    pub(super) heard: usize,
}

impl State {
    /// Every state of every mechanism in both roles; those in which the policy is asked are left
    /// at once, because the verdict is there.
    pub(super) fn all() -> Vec<Self> {
        let mut states = Vec::new();
        for case in Case::all() {
            for role in Role::BOTH {
                let transcript = Rc::new(Transcript::record(&case, role));
                for heard in 0..=transcript.handshake.len() {
                    states.push(Self {
                        what: format!("{} {role:?} after {heard}", case.name),
                        case: case.clone(),
                        role,
                        transcript: transcript.clone(),
                        heard,
                    });
                }
            }
        }
        states
    }

    pub(super) fn side(&self, now: Instant) -> Side {
        self.transcript.after(self.heard, now)
    }

    /// What belongs here next; nothing once messages may flow.
    pub(super) fn next(&self) -> Option<&Vec<u8>> {
        self.transcript.handshake.get(self.heard)
    }

    /// The name of the command that belongs here next; nothing before the greeting.
    pub(super) fn next_name(&self) -> Option<&str> {
        let names = &self.transcript.names;
        names.get(self.heard.checked_sub(1)?).map(|name| &**name)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.next().is_none()
    }
}
