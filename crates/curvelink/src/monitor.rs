//! What happens on a socket's links, for whoever wants to know.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use curvelink_proto::{LinkEvent, LinkEventKind};

use crate::sync::lock;

/// Most events that wait for a monitor; the oldest go first.
const MAX_EVENTS: usize = 1024;

/// A stream of one socket's [`LinkEvent`]s, from its making on.
///
/// A monitor that is not read never holds the socket up: it keeps the last 1024 events and
/// [`lost`](Self::lost) counts the others. Every event also goes to `tracing`, under the target
/// `curvelink::link`.
#[derive(Debug)]
pub struct Monitor(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<LinkEvent>,
    lost: u64,
    closed: bool,
    waker: Option<Waker>,
}

impl Monitor {
    /// The next event; `None` once the last clone of the socket is gone, its links have ended and
    /// all was read.
    ///
    /// Cancel safe: an event is taken only by a call that returns it.
    pub async fn recv(&mut self) -> Option<LinkEvent> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&self, cx: &Context<'_>) -> Poll<Option<LinkEvent>> {
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

    /// The next event, if one waits.
    pub fn try_recv(&mut self) -> Option<LinkEvent> {
        lock(&self.0).events.pop_front()
    }

    /// How many events were lost because nobody read them in time.
    #[must_use]
    pub fn lost(&self) -> u64 {
        lock(&self.0).lost
    }
}

/// The monitors of one socket.
#[derive(Debug, Default)]
pub(crate) struct Monitors(Mutex<Vec<Weak<Mutex<Queue>>>>);

impl Monitors {
    pub(crate) fn subscribe(&self) -> Monitor {
        let queue = Arc::new(Mutex::new(Queue::default()));
        lock(&self.0).push(Arc::downgrade(&queue));
        Monitor(queue)
    }

    pub(crate) fn emit(&self, event: LinkEvent) {
        match &event.kind {
            LinkEventKind::Refused(_) | LinkEventKind::Denied { .. } => {
                tracing::warn!(target: "curvelink::link", id = event.kind.id(), "{event}");
            }
            kind => tracing::debug!(target: "curvelink::link", id = kind.id(), "{event}"),
        }
        lock(&self.0).retain(|queue| match queue.upgrade() {
            None => false,
            Some(queue) => {
                add(&queue, event.clone());
                true
            }
        });
    }
}

fn add(queue: &Mutex<Queue>, event: LinkEvent) {
    let mut queue = lock(queue);
    if queue.events.len() == MAX_EVENTS {
        queue.events.pop_front();
        queue.lost += 1;
    }
    queue.events.push_back(event);
    if let Some(waker) = queue.waker.take() {
        drop(queue);
        waker.wake();
    }
}

impl Drop for Monitors {
    fn drop(&mut self) {
        for queue in lock(&self.0).iter().filter_map(Weak::upgrade) {
            let mut queue = lock(&queue);
            queue.closed = true;
            if let Some(waker) = queue.waker.take() {
                waker.wake();
            }
        }
    }
}
