//! What a scenario asks of an implementation, and what comes of it.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use curvelink::KeyPair;

use crate::support;

/// A message as a driver sees it.
pub type Frames = Vec<Vec<u8>>;

/// How long to wait, in milliseconds: 0 not at all, `None` as the socket's own options say.
pub type Wait = Option<u64>;

/// Something done to a socket, or to the context that a scenario's sockets live in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Makes the socket, in the place of an earlier one of that name.
    Open {
        /// libzmq's name of the type.
        kind: String,
        /// Which of the scenario's contexts.
        context: String,
        /// libzmq's names in lower case, and values.
        options: Vec<(String, Vec<u8>)>,
    },
    /// Changes an option of a socket that is there.
    Set(String, Vec<u8>),
    /// Asks for an option.
    Get(String),
    /// Binds.
    Bind(String),
    /// Connects.
    Connect(String),
    /// Connects and gives the peer a routing id.
    ConnectAs(String, Vec<u8>),
    /// Stops listening.
    Unbind(String),
    /// Ends a connection.
    Disconnect(String),
    /// Asks for the endpoint that was bound or connected last.
    Last,
    /// Closes the socket.
    Close,
    /// Subscribes.
    Subscribe(Vec<u8>),
    /// Takes a subscription back.
    Unsubscribe(Vec<u8>),
    /// Sends.
    Send(Wait, Frames),
    /// Receives.
    Recv(Wait),
    /// Sends the numbers from 1 to so many, each behind these frames, until one is refused.
    Burst(u64, Frames),
    /// Receives until nothing comes for so many milliseconds.
    Drain(u64),
    /// Waits until so many links are up.
    Links(u64),
    /// The names of the monitor's events up to this one.
    Until(String),
    /// Does it while the scenario goes on.
    Start(Box<Self>),
    /// What came of that within so many milliseconds.
    Done(u64),
    /// Sets the main context's policy: `plain`, a name and a password, or `curve` and a key.
    Admit(Vec<String>),
    /// Ends the context under its sockets.
    Terminate(String),
    /// Closes every socket and the context: whether their lingering took so many milliseconds.
    Shutdown(String, u64),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// `ok`, `nothing`, an error's name, a number.
    Word(String),
    /// A message.
    Message(Frames),
    /// All that were there.
    Messages(Vec<Frames>),
}

impl Outcome {
    /// A word.
    pub fn word(word: impl Into<String>) -> Self {
        Self::Word(word.into())
    }
}

/// An implementation, for the length of one scenario.
pub trait Driver {
    /// Does it, and says what came of it.
    fn perform(&mut self, socket: &str, action: &Action) -> Outcome;
}

/// Reads a step's verb and arguments.
///
/// # Errors
/// What is not of the language.
pub fn parse(
    verb: &str,
    args: &[String],
    frames: impl Fn(&str) -> Result<Frames, String>,
    endpoint: impl Fn(&str) -> Result<String, String>,
) -> Result<Action, String> {
    let bad = || format!("{verb} does not take {args:?}");
    let arg = |index: usize| args.get(index).map(String::as_str).ok_or_else(bad);
    let number = |index: usize| arg(index)?.parse::<u64>().map_err(|_| bad());
    let frame = |text: &str| Ok::<_, String>(frames(text)?.swap_remove(0));
    Ok(match verb {
        "set" => Action::Set(arg(0)?.to_owned(), frame(arg(1)?)?),
        "get" => Action::Get(arg(0)?.to_owned()),
        "bind" => Action::Bind(endpoint(arg(0)?)?),
        "connect" => Action::Connect(endpoint(arg(0)?)?),
        "connect-as" => Action::ConnectAs(endpoint(arg(0)?)?, frame(arg(1)?)?),
        "unbind" => Action::Unbind(endpoint(arg(0)?)?),
        "disconnect" => Action::Disconnect(endpoint(arg(0)?)?),
        "last" => Action::Last,
        "close" => Action::Close,
        "subscribe" => Action::Subscribe(frame(arg(0)?)?),
        "unsubscribe" => Action::Unsubscribe(frame(arg(0)?)?),
        "send" => Action::Send(Some(PATIENCE), frames(arg(0)?)?),
        "try-send" => Action::Send(Some(0), frames(arg(0)?)?),
        "timed-send" => Action::Send(None, frames(arg(0)?)?),
        "recv" => Action::Recv(Some(PATIENCE)),
        "try-recv" => Action::Recv(Some(0)),
        "timed-recv" => Action::Recv(None),
        "hears" => Action::Recv(Some(SILENCE)),
        "burst" => Action::Burst(number(0)?, arg(1).map_or(Ok(Vec::new()), frames)?),
        "drain" => Action::Drain(SILENCE),
        "links" => Action::Links(number(0)?),
        "until" => Action::Until(arg(0)?.to_owned()),
        "start" => Action::Start(Box::new(parse(arg(0)?, &args[1..], frames, endpoint)?)),
        "done" => Action::Done(PATIENCE),
        "waits" => Action::Done(SILENCE),
        "admit" => Action::Admit(args.iter().map(|word| key(word)).collect()),
        "terminate" => Action::Terminate(arg(0).unwrap_or("main").to_owned()),
        "shutdown" => Action::Shutdown("main".to_owned(), number(0)?),
        _ => return Err(format!("no such verb: {verb}")),
    })
}

/// A word, or the key that `public:NAME` and `secret:NAME` stand for, in Z85.
pub(super) fn key(word: &str) -> String {
    static KEYS: LazyLock<Mutex<HashMap<String, KeyPair>>> = LazyLock::new(Mutex::default);
    let Some((half, name)) = word.split_once(':') else {
        return word.to_owned();
    };
    let mut keys = KEYS.lock().expect("no panic while held");
    let pair = keys.entry(name.to_owned()).or_insert_with(support::keys);
    match half {
        "secret" => pair.secret().expose_z85().to_string(),
        _ => pair.public().to_z85(),
    }
}

/// How long anything may take that must come, in milliseconds: only what goes wrong takes as long.
const PATIENCE: u64 = 5_000;

/// How long a scenario listens for what must not come, in milliseconds.
const SILENCE: u64 = 150;
