//! Who is at the other end of a link.

use core::net::{IpAddr, SocketAddr};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::keys::PublicKey;
use crate::mechanism::MechanismName;
use crate::rights::Rights;
use crate::socket_type::SocketType;

/// The other end of a link, as the handshake and the policy proved it.
///
/// Only `routing_id` and `socket_type` are the peer's own words; the rest comes from the
/// transport, the mechanism and the policy, and cannot be set by metadata.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Where it is.
    pub address: PeerAddress,
    /// The mechanism in force.
    pub mechanism: MechanismName,
    /// Its long-term key, proven by the handshake: the client's under CURVE, and the pinned
    /// server's on the client's side.
    pub key: Option<PublicKey>,
    /// The name (ZAP user id) that the policy gave it; `None` where no policy was asked.
    pub name: Option<Arc<str>>,
    /// What the policy lets it publish and subscribe.
    pub rights: Rights,
    /// The socket type it announced, checked to be one that talks to ours.
    pub socket_type: SocketType,
    /// The routing id that it asks for; empty when it asks for none. Up to 255 octets.
    pub routing_id: Bytes,
    /// The ZMTP minor version in force: 0 or 1.
    pub minor: u8,
}

impl Peer {
    /// A peer that nothing is known of but its address and type: NULL, inproc.
    #[must_use]
    pub fn anonymous(address: PeerAddress, socket_type: SocketType) -> Self {
        Self {
            address,
            mechanism: MechanismName::NULL,
            key: None,
            name: None,
            rights: Rights::all(),
            socket_type,
            routing_id: Bytes::new(),
            minor: 1,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} from {} ({})",
            self.socket_type, self.address, self.mechanism
        )?;
        if let Some(name) = &self.name {
            write!(f, " name {}", name.escape_debug())?;
        }
        self.key
            .map_or(Ok(()), |key| write!(f, " key {}", key.fingerprint()))
    }
}

/// Where a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerAddress {
    /// Address and port of a TCP connection.
    Tcp(SocketAddr),
    /// The process at the other end of a Unix socket, as the kernel tells it, where it does.
    Ipc {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// Process id.
        pid: Option<i32>,
    },
    /// This process.
    Inproc,
}

impl PeerAddress {
    /// The IP address, without the port: what ZAP's `address` frame holds (RFC 27).
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Ipc { .. } | Self::Inproc => None,
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Ipc {
                uid,
                gid,
                pid: Some(pid),
            } => write!(f, "uid {uid} gid {gid} pid {pid}"),
            Self::Ipc {
                uid,
                gid,
                pid: None,
            } => write!(f, "uid {uid} gid {gid}"),
            Self::Inproc => f.write_str("inproc"),
        }
    }
}
