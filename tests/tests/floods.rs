//! Floods from a second network namespace: what they cost, and what is left for others.
//!
//! `CURVELINK_FULL=1` makes them as large as the promises say; without it they are small enough to
//! run with all tests. The processes are this program itself: see [`a_process_of_a_flood`].
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use curvelink::{
    Context, Curve, KeyPair, LinkEventKind, Options, OsEntropy, Pull, Push, SecretKey, SourceLimits,
};
use curvelink_tests::namespaces::{Network, ROLE, Talk};
use curvelink_tests::support::{keys, quick, raw};
use tokio::net::TcpSocket;

const SERVER: &str = "10.213.0.2:5555";

/// Threads of the flooding process: enough that one that waits for an answer holds up no other.
const THREADS: u64 = 16;

fn full() -> bool {
    std::env::var_os("CURVELINK_FULL").is_some()
}

struct Scene {
    network: Network,
    secret: String,
    server: Talk,
}

impl Scene {
    /// A CURVE server in namespace `b`, with the default limits or none.
    fn start(limits: &str) -> Option<Self> {
        let network = Network::direct().ok()?;
        let secret = keys().secret().expose_z85().to_string();
        let role = format!("server {limits} {secret}");
        let server = network.process('b', "a_process_of_a_flood", &role);
        server.hear("ready");
        Some(Self {
            network,
            secret,
            server,
        })
    }

    fn process(&self, side: char, role: &str) -> Talk {
        let role = format!("{role} {}", self.secret);
        let talk = self.network.process(side, "a_process_of_a_flood", &role);
        talk.hear("ready");
        talk
    }

    fn ask(&mut self, what: &str) -> u64 {
        self.server.say(what);
        self.server.hear(what).parse().expect("a number")
    }
}

/// Bad HELLOs, from one address or from many: good peers keep what is promised of their throughput.
fn bad_hellos(limits: &str, addresses: u64, peer: &str, promised: f64) {
    let Some(mut scene) = Scene::start(limits) else {
        return;
    };
    let (rate, seconds, least) = if full() {
        (5000, 4, promised)
    } else {
        (400, 1, 0.4)
    };
    let _good = scene.process('b', peer);
    while scene.ask("received") == 0 {}
    let mut attacker = scene.process('a', &format!("hello {rate} {addresses}"));
    let (mut calm, mut flooded, mut sent, mut taken) = (0.0, 0.0, 0, 0.0);
    for _ in 0..3 {
        calm += throughput(&mut scene, seconds);
        attacker.say("go");
        flooded += throughput(&mut scene, seconds);
        attacker.say("stop");
        sent += attacker.hear("sent").parse::<u64>().unwrap();
        taken += attacker.hear("cpu").parse::<f64>().unwrap();
    }
    let refused = scene.ask("refused");
    let processors = thread::available_parallelism().unwrap().get() as f64;
    let taken = taken / (3.0 * seconds as f64 * processors);
    let ratio = flooded / calm;
    let a_second = sent / (3 * seconds);
    println!("{limits} limits, {addresses} addresses: {a_second} bad HELLOs/s, {refused} refused");
    println!(
        "{:.0} messages/s without, {ratio:.3} of them with; the flooding process takes {taken:.3} of \
         the machine",
        calm / 3.0
    );
    assert!(refused > 0);
    assert!(ratio >= least, "{ratio}");
}

/// Messages in a second.
fn throughput(scene: &mut Scene, seconds: u64) -> f64 {
    let (start, before) = (Instant::now(), scene.ask("received"));
    thread::sleep(Duration::from_secs(seconds));
    let received = scene.ask("received") - before;
    received as f64 / start.elapsed().as_secs_f64()
}

#[test]
fn bad_hellos_from_one_address_leave_good_peers_their_throughput() {
    bad_hellos("default", 1, "good", 0.8);
}

#[test]
fn bad_hellos_from_many_addresses_leave_good_peers_their_throughput() {
    bad_hellos("default", 10_000, "good", 0.8);
    bad_hellos("none", 10_000, "good", 0.8);
}

/// They and the flood share the processors, so what the flooding process takes of these counts too;
/// elsewhere it would not.
#[test]
fn bad_hellos_leave_peers_at_full_speed_most_of_the_machine() {
    if full() {
        bad_hellos("default", 1, "busy", 0.7);
        bad_hellos("default", 10_000, "busy", 0.5);
    }
}

#[test]
fn idle_sockets_cost_little_memory_and_keep_nobody_out() {
    for limits in ["default", "none"] {
        let Some(mut scene) = Scene::start(limits) else {
            return;
        };
        let sockets = if full() { 10_000 } else { 2000 };
        drop(scene.process('b', "connect"));
        let before = scene.ask("resident");
        let mut attacker = scene.process('a', &format!("idle {sockets} 1000"));
        attacker.say("go");
        let good = scene.process('b', "connect");
        let during: u64 = good.hear("connected").parse().unwrap();
        attacker.hear("open");
        let good = scene.process('b', "connect");
        let after: u64 = good.hear("connected").parse().unwrap();
        let grown = scene.ask("resident").saturating_sub(before);
        println!("{limits} limits, {sockets} idle: {} KiB more", grown >> 10);
        println!(
            "a client is in after {during} ms while they come, {after} ms once they are there"
        );
        assert!(grown <= 8 << 20, "{grown}");
        let patience = if full() { 1000 } else { 3000 };
        assert!(during.max(after) < patience, "{during} ms, {after} ms");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refused_handshake_is_counted_once() {
    let total: u64 = if full() { 100_000 } else { 4000 };
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(quick());
    let address: SocketAddr = {
        let bound = pull.bind("tcp://127.0.0.1:*").unwrap().to_string();
        bound.trim_start_matches("tcp://").parse().unwrap()
    };
    let strangers = (0..THREADS).map(|_| {
        thread::spawn(move || {
            for _ in 0..total / THREADS {
                let mut stranger = TcpStream::connect(address).unwrap();
                let _closed = stranger.write_all(b"GET / HTTP/1.1\r\n\r\n");
                while stranger.read(&mut [0; 64]).is_ok_and(|octets| octets > 0) {}
            }
        })
    });
    let strangers: Vec<_> = strangers.collect();
    let joined = tokio::task::spawn_blocking(|| {
        strangers
            .into_iter()
            .for_each(|stranger| stranger.join().unwrap());
    });
    joined.await.unwrap();
    assert_eq!(pull.statistics().refused, total);
}

/// Does nothing unless it is started by a test above.
#[test]
fn a_process_of_a_flood() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let words: Vec<&str> = role.split(' ').collect();
    let number = |at: usize| words[at].parse().expect("a number");
    let secret = SecretKey::from_z85(words[words.len() - 1]).expect("a key");
    let server = KeyPair::from_secret(secret);
    match words[0] {
        "server" => serve(words[1], server),
        "good" => work(server, Work::Paced),
        "busy" => work(server, Work::Full),
        "connect" => work(server, Work::Connect),
        "hello" => flood(number(1), number(2)),
        _ => idle(number(1), number(2)),
    }
}

/// Lines of standard input, to its end.
fn lines() -> impl Iterator<Item = String> {
    std::io::stdin().lock().lines().map_while(Result::ok)
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn serve(limits: &str, server: KeyPair) {
    let runtime = runtime();
    let _entered = runtime.enter();
    let context = Context::new().unwrap();
    let limits = match limits {
        "none" => SourceLimits::none(),
        _ => SourceLimits::new(),
    };
    let curve = Curve::server(server).accept_anyone();
    let pull = context.socket::<Pull>(Options::new().security(curve).source_limits(limits));
    pull.bind(&format!("tcp://{SERVER}")).unwrap();
    let received = Arc::<AtomicU64>::default();
    let (counted, source) = (received.clone(), pull.clone());
    runtime.spawn(async move {
        while source.recv().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    println!("@ready");
    for line in lines() {
        let answer = match &*line {
            "received" => received.load(Ordering::Relaxed),
            "refused" => pull.statistics().refused,
            _ => resident(),
        };
        println!("@{line} {answer}");
    }
}

/// Seconds of a processor that this process has had.
fn processor_time() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(") ").next().unwrap().split(' ');
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(|it| it.parse::<u64>().unwrap())
        .sum();
    ticks as f64 / 100.0
}

fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// What a good peer does once it has said how long its handshake took.
enum Work {
    /// Nothing.
    Connect,
    /// 10 000 messages a second.
    Paced,
    /// As many as it can.
    Full,
}

/// A good peer.
fn work(server: KeyPair, work: Work) {
    runtime().block_on(async {
        let context = Context::new().unwrap();
        let own = KeyPair::generate(&mut OsEntropy).unwrap();
        let curve = Curve::client(own, server.public());
        let push = context.socket::<Push>(Options::new().security(curve));
        let mut monitor = push.monitor();
        let start = Instant::now();
        push.connect(&format!("tcp://{SERVER}")).unwrap();
        println!("@ready");
        loop {
            let event = monitor.recv().await.unwrap();
            if matches!(event.kind, LinkEventKind::HandshakeSucceeded(_)) {
                break;
            }
        }
        println!("@connected {}", start.elapsed().as_millis());
        let mut tick = match work {
            Work::Connect => return,
            Work::Paced => Some(tokio::time::interval(Duration::from_millis(1))),
            Work::Full => None,
        };
        tokio::spawn(async move {
            loop {
                if let Some(tick) = &mut tick {
                    tick.tick().await;
                }
                for _ in 0..10 {
                    push.send(vec![b'x'; 200]).await.unwrap();
                }
            }
        });
        tokio::task::spawn_blocking(|| lines().for_each(drop))
            .await
            .unwrap();
    });
}

/// The address of a flood's connection: `count` different ones in turn.
fn source(number: u64, count: u64) -> SocketAddr {
    let [.., high, low] = (number % count + 1).to_be_bytes();
    SocketAddr::from(([10, 215, high, low], 0))
}

/// Right in every way but for its box.
fn bad_hello() -> Vec<u8> {
    let mut body = vec![0; 74];
    body[0] = 1;
    body.extend_from_slice(&[9; 32]);
    body.extend_from_slice(&1_u64.to_be_bytes());
    body.extend_from_slice(&[0x55; 80]);
    [raw::greeting("CURVE"), raw::command("HELLO", &body)].concat()
}

/// Connects so often in a second, from `go` to `stop`, and says how often that was.
fn flood(rate: u64, addresses: u64) {
    let runtime = runtime();
    println!("@ready");
    let mut lines = lines();
    while lines.next().is_some_and(|line| line == "go") {
        let before = processor_time();
        let (running, sent) = (Arc::new(AtomicBool::new(true)), Arc::<AtomicU64>::default());
        for thread in 0..THREADS {
            let (running, sent) = (running.clone(), sent.clone());
            runtime.spawn(async move {
                let pause = Duration::from_nanos(1_000_000_000 * THREADS / rate);
                let mut tick = tokio::time::interval(pause);
                let hello = bad_hello();
                let mut number = thread;
                while running.load(Ordering::Relaxed) {
                    tick.tick().await;
                    number += THREADS;
                    let (hello, sent) = (hello.clone(), sent.clone());
                    tokio::spawn(async move {
                        if let Ok(stream) = connect(source(number, addresses)).await
                            && stream.writable().await.is_ok()
                            && stream.try_write(&hello).is_ok()
                        {
                            sent.fetch_add(1, Ordering::Relaxed);
                            // What comes back, and the end.
                            let _end = stream.readable().await;
                        }
                    });
                }
            });
        }
        lines.next();
        running.store(false, Ordering::Relaxed);
        println!("@sent {}", sent.load(Ordering::Relaxed));
        println!("@cpu {}", processor_time() - before);
    }
}

async fn connect(source: SocketAddr) -> std::io::Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(source)?;
    socket.connect(SERVER.parse().expect("an address")).await
}

/// Opens sockets that say nothing, and keeps them.
fn idle(sockets: u64, addresses: u64) {
    println!("@ready");
    lines().next();
    runtime().block_on(async {
        let mut open = Vec::new();
        for number in 0..sockets {
            let patience = Duration::from_millis(200);
            let socket = tokio::time::timeout(patience, connect(source(number, addresses)));
            open.extend(socket.await.ok().and_then(Result::ok));
        }
        println!("@open {}", open.len());
        tokio::task::spawn_blocking(|| lines().for_each(drop))
            .await
            .unwrap();
    });
}
