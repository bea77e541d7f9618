//! A ZeroMQ-compatible messaging runtime in which the secure way is the default way.
//!
//! curvelink speaks ZMTP 3.1 with every ZeroMQ peer, over `tcp://`, `ipc://` and `inproc://`. What
//! ZeroMQ leaves open by default is closed here: a socket that could be read or reached by
//! strangers without CURVE and a policy does not bind, unless an override with a loud name is
//! written.
//!
//! ```
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use curvelink::{Context, Options, Pull, Push};
//!
//! let context = Context::new()?;
//! let pull = context.socket::<Pull>(Options::new());
//! let endpoint = pull.bind("tcp://127.0.0.1:*")?;
//! let push = context.socket::<Push>(Options::new());
//! push.connect(&endpoint.to_string())?;
//! push.send("hello").await?;
//! let message = pull.recv().await?;
//! assert_eq!(message.first().unwrap(), b"hello");
//! # Ok(()) }
//! # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
//! ```
//!
//! * [`Context`] is the home of sockets: the runtime, the policy, the inproc names.
//! * [`Socket`] is a socket of a kind ([`Push`], [`Sub`], [`Router`], …), [`AnySocket`] one whose
//!   type is a value, [`blocking::Socket`] one for programs without a runtime.
//! * [`Options`] hold the mechanism ([`Null`], [`Plain`], [`Curve`], or another crate's
//!   [`Mechanism`]) and every limit.
//! * [`Poller`] waits for many sockets, timers and file descriptors at once.
//! * [`Proxy`] passes messages between two sockets.
//! * [`Monitor`] tells what happens on the links: who was admitted, who was refused and why.
//! * [`Context::events`] tells an operator what matters of it, and of a flood only how much.
//! * [`ZapHandler`] decides who may connect; `curvelink-zap` has one that reads an allow-list.

mod adapters;
mod context;
mod error;
mod events;
mod mailbox;
mod monitor;
mod options;
mod pattern;
mod pipe;
mod policy;
mod poller;
mod proxy;
mod session;
mod socket;
mod sources;
mod sync;
mod timers;
mod transport;

pub mod blocking;
pub mod zap;

pub use curvelink_proto::{
    Action, Admitted, BoxFuture, Command, Credentials, Curve, CurveBackend, Endpoint,
    EndpointError, Entropy, EntropyError, Escaped, EventId, Fingerprint, Frame, FrameFlags,
    Handshake, HandshakeCx, Host, KeyError, KeyPair, LibzmqEvent, LinkEvent, LinkEventKind,
    LinkEvents, Mechanism, MechanismError, MechanismName, Message, Metadata, Network, Null, OnDeny,
    Opener, OsEntropy, Password, Peer, PeerAddress, Plain, Properties, Protection, PublicKey,
    Ready, Reason, Refusal, Rights, RoutingIds, Sealer, SecretKey, SecurityEvent, ServerKeys,
    Severity, Side, SocketType, SocketTypes, Source, Stage, Step, StopCause, SystemError, Telling,
    Topics, UnknownBackend, ZapHandler, ZapReply, ZapRequest, ZapStatus, z85,
};

pub use crate::adapters::{MessageSink, Messages};
pub use crate::context::Context;
pub use crate::error::{
    BindError, ConnectError, ContextError, EndpointNotFound, RecvError, RefusedEndpoint, SendError,
    SubscribePeerError, TryRecvError, TrySendError, TrySendErrorKind,
};
pub use crate::events::{SecurityEvents, Standing};
pub use crate::monitor::Monitor;
pub use crate::options::{IpcFilter, Options, ReconnectStop, SourceLimits};
pub use crate::pipe::{Drops, LinkStatus, Statistics, Traffic};
#[cfg(unix)]
pub use crate::poller::WakeFd;
pub use crate::poller::{Event, Interest, Poller};
pub use crate::proxy::{Proxy, ProxyCount, ProxyError, ProxyHandle, ProxyStatistics, ProxyTraffic};
pub use crate::socket::{
    AnySocket, Dealer, Endpoints, Kind, Pair, Pub, Publishes, Pull, Push, Receives, Rep, Req,
    Router, Routes, Sends, Socket, Stream, Sub, Topical, Xpub, Xsub,
};
pub use crate::timers::{TimerId, Timers};
