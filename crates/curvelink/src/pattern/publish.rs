//! PUB and XPUB (RFC 29): each message to every peer that subscribed to a prefix of its topic.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use curvelink_proto::{Message, Peer, Reason};

use super::pending::Pending;
use super::subscriptions::{Change, Subscriptions};
use super::{Pattern, Refused, WrongTurn, leading_subscription, topic};
use crate::error::SubscribePeerError;
use crate::options::{Options, Shown, Topics};
use crate::pipe::{PipeId, Pipes};

/// Messages from upstream that are looked at in one go.
const BURST: usize = 64;

#[derive(Debug)]
pub(super) struct Publish {
    options: Topics,
    /// Peers whose handshake is done.
    peers: BTreeSet<PipeId>,
    /// What messages are matched against.
    subscriptions: Subscriptions,
    /// `xpub_manual`: what the peers asked for, and which pipe is whose.
    asked: Subscriptions,
    by_peer: HashMap<usize, (PipeId, Arc<Peer>)>,
    /// XPUB: subscriptions and upstream messages that the application has not received.
    pending: Option<Pending>,
    /// `xpub_manual_last_value`: whom the next message is for.
    last: Option<PipeId>,
    /// The pipes of one message; kept for its memory.
    targets: Vec<PipeId>,
}

impl Publish {
    /// `shown`: the application receives subscriptions (XPUB).
    pub(super) fn new(options: &Options, shown: bool) -> Self {
        Self {
            options: options.topics.clone(),
            peers: BTreeSet::new(),
            subscriptions: Subscriptions::default(),
            asked: Subscriptions::default(),
            by_peer: HashMap::new(),
            pending: shown.then(|| Pending::new(options.queues.queue_octets)),
            last: None,
            targets: Vec::new(),
        }
    }

    /// The peers that a message goes to, in order and each once.
    fn find(&self, topic: &[u8], pipes: &Pipes, found: &mut Vec<PipeId>) {
        self.subscriptions.matching(topic, |pipe| found.push(pipe));
        found.sort_unstable();
        found.dedup();
        if self.options.invert {
            // Here nobody subscribed, so nobody's right to it was ever checked.
            let others = self.peers.iter().copied();
            let others = others.filter(|pipe| found.binary_search(pipe).is_err());
            *found = others
                .filter(|pipe| may_have(*pipe, topic, pipes))
                .collect();
        }
        if let Some(last) = self.last {
            found.retain(|pipe| *pipe == last);
        }
    }

    /// Whether the application receives a subscription, or its end.
    fn shows(&self, subscribe: bool, change: Change) -> bool {
        match (change, subscribe) {
            _ if self.options.manual => true,
            (Change::ForAll, _) => true,
            (_, true) => self.options.shown >= Shown::Subscribes,
            (Change::ForOne, false) => self.options.shown == Shown::All,
            // In a proxy, it would end what others wanted.
            (_, false) => false,
        }
    }

    fn forget(&mut self, pipe: PipeId, pipes: &Pipes) {
        self.peers.remove(&pipe);
        self.by_peer.retain(|_, (known, _)| *known != pipe);
        self.last = self.last.filter(|last| *last != pipe);
        let mut ended = self.subscriptions.remove_pipe(pipe);
        if self.options.manual {
            ended = self.asked.remove_pipe(pipe);
        }
        ended.sort_unstable();
        for (prefix, last) in ended {
            let change = if last { Change::ForAll } else { Change::ForOne };
            if self.shows(false, change)
                && let Some(pending) = &mut self.pending
            {
                pending.show(None, false, &prefix, pipes.peer(pipe).cloned());
            }
        }
    }

    /// XPUB: a message from upstream; nobody receives on PUB.
    fn take(&mut self, pipe: PipeId, mut message: Message, pipes: &mut Pipes) {
        if self.options.first_frame
            && message.len() > 1
            && let Some((subscribe, prefix)) = leading_subscription(&message)
        {
            message.pop_front();
            if may_have(pipe, &prefix, pipes) {
                let _beyond_its_bound = self.subscription(pipe, subscribe, &prefix, pipes);
            }
        }
        let pending = self.pending.as_mut();
        let kept = pending.is_some_and(|pending| pending.push(message));
        pipes.drops.unread += u64::from(!kept);
    }
}

/// Whether a peer's rights cover a topic.
fn may_have(pipe: PipeId, topic: &[u8], pipes: &Pipes) -> bool {
    pipes
        .peer(pipe)
        .is_some_and(|peer| peer.rights.subscribe.contain(topic))
}

/// Two peers that are there at once are two values. Whoever notes this keeps the value.
fn identity(peer: &Arc<Peer>) -> usize {
    Arc::as_ptr(peer).addr()
}

impl Pattern for Publish {
    /// Nobody has subscribed yet, so nothing waits.
    fn attach(&mut self, _: PipeId, _: &mut Pipes) {}

    fn ready(&mut self, pipe: PipeId, peer: &Arc<Peer>, pipes: &mut Pipes) -> Result<(), Reason> {
        self.peers.insert(pipe);
        if self.options.manual {
            self.by_peer.insert(identity(peer), (pipe, peer.clone()));
        }
        let welcome = &self.options.welcome;
        if !welcome.is_empty()
            && may_have(pipe, welcome, pipes)
            && !pipes.try_write(pipe, &Message::from(welcome.clone()))
        {
            pipes.drops.no_room += 1;
        }
        Ok(())
    }

    /// The application may know the peer as it was: by that, too, it is found for as long.
    fn replace_peer(&mut self, pipe: PipeId, peer: &Arc<Peer>) {
        if self.options.manual {
            let known = &mut self.by_peer;
            known.retain(|_, (_, peer)| Arc::strong_count(peer) > 1);
            known.insert(identity(peer), (pipe, peer.clone()));
        }
    }

    fn cut(&mut self, peer: &Peer) -> usize {
        let pending = self.pending.as_mut();
        pending.map_or(0, |pending| pending.forget_messages(peer))
    }

    /// A peer that comes back subscribes again; what waits was meant for the one that is gone, and
    /// another may come in its place.
    fn lost(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        pipes.clear_outgoing(pipe);
        self.forget(pipe, pipes);
    }

    fn detach(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        self.forget(pipe, pipes);
    }

    /// XPUB: upstream messages join the subscriptions in the order of their coming. Nobody receives
    /// on PUB: what an inproc peer sends there is dropped here, a stream's by its engine.
    fn readable(&mut self, pipe: PipeId, pipes: &mut Pipes) {
        let mut messages = Vec::new();
        while pipes.read(pipe, &mut messages, BURST) > 0 {
            for message in messages.drain(..) {
                self.take(pipe, message, pipes);
            }
        }
    }

    fn send(&mut self, message: &mut Message, pipes: &mut Pipes) -> Result<(), Refused> {
        let mut targets = std::mem::take(&mut self.targets);
        self.find(topic(message), pipes, &mut targets);
        // All must have room before any gets it, or some would get it twice.
        if self.options.nodrop && targets.iter().any(|pipe| pipes.is_full(*pipe)) {
            targets.clear();
            self.targets = targets;
            return Err(Refused::Full);
        }
        for pipe in targets.drain(..) {
            // R29-10: a peer without room loses the message, others do not wait.
            if !pipes.try_write(pipe, message) {
                pipes.drops.no_room += 1;
            }
        }
        self.targets = targets;
        self.last = None;
        Ok(())
    }

    fn recv(
        &mut self,
        into: &mut Vec<Message>,
        _: usize,
        _: &mut Pipes,
    ) -> Result<usize, WrongTurn> {
        let Some((subscriber, message)) = self.pending.as_mut().and_then(Pending::pop) else {
            return Ok(0);
        };
        into.push(message);
        if self.options.last_value {
            self.last = subscriber.filter(|pipe| self.peers.contains(pipe));
        }
        Ok(1)
    }

    fn waiting(&self) -> usize {
        self.pending.as_ref().map_or(0, Pending::len)
    }

    /// Always: a peer without room loses the message.
    fn can_send(&mut self, _: &Pipes) -> bool {
        true
    }

    fn can_recv(&mut self, _: &mut Pipes) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| pending.len() > 0)
    }

    fn subscription(
        &mut self,
        pipe: PipeId,
        subscribe: bool,
        prefix: &Bytes,
        pipes: &mut Pipes,
    ) -> Result<(), Reason> {
        let book = if self.options.manual {
            &mut self.asked
        } else {
            &mut self.subscriptions
        };
        let change = if subscribe {
            book.add(pipe, prefix)
        } else {
            book.remove(pipe, prefix)
        };
        if change == Change::TooMany {
            return Err(Reason::TooLarge);
        }
        let shows = self.shows(subscribe, change);
        match &mut self.pending {
            Some(pending) if shows => {
                let peer = pipes.peer(pipe).cloned();
                let shown = pending.show(Some(pipe), subscribe, prefix, peer);
                shown.then_some(()).ok_or(Reason::TooLarge)
            }
            _ => Ok(()),
        }
    }

    fn subscribe_peer(
        &mut self,
        peer: &Arc<Peer>,
        prefix: &Bytes,
        subscribe: bool,
        pipes: &Pipes,
    ) -> Result<(), SubscribePeerError> {
        if !self.options.manual {
            return Err(SubscribePeerError::NotManual);
        }
        let Some((pipe, _)) = self.by_peer.get(&identity(peer)).cloned() else {
            return Err(SubscribePeerError::PeerGone);
        };
        if !subscribe {
            self.subscriptions.remove(pipe, prefix);
            return Ok(());
        }
        if !may_have(pipe, prefix, pipes) {
            return Err(SubscribePeerError::Denied);
        }
        match self.subscriptions.add(pipe, prefix) {
            Change::TooMany => Err(SubscribePeerError::TooMany),
            _ => Ok(()),
        }
    }

    fn subscribers(&self, topic: &[u8], pipes: &Pipes) -> Vec<PipeId> {
        let mut found = Vec::new();
        self.find(topic, pipes, &mut found);
        found
    }

    fn topics(&self) -> usize {
        self.subscriptions.len()
    }

    fn subscriptions_of(&self, pipe: PipeId) -> usize {
        self.subscriptions.of(pipe)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use curvelink_proto::{PeerAddress, SocketType, Topics as Rights};

    use super::*;
    use crate::pipe::{Incoming, Origin, Outgoing, Outlet};

    fn peer(rights: Rights) -> Arc<Peer> {
        let mut peer = Peer::anonymous(PeerAddress::Inproc, SocketType::Sub);
        peer.rights.subscribe = rights;
        Arc::new(peer)
    }

    #[test]
    fn what_waited_for_one_peer_is_not_sent_to_the_next() {
        let options = Options::new();
        let mut pipes = Pipes::new(Weak::new(), &options);
        let mut publish = Publish::new(&options, false);
        let outgoing = Arc::new(Outgoing::new(0, 1000, false));
        let outlet = Some(Outlet::Link(outgoing.clone()));
        let incoming = Arc::new(Incoming::new(0, 1000, false));
        let pipe = pipes.insert(outlet, incoming, Origin::Dialled);
        let peer = peer(Rights::All);
        pipes.set_peer(pipe, Some(peer.clone()));
        publish.ready(pipe, &peer, &mut pipes).unwrap();
        let subscribed = publish.subscription(pipe, true, &Bytes::from("a"), &mut pipes);
        subscribed.unwrap();
        publish.send(&mut "a1".into(), &mut pipes).unwrap();
        assert_eq!(outgoing.messages(), 1);
        publish.lost(pipe, &mut pipes);
        publish.send(&mut "a2".into(), &mut pipes).unwrap();
        assert_eq!(outgoing.messages(), 0);
        assert_eq!(pipes.drops.peer_gone, 1);
    }

    #[test]
    fn a_subscription_at_the_head_of_a_message_needs_the_right_to_it() {
        let options = Options::new().only_first_subscribe(true);
        let mut pipes = Pipes::new(Weak::new(), &options);
        let mut publish = Publish::new(&options, true);
        let incoming = Arc::new(Incoming::new(0, 1000, false));
        let pipe = pipes.insert(None, incoming, Origin::Accepted);
        let peer = peer(Rights::under([b"mine".to_vec()]));
        pipes.set_peer(pipe, Some(peer.clone()));
        publish.ready(pipe, &peer, &mut pipes).unwrap();
        for head in ["\x01theirs", "\x01mine"] {
            publish.take(pipe, Message::from([head, "up"]), &mut pipes);
        }
        let mut shown = Vec::new();
        while publish.recv(&mut shown, 1, &mut pipes).unwrap() > 0 {}
        assert_eq!(shown, ["up".into(), "\x01mine".into(), "up".into()]);
        assert_eq!(publish.topics(), 1);
    }
}
