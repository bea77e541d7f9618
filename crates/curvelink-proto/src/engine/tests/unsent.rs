//! Messages outlive connections: each arrives once, however often the wire breaks.

use proptest::prelude::*;

use crate::backlog::Backlog;
use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::Pair;
use crate::engine::tests::wire::Cut;
use crate::frame::Frame;
use crate::message::Message;
use crate::socket_type::SocketType;

fn pair(case: &Case, cut: Cut, breaks_at: Option<usize>) -> Pair {
    let mut pair = Pair::new(
        case.config(Role::Client, SocketType::Push),
        case.config(Role::Server, SocketType::Pull),
    )
    .cut(cut);
    pair.client.out.breaks_at = breaks_at;
    pair.drive();
    pair
}

/// Sends over one wire after the other, each of which breaks after so many octets, and at last
/// over one that holds; gives what arrived, and how many messages were counted as written.
fn send(case: &Case, cut: Cut, messages: &[Message], breaks: &[usize]) -> (Vec<Message>, usize) {
    let mut backlog = Backlog::new();
    for message in messages {
        backlog.push(message);
    }
    let (mut arrived, mut written) = (Vec::new(), 0);
    for breaks_at in breaks.iter().copied().map(Some).chain([None]) {
        let mut pair = pair(case, cut, breaks_at);
        // A driver asks for room first: before Ready there is none.
        if pair.client.engine.backlog_room() {
            pair.client.engine.send(backlog.take()).unwrap();
            pair.drive();
            backlog = pair.client.engine.take_unsent();
        }
        written += pair.client.written;
        arrived.append(&mut pair.server.messages);
    }
    assert!(backlog.is_empty() && backlog.octets() == 0);
    (arrived, written)
}

fn message() -> impl Strategy<Value = Message> {
    let size = prop_oneof![0..70_usize, 250..260_usize, 4090..4100_usize, Just(9000)];
    let frame = (size, any::<u8>()).prop_map(|(size, octet)| Frame::from(vec![octet; size]));
    prop::collection::vec(frame, 1..4).prop_map(Message::from)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn each_message_arrives_once_and_in_order_over_wires_that_break_anywhere(
        messages in prop::collection::vec(message(), 0..12),
        breaks in prop::collection::vec(0..20_000_usize, 0..4),
        in_octets: bool,
    ) {
        let cut = if in_octets { Cut::Octets } else { Cut::Whole };
        for case in Case::all() {
            let (arrived, written) = send(&case, cut, &messages, &breaks);
            prop_assert_eq!(&arrived, &messages, "{}", case.name);
            prop_assert_eq!(written, messages.len(), "{}", case.name);
        }
    }
}

#[test]
fn a_wire_that_breaks_at_each_octet_in_turn_loses_and_doubles_nothing() {
    let messages: Vec<Message> = vec!["a".into(), ["b", "", "c"].into(), vec![7; 4096].into()];
    for case in [Case::null(), Case::curve()] {
        let whole = {
            let mut pair = pair(&case, Cut::Whole, None);
            pair.client.send(messages.clone());
            pair.drive();
            pair.client.out.record.len()
        };
        let around_the_large_body = whole - 4000..whole - 100;
        for breaks_at in (0..=whole).filter(|at| !around_the_large_body.contains(at)) {
            let (arrived, _) = send(&case, Cut::Whole, &messages, &[breaks_at]);
            assert_eq!(arrived, messages, "{} {breaks_at}", case.name);
        }
    }
}

#[test]
fn subscriptions_that_were_not_written_come_back_too() {
    for case in Case::all() {
        let pair = |breaks_at| {
            let mut pair = case.pair(SocketType::Sub, SocketType::Pub);
            pair.drive();
            pair.client.out.breaks_at = breaks_at;
            pair
        };
        let mut broken = pair(Some(pair(None).client.out.record.len() + 3));
        let mut backlog = Backlog::new();
        backlog.push_subscription(b"x", true);
        backlog.push_subscription(b"y", true);
        broken.client.engine.send(backlog).unwrap();
        broken.drive();
        assert!(broken.server.subscriptions.is_empty());
        let mut next = pair(None);
        next.client
            .engine
            .send(broken.client.engine.take_unsent())
            .unwrap();
        next.drive();
        let expected = [(true, "x".into()), (true, "y".into())];
        assert_eq!(next.server.subscriptions, expected, "{}", case.name);
    }
}

#[test]
fn what_the_engine_says_itself_does_not_come_back() {
    for case in Case::all() {
        let mut side = case.up().client;
        side.sent();
        side.send(["a", "b"]);
        let first = side.engine.take_unsent();
        assert_eq!(first.len(), 2, "{}", case.name);
        assert!(!side.engine.wants_output() && side.engine.take_unsent().is_empty());
    }
}
