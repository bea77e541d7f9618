//! Whether time tells what a comparison was made with: `docs/constant-time.md` has the figures.
//!
//! `cargo bench -p curvelink-bench --bench constant_time -- [SAMPLES [WORD]]`: the cases whose names
//! contain the word.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use curvelink_bench::timing::{Timing, compare, leaky_equal};
use curvelink_proto::{
    Credentials, Curve, Engine, EngineConfig, Entropy, EntropyError, KeyPair, MechanismName,
    Password, PeerAddress, PublicKey, SecretKey, SocketType, ZapRequest,
};
use curvelink_tests::handshakes::curve::{Client, Session, pair};
use curvelink_tests::support::random::Random;
use curvelink_tests::support::raw;
use curvelink_zap::{Outcome, Policy};

const SAMPLES: usize = 1_000_000;

/// How often a short comparison is made for one sample: once would drown in the clock's own grain.
const AGAIN: usize = 16;

/// Connections whose octets are made before: their secrets come round again.
const CONNECTIONS: usize = 64;

const SERVER: [u8; 32] = [0x11; 32];
const CLIENT: [u8; 32] = [0x22; 32];

type Case = (&'static str, fn(usize) -> Timing);

/// What is wrong in the one kind of input, and in the other.
const CASES: &[Case] = &[
    ("control: a comparison that gives up early", control),
    (
        "key lookup: all but the last octet of a listed key, or none",
        near_key,
    ),
    (
        "key lookup: listed, or not (the verdict tells it too)",
        listed_key,
    ),
    ("cookie: its last octet, or all", cookie),
    ("vouch: its last octet, or all", vouch),
    ("password: its last octet, or all", password),
    (
        "password hash: of a listed user, or of nobody",
        password_hash,
    ),
];

fn main() {
    let words: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let samples = words.first().and_then(|word| word.parse().ok());
    let wanted = words.get(1).map_or("", String::as_str);
    for (name, case) in CASES.iter().filter(|(name, _)| name.contains(wanted)) {
        let timing = case(samples.unwrap_or(SAMPLES));
        let Timing {
            samples,
            t,
            medians: [one, other],
        } = timing;
        println!("| {name} | {samples} | {one:.0} | {other:.0} | {t:.2} |");
    }
}

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut random = Random::seeded(seed);
    move || random.below(usize::MAX) as u64
}

fn any<const N: usize>(random: &mut Random) -> [u8; N] {
    [(); N].map(|()| random.below(256) as u8)
}

/// Octets that differ in the last, or anywhere.
fn wrong<const N: usize>(right: &[u8; N], random: &mut Random) -> [[u8; N]; 2] {
    let mut near = *right;
    near[N - 1] ^= 1 << random.below(8);
    [near, any(random)]
}

fn control(samples: usize) -> Timing {
    let secret: [u8; 32] = any(&mut Random::seeded(1));
    let mut inputs = Random::seeded(2);
    compare(
        samples,
        random(3),
        |kind| wrong(&secret, &mut inputs)[kind],
        |guess| {
            (0..AGAIN)
                .filter(|_| leaky_equal(black_box(&secret), black_box(&guess)))
                .count()
        },
    )
}

fn password(samples: usize) -> Timing {
    let secret: [u8; 32] = any(&mut Random::seeded(4));
    let mut inputs = Random::seeded(5);
    compare(
        samples,
        random(6),
        |kind| Password::new(wrong(&secret, &mut inputs)[kind]),
        |guess| {
            let equal = (0..AGAIN).filter(|_| black_box(&guess).matches(black_box(&secret)));
            (equal.count(), guess)
        },
    )
}

/// Argon2id, which takes milliseconds: a hundredth of the samples.
fn password_hash(samples: usize) -> Timing {
    let hash = "$argon2id$v=19$m=8192,t=1,p=1$c2FsdC1vZi1zaWVtLTAwMA$6DmxWyjUPI0v/bswyANTNndgFJw3HQx6m7D5PANveLA";
    let users: String = (0..8).fold(String::new(), |mut users, number| {
        let _fits = write!(
            users,
            "{{ username = \"user-{number}\", password_hash = \"{hash}\" }},"
        );
        users
    });
    let policy = policy(&format!("i = {{ plain = [{users}], domains = ['p'] }}\n"));
    let mut inputs = Random::seeded(7);
    compare(
        samples / 100,
        random(8),
        |kind| {
            let name = ["user", "nope"][kind];
            let username = format!("{name}-{}", inputs.below(8)).into_bytes().into();
            let password = Password::new(any::<16>(&mut inputs));
            let who = Credentials::Plain { username, password };
            ZapRequest::new("p", PeerAddress::Inproc, MechanismName::PLAIN, who)
        },
        |request| settle(&policy, &request),
    )
}

/// A policy with these lines of identities.
fn policy(identities: &str) -> Policy {
    let file = format!("version = 1\n[identities]\n{identities}");
    Policy::from_toml(&file, "zap.toml").expect("a policy")
}

fn settle(policy: &Policy, request: &ZapRequest) -> bool {
    let outcome: Outcome = policy.decide(request, SystemTime::UNIX_EPOCH);
    outcome.settle().is_admitted()
}

const LISTED: usize = 1000;

fn near_key(samples: usize) -> Timing {
    lookup(samples, |listed, inputs| {
        wrong(&listed[inputs.below(LISTED)], inputs)
    })
}

fn listed_key(samples: usize) -> Timing {
    lookup(samples, |listed, inputs| {
        [listed[inputs.below(LISTED)], any(inputs)]
    })
}

/// The time that the policy takes for the one or the other key.
fn lookup(samples: usize, keys: impl Fn(&[[u8; 32]], &mut Random) -> [[u8; 32]; 2]) -> Timing {
    let mut inputs = Random::seeded(9);
    let listed: Vec<[u8; 32]> = (0..LISTED).map(|_| any(&mut inputs)).collect();
    let mut identities = String::new();
    for (number, key) in listed.iter().enumerate() {
        let key = key_of(*key).to_z85();
        let _fits = writeln!(
            identities,
            "i{number} = {{ curve = ['{key}'], domains = ['p'] }}"
        );
    }
    let policy = policy(&identities);
    compare(
        samples,
        random(10),
        |kind| {
            let key = key_of(keys(&listed, &mut inputs)[kind]);
            let who = Credentials::Curve(key);
            ZapRequest::new("p", PeerAddress::Inproc, MechanismName::CURVE, who)
        },
        |request| {
            let admitted = (0..AGAIN).filter(|_| settle(&policy, black_box(&request)));
            (admitted.count(), request)
        },
    )
}

/// Any 32 octets but a few are a public key.
fn key_of(octets: [u8; 32]) -> PublicKey {
    PublicKey::from_octets(octets).expect("not of low order")
}

/// A cookie that is not the one that this server gave.
fn cookie(samples: usize) -> Timing {
    initiate(samples, |connection, inputs| {
        let cookie = connection.initiate(&connection.client)[COOKIE].try_into();
        let cookie: [u8; 80] = cookie.expect("its box");
        wrong(&cookie, inputs).map(|wrong| {
            let mut octets = connection.initiate(&connection.client);
            octets[COOKIE].copy_from_slice(&wrong);
            octets
        })
    })
}

/// A vouch in a good box, that is not for this connection and this server.
fn vouch(samples: usize) -> Timing {
    initiate(samples, |connection, inputs| {
        let right = [connection.client.transient.0, connection.client.server];
        let right: [u8; 64] = right.as_flattened().try_into().expect("two keys");
        wrong(&right, inputs).map(|wrong| {
            let mut client = connection.client.clone();
            client.vouched_transient.copy_from_slice(&wrong[..32]);
            client.vouched_server.copy_from_slice(&wrong[32..]);
            connection.initiate(&client)
        })
    })
}

/// Where the box of the cookie is in INITIATE: behind the header of the frame, the command's name
/// and a nonce.
const COOKIE: std::ops::Range<usize> = 9 + 9 + 16..9 + 9 + 96;

/// How many INITIATEs of each kind a connection has.
const VARIANTS: usize = 8;

/// The time that a server takes to refuse the one or the other INITIATE.
fn initiate(samples: usize, forge: impl Fn(&Connection, &mut Random) -> [Vec<u8>; 2]) -> Timing {
    let mut inputs = Random::seeded(11);
    let now = Instant::now();
    let server = Arc::new(EngineConfig::new(
        SocketType::Router,
        Arc::new(Curve::server(KeyPair::from_secret(
            SecretKey::from_octets(&SERVER).expect("a key"),
        ))),
    ));
    let connections: Vec<_> = (0..CONNECTIONS)
        .map(|number| Connection::new(&server, number, now))
        .collect();
    let forged: Vec<_> = connections
        .iter()
        .map(|connection| [(); VARIANTS].map(|()| forge(connection, &mut inputs)))
        .collect();
    compare(
        samples,
        random(12),
        |kind| {
            let number = inputs.below(CONNECTIONS);
            let octets = &forged[number][inputs.below(VARIANTS)][kind];
            let mut engine = connections[number].engine(&server, now);
            engine.read_buf().extend_from_slice(octets);
            engine
        },
        |mut engine| {
            let refused = engine.handle_input(now).is_err();
            assert!(refused && engine.poll_event().is_none());
            engine
        },
    )
}

/// A connection that goes the same way each time: a client, and the WELCOME that it gets.
struct Connection {
    number: usize,
    client: Client,
    /// The client's greeting and HELLO.
    first: Vec<u8>,
    welcome: Vec<u8>,
}

impl Connection {
    fn new(server: &Arc<EngineConfig>, number: usize, now: Instant) -> Self {
        let client = Client::new(pair(SERVER).0, pair(CLIENT)).with_transient(number);
        let hello = raw::command("HELLO", &Session::default().hello(&client));
        let mut connection = Self {
            number,
            client,
            first: [raw::greeting("CURVE"), hello].concat(),
            welcome: Vec::new(),
        };
        let mut engine = connection.engine(server, now);
        let said = transmit(&mut engine);
        // Behind the greeting, the header of a short frame and the command's name.
        connection.welcome = said[64 + 2 + 8..].to_vec();
        connection
    }

    /// The server's side, that waits for INITIATE.
    fn engine(&self, server: &Arc<EngineConfig>, now: Instant) -> Engine {
        let entropy = Box::new(Same(Random::seeded(self.number as u64)));
        let endpoint = Arc::from("tcp://127.0.0.1:1");
        let mut engine = Engine::new(server.clone(), PeerAddress::Inproc, endpoint, entropy, now);
        engine.read_buf().extend_from_slice(&self.first);
        engine.handle_input(now).expect("a HELLO");
        engine
    }

    fn initiate(&self, client: &Client) -> Vec<u8> {
        let mut session = Session::default();
        let _same_as_before = session.hello(client);
        assert!(session.welcomed(&self.welcome), "a WELCOME");
        let metadata = raw::metadata(&[("Socket-Type", b"DEALER")]);
        raw::command("INITIATE", &session.initiate(client, &metadata))
    }
}

fn transmit(engine: &mut Engine) -> Vec<u8> {
    let mut out = Vec::new();
    while engine.wants_output() {
        let mut slices = [IoSlice::new(&[]); 8];
        let chunks = engine.poll_transmit(&mut slices);
        let said = slices[..chunks]
            .iter()
            .flat_map(|it| it.to_vec())
            .collect::<Vec<_>>();
        engine.advance_transmit(said.len());
        out.extend(said);
    }
    out
}

/// INSECURE: the same octets each time, so that a connection can be made again.
struct Same(Random);

impl Entropy for Same {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), EntropyError> {
        octets.fill_with(|| self.0.below(256) as u8);
        Ok(())
    }
}
