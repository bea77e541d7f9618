//! Each command of the handshake, field by field, opened with keys that only this test knows and
//! nonces that are written down here, not taken from the code.

use crate::entropy::{Entropy as _, OsEntropy};
use crate::keys::{KeyPair, SecretKey};
use crate::mechanism::curve::backend::{Cipher, TrafficBox};
use crate::mechanism::curve::nacl::{CookieBox, PairBox};
use crate::mechanism::curve::tests::{
    CLIENT, GENUINE, SERVER, client_awaiting_welcome, keys, public, server,
};
use crate::mechanism::curve::{Curve, CurveBackend, traffic};
use crate::mechanism::testing::{Party, Seeded};
use crate::mechanism::{FrameFlags, Protection};

const METADATA: &[u8] = b"\x0bSocket-Type\0\0\0\x04PUSH";

/// The transient secret of a side with this seed: its first draw.
fn transient(seed: u8) -> [u8; 32] {
    let mut octets = [0; 32];
    Seeded::new(seed).fill(&mut octets).unwrap();
    octets
}

fn public_of(secret: [u8; 32]) -> [u8; 32] {
    let pair = KeyPair::from_secret(SecretKey::from_octets(&secret).unwrap());
    *pair.public().as_octets()
}

/// Opens a box between a public and a secret key, under a nonce in two parts.
fn open(public: [u8; 32], secret: [u8; 32], nonce: [&[u8]; 2], sealed: &[u8]) -> Option<Vec<u8>> {
    let nonce: [u8; 24] = nonce.concat().try_into().expect("24 octets");
    let pair = PairBox::of_octets(&public, &secret);
    pair.open_copy(&nonce, sealed).map(|clear| clear.to_vec())
}

#[test]
fn every_command_has_its_fields_where_the_grammar_has_them() {
    let (client, server) = (transient(1), transient(2));
    let (client_public, server_public) = (public_of(client), public_of(server));

    let hello = &GENUINE.hello;
    assert_eq!(hello[..8], *b"\x05HELLO\x01\x00");
    assert_eq!(hello[8..80], [0; 72]);
    assert_eq!(hello[80..112], client_public);
    let nonce: [&[u8]; 2] = [b"CurveZMQHELLO---", &hello[112..120]];
    let signature = open(client_public, [SERVER; 32], nonce, &hello[120..]);
    assert_eq!(signature.unwrap(), [0; 64]);

    let welcome = &GENUINE.welcome;
    assert_eq!(welcome[..8], *b"\x07WELCOME");
    let nonce: [&[u8]; 2] = [b"WELCOME-", &welcome[8..24]];
    let clear = open(public(SERVER), client, nonce, &welcome[24..]).unwrap();
    assert_eq!((&clear[..32], clear.len()), (&server_public[..], 32 + 96));
    let cookie = &clear[32..];

    let initiate = &GENUINE.initiate;
    assert_eq!(initiate[..9], *b"\x08INITIATE");
    assert_eq!(initiate[9..105], *cookie);
    let nonce: [&[u8]; 2] = [b"CurveZMQINITIATE", &initiate[105..113]];
    let clear = open(client_public, server, nonce, &initiate[113..]).unwrap();
    assert_eq!(clear[..32], public(CLIENT));
    assert_eq!(clear[128..], *METADATA);
    let nonce: [&[u8]; 2] = [b"VOUCH---", &clear[32..48]];
    let vouch = open(public(CLIENT), server, nonce, &clear[48..128]).unwrap();
    assert_eq!(vouch, [client_public, public(SERVER)].concat());

    let ready = &GENUINE.ready;
    assert_eq!(ready[..6], *b"\x05READY");
    let nonce: [&[u8]; 2] = [b"CurveZMQREADY---", &ready[6..14]];
    let clear = open(server_public, client, nonce, &ready[14..]).unwrap();
    assert_eq!(clear, METADATA);
}

#[test]
fn the_cookie_holds_the_keys_of_its_connection() {
    let nonce: [&[u8]; 2] = [b"WELCOME-", &GENUINE.welcome[8..24]];
    let clear = open(public(SERVER), transient(1), nonce, &GENUINE.welcome[24..]).unwrap();
    let (nonce, sealed) = clear[32..].split_at(16);

    // The server draws s', then the key of the cookie.
    let mut entropy = Seeded::new(2);
    entropy.fill(&mut [0; 32]).unwrap();
    let cookie = CookieBox::generate(&mut entropy).unwrap();
    let nonce = [b"COOKIE--", nonce].concat().try_into().unwrap();
    let keys = cookie.open_copy(&nonce, sealed).unwrap();
    assert_eq!(**keys, [public_of(transient(1)), transient(2)].concat());
    let other = CookieBox::generate(&mut entropy).unwrap();
    assert!(other.open_copy(&nonce, sealed).is_none());
}

/// S', the cookie, and the nonces of both: what a WELCOME for [`GENUINE`]'s HELLO says.
fn parts(welcome: &[u8]) -> [Vec<u8>; 4] {
    let nonce: [&[u8]; 2] = [b"WELCOME-", &welcome[8..24]];
    let clear = open(public(SERVER), transient(1), nonce, &welcome[24..]).unwrap();
    [&welcome[8..24], &clear[..32], &clear[32..48], &clear[48..]].map(<[u8]>::to_vec)
}

#[test]
fn every_welcome_has_a_key_a_cookie_and_nonces_of_its_own() {
    let mechanism = Curve::server(keys(SERVER));
    let welcome = || {
        let mut server = Party::new(&mechanism, 2);
        server.entropy = Box::new(OsEntropy);
        let _step = server.feed(&GENUINE.hello).unwrap();
        parts(&server.sent_one())
    };
    for (one, other) in welcome().into_iter().zip(welcome()) {
        assert_ne!(one, other);
    }
    // With the same random octets all is the same: nothing else makes the difference.
    let mut again = server();
    let _step = again.feed(&GENUINE.hello).unwrap();
    assert_eq!(parts(&again.sent_one()), parts(&GENUINE.welcome));
}

/// The nonce of the vouch of an INITIATE of [`GENUINE`]'s connection.
fn vouch_nonce(initiate: &[u8]) -> Vec<u8> {
    let nonce: [&[u8]; 2] = [b"CurveZMQINITIATE", &initiate[105..113]];
    let client = public_of(transient(1));
    let clear = open(client, transient(2), nonce, &initiate[113..]).unwrap();
    clear[32..48].to_vec()
}

#[test]
fn every_vouch_has_a_nonce_of_its_own() {
    let nonce = || {
        let mut client = client_awaiting_welcome();
        client.entropy = Box::new(OsEntropy);
        let _step = client.feed(&GENUINE.welcome).unwrap();
        vouch_nonce(&client.sent_one())
    };
    assert_ne!(nonce(), nonce());
    assert_ne!(nonce(), [0; 16]);
}

#[test]
fn every_message_has_the_nonce_of_its_direction() {
    let session = || {
        let key = PairBox::of_octets(&public(SERVER), &[CLIENT; 32]);
        TrafficBox::new(key.into(), Cipher::new(CurveBackend::default()).unwrap())
    };
    let both = || -> Protection {
        let ours = traffic::Direction::of_server(session(), 6);
        traffic::protection(ours, traffic::Direction::of_client(session(), 6))
    };
    let theirs = traffic::protection(
        traffic::Direction::of_client(session(), 6),
        traffic::Direction::of_server(session(), 6),
    );
    let directions: [(&[u8; 16], Protection); 2] =
        [(b"CurveZMQMESSAGES", both()), (b"CurveZMQMESSAGEC", theirs)];
    for (prefix, mut protection) in directions {
        for (counter, more, command, expected) in [
            (7, false, false, 0),
            (8, true, false, 1),
            (9, false, true, 2),
        ] {
            let mut sealed = bytes::BytesMut::new();
            let flags = FrameFlags { more, command };
            protection.sealer.seal(flags, b"data", &mut sealed).unwrap();
            assert_eq!(sealed[..8], *b"\x07MESSAGE");
            assert_eq!(sealed[8..16], u64::to_be_bytes(counter));
            let nonce: [&[u8]; 2] = [prefix, &sealed[8..16]];
            let clear = open(public(SERVER), [CLIENT; 32], nonce, &sealed[16..]).unwrap();
            assert_eq!(clear, [&[expected][..], b"data"].concat());
        }
    }
}
