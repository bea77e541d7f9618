//! One thing that is watched.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::event::{Event, Interest};
use crate::socket::core::{Closed, Core};
use crate::socket::waiters::Interest as Wanted;

pub(super) struct Entry<T> {
    pub(super) token: T,
    pub(super) interest: Interest,
    source: Source,
}

enum Source {
    Socket {
        core: Arc<Core>,
        /// The places among the socket's waiters.
        reads: Option<u64>,
        writes: Option<u64>,
    },
    #[cfg(unix)]
    Fd(super::fd::Watched),
}

impl<T: Clone> Entry<T> {
    pub(super) const fn socket(core: Arc<Core>, interest: Interest, token: T) -> Self {
        let source = Source::Socket {
            core,
            reads: None,
            writes: None,
        };
        Self {
            token,
            interest,
            source,
        }
    }

    #[cfg(unix)]
    pub(super) const fn fd(watched: super::fd::Watched, interest: Interest, token: T) -> Self {
        Self {
            token,
            interest,
            source: Source::Fd(watched),
        }
    }

    /// Whether it is ready. If not, and with `cx`, that is woken once it may be.
    pub(super) fn event(&mut self, cx: Option<&mut Context<'_>>) -> Option<Event<T>> {
        let mut event = Event::nothing(self.token.clone());
        match &mut self.source {
            Source::Socket {
                core,
                reads,
                writes,
            } => {
                let mut look = |wanted, waiter: &mut Option<u64>| {
                    ready(core, wanted, waiter, cx.as_deref()).unwrap_or_else(|Closed| {
                        event.closed = true;
                        false
                    })
                };
                let readable = self.interest.reads() && look(Wanted::Message, reads);
                let writable = self.interest.writes() && look(Wanted::Room, writes);
                (event.readable, event.writable) = (readable, writable);
            }
            #[cfg(unix)]
            Source::Fd(watched) => {
                let mut noop = Context::from_waker(Waker::noop());
                let cx = cx.unwrap_or(&mut noop);
                watched.look(self.interest, cx, &mut event);
            }
        }
        event.says_something().then_some(event)
    }
}

impl<T> Entry<T> {
    /// Takes the wakers back that wait.
    pub(super) fn forget(&mut self) {
        if let Source::Socket {
            core,
            reads,
            writes,
        } = &mut self.source
        {
            core.forget_waiter(reads.take());
            core.forget_waiter(writes.take());
        }
    }

    /// Watches a descriptor anew that was told as ready; whether it is a descriptor.
    pub(super) fn renew(&mut self) -> bool {
        match &mut self.source {
            Source::Socket { .. } => false,
            #[cfg(unix)]
            Source::Fd(watched) => {
                watched.renew();
                true
            }
        }
    }
}

fn ready(
    core: &Core,
    wanted: Wanted,
    waiter: &mut Option<u64>,
    cx: Option<&Context<'_>>,
) -> Result<bool, Closed> {
    let Some(cx) = cx else {
        return core.is_ready(wanted);
    };
    match core.poll_ready(wanted, waiter, cx) {
        Poll::Ready(ready) => ready.map(|()| true),
        Poll::Pending => Ok(false),
    }
}

impl<T: fmt::Debug> fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("token", &self.token)
            .field("interest", &self.interest)
            .finish_non_exhaustive()
    }
}
