//! What is done, made from the seed alone: the same seed gives the same operations, whatever comes
//! of them.

use std::collections::BTreeSet;

use curvelink_tests::support::random::Random;

/// Sockets of one side.
pub(crate) const SLOTS: usize = 3;

/// Places that sockets bind and connect: each side's sockets are home to one each.
pub(crate) const PLACES: [Transport; 2 * SLOTS] = [
    Transport::Relayed,
    Transport::Relayed,
    Transport::Inproc,
    Transport::Ipc,
    Transport::Tcp,
    Transport::Inproc,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    /// Tcp through a relay that cuts and stalls.
    Relayed,
    Ipc,
    Inproc,
}

/// A socket's place in the model: the same one after its socket was closed and opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) side: usize,
    pub(crate) index: usize,
}

impl Slot {
    /// The socket that binds at a place.
    pub(crate) const fn home(place: usize) -> Self {
        Self {
            side: place % 2,
            index: place / 2,
        }
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..2 * SLOTS).map(Self::home)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// With or without time to linger.
    Open(Slot, bool),
    Close(Slot),
    Bind(usize),
    Unbind(usize),
    Connect(Slot, usize),
    Disconnect(Slot, usize),
    /// Up to so many messages: at once, or by futures that are dropped after so many polls.
    Send(Slot, usize, usize),
    Receive(Slot, usize, usize),
    /// To, and back from, the topic of a number.
    Subscribe(Slot, usize),
    Unsubscribe(Slot, usize),
    Cut(usize),
    Stall(usize),
    Resume(usize),
    /// All that is owed must come, and all links must be up; every place is bound.
    Settle,
}

/// Who may link with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// Any number, between any two.
    Many,
    /// One between any two.
    One,
    /// One, to the socket of the same number.
    Couples,
}

/// Plans operations, knowing only what it has planned.
pub(crate) struct Plan {
    random: Random,
    links: Links,
    open: BTreeSet<Slot>,
    bound: BTreeSet<usize>,
    stalled: BTreeSet<usize>,
    connected: BTreeSet<(Slot, usize)>,
    planned: Vec<Operation>,
}

/// As many operations as asked for, and those that end with all settled.
pub(crate) fn plan(random: Random, links: Links, count: usize) -> Vec<Operation> {
    let mut plan = Plan {
        random,
        links,
        open: BTreeSet::new(),
        bound: BTreeSet::new(),
        stalled: BTreeSet::new(),
        connected: BTreeSet::new(),
        planned: Vec::new(),
    };
    while plan.planned.len() < count {
        plan.settle();
        for _ in 0..60 + plan.random.below(80) {
            plan.step();
        }
    }
    plan.settle();
    plan.planned
}

impl Plan {
    fn step(&mut self) {
        let slot = Slot::home(self.random.below(2 * SLOTS));
        let place = self.random.below(PLACES.len());
        let relayed = PLACES[place] == Transport::Relayed;
        let many = 1 + self.random.below(12);
        let polls = self.random.below(8).saturating_sub(4);
        let topic = self.random.below(64);
        let open = self.open.contains(&slot);
        match self.random.below(100) {
            0..2 if open => self.close(slot),
            2..6 if !open => self.open(slot),
            6..7 if self.bound.contains(&place) => self.unbind(place),
            7..12 if self.may_bind(place) => self.bind(place),
            12..18 if self.may_connect(slot, place) => self.connect(slot, place),
            18..20 if self.connected.contains(&(slot, place)) => self.disconnect(slot, place),
            20..22 if relayed => self.push(Operation::Cut(place)),
            22..23 if relayed => self.stall(place),
            23..26 if self.stalled.contains(&place) => self.resume(place),
            26..31 if open => self.push(Operation::Subscribe(slot, topic)),
            31..34 if open => self.push(Operation::Unsubscribe(slot, topic)),
            34..67 if open => self.push(Operation::Send(slot, many, polls)),
            _ if open => self.push(Operation::Receive(slot, many, polls)),
            _ => self.open(slot),
        }
    }

    /// Opens, binds and connects all that is missing, so that everything owed has a way.
    fn settle(&mut self) {
        for slot in Slot::all() {
            if !self.open.contains(&slot) {
                self.open(slot);
            }
        }
        for place in 0..PLACES.len() {
            if self.may_bind(place) {
                self.bind(place);
            }
            if self.stalled.contains(&place) {
                self.resume(place);
            }
        }
        for slot in Slot::all() {
            if !self.connected.iter().any(|(other, _)| *other == slot) {
                let place = self.random.below(PLACES.len());
                if self.may_connect(slot, place) {
                    self.connect(slot, place);
                }
            }
        }
        self.push(Operation::Settle);
    }

    fn push(&mut self, operation: Operation) {
        self.planned.push(operation);
    }

    fn open(&mut self, slot: Slot) {
        self.open.insert(slot);
        let lingers = self.random.below(2) == 0;
        self.push(Operation::Open(slot, lingers));
    }

    fn close(&mut self, slot: Slot) {
        self.push(Operation::Close(slot));
        self.open.remove(&slot);
        self.connected.retain(|(other, _)| *other != slot);
        for place in (0..PLACES.len()).filter(|place| Slot::home(*place) == slot) {
            self.bound.remove(&place);
            self.leave_inproc(place);
        }
    }

    /// An inproc link does not come back by itself: who was connected gives it up.
    fn leave_inproc(&mut self, place: usize) {
        if PLACES[place] != Transport::Inproc {
            return;
        }
        let left = self.connected.iter().filter(|(_, other)| *other == place);
        for (slot, place) in left.copied().collect::<Vec<_>>() {
            self.disconnect(slot, place);
        }
    }

    fn may_bind(&self, place: usize) -> bool {
        self.open.contains(&Slot::home(place)) && !self.bound.contains(&place)
    }

    fn bind(&mut self, place: usize) {
        self.bound.insert(place);
        self.push(Operation::Bind(place));
    }

    /// Links that are up stay up.
    fn unbind(&mut self, place: usize) {
        self.bound.remove(&place);
        self.push(Operation::Unbind(place));
    }

    fn may_connect(&self, slot: Slot, place: usize) -> bool {
        let home = Slot::home(place);
        let linked = |(other, place): &(Slot, usize)| {
            let homes = Slot::home(*place);
            (*other, homes) == (slot, home) || (*other, homes) == (home, slot)
        };
        let free = !self.connected.iter().any(linked);
        self.open.contains(&slot)
            && home.side != slot.side
            && match self.links {
                Links::Many => !self.connected.contains(&(slot, place)),
                Links::One => free,
                Links::Couples => free && home.index == slot.index,
            }
    }

    fn connect(&mut self, slot: Slot, place: usize) {
        self.connected.insert((slot, place));
        self.push(Operation::Connect(slot, place));
    }

    fn disconnect(&mut self, slot: Slot, place: usize) {
        self.connected.remove(&(slot, place));
        self.push(Operation::Disconnect(slot, place));
    }

    fn stall(&mut self, place: usize) {
        self.stalled.insert(place);
        self.push(Operation::Stall(place));
    }

    fn resume(&mut self, place: usize) {
        self.stalled.remove(&place);
        self.push(Operation::Resume(place));
    }
}
