//! Futures that are polled by hand, and dropped when the test says so.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Polls once, waking nobody.
pub fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Polls a future so many times, then drops it.
pub fn poll_at_most<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    (0..polls).find_map(|_| poll_once(future.as_mut()))
}
