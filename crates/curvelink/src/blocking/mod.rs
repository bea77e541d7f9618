//! The same sockets for programs without a runtime: every call waits by parking its thread.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use curvelink::{Context, Options, Pull, Push, blocking};
//!
//! let context = Context::with_io_threads(1)?;
//! let pull = blocking::Socket::new(context.socket::<Pull>(Options::new()));
//! let endpoint = pull.bind("tcp://127.0.0.1:*")?;
//! let push = blocking::Socket::new(context.socket::<Push>(Options::new()));
//! push.connect(&endpoint.to_string())?;
//! push.send("hello")?;
//! assert_eq!(pull.recv()?.first().unwrap(), b"hello");
//! # Ok(()) }
//! ```
//!
//! Every async call has its counterpart here. What it does and how it fails is the same; the options
//! `send_timeout` and `recv_timeout` hold, and where waiting for ever makes no sense there is a
//! timeout to give.
//!
//! # Not in async code
//! A thread that waits here polls nothing else. On a worker of an async runtime that holds its tasks
//! up, and if the context was made in that runtime, whose only thread it may be, the sessions that
//! are waited for are among them: then it waits for ever. Make the context with
//! [`Context::with_io_threads`](crate::Context::with_io_threads), or wait in
//! `tokio::task::spawn_blocking`.

mod socket;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use curvelink_proto::LinkEvent;

pub use self::socket::{AnySocket, Socket};
use crate::monitor::Monitor;
use crate::poller::{Event, Poller};
use crate::proxy::{Proxy, ProxyError};
use crate::sync::later;

/// The next event of a monitor; `None` when the socket is closed or `timeout` has passed.
pub fn next_event(monitor: &mut Monitor, timeout: Duration) -> Option<LinkEvent> {
    wait(monitor.recv(), Some(later(timeout))).flatten()
}

/// Waits until something is ready, at most `timeout`; see [`Poller::wait`]. Nothing once the time
/// has passed; `None` waits for ever.
#[doc(alias = "zmq_poll")]
pub fn poll<T: Clone + PartialEq>(
    poller: &mut Poller<T>,
    timeout: Option<Duration>,
) -> Vec<Event<T>> {
    let deadline = timeout.map(later);
    loop {
        let ends = poller.ends(deadline);
        if let Some(events) = wait(poller.ready(), ends) {
            return events;
        }
        let events = poller.try_wait();
        if !events.is_empty() || ends == deadline {
            return events;
        }
    }
}

/// Passes messages until the proxy is terminated; see [`Proxy::run`].
///
/// # Errors
/// [`ProxyError::Closed`].
#[doc(alias = "zmq_proxy")]
pub fn run_proxy(proxy: &mut Proxy) -> Result<(), ProxyError> {
    wait(proxy.run(), None).unwrap_or(Err(ProxyError::Closed))
}

/// Closes a context's sockets and waits until what they accepted is written.
pub fn shutdown(context: &crate::Context) {
    wait(context.shutdown(), None);
}

/// Closes a context's sockets and waits until what they accepted is written, at most `timeout`;
/// whether all ended in time. What did not goes on, each at most for its linger time.
#[must_use]
pub fn shutdown_timeout(context: &crate::Context, timeout: Duration) -> bool {
    wait(context.shutdown(), Some(later(timeout))).is_some()
}

thread_local! {
    /// One for all waits of a thread: most calls find what they want and never park.
    static UNPARK: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

/// Polls a future on this thread, parked in between; `None` once the deadline has passed.
pub(crate) fn wait<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    // Where thread-locals are gone already, a waker for this wait alone does as well.
    let waker = UNPARK.try_with(Waker::clone);
    let waker = waker.unwrap_or_else(|_| Arc::new(Unpark(thread::current())).into());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                let left = deadline.checked_duration_since(Instant::now())?;
                thread::park_timeout(left);
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
