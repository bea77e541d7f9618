//! TCP: listeners, streams, and who may be at the other end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use curvelink_proto::{Endpoint, Host, PeerAddress, Source};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::{ClearText, address};
use crate::error::BindError;
use crate::options::{Tcp, Transport};

/// How long an address has the field for itself before the next is tried beside it (RFC 8305,
/// section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// A listening socket and how its connections are tuned.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    options: Tcp,
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, PeerAddress)> {
        let (stream, address) = self.listener.accept().await?;
        tune(SockRef::from(&stream), address, &self.options)?;
        ready(stream, address)
    }
}

/// The address that binding to a host means.
pub(super) fn bind_address(host: &Host, port: u16, options: &Tcp) -> Result<SocketAddr, BindError> {
    address::local(host, port, options.ipv6)?.ok_or(BindError::Host)
}

pub(super) fn listen(
    mut address: SocketAddr,
    any: bool,
    options: &Transport,
) -> Result<(Listener, Endpoint), BindError> {
    let mut socket = socket_for(address, &options.tcp);
    if any && address.is_ipv6() && socket.is_err() {
        // A machine without IPv6: what `*` means there.
        address.set_ip(Ipv4Addr::UNSPECIFIED.into());
        socket = socket_for(address, &options.tcp);
    }
    let socket = socket?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    let listener = TcpListener::from_std(socket.into())?;
    let bound = listener.local_addr()?;
    let endpoint = Endpoint::Tcp {
        source: None,
        host: host_of(bound),
        port: bound.port(),
    };
    let options = options.tcp.clone();
    Ok((Listener { listener, options }, endpoint))
}

fn host_of(address: SocketAddr) -> Host {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Host::Zoned {
            ip: *v6.ip(),
            zone: v6.scope_id().to_string(),
        },
        _ => Host::Ip(address.ip()),
    }
}

/// Connects to the first address that answers: each has a head start on the next.
///
/// Where `local`, only loopback addresses are tried: clear text may not go further.
pub(super) async fn connect(
    addresses: Vec<SocketAddr>,
    source: Option<&Source>,
    options: &Tcp,
    local: bool,
) -> io::Result<(TcpStream, PeerAddress)> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    loop {
        if let Some(address) = waiting.next() {
            if local && !address.ip().to_canonical().is_loopback() {
                last = io::Error::new(io::ErrorKind::PermissionDenied, ClearText);
                continue;
            }
            let socket = match outgoing(address, source, options) {
                Ok(socket) => socket,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            attempts.spawn(async move { ready(socket.connect(address).await?, address) });
        } else if attempts.is_empty() {
            return Err(last);
        }
        let patience = if waiting.len() > 0 {
            STAGGER
        } else {
            Duration::MAX
        };
        match tokio::time::timeout(patience, attempts.join_next()).await {
            Ok(Some(Ok(Ok(connected)))) => return Ok(connected),
            Ok(Some(Ok(Err(error)))) => last = error,
            Ok(Some(Err(_)) | None) | Err(_) => {}
        }
    }
}

/// A socket that may connect to an address, bound to its source.
fn outgoing(address: SocketAddr, source: Option<&Source>, options: &Tcp) -> io::Result<TcpSocket> {
    let socket = socket_for(address, options)?;
    if let Some(source) = source {
        let local = address::local(&source.host, source.port, address.is_ipv6())?
            .filter(|local| local.is_ipv6() == address.is_ipv6())
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        // One source port may serve several targets.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&local.into())?;
    }
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// A socket of the address' family with all that must be set before it connects or listens.
fn socket_for(address: SocketAddr, options: &Tcp) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(octets) = options.send_buffer {
        socket.set_send_buffer_size(octets)?;
    }
    if let Some(octets) = options.recv_buffer {
        socket.set_recv_buffer_size(octets)?;
    }
    if !options.device.is_empty() {
        bind_device(&socket, &options.device)?;
    }
    tune(SockRef::from(&socket), address, options)?;
    Ok(socket)
}

/// What every system sets on a connection, and only some let it inherit from its listener.
fn tune(socket: SockRef<'_>, address: SocketAddr, options: &Tcp) -> io::Result<()> {
    if options.type_of_service != 0 {
        let octet = u32::from(options.type_of_service);
        if address.is_ipv6() {
            socket.set_tclass_v6(octet)?;
        }
        // An IPv6 socket carries IPv4 too; not every system lets it say how.
        let v4 = socket.set_tos_v4(octet);
        if address.is_ipv4() {
            v4?;
        }
    }
    if let Some(on) = options.keepalive {
        socket.set_keepalive(on)?;
    }
    if options.keepalive == Some(true) {
        socket.set_tcp_keepalive(&keepalive(options))?;
    }
    options
        .max_retransmit
        .map_or(Ok(()), |time| user_timeout(&socket, time))
}

fn keepalive(options: &Tcp) -> TcpKeepalive {
    let mut keepalive = TcpKeepalive::new();
    if let Some(time) = options.keepalive_idle {
        keepalive = keepalive.with_time(time);
    }
    if let Some(time) = options.keepalive_interval {
        keepalive = keepalive.with_interval(time);
    }
    if let Some(probes) = options.keepalive_count {
        keepalive = keepalive.with_retries(probes);
    }
    keepalive
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_device(socket: &Socket, device: &str) -> io::Result<()> {
    socket.bind_device(Some(device.as_bytes()))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn user_timeout(socket: &SockRef<'_>, time: Duration) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(time))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bind_device(_: &Socket, _: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn user_timeout(_: &SockRef<'_>, _: Duration) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Messages leave when they are written: batching is ours to do, not the kernel's.
fn ready(stream: TcpStream, address: SocketAddr) -> io::Result<(TcpStream, PeerAddress)> {
    stream.set_nodelay(true)?;
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    Ok((stream, PeerAddress::Tcp(address)))
}

#[cfg(test)]
mod tests;
