//! What touching a socket causes elsewhere.

use std::sync::{Arc, Weak};
use std::task::Waker;

use super::Core;
use crate::pipe::{Outgoing, PipeId};

/// What is done after the socket's lock is released: it touches other sockets, or runs wakers.
#[derive(Debug)]
pub(crate) enum Effect {
    Wake(Waker),
    Readable(Weak<Core>, PipeId),
    Writable(Weak<Core>, PipeId),
    /// An inproc peer subscribed, or cancelled.
    Subscriptions(Weak<Core>, PipeId),
    /// An inproc peer has gone.
    Ended(Weak<Core>, PipeId),
    /// An idle link has a message to write.
    Drive(Arc<Outgoing>),
}

impl Effect {
    pub(super) fn run(self) {
        match self {
            Self::Wake(waker) => waker.wake(),
            Self::Drive(outgoing) => outgoing.drive(),
            Self::Readable(core, pipe) => {
                if let Some(core) = core.upgrade() {
                    core.readable(pipe);
                }
            }
            Self::Writable(core, pipe) => {
                if let Some(core) = core.upgrade() {
                    core.writable(pipe);
                }
            }
            Self::Subscriptions(core, pipe) => {
                if let Some(core) = core.upgrade() {
                    core.inproc_subscriptions(pipe);
                }
            }
            Self::Ended(core, pipe) => {
                if let Some(core) = core.upgrade() {
                    core.lost(pipe);
                }
            }
        }
    }
}
