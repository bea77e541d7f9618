//! From hosts to addresses: literals, interfaces of this machine, names.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use curvelink_proto::Host;
use tokio::net::lookup_host;

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// The addresses of a host to connect to, in the order in which they are tried. Names are asked
/// for anew each time: what is behind one may have changed.
pub(super) async fn remote(host: &Host, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found = match host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        Host::Zoned { ip, zone } => vec![zoned(*ip, zone, port)?],
        Host::Name(name) => lookup_host((&**name, port)).await?.collect(),
        _ => Vec::new(),
    };
    match interleaved(found) {
        none if none.is_empty() => Err(io::ErrorKind::NotFound.into()),
        some => Ok(some),
    }
}

/// The address of a host to bind to; `None` for a name that is no interface's. A name that a
/// resolver answers may be another machine's tomorrow, so only `localhost` is taken.
pub(super) fn local(host: &Host, port: u16, ipv6: bool) -> io::Result<Option<SocketAddr>> {
    let any: IpAddr = if ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    Ok(match host {
        Host::Any => Some(SocketAddr::new(any, port)),
        Host::Ip(ip) => Some(SocketAddr::new(*ip, port)),
        Host::Zoned { ip, zone } => Some(zoned(*ip, zone, port)?),
        Host::Name(name) => {
            let mut found = interface(name)?.into_iter();
            let first = found.find(|address| address.is_ipv6() == ipv6);
            let localhost = name.eq_ignore_ascii_case("localhost");
            let address =
                first.or_else(|| localhost.then(|| (IpAddr::from(Ipv4Addr::LOCALHOST), 0).into()));
            address.map(|mut address| {
                address.set_port(port);
                address
            })
        }
        _ => None,
    })
}

/// The two families in turn, beginning with the one that the resolver prefers (RFC 8305,
/// section 4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first);
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    let mut order = Vec::new();
    loop {
        let pair = [preferred.next(), others.next()];
        if pair == [None, None] {
            order.truncate(MAX_ADDRESSES);
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

fn zoned(ip: Ipv6Addr, zone: &str, port: u16) -> io::Result<SocketAddr> {
    let index = match zone.parse() {
        Ok(index) => index,
        Err(_) => index_of(zone)?,
    };
    Ok(SocketAddrV6::new(ip, port, 0, index).into())
}

#[cfg(unix)]
fn index_of(interface: &str) -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex(interface)?)
}

/// The addresses of an interface, in the system's order; none where there is no such interface.
#[cfg(unix)]
pub(super) fn interface(name: &str) -> io::Result<Vec<SocketAddr>> {
    let all = nix::ifaddrs::getifaddrs()?;
    let its = all.filter(|interface| interface.interface_name == name);
    Ok(its
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = || address.as_sockaddr_in().map(|v4| (v4.ip(), 0).into());
            let v6 = |v6: &nix::sys::socket::SockaddrIn6| {
                SocketAddrV6::new(v6.ip(), 0, 0, v6.scope_id()).into()
            };
            address.as_sockaddr_in6().map(v6).or_else(v4)
        })
        .collect())
}

#[cfg(not(unix))]
fn index_of(_: &str) -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
pub(super) fn interface(_: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_families_take_turns_beginning_with_the_preferred() {
        let mixed = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]);
        let turns = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
        assert_eq!(interleaved(mixed), turns);
        let v4_first = addresses(&["1.1.1.1:1", "1.1.1.2:1", "[::1]:1"]);
        let turns = addresses(&["1.1.1.1:1", "[::1]:1", "1.1.1.2:1"]);
        assert_eq!(interleaved(v4_first), turns);
        let many = vec![SocketAddr::from(([1, 1, 1, 1], 1)); 100];
        assert_eq!(interleaved(many).len(), MAX_ADDRESSES);
        assert!(interleaved(Vec::new()).is_empty());
    }

    #[test]
    fn only_addresses_interfaces_and_localhost_can_be_bound() {
        let name = |name: &str| Host::Name(name.to_owned());
        let local = |host: &Host, ipv6| local(host, 7, ipv6).unwrap();
        let four = Some(SocketAddr::from(([127, 0, 0, 1], 7)));
        assert_eq!(local(&name("localhost"), false), four);
        assert_eq!(local(&name("LocalHost"), true), four);
        assert_eq!(local(&name("example.org"), false), None);
        assert_eq!(local(&name("no-such-if0"), true), None);
        assert_eq!(local(&Host::Any, false).unwrap().to_string(), "0.0.0.0:7");
        assert_eq!(local(&Host::Any, true).unwrap().to_string(), "[::]:7");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_interface_stands_for_its_first_address_of_the_family() {
        let host = Host::Name("lo".to_owned());
        let four = local(&host, 7, false).unwrap();
        assert_eq!(four, Some(SocketAddr::from(([127, 0, 0, 1], 7))));
        assert_eq!(index_of("lo").unwrap(), 1);
        assert!(index_of("no-such-if0").is_err());
        let zoned = zoned(Ipv6Addr::LOCALHOST, "lo", 7).unwrap();
        assert!(matches!(zoned, SocketAddr::V6(v6) if v6.scope_id() == 1));
    }
}
