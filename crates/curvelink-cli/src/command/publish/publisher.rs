//! From the input to the outlet, until the input ends or somebody says stop.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use curvelink::{Frame, Message};
use curvelink_envelope::SignError;
use tokio::time::{Instant, sleep, sleep_until};

use super::desk::Desk;
use super::outlet::Outlet;
use super::sent::Sent;
use crate::message::Input;
use crate::output;
use crate::stop::stop_signal;

/// Signs and sends, one message after the other.
pub(super) struct Publisher {
    outlet: Outlet,
    /// None where nothing is signed.
    desk: Option<Desk>,
    json: bool,
}

impl Publisher {
    pub(super) const fn new(outlet: Outlet, desk: Option<Desk>, json: bool) -> Self {
        Self { outlet, desk, json }
    }

    /// Publishes what is read, under `topic`; where it `stays`, goes on with heartbeats after the
    /// end. What was read is sent, however it ends, unless it cannot be sent.
    pub(super) async fn run(
        mut self,
        mut input: Input,
        topic: &str,
        stays: bool,
    ) -> anyhow::Result<()> {
        // A subscriber may be waited for without end, and until here a signal ends the program.
        let mut stop = pin!(stop_signal()?);
        let topic = Frame::from(topic);
        let mut reads = true;
        while reads || stays {
            let due = self.desk.as_ref().and_then(Desk::due);
            let beat = self.desk.as_mut().and_then(Desk::until_heartbeat);
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = at(due) => self.flush().await?,
                () = after(beat) => self.beat().await?,
                next = input.next(), if reads => match next {
                    Ok(Some(mut message)) => {
                        message.push_front(topic.clone());
                        self.publish(message).await?;
                    }
                    Ok(None) => reads = false,
                    Err(error) => {
                        self.flush().await?;
                        return Err(error);
                    }
                },
            }
        }
        self.flush().await?;
        if reads {
            output::note("stopped: what was read is sent, the input has not ended");
        }
        self.desk.as_mut().map_or(Ok(()), Desk::save)
    }

    async fn publish(&mut self, mut message: Message) -> anyhow::Result<()> {
        let signed = match self.sign(&mut message) {
            Err(SignError::SealFirst) => {
                self.flush().await?;
                self.sign(&mut message)
            }
            signed => signed,
        };
        match signed {
            Ok(Some(ready)) => self.deliver(ready).await,
            Ok(None) if self.desk.as_ref().is_some_and(Desk::is_full) => self.flush().await,
            Ok(None) => Ok(()),
            Err(error) => {
                self.flush().await?;
                Err(error.into())
            }
        }
    }

    /// What is ready to be sent; none while it is held.
    fn sign(&mut self, message: &mut Message) -> Result<Option<Message>, SignError> {
        match &mut self.desk {
            Some(desk) => desk.sign(message),
            None => Ok(Some(std::mem::take(message))),
        }
    }

    /// Sends what is held.
    async fn flush(&mut self) -> anyhow::Result<()> {
        let sealed = match &mut self.desk {
            Some(desk) => desk.seal()?,
            None => return Ok(()),
        };
        let mut left = sealed.len();
        for message in sealed {
            left -= 1;
            let sent = self.deliver(message).await;
            match left {
                0 => sent?,
                _ => sent.with_context(|| format!("{left} signed messages were not sent"))?,
            }
        }
        Ok(())
    }

    /// Sends a message that needs nothing more, and tells of it.
    async fn deliver(&mut self, message: Message) -> anyhow::Result<()> {
        let sent = match &self.desk {
            Some(desk) => Sent::signed(&message, Some(desk.key())),
            None => Sent::unsigned(),
        };
        self.send(message, sent).await
    }

    /// As [`deliver`](Self::deliver), for a message that was signed elsewhere.
    pub(super) async fn pass_on(&mut self, message: Message) -> anyhow::Result<()> {
        let sent = Sent::signed(&message, None);
        self.send(message, sent).await
    }

    async fn send(&mut self, message: Message, sent: Sent) -> anyhow::Result<()> {
        let sent = sent.to(self.outlet.send(message).await?);
        Ok(output::either(self.json, &sent, || sent.text())?)
    }

    /// Sends the heartbeats that are due: they are no messages, and nothing is told of them.
    async fn beat(&mut self) -> anyhow::Result<()> {
        let beats = match &mut self.desk {
            Some(desk) => desk.heartbeats()?,
            None => return Ok(()),
        };
        for beat in beats {
            self.outlet.send(beat).await?;
        }
        Ok(())
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

async fn after(delay: Option<Duration>) {
    match delay {
        Some(delay) => sleep(delay).await,
        None => pending().await,
    }
}
