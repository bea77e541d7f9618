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

use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use curvelink_proto::{Frame, LinkEvent, Message};

use crate::error::{RecvError, SendError};
use crate::monitor::Monitor;
use crate::poller::{Event, Poller};
use crate::proxy::{Proxy, ProxyError};
use crate::socket::{Kind, Publishes, Receives, Sends};
use crate::sync::later;

/// A socket whose `send` and `recv` block the calling thread; everything else is the
/// [`Socket`](crate::Socket) inside.
///
/// Not for threads of an async runtime: a blocked worker serves nobody.
#[derive(Clone, Debug)]
pub struct Socket<K>(crate::Socket<K>);

impl<K: Kind> Socket<K> {
    /// Wraps a socket. Both faces are one socket and can be used side by side.
    #[must_use]
    pub const fn new(socket: crate::Socket<K>) -> Self {
        Self(socket)
    }
}

impl<K> Deref for Socket<K> {
    type Target = crate::Socket<K>;

    fn deref(&self) -> &crate::Socket<K> {
        &self.0
    }
}

impl<K: Sends> Socket<K> {
    /// See [`AnySocket::send`](crate::AnySocket::send).
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::TimedOut`] after the option `send_timeout`.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        wait(self.0.send(message), None).unwrap_or(Err(SendError::TimedOut))
    }
}

impl<K: Receives> Socket<K> {
    /// See [`AnySocket::recv`](crate::AnySocket::recv).
    ///
    /// # Errors
    /// [`RecvError`]; [`RecvError::TimedOut`] after the option `recv_timeout`.
    pub fn recv(&self) -> Result<Message, RecvError> {
        wait(self.0.recv(), None).unwrap_or(Err(RecvError::TimedOut))
    }
}

impl<K: Publishes> Socket<K> {
    /// Waits until `count` peers would receive `topic`; whether they came within `timeout`.
    #[must_use]
    pub fn wait_for_subscribers(
        &self,
        topic: impl Into<Frame>,
        count: usize,
        timeout: Duration,
    ) -> bool {
        let deadline = later(timeout);
        wait(self.0.wait_for_subscribers(topic, count), Some(deadline)).is_some()
    }
}

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

/// Polls a future on this thread, parked in between; `None` once the deadline has passed.
pub(crate) fn wait<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
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
