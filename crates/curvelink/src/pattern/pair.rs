//! PAIR (RFC 31): exactly one peer.

use std::sync::Arc;

use curvelink_proto::{Message, Peer, Reason};

use super::{Pattern, Refused, WrongTurn};
use crate::pipe::{PipeId, Pipes};

#[derive(Debug, Default)]
pub(super) struct Pair {
    pipe: Option<PipeId>,
    /// Peers that went, of which messages may still be received.
    leaving: Vec<PipeId>,
}

impl Pattern for Pair {
    /// Only the first endpoint is used; another waits until the first is disconnected.
    fn attach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.pipe.get_or_insert(pipe);
    }

    fn ready(&mut self, pipe: PipeId, _: &Arc<Peer>, _: &mut Pipes) -> Result<(), Reason> {
        if *self.pipe.get_or_insert(pipe) == pipe {
            Ok(())
        } else {
            Err(Reason::Exclusive)
        }
    }

    fn lost(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        if self.pipe == Some(pipe) && !pipes.reconnects(pipe) {
            self.leaving.extend(self.pipe.take());
        }
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.pipe = self.pipe.filter(|known| *known != pipe);
        self.leaving.retain(|known| *known != pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut Pipes) -> Result<(), Refused> {
        match self.pipe {
            Some(pipe) if pipes.try_give(pipe, message) => Ok(()),
            _ => Err(Refused::Full),
        }
    }

    fn recv(
        &mut self,
        into: &mut Vec<Message>,
        max: usize,
        pipes: &mut Pipes,
    ) -> Result<usize, WrongTurn> {
        let all = self.leaving.iter().chain(&self.pipe);
        let mut received = all.map(|pipe| pipes.read(*pipe, into, max));
        Ok(received.find(|received| *received > 0).unwrap_or(0))
    }

    fn can_send(&mut self, pipes: &Pipes) -> bool {
        self.pipe.is_some_and(|pipe| pipes.has_room(pipe))
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        let mut all = self.leaving.iter().chain(&self.pipe);
        all.any(|pipe| pipes.peek(*pipe).is_some())
    }
}
