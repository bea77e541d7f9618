//! Waiting for many things at once: what is ready is told, all of it, again and again, and nothing
//! is taken.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use curvelink::{
    Context, Dealer, Event, Interest, Options, Poller, Pull, Push, Rep, Req, Router, Socket, Sub,
    WakeFd, Xpub, blocking,
};
use curvelink_tests::support::random::Random;
use curvelink_tests::support::{bind_tcp, deadline, number, quick, texts};

const SOON: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Calls(AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn tokens<T: Clone>(events: &[Event<T>]) -> Vec<T> {
    events.iter().map(|event| event.token().clone()).collect()
}

/// A pair of linked sockets.
fn linked(context: &Context, name: usize) -> (Socket<Push>, Socket<Pull>) {
    let endpoint = format!("inproc://{name}");
    let pull = context.socket::<Pull>(quick().recv_hwm(1));
    pull.bind(&endpoint).unwrap();
    let push = context.socket::<Push>(quick().send_hwm(1));
    push.connect(&endpoint).unwrap();
    (push, pull)
}

#[tokio::test]
async fn all_that_is_ready_is_told_and_nothing_is_taken() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pairs: Vec<_> = (0..5).map(|i| linked(&context, i)).collect();
    let mut poller = Poller::new(&context);
    for (i, (_, pull)) in pairs.iter().enumerate() {
        poller.add(pull, Interest::Readable, i);
    }
    assert_eq!(poller.len(), 5);
    assert_eq!(poller.try_wait(), []);
    assert!(poll(poller.wait()).is_none());
    pairs[1].0.send("x").await.unwrap();
    pairs[3].0.send("x").await.unwrap();
    for _ in 0..3 {
        let mut ready = tokens(&poller.wait().await);
        ready.sort_unstable();
        assert_eq!(ready, [1, 3]);
    }
    pairs[1].1.try_recv().unwrap();
    let events = poller.try_wait();
    assert_eq!(tokens(&events), [3]);
    let event = &events[0];
    assert!(event.is_readable() && !event.is_writable() && !event.is_closed() && !event.is_due());
}

#[tokio::test]
async fn a_busy_socket_hides_no_other_and_the_order_goes_round() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let pairs: Vec<_> = (0..3).map(|i| linked(&context, i)).collect();
    let mut poller = Poller::new(&context);
    for (i, (push, pull)) in pairs.iter().enumerate() {
        poller.add(pull, Interest::Readable, i);
        push.send("x").await.unwrap();
    }
    // Whoever serves the first alone serves each of them.
    let firsts: Vec<_> = [(); 6]
        .map(|()| *poller.try_wait()[0].token())
        .into_iter()
        .collect();
    for i in 0..3 {
        assert_eq!(
            firsts.iter().filter(|first| **first == i).count(),
            2,
            "{firsts:?}"
        );
    }
}

#[tokio::test]
async fn room_is_waited_for_as_messages_are() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, 0);
    let mut poller = Poller::new(&context);
    poller.add(&push, Interest::Writable, "push");
    poller.add(&pull, Interest::Both, "pull");
    let events = poller.wait().await;
    assert_eq!(tokens(&events), ["push"]);
    assert!(events[0].is_writable() && !events[0].is_readable());
    while push.try_send("x").is_ok() {}
    assert_eq!(tokens(&poller.wait().await), ["pull"]);
    assert!(
        poller.modify(&"pull", Interest::Writable),
        "which it never is"
    );
    assert!(poll(poller.wait()).is_none());
    while pull.try_recv().is_ok() {}
    assert_eq!(tokens(&poller.wait().await), ["push"]);
    assert!(poller.remove(&"push") && !poller.remove(&"push"));
    assert!(!poller.modify(&"push", Interest::Both));
    assert!(poll(poller.wait()).is_none());
    assert!(poller.remove(&"pull") && poller.is_empty());
    assert_eq!(poller.wait().await, [], "there is nothing to wait for");
}

#[tokio::test]
async fn each_kind_is_ready_when_its_pattern_is() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let rep = context.socket::<Rep>(Options::new());
    let req = context.socket::<Req>(Options::new());
    req.connect(&bind_tcp(&rep)).unwrap();
    let router = context.socket::<Router>(Options::new());
    let dealer = context.socket::<Dealer>(Options::new());
    dealer.connect(&bind_tcp(&router)).unwrap();
    let publisher = context.socket::<Xpub>(Options::new());
    let subscriber = context.socket::<Sub>(Options::new());
    subscriber.connect(&bind_tcp(&publisher)).unwrap();
    let mut poller = Poller::new(&context);
    poller.add(&rep, Interest::Both, "rep");
    poller.add(&router, Interest::Readable, "router");
    poller.add(&publisher, Interest::Readable, "xpub");
    poller.add(&subscriber, Interest::Both, "sub");
    assert!(poll(poller.wait()).is_none());
    req.send("?").await.unwrap();
    let events = poller.wait().await;
    assert!(tokens(&events) == ["rep"] && events[0].is_readable() && !events[0].is_writable());
    rep.try_recv().unwrap();
    let events = poller.wait().await;
    assert!(tokens(&events) == ["rep"] && events[0].is_writable() && !events[0].is_readable());
    rep.try_send("!").unwrap();
    assert_eq!(texts(&req.recv().await.unwrap()), ["!"]);
    dealer.send("x").await.unwrap();
    assert_eq!(tokens(&poller.wait().await), ["router"]);
    router.try_recv().unwrap();
    subscriber.subscribe("a");
    assert_eq!(tokens(&poller.wait().await), ["xpub"]);
    publisher.try_recv().unwrap();
    publisher.send("a").await.unwrap();
    assert_eq!(tokens(&poller.wait().await), ["sub"]);
}

#[tokio::test]
async fn a_closed_socket_is_told_until_it_is_removed() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, 0);
    let (_push, dropped) = linked(&context, 1);
    let mut poller = Poller::new(&context);
    poller.add(&pull, Interest::Readable, "closed");
    poller.add(&dropped, Interest::Both, "dropped");
    poller.add(&push, Interest::Readable, "open");
    {
        let calls = Arc::new(Calls::default());
        let waker = Waker::from(calls.clone());
        let mut waiting = pin!(poller.wait());
        let mut cx = TaskContext::from_waker(&waker);
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        pull.clone().close();
        assert!(calls.0.load(Ordering::SeqCst) > 0);
    }
    drop(dropped);
    for _ in 0..2 {
        let mut events = poller.wait().await;
        events.sort_by_key(|event| *event.token());
        assert_eq!(tokens(&events), ["closed", "dropped"]);
        assert!(
            events
                .iter()
                .all(|event| event.is_closed() && !event.is_readable())
        );
    }
    poller.remove(&"closed");
    poller.remove(&"dropped");
    assert!(poll(poller.wait()).is_none());
}

#[tokio::test]
async fn a_wait_ends_in_time_and_timers_go_off() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, 0);
    let mut poller = Poller::new(&context);
    poller.add(&pull, Interest::Readable, "pull");
    let start = Instant::now();
    assert_eq!(poller.wait_timeout(SOON).await, []);
    assert!(start.elapsed() >= SOON);
    poller.add_timer(SOON, "timer");
    let start = Instant::now();
    for i in 1..4 {
        let events = poller.wait().await;
        assert!(tokens(&events) == ["timer"] && events[0].is_due() && !events[0].is_readable());
        assert!(start.elapsed() >= i * SOON);
    }
    assert_eq!(poller.wait_timeout(Duration::ZERO).await, []);
    // Both at once, and the longer wait does not put the timer off.
    thread::sleep(2 * SOON);
    push.send("x").await.unwrap();
    let events = poller.wait_timeout(Duration::from_secs(3600)).await;
    assert_eq!(tokens(&events), ["timer", "pull"]);
    assert!(poller.remove(&"timer"));
    pull.try_recv().unwrap();
    assert_eq!(poller.wait_timeout(2 * SOON).await, []);
}

/// As `wait` would on whatever runtime the context has.
fn descriptors(
    mut wait: impl FnMut(&mut Poller<&'static str>, Duration) -> Vec<Event<&'static str>>,
    context: &Context,
) {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let mut poller = Poller::new(context);
    poller.add_fd(&ours, Interest::Readable, "fd").unwrap();
    assert_eq!(wait(&mut poller, SOON), []);
    theirs.write_all(b"ab").unwrap();
    // It stays ready while octets are left, though nothing new comes.
    for _ in 0..3 {
        let events = wait(&mut poller, 100 * SOON);
        assert!(tokens(&events) == ["fd"] && events[0].is_readable() && !events[0].is_writable());
    }
    ours.read_exact(&mut [0]).unwrap();
    assert_eq!(tokens(&wait(&mut poller, 100 * SOON)), ["fd"]);
    ours.read_exact(&mut [0]).unwrap();
    assert_eq!(wait(&mut poller, SOON), []);
    poller.modify(&"fd", Interest::Both);
    let events = wait(&mut poller, 100 * SOON);
    assert!(events[0].is_writable() && !events[0].is_readable());
    poller.modify(&"fd", Interest::Readable);
    assert_eq!(wait(&mut poller, SOON), []);
    drop(theirs);
    assert!(
        wait(&mut poller, 100 * SOON)[0].is_readable(),
        "reading tells the end"
    );
    drop(ours);
    assert!(
        wait(&mut poller, 100 * SOON)[0].is_readable(),
        "it has its own"
    );
}

#[test]
fn descriptors_are_told_while_they_are_ready() {
    let _deadline = deadline();
    let context = Context::with_io_threads(1).unwrap();
    descriptors(|poller, time| blocking::poll(poller, Some(time)), &context);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let context = runtime.block_on(async { Context::new().unwrap() });
    descriptors(
        |poller, time| runtime.block_on(poller.wait_timeout(time)),
        &context,
    );
}

#[tokio::test]
async fn a_busy_socket_does_not_hide_a_descriptor() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let (push, pull) = linked(&context, 0);
    push.send("x").await.unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"x").unwrap();
    let mut poller = Poller::new(&context);
    poller.add(&pull, Interest::Readable, "busy");
    poller.add_fd(&ours, Interest::Readable, "fd").unwrap();
    for _ in 0..3 {
        let mut waits = 0;
        while !tokens(&poller.wait().await).contains(&"fd") {
            waits += 1;
            assert!(waits < 1000, "the runtime never looks");
        }
    }
}

/// Whether a foreign loop would see it now; `poller` watches the descriptor alone.
fn rings(poller: &mut Poller<()>) -> bool {
    !blocking::poll(poller, Some(SOON)).is_empty()
}

#[test]
fn a_foreign_loop_is_woken_for_what_a_socket_is_ready_for() {
    let _deadline = deadline();
    let context = Context::with_io_threads(1).unwrap();
    let (push, pull) = linked(&context, 0);
    let mut wake = WakeFd::new(&pull, Interest::Readable).unwrap();
    let mut poller = Poller::new(&context);
    poller.add_fd(&wake, Interest::Readable, ()).unwrap();
    assert!(!rings(&mut poller));
    for _ in 0..2 {
        while push.try_send("x").is_ok() {}
        assert!(rings(&mut poller));
        // It stays so until all is served.
        while pull.try_recv().is_ok() {
            assert!(rings(&mut poller));
            wake.events();
        }
        assert!(!wake.events().is_readable());
        assert!(!rings(&mut poller));
    }
    pull.close();
    assert!(rings(&mut poller) && wake.events().is_closed());
}

#[test]
fn a_foreign_loop_may_begin_with_a_socket_that_is_ready() {
    let _deadline = deadline();
    let context = Context::with_io_threads(1).unwrap();
    let (push, _pull) = linked(&context, 0);
    let mut wake = WakeFd::new(&push, Interest::Both).unwrap();
    let mut poller = Poller::new(&context);
    poller.add_fd(&wake, Interest::Readable, ()).unwrap();
    assert!(rings(&mut poller));
    let events = wake.events();
    assert!(events.is_writable() && !events.is_readable());
    while push.try_send("x").is_ok() {}
    assert!(!wake.events().is_writable());
    assert!(!rings(&mut poller));
}

/// What is sent while the loop looks is never missed.
#[test]
fn a_foreign_loop_misses_nothing() {
    let _deadline = deadline();
    let context = Context::with_io_threads(1).unwrap();
    let pull = context.socket::<Pull>(quick().recv_hwm(2));
    let endpoint = bind_tcp(&pull);
    let mut wake = WakeFd::new(&pull, Interest::Readable).unwrap();
    let mut poller = Poller::new(&context);
    poller.add_fd(&wake, Interest::Readable, ()).unwrap();
    let push = blocking::Socket::new(context.socket::<Push>(quick().send_hwm(2)));
    push.connect(&endpoint).unwrap();
    let sending = thread::spawn(move || {
        (0..100).for_each(|i| push.send(i.to_string()).unwrap());
        push
    });
    let mut received = 0;
    while received < 100 {
        blocking::poll(&mut poller, None);
        if wake.events().is_readable() {
            assert_eq!(number(&pull.try_recv().unwrap()), received);
            received += 1;
        }
    }
    drop(sending.join().unwrap());
}

#[test]
fn what_is_no_descriptor_to_wait_for_is_refused() {
    let context = Context::with_io_threads(1).unwrap();
    let mut poller = Poller::new(&context);
    let file = tempfile::tempfile().unwrap();
    assert!(poller.add_fd(&file, Interest::Readable, ()).is_err());
    assert!(poller.is_empty());
}

/// Dropping a wait after any number of polls leaves nothing behind and takes nothing along.
#[test]
fn waits_may_be_dropped_at_any_time() {
    let _deadline = deadline();
    let mut random = Random::new();
    let context = Context::with_io_threads(1).unwrap();
    let pull = context.socket::<Pull>(quick().recv_hwm(5));
    let endpoint = bind_tcp(&pull);
    let push = context.socket::<Push>(quick().send_hwm(5));
    push.connect(&endpoint).unwrap();
    let mut poller = Poller::new(&context);
    poller.add(&pull, Interest::Readable, "pull");
    poller.add(&push, Interest::Writable, "push");
    let (mut sent, mut received) = (0, 0);
    while received < 100 {
        let mut waiting = Box::pin(poller.wait());
        let mut noop = TaskContext::from_waker(Waker::noop());
        let events = (0..=random.below(4)).find_map(|_| match waiting.as_mut().poll(&mut noop) {
            Poll::Ready(events) => Some(events),
            Poll::Pending => None,
        });
        drop(waiting);
        for event in events.unwrap_or_default() {
            if event.is_writable() {
                push.try_send(sent.to_string()).unwrap();
                sent += 1;
            }
            if event.is_readable() {
                assert_eq!(number(&pull.try_recv().unwrap()), received);
                received += 1;
            }
        }
        thread::yield_now();
    }
}

/// Senders in threads of their own race with one loop that waits: a wake-up that is lost is a
/// message that is never seen.
#[test]
fn no_wake_up_is_lost() {
    const SOCKETS: usize = 4;
    const MESSAGES: u64 = 80;
    let _deadline = deadline();
    let context = Context::with_io_threads(1).unwrap();
    let mut poller = Poller::new(&context);
    let mut random = Random::new();
    let mut pulls = Vec::new();
    let mut senders = Vec::new();
    for i in 0..SOCKETS {
        let pull = context.socket::<Pull>(quick().recv_hwm(2));
        let inproc = format!("inproc://stress{i}");
        let place = if i % 2 == 0 {
            "tcp://127.0.0.1:*"
        } else {
            &inproc
        };
        let endpoint = pull.bind(place).unwrap();
        let push = blocking::Socket::new(context.socket::<Push>(quick().send_hwm(2)));
        push.connect(&endpoint.to_string()).unwrap();
        poller.add(&pull, Interest::Readable, i);
        pulls.push((pull, 0));
        let pauses: Vec<_> = (0..MESSAGES).map(|_| random.below(8)).collect();
        senders.push(thread::spawn(move || {
            for (number, pause) in (0..MESSAGES).zip(pauses) {
                push.send(number.to_string()).unwrap();
                (0..pause).for_each(|_| thread::yield_now());
            }
            push
        }));
    }
    while pulls.iter().any(|(_, next)| *next < MESSAGES) {
        for event in blocking::poll(&mut poller, None) {
            let (pull, next) = &mut pulls[*event.token()];
            assert_eq!(number(&pull.try_recv().unwrap()), *next);
            *next += 1;
        }
    }
    for sender in senders {
        drop(sender.join().unwrap());
    }
}
