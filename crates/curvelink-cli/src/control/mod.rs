//! Talking to the running hub of a folder: `run/control.sock`.
//!
//! A Unix socket of the hub's own user. Each connection is one line of JSON, a [`Request`], and one
//! line back, an [`Answer`]. Whoever may connect may also read the hub's keys: nothing that is
//! said here is secret, and nobody else is heard.

#[cfg(unix)]
mod client;
#[cfg(not(unix))]
mod nowhere;
#[cfg(unix)]
mod server;
mod status;

#[cfg(unix)]
pub(crate) use client::ask;
#[cfg(not(unix))]
pub(crate) use nowhere::{Control, ask};
#[cfg(unix)]
pub(crate) use server::Control;
pub(crate) use status::{
    KeysShown, LinkShown, PolicyShown, Reloaded, Shown, SocketShown, Through, WitnessShown,
    WitnessedShown,
};

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// The socket, in the folder's `run/`.
const SOCKET: &str = "control.sock";
/// Held while a hub runs; two would give clients two sets of endpoints.
const LOCK: &str = "hub.lock";

/// A request is one line of at most this many octets.
const MAX_REQUEST: u64 = 64 << 10;
/// An answer is: `show` has some 500 octets for each peer.
const MAX_ANSWER: u64 = 16 << 20;
/// For a whole exchange, on either side.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a hub is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Request {
    /// Read the policy and the hub's keys again.
    Reload {},
    /// Tell who is there.
    Show {},
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    Reloaded(Reloaded),
    Shown(Box<Shown>),
    /// Nothing was changed.
    Refused {
        error: String,
    },
}

/// A request on its way to the hub, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) request: Request,
    pub(crate) answer: oneshot::Sender<Answer>,
}
