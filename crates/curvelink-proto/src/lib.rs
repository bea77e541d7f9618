//! ZMTP 3.1 without I/O: octets in, events and octets out.
//!
//! This crate is the protocol half of curvelink. It holds no socket, reads no clock, starts no
//! thread and asks no policy: time, random octets and verdicts are passed in, so every handshake
//! can be replayed octet for octet in a test. The runtime half is the crate `curvelink`.
//!
//! * [`Engine`] is one connection; its documentation gives the order of calls.
//! * [`Mechanism`] → [`Handshake`] → [`Sealer`] and [`Opener`] are the open traits of security
//!   mechanisms; [`Null`], [`Plain`] and [`Curve`] are written against them alone, and so can be
//!   any other crate's.
//! * [`Message`] and [`Frame`] are what applications send; [`Backlog`] is how messages wait.
//! * [`ZapHandler`] decides who is let in; [`LinkEvent`] tells what happened.
//!
//! What is deliberately absent: ZMTP 1.0 and 2.0, which know no security; negotiation of
//! mechanisms; any way to `Ready` without an [`Admitted`] token.

mod backlog;
mod blocks;
mod endpoint;
mod engine;
mod entropy;
mod error;
mod event;
mod frame;
mod keys;
mod libzmq;
mod mechanism;
mod message;
mod peer;
mod rights;
mod socket_type;
mod wire;
pub mod z85;
pub mod zap;

pub use crate::backlog::Backlog;
pub use crate::endpoint::{Endpoint, EndpointError, Host, Source};
pub use crate::engine::config::{EngineConfig, Heartbeat, Limits, OnDeny};
pub use crate::engine::outbound::Written;
pub use crate::engine::{BATCH, Engine, Event};
pub use crate::entropy::{Entropy, OsEntropy};
pub use crate::error::{EntropyError, KeyError, MechanismError, ProtocolError, UnknownBackend};
pub use crate::event::{
    Action, Escaped, EventId, LinkEvent, LinkEventKind, LinkEvents, Reason, Refusal, SecurityEvent,
    Severity, Side, Stage, StopCause, SystemError, Telling,
};
pub use crate::frame::Frame;
pub use crate::keys::{Fingerprint, KeyPair, PublicKey, SecretKey};
pub use crate::libzmq::LibzmqEvent;
pub use crate::mechanism::curve::{Curve, CurveBackend, ServerKeys};
pub use crate::mechanism::null::Null;
pub use crate::mechanism::plain::{Plain, PlainError};
pub use crate::mechanism::{
    Admitted, FrameFlags, Handshake, HandshakeCx, Mechanism, MechanismName, Opener, Properties,
    Protection, Ready, Sealer, Step,
};
pub use crate::message::{Iter, Message};
pub use crate::peer::{Network, Peer, PeerAddress};
pub use crate::rights::{Rights, RoutingIds, SocketTypes, Topics};
pub use crate::socket_type::SocketType;
pub use crate::wire::command::Command;
pub use crate::wire::metadata::Metadata;
pub use crate::zap::{
    BoxFuture, Credentials, Password, ZapHandler, ZapReply, ZapRequest, ZapStatus,
};
