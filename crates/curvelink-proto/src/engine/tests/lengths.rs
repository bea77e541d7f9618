//! Every length that a peer can announce, in every state.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::engine::config::{EngineConfig, Limits};
use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::{Pair, Side};
use crate::engine::tests::transcript::{State, body, command, frame};
use crate::error::ProtocolError;
use crate::event::Reason;
use crate::socket_type::SocketType;
use crate::wire::metadata;

/// The most that a peer may make us set aside by words alone.
const ROOM: usize = 64 * 1024;

/// The largest frame before Ready, and after it by default.
const HANDSHAKE_LIMIT: u64 = 16 << 10;
const TRAFFIC_LIMIT: u64 = 16 << 20;

fn lengths() -> impl Iterator<Item = u64> {
    let around = |bit: u32| [(1 << bit) - 1, 1_u64 << bit, (1 << bit) + 1];
    [0, 1, 254, 255, 256, 257]
        .into_iter()
        .chain([16, 31, 32, 63].into_iter().flat_map(around))
        .chain([u64::MAX])
}

/// Headers with these flags for one length: the long form, and the short where there is one.
fn headers(flags: u8, length: u64) -> Vec<Vec<u8>> {
    let long = [&[flags | 2][..], &length.to_be_bytes()].concat();
    let short = u8::try_from(length).map(|length| vec![flags, length]);
    [Ok(long), short].into_iter().flatten().collect()
}

/// Sends the body that was announced, of zeroes, while it is taken.
fn send_body(side: &mut Side, length: u64, now: Instant) {
    let mut left = usize::try_from(length).unwrap();
    while left > 0 && side.error.is_none() {
        let step = left.min(1000);
        side.receive(&[0; 1000][..step], now);
        left -= step;
    }
}

#[test]
fn t03_lengths_over_the_limit_close_at_the_header_and_nothing_is_set_aside() {
    let now = Instant::now();
    for state in State::all() {
        for (flags, length) in [0, 1, 4]
            .into_iter()
            .flat_map(|flags| lengths().map(move |length| (flags, length)))
        {
            for header in headers(flags, length) {
                let what = format!("{}: {header:02x?}", state.what);
                let mut side = state.side(now);
                side.receive(&header, now);
                let limit = if state.is_ready() {
                    TRAFFIC_LIMIT
                } else {
                    HANDSHAKE_LIMIT
                };
                if length > limit || state.heard == 0 {
                    let reason = side.error.as_ref().expect(&what).reason();
                    assert_eq!(reason == Reason::TooLarge, state.heard > 0, "{what}");
                    assert!(side.engine.read_buf().capacity() < ROOM, "{what}");
                    continue;
                }
                send_body(&mut side, length, now);
                // Zeroes are a message, and in clear only that.
                let is_message = state.is_ready() && !state.case.is_sealed() && flags != 4;
                assert_eq!(side.error.is_none(), is_message, "{what}");
                assert_eq!(
                    side.messages.len(),
                    usize::from(is_message && flags == 0),
                    "{what}"
                );
                assert!(state.is_ready() || side.ready.is_none(), "{what}");
                let allowed = if state.is_ready() { 4 * ROOM } else { ROOM };
                assert!(side.engine.read_buf().capacity() < allowed, "{what}");
            }
        }
    }
}

#[test]
fn t03_without_a_limit_an_announcement_still_costs_one_large_read_at_most() {
    for case in Case::all() {
        for length in lengths().filter(|length| *length > 257) {
            let mut config = case.config(Role::Server, SocketType::Dealer);
            config.limits = Limits {
                message: usize::MAX,
                ..Limits::default()
            };
            let client = case.config(Role::Client, SocketType::Dealer);
            let mut pair = Pair::new(client, config);
            pair.drive();
            let mut octets = headers(0, length).remove(0);
            octets.extend([0; 500]);
            pair.server.receive(&octets, pair.now);
            let fits = usize::try_from(length).is_ok();
            assert_eq!(pair.server.error.is_none(), fits, "{} {length}", case.name);
            assert!(pair.server.messages.is_empty());
            assert!(
                pair.server.engine.read_buf().capacity() <= 3 * ROOM,
                "{length}"
            );
        }
    }
}

#[test]
fn t03_an_announcement_costs_no_more_than_the_frame_before_it_did() {
    const MIB: usize = 1 << 20;
    for case in Case::all() {
        let side = |role| case.config(role, SocketType::Dealer);
        let mut pair = Pair::new(side(Role::Client), side(Role::Server));
        pair.drive();
        pair.client.send([vec![7; MIB]]);
        pair.drive();
        assert_eq!(pair.server.messages.pop().unwrap().octets(), MIB);
        let announced = headers(0, TRAFFIC_LIMIT).remove(0);
        pair.server.receive(&announced, pair.now);
        let room = pair.server.engine.read_buf().capacity();
        assert!((MIB..MIB + ROOM).contains(&room), "{} {room}", case.name);
        // A link that rests begins anew.
        let mut rested = Pair::new(side(Role::Client), side(Role::Server));
        rested.drive();
        rested.client.send([vec![7; MIB]]);
        rested.drive();
        rested.server.messages.clear();
        rested.server.engine.rest();
        rested.server.receive(&announced, rested.now);
        let room = rested.server.engine.read_buf().capacity();
        assert!(room < 3 * ROOM, "{} {room}", case.name);
    }
}

/// Whether an engine goes on after this command.
fn goes_on(state: &State, octets: &[u8]) -> bool {
    let now = Instant::now();
    let mut side = state.side(now);
    side.receive(&frame(4, octets), now);
    side.error.is_none()
}

#[test]
fn t04_every_command_of_the_handshake_has_its_exact_length() {
    let identity = 1 + 8 + 4;
    for state in State::all().iter().filter(|state| state.heard > 0) {
        let Some(genuine) = state.next().map(|frame| body(frame)) else {
            continue;
        };
        let accepted: Vec<usize> = (0..=1024)
            .filter(|length| {
                let mut octets = genuine.to_vec();
                octets.resize(*length, 0);
                goes_on(state, &octets)
            })
            .collect();
        // Metadata in clear may end where the first of our two properties does.
        let in_clear =
            !state.case.is_sealed() && matches!(state.next_name(), Some("READY" | "INITIATE"));
        let mut expected = vec![genuine.len()];
        if in_clear {
            expected.insert(0, genuine.len() - identity);
        }
        assert_eq!(accepted, expected, "{}", state.what);
    }
}

#[test]
fn t04_an_error_of_any_length_ends_the_handshake() {
    let now = Instant::now();
    for state in State::all() {
        let Some(_) = state.next().filter(|_| state.heard > 0) else {
            continue;
        };
        for length in 0..=1024_usize {
            let mut octets = b"\x05ERROR\x03400".to_vec();
            octets.resize(length, b'0');
            let mut side = state.side(now);
            side.receive(&frame(4, &octets), now);
            let expected = match length {
                0..=5 => ProtocolError::Malformed("command"),
                10 => ProtocolError::RefusedByPeer { status: Some(400) },
                _ => ProtocolError::RefusedByPeer { status: None },
            };
            assert_eq!(side.error, Some(expected), "{} {length}", state.what);
            assert!(side.sent().is_empty());
        }
    }
}

/// Metadata of a DEALER in exactly so many octets, if there is such; else of nothing.
fn metadata_of(octets: usize) -> (Bytes, bool) {
    let mut encoded = BytesMut::new();
    metadata::write(&mut encoded, metadata::SOCKET_TYPE, b"DEALER");
    match octets.checked_sub(encoded.len()) {
        Some(0) => {}
        Some(rest @ 6..) => metadata::write(&mut encoded, "X", &vec![b'v'; rest - 6]),
        _ => return (vec![0; octets].into(), false),
    }
    (encoded.freeze(), octets <= 8192)
}

#[test]
fn t04_metadata_in_clear_has_8_kib_at_most() {
    let now = Instant::now();
    let states = State::all();
    let in_clear = |state: &&State| {
        !state.case.is_sealed() && matches!(state.next_name(), Some("READY" | "INITIATE"))
    };
    for (row, state) in states.iter().filter(in_clear).enumerate() {
        // Every length once, and for the other states a sample that meets every boundary.
        let step = if row == 0 { 1 } else { 127 };
        for octets in (0..8400).chain((8400..=70_000).step_by(step)) {
            let (metadata, fits) = metadata_of(octets);
            let mut side = state.side(now);
            side.receive(&command(state.next_name().unwrap(), &metadata), now);
            assert_eq!(side.error.is_none(), fits, "{} {octets}", state.what);
            assert_eq!(side.ready.is_some(), fits, "{} {octets}", state.what);
            assert!(
                side.engine.read_buf().capacity() < ROOM,
                "{} {octets}",
                state.what
            );
        }
    }
}

#[test]
fn t04_metadata_in_boxes_has_8_kib_at_most() {
    let boundaries = [
        0, 21, 22, 23, 27, 28, 8191, 8192, 8193, 16_000, 16_384, 70_000,
    ];
    for octets in boundaries.into_iter().chain((0..70_000).step_by(997)) {
        for role in Role::BOTH {
            let (metadata, fits) = metadata_of(octets);
            let mut pair = Case::curve().pair(SocketType::Dealer, SocketType::Dealer);
            let (speaker, listener) = match role {
                Role::Client => (&mut pair.client, Role::Server),
                Role::Server => (&mut pair.server, Role::Client),
            };
            speaker.engine.metadata = metadata;
            pair.drive();
            let listener = match listener {
                Role::Client => &mut pair.client,
                Role::Server => &mut pair.server,
            };
            assert_eq!(listener.ready.is_some(), fits, "{role:?} {octets}");
            // What is too long is not even asked about.
            assert_eq!(
                listener.asked.len(),
                usize::from(fits && role == Role::Client)
            );
            assert!(
                listener.engine.read_buf().capacity() < ROOM,
                "{role:?} {octets}"
            );
        }
    }
}

#[test]
fn a_message_that_fills_the_limit_is_taken_and_one_octet_more_is_not() {
    for case in Case::all() {
        for (octets, taken) in [(5000, true), (5001, false)] {
            let server = EngineConfig {
                limits: Limits {
                    message: 5000,
                    ..Limits::default()
                },
                ..case.config(Role::Server, SocketType::Dealer)
            };
            let mut pair = Pair::new(case.config(Role::Client, SocketType::Dealer), server);
            pair.drive();
            pair.client.send([vec![7; octets]]);
            pair.drive();
            assert_eq!(
                pair.server.messages.len(),
                usize::from(taken),
                "{}",
                case.name
            );
            let reason = pair.server.error.map(|error| error.reason());
            assert_eq!(
                reason,
                (!taken).then_some(Reason::TooLarge),
                "{}",
                case.name
            );
        }
    }
}
