//! What happens on a socket's links, for whoever wants to know.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use curvelink_proto::{LinkEvent, LinkEventKind, LinkEvents};

use crate::sync::lock;

/// Most events that wait for a monitor; the oldest go first.
const MAX_EVENTS: usize = 1024;

/// A stream of one socket's [`LinkEvent`]s, from its making on.
///
/// A monitor that is not read never holds the socket up: it keeps the last 1024 events and
/// [`lost`](Self::lost) counts the others. Every event also goes to `tracing`, under the target
/// `curvelink::link`. [`LinkEvent::libzmq`] gives the numbers of libzmq's monitor.
#[derive(Debug)]
#[doc(alias = "zmq_socket_monitor")]
pub struct Monitor(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    wanted: LinkEvents,
    events: VecDeque<LinkEvent>,
    lost: u64,
    closed: bool,
    waker: Option<Waker>,
}

impl Monitor {
    /// The next event. Once the last clone of the socket is gone and its links have ended, it is
    /// [`LinkEventKind::MonitorStopped`], and then `None`.
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
    pub(crate) fn subscribe(&self, wanted: LinkEvents) -> Monitor {
        let queue = Arc::new(Mutex::new(Queue {
            wanted,
            events: VecDeque::new(),
            lost: 0,
            closed: false,
            waker: None,
        }));
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
        let mut wakers = Vec::new();
        lock(&self.0).retain(|queue| {
            let queue = queue.upgrade();
            wakers.extend(queue.as_ref().and_then(|queue| lock(queue).add(&event)));
            queue.is_some()
        });
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Queue {
    /// Adds an event if it is wanted; who is to be woken for it.
    fn add(&mut self, event: &LinkEvent) -> Option<Waker> {
        if !self.wanted.contains(&event.kind) {
            return None;
        }
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
            self.lost += 1;
        }
        self.events.push_back(event.clone());
        self.waker.take()
    }

    /// Adds the last event; who is to be woken.
    fn close(&mut self) -> Option<Waker> {
        let last = LinkEvent::new(Arc::from(""), None, LinkEventKind::MonitorStopped);
        let waker = self.waker.take();
        self.closed = true;
        self.add(&last);
        waker
    }
}

impl Drop for Monitors {
    fn drop(&mut self) {
        let queues: Vec<_> = lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        let wakers = queues.iter().filter_map(|queue| lock(queue).close());
        wakers.for_each(Waker::wake);
    }
}
