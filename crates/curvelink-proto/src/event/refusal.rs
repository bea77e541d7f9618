//! Refused connections.

use std::fmt;

use super::Reason;
use crate::keys::Fingerprint;
use crate::mechanism::MechanismName;

/// A refused connection: who, when in the connection's life, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Who refused. [`Side::Peer`] is a claim of the network's, never authenticated.
    pub by: Side,
    /// How far the connection had come.
    pub stage: Stage,
    /// Why.
    pub reason: Reason,
    /// The mechanism that this side demanded.
    pub mechanism: MechanismName,
    /// The peer's long-term key, where the handshake had proven it; with
    /// [`Reason::WrongServerKey`] on a client, the key that it tried and the server does not have.
    pub fingerprint: Option<Fingerprint>,
    /// The ZAP status, where a policy decided.
    pub status: Option<u16>,
}

impl Refusal {
    /// A refusal without key and status; set the fields that are known.
    #[must_use]
    pub const fn new(by: Side, stage: Stage, reason: Reason, mechanism: MechanismName) -> Self {
        Self {
            by,
            stage,
            reason,
            mechanism,
            fingerprint: None,
            status: None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            Side::Us => "refused",
            Side::Peer => "refused by the peer",
        };
        write!(
            f,
            "{by} at {}: {} ({})",
            self.stage, self.reason, self.mechanism
        )?;
        if let Some(fingerprint) = &self.fingerprint {
            write!(f, " key {fingerprint}")?;
        }
        self.status
            .map_or(Ok(()), |status| write!(f, " status {status}"))
    }
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a link has two ends")]
pub enum Side {
    /// This process.
    Us,
    /// The other end, as far as unauthenticated octets can tell.
    Peer,
}

impl Side {
    /// One word, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Peer => "peer",
        }
    }
}

/// How far a connection had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Before any octet: addresses, slots, sockets.
    Transport,
    /// The 64 octets of the greeting.
    Greeting,
    /// The mechanism's commands.
    Handshake,
    /// The policy's verdict.
    Admission,
    /// Messages.
    Traffic,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transport => "transport",
            Self::Greeting => "greeting",
            Self::Handshake => "handshake",
            Self::Admission => "admission",
            Self::Traffic => "traffic",
        })
    }
}
