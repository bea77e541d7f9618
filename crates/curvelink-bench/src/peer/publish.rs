//! PUB to many SUBs: how many messages a second arrive in all.

use std::convert::Infallible;

use curvelink::{Options, Pub, Sub};

use crate::args::Args;
use crate::exit::{Exit, leave, leave_with, say};
use crate::face::Face;
use crate::machine::{wait_for_end, wait_for_line};
use crate::meter::Meter;
use crate::socket::{of_binder, of_dialler, payload};
use crate::throughput::recv_all;

/// Octets, and messages, that are published before the connections get their turn: they may live
/// on the thread that publishes.
const BURST_OCTETS: usize = 256 * 1024;
const BURST: usize = 1024;

pub(crate) async fn publish(face: &Face, args: &Args) -> anyhow::Result<Infallible> {
    let options = unbounded(of_binder(args)?, args).xpub_nodrop(true);
    let publisher = face.socket::<Pub>(options);
    publisher.bind(&args.endpoint)?;
    say("READY");
    face.blocks(wait_for_line).await?;
    face.subscribers(&publisher, args.subscribers, args.idle)
        .await?;
    let message = payload(args.size);
    let burst = (BURST_OCTETS / args.size.max(1)).clamp(1, BURST) as u64;
    for sent in 1..=args.count {
        publisher.send_eagerly(message.clone()).await?;
        if sent % burst == 0 {
            face.breathe().await;
        }
    }
    face.blocks(wait_for_end).await?;
    leave(Exit::Done)
}

pub(crate) async fn subscribe(face: &Face, args: Args) -> anyhow::Result<Infallible> {
    let mut sockets = Vec::new();
    for _ in 0..args.subscribers {
        let socket = face.socket::<Sub>(unbounded(of_dialler(&args)?, &args));
        face.subscribe(&socket, &args.endpoint, args.idle).await?;
        sockets.push(socket);
    }
    let meter = Meter::new(sockets.len(), args.count, args.size);
    say("SUBSCRIBED");
    // The driver lets a moment pass before the first message.
    meter.watch(2 * args.idle);
    let receivers = sockets.into_iter().enumerate().map(|(index, socket)| {
        let (args, meter) = (args.clone(), meter.clone());
        face.spawn(async move { recv_all(&socket, &meter, index, &args).await })
    });
    for receiver in receivers.collect::<Vec<_>>() {
        receiver.end().await?;
    }
    leave_with(Exit::Done, &meter.report())
}

/// No bound but that of octets, where the sender waits: nothing is dropped.
fn unbounded(options: Options, args: &Args) -> Options {
    let hwm = args.hwm.unwrap_or(0);
    options.send_hwm(hwm).recv_hwm(hwm)
}
