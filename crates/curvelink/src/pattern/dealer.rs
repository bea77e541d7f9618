//! DEALER (RFC 28): sends to peers in turn, receives from peers in turn, no strict order.

use std::sync::Arc;

use curvelink_proto::{Message, Peer, Reason};

use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn};
use crate::pipe::{PipeId, Pipes};

#[derive(Debug, Default)]
pub(super) struct Dealer {
    out: Turns,
    incoming: Turns,
}

impl Pattern for Dealer {
    fn attach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.out.activate(pipe);
    }

    fn ready(&mut self, pipe: PipeId, _: &Arc<Peer>, _: &mut Pipes) -> Result<(), Reason> {
        self.out.activate(pipe);
        Ok(())
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.out.remove(pipe);
        self.incoming.remove(pipe);
    }

    fn readable(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.activate(pipe);
    }

    fn writable(&mut self, pipe: PipeId) {
        self.out.activate(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut Pipes) -> Result<(), Refused> {
        let sent = self.out.send(message, pipes);
        sent.map(drop).ok_or(Refused::Full)
    }

    fn recv(
        &mut self,
        into: &mut Vec<Message>,
        max: usize,
        pipes: &mut Pipes,
    ) -> Result<usize, WrongTurn> {
        Ok(self.incoming.recv(into, max, pipes))
    }

    fn can_send(&mut self, pipes: &Pipes) -> bool {
        self.out.has_room(pipes)
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.peek(pipes).is_some()
    }
}
