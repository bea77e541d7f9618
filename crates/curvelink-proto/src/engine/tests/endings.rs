//! When a peer closes, or nothing comes in time, and what that means at each stage.

use std::time::{Duration, Instant};

use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::Side;
use crate::engine::tests::transcript::{State, Transcript};
use crate::error::ProtocolError;
use crate::event::{Reason, Side as Who, Stage};
use crate::zap::ZapReply;

#[test]
fn closing_means_what_the_stage_says_it_means() {
    let now = Instant::now();
    for state in State::all() {
        let mut side = state.side(now);
        side.close();
        let what = format!("{} {:?}", state.what, state.role);
        let stage = side.engine.stage();
        let expected = match (state.case.name, state.role, state.heard) {
            (_, _, 0) => Some(Reason::NotZmtp),
            ("curve", _, _) if state.is_ready() => {
                assert_eq!(side.error, Some(ProtocolError::Truncated), "{what}");
                assert_ended(&mut side, &state, &what);
                continue;
            }
            _ if state.is_ready() => None,
            ("curve", Role::Client, 1) => Some(Reason::WrongServerKey),
            ("curve", Role::Client, 2) | ("plain", Role::Client, 1) => Some(Reason::Denied),
            _ => Some(Reason::Closed),
        };
        let error = expected.map(|reason| ProtocolError::ClosedEarly { reason, stage });
        assert_eq!(side.error, error, "{what}");
        if let Some(error) = error {
            let refusal = side.engine.refusal(&error);
            assert_eq!((refusal.by, refusal.stage), (Who::Peer, stage), "{what}");
        }
        assert_ended(&mut side, &state, &what);
    }
}

/// Nothing more is taken, said or due.
fn assert_ended(side: &mut Side, state: &State, what: &str) {
    let now = Instant::now() + Duration::from_secs(3600);
    let log = side.log.clone();
    assert!(
        !side.engine.wants_input() && side.engine.peer().is_none(),
        "{what}"
    );
    assert_eq!(side.engine.poll_timeout(), None, "{what}");
    side.tick(now);
    side.close();
    side.decide(ZapReply::temporary(), now);
    side.force(&state.transcript.octets(), now);
    side.send(["late"]);
    assert_eq!(side.log, log, "{what}");
    assert!(side.sent().is_empty(), "{what}");
}

#[test]
fn closing_in_a_greeting_or_while_the_policy_is_asked_says_nothing() {
    let now = Instant::now();
    for case in Case::asking() {
        let transcript = Transcript::record(&case, Role::Server);
        let mut greeting = transcript.listener(now);
        greeting.receive(&transcript.handshake[0][..9], now);
        let mut asking = transcript.listener(now);
        asking.verdict = None;
        asking.receive(&transcript.octets(), now);
        for (side, stage) in [
            (&mut greeting, Stage::Greeting),
            (&mut asking, Stage::Admission),
        ] {
            side.close();
            let reason = Reason::Closed;
            assert_eq!(
                side.error,
                Some(ProtocolError::ClosedEarly { reason, stage })
            );
        }
    }
}

#[test]
fn each_stage_of_the_handshake_has_its_deadline() {
    for state in State::all() {
        let now = Instant::now();
        let mut side = state.side(now);
        let deadline = match state.heard {
            0 => Duration::from_secs(2),
            _ if state.is_ready() => continue,
            _ => Duration::from_secs(5),
        };
        assert_eq!(
            side.engine.poll_timeout(),
            Some(now + deadline),
            "{}",
            state.what
        );
        side.tick(now + deadline - Duration::from_nanos(1));
        assert_eq!(side.error, None, "{}", state.what);
        side.tick(now + deadline);
        assert_eq!(side.error.as_ref().unwrap().reason(), Reason::Timeout);
        assert_ended(&mut side, &state, &state.what);
    }
}

/// One octet a second keeps no handshake alive.
#[test]
fn a_peer_that_talks_slowly_has_no_more_time_than_others() {
    for case in Case::all() {
        let now = Instant::now();
        let transcript = Transcript::record(&case, Role::Server);
        let mut side = transcript.listener(now);
        let greeting = &transcript.handshake[0];
        side.receive(greeting, now);
        for (second, octet) in transcript.handshake[1].iter().enumerate() {
            let now = now + Duration::from_secs(second as u64);
            side.tick(now);
            side.receive(&[*octet], now);
        }
        assert_eq!(
            side.error.unwrap().reason(),
            Reason::Timeout,
            "{}",
            case.name
        );
    }
}
