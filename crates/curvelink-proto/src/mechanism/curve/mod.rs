//! CURVE (RFC 25, RFC 26): both sides prove their permanent keys, and every frame is sealed under
//! keys that live as long as the connection.
//!
//! The client has the permanent pair C, c and knows the server's S; the server has S, s. Each
//! connection adds the transient pairs C', c' and S', s'. `box[x](a→b)` is x sealed so that only
//! the owners of a and b can make or open it:
//!
//! ```text
//! client                                               server
//!   HELLO     C', box[zeroes](C'→S)                 ─▶   knows: the client has our key
//!             proof for us: box opens under S       ◀─   WELCOME  box[S', cookie](S→C')
//!   INITIATE  cookie, box[C, vouch, metadata](C'→S') ─▶  knows: the client owns C
//!             vouch = box[C', S](C→S')                   asks the policy about C
//!                                                   ◀─   READY    box[metadata](S'→C')
//!   MESSAGE   box[flags, frame](C'→S')             ◀─▶   MESSAGE  box[flags, frame](S'→C')
//! ```
//!
//! A server answers no command that is wrong in any way, so that a stranger learns nothing; what
//! the moment of closing says is in [`Handshake::closed_early`].
//!
//! Stricter than RFC 26 and libzmq: numbers grow by exactly one from HELLO on, the padding of
//! HELLO and the reserved flags of MESSAGE must be zero, keys of low order are refused, a cookie
//! is good once and for its own connection, and the vouch must name our key.

mod backend;
mod client;
#[cfg(test)]
mod forged;
mod layout;
pub(crate) mod nacl;
mod pins;
mod server;
mod server_keys;
#[cfg(test)]
mod tests;
mod traffic;

pub use backend::CurveBackend;
pub use server_keys::ServerKeys;
#[cfg(test)]
pub(crate) use traffic::Known;

use std::sync::Arc;

use crate::error::{KeyError, MechanismError};
use crate::keys::{KeyPair, PublicKey};

use super::{Handshake, HandshakeCx, Mechanism, MechanismName, Properties};

use backend::Cipher;
use client::Client;
use pins::Pins;
use server::Server;

/// The CURVE mechanism: both sides prove who they are, and nobody on the way can read, change,
/// drop, repeat or inject a frame unnoticed.
///
/// Not hidden: lengths, number, direction and time of frames. That the last frames are missing when
/// a connection is cut is noticed between peers that announce an end of stream, as this library's
/// do and libzmq's do not. A handshake costs each side five or six scalar
/// multiplications, well below a millisecond; a frame grows by 33 octets.
///
/// RFC 25, RFC 26.
#[derive(Clone, Debug)]
pub struct Curve {
    role: Role,
    backend: CurveBackend,
}

#[derive(Clone, Debug)]
enum Role {
    Client {
        keys: Arc<KeyPair>,
        pins: Arc<Pins>,
    },
    Server {
        keys: ServerKeys,
        accept_anyone: bool,
    },
}

impl Curve {
    /// A client that proves `keys` and talks only to the owner of `server`: the key that it pins.
    #[must_use]
    pub fn client(keys: KeyPair, server: PublicKey) -> Self {
        Self {
            role: Role::Client {
                keys: Arc::new(keys),
                pins: Arc::new(Pins::new(server)),
            },
            backend: CurveBackend::default(),
        }
    }

    /// Lets a client's server be the owner of another key instead: the one that it will have, or had
    /// a while ago. Up to 8 keys in all, tried in the order in which they are given.
    ///
    /// A connection tries one key, since the first command is sealed to it. A server that does not
    /// have the key closes without a word; then the next connection follows at once with the next
    /// key, and the usual waits begin when none was right. The one that was right is tried first from
    /// then on, for each endpoint on its own. [`Peer::key`](crate::Peer::key) tells which it is.
    /// Any of the keys is good at any of a socket's endpoints: to hold endpoints to different keys,
    /// give each a socket.
    ///
    /// No effect on a server: see [`ServerKeys`].
    ///
    /// # Errors
    /// [`KeyError::Repeated`] and [`KeyError::TooMany`].
    pub fn or_server(mut self, next: PublicKey) -> Result<Self, KeyError> {
        if let Role::Client { pins, .. } = &mut self.role {
            *pins = Arc::new(pins.with(next)?);
        }
        Ok(self)
    }

    /// A server that proves `keys` and asks the policy about each client's key: a [`KeyPair`], or
    /// [`ServerKeys`] where keys are to be exchanged while the socket is in use.
    #[must_use]
    pub fn server(keys: impl Into<ServerKeys>) -> Self {
        Self {
            role: Role::Server {
                keys: keys.into(),
                accept_anyone: false,
            },
            backend: CurveBackend::default(),
        }
    }

    /// Lets a server take every client without asking the policy. Traffic is still sealed and the
    /// client's key still proven, but any stranger may connect, send and subscribe.
    ///
    /// No effect on a client: it pins its server.
    #[must_use]
    pub fn accept_anyone(mut self) -> Self {
        if let Role::Server { accept_anyone, .. } = &mut self.role {
            *accept_anyone = true;
        }
        self
    }

    /// Which implementation seals and opens the frames that follow the handshake; the peer need not
    /// use the same. Default: [`CurveBackend::Dryoc`].
    #[must_use]
    pub const fn backend(mut self, backend: CurveBackend) -> Self {
        self.backend = backend;
        self
    }
}

impl Mechanism for Curve {
    fn name(&self) -> MechanismName {
        MechanismName::CURVE
    }

    fn as_server(&self) -> bool {
        matches!(self.role, Role::Server { .. })
    }

    fn properties(&self) -> Properties {
        Properties {
            confidential: true,
            asks_policy: matches!(
                self.role,
                Role::Server {
                    accept_anyone: false,
                    ..
                }
            ),
        }
    }

    fn handshake(&self) -> Box<dyn Handshake> {
        self.handshake_with(Cipher::new(self.backend))
    }

    fn for_endpoint(&self) -> Option<Arc<dyn Mechanism>> {
        let Role::Client { keys, pins } = &self.role else {
            return None;
        };
        Some(Arc::new(Self {
            role: Role::Client {
                keys: Arc::clone(keys),
                pins: Arc::new(pins.afresh()?),
            },
            backend: self.backend,
        }))
    }

    fn try_next_key(&self) -> bool {
        matches!(&self.role, Role::Client { pins, .. } if pins.next())
    }
}

impl Curve {
    fn handshake_with(&self, cipher: Result<Cipher, MechanismError>) -> Box<dyn Handshake> {
        match &self.role {
            Role::Client { keys, pins } => {
                Box::new(Client::new(Arc::clone(keys), Arc::clone(pins), cipher))
            }
            Role::Server {
                keys,
                accept_anyone,
            } => Box::new(Server::new(keys.held(), *accept_anyone, cipher)),
        }
    }
}

/// A pair for one connection.
fn transient_pair(cx: &mut HandshakeCx<'_>) -> Result<KeyPair, MechanismError> {
    KeyPair::generate(cx.entropy()).map_err(|_| MechanismError::Entropy)
}

/// A key that came from the peer; never one of low order.
fn received_key(octets: &[u8; 32]) -> Result<PublicKey, MechanismError> {
    PublicKey::from_octets(*octets).map_err(|_| MechanismError::WeakKey)
}
