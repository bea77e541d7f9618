//! Random octets and random edits. A failure prints the input that proptest shrank it to.

use std::time::Instant;

use proptest::prelude::*;

use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::Side;
use crate::engine::tests::transcript::{State, command, frame};
use crate::engine::tests::wire::Fault;
use crate::message::Message;
use crate::socket_type::SocketType;

const NAMES: [&str; 7] = [
    "HELLO", "WELCOME", "INITIATE", "READY", "MESSAGE", "ERROR", "PING",
];

/// Octets that get further than noise does: noise, frames of noise, and commands of noise.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let noise = || prop::collection::vec(any::<u8>(), 0..200);
    let piece = prop_oneof![
        noise(),
        (0..8_u8, noise()).prop_map(|(flags, body)| frame(flags & !2, &body)),
        (prop::sample::select(&NAMES[..]), noise()).prop_map(|(name, body)| command(name, &body)),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn faults(within: usize) -> impl Strategy<Value = Vec<(usize, Fault)>> {
    let fault = prop_oneof![
        (1..200_usize).prop_map(Fault::Drop),
        (1..200_usize).prop_map(Fault::Repeat),
        (1..=255_u8).prop_map(Fault::Flip),
        prop::collection::vec(any::<u8>(), 1..100).prop_map(Fault::Insert),
    ];
    prop::collection::vec((0..within, fault), 1..4)
}

fn messages() -> Vec<Message> {
    let mut messages: Vec<Message> = (0..20_u8).map(|i| vec![i; usize::from(i)].into()).collect();
    messages.extend((0..10_u8).map(|i| Message::from([vec![i], vec![i; 30], vec![!i]])));
    messages
}

/// Only a beginning of what was sent has arrived, unchanged and in order.
fn is_beginning(side: &Side) -> bool {
    messages().starts_with(&side.messages)
}

/// Tells an engine in this state these octets in two reads, and then that the peer has gone.
fn told(state: &State, octets: &[u8], cut: usize) -> Side {
    let now = Instant::now();
    let mut side = state.side(now);
    let (head, tail) = octets.split_at(cut.min(octets.len()));
    side.receive(head, now);
    side.receive(tail, now);
    side.tick(now);
    side.close();
    assert!(!side.engine.wants_input());
    side
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_octets_never_panic_and_make_no_engine_ready(
        octets in octets(),
        cut in 0..400_usize,
    ) {
        for state in State::all() {
            let side = told(&state, &octets, cut);
            prop_assert!(state.is_ready() || side.ready.is_none(), "{}", state.what);
            let in_clear = state.is_ready() && !state.case.is_sealed();
            prop_assert!(in_clear || side.messages.is_empty(), "{}", state.what);
            prop_assert!(in_clear || side.subscriptions.is_empty(), "{}", state.what);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_edits_of_sealed_traffic_deliver_nothing_changed_or_out_of_order(
        faults in faults(2600),
        from_client: bool,
    ) {
        let mut pair = Case::curve().up();
        let (speaker, listener) = if from_client {
            (&mut pair.client, Role::Server)
        } else {
            (&mut pair.server, Role::Client)
        };
        let start = speaker.out.record.len();
        speaker.out.faults = faults.into_iter().map(|(at, fault)| (start + at, fault)).collect();
        speaker.send(messages());
        pair.drive();
        let listener = match listener {
            Role::Client => &pair.client,
            Role::Server => &pair.server,
        };
        prop_assert!(is_beginning(listener), "{:?}", listener.log);
    }

    #[test]
    fn random_edits_of_a_curve_handshake_let_nobody_in_under_another_name(
        faults in faults(700),
        from_client: bool,
    ) {
        let honest = Case::curve().up();
        let mut pair = Case::curve().pair(SocketType::Dealer, SocketType::Dealer);
        let speaker = if from_client { &mut pair.client } else { &mut pair.server };
        speaker.out.faults = faults;
        pair.drive();
        pair.client.send(messages());
        pair.server.send(messages());
        pair.drive();
        for (side, honest) in [(&pair.client, &honest.client), (&pair.server, &honest.server)] {
            prop_assert!(is_beginning(side), "{:?}", side.log);
            if let (Some(peer), Some(known)) = (&side.ready, &honest.ready) {
                prop_assert_eq!(peer.key, known.key);
                prop_assert_eq!(&peer.name, &known.name);
                prop_assert_eq!(peer.socket_type, known.socket_type);
            }
        }
    }
}
