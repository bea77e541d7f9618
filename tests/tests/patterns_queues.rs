//! What waits: high-water marks, conflating, immediate, the messages that come with links, counts.

use std::pin::pin;
use std::task::Waker;

use curvelink::{
    Context, Dealer, Frame, Kind, Message, Options, Pub, Pull, Push, Receives, Router, Sends,
    Socket, Sub, TryRecvError, TrySendErrorKind, Xpub,
};
use curvelink_tests::support::{
    bind_tcp, deadline, disconnected, free_endpoint, number, peers, quick, raw, texts, ways,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Sends numbers until there is no room; how many were accepted.
fn fill<K: Sends>(socket: &Socket<K>, limit: usize) -> usize {
    let sent = (0..limit).take_while(|i| socket.try_send(i.to_string()).is_ok());
    sent.count()
}

/// Waits until a socket has this many messages to receive.
async fn queued<K: Kind>(socket: &Socket<K>, count: usize) {
    while socket.statistics().queued_from_peers != count {
        tokio::task::yield_now().await;
    }
}

async fn receives_numbers<K: Receives>(socket: &Socket<K>, count: usize) {
    for i in 0..count {
        assert_eq!(number(&socket.recv().await.unwrap()), i as u64);
    }
    assert_eq!(socket.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test]
async fn exactly_the_high_water_mark_waits_for_a_peer_that_is_not_there() {
    let _deadline = deadline();
    let folder = tempfile::tempdir().unwrap();
    let ipc = format!("ipc://{}", folder.path().join("none").display());
    for mark in [1, 7, 1000, 2000] {
        let context = Context::new().unwrap();
        for endpoint in [&free_endpoint(), &ipc, "inproc://none"] {
            let push = context.socket::<Push>(Options::new().send_hwm(mark));
            push.connect(endpoint).unwrap();
            assert_eq!(fill(&push, 5000), mark, "{endpoint}");
            let waits = push.statistics().queued_to_peers;
            assert_eq!(
                waits,
                if endpoint.starts_with("inproc") {
                    0
                } else {
                    mark
                }
            );
        }
        let unbounded = context.socket::<Push>(Options::new().send_hwm(0));
        unbounded.connect("inproc://nobody").unwrap();
        assert_eq!(fill(&unbounded, 5000), 5000);
    }
}

#[tokio::test]
async fn over_inproc_the_sum_of_both_marks_waits_and_half_of_it_free_is_told() {
    let _deadline = deadline();
    for bind_first in [true, false] {
        for (send, recv, sum) in [(10, 10, 20), (3, 4, 7), (1, 1, 2), (1000, 1000, 2000)] {
            let context = Context::new().unwrap();
            let push = context.socket::<Push>(Options::new().send_hwm(send));
            let pull = context.socket::<Pull>(Options::new().recv_hwm(recv));
            if bind_first {
                pull.bind("inproc://queue").unwrap();
                push.connect("inproc://queue").unwrap();
            } else {
                push.connect("inproc://queue").unwrap();
                assert_eq!(fill(&push, 5000), send);
                pull.bind("inproc://queue").unwrap();
            }
            let before = if bind_first { 0 } else { send };
            assert_eq!(fill(&push, 5000), sum - before);
            let mut cx = std::task::Context::from_waker(Waker::noop());
            let mut waiting = pin!(push.send("more"));
            assert!(waiting.as_mut().poll(&mut cx).is_pending());
            let mut received = 0;
            while waiting.as_mut().poll(&mut cx).is_pending() {
                pull.try_recv().unwrap();
                received += 1;
            }
            // Told in steps of at most an eighth, of 1 where marks are small.
            let half = usize::div_ceil(sum, 2);
            let step = (sum / 8).clamp(1, 64);
            assert!((half..half + step).contains(&received), "{sum}: {received}");
        }
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_costs_the_mark_and_what_the_kernel_takes() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(quick().send_hwm(50));
    let mut peer = raw::join(&bind_tcp(&push), &[("Socket-Type", b"PULL")]).await;
    peers(&push, 1).await;
    let message = || Message::from(vec![7; 1 << 16]);
    // The session writes on until the kernel takes no more.
    let (mut sent, mut still) = (0, 0);
    while still < 100 {
        still += 1;
        while push.try_send(message()).is_ok() {
            (sent, still) = (sent + 1, 0);
        }
        tokio::task::yield_now().await;
    }
    let queued = push.statistics().queued_to_peers;
    assert!(sent > 50 && (26..=50).contains(&queued), "{sent}, {queued}");
    // Once half of it is free, there is room again.
    let reading = tokio::spawn(async move {
        let mut octets = vec![0; 1 << 16];
        while peer.read(&mut octets).await.is_ok_and(|read| read > 0) {}
    });
    push.send(message()).await.unwrap();
    assert!(push.statistics().queued_to_peers <= 26);
    reading.abort();
}

#[tokio::test]
async fn only_the_last_message_of_a_conflating_sender_is_delivered_whole() {
    let _deadline = deadline();
    for frames in [1, 3] {
        let context = Context::new().unwrap();
        let push = context.socket::<Push>(quick().conflate(true).send_hwm(1));
        let endpoint = free_endpoint();
        push.connect(&endpoint).unwrap();
        for i in 0..100 {
            push.try_send(vec![Frame::from(i.to_string()); frames])
                .unwrap();
        }
        let statistics = push.statistics();
        assert_eq!(statistics.queued_to_peers, 1);
        assert_eq!(statistics.dropped.conflated, 99);
        let pull = context.socket::<Pull>(quick());
        pull.bind(&endpoint).unwrap();
        assert_eq!(texts(&pull.recv().await.unwrap()), vec!["99"; frames]);
        push.send("end").await.unwrap();
        assert_eq!(texts(&pull.recv().await.unwrap()), ["end"]);
    }
}

#[tokio::test]
async fn only_the_last_message_waits_at_a_conflating_receiver() {
    let _deadline = deadline();
    let binds_first = ways().into_iter().map(|way| (way, true));
    let both = binds_first.chain(ways().into_iter().map(|way| (way, false)));
    for (way, pull_binds) in both {
        let context = Context::new().unwrap();
        let push = context.socket::<Push>(quick());
        let pull = context.socket::<Pull>(quick().conflate(true));
        if pull_binds {
            way.link(pull.any(), push.any());
        } else {
            way.link(push.any(), pull.any());
        }
        for i in 0..100 {
            push.send(i.to_string()).await.unwrap();
        }
        while pull.statistics().dropped.conflated < 99 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pull.statistics().queued_from_peers, 1);
        // Looking at it does not keep it from being replaced.
        pull.readable().await.unwrap();
        push.send("last").await.unwrap();
        while pull.statistics().dropped.conflated < 100 {
            pull.readable().await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(texts(&pull.recv().await.unwrap()), ["last"], "{way:?}");
        assert_eq!(pull.try_recv(), Err(TryRecvError::Empty));
        context.shutdown().await;
    }
}

#[tokio::test]
async fn a_conflating_subscriber_keeps_all_its_subscriptions_and_the_last_message() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(quick());
    let subscriber = context.socket::<Sub>(quick().conflate(true));
    for prefix in ["a", "b", "c"] {
        subscriber.subscribe(prefix);
    }
    subscriber.connect(&bind_tcp(&publisher)).unwrap();
    for prefix in ["a", "b", "c"] {
        publisher.wait_for_subscribers(prefix, 1).await;
    }
    for topic in ["a", "b", "c"] {
        publisher.send([topic, "body"]).await.unwrap();
    }
    while subscriber.statistics().dropped.conflated < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["c", "body"]);
}

#[tokio::test]
async fn an_immediate_socket_takes_messages_for_connected_peers_only() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(quick().immediate(true));
    let nobody = free_endpoint();
    push.connect(&nobody).unwrap();
    let refused = push.try_send("x").unwrap_err();
    assert_eq!(refused.error, TrySendErrorKind::Full);
    // All go to the one that is there.
    let pull = context.socket::<Pull>(quick());
    push.connect(&bind_tcp(&pull)).unwrap();
    peers(&push, 1).await;
    assert_eq!(fill(&push, 10), 10);
    receives_numbers(&pull, 10).await;
    // And one that comes late takes its turns.
    let late = context.socket::<Pull>(quick());
    late.bind(&nobody).unwrap();
    peers(&push, 2).await;
    assert_eq!(fill(&push, 10), 10);
    queued(&pull, 5).await;
    queued(&late, 5).await;
}

#[tokio::test]
async fn what_waits_at_an_immediate_socket_goes_with_the_connection_and_is_counted() {
    let _deadline = deadline();
    for immediate in [true, false] {
        let context = Context::new().unwrap();
        let push = context.socket::<Push>(quick().immediate(immediate).send_hwm(10));
        let pull = context.socket::<Pull>(quick().recv_hwm(1));
        let endpoint = bind_tcp(&pull);
        push.connect(&endpoint).unwrap();
        peers(&push, 1).await;
        // Ten at least wait here, whatever the kernel takes.
        while push.statistics().queued_to_peers < 10 {
            if push.try_send(vec![0; 1 << 20]).is_err() {
                tokio::task::yield_now().await;
            }
        }
        let mut monitor = push.monitor();
        pull.close();
        disconnected(&mut monitor).await;
        peers(&push, 0).await;
        let dropped = push.statistics().dropped.peer_gone;
        assert_eq!(dropped > 0, immediate, "{dropped}");
        assert_eq!(push.statistics().queued_to_peers == 0, immediate);
        let again = context.socket::<Pull>(quick());
        again.bind(&endpoint).unwrap();
        push.send("end").await.unwrap();
        let first = again.recv().await.unwrap();
        assert_eq!(first == Message::from("end"), immediate);
    }
}

#[tokio::test]
async fn a_hello_comes_first_on_every_connection_from_either_side() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let router = context.socket::<Router>(quick().hello_message("from router"));
        let dealer = context.socket::<Dealer>(quick().hello_message("from dealer"));
        way.link(router.any(), dealer.any());
        dealer.send("then").await.unwrap();
        let hello = router.recv().await.unwrap();
        assert_eq!(texts(&hello)[1..], ["from dealer"], "{way:?}");
        let id = hello.first().unwrap().clone();
        assert_eq!(texts(&router.recv().await.unwrap())[1..], ["then"]);
        router.send([id, "then".into()]).await.unwrap();
        for expected in ["from router", "then"] {
            assert_eq!(texts(&dealer.recv().await.unwrap()), [expected], "{way:?}");
        }
        context.shutdown().await;
    }
}

#[tokio::test]
async fn a_hello_goes_before_what_waited_for_the_connection() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let dealer = context.socket::<Dealer>(quick().hello_message("hello"));
    let endpoint = free_endpoint();
    dealer.connect(&endpoint).unwrap();
    dealer.try_send("waited").unwrap();
    for connection in 0..2 {
        let peer = context.socket::<Dealer>(quick());
        peer.bind(&endpoint).unwrap();
        assert_eq!(texts(&peer.recv().await.unwrap()), ["hello"]);
        if connection == 0 {
            assert_eq!(texts(&peer.recv().await.unwrap()), ["waited"]);
        }
        assert_eq!(peer.try_recv(), Err(TryRecvError::Empty));
        let mut monitor = dealer.monitor();
        peer.close();
        disconnected(&mut monitor).await;
    }
}

#[tokio::test]
async fn a_router_receives_a_disconnect_message_after_what_the_peer_had_sent() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let router = context.socket::<Router>(quick().disconnect_message("gone"));
        let dealer = context.socket::<Dealer>(quick().routing_id("D"));
        way.link(router.any(), dealer.any());
        dealer.send("last words").await.unwrap();
        peers(&router, 1).await;
        dealer.close();
        for expected in ["last words", "gone"] {
            let message = router.recv().await.unwrap();
            assert_eq!(texts(&message), ["D", expected], "{way:?}");
            assert_eq!(message.peer().unwrap().routing_id, "D");
        }
        context.shutdown().await;
    }
}

#[tokio::test]
async fn a_router_that_connects_gets_no_disconnect_message() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(quick().disconnect_message("gone"));
    let dealer = context.socket::<Dealer>(quick());
    router.connect(&bind_tcp(&dealer)).unwrap();
    peers(&router, 1).await;
    dealer.close();
    peers(&router, 0).await;
    assert_eq!(router.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test]
async fn a_dealer_receives_a_hiccup_message_when_its_connection_is_lost_and_not_when_it_ends_it() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let dealer = context.socket::<Dealer>(quick().hiccup_message("hiccup"));
    let router = context.socket::<Router>(quick());
    let endpoint = bind_tcp(&router);
    dealer.connect(&endpoint).unwrap();
    peers(&dealer, 1).await;
    router.close();
    assert_eq!(texts(&dealer.recv().await.unwrap()), ["hiccup"]);
    let again = context.socket::<Router>(quick());
    again.bind(&endpoint).unwrap();
    peers(&dealer, 1).await;
    dealer.disconnect(&endpoint).unwrap();
    peers(&dealer, 0).await;
    assert_eq!(dealer.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test]
async fn statistics_count_what_went_through_and_each_drop_by_its_reason() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Xpub>(quick().send_hwm(1));
    let [slow, fast] = [1, 0].map(|mark| context.socket::<Sub>(quick().recv_hwm(mark)));
    publisher.bind("inproc://news").unwrap();
    for subscriber in [&slow, &fast] {
        subscriber.subscribe("");
        subscriber.connect("inproc://news").unwrap();
    }
    publisher.wait_for_subscribers("", 2).await;
    for _ in 0..10 {
        publisher.send(["four", ""]).await.unwrap();
        fast.recv().await.unwrap();
    }
    let sent = publisher.statistics();
    assert_eq!((sent.sent.messages, sent.sent.octets), (12, 48));
    assert_eq!(sent.dropped.no_room, 8);
    assert_eq!(sent.dropped.total(), publisher.dropped());
    assert_eq!(sent.queued_from_peers, 1, "a subscription");
    let received = fast.statistics().received;
    assert_eq!((received.messages, received.octets), (10, 40));
    assert_eq!(slow.statistics().queued_from_peers, 2);
}

#[tokio::test]
async fn what_waited_for_a_peer_that_came_to_us_goes_with_it_and_is_counted() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(quick().send_hwm(10));
    let mut peer = raw::join(&bind_tcp(&push), &[("Socket-Type", b"PULL")]).await;
    peers(&push, 1).await;
    while push.statistics().queued_to_peers < 10 {
        if push.try_send(vec![0; 1 << 20]).is_err() {
            tokio::task::yield_now().await;
        }
    }
    peer.shutdown().await.unwrap();
    drop(peer);
    peers(&push, 0).await;
    let statistics = push.statistics();
    assert_eq!(statistics.queued_to_peers, 0);
    assert!((1..=10).contains(&statistics.dropped.peer_gone));
}
