//! What can go wrong, one small enum for each operation.

use std::io;

use curvelink_proto::{EndpointError, Message};
use thiserror::Error;

/// Why a context could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContextError {
    /// No thread or no event queue was to be had.
    #[error("the runtime could not start: {0}")]
    Runtime(#[source] io::Error),
}

/// Why an endpoint was refused before anything was sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RefusedEndpoint {
    /// NULL or PLAIN where others could listen.
    #[error(
        "this mechanism sends clear text and the endpoint reaches beyond this host: use CURVE, or \
         say allow_clear_text_beyond_this_host"
    )]
    ClearText,
    /// A mechanism that asks a policy, and no policy.
    #[error(
        "no policy says who may connect: set a ZAP handler on the context, or say accept_anyone"
    )]
    NoPolicy,
    /// STREAM over inproc.
    #[error("a socket of this type does not speak over inproc: use tcp or ipc")]
    Transport,
    /// An option outside its range.
    #[error("the option {0} is outside its range: see its documentation")]
    Option(&'static str),
    /// An option that this type of socket does not have.
    #[error("a socket of this type has no option {0}: leave it out")]
    OptionOfOthers(&'static str),
}

/// Why a socket could not bind.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// The text is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Binding there would be insecure.
    #[error(transparent)]
    Refused(#[from] RefusedEndpoint),
    /// The inproc name is taken.
    #[error("another socket of this context is bound to that inproc name")]
    InUse,
    /// A host name: what it stands for may change, and another network may listen then.
    #[error("a socket binds to an address of this machine, to localhost or to *")]
    Host,
    /// The operating system refused.
    #[error("the endpoint could not be bound: {0}")]
    Io(#[from] io::Error),
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why a socket does not connect. Trouble on the way is the monitor's, not an error: the socket
/// tries again.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is no endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Connecting there would be insecure.
    #[error(transparent)]
    Refused(#[from] RefusedEndpoint),
    /// A routing id that cannot be chosen.
    #[error(
        "the routing id must have 1 to 255 octets, not begin with 0 and be no other link's; only \
         ROUTER and STREAM choose one"
    )]
    RoutingId,
    /// `*` or port 0.
    #[error("a socket connects to a host and a port, not to *")]
    Wildcard,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// The socket neither bound nor connected this endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the socket has no such endpoint: name it as it was bound or connected")]
#[non_exhaustive]
pub struct EndpointNotFound;

/// Why a peer was not subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubscribePeerError {
    /// Peers subscribe for themselves.
    #[error("peers subscribe for themselves: set xpub_manual")]
    NotManual,
    /// The peer of the message is not connected any more.
    #[error("the peer is gone")]
    PeerGone,
    /// The policy did not give the peer this topic.
    #[error("the rights of the peer do not cover the prefix")]
    Denied,
    /// The peer has as many prefixes as one may have.
    #[error("the peer has too many prefixes")]
    TooMany,
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// PULL and SUB only receive.
    #[error("a socket of this type does not send")]
    NotSupported,
    /// The message has no frame.
    #[error("a message needs at least one frame")]
    Empty,
    /// REQ before the reply came, REP before a request did.
    #[error("it is the peer's turn: receive first")]
    WrongTurn,
    /// ROUTER with `router_mandatory`: no peer has the routing id.
    #[error("no peer has this routing id")]
    Unroutable,
    /// `send_timeout` has passed.
    #[error("no peer took the message in time")]
    TimedOut,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why a message was not sent at once; it is given back.
#[derive(Debug, Error)]
#[error("{error}")]
#[non_exhaustive]
pub struct TrySendError {
    /// The message.
    pub message: Message,
    /// Why.
    pub error: TrySendErrorKind,
}

/// The kinds of [`TrySendError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrySendErrorKind {
    /// No peer has room, or there is none.
    #[error("no peer has room for the message now")]
    Full,
    /// It will not get better by waiting.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecvError {
    /// PUSH and PUB only send.
    #[error("a socket of this type does not receive")]
    NotSupported,
    /// REQ before a request was sent, REP before the reply was.
    #[error("it is this side's turn: send first")]
    WrongTurn,
    /// `recv_timeout` has passed.
    #[error("no message came in time")]
    TimedOut,
    /// The socket is closed.
    #[error("the socket is closed")]
    Closed,
}

/// Why nothing was received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is no message now.
    #[error("no message is there")]
    Empty,
    /// It will not get better by waiting.
    #[error(transparent)]
    Recv(#[from] RecvError),
}
