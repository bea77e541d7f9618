//! Frames to octets and octets to frames, in clear and sealed: one connection on one core, without
//! a network.

use std::fmt;

use bytes::Bytes;
use curvelink_bench::{Link, batch};
use curvelink_proto::{Backlog, CurveBackend, Message};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

const CLEAR: [usize; 5] = [16, 256, 1024, 16 * 1024, 64 * 1024];

/// A size under one of the backends.
#[derive(Clone, Copy)]
struct Sealed {
    backend: CurveBackend,
    size: usize,
}

impl Sealed {
    fn all() -> impl Iterator<Item = Self> {
        let sizes = [64, 1024, 16 * 1024, 64 * 1024].into_iter();
        sizes.flat_map(|size| {
            let backends = CurveBackend::ALL.iter().copied();
            backends.map(move |backend| Self { backend, size })
        })
    }

    /// Framed messages, ready to be sealed.
    fn batch(self) -> Backlog {
        batch(self.size, messages(self.size))
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.size, self.backend)
    }
}

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
#[divan::bench(args = Sealed::all())]
fn curve_seal(bencher: Bencher<'_, '_>, sealed: Sealed) {
    let mut link = Link::curve(sealed.backend);
    counted(bencher, sealed.size)
        .with_inputs(|| sealed.batch())
        .bench_local_values(|backlog| link.send_away(backlog));
}

/// Sealed octets that were read become messages.
#[divan::bench(args = Sealed::all())]
fn curve_open(bencher: Bencher<'_, '_>, sealed: Sealed) {
    // Each box opens once: they are sealed one after the other and opened in this order.
    let [mut sender, mut receiver] = [(); 2].map(|()| Link::curve(sealed.backend));
    counted(bencher, sealed.size)
        .with_inputs(|| sender.send(sealed.batch()))
        .bench_local_values(|octets| receiver.receive(&octets));
}
