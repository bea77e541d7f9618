//! PUSH and PULL (RFC 30).

use std::collections::HashMap;

use curvelink::{Context, Message, Options, Pull, Push, SocketType, TrySendErrorKind};
use curvelink_tests::support::{
    bind_tcp, deadline, disconnected, number, peers, quick, texts, ways,
};

#[tokio::test]
async fn messages_arrive_whole_and_in_order_over_every_transport_in_both_orders() {
    let _deadline = deadline();
    for way in ways() {
        for push_binds in [true, false] {
            let context = Context::new().unwrap();
            let push = context.socket::<Push>(quick());
            let pull = context.socket::<Pull>(quick());
            if push_binds {
                way.link(push.any(), pull.any());
            } else {
                way.link(pull.any(), push.any());
            }
            for i in 0..100 {
                push.send([i.to_string(), String::new(), "x".repeat(i * 10)])
                    .await
                    .unwrap();
            }
            for i in 0..100 {
                let message = pull.recv().await.unwrap();
                let whole = [i.to_string(), String::new(), "x".repeat(i * 10)];
                assert_eq!(texts(&message), whole, "{way:?} push binds: {push_binds}");
                assert_eq!(message.peer().unwrap().socket_type, SocketType::Push);
            }
            context.shutdown().await;
        }
    }
}

#[tokio::test]
async fn messages_of_every_size_keep_their_octets() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let push = context.socket::<Push>(quick());
        let pull = context.socket::<Pull>(quick());
        way.link(pull.any(), push.any());
        for size in [0, 1, 62, 63, 255, 256, 65_535, 65_536, 1 << 20] {
            let body: Vec<u8> = (0..size).map(|i| (i * 7) as u8).collect();
            push.send(body.clone()).await.unwrap();
            assert_eq!(pull.recv().await.unwrap(), Message::from(body), "{way:?}");
        }
        context.shutdown().await;
    }
}

#[tokio::test]
async fn messages_queued_before_an_inproc_bind_arrive_after_it() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(Options::new());
    push.connect("inproc://later").unwrap();
    for i in 0..10 {
        push.try_send(i.to_string()).unwrap();
    }
    let pull = context.socket::<Pull>(Options::new());
    pull.bind("inproc://later").unwrap();
    for i in 0..10 {
        assert_eq!(number(&pull.recv().await.unwrap()), i);
    }
}

#[tokio::test]
async fn ready_peers_take_turns() {
    let _deadline = deadline();
    for way in ways() {
        let context = Context::new().unwrap();
        let push = context.socket::<Push>(quick());
        let pulls: Vec<_> = (0..3).map(|_| context.socket::<Pull>(quick())).collect();
        let connecters: Vec<_> = pulls.iter().map(|pull| pull.any()).collect();
        way.link_all(push.any(), &connecters);
        peers(&push, 3).await;
        for i in 0..30 {
            push.send(i.to_string()).await.unwrap();
        }
        for pull in &pulls {
            let first = number(&pull.recv().await.unwrap());
            for turn in 1..10 {
                let next = number(&pull.recv().await.unwrap());
                assert_eq!(next, first + 3 * turn, "{way:?}");
            }
        }
        context.shutdown().await;
    }
}

#[tokio::test]
async fn a_peer_without_room_is_passed_over() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(Options::new().send_hwm(1));
    let stuck = context.socket::<Pull>(Options::new().recv_hwm(1));
    let works = context.socket::<Pull>(Options::new());
    push.bind("inproc://work").unwrap();
    stuck.connect("inproc://work").unwrap();
    works.connect("inproc://work").unwrap();
    let mut taken = 0;
    for i in 0..100 {
        push.send(i.to_string()).await.unwrap();
        taken += usize::from(works.try_recv().is_ok());
    }
    assert_eq!(taken, 98, "two wait for the peer that does not read");
}

#[tokio::test]
async fn one_hot_peer_does_not_starve_the_others() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let endpoint = bind_tcp(&pull);
    let mut pushes = Vec::new();
    for (name, count) in [("hot", 900), ("a", 20), ("b", 20)] {
        let push = context.socket::<Push>(Options::new());
        push.connect(&endpoint).unwrap();
        for _ in 0..count {
            push.try_send(name).unwrap();
        }
        pushes.push(push);
    }
    let mut monitor = pull.monitor();
    peers(&pull, 3).await;
    // Once every peer's messages are here, they come in turn.
    for push in pushes {
        push.close();
        disconnected(&mut monitor).await;
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    for _ in 0..60 {
        let name = texts(&pull.recv().await.unwrap()).concat();
        *seen.entry(name).or_default() += 1;
    }
    assert_eq!((seen["a"], seen["b"], seen["hot"]), (20, 20, 20));
}

#[tokio::test]
async fn push_without_a_peer_waits_and_pull_has_nothing() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(Options::new());
    bind_tcp(&push);
    let refused = push.try_send(["a", "b"]).unwrap_err();
    assert_eq!(refused.error, TrySendErrorKind::Full);
    assert_eq!(texts(&refused.message), ["a", "b"], "it is given back");
    let pull = context.socket::<Pull>(Options::new());
    assert!(pull.try_recv().is_err());
}
