//! Passing messages between two sockets, steered from outside.

mod control;
mod handle;
mod lane;
mod statistics;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use thiserror::Error;

use self::control::Control;
pub use self::handle::ProxyHandle;
use self::handle::{Course, Shared};
use self::lane::Lane;
use self::statistics::Towards;
pub use self::statistics::{ProxyCount, ProxyStatistics, ProxyTraffic};
use crate::socket::AnySocket;

/// How often a poll goes round before other tasks have their turn.
const ROUNDS: usize = 16;

/// Passes messages from a frontend to a backend and back, whole and in their order: ROUTER and
/// DEALER for requests, XSUB and XPUB for publications and their subscriptions, PULL and PUSH for
/// pipelines. With one socket for both it passes what it receives back to it.
///
/// A message is taken from one side when the other has room; where that cannot be known before the
/// message is, it waits in the proxy, up to 64 of them, and goes back to the front of its socket
/// when the proxy ends or is dropped. So back-pressure reaches the senders and nothing is lost. A
/// ROUTER with `router_mandatory` waits for the one peer that a message is for, and all behind it
/// wait as well; without, a peer that has no room loses the message.
///
/// Each side has a mechanism of its own. This one takes requests from CURVE clients that the policy
/// admits, and hands them to workers that must know another key:
///
/// ```
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use curvelink::{
///     BoxFuture, Context, Curve, Dealer, KeyPair, Options, OsEntropy, Proxy, Rep, Req, Rights,
///     Router, ZapHandler, ZapReply, ZapRequest,
/// };
///
/// #[derive(Debug)]
/// struct Everybody;
///
/// impl ZapHandler for Everybody {
///     fn authenticate<'a>(&'a self, _: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
///         Box::pin(async { ZapReply::admit("somebody", Rights::all()) })
///     }
/// }
///
/// let key = || KeyPair::generate(&mut OsEntropy);
/// let (outside, inside) = (key()?, key()?);
/// let (outside_key, inside_key) = (outside.public(), inside.public());
///
/// let context = Context::new()?;
/// context.set_zap_handler(Everybody);
/// let frontend = context.socket::<Router>(Options::new().security(Curve::server(outside)));
/// let clients = frontend.bind("tcp://127.0.0.1:*")?.to_string();
/// let backend = context.socket::<Dealer>(Options::new().security(Curve::server(inside)));
/// let workers = backend.bind("tcp://127.0.0.1:*")?.to_string();
///
/// let mut proxy = Proxy::new(&frontend, &backend);
/// let handle = proxy.handle();
/// let running = tokio::spawn(async move { proxy.run().await });
///
/// let req = context.socket::<Req>(Options::new().security(Curve::client(key()?, outside_key)));
/// req.connect(&clients)?;
/// let rep = context.socket::<Rep>(Options::new().security(Curve::client(key()?, inside_key)));
/// rep.connect(&workers)?;
/// req.send("6 * 7").await?;
/// assert_eq!(rep.recv().await?.first().unwrap(), b"6 * 7");
/// rep.send("42").await?;
/// assert_eq!(req.recv().await?.first().unwrap(), b"42");
///
/// assert_eq!(handle.statistics().frontend.received.messages, 1);
/// handle.terminate();
/// running.await??;
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "it passes messages while `run` is polled"]
#[doc(alias = "zmq_proxy")]
#[doc(alias = "zmq_proxy_steerable")]
pub struct Proxy {
    lanes: Vec<Lane>,
    capture: Option<AnySocket>,
    control: Option<Control>,
    shared: Arc<Shared>,
}

/// Why a proxy ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The frontend, the backend or the control socket is closed.
    #[error("a socket of the proxy is closed")]
    Closed,
}

impl Proxy {
    /// A proxy between two sockets, or on one. It keeps them open while it lives.
    pub fn new(frontend: &impl AsRef<AnySocket>, backend: &impl AsRef<AnySocket>) -> Self {
        let (frontend, backend) = (frontend.as_ref(), backend.as_ref());
        let mut lanes = vec![Lane::new(frontend, backend, Towards::Backend)];
        if !Arc::ptr_eq(frontend.core(), backend.core()) {
            lanes.push(Lane::new(backend, frontend, Towards::Frontend));
        }
        Self {
            lanes,
            capture: None,
            control: None,
            shared: Arc::default(),
        }
    }

    /// Sends a copy of each message, of both directions, to a socket (PUB, DEALER, PUSH or PAIR)
    /// once it was passed on. It never holds the proxy up: what finds no room there is counted as
    /// [`not_captured`](ProxyStatistics::not_captured).
    pub fn capture(mut self, socket: &impl AsRef<AnySocket>) -> Self {
        self.capture = Some(socket.as_ref().clone());
        self
    }

    /// Obeys libzmq's words on a socket, one in each message: `PAUSE`, `RESUME`, `TERMINATE` and
    /// `STATISTICS`. As libzmq 4.3.5 does, it answers `STATISTICS` with eight frames of a 64-bit
    /// number each, in this machine's octet order, and every other word, known or not, with an
    /// empty frame: on a socket that can send; a PULL or SUB only obeys.
    ///
    /// The numbers are frames and octets received by the frontend, frames and octets sent by it,
    /// then the same of the backend. Whoever reaches the socket steers the proxy: bind it to
    /// `inproc://`, or with a mechanism and a policy.
    pub fn control(mut self, socket: &impl AsRef<AnySocket>) -> Self {
        self.control = Some(Control::new(socket.as_ref()));
        self
    }

    /// Steers the proxy from anywhere in this program.
    #[must_use]
    pub fn handle(&self) -> ProxyHandle {
        ProxyHandle::new(self.shared.clone())
    }

    /// Passes messages until the proxy is terminated; a terminated one stays so.
    ///
    /// # Errors
    /// [`ProxyError::Closed`].
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what waits in the proxy goes back to its socket, and
    /// `run` can be called again.
    pub async fn run(&mut self) -> Result<(), ProxyError> {
        let running = Running(self);
        poll_fn(|cx| running.0.poll(cx)).await
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), ProxyError>> {
        for _ in 0..ROUNDS {
            let mut busy = match &mut self.control {
                Some(control) => control.obey(&self.shared, cx)?,
                None => false,
            };
            match self.shared.course(cx) {
                Course::Terminated => return Poll::Ready(Ok(())),
                Course::Paused => {}
                Course::Running => {
                    for lane in &mut self.lanes {
                        let moved = lane.poll_move(self.capture.as_ref(), &self.shared, cx);
                        busy |= moved?.is_ready();
                    }
                }
            }
            if !busy {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A run; when it ends, the proxy waits for nothing and holds nothing.
struct Running<'a>(&'a mut Proxy);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lanes.iter_mut().for_each(Lane::stop);
        if let Some(control) = &mut self.0.control {
            control.stop();
        }
    }
}
