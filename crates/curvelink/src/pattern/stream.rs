//! STREAM: peers that speak plain TCP, each by a routing id of our side's making.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use curvelink_proto::{Frame, Message, Peer, Reason};

use super::routing_ids::RoutingIds;
use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn};
use crate::pipe::{PipeId, Pipes};
use crate::sync::later;

#[derive(Debug)]
pub(super) struct Stream {
    incoming: Turns,
    /// A pipe that the application closed has no id any more.
    ids: RoutingIds,
    notify: bool,
}

impl Stream {
    pub(super) fn new(notify: bool) -> Self {
        Self {
            incoming: Turns::default(),
            ids: RoutingIds::new(),
            notify,
        }
    }

    /// Tells the application of a connection that was made or lost, in the order of its messages.
    fn tell(&mut self, pipe: PipeId, pipes: &Pipes) {
        if self.notify && !pipes.is_given_up(pipe) {
            pipes.notice(pipe, Frame::empty().into());
            self.incoming.activate(pipe);
        }
    }

    /// Drops what a connection brought that the application has closed; whether another message
    /// is next.
    fn message_is_next(&mut self, pipes: &mut Pipes) -> bool {
        while let Some((pipe, _)) = self.incoming.peek(pipes) {
            if self.ids.id(pipe).is_some() {
                return true;
            }
            self.incoming.skip(pipes);
        }
        false
    }

    /// Ends a connection once what waits for it is written, however long that takes.
    fn close(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        pipes.finish(pipe, later(Duration::MAX));
        self.ids.remove(pipe);
    }
}

impl Pattern for Stream {
    /// The id of an endpoint that we connect to counts from now on: messages may wait for it.
    fn attach(&mut self, pipe: PipeId, _: &mut Pipes) {
        let id = self.ids.generate();
        self.ids.assign(pipe, id);
    }

    fn choose_id(&mut self, pipe: PipeId, id: &Bytes) -> bool {
        let free = self.ids.pipe(id).is_none();
        if free {
            self.ids.assign(pipe, id.clone());
        }
        free
    }

    fn ready(&mut self, pipe: PipeId, _: &Arc<Peer>, pipes: &mut Pipes) -> Result<(), Reason> {
        if self.ids.id(pipe).is_none() && !pipes.is_given_up(pipe) {
            let id = self.ids.generate();
            self.ids.assign(pipe, id);
        }
        self.tell(pipe, pipes);
        Ok(())
    }

    /// What waits was part of a conversation that is over.
    fn lost(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        pipes.clear_outgoing(pipe);
        self.tell(pipe, pipes);
        if !pipes.reconnects(pipe) {
            self.ids.release(pipe);
        }
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.ids.remove(pipe);
        self.incoming.remove(pipe);
    }

    fn readable(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.activate(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut Pipes) -> Result<(), Refused> {
        let Some(id) = message.pop_front().filter(|_| !message.is_empty()) else {
            // An id and nothing to send to it: as libzmq, whoever it is.
            return Ok(());
        };
        let refused = match self.ids.pipe(&id) {
            None => Refused::Unroutable,
            Some(pipe) if message.octets() == 0 => {
                self.close(pipe, pipes);
                return Ok(());
            }
            Some(pipe) if pipes.try_give(pipe, message) => return Ok(()),
            Some(_) => Refused::Full,
        };
        message.push_front(id);
        Err(refused)
    }

    fn recv(
        &mut self,
        into: &mut Vec<Message>,
        _: usize,
        pipes: &mut Pipes,
    ) -> Result<usize, WrongTurn> {
        if !self.message_is_next(pipes) {
            return Ok(0);
        }
        let pipe = self.incoming.recv_one(into, pipes);
        let (Some(pipe), Some(message)) = (pipe, into.last_mut()) else {
            return Ok(0);
        };
        message.push_front(self.ids.id(pipe).cloned().unwrap_or_default());
        Ok(1)
    }

    /// Once any connection has room.
    fn can_send(&mut self, pipes: &Pipes) -> bool {
        // Every one is asked: each that has no room tells once it has.
        self.ids
            .pipes()
            .filter(|pipe| pipes.has_room(*pipe))
            .count()
            > 0
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.message_is_next(pipes)
    }
}
