//! What PUB and XPUB can be told: what is shown, who is subscribed, who is waited for (RFC 29 and
//! libzmq's options).

use curvelink::{
    BindError, Context, Kind, Message, Options, Pub, RefusedEndpoint, Rights, Socket, SocketType,
    Sub, SubscribePeerError, Topics, TryRecvError, TrySendErrorKind, Xpub, Xsub,
};
use curvelink_tests::support::{
    admit, bind_tcp, curve, deadline, disconnected, free_endpoint, peers, quick, raw, texts, ways,
};
use tokio::io::AsyncWriteExt as _;

/// What the application of an XPUB receives until `end` is shown.
async fn shown(publisher: &Socket<Xpub>, end: &str) -> Vec<String> {
    let mut shown = Vec::new();
    loop {
        let text = texts(&publisher.recv().await.unwrap()).concat();
        if text == end {
            return shown;
        }
        shown.push(text);
    }
}

#[tokio::test]
async fn each_mode_shows_its_share_of_subscriptions_and_cancels() {
    let _deadline = deadline();
    let all = ["\x01a", "\x01a", "\x01a", "\x00a", "\x00a"];
    let cases = [
        (quick(), vec!["\x01a", "\x00a"]),
        (
            quick().xpub_verbose(true),
            vec!["\x01a", "\x01a", "\x01a", "\x00a"],
        ),
        (quick().xpub_verboser(true), all.to_vec()),
    ];
    for (options, expected) in cases {
        for way in ways() {
            let context = Context::new().unwrap();
            let publisher = context.socket::<Xpub>(options.clone());
            let subscribers = [(); 2].map(|()| context.socket::<Sub>(quick()));
            way.link_all(
                publisher.any(),
                &[subscribers[0].any(), subscribers[1].any()],
            );
            for subscriber in &subscribers {
                peers(subscriber, 1).await;
            }
            // The same peer twice, then another; each of the two cancels ends one peer's.
            subscribers[0].subscribe("a");
            subscribers[0].subscribe("a");
            publisher.wait_for_subscribers("a", 1).await;
            subscribers[1].subscribe("a");
            publisher.wait_for_subscribers("a", 2).await;
            subscribers[0].unsubscribe("a");
            subscribers[0].unsubscribe("a");
            while publisher.subscribers(b"a").len() > 1 {
                tokio::task::yield_now().await;
            }
            subscribers[1].unsubscribe("never");
            subscribers[1].unsubscribe("a");
            subscribers[1].subscribe("end");
            assert_eq!(shown(&publisher, "\x01end").await, expected, "{way:?}");
            context.shutdown().await;
        }
    }
}

#[tokio::test]
async fn what_a_peer_did_not_subscribe_to_it_cannot_cancel_for_others() {
    let _deadline = deadline();
    for options in [quick(), quick().xpub_verboser(true)] {
        let context = Context::new().unwrap();
        let publisher = context.socket::<Xpub>(options);
        let endpoint = bind_tcp(&publisher);
        let mut honest = raw::join(&endpoint, &[("Socket-Type", b"SUB")]).await;
        honest
            .write_all(&raw::command("SUBSCRIBE", b"a"))
            .await
            .unwrap();
        publisher.wait_for_subscribers("a", 1).await;
        let mut other = raw::join(&endpoint, &[("Socket-Type", b"SUB")]).await;
        let octets = [
            raw::command("CANCEL", b"a"),
            raw::command("CANCEL", b"never"),
            raw::command("SUBSCRIBE", b"end"),
        ];
        other.write_all(&octets.concat()).await.unwrap();
        assert_eq!(shown(&publisher, "\x01end").await, ["\x01a"]);
        assert_eq!(publisher.subscribers(b"a").len(), 1);
    }
}

#[tokio::test]
async fn one_cancel_ends_what_a_peer_subscribed_to_twice() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Xpub>(quick());
    let mut peer = raw::join(&bind_tcp(&publisher), &[("Socket-Type", b"SUB")]).await;
    let octets = [
        raw::command("SUBSCRIBE", b"a"),
        raw::command("SUBSCRIBE", b"a"),
        raw::command("CANCEL", b"a"),
    ];
    peer.write_all(&octets.concat()).await.unwrap();
    assert_eq!(shown(&publisher, "\x00a").await, ["\x01a"]);
    assert!(publisher.subscribers(b"a").is_empty());
}

#[tokio::test]
async fn a_peer_that_goes_ends_each_of_its_subscriptions_in_order_under_its_name() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let publisher = context.socket::<Xpub>(quick().xpub_verboser(true));
        let [goes, stays] = [(); 2].map(|()| context.socket::<Sub>(quick()));
        for prefix in ["b", "a"] {
            goes.subscribe(prefix);
            stays.subscribe(prefix);
        }
        way.link_all(publisher.any(), &[goes.any(), stays.any()]);
        for prefix in ["a", "b"] {
            publisher.wait_for_subscribers(prefix, 2).await;
        }
        for _ in 0..4 {
            publisher.try_recv().unwrap();
        }
        goes.close();
        for expected in ["\x00a", "\x00b"] {
            let message = publisher.recv().await.unwrap();
            assert_eq!(message, Message::from(expected), "{way:?}");
            let peer = message.peer().expect("who it was");
            assert_eq!(peer.socket_type, SocketType::Sub);
        }
        assert_eq!(publisher.subscribers(b"a").len(), 1);
        context.shutdown().await;
    }
}

#[tokio::test]
async fn topics_counts_distinct_prefixes_at_both_ends() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(quick());
    let endpoint = bind_tcp(&publisher);
    let subscribers = [(); 2].map(|()| context.socket::<Sub>(quick()));
    for subscriber in &subscribers {
        for prefix in ["", "a", "a", "ab"] {
            subscriber.subscribe(prefix);
        }
        subscriber.connect(&endpoint).unwrap();
        assert_eq!(subscriber.topics(), 3);
    }
    for topic in ["", "a", "ab"] {
        publisher.wait_for_subscribers(topic, 2).await;
    }
    while publisher.topics() != 3 {
        tokio::task::yield_now().await;
    }
    subscribers[0].unsubscribe("a");
    assert_eq!(subscribers[0].topics(), 3, "one of two is left");
    subscribers[0].unsubscribe("ab");
    subscribers[1].unsubscribe("ab");
    assert_eq!(subscribers[0].topics(), 2);
    while publisher.topics() != 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn in_manual_mode_the_application_says_who_is_subscribed_to_what() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let publisher = context.socket::<Xpub>(quick().xpub_manual(true));
        let subscriber = context.socket::<Sub>(quick());
        for prefix in ["A", "mapped/A"] {
            subscriber.subscribe(prefix);
        }
        way.link(publisher.any(), subscriber.any());
        let mut peer = None;
        for _ in 0..2 {
            let message = publisher.recv().await.unwrap();
            assert!(texts(&message).concat().starts_with('\x01'));
            peer = message.peer().cloned();
        }
        let peer = peer.unwrap();
        // Asking has no effect of itself.
        assert_eq!(publisher.topics(), 0);
        publisher.send("A0").await.unwrap();
        publisher.subscribe_peer(&peer, "mapped/A").unwrap();
        publisher.wait_for_subscribers("mapped/A", 1).await;
        publisher.send("A1").await.unwrap();
        publisher.send("mapped/A2").await.unwrap();
        assert_eq!(texts(&subscriber.recv().await.unwrap()), ["mapped/A2"]);
        // Nor has cancelling.
        subscriber.unsubscribe("A");
        assert_eq!(publisher.recv().await.unwrap(), Message::from("\x00A"));
        publisher.send("mapped/A3").await.unwrap();
        assert_eq!(texts(&subscriber.recv().await.unwrap()), ["mapped/A3"]);
        publisher.unsubscribe_peer(&peer, "mapped/A").unwrap();
        publisher.unsubscribe_peer(&peer, "never").unwrap();
        assert!(publisher.subscribers(b"mapped/A").is_empty(), "{way:?}");
        publisher.subscribe_peer(&peer, "mapped/A").unwrap();
        subscriber.close();
        // What it had asked for and not cancelled ends, and what it was given with it.
        assert_eq!(
            publisher.recv().await.unwrap(),
            Message::from("\x00mapped/A")
        );
        assert_eq!(publisher.topics(), 0, "{way:?}");
        let gone = publisher.subscribe_peer(&peer, "A");
        assert_eq!(gone, Err(SubscribePeerError::PeerGone));
        context.shutdown().await;
    }
}

#[tokio::test]
async fn a_manual_subscription_reaches_the_peer_of_the_message_and_no_other() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Xpub>(quick().xpub_manual(true));
    let endpoint = bind_tcp(&publisher);
    let first = context.socket::<Sub>(quick());
    first.subscribe("first");
    first.connect(&endpoint).unwrap();
    let asked = publisher.recv().await.unwrap();
    let second = context.socket::<Sub>(quick());
    second.subscribe("second");
    second.connect(&endpoint).unwrap();
    // Another was received in between: libzmq's "last" is the second now.
    publisher.recv().await.unwrap();
    let peer = asked.peer().unwrap();
    publisher.subscribe_peer(peer, "first").unwrap();
    let subscribed = publisher.subscribers(b"first");
    assert_eq!(subscribed.len(), 1);
    assert!(std::sync::Arc::ptr_eq(&subscribed[0], peer));
}

#[tokio::test]
async fn outside_manual_mode_peers_subscribe_for_themselves() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Xpub>(quick());
    let subscriber = context.socket::<Sub>(quick());
    subscriber.subscribe("a");
    subscriber.connect(&bind_tcp(&publisher)).unwrap();
    let asked = publisher.recv().await.unwrap();
    let refused = publisher.subscribe_peer(asked.peer().unwrap(), "b");
    assert_eq!(refused, Err(SubscribePeerError::NotManual));
    assert_eq!(publisher.topics(), 1);
}

#[tokio::test]
async fn neither_manual_mode_nor_a_welcome_nor_inverting_widens_a_peers_rights() {
    let _deadline = deadline();
    let rights = || Rights::new(Topics::All, Topics::under([b"mine/".to_vec()]));
    for invert in [false, true] {
        let context = Context::new().unwrap();
        context.set_zap_handler(admit("reader", rights()));
        let (server, client) = curve();
        let options = quick().security(server).xpub_welcome("theirs/hello");
        let options = match invert {
            true => options.invert_matching(true),
            false => options.xpub_manual(true),
        };
        let publisher = context.socket::<Xpub>(options);
        let subscriber = context.socket::<Xsub>(quick().security(client));
        subscriber.connect(&bind_tcp(&publisher)).unwrap();
        peers(&subscriber, 1).await;
        subscriber.send("\x01theirs/").await.unwrap();
        subscriber.send("\x01mine/not").await.unwrap();
        let asked = publisher.recv().await.unwrap();
        assert_eq!(
            asked,
            Message::from("\x01mine/not"),
            "the other is not shown"
        );
        if !invert {
            let peer = asked.peer().unwrap();
            for prefix in ["", "m", "theirs/"] {
                let denied = publisher.subscribe_peer(peer, prefix);
                assert_eq!(denied, Err(SubscribePeerError::Denied), "{prefix}");
            }
            publisher.subscribe_peer(peer, "mine/").unwrap();
        }
        assert_eq!(publisher.subscribers(b"mine/1").len(), 1);
        assert!(publisher.subscribers(b"theirs/1").is_empty());
        for topic in ["theirs/1", "mine/1"] {
            publisher.send(topic).await.unwrap();
        }
        assert_eq!(texts(&subscriber.recv().await.unwrap()), ["mine/1"]);
        context.shutdown().await;
    }
}

#[tokio::test]
async fn the_last_value_goes_to_whoever_was_received_last() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Xpub>(quick().xpub_manual_last_value(true));
    let endpoint = bind_tcp(&publisher);
    let subscribe = async |name: &str| {
        let subscriber = context.socket::<Sub>(quick());
        subscriber.subscribe("A");
        subscriber.connect(&endpoint).unwrap();
        let asked = publisher.recv().await.unwrap();
        publisher
            .subscribe_peer(asked.peer().unwrap(), "A")
            .unwrap();
        publisher.send(["A", name]).await.unwrap();
        subscriber
    };
    let early = subscribe("for early").await;
    let late = subscribe("for late").await;
    publisher.send(["A", "for all"]).await.unwrap();
    for (subscriber, first) in [(&early, "for early"), (&late, "for late")] {
        for expected in [first, "for all"] {
            assert_eq!(texts(&subscriber.recv().await.unwrap()), ["A", expected]);
        }
    }
    // One that has gone is not waited for.
    let hasty = context.socket::<Sub>(quick());
    hasty.subscribe("A");
    hasty.connect(&endpoint).unwrap();
    publisher.recv().await.unwrap();
    hasty.close();
    peers(&publisher, 2).await;
    publisher.send(["A", "for who stayed"]).await.unwrap();
    for subscriber in [&early, &late] {
        let expected = ["A", "for who stayed"];
        assert_eq!(texts(&subscriber.recv().await.unwrap()), expected);
    }
    assert_eq!(publisher.recv().await.unwrap(), Message::from("\x00A"));
    // A topic that the last one did not get goes to nobody, and the one after it to all again.
    late.unsubscribe("A");
    publisher.recv().await.unwrap();
    publisher.send("B").await.unwrap();
    publisher.send(["A", "end"]).await.unwrap();
    assert_eq!(texts(&early.recv().await.unwrap()), ["A", "end"]);
}

#[tokio::test]
async fn a_welcome_comes_first_on_every_connection_whether_subscribed_or_not() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let publisher = context.socket::<Pub>(quick().xpub_welcome("W"));
        let [wants, wants_not] = [(); 2].map(|()| context.socket::<Sub>(quick()));
        wants.subscribe("");
        wants_not.subscribe("topic");
        let unfiltered = context.socket::<Xsub>(quick());
        way.link_all(
            publisher.any(),
            &[wants.any(), wants_not.any(), unfiltered.any()],
        );
        assert_eq!(texts(&wants.recv().await.unwrap()), ["W"], "{way:?}");
        assert_eq!(texts(&unfiltered.recv().await.unwrap()), ["W"], "{way:?}");
        publisher.wait_for_subscribers("topic", 2).await;
        publisher.send("topic").await.unwrap();
        assert_eq!(texts(&wants_not.recv().await.unwrap()), ["topic"]);
        context.shutdown().await;
    }
}

#[tokio::test]
async fn a_publisher_that_connects_welcomes_whoever_comes_back() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(quick().xpub_welcome("W"));
    let subscriber = context.socket::<Sub>(quick());
    subscriber.subscribe("");
    let endpoint = bind_tcp(&subscriber);
    publisher.connect(&endpoint).unwrap();
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["W"]);
    let mut monitor = publisher.monitor();
    subscriber.close();
    disconnected(&mut monitor).await;
    let another = context.socket::<Sub>(quick());
    another.subscribe("");
    another.bind(&endpoint).unwrap();
    assert_eq!(texts(&another.recv().await.unwrap()), ["W"]);
}

#[tokio::test]
async fn without_drops_a_publisher_waits_for_the_slowest_and_nobody_gets_a_message_twice() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(Options::new().send_hwm(2).xpub_nodrop(true));
    publisher.bind("inproc://news").unwrap();
    let slow = context.socket::<Sub>(Options::new().recv_hwm(2));
    let fast = context.socket::<Sub>(Options::new());
    for subscriber in [&slow, &fast] {
        subscriber.subscribe("n");
        subscriber.connect("inproc://news").unwrap();
    }
    publisher.wait_for_subscribers("n", 2).await;
    for i in 0..4 {
        publisher.try_send(format!("n{i}")).unwrap();
    }
    for _ in 0..3 {
        let refused = publisher.try_send("n4").unwrap_err();
        assert_eq!(refused.error, TrySendErrorKind::Full);
    }
    publisher.try_send("other").expect("nobody is full for it");
    let waiting = publisher.clone();
    let sent = tokio::spawn(async move { waiting.send("n4").await });
    tokio::task::yield_now().await;
    assert!(!sent.is_finished());
    for i in 0..4 {
        assert_eq!(texts(&slow.recv().await.unwrap()), [format!("n{i}")]);
    }
    sent.await.unwrap().unwrap();
    for i in 0..5 {
        assert_eq!(texts(&fast.recv().await.unwrap()), [format!("n{i}")]);
    }
    assert_eq!(fast.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(publisher.dropped(), 0);
}

#[tokio::test]
async fn without_drops_a_publisher_waits_no_more_for_who_cancels_or_goes() {
    let _deadline = deadline();
    for goes in [true, false] {
        let context = Context::new().unwrap();
        let publisher = context.socket::<Pub>(quick().send_hwm(1).xpub_nodrop(true));
        let mut peer = raw::join(&bind_tcp(&publisher), &[("Socket-Type", b"SUB")]).await;
        peer.write_all(&raw::command("SUBSCRIBE", b""))
            .await
            .unwrap();
        publisher.wait_for_subscribers("", 1).await;
        while publisher.try_send(vec![0; 1 << 20]).is_ok() {
            tokio::task::yield_now().await;
        }
        let waiting = publisher.clone();
        let sent = tokio::spawn(async move { waiting.send("x").await });
        tokio::task::yield_now().await;
        if goes {
            drop(peer);
        } else {
            peer.write_all(&raw::command("CANCEL", b"")).await.unwrap();
        }
        sent.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn inverted_ends_pass_what_is_not_subscribed() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let publisher = context.socket::<Pub>(quick().invert_matching(true));
        let subscriber = context.socket::<Sub>(quick().invert_matching(true));
        let unfiltered = context.socket::<Xsub>(quick());
        way.link_all(publisher.any(), &[subscriber.any(), unfiltered.any()]);
        publisher.wait_for_subscribers("anything", 2).await;
        subscriber.subscribe("a");
        while publisher.subscribers(b"abc").len() != 1 {
            tokio::task::yield_now().await;
        }
        for topic in ["abc", "b", "ab", "end"] {
            publisher.send(topic).await.unwrap();
        }
        for topic in ["b", "end"] {
            assert_eq!(texts(&subscriber.recv().await.unwrap()), [topic], "{way:?}");
        }
        for topic in ["abc", "b", "ab", "end"] {
            assert_eq!(texts(&unfiltered.recv().await.unwrap()), [topic], "{way:?}");
        }
        context.shutdown().await;
    }
}

#[tokio::test]
async fn a_subscriber_that_inverts_alone_receives_nothing_and_counts_it() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(quick());
    let subscriber = context.socket::<Sub>(quick().invert_matching(true));
    subscriber.subscribe("a");
    subscriber.connect(&bind_tcp(&publisher)).unwrap();
    publisher.wait_for_subscribers("a", 1).await;
    publisher.send("a1").await.unwrap();
    publisher.send("b1").await.unwrap();
    while subscriber.statistics().queued_from_peers == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(subscriber.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(subscriber.statistics().dropped.not_subscribed, 1);
}

#[tokio::test]
async fn only_the_first_frame_of_several_may_be_told_to_subscribe() {
    let _deadline = deadline();
    for first in [false, true] {
        for way in ways() {
            let options = || quick().only_first_subscribe(first);
            let context = Context::new().unwrap();
            let publisher = context.socket::<Xpub>(options());
            let subscriber = context.socket::<Xsub>(options());
            way.link(publisher.any(), subscriber.any());
            peers(&subscriber, 1).await;
            subscriber.send(["\x01a", "\x01b", "c"]).await.unwrap();
            subscriber.send(["up", "\x01d"]).await.unwrap();
            let mut shown = vec![];
            for _ in 0..if first { 3 } else { 2 } {
                shown.push(texts(&publisher.recv().await.unwrap()));
            }
            let expected = match first {
                false => vec![vec!["\x01a", "\x01b", "c"], vec!["up", "\x01d"]],
                true => vec![vec!["\x01a"], vec!["\x01b", "c"], vec!["up", "\x01d"]],
            };
            assert_eq!(shown, expected, "{way:?}");
            assert_eq!(publisher.subscribers(b"a").len(), usize::from(first));
            assert_eq!(subscriber.topics(), usize::from(first));
            assert!(publisher.subscribers(b"b").is_empty());
            context.shutdown().await;
        }
    }
}

#[tokio::test]
async fn xsub_sends_every_subscription_upstream_and_the_last_cancel_or_all() {
    let _deadline = deadline();
    for (all, expected) in [
        (false, vec!["\x01a", "\x01a", "\x00a"]),
        // A publisher shows cancels of what it has; it has each peer's prefix once.
        (true, vec!["\x01a", "\x01a", "\x00a"]),
    ] {
        let context = Context::new().unwrap();
        let publisher = context.socket::<Xpub>(quick().xpub_verboser(true));
        let subscriber = context.socket::<Xsub>(quick().xsub_verbose_unsubscribe(all));
        subscriber.connect(&bind_tcp(&publisher)).unwrap();
        peers(&subscriber, 1).await;
        for message in ["\x01a", "\x01a", "\x00a"] {
            subscriber.send(message).await.unwrap();
        }
        subscriber.send("\x01end").await.unwrap();
        let early = shown(&publisher, "\x01end").await;
        assert_eq!(early.contains(&"\x00a".to_owned()), all, "after one of two");
        subscriber.send("\x00a").await.unwrap();
        subscriber.send("\x00end").await.unwrap();
        let late = shown(&publisher, "\x00end").await;
        assert_eq!([early, late].concat(), expected);
    }
}

#[tokio::test]
async fn upstream_messages_wait_for_a_publisher_that_is_not_there_after_the_subscriptions() {
    let _deadline = deadline();
    for endpoint in [&free_endpoint(), "inproc://later"] {
        let context = Context::new().unwrap();
        let subscriber = context.socket::<Xsub>(quick().send_hwm(2));
        subscriber.connect(endpoint).unwrap();
        for message in ["one", "\x01a", "two", "three"] {
            subscriber.send(message).await.unwrap();
        }
        assert_eq!(subscriber.statistics().dropped.no_room, 1, "the third");
        let mut monitor = subscriber.monitor();
        for messages in [["one", "two"], ["four", "five"]] {
            let publisher = context.socket::<Xpub>(quick());
            publisher.bind(endpoint).unwrap();
            let subscribed = publisher.recv().await.unwrap();
            assert_eq!(subscribed, Message::from("\x01a"));
            for message in messages {
                assert_eq!(publisher.recv().await.unwrap(), Message::from(message));
            }
            if endpoint.starts_with("inproc") {
                break;
            }
            publisher.close();
            disconnected(&mut monitor).await;
            peers(&subscriber, 0).await;
            for message in ["four", "five"] {
                subscriber.send(message).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn options_of_other_types_are_refused_at_bind_and_connect() {
    fn refused<K: Kind>(options: Options) -> bool {
        let context = Context::new().unwrap();
        let socket = context.socket::<K>(options);
        let bound = socket.bind("inproc://options");
        assert_eq!(bound.is_err(), socket.connect("inproc://others").is_err());
        matches!(
            bound,
            Err(BindError::Refused(RefusedEndpoint::OptionOfOthers(_)))
        )
    }
    let _deadline = deadline();
    assert!(refused::<Pub>(Options::new().xpub_manual(true)));
    assert!(!refused::<Xpub>(Options::new().xpub_manual(true)));
    assert!(refused::<Sub>(Options::new().xpub_nodrop(true)));
    assert!(!refused::<Pub>(Options::new().xpub_nodrop(true)));
    assert!(refused::<Xpub>(Options::new().conflate(true)));
    assert!(refused::<Xpub>(Options::new().hello_message("x")));
}

#[tokio::test]
async fn what_an_xpub_does_not_receive_is_bounded_and_costs_the_sender_its_link() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Xpub>(quick().queue_octets(1 << 16));
    let mut monitor = publisher.monitor();
    let mut peer = raw::join(&bind_tcp(&publisher), &[("Socket-Type", b"XSUB")]).await;
    let flood = [
        raw::command("SUBSCRIBE", &[b'a'; 1000]),
        raw::command("CANCEL", &[b'a'; 1000]),
    ]
    .concat();
    let flooding = tokio::spawn(async move { while peer.write_all(&flood).await.is_ok() {} });
    let reason = disconnected(&mut monitor).await;
    assert_eq!(reason, Some(curvelink::Reason::TooLarge));
    flooding.await.unwrap();
    let waiting = publisher.statistics().queued_from_peers;
    assert!((60..=70).contains(&waiting), "{waiting}");
}
