//! PUSH to PULL: how many messages a second.

use std::convert::Infallible;

use curvelink::{Pull, Push, Receives, Sends};

use crate::args::Args;
use crate::exit::{Exit, check_length, leave, leave_with, say};
use crate::face::Face;
use crate::machine::wait_for_end;
use crate::meter::Meter;
use crate::socket::{Socket, of_binder, of_dialler, payload};

pub(crate) async fn recv(face: &Face, args: &Args) -> anyhow::Result<Infallible> {
    let pull = face.socket::<Pull>(of_binder(args)?);
    pull.bind(&args.endpoint)?;
    let meter = Meter::new(1, args.count, args.size);
    say("READY");
    meter.watch(args.idle);
    recv_all(&pull, &meter, 0, args).await?;
    leave_with(Exit::Done, &meter.report())
}

pub(crate) async fn send(face: &Face, args: &Args) -> anyhow::Result<Infallible> {
    let push = face.socket::<Push>(of_dialler(args)?);
    push.connect(&args.endpoint)?;
    send_all(&push, args).await?;
    face.blocks(wait_for_end).await?;
    leave(Exit::Done)
}

pub(crate) async fn in_process(face: &Face, args: Args) -> anyhow::Result<Infallible> {
    let pull = face.socket::<Pull>(of_binder(&args)?);
    pull.bind(&args.endpoint)?;
    let push = face.socket::<Push>(of_dialler(&args)?);
    push.connect(&args.endpoint)?;
    let meter = Meter::new(1, args.count, args.size);
    meter.watch(args.idle);
    let sender = args.clone();
    face.spawn(async move { send_all(&push, &sender).await });
    recv_all(&pull, &meter, 0, &args).await?;
    leave_with(Exit::Done, &meter.report())
}

async fn send_all<K: Sends>(socket: &Socket<K>, args: &Args) -> anyhow::Result<()> {
    let message = payload(args.size);
    for _ in 0..args.count {
        socket.send_eagerly(message.clone()).await?;
    }
    Ok(())
}

/// Receives what one socket should, and notes it.
pub(crate) async fn recv_all<K: Receives>(
    socket: &Socket<K>,
    meter: &Meter,
    index: usize,
    args: &Args,
) -> anyhow::Result<()> {
    let max = batch(args.size);
    let mut messages = Vec::with_capacity(max);
    let mut done = args.count == 0;
    while !done {
        let received = socket.recv_batch(&mut messages, max).await?;
        for message in messages.drain(..) {
            check_length(message.octets(), args.size);
        }
        done = meter.add(index, received as u64);
    }
    Ok(())
}

/// How many messages are received at once: as many as stay in the fast caches.
fn batch(size: usize) -> usize {
    (256 * 1024 / size.max(1)).clamp(1, 256)
}
