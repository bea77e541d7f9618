//! Sockets as `Stream` and `Sink`, for the combinators of other crates.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use curvelink_proto::Message;
use futures_core::{FusedStream, Stream};
use futures_sink::Sink;

use crate::error::{RecvError, SendError};
use crate::socket::AnySocket;
use crate::socket::core::Sent;
use crate::socket::waiters::Interest;

/// The messages of a socket as a [`Stream`]; from [`AnySocket::messages`].
///
/// It keeps the socket open. Other clones may receive at the same time: each message goes to one of
/// them. A REQ and a REP give nothing while it is their turn to send. The option `recv_timeout` does
/// not count here. When the socket is closed the last item is [`RecvError::Closed`].
///
/// Dropping it loses nothing: a message is taken only by a poll that gives it.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Messages {
    socket: AnySocket,
    waiter: Option<u64>,
    ended: bool,
}

impl Messages {
    pub(crate) const fn new(socket: AnySocket) -> Self {
        Self {
            socket,
            waiter: None,
            ended: false,
        }
    }

    fn poll_recv(&mut self, cx: &Context<'_>) -> Poll<Result<Message, RecvError>> {
        let core = self.socket.core();
        loop {
            ready!(core.poll_ready(Interest::Message, &mut self.waiter, cx))?;
            // Another clone may have been quicker.
            if let Some(message) = core.try_recv()? {
                return Poll::Ready(Ok(message));
            }
        }
    }
}

impl Stream for Messages {
    type Item = Result<Message, RecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let received = ready!(this.poll_recv(cx));
        this.ended = received.is_err();
        Poll::Ready(Some(received))
    }
}

impl FusedStream for Messages {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.socket.core().forget_waiter(self.waiter);
    }
}

/// A socket as a [`Sink`] of messages; from [`AnySocket::sink`].
///
/// It keeps the socket open, and is ready when the socket is
/// [writable](AnySocket::writable): a REQ and a REP wait for their turn. A message goes straight to
/// the socket; only one that finds no room after all, because another clone was quicker or a ROUTER
/// knows the peer only then, waits here, and is dropped with the sink unless that is flushed. The
/// option `send_timeout` does not count here. Closing the sink leaves the socket open.
///
/// An error is about one message, which is dropped; the next may be sent.
#[derive(Debug)]
#[must_use = "sinks do nothing unless polled"]
pub struct MessageSink {
    socket: AnySocket,
    waiting: Option<Message>,
    waiter: Option<u64>,
}

impl MessageSink {
    pub(crate) const fn new(socket: AnySocket) -> Self {
        Self {
            socket,
            waiting: None,
            waiter: None,
        }
    }

    fn poll_flush(&mut self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        let Some(message) = &mut self.waiting else {
            return Poll::Ready(Ok(()));
        };
        let core = self.socket.core();
        let sent = ready!(core.poll_send(message, &mut self.waiter, cx));
        self.waiting = None;
        Poll::Ready(sent)
    }
}

impl Sink<Message> for MessageSink {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let this = self.get_mut();
        ready!(this.poll_flush(cx))?;
        let core = this.socket.core();
        let ready = core.poll_ready(Interest::Room, &mut this.waiter, cx);
        ready.map_err(SendError::from)
    }

    fn start_send(self: Pin<&mut Self>, mut message: Message) -> Result<(), SendError> {
        let this = self.get_mut();
        if this.waiting.is_some() {
            // Only without `poll_ready`.
            return Err(SendError::TimedOut);
        }
        match this.socket.core().try_send(&mut message) {
            Sent::Yes => Ok(()),
            Sent::NotNow => {
                this.waiting = Some(message);
                Ok(())
            }
            Sent::Never(error) => Err(error),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_flush(cx)
    }
}

impl Drop for MessageSink {
    fn drop(&mut self) {
        self.socket.core().forget_waiter(self.waiter);
    }
}

impl AnySocket {
    /// The messages as a [`Stream`], for combinators and `select!`s of other crates.
    ///
    /// ```
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use curvelink::{Context, Options, Pull, Push};
    /// use futures_util::{SinkExt, StreamExt, stream};
    ///
    /// let context = Context::new()?;
    /// let pull = context.socket::<Pull>(Options::new());
    /// pull.bind("inproc://adapters")?;
    /// let push = context.socket::<Push>(Options::new());
    /// push.connect("inproc://adapters")?;
    ///
    /// let mut numbers = stream::iter(1..=9).map(|number| Ok(number.to_string().into()));
    /// push.sink().send_all(&mut numbers).await?;
    /// let third = pull.messages().skip(2).next().await.unwrap()?;
    /// assert_eq!(third.first().unwrap(), b"3");
    /// # Ok(()) }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
    /// ```
    pub fn messages(&self) -> Messages {
        Messages::new(self.clone())
    }

    /// A [`Sink`] that sends: see [`messages`](Self::messages) for an example.
    pub fn sink(&self) -> MessageSink {
        MessageSink::new(self.clone())
    }
}
