//! What happens on a socket's links, for whoever wants to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use curvelink_proto::{LinkEvent, LinkEventKind, LinkEvents};

use crate::mailbox::{Listeners, Mailbox};

/// A stream of one socket's [`LinkEvent`]s, from its making on.
///
/// A monitor that is not read never holds the socket up: it keeps the last 1024 events and
/// [`lost`](Self::lost) counts the others. It is for programs: it tells every event singly,
/// refusals too, however many there are. What an operator reads and keeps is
/// [`Context::events`](crate::Context::events), where a flood is few events. Every event also goes
/// to `tracing`, at DEBUG under the target `curvelink::link`. [`LinkEvent::libzmq`] gives the
/// numbers of libzmq's monitor.
#[derive(Debug)]
#[doc(alias = "zmq_socket_monitor")]
pub struct Monitor(Arc<Listener>);

#[derive(Debug)]
struct Listener {
    wanted: LinkEvents,
    events: Mailbox<LinkEvent>,
    lost: AtomicU64,
}

impl Monitor {
    /// The next event. Once the last clone of the socket is gone and its links have ended, it is
    /// [`LinkEventKind::MonitorStopped`], and then `None`.
    ///
    /// Cancel safe: an event is taken only by a call that returns it.
    pub async fn recv(&mut self) -> Option<LinkEvent> {
        self.0.events.recv().await
    }

    /// The next event, if one waits.
    pub fn try_recv(&mut self) -> Option<LinkEvent> {
        self.0.events.try_recv()
    }

    /// How many events were lost because nobody read them in time.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

impl Listener {
    fn tell(&self, event: &LinkEvent) {
        if self.wanted.contains(&event.kind) && self.events.push(event.clone()).is_some() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The monitors of one socket.
#[derive(Debug, Default)]
pub(crate) struct Monitors(Listeners<Listener>);

impl Monitors {
    pub(crate) fn subscribe(&self, wanted: LinkEvents) -> Monitor {
        let listener = Arc::new(Listener {
            wanted,
            events: Mailbox::new(),
            lost: AtomicU64::new(0),
        });
        self.0.add(&listener);
        Monitor(listener)
    }

    pub(crate) fn emit(&self, event: &LinkEvent) {
        for listener in self.0.all() {
            listener.tell(event);
        }
    }
}

impl Drop for Monitors {
    fn drop(&mut self) {
        let last = LinkEvent::new(Arc::from(""), None, LinkEventKind::MonitorStopped);
        for listener in self.0.all() {
            listener.tell(&last);
            listener.events.close();
        }
    }
}
