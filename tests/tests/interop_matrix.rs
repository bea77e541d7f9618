//! 10 000 messages between curvelink and libzmq, in every cell of: pattern and role, transport,
//! mechanism, and who binds. Both sides compare every octet and the order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::time::{Duration, Instant};

use curvelink::{
    Context, CurveBackend, Dealer, Kind, Message, Options, Pair, Pub, Pull, Push, Receives, Rep,
    Req, Router, Sends, Socket, Sub, Xpub, Xsub,
};
use curvelink_tests::peer::ZmqPeer;
use curvelink_tests::peer::security::Agreement;
use curvelink_tests::peer::traffic;
use curvelink_tests::support::random::Random;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

const COUNT: usize = 10_000;

/// As long as the peer waits.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_over_tcp() {
    all_patterns("NULL", "tcp").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_over_ipc() {
    all_patterns("NULL", "ipc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_over_tcp() {
    all_patterns("PLAIN", "tcp").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_over_ipc() {
    all_patterns("PLAIN", "ipc").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curve_over_tcp() {
    all_patterns("CURVE", "tcp").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curve_over_ipc() {
    all_patterns("CURVE", "ipc").await;
}

/// The matrix itself runs with the default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curve_by_the_other_backend() {
    let Ok(peer) = ZmqPeer::start() else { return };
    let agreement = Agreement::new("CURVE").by(CurveBackend::RustCrypto);
    let mut bench = Bench::new(peer, agreement, "tcp");
    for we_serve in [true, false] {
        bench.we_serve = we_serve;
        bench.dealer_and_router().await;
        bench.pair_and_pair().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_peer_notices_messages_in_another_order() {
    let Ok(peer) = ZmqPeer::start() else { return };
    let mut bench = Bench::new(peer, Agreement::new("NULL"), "ipc");
    let push = bench.open::<Push>("PULL");
    bench.meanwhile("receive_traffic");
    bench.messages.swap(8, 9);
    send_all(&push, &bench.messages).await;
    let noticed = catch_unwind(AssertUnwindSafe(|| bench.peer_has_all()));
    let said = noticed.expect_err("the peer reports it");
    let said = said.downcast_ref::<String>().expect("a panic's text");
    assert!(said.contains("message 8 is not the one that was sent"));
}

async fn all_patterns(mechanism: &'static str, transport: &'static str) {
    let Ok(peer) = ZmqPeer::start() else { return };
    let mut bench = Bench::new(peer, Agreement::new(mechanism), transport);
    // The side that binds is the server, as is usual; the last row turns that around.
    for (we_bind, we_serve) in [(true, true), (false, false)] {
        bench.we_bind = we_bind;
        bench.we_serve = we_serve;
        bench.push_to_pull().await;
        bench.pull_from_push().await;
        bench.pub_to_sub().await;
        bench.sub_from_pub().await;
        bench.xpub_and_xsub().await;
        bench.xsub_and_xpub().await;
        bench.req_and_rep().await;
        bench.rep_and_req().await;
        bench.dealer_and_router().await;
        bench.router_and_dealer().await;
        bench.pair_and_pair().await;
    }
    for we_bind in [true, false] {
        bench.we_bind = we_bind;
        bench.we_serve = !we_bind;
        bench.push_to_pull().await;
        bench.pull_from_push().await;
    }
}

/// Two programs, and how the sockets of the next cell meet.
struct Bench {
    peer: ZmqPeer,
    context: Context,
    agreement: Agreement,
    transport: &'static str,
    folder: TempDir,
    messages: Vec<Message>,
    we_bind: bool,
    we_serve: bool,
    cells: usize,
    begun: Instant,
}

impl Bench {
    fn new(mut peer: ZmqPeer, agreement: Agreement, transport: &'static str) -> Self {
        let context = Context::new().expect("a runtime");
        context.set_zap_handler(agreement.policy());
        agreement.tell(&mut peer);

        let folder = tempfile::tempdir().expect("a folder");
        let messages = traffic::messages(COUNT, &mut Random::new());
        let path = folder.path().join("traffic");
        traffic::write(&messages, &path);
        let loaded = peer.ask(json!({"do": "load_traffic", "path": path}));
        assert_eq!(loaded, COUNT);
        Self {
            peer,
            context,
            agreement,
            transport,
            folder,
            messages,
            we_bind: true,
            we_serve: true,
            cells: 0,
            begun: Instant::now(),
        }
    }

    /// Opens a socket here and one there, of which one binds and the other connects.
    fn open<K: Kind>(&mut self, theirs: &str) -> Socket<K> {
        self.begun = Instant::now();
        self.cells += 1;
        let options = self.agreement.ours(self.we_serve);
        let socket = self.context.socket::<K>(unbounded(options));
        let endpoint = match self.transport {
            "tcp" => "tcp://127.0.0.1:*".to_owned(),
            _ => format!("ipc://{}/{}", self.folder.path().display(), self.cells),
        };
        let options = self.agreement.theirs(!self.we_serve);
        if self.we_bind {
            let bound = socket.bind(&endpoint).expect("binds").to_string();
            self.peer.open("it", theirs, ("connect", &bound), &options);
        } else {
            let bound = self.peer.open("it", theirs, ("bind", &endpoint), &options);
            socket.connect(&bound).expect("connects");
        }
        socket
    }

    /// Closes both sockets once both sides have all that was sent to them.
    fn done<K: Kind>(&mut self, socket: Socket<K>, directions: &[&str]) {
        assert_eq!(socket.dropped(), 0);
        println!(
            "{} over {}: our {:?} {}: {COUNT} {} in {:?}",
            self.agreement.mechanism(),
            self.transport,
            K::TYPE,
            if self.we_bind { "binds" } else { "connects" },
            directions.join(" and "),
            self.begun.elapsed(),
        );
        socket.close();
        self.peer.ask(json!({"do": "close", "socket": "it"}));
    }

    /// Has the peer run a command on its socket while we do our part.
    fn meanwhile(&mut self, command: &str) {
        self.peer.tell(json!({"do": command, "socket": "it"}));
    }

    fn peer_has_all(&mut self) {
        assert_eq!(self.peer.answer(), COUNT);
    }

    fn peer_has_sent(&mut self) {
        assert!(self.peer.answer().is_null());
    }

    async fn push_to_pull(&mut self) {
        let push = self.open::<Push>("PULL");
        self.meanwhile("receive_traffic");
        send_all(&push, &self.messages).await;
        self.peer_has_all();
        self.done(push, &["there"]);
    }

    async fn pull_from_push(&mut self) {
        let pull = self.open::<Pull>("PUSH");
        self.meanwhile("send_traffic");
        receive_all(&pull, &self.messages).await;
        self.peer_has_sent();
        self.done(pull, &["here"]);
    }

    async fn pub_to_sub(&mut self) {
        let publisher = self.open::<Pub>("SUB");
        self.peer
            .ask(json!({"do": "subscribe", "socket": "it", "prefix": ""}));
        // A libzmq socket that binds takes note of its peers only while it is used.
        self.meanwhile("receive_traffic");
        let subscriber = publisher.wait_for_subscribers("", 1);
        timeout(PATIENCE, subscriber).await.expect("a subscriber");
        send_all(&publisher, &self.messages).await;
        self.peer_has_all();
        self.done(publisher, &["there"]);
    }

    async fn sub_from_pub(&mut self) {
        let sub = self.open::<Sub>("PUB");
        sub.subscribe("");
        self.meanwhile("knock");
        let mut knock = sub.recv().await.expect("a knock");
        let last = ["", "that was the last knock"];
        self.peer
            .tell(json!({"do": "send", "socket": "it", "message": last}));
        self.meanwhile("send_traffic");
        while knock == [""].into() {
            knock = sub.recv().await.expect("another knock");
        }
        assert_eq!(knock, last.into());
        receive_all(&sub, &self.messages).await;
        for _ in ["knock", "the last one", "the traffic"] {
            self.peer_has_sent();
        }
        self.done(sub, &["here"]);
    }

    async fn xpub_and_xsub(&mut self) {
        let xpub = self.open::<Xpub>("XSUB");
        self.peer
            .ask(json!({"do": "send", "socket": "it", "message": ["\u{1}"]}));
        self.meanwhile("receive_traffic");
        assert_eq!(xpub.recv().await, Ok([b"\x01"].into()));
        send_all(&xpub, &self.messages).await;
        self.peer_has_all();
        self.meanwhile("send_traffic");
        receive_all(&xpub, &self.messages).await;
        self.peer_has_sent();
        self.done(xpub, &["there", "back"]);
    }

    async fn xsub_and_xpub(&mut self) {
        let xsub = self.open::<Xsub>("XPUB");
        xsub.send([b"\x01"]).await.expect("sends");
        let subscription = self.peer.ask(json!({"do": "receive", "socket": "it"}));
        assert_eq!(subscription, json!([["\u{1}"]]));
        self.meanwhile("send_traffic");
        receive_all(&xsub, &self.messages).await;
        self.peer_has_sent();
        self.meanwhile("receive_traffic");
        send_all(&xsub, &self.messages).await;
        self.peer_has_all();
        self.done(xsub, &["here", "back"]);
    }

    async fn req_and_rep(&mut self) {
        let req = self.open::<Req>("REP");
        self.meanwhile("echo_traffic");
        for message in &self.messages {
            req.send(message.clone()).await.expect("sends");
            receive_all(&req, slice::from_ref(message)).await;
        }
        self.peer_has_all();
        self.done(req, &["there", "back"]);
    }

    async fn rep_and_req(&mut self) {
        // A libzmq REQ that is a PLAIN or CURVE server takes no reply, not even another libzmq's:
        // the user id that its session puts before the first message is not what REQ expects.
        self.we_serve = true;
        let rep = self.open::<Rep>("REQ");
        self.we_serve = self.we_bind;
        self.meanwhile("request_traffic");
        for message in &self.messages {
            receive_all(&rep, slice::from_ref(message)).await;
            rep.send(message.clone()).await.expect("sends");
        }
        self.peer_has_all();
        self.done(rep, &["here", "back"]);
    }

    async fn dealer_and_router(&mut self) {
        let dealer = self.open::<Dealer>("ROUTER");
        self.peer
            .tell(json!({"do": "echo_traffic", "socket": "it", "envelope": 1}));
        tokio::join!(
            send_all(&dealer, &self.messages),
            receive_all(&dealer, &self.messages)
        );
        self.peer_has_all();
        self.done(dealer, &["there", "back"]);
    }

    async fn router_and_dealer(&mut self) {
        let router = self.open::<Router>("DEALER");
        self.meanwhile("exchange_traffic");
        for expected in &self.messages {
            let received = router.recv().await.expect("receives");
            let mut message = received.clone();
            message.pop_front();
            assert!(message == *expected);
            router.send(received).await.expect("sends");
        }
        self.peer_has_all();
        self.done(router, &["here", "back"]);
    }

    async fn pair_and_pair(&mut self) {
        let pair = self.open::<Pair>("PAIR");
        self.meanwhile("exchange_traffic");
        tokio::join!(
            send_all(&pair, &self.messages),
            receive_all(&pair, &self.messages)
        );
        self.peer_has_all();
        self.done(pair, &["there", "here"]);
    }
}

/// Everything is to arrive, on PUB and ROUTER too; a hang is to become an error.
fn unbounded(options: Options) -> Options {
    options
        .send_hwm(0)
        .recv_hwm(0)
        .send_timeout(PATIENCE)
        .recv_timeout(PATIENCE)
}

async fn send_all<K: Sends>(socket: &Socket<K>, messages: &[Message]) {
    for message in messages {
        socket.send(message.clone()).await.expect("sends");
    }
}

async fn receive_all<K: Receives>(socket: &Socket<K>, messages: &[Message]) {
    for (index, expected) in messages.iter().enumerate() {
        let received = socket.recv().await;
        assert!(
            received.as_ref() == Ok(expected),
            "message {index} is not the one that was sent: {received:?}, {expected:?}"
        );
    }
}
