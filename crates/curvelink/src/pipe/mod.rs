//! Pipes: what a socket holds of each of its links.

mod incoming;
mod outgoing;
mod statistics;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

use curvelink_proto::{Message, Peer};

pub(crate) use self::incoming::Incoming;
pub(crate) use self::outgoing::Outgoing;
pub use self::statistics::{Drops, Statistics, Traffic};
use crate::socket::core::{Core, Effect};

/// A pipe of one socket. The generation tells it from earlier pipes in the same slot: what an
/// inproc peer says of a pipe that is gone must not touch the one that has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PipeId {
    slot: u32,
    generation: u32,
}

impl PipeId {
    /// No pipe: the socket itself, as the owner of its own subscriptions.
    pub(crate) const OWN: Self = Self {
        slot: u32::MAX,
        generation: 0,
    };

    #[cfg(test)]
    pub(crate) const fn new(index: usize) -> Self {
        Self {
            slot: index as u32,
            generation: 0,
        }
    }

    #[cfg(test)]
    pub(crate) const fn index(self) -> usize {
        self.slot as usize
    }
}

/// Where a pipe's messages go.
#[derive(Clone)]
pub(crate) enum Outlet {
    /// To the session of a tcp or ipc link.
    Link(Arc<Outgoing>),
    /// Straight into the queue of a socket of this process.
    Inproc {
        queue: Arc<Incoming>,
        peer: Weak<Core>,
        /// The other end's pipe.
        pipe: PipeId,
    },
}

impl fmt::Debug for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link(_) => "Link",
            Self::Inproc { .. } => "Inproc",
        })
    }
}

#[derive(Debug)]
struct Pipe {
    /// `None` for an inproc pipe whose other end is not there yet.
    outlet: Option<Outlet>,
    incoming: Arc<Incoming>,
    /// Messages taken out of `incoming` and not yet received.
    batch: VecDeque<Message>,
    /// Once the handshake is done, and until the link is lost.
    peer: Option<Arc<Peer>>,
    /// Who sent what is in the queue and has no sender noted on it. It outlives the link.
    sender: Option<Arc<Peer>>,
    /// The socket dials again when the link is lost.
    reconnects: bool,
    /// The link is gone and will not come back: the pipe ends when its messages are received.
    ending: bool,
}

impl Pipe {
    /// Messages that wait to be received.
    fn waiting(&self) -> usize {
        self.batch.len() + self.incoming.len()
    }
}

/// A place for a pipe, used again and again.
#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    pipe: Option<Pipe>,
}

impl Slot {
    fn pipe(&self, generation: u32) -> Option<&Pipe> {
        let pipe = self.pipe.as_ref();
        pipe.filter(|_| self.generation == generation)
    }

    fn pipe_mut(&mut self, generation: u32) -> Option<&mut Pipe> {
        let pipe = self.pipe.as_mut();
        pipe.filter(|_| self.generation == generation)
    }

    /// Frees the slot if it is this generation's.
    fn take(&mut self, generation: u32) -> Option<Pipe> {
        let pipe = self.pipe.take_if(|_| self.generation == generation)?;
        self.generation = self.generation.wrapping_add(1);
        Some(pipe)
    }
}

/// The pipes of a socket, and what touching them has to cause once the socket's lock is released.
#[derive(Debug)]
pub(crate) struct Pipes {
    slots: Vec<Slot>,
    free: Vec<u32>,
    owner: Weak<Core>,
    effects: Vec<Effect>,
    /// Pipes that came to their end while being read.
    ended: Vec<PipeId>,
    /// Messages that no peer and no application gets: patterns count theirs here.
    pub(crate) drops: Drops,
    sent: Traffic,
    pub(crate) received: Traffic,
}

impl Pipes {
    pub(crate) fn new(owner: Weak<Core>) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            owner,
            effects: Vec::new(),
            ended: Vec::new(),
            drops: Drops::default(),
            sent: Traffic::default(),
            received: Traffic::default(),
        }
    }

    pub(crate) fn insert(
        &mut self,
        outlet: Option<Outlet>,
        incoming: Arc<Incoming>,
        reconnects: bool,
    ) -> PipeId {
        let pipe = Pipe {
            outlet,
            incoming,
            batch: VecDeque::new(),
            peer: None,
            sender: None,
            reconnects,
            ending: false,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        place.pipe = Some(pipe);
        PipeId {
            slot,
            generation: place.generation,
        }
    }

    fn pipe(&self, id: PipeId) -> Option<&Pipe> {
        self.slots.get(id.slot as usize)?.pipe(id.generation)
    }

    fn pipe_mut(&mut self, id: PipeId) -> Option<&mut Pipe> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        slot.pipe_mut(id.generation)
    }

    pub(crate) fn contains(&self, id: PipeId) -> bool {
        self.pipe(id).is_some()
    }

    /// Joins an inproc pipe to its other end.
    pub(crate) fn join(&mut self, id: PipeId, outlet: Outlet) {
        if let Some(pipe) = self.pipe_mut(id) {
            pipe.outlet = Some(outlet);
        }
    }

    /// Whether the link comes back by itself when it is lost.
    pub(crate) fn reconnects(&self, id: PipeId) -> bool {
        self.pipe(id).is_some_and(|pipe| pipe.reconnects)
    }

    /// Notes who is at the other end from now on, or that nobody is. Messages that an earlier peer
    /// sent, and that still wait, stay that peer's.
    pub(crate) fn set_peer(&mut self, id: PipeId, peer: Option<Arc<Peer>>) {
        let Some(pipe) = self.pipe_mut(id) else {
            return;
        };
        if peer.is_some() {
            let earlier = std::mem::replace(&mut pipe.sender, peer.clone());
            if earlier.is_some() {
                note_sender(&mut pipe.batch, earlier.as_ref());
                pipe.incoming.note_sender(earlier.as_ref());
            }
        }
        pipe.peer = peer;
    }

    /// The peer, while the link is up.
    pub(crate) fn peer(&self, id: PipeId) -> Option<&Arc<Peer>> {
        self.pipe(id)?.peer.as_ref()
    }

    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        let pipes = self.slots.iter().filter_map(|slot| slot.pipe.as_ref());
        pipes.filter_map(|pipe| pipe.peer.clone()).collect()
    }

    /// Hands a message to a pipe unless it is full or on its way out.
    pub(crate) fn try_write(&mut self, id: PipeId, message: &Message) -> bool {
        let written = self.write(id, message);
        if written {
            self.sent.count(message.octets());
        }
        written
    }

    fn write(&mut self, id: PipeId, message: &Message) -> bool {
        let owner = self.owner.clone();
        let Some(pipe) = self.pipe_mut(id).filter(|pipe| !pipe.ending) else {
            return false;
        };
        match &pipe.outlet {
            None => false,
            Some(Outlet::Link(outgoing)) => outgoing.try_write(message),
            Some(Outlet::Inproc { queue, peer, pipe }) => {
                let mut message = message.clone();
                message.set_peer(None);
                match queue.push_inproc(message, &owner, id) {
                    Ok(announce) => {
                        let effect = announce.then(|| Effect::Readable(peer.clone(), *pipe));
                        self.effects.extend(effect);
                        true
                    }
                    Err(_) => false,
                }
            }
        }
    }

    /// Whether a pipe would take a message now; if not, it tells once there is room.
    pub(crate) fn has_room(&self, id: PipeId) -> bool {
        let Some(pipe) = self.pipe(id).filter(|pipe| !pipe.ending) else {
            return false;
        };
        match &pipe.outlet {
            None => false,
            Some(Outlet::Link(outgoing)) => outgoing.has_room(),
            Some(Outlet::Inproc { queue, .. }) => queue.has_room(&self.owner, id),
        }
    }

    /// Tells a publisher what this socket subscribes to.
    pub(crate) fn subscribe(&mut self, id: PipeId, prefix: &[u8], subscribe: bool) {
        let Some(pipe) = self.pipe_mut(id) else {
            return;
        };
        match &pipe.outlet {
            None => {}
            Some(Outlet::Link(outgoing)) => outgoing.subscribe(prefix, subscribe),
            Some(Outlet::Inproc { peer, pipe, .. }) => {
                let prefix = bytes::Bytes::copy_from_slice(prefix);
                let effect = Effect::Subscription(peer.clone(), *pipe, subscribe, prefix);
                self.effects.push(effect);
            }
        }
    }

    /// The next message of a pipe, which stays.
    pub(crate) fn peek(&mut self, id: PipeId) -> Option<&Message> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        let pipe = slot.pipe_mut(id.generation)?;
        if pipe.batch.is_empty() {
            self.effects.extend(pipe.incoming.take(&mut pipe.batch));
        }
        if pipe.batch.is_empty() && pipe.ending {
            self.ended.push(id);
        }
        pipe.batch.front()
    }

    /// The next message of a pipe, with its peer noted on it.
    pub(crate) fn read(&mut self, id: PipeId) -> Option<Message> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        let pipe = slot.pipe_mut(id.generation)?;
        if pipe.batch.is_empty() {
            self.effects.extend(pipe.incoming.take(&mut pipe.batch));
        }
        let mut message = pipe.batch.pop_front();
        // With the last one out there is room, and a writer that waits must not have to wait for
        // the application to come back.
        if pipe.batch.is_empty() {
            self.effects.extend(pipe.incoming.take(&mut pipe.batch));
        }
        match &mut message {
            Some(message) if message.peer().is_none() => message.set_peer(pipe.sender.clone()),
            None if pipe.ending => self.ended.push(id),
            _ => {}
        }
        message
    }

    /// Forgets what waits to be written to a link.
    pub(crate) fn clear_outgoing(&self, id: PipeId) {
        if let Some(Outlet::Link(outgoing)) = self.pipe(id).and_then(|pipe| pipe.outlet.as_ref()) {
            outgoing.clear();
        }
    }

    /// The link is gone for good; whether everything it brought has been received.
    pub(crate) fn end(&mut self, id: PipeId) -> bool {
        let Some(pipe) = self.pipe_mut(id) else {
            return false;
        };
        pipe.ending = true;
        pipe.peer = None;
        pipe.waiting() == 0
    }

    /// Frees a pipe. An inproc peer is told.
    pub(crate) fn remove(&mut self, id: PipeId) {
        let slot = self.slots.get_mut(id.slot as usize);
        let Some(pipe) = slot.and_then(|slot| slot.take(id.generation)) else {
            return;
        };
        self.free.push(id.slot);
        pipe.incoming.close();
        if let Some(Outlet::Inproc { peer, pipe, .. }) = pipe.outlet {
            self.effects.push(Effect::Ended(peer, pipe));
        }
    }

    pub(crate) fn ids(&self) -> Vec<PipeId> {
        let used = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.pipe.is_some());
        used.map(|(index, slot)| PipeId {
            slot: index as u32,
            generation: slot.generation,
        })
        .collect()
    }

    /// What went through these pipes; the pattern may hold messages of its own beside.
    pub(crate) fn statistics(&self) -> Statistics {
        let pipes = || self.slots.iter().filter_map(|slot| slot.pipe.as_ref());
        let outgoing = pipes().map(|pipe| match &pipe.outlet {
            Some(Outlet::Link(outgoing)) => outgoing.messages(),
            Some(Outlet::Inproc { .. }) | None => 0,
        });
        Statistics {
            sent: self.sent,
            received: self.received,
            queued_to_peers: outgoing.sum(),
            queued_from_peers: pipes().map(Pipe::waiting).sum(),
            dropped: self.drops,
        }
    }

    /// The queues to the links, for closing.
    pub(crate) fn outgoing(&self, id: PipeId) -> Option<Arc<Outgoing>> {
        match self.pipe(id)?.outlet.as_ref()? {
            Outlet::Link(outgoing) => Some(outgoing.clone()),
            Outlet::Inproc { .. } => None,
        }
    }

    pub(crate) fn take_ended(&mut self) -> Vec<PipeId> {
        std::mem::take(&mut self.ended)
    }

    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn push_effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}

/// Notes the sender on the messages that have none yet.
fn note_sender(messages: &mut VecDeque<Message>, sender: Option<&Arc<Peer>>) {
    for message in messages
        .iter_mut()
        .filter(|message| message.peer().is_none())
    {
        message.set_peer(sender.cloned());
    }
}
