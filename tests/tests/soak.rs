//! Sockets that come and go for a long time leave nothing behind: one process, one test.
#![cfg(target_os = "linux")]

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use curvelink::{AnySocket, Context, Message, SocketType};
use curvelink_tests::support::process::{descriptors, resident};
use curvelink_tests::support::quick;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Sockets of one round, in groups: one binds, eight connect to it, one connects to nobody.
const SOCKETS: usize = 500;
const GROUP: usize = 10;

const ROUNDS: usize = 100;
/// The rounds that are compared with the last ones; those before warm the allocator up.
const FIRST: Range<usize> = 20..40;
const LAST: Range<usize> = 80..100;

/// Who binds, and who connects.
const PATTERNS: [(SocketType, SocketType); 6] = [
    (SocketType::Pull, SocketType::Push),
    (SocketType::Push, SocketType::Pull),
    (SocketType::Xpub, SocketType::Xsub),
    (SocketType::Rep, SocketType::Req),
    (SocketType::Router, SocketType::Dealer),
    (SocketType::Dealer, SocketType::Rep),
];

/// One group's pattern and place.
#[derive(Clone)]
struct Group {
    context: Context,
    round: usize,
    index: usize,
    folder: Arc<TempDir>,
}

impl Group {
    fn endpoint(&self) -> String {
        let Self { round, index, .. } = self;
        match (round + index) % 3 {
            0 => "tcp://127.0.0.1:*".to_owned(),
            1 => format!("ipc://{}/{round}-{index}", self.folder.path().display()),
            _ => format!("inproc://{round}-{index}"),
        }
    }

    fn nowhere(&self) -> String {
        match self.endpoint() {
            tcp if tcp.starts_with("tcp") => "tcp://127.0.0.1:1".to_owned(),
            other => format!("{other}-nobody"),
        }
    }

    /// Opens ten sockets, lets each of the eight be heard and answered, closes them.
    async fn run(self) {
        let (binds, connects) = PATTERNS[self.index % PATTERNS.len()];
        let socket = |kind| self.context.any_socket(kind, quick());
        let binder = socket(binds);
        let endpoint = binder.bind(&self.endpoint()).unwrap().to_string();
        let others: Vec<_> = (2..GROUP).map(|_| socket(connects)).collect();
        for other in &others {
            other.connect(&endpoint).unwrap();
        }
        let lonely = socket(connects);
        lonely.connect(&self.nowhere()).unwrap();
        match connects {
            SocketType::Push => gather(&binder, &others).await,
            SocketType::Pull => spread(&binder, &others).await,
            SocketType::Xsub => publish(&binder, &others).await,
            SocketType::Rep => ask_each(&binder, &others).await,
            _ => answer(&binder, &others).await,
        }
    }
}

async fn gather(pull: &AnySocket, pushes: &[AnySocket]) {
    for push in pushes {
        push.send("x").await.unwrap();
    }
    for _ in pushes {
        pull.recv().await.unwrap();
    }
}

async fn spread(push: &AnySocket, pulls: &[AnySocket]) {
    while push.peers().len() < pulls.len() {
        tokio::task::yield_now().await;
    }
    for _ in pulls {
        push.send("x").await.unwrap();
    }
    for pull in pulls {
        pull.recv().await.unwrap();
    }
}

async fn publish(xpub: &AnySocket, xsubs: &[AnySocket]) {
    for (i, xsub) in xsubs.iter().enumerate() {
        xsub.send(vec![1, i as u8]).await.unwrap();
    }
    for _ in xsubs {
        xpub.recv().await.unwrap();
    }
    for (i, xsub) in xsubs.iter().enumerate() {
        xpub.send(vec![i as u8]).await.unwrap();
        assert_eq!(xsub.recv().await.unwrap(), Message::from(vec![i as u8]));
    }
}

/// REQ to REP, DEALER to ROUTER.
async fn answer(server: &AnySocket, clients: &[AnySocket]) {
    for client in clients {
        client.send("x").await.unwrap();
    }
    for _ in clients {
        let request = server.recv().await.unwrap();
        server.send(request).await.unwrap();
    }
    for client in clients {
        client.recv().await.unwrap();
    }
}

/// DEALER to many REP.
async fn ask_each(dealer: &AnySocket, reps: &[AnySocket]) {
    while dealer.peers().len() < reps.len() {
        tokio::task::yield_now().await;
    }
    for _ in reps {
        dealer.send(["", "x"]).await.unwrap();
    }
    for rep in reps {
        let request = rep.recv().await.unwrap();
        rep.send(request).await.unwrap();
    }
    for _ in reps {
        dealer.recv().await.unwrap();
    }
}

/// Waits for what closed sockets do behind: their tasks end, then their descriptors go.
async fn settle(open: usize) {
    let start = Instant::now();
    while descriptors() > open {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{} descriptors, {open} at the beginning",
            descriptors()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn five_hundred_sockets_a_hundred_times_leave_no_memory_and_no_descriptor() {
    let context = Context::new().unwrap();
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let open = descriptors();
    let mut memory = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        let mut groups = JoinSet::new();
        for index in 0..SOCKETS / GROUP {
            let group = Group {
                context: context.clone(),
                round,
                index,
                folder: folder.clone(),
            };
            groups.spawn(tokio::time::timeout(Duration::from_secs(20), group.run()));
        }
        while let Some(group) = groups.join_next().await {
            group.expect("no panic").expect("a group that hangs");
        }
        settle(open).await;
        memory.push(resident());
    }
    // One thread, so all memory is of one arena. Between rounds the allocator holds more or less
    // of what was freed; what it cannot go below is still in use.
    let floor = |rounds: Range<usize>| *memory[rounds].iter().min().unwrap();
    let (before, after) = (floor(FIRST), floor(LAST));
    println!("{before} octets in rounds {FIRST:?}, {after} in {LAST:?}");
    assert!(after <= before + before / 100, "{memory:?}");
    assert_eq!(descriptors(), open);
}
