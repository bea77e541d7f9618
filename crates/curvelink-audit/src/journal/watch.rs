//! Who waits for the next checkpoint.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::Shared;

/// The checkpoints of an open journal: the newest first, then each that is signed.
///
/// Whoever is slow misses those between, which the newest covers. May be polled by any executor;
/// holds up neither the journal nor its end.
#[derive(Debug)]
pub struct Checkpoints {
    shared: Arc<Shared>,
    id: u64,
    /// The number of the one that was told last.
    told: u64,
}

impl Checkpoints {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let id = shared.lock().watch.enter();
        Self {
            shared,
            id,
            told: 0,
        }
    }

    /// The newest checkpoint that was not told yet, a signed note; waits for one. `None` once the
    /// journal is closed and the last was told.
    ///
    /// Cancel safe: what was not returned is told by the next call.
    pub async fn next(&mut self) -> Option<String> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<String>> {
        let mut queue = self.shared.lock();
        if queue.watch.number > self.told {
            self.told = queue.watch.number;
            return Poll::Ready(Some(queue.status.checkpoint.clone()));
        }
        if queue.watch.has_ended {
            return Poll::Ready(None);
        }
        let before = queue.watch.wakers.insert(self.id, cx.waker().clone());
        drop(queue);
        // After the lock: what a waker does when it is dropped is its own.
        drop(before);
        Poll::Pending
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        let waker = self.shared.lock().watch.wakers.remove(&self.id);
        // After the lock, as above.
        drop(waker);
    }
}

/// Which checkpoint is the newest, and who waits for the one after it.
#[derive(Debug)]
pub(super) struct Watch {
    /// Of the newest, counted since the journal was opened.
    number: u64,
    has_ended: bool,
    /// By watcher.
    wakers: BTreeMap<u64, Waker>,
    next_id: u64,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            number: 1,
            has_ended: false,
            wakers: BTreeMap::new(),
            next_id: 0,
        }
    }
}

impl Watch {
    fn enter(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// There is a newer one; gives those to wake.
    pub(super) fn advance(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.number += 1;
        std::mem::take(&mut self.wakers).into_values()
    }

    /// There will be none; gives those to wake.
    pub(super) fn end(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.has_ended = true;
        std::mem::take(&mut self.wakers).into_values()
    }
}
