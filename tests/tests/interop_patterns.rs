//! Options of single patterns against libzmq.

use curvelink::{Context, Dealer, Frame, Message, Options, Req, Router, Socket, Stream};
use curvelink_tests::peer::{ZmqPeer, text};
use curvelink_tests::support::{deadline, quick, texts};
use serde_json::{Value, json};

const LOOPBACK: &str = "tcp://127.0.0.1:*";

fn context() -> Context {
    Context::new().expect("a runtime")
}

/// Messages of the peer's socket, as it received them.
fn received(peer: &mut ZmqPeer, socket: &str, count: usize) -> Value {
    peer.ask(json!({"do": "receive", "socket": socket, "count": count}))
}

fn send(peer: &mut ZmqPeer, socket: &str, message: &Value) {
    peer.ask(json!({"do": "send", "socket": socket, "message": message}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbered_requests_are_understood_by_libzmq() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let rep = peer.open("rep", "REP", ("bind", LOOPBACK), &json!({}));
    let router = peer.open("router", "ROUTER", ("bind", LOOPBACK), &json!({}));
    let options = || quick().req_relaxed(true).req_correlate(true);

    let req = context().socket::<Req>(options());
    req.connect(&rep).expect("connects");
    req.send("ask").await.expect("sends");
    assert_eq!(received(&mut peer, "rep", 1), json!([["ask"]]));
    send(&mut peer, "rep", &json!(["answer"]));
    assert_eq!(texts(&req.recv().await.expect("a reply")), ["answer"]);

    let req = context().socket::<Req>(options().routing_id("r"));
    req.connect(&router).expect("connects");
    req.send("given up").await.expect("sends");
    req.send("ask").await.expect("sends");
    let requests = received(&mut peer, "router", 2);
    for (request, answer) in [(0, "late"), (1, "answer")] {
        let number = &requests[request][1];
        send(&mut peer, "router", &json!(["r", number, "", answer]));
    }
    assert_eq!(texts(&req.recv().await.expect("a reply")), ["answer"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbered_requests_of_libzmq_are_answered() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let router = context().socket::<Router>(Options::new());
    let endpoint = router.bind(LOOPBACK).expect("binds").to_string();
    let options = json!({"REQ_RELAXED": 1, "REQ_CORRELATE": 1});
    peer.open("req", "REQ", ("connect", &endpoint), &options);
    send(&mut peer, "req", &json!(["given up"]));
    send(&mut peer, "req", &json!(["ask"]));
    for answer in ["late", "answer"] {
        let mut request = router.recv().await.expect("a request");
        assert_eq!(request.frame(1).expect("a number").len(), 4);
        request.pop_back();
        request.push_back(answer);
        router.send(request).await.expect("sends");
    }
    assert_eq!(received(&mut peer, "req", 1), json!([["answer"]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_tell_a_router_of_libzmq_who_is_there_and_its_probes_arrive() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let theirs = peer.open("router", "ROUTER", ("bind", LOOPBACK), &json!({}));
    let options = || quick().routing_id("probing").probe_router(true);
    let dealer = context().socket::<Dealer>(options());
    dealer.connect(&theirs).expect("connects");
    dealer.send("after it").await.expect("sends");
    let expected = json!([["probing", ""], ["probing", "after it"]]);
    assert_eq!(received(&mut peer, "router", 2), expected);
    send(&mut peer, "router", &json!(["probing", "known"]));
    assert_eq!(texts(&dealer.recv().await.expect("a message")), ["known"]);

    let router = context().socket::<Router>(Options::new());
    let ours = router.bind(LOOPBACK).expect("binds").to_string();
    let options = json!({"PROBE_ROUTER": 1, "ROUTING_ID": text(b"probing")});
    peer.open("dealer", "DEALER", ("connect", &ours), &options);
    let probe = router.recv().await.expect("a probe");
    assert_eq!(texts(&probe), ["probing", ""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_talk_to_streams_of_libzmq_in_both_orders() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    // Ours bound, theirs connected; then the other way round.
    let stream = context().socket::<Stream>(quick());
    let ours = stream.bind(LOOPBACK).expect("binds").to_string();
    peer.open("client", "STREAM", ("connect", &ours), &json!({}));
    converse(&stream, &mut peer, "client").await;

    let theirs = peer.open("server", "STREAM", ("bind", LOOPBACK), &json!({}));
    let stream = context().socket::<Stream>(quick());
    stream.connect(&theirs).expect("connects");
    converse(&stream, &mut peer, "server").await;
}

/// Both are told of the connection, talk, and then ours closes it.
async fn converse(stream: &Socket<Stream>, peer: &mut ZmqPeer, socket: &str) {
    let told = stream.recv().await.expect("a notice");
    assert_eq!((told.len(), told.octets()), (2, 5));
    let id = told.first().expect("an id").clone();
    let told = received(peer, socket, 1);
    assert_eq!(told[0][1], "");
    send(peer, socket, &json!([told[0][0], "from libzmq"]));
    let message = stream.recv().await.expect("octets");
    assert_eq!(message, Message::from([id.clone(), "from libzmq".into()]));
    let ours = Message::from([id.clone(), "from us".into()]);
    stream.send(ours).await.expect("sends");
    assert_eq!(received(peer, socket, 1)[0][1], "from us");
    let close = Message::from([id, Frame::empty()]);
    stream.send(close).await.expect("sends");
    assert_eq!(received(peer, socket, 1)[0][1], "", "it is told of the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dealer_of_libzmq_takes_its_id_over_and_goes_on() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let router = context().socket::<Router>(Options::new().router_handover(true));
    let endpoint = router.bind(LOOPBACK).expect("binds").to_string();
    let options = json!({"ROUTING_ID": "me", "RECONNECT_IVL": -1});
    for socket in ["old", "new"] {
        peer.open(socket, "DEALER", ("connect", &endpoint), &options);
        send(&mut peer, socket, &json!([socket]));
        let message = router.recv().await.expect("a message");
        assert_eq!(texts(&message), ["me", socket]);
    }
    peer.await_event("old", "DISCONNECTED");
    router.send(["me", "hello"]).await.expect("sends");
    assert_eq!(received(&mut peer, "new", 1), json!([["hello"]]));
}
