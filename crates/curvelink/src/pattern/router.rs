//! ROUTER (RFC 28): each peer by its routing id.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use curvelink_proto::{Message, Peer, Reason};

use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn};
use crate::pipe::{PipeId, Pipes};

#[derive(Debug)]
pub(super) struct Router {
    incoming: Turns,
    by_id: HashMap<Bytes, PipeId>,
    by_pipe: HashMap<PipeId, Bytes>,
    generated: u32,
    mandatory: bool,
}

impl Router {
    pub(super) fn new(mandatory: bool) -> Self {
        Self {
            incoming: Turns::default(),
            by_id: HashMap::new(),
            by_pipe: HashMap::new(),
            generated: 0,
            mandatory,
        }
    }

    /// An id of our own making: 0 and four octets. No peer may ask for one that begins with 0.
    fn generate(&mut self) -> Bytes {
        loop {
            self.generated = self.generated.wrapping_add(1);
            let [a, b, c, d] = self.generated.to_be_bytes();
            let id = Bytes::copy_from_slice(&[0, a, b, c, d]);
            if !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }
}

impl Pattern for Router {
    /// A peer has no id before its handshake, so nothing can wait for it.
    fn attach(&mut self, _: PipeId, _: &mut Pipes) {}

    fn ready(&mut self, pipe: PipeId, peer: &Arc<Peer>, _: &mut Pipes) -> Result<(), Reason> {
        let id = match self.by_pipe.get(&pipe).filter(|id| id.first() == Some(&0)) {
            _ if !peer.routing_id.is_empty() => peer.routing_id.clone(),
            // An endpoint that we connect to keeps the id that we made for it.
            Some(id) => id.clone(),
            None => self.generate(),
        };
        // A live peer keeps its id: whoever asks for it as well is refused, whatever its key.
        if self.by_id.contains_key(&id) {
            return Err(Reason::RoutingId);
        }
        self.by_id.insert(id.clone(), pipe);
        self.by_pipe.insert(pipe, id);
        Ok(())
    }

    /// The id is free for the next; messages of the link that is gone keep it.
    fn lost(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        pipes.clear_outgoing(pipe);
        if let Some(id) = self.by_pipe.get(&pipe)
            && self.by_id.get(id) == Some(&pipe)
        {
            self.by_id.remove(id);
        }
    }

    fn detach(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        self.lost(pipe, pipes);
        self.by_pipe.remove(&pipe);
        self.incoming.remove(pipe);
    }

    fn readable(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.incoming.activate(pipe);
    }

    fn send(&mut self, mut message: Message, pipes: &mut Pipes) -> Result<(), Refused> {
        let Some(id) = message.pop_front() else {
            return Ok(());
        };
        let Some(pipe) = self.by_id.get(&id[..]) else {
            if self.mandatory {
                message.push_front(id);
                return Err(Refused::Unroutable(message));
            }
            pipes.drops.unroutable += 1;
            return Ok(());
        };
        if message.is_empty() || pipes.try_write(*pipe, &message) {
            return Ok(());
        }
        if self.mandatory {
            message.push_front(id);
            return Err(Refused::Full(message));
        }
        pipes.drops.no_room += 1;
        Ok(())
    }

    fn recv(&mut self, pipes: &mut Pipes) -> Result<Option<Message>, WrongTurn> {
        let Some((pipe, mut message)) = self.incoming.recv(pipes) else {
            return Ok(None);
        };
        let id = self.by_pipe.get(&pipe).cloned().unwrap_or_default();
        message.push_front(id);
        Ok(Some(message))
    }

    /// Always, where a peer without room loses the message; where it does not, once any has room.
    fn can_send(&mut self, pipes: &Pipes) -> bool {
        // Every one is asked: each that has no room tells once it has.
        let room = self.by_id.values().filter(|pipe| pipes.has_room(**pipe));
        !self.mandatory || room.count() > 0
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.has_message(pipes, |_, _| true)
    }
}
