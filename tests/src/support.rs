//! What the tests of the runtime share: deadlines, ways to link two sockets, policies, events.

pub mod by_hand;
pub mod changing;
pub mod probes;
pub mod process;
pub mod proxy;
pub mod random;
pub mod raw;
pub mod relay;

use std::fmt;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use curvelink::{
    AnySocket, BoxFuture, Curve, KeyPair, Kind, LinkEvent, LinkEventKind, Message, Monitor,
    Options, OsEntropy, Peer, Refusal, Rights, Socket, ZapHandler, ZapReply, ZapRequest,
};
use tempfile::TempDir;
use tokio::time::timeout;

/// How long one test may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends the process when the test that made it does not end in time: a hang fails, and says where.
#[derive(Debug)]
#[must_use = "it watches until it is dropped"]
pub struct Deadline(#[expect(dead_code, reason = "dropping it is the message")] Sender<()>);

/// Bounds the test that calls it.
pub fn deadline() -> Deadline {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    let (alive, ended) = mpsc::channel();
    thread::spawn(move || {
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            // Not through `eprintln!`, which the test harness captures.
            let _closed = writeln!(io::stderr(), "{test} hangs: it has run for {PATIENCE:?}");
            std::process::exit(101);
        }
    });
    Deadline(alive)
}

/// Options that try again quickly.
pub fn quick() -> Options {
    Options::new()
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_interval_max(Duration::from_millis(20))
        .refused_interval(Duration::from_millis(20))
}

/// A transport, and who comes first.
#[derive(Debug)]
pub struct Way {
    transport: &'static str,
    bind_first: bool,
    folder: TempDir,
}

/// Every transport in both orders.
pub fn ways() -> Vec<Way> {
    let transports = ["tcp", "ipc", "ipc @", "inproc"];
    let way = |transport, bind_first| Way {
        transport,
        bind_first,
        folder: tempfile::tempdir().expect("a folder"),
    };
    transports
        .into_iter()
        .flat_map(|transport| [way(transport, true), way(transport, false)])
        .collect()
}

impl Way {
    /// Binds one socket and connects the other.
    pub fn link(&self, binder: &AnySocket, connecter: &AnySocket) {
        self.link_all(binder, &[connecter]);
    }

    /// Binds one socket and connects the others.
    pub fn link_all(&self, binder: &AnySocket, connecters: &[&AnySocket]) {
        let endpoint = self.endpoint();
        let connect = || {
            for connecter in connecters {
                connecter.connect(&endpoint).expect("connects");
            }
        };
        if self.bind_first {
            binder.bind(&endpoint).expect("binds");
            connect();
        } else {
            connect();
            binder.bind(&endpoint).expect("binds");
        }
    }

    fn endpoint(&self) -> String {
        let path = self.folder.path().join("socket");
        let path = path.to_str().expect("a path");
        match self.transport {
            "tcp" => free_endpoint(),
            "ipc" => format!("ipc://{path}"),
            "ipc @" => format!("ipc://@{path}"),
            _ => format!("inproc://{path}"),
        }
    }
}

/// An endpoint of this host that nobody is bound to.
pub fn free_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("tcp://{}", listener.local_addr().expect("an address"))
}

/// Binds to a free port of this host; the endpoint to connect to.
pub fn bind_tcp<K: Kind>(socket: &Socket<K>) -> String {
    let endpoint = socket.bind("tcp://127.0.0.1:*").expect("binds");
    endpoint.to_string()
}

/// Waits until the socket has this many peers.
pub async fn peers<K: Kind>(socket: &Socket<K>, count: usize) {
    let mut monitor = socket.monitor();
    while socket.peers().len() != count {
        // Peers of tcp and ipc come with an event; a link that ends is told just before its peer
        // goes, and inproc has no events.
        let _look_again = timeout(Duration::from_millis(5), monitor.recv()).await;
    }
}

/// The first event that `pick` takes; those before are skipped.
pub async fn event<T>(monitor: &mut Monitor, mut pick: impl FnMut(&LinkEvent) -> Option<T>) -> T {
    loop {
        let event = monitor.recv().await.expect("the socket is open");
        if let Some(picked) = pick(&event) {
            return picked;
        }
    }
}

/// The next refusal, with the event that told it.
pub async fn refusal(monitor: &mut Monitor) -> (LinkEvent, Refusal) {
    event(monitor, |event| match &event.kind {
        LinkEventKind::Refused(refusal) => Some((event.clone(), refusal.clone())),
        _ => None,
    })
    .await
}

/// The next peer that is admitted.
pub async fn admitted(monitor: &mut Monitor) -> Arc<Peer> {
    event(monitor, |event| match &event.kind {
        LinkEventKind::HandshakeSucceeded(peer) => Some(peer.clone()),
        _ => None,
    })
    .await
}

/// Waits for the end of a link that was up.
pub async fn disconnected(monitor: &mut Monitor) -> Option<curvelink::Reason> {
    event(monitor, |event| match &event.kind {
        LinkEventKind::Disconnected { reason, .. } => Some(*reason),
        _ => None,
    })
    .await
}

/// A new pair of CURVE keys.
pub fn keys() -> KeyPair {
    KeyPair::generate(&mut OsEntropy).expect("random octets")
}

/// A CURVE server that asks the policy, and a client that has its key.
pub fn curve() -> (Curve, Curve) {
    let server = keys();
    let client = Curve::client(keys(), server.public());
    (Curve::server(server), client)
}

/// A policy written as a function.
pub struct Policy<F>(pub F);

impl<F> fmt::Debug for Policy<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policy(..)")
    }
}

impl<F: Fn(&ZapRequest) -> ZapReply + Send + Sync + 'static> ZapHandler for Policy<F> {
    fn authenticate<'a>(&'a self, request: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
        Box::pin(async { (self.0)(request) })
    }
}

/// A policy that admits everybody under one name, with these rights.
pub fn admit(name: &'static str, rights: Rights) -> impl ZapHandler {
    Policy(move |_: &ZapRequest| ZapReply::admit(name, rights.clone()))
}

/// The frames of a message as text.
pub fn texts(message: &Message) -> Vec<String> {
    message
        .iter()
        .map(|frame| String::from_utf8_lossy(frame).into_owned())
        .collect()
}

/// A message of one frame as a number.
pub fn number(message: &Message) -> u64 {
    let text = texts(message).concat();
    text.parse().expect("a number")
}
