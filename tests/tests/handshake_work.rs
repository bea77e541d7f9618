//! Where the costly steps of handshakes run, how many at once, and what they do not hold up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use curvelink::{
    Admitted, Command, Context, Curve, Handshake, HandshakeCx, LinkEventKind, Mechanism,
    MechanismError, MechanismName, Properties, Pull, Push, Reason, Stage, Step,
};
use curvelink_tests::support::{bind_tcp, deadline, event, keys, peers, quick, refusal, texts};

/// What was seen of a mechanism's steps, and whether they may go on.
#[derive(Debug, Default)]
struct Seen {
    threads: Mutex<Vec<ThreadId>>,
    running: AtomicUsize,
    most: AtomicUsize,
    held: Mutex<bool>,
    released: Condvar,
}

impl Seen {
    fn step(&self) {
        self.threads.lock().unwrap().push(thread::current().id());
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        let held = self.held.lock().unwrap();
        drop(self.released.wait_while(held, |held| *held).unwrap());
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.released.notify_all();
    }
}

/// CURVE, watched; costly or said to be cheap.
#[derive(Debug)]
struct Watched {
    curve: Curve,
    seen: Arc<Seen>,
    costly: bool,
}

impl Mechanism for Watched {
    fn name(&self) -> MechanismName {
        self.curve.name()
    }

    fn as_server(&self) -> bool {
        self.curve.as_server()
    }

    fn properties(&self) -> Properties {
        self.curve.properties()
    }

    fn is_costly(&self) -> bool {
        self.costly
    }

    fn handshake(&self) -> Box<dyn Handshake> {
        Box::new(WatchedHandshake(self.curve.handshake(), self.seen.clone()))
    }
}

#[derive(Debug)]
struct WatchedHandshake(Box<dyn Handshake>, Arc<Seen>);

impl Handshake for WatchedHandshake {
    fn start(&mut self, cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError> {
        self.0.start(cx)
    }

    fn on_command(
        &mut self,
        command: Command<'_>,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        self.1.step();
        self.0.on_command(command, cx)
    }

    fn on_admitted(
        &mut self,
        admitted: Admitted,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError> {
        self.0.on_admitted(admitted, cx)
    }
}

fn watched(costly: bool) -> (impl Fn() -> Watched, impl Fn() -> Watched, Arc<Seen>) {
    let server = keys();
    let server_key = server.public();
    let server = Curve::server(server).accept_anyone();
    let seen = Arc::<Seen>::default();
    let (ours, theirs) = (seen.clone(), seen.clone());
    let server = move || Watched {
        curve: server.clone(),
        seen: ours.clone(),
        costly,
    };
    let client = move || Watched {
        curve: Curve::client(keys(), server_key),
        seen: theirs.clone(),
        costly,
    };
    (server, client, seen)
}

#[tokio::test]
async fn costly_steps_run_beside_the_io_thread_and_cheap_ones_on_it() {
    let _deadline = deadline();
    let here = thread::current().id();
    for costly in [true, false] {
        let (server, client, seen) = watched(costly);
        let context = Context::new().unwrap();
        let pull = context.socket::<Pull>(quick().security(server()));
        let push = context.socket::<Push>(quick().security(client()));
        push.connect(&bind_tcp(&pull)).unwrap();
        push.send("x").await.unwrap();
        assert_eq!(texts(&pull.recv().await.unwrap()), ["x"]);
        let threads = seen.threads.lock().unwrap();
        assert_eq!(threads.len(), 4, "HELLO, WELCOME, INITIATE, READY");
        for thread in threads.iter() {
            assert_eq!(*thread == here, !costly);
        }
    }
}

#[tokio::test]
async fn a_handshake_that_waits_for_its_turn_holds_nothing_up_and_ends_in_time() {
    let _deadline = deadline();
    let (server, client, seen) = watched(true);
    let context = Context::new().unwrap();
    let clear = context.socket::<Pull>(quick());
    let source = context.socket::<Push>(quick());
    source.connect(&bind_tcp(&clear)).unwrap();
    peers(&clear, 1).await;

    let options = quick().handshake_timeout(Duration::from_millis(300));
    let pull = context.socket::<Pull>(options.security(server()));
    let mut monitor = pull.monitor();
    let endpoint = bind_tcp(&pull);
    seen.hold(true);
    let turns = 2 * thread::available_parallelism().unwrap().get();
    // The clients have a context, and so work slots, of their own, and say HELLO without them.
    let others = Context::new().unwrap();
    let pushes: Vec<_> = (0..turns + 3)
        .map(|_| {
            let push = others.socket::<Push>(quick().security(client()));
            push.connect(&endpoint).unwrap();
            push
        })
        .collect();
    for i in 0..3 {
        let (_, refused) = refusal(&mut monitor).await;
        assert_eq!(refused.reason, Reason::Timeout);
        assert!(matches!(refused.stage, Stage::Greeting | Stage::Handshake));
        source.send(i.to_string()).await.unwrap();
        assert_eq!(texts(&clear.recv().await.unwrap()), [i.to_string()]);
    }
    assert_eq!(seen.running.load(Ordering::SeqCst), turns);
    seen.hold(false);
    // Those that have had no time left by then come again.
    let mut admitted = 0;
    while admitted < pushes.len() {
        event(&mut monitor, |event| match event.kind {
            LinkEventKind::HandshakeSucceeded(_) => Some(()),
            _ => None,
        })
        .await;
        admitted += 1;
    }
    assert!(
        seen.most.load(Ordering::SeqCst) <= 2 * turns,
        "two contexts"
    );
}

#[tokio::test]
async fn a_socket_that_is_closed_waits_for_no_turn() {
    let _deadline = deadline();
    let (server, client, seen) = watched(true);
    let context = Context::new().unwrap();
    let pull = context.socket::<Pull>(quick().security(server()));
    let endpoint = bind_tcp(&pull);
    seen.hold(true);
    let others = Context::new().unwrap();
    let turns = 2 * thread::available_parallelism().unwrap().get();
    let pushes: Vec<_> = (0..turns + 3)
        .map(|_| {
            let push = others.socket::<Push>(quick().security(client()));
            push.connect(&endpoint).unwrap();
            push
        })
        .collect();
    while seen.running.load(Ordering::SeqCst) < turns {
        tokio::task::yield_now().await;
    }
    pull.close();
    seen.hold(false);
    context.shutdown().await;
    drop(pushes);
}
