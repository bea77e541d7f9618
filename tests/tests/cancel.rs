//! Futures that are dropped at any moment leave nothing behind and take nothing along (T12).

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use curvelink::{
    Context, Dealer, Message, Options, Pub, Pull, Push, RecvError, Rep, Req, Router, SendError,
    Socket, Sub,
};
use curvelink_tests::support::by_hand::poll_once;
use curvelink_tests::support::random::Random;
use curvelink_tests::support::{bind_tcp, deadline, number, quick, texts};

/// Counts how often it is called.
#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Calls {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Polls a future that has nothing to give 1 to 4 times, then drops it.
fn give_up<F: Future>(random: &mut Random, future: F) {
    let mut future = pin!(future);
    for _ in 0..=random.below(4) {
        assert!(poll_once(future.as_mut()).is_none(), "there is nothing yet");
    }
}

/// Makes futures and drops them after 1 to 4 polls each, until one becomes ready.
fn insist<F: Future>(random: &mut Random, future: impl Fn() -> F) -> F::Output {
    loop {
        let mut future = pin!(future());
        for _ in 0..=random.below(4) {
            if let Some(output) = poll_once(future.as_mut()) {
                return output;
            }
        }
        thread::yield_now();
    }
}

const PLACES: &[&str] = &["tcp://127.0.0.1:*", "inproc://cancel"];

/// A linked pair in a context with a thread of its own, so that polls by hand race with it.
fn linked(place: &str, timeout: Option<Duration>) -> (Context, Socket<Push>, Socket<Pull>) {
    let context = Context::with_io_threads(1).unwrap();
    let options = |options: Options| match timeout {
        None => options,
        Some(time) => options.recv_timeout(time).send_timeout(time),
    };
    let pull = context.socket::<Pull>(options(quick().recv_hwm(3)));
    let endpoint = pull.bind(place).unwrap().to_string();
    let push = context.socket::<Push>(options(quick().send_hwm(3)));
    push.connect(&endpoint).unwrap();
    (context, push, pull)
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The sends and receives under way in [`t12_futures_dropped_at_random_lose_and_double_nothing`].
#[derive(Default)]
struct UnderWay<'a> {
    send: Option<Boxed<'a, Result<(), SendError>>>,
    receives: Vec<Boxed<'a, Result<Message, RecvError>>>,
    sent: u64,
    received: u64,
    /// Futures that were polled, pending, and dropped.
    dropped: usize,
}

impl<'a> UnderWay<'a> {
    fn poll_send(&mut self, push: &'a Socket<Push>) {
        let message = self.sent.to_string();
        let send = self
            .send
            .get_or_insert_with(|| Box::pin(push.send(message)));
        if let Some(result) = poll_once(send.as_mut()) {
            result.unwrap();
            self.send = None;
            self.sent += 1;
        }
    }

    fn poll_receive(&mut self, pull: &'a Socket<Pull>, index: usize) {
        if index >= self.receives.len() {
            self.receives.push(Box::pin(pull.recv()));
        }
        let index = index.min(self.receives.len() - 1);
        if let Some(message) = poll_once(self.receives[index].as_mut()) {
            drop(self.receives.swap_remove(index));
            assert_eq!(number(&message.unwrap()), self.received);
            self.received += 1;
        }
    }
}

#[test]
fn t12_futures_dropped_at_random_lose_and_double_nothing() {
    let _deadline = deadline();
    for timeout in [None, Some(Duration::from_secs(3600))] {
        for place in PLACES {
            let mut random = Random::new();
            let (_context, push, pull) = linked(place, timeout);
            let mut under_way = UnderWay::default();
            while under_way.received < 5000 {
                match random.below(16) {
                    0..6 => under_way.poll_send(&push),
                    6..14 => under_way.poll_receive(&pull, random.below(3)),
                    14 => under_way.dropped += usize::from(under_way.send.take().is_some()),
                    _ => under_way.dropped += usize::from(under_way.receives.pop().is_some()),
                }
            }
            assert!(under_way.dropped > 100, "{} at {place}", under_way.dropped);
        }
    }
}

#[test]
fn t12_timeouts_lose_and_double_nothing() {
    let _deadline = deadline();
    for place in PLACES {
        let mut random = Random::new();
        let (_context, push, pull) = linked(place, Some(Duration::from_millis(1)));
        let sending = thread::spawn(move || {
            let push = curvelink::blocking::Socket::new(push);
            for i in 0..1000 {
                while push.send(i.to_string()).is_err() {}
                if random.below(20) == 0 {
                    thread::sleep(Duration::from_millis(4));
                }
            }
        });
        let pull = curvelink::blocking::Socket::new(pull);
        let mut timeouts = 0;
        for i in 0..1000 {
            let message = loop {
                match pull.recv() {
                    Ok(message) => break message,
                    Err(error) => assert_eq!(error, RecvError::TimedOut),
                }
                timeouts += 1;
            };
            assert_eq!(number(&message), i, "{place}");
        }
        assert!(timeouts > 10, "{timeouts}");
        sending.join().unwrap();
    }
}

#[test]
fn t12_turns_of_a_request_survive_dropped_futures() {
    let _deadline = deadline();
    for place in PLACES {
        let mut random = Random::new();
        let context = Context::with_io_threads(1).unwrap();
        let rep = context.socket::<Rep>(quick());
        let req = context.socket::<Req>(quick());
        give_up(&mut random, req.send("nobody is there"));
        req.connect(&rep.bind(place).unwrap().to_string()).unwrap();
        for i in 0..500 {
            give_up(&mut random, rep.recv());
            insist(&mut random, || req.send(i.to_string())).unwrap();
            give_up(&mut random, req.recv());
            let request = insist(&mut random, || rep.recv()).unwrap();
            give_up(&mut random, req.recv());
            insist(&mut random, || rep.send(request.clone())).unwrap();
            let reply = insist(&mut random, || req.recv()).unwrap();
            assert_eq!(number(&reply), i);
        }
    }
}

#[test]
fn t12_a_mandatory_router_that_gave_up_has_sent_nothing() {
    let _deadline = deadline();
    let mut random = Random::new();
    let context = Context::with_io_threads(1).unwrap();
    let router = context.socket::<Router>(quick().router_mandatory(true).send_hwm(1));
    router.bind("inproc://router").unwrap();
    let dealer = context.socket::<Dealer>(quick().routing_id("d").recv_hwm(1));
    dealer.connect("inproc://router").unwrap();
    for i in 0..500 {
        let to_dealer = |text: String| router.send(["d".to_owned(), text]);
        insist(&mut random, || to_dealer(i.to_string())).unwrap();
        insist(&mut random, || to_dealer(i.to_string())).unwrap();
        give_up(&mut random, to_dealer("given up".to_owned()));
        for _ in 0..2 {
            let message = insist(&mut random, || dealer.recv()).unwrap();
            assert_eq!(number(&message), i);
        }
        give_up(&mut random, dealer.recv());
    }
}

#[test]
fn t12_waits_for_subscribers_and_events_survive_being_dropped() {
    let _deadline = deadline();
    let mut random = Random::new();
    let context = Context::with_io_threads(1).unwrap();
    let publisher = context.socket::<Pub>(quick());
    let mut monitor = publisher.monitor();
    let mut next = |random: &mut Random, expected: &str| loop {
        let mut event = pin!(monitor.recv());
        let polls = 1 + random.below(4);
        if let Some(event) = (0..polls).find_map(|_| poll_once(event.as_mut())) {
            let kind = event.unwrap().kind.to_string();
            assert!(kind.starts_with(expected), "{kind}");
            break;
        }
        thread::yield_now();
    };
    let endpoint = bind_tcp(&publisher);
    next(&mut random, "listening");
    for _ in 0..50 {
        let subscriber = context.socket::<Sub>(quick());
        subscriber.subscribe("a");
        give_up(&mut random, publisher.wait_for_subscribers("a", 1));
        give_up(&mut random, subscriber.recv());
        subscriber.connect(&endpoint).unwrap();
        insist(&mut random, || publisher.wait_for_subscribers("a", 1));
        give_up(&mut random, publisher.wait_for_subscribers("a", 2));
        publisher.try_send("a").unwrap();
        let message = insist(&mut random, || subscriber.recv()).unwrap();
        assert_eq!(texts(&message), ["a"]);
        subscriber.close();
        for expected in ["accepted", "admitted", "disconnected"] {
            next(&mut random, expected);
        }
        insist(&mut random, || async {
            while !publisher.peers().is_empty() {
                std::future::pending::<()>().await;
            }
        });
    }
}

#[test]
fn t12_a_woken_future_that_is_dropped_takes_no_message_from_another() {
    let _deadline = deadline();
    for place in PLACES {
        let (_context, push, pull) = linked(place, None);
        for i in 0..500 {
            let (first, second) = (Arc::new(Calls::default()), Arc::new(Calls::default()));
            let mut dropped = Box::pin(pull.recv());
            let mut kept = Box::pin(pull.recv());
            for (future, calls) in [(&mut dropped, &first), (&mut kept, &second)] {
                let waker = Waker::from(Arc::clone(calls));
                assert!(
                    future
                        .as_mut()
                        .poll(&mut TaskContext::from_waker(&waker))
                        .is_pending()
                );
            }
            while push.try_send(i.to_string()).is_err() {}
            while first.count() + second.count() == 0 {
                thread::yield_now();
            }
            // Whichever was woken, the one that stays hears of the message.
            drop(dropped);
            while second.count() == 0 {
                thread::yield_now();
            }
            // A link that comes up wakes as well: then the message wakes once more. One that went
            // with the future that was dropped never would.
            let waker = Waker::from(Arc::clone(&second));
            let message = loop {
                let calls = second.count();
                if let Poll::Ready(message) =
                    kept.as_mut().poll(&mut TaskContext::from_waker(&waker))
                {
                    break message;
                }
                while second.count() == calls {
                    thread::yield_now();
                }
            };
            assert_eq!(number(&message.unwrap()), i);
        }
    }
}

#[test]
fn t12_a_woken_sender_that_is_dropped_takes_no_room_from_another() {
    let _deadline = deadline();
    for place in PLACES {
        let (_context, push, pull) = linked(place, None);
        for round in 0..50 {
            while push.try_send(vec![0; 1 << 20]).is_ok() {}
            // One that did go out in an earlier round may still be on its way.
            let name = format!("dropped {round}");
            let (first, second) = (Arc::new(Calls::default()), Arc::new(Calls::default()));
            let mut dropped = Box::pin(push.send(name.as_str()));
            let mut kept = Box::pin(push.send("kept"));
            let mut sent = false;
            for (future, calls) in [(&mut dropped, &first), (&mut kept, &second)] {
                let waker = Waker::from(Arc::clone(calls));
                // Over tcp there may be room again by now.
                sent |= future
                    .as_mut()
                    .poll(&mut TaskContext::from_waker(&waker))
                    .is_ready();
            }
            if sent {
                while pull.try_recv().is_ok() {}
                continue;
            }
            drop(dropped);
            while second.count() == 0 {
                let _made_room = pull.try_recv();
                thread::yield_now();
            }
            let mut kept_again = || {
                kept.as_mut()
                    .poll(&mut TaskContext::from_waker(Waker::noop()))
            };
            while kept_again().is_pending() {
                let _made_room = pull.try_recv();
                thread::yield_now();
            }
            loop {
                let Ok(message) = pull.try_recv() else {
                    continue;
                };
                assert_ne!(texts(&message), [name.as_str()]);
                if texts(&message) == ["kept"] {
                    break;
                }
            }
        }
    }
}

#[test]
fn t12_a_dropped_future_lets_go_of_its_waker() {
    let _deadline = deadline();
    let context = Context::with_io_threads(1).unwrap();
    let pull = context.socket::<Pull>(quick());
    let push = context.socket::<Push>(quick());
    let calls = Arc::new(Calls::default());
    let waker = Waker::from(Arc::clone(&calls));
    let before = Arc::strong_count(&calls);
    for _ in 0..1000 {
        let mut cx = TaskContext::from_waker(&waker);
        assert!(pin!(pull.recv()).poll(&mut cx).is_pending());
        assert!(pin!(push.send("x")).poll(&mut cx).is_pending());
    }
    assert_eq!(
        Arc::strong_count(&calls),
        before,
        "a forgotten future leaves nothing behind"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t12_close_and_shutdown_at_any_moment_end_every_wait() {
    let _deadline = deadline();
    let mut random = Random::new();
    for _ in 0..100 {
        let context = Context::new().unwrap();
        let pull = context.socket::<Pull>(quick().linger(Duration::ZERO));
        let endpoint = bind_tcp(&pull);
        let push = context.socket::<Push>(quick().send_hwm(2).linger(Duration::ZERO));
        push.connect(&endpoint).unwrap();
        let (sender, receiver) = (push.clone(), pull.clone());
        let sending = tokio::spawn(async move { while sender.send("x").await.is_ok() {} });
        let receiving = tokio::spawn(async move { while receiver.recv().await.is_ok() {} });
        for _ in 0..random.below(200) {
            tokio::task::yield_now().await;
        }
        match random.below(3) {
            0 => push.close(),
            1 => pull.close(),
            _ => drop((push, pull)),
        }
        context.shutdown().await;
        sending.await.unwrap();
        receiving.await.unwrap();
    }
}
