//! A peer that was let in and floods with what costs it little: memory stays within bounds, and
//! others go on.
//!
//! `CURVELINK_FULL=1` sends a million of each.
#![cfg(target_os = "linux")]

use std::fs;
use std::time::Duration;

use curvelink::{Context, Options, Pull, Push, Socket, Xpub};
use curvelink_tests::support::{bind_tcp, deadline, number, quick, raw};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// What the flooded process may grow by, octets: its queues and one peer's buffers, and what an
/// allocator keeps.
const BOUND: usize = 8 << 20;

fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Writes so many pieces, numbered, and ends when the other side has closed: by itself if it is to
/// cut this peer, or once it has read all there is.
async fn flood(mut stream: TcpStream, count: u32, piece: Piece, is_cut: bool) {
    for from in (0..count).step_by(256) {
        let octets: Vec<u8> = (from..from + 256).flat_map(piece).collect();
        let written = stream.write_all(&octets).await;
        assert!(is_cut || written.is_ok());
        if written.is_err() {
            return;
        }
    }
    if !is_cut {
        stream.shutdown().await.unwrap();
    }
    raw::closed(&mut stream).await;
}

/// A pair of good peers on the same context: numbers that all arrive, until told to stop.
struct Good {
    push: Socket<Push>,
    pull: Socket<Pull>,
    next: u64,
}

impl Good {
    fn start(context: &Context) -> Self {
        let pull = context.socket::<Pull>(quick());
        let push = context.socket::<Push>(quick());
        push.connect(&bind_tcp(&pull)).unwrap();
        Self {
            push,
            pull,
            next: 0,
        }
    }

    /// Passes messages as long as the flood runs, each awaited.
    async fn beside(&mut self, flood: JoinHandle<()>) {
        let before = self.next;
        while !flood.is_finished() {
            self.push.send(self.next.to_string()).await.unwrap();
            let received = self.pull.recv().await.unwrap();
            assert_eq!(number(&received), self.next);
            self.next += 1;
        }
        println!("{} messages of others meanwhile", self.next - before);
        assert!(self.next > before);
        flood.await.unwrap();
    }
}

fn pieces() -> u32 {
    match std::env::var_os("CURVELINK_FULL") {
        Some(_) => 1_000_000,
        None => 100_096,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t18_floods_of_frames_and_commands_take_bounded_memory_and_stop_nobody() {
    let _deadline = deadline();
    let context = Context::new().unwrap();
    let mut good = Good::start(&context);
    let pull = context.socket::<Pull>(Options::new().linger(Duration::ZERO));
    let xpub = context.socket::<Xpub>(Options::new().linger(Duration::ZERO));
    let (to_pull, to_xpub) = (bind_tcp(&pull), bind_tcp(&xpub));
    let drained = [
        tokio::spawn(async move { while pull.recv().await.is_ok() {} }),
        tokio::spawn(async move { while xpub.recv().await.is_ok() {} }),
    ];
    good.beside(tokio::spawn(async {})).await;
    for (what, endpoint, socket_type, piece, is_cut) in [
        (
            "frames of a message without end",
            &to_pull,
            "PUSH",
            more as Piece,
            true,
        ),
        ("messages of an octet", &to_pull, "PUSH", tiny, false),
        (
            "commands that mean nothing",
            &to_pull,
            "PUSH",
            unknown,
            false,
        ),
        ("prefixes", &to_xpub, "SUB", prefix, true),
        ("lengths of 4 GiB", &to_pull, "PUSH", huge, true),
    ] {
        let before = resident();
        let stream = raw::join(endpoint, &[("Socket-Type", socket_type.as_bytes())]).await;
        good.beside(tokio::spawn(flood(stream, pieces(), piece, is_cut)))
            .await;
        let grown = resident().saturating_sub(before);
        println!("{what}: {} KiB more", grown >> 10);
        assert!(grown <= BOUND, "{what}: {grown}");
    }
    context.shutdown().await;
    for drained in drained {
        drained.await.unwrap();
    }
}

type Piece = fn(u32) -> Vec<u8>;

fn more(_: u32) -> Vec<u8> {
    raw::frame(1, b"x")
}

fn tiny(_: u32) -> Vec<u8> {
    raw::frame(0, b"x")
}

fn unknown(_: u32) -> Vec<u8> {
    raw::command("X", b"")
}

fn prefix(number: u32) -> Vec<u8> {
    raw::command("SUBSCRIBE", &number.to_be_bytes())
}

/// A frame of which only the length comes.
fn huge(_: u32) -> Vec<u8> {
    [&[2][..], &(4_u64 << 30).to_be_bytes()].concat()
}
