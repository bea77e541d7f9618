//! Each side against commands that an attacker makes, with keys of its own and every liberty.

use super::layout::{long_nonce, short_nonce};
use super::nacl::PairBox;
use super::tests::{
    CLIENT, GENUINE, NEXT, OTHER, SERVER, keys, public, server, server_awaiting_verdict,
};
use super::{Curve, CurveBackend, ServerKeys};
use crate::error::MechanismError;
use crate::mechanism::Step;
use crate::mechanism::testing::{Party, Seeded, command};

/// What a client of an attacker's writes; by default nothing is wrong with it.
struct Forgery {
    version: [u8; 2],
    padding: [u8; 72],
    transient: [u8; 32],
    greeting: PairBox,
    signature: [u8; 64],
    hello_counter: u64,
    initiate_counter: u64,
    cookie: Option<Vec<u8>>,
    claimed: [u8; 32],
    /// The secret that makes the vouch, and whether it stands for a point of low order.
    vouch_secret: [u8; 32],
    vouch_is_weak: bool,
    vouched: [[u8; 32]; 2],
    metadata: &'static [u8],
}

impl Default for Forgery {
    fn default() -> Self {
        Self {
            version: [1, 0],
            padding: [0; 72],
            transient: public(OTHER),
            greeting: PairBox::of_octets(&public(SERVER), &[OTHER; 32]),
            signature: [0; 64],
            hello_counter: 1,
            initiate_counter: 2,
            cookie: None,
            claimed: public(CLIENT),
            vouch_secret: [CLIENT; 32],
            vouch_is_weak: false,
            vouched: [public(OTHER), public(SERVER)],
            metadata: b"\x0bSocket-Type\0\0\0\x04PUSH",
        }
    }
}

impl Forgery {
    fn hello(&self) -> Vec<u8> {
        let mut body = [&self.version[..], &self.padding, &self.transient].concat();
        body.extend(self.hello_counter.to_be_bytes());
        let nonce = short_nonce(b"CurveZMQHELLO---", self.hello_counter);
        self.greeting
            .seal_onto(&nonce, &[&self.signature], &mut body)
            .unwrap();
        command("HELLO", &body)
    }

    /// Opens WELCOME: S' and the cookie.
    fn open(&self, welcome: &[u8]) -> ([u8; 32], Vec<u8>) {
        let nonce = long_nonce(b"WELCOME-", welcome[8..24].try_into().unwrap());
        let clear = self.greeting.open_copy(&nonce, &welcome[24..]).unwrap();
        (clear[..32].try_into().unwrap(), clear[32..].to_vec())
    }

    fn initiate(&self, welcome: &[u8]) -> Vec<u8> {
        let (server_transient, cookie) = self.open(welcome);
        let mut vouch = vec![3; 16];
        let vouch_box = if self.vouch_is_weak {
            PairBox::of_octets(&[0; 32], &self.vouch_secret)
        } else {
            PairBox::of_octets(&server_transient, &self.vouch_secret)
        };
        let vouched = self.vouched.as_flattened();
        vouch_box
            .seal_onto(&long_nonce(b"VOUCH---", &[3; 16]), &[vouched], &mut vouch)
            .unwrap();

        let mut body = self.cookie.clone().unwrap_or(cookie);
        body.extend(self.initiate_counter.to_be_bytes());
        let nonce = short_nonce(b"CurveZMQINITIATE", self.initiate_counter);
        PairBox::of_octets(&server_transient, &[OTHER; 32])
            .seal_onto(&nonce, &[&self.claimed, &vouch, self.metadata], &mut body)
            .unwrap();
        command("INITIATE", &body)
    }

    /// What becomes of it, which is never a matter of the backend.
    fn play(&self) -> Result<(), MechanismError> {
        let outcomes = CurveBackend::ALL.iter().map(|with| self.play_to(*with));
        let outcomes: Vec<_> = outcomes.collect();
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
        outcomes[0]
    }

    fn play_to(&self, backend: CurveBackend) -> Result<(), MechanismError> {
        self.play_against(&Curve::server(keys(SERVER)).backend(backend))
    }

    fn play_against(&self, server: &Curve) -> Result<(), MechanismError> {
        let mut server = Party::new(server, 2);
        let _step = server.feed(&self.hello())?;
        let initiate = self.initiate(&server.sent_one());
        match server.feed(&initiate)? {
            Step::Authenticate { .. } => Ok(()),
            step => panic!("{step:?}"),
        }
    }
}

#[test]
fn t25_only_a_vouch_of_this_key_for_this_server_and_connection_is_taken() {
    assert_eq!(Forgery::default().play(), Ok(()));
    let vouched = |transient, server| Forgery {
        vouched: [public(transient), public(server)],
        ..Forgery::default()
    };
    // A server that a client trusts passes its vouch on; a vouch of another connection.
    for forgery in [vouched(OTHER, OTHER), vouched(SERVER, SERVER)] {
        assert_eq!(forgery.play(), Err(MechanismError::BadVouch));
    }
    let foreign = Forgery {
        vouch_secret: [OTHER; 32],
        ..Forgery::default()
    };
    assert_eq!(foreign.play(), Err(MechanismError::BadVouch));
}

#[test]
fn t25_a_vouch_for_one_key_of_a_server_is_not_good_under_its_other() {
    let keys = ServerKeys::new(keys(SERVER)).with_next(keys(NEXT)).unwrap();
    let server = Curve::server(keys);
    for (hello, vouched, expected) in [
        (SERVER, SERVER, Ok(())),
        (NEXT, NEXT, Ok(())),
        (SERVER, NEXT, Err(MechanismError::BadVouch)),
        (NEXT, SERVER, Err(MechanismError::BadVouch)),
    ] {
        let forgery = Forgery {
            greeting: PairBox::of_octets(&public(hello), &[OTHER; 32]),
            vouched: [public(OTHER), public(vouched)],
            ..Forgery::default()
        };
        assert_eq!(forgery.play_against(&server), expected);
    }
}

#[test]
fn t25_keys_of_low_order_are_refused_though_their_boxes_would_open() {
    let permanent = Forgery {
        claimed: [0; 32],
        vouch_secret: [1; 32],
        vouch_is_weak: true,
        ..Forgery::default()
    };
    assert_eq!(permanent.play(), Err(MechanismError::WeakKey));
    let transient = Forgery {
        transient: [0; 32],
        greeting: PairBox::of_octets(&[0; 32], &[1; 32]),
        ..Forgery::default()
    };
    assert_eq!(transient.play(), Err(MechanismError::WeakKey));
}

#[test]
fn every_field_of_hello_is_checked() {
    let forged = |change: fn(&mut Forgery)| {
        let mut forgery = Forgery::default();
        change(&mut forgery);
        forgery.play().unwrap_err()
    };
    for change in [
        (|hello| hello.version = [1, 1]) as fn(&mut Forgery),
        |hello| hello.version = [2, 0],
        |hello| hello.padding[0] = 1,
        |hello| hello.padding[71] = 0x80,
        |hello| hello.signature[63] = 1,
    ] {
        assert!(matches!(forged(change), MechanismError::Malformed(_)));
    }
    let other_server = forged(|hello| {
        hello.greeting = PairBox::of_octets(&public(CLIENT), &[OTHER; 32]);
    });
    assert_eq!(other_server, MechanismError::WrongServerKey);
}

#[test]
fn the_numbers_of_hello_and_initiate_follow_each_other() {
    for (hello, initiate, taken) in [
        (1, 2, true),
        (7, 8, true),
        (1, 1, false),
        (1, 3, false),
        (1, 0, false),
        (2, 1, false),
        (u64::MAX - 1, u64::MAX, true),
        (u64::MAX, 0, false),
    ] {
        let forgery = Forgery {
            hello_counter: hello,
            initiate_counter: initiate,
            ..Forgery::default()
        };
        let expected = if taken {
            Ok(())
        } else {
            Err(MechanismError::Nonce)
        };
        assert_eq!(forgery.play(), expected, "{hello} {initiate}");
    }
}

#[test]
fn a_cookie_is_good_for_its_own_connection_and_once() {
    let mut elsewhere = server();
    elsewhere.entropy = Box::new(Seeded::new(9));
    let _step = elsewhere.feed(&Forgery::default().hello()).unwrap();
    let (_key, cookie) = Forgery::default().open(&elsewhere.sent_one());
    let forgery = Forgery {
        cookie: Some(cookie),
        ..Forgery::default()
    };
    assert_eq!(forgery.play(), Err(MechanismError::BadBox));

    let mut server = server_awaiting_verdict();
    let again = server.feed(&GENUINE.initiate).unwrap_err();
    assert_eq!(again, MechanismError::UnexpectedCommand);
}

#[test]
fn malformed_metadata_in_a_good_box_is_refused() {
    for metadata in [&b"\0\0\0\0\0"[..], b"X", b"\x01A\xff\xff\xff\xff"] {
        let forgery = Forgery {
            metadata,
            ..Forgery::default()
        };
        let error = forgery.play().unwrap_err();
        assert!(matches!(error, MechanismError::Malformed(_)), "{error}");
    }
}

#[test]
fn a_client_refuses_a_server_that_does_not_own_the_pinned_key() {
    // The impostor sees HELLO, and answers with boxes of its own key.
    let impostor = PairBox::of_octets(&public_transient(&GENUINE.hello), &[OTHER; 32]);
    let owner = PairBox::of_octets(&public_transient(&GENUINE.hello), &[SERVER; 32]);
    for (greeting, transient, expected) in [
        (&owner, public(OTHER), None),
        (&impostor, public(OTHER), Some(MechanismError::BadBox)),
        (&owner, [0; 32], Some(MechanismError::WeakKey)),
    ] {
        let mut body = vec![7; 16];
        let nonce = long_nonce(b"WELCOME-", &[7; 16]);
        greeting
            .seal_onto(&nonce, &[&transient, &[0; 96]], &mut body)
            .unwrap();
        for backend in CurveBackend::ALL {
            let client = Curve::client(keys(CLIENT), keys(SERVER).public()).backend(*backend);
            let mut client = Party::new(&client, 1);
            let _step = client.start().unwrap();
            assert_eq!(client.sent_one(), GENUINE.hello);
            let outcome = client.feed(&command("WELCOME", &body));
            assert_eq!(outcome.err(), expected);
        }
    }
}

fn public_transient(hello: &[u8]) -> [u8; 32] {
    hello[80..112].try_into().unwrap()
}
