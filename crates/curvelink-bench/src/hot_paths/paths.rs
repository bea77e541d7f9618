//! The paths.

use std::hint::black_box;

use curvelink::{Context, Message, Options, Pull, Push, Socket};
use curvelink_bench::{Link, batch};
use curvelink_proto::Backlog;
use tokio::runtime::Builder;

/// Messages of a round, and octets of a message: so few that copying them is not what counts.
const MESSAGES: usize = 1000;
const SIZE: usize = 32;

/// The names of the paths.
pub(crate) const NAMES: [&str; 7] = [
    "decode", "encode", "seal", "open", "engines", "inproc", "ipc",
];

/// What runs a path for some rounds.
pub(crate) fn find(name: &str) -> Option<fn(usize)> {
    let runs: [fn(usize); 7] = [decode, encode, seal, open, engines, inproc, ipc];
    let index = NAMES.iter().position(|known| *known == name)?;
    runs.get(index).copied()
}

/// Octets that were read become messages.
fn decode(rounds: usize) {
    let mut link = Link::null();
    let octets = link.send(batch(SIZE, MESSAGES));
    for _ in 0..rounds {
        black_box(link.receive(&octets));
    }
}

/// Messages become octets to write.
fn encode(rounds: usize) {
    let mut link = Link::null();
    let message = Message::from(&[0x5a; SIZE]);
    let mut backlog = Backlog::new();
    for _ in 0..rounds {
        for _ in 0..MESSAGES {
            backlog.push(&message);
        }
        black_box(link.send_away(backlog.take()));
    }
}

/// Framed messages become sealed octets: the engine's part of it, without a cipher.
fn seal(rounds: usize) {
    let mut link = Link::masked();
    for _ in 0..rounds {
        black_box(link.send_away(batch(SIZE, MESSAGES)));
    }
}

/// Sealed octets become messages: the engine's part of it, without a cipher.
fn open(rounds: usize) {
    let mut link = Link::masked();
    let octets = link.send(batch(SIZE, MESSAGES));
    for _ in 0..rounds {
        black_box(link.receive(&octets));
    }
}

/// From the PUSH of one engine to the PULL of another: two frames, of which the second is too large
/// to be kept inline.
fn engines(rounds: usize) {
    let mut link = Link::null();
    let message = Message::from([&[0x5a; 16][..], &[0x5a; 200]]);
    let mut backlog = Backlog::new();
    for _ in 0..rounds {
        for _ in 0..MESSAGES {
            backlog.push(&message);
        }
        black_box(link.carry(backlog.take()));
    }
}

/// From socket to socket within the process.
fn inproc(rounds: usize) {
    through_sockets("inproc://hot", rounds);
}

/// From socket to socket by way of two sessions and the system.
fn ipc(rounds: usize) {
    let folder = std::env::temp_dir();
    let name = format!("curvelink-hot-paths-{}", std::process::id());
    let path = folder.join(name);
    through_sockets(&format!("ipc://{}", path.display()), rounds);
}

/// One thread does everything, in the same order every time.
fn through_sockets(endpoint: &str, rounds: usize) {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let context = Context::new().expect("a context");
        let pull = context.socket::<Pull>(Options::new());
        pull.bind(endpoint).expect("a free name");
        let push = context.socket::<Push>(Options::new());
        push.connect(endpoint).expect("it is bound");
        for _ in 0..rounds {
            round(&push, &pull).await;
        }
    });
}

async fn round(push: &Socket<Push>, pull: &Socket<Pull>) {
    let message = Message::from(&[0x5a; SIZE]);
    let mut messages = Vec::with_capacity(MESSAGES);
    for _ in 0..MESSAGES {
        push.send(message.clone()).await.expect("room");
    }
    while messages.len() < MESSAGES {
        let left = MESSAGES - messages.len();
        let received = pull.recv_batch(&mut messages, left).await;
        received.expect("what was sent");
    }
    black_box(messages);
}
