//! Where a peer may come from.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

use curvelink_proto::PeerAddress;

use crate::error::Problem;

/// Where a peer may come from: `10.0.0.0/8`, `2001:db8::1`, `ipc`, `ipc:uid=1000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A network, or one address.
    Network(Network),
    /// Any process of this machine, over ipc.
    Ipc,
    /// The processes of one user of this machine, over ipc.
    IpcUser(u32),
}

impl Source {
    /// Whether a peer at this address comes from there.
    #[must_use]
    pub fn admits(&self, address: &PeerAddress) -> bool {
        match (self, address) {
            (Self::Network(network), PeerAddress::Tcp(address)) => network.contains(address.ip()),
            (Self::Ipc, PeerAddress::Ipc { .. }) => true,
            (Self::IpcUser(listed), PeerAddress::Ipc { uid, .. }) => listed == uid,
            _ => false,
        }
    }

    /// Whether all who come from `other` come from here.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Network(wide), Self::Network(narrow)) => wide.covers(narrow),
            (Self::Ipc, Self::Ipc | Self::IpcUser(_)) => true,
            (one, other) => one == other,
        }
    }

    /// Reads one entry of `sources`.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        match text.strip_prefix("ipc") {
            Some("") => Ok(Self::Ipc),
            Some(rest) => {
                let uid = rest.strip_prefix(":uid=").and_then(number);
                uid.map(Self::IpcUser).ok_or(Problem::Source)
            }
            None => Network::parse(text).map(Self::Network),
        }
    }
}

/// Writes what the file says.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => write!(f, "{network}"),
            Self::Ipc => f.write_str("ipc"),
            Self::IpcUser(uid) => write!(f, "ipc:uid={uid}"),
        }
    }
}

/// The addresses whose first bits are these. An IPv4 address in IPv6 form (`::ffff:192.0.2.7`) is
/// the IPv4 address everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// No bit is set behind the prefix.
    address: IpAddr,
    /// 0 to 32, or to 128.
    prefix: u32,
}

impl Network {
    /// Whether an address is in the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }

    /// Whether every address of `other` is in the network.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// Whether a loopback address is in the network.
    pub(crate) fn meets_loopback(&self, of_ipv4: bool) -> bool {
        let (address, prefix): (IpAddr, u32) = if of_ipv4 {
            (Ipv4Addr::new(127, 0, 0, 0).into(), 8)
        } else {
            (Ipv6Addr::LOCALHOST.into(), 128)
        };
        let loopback = Self { address, prefix };
        self.covers(&loopback) || loopback.covers(self)
    }

    /// Whether it is of IPv4.
    pub(crate) const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether every address of its family is in it.
    pub(crate) const fn is_everything(&self) -> bool {
        self.prefix == 0
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(number(prefix).ok_or(Problem::Source)?)),
        };
        let written: IpAddr = address.parse().map_err(|_| Problem::Source)?;
        let longest = longest(written);
        let prefix = prefix.unwrap_or(longest);
        if prefix > longest {
            return Err(Problem::Source);
        }
        let meant = Self::meant(written, prefix);
        let is_exact = meant.address == written && meant.prefix == prefix;
        if is_exact {
            Ok(meant)
        } else {
            Err(Problem::SourceForm(meant.to_string()))
        }
    }

    /// The network of the first bits; of IPv4 where that is what IPv6 form holds.
    fn meant(address: IpAddr, prefix: u32) -> Self {
        let network = Self {
            address: masked(address, prefix),
            prefix,
        };
        match network.address.to_canonical() {
            address @ IpAddr::V4(_) if prefix >= 96 && network.address.is_ipv6() => Self {
                address,
                prefix: prefix - 96,
            },
            _ => network,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == longest(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

const fn longest(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with nothing but its first bits.
fn masked(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - prefix.min(32)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - prefix.min(128)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

/// A decimal number as one writes it: digits alone, no zero before them.
pub(crate) fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    let plain = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| digits && plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(ip: &str) -> PeerAddress {
        PeerAddress::Tcp((ip.parse::<IpAddr>().unwrap(), 7).into())
    }

    fn ipc(uid: u32) -> PeerAddress {
        let (gid, pid) = (1000, Some(7));
        PeerAddress::Ipc { uid, gid, pid }
    }

    #[test]
    fn a_source_admits_its_own_addresses_and_no_neighbour() {
        for (source, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.0/8", "10.0.0.0", "9.255.255.255"),
            ("10.128.0.0/9", "10.128.0.0", "10.127.255.255"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("10.0.0.0/8", "10.1.2.3", "::a01:203"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
            ("::1", "::1", "::2"),
            ("0.0.0.0/0", "255.0.0.1", "::1"),
            ("::/0", "ffff::1", "10.0.0.1"),
            ("::/0", "::1", "::ffff:10.0.0.1"),
        ] {
            let read = Source::parse(source).unwrap();
            assert!(read.admits(&tcp(inside)), "{source} {inside}");
            assert!(!read.admits(&tcp(outside)), "{source} {outside}");
            assert!(!read.admits(&ipc(0)) && !read.admits(&PeerAddress::Inproc));
            assert_eq!(read.to_string(), source);
        }
    }

    #[test]
    fn users_of_this_machine_are_told_apart_and_from_networks() {
        let any = Source::parse("ipc").unwrap();
        let one = Source::parse("ipc:uid=1000").unwrap();
        assert!(any.admits(&ipc(0)) && any.admits(&ipc(1000)) && one.admits(&ipc(1000)));
        for other in [ipc(0), ipc(100), tcp("127.0.0.1"), PeerAddress::Inproc] {
            assert!(!one.admits(&other), "{other}");
        }
        assert!(!any.admits(&tcp("127.0.0.1")) && !any.admits(&PeerAddress::Inproc));
        assert!(any.covers(&one) && !one.covers(&any) && one.covers(&one));
        assert_eq!([any, one].map(|it| it.to_string()), ["ipc", "ipc:uid=1000"]);
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for text in [
            "",
            "/",
            "10",
            "10.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "010.0.0.0/8",
            "10.0.0.0 /8",
            "10.0.0.0:80",
            "::/129",
            "[::1]",
            "fe80::1%eth0",
            "localhost",
            "*",
            "any",
            "everything",
            "IPC",
            "ipc:",
            "ipc:1000",
            "ipc:uid=",
            "ipc:uid=-1",
            "ipc:uid=01",
            "ipc:uid=root",
            "ipc:uid=4294967296",
            "ipc://x",
            "tcp",
            "inproc",
        ] {
            let read = Source::parse(text);
            assert!(matches!(read, Err(Problem::Source)), "{text}");
        }
    }

    #[test]
    fn what_means_another_network_than_it_says_is_refused_with_the_right_one() {
        for (text, meant) in [
            ("10.0.0.1/8", "10.0.0.0/8"),
            ("192.0.2.7/31", "192.0.2.6/31"),
            ("10.0.0.1/0", "0.0.0.0/0"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:0:0/90", "::ffc0:0:0/90"),
        ] {
            match Source::parse(text) {
                Err(Problem::SourceForm(form)) => assert_eq!(form, meant, "{text}"),
                other => panic!("{text} {other:?}"),
            }
            assert!(Source::parse(meant).is_ok(), "{meant}");
        }
    }
}
