//! Between sockets of one context: two queues, no engine, no mechanism, no policy.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use curvelink_proto::{
    Endpoint, LinkEventKind, Peer, PeerAddress, Reason, Refusal, Side, SocketType, Stage,
};

use crate::error::{BindError, ConnectError};
use crate::pipe::{Incoming, Outlet, PipeId};
use crate::socket::core::Core;
use crate::socket::endpoints::Work;
use crate::sync::lock;

/// The inproc names of a context: who is bound, and who waits for somebody to bind.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashMap<String, Name>>);

#[derive(Debug, Default)]
struct Name {
    bound: Option<Weak<Core>>,
    waiting: Vec<Waiting>,
}

/// A socket that connected before anybody was bound.
#[derive(Debug)]
struct Waiting {
    core: Weak<Core>,
    pipe: PipeId,
    /// From the binder to it.
    back: Arc<Incoming>,
    /// From it to the binder; messages may wait there already.
    forth: Arc<Incoming>,
}

impl Names {
    pub(crate) fn is_bound(&self, endpoint: &str) -> bool {
        self.bound(endpoint).is_some()
    }

    fn bound(&self, endpoint: &str) -> Option<Arc<Core>> {
        lock(&self.0).get(endpoint)?.bound.as_ref()?.upgrade()
    }

    /// Takes back a socket's part in a name: that it is bound, or that it waits for a binder.
    pub(crate) fn leave(&self, endpoint: &str, core: &Core, work: &Work) {
        let mut names = lock(&self.0);
        let Some(name) = names.get_mut(endpoint) else {
            return;
        };
        let ours = |other: &Weak<Core>| std::ptr::eq(other.as_ptr(), core);
        match work {
            Work::Name => name.bound = name.bound.take().filter(|bound| !ours(bound)),
            Work::Inproc(pipe) => name
                .waiting
                .retain(|waiting| !ours(&waiting.core) || waiting.pipe != *pipe),
            _ => {}
        }
        if name.bound.is_none() && name.waiting.is_empty() {
            names.remove(endpoint);
        }
    }
}

pub(super) fn bind(core: &Arc<Core>, endpoint: &Endpoint) -> Result<Endpoint, BindError> {
    let text = endpoint.to_string();
    let waiting = {
        let mut names = lock(&core.shared.names.0);
        let name = names.entry(text.clone()).or_default();
        if name
            .bound
            .as_ref()
            .is_some_and(|bound| bound.strong_count() > 0)
        {
            return Err(BindError::InUse);
        }
        name.bound = Some(Arc::downgrade(core));
        std::mem::take(&mut name.waiting)
    };
    if let Err(work) = lock(&core.book).add(endpoint, endpoint, Work::Name) {
        core.shared.names.leave(&text, core, &work);
        return Err(BindError::Closed);
    }
    let name = Arc::from(text);
    core.emit(&name, None, LinkEventKind::Listening);
    waiting
        .into_iter()
        .for_each(|connecter| join(core, connecter, &name));
    Ok(endpoint.clone())
}

pub(super) fn connect(
    core: &Arc<Core>,
    endpoint: &Endpoint,
    id: Option<&Bytes>,
) -> Result<(), ConnectError> {
    let text = endpoint.to_string();
    let options = &core.options.queues;
    let queue = |messages| {
        let queue = Incoming::new(messages, options.queue_octets, options.conflate);
        Arc::new(queue.under(core.shared.queues.share()))
    };
    let (back, forth) = (queue(options.recv_hwm), queue(options.send_hwm));
    let nobody = Outlet::Inproc {
        queue: forth.clone(),
        peer: Weak::new(),
        pipe: PipeId::OWN,
    };
    let pipe = core.attach_inproc(nobody, back.clone(), id)?;
    let added = lock(&core.book).add(endpoint, endpoint, Work::Inproc(pipe));
    if added.is_err() {
        core.detach(pipe);
        return Err(ConnectError::Closed);
    }
    let connecter = Waiting {
        core: Arc::downgrade(core),
        pipe,
        back,
        forth,
    };
    let bound = {
        let mut names = lock(&core.shared.names.0);
        let name = names.entry(text.clone()).or_default();
        match name.bound.as_ref().and_then(Weak::upgrade) {
            Some(bound) => bound,
            None => {
                name.waiting
                    .retain(|waiting| waiting.core.strong_count() > 0);
                name.waiting.push(connecter);
                return Ok(());
            }
        }
    };
    join(&bound, connecter, &text.into());
    Ok(())
}

/// Joins the two ends. Each socket's lock is taken on its own: the two may be joined, sent to and
/// closed from any thread.
fn join(bound: &Arc<Core>, connecter: Waiting, name: &Arc<str>) {
    let Some(core) = connecter.core.upgrade() else {
        return;
    };
    if !bound.kind.talks_to(core.kind) {
        refuse(bound, name, Reason::SocketType);
        refuse(&core, name, Reason::SocketType);
        core.detach(connecter.pipe);
        return;
    }
    // One queue stands for the sender's and the receiver's.
    let (ours, others) = (&core.options.queues, &bound.options.queues);
    let conflate = ours.conflate || others.conflate;
    connecter
        .forth
        .set_terms(both(ours.send_hwm, others.recv_hwm), conflate);
    connecter
        .back
        .set_terms(both(others.send_hwm, ours.recv_hwm), conflate);
    let theirs = bound.accept_inproc(connecter.forth.clone());
    let to_connecter = Outlet::Inproc {
        queue: connecter.back.clone(),
        peer: connecter.core.clone(),
        pipe: connecter.pipe,
    };
    let to_bound = Outlet::Inproc {
        queue: connecter.forth,
        peer: Arc::downgrade(bound),
        pipe: theirs,
    };
    if let Err(reason) = bound.join(theirs, to_connecter, &peer_of(&core)) {
        refuse(bound, name, reason);
        core.detach(connecter.pipe);
        return;
    }
    if let Err(reason) = core.join(connecter.pipe, to_bound, &peer_of(bound)) {
        refuse(&core, name, reason);
    }
    // What was sent before the two were joined was announced to nobody.
    bound.readable(theirs);
}

/// The sum of two high-water marks, of which 0 is none.
const fn both(one: usize, other: usize) -> usize {
    if one == 0 || other == 0 {
        0
    } else {
        one.saturating_add(other)
    }
}

fn peer_of(core: &Core) -> Arc<Peer> {
    let mut peer = Peer::anonymous(PeerAddress::Inproc, core.kind);
    if matches!(
        core.kind,
        SocketType::Req | SocketType::Dealer | SocketType::Router
    ) {
        peer.routing_id = core.options.pattern.routing_id.to_bytes();
    }
    Arc::new(peer)
}

fn refuse(core: &Core, name: &Arc<str>, reason: Reason) {
    let mechanism = core.options.security.mechanism.name();
    let refusal = Refusal::new(Side::Us, Stage::Transport, reason, mechanism);
    let kind = LinkEventKind::Refused(refusal);
    core.emit(name, Some(PeerAddress::Inproc), kind);
}
