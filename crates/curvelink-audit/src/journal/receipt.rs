//! What whoever appended an entry waits for.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::error::AppendError;

/// Tells when an entry is written, as the journal's durability has it, and at which index.
///
/// Dropping it changes nothing: the entry is written all the same. It may be polled by any
/// executor, or waited for by a thread.
#[derive(Debug)]
pub struct Receipt(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    outcome: Option<Result<u64, AppendError>>,
    waker: Option<Waker>,
}

/// The other end: what is dropped without an outcome tells that the journal is closed.
#[derive(Debug)]
pub(crate) struct Promise(Arc<Mutex<Waiting>>);

/// A receipt and its promise.
pub(crate) fn pair() -> (Promise, Receipt) {
    let waiting = Arc::new(Mutex::new(Waiting::default()));
    (Promise(Arc::clone(&waiting)), Receipt(waiting))
}

impl Receipt {
    /// Waits on this thread: not for threads that drive sockets.
    ///
    /// # Errors
    ///
    /// [`AppendError`] when the entry is not in the journal.
    pub fn wait(self) -> Result<u64, AppendError> {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let (mut receipt, mut cx) = (pin!(self), Context::from_waker(&waker));
        loop {
            match receipt.as_mut().poll(&mut cx) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl Future for Receipt {
    type Output = Result<u64, AppendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut waiting = lock(&self.0);
        match waiting.outcome {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Promise {
    /// The first outcome counts.
    pub(crate) fn keep(&self, outcome: Result<u64, AppendError>) {
        let waker = {
            let mut waiting = lock(&self.0);
            waiting.outcome.get_or_insert(outcome);
            waiting.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.keep(Err(AppendError::Closed));
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    // What it guards is written whole: a panic elsewhere cannot have left it half-done.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
