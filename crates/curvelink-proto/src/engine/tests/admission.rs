//! The policy's verdict: who is let in, what the others are told, and that nothing passes before.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::engine::config::OnDeny;
use crate::engine::tests::case::{CLIENT, Case, Role, keys};
use crate::engine::tests::pair::Pair;
use crate::engine::tests::transcript::{Transcript, frame};
use crate::engine::tests::wire::Cut;
use crate::error::ProtocolError;
use crate::event::{Reason, Side as Who, Stage};
use crate::message::Message;
use crate::rights::{Rights, RoutingIds, SocketTypes, Topics};
use crate::socket_type::SocketType;
use crate::zap::{Credentials, ZapReply};

/// A pair whose server gets this verdict, or none.
fn judged(case: &Case, verdict: Option<ZapReply>, on_deny: OnDeny, cut: Cut) -> Pair {
    let mut server = case.config(Role::Server, SocketType::Pull);
    server.on_deny = on_deny;
    let client = case.config(Role::Client, SocketType::Push);
    let mut pair = Pair::new(client, server).cut(cut);
    pair.server.verdict = verdict;
    pair.drive();
    pair
}

/// What the server wrote after the policy was asked.
fn told(case: &Case, pair: &Pair) -> Vec<u8> {
    let undecided = judged(case, None, OnDeny::Error, Cut::Whole);
    let before = undecided.server.out.record.len();
    pair.server.out.record[before..].to_vec()
}

#[test]
fn t13_only_200_admits_and_the_refused_are_told_the_status_and_no_more() {
    for case in Case::asking() {
        let error = |status: &str| {
            let libzmq_plain = case.name == "plain";
            let name = if libzmq_plain {
                "\x5eRROR\x03"
            } else {
                "\x05ERROR\x03"
            };
            frame(4, &[name, status].concat().into_bytes())
        };
        let verdicts = [
            (ZapReply::temporary(), 300, vec![]),
            (ZapReply::deny(Reason::UnknownKey), 400, error("400")),
            (ZapReply::failed(), 500, error("500")),
        ];
        for (verdict, status, expected) in verdicts {
            for (on_deny, cut) in [OnDeny::Error, OnDeny::Close].into_iter().zip(Cut::BOTH) {
                let what = format!("{} {status} {on_deny:?}", case.name);
                let pair = judged(&case, Some(verdict.clone()), on_deny, cut);
                let silent = on_deny == OnDeny::Close || status == 300;
                let expected = if silent { &[][..] } else { &expected };
                assert_eq!(told(&case, &pair), expected, "{what}");
                assert_refused(&pair, &verdict, status, &what);
                assert_told(&case, &pair, (!silent).then_some(status), &what);
            }
        }
    }
}

/// The server's side of a refusal.
fn assert_refused(pair: &Pair, verdict: &ZapReply, status: u16, what: &str) {
    let server = &pair.server;
    let error = server.error.as_ref().expect(what);
    let reason = verdict.reason;
    assert_eq!(*error, ProtocolError::Denied { status, reason }, "{what}");
    let refusal = server.engine.refusal(error);
    assert_eq!(
        (refusal.by, refusal.stage),
        (Who::Us, Stage::Admission),
        "{what}"
    );
    assert_eq!(
        (refusal.reason, refusal.status),
        (reason, Some(status)),
        "{what}"
    );
    let key = match &server.asked[0].credentials {
        Credentials::Curve(key) => Some(key.fingerprint()),
        _ => None,
    };
    assert_eq!(refusal.fingerprint, key, "{what}");
    assert!(
        server.ready.is_none() && server.messages.is_empty(),
        "{what}"
    );
}

/// The client's side: the status where there was one, else the moment of closing.
fn assert_told(case: &Case, pair: &Pair, status: Option<u16>, what: &str) {
    let error = pair.client.error.as_ref().expect(what);
    let refusal = pair.client.engine.refusal(error);
    assert_eq!(refusal.by, Who::Peer, "{what}");
    assert_eq!(refusal.status, status, "{what}");
    let expected = match status {
        Some(500) => Reason::HandlerError,
        // NULL's READY is sent by both at once: its client cannot tell.
        None if case.name == "null with a domain" => Reason::Closed,
        _ => Reason::Denied,
    };
    assert_eq!(refusal.reason, expected, "{what}");
    assert!(pair.client.ready.is_none(), "{what}");
}

#[test]
fn t13_no_verdict_in_time_is_a_refusal_without_a_word() {
    for case in Case::asking() {
        for cut in Cut::BOTH {
            let mut pair = judged(&case, None, OnDeny::Error, cut);
            assert_eq!(pair.server.engine.stage(), Stage::Admission);
            pair.pass(Duration::from_millis(4999));
            assert_eq!(pair.server.error, None, "{}", case.name);
            pair.pass(Duration::from_millis(1));
            let error = pair.server.error.take().unwrap();
            assert_eq!(error.reason(), Reason::Timeout, "{}", case.name);
            assert_eq!(pair.server.engine.refusal(&error).stage, Stage::Admission);
            assert!(told(&case, &pair).is_empty());

            pair.server
                .decide(ZapReply::admit("late", Rights::all()), pair.now);
            assert!(pair.server.ready.is_none() && told(&case, &pair).is_empty());
        }
    }
}

#[test]
fn t13_a_verdict_at_the_deadline_comes_too_late_though_no_timer_rang() {
    for case in Case::asking() {
        let mut pair = judged(&case, None, OnDeny::Error, Cut::Whole);
        let late = pair.now + Duration::from_secs(5);
        pair.server
            .decide(ZapReply::admit("late", Rights::all()), late);
        assert_eq!(pair.server.error.unwrap().reason(), Reason::Timeout);
        assert!(pair.server.ready.is_none(), "{}", case.name);
    }
}

#[test]
fn t13_no_octet_of_an_application_passes_before_the_verdict() {
    let now = Instant::now();
    for case in Case::asking() {
        let transcript = Transcript::record(&case, Role::Server);
        for verdict in [ZapReply::temporary(), ZapReply::deny(Reason::Denied)] {
            let mut server = transcript.listener(now);
            server.verdict = None;
            // The peer does not wait for us, and neither does our application.
            server.receive(&transcript.octets(), now);
            assert_eq!(server.asked.len(), 1);
            let before = server.sent().len();
            assert!(!server.engine.backlog_room());
            server.send(["our secret"]);
            assert!(server.sent().is_empty() && before > 0, "{}", case.name);
            assert!(server.messages.is_empty() && server.ready.is_none());

            server.decide(verdict, now);
            server.send(["our secret"]);
            let told = server.sent();
            assert!(!told.windows(6).any(|window| window == b"secret"));
            assert!(told.len() < 13, "{}: {told:?}", case.name);
            assert!(server.messages.is_empty() && server.subscriptions.is_empty());
            assert_eq!(server.log.len(), 2, "asked and refused: {:?}", server.log);
        }
    }
}

#[test]
fn an_admitted_peer_has_the_name_and_the_rights_that_the_policy_gave() {
    for case in Case::asking() {
        for cut in Cut::BOTH {
            let rights = Rights::new(Topics::under([b"findings/".to_vec()]), Topics::none());
            let verdict = ZapReply::admit("scanner", rights.clone());
            let pair = judged(&case, Some(verdict), OnDeny::Error, cut);
            let peer = pair.server.ready.as_ref().unwrap();
            assert_eq!(peer.name.as_deref(), Some("scanner"), "{}", case.name);
            assert_eq!(peer.rights, rights);
            let peer = pair.client.ready.as_ref().unwrap();
            assert_eq!((&peer.name, &peer.rights), (&None, &Rights::all()));
        }
    }
}

/// Takes something away.
type Limit = fn(&mut Rights);

/// A pair whose client is a DEALER and asks for the routing id `worker`, with these rights.
fn limited(case: &Case, limit: Limit) -> Pair {
    let mut rights = Rights::all();
    limit(&mut rights);
    let mut client = case.config(Role::Client, SocketType::Dealer);
    client.routing_id = Bytes::from_static(b"worker");
    let mut pair = Pair::new(client, case.config(Role::Server, SocketType::Router));
    pair.server.verdict = Some(ZapReply::admit("scanner", rights));
    pair.drive();
    pair
}

#[test]
fn a_type_and_a_routing_id_that_the_rights_do_not_hold_are_refused_as_the_policy_refuses() {
    for case in Case::asking() {
        let types = |it: &mut Rights| it.socket_types = SocketTypes::NONE.with(SocketType::Req);
        let ids = |it: &mut Rights| it.routing_ids = RoutingIds::listed([Bytes::from("worker2")]);
        let refused: [(Limit, Reason); 3] = [
            (types, Reason::PatternDenied),
            (ids, Reason::RoutingIdDenied),
            (
                |it| it.routing_ids = RoutingIds::none(),
                Reason::RoutingIdDenied,
            ),
        ];
        for (limit, reason) in refused {
            let what = format!("{} {reason}", case.name);
            let pair = limited(&case, limit);
            let error = pair.server.error.as_ref().expect(&what);
            let status = 400;
            assert_eq!(*error, ProtocolError::Denied { status, reason }, "{what}");
            assert!(pair.server.ready.is_none(), "{what}");
            // NULL's READY has gone out by then: that client sees a close.
            if case.name != "null with a domain" {
                assert_told(&case, &pair, Some(status), &what);
            }
        }
        let enough: [Limit; 2] = [
            |it| it.socket_types = SocketTypes::NONE.with(SocketType::Dealer),
            |it| it.routing_ids = RoutingIds::listed([Bytes::from("worker")]),
        ];
        for limit in enough {
            let pair = limited(&case, limit);
            assert!(pair.is_up(), "{}", case.name);
            assert_eq!(pair.server.ready.unwrap().routing_id, "worker");
        }
    }
}

#[test]
fn where_no_policy_is_asked_nobody_has_a_name() {
    let pair = Case::null().up();
    for side in [&pair.client, &pair.server] {
        assert!(side.asked.is_empty());
        assert_eq!(side.ready.as_ref().unwrap().name, None);
    }
}

#[test]
fn each_side_knows_and_tells_what_seals_its_frames() {
    for case in Case::all() {
        let pair = case.up();
        let [client, server] = [&pair.client, &pair.server].map(|side| side.ready.clone().unwrap());
        let told = server.to_string();
        if case.is_sealed() {
            assert_eq!(client.cipher, Some("dryoc"));
            assert_eq!(server.cipher, Some("rustcrypto"));
            assert!(told.contains("192.0.2.2:999 (CURVE, rustcrypto)"), "{told}");
        } else {
            assert_eq!((client.cipher, server.cipher), (None, None));
            let mechanism = case.server.name();
            assert!(
                told.contains(&format!("192.0.2.2:999 ({mechanism})")),
                "{told}"
            );
        }
    }
}

#[test]
fn the_question_names_the_domain_the_address_and_the_endpoint() {
    for case in Case::asking() {
        let pair = judged(&case, None, OnDeny::Error, Cut::Octets);
        let [question] = &pair.server.asked[..] else {
            panic!("{:?}", pair.server.asked);
        };
        assert_eq!(
            (&*question.domain, &*question.endpoint),
            ("global", "tcp://*:1")
        );
        assert_eq!(question.address.to_string(), "192.0.2.2:999");
        assert_eq!(question.mechanism, case.server.name());
        let credentials = format!("{:?}", question.credentials);
        let expected = match case.name {
            "plain" => "Plain { username: b\"scanner\", password: Password(..) }".to_owned(),
            "curve" => format!("Curve({:?})", keys(CLIENT).public()),
            _ => "Null".to_owned(),
        };
        assert_eq!(credentials, expected);
    }
}

/// A pair whose client may send so many octets in a message.
fn sized(case: &Case, octets: Option<usize>) -> Pair {
    let mut rights = Rights::all();
    rights.max_message = octets;
    let client = case.config(Role::Client, SocketType::Dealer);
    let mut server = case.config(Role::Server, SocketType::Dealer);
    server.limits.message = 100;
    let mut pair = Pair::new(client, server);
    pair.server.verdict = Some(ZapReply::admit("scanner", rights));
    pair.drive();
    pair
}

#[test]
fn a_peers_messages_keep_to_the_size_of_its_rights_and_its_commands_do_not() {
    for case in Case::asking() {
        let mut pair = sized(&case, Some(4));
        pair.client.subscribe(true, b"longer than a message may be");
        pair.client.send([&b"1234"[..]]);
        pair.client.send([Message::from(["12", "34"])]);
        pair.drive();
        assert_eq!(pair.server.messages.len(), 2, "{}", case.name);
        for over in [Message::from("12345"), Message::from(["123", "45"])] {
            let mut pair = sized(&case, Some(4));
            pair.client.send([over]);
            pair.drive();
            let error = pair.server.error.as_ref().expect(case.name);
            assert_eq!(error.reason(), Reason::TooLarge, "{}", case.name);
            assert!(pair.server.messages.is_empty());
        }
    }
}

#[test]
fn other_rights_count_from_the_next_frame_on_and_never_beyond_the_sockets_own_limit() {
    for case in Case::asking() {
        let mut pair = sized(&case, Some(4));
        let rights = Rights::new(Topics::none(), Topics::All);
        let peer = pair.server.engine.handle_rights(rights.clone()).unwrap();
        assert_eq!(
            (peer.name.as_deref(), &peer.rights),
            (Some("scanner"), &rights)
        );
        assert_eq!(pair.server.engine.peer().unwrap().rights, rights);
        pair.client.send([&b"12345"[..]]);
        pair.drive();
        assert_eq!(pair.server.messages.len(), 1, "{}", case.name);

        let mut wide = Rights::all();
        wide.max_message = Some(usize::MAX);
        pair.server.engine.handle_rights(wide).unwrap();
        pair.client.send([vec![0; 101]]);
        pair.drive();
        assert!(pair.server.error.is_some(), "{}", case.name);
        assert!(pair.server.engine.handle_rights(rights).is_none(), "closed");
    }
}
