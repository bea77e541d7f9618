//! One of our sockets under its name.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use curvelink::{
    AnySocket, Context, Frame, Message, Monitor, Options, Peer, Pub, RecvError, SendError, Socket,
    SocketType, Sub, TryRecvError, TrySendErrorKind, Xpub, Xsub,
};
use tokio::time::timeout;

use super::super::action::{Action, Frames, Outcome, Wait};
use super::words::{no_endpoint, of_bind, of_connect, of_send, of_subscribe};

#[derive(Debug)]
pub(super) struct Named {
    pub(super) any: AnySocket,
    pub(super) monitor: Monitor,
    typed: Typed,
    /// Events that were told and not yet asked for.
    pub(super) told: VecDeque<&'static str>,
    /// Who sent what was received last.
    pub(super) sender: Option<Arc<Peer>>,
}

/// The same socket, where its type has more to it.
#[derive(Debug)]
enum Typed {
    Sub(Socket<Sub>),
    Xsub(Socket<Xsub>),
    Pub(Socket<Pub>),
    Xpub(Socket<Xpub>),
    Other,
}

impl Named {
    pub(super) fn open(context: &Context, kind: SocketType, options: Options) -> Self {
        let (any, typed) = match kind {
            SocketType::Sub => {
                let socket = context.socket(options);
                (socket.any().clone(), Typed::Sub(socket))
            }
            SocketType::Xsub => {
                let socket = context.socket(options);
                (socket.any().clone(), Typed::Xsub(socket))
            }
            SocketType::Pub => {
                let socket = context.socket(options);
                (socket.any().clone(), Typed::Pub(socket))
            }
            SocketType::Xpub => {
                let socket = context.socket(options);
                (socket.any().clone(), Typed::Xpub(socket))
            }
            _ => (context.any_socket(kind, options), Typed::Other),
        };
        Self {
            monitor: any.monitor(),
            any,
            typed,
            told: VecDeque::new(),
            sender: None,
        }
    }

    /// What is done at once; `None` for what may wait.
    pub(super) fn at_once(&self, action: &Action) -> Option<Result<Outcome, String>> {
        let ok = |()| Outcome::word("ok");
        Some(match action {
            Action::Bind(endpoint) => {
                let bound = self.any.bind(endpoint);
                bound
                    .map(drop)
                    .map(ok)
                    .map_err(|error| of_bind(&error, endpoint))
            }
            Action::Connect(endpoint) => {
                let connected = self.any.connect(endpoint);
                connected
                    .map(ok)
                    .map_err(|error| of_connect(&error, endpoint))
            }
            Action::ConnectAs(endpoint, id) => {
                let connected = self.any.connect_as(endpoint, Frame::from(&id[..]));
                connected
                    .map(ok)
                    .map_err(|error| of_connect(&error, endpoint))
            }
            Action::Unbind(endpoint) => self.any.unbind(endpoint).map(ok).map_err(no_endpoint),
            Action::Disconnect(endpoint) => {
                self.any.disconnect(endpoint).map(ok).map_err(no_endpoint)
            }
            Action::Last => {
                let last = self.any.last_endpoint();
                Ok(Outcome::word(
                    last.map(|last| last.to_string()).unwrap_or_default(),
                ))
            }
            Action::Subscribe(prefix) => self.subscribe(Frame::from(&prefix[..]), true).map(ok),
            Action::Unsubscribe(prefix) => self.subscribe(Frame::from(&prefix[..]), false).map(ok),
            // An option is said when the socket is made.
            Action::Set(..) => Err("unsupported".to_owned()),
            Action::Get(name) if name == "topics_count" => self.topics(),
            Action::Get(name) => Err(format!("no way to ask for {name}")),
            _ => return None,
        })
    }

    /// SUB for itself; XPUB for the peer that was heard last, as libzmq does.
    fn subscribe(&self, prefix: Frame, subscribe: bool) -> Result<(), String> {
        match (&self.typed, &self.sender) {
            (Typed::Sub(sub), _) if subscribe => sub.subscribe(prefix),
            (Typed::Sub(sub), _) => sub.unsubscribe(prefix),
            (Typed::Xpub(xpub), Some(peer)) if subscribe => {
                return xpub.subscribe_peer(peer, prefix).map_err(of_subscribe);
            }
            (Typed::Xpub(xpub), Some(peer)) => {
                return xpub.unsubscribe_peer(peer, prefix).map_err(of_subscribe);
            }
            // Others have no such method.
            _ => return Err("invalid".to_owned()),
        }
        Ok(())
    }

    fn topics(&self) -> Result<Outcome, String> {
        let count = match &self.typed {
            Typed::Sub(socket) => socket.topics(),
            Typed::Xsub(socket) => socket.topics(),
            Typed::Pub(socket) => socket.topics(),
            Typed::Xpub(socket) => socket.topics(),
            Typed::Other => return Err("invalid".to_owned()),
        };
        Ok(Outcome::word(count.to_string()))
    }
}

/// What may wait. It holds nothing of the driver's, so that it can go on while others do.
pub(super) async fn traffic(
    socket: &AnySocket,
    action: &Action,
) -> Result<(Outcome, Option<Arc<Peer>>), String> {
    let done = match action {
        Action::Send(wait, frames) => send(socket, *wait, frames).await?,
        Action::Recv(wait) => match recv(socket, *wait).await? {
            Some(message) => {
                let peer = message.peer().cloned();
                return Ok((Outcome::Message(frames(&message)), peer));
            }
            None => Outcome::word("nothing"),
        },
        Action::Burst(count, prefix) => burst(socket, *count, prefix).await?,
        Action::Drain(silence) => {
            let mut messages = Vec::new();
            while let Some(message) = recv(socket, Some(*silence)).await? {
                messages.push(frames(&message));
            }
            Outcome::Messages(messages)
        }
        _ => return Err(format!("BUG not done here: {action:?}")),
    };
    Ok((done, None))
}

async fn burst(socket: &AnySocket, count: u64, prefix: &Frames) -> Result<Outcome, String> {
    for number in 1..=count {
        let mut frames = prefix.clone();
        frames.push(number.to_string().into_bytes());
        if let Err(word) = send(socket, Some(0), &frames).await {
            return Err(format!("{} then {word}", number - 1));
        }
    }
    Ok(Outcome::word(format!("all {count}")))
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

async fn recv(socket: &AnySocket, wait: Wait) -> Result<Option<Message>, String> {
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
        Ok(message) => Ok(Some(message)),
        Err(RecvError::TimedOut) => Ok(None),
        Err(RecvError::WrongTurn) => Err("fsm".to_owned()),
        Err(RecvError::Closed) => Err("terminated".to_owned()),
        Err(RecvError::NotSupported) => Err("unsupported".to_owned()),
        Err(other) => Err(format!("{other:?}")),
    }
}

fn frames(message: &Message) -> Frames {
    message.iter().map(|frame| frame.to_vec()).collect()
}
