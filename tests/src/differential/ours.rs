//! curvelink through its public face.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use curvelink::{
    AnySocket, BindError, ConnectError, Context, EndpointError, Frame, LinkEventKind, Message,
    Monitor, Options, RecvError, RefusedEndpoint, SendError, Socket, SocketType, Sub, TryRecvError,
    TrySendErrorKind,
};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::action::{Action, Driver, Frames, Outcome, Wait};
use super::options;

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

#[derive(Debug)]
struct Named {
    any: AnySocket,
    /// The same socket, where its type has more to it.
    sub: Option<Socket<Sub>>,
    monitor: Monitor,
    last: String,
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
                    done.unwrap_or_else(Outcome::Word)
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
            Action::Terminate(context) => {
                let context = self.contexts.get(context).ok_or("BUG no such context")?;
                // What it waits for is the business of `shutdown`.
                let _lingers = timeout(Duration::ZERO, context.shutdown()).await;
                Ok(Outcome::word("ok"))
            }
            Action::Shutdown(context, least) => self.shutdown(context, *least).await,
            Action::Links(count) => links(self.socket(name)?, *count).await,
            Action::Until(event) => until(self.socket(name)?, event).await,
            _ => match self.socket(name)?.endpoint(action) {
                Some(done) => done,
                None => traffic(&self.socket(name)?.any, action).await,
            },
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
        let kind = SocketType::from_name(kind.as_bytes()).ok_or("no such type")?;
        let options = chosen
            .iter()
            .try_fold(Options::new(), |options, (name, value)| {
                options::with(options, name, value)
            })?;
        // Options are checked when a socket binds: libzmq does so when they are set.
        let probe = context.any_socket(kind, options.clone());
        match probe.bind("inproc://differential probe") {
            Err(BindError::Refused(RefusedEndpoint::Option(_))) => return Err("invalid".to_owned()),
            _ => drop(probe),
        }
        let sub = (kind == SocketType::Sub).then(|| context.socket::<Sub>(options.clone()));
        let any = match &sub {
            Some(sub) => sub.any().clone(),
            None => context.any_socket(kind, options),
        };
        let monitor = any.monitor();
        let named = Named {
            any,
            sub,
            monitor,
            last: String::new(),
        };
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

impl Named {
    /// What is done at once; `None` for what may wait.
    fn endpoint(&mut self, action: &Action) -> Option<Result<Outcome, String>> {
        let ok = |()| Outcome::word("ok");
        Some(match action {
            Action::Bind(endpoint) => match self.any.bind(endpoint) {
                Ok(bound) => {
                    self.last = bound.to_string();
                    Ok(Outcome::word("ok"))
                }
                Err(error) => Err(of_bind(&error)),
            },
            Action::Connect(endpoint) => match self.any.connect(endpoint) {
                Ok(()) => {
                    self.last.clone_from(endpoint);
                    Ok(Outcome::word("ok"))
                }
                Err(error) => Err(of_connect(&error)),
            },
            Action::Unbind(endpoint) => self.any.unbind(endpoint).map(ok).map_err(no_endpoint),
            Action::Disconnect(endpoint) => {
                self.any.disconnect(endpoint).map(ok).map_err(no_endpoint)
            }
            Action::Last => Ok(Outcome::word(&*self.last)),
            Action::Subscribe(prefix) => self.subscribe(prefix, Socket::subscribe),
            Action::Unsubscribe(prefix) => self.subscribe(prefix, Socket::unsubscribe),
            Action::Set(name, _) => Err(format!("{name} is set when the socket is made")),
            Action::Get(name) => Err(format!("no way to ask for {name}")),
            _ => return None,
        })
    }

    fn subscribe(&self, prefix: &[u8], change: fn(&Socket<Sub>, Frame)) -> Result<Outcome, String> {
        // On other types there is no such method.
        let sub = self.sub.as_ref().ok_or("invalid")?;
        change(sub, Frame::from(prefix));
        Ok(Outcome::word("ok"))
    }
}

async fn traffic(socket: &AnySocket, action: &Action) -> Result<Outcome, String> {
    match action {
        Action::Send(wait, frames) => send(socket, *wait, frames).await,
        Action::Recv(wait) => recv(socket, *wait).await.map(|message| match message {
            Some(frames) => Outcome::Message(frames),
            None => Outcome::word("nothing"),
        }),
        Action::Burst(count, prefix) => {
            for number in 1..=*count {
                let mut frames = prefix.clone();
                frames.push(number.to_string().into_bytes());
                if let Err(word) = send(socket, Some(0), &frames).await {
                    return Err(format!("{} then {word}", number - 1));
                }
            }
            Ok(Outcome::word(format!("all {count}")))
        }
        Action::Drain(silence) => {
            let mut messages = Vec::new();
            while let Some(message) = recv(socket, Some(*silence)).await? {
                messages.push(message);
            }
            Ok(Outcome::Messages(messages))
        }
        _ => Err(format!("BUG not done here: {action:?}")),
    }
}

async fn send(socket: &AnySocket, wait: Wait, frames: &Frames) -> Result<Outcome, String> {
    let message: Message = frames.iter().map(|frame| Frame::from(&frame[..])).collect();
    let sent = match wait {
        Some(0) => match socket.try_send(message).map_err(|refused| refused.error) {
            Ok(()) => Ok(()),
            Err(TrySendErrorKind::Send(error)) => Err(error),
            Err(_) => Err(SendError::TimedOut),
        },
        Some(time) => timeout(Duration::from_millis(time), socket.send(message))
            .await
            .unwrap_or(Err(SendError::TimedOut)),
        None => socket.send(message).await,
    };
    match sent {
        Ok(()) => Ok(Outcome::word("ok")),
        Err(error) => Err(of_send(error)),
    }
}

async fn recv(socket: &AnySocket, wait: Wait) -> Result<Option<Frames>, String> {
    let received = match wait {
        Some(0) => match socket.try_recv() {
            Ok(message) => Ok(message),
            Err(TryRecvError::Recv(error)) => Err(error),
            Err(_) => Err(RecvError::TimedOut),
        },
        Some(time) => timeout(Duration::from_millis(time), socket.recv())
            .await
            .unwrap_or(Err(RecvError::TimedOut)),
        None => socket.recv().await,
    };
    match received {
        Ok(message) => Ok(Some(message.iter().map(|frame| frame.to_vec()).collect())),
        Err(RecvError::TimedOut) => Ok(None),
        Err(RecvError::WrongTurn) => Err("fsm".to_owned()),
        Err(RecvError::Closed) => Err("terminated".to_owned()),
        Err(other) => Err(format!("{other:?}")),
    }
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

/// The events by libzmq's names.
async fn until(socket: &mut Named, last: &str) -> Result<Outcome, String> {
    let mut names = Vec::new();
    loop {
        let Ok(Some(event)) = timeout(PATIENCE, socket.monitor.recv()).await else {
            names.push("nothing");
            return Ok(Outcome::word(names.join(" ")));
        };
        let name = match event.kind {
            LinkEventKind::Listening => "LISTENING",
            LinkEventKind::AcceptFailed { .. } => "ACCEPT_FAILED",
            LinkEventKind::Accepted => "ACCEPTED",
            LinkEventKind::Connected => "CONNECTED",
            LinkEventKind::Retrying { .. } => "CONNECT_RETRIED",
            LinkEventKind::HandshakeSucceeded(_) => "HANDSHAKE_SUCCEEDED",
            LinkEventKind::Refused(_) => "HANDSHAKE_FAILED",
            LinkEventKind::Disconnected { .. } => "DISCONNECTED",
            LinkEventKind::Closed => "CLOSED",
            _ => continue,
        };
        names.push(name);
        if name == last {
            return Ok(Outcome::word(names.join(" ")));
        }
    }
}

fn no_endpoint(_: curvelink::EndpointNotFound) -> String {
    "no-endpoint".to_owned()
}

fn of_endpoint(error: EndpointError) -> String {
    match error {
        EndpointError::Transport => "no-transport",
        _ => "invalid",
    }
    .to_owned()
}

fn of_bind(error: &BindError) -> String {
    match error {
        BindError::Endpoint(error) => return of_endpoint(*error),
        BindError::InUse => "in-use",
        BindError::Host => "no-device",
        BindError::Closed => "terminated",
        BindError::Io(error) => return of_io(error),
        other => return format!("{other:?}"),
    }
    .to_owned()
}

fn of_connect(error: &ConnectError) -> String {
    match error {
        ConnectError::Endpoint(error) => of_endpoint(*error),
        ConnectError::Wildcard => "invalid".to_owned(),
        ConnectError::Closed => "terminated".to_owned(),
        other => format!("{other:?}"),
    }
}

fn of_io(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "in-use".to_owned(),
        std::io::ErrorKind::AddrNotAvailable => "not-available".to_owned(),
        std::io::ErrorKind::PermissionDenied => "denied".to_owned(),
        std::io::ErrorKind::NotFound => "no-endpoint".to_owned(),
        kind => format!("{kind:?}"),
    }
}

fn of_send(error: SendError) -> String {
    match error {
        SendError::WrongTurn => "fsm",
        SendError::Unroutable => "unreachable",
        SendError::TimedOut => "again",
        SendError::Closed => "terminated",
        SendError::Empty => "invalid",
        other => return format!("{other:?}"),
    }
    .to_owned()
}
