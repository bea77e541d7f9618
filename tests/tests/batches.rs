//! Many messages at once, and waiting for readiness without taking anything.

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::Duration;

use curvelink::{
    Context, Dealer, Frame, Message, Options, Pair, Pub, Pull, Push, RecvError, Rep, Req, Router,
    SendError, Sub, TryRecvError, Xpub, Xsub,
};
use curvelink_tests::support::random::Random;
use curvelink_tests::support::{bind_tcp, deadline, number, peers, quick, texts};

const SOON: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A future that is polled by hand.
struct ByHand<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
}

impl<F: Future> ByHand<F> {
    fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            woken: Arc::default(),
        }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(self.woken.clone());
        self.future
            .as_mut()
            .poll(&mut TaskContext::from_waker(&waker))
    }

    /// Whether it was woken since the last time.
    fn woken(&self) -> bool {
        self.woken.0.swap(false, Ordering::SeqCst)
    }
}

fn ready<F: Future>(future: F) -> bool {
    ByHand::new(future).poll().is_ready()
}

fn messages(range: std::ops::Range<u64>) -> Vec<Message> {
    range.map(|i| i.to_string().into()).collect()
}

#[tokio::test]
async fn a_batch_is_what_is_there_in_its_order() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    let push = context.socket::<Push>(Options::new());
    pull.bind("inproc://batch").unwrap();
    push.connect("inproc://batch").unwrap();
    let mut got = vec![Message::from("before")];
    assert_eq!(pull.try_recv_batch(&mut got, 9), Err(TryRecvError::Empty));
    assert_eq!(pull.try_recv_batch(&mut got, 0), Ok(0));
    assert_eq!(pull.recv_batch(&mut got, 0).await, Ok(0), "without waiting");
    push.send_batch(&mut messages(0..10)).await.unwrap();
    assert_eq!(pull.recv_batch(&mut got, 4).await, Ok(4));
    assert_eq!(pull.try_recv_batch(&mut got, 100), Ok(6));
    assert_eq!(texts(&got[0]), ["before"]);
    assert_eq!(
        got[1..].iter().map(number).collect::<Vec<_>>(),
        Vec::from_iter(0..10)
    );
}

#[tokio::test]
async fn a_batch_takes_from_every_peer_in_turn() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new());
    pull.bind("inproc://turns").unwrap();
    let pushes: Vec<_> = (0..3)
        .map(|i| {
            let push = context.socket::<Push>(Options::new());
            push.connect("inproc://turns").unwrap();
            assert_eq!(
                push.try_send_batch(&mut messages(i * 100..i * 100 + 20)),
                Ok(20)
            );
            push
        })
        .collect();
    let mut got = Vec::new();
    assert_eq!(pull.recv_batch(&mut got, 3).await, Ok(3));
    let from: BTreeSet<_> = got.iter().map(|message| number(message) / 100).collect();
    assert_eq!(from.len(), pushes.len());
}

#[tokio::test]
async fn sending_leaves_what_has_no_room() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new().recv_hwm(2));
    let push = context.socket::<Push>(Options::new().send_hwm(3).send_timeout(SOON));
    let mut rest = messages(0..20);
    assert_eq!(push.try_send_batch(&mut rest), Ok(0), "nobody is there");
    pull.bind("inproc://room").unwrap();
    push.connect("inproc://room").unwrap();
    assert_eq!(push.try_send_batch(&mut rest), Ok(5));
    assert_eq!(
        rest.iter().map(number).collect::<Vec<_>>(),
        Vec::from_iter(5..20)
    );
    assert_eq!(push.send_batch(&mut rest).await, Err(SendError::TimedOut));
    assert_eq!(rest.len(), 15);
    let mut got = Vec::new();
    while got.len() < 20 {
        let _timed_out = push.send_batch(&mut rest).await;
        pull.recv_batch(&mut got, 100).await.unwrap();
    }
    assert_eq!(
        got.iter().map(number).collect::<Vec<_>>(),
        Vec::from_iter(0..20)
    );
    assert!(rest.is_empty());
}

#[tokio::test]
async fn an_error_is_about_the_first_message_that_is_left() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(Options::new());
    push.connect("inproc://errors").unwrap();
    let mut batch = vec!["a".into(), Message::new(), "b".into()];
    assert_eq!(push.try_send_batch(&mut batch), Ok(1));
    assert_eq!(push.try_send_batch(&mut batch), Err(SendError::Empty));
    assert_eq!(push.send_batch(&mut batch).await, Err(SendError::Empty));
    assert_eq!(batch.len(), 2);
    let kept = push.clone();
    push.close();
    assert_eq!(kept.try_send_batch(&mut batch), Err(SendError::Closed));
    assert_eq!(batch.len(), 2);
}

#[tokio::test]
async fn batches_of_req_and_rep_are_of_one() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = context.socket::<Rep>(Options::new());
    rep.bind("inproc://strict").unwrap();
    let reqs: Vec<_> = (0..2)
        .map(|_| {
            let req = context.socket::<Req>(Options::new());
            req.connect("inproc://strict").unwrap();
            req
        })
        .collect();
    let mut asked = messages(0..2);
    assert_eq!(reqs[0].try_send_batch(&mut asked), Ok(1));
    assert_eq!(
        reqs[0].try_send_batch(&mut asked),
        Err(SendError::WrongTurn)
    );
    assert_eq!(reqs[1].try_send_batch(&mut asked), Ok(1));
    let mut got = Vec::new();
    assert_eq!(rep.recv_batch(&mut got, 9).await, Ok(1));
    assert_eq!(rep.recv_batch(&mut got, 9).await, Err(RecvError::WrongTurn));
}

#[test]
fn batches_that_are_dropped_lose_and_double_nothing() {
    let _deadline = deadline();
    let mut random = Random::new();
    let context = Context::with_io_threads(1).unwrap();
    let pull = context.socket::<Pull>(quick().recv_hwm(7));
    let endpoint = bind_tcp(&pull);
    let push = context.socket::<Push>(quick().send_hwm(7));
    push.connect(&endpoint).unwrap();
    let (mut to_send, mut got, mut next) = (Vec::new(), Vec::new(), 0);
    let mut noop = TaskContext::from_waker(Waker::noop());
    while got.len() < 300 {
        let more = random.below(20) as u64;
        to_send.extend(messages(next..next + more));
        next += more;
        {
            let mut sending = pin!(push.send_batch(&mut to_send));
            let _ = (0..random.below(3)).find(|_| sending.as_mut().poll(&mut noop).is_ready());
        }
        std::thread::yield_now();
        let mut receiving = pin!(pull.recv_batch(&mut got, 1 + random.below(20)));
        let _ = (0..random.below(3)).find(|_| receiving.as_mut().poll(&mut noop).is_ready());
    }
    let numbers: Vec<_> = got.iter().map(number).collect();
    assert_eq!(numbers, Vec::from_iter(0..numbers.len() as u64));
}

#[tokio::test]
async fn readable_and_writable_take_nothing() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new().recv_hwm(1));
    let push = context.socket::<Push>(Options::new().send_hwm(1));
    assert!(!ready(push.writable()), "nobody is there");
    pull.bind("inproc://ready").unwrap();
    let mut readable = ByHand::new(pull.readable());
    assert!(readable.poll().is_pending());
    push.connect("inproc://ready").unwrap();
    for _ in 0..3 {
        assert!(ready(push.writable()));
    }
    assert_eq!(push.try_send_batch(&mut messages(0..9)), Ok(2));
    assert!(readable.woken());
    for _ in 0..3 {
        assert!(ready(pull.readable()));
    }
    let mut writable = ByHand::new(push.writable());
    assert!(writable.poll().is_pending(), "it is full");
    for i in 0..2 {
        assert_eq!(number(&pull.try_recv().unwrap()), i);
    }
    assert!(writable.woken());
    assert!(writable.poll().is_ready());
    assert!(!ready(pull.readable()));
}

#[tokio::test]
async fn over_a_network_they_wait_for_messages_and_for_room() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(Options::new().recv_hwm(1));
    let push = context.socket::<Push>(Options::new().send_hwm(1));
    push.connect(&bind_tcp(&pull)).unwrap();
    let large = Frame::from(vec![b'x'; 1 << 20]);
    let mut sent = 0;
    // Until the network's buffers are full too.
    while tokio::time::timeout(SOON, push.writable()).await.is_ok() {
        sent += usize::from(push.try_send(large.clone()).is_ok());
    }
    for _ in 0..sent {
        pull.readable().await.unwrap();
        pull.try_recv().unwrap();
    }
    push.writable().await.unwrap();
    assert!(!ready(pull.readable()));
}

#[tokio::test]
async fn a_message_that_was_not_subscribed_makes_nobody_readable() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Xpub>(Options::new());
    let subscriber = context.socket::<Sub>(Options::new());
    publisher.bind("inproc://filter").unwrap();
    subscriber.connect("inproc://filter").unwrap();
    subscriber.subscribe("a");
    assert_eq!(texts(&publisher.recv().await.unwrap()), ["\u{1}a"]);
    // It goes out before the end of the subscription is known there.
    publisher.send("a1").await.unwrap();
    subscriber.unsubscribe("a");
    let mut readable = ByHand::new(subscriber.readable());
    assert!(readable.poll().is_pending());
    subscriber.subscribe("b");
    publisher.wait_for_subscribers("b", 1).await;
    publisher.send("b1").await.unwrap();
    assert!(readable.woken() && readable.poll().is_ready());
    assert_eq!(texts(&subscriber.try_recv().unwrap()), ["b1"]);
}

#[tokio::test]
async fn a_turn_that_passes_is_told() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = context.socket::<Rep>(Options::new());
    rep.bind("inproc://turn").unwrap();
    let reqs: Vec<_> = (0..2)
        .map(|_| {
            let req = context.socket::<Req>(Options::new());
            req.connect("inproc://turn").unwrap();
            req
        })
        .collect();
    assert!(ready(reqs[0].writable()) && !ready(rep.writable()));
    for req in &reqs {
        req.try_send("x").unwrap();
        assert!(!ready(req.writable()) && !ready(req.readable()));
    }
    let mut writable = ByHand::new(rep.writable());
    assert!(writable.poll().is_pending());
    rep.try_recv().unwrap();
    assert!(writable.woken() && writable.poll().is_ready());
    // The second request is there, but it is not its turn.
    let mut readable = ByHand::new(rep.readable());
    assert!(readable.poll().is_pending());
    rep.try_send("y").unwrap();
    assert!(readable.woken() && readable.poll().is_ready());
    let mut again = ByHand::new(reqs[0].writable());
    assert!(again.poll().is_pending());
    reqs[0].try_recv().unwrap();
    assert!(again.woken() && again.poll().is_ready());
}

#[tokio::test]
async fn kinds_that_drop_are_always_writable() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    assert!(ready(context.socket::<Pub>(Options::new()).writable()));
    assert!(ready(context.socket::<Xpub>(Options::new()).writable()));
    assert!(ready(context.socket::<Xsub>(Options::new()).writable()));
    assert!(ready(context.socket::<Router>(Options::new()).writable()));
    assert!(!ready(context.socket::<Dealer>(Options::new()).writable()));
    assert!(!ready(context.socket::<Pair>(Options::new()).writable()));
}

#[tokio::test]
async fn a_mandatory_router_waits_for_any_peer_with_room() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(quick().router_mandatory(true).send_hwm(1));
    router.bind("inproc://mandatory").unwrap();
    let mut writable = ByHand::new(router.writable());
    assert!(writable.poll().is_pending());
    let dealer = context.socket::<Dealer>(quick().routing_id("d").recv_hwm(1));
    dealer.connect("inproc://mandatory").unwrap();
    peers(&router, 1).await;
    assert!(writable.woken() && writable.poll().is_ready());
    let mut batch: Vec<Message> = (0..9)
        .map(|_| ["d", "x"].map(Frame::from).into_iter().collect())
        .collect();
    assert_eq!(router.try_send_batch(&mut batch), Ok(2));
    let mut writable = ByHand::new(router.writable());
    assert!(writable.poll().is_pending());
    dealer.try_recv().unwrap();
    dealer.try_recv().unwrap();
    assert!(writable.woken() && writable.poll().is_ready());
}

#[tokio::test]
async fn closing_ends_every_wait() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pair = context.socket::<Pair>(Options::new());
    let mut readable = ByHand::new(pair.readable());
    let mut writable = ByHand::new(pair.writable());
    assert!(readable.poll().is_pending() && writable.poll().is_pending());
    pair.clone().close();
    assert!(readable.woken() && writable.woken());
    assert_eq!(readable.poll(), Poll::Ready(Err(RecvError::Closed)));
    assert_eq!(writable.poll(), Poll::Ready(Err(SendError::Closed)));
}
