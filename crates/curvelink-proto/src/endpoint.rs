//! Endpoints: `tcp://host:port`, `ipc://path`, `inproc://name`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Longest path of a Unix socket that every system takes, octets.
const MAX_IPC_PATH: usize = 107;

/// Longest host name (RFC 1035, section 2.3.4) and longest inproc name, octets.
const MAX_NAME: usize = 255;

/// Where a socket binds or connects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `tcp://host:port`.
    Tcp {
        /// What stands before the last colon.
        host: Host,
        /// The port; 0 (written `*` or `0`) lets the system choose one and is for binding only.
        port: u16,
    },
    /// `ipc://path`, or `ipc://@name` for a name in Linux' abstract namespace.
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
    /// A host name, resolved at every attempt to connect, or a network interface to bind to.
    Name(String),
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
            Self::Tcp {
                host: Host::Any, ..
            } => false,
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
    let (host, port) = text.rsplit_once(':').ok_or(EndpointError::Port)?;
    let port = match port {
        "*" => 0,
        digits if digits.bytes().all(|octet| octet.is_ascii_digit()) => {
            digits.parse().map_err(|_| EndpointError::Port)?
        }
        _ => return Err(EndpointError::Port),
    };
    Ok(Endpoint::Tcp {
        host: host_of(host)?,
        port,
    })
}

fn host_of(text: &str) -> Result<Host, EndpointError> {
    if text == "*" {
        return Ok(Host::Any);
    }
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(EndpointError::Host)?;
        let ip = inner.parse::<Ipv6Addr>().map_err(|_| EndpointError::Host)?;
        return Ok(Host::Ip(ip.into()));
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(ip.into()));
    }
    let plausible = (1..=MAX_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
    if plausible {
        Ok(Host::Name(text.to_owned()))
    } else {
        Err(EndpointError::Host)
    }
}

/// Writes what [`FromStr`] reads.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => {
                f.write_str("tcp://")?;
                match host {
                    Host::Any => f.write_str("*")?,
                    Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
                    Host::Ip(ip) => write!(f, "{ip}")?,
                    Host::Name(name) => f.write_str(name)?,
                }
                write!(f, ":{port}")
            }
            Self::Ipc(path) => write!(f, "ipc://{path}"),
            Self::Inproc(name) => write!(f, "inproc://{name}"),
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
                host: Host::Any,
                port: 0
            }
        );
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
