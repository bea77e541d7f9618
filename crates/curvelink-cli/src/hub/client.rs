//! A publisher's side of the hub.

use std::time::Duration;

use curvelink::{Context, Frame, Message, Req};
use tokio::time::{Instant, sleep, timeout_at};

use super::Ack;
use crate::exit::{Exit, OrExit, failure, one_line};
use crate::home::{Endpoints, Home};
use crate::link::{Link, Linked};

/// How often the hub is asked whether a subscriber has come.
const ASK: Duration = Duration::from_millis(50);

/// A connection to the hub's ingest.
pub(crate) struct Client {
    linked: Linked<Req>,
    patience: Duration,
}

impl Client {
    /// Connects, and waits until the hub has let this side in.
    pub(crate) async fn connect(
        context: &Context,
        link: Link,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let mut linked = link.open::<Req>(context)?;
        linked.established(1, patience).await?;
        Ok(Self { linked, patience })
    }

    /// Waits until so many subscribers would receive `topic`.
    ///
    /// # Errors
    /// [`Exit::Refused`] where this side may not publish it, [`Exit::TimedOut`] where they do not
    /// come.
    pub(crate) async fn wait_for_subscribers(
        &mut self,
        topic: &str,
        wanted: usize,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.patience;
        loop {
            let ack = self.ask(Frame::from(topic).into()).await?;
            if ack.subscribers.len() >= wanted {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(failure(
                    Exit::TimedOut,
                    format!(
                        "{} of {wanted} subscribers came for {} within {} s: start one, or send to \
                         whoever is there with --wait 0",
                        ack.subscribers.len(),
                        one_line(topic),
                        self.patience.as_secs_f64()
                    ),
                ));
            }
            sleep(ASK).await;
        }
    }

    /// Sends a message, or a topic alone, and waits for the answer.
    ///
    /// # Errors
    /// [`Exit::Refused`] where the hub does not pass it on.
    pub(crate) async fn ask(&mut self, message: Message) -> anyhow::Result<Ack> {
        let deadline = Instant::now() + self.patience;
        let late = || {
            failure(
                Exit::TimedOut,
                "the hub did not answer in time: is it overloaded?",
            )
        };
        let sent = timeout_at(deadline, self.linked.socket.send(message));
        sent.await.map_err(|_| late())?.or_exit(Exit::Refused)?;
        let reply = loop {
            tokio::select! {
                reply = timeout_at(deadline, self.linked.socket.recv()) => break reply,
                Some(event) = self.linked.monitor.recv() => self.linked.judge(&event)?,
            }
        };
        let reply = reply.map_err(|_| late())?.or_exit(Exit::Refused)?;
        let ack = reply
            .first()
            .and_then(|frame| Ack::parse(frame))
            .ok_or_else(|| {
                failure(
                    Exit::Refused,
                    "the answer is not that of a hub: is this the right endpoint?",
                )
            })?;
        match &ack.message {
            _ if ack.ok => Ok(ack),
            message => {
                let why = message
                    .as_deref()
                    .or(ack.code.as_deref())
                    .unwrap_or("no reason given");
                Err(failure(Exit::Refused, format!("refused: {why}")))
            }
        }
    }
}

/// Where the folder's hub listens; waits for it to say so where the settings leave it open.
pub(crate) async fn endpoints(home: &Home, patience: Duration) -> anyhow::Result<Endpoints> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(endpoints) = home.endpoints() {
            return Ok(endpoints);
        }
        if Instant::now() >= deadline {
            return Err(failure(
                Exit::TimedOut,
                format!(
                    "no hub came up within {} s: run `curvelink up`",
                    patience.as_secs_f64()
                ),
            ));
        }
        sleep(ASK).await;
    }
}
