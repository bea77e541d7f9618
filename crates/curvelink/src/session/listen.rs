//! Listeners: a session for each connection that comes.

use std::io::{self, ErrorKind};
#[cfg(unix)]
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, Instant};

use curvelink_proto::{
    Endpoint, LinkEventKind, PeerAddress, Reason, Refusal, Side, Stage, SystemError,
};
#[cfg(unix)]
use nix::errno::Errno;
use tokio::task::JoinHandle;

use super::slots::Slots;
use super::{Link, Session};
use crate::events::Standing;
use crate::socket::core::Core;
use crate::sources::Source;
use crate::sync::lock;
use crate::transport::{self, BoxStream, Listener};
use crate::zap;

/// The wait after the system could not accept: without it, a process that has run out of file
/// descriptors spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn spawn(core: &Arc<Core>, listener: Listener, endpoint: &Endpoint) -> JoinHandle<()> {
    let listening = Listening::tell(core.clone(), endpoint);
    core.shared.spawn(accept(listener, listening))
}

/// Tells that a listener is there, and that it is gone, however its task ends and even if it never
/// ran.
struct Listening {
    core: Arc<Core>,
    endpoint: Arc<str>,
    _insecure: Option<Standing>,
}

impl Listening {
    fn tell(core: Arc<Core>, bound: &Endpoint) -> Self {
        let endpoint = Arc::from(bound.to_string());
        core.emit(&endpoint, None, LinkEventKind::Listening);
        let insecure = transport::tell_insecure(&core, bound);
        Self {
            core,
            endpoint,
            _insecure: insecure,
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.core.emit(&self.endpoint, None, LinkEventKind::Closed);
    }
}

async fn accept(listener: Listener, listening: Listening) {
    let Listening { core, endpoint, .. } = &listening;
    let slots = Slots::new(&core.options);
    let mut reserve = Reserve::default();
    reserve.fill();
    // Ends when the task is aborted: a socket that is closed aborts its listeners.
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                let told = SystemError::from(&error);
                core.emit(endpoint, None, LinkEventKind::AcceptFailed { error: told });
                reserve.ease(&listener, &error).await;
                continue;
            }
        };
        reserve.fill();
        let link = Link {
            endpoint: endpoint.clone(),
            address,
        };
        match admit(core, &slots, &address) {
            Ok(source) => serve(core, &slots, source, stream, link).await,
            Err(reason) => {
                let mechanism = core.options.security.mechanism.name();
                let refusal = Refusal::new(Side::Us, Stage::Transport, reason, mechanism);
                core.emit(endpoint, Some(address), LinkEventKind::Refused(refusal));
            }
        }
    }
}

/// A descriptor to give up when none is left: with it, one connection can be accepted and closed,
/// which its peer is not left to wait for. The kernel would show it to us for ever.
#[derive(Debug, Default)]
struct Reserve {
    #[cfg(unix)]
    descriptor: Option<UnixDatagram>,
}

impl Reserve {
    fn fill(&mut self) {
        #[cfg(unix)]
        if self.descriptor.is_none() {
            self.descriptor = UnixDatagram::unbound().ok();
        }
    }

    /// After a failure to accept: a connection that was gone before is nothing to wait for, and for
    /// all else there is a pause.
    async fn ease(&mut self, listener: &Listener, error: &io::Error) {
        if error.kind() == ErrorKind::ConnectionAborted {
            return;
        }
        #[cfg(unix)]
        if is_exhausted(error)
            && let Some(descriptor) = self.descriptor.take()
        {
            drop(descriptor);
            let _closed = tokio::time::timeout(ACCEPT_PAUSE, listener.accept()).await;
            self.fill();
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Whether the process, or the system, has no descriptor left.
#[cfg(unix)]
fn is_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EMFILE | Errno::ENFILE))
}

/// Whether the peer may be talked to at all: asked before an octet of it is read, what costs least
/// first. Gives the source that the connection counts for.
fn admit(core: &Core, slots: &Slots, address: &PeerAddress) -> Result<Option<Source>, Reason> {
    let limits = &core.options.transport.source_limits;
    let source = Source::of(address, limits);
    if let Some(source) = source
        && !lock(&core.shared.sources).admit(source, Instant::now(), limits)
    {
        return Err(Reason::RateLimited);
    }
    let filter = core.options.transport.ipc_filter.as_ref();
    let filtered = filter.is_some_and(|filter| !filter.admits(address));
    if filtered || !zap::admits_address(core, address) {
        return Err(Reason::AddressDenied);
    }
    if source.is_some_and(|source| slots.held_by(source) >= limits.handshakes) {
        return Err(Reason::RateLimited);
    }
    Ok(source)
}

/// Starts a session once a slot is free; further connections wait in the kernel until then.
async fn serve(
    core: &Arc<Core>,
    slots: &Arc<Slots>,
    source: Option<Source>,
    stream: BoxStream,
    link: Link,
) {
    let queues = core.queues();
    let Some(slot) = slots.take(source, &queues.outgoing).await else {
        return;
    };
    core.emit(&link.endpoint, Some(link.address), LinkEventKind::Accepted);
    lock(&core.book).add_handshake(&queues.outgoing);
    let session = Session::new(
        core.clone(),
        core.engine.clone(),
        stream,
        link,
        queues,
        None,
    );
    let session = session.holding(slot);
    core.shared.spawn(async {
        session.run().await;
    });
}
