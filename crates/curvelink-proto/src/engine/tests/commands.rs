//! Every command in every state: what the tables of the mechanisms name goes on, and nothing else.

use std::time::Instant;

use crate::engine::State as EngineState;
use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::{Pair, Side};
use crate::engine::tests::transcript::{State, Transcript, body, command, frame};
use crate::error::ProtocolError;
use crate::event::{Reason, Side as Who, Stage};
use crate::rights::Rights;
use crate::zap::ZapReply;

const NAMES: [&str; 18] = [
    "HELLO",
    "WELCOME",
    "INITIATE",
    "READY",
    "MESSAGE",
    "ERROR",
    "PING",
    "PONG",
    "SUBSCRIBE",
    "CANCEL",
    "JOIN",
    "LEAVE",
    "hello",
    "Ready",
    "READY ",
    "INITIATE\0",
    "X",
    "ZAP",
];

/// The bodies of every command that this case's handshake has, in both directions, and others.
fn bodies(case: &Case) -> Vec<Vec<u8>> {
    let mut bodies = vec![vec![], vec![0; 3], b"\0\x0acontext".to_vec(), vec![0; 24]];
    bodies.extend([160, 194, 248].map(|length| vec![0; length]));
    for role in Role::BOTH {
        for command in &Transcript::record(case, role).handshake[1..] {
            let body = body(command);
            bodies.push(body[1 + usize::from(body[0])..].to_vec());
        }
    }
    bodies
}

fn commands(case: &Case) -> Vec<(&'static str, Vec<u8>)> {
    let bodies = bodies(case);
    let with_bodies = |name| bodies.iter().map(move |body| (name, command(name, body)));
    NAMES.into_iter().flat_map(with_bodies).collect()
}

#[test]
fn t24_before_ready_only_the_next_command_of_the_table_goes_on() {
    let now = Instant::now();
    for state in State::all() {
        let Some(genuine) = state.next() else {
            continue;
        };
        let mut went_on = 0;
        for (name, octets) in commands(&state.case) {
            let what = format!("{}: {name} {octets:?}", state.what);
            let mut side = state.side(now);
            side.receive(&octets, now);
            if octets == *genuine {
                assert_eq!(side.error, None, "{what}");
                went_on += 1;
                continue;
            }
            let error = side.error.as_ref().expect(&what);
            let by_peer = matches!(error, ProtocolError::RefusedByPeer { .. });
            assert_eq!(by_peer, name == "ERROR" && state.heard > 0, "{what}");
            assert!(side.ready.is_none() && side.messages.is_empty(), "{what}");
            assert!(side.sent().is_empty(), "{what}");
            // What would have been right comes too late.
            side.force(genuine, now);
            assert!(side.ready.is_none() && side.sent().is_empty(), "{what}");
        }
        // The genuine command is among those tried, except for the greeting, which is none.
        assert_eq!(went_on > 0, state.heard > 0, "{}", state.what);
    }
}

#[test]
fn t24_a_message_before_ready_is_refused_though_it_says_what_the_command_would() {
    let now = Instant::now();
    for state in State::all().iter().filter(|state| state.heard > 0) {
        let Some(genuine) = state.next() else {
            continue;
        };
        for flags in [0, 1] {
            for body in [body(genuine), b"", b"\x07MESSAGE", &[0; 500]] {
                let mut side = state.side(now);
                side.receive(&frame(flags, body), now);
                assert!(side.error.is_some(), "{}", state.what);
                assert!(side.messages.is_empty() && side.sent().is_empty());
                assert!(side.asked.len() < 2 && side.ready.is_none());
            }
        }
    }
}

/// A server that has asked the policy and waits.
fn undecided(case: &Case, now: Instant) -> (Side, Vec<Vec<u8>>) {
    let transcript = Transcript::record(case, Role::Server);
    let mut side = transcript.listener(now);
    side.verdict = None;
    let mut heard = 0;
    while side.asked.is_empty() {
        side.receive(&transcript.handshake[heard], now);
        heard += 1;
    }
    side.sent();
    (side, transcript.handshake[heard..].to_vec())
}

#[test]
fn t24_while_the_policy_is_asked_nothing_is_listened_to() {
    let now = Instant::now();
    for case in Case::asking() {
        let (_, after) = undecided(&case, now);
        for (name, octets) in commands(&case) {
            let what = format!("{}: {name} {octets:?}", case.name);
            let (mut side, _) = undecided(&case, now);
            assert!(!side.engine.wants_input());
            side.force(&octets, now);
            assert_eq!(side.log.len(), 1, "{what}");
            assert!(side.sent().is_empty(), "{what}");

            side.decide(ZapReply::admit("scanner", Rights::all()), now);
            let in_its_place = after.first() == Some(&octets);
            assert_eq!(side.error.is_none(), in_its_place, "{what}");
            // CURVE is done with the verdict; the others are not.
            assert_eq!(
                side.ready.is_some(),
                in_its_place || case.is_sealed(),
                "{what}"
            );

            let (mut side, _) = undecided(&case, now);
            side.force(&octets, now);
            side.decide(ZapReply::temporary(), now);
            assert!(side.ready.is_none() && side.sent().is_empty(), "{what}");
        }
    }
}

#[test]
fn t24_a_verdict_that_nobody_asked_for_changes_nothing() {
    let now = Instant::now();
    for state in State::all() {
        let mut side = state.side(now);
        let before = side.log.clone();
        side.decide(ZapReply::temporary(), now);
        side.decide(ZapReply::admit("root", Rights::all()), now);
        assert_eq!(side.log, before, "{}", state.what);
        assert!(side.sent().is_empty());
        let name = side.ready.and_then(|peer| peer.name.clone());
        assert_ne!(name.as_deref(), Some("root"));
    }
}

/// What an engine that is ready makes of a command in clear.
fn assert_traffic_table(case: &Case, side: &mut Side, name: &str, octets: &[u8], what: &str) {
    let clear = body(octets);
    let length = clear.len() - 1 - name.len();
    assert!(
        side.messages.is_empty() && side.subscriptions.is_empty(),
        "{what}"
    );
    let answer = side.sent();
    if name == "PING" && !(2..=18).contains(&length) {
        let reason = side.error.as_ref().expect(what).reason();
        let expected = (Reason::Malformed, case.farewell());
        assert_eq!((reason, answer.len()), expected, "{what}");
    } else {
        assert_eq!(side.error, None, "{what}");
        assert_eq!(answer.is_empty(), name != "PING", "{what}");
    }
}

#[test]
fn t24_after_ready_only_ping_is_answered_and_nothing_starts_again() {
    let now = Instant::now();
    for state in State::all().iter().filter(|state| state.is_ready()) {
        for (name, octets) in commands(&state.case) {
            let what = format!("{}: {name} {octets:?}", state.what);
            let mut side = state.side(now);
            side.receive(&octets, now);
            if state.case.is_sealed() {
                let farewell = state.case.farewell();
                assert!(
                    side.error.is_some() && side.sent().len() == farewell,
                    "{what}"
                );
            } else {
                assert_traffic_table(&state.case, &mut side, name, &octets, &what);
            }
        }
    }
}

/// Sends a command as its own traffic, in a box where there is one.
pub(super) fn speak(from: &mut Side, name: &str, body: &[u8]) {
    let EngineState::Ready { sealer, .. } = &mut from.engine.state else {
        panic!("not ready");
    };
    let sealer = sealer.as_deref_mut().map(|sealer| sealer as _);
    from.engine
        .outbound
        .push_control(name, body, sealer)
        .unwrap();
}

#[test]
fn t24_commands_in_boxes_are_held_to_the_same_table() {
    let case = Case::curve();
    for (name, octets) in commands(&case) {
        for role in Role::BOTH {
            let mut pair = case.up();
            let Pair {
                client,
                server,
                now,
            } = &mut pair;
            let (from, to) = match role {
                Role::Client => (client, server),
                Role::Server => (server, client),
            };
            to.sent();
            let clear = body(&octets);
            speak(from, name, &clear[1 + name.len()..]);
            to.receive(&from.sent(), *now);
            assert_traffic_table(&case, to, name, &octets, &format!("{role:?} {name}"));
        }
    }
}

#[test]
fn t15_an_error_at_any_step_ends_the_connection_and_says_what_the_peer_claims() {
    let now = Instant::now();
    let errors = [
        (command("ERROR", b"\x03300"), Some(300), Reason::Temporary),
        (command("ERROR", b"\x03400"), Some(400), Reason::Denied),
        (
            command("ERROR", b"\x03500"),
            Some(500),
            Reason::HandlerError,
        ),
        (command("ERROR", b"\x03999"), Some(999), Reason::Denied),
        (
            command("ERROR", b"\x12Invalid mechanisms"),
            None,
            Reason::Denied,
        ),
        (command("ERROR", b""), None, Reason::Denied),
        (frame(4, b"\x5eRROR\x03400"), Some(400), Reason::Denied),
        (
            frame(4, b"\x5eRROR\x03500"),
            Some(500),
            Reason::HandlerError,
        ),
    ];
    for state in State::all() {
        if state.is_ready() {
            continue;
        }
        for (octets, status, reason) in &errors {
            let mut side = state.side(now);
            side.receive(octets, now);
            let error = side.error.take().unwrap();
            if state.heard == 0 {
                assert_eq!(error.reason(), Reason::NotZmtp);
                continue;
            }
            let what = format!("{} {octets:?}", state.what);
            assert_eq!(
                error,
                ProtocolError::RefusedByPeer { status: *status },
                "{what}"
            );
            let refusal = side.engine.refusal(&error);
            assert_eq!(
                (refusal.by, refusal.stage),
                (Who::Peer, Stage::Handshake),
                "{what}"
            );
            assert_eq!(
                (refusal.reason, refusal.status),
                (*reason, *status),
                "{what}"
            );
            assert!(side.ready.is_none() && side.sent().is_empty(), "{what}");
        }
    }
}

#[test]
fn t15_an_error_while_the_policy_is_asked_waits_for_its_answer() {
    let now = Instant::now();
    for case in Case::asking() {
        let (mut side, _) = undecided(&case, now);
        side.force(&command("ERROR", b"\x03400"), now);
        assert_eq!(side.error, None);
        side.decide(ZapReply::admit("scanner", Rights::all()), now);
        let reason = side.error.unwrap().reason();
        let expected = if case.is_sealed() {
            Reason::Malformed
        } else {
            Reason::Denied
        };
        assert_eq!(reason, expected, "{}", case.name);
    }
}
