//! PUB, SUB, XPUB and XSUB (RFC 29).

use std::sync::Barrier;
use std::thread;

use curvelink::{
    Context, Message, Options, Pub, Socket, SocketType, Sub, TryRecvError, Xpub, Xsub,
};
use curvelink_tests::support::{bind_tcp, deadline, disconnected, peers, quick, raw, texts, ways};
use tokio::io::AsyncWriteExt as _;

/// A publisher and a subscriber over tcp.
fn pair(context: &Context, subscriptions: &[&str]) -> (Socket<Pub>, Socket<Sub>) {
    let publisher = context.socket::<Pub>(quick());
    let subscriber = context.socket::<Sub>(quick());
    for prefix in subscriptions {
        subscriber.subscribe(*prefix);
    }
    subscriber.connect(&bind_tcp(&publisher)).unwrap();
    (publisher, subscriber)
}

#[tokio::test]
async fn subscribers_get_their_topics_over_every_transport_in_both_orders() {
    let _deadline = deadline();
    for way in ways() {
        for publisher_binds in [true, false] {
            let context = Context::new().unwrap();
            let publisher = context.socket::<Pub>(quick());
            let subscriber = context.socket::<Sub>(quick());
            subscriber.subscribe("findings/");
            if publisher_binds {
                way.link(publisher.any(), subscriber.any());
            } else {
                way.link(subscriber.any(), publisher.any());
            }
            publisher.wait_for_subscribers("findings/sast", 1).await;
            for topic in ["metrics", "findings", "findings/", "findings/sast", "x"] {
                publisher.send([topic, "body"]).await.unwrap();
            }
            for topic in ["findings/", "findings/sast"] {
                let message = subscriber.recv().await.unwrap();
                assert_eq!(texts(&message), [topic, "body"], "{way:?}");
            }
            assert_eq!(subscriber.try_recv(), Err(TryRecvError::Empty), "{way:?}");
            context.shutdown().await;
        }
    }
}

#[tokio::test]
async fn a_subscriber_of_two_matching_prefixes_gets_one_copy() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (publisher, subscriber) = pair(&context, &["", "a", "ab"]);
    publisher.wait_for_subscribers("ab", 1).await;
    while publisher.subscribers(b"").is_empty() {
        tokio::task::yield_now().await;
    }
    for topic in ["abc", "end"] {
        publisher.send(topic).await.unwrap();
    }
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["abc"]);
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["end"]);
}

#[tokio::test]
async fn nobody_subscribed_means_nobody_receives() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (publisher, subscriber) = pair(&context, &[]);
    peers(&publisher, 1).await;
    publisher.send("x").await.unwrap();
    subscriber.subscribe("y");
    publisher.wait_for_subscribers("y", 1).await;
    publisher.send("y").await.unwrap();
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["y"]);
    assert_eq!(
        publisher.dropped(),
        0,
        "a message for nobody is not dropped"
    );
}

#[tokio::test]
async fn as_many_cancels_as_subscribes_end_a_subscription() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (publisher, subscriber) = pair(&context, &["a", "a", "end"]);
    publisher.wait_for_subscribers("a", 1).await;
    publisher.wait_for_subscribers("end", 1).await;
    subscriber.unsubscribe("never made");
    subscriber.unsubscribe("a");
    publisher.send("a1").await.unwrap();
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["a1"]);
    subscriber.unsubscribe("a");
    while !publisher.subscribers(b"a").is_empty() {
        tokio::task::yield_now().await;
    }
    publisher.send("a2").await.unwrap();
    publisher.send("end").await.unwrap();
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["end"]);
}

#[tokio::test]
async fn what_is_on_its_way_when_a_subscription_ends_is_filtered() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (publisher, subscriber) = pair(&context, &["a", "end"]);
    publisher.wait_for_subscribers("a", 1).await;
    publisher.wait_for_subscribers("end", 1).await;
    publisher.send("a").await.unwrap();
    subscriber.unsubscribe("a");
    publisher.send("end").await.unwrap();
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["end"]);
}

#[tokio::test]
async fn a_slow_subscriber_loses_messages_and_holds_nobody_up() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(Options::new().send_hwm(10));
    publisher.bind("inproc://news").unwrap();
    let slow = context.socket::<Sub>(Options::new().recv_hwm(10));
    let fast = context.socket::<Sub>(Options::new());
    for subscriber in [&slow, &fast] {
        subscriber.subscribe("");
        subscriber.connect("inproc://news").unwrap();
    }
    publisher.wait_for_subscribers("", 2).await;
    for i in 0..100 {
        publisher.send(i.to_string()).await.unwrap();
        assert_eq!(texts(&fast.recv().await.unwrap()), [i.to_string()]);
    }
    assert_eq!(publisher.dropped(), 80, "20 wait for the slow one");
    let mut kept = 0;
    while slow.try_recv().is_ok() {
        kept += 1;
    }
    assert_eq!(kept, 20);
}

#[tokio::test]
async fn a_slow_subscriber_over_tcp_loses_what_dropped_counts() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(Options::new().send_hwm(5));
    let subscriber = context.socket::<Sub>(Options::new().recv_hwm(5));
    subscriber.subscribe("");
    subscriber.connect(&bind_tcp(&publisher)).unwrap();
    publisher.wait_for_subscribers("", 1).await;
    let mut sent: u64 = 0;
    while publisher.dropped() < 10 {
        publisher.send(vec![0; 100_000]).await.unwrap();
        sent += 1;
        tokio::task::yield_now().await;
    }
    let arriving = sent - publisher.dropped();
    for _ in 0..arriving {
        subscriber.recv().await.unwrap();
    }
    publisher.send("end").await.unwrap();
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["end"]);
}

#[tokio::test]
async fn xpub_receives_the_first_subscription_of_a_kind_and_the_last_cancel() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let publisher = context.socket::<Xpub>(quick());
        let subscribers = [(); 2].map(|()| context.socket::<Sub>(quick()));
        let connecters = [subscribers[0].any(), subscribers[1].any()];
        way.link_all(publisher.any(), &connecters);
        peers(&publisher, 2).await;
        subscribers[0].subscribe("a");
        let shown = publisher.recv().await.unwrap();
        assert_eq!(shown, Message::from("\x01a"), "{way:?}");
        assert_eq!(shown.peer().unwrap().socket_type, SocketType::Sub);
        subscribers[1].subscribe("a");
        publisher.wait_for_subscribers("a", 2).await;
        subscribers[0].unsubscribe("a");
        while publisher.subscribers(b"a").len() > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(publisher.try_recv(), Err(TryRecvError::Empty), "{way:?}");
        subscribers[1].unsubscribe("a");
        let shown = publisher.recv().await.unwrap();
        assert_eq!(shown, Message::from("\x00a"), "{way:?}");
        context.shutdown().await;
    }
}

#[tokio::test]
async fn xpub_is_told_when_the_last_subscriber_goes() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let publisher = context.socket::<Xpub>(quick());
        let subscriber = context.socket::<Sub>(quick());
        subscriber.subscribe("a");
        way.link(publisher.any(), subscriber.any());
        assert_eq!(publisher.recv().await.unwrap(), Message::from("\x01a"));
        let waiting = publisher.clone();
        let shown = tokio::spawn(async move { waiting.recv().await });
        tokio::task::yield_now().await;
        subscriber.close();
        let shown = shown.await.unwrap().unwrap();
        assert_eq!(shown, Message::from("\x00a"), "{way:?}");
        context.shutdown().await;
    }
}

#[tokio::test]
async fn xsub_subscribes_by_messages_sends_upstream_and_receives_unfiltered() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let publisher = context.socket::<Xpub>(quick());
        let subscriber = context.socket::<Xsub>(quick());
        way.link(publisher.any(), subscriber.any());
        peers(&subscriber, 1).await;
        subscriber.send("\x01a").await.unwrap();
        assert_eq!(publisher.recv().await.unwrap(), Message::from("\x01a"));
        subscriber.send(["up", "stream"]).await.unwrap();
        assert_eq!(texts(&publisher.recv().await.unwrap()), ["up", "stream"]);
        publisher.send(["abc", "1"]).await.unwrap();
        publisher.send(["xyz", "2"]).await.unwrap();
        subscriber.send("\x00a").await.unwrap();
        assert_eq!(publisher.recv().await.unwrap(), Message::from("\x00a"));
        assert_eq!(texts(&subscriber.recv().await.unwrap()), ["abc", "1"]);
        assert_eq!(subscriber.try_recv(), Err(TryRecvError::Empty), "{way:?}");
        context.shutdown().await;
    }
}

#[tokio::test]
async fn xpub_receives_subscriptions_and_upstream_messages_in_the_order_of_their_coming() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Xpub>(quick());
    let mut peer = raw::join(&bind_tcp(&publisher), &[("Socket-Type", b"XSUB")]).await;
    let octets = [
        raw::frame(0, b"one"),
        raw::command("SUBSCRIBE", b"a"),
        raw::frame(0, b"two"),
        raw::command("CANCEL", b"a"),
        raw::frame(0, b"three"),
    ];
    peer.write_all(&octets.concat()).await.unwrap();
    for expected in ["one", "\x01a", "two", "\x00a", "three"] {
        assert_eq!(publisher.recv().await.unwrap(), Message::from(expected));
    }
}

#[tokio::test]
async fn a_publisher_forgets_who_has_gone() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (publisher, subscriber) = pair(&context, &[""]);
    publisher.wait_for_subscribers("", 1).await;
    let mut monitor = publisher.monitor();
    subscriber.close();
    disconnected(&mut monitor).await;
    peers(&publisher, 0).await;
    assert!(publisher.subscribers(b"").is_empty());
    publisher.send("x").await.unwrap();
    assert_eq!(publisher.dropped(), 0);
}

#[test]
fn two_threads_that_share_a_subscriber_leave_its_publisher_with_what_it_has() {
    const ROUNDS: usize = 20_000;
    let context = Context::with_io_threads(1).unwrap();
    let publisher = context.socket::<Pub>(quick());
    publisher.bind("inproc://shared").unwrap();
    let subscriber = context.socket::<Sub>(quick());
    subscriber.connect("inproc://shared").unwrap();
    subscriber.subscribe("x");
    // One comes as the other goes: the prefix is wanted before, after, and in either order.
    let together = Barrier::new(2);
    let mut lost = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..ROUNDS {
                together.wait();
                subscriber.unsubscribe("x");
                together.wait();
            }
        });
        for _ in 0..ROUNDS {
            together.wait();
            subscriber.subscribe("x");
            together.wait();
            lost += usize::from(publisher.subscribers(b"x").is_empty());
        }
    });
    assert_eq!(
        lost, 0,
        "rounds after which the publisher had lost the prefix"
    );
    subscriber.unsubscribe("x");
    assert!(publisher.subscribers(b"x").is_empty());
}
