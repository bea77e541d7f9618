//! How much may wait, how long, and how large a message may be.

use std::time::Duration;

use curvelink_proto::Limits;

use super::Options;

#[derive(Clone, Debug)]
pub(crate) struct Queues {
    pub(crate) send_hwm: usize,
    pub(crate) recv_hwm: usize,
    pub(crate) queue_octets: usize,
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
            limits: Limits::default(),
            linger: 5 * second,
            send_timeout: None,
            recv_timeout: None,
        }
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
