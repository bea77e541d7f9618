//! What a socket has bound and connected.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use curvelink_proto::{Endpoint, LinkEventKind};

use crate::pipe::{Outgoing, PipeId};
use crate::socket::core::Core;

/// What a socket has bound and connected at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoints {
    /// Bound, as the system chose them: wildcards are filled in.
    pub bound: Vec<Endpoint>,
    /// Connected, whether or not a connection is up.
    pub connected: Vec<Endpoint>,
}

/// The endpoints of a socket, in the order they were added.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: Vec<Entry>,
    last: Option<Endpoint>,
    /// Connections that came to us and are not ready.
    handshakes: Vec<Weak<Outgoing>>,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    /// As the application wrote it.
    asked: Endpoint,
    /// As it is: wildcards are filled in.
    endpoint: Endpoint,
    work: Work,
}

/// What goes on for an endpoint.
#[derive(Debug)]
pub(crate) enum Work {
    /// A listener: aborting the task closes it.
    Listener(tokio::task::AbortHandle),
    /// A name of the context's, freed by the socket that holds it.
    Name,
    /// A dialling task, told through its queue.
    Dial {
        outgoing: Arc<Outgoing>,
        /// The endpoint was disconnected, and not the socket closed.
        disconnected: Arc<AtomicBool>,
    },
    /// An inproc connection.
    Inproc(PipeId),
}

impl Work {
    const fn is_bound(&self) -> bool {
        matches!(self, Self::Listener(_) | Self::Name)
    }
}

impl Book {
    /// Adds an endpoint, as it was asked for and as it is; gives the work back if the socket is
    /// closed already.
    pub(crate) fn add(
        &mut self,
        asked: &Endpoint,
        endpoint: &Endpoint,
        work: Work,
    ) -> Result<(), Work> {
        if self.closed {
            return Err(work);
        }
        self.last = Some(endpoint.clone());
        self.entries.push(Entry {
            asked: asked.clone(),
            endpoint: endpoint.clone(),
            work,
        });
        Ok(())
    }

    /// Takes the newest entry of an endpoint, bound or connected, by either of its names. What a
    /// wildcard stands for is known by its own name only.
    pub(crate) fn remove(&mut self, named: &Endpoint, bound: bool) -> Option<(Endpoint, Work)> {
        let is = |entry: &Entry| {
            entry.endpoint == *named || entry.asked == *named && !is_wildcard(named)
        };
        let index = self
            .entries
            .iter()
            .rposition(|entry| is(entry) && entry.work.is_bound() == bound)?;
        let entry = self.entries.remove(index);
        Some((entry.endpoint, entry.work))
    }

    /// Forgets an endpoint to which nobody dials any more.
    pub(crate) fn forget(&mut self, queue: &Arc<Outgoing>) {
        let is = |work: &Work| matches!(work, Work::Dial { outgoing, .. } if Arc::ptr_eq(outgoing, queue));
        self.entries.retain(|entry| !is(&entry.work));
    }

    pub(crate) fn last(&self) -> Option<Endpoint> {
        self.last.clone()
    }

    pub(crate) fn endpoints(&self) -> Endpoints {
        let of = |bound| {
            let entries = self.entries.iter();
            let its = entries.filter(move |entry| entry.work.is_bound() == bound);
            its.map(|entry| entry.endpoint.clone()).collect()
        };
        Endpoints {
            bound: of(true),
            connected: of(false),
        }
    }

    /// Notes a connection that came to us, so that closing the socket ends it before it is ready.
    pub(crate) fn add_handshake(&mut self, outgoing: &Arc<Outgoing>) {
        if self.closed {
            outgoing.close(Instant::now());
        }
        self.handshakes
            .retain(|outgoing| outgoing.strong_count() > 0);
        self.handshakes.push(Arc::downgrade(outgoing));
    }

    pub(crate) fn end_handshake(&mut self, outgoing: &Arc<Outgoing>) {
        self.handshakes
            .retain(|known| !std::ptr::eq(known.as_ptr(), Arc::as_ptr(outgoing)));
    }

    /// Ends the connections that came to us and are not ready; gives what is to be stopped.
    pub(crate) fn close(&mut self) -> Vec<(Endpoint, Work)> {
        self.closed = true;
        for outgoing in self.handshakes.iter().filter_map(Weak::upgrade) {
            outgoing.close(Instant::now());
        }
        let entries = self.entries.drain(..);
        entries.map(|entry| (entry.endpoint, entry.work)).collect()
    }
}

/// Whether the system chooses what the endpoint becomes.
fn is_wildcard(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Tcp { port, .. } => *port == 0,
        Endpoint::Ipc(path) => path == "*",
        _ => false,
    }
}

impl Work {
    /// Ends what goes on because the application said so of this endpoint.
    pub(crate) fn disconnect(self, core: &Core, endpoint: &Endpoint, deadline: Instant) {
        if let Self::Dial { disconnected, .. } = &self {
            disconnected.store(true, Ordering::Relaxed);
        }
        self.stop(core, endpoint, deadline);
    }

    /// Ends what goes on: a connection's waiting messages have until `deadline`.
    pub(crate) fn stop(self, core: &Core, endpoint: &Endpoint, deadline: Instant) {
        let name = endpoint.to_string();
        core.shared.names.leave(&name, core, &self);
        match self {
            Self::Listener(task) => task.abort(),
            Self::Name => core.emit(&name.into(), None, LinkEventKind::Closed),
            Self::Dial { outgoing, .. } => outgoing.close(deadline),
            Self::Inproc(pipe) => core.detach(pipe),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn an_endpoint_is_known_as_it_was_asked_for_and_as_it_is_but_not_as_a_wildcard() {
        let mut book = Book::default();
        for (asked, is) in [
            ("tcp://*:5", "tcp://0.0.0.0:5"),
            ("tcp://*:0", "tcp://0.0.0.0:7"),
            ("ipc://*", "ipc:///tmp/x"),
        ] {
            book.add(&endpoint(asked), &endpoint(is), Work::Name)
                .unwrap();
        }
        assert_eq!(book.last(), Some(endpoint("ipc:///tmp/x")));
        for (named, known) in [
            ("tcp://*:0", false),
            ("ipc://*", false),
            ("tcp://*:6", false),
            ("tcp://*:5", true),
            ("tcp://0.0.0.0:5", false),
            ("tcp://0.0.0.0:7", true),
            ("ipc:///tmp/x", true),
        ] {
            let removed = book.remove(&endpoint(named), true);
            assert_eq!(removed.is_some(), known, "{named}");
            assert!(book.remove(&endpoint(named), false).is_none());
        }
        assert_eq!(book.endpoints(), Endpoints::default());
        assert_eq!(book.last(), Some(endpoint("ipc:///tmp/x")), "it stays");
    }
}
