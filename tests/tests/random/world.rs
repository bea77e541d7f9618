//! The sockets and places of one run, and what each operation may cost whom.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use curvelink::{
    AnySocket, Context, Message, Options, Peer, Pub, RecvError, SendError, Socket, SocketType, Sub,
    TryRecvError, TrySendErrorKind, Xpub,
};
use curvelink_tests::support::by_hand::poll_at_most;
use curvelink_tests::support::relay::Relay;
use curvelink_tests::support::{free_endpoint, quick};
use tempfile::TempDir;

use crate::ledger::{Id, Ledger, Sender};
use crate::operation::{Operation, PLACES, Slot, Transport};
use crate::{PATIENCE, PAUSE};

/// A socket by what its kind can do beside sending and receiving.
pub(crate) enum Typed {
    Any(AnySocket),
    Pub(Socket<Pub>),
    Xpub(Socket<Xpub>),
    Sub(Socket<Sub>),
}

impl Typed {
    pub(crate) const fn any(&self) -> &AnySocket {
        match self {
            Self::Any(socket) => socket,
            Self::Pub(socket) => socket.any(),
            Self::Xpub(socket) => socket.any(),
            Self::Sub(socket) => socket.any(),
        }
    }
}

/// One slot's present life.
#[derive(Default)]
pub(crate) struct Life {
    pub(crate) socket: Option<Typed>,
    life: u64,
    sent: u64,
    lingers: bool,
    connected: BTreeSet<usize>,
}

struct Place {
    bind: String,
    connect: String,
    relay: Option<Relay>,
    bound: bool,
}

/// What came of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Taken,
    /// No room, or the future was dropped before there was.
    Full,
    Refused(SendError),
}

pub(crate) struct World {
    pub(crate) context: Context,
    pub(crate) ledger: Ledger,
    kinds: [SocketType; 2],
    mark: usize,
    lives: BTreeMap<Slot, Life>,
    places: Vec<Place>,
    /// Who has ever been linked with whom, lives that are over included: they may linger.
    met: BTreeSet<(Sender, Sender)>,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn new(kinds: [SocketType; 2], mark: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut places = Vec::new();
        for (index, transport) in PLACES.into_iter().enumerate() {
            let path = folder.path().join(index.to_string());
            let bind = match transport {
                Transport::Tcp | Transport::Relayed => free_endpoint(),
                Transport::Ipc => format!("ipc://{}", path.display()),
                Transport::Inproc => format!("inproc://{}", path.display()),
            };
            let relay = match transport {
                Transport::Relayed => Some(Relay::start(&bind).await),
                _ => None,
            };
            let connect = relay.as_ref().map_or_else(|| bind.clone(), Relay::endpoint);
            places.push(Place {
                bind,
                connect,
                relay,
                bound: false,
            });
        }
        Self {
            context: Context::new().expect("a context"),
            ledger: Ledger::default(),
            kinds,
            mark,
            lives: Slot::all().map(|slot| (slot, Life::default())).collect(),
            places,
            met: BTreeSet::new(),
            _folder: folder,
        }
    }

    /// Does what is not the pattern's own.
    pub(crate) async fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Open(slot, lingers) => self.open(slot, lingers),
            Operation::Close(slot) => self.close(slot),
            Operation::Bind(place) => self.bind(place).await,
            Operation::Unbind(place) => self.unbind(place),
            Operation::Connect(slot, place) => self.connect(slot, place),
            Operation::Disconnect(slot, place) => self.disconnect(slot, place),
            Operation::Cut(place) => self.cut(place),
            Operation::Stall(place) => self.stall(place, true),
            Operation::Resume(place) => self.stall(place, false),
            _ => {}
        }
    }

    fn open(&mut self, slot: Slot, lingers: bool) {
        let linger = Duration::from_secs(if lingers { 60 } else { 0 });
        let options = quick()
            .send_hwm(self.mark)
            .recv_hwm(self.mark)
            .linger(linger)
            .routing_id(routing_id(slot));
        let socket = match self.kinds[slot.side] {
            SocketType::Pub => Typed::Pub(self.context.socket(options)),
            SocketType::Xpub => Typed::Xpub(self.context.socket(options)),
            SocketType::Sub => Typed::Sub(self.context.socket(options)),
            kind => Typed::Any(self.context.any_socket(kind, plain(kind, options))),
        };
        let life = self.life_mut(slot);
        life.socket = Some(socket);
        life.life += 1;
        life.lingers = lingers;
        // Its earlier life may still have its place at its peers: links are refused until then, and
        // a NULL peer hears of that after it has begun to send.
        if life.life > 1 && !self.is_exact(slot) {
            self.ledger.expose(self.sender(slot));
        }
    }

    /// What its peers sent may be lost; and what it sent itself, unless it may linger.
    fn close(&mut self, slot: Slot) {
        let sender = self.sender(slot);
        let nowhere = self.life(slot).connected.iter();
        let nowhere = nowhere.copied().any(|place| self.is_nowhere(place));
        if !self.life(slot).lingers || nowhere || !self.is_exact(slot) {
            self.ledger.expose(sender);
        }
        self.expose_peers_of(sender);
        let life = self.life_mut(slot);
        life.connected.clear();
        let socket = life.socket.take().expect("it is open");
        socket.any().clone().close();
        for place in 0..PLACES.len() {
            if Slot::home(place) == slot {
                self.places[place].bound = false;
            }
        }
    }

    async fn bind(&mut self, place: usize) {
        let home = Slot::home(place);
        let address = self.places[place].bind.clone();
        let start = Instant::now();
        // The address of a listener that was closed is free a little later.
        while let Err(error) = self.socket(home).bind(&address) {
            assert!(start.elapsed() < PATIENCE, "{address}: {error}");
            tokio::time::sleep(PAUSE).await;
        }
        self.places[place].bound = true;
        for slot in Slot::all() {
            if self.life(slot).connected.contains(&place) {
                self.meet(slot, home);
            }
        }
    }

    fn unbind(&mut self, place: usize) {
        let address = self.places[place].bind.clone();
        self.socket(Slot::home(place))
            .unbind(&address)
            .expect("it is bound");
        self.places[place].bound = false;
    }

    fn connect(&mut self, slot: Slot, place: usize) {
        let address = self.places[place].connect.clone();
        self.socket(slot).connect(&address).expect("connects");
        self.life_mut(slot).connected.insert(place);
        if self.life(Slot::home(place)).socket.is_some() {
            self.meet(slot, Slot::home(place));
        }
    }

    /// What the other side has not written is lost; what this side has may take the linger time.
    fn disconnect(&mut self, slot: Slot, place: usize) {
        let sender = self.sender(slot);
        if !self.life(slot).lingers || self.is_nowhere(place) || !self.is_exact(slot) {
            self.ledger.expose(sender);
        }
        self.expose_lives(Slot::home(place));
        let address = self.places[place].connect.clone();
        self.socket(slot)
            .disconnect(&address)
            .expect("it is connected");
        self.life_mut(slot).connected.remove(&place);
    }

    /// The side that is bound loses what waited for the link. The side that connects loses only
    /// what the relay saw.
    fn cut(&mut self, place: usize) {
        self.expose_lives(Slot::home(place));
        for slot in Slot::all() {
            if self.life(slot).connected.contains(&place) && !self.is_exact(slot) {
                self.ledger.expose(self.sender(slot));
            }
        }
        self.relay(place).cut();
    }

    fn stall(&self, place: usize, stalled: bool) {
        self.relay(place).stall(stalled);
    }

    fn relay(&self, place: usize) -> &Relay {
        self.places[place].relay.as_ref().expect("it is relayed")
    }

    /// An inproc connection that nobody is bound for: what waits there goes with it.
    fn is_nowhere(&self, place: usize) -> bool {
        PLACES[place] == Transport::Inproc && !self.places[place].bound
    }

    /// Whether all that waits for an endpoint survives the connection to it. A ROUTER or PAIR that
    /// has not noticed the end of the last link refuses the next, which has begun to send.
    fn is_exact(&self, slot: Slot) -> bool {
        self.kinds[slot.side] == SocketType::Push
    }

    fn meet(&mut self, one: Slot, other: Slot) {
        let (one, other) = (self.sender(one), self.sender(other));
        self.met.extend([(one, other), (other, one)]);
    }

    fn expose_peers_of(&mut self, sender: Sender) {
        let peers = self.met.iter().filter(|(one, _)| *one == sender);
        for (_, peer) in peers {
            self.ledger.expose(*peer);
        }
    }

    /// Exposes a slot in all its lives: those that are over may linger.
    fn expose_lives(&mut self, slot: Slot) {
        for life in 1..=self.life(slot).life {
            self.ledger.expose(Sender { slot, life });
        }
    }

    /// Notes what the relays have destroyed.
    pub(crate) fn note_destroyed(&mut self) {
        for relay in self.places.iter().filter_map(|place| place.relay.as_ref()) {
            for last in relay.take_destroyed() {
                // Subscriptions and replies have no number of their own.
                if let Some(id) = std::str::from_utf8(&last).ok().map(Id::from_str)
                    && let Ok(id) = id
                {
                    self.ledger.destroyed(id);
                }
            }
        }
    }

    pub(crate) fn life(&self, slot: Slot) -> &Life {
        &self.lives[&slot]
    }

    fn life_mut(&mut self, slot: Slot) -> &mut Life {
        self.lives.get_mut(&slot).expect("all slots are there")
    }

    pub(crate) fn socket(&self, slot: Slot) -> &AnySocket {
        self.life(slot).socket.as_ref().expect("it is open").any()
    }

    pub(crate) fn sender(&self, slot: Slot) -> Sender {
        let life = self.life(slot).life;
        Sender { slot, life }
    }

    /// The next message's number; one that is not accepted never comes back.
    pub(crate) fn next_id(&mut self, slot: Slot) -> Id {
        self.life_mut(slot).sent += 1;
        Id {
            sender: self.sender(slot),
            number: self.life(slot).sent,
        }
    }

    /// How many messages a socket has made.
    pub(crate) fn sent(&self, slot: Slot) -> u64 {
        self.life(slot).sent
    }

    /// Links between two slots, when all places are bound.
    pub(crate) fn links(&self, one: Slot, other: Slot) -> usize {
        let count = |from: Slot, to: Slot| {
            let places = self.life(from).connected.iter();
            places.filter(|place| Slot::home(**place) == to).count()
        };
        count(one, other) + count(other, one)
    }

    pub(crate) fn links_of(&self, slot: Slot) -> usize {
        Slot::all().map(|other| self.links(slot, other)).sum()
    }

    pub(crate) fn offer(&self, slot: Slot, message: Message, polls: usize) -> Offer {
        let socket = self.socket(slot);
        if polls == 0 {
            return match socket.try_send(message).map_err(|refused| refused.error) {
                Ok(()) => Offer::Taken,
                Err(TrySendErrorKind::Send(error)) => Offer::Refused(error),
                Err(_) => Offer::Full,
            };
        }
        match poll_at_most(socket.send(message), polls) {
            Some(Ok(())) => Offer::Taken,
            Some(Err(error)) => Offer::Refused(error),
            None => Offer::Full,
        }
    }

    pub(crate) fn take(&self, slot: Slot, polls: usize) -> Result<Option<Message>, RecvError> {
        let socket = self.socket(slot);
        if polls > 0 {
            return poll_at_most(socket.recv(), polls).transpose();
        }
        match socket.try_recv() {
            Ok(message) => Ok(Some(message)),
            Err(TryRecvError::Recv(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Closes a socket and opens it anew at the same places.
    pub(crate) async fn replace(&mut self, slot: Slot) {
        let (connected, lingers) = (self.life(slot).connected.clone(), self.life(slot).lingers);
        let homes = (0..PLACES.len()).filter(|place| Slot::home(*place) == slot);
        self.close(slot);
        self.open(slot, lingers);
        for place in homes {
            for other in Slot::all().filter(|_| PLACES[place] == Transport::Inproc) {
                if self.life(other).connected.contains(&place) {
                    self.disconnect(other, place);
                    self.connect(other, place);
                }
            }
            self.bind(place).await;
        }
        for place in connected {
            self.connect(slot, place);
        }
    }

    /// Every link that is up, at each of its ends.
    pub(crate) fn links_now(&self) -> BTreeSet<*const Peer> {
        let peers = Slot::all().flat_map(|slot| self.socket(slot).peers());
        peers.map(|peer| Arc::as_ptr(&peer)).collect()
    }

    /// Connects again over inproc where neither side has its peers. Such a link is made once: it is
    /// refused while an earlier peer of a PAIR, or of the same routing id, has not gone, and then
    /// it is the application that tries again.
    pub(crate) fn join_again(&mut self) {
        for place in (0..PLACES.len()).filter(|place| PLACES[*place] == Transport::Inproc) {
            let home = Slot::home(place);
            for slot in Slot::all().filter(|slot| slot.side != home.side) {
                let lacks = |slot| self.socket(slot).peers().len() < self.links_of(slot);
                if self.life(slot).connected.contains(&place) && lacks(slot) && lacks(home) {
                    self.disconnect(slot, place);
                    self.connect(slot, place);
                }
            }
        }
    }

    /// The relays that have cut and not done, and the sockets that do not have exactly the peers
    /// that they should.
    pub(crate) fn unlinked(&self) -> Vec<String> {
        let relays = self.places.iter().filter_map(|place| place.relay.as_ref());
        if !relays.into_iter().all(Relay::is_calm) {
            return vec!["a cut that was not noticed".to_owned()];
        }
        let complain = |slot| {
            let (links, peers) = (self.links_of(slot), self.socket(slot).peers());
            (links != peers.len()).then(|| format!("{slot:?}: {links} links, {peers:?}"))
        };
        Slot::all().filter_map(complain).collect()
    }
}

/// The routing id of a DEALER.
pub(crate) fn routing_id(slot: Slot) -> String {
    format!("{} {}", slot.side, slot.index)
}

/// Only DEALERs have ids of their own.
fn plain(kind: SocketType, options: Options) -> Options {
    match kind {
        SocketType::Dealer => options,
        _ => options.routing_id(""),
    }
}

/// Waits for what must come true.
pub(crate) async fn until<D: Debug>(mut done: impl FnMut() -> bool, complaint: impl Fn() -> D) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "in vain: {:?}", complaint());
        tokio::time::sleep(PAUSE).await;
    }
}
