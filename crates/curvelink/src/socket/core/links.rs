//! What sessions do to their socket.

use std::sync::Arc;

use bytes::Bytes;
use curvelink_proto::{Message, Peer, Reason};

use super::{Core, State};
use crate::error::ConnectError;
use crate::pattern::is_from;
use crate::pipe::{Incoming, Order, Origin, Outgoing, Outlet, PipeId};
use crate::socket::waiters::Interest;
use crate::sync::lock;

/// The two queues of a link that was admitted.
#[derive(Clone, Debug)]
pub(crate) struct Queues {
    pub(crate) outgoing: Arc<Outgoing>,
    pub(crate) incoming: Arc<Incoming>,
}

impl Core {
    pub(crate) fn queues(&self) -> Queues {
        let options = &self.options.queues;
        let (octets, conflate) = (options.queue_octets, options.conflate);
        let share = || self.shared.queues.share();
        let outgoing = Outgoing::new(options.send_hwm, octets, conflate).under(share());
        let incoming = Incoming::new(options.recv_hwm, octets, conflate).under(share());
        Queues {
            outgoing: Arc::new(outgoing),
            incoming: Arc::new(incoming),
        }
    }

    /// A pipe to an endpoint that we connect to, under a routing id of the application's choosing
    /// if it has one.
    pub(crate) fn attach(
        &self,
        queues: &Queues,
        id: Option<&Bytes>,
    ) -> Result<PipeId, ConnectError> {
        self.with(|state| {
            let outlet = Some(Outlet::Link(queues.outgoing.clone()));
            let incoming = queues.incoming.clone();
            let pipe = state.pipes.insert(outlet, incoming, Origin::Dialled);
            state.attach(pipe, id)
        })
    }

    /// A handshake is done: on `pipe`, or on a new one for a peer that came to us.
    pub(crate) fn ready(
        &self,
        pipe: Option<PipeId>,
        queues: &Queues,
        peer: &Arc<Peer>,
    ) -> Result<PipeId, Reason> {
        self.with(|state| {
            if state.closed && pipe.is_none() {
                return Err(Reason::Closed);
            }
            let ours = pipe.is_none();
            let pipe = pipe.unwrap_or_else(|| {
                let outlet = Some(Outlet::Link(queues.outgoing.clone()));
                state
                    .pipes
                    .insert(outlet, queues.incoming.clone(), Origin::Accepted)
            });
            state.welcome(pipe, peer).inspect_err(|_| {
                if ours {
                    state.pipes.remove(pipe);
                }
            })?;
            Ok(pipe)
        })
    }

    pub(crate) fn lost(&self, pipe: PipeId) {
        self.with(|state| {
            if let Some(notice) = state
                .pipes
                .origin(pipe)
                .and_then(|origin| self.notice(origin))
                && !state.pipes.is_given_up(pipe)
            {
                state.pipes.notice(pipe, notice);
                state.pattern.readable(pipe, &mut state.pipes);
            }
            state.pattern.lost(pipe, &mut state.pipes);
            // An XPUB shows that subscriptions have ended; a ROUTER that waits for room there need
            // not wait any more.
            state.wake(Interest::Message);
            state.wake(Interest::Room);
            if state.pipes.reconnects(pipe) {
                state.pipes.lose_link(pipe);
            } else {
                state.end(pipe);
            }
        });
    }

    /// The peer's right to be here has ended: what waits in either direction is dropped, with
    /// `parsed` messages that its session had. The link is lost next.
    pub(crate) fn cut(&self, pipe: PipeId, parsed: usize) {
        self.with(|state| {
            let mut dropped = parsed;
            if let Some(peer) = state.pipes.peer(pipe).cloned() {
                dropped += state.pattern.cut(&peer);
                let before = state.returned.len();
                state.returned.retain(|message| !is_from(message, &peer));
                dropped += before - state.returned.len();
            }
            state.pipes.drops.cut += dropped as u64;
            state.pipes.cut(pipe);
            // Senders that waited for room here find it, where another peer may come.
            state.pattern.writable(pipe);
        });
    }

    /// The policy gives a peer other rights.
    pub(crate) fn replace_peer(&self, pipe: PipeId, peer: &Arc<Peer>) {
        self.with(|state| {
            state.pipes.set_peer(pipe, Some(peer.clone()));
            state.pattern.replace_peer(pipe, peer);
        });
    }

    /// Has every link ask the policy about its peer again.
    pub(crate) fn review_links(&self) {
        for (_, outgoing) in self.links() {
            outgoing.order(Order::Review);
        }
    }

    /// Ends the links to some peers; how many.
    pub(crate) fn cut_links(&self, which: impl Fn(&Peer) -> bool) -> usize {
        let mut links = self.links();
        links.retain(|(peer, _)| which(peer));
        links
            .iter()
            .for_each(|(_, outgoing)| outgoing.order(Order::Cut));
        links.len()
    }

    fn links(&self) -> Vec<(Arc<Peer>, Arc<Outgoing>)> {
        let state = lock(&self.state);
        let links = state.pipes.links();
        links
            .map(|(peer, outgoing)| (peer.clone(), outgoing.clone()))
            .collect()
    }

    /// What the application receives when a link of this origin is lost.
    fn notice(&self, origin: Origin) -> Option<Message> {
        let notices = &self.options.notices;
        let notice = match origin {
            Origin::Accepted => &notices.disconnect,
            Origin::Dialled => &notices.hiccup,
            Origin::Joined => return None,
        };
        (!notice.is_empty()).then(|| notice.clone().into())
    }

    /// A connecting pipe is given up: its endpoint was disconnected.
    pub(crate) fn detach(&self, pipe: PipeId) {
        self.with(|state| {
            let drained = state.pipes.end(pipe);
            state.pattern.lost(pipe, &mut state.pipes);
            if drained {
                state.detach(pipe);
            }
        });
    }

    pub(crate) fn readable(&self, pipe: PipeId) {
        self.with(|state| {
            if state.pipes.contains(pipe) {
                state.pattern.readable(pipe, &mut state.pipes);
                state.wake(Interest::Message);
            }
        });
    }

    /// Messages came that nobody receives, and were dropped.
    pub(crate) fn unread(&self, messages: u64) {
        self.with(|state| state.pipes.drops.unread += messages);
    }

    pub(crate) fn writable(&self, pipe: PipeId) {
        self.with(|state| {
            if state.pipes.contains(pipe) {
                state.pattern.writable(pipe);
                state.wake(Interest::Room);
            }
        });
    }

    /// Gives the memory of a quiet link back.
    pub(crate) fn rest(&self, pipe: PipeId) {
        self.with(|state| state.pipes.rest(pipe));
    }

    /// A peer subscribes or cancels; a reason cuts its link. What its rights do not cover is
    /// ignored, which the caller reports.
    pub(crate) fn subscription(
        &self,
        pipe: PipeId,
        subscribe: bool,
        prefix: &Bytes,
    ) -> Result<(), Reason> {
        self.with(|state| state.subscription(pipe, subscribe, prefix))
    }
}

impl State {
    pub(super) fn subscription(
        &mut self,
        pipe: PipeId,
        subscribe: bool,
        prefix: &Bytes,
    ) -> Result<(), Reason> {
        if !self.pipes.contains(pipe) {
            return Ok(());
        }
        self.pattern
            .subscription(pipe, subscribe, prefix, &mut self.pipes)?;
        self.wake(Interest::Message);
        self.wake(Interest::Subscribers);
        // A publisher that waits for a subscriber's room need not, once that one cancels.
        self.wake(Interest::Room);
        Ok(())
    }
}
