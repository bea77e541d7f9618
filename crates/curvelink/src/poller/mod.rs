//! Waiting for many sockets, timers and file descriptors at once.

mod entry;
mod event;
mod fd;
mod wake_fd;

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use self::entry::Entry;
pub use self::event::{Event, Interest};
#[cfg(unix)]
pub use self::wake_fd::WakeFd;
use crate::context::Context as Home;
use crate::socket::AnySocket;
use crate::sync::later;
use crate::timers::Timers;

/// Waits until at least one of many sockets, timers and file descriptors is ready, and tells all
/// that are. Each is known by a token of the caller's: a number, an enum, a name.
///
/// It is level-triggered as `zmq_poll` is: nothing is taken, and what is ready and not served is
/// told again. Every wait looks at every entry, so a busy one hides none of the others, and their
/// order goes round. A wait costs one lock for each socket: thousands are better served by a task
/// each.
///
/// ```
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use curvelink::{Context, Interest, Options, Poller, Pull, Push};
///
/// #[derive(Clone, Debug, PartialEq)]
/// enum Token { Jobs, Results }
///
/// let context = Context::new()?;
/// let jobs = context.socket::<Pull>(Options::new());
/// jobs.bind("inproc://jobs")?;
/// let results = context.socket::<Pull>(Options::new());
/// results.bind("inproc://results")?;
/// let worker = context.socket::<Push>(Options::new());
/// worker.connect("inproc://results")?;
/// worker.send("done").await?;
///
/// let mut poller = Poller::new(&context);
/// poller.add(&jobs, Interest::Readable, Token::Jobs);
/// poller.add(&results, Interest::Readable, Token::Results);
/// for event in poller.wait().await {
///     match event.token() {
///         Token::Jobs => unreachable!("there are none"),
///         Token::Results => assert_eq!(results.try_recv()?.first().unwrap(), b"done"),
///     }
/// }
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
/// ```
///
/// For programs without a runtime there is [`blocking::poll`](crate::blocking::poll).
#[derive(Debug)]
#[doc(alias = "zmq_poll")]
#[doc(alias = "zmq_poller_new")]
pub struct Poller<T> {
    home: Home,
    entries: Vec<Entry<T>>,
    timers: Timers<T>,
    /// Which entry is asked first: the next one each time.
    first: usize,
}

impl<T: Clone + PartialEq> Poller<T> {
    /// A poller without entries. Timers and file descriptors are watched by the context's runtime;
    /// sockets may be of any context.
    #[must_use]
    pub fn new(context: &Home) -> Self {
        Self {
            home: context.clone(),
            entries: Vec::new(),
            timers: Timers::new(),
            first: 0,
        }
    }

    /// Watches a socket. Being watched does not keep it open: that it was closed is an event, told
    /// until [`remove`](Self::remove).
    #[doc(alias = "zmq_poller_add")]
    pub fn add(&mut self, socket: &impl AsRef<AnySocket>, interest: Interest, token: T) {
        let core = socket.as_ref().core().clone();
        self.entries.push(Entry::socket(core, interest, token));
    }

    /// Watches a file descriptor: a socket of another library, a pipe, a terminal; not a regular
    /// file. A duplicate is watched, so the caller's may be closed first; nothing is read, and
    /// whether it blocks stays the caller's affair.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::io::{Read, Write};
    /// use curvelink::{Context, Interest, Poller, blocking};
    ///
    /// let (mut reader, mut writer) = std::io::pipe()?;
    /// let mut poller = Poller::new(&Context::new()?);
    /// poller.add_fd(&reader, Interest::Readable, "pipe")?;
    /// writer.write_all(b"x")?;
    /// let events = blocking::poll(&mut poller, None);
    /// assert!(events[0].is_readable());
    /// reader.read_exact(&mut [0])?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`io::Error`](std::io::Error) when the descriptor cannot be watched: regular files cannot, nor can more
    /// descriptors than the process may have.
    #[cfg(unix)]
    #[doc(alias = "zmq_poller_add_fd")]
    pub fn add_fd(
        &mut self,
        fd: &impl std::os::fd::AsFd,
        interest: Interest,
        token: T,
    ) -> std::io::Result<()> {
        let watched = fd::Watched::new(&self.home.0.shared.runtime, fd.as_fd())?;
        self.entries.push(Entry::fd(watched, interest, token));
        Ok(())
    }

    /// A timer that is due after every `interval`; see [`Timers`] for what a late loop finds.
    #[doc(alias = "zmq_timers_add")]
    pub fn add_timer(&mut self, interval: Duration, token: T) {
        self.timers.add(interval, token);
    }

    /// Watches the sockets and descriptors of a token for something else from now on; `false` if
    /// there are none.
    #[doc(alias = "zmq_poller_modify")]
    pub fn modify(&mut self, token: &T, interest: Interest) -> bool {
        let mut found = false;
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.token == *token)
        {
            entry.interest = interest;
            found = true;
        }
        found
    }

    /// Ends watching what has this token; `false` if nothing has.
    #[doc(alias = "zmq_poller_remove")]
    pub fn remove(&mut self, token: &T) -> bool {
        let before = self.len();
        self.entries.retain(|entry| entry.token != *token);
        self.timers.retain(|timer| timer != token);
        self.len() < before
    }

    /// How many sockets, descriptors and timers are watched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() + self.timers.len()
    }

    /// Whether nothing is watched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until something is ready; all that is. Without entries: nothing, at once.
    ///
    /// # Cancel safety
    /// Nothing is taken, and a timer is told only by a future that becomes ready.
    pub async fn wait(&mut self) -> Vec<Event<T>> {
        self.wait_until(None).await
    }

    /// Waits until something is ready, at most this long; nothing once the time has passed.
    ///
    /// # Cancel safety
    /// As [`wait`](Self::wait).
    pub async fn wait_timeout(&mut self, timeout: Duration) -> Vec<Event<T>> {
        self.wait_until(Some(later(timeout))).await
    }

    /// What is ready now. Of a file descriptor it is what the context's runtime has seen so far,
    /// which after [`add_fd`](Self::add_fd), or after it was told as ready, takes it a moment.
    pub fn try_wait(&mut self) -> Vec<Event<T>> {
        self.renew();
        self.collect(None)
    }

    async fn wait_until(&mut self, deadline: Option<Instant>) -> Vec<Event<T>> {
        loop {
            let ends = self.ends(deadline);
            let runtime = self.home.0.shared.runtime.clone();
            let ready = self.ready();
            let Some(at) = ends else {
                return ready.await;
            };
            let timed = {
                // The clock is that of the context's runtime, whoever polls.
                let _entered = runtime.enter();
                tokio::time::timeout_at(at.into(), ready)
            };
            if let Ok(events) = timed.await {
                return events;
            }
            let events = self.try_wait();
            if !events.is_empty() || ends == deadline {
                return events;
            }
        }
    }

    /// When a wait ends at the latest: at the deadline, or when a timer is due.
    pub(crate) fn ends(&self, deadline: Option<Instant>) -> Option<Instant> {
        deadline.into_iter().chain(self.timers.next_due()).min()
    }

    /// Waits without a clock.
    pub(crate) async fn ready(&mut self) -> Vec<Event<T>> {
        if self.is_empty() {
            return Vec::new();
        }
        if self.renew() {
            // Sockets that are always ready must not keep the runtime from seeing descriptors.
            tokio::task::yield_now().await;
        }
        let mut waiting = Waiting(self);
        poll_fn(|cx| waiting.poll(cx)).await
    }

    /// Watches the descriptors anew that were told as ready, since they may not be any more;
    /// whether there are descriptors.
    fn renew(&mut self) -> bool {
        let renewed = self.entries.iter_mut().map(Entry::renew);
        renewed.filter(|is_fd| *is_fd).count() > 0
    }

    /// All that is ready. While nothing is, and only then, `cx` is woken by whatever comes.
    fn collect(&mut self, mut cx: Option<&mut Context<'_>>) -> Vec<Event<T>> {
        let due = self.timers.execute().into_iter();
        let mut events: Vec<_> = due.map(|(_, token)| Event::timer(token)).collect();
        let first = self.first % self.entries.len().max(1);
        let (front, back) = self.entries.split_at_mut(first);
        for entry in back.iter_mut().chain(front) {
            let cx = cx.as_deref_mut().filter(|_| events.is_empty());
            events.extend(entry.event(cx));
        }
        if !events.is_empty() {
            self.first = first + 1;
        }
        events
    }
}

/// A wait under way; dropping it leaves nothing behind in the sockets.
struct Waiting<'a, T>(&'a mut Poller<T>);

impl<T: Clone + PartialEq> Waiting<'_, T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Event<T>>> {
        match self.0.collect(Some(cx)) {
            events if events.is_empty() => Poll::Pending,
            events => Poll::Ready(events),
        }
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        self.0.entries.iter_mut().for_each(Entry::forget);
    }
}
