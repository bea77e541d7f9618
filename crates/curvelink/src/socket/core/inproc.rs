//! What inproc does to the two sockets that it joins.

use std::sync::Arc;

use curvelink_proto::{Peer, Reason};

use super::Core;
use crate::pipe::{Incoming, Origin, Outlet, PipeId};
use crate::socket::waiters::Interest;

impl Core {
    /// One end of an inproc connection; joined to the other by [`join`](Self::join). Messages
    /// may wait in `outlet` before.
    pub(crate) fn attach_inproc(&self, outlet: Option<Outlet>, incoming: Arc<Incoming>) -> PipeId {
        self.with(|state| {
            let origin = match outlet {
                Some(_) => Origin::Joined,
                None => Origin::Accepted,
            };
            let pipe = state.pipes.insert(outlet, incoming, origin);
            if origin == Origin::Joined {
                state.pipes.greet(pipe);
                state.pattern.attach(pipe, &mut state.pipes);
                state.wake(Interest::Room);
            }
            pipe
        })
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
}
