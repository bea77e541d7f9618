//! What touching a socket causes elsewhere.

use std::sync::Weak;
use std::task::Waker;

use bytes::Bytes;

use super::Core;
use crate::pipe::PipeId;

/// What is done after the socket's lock is released: it touches other sockets, or runs wakers.
#[derive(Debug)]
pub(crate) enum Effect {
    Wake(Waker),
    Readable(Weak<Core>, PipeId),
    Writable(Weak<Core>, PipeId),
    Subscription(Weak<Core>, PipeId, bool, Bytes),
    /// An inproc peer has gone.
    Ended(Weak<Core>, PipeId),
}

impl Effect {
    pub(super) fn run(self) {
        match self {
            Self::Wake(waker) => waker.wake(),
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
            Self::Subscription(core, pipe, subscribe, prefix) => {
                if let Some(core) = core.upgrade() {
                    // An inproc peer is this process: no limit cuts it, its subscription is
                    // ignored beyond the limit.
                    let _ignored = core.subscription(pipe, subscribe, &prefix);
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
