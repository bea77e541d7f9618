//! Listeners: a session for each connection that comes.

use std::sync::Arc;
use std::time::Duration;

use curvelink_proto::{
    Endpoint, LinkEventKind, PeerAddress, Reason, Refusal, Side, Stage, SystemError,
};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Link, Session};
use crate::socket::core::Core;
use crate::sync::lock;
use crate::transport::Listener;

/// The wait after the system could not accept: without it, a process that has run out of file
/// descriptors spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn spawn(core: &Arc<Core>, listener: Listener, endpoint: &Endpoint) -> JoinHandle<()> {
    let listening = Listening::tell(core.clone(), Arc::from(endpoint.to_string()));
    core.shared.spawn(accept(listener, listening))
}

/// Tells that a listener is there, and that it is gone, however its task ends and even if it never
/// ran.
struct Listening {
    core: Arc<Core>,
    endpoint: Arc<str>,
}

impl Listening {
    fn tell(core: Arc<Core>, endpoint: Arc<str>) -> Self {
        core.emit(&endpoint, None, LinkEventKind::Listening);
        Self { core, endpoint }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.core.emit(&self.endpoint, None, LinkEventKind::Closed);
    }
}

async fn accept(listener: Listener, listening: Listening) {
    let Listening { core, endpoint } = &listening;
    let slots = Arc::new(Semaphore::new(core.options.transport.max_handshakes));
    // Ends when the task is aborted: a socket that is closed aborts its listeners.
    while let Ok(permit) = slots.clone().acquire_owned().await {
        match listener.accept().await {
            Err(error) => {
                let error = SystemError::from(&error);
                core.emit(endpoint, None, LinkEventKind::AcceptFailed { error });
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Ok((_, address)) if !admits(core, &address) => {
                let mechanism = core.options.security.mechanism.name();
                let reason = Reason::AddressDenied;
                let refusal = Refusal::new(Side::Us, Stage::Transport, reason, mechanism);
                core.emit(endpoint, Some(address), LinkEventKind::Refused(refusal));
            }
            Ok((stream, address)) => {
                core.emit(endpoint, Some(address), LinkEventKind::Accepted);
                let link = Link {
                    endpoint: endpoint.clone(),
                    address,
                };
                let queues = core.queues();
                lock(&core.book).add_handshake(&queues.outgoing);
                let session = Session::new(core.clone(), stream, link, queues, None);
                let session = session.holding(permit);
                core.shared.spawn(async {
                    session.run().await;
                });
            }
        }
    }
}

/// Whether the peer may be talked to at all: asked before an octet of it is read.
fn admits(core: &Core, address: &PeerAddress) -> bool {
    let filter = core.options.transport.ipc_filter.as_ref();
    filter.is_none_or(|filter| filter.admits(address))
}
