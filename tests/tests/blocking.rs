//! The face for programs without a runtime, timeouts, threads that share a socket, and sockets
//! whose type is a value.

use std::collections::BTreeSet;
use std::ops::Deref as _;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use curvelink::blocking::{self, AnySocket, Socket};
use curvelink::{
    Context, LinkEventKind, Options, Pub, Pull, Push, RecvError, Rep, Req, SendError, SocketType,
    Sub,
};
use curvelink_tests::support::{bind_tcp, deadline, free_endpoint, number, quick, texts};

const SOON: Duration = Duration::from_millis(50);

#[test]
fn requests_and_replies_without_a_runtime() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = Socket::new(context.socket::<Rep>(Options::new()));
    let req = Socket::new(context.socket::<Req>(Options::new()));
    req.connect(&bind_tcp(&rep)).unwrap();
    let serving = thread::spawn(move || {
        for _ in 0..100 {
            let request = rep.recv().unwrap();
            rep.send(request).unwrap();
        }
    });
    for i in 0..100 {
        req.send(i.to_string()).unwrap();
        assert_eq!(number(&req.recv().unwrap()), i);
    }
    serving.join().unwrap();
}

#[test]
fn waiting_for_subscribers_and_for_events_ends_in_time() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = Socket::new(context.socket::<Pub>(Options::new()));
    let mut monitor = publisher.monitor();
    let endpoint = bind_tcp(&publisher);
    assert!(!publisher.wait_for_subscribers("a", 1, SOON));
    let event = blocking::next_event(&mut monitor, SOON).unwrap();
    assert!(matches!(event.kind, LinkEventKind::Listening));
    assert!(blocking::next_event(&mut monitor, SOON).is_none());
    let subscriber = Socket::new(context.socket::<Sub>(Options::new()));
    subscriber.subscribe("a");
    subscriber.connect(&endpoint).unwrap();
    assert!(publisher.wait_for_subscribers("a", 1, 100 * SOON));
    publisher.send("a").unwrap();
    assert_eq!(texts(&subscriber.recv().unwrap()), ["a"]);
}

#[test]
fn timeouts_end_sends_and_receives_in_time() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let options = || Options::new().send_timeout(SOON).recv_timeout(SOON);
    let timed = |act: &dyn Fn()| {
        let start = Instant::now();
        act();
        let took = start.elapsed();
        assert!(
            took >= SOON && took < SOON + Duration::from_secs(2),
            "{took:?}"
        );
    };
    let pull = Socket::new(context.socket::<Pull>(options()));
    let endpoint = bind_tcp(&pull);
    timed(&|| assert_eq!(pull.recv(), Err(RecvError::TimedOut)));
    let push = Socket::new(context.socket::<Push>(options()));
    timed(&|| assert_eq!(push.send("x"), Err(SendError::TimedOut)));
    push.connect(&endpoint).unwrap();
    push.send("in time").unwrap();
    assert_eq!(texts(&pull.recv().unwrap()), ["in time"]);
    assert_eq!(push.send(curvelink::Message::new()), Err(SendError::Empty));
}

#[test]
fn calls_with_a_timeout_of_their_own_end_in_time() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = AnySocket::new(context.any_socket(SocketType::Pull, quick().recv_hwm(1)));
    let push = Socket::new(context.socket::<Push>(quick().send_hwm(1)));
    pull.bind("inproc://calls").unwrap();
    assert_eq!(push.writable(SOON), Ok(false));
    assert_eq!(push.send_timeout("x", SOON), Err(SendError::TimedOut));
    push.connect("inproc://calls").unwrap();
    assert_eq!(push.writable(SOON), Ok(true));
    assert_eq!(pull.readable(SOON), Ok(false));
    assert_eq!(pull.recv_timeout(SOON), Err(RecvError::TimedOut));
    push.send_timeout("1", 100 * SOON).unwrap();
    assert_eq!(pull.readable(100 * SOON), Ok(true));
    assert_eq!(number(&pull.recv_timeout(100 * SOON).unwrap()), 1);
    let kept = pull.clone();
    pull.deref().clone().close();
    assert_eq!(kept.readable(SOON), Err(RecvError::Closed));
}

#[test]
fn batches_without_a_runtime() {
    let _deadline = deadline();
    let (receiver, context) = (Context::new().unwrap(), Context::new().unwrap());
    let pull = Socket::new(receiver.socket::<Pull>(quick().recv_hwm(5)));
    let endpoint = bind_tcp(&pull);
    let sending = thread::spawn(move || {
        let push = AnySocket::new(context.any_socket(SocketType::Push, quick().send_hwm(5)));
        push.connect(&endpoint).unwrap();
        let mut batch = (0..500).map(|i: u64| i.to_string().into()).collect();
        push.send_batch(&mut batch).unwrap();
        assert!(batch.is_empty());
        blocking::shutdown_timeout(&context, 100 * SOON)
    });
    let mut got = Vec::new();
    while got.len() < 500 {
        pull.recv_batch(&mut got, 100).unwrap();
    }
    assert!(got.iter().map(number).eq(0..500));
    assert!(sending.join().unwrap());
}

#[test]
fn a_shutdown_ends_in_time_though_messages_are_left() {
    let _deadline = deadline();
    let context = Context::with_io_threads(1).unwrap();
    let push = Socket::new(context.socket::<Push>(quick().linger(10 * SOON)));
    push.connect(&free_endpoint()).unwrap();
    push.send("x").unwrap();
    assert!(!blocking::shutdown_timeout(&context, SOON));
    assert!(blocking::shutdown_timeout(&context, 100 * SOON));
}

#[tokio::test]
async fn timeouts_work_in_a_runtime_too() {
    let _deadline = deadline();
    // A context of its own, whose timers run elsewhere.
    let context = tokio::task::spawn_blocking(|| Context::with_io_threads(1).unwrap());
    let context = context.await.unwrap();
    let pull = context.socket::<Pull>(Options::new().recv_timeout(SOON));
    assert_eq!(pull.recv().await, Err(RecvError::TimedOut));
    let push = context.socket::<Push>(Options::new().send_timeout(SOON));
    assert_eq!(push.send("x").await, Err(SendError::TimedOut));
}

#[test]
fn a_context_that_is_dropped_right_after_the_send_delivers() {
    let _deadline = deadline();
    let receiver = Context::new().unwrap();
    let pull = Socket::new(receiver.socket::<Pull>(Options::new()));
    let endpoint = bind_tcp(&pull);
    for i in 0..50 {
        let context = Context::with_io_threads(1).unwrap();
        let push = Socket::new(context.socket::<Push>(quick()));
        push.connect(&endpoint).unwrap();
        push.send(i.to_string()).unwrap();
        // Either may be the last to go.
        if i % 2 == 0 {
            drop(push);
            drop(context);
        } else {
            drop(context);
            drop(push);
        }
        assert_eq!(number(&pull.recv().unwrap()), i);
    }
}

#[test]
fn a_context_that_is_dropped_waits_no_longer_than_linger() {
    let _deadline = deadline();
    let start = Instant::now();
    let context = Context::with_io_threads(1).unwrap();
    let push = Socket::new(context.socket::<Push>(quick().linger(4 * SOON)));
    push.connect(&free_endpoint()).unwrap();
    push.send("never").unwrap();
    drop((push, context));
    let took = start.elapsed();
    assert!(
        took >= 4 * SOON && took < 4 * SOON + Duration::from_secs(2),
        "{took:?}"
    );
}

#[test]
fn shutdown_writes_what_waits_and_closes_every_socket() {
    let _deadline = deadline();
    let receiver = Context::new().unwrap();
    let pull = Socket::new(receiver.socket::<Pull>(Options::new()));
    let context = Context::new().unwrap();
    let push = Socket::new(context.socket::<Push>(Options::new()));
    push.connect(&bind_tcp(&pull)).unwrap();
    for i in 0..500 {
        push.send(i.to_string()).unwrap();
    }
    blocking::shutdown(&context);
    assert_eq!(push.send("x"), Err(SendError::Closed));
    for i in 0..500 {
        assert_eq!(number(&pull.recv().unwrap()), i);
    }
}

#[test]
fn many_threads_share_one_socket() {
    let _deadline = deadline();
    for place in ["tcp://127.0.0.1:*", "inproc://shared"] {
        let context = Context::with_io_threads(2).unwrap();
        let pull = Socket::new(context.socket::<Pull>(Options::new().recv_hwm(10)));
        let endpoint = pull.bind(place).unwrap().to_string();
        let push = Socket::new(context.socket::<Push>(Options::new().send_hwm(10)));
        push.connect(&endpoint).unwrap();
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let push = push.clone();
                thread::spawn(move || {
                    for i in 0..500 {
                        push.send((sender * 500 + i).to_string()).unwrap();
                    }
                })
            })
            .collect();
        let (got, all) = mpsc::channel();
        for _ in 0..4 {
            let (pull, got) = (pull.clone(), got.clone());
            thread::spawn(move || {
                while let Ok(message) = pull.recv() {
                    got.send(number(&message)).unwrap();
                }
            });
        }
        drop(got);
        let received: BTreeSet<u64> = all.iter().take(2000).collect();
        assert_eq!(received.len(), 2000, "{place}: none lost, none twice");
        senders
            .into_iter()
            .for_each(|sender| sender.join().unwrap());
        blocking::shutdown(&context);
        assert_eq!(all.iter().count(), 0, "closing ends every receiver");
    }
}

#[test]
fn both_faces_are_one_socket() {
    let _deadline = deadline();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let context = runtime.block_on(async { Context::new().unwrap() });
    let pull = context.socket::<Pull>(Options::new());
    let push = Socket::new(context.socket::<Push>(Options::new()));
    push.connect(&bind_tcp(&pull)).unwrap();
    push.send("one").unwrap();
    let message = runtime.block_on(pull.recv()).unwrap();
    assert_eq!(texts(&message), ["one"]);
    push.send("two").unwrap();
    assert_eq!(texts(&Socket::new(pull).recv().unwrap()), ["two"]);
}

#[tokio::test]
async fn sockets_of_any_type_do_what_their_type_does() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.any_socket(SocketType::Pull, quick());
    let push = context.any_socket(SocketType::Push, quick());
    assert_eq!(
        (pull.kind(), push.kind()),
        (SocketType::Pull, SocketType::Push)
    );
    let endpoint = pull.bind("tcp://127.0.0.1:*").unwrap().to_string();
    push.connect(&endpoint).unwrap();
    push.send("x").await.unwrap();
    assert_eq!(texts(&pull.recv().await.unwrap()), ["x"]);
    assert!(pull.try_send("x").is_err(), "PULL does not send");
    let refused = Err(RecvError::NotSupported);
    assert_eq!(push.recv().await, refused, "PUSH does not receive");
    for kind in SocketType::ALL {
        let socket = context.any_socket(*kind, quick());
        socket.bind("tcp://127.0.0.1:*").unwrap();
        let inproc = socket.bind(&format!("inproc://{kind}"));
        assert_eq!(inproc.is_ok(), *kind != SocketType::Stream);
        let _any = (socket.try_send("x"), socket.try_recv(), socket.peers());
        assert_eq!(socket.kind(), *kind);
        socket.close();
    }
}

#[test]
fn everything_goes_to_other_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn sent<T: Send>(_: &T) {}
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(Options::new());
    let pull = context.socket::<Pull>(Options::new());
    let mut monitor = pull.monitor();
    shared(&context);
    shared(&push);
    shared(push.any());
    shared(&Socket::new(push.clone()));
    sent(&push.send("x"));
    sent(&pull.recv());
    sent(&monitor.recv());
    sent(&context.shutdown());
}
