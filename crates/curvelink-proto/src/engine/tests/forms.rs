//! What goes over the wire, octet for octet, written down from the grammars of the RFCs.

use std::time::Instant;

use crate::engine::config::EngineConfig;
use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::commands::speak;
use crate::engine::tests::pair::{Pair, Side};
use crate::engine::tests::transcript::{body, command, frame, frames, name, pieces};
use crate::engine::tests::wire::{Cut, Fault};
use crate::error::ProtocolError;
use crate::message::Message;
use crate::socket_type::SocketType;

#[test]
fn our_greeting_is_the_64_octets_of_the_grammar() {
    for case in Case::all() {
        let pair = case.up();
        for (role, side) in Role::BOTH.into_iter().zip([&pair.client, &pair.server]) {
            let mut expected = b"\xff\0\0\0\0\0\0\0\0\x7f\x03\x01".to_vec();
            expected.extend(case.client.name().as_str().as_bytes());
            expected.resize(12 + 20, 0);
            let has_roles = matches!(case.name, "plain" | "curve");
            expected.push(u8::from(has_roles && role == Role::Server));
            expected.resize(64, 0);
            assert_eq!(side.out.record[..64], expected, "{} {role:?}", case.name);
        }
    }
}

#[test]
fn our_metadata_is_octet_for_octet_what_the_grammar_says() {
    let metadata = |kind, routing_id: &'static [u8]| {
        let mut config = Case::null().config(Role::Client, kind);
        config.routing_id = routing_id.into();
        config.metadata()
    };
    let dealer = b"\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x02me";
    assert_eq!(metadata(SocketType::Dealer, b"me"), &dealer[..]);
    let push = b"\x0bSocket-Type\0\0\0\x04PUSH";
    assert_eq!(metadata(SocketType::Push, b"me"), &push[..]);
}

/// What a side writes for messages, after its handshake.
fn written(side: &mut Side, messages: impl IntoIterator<Item = Message>) -> Vec<u8> {
    side.sent();
    side.send(messages);
    side.sent()
}

fn messages() -> [Message; 2] {
    [["a", ""].into(), vec![7; 300].into()]
}

#[test]
fn messages_of_clear_mechanisms_are_plain_frames() {
    let mut expected = b"\x01\x01a\0\0\x02\0\0\0\0\0\0\x01\x2c".to_vec();
    expected.extend([7; 300]);
    for case in Case::all().iter().filter(|case| !case.is_sealed()) {
        let Pair { client, server, .. } = &mut case.up();
        for side in [client, server] {
            assert_eq!(written(side, messages()), expected, "{}", case.name);
        }
    }
    let mut curve = Case::curve().up();
    assert_ne!(written(&mut curve.client, messages()), expected);
}

#[test]
fn sealed_messages_have_the_form_of_message_commands() {
    let mut pair = Case::curve().up();
    let commands = |side: &Side| -> Vec<String> {
        let frames = &pieces(&side.out.record)[1..];
        assert!(frames.iter().all(|frame| frame[0] & !2 == 4), "commands");
        frames.iter().map(|frame| name(frame)).collect()
    };
    assert_eq!(commands(&pair.client), ["HELLO", "INITIATE"]);
    assert_eq!(commands(&pair.server), ["WELCOME", "READY"]);
    for side in [&mut pair.client, &mut pair.server] {
        let octets = written(side, messages());
        let sealed = frames(&octets);
        assert_eq!(sealed.len(), 3);
        for (sealed, clear) in sealed.iter().zip([1, 0, 300]) {
            assert_eq!(body(sealed)[..8], *b"\x07MESSAGE");
            assert_eq!(body(sealed).len(), 33 + clear);
            let long = body(sealed).len() > 255;
            assert_eq!(sealed[0], u8::from(long) * 2, "a message of one frame");
        }
    }
}

/// The number that a sealed frame carries in clear.
fn counter(frame: &[u8]) -> u64 {
    u64::from_be_bytes(body(frame)[8..16].try_into().unwrap())
}

#[test]
fn the_counters_of_both_sides_grow_by_one() {
    let mut pair = Case::curve().up();
    // INITIATE had 2, READY had 1.
    for (side, first) in [(&mut pair.client, 3), (&mut pair.server, 2)] {
        side.sent();
        side.send(messages());
        speak(side, "PING", &[0, 0]);
        side.subscribe(true, b"x");
        side.send(messages());
        let octets = side.sent();
        let counters: Vec<u64> = frames(&octets).iter().map(|frame| counter(frame)).collect();
        assert_eq!(counters, (first..first + 8).collect::<Vec<_>>());
    }
}

#[test]
fn the_end_of_a_subscription_is_a_cancel() {
    for case in Case::all() {
        for cut in Cut::BOTH {
            let mut pair = case.pair(SocketType::Sub, SocketType::Pub).cut(cut);
            pair.drive();
            let before = pair.client.out.record.len();
            pair.client.subscribe(false, b"x");
            pair.drive();
            assert_eq!(pair.server.subscriptions, [(false, "x".into())]);
            if !case.is_sealed() {
                let octets = &pair.client.out.record[before..];
                assert_eq!(octets, b"\x04\x08\x06CANCELx");
            }
        }
    }
}

#[test]
fn two_null_peers_that_both_ask_a_policy_do_not_wait_for_each_other() {
    for cut in Cut::BOTH {
        let config = || EngineConfig {
            zap_domain: "global".into(),
            ..Case::null().config(Role::Client, SocketType::Dealer)
        };
        let mut pair = Pair::new(config(), config()).cut(cut);
        pair.drive();
        assert!(pair.is_up(), "{:?} {:?}", pair.client.log, pair.server.log);
        assert_eq!((pair.client.asked.len(), pair.server.asked.len()), (1, 1));
    }
}

#[test]
fn a_message_whose_end_never_comes_is_not_delivered() {
    let whole: [Message; 2] = [["a", "b", "c"].into(), ["d", "", "e"].into()];
    for case in Case::all() {
        let octets = written(&mut case.up().client, whole.clone());
        let mut most = 0;
        for cut in 0..=octets.len() {
            let mut side = case.up().server;
            side.receive(&octets[..cut], Instant::now());
            side.close();
            let error = case.is_sealed().then_some(ProtocolError::Truncated);
            assert_eq!(side.error, error, "{} {cut}", case.name);
            assert_eq!(side.messages, whole[..side.messages.len()]);
            most = most.max(side.messages.len());
        }
        assert_eq!(most, 2, "{}", case.name);
    }
}

impl Pair {
    fn ends(&mut self, from: Role) -> (&mut Side, &mut Side) {
        match from {
            Role::Client => (&mut self.client, &mut self.server),
            Role::Server => (&mut self.server, &mut self.client),
        }
    }
}

#[test]
fn a_malformed_message_gets_no_answer_but_the_end_of_our_stream() {
    let case = Case::curve();
    let faults = [
        Fault::Flip(0x10),
        Fault::Drop(1),
        Fault::Insert(vec![9]),
        Fault::Insert(frame(0, b"in clear")),
        Fault::Insert(command("PING", b"\0\0")),
    ];
    for (row, fault) in faults.into_iter().enumerate() {
        for role in Role::BOTH {
            let mut pair = case.up();
            let (from, _) = pair.ends(role);
            let start = from.out.record.len();
            // The first three stand within a frame, the others are frames before it.
            let at = if row < 3 { start + 20 } else { start };
            from.out.faults.push((at, fault.clone()));
            from.send([vec![7; 50], vec![8; 50]]);
            let said = pair.ends(role).1.out.record.len();
            pair.drive();
            let (_, to) = pair.ends(role);
            assert!(to.error.is_some(), "row {row} {role:?}");
            assert!(to.messages.is_empty(), "row {row} {role:?}");
            assert_eq!(
                to.out.record.len(),
                said + case.farewell(),
                "row {row} {role:?}"
            );
        }
    }
}
