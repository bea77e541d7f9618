//! Links to libzmq that break, idle and come back, and what is known of the peer on each.

use std::process::Command;
use std::time::Duration;

use curvelink::{
    Context, Curve, Dealer, LinkEventKind, Message, Options, Peer, PeerAddress, Plain, Pub, Pull,
    Push, Reason, Router, Socket, Xsub,
};
use curvelink_tests::peer::security::{
    Agreement, PASSWORD, USER, allow_list, curve_client, plain_client,
};
use curvelink_tests::peer::{ZmqPeer, text};
use curvelink_tests::support::{admitted, deadline, disconnected, event, keys, quick, refusal};
use serde_json::{Value, json};
use tokio::time::sleep;

const LOOPBACK: &str = "tcp://127.0.0.1:*";

fn context() -> Context {
    Context::new().expect("a runtime")
}

/// Messages of the peer's socket, as it received them.
fn received(peer: &mut ZmqPeer, socket: &str, count: usize) -> Value {
    peer.ask(json!({"do": "receive", "socket": socket, "count": count}))
}

fn send(peer: &mut ZmqPeer, socket: &str, frames: &[&str]) {
    peer.ask(json!({"do": "send", "socket": socket, "message": frames}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_peer_that_was_killed_arrives_at_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = format!("ipc://{}/socket", folder.path().display());
    for (mechanism, endpoint) in [("NULL", LOOPBACK), ("CURVE", &path)] {
        let Ok(mut peer) = ZmqPeer::start() else {
            return;
        };
        let _deadline = deadline();
        let agreement = Agreement::new(mechanism);
        agreement.tell(&mut peer);
        let server = agreement.theirs(true);
        let endpoint = peer.open("pull", "PULL", ("bind", endpoint), &server);

        let push = context().socket::<Push>(reconnecting(agreement.ours(false)));
        let mut monitor = push.monitor();
        push.connect(&endpoint).expect("connects");
        push.send("before").await.expect("sends");
        assert_eq!(received(&mut peer, "pull", 1), json!([["before"]]));

        drop(peer);
        assert_eq!(disconnected(&mut monitor).await, None);
        for message in ["while", "it", "was", "away"] {
            push.send(message).await.expect("waits in the queue");
        }
        let mut peer = ZmqPeer::start().expect("as before");
        agreement.tell(&mut peer);
        peer.open("pull", "PULL", ("bind", &endpoint), &server);
        let expected = json!([["while"], ["it"], ["was"], ["away"]]);
        assert_eq!(received(&mut peer, "pull", 4), expected);
    }
}

fn reconnecting(options: Options) -> Options {
    let time = Duration::from_millis(10);
    options
        .reconnect_interval(time)
        .reconnect_interval_max(time)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_libzmq_kept_while_we_were_away_arrives() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let first = context().socket::<Pull>(quick());
    let endpoint = first.bind(LOOPBACK).expect("binds").to_string();
    let options = json!({"RECONNECT_IVL": 10});
    peer.open("push", "PUSH", ("connect", &endpoint), &options);
    send(&mut peer, "push", &["before"]);
    assert_eq!(first.recv().await, Ok("before".into()));

    first.close();
    peer.await_event("push", "DISCONNECTED");
    for message in ["while", "we", "were", "away"] {
        send(&mut peer, "push", &[message]);
    }
    let second = context().socket::<Pull>(quick());
    second.bind(&endpoint).expect("the port is free again");
    for message in ["while", "we", "were", "away"] {
        assert_eq!(second.recv().await, Ok(message.into()));
    }
}

/// Many beats, in which a peer that was not heard of would be cut twice.
const IDLE: Duration = Duration::from_millis(1400);
const BEAT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_millis(600);

fn beating(options: Options) -> Options {
    options
        .heartbeat_interval(BEAT)
        .heartbeat_timeout(PATIENCE)
        .heartbeat_ttl(PATIENCE)
}

/// The same for the peer, beside options of its own.
fn also_beating(mut options: Value) -> Value {
    options["HEARTBEAT_IVL"] = json!(100);
    options["HEARTBEAT_TIMEOUT"] = json!(600);
    options["HEARTBEAT_TTL"] = json!(600);
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_link_stays_up_whoever_sends_the_heartbeats() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = context();
    let mut links = Vec::new();
    for mechanism in ["NULL", "CURVE"] {
        let agreement = Agreement::new(mechanism);
        context.set_zap_handler(agreement.policy());
        for (we_beat, they_beat) in [(true, false), (false, true), (true, true)] {
            let (mut ours, mut theirs) = (agreement.ours(true), agreement.theirs(false));
            ours = ours.heartbeat_interval(Duration::ZERO);
            if we_beat {
                ours = beating(ours);
            }
            if they_beat {
                theirs = also_beating(theirs);
            }
            let socket = context.socket::<Dealer>(ours);
            let mut monitor = socket.monitor();
            let endpoint = socket.bind(LOOPBACK).expect("binds").to_string();
            let name = format!("{mechanism} {we_beat} {they_beat}");
            peer.open(&name, "DEALER", ("connect", &endpoint), &theirs);
            admitted(&mut monitor).await;
            links.push((name, socket, monitor));
        }
    }
    sleep(IDLE).await;
    for (name, socket, mut monitor) in links {
        let event = monitor.try_recv();
        assert!(event.is_none(), "{name}: {event:?}");
        let events = peer.ask(json!({"do": "events", "socket": name}));
        assert!(!events.to_string().contains("DISCONNECTED"), "{events}");
        // It is up in both directions.
        send(&mut peer, &name, &["still here"]);
        assert_eq!(socket.recv().await, Ok("still here".into()));
        socket.send("here too").await.expect("sends");
        assert_eq!(received(&mut peer, &name, 1), json!([["here too"]]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_talks_all_the_time_hears_of_us_within_the_time_we_gave() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let pull = context().socket::<Pull>(beating(Options::new()));
    let mut monitor = pull.monitor();
    let endpoint = pull.bind(LOOPBACK).expect("binds").to_string();
    peer.open("push", "PUSH", ("connect", &endpoint), &json!({}));
    admitted(&mut monitor).await;

    // Silence brings a PING that says how long the peer may wait; after it nothing asks for one.
    sleep(2 * BEAT).await;
    for _ in 0..IDLE.as_millis() / 20 {
        send(&mut peer, "push", &["talk"]);
        pull.recv().await.expect("receives");
        sleep(Duration::from_millis(20)).await;
    }
    let events = peer.ask(json!({"do": "events", "socket": "push"}));
    assert!(!events.to_string().contains("DISCONNECTED"), "{events}");
    assert!(monitor.try_recv().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stands_still_is_cut_and_taken_back() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let endpoint = peer.open("pull", "PULL", ("bind", LOOPBACK), &json!({}));
    let push = context().socket::<Push>(reconnecting(beating(Options::new())));
    let mut monitor = push.monitor();
    push.connect(&endpoint).expect("connects");
    admitted(&mut monitor).await;

    let signal = |signal: &str| {
        let mut kill = Command::new("kill");
        let status = kill.args([signal, &peer.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    };
    signal("-STOP");
    assert_eq!(disconnected(&mut monitor).await, Some(Reason::Timeout));
    signal("-CONT");
    admitted(&mut monitor).await;
    push.send("welcome back").await.expect("sends");
    assert_eq!(received(&mut peer, "pull", 1), json!([["welcome back"]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routing_ids_of_libzmq_are_known_made_and_defended() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = context();
    let router = context.socket::<Router>(quick());
    let mut monitor = router.monitor();
    let endpoint = router.bind(LOOPBACK).expect("binds").to_string();
    let options = json!({"ROUTING_ID": "theirs"});
    peer.open("dealer", "DEALER", ("connect", &endpoint), &options);
    send(&mut peer, "dealer", &["hello"]);
    assert_eq!(router.recv().await, Ok(["theirs", "hello"].into()));
    router.send(["theirs", "you"]).await.expect("sends");
    assert_eq!(received(&mut peer, "dealer", 1), json!([["you"]]));

    // Without one, we make it: it begins with 0.
    peer.open("nameless", "REQ", ("connect", &endpoint), &json!({}));
    send(&mut peer, "nameless", &["hello"]);
    let message = router.recv().await.expect("receives");
    assert!(
        message
            .first()
            .is_some_and(|id| id.len() == 5 && id[0] == 0)
    );
    router.send(message).await.expect("sends");
    assert_eq!(received(&mut peer, "nameless", 1), json!([["hello"]]));

    // A live peer's id is refused to another, which libzmq would keep connected, unheard.
    peer.open("rival", "DEALER", ("connect", &endpoint), &options);
    let (_, refusal) = refusal(&mut monitor).await;
    assert_eq!(refusal.reason, Reason::RoutingId);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libzmq_routes_by_our_routing_id() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = context();
    let endpoint = peer.open("router", "ROUTER", ("bind", LOOPBACK), &json!({}));
    let dealer = context.socket::<Dealer>(quick().routing_id("ours"));
    dealer.connect(&endpoint).expect("connects");
    dealer.send("hello").await.expect("sends");
    assert_eq!(received(&mut peer, "router", 1), json!([["ours", "hello"]]));
    send(&mut peer, "router", &["ours", "you"]);
    assert_eq!(dealer.recv().await, Ok("you".into()));

    // Two routers, both with names, the binding one libzmq's.
    let options = json!({"ROUTING_ID": "bound"});
    let endpoint = peer.open("bound", "ROUTER", ("bind", LOOPBACK), &options);
    let router = context.socket::<Router>(quick().routing_id("ours").router_mandatory(true));
    let mut monitor = router.monitor();
    router.connect(&endpoint).expect("connects");
    admitted(&mut monitor).await;
    router.send(["bound", "hello"]).await.expect("routes");
    assert_eq!(received(&mut peer, "bound", 1), json!([["ours", "hello"]]));
    send(&mut peer, "bound", &["ours", "you"]);
    assert_eq!(router.recv().await, Ok(["bound", "you"].into()));
}

/// What we know of who sent the next message.
async fn sender(pull: &Socket<Pull>) -> (Message, Peer) {
    let message = pull.recv().await.expect("receives");
    let peer = message.peer().expect("received messages have one");
    let peer = (**peer).clone();
    (message, peer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_has_the_key_and_the_name_of_its_sender() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = context();
    let (server, alice, bob) = (keys(), keys(), keys());
    let policy = allow_list(vec![(alice.public(), "alice"), (bob.public(), "bob")]);
    context.set_zap_handler(policy);
    let pull = context.socket::<Pull>(quick().security(Curve::server(server.duplicate())));
    let endpoint = pull.bind(LOOPBACK).expect("binds").to_string();
    for (name, keys) in [("alice", &alice), ("bob", &bob)] {
        // What a client calls itself is not who it is.
        let mut options = curve_client(keys, server.public());
        options["ROUTING_ID"] = json!("root");
        options["METADATA"] = json!("X-User-Id:root");
        peer.open(name, "PUSH", ("connect", &endpoint), &options);
    }
    for round in 0..10 {
        for name in ["alice", "bob"] {
            send(&mut peer, name, &[name, &round.to_string()]);
        }
    }
    for _ in 0..20 {
        let (message, peer) = sender(&pull).await;
        let name = text(message.first().expect("a frame"));
        let key = if name == "alice" { &alice } else { &bob };
        assert_eq!(
            (peer.name.as_deref(), peer.key),
            (Some(&*name), Some(key.public()))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_has_a_name_and_a_process_has_a_number() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = context();
    context.set_zap_handler(allow_list(vec![]));
    let pull = context.socket::<Pull>(quick().security(Plain::server()));
    let endpoint = pull.bind(LOOPBACK).expect("binds").to_string();
    peer.open(
        "plain",
        "PUSH",
        ("connect", &endpoint),
        &plain_client(PASSWORD),
    );
    send(&mut peer, "plain", &["hello"]);
    let (_, known) = sender(&pull).await;
    assert_eq!((known.name.as_deref(), known.key), (Some(USER), None));
    assert!(matches!(known.address, PeerAddress::Tcp(address) if address.ip().is_loopback()));

    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = format!("ipc://{}/socket", folder.path().display());
    let pull = context.socket::<Pull>(quick());
    pull.bind(&endpoint).expect("binds");
    peer.open("null", "PUSH", ("connect", &endpoint), &json!({}));
    send(&mut peer, "null", &["hello"]);
    let (_, known) = sender(&pull).await;
    assert_eq!((known.name, known.key), (None, None));
    let process = Some(i32::try_from(peer.id()).expect("small"));
    assert!(matches!(known.address, PeerAddress::Ipc { pid, .. } if pid == process));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_are_counted_cancelled_and_made_again() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = context();
    let publisher = context.socket::<Pub>(quick());
    let mut monitor = publisher.monitor();
    let endpoint = publisher.bind(LOOPBACK).expect("binds").to_string();
    peer.open(
        "sub",
        "SUB",
        ("connect", &endpoint),
        &json!({"RECONNECT_IVL": 10}),
    );
    for prefix in ["a", "a", "b"] {
        peer.ask(json!({"do": "subscribe", "socket": "sub", "prefix": prefix}));
    }
    publisher.wait_for_subscribers("b", 1).await;
    for prefix in ["a", "b"] {
        peer.ask(json!({"do": "unsubscribe", "socket": "sub", "prefix": prefix}));
    }
    peer.ask(json!({"do": "subscribe", "socket": "sub", "prefix": "last"}));
    publisher.wait_for_subscribers("last", 1).await;
    for (topic, subscribers) in [("a", 1), ("ab", 1), ("b", 0), ("", 0), ("las", 0)] {
        assert_eq!(
            publisher.subscribers(topic.as_bytes()).len(),
            subscribers,
            "{topic}"
        );
    }
    for topic in ["b", "a", "x", "last"] {
        publisher.send([topic, "body"]).await.expect("sends");
    }
    let expected = json!([["a", "body"], ["last", "body"]]);
    assert_eq!(received(&mut peer, "sub", 2), expected);

    // A connection that comes back brings its subscriptions along.
    publisher.close();
    // The link and the listener, whichever ends first.
    for _ in 0..2 {
        event(&mut monitor, |event| {
            let ends = |kind: &_| {
                matches!(
                    kind,
                    LinkEventKind::Disconnected { .. } | LinkEventKind::Closed
                )
            };
            ends(&event.kind).then_some(())
        })
        .await;
    }
    let publisher = context.socket::<Pub>(quick());
    publisher.bind(&endpoint).expect("the port is free again");
    // libzmq makes them again while the socket is used.
    peer.tell(json!({"do": "receive", "socket": "sub"}));
    publisher.wait_for_subscribers("a", 1).await;
    publisher.wait_for_subscribers("last", 1).await;
    publisher.send("a again").await.expect("sends");
    assert_eq!(peer.answer(), json!([["a again"]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_subscriptions_are_shown_by_libzmq_once_each() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = context();
    let endpoint = peer.open("xpub", "XPUB", ("bind", LOOPBACK), &json!({}));
    let xsub = context.socket::<Xsub>(quick());
    let mut monitor = xsub.monitor();
    xsub.connect(&endpoint).expect("connects");
    admitted(&mut monitor).await;
    for change in [&b"\x01a"[..], b"\x01a", b"\x01", b"\0a", b"\0a", b"\0"] {
        xsub.send([change]).await.expect("sends");
    }
    let shown = received(&mut peer, "xpub", 4);
    assert_eq!(shown, json!([["\u{1}a"], ["\u{1}"], ["\u{0}a"], ["\u{0}"]]));
}
