//! Who is at the other end of a link.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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
    /// Our own key that was proven to it, under CURVE: of the two that a server has in a rotation,
    /// the one that this client pins.
    pub our_key: Option<PublicKey>,
    /// What seals and opens its frames on this side, where the mechanism has a choice: under CURVE
    /// the name of the [`CurveBackend`](crate::CurveBackend).
    pub cipher: Option<&'static str>,
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
            our_key: None,
            cipher: None,
            name: None,
            rights: Rights::all(),
            socket_type,
            routing_id: Bytes::new(),
            minor: 1,
        }
    }
}

impl Peer {
    /// Whether both are one identity as far as anything proves it: the same key; else the same
    /// name by the policy, which must not be empty, and the same user of this machine over ipc.
    ///
    /// Where nothing was proven of either (no key and no policy, over tcp or inproc) all are one.
    #[must_use]
    pub fn is_same_identity(&self, other: &Self) -> bool {
        if self.key.is_some() || other.key.is_some() {
            return self.key == other.key;
        }
        let same_place = match (self.address, other.address) {
            (PeerAddress::Ipc { uid: one, .. }, PeerAddress::Ipc { uid: two, .. }) => one == two,
            (PeerAddress::Tcp(_), PeerAddress::Tcp(_))
            | (PeerAddress::Inproc, PeerAddress::Inproc) => true,
            _ => false,
        };
        let named = self.name.as_deref() != Some("");
        self.mechanism == other.mechanism && same_place && named && self.name == other.name
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} from {} ({}",
            self.socket_type, self.address, self.mechanism
        )?;
        if let Some(cipher) = self.cipher {
            write!(f, ", {cipher}")?;
        }
        f.write_str(")")?;
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

impl PeerAddress {
    /// The part of the world that it is counted with: whoever has one address there has many.
    #[must_use]
    pub fn network(&self) -> Network {
        match self {
            Self::Tcp(address) => Network::of(address.ip()),
            Self::Ipc { uid, .. } => Network::User(*uid),
            Self::Inproc => Network::Process,
        }
    }
}

/// Where peers come from, as they are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Network {
    /// A network of the internet.
    Ip {
        /// Its lowest address.
        address: IpAddr,
        /// The length of its prefix: 24 for IPv4, 64 for IPv6.
        prefix: u8,
    },
    /// A user of this machine.
    User(u32),
    /// This process.
    Process,
}

impl Network {
    /// The network of an address; an IPv4 address that is written as IPv6 is one of IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::Ip {
                address: Ipv4Addr::from_bits(address.to_bits() & (!0 << 8)).into(),
                prefix: 24,
            },
            IpAddr::V6(address) => Self::Ip {
                address: Ipv6Addr::from_bits(address.to_bits() & (!0 << 64)).into(),
                prefix: 64,
            },
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip { address, prefix } => write!(f, "{address}/{prefix}"),
            Self::User(uid) => write!(f, "uid {uid}"),
            Self::Process => f.write_str("inproc"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;
    use crate::keys::KeyPair;

    fn tcp(port: u16) -> PeerAddress {
        PeerAddress::Tcp(SocketAddr::from(([192, 0, 2, 1], port)))
    }

    fn ipc(uid: u32, pid: i32) -> PeerAddress {
        let (gid, pid) = (uid, Some(pid));
        PeerAddress::Ipc { uid, gid, pid }
    }

    fn peer(address: PeerAddress, key: Option<PublicKey>, name: Option<&str>) -> Peer {
        let mut peer = Peer::anonymous(address, SocketType::Dealer);
        peer.key = key;
        peer.name = name.map(Arc::from);
        peer
    }

    #[test]
    fn neighbours_are_of_one_network_and_others_are_not() {
        let network = |address: &str| Network::of(address.parse().unwrap()).to_string();
        assert_eq!(network("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(network("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(network("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
        assert_ne!(network("2001:db8:1:3::4"), network("2001:db8:1:2::4"));
        assert_eq!(ipc(7, 1).network(), ipc(7, 2).network());
        assert_ne!(ipc(7, 1).network(), ipc(8, 1).network());
    }

    #[test]
    fn one_identity_is_what_proves_the_same() {
        let key = || Some(KeyPair::generate(&mut OsEntropy).unwrap().public());
        let (a, b) = (key(), key());
        let same = [
            (peer(tcp(1), a, None), peer(tcp(2), a, None)),
            // Allow-lists change and machines move; the key stays.
            (
                peer(tcp(1), a, Some("old")),
                peer(ipc(1, 1), a, Some("new")),
            ),
            (peer(tcp(1), None, Some("x")), peer(tcp(2), None, Some("x"))),
            (peer(tcp(1), None, None), peer(tcp(2), None, None)),
            (peer(ipc(1, 1), None, None), peer(ipc(1, 2), None, None)),
        ];
        let different = [
            (peer(tcp(1), a, Some("x")), peer(tcp(1), b, Some("x"))),
            (peer(tcp(1), a, None), peer(tcp(1), None, None)),
            (peer(tcp(1), None, Some("x")), peer(tcp(1), None, Some("y"))),
            (peer(tcp(1), None, Some("x")), peer(tcp(1), None, None)),
            // Two whom the policy let in without telling them apart.
            (peer(tcp(1), None, Some("")), peer(tcp(1), None, Some(""))),
            (peer(ipc(1, 1), None, None), peer(ipc(2, 1), None, None)),
            (peer(ipc(1, 1), None, None), peer(tcp(1), None, None)),
            (
                peer(PeerAddress::Inproc, None, None),
                peer(tcp(1), None, None),
            ),
        ];
        for (one, other) in same {
            assert!(one.is_same_identity(&other) && other.is_same_identity(&one));
        }
        for (one, other) in different {
            assert!(
                !one.is_same_identity(&other) && !other.is_same_identity(&one),
                "{one} / {other}"
            );
        }
    }
}
