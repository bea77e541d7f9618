//! One connection, watched closely: what was reached, what it said, how far the handshake came.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use curvelink::{Endpoint, Host, Mechanism, OsEntropy, Peer, PeerAddress, SocketType};
use curvelink_proto::{Engine, EngineConfig, Event, ProtocolError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep_until, timeout};

use crate::exit::usage;

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// What is kept of what the other side says: enough to tell a greeting, or a stranger.
const KEPT: usize = 256;

/// What our greeting and HELLO take: whoever was sent more has proven its key by WELCOME.
const GREETING_AND_HELLO: usize = 64 + 2 + 200;

/// Asked of what says nothing to a greeting: web servers wait for a whole line.
const HTTP_REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// A connection in either direction.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A place to connect to.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Tcp(Vec<SocketAddr>),
    Ipc(String),
}

impl Place {
    /// Where an endpoint leads.
    pub(super) async fn find(endpoint: &Endpoint, patience: Duration) -> anyhow::Result<Self> {
        let (host, port) = match endpoint {
            Endpoint::Ipc(path) => return Ok(Self::Ipc(path.clone())),
            Endpoint::Tcp {
                host,
                port,
                source: None,
            } if *port != 0 => (host, *port),
            _ => {
                return Err(usage(
                    "doctor looks at tcp://HOST:PORT and ipc://PATH: give one of these",
                ));
            }
        };
        let name = match host {
            Host::Ip(ip) => return Ok(Self::Tcp(vec![SocketAddr::new(*ip, port)])),
            Host::Zoned { ip, zone } => format!("{ip}%{zone}"),
            Host::Name(name) => name.clone(),
            _ => return Err(usage("a host is missing: * is for binding only")),
        };
        let found = timeout(patience, lookup_host((name, port))).await;
        let found = found.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let found: Vec<_> = found.take(MAX_ADDRESSES).collect();
        if found.is_empty() {
            return Err(io::Error::from(io::ErrorKind::NotFound).into());
        }
        Ok(Self::Tcp(found))
    }

    /// For people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Tcp(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                addresses.join(", ")
            }
            Self::Ipc(path) => path.clone(),
        }
    }

    /// Connects to the first that answers.
    pub(super) async fn connect(
        &self,
        patience: Duration,
    ) -> io::Result<(Box<dyn Stream>, PeerAddress)> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        match self {
            Self::Ipc(path) => return connect_ipc(path, patience).await,
            Self::Tcp(addresses) => {
                for address in addresses {
                    match within(patience, TcpStream::connect(address)).await {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return Ok((Box::new(stream), PeerAddress::Tcp(*address)));
                        }
                        Err(error) => last = error,
                    }
                }
            }
        }
        Err(last)
    }
}

#[cfg(unix)]
async fn connect_ipc(path: &str, patience: Duration) -> io::Result<(Box<dyn Stream>, PeerAddress)> {
    // An abstract name of Linux begins with a zero octet.
    let name = path
        .strip_prefix('@')
        .map_or_else(|| path.to_owned(), |name| format!("\0{name}"));
    let stream = within(patience, tokio::net::UnixStream::connect(name)).await?;
    let owner = stream.peer_cred()?;
    let address = PeerAddress::Ipc {
        uid: owner.uid(),
        gid: owner.gid(),
        pid: owner.pid(),
    };
    Ok((Box::new(stream), address))
}

#[cfg(not(unix))]
async fn connect_ipc(_: &str, _: Duration) -> io::Result<(Box<dyn Stream>, PeerAddress)> {
    Err(io::ErrorKind::Unsupported.into())
}

async fn within<T>(patience: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || Err(io::ErrorKind::TimedOut.into());
    timeout(patience, step).await.unwrap_or_else(|_| late())
}

/// What one connection showed.
#[derive(Debug)]
pub(super) struct Seen {
    /// The first octets that came.
    pub(super) first: Vec<u8>,
    /// We have sent more than greeting and HELLO: under CURVE, the server has proven its key.
    pub(super) past_hello: bool,
    /// How it ended: with a peer that let us in, or why not.
    pub(super) end: Result<Arc<Peer>, End>,
    /// From the first octet of the greeting to the end.
    pub(super) took: Duration,
}

/// Why no handshake came about.
#[derive(Debug)]
pub(super) enum End {
    Protocol(ProtocolError),
    Io(io::Error),
}

/// Goes through a handshake; what came of it is all that is wanted: the connection is closed.
pub(super) async fn handshake(
    mut stream: Box<dyn Stream>,
    address: PeerAddress,
    mechanism: Arc<dyn Mechanism>,
    kind: SocketType,
    patience: Duration,
) -> Seen {
    let mut config = EngineConfig::new(kind, mechanism);
    (config.greeting_timeout, config.handshake_timeout) = (patience, 2 * patience);
    let start = Instant::now();
    let entropy = Box::new(OsEntropy);
    let engine = Engine::new(
        Arc::new(config),
        address,
        "doctor".into(),
        entropy,
        start.into_std(),
    );
    let mut watch = Watch {
        engine,
        first: Vec::new(),
        written: 0,
    };
    let end = watch.run(&mut stream).await;
    Seen {
        first: watch.first,
        past_hello: watch.written > GREETING_AND_HELLO,
        end,
        took: start.elapsed(),
    }
}

/// What something answers to a request of HTTP that had no word for a greeting.
pub(super) async fn ask_for_http(place: &Place, patience: Duration) -> Vec<u8> {
    let ask = async {
        let (mut stream, _) = place.connect(patience).await?;
        stream.write_all(HTTP_REQUEST).await?;
        let mut answer = vec![0; KEPT];
        let length = stream.read(&mut answer).await?;
        answer.truncate(length);
        Ok(answer)
    };
    within(patience, ask).await.unwrap_or_default()
}

struct Watch {
    engine: Engine,
    first: Vec<u8>,
    written: usize,
}

impl Watch {
    async fn run(&mut self, stream: &mut Box<dyn Stream>) -> Result<Arc<Peer>, End> {
        loop {
            self.write(stream).await.map_err(End::Io)?;
            while let Some(event) = self.engine.poll_event() {
                if let Event::Ready(peer) = event {
                    return Ok(peer);
                }
            }
            // Before the handshake is done there always is a deadline.
            let deadline = self.engine.poll_timeout().map(Instant::from_std);
            let deadline = deadline.unwrap_or_else(Instant::now);
            let before = self.engine.read_buf().len();
            let read = tokio::select! {
                read = stream.read_buf(self.engine.read_buf()) => Some(read),
                () = sleep_until(deadline) => None,
            };
            let now = Instant::now().into_std();
            match read {
                None => self.engine.handle_timeout(now),
                // A reset tells as much as a close: a peer that did not read what we sent.
                Some(Ok(0) | Err(_)) => match self.engine.handle_close() {
                    Some(error) => Err(error),
                    None => return Err(End::Io(io::ErrorKind::UnexpectedEof.into())),
                },
                Some(Ok(_)) => {
                    let new = self.engine.read_buf().get(before..).unwrap_or_default();
                    let room = KEPT.saturating_sub(self.first.len());
                    self.first.extend(new.iter().take(room));
                    self.engine.handle_input(now)
                }
            }
            .map_err(End::Protocol)?;
        }
    }

    async fn write(&mut self, stream: &mut Box<dyn Stream>) -> io::Result<()> {
        while self.engine.wants_output() {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = self.engine.poll_transmit(&mut slices);
            let slices = slices.get(..count).unwrap_or_default();
            let written = stream.write_vectored(slices).await?;
            self.engine.advance_transmit(written);
            self.written += written;
        }
        Ok(())
    }
}
