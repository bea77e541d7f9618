//! The options of publishers and subscribers against libzmq's: each side's view of the same story.

use curvelink::{Context, Message, Options, Pub, Socket, Sub, Xpub, Xsub};
use curvelink_tests::peer::{ZmqPeer, text};
use curvelink_tests::support::{bind_tcp, deadline, peers, quick, texts};
use serde_json::{Value, json};

/// What a SUB does; a SUB that was closed ends what it had.
const STORY: [(&str, &str); 6] = [
    ("subscribe", "a"),
    ("subscribe", "a"),
    ("unsubscribe", "never"),
    ("unsubscribe", "a"),
    ("unsubscribe", "a"),
    ("subscribe", "end"),
];

/// What libzmq's XPUB shows of it to an application, in each of its modes.
const SHOWN: [(&str, &[&str]); 3] = [
    ("", &["\x01a", "\x00a"]),
    ("XPUB_VERBOSE", &["\x01a", "\x01a", "\x00a"]),
    ("XPUB_VERBOSER", &["\x01a", "\x01a", "\x00a"]),
];

fn ours(mode: &str) -> Options {
    match mode {
        "XPUB_VERBOSE" => quick().xpub_verbose(true),
        "XPUB_VERBOSER" => quick().xpub_verboser(true),
        _ => quick(),
    }
}

fn theirs(mode: &str) -> Value {
    match mode {
        "" => json!({}),
        mode => json!({ mode: 1 }),
    }
}

async fn shown(publisher: &Socket<Xpub>) -> Vec<String> {
    let mut shown = Vec::new();
    loop {
        let next = texts(&publisher.recv().await.unwrap()).concat();
        if next == "\x01end" {
            return shown;
        }
        shown.push(next);
    }
}

fn message(frames: &[&str]) -> Value {
    json!([frames])
}

#[tokio::test(flavor = "multi_thread")]
async fn our_xpub_shows_of_libzmqs_subscribers_what_libzmqs_would() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    for (mode, expected) in SHOWN {
        for kind in ["SUB", "XSUB"] {
            let context = Context::new().unwrap();
            let publisher = context.socket::<Xpub>(ours(mode));
            let endpoint = bind_tcp(&publisher);
            peer.open("sub", kind, ("connect", &endpoint), &json!({}));
            peer.await_event("sub", "HANDSHAKE_SUCCEEDED");
            for (act, prefix) in STORY {
                if kind == "SUB" {
                    peer.ask(json!({"do": act, "socket": "sub", "prefix": prefix}));
                } else {
                    let first = if act == "subscribe" { "\x01" } else { "\x00" };
                    let frame = format!("{first}{prefix}");
                    peer.ask(json!({"do": "send", "socket": "sub", "message": [frame]}));
                }
            }
            assert_eq!(shown(&publisher).await, expected, "{kind} {mode}");
            assert!(publisher.subscribers(b"a").is_empty());
            peer.ask(json!({"do": "close", "socket": "sub"}));
            assert_eq!(publisher.recv().await.unwrap(), Message::from("\x00end"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn libzmqs_xpub_shows_of_our_subscribers_what_it_shows_of_its_own() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    for (mode, expected) in SHOWN {
        for plain in [true, false] {
            let any = ("bind", "tcp://127.0.0.1:*");
            let endpoint = peer.open("xpub", "XPUB", any, &theirs(mode));
            let context = Context::new().unwrap();
            let sub = context.socket::<Sub>(quick());
            let xsub = context.socket::<Xsub>(quick());
            if plain {
                sub.connect(&endpoint).unwrap();
                peers(&sub, 1).await;
            } else {
                xsub.connect(&endpoint).unwrap();
                peers(&xsub, 1).await;
            }
            for (act, prefix) in STORY {
                match (plain, act) {
                    (true, "subscribe") => sub.subscribe(prefix),
                    (true, _) => sub.unsubscribe(prefix),
                    (false, "subscribe") => xsub.send(format!("\x01{prefix}")).await.unwrap(),
                    (false, _) => xsub.send(format!("\x00{prefix}")).await.unwrap(),
                }
            }
            for expected in expected.iter().chain(&["\x01end"]) {
                let shown = peer.ask(json!({"do": "receive", "socket": "xpub"}));
                assert_eq!(shown, message(&[expected]), "{mode} SUB: {plain}");
            }
            peer.ask(json!({"do": "close", "socket": "xpub"}));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_reaches_the_other_sides_subscriber_first() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(quick().xpub_welcome("Welcome"));
    let endpoint = bind_tcp(&publisher);
    let options = json!({"SUBSCRIBE": ""});
    peer.open("sub", "SUB", ("connect", &endpoint), &options);
    publisher.wait_for_subscribers("x", 1).await;
    publisher.send("x").await.unwrap();
    let got = peer.ask(json!({"do": "receive", "socket": "sub", "count": 2}));
    assert_eq!(got, json!([["Welcome"], ["x"]]));

    let options = json!({"XPUB_WELCOME_MSG": "Welcome"});
    let any = ("bind", "tcp://127.0.0.1:*");
    let endpoint = peer.open("xpub", "XPUB", any, &options);
    let subscriber = context.socket::<Sub>(quick());
    subscriber.subscribe("");
    subscriber.connect(&endpoint).unwrap();
    let shown = peer.ask(json!({"do": "receive", "socket": "xpub"}));
    assert_eq!(shown, message(&["\x01"]));
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["Welcome"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inverted_ends_understand_each_other() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let inverted = json!({"INVERT_MATCHING": 1});
    let publisher = context.socket::<Pub>(quick().invert_matching(true));
    let endpoint = bind_tcp(&publisher);
    peer.open("sub", "SUB", ("connect", &endpoint), &inverted);
    publisher.wait_for_subscribers("a", 1).await;
    peer.ask(json!({"do": "subscribe", "socket": "sub", "prefix": "a"}));
    while !publisher.subscribers(b"a").is_empty() {
        tokio::task::yield_now().await;
    }
    for topic in ["a1", "b1"] {
        publisher.send(topic).await.unwrap();
    }
    let got = peer.ask(json!({"do": "receive", "socket": "sub"}));
    assert_eq!(got, message(&["b1"]));

    let any = ("bind", "tcp://127.0.0.1:*");
    let endpoint = peer.open("xpub", "XPUB", any, &inverted);
    let subscriber = context.socket::<Sub>(quick().invert_matching(true));
    subscriber.subscribe("a");
    subscriber.connect(&endpoint).unwrap();
    peer.ask(json!({"do": "receive", "socket": "xpub"}));
    for topic in ["a1", "b1"] {
        peer.ask(json!({"do": "send", "socket": "xpub", "message": [topic]}));
    }
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["b1"]);
    assert_eq!(subscriber.statistics().dropped.not_subscribed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_xpub_maps_what_libzmqs_subscriber_asks_for() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Xpub>(quick().xpub_manual(true));
    let endpoint = bind_tcp(&publisher);
    let options = json!({"SUBSCRIBE": "A"});
    peer.open("sub", "SUB", ("connect", &endpoint), &options);
    let asked = publisher.recv().await.unwrap();
    assert_eq!(asked, Message::from("\x01A"));
    // A SUB filters for itself: it must have asked for what it is given.
    let subscriber = asked.peer().unwrap();
    publisher.subscribe_peer(subscriber, "A/only").unwrap();
    for topic in ["A", "A/other", "A/only"] {
        publisher.send(topic).await.unwrap();
    }
    let got = peer.ask(json!({"do": "receive", "socket": "sub"}));
    assert_eq!(got, message(&["A/only"]));
    peer.ask(json!({"do": "close", "socket": "sub"}));
    assert_eq!(publisher.recv().await.unwrap(), Message::from("\x00A"));
    assert_eq!(publisher.topics(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_first_subscribe_means_the_same_to_both_sides() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let first = json!({"ONLY_FIRST_SUBSCRIBE": 1});
    let publisher = context.socket::<Xpub>(quick().only_first_subscribe(true));
    let endpoint = bind_tcp(&publisher);
    peer.open("xsub", "XSUB", ("connect", &endpoint), &first);
    peer.await_event("xsub", "HANDSHAKE_SUCCEEDED");
    let any = ("bind", "tcp://127.0.0.1:*");
    let endpoint = peer.open("xpub", "XPUB", any, &first);
    let subscriber = context.socket::<Xsub>(quick().only_first_subscribe(true));
    subscriber.connect(&endpoint).unwrap();
    peers(&subscriber, 1).await;

    // A second frame like the first is taken for a subscription by libzmq, whatever its manual says.
    let multipart = ["\x01a", "b", "c"];
    peer.ask(json!({"do": "send", "socket": "xsub", "message": multipart}));
    subscriber.send(multipart).await.unwrap();
    assert_eq!(publisher.recv().await.unwrap(), Message::from("\x01a"));
    let rest = publisher.recv().await.unwrap();
    assert_eq!(rest, Message::from(["b", "c"]));
    assert_eq!(publisher.topics(), 1);
    let got = peer.ask(json!({"do": "receive", "socket": "xpub", "count": 2}));
    assert_eq!(got, json!([["\x01a"], ["b", "c"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_drops_libzmqs_subscriber_gets_every_message() {
    let Ok(mut peer) = ZmqPeer::start() else {
        return;
    };
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(quick().send_hwm(10).xpub_nodrop(true));
    let endpoint = bind_tcp(&publisher);
    let options = json!({"SUBSCRIBE": "", "RCVHWM": 10});
    peer.open("sub", "SUB", ("connect", &endpoint), &options);
    publisher.wait_for_subscribers("", 1).await;
    let count = 2000;
    peer.tell(json!({"do": "receive", "socket": "sub", "count": count}));
    let body = text(&[b'x'; 1000]);
    for i in 0..count {
        publisher.send([i.to_string(), body.clone()]).await.unwrap();
    }
    let got = peer.answer();
    for i in 0..count {
        assert_eq!(got[i][0], i.to_string());
    }
    assert_eq!(publisher.dropped(), 0);
}
