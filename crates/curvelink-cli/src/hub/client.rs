//! A publisher's side of the hub.

use std::pin::pin;
use std::time::Duration;

use curvelink::{Context, Frame, LinkEventKind, Message, Req};
use tokio::time::{Instant, sleep, timeout};

use super::{Ack, MAX_MESSAGE};
use crate::exit::{Exit, OrExit, failure, one_line, usage};
use crate::home::{Endpoints, Home};
use crate::link::{Link, Linked, explain};

/// How often the hub is asked whether a subscriber has come.
const ASK: Duration = Duration::from_millis(50);

/// A request is not sent twice: whether the hub has passed it on, nobody can tell here.
const GONE: &str = "the hub closed the connection before it answered: its log says why";

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
        if message.octets() > MAX_MESSAGE {
            return Err(usage(format!(
                "the message has {} octets, and the hub takes at most {MAX_MESSAGE}: send less",
                message.octets()
            )));
        }
        let reply = self.exchange(message).await?;
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

    /// Sends a request and receives its reply, while watching that the hub is there.
    async fn exchange(&mut self, request: Message) -> anyhow::Result<Message> {
        let Linked {
            socket,
            monitor,
            endpoint,
            ..
        } = &mut self.linked;
        let mut exchange = pin!(timeout(self.patience, async {
            socket.send(request).await.or_exit(Exit::Refused)?;
            socket.recv().await.or_exit(Exit::Refused)
        }));
        loop {
            tokio::select! {
                // A reply that came before the hub went away is a reply.
                biased;
                reply = &mut exchange => {
                    let late = "the hub did not answer in time: is it overloaded?";
                    return reply.map_err(|_| failure(Exit::TimedOut, late))?;
                }
                Some(event) = monitor.recv() => match &event.kind {
                    LinkEventKind::Refused(refusal) => return Err(explain(endpoint, refusal)),
                    LinkEventKind::Disconnected { .. } => return Err(failure(Exit::Refused, GONE)),
                    _ => {}
                },
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
