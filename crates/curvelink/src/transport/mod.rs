//! Transports: how endpoints become streams of octets, or, within a context, pipes.

pub(crate) mod inproc;
mod ipc;
mod tcp;

use std::io;
use std::sync::Arc;

use curvelink_proto::{Endpoint, Host, PeerAddress};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::{BindError, ConnectError, RefusedEndpoint};
use crate::session::{dial, listen};
use crate::socket::core::Core;
use crate::socket::endpoints::Work;
use crate::sync::lock;
use crate::zap;

/// What a session reads and writes.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// One stream of either transport.
pub(crate) type BoxStream = Box<dyn Stream>;

/// A listening socket of either transport.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(tokio::net::TcpListener),
    #[cfg(unix)]
    Ipc(ipc::Listener),
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<(BoxStream, PeerAddress)> {
        match self {
            Self::Tcp(listener) => tcp::accept(listener).await,
            #[cfg(unix)]
            Self::Ipc(listener) => listener.accept().await,
        }
    }
}

/// An address beyond this host, where clear text may not go; inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("the name leads beyond this host, where clear text may not go")]
pub(crate) struct ClearText;

/// Opens a stream. A name that leads beyond this host is refused where clear text may not go.
pub(crate) async fn open(endpoint: &Endpoint, local: bool) -> io::Result<(BoxStream, PeerAddress)> {
    match endpoint {
        Endpoint::Tcp { host, port } => tcp::connect(host, *port, local).await,
        #[cfg(unix)]
        Endpoint::Ipc(path) => ipc::connect(path).await,
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

pub(crate) fn bind(core: &Arc<Core>, endpoint: &Endpoint) -> Result<Endpoint, BindError> {
    core.options.check(core.kind)?;
    check_clear_text(core, endpoint)?;
    if let Endpoint::Inproc(_) = endpoint {
        return inproc::bind(core, endpoint);
    }
    check_policy(core)?;
    let _entered = core.shared.runtime.enter();
    let (listener, bound) = match endpoint {
        Endpoint::Tcp { host, port } => tcp::listen(host, *port, core.options.transport.backlog)?,
        #[cfg(unix)]
        Endpoint::Ipc(path) => ipc::listen(path, &core.options)?,
        _ => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    };
    let task = listen::spawn(core, listener, &bound);
    let added = lock(&core.book).add(bound.to_string(), Work::Listener(task.abort_handle()));
    if let Err(work) = added {
        work.stop(core, &bound.to_string(), std::time::Instant::now());
        return Err(BindError::Closed);
    }
    Ok(bound)
}

pub(crate) fn connect(core: &Arc<Core>, endpoint: &Endpoint) -> Result<(), ConnectError> {
    core.options.check(core.kind)?;
    check_clear_text(core, endpoint)?;
    match endpoint {
        Endpoint::Tcp {
            host: Host::Any, ..
        }
        | Endpoint::Tcp { port: 0, .. } => {
            return Err(ConnectError::Wildcard);
        }
        Endpoint::Inproc(_) => return inproc::connect(core, endpoint),
        _ => {}
    }
    check_policy(core)?;
    let queues = core.queues();
    let work = Work::Dial(queues.outgoing.clone());
    if lock(&core.book).add(endpoint.to_string(), work).is_err() {
        return Err(ConnectError::Closed);
    }
    dial::spawn(core, endpoint.clone(), queues);
    Ok(())
}

/// Clear text stays on this host unless the override was written.
fn check_clear_text(core: &Core, endpoint: &Endpoint) -> Result<(), RefusedEndpoint> {
    let confidential = core.options.security.mechanism.properties().confidential;
    if confidential || endpoint.is_local() || core.options.security.clear_text {
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
