//! Links: who this side is, whom it talks to, and whether they came to terms.

mod refusal;
mod security;

pub(crate) use refusal::explain;
pub(crate) use security::Security;

use std::future::pending;
use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use curvelink::{
    BindError, ConnectError, Context, Kind, LinkEvent, LinkEventKind, Message, Monitor, Options,
    Reason, Receives, RefusedEndpoint, Socket,
};
use tokio::time::{Instant, sleep, timeout_at};

use crate::exit::{Exit, OrExit, failure, usage};
use crate::output;

/// How long to wait for a peer unless --timeout says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A peer that has not sent a greeting or its part of the handshake by then does not mean to: the
/// program must say so in less than two seconds. A listener is more patient: nobody waits for it.
const HANDSHAKE: Duration = Duration::from_millis(1200);

/// One end of a link, as it was asked for.
pub(crate) struct Link {
    pub(crate) endpoint: String,
    pub(crate) bind: bool,
    pub(crate) security: Security,
}

/// A socket on a link, with what happens on it.
pub(crate) struct Linked<K> {
    pub(crate) socket: Socket<K>,
    pub(crate) monitor: Monitor,
    pub(crate) endpoint: String,
    bound: bool,
    /// Keys of the server that are left to try when it has not the one that was tried.
    other_keys: usize,
}

impl Link {
    /// Opens a socket and binds or connects it; says on standard error where it is bound.
    pub(crate) fn open<K: Kind>(self, context: &Context) -> anyhow::Result<Linked<K>> {
        let options = match self.bind {
            true => Options::new(),
            false => Options::new()
                .greeting_timeout(HANDSHAKE)
                .handshake_timeout(HANDSHAKE),
        };
        let other_keys = self.security.server_keys().saturating_sub(1);
        let options = self.security.apply(context, options)?;
        let socket = context.socket::<K>(options);
        let monitor = socket.monitor();
        let endpoint = if self.bind {
            let bound = match socket.bind(&self.endpoint) {
                Ok(bound) => bound.to_string(),
                Err(BindError::Refused(RefusedEndpoint::ClearText)) => {
                    return Err(clear_text(&self.endpoint));
                }
                Err(error) => return Err(error).or_exit(Exit::Usage),
            };
            output::note(&format!("listening on {bound}"));
            bound
        } else {
            match socket.connect(&self.endpoint) {
                Err(ConnectError::Refused(RefusedEndpoint::ClearText)) => {
                    return Err(clear_text(&self.endpoint));
                }
                connected => connected.or_exit(Exit::Usage)?,
            }
            self.endpoint
        };
        Ok(Linked {
            socket,
            monitor,
            endpoint,
            bound: self.bind,
            other_keys,
        })
    }
}

fn clear_text(endpoint: &str) -> anyhow::Error {
    usage(format!(
        "{endpoint}: in clear text, others on the network could read, change and forge what goes \
         there: give --as, or --key, or say --allow-clear-text-beyond-this-host"
    ))
}

impl<K: Kind> Linked<K> {
    /// Waits until `wanted` peers have come. One that has left again counts too: it may have sent
    /// what it had to send.
    ///
    /// # Errors
    /// [`Exit::Refused`] once the peer that this side connects to has refused it or is none, which
    /// is final; strangers who are refused at a bound socket are not this side's failure.
    /// [`Exit::TimedOut`] at the deadline.
    pub(crate) async fn established(
        &mut self,
        wanted: usize,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        let mut came = 0;
        let mut last = None;
        while came < wanted {
            let Ok(event) = timeout_at(deadline, self.monitor.recv()).await else {
                return Err(self.nobody_came(patience, last));
            };
            let event = event.ok_or_else(|| failure(Exit::Refused, "the socket was closed"))?;
            self.judge(&event)?;
            match event.kind {
                LinkEventKind::HandshakeSucceeded(_) => came += 1,
                LinkEventKind::Retrying { error, .. } => last = error.or(last),
                _ => {}
            }
        }
        Ok(())
    }

    /// Fails when an event says that this side was refused for good.
    pub(crate) fn judge(&mut self, event: &LinkEvent) -> anyhow::Result<()> {
        match &event.kind {
            LinkEventKind::Refused(refusal)
                if refusal.reason == Reason::WrongServerKey && self.other_keys > 0 =>
            {
                self.other_keys -= 1;
                Ok(())
            }
            LinkEventKind::Refused(refusal) if !self.bound => Err(explain(&self.endpoint, refusal)),
            _ => Ok(()),
        }
    }

    /// The next message, or the end: when this side is refused after all (the policy may have
    /// changed), or nothing has come for as long as `idle`.
    pub(crate) async fn recv(&mut self, idle: Option<Duration>) -> anyhow::Result<Message>
    where
        K: Receives,
    {
        let mut late = pin!(async {
            match idle {
                Some(idle) => sleep(idle).await,
                None => pending().await,
            }
        });
        loop {
            tokio::select! {
                biased;
                message = self.socket.recv() => return message.or_exit(Exit::Refused),
                Some(event) = self.monitor.recv() => self.judge(&event)?,
                () = &mut late => {
                    let line = format!("{}: no message came in time: give more --timeout", self.endpoint);
                    return Err(failure(Exit::TimedOut, line));
                }
            }
        }
    }

    fn nobody_came(&self, patience: Duration, last: Option<ErrorKind>) -> anyhow::Error {
        let (endpoint, seconds) = (&self.endpoint, patience.as_secs_f64());
        let line = match (self.bound, last) {
            (true, _) => {
                format!("{endpoint}: nobody connected within {seconds} s: is the peer up?")
            }
            (false, Some(error)) => format!(
                "{endpoint}: no answer within {seconds} s ({error}): is the peer up, and is this \
                 its port?"
            ),
            (false, None) => {
                format!("{endpoint}: no answer within {seconds} s: is the peer up?")
            }
        };
        failure(Exit::TimedOut, line)
    }
}
