//! PUSH (RFC 30): each message to one peer, in turn.

use std::sync::Arc;

use curvelink_proto::{Message, Peer, Reason};

use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn};
use crate::pipe::{PipeId, Pipes};

#[derive(Debug, Default)]
pub(super) struct Push {
    out: Turns,
}

impl Pattern for Push {
    fn attach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.out.activate(pipe);
    }

    fn ready(&mut self, pipe: PipeId, _: &Arc<Peer>, _: &mut Pipes) -> Result<(), Reason> {
        self.out.activate(pipe);
        Ok(())
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.out.remove(pipe);
    }

    fn writable(&mut self, pipe: PipeId) {
        self.out.activate(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut Pipes) -> Result<(), Refused> {
        let sent = self.out.send(message, pipes);
        sent.map(drop).ok_or(Refused::Full)
    }

    fn recv(&mut self, _: &mut Vec<Message>, _: usize, _: &mut Pipes) -> Result<usize, WrongTurn> {
        Ok(0)
    }

    fn can_send(&mut self, pipes: &Pipes) -> bool {
        self.out.has_room(pipes)
    }

    fn can_recv(&mut self, _: &mut Pipes) -> bool {
        false
    }
}
