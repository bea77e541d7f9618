//! A peer that never reads costs its own queue: neither memory without bound nor the others' share.
#![cfg(target_os = "linux")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use curvelink::{
    AnySocket, Context, Dealer, Message, Options, Pub, Pull, Push, Router, SocketType, Sub,
};
use curvelink_tests::support::process::resident;
use curvelink_tests::support::{Deadline, bind_tcp, deadline, peers, quick, raw};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Octets of each message, how many are sent, and octets that may wait for one peer.
const SIZE: usize = 16 << 10;
const COUNT: usize = 4096;
const QUEUE: usize = 1 << 20;

/// What the process may grow while 64 MiB go through it: the stuck peer's queue, twice while it is
/// moved, and what the allocator makes of the rest.
const GROWTH: usize = 16 << 20;

/// Memory is the whole process': one test at a time.
fn alone() -> (MutexGuard<'static, ()>, Deadline) {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    (one, deadline())
}

fn bounded() -> Options {
    quick().send_hwm(0).queue_octets(QUEUE)
}

fn body(number: usize) -> Vec<u8> {
    let mut body = vec![0; SIZE];
    body[..8].copy_from_slice(&(number as u64).to_be_bytes());
    body
}

fn number(octets: &[u8]) -> usize {
    u64::from_be_bytes(octets[..8].try_into().unwrap()) as usize
}

fn last(message: &Message) -> usize {
    number(message.iter().last().unwrap())
}

/// The next messages of a peer that begins to read: the last frames of so many.
async fn read(stuck: &mut TcpStream, count: usize) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let (flags, body) = raw::read_frame(stuck).await.expect("the link is up");
        // 1 is MORE and 4 COMMAND.
        if flags & 5 == 0 {
            numbers.push(number(&body));
        }
    }
    numbers
}

/// Sends to whoever has room: the stuck peer's share is in its queue, all else is the good one's.
async fn the_good_peer_gets_the_rest(socket: &AnySocket, good: &AnySocket, mut stuck: TcpStream) {
    let before = resident();
    let mut received = 0;
    for number in 0..COUNT {
        socket.send(body(number)).await.unwrap();
        while good.try_recv().is_ok() {
            received += 1;
        }
    }
    let grown = resident().saturating_sub(before);
    let waiting = socket.statistics().queued_to_peers * SIZE;
    assert!(
        grown < GROWTH && waiting < 3 * QUEUE,
        "{grown} octets, {waiting} wait"
    );
    // Once it reads, the stuck peer has what was for it, and the two have all.
    let (told, mut reads) = mpsc::unbounded_channel();
    tokio::spawn(async move { while told.send(read(&mut stuck, 1).await[0]).is_ok() {} });
    let (mut its, mut last) = (0, None);
    while its + received < COUNT {
        tokio::select! {
            message = good.recv() => {
                message.unwrap();
                received += 1;
            }
            number = reads.recv() => {
                assert!(last < number, "in order");
                last = number;
                its += 1;
            }
        }
    }
    println!("{its} to the peer that did not read, {received} to the other, {grown} octets");
    assert!(received > COUNT / 2);
}

#[tokio::test]
async fn a_push_passes_over_a_peer_that_does_not_read() {
    let _alone = alone();
    let context = Context::new().unwrap();
    let push = context.socket::<Push>(bounded());
    let endpoint = bind_tcp(&push);
    let stuck = raw::join(&endpoint, &[("Socket-Type", b"PULL")]).await;
    let good = context.socket::<Pull>(quick());
    good.connect(&endpoint).unwrap();
    peers(&push, 2).await;
    the_good_peer_gets_the_rest(push.any(), good.any(), stuck).await;
}

#[tokio::test]
async fn a_dealer_passes_over_a_peer_that_does_not_read() {
    let _alone = alone();
    let context = Context::new().unwrap();
    let dealer = context.socket::<Dealer>(bounded());
    let endpoint = bind_tcp(&dealer);
    let stuck = raw::join(&endpoint, &[("Socket-Type", b"DEALER")]).await;
    let good = context.any_socket(SocketType::Dealer, quick());
    good.connect(&endpoint).unwrap();
    peers(&dealer, 2).await;
    the_good_peer_gets_the_rest(dealer.any(), &good, stuck).await;
}

#[tokio::test]
async fn a_publisher_drops_and_counts_what_a_subscriber_does_not_read() {
    let _alone = alone();
    let context = Context::new().unwrap();
    let publisher = context.socket::<Pub>(bounded());
    let endpoint = bind_tcp(&publisher);
    let mut stuck = raw::join(&endpoint, &[("Socket-Type", b"SUB")]).await;
    stuck
        .write_all(&raw::command("SUBSCRIBE", b""))
        .await
        .unwrap();
    let good = context.socket::<Sub>(quick());
    good.subscribe("");
    good.connect(&endpoint).unwrap();
    publisher.wait_for_subscribers("", 2).await;
    let before = resident();
    for number in 0..COUNT {
        publisher.send(body(number)).await.unwrap();
        assert_eq!(
            last(&good.recv().await.unwrap()),
            number,
            "the other misses nothing"
        );
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} octets");
    let dropped = publisher.dropped() as usize;
    assert!(dropped > COUNT / 2 && dropped < COUNT, "{dropped} dropped");
    let numbers = read(&mut stuck, COUNT - dropped).await;
    assert!(numbers.is_sorted(), "{numbers:?}");
    // All that was not dropped has come, and with it there is room again.
    publisher.send(body(COUNT)).await.unwrap();
    assert_eq!(read(&mut stuck, 1).await, [COUNT]);
    assert_eq!(publisher.dropped() as usize, dropped);
}

#[tokio::test]
async fn a_router_drops_and_counts_what_one_dealer_does_not_read() {
    let _alone = alone();
    let context = Context::new().unwrap();
    let router = context.socket::<Router>(bounded());
    let endpoint = bind_tcp(&router);
    let identity: &[(&str, &[u8])] = &[("Socket-Type", b"DEALER"), ("Identity", b"stuck")];
    let mut stuck = raw::join(&endpoint, identity).await;
    let good = context.socket::<Dealer>(quick().routing_id("good"));
    good.connect(&endpoint).unwrap();
    peers(&router, 2).await;
    let before = resident();
    for number in 0..COUNT {
        for id in ["stuck", "good"] {
            let frames = [id.into(), body(number)];
            router.send(frames).await.unwrap();
        }
        assert_eq!(
            last(&good.recv().await.unwrap()),
            number,
            "the other misses nothing"
        );
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < GROWTH, "{grown} octets");
    let dropped = router.dropped() as usize;
    assert!(dropped > COUNT / 2 && dropped < COUNT, "{dropped} dropped");
    let numbers = read(&mut stuck, COUNT - dropped).await;
    assert!(numbers.is_sorted(), "{numbers:?}");
    let frames = ["stuck".into(), body(COUNT)];
    router.send(frames).await.unwrap();
    assert_eq!(read(&mut stuck, 1).await, [COUNT]);
}
