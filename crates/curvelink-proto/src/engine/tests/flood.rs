//! Peers that send much, or announce it, and what it can make us hold.

use crate::engine::Event;
use crate::engine::config::{EngineConfig, Limits};
use crate::engine::events::MAX_EVENTS;
use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::{Pair, Side};
use crate::engine::tests::transcript::{command, frame};
use crate::engine::tests::wire::Cut;
use crate::error::ProtocolError;
use crate::event::Reason;
use crate::frame::Frame;
use crate::message::Message;
use crate::socket_type::SocketType;

/// What an engine may hold of a peer that sends nothing large.
const SMALL: usize = 64 * 1024;

fn up(case: &Case, kind: SocketType, peer: SocketType, limits: Limits) -> Pair {
    let server = EngineConfig {
        limits,
        ..case.config(Role::Server, kind)
    };
    let mut pair = Pair::new(case.config(Role::Client, peer), server);
    pair.drive();
    assert!(pair.is_up(), "{}", case.name);
    pair
}

fn dealers(case: &Case, limits: Limits) -> Pair {
    up(case, SocketType::Dealer, SocketType::Dealer, limits)
}

fn capacity(side: &mut Side) -> usize {
    side.engine.read_buf().capacity()
}

#[test]
fn t18_a_message_has_so_many_frames_and_no_more() {
    for case in Case::all() {
        for cut in Cut::BOTH {
            let limits = Limits {
                frames: 100,
                ..Limits::default()
            };
            for (frames, taken) in [(100, true), (101, false)] {
                let mut pair = dealers(&case, limits).cut(cut);
                pair.client.send([vec![Frame::from("x"); frames]]);
                pair.drive();
                let error = (!taken).then_some(ProtocolError::TooManyFrames { limit: 100 });
                assert_eq!(pair.server.error, error, "{} {frames}", case.name);
                assert_eq!(pair.server.messages.len(), usize::from(taken));
            }
        }
    }
}

#[test]
fn t18_a_flood_of_frames_that_never_ends_is_cut_at_the_default_limit() {
    let mut pair = dealers(&Case::null(), Limits::default());
    let flood = frame(1, b"x").repeat(1000);
    for _ in 0..1000 {
        pair.server.receive(&flood, pair.now);
    }
    assert_eq!(
        pair.server.error,
        Some(ProtocolError::TooManyFrames { limit: 1024 })
    );
    assert!(pair.server.messages.is_empty());
    assert!(pair.server.engine.inbound.held() <= 1024);
    assert!(capacity(&mut pair.server) < SMALL);
}

#[test]
fn t18_tiny_messages_wait_as_octets_and_not_as_events() {
    let mut pair = dealers(&Case::null(), Limits::default());
    let engine = &mut pair.server.engine;
    for i in 0..10_000_u32 {
        engine
            .read_buf()
            .extend_from_slice(&frame(0, &i.to_be_bytes()));
    }
    let mut expected = 0_u32..10_000;
    loop {
        engine.handle_input(pair.now).unwrap();
        let waiting = engine.events.waiting();
        assert!(waiting <= MAX_EVENTS, "{waiting}");
        while let Some(Event::Messages(messages)) = engine.poll_event() {
            for message in messages {
                let number = expected.next().unwrap().to_be_bytes();
                assert_eq!(message.first().unwrap()[..], number);
            }
        }
        if !engine.holds_input() {
            break;
        }
    }
    assert_eq!(expected.next(), None);
}

/// Whether the frame is all that keeps its memory alive.
fn is_alone(side: &mut Side) -> bool {
    let message = side.messages.pop().unwrap();
    message.first().unwrap().as_shared().unwrap().is_unique()
}

#[test]
fn t18_a_small_message_does_not_keep_the_buffer_of_a_large_frame_alive() {
    const MIB: usize = 1 << 20;
    for case in Case::all() {
        let mut pair = dealers(&case, Limits::default());
        pair.client.send([vec![7; 200]]);
        pair.drive();
        assert!(!is_alone(&mut pair.server), "{}: a slice", case.name);
        for _ in 0..3 {
            pair.client.send([vec![7; MIB], vec![7; 200]]);
            pair.client.send([vec![7; 70_000]]);
            pair.drive();
            for _ in 0..2 {
                assert!(is_alone(&mut pair.server), "{}: a copy", case.name);
            }
            pair.server.messages.clear();
        }
    }
}

#[test]
fn t18_the_limit_is_of_the_whole_message_and_not_of_each_frame() {
    for case in Case::all() {
        for cut in Cut::BOTH {
            let limits = Limits {
                message: 1000,
                ..Limits::default()
            };
            for (frames, taken) in [([500, 400, 100], true), ([500, 400, 101], false)] {
                let mut pair = dealers(&case, limits).cut(cut);
                pair.client.send([frames.map(|length| vec![7; length])]);
                pair.drive();
                let reason = pair.server.error.map(|error| error.reason());
                assert_eq!(
                    reason,
                    (!taken).then_some(Reason::TooLarge),
                    "{}",
                    case.name
                );
                assert_eq!(pair.server.messages.len(), usize::from(taken));
            }
            // The count begins anew with each message.
            let mut pair = dealers(&case, limits).cut(cut);
            pair.client
                .send([[vec![7; 600], vec![7; 400]], [vec![7; 400], vec![7; 600]]]);
            pair.drive();
            assert_eq!(pair.server.messages.len(), 2, "{}", case.name);
        }
    }
}

#[test]
fn t18_commands_that_mean_nothing_take_no_memory() {
    let mut pair = dealers(&Case::null(), Limits::default());
    let flood = command("X", b"").repeat(1000);
    for _ in 0..100 {
        pair.server.receive(&flood, pair.now);
    }
    assert_eq!(pair.server.error, None);
    assert!(pair.server.sent().is_empty());
    assert!(capacity(&mut pair.server) < SMALL);
    assert_eq!(pair.server.engine.inbound.held(), 0);
    assert!(pair.server.engine.events.capacity() < 100);
}

#[test]
fn t18_subscriptions_to_a_socket_that_has_none_take_no_memory() {
    for kind in SocketType::ALL.iter().filter(|kind| !kind.is_publisher()) {
        let peer = SocketType::ALL.iter().find(|peer| kind.talks_to(**peer));
        let Some(peer) = peer else { continue };
        let mut pair = up(&Case::null(), *kind, *peer, Limits::default());
        let flood = [command("SUBSCRIBE", b"x"), command("CANCEL", b"y")].concat();
        for _ in 0..1000 {
            pair.server.receive(&flood, pair.now);
        }
        assert!(
            pair.server.subscriptions.is_empty() && pair.server.error.is_none(),
            "{kind}"
        );
        assert!(capacity(&mut pair.server) < SMALL);
    }
}

#[test]
fn t18_prefixes_of_subscriptions_have_a_limit_in_both_forms() {
    for case in Case::all() {
        for (length, taken) in [(4096, true), (4097, false)] {
            let mut pair = up(&case, SocketType::Xpub, SocketType::Xsub, Limits::default());
            pair.client.subscribe(true, &vec![b'x'; length]);
            pair.drive();
            assert_eq!(pair.server.subscriptions.len(), usize::from(taken));
            assert_eq!(pair.server.error.is_none(), taken, "{} command", case.name);

            let mut pair = up(&case, SocketType::Pub, SocketType::Xsub, Limits::default());
            pair.client.send([[&[1][..], &vec![b'x'; length]].concat()]);
            pair.drive();
            assert_eq!(pair.server.subscriptions.len(), usize::from(taken));
            let reason = pair.server.error.map(|error| error.reason());
            assert_eq!(
                reason,
                (!taken).then_some(Reason::TooLarge),
                "{} message",
                case.name
            );
        }
    }
}

#[test]
fn t18_four_gibibytes_that_were_only_announced_are_refused_at_once() {
    for case in Case::all() {
        let mut pair = dealers(&case, Limits::default());
        let mut octets = vec![2];
        octets.extend((4_u64 << 30).to_be_bytes());
        octets.extend([0; 1024]);
        pair.server.receive(&octets, pair.now);
        assert_eq!(
            pair.server.error.as_ref().unwrap().reason(),
            Reason::TooLarge
        );
        assert!(capacity(&mut pair.server) < SMALL, "{}", case.name);
    }
}

#[test]
fn t09_what_is_sent_to_those_who_only_send_is_not_kept() {
    for case in Case::all() {
        for (kind, peer) in [
            (SocketType::Push, SocketType::Pull),
            (SocketType::Pub, SocketType::Xsub),
        ] {
            let mut pair = up(&case, kind, peer, Limits::default());
            for _ in 0..100 {
                pair.client
                    .send([[vec![7; 500], vec![7; 500]], [vec![8; 500], vec![9; 500]]]);
                pair.drive();
            }
            assert!(pair.server.messages.is_empty(), "{} {kind}", case.name);
            let counted = [(); 2].map(|()| pair.server.engine.take_unwanted());
            assert_eq!(counted, [200, 0], "{} {kind}", case.name);
            assert!(pair.server.subscriptions.is_empty() && pair.server.error.is_none());
            assert!(capacity(&mut pair.server) < SMALL, "{} {kind}", case.name);
            assert!(pair.server.engine.events.capacity() < 100);
        }
        let mut pair = dealers(&case, Limits::default());
        pair.client.send(["kept"]);
        pair.drive();
        assert_eq!(pair.server.messages, ["kept".into()]);
        assert_eq!(pair.server.engine.take_unwanted(), 0);
    }
}

#[test]
fn t09_not_even_the_start_of_it_is_held() {
    for (kind, peer, holds) in [
        (SocketType::Push, SocketType::Pull, false),
        (SocketType::Pub, SocketType::Xsub, false),
        (SocketType::Xpub, SocketType::Xsub, true),
        (SocketType::Pull, SocketType::Push, true),
    ] {
        let mut pair = up(&Case::null(), kind, peer, Limits::default());
        for _ in 0..1000 {
            pair.server.receive(&frame(1, &[7; 1000]), pair.now);
        }
        let held = pair.server.engine.inbound.held();
        assert_eq!(held, if holds { 1_000_000 } else { 0 }, "{kind}");
    }
}

#[test]
fn every_receiving_type_gets_whole_messages_of_empty_small_and_large_frames() {
    for case in Case::all() {
        for cut in Cut::BOTH {
            let mut pair =
                up(&case, SocketType::Pull, SocketType::Push, Limits::default()).cut(cut);
            let sizes = [0, 1, 62, 63, 254, 255, 256, 4095, 4096, 5000];
            let messages = sizes.map(|size| Message::from([vec![1; size], vec![], vec![2; size]]));
            pair.client.send(messages.clone());
            pair.client.send(["after".to_owned()]);
            pair.drive();
            assert_eq!(
                pair.server.messages[..sizes.len()],
                messages,
                "{} {cut:?}",
                case.name
            );
            assert_eq!(pair.server.messages[sizes.len()..], ["after".into()]);
            assert_eq!(pair.client.written, sizes.len() + 1);
        }
    }
}
