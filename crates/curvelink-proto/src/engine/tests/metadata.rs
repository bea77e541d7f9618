//! What peers say of themselves: socket types, routing ids, and names that they may not take.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::engine::tests::case::{CLIENT, Case, Role, SERVER, keys};
use crate::engine::tests::pair::Pair;
use crate::engine::tests::wire::Cut;
use crate::event::Reason;
use crate::mechanism::curve::Curve;
use crate::socket_type::SocketType;
use crate::wire::metadata::{self, IDENTITY, SOCKET_TYPE};

/// A DEALER that says so, and besides these properties; its server is a ROUTER.
fn claims(case: &Case, properties: &[(&str, &[u8])], cut: Cut) -> Pair {
    let mut octets = BytesMut::new();
    metadata::write(&mut octets, SOCKET_TYPE, b"DEALER");
    for (name, value) in properties {
        metadata::write(&mut octets, name, value);
    }
    says(case, octets.freeze(), cut)
}

fn says(case: &Case, metadata: Bytes, cut: Cut) -> Pair {
    let mut pair = case.pair(SocketType::Dealer, SocketType::Router).cut(cut);
    pair.client.engine.metadata = metadata;
    pair.drive();
    pair
}

#[test]
fn socket_types_meet_where_the_rfcs_let_them_and_nowhere_else() {
    for case in Case::all() {
        for ours in SocketType::ALL.iter().filter(|kind| !kind.is_raw()) {
            for theirs in SocketType::ALL.iter().filter(|kind| !kind.is_raw()) {
                for cut in Cut::BOTH {
                    let what = format!("{} {ours} {theirs}", case.name);
                    let mut pair = case.pair(*ours, *theirs).cut(cut);
                    pair.drive();
                    assert_eq!(pair.is_up(), ours.talks_to(*theirs), "{what}");
                    if pair.is_up() {
                        let peer = pair.server.ready.unwrap();
                        assert_eq!(peer.socket_type, *ours, "{what}");
                        continue;
                    }
                    let error = pair.server.error.expect(&what);
                    assert_eq!(error.reason(), Reason::SocketType, "{what}");
                    assert!(pair.server.ready.is_none(), "{what}");
                    // Under CURVE the type comes with the proof: a wrong one is not asked about.
                    assert_eq!(
                        pair.server.asked.is_empty(),
                        case.is_sealed() || case.domain.is_empty()
                    );
                }
            }
        }
    }
}

#[test]
fn socket_types_that_nobody_knows_are_refused() {
    for case in Case::all() {
        for unknown in [
            &b""[..],
            b"dealer",
            b"DEALER\0",
            b"RADIO",
            b"STREAM",
            &[b'x'; 300],
        ] {
            let mut octets = BytesMut::new();
            metadata::write(&mut octets, SOCKET_TYPE, unknown);
            let pair = says(&case, octets.freeze(), Cut::Whole);
            assert_eq!(pair.server.error.unwrap().reason(), Reason::SocketType);
        }
        let pair = says(&case, Bytes::new(), Cut::Whole);
        assert_eq!(pair.server.error.unwrap().reason(), Reason::SocketType);
    }
}

#[test]
fn t16_routing_ids_have_up_to_255_octets_and_do_not_begin_with_0() {
    let cases: [(&[u8], bool); 8] = [
        (b"", true),
        (b"a", true),
        (b"a\0", true),
        (&[0xff; 255], true),
        (&[b'a'; 256], false),
        (b"\0", false),
        (b"\0abcd", false),
        (&[0; 255], false),
    ];
    for case in Case::all() {
        for (id, taken) in cases {
            for cut in Cut::BOTH {
                let pair = claims(&case, &[(IDENTITY, id)], cut);
                if taken {
                    assert_eq!(pair.server.ready.unwrap().routing_id, id);
                    continue;
                }
                assert_eq!(pair.server.error.unwrap().reason(), Reason::Malformed);
                assert!(pair.server.ready.is_none(), "{} {id:?}", case.name);
            }
        }
    }
}

#[test]
fn the_policy_is_told_the_routing_id_where_it_comes_with_the_proof() {
    let pair = claims(&Case::curve(), &[(IDENTITY, b"probe-7")], Cut::Whole);
    assert_eq!(pair.server.asked[0].routing_id, "probe-7");
    let pair = claims(&Case::plain(), &[(IDENTITY, b"probe-7")], Cut::Whole);
    assert_eq!(pair.server.asked[0].routing_id, "");
}

#[test]
fn t23_metadata_never_speaks_for_the_policy_or_the_transport() {
    let spoofed: [&[(&str, &[u8])]; 4] = [
        &[("User-Id", b"root"), ("Peer-Address", b"127.0.0.1")],
        &[("user-id", b"root"), ("PEER-ADDRESS", b"127.0.0.1")],
        &[("USER-ID", b"root"), ("__fd", b"3")],
        &[("User-Id", b""), ("Rights", b"all"), ("Key", &[9; 32])],
    ];
    for case in Case::all() {
        let honest = claims(&case, &[], Cut::Whole);
        let honest = format!(
            "{:?} {:?}",
            honest.server.ready.unwrap(),
            honest.server.asked
        );
        for properties in spoofed {
            for cut in Cut::BOTH {
                let pair = claims(&case, properties, cut);
                let peer = pair.server.ready.unwrap();
                assert_ne!(peer.name.as_deref(), Some("root"));
                assert_eq!(
                    format!("{peer:?} {:?}", pair.server.asked),
                    honest,
                    "{}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn t23_where_nobody_is_asked_nobody_has_a_name() {
    let open = Curve::server(keys(SERVER)).accept_anyone();
    let case = Case {
        server: Arc::new(open),
        domain: "",
        ..Case::curve()
    };
    for name in ["User-Id", "user-id", "Name", "Peer-Address"] {
        for cut in Cut::BOTH {
            let pair = claims(&case, &[(name, b"root")], cut);
            let peer = pair.server.ready.unwrap();
            assert_eq!((&peer.name, pair.server.asked.len()), (&None, 0), "{name}");
            assert_eq!(peer.key, Some(keys(CLIENT).public()));
            assert!(!format!("{peer:?}").contains("root"), "{peer:?}");
        }
    }
}

#[test]
fn t23_a_server_cannot_name_itself_either() {
    for case in Case::all() {
        let mut pair = case.pair(SocketType::Dealer, SocketType::Dealer);
        let mut octets = pair.server.engine.metadata.to_vec();
        let mut spoofed = BytesMut::new();
        metadata::write(&mut spoofed, "User-Id", b"root");
        octets.extend(spoofed);
        pair.server.engine.metadata = octets.into();
        pair.drive();
        assert_eq!(pair.client.ready.unwrap().name, None);
    }
}

#[test]
fn a_peer_that_asks_for_a_resource_is_let_in() {
    for case in Case::all() {
        for name in ["Resource", "X-Resource", "resource"] {
            let pair = claims(&case, &[(name, b"system/name-service")], Cut::Whole);
            assert_eq!(pair.server.error, None, "{} {name}", case.name);
            let plain = claims(&case, &[], Cut::Whole);
            let peer = |pair: &Pair| format!("{:?}", pair.server.ready.as_ref().unwrap());
            assert_eq!(peer(&pair), peer(&plain), "it means nothing");
        }
    }
}

#[test]
fn t23_a_property_that_comes_twice_is_refused() {
    for case in Case::all() {
        for name in ["User-Id", "user-id", "Socket-Type", "socket-type"] {
            let twice: [(&str, &[u8]); 2] = [(name, b"DEALER"), ("User-ID", b"root")];
            let pair = claims(&case, &twice, Cut::Whole);
            let error = pair.server.error.unwrap();
            assert_eq!(error.reason(), Reason::Malformed, "{} {name}", case.name);
            assert!(pair.server.ready.is_none());
        }
    }
}

#[test]
fn types_that_are_addressed_by_a_routing_id_announce_one() {
    for kind in SocketType::ALL {
        let config = Case::null().config(Role::Client, *kind);
        let octets = config.metadata();
        let announces = octets.windows(8).any(|window| window == b"Identity");
        let addressed = matches!(
            kind,
            SocketType::Req | SocketType::Dealer | SocketType::Router
        );
        assert_eq!(announces, addressed, "{kind}");
    }
}
