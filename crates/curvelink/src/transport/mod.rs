//! Transports: how endpoints become streams of octets, or, within a context, pipes.

mod address;
pub(crate) mod inproc;
mod ipc;
mod socks;
mod tcp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use curvelink_proto::{Endpoint, EventId, Host, LinkEventKind, PeerAddress, SecurityEvent, Source};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{BindError, ConnectError, RefusedEndpoint};
use crate::events::Standing;
use crate::options::Options;
use crate::session::{dial, listen};
use crate::socket::core::Core;
use crate::socket::endpoints::Work;
use crate::sync::lock;
use crate::zap;

pub(crate) use self::socks::Credentials;

/// What a session reads and writes.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// One stream of either transport.
pub(crate) type BoxStream = Box<dyn Stream>;

/// A listening socket of either transport.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(tcp::Listener),
    #[cfg(unix)]
    Ipc(ipc::Listener),
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<(BoxStream, PeerAddress)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Box::new(stream), address))
            }
            #[cfg(unix)]
            Self::Ipc(listener) => listener.accept().await,
        }
    }
}

/// An address beyond this host, where clear text may not go; inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("the name leads beyond this host, where clear text may not go")]
pub(crate) struct ClearText;

/// Where an attempt to connect goes, once names are resolved.
pub(crate) enum Route<'a> {
    Tcp {
        addresses: Vec<SocketAddr>,
        source: Option<&'a Source>,
        /// Whom the proxy at the addresses is to connect us with.
        beyond: Option<(&'a Host, u16)>,
    },
    #[cfg(unix)]
    Ipc(&'a str),
}

impl<'a> Route<'a> {
    pub(crate) async fn find(endpoint: &'a Endpoint, options: &Options) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp { source, host, port } => {
                let target = (host, *port);
                let proxy = options.transport.tcp.proxy();
                let (host, port) = proxy.as_ref().map_or(target, |(host, port)| (host, *port));
                Ok(Self::Tcp {
                    addresses: address::remote(host, port).await?,
                    source: source.as_ref(),
                    beyond: proxy.is_some().then_some(target),
                })
            }
            #[cfg(unix)]
            Endpoint::Ipc(path) => Ok(Self::Ipc(path)),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Opens a stream. An address beyond this host is refused where clear text may not go.
    pub(crate) async fn open(self, options: &Options) -> io::Result<(BoxStream, PeerAddress)> {
        match self {
            Self::Tcp {
                addresses,
                source,
                beyond,
            } => {
                let local = !options.may_leave_this_host();
                let tcp = &options.transport.tcp;
                let (mut stream, peer) = tcp::connect(addresses, source, tcp, local).await?;
                if let Some(target) = beyond {
                    let credentials = tcp.socks_credentials.as_ref();
                    socks::connect(&mut stream, target, credentials).await?;
                }
                Ok((Box::new(stream), peer))
            }
            #[cfg(unix)]
            Self::Ipc(path) => ipc::connect(path),
        }
    }
}

pub(crate) fn bind(core: &Arc<Core>, endpoint: &Endpoint) -> Result<Endpoint, BindError> {
    core.options.check(core.kind)?;
    check_transport(core, endpoint)?;
    if let Endpoint::Inproc(_) = endpoint {
        return inproc::bind(core, endpoint);
    }
    let _entered = core.shared.runtime.enter();
    let (listener, bound) = listen(core, endpoint).inspect_err(|error| {
        if let BindError::Io(error) = error {
            let kind = LinkEventKind::BindFailed {
                error: error.into(),
            };
            core.emit(&endpoint.to_string().into(), None, kind);
        }
    })?;
    let task = listen::spawn(core, listener, &bound);
    let work = Work::Listener(task.abort_handle());
    if let Err(work) = lock(&core.book).add(endpoint, &bound, work) {
        work.stop(core, &bound, Instant::now());
        return Err(BindError::Closed);
    }
    Ok(bound)
}

fn listen(core: &Core, endpoint: &Endpoint) -> Result<(Listener, Endpoint), BindError> {
    match endpoint {
        Endpoint::Tcp {
            source: None,
            host,
            port,
        } => {
            let options = &core.options.transport;
            let address = tcp::bind_address(host, *port, &options.tcp)?;
            check_clear_text(core, address.ip().to_canonical().is_loopback())?;
            check_policy(core)?;
            check_filter(core)?;
            let (listener, bound) = tcp::listen(address, *host == Host::Any, options)?;
            Ok((Listener::Tcp(listener), bound))
        }
        Endpoint::Tcp { .. } => Err(BindError::Host),
        #[cfg(unix)]
        Endpoint::Ipc(path) => {
            check_policy(core)?;
            let (listener, bound) = ipc::listen(path, &core.options.transport)?;
            Ok((Listener::Ipc(listener), bound))
        }
        _ => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    }
}

/// Connects, under a routing id of the application's choosing if it has one.
pub(crate) fn connect(
    core: &Arc<Core>,
    endpoint: &Endpoint,
    id: Option<&Bytes>,
) -> Result<(), ConnectError> {
    core.options.check(core.kind)?;
    check_transport(core, endpoint)?;
    check_clear_text(core, is_local(core, endpoint))?;
    match endpoint {
        Endpoint::Tcp {
            host: Host::Any, ..
        }
        | Endpoint::Tcp { port: 0, .. } => {
            return Err(ConnectError::Wildcard);
        }
        Endpoint::Ipc(path) if path == "*" => return Err(ConnectError::Wildcard),
        Endpoint::Inproc(_) => return inproc::connect(core, endpoint, id),
        _ => {}
    }
    check_policy(core)?;
    let queues = core.queues();
    let pipe = core.attach(&queues, id)?;
    let disconnected = Arc::<AtomicBool>::default();
    let work = Work::Dial {
        outgoing: queues.outgoing.clone(),
        disconnected: disconnected.clone(),
    };
    if lock(&core.book).add(endpoint, endpoint, work).is_err() {
        core.detach(pipe);
        return Err(ConnectError::Closed);
    }
    dial::spawn(core, endpoint.clone(), queues, pipe, disconnected);
    Ok(())
}

/// Whether a connection to the endpoint stays on this host. Bound to an interface or through a
/// proxy, even a loopback address may lead out.
fn is_local(core: &Core, endpoint: &Endpoint) -> bool {
    let tcp = &core.options.transport.tcp;
    let direct = tcp.device.is_empty() && tcp.socks_proxy.is_empty();
    endpoint.is_local() && (direct || !matches!(endpoint, Endpoint::Tcp { .. }))
}

/// Tells, for as long as what it gives is kept, what an endpoint that is in use leaves open: that
/// clear text leaves this host, or that a server takes anybody.
pub(crate) fn tell_insecure(core: &Core, endpoint: &Endpoint) -> Option<Standing> {
    let mechanism = &core.options.security.mechanism;
    let setting = if !mechanism.properties().confidential {
        Some("clear-text").filter(|_| !is_local(core, endpoint))
    } else {
        Some("accept-anyone").filter(|_| mechanism.as_server() && !core.options.asks_policy())
    }?;
    let mut event = SecurityEvent::new(EventId::Insecure, SystemTime::now());
    event.endpoint = Some(endpoint.to_string().into());
    event.detail("setting", setting);
    Some(core.shared.stand(event))
}

/// Whoever lists the processes that may connect does not mean everybody over tcp.
fn check_filter(core: &Core) -> Result<(), RefusedEndpoint> {
    if core.options.transport.ipc_filter.is_some() && !core.options.asks_policy() {
        Err(RefusedEndpoint::Option("ipc_filter"))
    } else {
        Ok(())
    }
}

/// Octets without messages do not pass between sockets of one process.
fn check_transport(core: &Core, endpoint: &Endpoint) -> Result<(), RefusedEndpoint> {
    if core.kind.is_raw() && matches!(endpoint, Endpoint::Inproc(_)) {
        return Err(RefusedEndpoint::Transport);
    }
    Ok(())
}

/// Clear text stays on this host unless the override was written.
fn check_clear_text(core: &Core, local: bool) -> Result<(), RefusedEndpoint> {
    if local || core.options.may_leave_this_host() {
        Ok(())
    } else {
        Err(RefusedEndpoint::ClearText)
    }
}

/// A mechanism that asks needs somebody who answers.
fn check_policy(core: &Core) -> Result<(), RefusedEndpoint> {
    if core.options.asks_policy() && !zap::has_policy(&core.shared) {
        Err(RefusedEndpoint::NoPolicy)
    } else {
        Ok(())
    }
}
