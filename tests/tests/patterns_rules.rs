//! Rules of RFC 28, 29, 30 and 31 that hold for several types, each shown on all of them against
//! peers that were written by hand.

use std::time::Duration;

use curvelink::{
    AnySocket, Context, Dealer, Message, Options, Pub, RecvError, Rep, Req, SendError, SocketType,
    Sub, TryRecvError, TrySendErrorKind, Xpub, Xsub,
};
use curvelink_tests::support::{
    bind_tcp, deadline, disconnected, free_endpoint, quick, raw, texts,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use SocketType::{Pair, Pull, Push, Router};

/// Waits until a socket's statistics, or its peers, are as wanted.
async fn until(socket: &AnySocket, wanted: impl Fn(&AnySocket) -> bool) {
    while !wanted(socket) {
        tokio::task::yield_now().await;
    }
}

async fn linked(socket: &AnySocket, count: usize) {
    until(socket, |socket| socket.peers().len() == count).await;
}

fn bind(socket: &AnySocket) -> String {
    socket.bind("tcp://127.0.0.1:*").unwrap().to_string()
}

/// A peer of a type, written by hand; those that may have a routing id have this one.
async fn join(socket: &AnySocket, endpoint: &str, kind: &str, id: &str) -> TcpStream {
    let before = socket.peers().len();
    let mut properties = vec![("Socket-Type", kind.as_bytes())];
    if !id.is_empty() {
        properties.push(("Identity", id.as_bytes()));
    }
    let mut peer = raw::join(endpoint, &properties).await;
    linked(socket, before + 1).await;
    if matches!(kind, "SUB" | "XSUB") {
        peer.write_all(&raw::command("SUBSCRIBE", b""))
            .await
            .unwrap();
        let subscribed = |socket: &AnySocket| match socket.kind() {
            SocketType::Xpub => {
                socket.statistics().queued_from_peers > 0 || socket.try_recv().is_ok()
            }
            _ => true,
        };
        until(socket, subscribed).await;
    }
    peer
}

/// The frames of a message that a type sends to the peer "p", or receives from it.
fn addressed(kind: SocketType, body: &[u8]) -> Message {
    match kind {
        Router => [b"p", body].into(),
        _ => body.to_vec().into(),
    }
}

/// The last frame of a message: what the peer said.
fn said(message: &Message) -> String {
    texts(message).pop().unwrap()
}

/// Sends large messages until the peer's queue takes no more: the type waits then, or drops.
async fn fill(socket: &AnySocket) {
    let mut refused = 0;
    while refused < 100 && socket.dropped() == 0 {
        let large = addressed(socket.kind(), &vec![7; 1 << 20]);
        match socket.try_send(large) {
            Ok(()) => refused = 0,
            Err(full) => {
                assert_eq!(full.error, TrySendErrorKind::Full);
                refused += 1;
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Types whose peers have a queue for each direction, and the peer's type.
const BOTH_WAYS: [(SocketType, &str); 5] = [
    (SocketType::Dealer, "DEALER"),
    (Pair, "PAIR"),
    (Router, "DEALER"),
    (SocketType::Xsub, "XPUB"),
    (SocketType::Xpub, "XSUB"),
];

#[tokio::test]
async fn the_two_directions_of_a_peer_do_not_wait_for_each_other() {
    let _deadline = deadline();
    for (kind, peer_kind) in BOTH_WAYS {
        let context = Context::new().unwrap();
        let options = quick().send_hwm(2).recv_hwm(2).linger(Duration::ZERO);
        let socket = context.any_socket(kind, options);
        let endpoint = bind(&socket);
        let mut peer = join(&socket, &endpoint, peer_kind, "p").await;
        fill(&socket).await;
        for i in 0..10 {
            let octets = raw::frame(0, format!("up {i}").as_bytes());
            peer.write_all(&octets).await.unwrap();
            let mut message = socket.recv().await.unwrap();
            if message == Message::from("\x01") {
                message = socket.recv().await.unwrap();
            }
            assert_eq!(said(&message), format!("up {i}"), "{kind}");
        }
        socket.close();

        let socket = context.any_socket(kind, quick().recv_hwm(2).linger(Duration::ZERO));
        let mut peer = join(&socket, &bind(&socket), peer_kind, "p").await;
        peer.write_all(&raw::frame(0, b"unread").repeat(20))
            .await
            .unwrap();
        until(&socket, |socket| socket.statistics().queued_from_peers >= 2).await;
        socket.send(addressed(kind, b"down")).await.unwrap();
        let mut frame = raw::read_frame(&mut peer).await;
        while frame.as_ref().is_some_and(|(flags, _)| flags & 4 == 4) {
            frame = raw::read_frame(&mut peer).await;
        }
        assert_eq!(frame, Some((0, b"down".to_vec())), "{kind}");
    }
}

#[tokio::test]
async fn what_waits_for_a_bound_peer_goes_with_it() {
    let _deadline = deadline();
    let kinds = BOTH_WAYS.into_iter();
    for (kind, peer_kind) in kinds.chain([(Push, "PULL"), (SocketType::Pub, "SUB")]) {
        let context = Context::new().unwrap();
        let options = quick().send_hwm(2).linger(Duration::ZERO);
        let socket = context.any_socket(kind, options);
        let endpoint = bind(&socket);
        let gone = join(&socket, &endpoint, peer_kind, "p").await;
        let subscribed = |socket: &AnySocket| {
            socket.try_send(addressed(kind, &[7; 1 << 10])).unwrap();
            socket.statistics().sent.messages > 0
        };
        until(&socket, subscribed).await;
        fill(&socket).await;
        assert!(socket.statistics().queued_to_peers > 0, "{kind}");
        drop(gone);
        linked(&socket, 0).await;
        assert_eq!(socket.statistics().queued_to_peers, 0, "{kind}");

        let mut next = join(&socket, &endpoint, peer_kind, "p").await;
        let arrived = loop {
            // A subscription may still be under way: until it is there, nothing is sent.
            socket.send(addressed(kind, b"new")).await.unwrap();
            let frame = raw::read_frame(&mut next);
            if let Ok(frame) = timeout(Duration::from_millis(20), frame).await {
                break frame;
            }
        };
        assert_eq!(arrived, Some((0, b"new".to_vec())), "{kind}");
    }
}

/// Types that receive, and the type of a peer that sends to them.
const RECEIVE: [(SocketType, &str); 7] = [
    (Pull, "PUSH"),
    (SocketType::Dealer, "DEALER"),
    (Router, "DEALER"),
    (SocketType::Rep, "REQ"),
    (SocketType::Sub, "PUB"),
    (SocketType::Xsub, "XPUB"),
    (Pair, "PAIR"),
];

/// A socket that receives all, subscribed if its type must be.
fn receiver(context: &Context, kind: SocketType) -> AnySocket {
    if kind == SocketType::Sub {
        let sub = context.socket::<Sub>(quick());
        sub.subscribe("");
        return sub.any().clone();
    }
    context.any_socket(kind, quick())
}

/// What a peer writes so that the socket's application is given this text.
fn speech(peer_kind: &str, text: &str) -> Vec<u8> {
    let body = raw::frame(0, text.as_bytes());
    match peer_kind {
        "REQ" => [raw::frame(1, b""), body].concat(),
        _ => body,
    }
}

/// The next message, answered where it must be.
async fn hear(socket: &AnySocket) -> String {
    let message = socket.recv().await.unwrap();
    if socket.kind() == SocketType::Rep {
        socket.send("answer").await.unwrap();
    }
    said(&message)
}

#[tokio::test]
async fn what_a_peer_sent_before_it_went_is_received() {
    let _deadline = deadline();
    for (kind, peer_kind) in RECEIVE {
        let context = Context::new().unwrap();
        let socket = receiver(&context, kind);
        let mut monitor = socket.monitor();
        let mut peer = join(&socket, &bind(&socket), peer_kind, "").await;
        for i in 0..5 {
            let octets = speech(peer_kind, &i.to_string());
            peer.write_all(&octets).await.unwrap();
        }
        peer.shutdown().await.unwrap();
        disconnected(&mut monitor).await;
        for i in 0..5 {
            assert_eq!(hear(&socket).await, i.to_string(), "{kind}");
        }
    }
}

#[tokio::test]
async fn peers_are_heard_in_turn() {
    let _deadline = deadline();
    for (kind, peer_kind) in RECEIVE.into_iter().filter(|(kind, _)| *kind != Pair) {
        let context = Context::new().unwrap();
        let socket = receiver(&context, kind);
        let mut monitor = socket.monitor();
        let endpoint = bind(&socket);
        for (name, count) in [("hot", 100), ("a", 10), ("b", 10)] {
            let mut peer = join(&socket, &endpoint, peer_kind, "").await;
            let octets = speech(peer_kind, name).repeat(count);
            peer.write_all(&octets).await.unwrap();
            peer.shutdown().await.unwrap();
            disconnected(&mut monitor).await;
            linked(&socket, 0).await;
        }
        let mut heard = Vec::new();
        for _ in 0..30 {
            heard.push(hear(&socket).await);
        }
        for name in ["hot", "a", "b"] {
            let count = heard.iter().filter(|heard| *heard == name).count();
            assert_eq!(count, 10, "{kind}: {heard:?}");
        }
    }
}

/// Types that wait for a peer with room.
const WAIT: [SocketType; 4] = [Push, SocketType::Dealer, Pair, SocketType::Req];

fn peer_of(kind: SocketType) -> &'static str {
    let peer = SocketType::ALL.iter().find(|peer| kind.talks_to(**peer));
    peer.unwrap().name()
}

/// The body of the next message, after the delimiter where there is one.
async fn read_body(kind: SocketType, peer: &mut TcpStream) -> Vec<u8> {
    if kind == SocketType::Req {
        assert_eq!(raw::read_frame(peer).await, Some((1, Vec::new())));
    }
    let (flags, body) = raw::read_frame(peer).await.unwrap();
    assert_eq!(flags, 0);
    body
}

#[tokio::test]
async fn bound_sockets_without_a_peer_accept_nothing_and_lose_nothing() {
    let _deadline = deadline();
    for kind in WAIT {
        let context = Context::new().unwrap();
        let socket = context.any_socket(kind, quick());
        let endpoint = bind(&socket);
        for _ in 0..3 {
            let full = socket.try_send("refused").unwrap_err();
            assert_eq!(full.error, TrySendErrorKind::Full, "{kind}");
            assert_eq!(full.message, "refused".into(), "{kind}: it is given back");
        }
        let waiting = socket.clone();
        let sending = tokio::spawn(async move { waiting.send("waits").await });
        tokio::task::yield_now().await;
        assert!(!sending.is_finished(), "{kind}");
        let mut peer = join(&socket, &endpoint, peer_of(kind), "").await;
        assert_eq!(read_body(kind, &mut peer).await, b"waits", "{kind}");
        sending.await.unwrap().unwrap();
        assert_eq!(socket.dropped(), 0);
    }
}

/// The other end of a connection that our socket makes: a listener that comes and goes.
async fn listen(kind: SocketType, endpoint: &str) -> TcpStream {
    let address = endpoint.trim_start_matches("tcp://");
    let listener = TcpListener::bind(address).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    let hello = raw::null_peer(&[("Socket-Type", peer_of(kind).as_bytes())]);
    peer.write_all(&hello).await.unwrap();
    raw::skip_greeting(&mut peer).await;
    raw::read_frame(&mut peer).await.expect("READY");
    peer
}

#[tokio::test]
async fn messages_wait_for_a_peer_that_is_not_there() {
    let _deadline = deadline();
    for kind in WAIT {
        let context = Context::new().unwrap();
        let socket = context.any_socket(kind, quick().linger(Duration::ZERO));
        let endpoint = free_endpoint();
        socket.connect(&endpoint).unwrap();
        for round in ["not there yet", "gone", "gone again"] {
            socket.try_send(round).unwrap();
            let mut peer = listen(kind, &endpoint).await;
            assert_eq!(read_body(kind, &mut peer).await, round.as_bytes(), "{kind}");
            if kind == SocketType::Req {
                let reply = [raw::frame(1, b""), raw::frame(0, b"reply")].concat();
                peer.write_all(&reply).await.unwrap();
                socket.recv().await.unwrap();
            }
            drop(peer);
            linked(&socket, 0).await;
        }
    }
}

#[tokio::test]
async fn pull_and_sub_do_not_send() {
    let _deadline = deadline();
    for (kind, peer_kind) in [(Pull, "PUSH"), (SocketType::Sub, "PUB")] {
        let context = Context::new().unwrap();
        let socket = receiver(&context, kind);
        let mut peer = join(&socket, &bind(&socket), peer_kind, "").await;
        let refused = socket.try_send("x").unwrap_err().error;
        let expected = TrySendErrorKind::Send(SendError::NotSupported);
        assert_eq!(refused, expected, "{kind}");
        socket.close();
        let told = raw::closed(&mut peer).await;
        assert!(!told.contains(&b'x'), "{kind}: {told:?}");
    }
}

#[tokio::test]
async fn push_and_pub_do_not_receive() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    for kind in [Push, SocketType::Pub] {
        let socket = context.any_socket(kind, quick());
        let refused = Err(RecvError::NotSupported);
        assert_eq!(socket.recv().await, refused, "{kind}");
    }
}

#[tokio::test]
async fn every_type_binds_and_connects() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    for binder in SocketType::ALL {
        for connecter in SocketType::ALL {
            if !binder.talks_to(*connecter) {
                continue;
            }
            let inproc = format!("inproc://{binder}-{connecter}");
            for place in ["tcp://127.0.0.1:*", &inproc] {
                let bound = context.any_socket(*binder, quick());
                let connected = context.any_socket(*connecter, quick());
                let endpoint = bound.bind(place).unwrap().to_string();
                connected.connect(&endpoint).unwrap();
                linked(&bound, 1).await;
                linked(&connected, 1).await;
                assert_eq!(bound.peers()[0].socket_type, *connecter);
                assert_eq!(connected.peers()[0].socket_type, *binder);
                connected.close();
                bound.close();
            }
        }
    }
}

#[tokio::test]
async fn a_routing_id_means_nothing_to_types_that_do_not_route() {
    let _deadline = deadline();
    for (kind, peer_kind) in RECEIVE.into_iter().filter(|(kind, _)| *kind != Pair) {
        let context = Context::new().unwrap();
        let socket = receiver(&context, kind);
        let endpoint = bind(&socket);
        let mut first = join(&socket, &endpoint, peer_kind, "me").await;
        let mut second = raw::join(
            &endpoint,
            &[("Socket-Type", peer_kind.as_bytes()), ("Identity", b"me")],
        )
        .await;
        if kind == Router {
            raw::closed(&mut second).await;
            assert_eq!(socket.peers().len(), 1, "ROUTER refuses the second");
            continue;
        }
        for (peer, text) in [(&mut second, "second"), (&mut first, "first")] {
            peer.write_all(&speech(peer_kind, text)).await.unwrap();
            assert_eq!(hear(&socket).await, text, "{kind}");
        }
    }
}

#[tokio::test]
async fn requests_go_to_the_peers_in_turn() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let req = context.socket::<Req>(quick());
    let endpoint = bind_tcp(&req);
    for name in ["a", "b", "c"] {
        let rep = context.socket::<Rep>(quick());
        rep.connect(&endpoint).unwrap();
        tokio::spawn(async move {
            while rep.recv().await.is_ok() {
                rep.send(name).await.unwrap();
            }
        });
    }
    linked(req.any(), 3).await;
    let mut order = Vec::new();
    for _ in 0..9 {
        req.send("who?").await.unwrap();
        order.push(said(&req.recv().await.unwrap()));
    }
    assert_eq!((&order[..3], &order[3..6]), (&order[3..6], &order[6..]));
    order[..3].sort();
    assert_eq!(order[..3], ["a", "b", "c"]);
}

#[tokio::test]
async fn a_reply_from_a_peer_that_was_not_asked_is_discarded() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let req = context.socket::<Req>(quick());
    let endpoint = bind_tcp(&req);
    let mut peers = Vec::new();
    for _ in 0..2 {
        peers.push(join(req.any(), &endpoint, "REP", "").await);
    }
    let [one, other] = &mut peers[..] else {
        unreachable!()
    };
    req.send("ask").await.unwrap();
    // Only one of them is asked; the other hears nothing.
    let first_is_asked = tokio::select! {
        _delimiter = raw::read_frame(one) => true,
        _delimiter = raw::read_frame(other) => false,
    };
    let (asked, unasked) = if first_is_asked {
        (one, other)
    } else {
        (other, one)
    };
    unasked.write_all(&speech("REQ", "forged")).await.unwrap();
    until(req.any(), |req| req.statistics().queued_from_peers == 1).await;
    assert_eq!(req.try_recv(), Err(TryRecvError::Empty));
    unasked.write_all(&speech("REQ", "forged")).await.unwrap();
    until(req.any(), |req| req.statistics().queued_from_peers == 1).await;
    asked.write_all(&speech("REQ", "genuine")).await.unwrap();
    assert_eq!(texts(&req.recv().await.unwrap()), ["genuine"]);
}

#[tokio::test]
async fn a_reply_goes_to_the_peer_that_asked() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = context.socket::<Rep>(quick());
    let endpoint = bind_tcp(&rep);
    let names = ["a", "b", "c"];
    let mut peers = Vec::new();
    for name in names {
        let mut peer = join(rep.any(), &endpoint, "REQ", "").await;
        peer.write_all(&speech("REQ", name)).await.unwrap();
        peers.push(peer);
    }
    for _ in names {
        let request = rep.recv().await.unwrap();
        rep.send(request).await.unwrap();
    }
    for (peer, name) in peers.iter_mut().zip(names) {
        assert_eq!(read_body(SocketType::Req, peer).await, name.as_bytes());
    }
}

#[tokio::test]
async fn a_reply_to_a_peer_without_room_is_dropped_at_once() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = context.socket::<Rep>(quick().send_hwm(1).linger(Duration::ZERO));
    let endpoint = bind_tcp(&rep);
    let mut deaf = join(rep.any(), &endpoint, "REQ", "").await;
    while rep.dropped() == 0 {
        deaf.write_all(&speech("REQ", "ask")).await.unwrap();
        rep.recv().await.unwrap();
        rep.send(vec![7; 1 << 20]).await.unwrap();
    }
    let mut other = join(rep.any(), &endpoint, "REQ", "").await;
    other.write_all(&speech("REQ", "ask")).await.unwrap();
    assert_eq!(said(&rep.recv().await.unwrap()), "ask");
    rep.send("reply").await.unwrap();
    assert_eq!(read_body(SocketType::Req, &mut other).await, b"reply");
}

#[tokio::test]
async fn a_dealer_passes_over_a_peer_without_room() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let dealer = context.socket::<Dealer>(Options::new().send_hwm(1));
    dealer.bind("inproc://dealer").unwrap();
    let stuck = context.socket::<Dealer>(Options::new().recv_hwm(1));
    let works = context.socket::<Dealer>(Options::new());
    stuck.connect("inproc://dealer").unwrap();
    works.connect("inproc://dealer").unwrap();
    let mut taken = 0;
    for i in 0..100 {
        dealer.send(i.to_string()).await.unwrap();
        taken += usize::from(works.try_recv().is_ok());
    }
    assert_eq!(taken, 98, "two wait for the peer that does not read");
}

#[tokio::test]
async fn subscriptions_are_octets_and_of_the_first_frame_alone() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(quick());
    let mut sub = raw::join(&bind_tcp(&publisher), &[("Socket-Type", b"SUB")]).await;
    for prefix in [&b"\0\xff"[..], b"end"] {
        sub.write_all(&raw::command("SUBSCRIBE", prefix))
            .await
            .unwrap();
    }
    publisher.wait_for_subscribers("end", 1).await;
    for message in [
        [&b"\0\xff"[..], b"whole"],
        [b"\0\xff\0", b"longer"],
        [b"\0", b"\xff"],
        [b"\0\xfe", b"near"],
        [b"x", b"\0\xff"],
        [b"", b"\0\xff"],
        [b"END", b""],
        [b"end", b""],
    ] {
        publisher.send(message).await.unwrap();
    }
    for expected in [
        &b"\0\xff"[..],
        b"whole",
        b"\0\xff\0",
        b"longer",
        b"end",
        b"",
    ] {
        let (_, body) = raw::read_frame(&mut sub).await.unwrap();
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn pub_shows_its_application_no_subscription() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(quick());
    let xpub = context.socket::<Xpub>(quick());
    let _subscribers = [bind_tcp(&publisher), bind_tcp(&xpub)].map(|endpoint| {
        let sub = context.socket::<Sub>(quick());
        sub.subscribe("a");
        sub.connect(&endpoint).unwrap();
        sub
    });
    publisher.wait_for_subscribers("a", 1).await;
    assert_eq!(
        publisher.any().try_recv(),
        Err(RecvError::NotSupported.into())
    );
    assert_eq!(xpub.recv().await.unwrap(), Message::from("\x01a"));
}

#[tokio::test]
async fn xsub_sends_upstream_to_every_publisher() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let xsub = context.socket::<Xsub>(quick());
    let endpoint = bind_tcp(&xsub);
    let mut publishers = Vec::new();
    for _ in 0..3 {
        publishers.push(join(xsub.any(), &endpoint, "XPUB", "").await);
    }
    xsub.send(["up", "stream"]).await.unwrap();
    for publisher in &mut publishers {
        let frames = [
            raw::read_frame(publisher).await,
            raw::read_frame(publisher).await,
        ];
        assert_eq!(
            frames,
            [Some((1, b"up".to_vec())), Some((0, b"stream".to_vec()))]
        );
    }
}
