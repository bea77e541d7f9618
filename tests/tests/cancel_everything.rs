//! Every method that waits, dropped after a few polls, on every pattern and transport: what was
//! accepted comes once and in order, and the peers go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

use curvelink::{
    AnySocket, Context, Interest, Message, Monitor, Options, Poller, Proxy, Pub, Pull, Push,
    SocketType, Sub, TryRecvError,
};
use curvelink_tests::support::by_hand::poll_at_most;
use curvelink_tests::support::random::Random;
use curvelink_tests::support::{Way, bind_tcp, deadline, number, quick, ways};

/// Messages of each flow, and how many may be on their way.
const COUNT: u64 = 400;
const WINDOW: u64 = 6;

/// Messages from one socket to another.
struct Flow {
    from: AnySocket,
    to: AnySocket,
    sent: u64,
    received: u64,
    /// Futures that were dropped with nothing done.
    dropped: usize,
    writable: Poller<()>,
    readable: Poller<()>,
    /// What a message begins with: a ROUTER's peer.
    address: Option<&'static str>,
}

impl Flow {
    fn new(context: &Context, from: &AnySocket, to: &AnySocket) -> Self {
        let poller = |socket: &AnySocket, interest| {
            let mut poller = Poller::new(context);
            poller.add(socket, interest, ());
            poller
        };
        Self {
            from: from.clone(),
            to: to.clone(),
            sent: 0,
            received: 0,
            dropped: 0,
            writable: poller(from, Interest::Writable),
            readable: poller(to, Interest::Readable),
            address: None,
        }
    }

    fn message(&self, number: u64) -> Message {
        let body = number.to_string();
        match self.address {
            None => body.into(),
            Some(address) => [address.to_owned(), body].into(),
        }
    }

    /// One attempt to send, by any method; a future that is not ready soon is dropped.
    fn send(&mut self, random: &mut Random) {
        let polls = 1 + random.below(3);
        let message = self.message(self.sent);
        let sent = match random.below(4) {
            0 => poll_at_most(self.from.send(message), polls).map(|sent| sent.map(|()| 1)),
            1 => {
                let many = 1 + random.below(3) as u64;
                let mut messages = (0..many)
                    .map(|next| self.message(self.sent + next))
                    .collect();
                let ended = poll_at_most(self.from.send_batch(&mut messages), polls);
                let sent = many - messages.len() as u64;
                ended
                    .map(|result| result.map(|()| sent))
                    .or_else(|| (sent > 0).then_some(Ok(sent)))
            }
            2 => poll_at_most(self.from.writable(), polls)
                .map(|ready| ready.map(|()| u64::from(self.from.try_send(message).is_ok()))),
            _ => poll_at_most(self.writable.wait(), polls)
                .map(|_| Ok(u64::from(self.from.try_send(message).is_ok()))),
        };
        self.dropped += usize::from(sent.is_none());
        self.sent += sent.map_or(0, |sent| sent.expect("it is open"));
    }

    /// One attempt to receive, by any method.
    fn receive(&mut self, random: &mut Random) {
        let polls = 1 + random.below(3);
        let try_recv = |to: &AnySocket| match to.try_recv() {
            Ok(message) => vec![message],
            Err(TryRecvError::Empty) => Vec::new(),
            Err(error) => panic!("{error}"),
        };
        let received = match random.below(4) {
            0 => poll_at_most(self.to.recv(), polls).map(|message| vec![message.expect("open")]),
            1 => {
                let mut batch = Vec::new();
                let ended = poll_at_most(self.to.recv_batch(&mut batch, 1 + polls), polls);
                assert_eq!(ended.is_none(), batch.is_empty());
                ended.map(|_| batch)
            }
            2 => poll_at_most(self.to.readable(), polls).map(|_| try_recv(&self.to)),
            _ => poll_at_most(self.readable.wait(), polls).map(|_| try_recv(&self.to)),
        };
        self.dropped += usize::from(received.is_none());
        for message in received.into_iter().flatten() {
            let last = message.iter().last().expect("a frame").clone();
            assert_eq!(number(&last.into()), self.received, "once, and in order");
            self.received += 1;
        }
    }

    fn run(&mut self, random: &mut Random) {
        while self.received < COUNT {
            if self.sent < self.received + WINDOW && random.below(2) == 0 {
                self.send(random);
            } else {
                self.receive(random);
            }
            thread::yield_now();
        }
        while self.received < self.sent {
            self.receive(random);
        }
    }

    /// By futures that are left alone.
    fn go_on(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            for _ in 0..20 {
                let message = self.message(self.sent);
                let (sent, received) = tokio::join!(self.from.send(message), self.to.recv());
                sent.unwrap();
                let last = received.unwrap().iter().last().unwrap().clone();
                assert_eq!(number(&last.into()), self.sent);
                self.sent += 1;
            }
        });
    }
}

fn flows(one: SocketType, other: SocketType, there: bool, back: bool) {
    let _deadline = deadline();
    let mut random = Random::new();
    let mut dropped = 0;
    for way in ways() {
        let context = Context::with_io_threads(1).unwrap();
        // Sends have to wait, but where no room means that a message is dropped.
        let waits = !matches!(one, SocketType::Router | SocketType::Xpub);
        let mark = if waits { 3 } else { 100 };
        let options = || quick().send_hwm(mark).recv_hwm(mark);
        let first = context.any_socket(one, options());
        let second = context.any_socket(other, options().routing_id("second"));
        let mut forth = Flow::new(&context, &first, &second);
        let mut returning = Flow::new(&context, &second, &first);
        if one == SocketType::Router {
            forth.address = Some("second");
        }
        link(&way, &first, &second);
        for (flow, wanted) in [(&mut forth, there), (&mut returning, back)] {
            if wanted {
                flow.run(&mut random);
                flow.go_on();
                dropped += flow.dropped;
            }
        }
    }
    assert!(dropped > 20, "{dropped}");
}

fn link(way: &Way, one: &AnySocket, other: &AnySocket) {
    way.link(one, other);
    while one.peers().is_empty() || other.peers().is_empty() {
        thread::yield_now();
    }
    if other.kind() == SocketType::Xsub {
        // What XPUB receives of it says that it has arrived.
        other.try_send(vec![1]).unwrap();
        while one.try_recv().is_err() {
            thread::yield_now();
        }
    }
}

#[test]
fn push_and_pull_survive_dropped_futures() {
    flows(SocketType::Push, SocketType::Pull, true, false);
}

#[test]
fn pair_and_pair_survive_dropped_futures() {
    flows(SocketType::Pair, SocketType::Pair, true, true);
}

#[test]
fn dealer_and_dealer_survive_dropped_futures() {
    flows(SocketType::Dealer, SocketType::Dealer, true, true);
}

#[test]
fn router_and_dealer_survive_dropped_futures() {
    flows(SocketType::Router, SocketType::Dealer, true, true);
}

#[test]
fn xpub_and_xsub_survive_dropped_futures() {
    flows(SocketType::Xpub, SocketType::Xsub, true, true);
}

#[test]
fn req_and_rep_survive_dropped_futures() {
    let _deadline = deadline();
    let mut random = Random::new();
    for way in ways() {
        let context = Context::with_io_threads(1).unwrap();
        let req = context.any_socket(SocketType::Req, quick());
        let rep = context.any_socket(SocketType::Rep, quick());
        let mut requests = Flow::new(&context, &req, &rep);
        let mut replies = Flow::new(&context, &rep, &req);
        link(&way, &req, &rep);
        for turn in 1..=COUNT / 4 {
            for flow in [&mut requests, &mut replies] {
                while flow.sent < turn {
                    send_in_turn(flow, &mut random);
                }
                while flow.received < turn {
                    flow.receive(&mut random);
                    thread::yield_now();
                }
            }
        }
    }
}

/// One message, not a batch: the turn is over after one.
fn send_in_turn(flow: &mut Flow, random: &mut Random) {
    let message = flow.message(flow.sent);
    let polls = 1 + random.below(3);
    let sent = match random.below(2) {
        0 => poll_at_most(flow.from.send(message), polls).is_some_and(|sent| sent.is_ok()),
        _ => poll_at_most(flow.from.writable(), polls)
            .is_some_and(|ready| ready.is_ok() && flow.from.try_send(message).is_ok()),
    };
    flow.sent += u64::from(sent);
    thread::yield_now();
}

#[test]
fn a_proxy_that_is_stopped_and_run_again_passes_everything_once() {
    let _deadline = deadline();
    let mut random = Random::new();
    for way in ways() {
        let context = Context::with_io_threads(1).unwrap();
        let socket = |kind| context.any_socket(kind, quick().send_hwm(2).recv_hwm(2));
        let (push, frontend) = (socket(SocketType::Push), socket(SocketType::Pull));
        let (backend, pull) = (socket(SocketType::Push), socket(SocketType::Pull));
        link(&way, &push, &frontend);
        let endpoint = backend.bind("inproc://backend").unwrap().to_string();
        pull.connect(&endpoint).unwrap();
        let mut proxy = Proxy::new(&frontend, &backend);
        let mut flow = Flow::new(&context, &push, &pull);
        while flow.received < COUNT {
            match random.below(3) {
                0 if flow.sent < COUNT => flow.send(&mut random),
                1 => {
                    let polls = 1 + random.below(4);
                    assert!(poll_at_most(proxy.run(), polls).is_none(), "nobody ends it");
                }
                _ => flow.receive(&mut random),
            }
            thread::yield_now();
        }
    }
}

#[test]
fn a_shutdown_that_is_dropped_goes_on_behind() {
    let _deadline = deadline();
    let mut random = Random::new();
    for _ in 0..20 {
        let receiving = Context::with_io_threads(1).unwrap();
        let pull = receiving.socket::<Pull>(Options::new().recv_hwm(2));
        let endpoint = bind_tcp(&pull);
        let context = Context::with_io_threads(1).unwrap();
        let push = context.socket::<Push>(quick().linger(Duration::from_secs(60)));
        push.connect(&endpoint).unwrap();
        for i in 0..100 {
            push.try_send(i.to_string()).unwrap();
        }
        for _ in 0..1 + random.below(3) {
            let _may_have_ended = poll_at_most(context.shutdown(), 1 + random.below(3));
        }
        assert!(push.try_send("too late").is_err());
        let pull = curvelink::blocking::Socket::new(pull);
        for i in 0..100 {
            assert_eq!(number(&pull.recv().unwrap()), i);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(context.shutdown());
    }
}

/// Does, when woken, what an executor that polls at once might do.
struct Reenter {
    socket: AnySocket,
    woken: AtomicUsize,
}

impl Wake for Reenter {
    fn wake(self: Arc<Self>) {
        let socket = &self.socket;
        let _whatever = (socket.peers(), socket.statistics(), socket.monitor());
        let _at_once = (socket.try_recv(), socket.try_send("from the waker"));
        let _registered = poll_at_most(socket.readable(), 1);
        self.woken.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_waker_may_use_the_socket_that_wakes_it() {
    let _deadline = deadline();
    for place in ["tcp://127.0.0.1:*", "inproc://reenter"] {
        let context = Context::with_io_threads(1).unwrap();
        let publisher = context.socket::<Pub>(quick());
        let subscriber = context.socket::<Sub>(quick());
        let wakers = [publisher.any(), subscriber.any()].map(|socket| {
            Arc::new(Reenter {
                socket: socket.clone(),
                woken: AtomicUsize::new(0),
            })
        });
        let mut monitors: [Monitor; 2] = [publisher.monitor(), subscriber.monitor()];
        let [at_publisher, at_subscriber] = [0, 1].map(|i| Waker::from(wakers[i].clone()));
        subscriber.subscribe("from");
        let mut wait = Box::pin(publisher.wait_for_subscribers("from", 1));
        let mut recv = Box::pin(subscriber.recv());
        let mut events = monitors.iter_mut().map(|monitor| Box::pin(monitor.recv()));
        let (mut first, mut second) = (events.next().unwrap(), events.next().unwrap());
        let poll = |future: std::pin::Pin<&mut dyn Future<Output = ()>>, waker: &Waker| {
            future
                .poll(&mut std::task::Context::from_waker(waker))
                .is_pending()
        };
        assert!(poll(wait.as_mut(), &at_publisher));
        let mut recv = Box::pin(async { recv.as_mut().await.map(drop).unwrap() });
        assert!(poll(recv.as_mut(), &at_subscriber));
        let mut first = Box::pin(async { first.as_mut().await.map(drop).unwrap() });
        assert!(poll(first.as_mut(), &at_publisher));
        let mut second = Box::pin(async { second.as_mut().await.map(drop).unwrap() });
        assert!(poll(second.as_mut(), &at_subscriber));
        let endpoint = publisher.bind(place).unwrap().to_string();
        subscriber.connect(&endpoint).unwrap();
        // The publisher's waker publishes, which wakes the subscriber's.
        while wakers
            .iter()
            .any(|waker| waker.woken.load(Ordering::SeqCst) == 0)
        {
            thread::yield_now();
        }
    }
}
