//! Ten thousand random edits of one sealed stream, each told to a listener of its own.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Instant;

use crate::engine::State;
use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::Side;
use crate::engine::tests::transcript::frames;
use crate::error::ProtocolError;
use crate::mechanism::Protection;
use crate::mechanism::curve::Known;
use crate::message::Message;
use crate::peer::{Peer, PeerAddress};
use crate::socket_type::SocketType;

/// How many edits, unless `CURVELINK_EDITS` says another number.
const EDITS: u64 = 10_000;

/// SplitMix64: small, and the same everywhere for one seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A side that is up, without the cost of a handshake.
fn side(role: Role, protection: Protection, now: Instant) -> Side {
    let mut side = Side::new(Case::curve().config(role, SocketType::Dealer), 1, now);
    side.sent();
    side.engine.state = State::Ready {
        peer: Arc::new(Peer::anonymous(PeerAddress::Inproc, SocketType::Dealer)),
        sealer: Some(protection.sealer),
        opener: Some(protection.opener),
        awaits_end: true,
    };
    side
}

fn messages() -> Vec<Message> {
    let mut messages: Vec<Message> = (0..4_u8)
        .map(|i| vec![i; usize::from(i) * 9].into())
        .collect();
    messages.extend((0..4_u8).map(|i| Message::from([vec![i], vec![i; 300], vec![!i]])));
    messages
}

/// All that a client seals from its first message to its end of stream, frame by frame.
fn genuine(known: &Known, now: Instant) -> Vec<Vec<u8>> {
    let [client, _] = known.sides();
    let mut client = side(Role::Client, client, now);
    client.send(messages());
    let mut octets = client.sent();
    client.leave();
    octets.extend(client.sent());
    frames(&octets)
}

/// One edit at a boundary of frames or anywhere; what it is called.
fn edit(frames: &mut Vec<Vec<u8>>, random: &mut Random) -> &'static str {
    let (one, other) = (random.below(frames.len()), random.below(frames.len()));
    match random.below(10) {
        0 => {
            frames.remove(one);
            "drop"
        }
        1 => {
            frames.insert(one, frames[other].clone());
            "replay"
        }
        2 => {
            frames.swap(one, other);
            "reorder"
        }
        3 => {
            let moved = frames.remove(one);
            frames.insert(other, moved);
            "delay"
        }
        4 => {
            frames.drain(one.min(other)..one.max(other));
            "splice"
        }
        5 => {
            frames.truncate(one);
            "cut"
        }
        6 => {
            // The head of one frame and the tail of another, under the first's header.
            let tail = frames[other].clone();
            let head = &mut frames[one];
            let from = 2 + random.below(head.len() - 2);
            let end = head.len().min(tail.len());
            if from < end {
                head[from..end].copy_from_slice(&tail[from..end]);
            }
            "splice within frames"
        }
        7 => {
            let at = random.below(frames[one].len());
            frames[one].truncate(at);
            "cut within a frame"
        }
        8 => {
            let at = random.below(frames[one].len());
            let octet = random.next().to_be_bytes()[0];
            frames[one].insert(at, octet);
            "insert"
        }
        _ => {
            let at = random.below(frames[one].len());
            frames[one][at] ^= 1 << random.below(8);
            "flip"
        }
    }
}

/// COMMAND outside of a box is how RFC 26 itself has it: no edit of what is said.
fn said(frames: &[Vec<u8>]) -> Vec<u8> {
    let clear = |frame: &Vec<u8>| {
        let mut frame = frame.clone();
        if let Some(flags) = frame.first_mut() {
            *flags &= !4;
        }
        frame
    };
    frames.iter().map(clear).collect::<Vec<_>>().concat()
}

#[test]
fn t02_of_ten_thousand_random_edits_none_goes_undetected() {
    let seed = number("CURVELINK_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("CURVELINK_SEED={seed}");
    let mut random = Random(seed);
    let (known, now) = (Known::new(), Instant::now());
    let genuine = genuine(&known, now);
    let all = messages();
    let listen = |frames: &[Vec<u8>]| {
        let [_, server] = known.sides();
        let mut server = side(Role::Server, server, now);
        server.receive(&frames.concat(), now);
        if server.engine.wants_input() {
            server.close();
        }
        server
    };
    let honest = listen(&genuine);
    assert_eq!(
        (honest.error, honest.ended, &honest.messages),
        (None, true, &all)
    );

    let (mut edits, mut cut) = (0, 0);
    while edits < number("CURVELINK_EDITS").unwrap_or(EDITS) {
        let mut edited = genuine.clone();
        let what = edit(&mut edited, &mut random);
        if said(&edited) == said(&genuine) {
            continue;
        }
        edits += 1;
        let side = listen(&edited);
        assert!(all.starts_with(&side.messages), "edit {edits}: {what}");
        assert!(!side.ended, "edit {edits}: {what}");
        let error = side
            .error
            .unwrap_or_else(|| panic!("edit {edits}: {what} undetected"));
        cut += u64::from(error == ProtocolError::Truncated);
    }
    assert!(
        cut > 0 && cut < edits,
        "{cut} of {edits} were missed at the end only"
    );
}
