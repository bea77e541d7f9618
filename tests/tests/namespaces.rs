//! Two processes in two network namespaces, under CURVE, over a link that loses, delays, reorders
//! and is cut.
//!
//! The processes are this program itself: see [`a_process_in_a_namespace`].
#![cfg(target_os = "linux")]

use std::collections::{BTreeSet, HashMap};
use std::io::BufRead as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use curvelink::{
    Context, Curve, KeyPair, LinkEventKind, Monitor, Options, Peer, Pull, Push, SecretKey,
};
use curvelink_tests::namespaces::{Network, ROLE, Talk};
use curvelink_tests::support::{keys, quick};
use tokio::sync::mpsc;

/// Octets of each message: the kernel's buffers hold some thousand of them.
const SIZE: usize = 1000;

/// Milliseconds of silence after which a link is given up: where one is cut.
const SHORT: u64 = 500;

/// Where the link is bad and stays: TCP doubles its pause with each loss of the same octets, and a
/// link that is given up in such a pause loses what was written to it.
const LONG: u64 = 50_000;

struct Pair {
    network: Network,
    secret: String,
    push: Option<Talk>,
    sent: u64,
}

impl Pair {
    fn start() -> Option<Self> {
        let network = Network::start().ok()?;
        Some(Self {
            network,
            secret: keys().secret().expose_z85().to_string(),
            push: None,
            sent: 0,
        })
    }

    fn process(&self, side: char, role: &str, endpoint: &str) -> Talk {
        self.process_with(side, role, endpoint, SHORT)
    }

    /// `silence` is how long, in milliseconds, a process hears nothing before it ends a link.
    fn process_with(&self, side: char, role: &str, endpoint: &str, silence: u64) -> Talk {
        let role = format!("{role} {endpoint} {} {silence}", self.secret);
        let talk = self
            .network
            .process(side, "a_process_in_a_namespace", &role);
        talk.hear("ready");
        talk
    }

    fn connect(&mut self, endpoint: &str) {
        self.push = Some(self.process('a', "push", endpoint));
    }

    fn push(&mut self) -> &mut Talk {
        self.push.as_mut().expect("it is connected")
    }

    /// Lets the PUSH accept so many messages, which takes as long as it takes.
    fn send(&mut self, count: u64) {
        self.sent += count;
        self.push().say(&format!("send {count}"));
    }
}

/// Waits until the PULL has received so many messages; none twice, and in order on each link.
fn receive(pull: &mut Talk, count: u64) {
    let start = Instant::now();
    let mut received = 0;
    while received < count {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "{received} of {count}"
        );
        std::thread::sleep(Duration::from_millis(20));
        pull.say("report");
        received = pull.hear("received").parse().expect("a number");
    }
    assert_eq!(received, count);
}

#[test]
fn a_bad_link_loses_doubles_and_reorders_no_message() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let endpoint = "tcp://10.213.0.2:5555";
    let mut pull = pair.process_with('b', "pull", endpoint, LONG);
    pair.network.say("loss 0.03");
    pair.network.say("delay 0.002");
    pair.push = Some(pair.process_with('a', "push", endpoint, LONG));
    pair.send(1000);
    pair.push().hear("sent");
    receive(&mut pull, 1000);
}

#[test]
fn a_cut_is_noticed_and_loses_only_what_was_written() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let mut pull = pair.process('b', "pull", "tcp://10.213.0.2:5555");
    pair.network.say("delay 0.001");
    pair.connect("tcp://10.213.0.2:5555");
    pair.push().hear("admitted");
    pair.send(20_000);
    pull.hear("a thousand");
    pair.network.say("cut");
    let written: u64 = pair
        .push()
        .hear("disconnected timeout")
        .parse()
        .expect("a number");
    let arrived: u64 = pull.hear("disconnected timeout").parse().expect("a number");
    assert!(
        written >= arrived && written < 20_000,
        "{written}, {arrived}"
    );
    pair.network.say("restore");
    pair.push().hear("admitted");
    pair.push().hear("sent");
    println!("{} were on the way", written - arrived);
    receive(&mut pull, pair.sent - (written - arrived));
}

#[test]
fn a_name_is_resolved_again_when_its_server_has_moved() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    let hosts = |address: &str| format!("127.0.0.1 localhost\n{address} server.test\n");
    pair.network.set_hosts('a', &hosts("10.213.0.2"));
    let mut before = pair.process('b', "pull", "tcp://10.213.0.2:5555");
    pair.connect("tcp://server.test:5555");
    pair.send(10);
    receive(&mut before, 10);
    drop(before);
    pair.push().hear("disconnected");
    pair.network.set_hosts('a', &hosts("10.213.0.12"));
    pair.send(10);
    let mut after = pair.process('b', "pull", "tcp://10.213.0.12:5555");
    receive(&mut after, 10);
}

/// One of the processes; a test that does nothing unless a role is given.
#[test]
fn a_process_in_a_namespace() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let words: Vec<_> = role.split(' ').collect();
    let [role, endpoint, secret, silence] = words[..] else {
        panic!("four words")
    };
    let silence = Duration::from_millis(silence.parse().expect("milliseconds"));
    let server = KeyPair::from_secret(SecretKey::from_z85(secret).expect("a key"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let commands = commands();
        match role {
            "push" => push(options(silence), endpoint, &server, commands).await,
            _ => pull(options(silence), endpoint, server, commands).await,
        }
    });
    // Nobody is to wait for what can no longer be written.
    std::process::exit(0);
}

fn options(silence: Duration) -> Options {
    quick()
        .heartbeat_interval(Duration::from_millis(200))
        .heartbeat_timeout(silence)
}

/// Says a line to the test.
fn say(line: &str) {
    println!("\n@{line}");
}

/// The lines of the input; they end when the test does.
fn commands() -> mpsc::UnboundedReceiver<String> {
    let (said, commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                return;
            }
        }
    });
    commands
}

async fn tell_events(mut monitor: Monitor) {
    while let Some(event) = monitor.recv().await {
        match event.kind {
            LinkEventKind::HandshakeSucceeded(_) => say("admitted"),
            LinkEventKind::Disconnected {
                reason,
                received,
                sent,
            } => {
                let reason = reason.map(|reason| reason.to_string()).unwrap_or_default();
                say(&format!("disconnected {reason} {}", received + sent));
            }
            _ => {}
        }
    }
}

async fn push(
    options: Options,
    endpoint: &str,
    server: &KeyPair,
    mut commands: mpsc::UnboundedReceiver<String>,
) {
    let context = Context::new().expect("a context");
    let client = Curve::client(keys(), server.public());
    let push = context.socket::<Push>(options.security(client));
    let events = tokio::spawn(tell_events(push.monitor()));
    push.connect(endpoint).expect("connects");
    say("ready");
    let mut number = 0_u64;
    while let Some(command) = commands.recv().await {
        let count: u64 = command
            .trim_start_matches("send ")
            .parse()
            .expect("a number");
        for _ in 0..count {
            let mut body = vec![0; SIZE];
            body[..8].copy_from_slice(&number.to_be_bytes());
            push.send(body).await.expect("it is open");
            number += 1;
        }
        say("sent");
    }
    events.abort();
}

async fn pull(
    options: Options,
    endpoint: &str,
    server: KeyPair,
    mut commands: mpsc::UnboundedReceiver<String>,
) {
    let context = Context::new().expect("a context");
    let server = Curve::server(server).accept_anyone();
    let pull = context.socket::<Pull>(options.security(server));
    let events = tokio::spawn(tell_events(pull.monitor()));
    pull.bind(endpoint).expect("binds");
    say("ready");
    let mut seen = BTreeSet::new();
    let mut last: HashMap<*const Peer, (u64, Arc<Peer>)> = HashMap::new();
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(_) => say(&format!("received {}", seen.len())),
                None => break,
            },
            message = pull.recv() => {
                let message = message.expect("it is open");
                let body = message.first().expect("a frame");
                let number = u64::from_be_bytes(body[..8].try_into().expect("8 octets"));
                let peer = message.peer().expect("a sender").clone();
                let before = last.insert(Arc::as_ptr(&peer), (number, peer));
                assert!(before.is_none_or(|(before, _)| before < number), "in order");
                assert!(seen.insert(number), "{number} came twice");
                if seen.len() == 1000 {
                    say("a thousand");
                }
            }
        }
    }
    events.abort();
}
