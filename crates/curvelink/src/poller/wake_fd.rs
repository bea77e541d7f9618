//! A file descriptor for event loops that are not ours.
#![cfg(unix)]

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use super::entry::Entry;
use super::event::{Event, Interest};
use crate::socket::AnySocket;

/// A file descriptor that is readable when a socket may be ready: for event loops that know
/// descriptors only (libuv, glib, Qt, another language's).
///
/// The loop waits until it is readable and then calls [`events`](Self::events), which tells what the
/// socket is ready for; it never reads from the descriptor. Unlike with libzmq's, nothing is missed
/// by serving one message only: while the last `events` told something, the descriptor stays
/// readable. It costs two descriptors. Loops of Rust take [`Poller`](crate::Poller) or
/// [`readable`](AnySocket::readable).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use curvelink::{Context, Interest, Options, Poller, Pull, Push, WakeFd, blocking};
///
/// let context = Context::with_io_threads(1)?;
/// let pull = context.socket::<Pull>(Options::new());
/// pull.bind("inproc://foreign")?;
/// let push = context.socket::<Push>(Options::new());
/// push.connect("inproc://foreign")?;
/// let mut wake = WakeFd::new(&pull, Interest::Readable)?;
///
/// // In the place of the other loop: one that waits for the descriptor alone.
/// let mut other_loop = Poller::new(&context);
/// other_loop.add_fd(&wake, Interest::Readable, ())?;
/// push.try_send("x")?;
/// blocking::poll(&mut other_loop, None);
///
/// assert!(wake.events().is_readable());
/// assert_eq!(pull.try_recv()?.first().unwrap(), b"x");
/// assert!(!wake.events().is_readable());
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[doc(alias = "ZMQ_FD")]
pub struct WakeFd {
    entry: Entry<()>,
    read: UnixStream,
    bell: Arc<Bell>,
}

impl WakeFd {
    /// A descriptor for one socket. It does not keep the socket open: that it was closed is an
    /// event.
    ///
    /// # Errors
    /// [`io::Error`] when the process may not have more descriptors.
    pub fn new(socket: &impl AsRef<AnySocket>, interest: Interest) -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let mut made = Self {
            entry: Entry::socket(socket.as_ref().core().clone(), interest, ()),
            read,
            bell: Arc::new(Bell(write)),
        };
        made.events();
        Ok(made)
    }

    /// What the socket is ready for now, of what it is watched for. While that is nothing, the
    /// descriptor is not readable.
    #[doc(alias = "ZMQ_EVENTS")]
    pub fn events(&mut self) -> Event<()> {
        // First silence, then look: what comes in between rings again.
        while let Ok(1..) = (&self.read).read(&mut [0; 16]) {}
        let waker = Waker::from(self.bell.clone());
        let Some(event) = self.entry.event(Some(&mut Context::from_waker(&waker))) else {
            return Event::nothing(());
        };
        self.bell.ring();
        event
    }
}

impl Drop for WakeFd {
    fn drop(&mut self) {
        self.entry.forget();
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl AsRawFd for WakeFd {
    fn as_raw_fd(&self) -> RawFd {
        self.read.as_raw_fd()
    }
}

/// Makes the other end readable.
#[derive(Debug)]
struct Bell(UnixStream);

impl Bell {
    fn ring(&self) {
        // One that finds no room has rung before.
        let _full = (&self.0).write(&[1]);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}
