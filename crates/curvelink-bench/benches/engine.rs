//! Frames to octets and octets to frames, in clear and sealed: one connection on one core, without
//! a network.

use bytes::Bytes;
use curvelink_bench::{Link, batch};
use curvelink_proto::{Backlog, Message};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

const CLEAR: [usize; 5] = [16, 256, 1024, 16 * 1024, 64 * 1024];
const SEALED: [usize; 4] = [64, 1024, 16 * 1024, 64 * 1024];

/// Messages to one measured call: about as many octets as a session reads or writes at once.
fn messages(size: usize) -> usize {
    (128 * 1024 / size).clamp(2, 512)
}

fn counted<'a, 'b>(bencher: Bencher<'a, 'b>, size: usize) -> Bencher<'a, 'b> {
    let messages = messages(size);
    let octets = BytesCount::new(size * messages);
    bencher.counter(ItemsCount::new(messages)).counter(octets)
}

/// Octets that were read become messages.
#[divan::bench(args = CLEAR)]
fn frame_decode(bencher: Bencher<'_, '_>, size: usize) {
    let mut link = Link::null();
    let octets = link.send(batch(size, messages(size)));
    counted(bencher, size).bench_local(|| link.receive(&octets));
}

/// Messages become octets to write.
#[divan::bench(args = CLEAR)]
fn frame_encode(bencher: Bencher<'_, '_>, size: usize) {
    let mut link = Link::null();
    let message = Message::from(Bytes::from(vec![0x5a; size]));
    let mut backlog = Backlog::new();
    counted(bencher, size).bench_local(|| {
        for _ in 0..messages(size) {
            backlog.push(&message);
        }
        link.send_away(backlog.take())
    });
}

/// Framed messages become sealed octets to write.
#[divan::bench(args = SEALED)]
fn curve_seal(bencher: Bencher<'_, '_>, size: usize) {
    let mut link = Link::curve();
    counted(bencher, size)
        .with_inputs(|| batch(size, messages(size)))
        .bench_local_values(|backlog| link.send_away(backlog));
}

/// Sealed octets that were read become messages.
#[divan::bench(args = SEALED)]
fn curve_open(bencher: Bencher<'_, '_>, size: usize) {
    // Each box opens once: they are sealed one after the other and opened in this order.
    let [mut sender, mut receiver] = [Link::curve(), Link::curve()];
    counted(bencher, size)
        .with_inputs(|| sender.send(batch(size, messages(size))))
        .bench_local_values(|octets| receiver.receive(&octets));
}
