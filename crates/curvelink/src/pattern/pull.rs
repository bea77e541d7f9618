//! PULL (RFC 30): from all peers, in turn.

use std::sync::Arc;

use curvelink_proto::{Message, Peer, Reason};

use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn};
use crate::pipe::{PipeId, Pipes};

#[derive(Debug, Default)]
pub(super) struct Pull {
    incoming: Turns,
}

impl Pattern for Pull {
    fn attach(&mut self, _: PipeId, _: &mut Pipes) {}

    fn ready(&mut self, _: PipeId, _: &Arc<Peer>, _: &mut Pipes) -> Result<(), Reason> {
        Ok(())
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.remove(pipe);
    }

    fn readable(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.activate(pipe);
    }

    fn send(&mut self, _: &mut Message, _: &mut Pipes) -> Result<(), Refused> {
        Err(Refused::Full)
    }

    fn recv(
        &mut self,
        into: &mut Vec<Message>,
        max: usize,
        pipes: &mut Pipes,
    ) -> Result<usize, WrongTurn> {
        Ok(self.incoming.recv(into, max, pipes))
    }

    fn can_send(&mut self, _: &Pipes) -> bool {
        false
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.peek(pipes).is_some()
    }
}
