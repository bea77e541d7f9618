//! STREAM: no greeting, no handshake, no framing.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backlog::Backlog;
use crate::engine::config::EngineConfig;
use crate::engine::events::MAX_EVENTS;
use crate::engine::tests::case::{Case, Role};
use crate::engine::{Engine, Event};
use crate::entropy::OsEntropy;
use crate::event::{Reason, Stage};
use crate::peer::PeerAddress;
use crate::socket_type::SocketType;

fn engine(config: EngineConfig, now: Instant) -> Engine {
    let entropy = Box::new(OsEntropy);
    let config = Arc::new(config);
    Engine::new(config, PeerAddress::Inproc, "here".into(), entropy, now)
}

fn stream(set: impl FnOnce(&mut EngineConfig)) -> Engine {
    let mut config = Case::null().config(Role::Client, SocketType::Stream);
    set(&mut config);
    engine(config, Instant::now())
}

fn read(engine: &mut Engine, octets: &[u8]) {
    engine.read_buf().extend_from_slice(octets);
    engine.handle_input(Instant::now()).unwrap();
}

fn messages(engine: &mut Engine) -> Vec<Vec<u8>> {
    let events = std::iter::from_fn(|| engine.poll_event());
    let frames = events.flat_map(|event| match event {
        Event::Messages(messages) => {
            assert!(messages.iter().all(|message| message.len() == 1));
            let bodies = messages
                .iter()
                .map(|message| message.first().unwrap().to_vec());
            bodies.collect()
        }
        Event::Ready(_) => vec![b"ready".to_vec()],
        other => panic!("{other:?}"),
    });
    frames.collect()
}

#[test]
fn a_stream_is_ready_at_once_says_nothing_and_waits_for_ever() {
    let mut engine = stream(|_| {});
    assert_eq!(
        (engine.stage(), engine.wants_output()),
        (Stage::Traffic, false)
    );
    assert!(engine.wants_input() && engine.backlog_room());
    assert_eq!(messages(&mut engine), [b"ready"]);
    let peer = engine.peer().unwrap();
    assert!(peer.key.is_none() && peer.name.is_none() && peer.routing_id.is_empty());
    assert_eq!(engine.poll_timeout(), None);
    let later = Instant::now() + Duration::from_secs(1 << 20);
    engine.handle_timeout(later).unwrap();
    assert!(!engine.wants_output(), "no PING");
    assert!(engine.handle_close().is_none());
}

#[test]
fn what_a_read_gives_is_a_message_even_if_it_looks_like_zmtp() {
    let mut engine = stream(|_| {});
    messages(&mut engine);
    let greeting = [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 1];
    for octets in [
        &b"GET / HTTP/1.0\r\n\r\n"[..],
        &greeting,
        b"\x04\x05\x04PING",
    ] {
        read(&mut engine, octets);
        assert_eq!(messages(&mut engine), [octets]);
    }
    assert!(!engine.wants_output(), "nothing is answered");
}

#[test]
fn a_read_over_the_limit_is_several_messages_and_their_number_is_bounded() {
    let mut engine = stream(|config| config.limits.message = 2);
    messages(&mut engine);
    read(&mut engine, b"abcde");
    assert_eq!(messages(&mut engine), [&b"ab"[..], b"cd", b"e"]);
    let mut engine = stream(|config| config.limits.message = 0);
    messages(&mut engine);
    read(&mut engine, &vec![b'x'; MAX_EVENTS + 1]);
    assert!(engine.holds_input());
    assert_eq!(messages(&mut engine).len(), MAX_EVENTS);
    engine.handle_input(Instant::now()).unwrap();
    assert_eq!(messages(&mut engine), [b"x"]);
    assert!(!engine.holds_input());
}

#[test]
fn bodies_are_written_as_they_are() {
    let mut engine = stream(|_| {});
    let mut backlog = Backlog::new();
    backlog.push(&"one ".into());
    backlog.push(
        &vec!["two", " and three"]
            .into_iter()
            .map(Into::into)
            .collect(),
    );
    engine.send(backlog).unwrap();
    let mut slices = [IoSlice::new(&[]); 4];
    let shown = engine.poll_transmit(&mut slices);
    let written: Vec<u8> = slices[..shown].iter().flat_map(|s| s.to_vec()).collect();
    assert_eq!(written, b"one two and three");
    assert_eq!(engine.advance_transmit(17).messages, 2);
}

#[test]
fn a_stream_that_was_told_to_keep_strangers_out_lets_nobody_in() {
    for case in Case::asking() {
        for role in Role::BOTH {
            let mut config = case.config(role, SocketType::Stream);
            config.zap_domain = case.domain.into();
            let mut engine = engine(config, Instant::now());
            assert_eq!(engine.stage(), Stage::Greeting, "{}", case.name);
            engine
                .read_buf()
                .extend_from_slice(b"GET / HTTP/1.0\r\n\r\n");
            let error = engine.handle_input(Instant::now()).unwrap_err();
            assert_eq!(error.reason(), Reason::NotZmtp, "{}", case.name);
            assert!(messages(&mut engine).is_empty());
        }
    }
}
