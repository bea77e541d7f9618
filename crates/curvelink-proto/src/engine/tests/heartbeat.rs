//! Signs of life, with a clock that only tests move.

use std::time::Duration;

use crate::engine::config::{EngineConfig, Heartbeat};
use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::commands::speak;
use crate::engine::tests::pair::Pair;
use crate::engine::tests::transcript::{command, frame, frames};
use crate::engine::tests::wire::Cut;
use crate::event::{Reason, Stage};
use crate::socket_type::SocketType;

const SECOND: Duration = Duration::from_secs(1);

fn with_heartbeat(case: &Case, client: Heartbeat, server: Heartbeat) -> Pair {
    let config = |role, heartbeat| EngineConfig {
        heartbeat,
        ..case.config(role, SocketType::Dealer)
    };
    let mut pair = Pair::new(config(Role::Client, client), config(Role::Server, server));
    pair.drive();
    assert!(pair.is_up());
    pair
}

fn beats(interval: u64, timeout: u64, ttl: u64) -> Heartbeat {
    Heartbeat {
        interval: Duration::from_secs(interval),
        timeout: Duration::from_secs(timeout),
        ttl: Duration::from_secs(ttl),
    }
}

#[test]
fn two_idle_peers_keep_each_other_alive() {
    for case in Case::all() {
        for cut in Cut::BOTH {
            let mut pair = case.up().cut(cut);
            let before = pair.client.out.record.len();
            pair.pass(SECOND * 29);
            assert_eq!(pair.client.out.record.len(), before, "nothing to say yet");
            pair.pass(SECOND * 3600);
            assert!(pair.is_up(), "{} {:?}", case.name, pair.client.error);
            let said = frames(&pair.client.out.record[before..]);
            // Each interval one side's PING and the other's PONG, or both sides' both.
            assert!(
                (110..=240).contains(&said.len()),
                "{} {}",
                case.name,
                said.len()
            );
            if !case.is_sealed() {
                let ping = command("PING", &[0, 0]);
                assert!(
                    said.iter()
                        .all(|frame| *frame == ping || frame[..7] == *b"\x04\x05\x04PONG")
                );
            }
        }
    }
}

#[test]
fn t06_a_silent_peer_is_asked_once_and_then_cut() {
    for case in Case::all() {
        let mut pair = case.up();
        let now = pair.now;
        let server = &mut pair.server;
        server.sent();
        assert_eq!(server.engine.poll_timeout(), Some(now + SECOND * 30));
        server.tick(now + SECOND * 30);
        assert_eq!(frames(&server.sent()).len(), 1, "{}", case.name);
        server.tick(now + SECOND * 59);
        assert!(server.sent().is_empty() && server.error.is_none());
        server.tick(now + SECOND * 60);
        let error = server.error.as_ref().unwrap();
        let refusal = server.engine.refusal(error);
        assert_eq!(
            (refusal.reason, refusal.stage),
            (Reason::Timeout, Stage::Traffic)
        );
    }
}

#[test]
fn every_octet_is_a_sign_of_life() {
    for case in Case::all() {
        let mut pair = case.up();
        let before = pair.client.out.record.len();
        pair.client.send([vec![7; 40]]);
        let octets = pair.client.sent();
        assert!(pair.client.out.record.len() > before);
        let mut now = pair.now;
        for octet in octets {
            now += SECOND * 29;
            pair.server.tick(now);
            pair.server.receive(&[octet], now);
        }
        assert_eq!(pair.server.messages, [vec![7; 40].into()], "{}", case.name);
        assert_eq!(pair.server.error, None);
    }
}

#[test]
fn t06_a_peer_that_outlives_the_time_it_gave_itself_is_cut() {
    for case in Case::all() {
        let mut pair = with_heartbeat(&case, beats(10, 10, 3), beats(0, 0, 0));
        pair.pass(SECOND * 10);
        assert!(pair.is_up());
        // It said 3 s, and its next PING comes after 10.
        pair.pass(Duration::from_millis(2999));
        assert_eq!(pair.server.error, None);
        pair.pass(Duration::from_millis(1));
        assert_eq!(
            pair.server.error.as_ref().unwrap().reason(),
            Reason::Timeout,
            "{}",
            case.name
        );
    }
}

#[test]
fn heartbeats_that_are_off_ask_for_no_timer() {
    for case in Case::all() {
        let mut pair = with_heartbeat(&case, beats(0, 0, 0), beats(0, 0, 0));
        assert_eq!(pair.client.engine.poll_timeout(), None);
        pair.pass(SECOND * 86_400);
        assert!(pair.is_up(), "{}", case.name);
    }
}

#[test]
fn t06_pings_of_every_length_are_answered_in_kind_or_refused() {
    for case in Case::all() {
        for length in 0..=66_usize {
            let body: Vec<u8> = (0..66).collect();
            let body = &body[..length];
            let mut pair = case.up();
            pair.server.sent();
            speak(&mut pair.client, "PING", body);
            pair.server.receive(&pair.client.sent(), pair.now);
            let answer = pair.server.sent();
            let what = format!("{} {length}", case.name);
            if !(2..=18).contains(&length) {
                assert_eq!(
                    pair.server.error.unwrap().reason(),
                    Reason::Malformed,
                    "{what}"
                );
                assert_eq!(answer.len(), case.farewell(), "{what}");
            } else if case.is_sealed() {
                assert_eq!(answer.len(), 2 + 33 + 5 + length - 2, "{what}");
            } else {
                assert_eq!(answer, command("PONG", &body[2..]), "{what}");
            }
        }
    }
}

#[test]
fn t06_every_time_that_a_peer_may_give_itself_is_kept_without_overflow() {
    for case in Case::all() {
        for tenths in [0, 1, 655, 656, u16::MAX] {
            let mut pair = with_heartbeat(&case, beats(0, 0, 0), beats(0, 0, 0));
            speak(&mut pair.client, "PING", &tenths.to_be_bytes());
            pair.drive();
            let ttl = Duration::from_millis(u64::from(tenths) * 100);
            let due = (tenths > 0).then_some(pair.now + ttl);
            assert_eq!(
                pair.server.engine.poll_timeout(),
                due,
                "{} {tenths}",
                case.name
            );
        }
    }
}

#[test]
fn t06_pings_without_end_are_answered_while_somebody_reads_the_answers() {
    for case in Case::all() {
        let mut pair = case.up();
        pair.server.sent();
        let mut most = 0;
        for _ in 0..1000 {
            for _ in 0..10 {
                speak(&mut pair.client, "PING", b"\0\0context");
            }
            let octets = pair.client.sent();
            pair.server.receive(&octets, pair.now);
            most = most.max(pair.server.engine.outbound.octets());
        }
        assert_eq!(pair.server.error, None, "{}", case.name);
        assert!(most > 0 && most <= 16 * 64, "{} {most}", case.name);

        pair.drive();
        speak(&mut pair.client, "PING", b"\0\0again");
        let before = pair.server.out.record.len();
        pair.drive();
        assert!(
            pair.server.out.record.len() > before,
            "{}: it answers again",
            case.name
        );
    }
}

#[test]
fn a_ping_between_the_frames_of_a_message_does_not_part_them() {
    let mut pair = Case::null().up();
    let octets = [frame(1, b"a"), command("PING", &[0, 0]), frame(0, b"b")].concat();
    pair.server.receive(&octets, pair.now);
    assert_eq!(pair.server.messages, [["a", "b"].into()]);
}
