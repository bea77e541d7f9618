//! The kinds of sockets, as types.

use curvelink_proto::SocketType;

mod sealed {
    #[allow(
        unnameable_types,
        reason = "a trait that cannot be named cannot be implemented"
    )]
    pub trait Sealed {}
}

/// A kind of socket; the parameter of [`Socket`](crate::Socket).
pub trait Kind: sealed::Sealed + Send + Sync + 'static {
    /// The kind as a value.
    const TYPE: SocketType;
}

/// Kinds that applications send with.
pub trait Sends: Kind {}

/// Kinds that applications receive with.
pub trait Receives: Kind {}

/// Kinds that address each peer by its routing id.
pub trait Routes: Sends {}

/// Kinds that peers subscribe to.
pub trait Publishes: Sends + Topical {}

/// Kinds that have subscriptions.
pub trait Topical: Kind {}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $($role:ident)*;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[allow(clippy::exhaustive_enums, reason = "it has no values")]
        pub enum $name {}

        impl sealed::Sealed for $name {}

        impl Kind for $name {
            const TYPE: SocketType = SocketType::$name;
        }

        $(impl $role for $name {})*
    )*};
}

kinds! {
    /// RFC 28. Sends a request to one peer, then receives its reply, in strict turn. A request
    /// whose peer is lost is not repeated: use `recv_timeout`, and `req_relaxed` with
    /// `req_correlate` to ask again on the same socket.
    Req: Sends Receives;
    /// RFC 28. Receives a request, then sends the reply to whoever asked, in strict turn.
    Rep: Sends Receives;
    /// RFC 28. Sends to peers in turn and receives from peers in turn, at any time.
    Dealer: Sends Receives;
    /// RFC 28. The first frame of each message is the peer's routing id, both ways. A peer whose id
    /// is taken by a live one is refused, unless `router_handover` says otherwise.
    Router: Sends Receives Routes;
    /// RFC 29. Sends each message to every peer that subscribed to a prefix of its first frame. A
    /// peer without room loses the message. Under CURVE each copy is sealed on its own: the cost
    /// grows with the number of subscribers.
    Pub: Sends Publishes Topical;
    /// RFC 29. Receives the messages whose first frame begins with a prefix it subscribed to.
    Sub: Receives Topical;
    /// RFC 29. PUB that receives its peers' subscriptions: one frame, 1 or 0 and the prefix; the
    /// first of its kind and the last.
    Xpub: Sends Receives Publishes Topical;
    /// RFC 29. SUB that subscribes by sending such frames, and receives unfiltered.
    Xsub: Sends Receives Topical;
    /// RFC 30. Sends each message to one peer, in turn among those with room.
    Push: Sends;
    /// RFC 30. Receives from peers in turn.
    Pull: Receives;
    /// Connections without ZMTP: what is read from a peer that speaks plain TCP (HTTP, a terminal)
    /// is received as a message of its routing id and the octets, and what is sent to the id is
    /// written as it is. Where one read ends says nothing: the application finds the ends of what
    /// the peer means. An empty frame after the id closes the connection once what waits is
    /// written; received, it tells that the connection is made or lost (`stream_notify`). An id
    /// that nobody has is an error.
    ///
    /// Nothing is encrypted and nobody is asked who may connect, so it binds and connects beyond
    /// this host only with `allow_clear_text_beyond_this_host`, and with no mechanism but NULL. A
    /// peer that does not read keeps its connection and its queue until the socket is closed.
    ///
    /// libzmq sends what waited when an endpoint that it connected to was lost on the next
    /// connection; here it is dropped, and what is sent from then on waits for the next.
    Stream: Sends Receives Routes;
    /// RFC 31. Sends to and receives from exactly one peer; a second is refused.
    Pair: Sends Receives;
}
