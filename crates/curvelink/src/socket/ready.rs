//! Waiting until a socket could receive or send, and taking nothing.

use std::future::poll_fn;

use super::AnySocket;
use super::waiters::Interest;
use crate::error::{RecvError, SendError};
use crate::socket::any::Waiting;
use crate::socket::core::Closed;

impl AnySocket {
    /// Waits until a message is there, which [`try_recv`](Self::try_recv) then gives unless another
    /// clone was quicker. A kind that does not receive is never readable, nor is a REQ or a REP
    /// whose turn it is to send. The option `recv_timeout` does not count here.
    ///
    /// ```
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use curvelink::{Context, Options, Pull, Push};
    ///
    /// let context = Context::new()?;
    /// let (one, other) = (context.socket::<Pull>(Options::new()), context.socket::<Pull>(Options::new()));
    /// one.bind("inproc://one")?;
    /// other.bind("inproc://other")?;
    /// let push = context.socket::<Push>(Options::new());
    /// push.connect("inproc://other")?;
    /// push.send("x").await?;
    /// let message = tokio::select! {
    ///     ready = one.readable() => ready.map(|()| one.try_recv())?,
    ///     ready = other.readable() => ready.map(|()| other.try_recv())?,
    /// };
    /// assert_eq!(message?.first().unwrap(), b"x");
    /// # Ok(()) }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`RecvError::Closed`].
    ///
    /// # Cancel safety
    /// Nothing is taken, so nothing is lost.
    #[doc(alias = "ZMQ_EVENTS")]
    #[doc(alias = "ZMQ_POLLIN")]
    pub async fn readable(&self) -> Result<(), RecvError> {
        Ok(self.ready(Interest::Message).await?)
    }

    /// Waits until a message could be sent, which [`try_send`](Self::try_send) then does unless
    /// another clone was quicker.
    ///
    /// PUB, XPUB and XSUB always are writable, and so is a ROUTER, whatever peer a message will be
    /// for: with `router_mandatory`, once any peer has room. A REQ is when it is its turn and a
    /// peer has room, a REP between a request and its reply. A kind that does not send never is.
    /// The option `send_timeout` does not count here.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    ///
    /// # Cancel safety
    /// Nothing is taken, so nothing is lost.
    #[doc(alias = "ZMQ_POLLOUT")]
    pub async fn writable(&self) -> Result<(), SendError> {
        Ok(self.ready(Interest::Room).await?)
    }

    async fn ready(&self, interest: Interest) -> Result<(), Closed> {
        let mut waiting = Waiting::new(self.core());
        poll_fn(|cx| waiting.core.poll_ready(interest, &mut waiting.waiter, cx)).await
    }
}
