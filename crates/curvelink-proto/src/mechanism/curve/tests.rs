//! Both sides against each other, and each against commands out of their place and length.

mod backends;
mod fields;
mod rotation;
mod vectors;

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::entropy::{Entropy, OsEntropy};
use crate::error::EntropyError;
use crate::event::Reason;
use crate::keys::SecretKey;
use crate::mechanism::testing::{
    Party, Seeded, accepted_commands, accepted_lengths, assert_hidden, ready,
};
use crate::mechanism::{FrameFlags, Protection, Provenance, Step};
use crate::wire::metadata;
use crate::zap::Credentials;

pub(super) const CLIENT: u8 = 0xc1;
pub(super) const SERVER: u8 = 0x51;
pub(super) const OTHER: u8 = 0x77;
/// The server's next key, where it has two.
pub(super) const NEXT: u8 = 0x52;

pub(super) fn keys(octet: u8) -> KeyPair {
    KeyPair::from_secret(SecretKey::from_octets(&[octet; 32]).unwrap())
}

pub(super) fn public(octet: u8) -> [u8; 32] {
    *keys(octet).public().as_octets()
}

fn client() -> Party {
    Party::new(&Curve::client(keys(CLIENT), keys(SERVER).public()), 1)
}

pub(super) fn server() -> Party {
    Party::new(&Curve::server(keys(SERVER)), 2)
}

/// The commands of the handshake between [`client`] and [`server`]: the same in every run.
pub(super) struct Transcript {
    pub(super) hello: Vec<u8>,
    pub(super) welcome: Vec<u8>,
    pub(super) initiate: Vec<u8>,
    pub(super) ready: Vec<u8>,
}

pub(super) static GENUINE: LazyLock<Transcript> = LazyLock::new(|| {
    let (mut client, mut server) = (client(), server());
    let _step = client.start().unwrap();
    let hello = client.sent_one();
    let _step = server.feed(&hello).unwrap();
    let welcome = server.sent_one();
    let _step = client.feed(&welcome).unwrap();
    let initiate = client.sent_one();
    let _step = server.feed(&initiate).unwrap();
    assert!(server.sent().is_empty(), "nothing before the verdict");
    let _step = server.admit().unwrap();
    Transcript {
        hello,
        welcome,
        initiate,
        ready: server.sent_one(),
    }
});

pub(super) fn client_awaiting_welcome() -> Party {
    let mut client = client();
    let _step = client.start().unwrap();
    assert_eq!(client.sent_one(), GENUINE.hello);
    client
}

fn client_awaiting_ready() -> Party {
    let mut client = client_awaiting_welcome();
    let _step = client.feed(&GENUINE.welcome).unwrap();
    assert_eq!(client.sent_one(), GENUINE.initiate);
    client
}

fn server_awaiting_initiate() -> Party {
    let mut server = server();
    let _step = server.feed(&GENUINE.hello).unwrap();
    assert_eq!(server.sent_one(), GENUINE.welcome);
    server
}

pub(super) fn server_awaiting_verdict() -> Party {
    let mut server = server_awaiting_initiate();
    let _step = server.feed(&GENUINE.initiate).unwrap();
    server
}

fn open_server() -> Party {
    Party::new(&Curve::server(keys(SERVER)).accept_anyone(), 2)
}

/// Sends a frame from one side to the other; gives what was sealed and what was opened.
fn pass(from: &mut Protection, to: &mut Protection, body: &[u8]) -> (BytesMut, Vec<u8>) {
    let mut sealed = BytesMut::new();
    from.sealer
        .seal(FrameFlags::default(), body, &mut sealed)
        .unwrap();
    let mut frame = sealed.to_vec();
    let (_flags, clear) = to.opener.open_in_place(&mut frame).unwrap();
    (sealed, frame[clear].to_vec())
}

#[test]
fn a_whole_handshake_proves_both_keys_and_seals_both_ways() {
    let metadata = b"\x0bSocket-Type\0\0\0\x04PUSH".len();
    assert_eq!(GENUINE.hello.len(), 200);
    assert_eq!(GENUINE.welcome.len(), 168);
    assert_eq!(GENUINE.initiate.len(), 257 + metadata);
    assert_eq!(GENUINE.ready.len(), 30 + metadata);
    assert_eq!(GENUINE.hello[112..120], 1_u64.to_be_bytes());
    assert_eq!(GENUINE.initiate[105..113], 2_u64.to_be_bytes());
    assert_eq!(GENUINE.ready[6..14], 1_u64.to_be_bytes());

    let at_client = ready(client_awaiting_ready().feed(&GENUINE.ready));
    assert_eq!(at_client.admitted.provenance(), Provenance::ServerProven);
    assert_eq!(at_client.key, Some(keys(SERVER).public()));
    let at_server = ready(server_awaiting_verdict().admit());
    assert_eq!(at_server.admitted.provenance(), Provenance::Policy);
    assert_eq!(at_server.key, Some(keys(CLIENT).public()));
    for ready in [&at_client, &at_server] {
        assert_eq!(ready.metadata.property("Socket-Type").unwrap(), "PUSH");
    }

    let mut client = at_client.protection.unwrap();
    let mut server = at_server.protection.unwrap();
    let (sealed, opened) = pass(&mut client, &mut server, b"up");
    assert_eq!(
        (&sealed[8..16], &opened[..]),
        (&3_u64.to_be_bytes()[..], &b"up"[..])
    );
    let (sealed, opened) = pass(&mut server, &mut client, b"down");
    assert_eq!(
        (&sealed[8..16], &opened[..]),
        (&2_u64.to_be_bytes()[..], &b"down"[..])
    );
}

#[test]
fn the_policy_is_asked_about_the_proven_key_with_the_metadata() {
    let step = server_awaiting_initiate().feed(&GENUINE.initiate).unwrap();
    let Step::Authenticate {
        credentials: Credentials::Curve(key),
        metadata: Some(metadata),
    } = step
    else {
        panic!("{step:?}");
    };
    assert_eq!(key, keys(CLIENT).public());
    assert_eq!(metadata.property("Socket-Type").unwrap(), "PUSH");
}

#[test]
fn accept_anyone_skips_the_policy_and_says_so() {
    let mechanism = Curve::server(keys(SERVER));
    assert!(mechanism.properties().asks_policy);
    let mechanism = mechanism.accept_anyone();
    assert!(!mechanism.properties().asks_policy && mechanism.properties().confidential);

    let mut server = Party::new(&mechanism, 2);
    let _step = server.feed(&GENUINE.hello).unwrap();
    let ready = ready(server.feed(&GENUINE.initiate));
    assert_eq!(ready.admitted.provenance(), Provenance::Anyone);
    assert_eq!(ready.key, Some(keys(CLIENT).public()));
}

#[test]
fn one_configuration_makes_handshakes_with_keys_of_their_own() {
    let mechanism = Curve::client(keys(CLIENT), keys(SERVER).public());
    let hello = || {
        let mut client = Party::new(&mechanism, 1);
        client.entropy = Box::new(OsEntropy);
        let _step = client.start().unwrap();
        client.sent_one()
    };
    assert_ne!(hello()[80..112], hello()[80..112]);
}

#[test]
fn t24_only_the_table_is_accepted() {
    let Transcript {
        hello,
        welcome,
        initiate,
        ready,
    } = &*GENUINE;
    let bodies = [
        &hello[6..],
        &welcome[8..],
        &initiate[9..],
        &ready[6..],
        b"",
        &[0; 24],
        &[0; 160],
        &[0; 194],
        &[0; 248],
    ];
    let open_awaiting_initiate = || {
        let mut server = open_server();
        let _step = server.feed(hello).unwrap();
        server
    };
    type State<'a> = &'a dyn Fn() -> Party;
    let table: [(State<'_>, &[(&str, &str)]); 7] = [
        (&client, &[]),
        (&client_awaiting_welcome, &[("WELCOME", "continue")]),
        (&client_awaiting_ready, &[("READY", "ready")]),
        (&server, &[("HELLO", "continue")]),
        (&server_awaiting_initiate, &[("INITIATE", "authenticate")]),
        (&server_awaiting_verdict, &[]),
        (&open_awaiting_initiate, &[("INITIATE", "ready")]),
    ];
    for (row, (state, expected)) in table.into_iter().enumerate() {
        assert_eq!(accepted_commands(state, &bodies), expected, "row {row}");
    }
}

#[test]
fn t24_after_any_refusal_nothing_is_accepted() {
    for (state, genuine) in [
        (client_awaiting_welcome as fn() -> Party, &GENUINE.welcome),
        (client_awaiting_ready, &GENUINE.ready),
        (server, &GENUINE.hello),
        (server_awaiting_initiate, &GENUINE.initiate),
    ] {
        let mut party = state();
        assert!(party.feed(b"\x04PING\0\0").is_err());
        assert!(party.feed(genuine).is_err());
        assert!(party.admit().is_err() && party.sent().is_empty());
    }
}

#[test]
fn t24_a_verdict_counts_only_where_it_was_asked_for() {
    assert!(server_awaiting_verdict().admit().is_ok());
    for state in [
        client,
        client_awaiting_welcome,
        client_awaiting_ready,
        server,
        server_awaiting_initiate,
    ] {
        let mut party = state();
        assert!(party.admit().is_err() && party.sent().is_empty());
    }
}

#[test]
fn t04_every_command_has_its_exact_length() {
    assert_eq!(accepted_lengths(server, &GENUINE.hello), [200]);
    assert_eq!(
        accepted_lengths(client_awaiting_welcome, &GENUINE.welcome),
        [168]
    );
    for (state, genuine) in [
        (server_awaiting_initiate as fn() -> Party, &GENUINE.initiate),
        (client_awaiting_ready, &GENUINE.ready),
    ] {
        assert_eq!(accepted_lengths(state, genuine), [genuine.len()]);
    }
}

#[test]
fn t04_a_wrong_length_is_refused_before_any_box_is_opened() {
    for (state, genuine) in [
        (server as fn() -> Party, &GENUINE.hello),
        (client_awaiting_welcome, &GENUINE.welcome),
    ] {
        for length in [genuine.len() - 1, genuine.len() + 1, 70_000] {
            let mut octets = genuine.clone();
            octets.resize(length, 0);
            let error = state().feed(&octets).unwrap_err();
            assert!(matches!(error, MechanismError::Malformed(_)), "{error}");
        }
    }
}

/// One property that takes so many octets in all: none or at least 6.
fn property_of(octets: usize) -> Bytes {
    let mut encoded = BytesMut::new();
    if octets > 0 {
        metadata::write(&mut encoded, "X", &vec![b'v'; octets - 6]);
    }
    encoded.freeze()
}

#[test]
fn t04_metadata_has_up_to_8_kib_and_more_is_refused_unopened() {
    for octets in [0, 6, 7, 700, 8191, 8192, 8193, 70_000] {
        let fits = octets <= 8192;
        let (mut client, mut server) = (client_awaiting_welcome(), server_awaiting_initiate());
        client.metadata = property_of(octets);
        let _step = client.feed(&GENUINE.welcome).unwrap();
        let mut initiate = client.sent_one();
        let outcome = server.feed(&initiate);
        assert_eq!(outcome.is_ok(), fits, "INITIATE with {octets}");

        let mut server = server_awaiting_verdict();
        server.metadata = property_of(octets);
        let _ready = server.admit().unwrap();
        let mut ready = server.sent_one();
        let outcome = client.feed(&ready);
        assert_eq!(outcome.is_ok(), fits, "READY with {octets}");

        // A box that cannot be opened shows whether somebody tried to.
        *initiate.last_mut().unwrap() ^= 1;
        *ready.last_mut().unwrap() ^= 1;
        for outcome in [
            server_awaiting_initiate().feed(&initiate),
            client_awaiting_ready().feed(&ready),
        ] {
            let opened = outcome.unwrap_err() == MechanismError::BadBox;
            assert_eq!(opened, fits, "{octets}");
        }
    }
}

#[test]
fn every_flipped_octet_of_the_handshake_is_refused() {
    for (state, genuine) in [
        (server as fn() -> Party, &GENUINE.hello),
        (client_awaiting_welcome, &GENUINE.welcome),
        (server_awaiting_initiate, &GENUINE.initiate),
        (client_awaiting_ready, &GENUINE.ready),
    ] {
        assert!(state().feed(genuine).is_ok());
        for at in 0..genuine.len() {
            let mut flipped = genuine.clone();
            flipped[at] ^= 0x01;
            let mut party = state();
            party.sent();
            assert!(party.feed(&flipped).is_err(), "octet {at}");
            assert!(party.sent().is_empty(), "octet {at}");
        }
    }
}

#[test]
fn a_transient_key_in_its_other_spelling_is_refused_by_the_vouch() {
    // X25519 ignores the top bit, so that the box of HELLO opens all the same.
    let mut hello = GENUINE.hello.clone();
    hello[111] ^= 0x80;
    let mut server = server();
    let _step = server.feed(&hello).unwrap();
    let welcome = server.sent_one();
    let mut client = client_awaiting_welcome();
    let _step = client.feed(&welcome).unwrap();
    let error = server.feed(&client.sent_one()).unwrap_err();
    assert_eq!(error, MechanismError::BadVouch);
}

#[test]
fn a_client_with_another_server_key_is_told_so_by_the_moment_of_closing() {
    let mut lost = Party::new(&Curve::client(keys(CLIENT), keys(OTHER).public()), 1);
    let _step = lost.start().unwrap();
    let mut server = server();
    let error = server.feed(&lost.sent_one()).unwrap_err();
    assert_eq!(error, MechanismError::WrongServerKey);
    assert!(server.sent().is_empty());
    assert_eq!(lost.handshake().closed_early(), Reason::WrongServerKey);
    assert_eq!(
        client_awaiting_ready().handshake().closed_early(),
        Reason::Denied
    );
    assert_eq!(server.handshake().closed_early(), Reason::Closed);
}

#[test]
fn a_cipher_that_failed_its_self_test_ends_the_handshake_before_it_begins() {
    let failed = || Err(MechanismError::SelfTest);
    let client = Curve::client(keys(CLIENT), keys(SERVER).public());
    for curve in [client, Curve::server(keys(SERVER))] {
        let sound = curve.handshake_with(Cipher::new(CurveBackend::default()));
        assert!(Party::of(sound, 1).start().is_ok());
        let mut party = Party::of(curve.handshake_with(failed()), 1);
        assert_eq!(party.start().unwrap_err(), MechanismError::SelfTest);
        assert!(party.sent().is_empty());
    }
    // Nor is there a way around its beginning.
    let open = Curve::server(keys(SERVER)).accept_anyone();
    let mut server = Party::of(open.handshake_with(failed()), 2);
    let _step = server.feed(&GENUINE.hello).unwrap();
    let outcome = server.feed(&GENUINE.initiate);
    assert_eq!(outcome.unwrap_err(), MechanismError::SelfTest);
}

#[test]
fn sides_with_different_backends_understand_each_other() {
    for (ours, theirs) in [
        (CurveBackend::Dryoc, CurveBackend::RustCrypto),
        (CurveBackend::RustCrypto, CurveBackend::Dryoc),
    ] {
        let client = Curve::client(keys(CLIENT), keys(SERVER).public()).backend(ours);
        let mut client = Party::new(&client, 1);
        let mut server = Party::new(&Curve::server(keys(SERVER)).backend(theirs), 2);
        let _step = client.start().unwrap();
        let _step = server.feed(&client.sent_one()).unwrap();
        let _step = client.feed(&server.sent_one()).unwrap();
        let _step = server.feed(&client.sent_one()).unwrap();
        let mut at_server = ready(server.admit()).protection.unwrap();
        let mut at_client = ready(client.feed(&server.sent_one())).protection.unwrap();
        for length in [0, 1, 100, 5000] {
            let body = vec![0xab; length];
            assert_eq!(pass(&mut at_client, &mut at_server, &body).1, body);
            assert_eq!(pass(&mut at_server, &mut at_client, &body).1, body);
        }
        assert_eq!(at_client.sealer.cipher(), Some(ours.name()));
        assert_eq!(at_server.sealer.cipher(), Some(theirs.name()));
    }
}

/// A generator that fails after so many draws.
struct Failing(usize, Seeded);

impl Entropy for Failing {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), EntropyError> {
        self.0 = self.0.checked_sub(1).ok_or(EntropyError)?;
        self.1.fill(octets)
    }
}

#[test]
fn without_random_octets_nothing_is_sent() {
    let failing = |draws, seed| Box::new(Failing(draws, Seeded::new(seed)));
    let mut client = client();
    client.entropy = failing(0, 1);
    assert_eq!(client.start().unwrap_err(), MechanismError::Entropy);
    assert!(client.sent().is_empty());

    let mut client = client_awaiting_welcome();
    client.entropy = failing(0, 1);
    let outcome = client.feed(&GENUINE.welcome);
    assert_eq!(outcome.unwrap_err(), MechanismError::Entropy);
    assert!(client.sent().is_empty());

    // s', the cookie's key and nonce, the nonce of WELCOME.
    for draws in 0..=4 {
        let mut server = server();
        server.entropy = failing(draws, 2);
        let outcome = server.feed(&GENUINE.hello);
        assert_eq!(outcome.is_ok(), draws == 4, "{draws}");
        assert_eq!(server.sent().len(), usize::from(draws == 4), "{draws}");
    }
}

#[test]
fn t20_debug_shows_no_secret() {
    let mut shown = format!(
        "{:?} {:?}",
        Curve::client(keys(CLIENT), keys(SERVER).public()),
        Curve::server(keys(SERVER))
    );
    for state in [
        client,
        client_awaiting_welcome,
        client_awaiting_ready,
        server,
        server_awaiting_initiate,
        server_awaiting_verdict,
    ] {
        shown += &format!("{:?} ", state().handshake());
    }
    let ready = ready(server_awaiting_verdict().admit());
    shown += &format!("{ready:?}");

    assert!(shown.contains("SecretKey(..)") && shown.contains("BoxKey(..)"));
    let mut draws = [[0; 32]; 4];
    for (seed, draws) in [1, 2].into_iter().zip(draws.chunks_mut(2)) {
        let mut entropy = Seeded::new(seed);
        draws
            .iter_mut()
            .for_each(|draw| entropy.fill(draw).unwrap());
    }
    for secret in [[CLIENT; 32], [SERVER; 32]].iter().chain(&draws) {
        assert_hidden(&shown, secret);
    }
}
