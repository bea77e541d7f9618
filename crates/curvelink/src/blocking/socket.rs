//! Sockets whose calls block.

use std::ops::Deref;
use std::time::Duration;

use curvelink_proto::{Frame, Message};

use super::wait;
use crate::error::{RecvError, SendError};
use crate::socket::{Kind, Publishes, Receives, Sends};
use crate::sync::later;

/// A [`Socket`](crate::Socket) whose calls block the thread; what does not wait is that of the
/// socket inside. See the [module](crate::blocking) for where it may be used.
#[derive(Clone, Debug)]
pub struct Socket<K>(crate::Socket<K>);

/// An [`AnySocket`](crate::AnySocket) whose calls block the thread; what does not wait is that of
/// the socket inside. See the [module](crate::blocking) for where it may be used.
#[derive(Clone, Debug)]
pub struct AnySocket(crate::AnySocket);

impl<K: Kind> Socket<K> {
    /// Wraps a socket. Both faces are one socket and can be used side by side.
    #[must_use]
    pub const fn new(socket: crate::Socket<K>) -> Self {
        Self(socket)
    }
}

impl<K> Deref for Socket<K> {
    type Target = crate::Socket<K>;

    fn deref(&self) -> &crate::Socket<K> {
        &self.0
    }
}

impl<K> AsRef<crate::AnySocket> for Socket<K> {
    fn as_ref(&self) -> &crate::AnySocket {
        self.0.as_ref()
    }
}

impl AnySocket {
    /// Wraps a socket. Both faces are one socket and can be used side by side.
    #[must_use]
    pub const fn new(socket: crate::AnySocket) -> Self {
        Self(socket)
    }
}

impl Deref for AnySocket {
    type Target = crate::AnySocket;

    fn deref(&self) -> &crate::AnySocket {
        &self.0
    }
}

impl AsRef<crate::AnySocket> for AnySocket {
    fn as_ref(&self) -> &crate::AnySocket {
        &self.0
    }
}

macro_rules! sends {
    () => {
        /// See [`AnySocket::send`](crate::AnySocket::send).
        ///
        /// # Errors
        /// [`SendError`]; [`SendError::TimedOut`] after the option `send_timeout`.
        pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
            wait(self.0.send(message), None).unwrap_or(Err(SendError::TimedOut))
        }

        /// Sends a message, waiting at most `timeout` for room. A message that was not sent is
        /// dropped; [`try_send`](crate::AnySocket::try_send) gives it back.
        ///
        /// # Errors
        /// [`SendError`]; [`SendError::TimedOut`] after `timeout` or the option `send_timeout`.
        pub fn send_timeout(
            &self,
            message: impl Into<Message>,
            timeout: Duration,
        ) -> Result<(), SendError> {
            let sent = wait(self.0.send(message), Some(later(timeout)));
            sent.unwrap_or(Err(SendError::TimedOut))
        }

        /// See [`AnySocket::send_batch`](crate::AnySocket::send_batch).
        ///
        /// # Errors
        /// [`SendError`]; [`SendError::TimedOut`] after the option `send_timeout`.
        pub fn send_batch(&self, messages: &mut Vec<Message>) -> Result<(), SendError> {
            wait(self.0.send_batch(messages), None).unwrap_or(Err(SendError::TimedOut))
        }

        /// Waits until a message could be sent, at most `timeout`: whether it could. See
        /// [`AnySocket::writable`](crate::AnySocket::writable).
        ///
        /// # Errors
        /// [`SendError::Closed`].
        pub fn writable(&self, timeout: Duration) -> Result<bool, SendError> {
            let writable = wait(self.0.writable(), Some(later(timeout)));
            writable.map_or(Ok(false), |writable| writable.map(|()| true))
        }
    };
}

macro_rules! receives {
    () => {
        /// See [`AnySocket::recv`](crate::AnySocket::recv).
        ///
        /// # Errors
        /// [`RecvError`]; [`RecvError::TimedOut`] after the option `recv_timeout`.
        pub fn recv(&self) -> Result<Message, RecvError> {
            wait(self.0.recv(), None).unwrap_or(Err(RecvError::TimedOut))
        }

        /// Receives a message, waiting at most `timeout` for it.
        ///
        /// # Errors
        /// [`RecvError`]; [`RecvError::TimedOut`] after `timeout` or the option `recv_timeout`.
        pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, RecvError> {
            let received = wait(self.0.recv(), Some(later(timeout)));
            received.unwrap_or(Err(RecvError::TimedOut))
        }

        /// See [`AnySocket::recv_batch`](crate::AnySocket::recv_batch).
        ///
        /// # Errors
        /// [`RecvError`]; [`RecvError::TimedOut`] after the option `recv_timeout`.
        pub fn recv_batch(&self, into: &mut Vec<Message>, max: usize) -> Result<usize, RecvError> {
            wait(self.0.recv_batch(into, max), None).unwrap_or(Err(RecvError::TimedOut))
        }

        /// Waits until a message is there, at most `timeout`: whether one is. See
        /// [`AnySocket::readable`](crate::AnySocket::readable).
        ///
        /// # Errors
        /// [`RecvError::Closed`].
        pub fn readable(&self, timeout: Duration) -> Result<bool, RecvError> {
            let readable = wait(self.0.readable(), Some(later(timeout)));
            readable.map_or(Ok(false), |readable| readable.map(|()| true))
        }
    };
}

impl<K: Sends> Socket<K> {
    sends!();
}

impl<K: Receives> Socket<K> {
    receives!();
}

impl AnySocket {
    sends!();
    receives!();
}

impl<K: Publishes> Socket<K> {
    /// Waits until `count` peers would receive `topic`; whether they came within `timeout`.
    #[must_use]
    pub fn wait_for_subscribers(
        &self,
        topic: impl Into<Frame>,
        count: usize,
        timeout: Duration,
    ) -> bool {
        let waiting = self.0.wait_for_subscribers(topic, count);
        wait(waiting, Some(later(timeout))).is_some()
    }
}
