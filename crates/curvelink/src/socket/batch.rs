//! Many messages under one lock.

use std::future::poll_fn;

use curvelink_proto::Message;

use super::AnySocket;
use crate::error::{RecvError, SendError, TryRecvError};
use crate::socket::any::Waiting;

impl AnySocket {
    /// Receives messages behind those in `into`: waits for the first, then takes what is there, at
    /// most `max`; how many. With many small messages this costs less than one `recv` for each. A
    /// REQ and a REP receive one.
    ///
    /// ```
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use curvelink::{Context, Options, Pull, Push};
    ///
    /// let context = Context::new()?;
    /// let pull = context.socket::<Pull>(Options::new());
    /// pull.bind("inproc://batches")?;
    /// let push = context.socket::<Push>(Options::new());
    /// push.connect("inproc://batches")?;
    /// push.send_batch(&mut vec!["a".into(), "b".into(), "c".into()]).await?;
    /// let mut batch = Vec::new();
    /// assert_eq!(pull.recv_batch(&mut batch, 100).await?, 3);
    /// assert_eq!(batch[2].first().unwrap(), b"c");
    /// # Ok(()) }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`RecvError`]; nothing was received then.
    ///
    /// # Cancel safety
    /// Messages are taken only by a future that becomes ready: dropping it before loses nothing.
    pub async fn recv_batch(
        &self,
        into: &mut Vec<Message>,
        max: usize,
    ) -> Result<usize, RecvError> {
        let mut waiting = Waiting::new(self.core());
        let recv = poll_fn(|cx| {
            waiting
                .core
                .poll_recv_batch(into, max, &mut waiting.waiter, cx)
        });
        match self.core().options.queues.recv_timeout {
            None => recv.await,
            Some(time) => self
                .within(time, recv)
                .await
                .unwrap_or(Err(RecvError::TimedOut)),
        }
    }

    /// Receives the messages that are there, at most `max`, behind those in `into`; how many.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if none is, unless `max` is 0.
    pub fn try_recv_batch(
        &self,
        into: &mut Vec<Message>,
        max: usize,
    ) -> Result<usize, TryRecvError> {
        match self.core().try_recv_batch(into, max)? {
            0 if max > 0 => Err(TryRecvError::Empty),
            received => Ok(received),
        }
    }

    /// Sends all messages in their order, waiting for room where a kind waits. Those that were sent
    /// are gone from `messages`. A REQ and a REP send one in a turn.
    ///
    /// # Errors
    /// [`SendError`]: it is about the first message that is left, those behind it are left too.
    ///
    /// # Cancel safety
    /// What was not sent when the future is dropped is left in `messages`.
    pub async fn send_batch(&self, messages: &mut Vec<Message>) -> Result<(), SendError> {
        let mut waiting = Waiting::new(self.core());
        let send = poll_fn(|cx| {
            waiting
                .core
                .poll_send_batch(messages, &mut waiting.waiter, cx)
        });
        match self.core().options.queues.send_timeout {
            None => send.await,
            Some(time) => self
                .within(time, send)
                .await
                .unwrap_or(Err(SendError::TimedOut)),
        }
    }

    /// Sends messages from the front while there is room; how many. The others are left.
    ///
    /// # Errors
    /// [`SendError`] about the first message, if that cannot be sent for another reason than room;
    /// all are left then.
    pub fn try_send_batch(&self, messages: &mut Vec<Message>) -> Result<usize, SendError> {
        self.core().try_send_batch(messages)
    }
}
