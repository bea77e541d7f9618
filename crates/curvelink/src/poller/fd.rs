//! File descriptors, level-triggered.
#![cfg(unix)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use tokio::io::Interest as Changes;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use super::event::{Event, Interest};

/// A descriptor as the runtime watches it. The runtime tells of changes only: one that was told as
/// ready is watched anew before the next wait, and told again if it still is.
#[derive(Debug)]
pub(super) struct Watched {
    runtime: Handle,
    /// `None` once it cannot be watched any more.
    watch: Option<AsyncFd<OwnedFd>>,
    told: bool,
}

impl Watched {
    pub(super) fn new(runtime: &Handle, fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self {
            watch: Some(watch(runtime, fd.try_clone_to_owned()?)?),
            runtime: runtime.clone(),
            told: false,
        })
    }

    /// Notes in `event` what the descriptor is ready for; if for nothing, `cx` is woken once it is.
    pub(super) fn look<T>(
        &mut self,
        interest: Interest,
        cx: &mut Context<'_>,
        event: &mut Event<T>,
    ) {
        let Some(watch) = &self.watch else {
            event.closed = true;
            return;
        };
        if interest.reads() {
            event.readable = seen(watch.poll_read_ready(cx), &mut event.closed);
        }
        if interest.writes() {
            event.writable = seen(watch.poll_write_ready(cx), &mut event.closed);
        }
        self.told |= event.readable || event.writable;
    }

    /// Watches anew what was told as ready.
    pub(super) fn renew(&mut self) {
        if std::mem::take(&mut self.told) {
            let fd = self.watch.take().map(AsyncFd::into_inner);
            self.watch = fd.and_then(|fd| watch(&self.runtime, fd).ok());
        }
    }
}

#[allow(
    deprecated,
    reason = "an OwnedFd stays open and the same until it is dropped, which is all that the unsafe \
              successor asks for"
)]
fn watch(runtime: &Handle, fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    let _entered = runtime.enter();
    AsyncFd::with_interest(fd, Changes::READABLE | Changes::WRITABLE)
}

/// Whether it is ready; a runtime that ends watches nothing.
fn seen<G>(ready: Poll<io::Result<G>>, closed: &mut bool) -> bool {
    *closed |= matches!(ready, Poll::Ready(Err(_)));
    matches!(ready, Poll::Ready(Ok(_)))
}
