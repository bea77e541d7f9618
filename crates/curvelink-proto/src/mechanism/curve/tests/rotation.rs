//! A server that exchanges its key, and clients that follow.

use crate::error::{KeyError, MechanismError};
use crate::keys::PublicKey;
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
