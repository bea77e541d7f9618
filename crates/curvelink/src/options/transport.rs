//! What listeners and connections are told of the operating system.

use std::time::Duration;

use curvelink_proto::{Endpoint, Host, Password};

use super::{IpcFilter, Options, SourceLimits};
use crate::transport::Credentials;

/// Longest name of a network interface that Linux takes, octets.
const MAX_DEVICE: usize = 15;

#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pub(crate) max_handshakes: usize,
    pub(crate) source_limits: SourceLimits,
    pub(crate) backlog: u32,
    pub(crate) ipc_mode: u32,
    pub(crate) ipc_filter: Option<IpcFilter>,
    pub(crate) tcp: Tcp,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            max_handshakes: 256,
            source_limits: SourceLimits::new(),
            backlog: 1024,
            ipc_mode: 0o600,
            ipc_filter: None,
            tcp: Tcp::default(),
        }
    }
}

/// What is told of tcp alone; `None` and empty leave it to the system.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tcp {
    pub(crate) ipv6: bool,
    pub(crate) device: String,
    pub(crate) type_of_service: u8,
    pub(crate) send_buffer: Option<usize>,
    pub(crate) recv_buffer: Option<usize>,
    pub(crate) max_retransmit: Option<Duration>,
    pub(crate) keepalive: Option<bool>,
    pub(crate) keepalive_idle: Option<Duration>,
    pub(crate) keepalive_interval: Option<Duration>,
    pub(crate) keepalive_count: Option<u32>,
    pub(crate) socks_proxy: String,
    pub(crate) socks_credentials: Option<Credentials>,
}

impl Tcp {
    /// Where the proxy is; `None` for no proxy, and for a text that is refused before it matters.
    pub(crate) fn proxy(&self) -> Option<(Host, u16)> {
        match format!("tcp://{}", self.socks_proxy).parse() {
            Ok(Endpoint::Tcp {
                source: None,
                host,
                port: port @ 1..,
            }) if host != Host::Any => Some((host, port)),
            _ => None,
        }
    }
}

impl Transport {
    /// The first option that is outside its range.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let seconds = |time: Option<Duration>| time.is_none_or(|time| time.as_secs() >= 1);
        let tcp = &self.tcp;
        let in_range = [
            ("max_handshakes", self.max_handshakes > 0),
            ("source_limits", self.source_limits.fit()),
            (
                "bind_to_device",
                tcp.device.len() <= MAX_DEVICE && !tcp.device.contains(['\0', '/']),
            ),
            ("tcp_keepalive_idle", seconds(tcp.keepalive_idle)),
            ("tcp_keepalive_interval", seconds(tcp.keepalive_interval)),
            ("tcp_keepalive_count", tcp.keepalive_count != Some(0)),
            (
                "socks_proxy",
                tcp.socks_proxy.is_empty() || tcp.proxy().is_some(),
            ),
            (
                "socks_credentials",
                tcp.socks_credentials.as_ref().is_none_or(Credentials::fit),
            ),
        ];
        in_range
            .into_iter()
            .find(|(_, in_range)| !in_range)
            .map_or(Ok(()), |(name, _)| Err(name))
    }
}

impl Options {
    /// Connections of one listener whose handshake is not done; further ones wait to be accepted.
    /// So that silent strangers keep nobody out, one that waits takes the place of the oldest whose
    /// greeting is not there after a sixteenth of [`greeting_timeout`](Self::greeting_timeout):
    /// [`Reason::RateLimited`](curvelink_proto::Reason::RateLimited). 1 and more. Default 256.
    pub const fn max_handshakes(mut self, connections: usize) -> Self {
        self.transport.max_handshakes = connections;
        self
    }

    /// Connections that the system holds for a listener before it accepts them; the system has a
    /// bound of its own. Default 1024 (libzmq: 100).
    #[doc(alias = "ZMQ_BACKLOG")]
    pub const fn backlog(mut self, connections: u32) -> Self {
        self.transport.backlog = connections;
        self
    }

    /// The mode of an ipc socket's file, as in `chmod`. Default 0600: our own user only (libzmq:
    /// what the process' umask leaves).
    pub const fn ipc_mode(mut self, mode: u32) -> Self {
        self.transport.ipc_mode = mode;
        self
    }

    /// Which processes may connect to ipc listeners, beside what the file's mode says. Default:
    /// each that the file's mode lets in. Asked for nothing over inproc; over tcp, where the kernel
    /// knows no such thing, a listener with a filter needs a mechanism that asks a policy.
    #[doc(alias = "ZMQ_IPC_FILTER_UID")]
    #[doc(alias = "ZMQ_IPC_FILTER_GID")]
    #[doc(alias = "ZMQ_IPC_FILTER_PID")]
    pub fn ipc_filter(mut self, filter: IpcFilter) -> Self {
        self.transport.ipc_filter = Some(filter);
        self
    }

    /// The SOCKS5 proxy that tcp connections go through, `host:port`; empty (the default) for none.
    /// Names that are connected to go to the proxy as they are, and it resolves them; its own is
    /// resolved at every attempt. The peer's address is then the proxy's.
    ///
    /// What goes through a proxy has left this host: clear text needs its override, even to
    /// `localhost`. Listeners are not touched.
    #[doc(alias = "ZMQ_SOCKS_PROXY")]
    pub fn socks_proxy(mut self, proxy: &str) -> Self {
        proxy.clone_into(&mut self.transport.tcp.socks_proxy);
        self
    }

    /// The user and the password for the proxy (RFC 1929), 1 to 255 octets each. They go to it in
    /// clear text. A proxy that does not ask for them is not used.
    #[doc(alias = "ZMQ_SOCKS_USERNAME")]
    #[doc(alias = "ZMQ_SOCKS_PASSWORD")]
    pub fn socks_credentials(mut self, user: &str, password: Password) -> Self {
        self.transport.tcp.socks_credentials = Some(Credentials {
            user: user.to_owned(),
            password,
        });
        self
    }

    /// Whether `*` and interface names mean IPv6 where they are bound: `tcp://*:5555` then listens
    /// on `[::]`, which serves IPv4 too, and on a machine without IPv6 on `0.0.0.0`. Default:
    /// false, `tcp://*:5555` listens on `0.0.0.0`, so that no second family is opened unseen.
    ///
    /// Addresses that are written out mean themselves, and host names that are connected to are
    /// tried in both families, either way; libzmq knows no IPv6 at all unless this is set.
    #[doc(alias = "ZMQ_IPV6")]
    #[doc(alias = "ZMQ_IPV4ONLY")]
    pub const fn ipv6(mut self, ipv6: bool) -> Self {
        self.transport.tcp.ipv6 = ipv6;
        self
    }

    /// Binds tcp sockets to a network interface: nothing comes in or goes out by another. 1 to 15
    /// octets; empty (the default) for none. Linux only: elsewhere such a socket neither binds nor
    /// connects. Clear text needs its override then even to a loopback address, which may lead
    /// out of that interface.
    #[doc(alias = "ZMQ_BINDTODEVICE")]
    pub fn bind_to_device(mut self, interface: &str) -> Self {
        interface.clone_into(&mut self.transport.tcp.device);
        self
    }

    /// The octet that IPv4 calls type of service and IPv6 traffic class, on tcp packets. Default 0.
    #[doc(alias = "ZMQ_TOS")]
    pub const fn type_of_service(mut self, octet: u8) -> Self {
        self.transport.tcp.type_of_service = octet;
        self
    }

    /// Octets that the system holds for each tcp connection before they are on the wire: memory of
    /// the system's, beside that of [`queue_octets`](Self::queue_octets). Linux takes twice as
    /// much, within its own bounds. Default: the system's choice, which grows with the connection.
    #[doc(alias = "ZMQ_SNDBUF")]
    pub const fn send_buffer(mut self, octets: usize) -> Self {
        self.transport.tcp.send_buffer = Some(octets);
        self
    }

    /// Octets that the system holds of each tcp connection before they are read; as
    /// [`send_buffer`](Self::send_buffer).
    #[doc(alias = "ZMQ_RCVBUF")]
    pub const fn recv_buffer(mut self, octets: usize) -> Self {
        self.transport.tcp.recv_buffer = Some(octets);
        self
    }

    /// How long what was written may stay unacknowledged before the system gives a tcp connection
    /// up; zero and the default leave it to the system. To the millisecond. Linux only: elsewhere
    /// such a socket neither binds nor connects. Heartbeats find a dead peer too: see
    /// [`heartbeat_interval`](Self::heartbeat_interval).
    #[doc(alias = "ZMQ_TCP_MAXRT")]
    pub const fn tcp_max_retransmit(mut self, time: Duration) -> Self {
        self.transport.tcp.max_retransmit = if time.is_zero() { None } else { Some(time) };
        self
    }

    /// Whether the system probes silent tcp connections. Default: the system's choice, mostly not:
    /// heartbeats, which are on, see more.
    #[doc(alias = "ZMQ_TCP_KEEPALIVE")]
    pub const fn tcp_keepalive(mut self, on: bool) -> Self {
        self.transport.tcp.keepalive = Some(on);
        self
    }

    /// The silence before the first probe: whole seconds, 1 and more. Default: the system's. Means
    /// something only beside [`tcp_keepalive(true)`](Self::tcp_keepalive), as the next two do.
    #[doc(alias = "ZMQ_TCP_KEEPALIVE_IDLE")]
    pub const fn tcp_keepalive_idle(mut self, time: Duration) -> Self {
        self.transport.tcp.keepalive_idle = Some(time);
        self
    }

    /// The time between probes: whole seconds, 1 and more. Default: the system's.
    #[doc(alias = "ZMQ_TCP_KEEPALIVE_INTVL")]
    pub const fn tcp_keepalive_interval(mut self, time: Duration) -> Self {
        self.transport.tcp.keepalive_interval = Some(time);
        self
    }

    /// Probes without an answer that end the connection: 1 and more. Default: the system's.
    #[doc(alias = "ZMQ_TCP_KEEPALIVE_CNT")]
    pub const fn tcp_keepalive_count(mut self, probes: u32) -> Self {
        self.transport.tcp.keepalive_count = Some(probes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_its_range_is_named() {
        let short = Duration::from_millis(999);
        for (options, name) in [
            (Options::new().max_handshakes(0), "max_handshakes"),
            (
                Options::new().source_limits(SourceLimits::none().burst(0)),
                "source_limits",
            ),
            (Options::new().bind_to_device("a/b"), "bind_to_device"),
            (
                Options::new().bind_to_device("sixteen-octets-0"),
                "bind_to_device",
            ),
            (
                Options::new().tcp_keepalive_idle(short),
                "tcp_keepalive_idle",
            ),
            (
                Options::new().tcp_keepalive_interval(short),
                "tcp_keepalive_interval",
            ),
            (Options::new().tcp_keepalive_count(0), "tcp_keepalive_count"),
            (Options::new().socks_proxy("proxy"), "socks_proxy"),
            (Options::new().socks_proxy("proxy:0"), "socks_proxy"),
            (Options::new().socks_proxy("*:1080"), "socks_proxy"),
            (Options::new().socks_proxy("s;proxy:1080"), "socks_proxy"),
            (
                Options::new().socks_credentials("", Password::new(*b"p")),
                "socks_credentials",
            ),
            (
                Options::new().socks_credentials("u", Password::new(vec![0; 256])),
                "socks_credentials",
            ),
        ] {
            assert_eq!(options.transport.check(), Err(name));
        }
        let options = Options::new()
            .bind_to_device("fifteen-octets-")
            .tcp_keepalive_idle(Duration::from_secs(1))
            .tcp_keepalive_count(1)
            .socks_proxy("[::1]:1080")
            .socks_credentials("u", Password::new(*b"p"));
        assert_eq!(options.transport.check(), Ok(()));
    }
}
