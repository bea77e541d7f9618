//! Sockets as applications see them.

mod any;
mod batch;
pub(crate) mod core;
pub(crate) mod endpoints;
mod kinds;
mod ready;
pub(crate) mod waiters;

use std::marker::PhantomData;
use std::sync::Arc;

use curvelink_proto::{Endpoint, Frame, LinkEvents, Message, Peer};

pub use self::any::AnySocket;
pub use self::endpoints::Endpoints;
pub use self::kinds::{
    Dealer, Kind, Pair, Pub, Publishes, Pull, Push, Receives, Rep, Req, Router, Routes, Sends,
    Stream, Sub, Topical, Xpub, Xsub,
};
use crate::adapters::{MessageSink, Messages};
use crate::error::{
    BindError, ConnectError, EndpointNotFound, RecvError, SendError, SubscribePeerError,
    TryRecvError, TrySendError,
};
use crate::monitor::Monitor;
use crate::pipe::{LinkStatus, Statistics};

/// A socket of one kind: `Socket<Push>`, `Socket<Sub>`, … Cheap to clone: all clones are one
/// socket, which is closed when the last is dropped.
///
/// Methods exist where the kind has them:
///
/// ```compile_fail,E0599
/// # async fn no(socket: curvelink::Socket<curvelink::Sub>) {
/// socket.send("x").await; // SUB does not send
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # async fn no(socket: curvelink::Socket<curvelink::Push>) {
/// socket.recv().await; // PUSH does not receive
/// # }
/// ```
#[derive(Debug)]
pub struct Socket<K> {
    any: AnySocket,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Socket<K> {
    fn clone(&self) -> Self {
        Self {
            any: self.any.clone(),
            kind: PhantomData,
        }
    }
}

impl<K> AsRef<AnySocket> for Socket<K> {
    fn as_ref(&self) -> &AnySocket {
        &self.any
    }
}

impl<K: Kind> Socket<K> {
    pub(crate) const fn from_any(any: AnySocket) -> Self {
        Self {
            any,
            kind: PhantomData,
        }
    }

    /// The same socket without its type.
    #[must_use]
    pub const fn any(&self) -> &AnySocket {
        &self.any
    }

    /// See [`AnySocket::bind`].
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
        self.any.bind(endpoint)
    }

    /// See [`AnySocket::connect`].
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn connect(&self, endpoint: &str) -> Result<(), ConnectError> {
        self.any.connect(endpoint)
    }

    /// See [`AnySocket::unbind`].
    ///
    /// # Errors
    /// [`EndpointNotFound`].
    pub fn unbind(&self, endpoint: &str) -> Result<(), EndpointNotFound> {
        self.any.unbind(endpoint)
    }

    /// See [`AnySocket::disconnect`].
    ///
    /// # Errors
    /// [`EndpointNotFound`].
    pub fn disconnect(&self, endpoint: &str) -> Result<(), EndpointNotFound> {
        self.any.disconnect(endpoint)
    }

    /// See [`AnySocket::last_endpoint`].
    #[must_use]
    pub fn last_endpoint(&self) -> Option<Endpoint> {
        self.any.last_endpoint()
    }

    /// See [`AnySocket::endpoints`].
    #[must_use]
    pub fn endpoints(&self) -> Endpoints {
        self.any.endpoints()
    }

    /// See [`AnySocket::monitor`].
    #[must_use]
    pub fn monitor(&self) -> Monitor {
        self.any.monitor()
    }

    /// See [`AnySocket::monitor_of`].
    #[must_use]
    pub fn monitor_of(&self, events: LinkEvents) -> Monitor {
        self.any.monitor_of(events)
    }

    /// See [`AnySocket::peers`].
    #[must_use]
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.any.peers()
    }

    /// See [`AnySocket::disconnect_peers`].
    pub fn disconnect_peers(&self, which: impl Fn(&Peer) -> bool) -> usize {
        self.any.disconnect_peers(which)
    }

    /// See [`AnySocket::dropped`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.any.dropped()
    }

    /// See [`AnySocket::links`].
    #[must_use]
    pub fn links(&self) -> Vec<LinkStatus> {
        self.any.links()
    }

    /// See [`AnySocket::statistics`].
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.any.statistics()
    }

    /// See [`AnySocket::close`].
    pub fn close(self) {
        self.any.close();
    }
}

impl<K: Sends> Socket<K> {
    /// Sends a message: see [`AnySocket::send`] for errors and cancel safety.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.any.send(message).await
    }

    /// See [`AnySocket::try_send`].
    ///
    /// # Errors
    /// [`TrySendError`], which gives the message back.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        self.any.try_send(message)
    }

    /// See [`AnySocket::send_batch`], also for cancel safety.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_batch(&self, messages: &mut Vec<Message>) -> Result<(), SendError> {
        self.any.send_batch(messages).await
    }

    /// See [`AnySocket::try_send_batch`].
    ///
    /// # Errors
    /// [`SendError`].
    pub fn try_send_batch(&self, messages: &mut Vec<Message>) -> Result<usize, SendError> {
        self.any.try_send_batch(messages)
    }

    /// A `Sink` that sends: see [`MessageSink`] for what it does.
    pub fn sink(&self) -> MessageSink {
        self.any.sink()
    }

    /// Waits until a message could be sent: see [`AnySocket::writable`].
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn writable(&self) -> Result<(), SendError> {
        self.any.writable().await
    }
}

impl<K: Routes> Socket<K> {
    /// Connects and gives the peer a routing id: see [`AnySocket::connect_as`].
    ///
    /// # Errors
    /// [`ConnectError`].
    #[doc(alias = "ZMQ_CONNECT_ROUTING_ID")]
    pub fn connect_as(&self, endpoint: &str, id: impl Into<Frame>) -> Result<(), ConnectError> {
        self.any.connect_as(endpoint, id)
    }
}

impl<K: Receives> Socket<K> {
    /// Receives a message: see [`AnySocket::recv`] for errors and cancel safety.
    ///
    /// # Errors
    /// [`RecvError`].
    pub async fn recv(&self) -> Result<Message, RecvError> {
        self.any.recv().await
    }

    /// See [`AnySocket::try_recv`].
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&self) -> Result<Message, TryRecvError> {
        self.any.try_recv()
    }

    /// See [`AnySocket::recv_batch`], also for cancel safety.
    ///
    /// # Errors
    /// [`RecvError`].
    pub async fn recv_batch(
        &self,
        into: &mut Vec<Message>,
        max: usize,
    ) -> Result<usize, RecvError> {
        self.any.recv_batch(into, max).await
    }

    /// See [`AnySocket::try_recv_batch`].
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv_batch(
        &self,
        into: &mut Vec<Message>,
        max: usize,
    ) -> Result<usize, TryRecvError> {
        self.any.try_recv_batch(into, max)
    }

    /// The messages as a `Stream`: see [`Messages`] for what it gives.
    pub fn messages(&self) -> Messages {
        self.any.messages()
    }

    /// Waits until a message is there: see [`AnySocket::readable`].
    ///
    /// # Errors
    /// [`RecvError::Closed`].
    pub async fn readable(&self) -> Result<(), RecvError> {
        self.any.readable().await
    }
}

impl<K: Publishes> Socket<K> {
    /// Waits until `count` peers would receive `topic`: what makes the first message arrive.
    ///
    /// Cancel safe. Returns as well when the socket is closed.
    pub async fn wait_for_subscribers(&self, topic: impl Into<Frame>, count: usize) {
        self.any
            .wait_for_subscribers(topic.into().to_bytes(), count)
            .await;
    }

    /// The peers that would receive `topic` now.
    #[must_use]
    pub fn subscribers(&self, topic: &[u8]) -> Vec<Arc<Peer>> {
        self.any.subscribers(topic)
    }
}

impl<K: Topical> Socket<K> {
    /// How many distinct prefixes there are: PUB, XPUB: over all peers; SUB, XSUB: that were
    /// subscribed to here.
    #[doc(alias = "ZMQ_TOPICS_COUNT")]
    #[must_use]
    pub fn topics(&self) -> usize {
        self.any.topics()
    }
}

impl Socket<Xpub> {
    /// Subscribes a peer to a prefix, with [`xpub_manual`](crate::Options::xpub_manual): usually
    /// the peer of a subscription that was received, and that prefix or another.
    ///
    /// The peer is named by the message that came from it ([`Message::peer`]), not by what was
    /// received last as in libzmq: no other task can come in between.
    ///
    /// # Errors
    /// [`SubscribePeerError`]; among them that the peer's rights do not cover the prefix.
    pub fn subscribe_peer(
        &self,
        peer: &Arc<Peer>,
        prefix: impl Into<Frame>,
    ) -> Result<(), SubscribePeerError> {
        self.any.subscribe_peer(peer, &prefix.into(), true)
    }

    /// Ends a peer's subscription to a prefix, with
    /// [`xpub_manual`](crate::Options::xpub_manual); one that it has not is ignored.
    ///
    /// # Errors
    /// [`SubscribePeerError`].
    pub fn unsubscribe_peer(
        &self,
        peer: &Arc<Peer>,
        prefix: impl Into<Frame>,
    ) -> Result<(), SubscribePeerError> {
        self.any.subscribe_peer(peer, &prefix.into(), false)
    }
}

impl Socket<Sub> {
    /// Subscribes to every topic under a prefix; the empty one is every topic. Subscriptions are
    /// counted, and told to each publisher whenever a connection to it is made.
    #[doc(alias = "ZMQ_SUBSCRIBE")]
    pub fn subscribe(&self, prefix: impl Into<Frame>) {
        self.any.change_subscription(prefix.into(), true);
    }

    /// Takes one subscription back; one that was not made is ignored.
    #[doc(alias = "ZMQ_UNSUBSCRIBE")]
    pub fn unsubscribe(&self, prefix: impl Into<Frame>) {
        self.any.change_subscription(prefix.into(), false);
    }
}
