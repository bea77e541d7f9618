//! Steps of a handshake that cost scalar multiplications, run where they hold up no I/O.

use std::future::{pending, poll_fn};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{LinkEnd, Session};
use crate::pipe::Outgoing;

impl Session {
    /// Runs the handshake's next step on the blocking pool, once one of the context's work slots is
    /// free. The handshake's deadline goes on meanwhile.
    pub(super) async fn work(mut self: Box<Self>) -> (Box<Self>, Result<(), LinkEnd>) {
        // All of its greeting is here: from now on it waits for us, and not we for it.
        if let Err(end) = self.keep_slot() {
            return (self, Err(end));
        }
        let slots = self.core.shared.work.clone();
        let deadline = self.engine.poll_timeout();
        let Some(slot) = slot(slots, deadline, self.queues.outgoing.clone()).await else {
            let late = self.engine.handle_timeout(Instant::now());
            let end = late.err().map_or(LinkEnd::Closed, LinkEnd::Protocol);
            return (self, Err(end));
        };
        let runtime = self.core.shared.runtime.clone();
        let step = runtime.spawn_blocking(move || {
            let result = self.engine.handle_input(Instant::now());
            drop(slot);
            (self, result)
        });
        match step.await {
            Ok((mut session, result)) => {
                let result = session.heed(result);
                (session, result)
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime ends, and this task with it.
                Err(_) => pending().await,
            },
        }
    }
}

/// A work slot; `None` once the deadline has passed, or the socket is closed and lingering over.
async fn slot(
    slots: Arc<Semaphore>,
    deadline: Option<Instant>,
    outgoing: Arc<Outgoing>,
) -> Option<OwnedSemaphorePermit> {
    let closed = async {
        let end = poll_fn(|cx| outgoing.poll_closing(cx)).await;
        at(Some(end)).await;
    };
    tokio::select! {
        biased;
        slot = slots.acquire_owned() => slot.ok(),
        () = at(deadline) => None,
        () = closed => None,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => pending().await,
    }
}
