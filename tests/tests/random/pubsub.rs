//! PUB and SUB, XPUB and XSUB (RFC 29): each subscriber has what it asked for, and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use curvelink::{Message, Peer, SocketType};

use crate::ledger::Id;
use crate::operation::{Links, Slot};
use crate::world::{Offer, Typed, World, until};
use crate::{PAUSE, Pattern, STEADY, collect};

const PUB: usize = 0;

const PREFIXES: [&str; 6] = ["", "a", "ab", "b", "ba", "c"];

/// What is published, each topic in its turn.
const TOPICS: [&str; 8] = ["", "a", "ab", "abc", "b", "bab", "c", "z"];

/// `X`: XPUB and XSUB.
#[derive(Default)]
pub(crate) struct PubSub<const X: bool> {
    /// How often each prefix was subscribed to, now and ever in this life.
    wanted: BTreeMap<Slot, [(usize, usize); PREFIXES.len()]>,
    /// The prefixes that each XPUB was shown.
    shown: HashMap<(Slot, String), bool>,
    /// What each subscriber received on each link while nothing else is done.
    heard: Option<HashMap<(Slot, *const Peer), Vec<Id>>>,
}

impl<const X: bool> Pattern for PubSub<X> {
    const KINDS: [SocketType; 2] = if X {
        [SocketType::Xpub, SocketType::Xsub]
    } else {
        [SocketType::Pub, SocketType::Sub]
    };
    const LINKS: Links = Links::Many;

    fn opened(&mut self, _: &World, slot: Slot) {
        self.wanted.insert(slot, Default::default());
        self.shown.retain(|(other, _), _| *other != slot);
    }

    fn send(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool {
        if slot.side != PUB {
            return self.receive(world, slot, polls);
        }
        let id = world.next_id(slot);
        let topic = TOPICS[id.number as usize % TOPICS.len()];
        let offer = world.offer(slot, [topic, &id.to_string()].into(), polls);
        assert_eq!(offer, Offer::Taken, "publishers never wait");
        world.ledger.publish(id);
        true
    }

    fn receive(&mut self, world: &mut World, slot: Slot, polls: usize) -> bool {
        if slot.side == PUB && !X {
            return false;
        }
        let Some(message) = world.take(slot, polls).expect("it receives") else {
            return false;
        };
        if slot.side == PUB {
            self.be_shown(slot, &message);
            return true;
        }
        let id = Id::of(&message);
        let topic = TOPICS[id.number as usize % TOPICS.len()];
        assert_eq!(message.first().expect("a frame")[..], *topic.as_bytes());
        assert!(self.wants(slot, topic, X), "{topic:?} to {slot:?}");
        world.ledger.in_order(id, &message);
        if let Some(heard) = &mut self.heard {
            let link = Arc::as_ptr(message.peer().expect("a sender"));
            heard.entry((slot, link)).or_default().push(id);
        }
        true
    }

    fn subscribe(&mut self, world: &World, slot: Slot, topic: usize, subscribe: bool) {
        let index = topic % PREFIXES.len();
        let counts = &mut self.wanted.get_mut(&slot).expect("it is open")[index];
        if slot.side == PUB || (!subscribe && counts.0 == 0) {
            return;
        }
        if subscribe {
            *counts = (counts.0 + 1, counts.1 + 1);
        } else {
            counts.0 -= 1;
        }
        let prefix = PREFIXES[index];
        match world.life(slot).socket.as_ref().expect("it is open") {
            Typed::Sub(sub) if subscribe => sub.subscribe(prefix),
            Typed::Sub(sub) => sub.unsubscribe(prefix),
            xsub => {
                let frame = [&[u8::from(subscribe)], prefix.as_bytes()].concat();
                xsub.any().try_send(frame).expect("XSUB subscribes at once");
            }
        }
    }

    async fn settle(&mut self, world: &mut World) {
        collect(self, world, STEADY).await;
        self.agree(world).await;
        self.be_quiet(world).await;
        for publisher in Slot::all().filter(|slot| slot.side == PUB) {
            self.publish_all(world, publisher).await;
        }
    }
}

impl<const X: bool> PubSub<X> {
    /// Whether a prefix of the topic is subscribed to; `ever`, or now.
    fn wants(&self, slot: Slot, topic: &str, ever: bool) -> bool {
        let counts = self.wanted[&slot].iter().zip(PREFIXES);
        let mut wanted = counts.filter(|((now, before), _)| if ever { *before } else { *now } > 0);
        wanted.any(|(_, prefix)| topic.starts_with(prefix))
    }

    /// The first of its kind and the last: 1 and 0 in turn for each prefix.
    fn be_shown(&mut self, slot: Slot, message: &Message) {
        let (kind, prefix) = message
            .first()
            .expect("a frame")
            .split_first()
            .expect("1 or 0");
        let prefix = String::from_utf8(prefix.to_vec()).expect("text");
        assert!(PREFIXES.contains(&&*prefix), "{prefix:?}");
        let before = self.shown.insert((slot, prefix.clone()), *kind == 1);
        assert_ne!(
            before.unwrap_or(false),
            *kind == 1,
            "{prefix:?} to {slot:?}"
        );
    }

    /// Every publisher comes to know who wants what: no more, and no less.
    async fn agree(&self, world: &World) {
        for publisher in Slot::all().filter(|slot| slot.side == PUB) {
            for topic in TOPICS {
                let wanting = Slot::all().filter(|slot| slot.side != PUB);
                let wanting = wanting.filter(|slot| self.wants(*slot, topic, false));
                let links: usize = wanting.map(|slot| world.links(publisher, slot)).sum();
                let known = || match world.life(publisher).socket.as_ref() {
                    Some(Typed::Pub(socket)) => socket.subscribers(topic.as_bytes()).len(),
                    Some(Typed::Xpub(socket)) => socket.subscribers(topic.as_bytes()).len(),
                    _ => 0,
                };
                until(
                    || known() == links,
                    || format!("{publisher:?} {topic:?}: {} of {links}", known()),
                )
                .await;
            }
        }
    }

    /// What was published before is received or dropped.
    async fn be_quiet(&mut self, world: &mut World) {
        let mut quiet = 0;
        while quiet < 3 {
            let received = Slot::all().map(|slot| {
                let all = std::iter::repeat_with(|| self.receive(world, slot, 0));
                all.take_while(|came| *came).count()
            });
            let received: usize = received.sum();
            let waiting = Slot::all().map(|slot| world.socket(slot).statistics().queued_to_peers);
            let waiting: usize = waiting.sum();
            quiet = if received + waiting == 0 {
                quiet + 1
            } else {
                0
            };
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Each topic once: whoever wants it has it once on each link, in order, and nobody else.
    async fn publish_all(&mut self, world: &mut World, publisher: Slot) {
        let dropped = world.socket(publisher).dropped();
        let mut published = Vec::new();
        for _ in TOPICS {
            self.send(world, publisher, 0);
            let sender = world.sender(publisher);
            let number = world.sent(publisher);
            published.push(Id { sender, number });
        }
        assert_eq!(world.socket(publisher).dropped(), dropped, "there was room");
        self.heard = Some(HashMap::new());
        for slot in Slot::all().filter(|slot| slot.side != PUB) {
            let mut due = published.clone();
            due.retain(|id| {
                let topic = TOPICS[id.number as usize % TOPICS.len()];
                self.wants(slot, topic, false)
            });
            let links = world.links(publisher, slot);
            until(
                || {
                    while self.receive(world, slot, 0) {}
                    self.heard(publisher, slot).concat().len() >= due.len() * links
                },
                || format!("{} {due:?} on {links} links", slot.index),
            )
            .await;
            for heard in self.heard(publisher, slot) {
                assert_eq!(heard, due, "{slot:?}");
            }
        }
        self.heard = None;
    }

    fn heard(&self, publisher: Slot, slot: Slot) -> Vec<Vec<Id>> {
        let links = self.heard.iter().flatten();
        let links = links.filter(|((to, _), ids)| *to == slot && ids[0].sender.slot == publisher);
        links.map(|(_, ids)| ids.clone()).collect()
    }
}
