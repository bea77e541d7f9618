//! A server that exchanges its key, and clients that follow.

use crate::error::{KeyError, MechanismError};
use crate::keys::PublicKey;
use crate::mechanism::Mechanism;
use crate::mechanism::curve::tests::{CLIENT, NEXT, OTHER, SERVER, keys};
use crate::mechanism::curve::{Curve, ServerKeys};
use crate::mechanism::testing::{Party, assert_hidden, ready};

fn rotating() -> ServerKeys {
    ServerKeys::new(keys(SERVER)).with_next(keys(NEXT)).unwrap()
}

/// A client that pins this key, and its HELLO.
fn pinning(server: u8) -> (Party, Vec<u8>) {
    let mut client = Party::new(&Curve::client(keys(CLIENT), keys(server).public()), 1);
    let _step = client.start().unwrap();
    let hello = client.sent_one();
    (client, hello)
}

/// Runs a handshake to its end; gives the key of ours that the server says was used.
fn finish(
    server: &mut Party,
    (mut client, hello): (Party, Vec<u8>),
) -> Result<Option<PublicKey>, MechanismError> {
    let _step = server.feed(&hello)?;
    let _step = client.feed(&server.sent_one())?;
    let _step = server.feed(&client.sent_one())?;
    let at_server = ready(server.admit());
    let at_client = ready(client.feed(&server.sent_one()));
    assert_eq!(at_client.key, at_server.our_key);
    assert_eq!(at_client.our_key, at_server.key);
    Ok(at_server.our_key)
}

#[test]
fn a_server_with_two_keys_answers_to_both_and_tells_which() {
    let mechanism = Curve::server(rotating());
    for (pinned, expected) in [
        (SERVER, Ok(Some(keys(SERVER).public()))),
        (NEXT, Ok(Some(keys(NEXT).public()))),
        (OTHER, Err(MechanismError::WrongServerKey)),
    ] {
        let outcome = finish(&mut Party::new(&mechanism, 2), pinning(pinned));
        assert_eq!(outcome, expected);
    }
}

#[test]
fn replaced_keys_are_in_force_for_the_handshakes_that_begin_then() {
    let held = ServerKeys::new(keys(SERVER));
    let mechanism = Curve::server(held.clone());
    let mut begun = Party::new(&mechanism, 2);
    held.replace(keys(NEXT), None).unwrap();
    assert_eq!((held.current(), held.next()), (keys(NEXT).public(), None));
    let old = finish(&mut begun, pinning(SERVER));
    assert_eq!(old, Ok(Some(keys(SERVER).public())));
    let new = finish(&mut Party::new(&mechanism, 2), pinning(NEXT));
    assert_eq!(new, Ok(Some(keys(NEXT).public())));
    let late = finish(&mut Party::new(&mechanism, 2), pinning(SERVER));
    assert_eq!(late, Err(MechanismError::WrongServerKey));
}

#[test]
fn one_key_twice_is_refused_and_changes_nothing() {
    let twice = ServerKeys::new(keys(SERVER)).with_next(keys(SERVER));
    assert_eq!(twice.unwrap_err(), KeyError::Repeated);
    let held = rotating();
    let refused = held.replace(keys(OTHER), Some(keys(OTHER)));
    assert_eq!(refused, Err(KeyError::Repeated));
    assert_eq!(held.current(), keys(SERVER).public());
    assert_eq!(held.next(), Some(keys(NEXT).public()));
}

#[test]
fn t20_debug_shows_the_fingerprints_of_both_keys_and_no_secret() {
    let shown = format!("{:?}", Curve::server(rotating()));
    for octet in [SERVER, NEXT] {
        let fingerprint = keys(octet).public().fingerprint().to_string();
        assert!(shown.contains(&fingerprint), "{shown}");
        assert_hidden(&shown, &[octet; 32]);
    }
}

/// A client that pins so many keys, none of which is weak.
fn pins(octets: &[u8]) -> Result<Curve, KeyError> {
    let mut client = Curve::client(keys(CLIENT), keys(octets[0]).public());
    for octet in &octets[1..] {
        client = client.or_server(keys(*octet).public())?;
    }
    Ok(client)
}

/// The key that the next handshake of a client tries; whether the server has it.
fn attempt(client: &dyn Mechanism, server: u8) -> (Option<PublicKey>, bool) {
    let mut party = Party::new(client, 1);
    let _step = party.start().unwrap();
    let tried = party.handshake().expected_key();
    let hello = party.sent_one();
    let mut server = Party::new(&Curve::server(keys(server)), 2);
    let known = finish(&mut server, (party, hello)).is_ok();
    (tried, known)
}

#[test]
fn a_client_tries_one_pin_after_the_other_and_keeps_the_one_that_was_right() {
    let client = pins(&[OTHER, SERVER, NEXT]).unwrap();
    let key = |octet| Some(keys(octet).public());
    assert_eq!(attempt(&client, SERVER), (key(OTHER), false));
    assert!(client.try_next_key(), "one failed of three");
    assert_eq!(attempt(&client, SERVER), (key(SERVER), true));
    assert_eq!(attempt(&client, SERVER), (key(SERVER), true), "kept");
    // The server has exchanged its key: a whole round, whatever came before it.
    assert_eq!(attempt(&client, NEXT), (key(SERVER), false));
    assert!(client.try_next_key());
    assert_eq!(attempt(&client, NEXT), (key(NEXT), true));
}

#[test]
fn after_a_round_of_failures_the_client_waits_and_begins_another() {
    let client = pins(&[OTHER, SERVER, NEXT]).unwrap();
    for _ in 0..2 {
        let at_once = [OTHER, SERVER, NEXT].map(|expected| {
            let tried = attempt(&client, CLIENT);
            assert_eq!(tried, (Some(keys(expected).public()), false));
            client.try_next_key()
        });
        assert_eq!(at_once, [true, true, false]);
    }
    assert!(!pins(&[SERVER]).unwrap().try_next_key());
    assert!(!Curve::server(keys(SERVER)).try_next_key());
}

#[test]
fn what_is_learnt_of_one_endpoint_says_nothing_of_another() {
    let client = pins(&[SERVER, NEXT]).unwrap();
    let (one, other) = (
        client.for_endpoint().unwrap(),
        client.for_endpoint().unwrap(),
    );
    assert!(one.try_next_key());
    assert_eq!(attempt(&*one, NEXT), (Some(keys(NEXT).public()), true));
    assert_eq!(
        attempt(&*other, SERVER),
        (Some(keys(SERVER).public()), true)
    );
    assert!(pins(&[SERVER]).unwrap().for_endpoint().is_none());
    assert!(Curve::server(rotating()).for_endpoint().is_none());
}

#[test]
fn a_client_pins_up_to_eight_keys_and_none_twice() {
    assert!(pins(&[1, 2, 3, 4, 5, 6, 7, 8]).is_ok());
    let most = 8;
    let nine = pins(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(nine.unwrap_err(), KeyError::TooMany { most });
    for twice in [&[1, 1][..], &[1, 2, 2], &[1, 2, 1]] {
        assert_eq!(pins(twice).unwrap_err(), KeyError::Repeated);
    }
}
