//! What a socket has bound and connected.

use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::pipe::Outgoing;
use crate::socket::core::Core;

/// The endpoints of a socket, in the order they were added.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: Vec<Entry>,
    /// Connections that came to us and are not ready.
    handshakes: Vec<Weak<Outgoing>>,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    endpoint: String,
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
    Dial(Arc<Outgoing>),
    /// An inproc connection.
    Inproc(crate::pipe::PipeId),
}

impl Work {
    const fn is_bound(&self) -> bool {
        matches!(self, Self::Listener(_) | Self::Name)
    }
}

impl Book {
    /// Adds an endpoint; gives the work back if the socket is closed already.
    pub(crate) fn add(&mut self, endpoint: String, work: Work) -> Result<(), Work> {
        if self.closed {
            return Err(work);
        }
        self.entries.push(Entry { endpoint, work });
        Ok(())
    }

    /// Takes the newest entry of an endpoint, bound or connected.
    pub(crate) fn remove(&mut self, endpoint: &str, bound: bool) -> Option<Work> {
        let index = self
            .entries
            .iter()
            .rposition(|entry| entry.endpoint == endpoint && entry.work.is_bound() == bound)?;
        Some(self.entries.remove(index).work)
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
    pub(crate) fn close(&mut self) -> Vec<(String, Work)> {
        self.closed = true;
        for outgoing in self.handshakes.iter().filter_map(Weak::upgrade) {
            outgoing.close(Instant::now());
        }
        let entries = self.entries.drain(..);
        entries.map(|entry| (entry.endpoint, entry.work)).collect()
    }
}

impl Work {
    /// Ends what goes on: a connection's waiting messages have until `deadline`.
    pub(crate) fn stop(self, core: &Core, endpoint: &str, deadline: Instant) {
        core.shared.names.leave(endpoint, core, &self);
        match self {
            Self::Listener(task) => task.abort(),
            Self::Name => {}
            Self::Dial(outgoing) => outgoing.close(deadline),
            Self::Inproc(pipe) => core.detach(pipe),
        }
    }
}
