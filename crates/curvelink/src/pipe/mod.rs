//! Pipes: what a socket holds of each of its links.

mod ceiling;
mod handed;
mod incoming;
mod outgoing;
mod slots;
mod statistics;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use curvelink_proto::{Message, Peer};

pub(crate) use self::ceiling::Ceiling;
pub(crate) use self::handed::Handed;
pub(crate) use self::incoming::Incoming;
use self::outgoing::Accepted;
pub(crate) use self::outgoing::{Drive, Order, Outgoing};
pub(crate) use self::slots::PipeId;
use self::slots::Slots;
pub use self::statistics::{Drops, LinkStatus, Statistics, Traffic};
use crate::options::Options;
use crate::socket::core::{Core, Effect};

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

/// How a pipe came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// We dial, and again whenever the link is lost.
    Dialled,
    /// We connected over inproc, which is not made again.
    Joined,
    /// The peer came to us.
    Accepted,
}

#[derive(Debug)]
struct Pipe {
    /// `None` for an inproc pipe whose other end is not there yet.
    outlet: Option<Outlet>,
    incoming: Arc<Incoming>,
    /// Messages taken out of `incoming` and not yet received.
    batch: VecDeque<Message>,
    /// Of the batch, what was received and `incoming` not yet told.
    served: Served,
    /// Once the handshake is done, and until the link is lost.
    peer: Option<Arc<Peer>>,
    /// When the peer's handshake was done.
    since: Instant,
    /// Who sent what is in the queue and has no sender noted on it. It outlives the link.
    sender: Option<Arc<Peer>>,
    origin: Origin,
    /// The link is gone and will not come back: the pipe ends when its messages are received.
    ending: bool,
}

/// Messages and octets that make room in a queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    pub(crate) messages: usize,
    pub(crate) octets: usize,
}

impl Pipe {
    /// Whether messages may wait here as the link is now; where `immediate`, only while it is up.
    fn takes(&self, immediate: bool) -> bool {
        let waits = immediate && self.origin == Origin::Dialled && self.peer.is_none();
        !self.ending && !waits
    }

    /// Messages that wait to be received.
    fn waiting(&self) -> usize {
        self.batch.len() + self.incoming.len()
    }

    /// Messages that wait to be written, and those that newer ones replaced, either way.
    fn outgoing(&self) -> Option<&Arc<Outgoing>> {
        match self.outlet.as_ref()? {
            Outlet::Link(outgoing) => Some(outgoing),
            Outlet::Inproc { .. } => None,
        }
    }

    /// Takes what there is out of the queue, all that was taken before being served.
    fn refill(&mut self, effects: &mut Vec<Effect>) {
        self.served = Served::default();
        effects.extend(self.incoming.take(&mut self.batch));
    }

    /// A connection is up: what goes over it is counted from zero.
    fn begin(&mut self) {
        self.since = Instant::now();
        self.incoming.count_anew();
        if let Some(outgoing) = self.outgoing() {
            outgoing.count_anew();
        }
    }

    fn status(&self, subscriptions: usize) -> Option<LinkStatus> {
        let sent = match self.outlet.as_ref()? {
            Outlet::Link(outgoing) => outgoing.traffic(),
            Outlet::Inproc { queue, .. } => queue.traffic(),
        };
        Some(LinkStatus {
            peer: self.peer.clone()?,
            since: self.since,
            sent,
            received: self.incoming.traffic(),
            queued_to_peer: self.outgoing().map_or(0, |outgoing| outgoing.messages()),
            queued_from_peer: self.waiting(),
            subscriptions,
        })
    }

    fn conflated(&self) -> u64 {
        let outgoing = self.outgoing().map(|outgoing| outgoing.conflated());
        self.incoming.conflated() + outgoing.unwrap_or_default()
    }
}

/// The pipes of a socket, and what touching them has to cause once the socket's lock is released.
#[derive(Debug)]
pub(crate) struct Pipes {
    slots: Slots<Pipe>,
    owner: Weak<Core>,
    /// A pipe that dials takes messages only while its link is up.
    immediate: bool,
    /// What each peer is sent first.
    hello: Option<Message>,
    effects: Vec<Effect>,
    /// Pipes that came to their end while being read.
    ended: Vec<PipeId>,
    /// Messages that no peer and no application gets: patterns count theirs here.
    pub(crate) drops: Drops,
    sent: Traffic,
    pub(crate) received: Traffic,
}

impl Pipes {
    pub(crate) fn new(owner: Weak<Core>, options: &Options) -> Self {
        // A probe is an empty greeting; another greeting does as well.
        let hello = &options.notices.hello;
        let greets = options.pattern.probe_router || !hello.is_empty();
        Self {
            slots: Slots::new(),
            owner,
            immediate: options.queues.immediate,
            hello: greets.then(|| hello.clone().into()),
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
        origin: Origin,
    ) -> PipeId {
        self.slots.insert(Pipe {
            outlet,
            incoming,
            batch: VecDeque::new(),
            served: Served::default(),
            peer: None,
            since: Instant::now(),
            sender: None,
            origin,
            ending: false,
        })
    }

    pub(crate) fn contains(&self, id: PipeId) -> bool {
        self.slots.get(id).is_some()
    }

    /// Joins an inproc pipe to its other end.
    pub(crate) fn join(&mut self, id: PipeId, outlet: Outlet) {
        if let Some(pipe) = self.slots.get_mut(id) {
            pipe.outlet = Some(outlet);
        }
    }

    pub(crate) fn origin(&self, id: PipeId) -> Option<Origin> {
        Some(self.slots.get(id)?.origin)
    }

    /// Whether the link comes back by itself when it is lost.
    pub(crate) fn reconnects(&self, id: PipeId) -> bool {
        let pipe = self.slots.get(id);
        pipe.is_some_and(|pipe| pipe.origin == Origin::Dialled && !pipe.ending)
    }

    /// Whether messages may wait for the link to come back.
    pub(crate) fn keeps(&self, id: PipeId) -> bool {
        self.reconnects(id) && !self.immediate
    }

    /// Notes who is at the other end from now on, or that nobody is. Messages that an earlier peer
    /// sent, and that still wait, stay that peer's.
    pub(crate) fn set_peer(&mut self, id: PipeId, peer: Option<Arc<Peer>>) {
        let Some(pipe) = self.slots.get_mut(id) else {
            return;
        };
        if peer.is_some() && pipe.peer.is_none() {
            pipe.begin();
        }
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
        self.slots.get(id)?.peer.as_ref()
    }

    /// The links that are up, each with who is at its other end; not those of this process.
    pub(crate) fn links(&self) -> impl Iterator<Item = (&Arc<Peer>, &Arc<Outgoing>)> {
        let links = self.slots.values();
        links.filter_map(|pipe| Some((pipe.peer.as_ref()?, pipe.outgoing()?)))
    }

    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        let peers = self.slots.values().filter_map(|pipe| pipe.peer.clone());
        peers.collect()
    }

    /// Hands a copy of a message to a pipe unless it is full or on its way out.
    pub(crate) fn try_write(&mut self, id: PipeId, message: &Message) -> bool {
        self.hand(id, Handed::Copy(message))
    }

    /// Hands a message itself to a pipe; it stays as it is if the pipe is full or on its way out.
    pub(crate) fn try_give(&mut self, id: PipeId, message: &mut Message) -> bool {
        self.hand(id, Handed::Whole(message))
    }

    fn hand(&mut self, id: PipeId, message: Handed<'_>) -> bool {
        let Some(pipe) = self.slots.get(id).filter(|pipe| pipe.takes(self.immediate)) else {
            return false;
        };
        let octets = message.octets();
        let written = match &pipe.outlet {
            Some(Outlet::Link(outgoing)) => {
                let accepted = outgoing.accept(message.as_ref());
                if accepted == Accepted::Idle {
                    self.effects.push(Effect::Drive(outgoing.clone()));
                }
                accepted != Accepted::No
            }
            Some(Outlet::Inproc { queue, peer, pipe }) => {
                let announce = queue.push_inproc(message, &self.owner, id);
                if announce == Some(true) {
                    self.effects.push(Effect::Readable(peer.clone(), *pipe));
                }
                announce.is_some()
            }
            None => false,
        };
        if written {
            self.sent.count(1, octets);
        }
        written
    }

    /// Whether a pipe would take a message now; if not, it tells once there is room.
    pub(crate) fn has_room(&self, id: PipeId) -> bool {
        let pipe = self.slots.get(id).filter(|pipe| pipe.takes(self.immediate));
        match pipe.and_then(|pipe| pipe.outlet.as_ref()) {
            None => false,
            Some(Outlet::Link(outgoing)) => outgoing.has_room(),
            Some(Outlet::Inproc { queue, .. }) => queue.has_room(&self.owner, id),
        }
    }

    /// Whether a pipe that would take a message later has no room for it now; then it tells once
    /// there is.
    pub(crate) fn is_full(&self, id: PipeId) -> bool {
        let pipe = self.slots.get(id).filter(|pipe| pipe.takes(self.immediate));
        pipe.is_some_and(|pipe| match &pipe.outlet {
            None => true,
            Some(Outlet::Link(outgoing)) => outgoing.is_full(),
            Some(Outlet::Inproc { queue, .. }) => !queue.has_room(&self.owner, id),
        })
    }

    /// Sends what each peer is sent first.
    pub(crate) fn greet(&mut self, id: PipeId) {
        let Some(hello) = self.hello.clone() else {
            return;
        };
        match self.slots.get(id).and_then(Pipe::outgoing) {
            Some(outgoing) => outgoing.greet(&hello),
            None => self.greet_inproc(id, &hello),
        }
    }

    /// Greets the socket at the other end, whether messages may wait for it or not.
    fn greet_inproc(&mut self, id: PipeId, hello: &Message) {
        let outlet = self.slots.get(id).and_then(|pipe| pipe.outlet.as_ref());
        if let Some(Outlet::Inproc { queue, peer, pipe }) = outlet
            && queue.push_inproc(Handed::Copy(hello), &self.owner, id) == Some(true)
        {
            self.effects.push(Effect::Readable(peer.clone(), *pipe));
        }
    }

    /// Tells a publisher first what this socket subscribes to.
    pub(crate) fn introduce<'a>(&mut self, id: PipeId, prefixes: impl Iterator<Item = &'a Bytes>) {
        match self.slots.get(id).and_then(Pipe::outgoing) {
            Some(outgoing) => outgoing.introduce(prefixes),
            None => prefixes.for_each(|prefix| self.subscribe(id, prefix, true)),
        }
    }

    /// Tells a publisher of a subscription more, or less.
    pub(crate) fn subscribe(&mut self, id: PipeId, prefix: &[u8], subscribe: bool) {
        match self.slots.get(id).and_then(|pipe| pipe.outlet.as_ref()) {
            None => {}
            Some(Outlet::Link(outgoing)) => {
                let accepted = outgoing.subscribe(prefix, subscribe);
                self.drops.no_room += u64::from(!accepted);
            }
            Some(Outlet::Inproc { queue, peer, pipe }) => {
                let open = queue.push_subscription(subscribe, Bytes::copy_from_slice(prefix));
                let effect = open.then(|| Effect::Subscriptions(peer.clone(), *pipe));
                self.effects.extend(effect);
            }
        }
    }

    /// What an inproc peer asked for next.
    pub(crate) fn next_subscription(&self, id: PipeId) -> Option<(bool, Bytes)> {
        self.slots.get(id)?.incoming.next_subscription()
    }

    /// The next message of a pipe, which stays.
    pub(crate) fn peek(&mut self, id: PipeId) -> Option<&Message> {
        let pipe = self.slots.get_mut(id)?;
        if pipe.batch.is_empty() || pipe.incoming.conflates() {
            pipe.refill(&mut self.effects);
            if pipe.batch.is_empty() && pipe.ending {
                self.ended.push(id);
            }
        }
        pipe.batch.front()
    }

    /// Appends the next messages of a pipe, at most `max`, with their peer noted on them; how many.
    pub(crate) fn read(&mut self, id: PipeId, into: &mut Vec<Message>, max: usize) -> usize {
        if self.peek(id).is_none() {
            return 0;
        }
        self.read_peeked(id, into, max)
    }

    /// As [`read`](Self::read), beginning with the message that [`peek`](Self::peek) has shown, even
    /// if a newer one could take its place.
    pub(crate) fn read_peeked(&mut self, id: PipeId, into: &mut Vec<Message>, max: usize) -> usize {
        let Some(pipe) = self.slots.get_mut(id) else {
            return 0;
        };
        let before = into.len();
        into.extend(pipe.batch.drain(..max.min(pipe.batch.len())));
        let read = into.get_mut(before..).unwrap_or_default();
        for message in &mut *read {
            pipe.served.octets += message.octets();
            if message.peer().is_none() {
                message.set_peer(pipe.sender.clone());
            }
        }
        pipe.served.messages += read.len();
        let read = read.len();
        // With the last one out there is room, and a writer that waits must not have to wait for
        // the application to come back.
        if pipe.batch.is_empty() && !pipe.incoming.conflates() {
            pipe.refill(&mut self.effects);
        } else if pipe.incoming.is_worth_telling(pipe.served) {
            let served = std::mem::take(&mut pipe.served);
            self.effects.extend(pipe.incoming.served(served));
        }
        read
    }

    /// Gives memory back: nothing comes or goes for now.
    pub(crate) fn rest(&mut self, id: PipeId) {
        if let Some(pipe) = self.slots.get_mut(id) {
            pipe.incoming.rest();
            if pipe.batch.is_empty() {
                pipe.batch = VecDeque::new();
            }
            if let Some(outgoing) = pipe.outgoing() {
                outgoing.rest();
            }
        }
    }

    /// Adds a message as if the peer had sent it last.
    pub(crate) fn notice(&self, id: PipeId, message: Message) {
        if let Some(pipe) = self.slots.get(id) {
            pipe.incoming.push_rest(&mut VecDeque::from([message]));
        }
    }

    /// Whether the application has ended the pipe, or the socket.
    pub(crate) fn is_given_up(&self, id: PipeId) -> bool {
        let pipe = self.slots.get(id);
        pipe.is_none_or(|pipe| {
            pipe.outgoing()
                .is_some_and(|outgoing| outgoing.is_closing())
        })
    }

    /// Forgets what waits to be written to a link.
    pub(crate) fn clear_outgoing(&mut self, id: PipeId) {
        if let Some(outgoing) = self.slots.get(id).and_then(Pipe::outgoing) {
            self.drops.peer_gone += outgoing.clear() as u64;
        }
    }

    /// The link is gone: on a socket that sends only where one is up, what waits goes with it.
    pub(crate) fn lose_link(&mut self, id: PipeId) {
        self.set_peer(id, None);
        if self.immediate {
            self.clear_outgoing(id);
        }
    }

    /// Forgets what waits to be received now; gives how many messages.
    pub(crate) fn clear_incoming(&mut self, id: PipeId) -> usize {
        let Some(pipe) = self.slots.get_mut(id) else {
            return 0;
        };
        let waiting = pipe.waiting();
        pipe.batch.clear();
        pipe.served = Served::default();
        self.effects.extend(pipe.incoming.take(&mut pipe.batch));
        pipe.batch.clear();
        waiting
    }

    /// Forgets what waits in either direction: the peer's right to be here has ended.
    pub(crate) fn cut(&mut self, id: PipeId) {
        let received = self.clear_incoming(id);
        // The queue is told that nothing of it is held, so that it announces the next peer's.
        self.clear_incoming(id);
        let outgoing = self.outgoing(id);
        let accepted = outgoing.map_or(0, |outgoing| outgoing.clear());
        self.drops.cut += (received + accepted) as u64;
    }

    /// Ends a link of ours: what was accepted for it may still be written until `deadline`.
    pub(crate) fn finish(&mut self, id: PipeId, deadline: Instant) {
        if let Some(outgoing) = self.outgoing(id) {
            outgoing.close(deadline);
        } else if self.end(id) {
            self.ended.push(id);
        }
    }

    /// The link is gone for good; whether everything it brought has been received.
    pub(crate) fn end(&mut self, id: PipeId) -> bool {
        self.clear_outgoing(id);
        let Some(pipe) = self.slots.get_mut(id) else {
            return false;
        };
        let told = std::mem::replace(&mut pipe.ending, true);
        pipe.peer = None;
        // An inproc peer could go on sending for as long as there is something to receive.
        pipe.incoming.seal();
        if let Some(Outlet::Inproc { peer, pipe, .. }) = &pipe.outlet
            && !told
        {
            self.effects.push(Effect::Ended(peer.clone(), *pipe));
        }
        pipe.waiting() == 0
    }

    /// Frees a pipe. An inproc peer is told, if it was not when the pipe began to end.
    pub(crate) fn remove(&mut self, id: PipeId) {
        let Some(pipe) = self.slots.remove(id) else {
            return;
        };
        self.drops.conflated += pipe.conflated();
        pipe.incoming.close();
        if let Some(Outlet::Inproc { peer, pipe, .. }) = pipe.outlet.filter(|_| !pipe.ending) {
            self.effects.push(Effect::Ended(peer, pipe));
        }
    }

    pub(crate) fn ids(&self) -> Vec<PipeId> {
        self.slots.iter().map(|(id, _)| id).collect()
    }

    /// What went through these pipes; the pattern may hold messages of its own beside.
    pub(crate) fn statistics(&self) -> Statistics {
        let mut statistics = Statistics {
            sent: self.sent,
            received: self.received,
            dropped: self.drops,
            ..Statistics::default()
        };
        for pipe in self.slots.values() {
            let outgoing = pipe.outgoing().map(|outgoing| outgoing.messages());
            statistics.queued_to_peers += outgoing.unwrap_or_default();
            statistics.queued_from_peers += pipe.waiting();
            statistics.dropped.conflated += pipe.conflated();
        }
        statistics
    }

    /// The links that are up; `subscriptions` gives how many each has made.
    pub(crate) fn status(&self, subscriptions: impl Fn(PipeId) -> usize) -> Vec<LinkStatus> {
        let pipes = self.slots.iter();
        pipes
            .filter_map(|(id, pipe)| pipe.status(subscriptions(id)))
            .collect()
    }

    /// The queues to the links, for closing.
    pub(crate) fn outgoing(&self, id: PipeId) -> Option<Arc<Outgoing>> {
        self.slots.get(id)?.outgoing().cloned()
    }

    /// Whether nothing was caused, and no pipe came to its end.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.effects.is_empty() && self.ended.is_empty()
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
