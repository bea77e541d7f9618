//! SOCKS5 (RFC 1928, with the user names and passwords of RFC 1929): the client's octets.

use std::io;
use std::net::IpAddr;

use curvelink_proto::{Host, Password};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

const VERSION: u8 = 5;
const LOGIN_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What a proxy is told before it serves us.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Password,
}

impl Credentials {
    /// RFC 1929, section 2: each has 1 to 255 octets.
    pub(crate) fn fit(&self) -> bool {
        let fits = |length: usize| (1..=255).contains(&length);
        fits(self.user.len()) && fits(self.password.expose_octets().len())
    }
}

/// Why a proxy does not connect us; inside an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
enum SocksError {
    #[error("the proxy does not speak SOCKS5")]
    Malformed,
    #[error("the proxy wants to be asked in another way: see socks_credentials")]
    Method,
    #[error("the proxy refuses the user or the password")]
    Login,
    #[error("the proxy could not connect (reply {0})")]
    Refused(u8),
}

impl From<SocksError> for io::Error {
    fn from(error: SocksError) -> Self {
        let kind = match error {
            SocksError::Malformed => io::ErrorKind::InvalidData,
            SocksError::Method | SocksError::Login | SocksError::Refused(2) => {
                io::ErrorKind::PermissionDenied
            }
            SocksError::Refused(3) => io::ErrorKind::NetworkUnreachable,
            SocksError::Refused(4) => io::ErrorKind::HostUnreachable,
            SocksError::Refused(5) => io::ErrorKind::ConnectionRefused,
            SocksError::Refused(6) => io::ErrorKind::TimedOut,
            SocksError::Refused(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Asks the proxy at the other end of a stream to connect to a host. Names go to it as they are:
/// it resolves them.
pub(super) async fn connect(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    (host, port): (&Host, u16),
    credentials: Option<&Credentials>,
) -> io::Result<()> {
    let request = request(host, port)?;
    let method = if credentials.is_some() { 2 } else { 0 };
    stream.write_all(&[VERSION, 1, method]).await?;
    let mut reply = [0; 2];
    stream.read_exact(&mut reply).await?;
    check_method(reply, method)?;
    if let Some(credentials) = credentials {
        stream.write_all(&login(credentials)?).await?;
        stream.read_exact(&mut reply).await?;
        check_login(reply)?;
    }
    stream.write_all(&request).await?;
    let mut reply = [0; 4];
    stream.read_exact(&mut reply).await?;
    let rest = match check_reply(reply)? {
        Some(length) => length,
        None => stream.read_u8().await?.into(),
    };
    // The address that the proxy uses is of no use to us, but of its stream.
    stream.read_exact(&mut vec![0; rest + 2]).await?;
    Ok(())
}

/// Only what was offered may be chosen: a proxy cannot talk us out of the password.
fn check_method(reply: [u8; 2], offered: u8) -> Result<(), SocksError> {
    match reply {
        [VERSION, method] if method == offered => Ok(()),
        [VERSION, _] => Err(SocksError::Method),
        _ => Err(SocksError::Malformed),
    }
}

fn login(credentials: &Credentials) -> Result<Zeroizing<Vec<u8>>, SocksError> {
    let (user, password) = (
        credentials.user.as_bytes(),
        credentials.password.expose_octets(),
    );
    let length = |octets: &[u8]| u8::try_from(octets.len()).map_err(|_| SocksError::Login);
    // With room for all of it: a vector that grows leaves copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(3 + user.len() + password.len()));
    out.extend_from_slice(&[LOGIN_VERSION, length(user)?]);
    out.extend_from_slice(user);
    out.push(length(password)?);
    out.extend_from_slice(password);
    Ok(out)
}

fn check_login(reply: [u8; 2]) -> Result<(), SocksError> {
    match reply {
        [LOGIN_VERSION, 0] => Ok(()),
        [LOGIN_VERSION, _] => Err(SocksError::Login),
        _ => Err(SocksError::Malformed),
    }
}

fn request(host: &Host, port: u16) -> io::Result<Vec<u8>> {
    let mut out = vec![VERSION, CONNECT, 0];
    match host {
        Host::Ip(IpAddr::V4(ip)) => {
            out.push(IPV4);
            out.extend_from_slice(&ip.octets());
        }
        Host::Ip(IpAddr::V6(ip)) => {
            out.push(IPV6);
            out.extend_from_slice(&ip.octets());
        }
        Host::Name(name) => {
            let length = u8::try_from(name.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            out.extend_from_slice(&[NAME, length]);
            out.extend_from_slice(name.as_bytes());
        }
        // A zone is an interface of this machine, not of the proxy's.
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    }
    out.extend_from_slice(&port.to_be_bytes());
    Ok(out)
}

/// How many octets of an address follow; `None` where the next octet says it.
fn check_reply(reply: [u8; 4]) -> Result<Option<usize>, SocksError> {
    match reply {
        [VERSION, 0, 0, IPV4] => Ok(Some(4)),
        [VERSION, 0, 0, IPV6] => Ok(Some(16)),
        [VERSION, 0, 0, NAME] => Ok(None),
        [VERSION, code, ..] if code != 0 => Err(SocksError::Refused(code)),
        _ => Err(SocksError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs against a proxy that says all at once; what it was told.
    async fn run(
        host: &str,
        credentials: Option<&Credentials>,
        says: &[u8],
    ) -> (Vec<u8>, io::Result<()>) {
        let (mut ours, mut proxys) = tokio::io::duplex(1024);
        proxys.write_all(says).await.unwrap();
        let host = match host.parse() {
            Ok(ip) => Host::Ip(ip),
            Err(_) => Host::Name(host.to_owned()),
        };
        proxys.shutdown().await.unwrap();
        let result = connect(&mut ours, (&host, 0x0102), credentials).await;
        drop(ours);
        let mut told = Vec::new();
        proxys.read_to_end(&mut told).await.unwrap();
        (told, result)
    }

    fn credentials() -> Credentials {
        Credentials {
            user: "u".to_owned(),
            password: Password::new(*b"pw"),
        }
    }

    #[tokio::test]
    async fn hosts_go_out_as_they_are_written() {
        let ok = b"\x05\x00\x05\x00\x00\x01aaaapp";
        for (host, sent) in [
            ("h.example", &b"\x03\x09h.example"[..]),
            ("1.2.3.4", b"\x01\x01\x02\x03\x04"),
            ("::1", b"\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"),
        ] {
            let (told, result) = run(host, None, ok).await;
            result.unwrap();
            let expected = [&b"\x05\x01\x00\x05\x01\x00"[..], sent, b"\x01\x02"].concat();
            assert_eq!(told, expected, "{host}");
        }
    }

    #[tokio::test]
    async fn the_password_goes_to_a_proxy_that_asks_for_it_and_to_no_other() {
        let credentials = credentials();
        let ok = b"\x05\x02\x01\x00\x05\x00\x00\x03\x01app";
        let (told, result) = run("h", Some(&credentials), ok).await;
        result.unwrap();
        assert_eq!(
            told,
            b"\x05\x01\x02\x01\x01u\x02pw\x05\x01\x00\x03\x01h\x01\x02"
        );
        let (told, result) = run("h", Some(&credentials), b"\x05\x00").await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(told, b"\x05\x01\x02", "it wanted no password and gets none");
        assert!(!format!("{credentials:?}").contains("pw"));
    }

    #[tokio::test]
    async fn every_refusal_and_every_wrong_octet_is_an_end() {
        use io::ErrorKind::*;
        for (says, kind) in [
            (&b""[..], UnexpectedEof),
            (b"\x04\x00", InvalidData),
            (b"HTTP/1.1 400", InvalidData),
            (b"\x05\xff", PermissionDenied),
            (b"\x05\x02", PermissionDenied),
            (b"\x05\x00", UnexpectedEof),
            (b"\x05\x00\x04\x00\x00\x01aaaapp", InvalidData),
            (b"\x05\x00\x05\x00\x01\x01aaaapp", InvalidData),
            (b"\x05\x00\x05\x00\x00\x02aaaapp", InvalidData),
            (b"\x05\x00\x05\x00\x00\x01aaaap", UnexpectedEof),
            (b"\x05\x00\x05\x02\x00\x01aaaapp", PermissionDenied),
            (b"\x05\x00\x05\x04\x00\x01aaaapp", HostUnreachable),
            (b"\x05\x00\x05\x05\x00\x01aaaapp", ConnectionRefused),
            (b"\x05\x00\x05\x63\x00\x01aaaapp", Other),
        ] {
            let (_, result) = run("h", None, says).await;
            assert_eq!(result.unwrap_err().kind(), kind, "{says:?}");
        }
        let credentials = credentials();
        for (says, kind) in [
            (&b"\x05\x02\x01\x01"[..], PermissionDenied),
            (b"\x05\x02\x05\x00", InvalidData),
        ] {
            let (_, result) = run("h", Some(&credentials), says).await;
            assert_eq!(result.unwrap_err().kind(), kind, "{says:?}");
        }
    }

    #[test]
    fn a_zone_means_nothing_to_a_proxy() {
        let zoned = Host::Zoned {
            ip: std::net::Ipv6Addr::LOCALHOST,
            zone: "lo".to_owned(),
        };
        assert!(request(&zoned, 1).is_err() && request(&Host::Any, 1).is_err());
    }
}
