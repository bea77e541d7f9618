//! What the sockets of a program share: the runtime, the policy, the inproc names.

use std::fmt;
use std::future::poll_fn;
use std::num::NonZero;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use curvelink_proto::{Peer, SecurityEvent, SocketType, ZapHandler};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;

use crate::error::ContextError;
use crate::events::{Events, SecurityEvents, Standing};
use crate::options::Options;
use crate::pipe::Ceiling;
use crate::policy::{self, Policy};
use crate::socket::core::Core;
use crate::socket::{AnySocket, Kind, Socket};
use crate::sources::Sources;
use crate::sync::{later, lock};
use crate::transport::inproc::Names;

/// What the queues of a context may hold unless it is told otherwise.
const QUEUE_OCTETS: usize = 512 << 20;

/// How many costly steps of handshakes run at once, for each of the machine's cores.
const WORK_PER_CORE: usize = 2;

/// The home of sockets that belong together. Cheap to clone: all clones are one context.
///
/// A context that was made inside a tokio runtime uses it; one that was made outside starts an
/// I/O thread of its own. Sockets of one context share inproc names and the policy.
#[derive(Clone, Debug)]
pub struct Context(pub(crate) Arc<Home>);

/// What a context and its sockets keep alive.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) shared: Arc<Shared>,
    /// Our own runtime, if we made one.
    runtime: Option<Runtime>,
}

/// What sessions need of their context; they do not keep its runtime alive.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) runtime: Handle,
    pub(crate) names: Names,
    pub(crate) policy: Policy,
    /// The sources of connections to all listeners.
    pub(crate) sources: Mutex<Sources>,
    /// What the queues of all sockets may hold.
    pub(crate) queues: Arc<Ceiling>,
    /// For the costly steps of handshakes.
    pub(crate) work: Arc<Semaphore>,
    events: Arc<Events>,
    sockets: Mutex<Vec<Weak<Core>>>,
    tasks: Arc<Tasks>,
}

impl Context {
    /// A context on the current tokio runtime, or with an I/O thread of its own outside of one.
    ///
    /// # Errors
    /// [`ContextError::Runtime`] when the thread could not start.
    pub fn new() -> Result<Self, ContextError> {
        match Handle::try_current() {
            Ok(handle) => Ok(Self::on(handle, None)),
            Err(_) => Self::with_io_threads(1),
        }
    }

    /// A context with its own runtime of `threads` I/O threads (at least 1), wherever it is made.
    ///
    /// # Errors
    /// [`ContextError::Runtime`] when the threads could not start.
    #[doc(alias = "ZMQ_IO_THREADS")]
    pub fn with_io_threads(threads: usize) -> Result<Self, ContextError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("curvelink-io")
            .enable_all()
            .build()
            .map_err(ContextError::Runtime)?;
        Ok(Self::on(runtime.handle().clone(), Some(runtime)))
    }

    fn on(handle: Handle, runtime: Option<Runtime>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let shared = Shared {
            runtime: handle,
            names: Names::default(),
            policy: Policy::default(),
            sources: Mutex::default(),
            queues: Ceiling::new(QUEUE_OCTETS),
            work: Arc::new(Semaphore::new(WORK_PER_CORE * cores)),
            events: Arc::default(),
            sockets: Mutex::default(),
            tasks: Arc::default(),
        };
        Self(Arc::new(Home {
            shared: Arc::new(shared),
            runtime,
        }))
    }

    /// Bounds the octets that wait in all queues of this context together, for and from all peers;
    /// from now on. At the bound a queue that has a message takes no further one: sending finds no
    /// room, and reading pauses. Nothing that was accepted is dropped. A queue with nothing in it
    /// still takes one message, so that every link goes on. Default 512 MiB.
    pub fn set_queue_octets(&self, octets: usize) {
        self.0.shared.queues.set(octets);
    }

    /// Sets the policy: who may connect to the sockets of this context. It takes the place of an
    /// earlier one, and goes before a handler socket at `inproc://zeromq.zap.01`.
    ///
    /// Links that are up are reviewed, now and whenever the handler says that it
    /// [`changed`](ZapHandler::changed): within a second, each peer is asked about again. One that
    /// is not admitted any more, or has another name or fewer rights, is cut: what waits from it or
    /// for it is dropped ([`Drops::cut`](crate::Drops::cut)), and nothing of it is received after
    /// [`Disconnected`](crate::LinkEventKind::Disconnected) was told with the reason. Others keep
    /// their connection; rights that grew count from then on, for a subscription that was denied
    /// once the peer subscribes again. A link that was admitted by a handler at
    /// `inproc://zeromq.zap.01` is reviewed by a handler that is set here later, and by no other:
    /// RFC 27 has no words for it. Penalties of [`source_limits`](Options::source_limits) are
    /// forgiven, now and at each change.
    pub fn set_zap_handler(&self, handler: impl ZapHandler) {
        policy::set(&self.0.shared, Arc::new(handler));
    }

    /// Ends the links to some peers, on every socket of this context: see
    /// [`AnySocket::disconnect_peers`].
    pub fn disconnect_peers(&self, which: impl Fn(&Peer) -> bool) -> usize {
        let sockets = self.0.shared.sockets().into_iter();
        sockets.map(|core| core.cut_links(&which)).sum()
    }

    /// What happens to this context's sockets that an operator wants to know: who was admitted, who
    /// was refused and why, what was denied; of a flood, how much. From now on.
    #[must_use]
    pub fn events(&self) -> SecurityEvents {
        self.0.shared.events.subscribe()
    }

    /// Tells an event of the program's own, in one row with those of the sockets: to the log, and
    /// to whoever reads [`events`](Self::events). What the catalogue bounds is bounded here too.
    pub fn record(&self, event: SecurityEvent) {
        self.0.shared.record(event);
    }

    /// Tells an event of the program's own now, and every hour until what this gives is dropped:
    /// what is in force must not be forgotten because it was told once.
    pub fn stand(&self, event: SecurityEvent) -> Standing {
        self.0.shared.stand(event)
    }

    /// A socket whose type is known when the program is written.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use curvelink::{Context, Options, Push};
    /// let context = Context::new()?;
    /// let push = context.socket::<Push>(Options::new());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn socket<K: Kind>(&self, options: Options) -> Socket<K> {
        Socket::from_any(self.any_socket(K::TYPE, options))
    }

    /// A socket whose type is known when the program runs.
    #[must_use]
    pub fn any_socket(&self, kind: SocketType, options: Options) -> AnySocket {
        let core = Core::new(kind, options, self.0.shared.clone());
        let mut sockets = lock(&self.0.shared.sockets);
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(&core));
        drop(sockets);
        AnySocket::new(core, self.0.clone())
    }

    /// Closes every socket and waits until their messages are written, each at most for its
    /// linger time. Events that were only counted are told.
    ///
    /// Cancel safe: the sockets stay closed, and what is left is written behind.
    pub async fn shutdown(&self) {
        let shared = &self.0.shared;
        shared.close_all();
        poll_fn(|cx| shared.tasks.poll_idle(cx.waker())).await;
        shared.events.flush();
    }
}

impl Shared {
    /// The sockets that are open, and those that still write what waits.
    pub(crate) fn sockets(&self) -> Vec<Arc<Core>> {
        let sockets = lock(&self.sockets);
        sockets.iter().filter_map(Weak::upgrade).collect()
    }

    fn close_all(&self) {
        for core in self.sockets() {
            core.close(later(core.options.queues.linger));
        }
    }

    pub(crate) fn record(&self, event: SecurityEvent) {
        self.events.note(event, &self.runtime);
    }

    pub(crate) fn stand(&self, event: SecurityEvent) -> Standing {
        const HOUR: Duration = Duration::from_secs(3600);
        self.events.stand(event, HOUR, &self.runtime)
    }

    /// Runs a task of a socket's on the runtime; shutdown waits for it.
    pub(crate) fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        let guard = Tasks::enter(&self.tasks);
        self.runtime.spawn(async move {
            task.await;
            drop(guard);
        })
    }
}

/// The last handle of a context that owns its runtime: what was accepted is written before the
/// I/O thread goes, as linger promises.
impl Drop for Home {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        self.shared.close_all();
        if Handle::try_current().is_err() {
            // Each task ends by itself once its linger time is over.
            crate::blocking::wait(poll_fn(|cx| self.shared.tasks.poll_idle(cx.waker())), None);
        }
        self.shared.events.flush();
        runtime.shutdown_background();
    }
}

/// How many tasks of a context run, and who waits for the last.
#[derive(Default)]
struct Tasks(Mutex<(usize, Vec<Waker>)>);

impl Tasks {
    fn enter(tasks: &Arc<Self>) -> Task {
        lock(&tasks.0).0 += 1;
        Task(tasks.clone())
    }

    fn poll_idle(&self, waker: &Waker) -> Poll<()> {
        let mut state = lock(&self.0);
        if state.0 == 0 {
            return Poll::Ready(());
        }
        state.1.push(waker.clone());
        Poll::Pending
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tasks({})", lock(&self.0).0)
    }
}

/// One running task.
struct Task(Arc<Tasks>);

impl Drop for Task {
    fn drop(&mut self) {
        let mut state = lock(&self.0.0);
        state.0 -= 1;
        if state.0 == 0 {
            let waiting = std::mem::take(&mut state.1);
            drop(state);
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}
