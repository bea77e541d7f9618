//! A socket of any type: what `Socket<K>` wraps, and what proxies and bindings use.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use curvelink_proto::{Endpoint, Frame, LinkEvents, Message, Peer, SocketType};

use crate::context::Home;
use crate::error::{
    BindError, ConnectError, EndpointNotFound, RecvError, SendError, SubscribePeerError,
    TryRecvError, TrySendError, TrySendErrorKind,
};
use crate::monitor::Monitor;
use crate::options::Options;
use crate::pipe::{LinkStatus, Statistics};
use crate::socket::core::{Core, Sent};
use crate::socket::endpoints::Endpoints;
use crate::socket::{Kind, Socket};
use crate::sync::{later, lock};
use crate::transport;

/// A socket whose type is a value. Cheap to clone: all clones are one socket, which is closed when
/// the last is dropped.
///
/// What a type cannot do is an error or never ready here; [`Socket`] has only the
/// methods that make sense for its kind.
#[derive(Clone, Debug)]
pub struct AnySocket(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    core: Arc<Core>,
    /// The context's runtime lives as long as its sockets.
    _home: Arc<Home>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.close(later(self.core.options.queues.linger));
    }
}

impl AnySocket {
    pub(crate) fn new(core: Arc<Core>, home: Arc<Home>) -> Self {
        Self(Arc::new(Owner { core, _home: home }))
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }

    /// The type.
    #[must_use]
    pub fn kind(&self) -> SocketType {
        self.core().kind
    }

    /// The same socket as one of the kind `K`, with the methods of that kind, such as a SUB's
    /// `subscribe`; `None` if it is of another type.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use curvelink::{Context, Options, Push, SocketType, Sub};
    /// let context = Context::new()?;
    /// let any = context.any_socket(SocketType::Sub, Options::new());
    /// any.typed::<Sub>().expect("it is one").subscribe("alerts/");
    /// assert!(any.typed::<Push>().is_none());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn typed<K: Kind>(&self) -> Option<Socket<K>> {
        (self.kind() == K::TYPE).then(|| Socket::from_any(self.clone()))
    }

    /// The options as they are in force.
    pub fn options(&self) -> &Options {
        &self.core().options
    }

    /// Accepts connections at an endpoint; gives it as it was bound, a wildcard port filled in.
    ///
    /// # Errors
    /// [`BindError`]; among them that clear text would leave the host, and that no policy says who
    /// may connect.
    pub fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
        transport::bind(self.core(), &endpoint.parse()?)
    }

    /// Connects to an endpoint, now and whenever the connection is lost. Names are resolved and
    /// connections made behind; what goes wrong there is told to [`monitor`](Self::monitor).
    ///
    /// # Errors
    /// [`ConnectError`]; among them that clear text would leave the host.
    pub fn connect(&self, endpoint: &str) -> Result<(), ConnectError> {
        transport::connect(self.core(), &endpoint.parse()?, None)
    }

    /// Connects as [`connect`](Self::connect) does, on ROUTER and STREAM, and gives whoever is at
    /// the endpoint a routing id of our own choosing: 1 to 255 octets, not beginning with 0. What
    /// the peer calls itself does not count. Messages may be sent to the id at once; they wait for
    /// the connection.
    ///
    /// # Errors
    /// [`ConnectError`]; [`ConnectError::RoutingId`] for an id of another form or of another link,
    /// and on other types.
    #[doc(alias = "ZMQ_CONNECT_ROUTING_ID")]
    pub fn connect_as(&self, endpoint: &str, id: impl Into<Frame>) -> Result<(), ConnectError> {
        let id = id.into().to_bytes();
        if id.is_empty() || id.len() > 255 || id.first() == Some(&0) {
            return Err(ConnectError::RoutingId);
        }
        transport::connect(self.core(), &endpoint.parse()?, Some(&id))
    }

    /// Stops accepting at an endpoint, named as it was asked for or as [`bind`](Self::bind) gave
    /// it: `tcp://*:5555` or `tcp://0.0.0.0:5555`, but not `tcp://*:*`. Links that are up stay up
    /// (libzmq ends them, and loses what is on the way).
    ///
    /// # Errors
    /// [`EndpointNotFound`].
    pub fn unbind(&self, endpoint: &str) -> Result<(), EndpointNotFound> {
        self.remove(endpoint, true)
    }

    /// Ends every connection to an endpoint, after what waits was written or the linger time is
    /// over; with [`ReconnectStop::after_disconnect`](crate::ReconnectStop::after_disconnect) at
    /// once where no link is up. How many messages were lost is told by
    /// [`LinkEventKind::Stopped`](crate::LinkEventKind::Stopped).
    ///
    /// # Errors
    /// [`EndpointNotFound`].
    pub fn disconnect(&self, endpoint: &str) -> Result<(), EndpointNotFound> {
        self.remove(endpoint, false)
    }

    fn remove(&self, endpoint: &str, bound: bool) -> Result<(), EndpointNotFound> {
        let core = self.core();
        let named = endpoint.parse().map_err(|_| EndpointNotFound)?;
        let mut found = Err(EndpointNotFound);
        // A socket may have connected there more than once.
        while let Some((endpoint, work)) = { lock(&core.book).remove(&named, bound) } {
            work.disconnect(core, &endpoint, later(core.options.queues.linger));
            found = Ok(());
        }
        found
    }

    /// The endpoint that was bound (wildcards filled in) or connected last; `None` before the
    /// first. It stays when the endpoint is unbound or disconnected.
    #[doc(alias = "ZMQ_LAST_ENDPOINT")]
    #[must_use]
    pub fn last_endpoint(&self) -> Option<Endpoint> {
        lock(&self.core().book).last()
    }

    /// What the socket has bound and connected, as it is now.
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        lock(&self.core().book).endpoints()
    }

    /// Sends a message, waiting for a peer with room (PUB, XPUB and ROUTER do not wait).
    ///
    /// # Errors
    /// [`SendError`].
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready has sent nothing; the message is dropped with
    /// it.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let mut sending = Sending {
            core: self.core(),
            message: message.into(),
            waiter: None,
        };
        let send = poll_fn(|cx| sending.poll(cx));
        match self.core().options.queues.send_timeout {
            None => send.await,
            Some(time) => self
                .within(time, send)
                .await
                .unwrap_or(Err(SendError::TimedOut)),
        }
    }

    /// Sends a message if a peer has room now.
    ///
    /// # Errors
    /// [`TrySendError`], which gives the message back.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        let mut message = message.into();
        let error = match self.core().try_send(&mut message) {
            Sent::Yes => return Ok(()),
            Sent::NotNow => TrySendErrorKind::Full,
            Sent::Never(error) => error.into(),
        };
        Err(TrySendError { message, error })
    }

    /// Receives the next message, with its sender on it: see [`Message::peer`].
    ///
    /// # Errors
    /// [`RecvError`].
    ///
    /// # Cancel safety
    /// A message is taken only by a future that becomes ready: dropping it before loses nothing.
    pub async fn recv(&self) -> Result<Message, RecvError> {
        let mut waiting = Waiting::new(self.core());
        let recv = poll_fn(|cx| waiting.core.poll_recv(&mut waiting.waiter, cx));
        match self.core().options.queues.recv_timeout {
            None => recv.await,
            Some(time) => self
                .within(time, recv)
                .await
                .unwrap_or(Err(RecvError::TimedOut)),
        }
    }

    /// Receives a message if one is there.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if none is.
    pub fn try_recv(&self) -> Result<Message, TryRecvError> {
        self.core().try_recv()?.ok_or(TryRecvError::Empty)
    }

    pub(super) async fn within<T>(
        &self,
        time: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        // The timer lives in the context's runtime, whoever polls it.
        let sleep = {
            let _entered = self.core().shared.runtime.enter();
            tokio::time::timeout(time, future)
        };
        sleep.await.ok()
    }

    pub(crate) fn change_subscription(&self, prefix: Frame, subscribe: bool) {
        self.core().subscribe(prefix.to_bytes(), subscribe);
    }

    pub(crate) fn subscribe_peer(
        &self,
        peer: &Arc<Peer>,
        prefix: &Frame,
        subscribe: bool,
    ) -> Result<(), SubscribePeerError> {
        self.core()
            .subscribe_peer(peer, &prefix.to_bytes(), subscribe)
    }

    pub(crate) fn topics(&self) -> usize {
        self.core().topics()
    }

    pub(crate) async fn wait_for_subscribers(&self, topic: Bytes, count: usize) {
        let mut waiting = Waiting::new(self.core());
        poll_fn(|cx| {
            waiting
                .core
                .poll_subscribers(&topic, count, &mut waiting.waiter, cx)
        })
        .await;
    }

    pub(crate) fn subscribers(&self, topic: &[u8]) -> Vec<Arc<Peer>> {
        self.core().subscribers(topic)
    }

    /// The events of this socket's links from now on.
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.monitor_of(LinkEvents::ALL)
    }

    /// The events of some kinds: others take no room in the monitor.
    #[must_use]
    pub fn monitor_of(&self, events: LinkEvents) -> Monitor {
        self.core().monitors.subscribe(events)
    }

    /// The peers whose handshake is done, as they are now.
    #[must_use]
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.core().peers()
    }

    /// Ends the links to some peers, such as those with one key or one name; how many there were.
    /// Each goes within a second as one whom the policy does not admit any more, with
    /// [`Reason::PeerDropped`](curvelink_proto::Reason::PeerDropped): nothing of it is received
    /// after the event, and what waits for it is dropped. It may come back: it is the policy that
    /// keeps peers out. Peers over inproc stay.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use curvelink::{Context, Options, Router};
    /// # let context = Context::new()?;
    /// let router = context.socket::<Router>(Options::new());
    /// let gone = router.disconnect_peers(|peer| peer.name.as_deref() == Some("ci-scanner"));
    /// # assert_eq!(gone, 0);
    /// # Ok(()) }
    /// ```
    #[doc(alias = "zmq_disconnect_peer")]
    pub fn disconnect_peers(&self, which: impl Fn(&Peer) -> bool) -> usize {
        self.core().cut_links(which)
    }

    /// Messages that were dropped for whatever reason since the socket was made; by reason in
    /// [`statistics`](Self::statistics).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.core().dropped()
    }

    /// The links that are up, as they are now: who is there since when, and what went over each.
    /// Numbers of one moment, as those of [`statistics`](Self::statistics).
    #[must_use]
    pub fn links(&self) -> Vec<LinkStatus> {
        self.core().links_now()
    }

    /// What went through the socket since it was made, what waits in it, and what was dropped why.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.core().statistics()
    }

    /// Closes the socket for all its clones; what waits is written behind, within the linger
    /// time. To wait for it, use [`Context::shutdown`](crate::Context::shutdown).
    pub fn close(self) {
        self.core().close(later(self.core().options.queues.linger));
    }
}

/// A send under way; dropping it leaves nothing behind in the socket.
struct Sending<'a> {
    core: &'a Core,
    message: Message,
    waiter: Option<u64>,
}

impl Sending<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        self.core.poll_send(&mut self.message, &mut self.waiter, cx)
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.core.forget_waiter(self.waiter);
    }
}

/// A wait for a message, for room or for subscribers; dropping it leaves nothing behind.
pub(crate) struct Waiting<'a> {
    pub(crate) core: &'a Core,
    pub(crate) waiter: Option<u64>,
}

impl<'a> Waiting<'a> {
    pub(crate) const fn new(core: &'a Core) -> Self {
        Self { core, waiter: None }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.core.forget_waiter(self.waiter);
    }
}

impl AsRef<Self> for AnySocket {
    fn as_ref(&self) -> &Self {
        self
    }
}
