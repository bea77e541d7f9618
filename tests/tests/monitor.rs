//! What a monitor tells: as libzmq's does of the same happenings, and never at the socket's cost.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use curvelink::{
    AnySocket, Context, LinkEvent, LinkEventKind, LinkEvents, Monitor, Options, Plain, Pull, Push,
    Reason, SocketType, ZapReply, ZapRequest, blocking,
};
use curvelink_tests::peer::ZmqPeer;
use curvelink_tests::support::{
    Deadline, Policy, bind_tcp, deadline, event, free_endpoint, peers, quick, raw,
};
use serde_json::{Value, json};

/// libzmq's events by number, and whether their values mean the same everywhere: the others hold
/// file descriptors, leftover error numbers and random times.
const EVENTS: &[(&str, u16, bool)] = &[
    ("CONNECTED", 0x0001, false),
    ("CONNECT_DELAYED", 0x0002, true),
    ("CONNECT_RETRIED", 0x0004, false),
    ("LISTENING", 0x0008, false),
    ("BIND_FAILED", 0x0010, true),
    ("ACCEPTED", 0x0020, false),
    ("ACCEPT_FAILED", 0x0040, false),
    ("CLOSED", 0x0080, false),
    ("DISCONNECTED", 0x0200, false),
    ("MONITOR_STOPPED", 0x0400, false),
    ("HANDSHAKE_FAILED_NO_DETAIL", 0x0800, false),
    ("HANDSHAKE_SUCCEEDED", 0x1000, true),
    ("HANDSHAKE_FAILED_PROTOCOL", 0x2000, true),
    ("HANDSHAKE_FAILED_AUTH", 0x4000, true),
];

/// ERROR 400 as libzmq's PLAIN writes and understands it: the length and the first letter of its
/// name are one octet.
const PLAIN_ERROR: &[u8] = b"\x5eRROR\x03400";

/// What a peer written by hand does with a connection.
type Behaviour = fn(TcpStream);

/// The next `count` of libzmq's events, as text.
fn of_libzmq(peer: &mut ZmqPeer, count: usize) -> Vec<String> {
    let events = peer.ask(json!({"do": "take_events", "socket": "it", "count": count}));
    let told = events.as_array().expect("a list").iter().map(|event| {
        let name = event["name"].as_str().expect("a name");
        text(name, event["value"].as_u64().expect("a number"))
    });
    told.collect()
}

/// The next `count` of our events in libzmq's numbers, as text.
fn of_ours(monitor: &mut Monitor, count: usize) -> Vec<String> {
    let mut told = Vec::new();
    while told.len() < count {
        let event = blocking::next_event(monitor, Duration::from_secs(15));
        let event = event.unwrap_or_else(|| panic!("no more than {told:?}"));
        told.extend(event.libzmq().map(|event| {
            let known = EVENTS.iter().find(|(_, number, _)| *number == event.number);
            let (name, ..) = known.expect("a number of libzmq's");
            text(name, event.value.into())
        }));
    }
    told
}

fn text(name: &str, value: u64) -> String {
    let (.., same) = EVENTS
        .iter()
        .find(|(known, ..)| *known == name)
        .unwrap_or_else(|| panic!("{name} is not in the table"));
    if *same {
        format!("{name} {value:#x}")
    } else {
        name.to_owned()
    }
}

/// A socket of libzmq's and one of ours, with the same options in either's words.
struct Subjects {
    peer: ZmqPeer,
    theirs: Value,
    kind: (&'static str, SocketType),
    context: Context,
    ours: Options,
    _deadline: Deadline,
}

impl Subjects {
    /// `None` where Python is not to be had, which was said.
    fn new(kind: (&'static str, SocketType), theirs: Value, ours: Options) -> Option<Self> {
        Some(Self {
            peer: ZmqPeer::start().ok()?,
            theirs,
            kind,
            context: Context::with_io_threads(1).expect("threads"),
            ours,
            // Only now: whoever is first may have waited for Python's packages.
            _deadline: deadline(),
        })
    }

    /// Connects each to an endpoint of its own and compares what the two tell.
    fn connect(&mut self, endpoint: impl Fn() -> String, expected: &[&str]) {
        let to = endpoint();
        let options = self.theirs.clone();
        self.peer
            .open("it", self.kind.0, ("connect", &to), &options);
        let theirs = of_libzmq(&mut self.peer, expected.len());
        self.peer.ask(json!({"do": "close", "socket": "it"}));
        let (socket, mut monitor) = self.our_socket();
        socket.connect(&endpoint()).unwrap();
        let ours = of_ours(&mut monitor, expected.len());
        assert_eq!(theirs, expected, "libzmq's");
        assert_eq!(ours, expected, "ours");
    }

    /// Binds each and lets `act` happen to it; compares what the two tell.
    fn bind(&mut self, act: Behaviour, expected: &[&str]) {
        let everywhere = ("bind", "tcp://127.0.0.1:*");
        let options = self.theirs.clone();
        let endpoint = self.peer.open("it", self.kind.0, everywhere, &options);
        act(dial(&endpoint));
        let theirs = of_libzmq(&mut self.peer, expected.len());
        self.peer.ask(json!({"do": "close", "socket": "it"}));
        let (socket, mut monitor) = self.our_socket();
        let endpoint = socket.bind(everywhere.1).unwrap().to_string();
        act(dial(&endpoint));
        let ours = of_ours(&mut monitor, expected.len());
        assert_eq!(theirs, expected, "libzmq's");
        assert_eq!(ours, expected, "ours");
    }

    fn our_socket(&self) -> (AnySocket, Monitor) {
        let socket = self.context.any_socket(self.kind.1, self.ours.clone());
        let monitor = socket.monitor();
        (socket, monitor)
    }
}

fn push() -> Option<Subjects> {
    let theirs = json!({"RECONNECT_IVL": 20});
    Subjects::new(("PUSH", SocketType::Push), theirs, quick())
}

fn pull() -> Option<Subjects> {
    Subjects::new(("PULL", SocketType::Pull), json!({}), Options::new())
}

fn dial(endpoint: &str) -> TcpStream {
    TcpStream::connect(endpoint.trim_start_matches("tcp://")).expect("connects")
}

/// A listener whose connections all meet the same behaviour.
fn serve(behaviour: Behaviour) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || listener.incoming().flatten().for_each(behaviour));
    endpoint
}

/// Says something, and waits until the other side is gone.
fn say(mut stream: TcpStream, octets: &[u8]) {
    stream.write_all(octets).expect("writes");
    let _reset_is_an_end_too = stream.read_to_end(&mut Vec::new());
}

/// Reads as much as that, says something, and is gone.
fn answer(mut stream: TcpStream, octets: &[u8], read: usize) {
    stream.write_all(octets).expect("writes");
    stream.read_exact(&mut vec![0; read]).expect("reads");
}

#[test]
fn nobody_listens() {
    let Some(mut subjects) = push() else { return };
    let again = ["CONNECT_DELAYED 0x73", "CLOSED", "CONNECT_RETRIED"];
    subjects.connect(free_endpoint, &[again, again].concat());
    let no_path = || format!("ipc://{}/s", tempfile::tempdir().unwrap().path().display());
    subjects.connect(no_path, &["CLOSED", "CONNECT_RETRIED", "CLOSED"]);
}

#[test]
fn a_name_that_does_not_resolve() {
    let Some(mut subjects) = push() else { return };
    subjects.ours = quick().allow_clear_text_beyond_this_host();
    let nowhere = || "tcp://host.invalid:5555".to_owned();
    subjects.connect(nowhere, &["CONNECT_RETRIED", "CONNECT_RETRIED"]);
}

#[test]
fn a_server_that_is_there_and_goes() {
    let Some(mut subjects) = push() else { return };
    // Our greeting and READY, and theirs: 64 octets, and READY of a PUSH.
    let server =
        || serve(|stream| answer(stream, &raw::null_peer(&[("Socket-Type", b"PULL")]), 90));
    let expected = [
        "CONNECT_DELAYED 0x73",
        "CONNECTED",
        "HANDSHAKE_SUCCEEDED 0x0",
        "DISCONNECTED",
        "CONNECT_RETRIED",
        "CONNECT_DELAYED 0x73",
    ];
    subjects.connect(server, &expected);
}

#[test]
fn a_server_that_closes_during_the_handshake() {
    let Some(mut subjects) = push() else { return };
    let server = || serve(|stream| answer(stream, &raw::greeting("NULL"), 64));
    let expected = [
        "CONNECT_DELAYED 0x73",
        "CONNECTED",
        "HANDSHAKE_FAILED_NO_DETAIL",
        "DISCONNECTED",
        "CONNECT_RETRIED",
    ];
    subjects.connect(server, &expected);
}

#[test]
fn a_server_of_another_mechanism_or_type() {
    let Some(mut subjects) = push() else { return };
    let server = || serve(|stream| say(stream, &raw::greeting("CURVE")));
    let expected = [
        "CONNECT_DELAYED 0x73",
        "CONNECTED",
        "HANDSHAKE_FAILED_PROTOCOL 0x11000002",
        "DISCONNECTED",
    ];
    subjects.connect(server, &expected);
    let server = || serve(|stream| say(stream, &raw::null_peer(&[("Socket-Type", b"PUSH")])));
    let expected = ["CONNECT_DELAYED 0x73", "CONNECTED", "DISCONNECTED"];
    subjects.connect(server, &expected);
}

#[test]
fn a_server_whose_policy_says_no() {
    let theirs = json!({"RECONNECT_IVL": 20, "PLAIN_USERNAME": "u", "PLAIN_PASSWORD": "p"});
    let ours = quick().security(Plain::client("u", "p").unwrap());
    let kind = ("PUSH", SocketType::Push);
    let Some(mut subjects) = Subjects::new(kind, theirs, ours) else {
        return;
    };
    let server = || {
        serve(|mut stream| {
            let mut greeting = raw::greeting("PLAIN");
            greeting[32] = 1;
            stream.write_all(&greeting).expect("writes");
            // The greeting and HELLO: its two octets, its name, "u" and "p".
            stream.read_exact(&mut [0; 64 + 2 + 6 + 4]).expect("reads");
            say(stream, &raw::frame(4, PLAIN_ERROR));
        })
    };
    let expected = [
        "CONNECT_DELAYED 0x73",
        "CONNECTED",
        "HANDSHAKE_FAILED_AUTH 0x190",
        "DISCONNECTED",
    ];
    subjects.connect(server, &expected);
}

#[test]
fn clients_that_come_and_go() {
    let Some(mut subjects) = pull() else { return };
    subjects.bind(
        |stream| answer(stream, &raw::null_peer(&[("Socket-Type", b"PUSH")]), 90),
        &[
            "LISTENING",
            "ACCEPTED",
            "HANDSHAKE_SUCCEEDED 0x0",
            "DISCONNECTED",
        ],
    );
    let failed = [
        "LISTENING",
        "ACCEPTED",
        "HANDSHAKE_FAILED_NO_DETAIL",
        "DISCONNECTED",
    ];
    subjects.bind(drop, &failed);
    subjects.theirs = json!({"HANDSHAKE_IVL": 100});
    subjects.ours = Options::new().handshake_timeout(Duration::from_millis(100));
    subjects.bind(|stream| say(stream, &raw::greeting("NULL")), &failed);
}

#[test]
fn clients_that_are_refused() {
    let Some(mut subjects) = pull() else { return };
    subjects.bind(
        |stream| say(stream, &raw::greeting("CURVE")),
        &[
            "LISTENING",
            "ACCEPTED",
            "HANDSHAKE_FAILED_PROTOCOL 0x11000002",
            "DISCONNECTED",
        ],
    );
    subjects.bind(
        |stream| say(stream, &raw::null_peer(&[("Socket-Type", b"PULL")])),
        &["LISTENING", "ACCEPTED", "DISCONNECTED"],
    );
    subjects.theirs = json!({"PLAIN_SERVER": 1});
    subjects.ours = Options::new().security(Plain::server());
    subjects
        .context
        .set_zap_handler(Policy(|_: &ZapRequest| ZapReply::deny(Reason::UnknownUser)));
    subjects.bind(
        |stream| {
            let hello = raw::command("HELLO", b"\x01u\x01p");
            let octets = [raw::greeting("PLAIN"), hello].concat();
            // libzmq waits for its client to go, once it has said why.
            answer(stream, &octets, 64 + 2 + PLAIN_ERROR.len());
        },
        &[
            "LISTENING",
            "ACCEPTED",
            "HANDSHAKE_FAILED_AUTH 0x190",
            "DISCONNECTED",
        ],
    );
}

#[test]
fn an_address_that_is_taken_and_a_listener_that_is_closed() {
    let Some(mut subjects) = pull() else { return };
    let keep = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("tcp://{}", keep.local_addr().unwrap());
    let everywhere = ("bind", "tcp://127.0.0.1:*");
    let endpoint = subjects.peer.open("it", "PULL", everywhere, &json!({}));
    let bound = subjects
        .peer
        .ask(json!({"do": "bind", "socket": "it", "endpoint": taken}));
    assert_eq!(bound, false);
    subjects
        .peer
        .ask(json!({"do": "unbind", "socket": "it", "endpoint": endpoint}));
    let mut theirs = of_libzmq(&mut subjects.peer, 4);
    // Of the listener that never listened.
    assert_eq!(theirs.remove(1), "CLOSED");
    let (socket, mut monitor) = subjects.our_socket();
    let endpoint = socket.bind(everywhere.1).unwrap().to_string();
    assert!(socket.bind(&taken).is_err());
    socket.unbind(&endpoint).unwrap();
    let ours = of_ours(&mut monitor, 3);
    drop(keep);
    let expected = ["LISTENING", "BIND_FAILED 0x62", "CLOSED"];
    assert_eq!(
        (theirs, ours),
        (
            expected.map(str::to_owned).into(),
            expected.map(str::to_owned).into()
        )
    );
}

#[test]
fn over_ipc_nothing_is_delayed_and_over_inproc_nothing_told() {
    let Some(mut subjects) = push() else { return };
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("ipc://{}/s", folder.path().display());
    let pull = subjects.context.socket::<Pull>(Options::new());
    pull.bind(&endpoint).unwrap();
    let expected = ["CONNECTED", "HANDSHAKE_SUCCEEDED 0x0"];
    subjects.connect(|| endpoint.clone(), &expected);
    let mut monitor = pull.monitor();
    pull.bind("inproc://it").unwrap();
    pull.unbind("inproc://it").unwrap();
    for kind in ["listening", "closed"] {
        let event = blocking::next_event(&mut monitor, Duration::from_secs(5)).unwrap();
        assert_eq!(event.to_string(), format!("inproc://it: {kind}"));
        assert_eq!(event.libzmq().count(), 0);
    }
}

#[tokio::test]
async fn a_monitor_may_want_some_kinds_only() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let wanted = LinkEvents::HANDSHAKE_SUCCEEDED | LinkEvents::MONITOR_STOPPED;
    let mut monitor = pull.monitor_of(wanted);
    let mut nothing = pull.monitor_of(LinkEvents::NONE);
    let push = context.socket::<Push>(quick());
    push.connect(&bind_tcp(&pull)).unwrap();
    push.send("x").await.unwrap();
    pull.recv().await.unwrap();
    drop((push, pull));
    context.shutdown().await;
    let mut told = Vec::new();
    while let Some(event) = monitor.recv().await {
        told.push(event.kind);
    }
    assert!(matches!(
        told[..],
        [
            LinkEventKind::HandshakeSucceeded(_),
            LinkEventKind::MonitorStopped
        ]
    ));
    assert!(nothing.recv().await.is_none());
}

#[tokio::test]
async fn a_monitor_that_nobody_reads_costs_its_own_events_only() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let mut unread = pull.monitor();
    for _ in 0..1000 {
        pull.bind("inproc://again").unwrap();
        pull.unbind("inproc://again").unwrap();
    }
    assert_eq!(unread.lost(), 2000 - 1024);
    let mut kept = 0;
    while unread.try_recv().is_some() {
        kept += 1;
    }
    assert_eq!(kept, 1024);
    let push = context.socket::<Push>(quick());
    push.connect(&bind_tcp(&pull)).unwrap();
    peers(&pull, 1).await;
    let is = |event: &LinkEvent| matches!(event.kind, LinkEventKind::Accepted).then_some(());
    event(&mut unread, is).await;
}
