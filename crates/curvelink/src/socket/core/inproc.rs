//! What inproc does to the two sockets that it joins.

use std::sync::Arc;

use bytes::Bytes;
use curvelink_proto::{Peer, Reason};

use super::Core;
use crate::error::ConnectError;
use crate::pipe::{Incoming, Origin, Outlet, PipeId};

impl Core {
    /// The connecting end of an inproc connection: messages may wait in `outlet`.
    pub(crate) fn attach_inproc(
        &self,
        outlet: Outlet,
        incoming: Arc<Incoming>,
        id: Option<&Bytes>,
    ) -> Result<PipeId, ConnectError> {
        self.with(|state| {
            let pipe = state.pipes.insert(Some(outlet), incoming, Origin::Joined);
            state.pipes.greet(pipe);
            state.attach(pipe, id)
        })
    }

    /// The bound end, to be [joined](Self::join) to the other.
    pub(crate) fn accept_inproc(&self, incoming: Arc<Incoming>) -> PipeId {
        self.with(|state| state.pipes.insert(None, incoming, Origin::Accepted))
    }

    pub(crate) fn join(
        &self,
        pipe: PipeId,
        outlet: Outlet,
        peer: &Arc<Peer>,
    ) -> Result<(), Reason> {
        self.with(|state| {
            state.pipes.join(pipe, outlet);
            let welcome = match state.closed {
                true => Err(Reason::Closed),
                false => state.welcome(pipe, peer),
            };
            welcome.inspect_err(|_| state.detach(pipe))
        })
    }

    /// Takes note of what an inproc peer subscribed to, in its order.
    pub(super) fn inproc_subscriptions(&self, pipe: PipeId) {
        self.with(|state| {
            while let Some((subscribe, prefix)) = state.pipes.next_subscription(pipe) {
                // An inproc peer is this process: no limit cuts it, its subscription is ignored
                // beyond the limit.
                let _ignored = state.subscription(pipe, subscribe, &prefix);
            }
        });
    }
}
