//! Greetings of every version and mechanism, and peers of ZMTP 3.0.

use std::time::{Duration, Instant};

use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::{Pair, Side};
use crate::engine::tests::transcript::{Transcript, body, frame, frames};
use crate::engine::tests::wire::{Cut, Fault};
use crate::error::ProtocolError;
use crate::event::{Reason, Stage};
use crate::socket_type::SocketType;
use crate::wire::greeting;

const MAJOR: usize = 10;
const MINOR: usize = 11;

/// Tells `ours` all that the peer of `theirs` says, after another greeting.
fn meet(ours: &Transcript, theirs: &Transcript, greeting: &[u8], cut: Cut) -> Side {
    let now = Instant::now();
    let mut side = ours.listener(now);
    side.cut = cut;
    side.receive(greeting, now);
    side.receive(&theirs.octets()[greeting::LENGTH..], now);
    side
}

fn both_roles() -> impl Iterator<Item = (Case, Role)> {
    let cases = Case::all().into_iter();
    cases.flat_map(|case| Role::BOTH.map(|role| (case.clone(), role)))
}

/// Nothing of it was believed, and nothing was said but our greeting: whole to peers of ZMTP 3.
fn assert_stranger(side: &mut Side, what: &str) {
    let reason = side.error.as_ref().expect(what).reason();
    let expected = [
        Reason::NotZmtp,
        Reason::LegacyVersion,
        Reason::MechanismMismatch,
    ];
    assert!(expected.contains(&reason), "{what}: {reason}");
    assert_eq!(side.engine.stage(), Stage::Greeting, "{what}");
    assert_eq!(side.log.len(), 1, "{what}: {:?}", side.log);
    let said = match reason {
        Reason::MechanismMismatch => greeting::LENGTH,
        _ => greeting::FIRST_PART,
    };
    assert_eq!(side.sent().len(), said, "{what}");
}

#[test]
fn t01_only_equal_mechanisms_of_zmtp_3_and_later_meet() {
    for role in Role::BOTH {
        let transcripts = Case::all().map(|case| (Transcript::record(&case, role), case));
        for (ours, our_case) in &transcripts {
            for (theirs, their_case) in &transcripts {
                for (major, minor) in [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (4, 0), (255, 9)] {
                    let mut greeting = theirs.handshake[0].clone();
                    (greeting[MAJOR], greeting[MINOR]) = (major, minor);
                    let same = our_case.server.name() == their_case.server.name();
                    for cut in Cut::BOTH {
                        let what = format!(
                            "{} {role:?} meets {} {major}.{minor} {cut:?}",
                            our_case.name, their_case.name
                        );
                        let mut side = meet(ours, theirs, &greeting, cut);
                        if same && major >= 3 {
                            assert_eq!((&side.error, side.messages.len()), (&None, 3), "{what}");
                        } else {
                            assert_stranger(&mut side, &what);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_rest_of_our_greeting_waits_for_the_first_part_of_the_peers() {
    for case in Case::all() {
        let transcript = Transcript::record(&case, Role::Server);
        let now = Instant::now();
        let mut side = transcript.listener(now);
        let (first, rest) = transcript.handshake[0].split_at(greeting::FIRST_PART);
        let (last, before) = first.split_last().unwrap();
        side.receive(before, now);
        assert_eq!(side.sent().len(), greeting::FIRST_PART);
        side.receive(&[*last], now);
        assert_eq!(side.sent().len(), greeting::LENGTH - greeting::FIRST_PART);
        side.receive(rest, now);
        assert_eq!(side.error, None, "{}", case.name);
    }
}

#[test]
fn t01_greetings_of_zmtp_1_are_refused_in_both_forms() {
    for (case, role) in both_roles() {
        let transcript = Transcript::record(&case, role);
        for greeting in [&b"\x01\0"[..], b"\x06\0alice", b"\xff\0\0\0\0\0\0\0\x01\0"] {
            for cut in Cut::BOTH {
                let mut side = meet(&transcript, &transcript, greeting, cut);
                assert_eq!(side.error, Some(ProtocolError::LegacyVersion { major: 1 }));
                assert_stranger(&mut side, case.name);
            }
        }
    }
}

#[test]
fn t01_each_flipped_bit_of_a_greeting_is_refused_or_changes_nothing() {
    for (case, role) in both_roles() {
        let transcript = Transcript::record(&case, role);
        for index in 0..greeting::LENGTH {
            for bit in 0..8 {
                let what = format!("{} {role:?} octet {index} bit {bit}", case.name);
                let mut greeting = transcript.handshake[0].clone();
                greeting[index] ^= 1 << bit;
                let mut side = meet(&transcript, &transcript, &greeting, Cut::Whole);
                let free = matches!(index, 1..=8 | MINOR | 32..);
                if free || (index == MAJOR && greeting[MAJOR] >= 3) {
                    assert_eq!((&side.error, side.messages.len()), (&None, 3), "{what}");
                } else {
                    assert_stranger(&mut side, &what);
                }
            }
        }
    }
}

/// A publisher and a subscriber that an attacker made take each other for ZMTP 3.0.
fn downgraded(case: &Case, cut: Cut) -> Pair {
    let mut pair = case.pair(SocketType::Sub, SocketType::Pub).cut(cut);
    for side in [&mut pair.client, &mut pair.server] {
        side.out.faults.push((MINOR, Fault::Flip(1)));
    }
    pair.drive();
    assert!(pair.is_up(), "{}", case.name);
    for side in [&pair.client, &pair.server] {
        assert_eq!(side.engine.peer().unwrap().minor, 0);
    }
    pair
}

#[test]
fn a_3_0_peer_gets_subscriptions_as_messages_and_no_ping() {
    for case in Case::all() {
        for cut in Cut::BOTH {
            let mut pair = downgraded(&case, cut);
            let before = pair.client.out.record.len();
            pair.client.subscribe(true, b"x");
            pair.client.subscribe(false, b"x");
            pair.drive();
            let expected = [(true, "x".into()), (false, "x".into())];
            assert_eq!(pair.server.subscriptions, expected, "{}", case.name);
            let octets = pair.client.out.record[before..].to_vec();
            if !case.is_sealed() {
                assert_eq!(octets, b"\0\x02\x01x\0\x02\0x");
            }

            for side in [&pair.client, &pair.server] {
                assert_eq!(side.engine.poll_timeout(), None);
            }
            // A driver that asks without being told to does no harm.
            for hours in 1..4 {
                let later = pair.now + Duration::from_secs(3600 * hours);
                pair.client.tick(later);
                pair.server.tick(later);
            }
            pair.drive();
            assert_eq!(pair.client.out.record.len(), before + octets.len());
            assert!(pair.is_up(), "{:?}", pair.client.error);
        }
    }
}

#[test]
fn a_3_1_peer_gets_subscriptions_as_commands() {
    for case in Case::all() {
        for cut in Cut::BOTH {
            let mut pair = case.pair(SocketType::Sub, SocketType::Pub).cut(cut);
            pair.drive();
            let before = pair.client.out.record.len();
            pair.client.subscribe(true, b"x");
            pair.drive();
            assert_eq!(pair.server.subscriptions, [(true, "x".into())]);
            if !case.is_sealed() {
                let octets = &pair.client.out.record[before..];
                assert_eq!(octets, b"\x04\x0b\x09SUBSCRIBEx");
            }
        }
    }
}

#[test]
fn publishers_take_both_forms_of_subscriptions_from_every_peer() {
    for cut in Cut::BOTH {
        let mut pair = Case::null()
            .pair(SocketType::Sub, SocketType::Xpub)
            .cut(cut);
        pair.drive();
        let octets = [frame(0, b"\x01x"), frame(0, b"\0x"), frame(0, b"\x02x")].concat();
        pair.server.receive(&octets, pair.now);
        let expected = [(true, "x".into()), (false, "x".into())];
        assert_eq!(pair.server.subscriptions, expected);
        assert_eq!(pair.server.messages, [b"\x02x".into()]);
    }
}

#[test]
fn a_forced_3_0_changes_nothing_in_security() {
    let case = Case::curve();
    let mut pair = downgraded(&case, Cut::Whole);
    assert_eq!(pair.server.asked.len(), 1);
    assert!(pair.client.ready.as_ref().unwrap().key.is_some());

    let before = pair.server.out.record.len();
    pair.server
        .send([b"first secret", b"other secret", b"third secret"]);
    let octets = pair.server.sent();
    assert_eq!(pair.server.out.record[before..], octets);
    assert!(!octets.windows(6).any(|window| window == b"secret"));
    let sealed = frames(&octets);
    assert_eq!(body(&sealed[0])[..8], *b"\x07MESSAGE");
    pair.client
        .receive(&[sealed[0].clone(), sealed[2].clone()].concat(), pair.now);
    assert_eq!(pair.client.messages, [b"first secret".into()]);
    assert_eq!(pair.client.error.unwrap().reason(), Reason::Nonce);
}
