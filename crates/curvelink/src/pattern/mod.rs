//! Patterns: what makes a PUSH a PUSH. No I/O, no tokio, no locks.

mod dealer;
mod pair;
mod pending;
mod publish;
mod pull;
mod push;
mod rep;
mod req;
mod router;
mod routing_ids;
mod stream;
mod subscribe;
mod subscriptions;
mod trie;
mod turns;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use curvelink_proto::{Message, Peer, Reason, SocketType};

use crate::error::SubscribePeerError;
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};

/// The behaviour of one socket type, driven by [`Core`](crate::socket::core::Core) under its lock.
///
/// A pipe's life: [`attach`](Self::attach) if the socket connects, [`ready`](Self::ready) after
/// each handshake, [`lost`](Self::lost) when the link goes, [`detach`](Self::detach) when the pipe
/// does. A pipe of a bound socket begins with `ready`.
pub(crate) trait Pattern: fmt::Debug + Send {
    /// A pipe to an endpoint that we connect to; messages may wait in it for the connection.
    fn attach(&mut self, pipe: PipeId, pipes: &mut Pipes);

    /// Gives a pipe that was just attached a routing id of the application's choosing; whether it
    /// is free, and the pattern has such ids.
    fn choose_id(&mut self, _pipe: PipeId, _id: &Bytes) -> bool {
        false
    }

    /// The handshake is done. A reason refuses the peer.
    fn ready(&mut self, pipe: PipeId, peer: &Arc<Peer>, pipes: &mut Pipes) -> Result<(), Reason>;

    /// The policy gives a peer that is up other rights.
    fn replace_peer(&mut self, _pipe: PipeId, _peer: &Arc<Peer>) {}

    /// The link is about to be lost because the peer's right to be here has ended: messages of the
    /// peer's that the pattern holds itself are dropped; how many.
    fn cut(&mut self, _peer: &Peer) -> usize {
        0
    }

    /// The link is gone; what it brought may still be received.
    fn lost(&mut self, _pipe: PipeId, _pipes: &mut Pipes) {}

    /// The pipe is gone.
    fn detach(&mut self, pipe: PipeId, pipes: &mut Pipes);

    /// The pipe was empty and has messages now.
    fn readable(&mut self, _pipe: PipeId, _pipes: &mut Pipes) {}

    /// The pipe was full and has room now.
    fn writable(&mut self, _pipe: PipeId) {}

    /// Sends a message, of which nothing is to be expected afterwards; refused, it is as it was.
    ///
    /// Messages are passed by reference, here and below: they are large enough for a move of each
    /// through five functions to cost more than all else that is done with a small one.
    fn send(&mut self, message: &mut Message, pipes: &mut Pipes) -> Result<(), Refused>;

    /// Appends the next messages, at least one if there are any and at most `max`, which is 1 or
    /// more; how many.
    fn recv(
        &mut self,
        into: &mut Vec<Message>,
        max: usize,
        pipes: &mut Pipes,
    ) -> Result<usize, WrongTurn>;

    /// Messages to be received that the pattern holds itself.
    fn waiting(&self) -> usize {
        0
    }

    /// Whether [`send`](Self::send) would take a message now, as far as that is known before the
    /// message is: a ROUTER cannot tell of the one peer that it will be for.
    fn can_send(&mut self, pipes: &Pipes) -> bool;

    /// Whether [`recv`](Self::recv) would give a message now. What it would discard may go.
    fn can_recv(&mut self, pipes: &mut Pipes) -> bool;

    /// A peer subscribes, or cancels (publishers). A reason cuts the link.
    fn subscription(
        &mut self,
        _pipe: PipeId,
        _subscribe: bool,
        _prefix: &Bytes,
        _pipes: &mut Pipes,
    ) -> Result<(), Reason> {
        Ok(())
    }

    /// The application subscribes, or cancels (SUB).
    fn subscribe(&mut self, _prefix: Bytes, _subscribe: bool, _pipes: &mut Pipes) {}

    /// The application says what a peer is subscribed to (XPUB, `xpub_manual`).
    fn subscribe_peer(
        &mut self,
        _peer: &Arc<Peer>,
        _prefix: &Bytes,
        _subscribe: bool,
        _pipes: &Pipes,
    ) -> Result<(), SubscribePeerError> {
        Err(SubscribePeerError::NotManual)
    }

    /// The pipes that a topic would go to (publishers).
    fn subscribers(&self, _topic: &[u8], _pipes: &Pipes) -> Vec<PipeId> {
        Vec::new()
    }

    /// The distinct prefixes that peers have, or that the application wants.
    fn topics(&self) -> usize {
        0
    }

    /// The prefixes that one peer has (publishers).
    fn subscriptions_of(&self, _pipe: PipeId) -> usize {
        0
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No peer has room, or there is none: wait.
    Full,
    /// The request-reply turn is the other side's.
    WrongTurn,
    /// No peer has the routing id.
    Unroutable,
}

/// A receive before the send that must come first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WrongTurn;

pub(crate) fn pattern(kind: SocketType, options: &Options) -> Box<dyn Pattern> {
    match kind {
        SocketType::Push => Box::<push::Push>::default(),
        SocketType::Pull => Box::<pull::Pull>::default(),
        SocketType::Dealer => Box::<dealer::Dealer>::default(),
        SocketType::Pair => Box::<pair::Pair>::default(),
        SocketType::Req => Box::new(req::Req::new(options)),
        SocketType::Rep => Box::<rep::Rep>::default(),
        SocketType::Router => Box::new(router::Router::new(options)),
        SocketType::Stream => Box::new(stream::Stream::new(options.pattern.stream_notify)),
        SocketType::Pub => Box::new(publish::Publish::new(options, false)),
        SocketType::Xpub => Box::new(publish::Publish::new(options, true)),
        SocketType::Sub => Box::new(subscribe::Subscribe::new(&options.topics, true)),
        // XSUB; the enum of types may grow, and a type without a pattern here must not pass.
        _ => Box::new(subscribe::Subscribe::new(&options.topics, false)),
    }
}

/// What publishers and subscribers match: the first frame.
pub(crate) fn topic(message: &Message) -> &[u8] {
    message.first().map(|frame| &frame[..]).unwrap_or_default()
}

/// Whether a message came by the link to this peer, or an earlier one from the same address.
pub(crate) fn is_from(message: &Message, peer: &Peer) -> bool {
    let sender = message.peer();
    sender.is_some_and(|sender| sender.address == peer.address && sender.is_same_identity(peer))
}

/// The first frame as a subscription, or its end: 1 or 0, and the prefix.
fn leading_subscription(message: &Message) -> Option<(bool, Bytes)> {
    let frame = message.first()?;
    let (first, _) = frame.split_first()?;
    matches!(first, 0 | 1).then(|| (*first == 1, frame.to_bytes().slice(1..)))
}

/// Where numbers of requests and generated routing ids begin: elsewhere in each socket, so that
/// what was meant for an earlier one is not taken for a later one's.
fn first_number() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().hash_one(0).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
