//! TCP: listeners, streams, and who may be at the other end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use curvelink_proto::{Endpoint, Host, PeerAddress};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, lookup_host};

use super::{BoxStream, ClearText, Listener};
use crate::error::BindError;

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

pub(super) fn listen(
    host: &Host,
    port: u16,
    backlog: u32,
) -> Result<(Listener, Endpoint), BindError> {
    let ip = match host {
        Host::Any => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Host::Ip(ip) => *ip,
        // A name that a resolver answers may become another address tomorrow; only this one cannot.
        Host::Name(name) if name.eq_ignore_ascii_case("localhost") => Ipv4Addr::LOCALHOST.into(),
        _ => return Err(BindError::Host),
    };
    let address = SocketAddr::new(ip, port);
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    let listener = TcpListener::from_std(socket.into())?;
    let bound = listener.local_addr()?;
    let endpoint = Endpoint::Tcp {
        host: Host::Ip(bound.ip()),
        port: bound.port(),
    };
    Ok((Listener::Tcp(listener), endpoint))
}

pub(super) async fn accept(listener: &TcpListener) -> io::Result<(BoxStream, PeerAddress)> {
    let (stream, address) = listener.accept().await?;
    ready(stream, address)
}

pub(super) async fn connect(
    host: &Host,
    port: u16,
    local: bool,
) -> io::Result<(BoxStream, PeerAddress)> {
    let addresses: Vec<SocketAddr> = match host {
        Host::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        Host::Name(name) => lookup_host((&**name, port))
            .await?
            .take(MAX_ADDRESSES)
            .collect(),
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        if local && !address.ip().to_canonical().is_loopback() {
            last = io::Error::new(io::ErrorKind::PermissionDenied, ClearText);
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return ready(stream, address),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Messages leave when they are written: batching is ours to do, not the kernel's.
fn ready(stream: TcpStream, address: SocketAddr) -> io::Result<(BoxStream, PeerAddress)> {
    stream.set_nodelay(true)?;
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    Ok((Box::new(stream), PeerAddress::Tcp(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_clear_text_may_not_go_it_is_not_even_tried() {
        let beyond = Host::Ip("192.0.2.1".parse().unwrap());
        let Err(error) = connect(&beyond, 9, true).await else {
            panic!("192.0.2.1 is for documentation: nobody is there");
        };
        assert!(error.get_ref().is_some_and(|inner| inner.is::<ClearText>()));
        // Loopback is tried, and nobody listens on the port of a listener that is gone.
        let (listener, endpoint) = listen(&Host::Ip(Ipv4Addr::LOCALHOST.into()), 0, 1).unwrap();
        drop(listener);
        let Endpoint::Tcp { host, port } = endpoint else {
            unreachable!("it was tcp")
        };
        let error = connect(&host, port, true)
            .await
            .err()
            .map(|error| error.kind());
        assert_eq!(error, Some(io::ErrorKind::ConnectionRefused));
    }
}
