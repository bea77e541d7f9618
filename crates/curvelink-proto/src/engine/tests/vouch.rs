//! CURVE's vouch, through engines: made for another server, another connection, by another key.

use std::sync::Arc;

use crate::engine::tests::case::{CLIENT, Case, OTHER, SERVER, keys};
use crate::engine::tests::pair::{Pair, Side};
use crate::engine::tests::transcript::{command, pieces};
use crate::engine::tests::wire::Fault;
use crate::entropy::Entropy as _;
use crate::event::{Reason, Stage};
use crate::keys::{KeyPair, SecretKey};
use crate::mechanism::curve::Curve;
use crate::mechanism::curve::nacl::PairBox;
use crate::mechanism::testing::Seeded;
use crate::socket_type::SocketType;

/// Where C' stands in what a client writes: after its greeting, a header, name, version, padding.
const CLIENT_TRANSIENT: usize = 64 + 2 + 6 + 2 + 72;

/// The transient pair that a side with this seed makes: its first draw.
fn transient(seed: u8) -> KeyPair {
    let mut octets = [0; 32];
    Seeded::new(seed).fill(&mut octets).unwrap();
    KeyPair::from_secret(SecretKey::from_octets(&octets).unwrap())
}

/// What a vouch says, and who says it.
struct Vouch {
    by: KeyPair,
    transient: KeyPair,
    server: KeyPair,
    claimed: KeyPair,
}

impl Vouch {
    fn genuine() -> Self {
        Self {
            by: keys(CLIENT),
            transient: transient(1),
            server: keys(SERVER),
            claimed: keys(CLIENT),
        }
    }

    /// An INITIATE of the connection with seeds 1 and 2 that carries this vouch.
    fn initiate(&self, cookie: &[u8]) -> Vec<u8> {
        let server = transient(2).public();
        let nonce = |prefix: &[u8], rest: &[u8]| [prefix, rest].concat().try_into().unwrap();
        let mut vouch = vec![3; 16];
        let vouched = [self.transient.public(), self.server.public()].map(|key| *key.as_octets());
        PairBox::new(&server, self.by.secret())
            .seal_onto(
                &nonce(b"VOUCH---", &[3; 16]),
                &[vouched.as_flattened()],
                &mut vouch,
            )
            .unwrap();
        let counter = 2_u64.to_be_bytes();
        let mut body = [cookie, &counter].concat();
        let metadata = b"\x0bSocket-Type\0\0\0\x06DEALER";
        let claimed = self.claimed.public();
        let parts = [&claimed.as_octets()[..], &vouch, metadata];
        PairBox::new(&server, transient(1).secret())
            .seal_onto(&nonce(b"CurveZMQINITIATE", &counter), &parts, &mut body)
            .unwrap();
        command("INITIATE", &body)
    }
}

/// A server that has sent WELCOME, and the cookie that it gave out.
fn welcomed() -> (Pair, Vec<u8>) {
    let mut pair = Case::curve().pair(SocketType::Dealer, SocketType::Dealer);
    let recorded = Case::curve().up();
    let hello = pieces(&recorded.client.out.record)[..2].concat();
    pair.server.receive(&hello, pair.now);
    pair.server.sent();
    let initiate = &pieces(&recorded.client.out.record)[2];
    // A long header, the name.
    let cookie = initiate[9 + 9..][..96].to_vec();
    (pair, cookie)
}

/// A server that was shown a vouch by a key that does not own it.
pub(super) fn forged() -> Side {
    let vouch = Vouch {
        claimed: keys(OTHER),
        ..Vouch::genuine()
    };
    let (mut pair, cookie) = welcomed();
    pair.server.receive(&vouch.initiate(&cookie), pair.now);
    pair.server
}

/// A server to which a client says that C' is a point of low order: 0 or 1.
pub(super) fn weak(first: u8) -> Side {
    let mut point = vec![0; 32];
    point[0] = first;
    let mut pair = Case::curve().pair(SocketType::Dealer, SocketType::Dealer);
    let faults = &mut pair.client.out.faults;
    faults.push((CLIENT_TRANSIENT, Fault::Drop(32)));
    faults.push((CLIENT_TRANSIENT, Fault::Insert(point)));
    pair.drive();
    pair.server
}

#[test]
fn t25_only_a_vouch_of_this_key_for_this_server_and_connection_is_taken() {
    let genuine = Vouch::genuine;
    let forged = [
        Vouch {
            server: keys(OTHER),
            ..genuine()
        },
        Vouch {
            transient: transient(9),
            ..genuine()
        },
        Vouch {
            by: keys(OTHER),
            ..genuine()
        },
        Vouch {
            claimed: keys(OTHER),
            ..genuine()
        },
        Vouch {
            by: transient(1),
            ..genuine()
        },
    ];
    for (row, vouch) in forged.iter().enumerate() {
        let (mut pair, cookie) = welcomed();
        pair.server.receive(&vouch.initiate(&cookie), pair.now);
        assert_eq!(
            pair.server.error.unwrap().reason(),
            Reason::BadVouch,
            "row {row}"
        );
        assert!(
            pair.server.asked.is_empty() && pair.server.ready.is_none(),
            "row {row}"
        );
    }
    let (mut pair, cookie) = welcomed();
    pair.server.receive(&genuine().initiate(&cookie), pair.now);
    assert_eq!(pair.server.ready.unwrap().key, Some(keys(CLIENT).public()));
}

#[test]
fn t25_an_initiate_of_another_connection_is_refused() {
    let recorded = pieces(&Case::curve().up().client.out.record);
    // The same client and server, and other random octets on the server's side.
    let mut pair = Case::curve().pair(SocketType::Dealer, SocketType::Dealer);
    pair.server.engine.entropy = Box::new(Seeded::new(9));
    pair.server.receive(&recorded.concat(), pair.now);
    assert_eq!(pair.server.error.unwrap().reason(), Reason::Malformed);
    assert!(pair.server.asked.is_empty() && pair.server.ready.is_none());
}

#[test]
fn t25_transient_keys_of_low_order_are_refused() {
    for first in [0, 1] {
        let server = weak(first);
        assert_eq!(server.error.unwrap().reason(), Reason::WeakKey);
        assert!(server.asked.is_empty() && server.ready.is_none());
    }
}

#[test]
fn a_client_that_pins_another_key_is_told_by_the_moment_of_closing() {
    let other = Case {
        client: Arc::new(Curve::client(keys(CLIENT), keys(OTHER).public())),
        ..Case::curve()
    };
    let mut pair = other.pair(SocketType::Dealer, SocketType::Dealer);
    pair.drive();
    for side in [&mut pair.client, &mut pair.server] {
        let error = side.error.take().unwrap();
        assert_eq!(error.reason(), Reason::WrongServerKey);
        assert_eq!(side.engine.refusal(&error).stage, Stage::Handshake);
        assert!(side.ready.is_none());
    }
    assert_eq!(
        pair.server.out.record.len(),
        64,
        "a stranger gets no answer"
    );
}
