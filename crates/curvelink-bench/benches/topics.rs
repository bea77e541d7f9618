//! Whom a published message is for, with few and with many subscriptions.

use std::sync::Arc;

use curvelink::{Context, Options, Peer, Socket, Sub, Xpub};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const SUBSCRIPTIONS: [usize; 3] = [10, 10_000, 1_000_000];

/// As many prefixes as one peer may have.
const OF_ONE_PEER: usize = 10_000;

/// The subscribers of topics that one peer subscribed to.
#[divan::bench(args = SUBSCRIPTIONS)]
fn match_of_one(bencher: Bencher<'_, '_>, subscriptions: usize) {
    find(bencher, subscriptions, |prefix| prefix + "/temperature", 1);
}

/// The subscribers of topics that differ from what is subscribed to in their last octet.
#[divan::bench(args = SUBSCRIPTIONS)]
fn match_of_none(bencher: Bencher<'_, '_>, subscriptions: usize) {
    let spoil = |mut prefix: String| {
        prefix.pop();
        prefix + "x"
    };
    find(bencher, subscriptions, spoil, 0);
}

fn find(
    bencher: Bencher<'_, '_>,
    subscriptions: usize,
    topic: impl Fn(String) -> String,
    found: usize,
) {
    let publisher = Publisher::new(subscriptions);
    // Far from each other, so that they do not find the caches warmed by the one before.
    let topics = (0..1000).map(|number| topic(prefix(number * 7919 % subscriptions)));
    let topics: Vec<_> = topics.collect();
    let mut topics = topics.iter().cycle();
    bencher.bench_local(|| {
        let topic = topics.next().expect("a cycle");
        let peers = publisher.socket.subscribers(black_box(topic.as_bytes()));
        assert_eq!(peers.len(), found);
    });
}

/// A place in a plant: the prefixes share octets, as those of real systems do.
fn prefix(number: usize) -> String {
    let (hall, line, sensor) = (number / 10_000, number / 100 % 100, number % 100);
    format!("plant/hall-{hall:04}/line-{line:02}/sensor-{sensor:02}")
}

/// A publisher and its subscribers, all in this process.
struct Publisher {
    socket: Socket<Xpub>,
    _subscribers: Vec<Socket<Sub>>,
    _context: Context,
}

impl Publisher {
    fn new(subscriptions: usize) -> Self {
        let context = Context::with_io_threads(1).expect("a thread");
        let socket = context.socket::<Xpub>(Options::new().xpub_manual(true));
        socket.bind("inproc://topics").expect("a free name");
        let peers = subscriptions.div_ceil(OF_ONE_PEER);
        let subscribers = (0..peers).map(|_| {
            let subscriber = context.socket::<Sub>(Options::new());
            subscriber.connect("inproc://topics").expect("it is bound");
            subscriber
        });
        let subscribers: Vec<_> = subscribers.collect();
        let peers: Vec<Arc<Peer>> = socket.peers();
        for number in 0..subscriptions {
            let peer = &peers[number % peers.len()];
            let added = socket.subscribe_peer(peer, prefix(number));
            added.expect("a prefix of a peer that is there");
        }
        assert_eq!(socket.topics(), subscriptions);
        Self {
            socket,
            _subscribers: subscribers,
            _context: context,
        }
    }
}
