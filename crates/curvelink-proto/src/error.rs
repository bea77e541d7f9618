//! What can go wrong, and whose fault it is. No text here holds a key or an octet of the peer's.

use std::fmt;

use thiserror::Error;

use crate::event::{Reason, Stage};

/// Why a key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text has the wrong number of characters.
    #[error("a key in {form} has {expected} characters: check that it was copied whole")]
    Length {
        /// "Z85" or "hex".
        form: &'static str,
        /// How many characters there should be.
        expected: usize,
    },
    /// A character outside the alphabet.
    #[error("the key has a character that {form} does not use: check that it was copied whole")]
    Character {
        /// "Z85" or "hex".
        form: &'static str,
    },
    /// A Z85 group above 2^32 - 1.
    #[error("the key is not valid Z85: one group stands for more than four octets")]
    Overflow,
    /// The zero key, or another point of low order.
    #[error("the key is all zeroes or of low order, so anybody could use it: generate a new one")]
    Weak,
    /// A public key beside a secret that is not its own.
    #[error("the public key does not belong to the secret key: use the two halves of one pair")]
    Mismatch,
    /// The same key twice where each must be another.
    #[error("the same key is given twice: leave one out")]
    Repeated,
    /// More keys than are tried.
    #[error("a client pins at most {most} server keys: leave out those that are no longer in use")]
    TooMany {
        /// How many there may be.
        most: usize,
    },
    /// The random generator failed.
    #[error("the operating system gave no random octets: no key was made")]
    Entropy,
}

/// Why a handshake object refused to go on. Engines turn it into a [`ProtocolError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MechanismError {
    /// The command does not belong to this state of this role.
    #[error("a command came that this state of the handshake does not know")]
    UnexpectedCommand,
    /// The command has a length or a field that its grammar does not allow.
    #[error("a command of the handshake is malformed: {0}")]
    Malformed(&'static str),
    /// A box did not open under the server's long-term key: the client was given another one.
    #[error("the client's first box did not open: it has another server key")]
    WrongServerKey,
    /// A box did not open where only damage or forgery explains it.
    #[error("a box of the handshake did not open: damaged or forged")]
    BadBox,
    /// The vouch names another server or another connection, or was made by another key.
    #[error("the client's vouch is for another server or connection")]
    BadVouch,
    /// A public key that the peer sent is of low order.
    #[error("the peer sent a key of low order")]
    WeakKey,
    /// A MESSAGE counter was not exactly one above the one before.
    #[error("an encrypted frame was dropped, repeated or put out of order on the way")]
    Nonce,
    /// The counter has reached its end; RFC 26 forbids to go on.
    #[error("the connection has used up its nonces: open a new one")]
    NonceExhausted,
    /// The random generator failed.
    #[error("the operating system gave no random octets")]
    Entropy,
    /// What was to seal and open messages gave wrong answers on this machine.
    #[error("the cipher failed its self-test on this machine: choose the other backend of CURVE")]
    SelfTest,
}

/// Why a connection ended. Each value belongs to one [`Stage`] and one [`Reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The first octets are not a ZMTP 3.x greeting.
    #[error("the other side does not speak ZMTP")]
    NotZmtp,
    /// ZMTP 1.0 or 2.0, which know no security.
    #[error("the peer speaks ZMTP {major}: only 3.0 and later is accepted")]
    LegacyVersion {
        /// 1 or 2.
        major: u8,
    },
    /// Another security mechanism than ours.
    #[error("the peer uses another security mechanism than this endpoint")]
    MechanismMismatch,
    /// A frame header or command that the protocol does not allow.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// Larger than the limit in force.
    #[error("a {what} of {announced} octets is over the limit of {limit}: see max_message_size")]
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// What the peer announced, octets.
        announced: u64,
        /// What is allowed, octets.
        limit: u64,
    },
    /// A multipart message of too many frames.
    #[error("a message of more than {limit} frames: see max_frames")]
    TooManyFrames {
        /// What is allowed.
        limit: usize,
    },
    /// The handshake failed.
    #[error(transparent)]
    Mechanism(#[from] MechanismError),
    /// The socket types of the two sides do not talk to each other.
    #[error("the peer's socket type does not talk to ours")]
    SocketType,
    /// The policy refused the peer. The code is the ZAP status: 300, 400 or 500.
    #[error("the policy refused the peer (status {status})")]
    Denied {
        /// 300, 400 or 500.
        status: u16,
        /// The policy's own reason.
        reason: Reason,
    },
    /// The peer sent ERROR. Never authenticated: a hint, not a fact.
    #[error("the peer refused us{}", Status(*status))]
    RefusedByPeer {
        /// The three digits, where the peer sent such.
        status: Option<u16>,
    },
    /// A mechanism tried to let a peer in without a decision.
    #[error("the mechanism admitted a peer without a verdict: refused")]
    NotAdmitted,
    /// No greeting, no end of the handshake, or no sign of life in time.
    #[error("{0} took too long")]
    Timeout(&'static str),
    /// The connection ended without the end of stream that the peer had announced.
    #[error("the connection was cut: what the peer sent last may be missing")]
    Truncated,
    /// The peer closed the connection before the handshake was done.
    #[error("the peer closed the connection {}", Closed(*reason))]
    ClosedEarly {
        /// What the moment of closing says.
        reason: Reason,
        /// How far the connection had come.
        stage: Stage,
    },
}

struct Status(Option<u16>);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |status| write!(f, " (status {status})"))
    }
}

struct Closed(Reason);

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Reason::WrongServerKey => "after our first command: its key is not the one we expect",
            Reason::Denied => "after it learnt who we are: it does not admit us",
            Reason::NotZmtp => "instead of greeting us",
            _ => "during the handshake",
        })
    }
}

impl ProtocolError {
    /// The stable code for logs and metrics.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::NotZmtp => Reason::NotZmtp,
            Self::LegacyVersion { .. } => Reason::LegacyVersion,
            Self::MechanismMismatch => Reason::MechanismMismatch,
            Self::Malformed(_) => Reason::Malformed,
            Self::TooLarge { .. } | Self::TooManyFrames { .. } => Reason::TooLarge,
            Self::Mechanism(error) => match error {
                MechanismError::WrongServerKey => Reason::WrongServerKey,
                MechanismError::BadVouch => Reason::BadVouch,
                MechanismError::WeakKey => Reason::WeakKey,
                MechanismError::Nonce | MechanismError::NonceExhausted => Reason::Nonce,
                MechanismError::Entropy | MechanismError::SelfTest => Reason::Internal,
                MechanismError::UnexpectedCommand
                | MechanismError::Malformed(_)
                | MechanismError::BadBox => Reason::Malformed,
            },
            Self::SocketType => Reason::SocketType,
            Self::Denied { reason, .. } | Self::ClosedEarly { reason, .. } => *reason,
            Self::RefusedByPeer { status } => match status {
                Some(300) => Reason::Temporary,
                Some(500) => Reason::HandlerError,
                _ => Reason::Denied,
            },
            Self::NotAdmitted => Reason::Internal,
            Self::Timeout(_) => Reason::Timeout,
            Self::Truncated => Reason::Truncated,
        }
    }
}

/// No backend of CURVE has the name that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no backend of CURVE has this name: write dryoc or rustcrypto")]
#[non_exhaustive]
pub struct UnknownBackend;

/// The generator of random octets failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the source of random octets failed")]
pub struct EntropyError;
