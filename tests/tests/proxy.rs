//! Proxies: messages pass whole, in order, and only when there is room; what does not pass stays.

use std::pin::pin;
use std::process::Command;
use std::task::{Context as TaskContext, Poll, Waker};
use std::thread;
use std::time::Duration;

use curvelink::{
    Context, Dealer, Frame, Kind, Message, Options, Pair, Proxy, ProxyError, ProxyHandle, Pub,
    Pull, Push, Rep, Req, Router, Socket, Sub, TryRecvError, Xpub, Xsub, blocking,
};
use curvelink_tests::python;
use curvelink_tests::support::random::Random;
use curvelink_tests::support::{bind_tcp, deadline, number, peers, quick, texts};

const SOON: Duration = Duration::from_millis(50);

fn bound<K: Kind>(context: &Context, name: &str, options: Options) -> Socket<K> {
    let socket = context.socket::<K>(options);
    socket.bind(&format!("inproc://{name}")).unwrap();
    socket
}

fn connected<K: Kind>(context: &Context, name: &str, options: Options) -> Socket<K> {
    let socket = context.socket::<K>(options);
    socket.connect(&format!("inproc://{name}")).unwrap();
    socket
}

/// Runs a proxy in a task.
fn start(mut proxy: Proxy) -> (ProxyHandle, tokio::task::JoinHandle<Result<(), ProxyError>>) {
    let handle = proxy.handle();
    (handle, tokio::spawn(async move { proxy.run().await }))
}

/// Polls a proxy until it has nothing to do.
fn settle(proxy: &mut Proxy) -> Poll<Result<(), ProxyError>> {
    let mut run = pin!(proxy.run());
    let mut noop = TaskContext::from_waker(Waker::noop());
    (0..4).fold(Poll::Pending, |end, _| match end {
        Poll::Pending => run.as_mut().poll(&mut noop),
        end => end,
    })
}

#[tokio::test]
async fn requests_go_to_workers_and_replies_come_back() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let frontend = context.socket::<Router>(Options::new());
    let backend = context.socket::<Dealer>(Options::new());
    let (clients, workers) = (bind_tcp(&frontend), bind_tcp(&backend));
    let (handle, running) = start(Proxy::new(&frontend, &backend));
    for _ in 0..2 {
        let worker = context.socket::<Rep>(Options::new());
        worker.connect(&workers).unwrap();
        tokio::spawn(async move {
            while let Ok(request) = worker.recv().await {
                worker.send(request).await.unwrap();
            }
        });
    }
    peers(&backend, 2).await;
    for i in 0..2 {
        let req = context.socket::<Req>(Options::new());
        req.connect(&clients).unwrap();
        for j in 0..20 {
            let request = format!("{i} {j}");
            req.send(request.clone()).await.unwrap();
            assert_eq!(texts(&req.recv().await.unwrap()), [request]);
        }
    }
    let moved = handle.statistics();
    let (front, back) = (moved.frontend, moved.backend);
    for count in [front.received, front.sent, back.received, back.sent] {
        // The routing id of five octets, the delimiter, the body.
        assert_eq!((count.messages, count.frames), (40, 120));
        let bodies = 2 * (10 * 3 + 10 * 4);
        assert_eq!(count.octets, 40 * 5 + bodies);
    }
    assert_eq!((moved.not_captured, moved.undeliverable), (0, 0));
    handle.terminate();
    assert_eq!(running.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn subscriptions_pass_up_and_publications_down() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let frontend = bound::<Xsub>(&context, "up", Options::new());
    let backend = bound::<Xpub>(&context, "down", Options::new());
    let (handle, _running) = start(Proxy::new(&frontend, &backend));
    let publisher = connected::<Pub>(&context, "up", Options::new());
    let subscriber = connected::<Sub>(&context, "down", Options::new());
    subscriber.subscribe("a");
    publisher.wait_for_subscribers("a", 1).await;
    assert!(publisher.subscribers(b"b").is_empty());
    publisher.send("b").await.unwrap();
    publisher.send("a1").await.unwrap();
    assert_eq!(texts(&subscriber.recv().await.unwrap()), ["a1"]);
    let moved = handle.statistics();
    assert_eq!(moved.backend.received.octets, 2, "the subscription");
    assert_eq!(moved.frontend.received.messages, 1);
}

#[tokio::test]
async fn one_socket_is_given_what_it_received() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let echo = bound::<Router>(&context, "echo", Options::new());
    let (handle, running) = start(Proxy::new(&echo, &echo));
    let dealer = connected::<Dealer>(&context, "echo", Options::new());
    for i in 0..100 {
        dealer.send(i.to_string()).await.unwrap();
        assert_eq!(number(&dealer.recv().await.unwrap()), i);
    }
    let moved = handle.statistics();
    assert_eq!(moved.frontend.received.messages, 100);
    assert_eq!(moved.backend.sent.messages, 100);
    assert_eq!(moved.backend.received.messages, 0);
    handle.terminate();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn strict_sockets_take_their_turns() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let frontend = bound::<Rep>(&context, "asked", Options::new());
    let worker = bound::<Rep>(&context, "worker", Options::new());
    let backend = connected::<Req>(&context, "worker", Options::new());
    let (_handle, _running) = start(Proxy::new(&frontend, &backend));
    tokio::spawn(async move {
        while let Ok(request) = worker.recv().await {
            worker.send(request).await.unwrap();
        }
    });
    let reqs: Vec<_> = (0..2)
        .map(|_| connected::<Req>(&context, "asked", Options::new()))
        .collect();
    for i in 0..20 {
        for req in &reqs {
            req.send(i.to_string()).await.unwrap();
        }
        for req in &reqs {
            assert_eq!(number(&req.recv().await.unwrap()), i);
        }
    }
}

#[test]
fn nothing_is_taken_while_the_other_side_has_no_room() {
    let context = Context::with_io_threads(1).unwrap();
    let pull = bound::<Pull>(&context, "in", Options::new().recv_hwm(5));
    let push = bound::<Push>(&context, "out", Options::new().send_hwm(5));
    let source = connected::<Push>(&context, "in", Options::new().send_hwm(5));
    let mut rest: Vec<Message> = (0..30).map(|i| i.to_string().into()).collect();
    assert_eq!(source.try_send_batch(&mut rest), Ok(10));
    let mut proxy = Proxy::new(&pull, &push);
    assert!(settle(&mut proxy).is_pending());
    assert_eq!(proxy.handle().statistics().frontend.received.messages, 0);
    assert_eq!(source.try_send_batch(&mut rest), Ok(0), "nobody took any");
    let sink = connected::<Pull>(&context, "out", Options::new().recv_hwm(5));
    assert!(settle(&mut proxy).is_pending());
    assert_eq!(proxy.handle().statistics().backend.sent.messages, 10);
    assert_eq!(source.try_send_batch(&mut rest), Ok(10));
    assert!(settle(&mut proxy).is_pending());
    assert_eq!(proxy.handle().statistics().backend.sent.messages, 10);
    for i in 0..10 {
        assert_eq!(number(&sink.try_recv().unwrap()), i);
    }
    // What the proxy took, when it was dropped, is where it was.
    for i in 10..20 {
        assert_eq!(number(&pull.try_recv().unwrap()), i);
    }
    assert_eq!(pull.try_recv(), Err(TryRecvError::Empty));
}

/// A pipeline of which every queue is short, and the proxy in the middle of it.
fn pipeline(context: &Context) -> (Socket<Push>, Proxy, Socket<Pull>, Socket<Pull>) {
    let short = || quick().send_hwm(3).recv_hwm(3);
    let pull = bound::<Pull>(context, "in", short());
    let push = bound::<Push>(context, "out", short());
    let source = connected::<Push>(context, "in", short());
    let sink = connected::<Pull>(context, "out", short());
    (source, Proxy::new(&pull, &push), sink, pull)
}

#[test]
fn a_run_that_is_dropped_at_any_time_loses_and_doubles_nothing() {
    let _deadline = deadline();
    let mut random = Random::new();
    let context = Context::with_io_threads(1).unwrap();
    let (source, mut proxy, sink, _pull) = pipeline(&context);
    let handle = proxy.handle();
    let (mut sent, mut received) = (0, 0);
    let mut noop = TaskContext::from_waker(Waker::noop());
    while received < 3000 {
        for _ in 0..random.below(8) {
            sent += u64::from(source.try_send(sent.to_string()).is_ok());
        }
        {
            let mut run = pin!(proxy.run());
            for _ in 0..random.below(4) {
                assert!(run.as_mut().poll(&mut noop).is_pending());
                match random.below(4) {
                    0 => handle.pause(),
                    1 => handle.resume(),
                    _ => {}
                }
            }
        }
        for _ in 0..random.below(8) {
            if let Ok(message) = sink.try_recv() {
                assert_eq!(number(&message), received);
                received += 1;
            }
        }
    }
    assert!(handle.statistics().backend.sent.messages >= received);
}

#[test]
fn pausing_stops_both_directions_until_they_resume() {
    let _deadline = deadline();
    let context = Context::with_io_threads(1).unwrap();
    let frontend = bound::<Pair>(&context, "front", Options::new());
    let backend = bound::<Pair>(&context, "back", Options::new());
    let (one, other) = (
        connected::<Pair>(&context, "front", Options::new()),
        connected::<Pair>(&context, "back", Options::new()),
    );
    let mut proxy = Proxy::new(&frontend, &backend);
    let handle = proxy.handle();
    let mut exchange = |passes: bool| {
        one.try_send("down").unwrap();
        other.try_send("up").unwrap();
        assert!(settle(&mut proxy).is_pending());
        let got = (other.try_recv().is_ok(), one.try_recv().is_ok());
        assert_eq!(got, (passes, passes));
    };
    exchange(true);
    handle.pause();
    exchange(false);
    handle.resume();
    exchange(true);
    assert_eq!(
        texts(&other.try_recv().unwrap()),
        ["down"],
        "the one that waited"
    );
    assert_eq!(texts(&one.try_recv().unwrap()), ["up"]);
}

#[tokio::test]
async fn a_word_reaches_a_proxy_that_waits() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (source, proxy, sink, pull) = pipeline(&context);
    let (handle, running) = start(proxy);
    source.send("0").await.unwrap();
    assert_eq!(number(&sink.recv().await.unwrap()), 0);
    handle.pause();
    tokio::task::yield_now().await;
    source.send("1").await.unwrap();
    assert!(tokio::time::timeout(SOON, sink.recv()).await.is_err());
    handle.resume();
    assert_eq!(number(&sink.recv().await.unwrap()), 1);
    handle.pause();
    tokio::task::yield_now().await;
    source.send("2").await.unwrap();
    handle.terminate();
    assert_eq!(running.await.unwrap(), Ok(()));
    handle.resume();
    assert_eq!(number(&pull.recv().await.unwrap()), 2, "it was not taken");
}

#[test]
fn a_terminated_proxy_leaves_every_message_where_it_can_be_received() {
    let _deadline = deadline();
    let context = Context::with_io_threads(1).unwrap();
    let (source, mut proxy, sink, pull) = pipeline(&context);
    let mut sent = 0;
    loop {
        let before = sent;
        while source.try_send(sent.to_string()).is_ok() {
            sent += 1;
        }
        assert!(settle(&mut proxy).is_pending());
        if sent == before {
            break;
        }
    }
    proxy.handle().terminate();
    assert_eq!(settle(&mut proxy), Poll::Ready(Ok(())));
    assert_eq!(settle(&mut proxy), Poll::Ready(Ok(())), "it stays so");
    drop(proxy);
    let rest = std::iter::from_fn(|| pull.try_recv().ok());
    let all = std::iter::from_fn(|| sink.try_recv().ok()).chain(rest);
    assert_eq!(
        all.map(|message| number(&message)).collect::<Vec<_>>(),
        Vec::from_iter(0..sent)
    );
}

#[test]
fn capture_has_a_copy_of_both_directions() {
    let _deadline = deadline();
    let context = Context::with_io_threads(1).unwrap();
    let frontend = bound::<Pair>(&context, "front", Options::new());
    let backend = bound::<Pair>(&context, "back", Options::new());
    let capture = bound::<Push>(&context, "capture", Options::new().send_hwm(2));
    let one = connected::<Pair>(&context, "front", Options::new());
    let other = connected::<Pair>(&context, "back", Options::new());
    let watcher = connected::<Pull>(&context, "capture", Options::new().recv_hwm(2));
    let mut proxy = Proxy::new(&frontend, &backend).capture(&capture);
    one.try_send(["a", "b"].map(Frame::from).into_iter().collect::<Message>())
        .unwrap();
    assert!(settle(&mut proxy).is_pending());
    other.try_send("c").unwrap();
    assert!(settle(&mut proxy).is_pending());
    assert_eq!(texts(&watcher.try_recv().unwrap()), ["a", "b"]);
    assert_eq!(texts(&watcher.try_recv().unwrap()), ["c"]);
    // One that is full holds nothing up.
    for i in 0..10 {
        one.try_send(i.to_string()).unwrap();
    }
    assert!(settle(&mut proxy).is_pending());
    let moved = proxy.handle().statistics();
    assert_eq!((moved.backend.sent.messages, moved.not_captured), (11, 6));
    let copies = std::iter::from_fn(|| watcher.try_recv().ok());
    assert_eq!(
        copies.map(|copy| number(&copy)).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    let passed = std::iter::from_fn(|| other.try_recv().ok());
    assert_eq!(passed.count(), 11);
}

#[test]
fn what_does_not_pass_is_captured_when_it_does_and_once() {
    let context = Context::with_io_threads(1).unwrap();
    let (source, proxy, sink, _pull) = pipeline(&context);
    let capture = bound::<Push>(&context, "capture", Options::new());
    let watcher = connected::<Pull>(&context, "capture", Options::new());
    let mut proxy = proxy.capture(&capture);
    let mut next = 0;
    for round in 0..60 {
        while source.try_send(next.to_string()).is_ok() {
            next += 1;
        }
        assert!(settle(&mut proxy).is_pending());
        if round > 10 {
            sink.try_recv().unwrap();
        }
    }
    let copies: Vec<_> = std::iter::from_fn(|| watcher.try_recv().ok()).collect();
    let passed = proxy.handle().statistics().backend.sent.messages;
    assert_eq!(
        copies.iter().map(number).collect::<Vec<_>>(),
        Vec::from_iter(0..passed)
    );
    assert!(passed < next, "some wait");
}

#[tokio::test]
async fn what_nobody_will_take_is_dropped_and_counted() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let frontend = bound::<Router>(&context, "front", Options::new().router_mandatory(true));
    let backend = bound::<Pair>(&context, "back", Options::new());
    let dealer = connected::<Dealer>(&context, "front", Options::new().routing_id("d"));
    let other = connected::<Pair>(&context, "back", Options::new());
    peers(&frontend, 1).await;
    let (handle, _running) = start(Proxy::new(&frontend, &backend));
    for to in ["nobody", "d"] {
        let message = [to, "x"].map(Frame::from).into_iter().collect::<Message>();
        other.send(message).await.unwrap();
    }
    assert_eq!(texts(&dealer.recv().await.unwrap()), ["x"]);
    let moved = handle.statistics();
    assert_eq!(moved.undeliverable, 1);
    assert_eq!(
        (
            moved.backend.received.messages,
            moved.frontend.sent.messages
        ),
        (2, 1)
    );
    assert_eq!(moved.frontend.sent.octets, 2);
}

#[tokio::test]
async fn a_closed_socket_ends_the_proxy() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    for closed in 0..3 {
        let sockets: [Socket<Pair>; 3] = [(); 3].map(|()| context.socket(Options::new()));
        let proxy = Proxy::new(&sockets[0], &sockets[1]).control(&sockets[2]);
        let (_handle, running) = start(proxy);
        tokio::task::yield_now().await;
        sockets[closed].clone().close();
        assert_eq!(running.await.unwrap(), Err(ProxyError::Closed));
    }
}

/// The numbers of an answer to `STATISTICS`.
fn numbers(answer: &Message) -> Vec<u64> {
    let number = |frame: &Frame| u64::from_ne_bytes(frame[..].try_into().unwrap());
    answer.iter().map(number).collect()
}

#[tokio::test]
async fn words_on_the_control_socket_are_obeyed_and_answered() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (source, proxy, sink, _pull) = pipeline(&context);
    let control = bound::<Rep>(&context, "control", Options::new());
    let steer = connected::<Req>(&context, "control", Options::new());
    let (_handle, running) = start(proxy.control(&control));
    let say = async |word: Message| {
        steer.send(word).await.unwrap();
        steer.recv().await.unwrap()
    };
    source.send("100").await.unwrap();
    sink.recv().await.unwrap();
    assert_eq!(
        numbers(&say("STATISTICS".into()).await),
        [1, 3, 0, 0, 0, 0, 1, 3]
    );
    assert_eq!(texts(&say("PAUSE".into()).await), [""]);
    source.send("101").await.unwrap();
    for unknown in ["", "resume", "RESUME "] {
        assert_eq!(texts(&say(unknown.into()).await), [""]);
    }
    let two = ["RESUME", "RESUME"].map(Frame::from).into_iter().collect();
    assert_eq!(texts(&say(two).await), [""]);
    assert!(
        tokio::time::timeout(SOON, sink.recv()).await.is_err(),
        "still paused"
    );
    assert_eq!(texts(&say("RESUME".into()).await), [""]);
    assert_eq!(number(&sink.recv().await.unwrap()), 101);
    assert_eq!(texts(&say("TERMINATE".into()).await), [""]);
    assert_eq!(running.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_steering_peer_that_reads_no_answer_holds_nothing_up() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (source, proxy, sink, _pull) = pipeline(&context);
    let control = bound::<Pair>(&context, "control", Options::new().send_hwm(1));
    let steer = connected::<Pair>(&context, "control", Options::new().recv_hwm(1));
    let (_handle, running) = start(proxy.control(&control));
    for _ in 0..50 {
        steer.send("STATISTICS").await.unwrap();
    }
    source.send("7").await.unwrap();
    assert_eq!(number(&sink.recv().await.unwrap()), 7);
    steer.send("TERMINATE").await.unwrap();
    assert_eq!(running.await.unwrap(), Ok(()));
}

#[test]
fn a_proxy_runs_in_a_thread_of_its_own() {
    let _deadline = deadline();
    let context = Context::with_io_threads(1).unwrap();
    let (source, mut proxy, sink, _pull) = pipeline(&context);
    let handle = proxy.handle();
    let running = thread::spawn(move || blocking::run_proxy(&mut proxy));
    let sending = thread::spawn(move || {
        let source = blocking::Socket::new(source);
        (0..500).for_each(|i| source.send(i.to_string()).unwrap());
        source
    });
    let sink = blocking::Socket::new(sink);
    for i in 0..500 {
        assert_eq!(number(&sink.recv().unwrap()), i);
    }
    drop(sending.join().unwrap());
    handle.terminate();
    assert_eq!(running.join().unwrap(), Ok(()));
}

/// What a pyzmq client, worker and steering tool see of a proxy: given three endpoints, of that;
/// without, of libzmq's own. It does not pause: libzmq 4.3.5 passes messages on when it is paused,
/// and none once it was resumed.
const SCENARIO: &str = r#"
import struct, sys, threading, zmq
context = zmq.Context()

def opened(kind, endpoint):
    made = context.socket(kind)
    made.set(zmq.LINGER, 0)
    made.set(zmq.RCVTIMEO, 15000)
    made.connect(endpoint)
    return made

ends = sys.argv[1:]
if not ends:
    sockets = [context.socket(kind) for kind in (zmq.ROUTER, zmq.DEALER, zmq.REP)]
    for socket in sockets:
        socket.bind("tcp://127.0.0.1:*")
        ends.append(socket.get(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
    run = lambda: zmq.proxy_steerable(sockets[0], sockets[1], None, sockets[2])
    proxy = threading.Thread(target=run)
    proxy.start()

client, worker, steer = map(opened, (zmq.REQ, zmq.REP, zmq.REQ), ends)
for request in range(5):
    client.send_multipart([b"request", b"%d" % request])
    print(worker.recv_multipart())
    worker.send_multipart([b"reply", b"", b"%d" % request])
    print(client.recv_multipart())
for word in b"STATISTICS", b"BOGUS", b"", b"STATISTICS":
    steer.send(word)
    answer = steer.recv_multipart()
    print(word, [struct.unpack("=Q", part) for part in answer] if answer != [b""] else answer)
client.send(b"after")
print(worker.recv_multipart())
worker.send(b"it")
print(client.recv_multipart())
steer.send(b"TERMINATE")
print(steer.recv_multipart())
if len(sys.argv) == 1:
    proxy.join(15)
    print("ended", not proxy.is_alive())
else:
    print("ended True")
context.destroy(0)
"#;

#[test]
fn libzmq_clients_workers_and_tools_see_what_they_see_of_its_own_proxy() {
    let _deadline = deadline();
    let Ok(python) = python::environment() else {
        return;
    };
    let run = |ends: &[String]| {
        let output = Command::new(&python)
            .args(["-c", SCENARIO])
            .args(ends)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let context = Context::with_io_threads(1).unwrap();
    let frontend = context.socket::<Router>(Options::new());
    let backend = context.socket::<Dealer>(Options::new());
    let control = context.socket::<Rep>(Options::new());
    let ends = [bind_tcp(&frontend), bind_tcp(&backend), bind_tcp(&control)];
    let mut proxy = Proxy::new(&frontend, &backend).control(&control);
    let running = thread::spawn(move || blocking::run_proxy(&mut proxy));
    let ours = run(&ends);
    assert_eq!(running.join().unwrap(), Ok(()));
    assert!(
        ours.contains("ended True") && ours.contains("(25,)"),
        "{ours}"
    );
    assert_eq!(ours, run(&[]));
}
