//! Endpoints: `tcp://host:port`, `ipc://path`, `inproc://name`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Longest name of a network interface that every system takes, octets.
const MAX_ZONE: usize = 15;

/// Longest path of a Unix socket that every system takes, octets.
const MAX_IPC_PATH: usize = 107;

/// Longest host name (RFC 1035, section 2.3.4) and longest inproc name, octets.
const MAX_NAME: usize = 255;

/// Where a socket binds or connects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `tcp://host:port`, or `tcp://source:port;host:port` to connect from a source.
    Tcp {
        /// Where the connection comes from; for connecting only.
        source: Option<Source>,
        /// What stands before the last colon.
        host: Host,
        /// The port; 0 (written `*` or `0`) lets the system choose one and is for binding only.
        port: u16,
    },
    /// `ipc://path`, or `ipc://@name` for a name in Linux' abstract namespace. `*` lets the library
    /// choose a path and is for binding only.
    Ipc(String),
    /// `inproc://name`, within one context.
    Inproc(String),
}

/// The host part of a TCP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Host {
    /// `*`: every address of this machine; for binding only.
    Any,
    /// An address: `127.0.0.1`, `[::1]`.
    Ip(IpAddr),
    /// An IPv6 address that means something on one network interface only: `[fe80::1%eth0]`
    /// (RFC 4007).
    Zoned {
        /// The address.
        ip: Ipv6Addr,
        /// The interface, by name or by number; 1 to 15 octets.
        zone: String,
    },
    /// A host name, resolved at every attempt to connect, or a network interface to bind to.
    Name(String),
}

/// The local end of a connection that a socket makes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Source {
    /// An address of this machine, or a network interface.
    pub host: Host,
    /// The local port; 0 (written `*`, `0` or not at all) lets the system choose one.
    pub port: u16,
}

/// Why a text is not an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// No transport that is known.
    #[error("an endpoint begins with tcp://, ipc:// or inproc://")]
    Transport,
    /// The port is missing or not a number.
    #[error("a tcp endpoint ends with a port: tcp://HOST:PORT, the port 0 to 65535 or *")]
    Port,
    /// The host is missing or has characters that no host has.
    #[error("the host of a tcp endpoint is a name, an IPv4 address, [IPv6] or *")]
    Host,
    /// What stands before the semicolon is no address and no interface.
    #[error("the source of a tcp endpoint is an address or an interface: tcp://SOURCE;HOST:PORT")]
    Source,
    /// The path of an ipc endpoint is empty or too long.
    #[error("the path of an ipc endpoint has 1 to 107 octets")]
    Path,
    /// The name of an inproc endpoint is empty or too long.
    #[error("the name of an inproc endpoint has 1 to 255 octets")]
    Name,
}

impl Endpoint {
    /// Whether only this host can reach the endpoint: ipc, inproc, and loopback addresses.
    ///
    /// A host name counts only when it is `localhost`: what another name leads to is known after
    /// it was resolved, and may change.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp {
                host: Host::Ip(ip), ..
            } => ip.to_canonical().is_loopback(),
            Self::Tcp {
                host: Host::Name(name),
                ..
            } => name.eq_ignore_ascii_case("localhost"),
            Self::Tcp { .. } => false,
            Self::Ipc(_) | Self::Inproc(_) => true,
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (transport, rest) = text.split_once("://").ok_or(EndpointError::Transport)?;
        match transport {
            "tcp" => tcp(rest),
            "ipc" if !(1..=MAX_IPC_PATH).contains(&rest.len()) || rest.contains('\0') => {
                Err(EndpointError::Path)
            }
            "ipc" => Ok(Self::Ipc(rest.to_owned())),
            "inproc" if (1..=MAX_NAME).contains(&rest.len()) => Ok(Self::Inproc(rest.to_owned())),
            "inproc" => Err(EndpointError::Name),
            _ => Err(EndpointError::Transport),
        }
    }
}

fn tcp(text: &str) -> Result<Endpoint, EndpointError> {
    let (source, target) = match text.rsplit_once(';') {
        Some((source, target)) => (Some(source_of(source)?), target),
        None => (None, text),
    };
    let (host, port) = target.rsplit_once(':').ok_or(EndpointError::Port)?;
    Ok(Endpoint::Tcp {
        source,
        port: port_of(port)?,
        host: host_of(host)?,
    })
}

fn source_of(text: &str) -> Result<Source, EndpointError> {
    // The colons of an IPv6 address are within its brackets.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port_of(port)?),
        _ => (text, 0),
    };
    match host_of(host).map_err(|_| EndpointError::Source)? {
        Host::Any => Err(EndpointError::Source),
        host => Ok(Source { host, port }),
    }
}

fn port_of(text: &str) -> Result<u16, EndpointError> {
    match text {
        "*" => Ok(0),
        digits if digits.bytes().all(|octet| octet.is_ascii_digit()) => {
            digits.parse().map_err(|_| EndpointError::Port)
        }
        _ => Err(EndpointError::Port),
    }
}

fn host_of(text: &str) -> Result<Host, EndpointError> {
    if text == "*" {
        return Ok(Host::Any);
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(EndpointError::Host)?;
        return ipv6_of(inner).ok_or(EndpointError::Host);
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    if is_name(text, MAX_NAME) {
        Ok(Host::Name(text.to_owned()))
    } else {
        Err(EndpointError::Host)
    }
}

fn ipv6_of(text: &str) -> Option<Host> {
    match text.split_once('%') {
        None => Some(Host::Ip(text.parse::<Ipv6Addr>().ok()?.into())),
        Some((ip, zone)) => is_name(zone, MAX_ZONE).then_some(Host::Zoned {
            ip: ip.parse().ok()?,
            zone: zone.to_owned(),
        }),
    }
}

/// Whether hosts and interfaces may have this name.
fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))
}

/// Writes what [`FromStr`] reads.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { source, host, port } => {
                f.write_str("tcp://")?;
                if let Some(source) = source {
                    write!(f, "{}:{};", source.host, source.port)?;
                }
                write!(f, "{host}:{port}")
            }
            Self::Ipc(path) => write!(f, "ipc://{path}"),
            Self::Inproc(name) => write!(f, "inproc://{name}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Zoned { ip, zone } => write!(f, "[{ip}%{zone}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_back() {
        for text in [
            "tcp://127.0.0.1:5555",
            "tcp://[::1]:1",
            "tcp://ci.example.org:65535",
            "tcp://*:0",
            "tcp://eth0:5570",
            "tcp://[fe80::1%eth0]:5570",
            "tcp://127.0.0.1:0;example.org:1",
            "tcp://[::1]:7000;[::1]:1",
            "tcp://eth0:0;10.0.0.1:1",
            "ipc:///run/x.sock",
            "ipc://@abstract",
            "inproc://zeromq.zap.01",
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text);
        }
        let wildcard: Endpoint = "tcp://*:*".parse().unwrap();
        assert_eq!(
            wildcard,
            Endpoint::Tcp {
                source: None,
                host: Host::Any,
                port: 0
            }
        );
        for (short, long) in [
            ("tcp://10.0.0.1;h:1", "tcp://10.0.0.1:0;h:1"),
            ("tcp://[::1];h:1", "tcp://[::1]:0;h:1"),
            ("tcp://eth0:*;h:1", "tcp://eth0:0;h:1"),
        ] {
            let endpoint: Endpoint = short.parse().unwrap();
            assert_eq!(endpoint.to_string(), long);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        use EndpointError::*;
        for (text, error) in [
            ("", Transport),
            ("tcp:", Transport),
            ("udp://h:1", Transport),
            ("TCP://h:1", Transport),
            ("tcp://", Port),
            ("tcp://h", Port),
            ("tcp://h:", Port),
            ("tcp://h:65536", Port),
            ("tcp://h:+1", Port),
            ("tcp://h:-1", Port),
            ("tcp://:1", Host),
            ("tcp://::1:1", Host),
            ("tcp://[::1:1", Host),
            ("tcp://[h]:1", Host),
            ("tcp://a b:1", Host),
            ("tcp://a/b:1", Host),
            ("tcp://[fe80::1%]:1", Host),
            ("tcp://[fe80::1%eth0/1]:1", Host),
            ("tcp://[fe80::1%sixteen-octets-0]:1", Host),
            ("tcp://[10.0.0.1%eth0]:1", Host),
            ("tcp://fe80::1%eth0:1", Host),
            ("tcp://;h:1", Source),
            ("tcp://*:0;h:1", Source),
            ("tcp://a b;h:1", Source),
            ("tcp://[::1;h:1", Source),
            ("tcp://h:1;", Port),
            ("tcp://h:x;h:1", Port),
            ("tcp://h:1;h", Port),
            ("ipc://", Path),
            ("inproc://", Name),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error), "{text}");
        }
        assert_eq!(
            format!("ipc://{}", "x".repeat(108)).parse::<Endpoint>(),
            Err(Path)
        );
        assert_eq!(
            format!("inproc://{}", "x".repeat(256)).parse::<Endpoint>(),
            Err(Name)
        );
    }

    #[test]
    fn only_what_cannot_leave_the_host_is_local() {
        for local in [
            "tcp://127.0.0.1:1",
            "tcp://127.9.9.9:1",
            "tcp://[::1]:1",
            "ipc://x",
        ] {
            assert!(local.parse::<Endpoint>().unwrap().is_local(), "{local}");
        }
        for remote in [
            "tcp://*:1",
            "tcp://0.0.0.0:1",
            "tcp://[::]:1",
            "tcp://10.0.0.1:1",
            "tcp://[::1%eth0]:1",
            "tcp://127.0.0.1:0;10.0.0.1:1",
            "tcp://lo:1",
        ] {
            assert!(!remote.parse::<Endpoint>().unwrap().is_local(), "{remote}");
        }
        assert!(
            "tcp://[::ffff:127.0.0.1]:1"
                .parse::<Endpoint>()
                .unwrap()
                .is_local()
        );
        assert!(
            !"tcp://localhost.evil.org:1"
                .parse::<Endpoint>()
                .unwrap()
                .is_local()
        );
    }
}
