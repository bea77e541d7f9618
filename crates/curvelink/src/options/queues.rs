//! How much may wait, how long, and how large a message may be.

use std::time::Duration;

use curvelink_proto::{Limits, SocketType};

use super::Options;

#[derive(Clone, Debug)]
pub(crate) struct Queues {
    pub(crate) send_hwm: usize,
    pub(crate) recv_hwm: usize,
    pub(crate) queue_octets: usize,
    pub(crate) conflate: bool,
    pub(crate) immediate: bool,
    pub(crate) limits: Limits,
    pub(crate) linger: Duration,
    pub(crate) send_timeout: Option<Duration>,
    pub(crate) recv_timeout: Option<Duration>,
}

impl Default for Queues {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            send_hwm: 1000,
            recv_hwm: 1000,
            queue_octets: 64 << 20,
            conflate: false,
            immediate: false,
            limits: Limits::default(),
            linger: 5 * second,
            send_timeout: None,
            recv_timeout: None,
        }
    }
}

impl Queues {
    /// The name of an option that is set and that this type of socket does not have.
    pub(crate) fn misplaced(&self, kind: SocketType) -> Option<&'static str> {
        let conflates = matches!(
            kind,
            SocketType::Push
                | SocketType::Pull
                | SocketType::Pub
                | SocketType::Sub
                | SocketType::Dealer
        );
        (self.conflate && !conflates).then_some("conflate")
    }
}

impl Options {
    /// Messages that wait for each peer before `send` waits (or, on PUB, drops): 1 and more, or 0
    /// for no bound but that of octets. Default 1000.
    #[doc(alias = "ZMQ_SNDHWM")]
    pub const fn send_hwm(mut self, messages: usize) -> Self {
        self.queues.send_hwm = messages;
        self
    }

    /// Messages from each peer that wait to be received before we stop reading its connection:
    /// 1 and more, or 0 for no bound but that of octets. Default 1000.
    #[doc(alias = "ZMQ_RCVHWM")]
    pub const fn recv_hwm(mut self, messages: usize) -> Self {
        self.queues.recv_hwm = messages;
        self
    }

    /// Octets that may wait for, and from, each peer: what one peer can cost in memory, twice.
    /// One larger message still passes alone. Default 64 MiB.
    pub const fn queue_octets(mut self, octets: usize) -> Self {
        self.queues.queue_octets = octets;
        self
    }

    /// PUSH, PULL, PUB, SUB, DEALER: of what waits for, and from, each peer, only the last message
    /// is kept: one message of memory each way, and one more that is being written. High-water
    /// marks have no effect. Default off.
    ///
    /// Whole messages take each other's place, and subscriptions are all kept. (libzmq takes
    /// messages of several frames apart, and keeps only the last subscription that waits.) Over
    /// inproc, where one queue stands for both ends, one end that conflates is enough.
    #[doc(alias = "ZMQ_CONFLATE")]
    pub const fn conflate(mut self, conflate: bool) -> Self {
        self.queues.conflate = conflate;
        self
    }

    /// Messages wait only for peers that are connected: an endpoint that we connect to takes none
    /// before its handshake is done, and those that wait when the connection is lost are dropped
    /// and counted. Nothing over inproc, as with libzmq. Default off: they wait for the connection
    /// from [`connect`](crate::Socket::connect) on, and for the next when it is lost.
    #[doc(alias = "ZMQ_IMMEDIATE")]
    pub const fn immediate(mut self, immediate: bool) -> Self {
        self.queues.immediate = immediate;
        self
    }

    /// The largest whole message, over all its frames, that a peer may send; a larger one ends the
    /// connection. Default 16 MiB.
    #[doc(alias = "ZMQ_MAXMSGSIZE")]
    pub const fn max_message_size(mut self, octets: usize) -> Self {
        self.queues.limits.message = octets;
        self
    }

    /// The most frames of one message that a peer may send. Default 1024.
    pub const fn max_frames(mut self, frames: usize) -> Self {
        self.queues.limits.frames = frames;
        self
    }

    /// How long messages that were accepted may still be written after the socket is closed.
    /// Default 5 s (libzmq: for ever); zero drops them at once.
    #[doc(alias = "ZMQ_LINGER")]
    pub const fn linger(mut self, time: Duration) -> Self {
        self.queues.linger = time;
        self
    }

    /// How long `send` waits. Default: for ever.
    #[doc(alias = "ZMQ_SNDTIMEO")]
    pub const fn send_timeout(mut self, time: Duration) -> Self {
        self.queues.send_timeout = Some(time);
        self
    }

    /// How long `recv` waits. Default: for ever.
    #[doc(alias = "ZMQ_RCVTIMEO")]
    pub const fn recv_timeout(mut self, time: Duration) -> Self {
        self.queues.recv_timeout = Some(time);
        self
    }
}
