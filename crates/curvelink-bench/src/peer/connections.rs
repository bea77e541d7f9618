//! Many connections to one PULL: how fast they are made, and what each costs in memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use curvelink::{Message, Pull, Push};
use serde::Serialize;

use crate::args::Args;
use crate::exit::{Exit, check_length, leave, leave_with, say, say_result, stalled};
use crate::face::Face;
use crate::machine::{cpu_seconds, nanos, resident, wait_for_end};
use crate::socket::{Socket, of_binder, of_dialler};
use crate::watch::watch;

/// Octets of a message: when the first connection was begun.
const LENGTH: usize = 8;

pub(crate) async fn listen(face: &Face, args: &Args) -> anyhow::Result<Infallible> {
    let pull = face.socket::<Pull>(of_binder(args)?);
    pull.bind(&args.endpoint)?;
    say("READY");
    let before = resident();
    let expected = args.connections as u64;
    let arrived = Arc::new(AtomicU64::new(0));
    let (watched, reported) = (arrived.clone(), arrived.clone());
    watch(
        args.idle,
        move || watched.load(Relaxed),
        move |_| match reported.load(Relaxed) {
            arrived if arrived < expected => stalled(arrived),
            _ => {}
        },
    );
    let (mut begun, mut first) = (u64::MAX, None);
    for count in 1..=args.connections {
        begun = begun.min(time_in(&pull.recv().await?));
        first.get_or_insert_with(nanos);
        arrived.store(count as u64, Relaxed);
    }
    let secs = nanos().saturating_sub(begun) as f64 / 1e9;
    let first = first.unwrap_or_default().saturating_sub(begun);
    let n = args.connections;
    let report = Report {
        conns_per_s: if secs > 0.0 { n as f64 / secs } else { 0.0 },
        secs,
        first_ms: first as f64 / 1e6,
        n,
        rss_per_conn: resident().saturating_sub(before) as f64 / n.max(1) as f64,
        cpu_s: cpu_seconds(),
    };
    if args.stay {
        say_result(&report);
        return stay(&pull).await;
    }
    leave_with(Exit::Done, &report)
}

/// Keeps the connections, and takes what comes over them, until the driver closes the pipe.
async fn stay(pull: &Socket<Pull>) -> anyhow::Result<Infallible> {
    thread::spawn(|| {
        wait_for_end();
        leave(Exit::Done);
    });
    loop {
        pull.recv().await?;
    }
}

pub(crate) async fn dial(face: &Face, args: &Args) -> anyhow::Result<Infallible> {
    let begun = nanos().to_le_bytes();
    let mut sockets = Vec::with_capacity(args.connections);
    for _ in 0..args.connections {
        let push = face.socket::<Push>(of_dialler(args)?);
        push.connect(&args.endpoint)?;
        push.send(Message::from(&begun)).await?;
        sockets.push(push);
    }
    face.blocks(wait_for_end).await?;
    leave(Exit::Done)
}

fn time_in(message: &Message) -> u64 {
    check_length(message.octets(), LENGTH);
    let octets = message.first().and_then(|frame| frame.first_chunk());
    octets.copied().map_or(u64::MAX, u64::from_le_bytes)
}

/// What is printed of connections.
#[derive(Debug, Serialize)]
struct Report {
    conns_per_s: f64,
    secs: f64,
    first_ms: f64,
    n: usize,
    rss_per_conn: f64,
    cpu_s: f64,
}
