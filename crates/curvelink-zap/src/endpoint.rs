//! Endpoints of ours, as a policy names them and as a peer came by them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use curvelink_proto::{Endpoint, Host};

use crate::error::Problem;

/// Reads one entry of `endpoints`: what a socket can be bound or connected to, and a peer can then
/// have come by. A port of 0, a path of `*` and the source of a connection are none of that, and
/// of inproc nobody is asked.
pub(crate) fn parse(text: &str) -> Result<Endpoint, Problem> {
    let endpoint: Endpoint = text.parse().map_err(Problem::Endpoint)?;
    match &endpoint {
        Endpoint::Tcp {
            source: None, port, ..
        } if *port != 0 => Ok(endpoint),
        Endpoint::Ipc(path) if path != "*" => Ok(endpoint),
        _ => Err(Problem::EndpointForm),
    }
}

/// Whether a peer that came by the second endpoint came by the first one, a policy's.
///
/// `*`, `0.0.0.0` and `[::]` are one: which of them a socket that was bound to `*` says, the
/// machine decides.
pub(crate) fn is_same(listed: &Endpoint, came_by: &Endpoint) -> bool {
    match (listed, came_by) {
        (
            Endpoint::Tcp {
                host: listed,
                port: listed_port,
                ..
            },
            Endpoint::Tcp { host, port, .. },
        ) => listed_port == port && is_same_host(listed, host),
        (Endpoint::Ipc(listed), Endpoint::Ipc(path)) => listed == path,
        _ => false,
    }
}

fn is_same_host(one: &Host, other: &Host) -> bool {
    match (one, other) {
        (Host::Name(one), Host::Name(other)) => one.eq_ignore_ascii_case(other),
        (Host::Zoned { .. }, Host::Zoned { .. }) => one == other,
        (one, other) => address(one).is_some_and(|one| Some(one) == address(other)),
    }
}

/// The one address of a host; of all addresses, one for all of them.
pub(crate) fn address(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Any | Host::Ip(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => {
            Some(Ipv4Addr::UNSPECIFIED.into())
        }
        Host::Ip(address) => Some(address.to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_compared_as_what_they_mean() {
        let same =
            |listed, came_by: &str| is_same(&parse(listed).unwrap(), &came_by.parse().unwrap());
        for (listed, came_by) in [
            ("tcp://*:5570", "tcp://0.0.0.0:5570"),
            ("tcp://*:5570", "tcp://[::]:5570"),
            ("tcp://[::]:5570", "tcp://*:5570"),
            ("tcp://[::ffff:10.0.0.1]:1", "tcp://10.0.0.1:1"),
            ("tcp://[0:0::1]:1", "tcp://[::1]:1"),
            ("tcp://Hub.example:1", "tcp://hub.example:1"),
            ("tcp://hub.example:1", "tcp://eth0:0;hub.example:1"),
            ("tcp://[fe80::1%2]:1", "tcp://[fe80::1%2]:1"),
            ("ipc:///run/x.sock", "ipc:///run/x.sock"),
            ("ipc://@x", "ipc://@x"),
        ] {
            assert!(same(listed, came_by), "{listed} {came_by}");
        }
        for (listed, came_by) in [
            ("tcp://*:5570", "tcp://0.0.0.0:5571"),
            ("tcp://*:5570", "tcp://127.0.0.1:5570"),
            ("tcp://0.0.0.0:5570", "tcp://10.0.0.1:5570"),
            ("tcp://hub:1", "tcp://hub.example:1"),
            ("tcp://hub:1", "tcp://*:1"),
            ("tcp://[fe80::1%2]:1", "tcp://[fe80::1%3]:1"),
            ("tcp://[fe80::1%2]:1", "tcp://[fe80::1]:1"),
            ("ipc:///run/x.sock", "ipc:///run/X.sock"),
            ("ipc:///run/x.sock", "ipc:///run//x.sock"),
            ("ipc://x", "inproc://x"),
        ] {
            assert!(!same(listed, came_by), "{listed} {came_by}");
        }
    }

    #[test]
    fn what_no_peer_can_have_come_by_is_refused() {
        for text in [
            "tcp://*:*",
            "tcp://*:0",
            "tcp://eth0;h:1",
            "ipc://*",
            "inproc://x",
        ] {
            assert!(matches!(parse(text), Err(Problem::EndpointForm)), "{text}");
        }
        for text in [
            "",
            "*",
            "tcp://*",
            "tcp://*:65536",
            "udp://*:1",
            "ipc://",
            "everything",
        ] {
            assert!(matches!(parse(text), Err(Problem::Endpoint(_))), "{text}");
        }
    }
}
