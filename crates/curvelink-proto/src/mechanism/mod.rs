//! Security mechanisms: the open traits, and NULL, PLAIN and CURVE written against them.
//!
//! ```text
//! Mechanism (configuration, one per socket)
//!     └─ Handshake (one per connection, consumed by its end)
//!            ├─ Step::Authenticate ─▶ policy ─▶ Admitted ─▶ on_admitted
//!            └─ Step::Ready ─▶ Protection { Sealer, Opener } (one each per connection)
//! ```
//!
//! A mechanism does no I/O and reads no clock: it sees commands, writes commands, draws random
//! octets, all through [`HandshakeCx`]. The engine owns framing, limits, deadlines, ERROR and the
//! question to the policy, so that every mechanism has them.

pub(crate) mod curve;
pub(crate) mod null;
pub(crate) mod plain;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::entropy::Entropy;
use crate::error::MechanismError;
use crate::event::Reason;
use crate::keys::PublicKey;
use crate::wire::command::{self, Command};
use crate::wire::metadata::Metadata;
use crate::zap::Credentials;

/// A mechanism's name as the greeting carries it: 1 to 20 of `A-Z 0-9 - _ . +` (RFC 37,
/// "Greeting").
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MechanismName([u8; 20]);

impl MechanismName {
    /// RFC 37, "The NULL Security Mechanism".
    pub const NULL: Self = Self::literal(b"NULL");
    /// RFC 24.
    pub const PLAIN: Self = Self::literal(b"PLAIN");
    /// RFC 26.
    pub const CURVE: Self = Self::literal(b"CURVE");

    const fn literal(name: &[u8]) -> Self {
        let mut octets = [0; 20];
        let mut i = 0;
        while i < name.len() {
            octets[i] = name[i];
            i += 1;
        }
        Self(octets)
    }

    /// Takes a name without padding; `None` if its length or characters are not of the grammar.
    #[must_use]
    pub fn new(name: &[u8]) -> Option<Self> {
        let grammatical = |octet: &u8| {
            octet.is_ascii_uppercase() || octet.is_ascii_digit() || b"-_.+".contains(octet)
        };
        if name.is_empty() || !name.iter().all(grammatical) {
            return None;
        }
        let mut octets = [0; 20];
        octets.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self(octets))
    }

    /// The name without its padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let length = self
            .0
            .iter()
            .position(|octet| *octet == 0)
            .unwrap_or(self.0.len());
        self.0
            .get(..length)
            .and_then(|name| std::str::from_utf8(name).ok())
            .unwrap_or_default()
    }

    /// The 20 octets of the greeting.
    #[must_use]
    pub const fn as_octets(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for MechanismName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for MechanismName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a mechanism gives, for the runtime's decisions about endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "a mechanism must state each property"
)]
pub struct Properties {
    /// Whether strangers on the network cannot read or change traffic. Without it, endpoints
    /// beyond this host need a named override.
    pub confidential: bool,
    /// Whether this side asks the policy for a verdict on each peer. With it, an endpoint needs a
    /// policy before it binds.
    pub asks_policy: bool,
}

/// The configuration of a mechanism on one socket; makes one [`Handshake`] per connection.
pub trait Mechanism: fmt::Debug + Send + Sync + 'static {
    /// The name in the greeting; the peer's must be the same over all 20 octets.
    fn name(&self) -> MechanismName;

    /// Whether this side is the mechanism's server; goes into the greeting's as-server octet.
    fn as_server(&self) -> bool;

    /// What the mechanism gives.
    fn properties(&self) -> Properties;

    /// Whether steps of its handshakes cost about as much as a scalar multiplication: the runtime
    /// then runs them where they hold no other connection up, so many at a time. Default: yes.
    fn is_costly(&self) -> bool {
        true
    }

    /// A fresh handshake for one connection.
    fn handshake(&self) -> Box<dyn Handshake>;

    /// The same mechanism for the connections to one endpoint, where it learns something of the
    /// server there that says nothing of others. Default: `None`, nothing is learnt.
    fn for_endpoint(&self) -> Option<Arc<dyn Mechanism>> {
        None
    }

    /// Takes note that the server did not have the key that the last handshake expected. Whether
    /// another attempt is worth its while at once, because the next handshake expects another key.
    /// Default: no.
    fn try_next_key(&self) -> bool {
        false
    }
}

/// One connection's handshake.
///
/// The engine calls [`start`](Self::start) once the greetings are exchanged, then
/// [`on_command`](Self::on_command) for each command of the peer's, one at a time. After
/// [`Step::Authenticate`] it feeds nothing until the policy has answered, and calls
/// [`on_admitted`](Self::on_admitted) only if the answer was yes. After [`Step::Ready`] or an
/// error the handshake is dropped. ERROR commands never reach a handshake. All commands of a peer's
/// together have at most 16 KiB and 209 octets.
pub trait Handshake: fmt::Debug + Send {
    /// The first step: a client sends its first command here.
    ///
    /// # Errors
    /// [`MechanismError`] ends the connection, as from the other methods.
    fn start(&mut self, cx: &mut HandshakeCx<'_>) -> Result<Step, MechanismError>;

    /// A command came.
    ///
    /// # Errors
    /// Anything that is not in the table of this state and role.
    fn on_command(
        &mut self,
        command: Command<'_>,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError>;

    /// The policy admitted the peer.
    ///
    /// # Errors
    /// [`MechanismError::UnexpectedCommand`] when nothing had been asked.
    fn on_admitted(
        &mut self,
        admitted: Admitted,
        cx: &mut HandshakeCx<'_>,
    ) -> Result<Step, MechanismError>;

    /// What it most likely means that the peer closes the connection now: servers must not answer
    /// a box that does not open, so the moment of closing is all that a client learns.
    fn closed_early(&self) -> Reason {
        Reason::Closed
    }

    /// The long-term key without which the peer cannot go on: what an event names when the peer
    /// closes with [`Reason::WrongServerKey`]. Default: `None`.
    fn expected_key(&self) -> Option<PublicKey> {
        None
    }
}

/// What a handshake wants next.
#[must_use]
#[derive(Debug)]
#[allow(
    clippy::exhaustive_enums,
    clippy::large_enum_variant,
    reason = "moved once a handshake"
)]
pub enum Step {
    /// The peer's next command.
    Continue,
    /// The policy's verdict on what was proven.
    Authenticate {
        /// What was proven.
        credentials: Credentials,
        /// The peer's metadata, where it has come with the credentials: its routing id goes into
        /// the question.
        metadata: Option<Metadata>,
    },
    /// Nothing: messages may flow.
    Ready(Ready),
}

/// The end of a handshake.
#[derive(Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "mechanisms of other crates build it"
)]
pub struct Ready {
    /// Proof that somebody decided.
    pub admitted: Admitted,
    /// The peer's metadata.
    pub metadata: Metadata,
    /// The peer's long-term key, where the mechanism has proven one.
    pub key: Option<PublicKey>,
    /// Our own long-term key that was proven to the peer, where the mechanism has such.
    pub our_key: Option<PublicKey>,
    /// How frames are protected from here on; `None`: they go in clear.
    pub protection: Option<Protection>,
}

/// Proof that somebody decided to let a peer in: [`Ready`] cannot be built without it.
///
/// The engine makes one after the policy said yes. A mechanism that needs none of the policy's
/// says so by one of two loud names, and the engine checks that the name fits the role.
///
/// No other crate can make one, or two of one:
///
/// ```compile_fail,E0423
/// let admitted = curvelink_proto::Admitted(());
/// ```
///
/// ```compile_fail,E0624
/// let admitted = curvelink_proto::Admitted::by_policy();
/// ```
///
/// ```compile_fail,E0599
/// fn twice(admitted: &curvelink_proto::Admitted) -> curvelink_proto::Admitted {
///     admitted.clone()
/// }
/// ```
#[derive(Debug)]
pub struct Admitted(Provenance);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provenance {
    Policy,
    ServerProven,
    Anyone,
}

impl Admitted {
    /// The peer is the server, and has proven the key that this client pins. Refused by the engine
    /// from a mechanism that is itself the server.
    #[must_use]
    pub const fn server_proven() -> Self {
        Self(Provenance::ServerProven)
    }

    /// Anybody may connect: NULL on a local endpoint, or an explicit `accept_anyone`.
    #[must_use]
    pub const fn anyone() -> Self {
        Self(Provenance::Anyone)
    }

    pub(crate) const fn by_policy() -> Self {
        Self(Provenance::Policy)
    }

    pub(crate) const fn provenance(&self) -> Provenance {
        self.0
    }
}

/// How the frames of a connection are protected, each direction on its own.
#[derive(Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "mechanisms of other crates build it"
)]
pub struct Protection {
    /// Our frames.
    pub sealer: Box<dyn Sealer>,
    /// The peer's frames.
    pub opener: Box<dyn Opener>,
}

/// Protects frames that we send.
pub trait Sealer: fmt::Debug + Send {
    /// The exact length of what [`seal`](Self::seal) appends for a body of `clear` octets.
    fn sealed_len(&self, clear: usize) -> usize;

    /// Appends the sealed body (without a frame header) to `out`: exactly `sealed_len` octets.
    ///
    /// # Errors
    /// [`MechanismError::NonceExhausted`] at the end of the counter.
    fn seal(
        &mut self,
        flags: FrameFlags,
        clear: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), MechanismError>;

    /// The implementation that seals, for [`Peer::cipher`](crate::Peer::cipher), where the
    /// mechanism has a choice. Default: `None`.
    fn cipher(&self) -> Option<&'static str> {
        None
    }
}

/// Opens frames that the peer sent.
pub trait Opener: fmt::Debug + Send {
    /// Opens a frame's body where it stands; gives its flags, and where in `body` the clear octets
    /// are now. The rest of `body` is scrap afterwards. The engine refuses a range that leads out
    /// of `body`.
    ///
    /// # Errors
    /// [`MechanismError`] for anything but the peer's very next frame; the connection ends then.
    fn open_in_place(
        &mut self,
        body: &mut [u8],
    ) -> Result<(FrameFlags, Range<usize>), MechanismError>;
}

/// The flags that a protected frame carries inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "RFC 37 has these two")]
pub struct FrameFlags {
    /// More frames of the same message follow.
    pub more: bool,
    /// The body is a command.
    pub command: bool,
}

/// What a handshake may use: our metadata, random octets, and commands to the peer.
pub struct HandshakeCx<'a> {
    pub(crate) out: &'a mut BytesMut,
    pub(crate) metadata: &'a Bytes,
    pub(crate) entropy: &'a mut dyn Entropy,
    pub(crate) zap_domain: &'a str,
}

impl<'a> HandshakeCx<'a> {
    /// Sends a command frame.
    ///
    /// # Errors
    /// [`MechanismError::Malformed`] unless the name has 1 to 255 octets.
    pub fn send(&mut self, name: &str, body: &[u8]) -> Result<(), MechanismError> {
        command::write(self.out, name, body).ok_or(MechanismError::Malformed("command name"))
    }

    /// Our metadata, encoded as READY and INITIATE carry it.
    #[must_use]
    pub fn metadata(&self) -> &'a [u8] {
        self.metadata
    }

    /// The ZAP domain of our socket; empty when it has none.
    #[must_use]
    pub const fn zap_domain(&self) -> &'a str {
        self.zap_domain
    }

    /// Where random octets come from.
    pub fn entropy(&mut self) -> &mut dyn Entropy {
        self.entropy
    }

    /// Random octets.
    ///
    /// # Errors
    /// [`MechanismError::Entropy`] when the source fails.
    pub fn random<const N: usize>(&mut self) -> Result<[u8; N], MechanismError> {
        let mut octets = [0; N];
        self.entropy
            .fill(&mut octets)
            .map_err(|_| MechanismError::Entropy)?;
        Ok(octets)
    }
}

impl fmt::Debug for HandshakeCx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeCx")
            .field("zap_domain", &self.zap_domain)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanism_names_follow_the_grammar() {
        assert_eq!(MechanismName::new(b"CURVE"), Some(MechanismName::CURVE));
        assert_eq!(
            MechanismName::new(b"CURVE-MLKEM768").unwrap().as_str(),
            "CURVE-MLKEM768"
        );
        assert_eq!(MechanismName::new(&[b'A'; 20]).unwrap().as_str().len(), 20);
        for bad in [&b""[..], b"curve", b"A B", b"A\0", &[b'A'; 21], b"\xff"] {
            assert_eq!(MechanismName::new(bad), None, "{bad:?}");
        }
    }
}
