//! Which messages are owed, which were received, and which may be lost.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use curvelink::{Message, Peer};

use crate::operation::Slot;

/// One socket's life: a slot that was closed and opened again is another sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Sender {
    pub(crate) slot: Slot,
    pub(crate) life: u64,
}

/// A message, as its last frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) sender: Sender,
    pub(crate) number: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sender { slot, life } = self.sender;
        write!(f, "{} {} {life} {}", slot.side, slot.index, self.number)
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let numbers: Result<Vec<u64>, _> = text.split(' ').map(str::parse).collect();
        let [side, index, life, number] = numbers.map_err(drop)?[..] else {
            return Err(());
        };
        let slot = Slot {
            side: side as usize,
            index: index as usize,
        };
        let sender = Sender { slot, life };
        Ok(Self { sender, number })
    }
}

impl Id {
    /// What the last frame of a message says.
    pub(crate) fn of(message: &Message) -> Self {
        let last = message.iter().last().expect("a frame");
        let text = std::str::from_utf8(last).expect("text");
        let id = text.parse();
        id.unwrap_or_else(|()| panic!("nobody sent {text:?}"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Owed,
    /// It may still come, once.
    Excused,
    Received,
}

/// The one book of a world.
#[derive(Default)]
pub(crate) struct Ledger {
    messages: HashMap<Id, Fate>,
    owed: BTreeSet<Id>,
    /// Senders some of whose messages may be lost until all is settled.
    exposed: BTreeSet<Sender>,
    /// The last number of each sender on each link. A link is known by its peer, which is kept so
    /// that no other takes its address.
    last: HashMap<(*const Peer, Sender), (u64, Arc<Peer>)>,
}

impl Ledger {
    /// A socket has accepted a message.
    pub(crate) fn accept(&mut self, id: Id) {
        self.messages.insert(id, Fate::Owed);
        self.owed.insert(id);
    }

    /// A message was published: whoever wants it may have it or lose it.
    pub(crate) fn publish(&mut self, id: Id) {
        self.messages.insert(id, Fate::Excused);
    }

    /// A message came, which is to come once.
    pub(crate) fn receive(&mut self, id: Id, message: &Message) {
        self.in_order(id, message);
        self.owed.remove(&id);
        let before = self.messages.insert(id, Fate::Received);
        assert_ne!(before, Some(Fate::Received), "{id} came twice");
    }

    /// A message came: somebody sent it, and after all that came before on its link.
    pub(crate) fn in_order(&mut self, id: Id, message: &Message) {
        assert!(self.messages.contains_key(&id), "{id} was never accepted");
        let peer = message.peer().expect("who sent it is known").clone();
        let link = (Arc::as_ptr(&peer), id.sender);
        if let Some((last, _)) = self.last.insert(link, (id.number, peer)) {
            assert!(last < id.number, "{id} came after {last} on its link");
        }
    }

    /// Messages of this sender may be lost from now until all is settled.
    pub(crate) fn expose(&mut self, sender: Sender) {
        self.exposed.insert(sender);
    }

    pub(crate) fn is_exposed(&self, sender: Sender) -> bool {
        self.exposed.contains(&sender)
    }

    /// This very message was seen to be destroyed. It must not come.
    pub(crate) fn destroyed(&mut self, id: Id) {
        if self.owed.remove(&id) {
            self.messages.insert(id, Fate::Excused);
        }
    }

    /// What must come.
    pub(crate) fn owed(&self) -> Vec<Id> {
        let owed = self.owed.iter().copied();
        owed.filter(|id| !self.exposed.contains(&id.sender))
            .collect()
    }

    /// All is settled: what may be lost is, and nothing more may be.
    pub(crate) fn settle(&mut self) {
        for id in std::mem::take(&mut self.owed) {
            assert!(self.exposed.contains(&id.sender), "{id} is owed");
            self.messages.insert(id, Fate::Excused);
        }
        self.exposed.clear();
    }

    /// How many messages were accepted, received, and lost.
    pub(crate) fn sums(&self) -> (usize, usize, usize) {
        let count = |fate| self.messages.values().filter(|one| **one == fate).count();
        (
            self.messages.len(),
            count(Fate::Received),
            count(Fate::Excused),
        )
    }
}
