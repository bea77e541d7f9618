//! How many times something has changed, and who waits for the next time.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: u64,
    last_waiter: u64,
    waiters: HashMap<u64, Waker>,
}

impl Changes {
    /// One change more.
    pub(crate) fn tell(&self) {
        let waiters = {
            let mut inner = self.lock();
            inner.count += 1;
            std::mem::take(&mut inner.waiters)
        };
        waiters.into_values().for_each(Waker::wake);
    }

    /// Resolves with the number of changes once there are more than `seen`.
    pub(crate) fn after(&self, seen: u64) -> After<'_> {
        After {
            changes: self,
            seen,
            waiter: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What it guards is written whole: a panic elsewhere cannot have left it half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct After<'a> {
    changes: &'a Changes,
    seen: u64,
    waiter: Option<u64>,
}

impl Future for After<'_> {
    type Output = u64;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        let mut inner = self.changes.lock();
        if inner.count > self.seen {
            return Poll::Ready(inner.count);
        }
        inner.last_waiter += 1;
        let waiter = self.waiter.unwrap_or(inner.last_waiter);
        inner.waiters.insert(waiter, cx.waker().clone());
        drop(inner);
        self.waiter = Some(waiter);
        Poll::Pending
    }
}

/// Who no longer waits is forgotten.
impl Drop for After<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            self.changes.lock().waiters.remove(&waiter);
        }
    }
}
