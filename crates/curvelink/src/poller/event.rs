//! What is watched for, and what was seen.

/// What an entry of a [`Poller`](crate::Poller) is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interest {
    /// A message, or octets: see [`AnySocket::readable`](crate::AnySocket::readable).
    #[doc(alias = "ZMQ_POLLIN")]
    Readable,
    /// Room: see [`AnySocket::writable`](crate::AnySocket::writable).
    #[doc(alias = "ZMQ_POLLOUT")]
    Writable,
    /// Either.
    Both,
}

impl Interest {
    pub(super) const fn reads(self) -> bool {
        matches!(self, Self::Readable | Self::Both)
    }

    pub(super) const fn writes(self) -> bool {
        matches!(self, Self::Writable | Self::Both)
    }
}

/// One entry of a [`Poller`](crate::Poller) that is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<T> {
    token: T,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) closed: bool,
    due: bool,
}

impl<T> Event<T> {
    pub(super) const fn nothing(token: T) -> Self {
        Self {
            token,
            readable: false,
            writable: false,
            closed: false,
            due: false,
        }
    }

    pub(super) fn timer(token: T) -> Self {
        Self {
            due: true,
            ..Self::nothing(token)
        }
    }

    pub(super) const fn says_something(&self) -> bool {
        self.readable || self.writable || self.closed || self.due
    }

    /// The token that the entry was added with.
    pub const fn token(&self) -> &T {
        &self.token
    }

    /// There is something to receive, if that was watched for. Of a file descriptor also that its
    /// other end is closed: reading tells.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        self.readable
    }

    /// There is room to send, if that was watched for.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.writable
    }

    /// The socket was closed, or the descriptor cannot be watched any more: remove it.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// The timer is due.
    #[must_use]
    pub const fn is_due(&self) -> bool {
        self.due
    }
}
