//! curvelink through its public face.

mod options;
mod socket;
mod words;

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use curvelink::{
    BindError, Context, Credentials, Options, Reason, RefusedEndpoint, Rights, SocketType,
    ZapHandler, ZapReply, ZapRequest,
};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::socket::{Named, traffic};
use super::action::{Action, Driver, Outcome};
use crate::support::Policy;

/// Every scenario's I/O, and the timers of its waits.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads"));

/// How long something may take that must come.
const PATIENCE: Duration = Duration::from_secs(5);

/// One scenario's sockets.
#[derive(Debug, Default)]
pub(super) struct Ours {
    contexts: HashMap<String, Context>,
    sockets: HashMap<String, Named>,
    started: HashMap<String, JoinHandle<Outcome>>,
}

impl Driver for Ours {
    fn perform(&mut self, socket: &str, action: &Action) -> Outcome {
        let done = RUNTIME.block_on(self.act(socket, action));
        done.unwrap_or_else(Outcome::Word)
    }
}

impl Ours {
    async fn act(&mut self, name: &str, action: &Action) -> Result<Outcome, String> {
        match action {
            Action::Open {
                kind,
                context,
                options,
            } => self.open(name, kind, context, options),
            Action::Close => {
                self.socket(name)?;
                self.sockets.remove(name);
                Ok(Outcome::word("ok"))
            }
            Action::Start(inner) => {
                let (socket, inner) = (self.socket(name)?.any.clone(), inner.clone());
                let work = tokio::spawn(async move {
                    let done = traffic(&socket, &inner).await;
                    done.map_or_else(Outcome::Word, |(outcome, _)| outcome)
                });
                self.started.insert(name.to_owned(), work);
                Ok(Outcome::word("ok"))
            }
            Action::Done(wait) => {
                let work = self.started.get_mut(name).ok_or("BUG nothing started")?;
                match timeout(Duration::from_millis(*wait), work).await {
                    Ok(done) => done.map_err(|error| format!("BUG {error}")),
                    Err(_) => Ok(Outcome::word("waiting")),
                }
            }
            Action::Admit(words) => {
                let context = self.contexts.entry("main".to_owned());
                let context =
                    context.or_insert_with(|| Context::new().expect("a runtime is there"));
                context.set_zap_handler(policy(words.clone()));
                Ok(Outcome::word("ok"))
            }
            Action::Terminate(context) => {
                let context = self.contexts.get(context).ok_or("BUG no such context")?;
                // What it waits for is the business of `shutdown`.
                let _lingers = timeout(Duration::ZERO, context.shutdown()).await;
                Ok(Outcome::word("ok"))
            }
            Action::Shutdown(context, least) => self.shutdown(context, *least).await,
            Action::Links(count) => links(self.socket(name)?, *count).await,
            Action::Until(event) => until(self.socket(name)?, event).await,
            _ => {
                let socket = self.socket(name)?;
                if let Some(done) = socket.at_once(action) {
                    return done;
                }
                let (done, sender) = traffic(&socket.any, action).await?;
                if sender.is_some() {
                    socket.sender = sender;
                }
                Ok(done)
            }
        }
    }

    fn socket(&mut self, name: &str) -> Result<&mut Named, String> {
        self.sockets
            .get_mut(name)
            .ok_or_else(|| format!("BUG no socket {name}"))
    }

    fn open(
        &mut self,
        name: &str,
        kind: &str,
        context: &str,
        chosen: &[(String, Vec<u8>)],
    ) -> Result<Outcome, String> {
        let context = self
            .contexts
            .entry(context.to_owned())
            .or_insert_with(|| Context::new().expect("a runtime is there"));
        let kind = SocketType::ALL.iter().find(|known| known.name() == kind);
        let kind = *kind.ok_or("no such type")?;
        let options = chosen
            .iter()
            .try_fold(Options::new(), |options, (name, value)| {
                options::with(options, name, value)
            })?;
        let options = options::secured(options, chosen)?;
        // Options are checked when a socket binds: libzmq does so when they are set.
        let probe = context.any_socket(kind, options.clone());
        match probe.bind("inproc://differential probe") {
            Err(BindError::Refused(
                RefusedEndpoint::Option(_) | RefusedEndpoint::OptionOfOthers(_),
            )) => return Err("invalid".to_owned()),
            _ => drop(probe),
        }
        let named = Named::open(context, kind, options);
        self.sockets.insert(name.to_owned(), named);
        Ok(Outcome::word("ok"))
    }

    async fn shutdown(&mut self, context: &str, least: u64) -> Result<Outcome, String> {
        let began = Instant::now();
        self.sockets.clear();
        let context = self.contexts.get(context).ok_or("BUG no such context")?;
        context.shutdown().await;
        let waited = began.elapsed() >= Duration::from_millis(least);
        Ok(Outcome::word(if waited { "waited" } else { "at once" }))
    }
}

/// Admits those whose name and password, or key, are these words.
fn policy(words: Vec<String>) -> impl ZapHandler {
    Policy(move |request: &ZapRequest| {
        let shown = match &request.credentials {
            Credentials::Plain { username, password }
                if password.matches(words[words.len() - 1].as_bytes()) =>
            {
                String::from_utf8_lossy(username).into_owned()
            }
            Credentials::Curve(key) => key.to_z85(),
            _ => String::new(),
        };
        if words[1] == shown {
            ZapReply::admit("somebody", Rights::all())
        } else {
            ZapReply::deny(Reason::Denied)
        }
    })
}

async fn links(socket: &Named, count: u64) -> Result<Outcome, String> {
    let mut monitor = socket.any.monitor();
    let there = async {
        while socket.any.peers().len() as u64 != count {
            // A link that ends is told just before its peer goes.
            let _look_again = timeout(Duration::from_millis(5), monitor.recv()).await;
        }
    };
    match timeout(PATIENCE, there).await {
        Ok(()) => Ok(Outcome::word("ok")),
        Err(_) => Err(format!("{} links", socket.any.peers().len())),
    }
}

/// The events up to one, by libzmq's names.
async fn until(socket: &mut Named, last: &str) -> Result<Outcome, String> {
    let mut names = Vec::new();
    loop {
        let Ok(Some(event)) = timeout(PATIENCE, socket.monitor.recv()).await else {
            names.push("nothing");
            return Ok(Outcome::word(names.join(" ")));
        };
        for event in event.libzmq() {
            socket
                .told
                .push_back(EVENTS[event.number.trailing_zeros() as usize]);
        }
        while let Some(name) = socket.told.pop_front() {
            names.push(name);
            if name == last {
                return Ok(Outcome::word(names.join(" ")));
            }
        }
    }
}

/// The names of libzmq's events, bit by bit.
const EVENTS: [&str; 16] = [
    "CONNECTED",
    "CONNECT_DELAYED",
    "CONNECT_RETRIED",
    "LISTENING",
    "BIND_FAILED",
    "ACCEPTED",
    "ACCEPT_FAILED",
    "CLOSED",
    "CLOSE_FAILED",
    "DISCONNECTED",
    "MONITOR_STOPPED",
    "HANDSHAKE_FAILED_NO_DETAIL",
    "HANDSHAKE_SUCCEEDED",
    "HANDSHAKE_FAILED_PROTOCOL",
    "HANDSHAKE_FAILED_AUTH",
    "15",
];
