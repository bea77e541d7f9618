//! ROUTER (RFC 28): each peer by its routing id.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use curvelink_proto::{Message, Peer, Reason};

use super::routing_ids::RoutingIds;
use super::turns::Turns;
use super::{Pattern, Refused, WrongTurn};
use crate::options::Options;
use crate::pipe::{PipeId, Pipes};
use crate::sync::later;

#[derive(Debug)]
pub(super) struct Router {
    incoming: Turns,
    ids: RoutingIds,
    /// Who had a pipe's id last. A pipe that reconnects keeps it while nobody is there.
    peers: HashMap<PipeId, Arc<Peer>>,
    /// Pipes whose id the application chose: what their peers ask for does not count.
    chosen: HashSet<PipeId>,
    mandatory: bool,
    handover: bool,
    /// How long what was accepted for a link that is handed over may still be written.
    linger: Duration,
}

impl Router {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            incoming: Turns::default(),
            ids: RoutingIds::new(),
            peers: HashMap::new(),
            chosen: HashSet::new(),
            mandatory: options.pattern.router_mandatory,
            handover: options.pattern.router_handover,
            linger: options.queues.linger,
        }
    }

    fn id_for(&mut self, pipe: PipeId, peer: &Peer) -> Bytes {
        match self.ids.id(pipe) {
            Some(chosen) if self.chosen.contains(&pipe) => chosen.clone(),
            _ if !peer.routing_id.is_empty() => peer.routing_id.clone(),
            // An endpoint that we connect to keeps the id that we made for it.
            Some(ours) if ours.first() == Some(&0) && self.was(pipe, peer) => ours.clone(),
            _ => self.ids.generate(),
        }
    }

    /// The id of who sent a message: not of another that has come to the pipe since.
    fn id_of_sender(&mut self, pipe: PipeId, message: &Message) -> Bytes {
        match (self.ids.id(pipe), message.peer()) {
            (Some(id), Some(sender)) if self.chosen.contains(&pipe) || self.was(pipe, sender) => {
                id.clone()
            }
            (_, Some(gone)) if !gone.routing_id.is_empty() => gone.routing_id.clone(),
            (_, Some(_)) => self.ids.generate(),
            (id, None) => id.cloned().unwrap_or_default(),
        }
    }

    /// Whether this peer was at the other end of a pipe last.
    fn was(&self, pipe: PipeId, peer: &Peer) -> bool {
        let known = self.peers.get(&pipe);
        known.is_some_and(|known| known.is_same_identity(peer))
    }

    /// Lets `pipe` have an id that another may have. A live peer keeps its id, but for itself on a
    /// new link where handover is on; an endpoint that we connect to always keeps it.
    fn make_way(
        &self,
        id: &Bytes,
        pipe: PipeId,
        peer: &Peer,
        pipes: &mut Pipes,
    ) -> Result<(), Reason> {
        let Some(holder) = self.ids.pipe(id).filter(|holder| *holder != pipe) else {
            return Ok(());
        };
        if self.handover && !pipes.reconnects(holder) && self.was(holder, peer) {
            pipes.finish(holder, later(self.linger));
            return Ok(());
        }
        Err(Reason::RoutingId)
    }
}

impl Pattern for Router {
    /// A peer has no id before its handshake, unless the application gives it one: see
    /// [`choose_id`](Pattern::choose_id).
    fn attach(&mut self, _: PipeId, _: &mut Pipes) {}

    fn choose_id(&mut self, pipe: PipeId, id: &Bytes) -> bool {
        let free = self.ids.pipe(id).is_none();
        if free {
            self.ids.assign(pipe, id.clone());
            self.chosen.insert(pipe);
        }
        free
    }

    fn ready(&mut self, pipe: PipeId, peer: &Arc<Peer>, pipes: &mut Pipes) -> Result<(), Reason> {
        let id = self.id_for(pipe, peer);
        self.make_way(&id, pipe, peer, pipes)?;
        // What waits for one peer is not for another that has its place.
        let returns = self.ids.id(pipe) == Some(&id) && self.was(pipe, peer);
        if self.peers.insert(pipe, peer.clone()).is_some() && !returns {
            pipes.clear_outgoing(pipe);
            pipes.greet(pipe);
        }
        self.ids.assign(pipe, id);
        Ok(())
    }

    /// The id of a peer for which nothing can wait is free for the next; messages of the link that
    /// is gone keep it.
    fn lost(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        if !pipes.keeps(pipe) {
            pipes.clear_outgoing(pipe);
            self.ids.release(pipe);
        }
    }

    fn detach(&mut self, pipe: PipeId, _: &mut Pipes) {
        self.ids.remove(pipe);
        self.peers.remove(&pipe);
        self.chosen.remove(&pipe);
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
        let known = self.ids.pipe(&id);
        if known.is_some_and(|pipe| pipes.try_give(pipe, message)) {
            return Ok(());
        }
        if !self.mandatory {
            match known {
                Some(_) => pipes.drops.no_room += 1,
                None => pipes.drops.unroutable += 1,
            }
            return Ok(());
        }
        message.push_front(id);
        Err(match known {
            Some(_) => Refused::Full,
            None => Refused::Unroutable,
        })
    }

    fn recv(
        &mut self,
        into: &mut Vec<Message>,
        _: usize,
        pipes: &mut Pipes,
    ) -> Result<usize, WrongTurn> {
        let pipe = self.incoming.recv_one(into, pipes);
        let (Some(pipe), Some(message)) = (pipe, into.last_mut()) else {
            return Ok(0);
        };
        let id = self.id_of_sender(pipe, message);
        message.push_front(id);
        Ok(1)
    }

    /// Always, where a peer without room loses the message; where it does not, once any has room.
    fn can_send(&mut self, pipes: &Pipes) -> bool {
        // Every one is asked: each that has no room tells once it has.
        let room = self.ids.pipes().filter(|pipe| pipes.has_room(*pipe));
        !self.mandatory || room.count() > 0
    }

    fn can_recv(&mut self, pipes: &mut Pipes) -> bool {
        self.incoming.peek(pipes).is_some()
    }
}
