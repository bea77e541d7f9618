//! The end of a sealed stream: said by whom it is closed on purpose, missed where it was cut.

use bytes::BytesMut;

use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::{Pair, Side};
use crate::engine::tests::transcript::frames;
use crate::engine::tests::wire::Cut;
use crate::error::{MechanismError, ProtocolError};
use crate::event::{Reason, Stage};
use crate::rights::{Rights, SocketTypes, Topics};
use crate::socket_type::SocketType;
use crate::wire::command::END_OF_STREAM;
use crate::wire::metadata;
use crate::zap::{Credentials, ZapReply};

/// A connection of this kind that is up, of which the side in this role has said a few words and
/// ended it: the frames that it wrote, and who hears them.
fn left(case: &Case, by: Role) -> (Vec<Vec<u8>>, Side) {
    let mut pair = case.up();
    let (speaker, listener) = match by {
        Role::Client => (&mut pair.client, pair.server),
        Role::Server => (&mut pair.server, pair.client),
    };
    speaker.send(["a"]);
    speaker.send([["b1", "b2"]]);
    speaker.send(["c"]);
    let mut octets = speaker.sent();
    speaker.leave();
    octets.extend(speaker.sent());
    (frames(&octets), listener)
}

fn hear(mut listener: Side, frames: &[Vec<u8>], cut: Cut) -> Side {
    let now = std::time::Instant::now();
    listener.cut = cut;
    listener.receive(&frames.concat(), now);
    if listener.engine.wants_input() {
        listener.close();
    }
    listener
}

#[test]
fn t02_an_end_that_was_meant_is_no_error_and_every_cut_before_it_is() {
    for by in Role::BOTH {
        for cut in Cut::BOTH {
            let (frames, _) = left(&Case::curve(), by);
            assert_eq!(frames.len(), 5, "four frames and the end");
            for kept in 0..=frames.len() {
                let side = hear(left(&Case::curve(), by).1, &frames[..kept], cut);
                let whole = [0, 1, 1, 2, 3, 3][kept];
                assert_eq!(side.messages.len(), whole, "{by:?} {kept}");
                let ended = kept == frames.len();
                let error = (!ended).then_some(ProtocolError::Truncated);
                assert_eq!((side.error, side.ended), (error, ended), "{by:?} {kept}");
            }
        }
    }
}

#[test]
fn t02_an_end_that_comes_early_late_or_twice_is_noticed() {
    for by in Role::BOTH {
        for cut in Cut::BOTH {
            let (frames, _) = left(&Case::curve(), by);
            for at in 0..frames.len() - 1 {
                let mut edited = frames.clone();
                let end = edited.pop().unwrap();
                edited.insert(at, end);
                let side = hear(left(&Case::curve(), by).1, &edited, cut);
                let nonce = ProtocolError::Mechanism(MechanismError::Nonce);
                assert_eq!((side.error, side.ended), (Some(nonce), false), "{at}");
            }
            // What comes in one read with it was seen; what comes later is never read.
            let twice = [&frames[..], &frames[4..]].concat();
            let side = hear(left(&Case::curve(), by).1, &twice, cut);
            let error = side.error.map(|error| error.reason());
            let seen = (cut == Cut::Whole).then_some(Reason::Malformed);
            assert_eq!((error, side.ended), (seen, seen.is_none()));
        }
    }
}

#[test]
fn nothing_is_taken_or_sent_after_the_end() {
    let (frames, listener) = left(&Case::curve(), Role::Client);
    let mut side = hear(listener, &frames, Cut::Whole);
    side.send(["late"]);
    side.close();
    assert!(side.sent().is_empty() && side.engine.peer().is_none());
    assert!(!side.engine.wants_input() && side.error.is_none());
    assert_eq!(side.engine.stage(), Stage::Traffic);
}

#[test]
fn an_end_is_not_said_while_messages_wait_so_that_the_peer_knows_of_their_loss() {
    let mut pair = Case::curve().up();
    pair.client.send(["lost"]);
    pair.client.leave();
    assert_eq!(pair.client.engine.take_unsent().len(), 1);
    assert!(!pair.client.engine.wants_output());
    pair.server.close();
    assert_eq!(pair.server.error, Some(ProtocolError::Truncated));
}

#[test]
fn whoever_cuts_a_peer_for_what_it_did_says_so_too() {
    let mut pair = Case::curve().up();
    let now = pair.now;
    pair.server.receive(b"\x00\x05forged", now);
    assert_eq!(pair.server.error.unwrap().reason(), Reason::Malformed);
    let told = frames(&pair.server.out.record[64..]).len();
    let octets = pair.server.sent();
    assert_eq!(frames(&octets).len(), 1, "{told}");
    pair.client.receive(&octets, now);
    assert!(pair.client.ended && pair.client.error.is_none());
}

/// Our metadata as libzmq would have it.
fn without_announcement(side: &mut Side) {
    let mut properties = BytesMut::new();
    metadata::write(&mut properties, metadata::SOCKET_TYPE, b"DEALER");
    side.engine.metadata = properties.freeze();
}

#[test]
fn of_a_peer_that_did_not_announce_it_nothing_is_expected_and_it_is_told_nothing() {
    for silent in Role::BOTH {
        let mut pair = Case::curve().pair(SocketType::Dealer, SocketType::Dealer);
        without_announcement(match silent {
            Role::Client => &mut pair.client,
            Role::Server => &mut pair.server,
        });
        pair.drive();
        let Pair { client, server, .. } = pair;
        let (mut us, mut them) = match silent {
            Role::Client => (server, client),
            Role::Server => (client, server),
        };
        them.leave();
        // It knows that we do, and would be wrong to say it: an unknown command, as to libzmq.
        let octets = them.sent();
        assert_eq!(frames(&octets).len(), 1);
        us.receive(&octets, std::time::Instant::now());
        assert!(us.error.is_none() && !us.ended && us.engine.wants_input());
        us.close();
        assert_eq!(us.error, None);
        us.leave();
        assert!(us.sent().is_empty());
    }
}

#[test]
fn where_frames_are_in_clear_an_announcement_is_not_believed() {
    for case in [Case::null(), Case::plain()] {
        let mut pair = case.pair(SocketType::Dealer, SocketType::Dealer);
        assert!(
            !pair
                .client
                .engine
                .metadata
                .windows(5)
                .any(|it| it == b"X-End")
        );
        for side in [&mut pair.client, &mut pair.server] {
            let mut properties = BytesMut::from(&side.engine.metadata[..]);
            metadata::write(&mut properties, metadata::END_OF_STREAM, b"1");
            side.engine.metadata = properties.freeze();
        }
        pair.drive();
        assert!(pair.is_up());
        pair.client.leave();
        assert!(pair.client.sent().is_empty(), "{}", case.name);
        let name = END_OF_STREAM.as_bytes();
        let body = [&[u8::try_from(name.len()).unwrap()], name].concat();
        let end = crate::engine::tests::transcript::frame(4, &body);
        pair.server.receive(&end, pair.now);
        assert!(pair.server.engine.wants_input() && !pair.server.ended);
        pair.server.close();
        assert_eq!(pair.server.error, None);
    }
}

/// A CURVE pair whose client asks its own policy about the server, and gets this verdict.
fn asking(verdict: Option<ZapReply>) -> Pair {
    let case = Case::curve();
    let mut client = case.config(Role::Client, SocketType::Dealer);
    client.zap_domain = "upstream".into();
    let mut pair = Pair::new(client, case.config(Role::Server, SocketType::Dealer));
    pair.client.verdict = verdict;
    pair.drive();
    pair
}

#[test]
fn a_client_in_a_domain_asks_about_the_key_that_its_server_has_proven() {
    let rights = Rights::new(Topics::none(), Topics::none());
    let pair = asking(Some(ZapReply::admit("sensor", rights.clone())));
    let [request] = &pair.client.asked[..] else {
        panic!("{:?}", pair.client.asked);
    };
    let peer = pair.client.ready.as_ref().unwrap();
    assert!(matches!(request.credentials, Credentials::Curve(key) if Some(key) == peer.key));
    assert_eq!(&*request.domain, "upstream");
    assert_eq!(
        (peer.name.as_deref(), &peer.rights),
        (Some("sensor"), &rights)
    );
}

#[test]
fn t13_nothing_of_a_servers_passes_before_the_verdict_on_it() {
    let mut pair = asking(None);
    assert_eq!(pair.client.engine.stage(), Stage::Admission);
    assert!(pair.server.ready.is_some(), "it has done its part");
    pair.server.send(["early"]);
    pair.client.send(["early"]);
    pair.drive();
    assert!(pair.client.ready.is_none() && pair.client.messages.is_empty());
    assert!(pair.server.messages.is_empty());
    let now = pair.now;
    pair.client
        .decide(ZapReply::admit("sensor", Rights::all()), now);
    pair.drive();
    assert_eq!(pair.client.messages.len(), 1);
    assert!(
        pair.server.messages.is_empty(),
        "what was sent too early is dropped"
    );
}

#[test]
fn t13_a_server_that_the_policy_refuses_is_left_with_a_sealed_word_and_none_in_clear() {
    let mut narrow = Rights::all();
    narrow.socket_types = SocketTypes::NONE;
    for (verdict, reason) in [
        (ZapReply::deny(Reason::UnknownKey), Reason::UnknownKey),
        (ZapReply::failed(), Reason::HandlerError),
        (ZapReply::temporary(), Reason::Temporary),
        (ZapReply::admit("sensor", narrow), Reason::PatternDenied),
    ] {
        let pair = asking(Some(verdict));
        let error = pair.client.error.as_ref().unwrap();
        let refusal = pair.client.engine.refusal(error);
        assert_eq!((refusal.reason, refusal.stage), (reason, Stage::Admission));
        let asked = match &pair.client.asked[0].credentials {
            Credentials::Curve(key) => Some(key.fingerprint()),
            other => panic!("{other:?}"),
        };
        assert_eq!(refusal.fingerprint, asked);
        assert!(pair.client.ready.is_none());
        assert!(pair.server.ended && pair.server.error.is_none(), "{reason}");
    }
}

#[test]
fn t13_a_verdict_on_a_server_that_comes_too_late_is_a_refusal() {
    let mut pair = asking(None);
    pair.pass(std::time::Duration::from_secs(5));
    assert_eq!(pair.client.error.take().unwrap().reason(), Reason::Timeout);
    let now = pair.now;
    pair.client
        .decide(ZapReply::admit("late", Rights::all()), now);
    assert!(pair.client.ready.is_none() && pair.client.engine.peer().is_none());
}
