//! One sink's task: reaches it, sends what waits, and tells when it is away.

use std::sync::Arc;
use std::time::Duration;

use curvelink::Context;
use tokio::select;
use tokio::time::sleep;

use super::queue::{Line, Next, Queue};
use super::transport::Transport;
use super::{Sink, told};

/// Between attempts to reach a sink.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

pub(super) struct Worker<T> {
    sink: Arc<Sink>,
    transport: T,
    /// Where the hub is told how the sink does.
    hub: Context,
    is_away: bool,
}

impl<T: Transport> Worker<T> {
    pub(super) const fn new(sink: Arc<Sink>, transport: T, hub: Context) -> Self {
        Self {
            sink,
            transport,
            hub,
            is_away: false,
        }
    }

    /// Works until the queue is closed, and empty or out of reach.
    pub(super) async fn run(mut self) {
        while self.reach().await {
            match self.pour().await {
                Ok(()) => break,
                Err(error) => self.away(error),
            }
        }
        self.transport.finish().await;
    }

    /// Tries until the sink is reached, or nothing more will come for it.
    async fn reach(&mut self) -> bool {
        let mut pause = SHORTEST;
        loop {
            let connected = select! {
                connected = self.transport.connect() => connected,
                // The first attempt is waited for.
                () = self.sink.queue.closed(), if self.is_away => return false,
            };
            match connected {
                Ok(()) if std::mem::take(&mut self.is_away) => {
                    self.hub.record(told::back(&self.sink.name));
                    return true;
                }
                Ok(()) => return true,
                Err(error) => self.away(error),
            }
            if !T::PACES_ITSELF {
                select! {
                    () = self.sink.queue.closed() => return false,
                    () = sleep(pause) => pause = (pause * 2).min(LONGEST),
                }
            }
        }
    }

    /// Sends what waits and what comes, to the end of all or of the link.
    async fn pour(&mut self) -> Result<(), String> {
        loop {
            let next = select! {
                biased;
                error = self.transport.broken() => return Err(error),
                next = self.sink.queue.next() => next,
            };
            let line = match next {
                None => return Ok(()),
                Some(Next::Line(line)) => line,
                Some(Next::Lost(lost)) => self.sink.missing(lost),
            };
            let mut sending = Sending {
                queue: &self.sink.queue,
                line,
                is_done: false,
            };
            self.transport.send(&sending.line.text).await?;
            sending.is_done = true;
        }
    }

    /// Told once, until it is back.
    fn away(&mut self, error: String) {
        if !std::mem::replace(&mut self.is_away, true) {
            self.hub.record(told::away(&self.sink.name, error));
        }
    }
}

/// A line that goes back into the queue unless it was sent.
struct Sending<'a> {
    queue: &'a Queue,
    line: Line,
    is_done: bool,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.queue.put_back(self.line.clone());
        }
    }
}
