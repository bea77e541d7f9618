//! What waits for whoever listens to events: bounded, and never in the way of who tells them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use crate::sync::lock;

/// Most events that wait for one listener; the oldest go first.
pub(crate) const MAX_EVENTS: usize = 1024;

/// Where events wait.
#[derive(Debug)]
pub(crate) struct Mailbox<T>(Mutex<Queue<T>>);

#[derive(Debug)]
struct Queue<T> {
    events: VecDeque<T>,
    closed: bool,
    waker: Option<Waker>,
}

impl<T> Mailbox<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Queue {
            events: VecDeque::new(),
            closed: false,
            waker: None,
        }))
    }

    /// The next event; `None` once it is closed and empty. Cancel safe.
    pub(crate) async fn recv(&self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&self, cx: &Context<'_>) -> Poll<Option<T>> {
        let mut queue = lock(&self.0);
        match queue.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.closed => Poll::Ready(None),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(crate) fn try_recv(&self) -> Option<T> {
        lock(&self.0).events.pop_front()
    }

    /// Adds an event and wakes who waits for it; the event that had to go for it.
    pub(crate) fn push(&self, event: T) -> Option<T> {
        let mut queue = lock(&self.0);
        let full = queue.events.len() >= MAX_EVENTS;
        let lost = full.then(|| queue.events.pop_front()).flatten();
        queue.events.push_back(event);
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        lost
    }

    /// Nothing comes any more.
    pub(crate) fn close(&self) {
        let mut queue = lock(&self.0);
        queue.closed = true;
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Who listens. Who listens no more is forgotten when the next event comes.
#[derive(Debug)]
pub(crate) struct Listeners<T>(Mutex<Vec<Weak<T>>>);

impl<T> Default for Listeners<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Listeners<T> {
    pub(crate) fn add(&self, listener: &Arc<T>) {
        lock(&self.0).push(Arc::downgrade(listener));
    }

    /// Those who listen now. Nothing is called under the lock.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        let mut all = Vec::new();
        lock(&self.0).retain(|listener| {
            let listener = listener.upgrade();
            let is_there = listener.is_some();
            all.extend(listener);
            is_there
        });
        all
    }
}
