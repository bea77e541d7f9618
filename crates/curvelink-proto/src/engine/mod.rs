//! One ZMTP connection without the connection.

mod close;
pub(crate) mod config;
mod events;
mod handshake;
mod heartbeat;
mod inbound;
pub(crate) mod outbound;
mod raw;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::backlog::Backlog;
use crate::engine::config::{EngineConfig, Limits};
pub use crate::engine::events::Event;
use crate::engine::events::Events;
use crate::engine::heartbeat::Pulse;
use crate::engine::inbound::Inbound;
use crate::engine::outbound::{Form, Outbound, Written};
use crate::entropy::Entropy;
use crate::error::ProtocolError;
use crate::event::{Refusal, Side, Stage};
use crate::keys::Fingerprint;
use crate::mechanism::{Handshake, Opener, Ready, Sealer};
use crate::message::Message;
use crate::peer::{Peer, PeerAddress};
use crate::rights::Rights;
use crate::wire::command::{PING, PONG};
use crate::wire::greeting;
use crate::zap::ZapReply;

/// One ZMTP connection, without the connection: octets in, events and octets out.
///
/// The engine holds no socket, reads no clock and asks no policy. Its methods are of four kinds:
///
/// * **getters**: [`stage`](Self::stage), [`wants_input`](Self::wants_input),
///   [`backlog_room`](Self::backlog_room), [`peer`](Self::peer), …
/// * **`handle_*`**, from the network, the policy and the clock:
///   [`handle_input`](Self::handle_input) after octets were added to
///   [`read_buf`](Self::read_buf), [`handle_verdict`](Self::handle_verdict),
///   [`handle_timeout`](Self::handle_timeout), [`handle_close`](Self::handle_close);
/// * **commands** from the application: [`send`](Self::send), [`close`](Self::close);
/// * **`poll_*`**, the work that is left for the driver: [`poll_transmit`](Self::poll_transmit)
///   with [`advance_transmit`](Self::advance_transmit), [`poll_event`](Self::poll_event),
///   [`poll_timeout`](Self::poll_timeout).
///
/// After any call of the second or third kind the driver polls transmit, event and timeout, in
/// this order, until there is nothing left. After an error the engine takes no more input; what
/// `poll_transmit` still shows (an ERROR command, the end of stream) may be written before the
/// connection is closed; a driver that ends it of its own accord calls [`close`](Self::close) first.
///
/// Memory is used again for as long as messages come and go: the driver gives emptied batches back
/// with [`reuse`](Self::reuse), and calls [`rest`](Self::rest) once the link has been quiet.
///
/// ```text
///            64 octets          mechanism: Step           200
/// Greeting ────────────▶ Handshake ─────────▶ Authenticating ───▶ (Handshake) ───▶ Ready
///     │                     │    └──────────────── no policy needed ───────────────▲
///     └── anything else ────┴──▶ Closed ◀── 300, 400, 500, deadline, bad octet ────┘
/// ```
///
/// While `Authenticating`, nothing of the peer's is parsed and the deadline keeps running. Before
/// `Ready`, frames are commands of at most 16 KiB. With a ZAP domain, a client asks about the
/// server that has proven its key too, on the way from its last step to `Ready`.
///
/// The engine of a STREAM socket is `Ready` from the start, with a peer of whom nothing is known:
/// what was read becomes messages of one frame, and of what is sent only the bodies are written.
///
/// RFC 37, "Formal Grammar"; RFC 26 and 24 in their mechanisms.
pub struct Engine {
    config: Arc<EngineConfig>,
    /// Those of the configuration, or less where the peer's rights say so.
    limits: Limits,
    address: PeerAddress,
    endpoint: Arc<str>,
    entropy: Box<dyn Entropy>,
    metadata: Bytes,
    state: State,
    /// The rest of our greeting, until the peer has shown that it speaks ZMTP 3. libzmq compares
    /// mechanisms before it writes anything: had it all of ours at once, it would close without a
    /// word, like a port that is no ZeroMQ at all.
    greeting: Bytes,
    /// When the current stage of the handshake is over; `None` once ready or closed.
    deadline: Option<(Instant, &'static str)>,
    /// `None` for a time that no clock reaches.
    handshake_ends: Option<Instant>,
    minor: u8,
    /// The policy's yes, from its verdict to the end of the handshake.
    verdict: Option<ZapReply>,
    /// The peer's key as a verdict was asked on it, or the one that it turned out not to have: for
    /// events about a refusal.
    claimed: Option<Fingerprint>,
    /// Octets of the commands that came before Ready.
    heard: usize,
    inbound: Inbound,
    outbound: Outbound,
    events: Events,
    /// Messages that came though nobody receives here, and were dropped.
    unwanted: u64,
    /// Parsing stopped because too many events wait.
    holds_input: bool,
    pulse: Pulse,
}

enum State {
    Greeting,
    Handshake(Box<dyn Handshake>),
    Authenticating(Box<dyn Handshake>),
    /// A client whose server has proven its key; the policy is asked about it.
    Deciding(Box<Ready>),
    Ready {
        peer: Arc<Peer>,
        sealer: Option<Box<dyn Sealer>>,
        opener: Option<Box<dyn Opener>>,
        /// The peer has announced, sealed, that it says when its stream ends.
        awaits_end: bool,
    },
    Closed(Stage),
}

impl State {
    const fn stage(&self) -> Stage {
        match self {
            Self::Greeting => Stage::Greeting,
            Self::Handshake(_) => Stage::Handshake,
            Self::Authenticating(_) | Self::Deciding(_) => Stage::Admission,
            Self::Ready { .. } => Stage::Traffic,
            Self::Closed(stage) => *stage,
        }
    }
}

/// How many octets may wait to be written before [`Engine::backlog_room`] says no. A good measure of
/// what to hand to [`Engine::send`] in one go, too: what is sealed, and copied by the kernel, while
/// it is still in the processor's cache costs less.
pub const BATCH: usize = 256 * 1024;

impl Engine {
    /// An engine for a connection that was just made; the first part of its greeting is ready to be
    /// written.
    ///
    /// `endpoint` is ours, as events and the policy name it.
    #[must_use]
    pub fn new(
        config: Arc<EngineConfig>,
        address: PeerAddress,
        endpoint: Arc<str>,
        entropy: Box<dyn Entropy>,
        now: Instant,
    ) -> Self {
        let mechanism = &config.mechanism;
        let greeting = greeting::write(mechanism.name(), mechanism.as_server());
        let mut greeting = Bytes::copy_from_slice(&greeting);
        let mut outbound = Outbound::default();
        let raw = config.is_raw();
        if !raw {
            outbound.push_raw(greeting.split_to(greeting::FIRST_PART));
        }
        let mut engine = Self {
            metadata: config.metadata(),
            pulse: Pulse::new(config.heartbeat, now),
            deadline: now
                .checked_add(config.greeting_timeout.min(config.handshake_timeout))
                .map(|deadline| (deadline, "the peer's greeting")),
            handshake_ends: now.checked_add(config.handshake_timeout),
            limits: config.limits,
            config,
            address,
            endpoint,
            entropy,
            state: State::Greeting,
            greeting,
            minor: 1,
            verdict: None,
            claimed: None,
            heard: 0,
            inbound: Inbound::default(),
            outbound,
            events: Events::default(),
            unwanted: 0,
            holds_input: false,
        };
        if raw {
            engine.begin_raw();
        }
        engine
    }

    /// How far the connection has come; after its end, how far it had come.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.state.stage()
    }

    /// The peer, once the handshake is done and until the end.
    #[must_use]
    pub const fn peer(&self) -> Option<&Arc<Peer>> {
        match &self.state {
            State::Ready { peer, .. } => Some(peer),
            _ => None,
        }
    }

    /// Whether octets should be read from the connection: not while the policy is asked, and not
    /// after the end.
    #[must_use]
    pub const fn wants_input(&self) -> bool {
        matches!(
            self.state,
            State::Greeting | State::Handshake(_) | State::Ready { .. }
        )
    }

    /// Whether octets that were read wait for the events before them to be taken: then
    /// [`handle_input`](Self::handle_input) is due again without a read.
    #[must_use]
    pub const fn holds_input(&self) -> bool {
        self.holds_input
    }

    /// Whether [`send`](Self::send) should be given more: when ready, and not before most of what
    /// it was given is written.
    #[must_use]
    pub const fn backlog_room(&self) -> bool {
        matches!(self.state, State::Ready { .. }) && self.outbound.octets() < BATCH
    }

    /// Whether something waits to be written.
    #[must_use]
    pub const fn wants_output(&self) -> bool {
        self.outbound.octets() > 0
    }

    /// What an event about this error says of the connection.
    #[must_use]
    pub fn refusal(&self, error: &ProtocolError) -> Refusal {
        let by = match error {
            ProtocolError::RefusedByPeer { .. } | ProtocolError::ClosedEarly { .. } => Side::Peer,
            _ => Side::Us,
        };
        let mechanism = self.config.mechanism.name();
        let mut refusal = Refusal::new(by, self.stage(), error.reason(), mechanism);
        refusal.fingerprint = self.claimed;
        refusal.status = match error {
            ProtocolError::Denied { status, .. } => Some(*status),
            ProtocolError::RefusedByPeer { status } => *status,
            _ => None,
        };
        refusal
    }

    /// The buffer that the driver reads into: it has room for a good read, more once reads fill
    /// it. Call [`handle_input`](Self::handle_input) after octets were added.
    pub fn read_buf(&mut self) -> &mut BytesMut {
        self.inbound.read_buf()
    }

    /// Gives back the memory that is kept for messages to come: nothing comes or goes for now. What
    /// waits to be read, parsed or written stays.
    pub fn rest(&mut self) {
        self.inbound.rest();
        self.events.rest();
        self.outbound.rest();
    }

    /// How many messages the peer has sent since the last call to a socket that only sends (PUB,
    /// PUSH); nothing of them was kept.
    pub const fn take_unwanted(&mut self) -> u64 {
        mem::replace(&mut self.unwanted, 0)
    }

    /// Parses what was read.
    ///
    /// # Errors
    /// Whatever the peer did that this stage does not allow. The engine is closed then.
    pub fn handle_input(&mut self, now: Instant) -> Result<(), ProtocolError> {
        if self.inbound.arrived() {
            self.pulse.heard(now);
        }
        let result = self.parse();
        self.close_on_error(result)
    }

    fn parse(&mut self) -> Result<(), ProtocolError> {
        self.holds_input = false;
        loop {
            let progress = match self.state {
                State::Greeting => self.parse_greeting()?,
                State::Handshake(_) => self.parse_handshake()?,
                State::Ready { .. } if self.config.is_raw() => {
                    self.parse_raw();
                    return Ok(());
                }
                State::Ready { .. } => return self.parse_traffic(),
                State::Authenticating(_) | State::Deciding(_) | State::Closed(_) => false,
            };
            if !progress {
                return Ok(());
            }
        }
    }

    /// Takes the policy's answer to [`Event::Authenticate`]; ignored if nothing was asked.
    ///
    /// # Errors
    /// [`ProtocolError::Denied`] for every answer but 200; what the mechanism makes of a 200.
    pub fn handle_verdict(&mut self, reply: ZapReply, now: Instant) -> Result<(), ProtocolError> {
        let result = self.judge(reply, now).and_then(|()| self.parse());
        self.close_on_error(result)
    }

    /// Gives a peer that is up other rights; gives the peer with them, and `None` where none is up.
    /// A message under way keeps to the new limits too.
    pub fn handle_rights(&mut self, rights: Rights) -> Option<Arc<Peer>> {
        let State::Ready { peer, .. } = &mut self.state else {
            return None;
        };
        let mut changed = Peer::clone(peer);
        changed.rights = rights;
        let changed = Arc::new(changed);
        *peer = changed.clone();
        self.limit(&changed.rights);
        Some(changed)
    }

    fn limit(&mut self, rights: &Rights) {
        let own = self.config.limits.message;
        self.limits.message = rights.max_message.map_or(own, |octets| octets.min(own));
    }

    /// Does what is due at `now`.
    ///
    /// # Errors
    /// [`ProtocolError::Timeout`] when a deadline of the handshake or of the heartbeat has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        let result = self.tick(now);
        self.close_on_error(result)
    }

    fn tick(&mut self, now: Instant) -> Result<(), ProtocolError> {
        if let Some((_, what)) = self.deadline.filter(|(deadline, _)| now >= *deadline) {
            return Err(ProtocolError::Timeout(what));
        }
        // R23-8: a peer of ZMTP 3.0 knows no PING. Nobody asks it, so its silence means nothing.
        if let State::Ready { peer, sealer, .. } = &mut self.state
            && peer.minor > 0
            && let Some(ttl) = self.pulse.tick(now)?
        {
            self.outbound
                .push_control(PING, &ttl, sealer.as_deref_mut().map(|s| s as _))?;
        }
        Ok(())
    }

    /// Gives a peer that is up a sign of life, a PONG that it did not ask for: while the driver does
    /// not read, what the peer asks waits. Nothing if something waits to be written, or the peer is
    /// of ZMTP 3.0 and knows none.
    ///
    /// # Errors
    /// What the mechanism's sealer says: its counter has come to its end.
    pub fn keep_alive(&mut self) -> Result<(), ProtocolError> {
        let waits = self.wants_output();
        let State::Ready { peer, sealer, .. } = &mut self.state else {
            return Ok(());
        };
        if waits || peer.minor == 0 || self.config.is_raw() {
            return Ok(());
        }
        let sealer = sealer.as_deref_mut().map(|sealer| sealer as _);
        let result = self.outbound.push_control(PONG, &[], sealer);
        self.close_on_error(result)
    }

    /// Hands messages over to be written. Before the handshake is done they are dropped: ask
    /// [`backlog_room`](Self::backlog_room) first.
    ///
    /// # Errors
    /// What the mechanism's sealer says: its counter has come to its end.
    pub fn send(&mut self, backlog: Backlog) -> Result<(), ProtocolError> {
        let State::Ready { peer, sealer, .. } = &mut self.state else {
            return Ok(());
        };
        let form = match peer.minor {
            _ if self.config.is_raw() => Form::Raw,
            0 => Form::Legacy,
            _ => Form::Current,
        };
        let sealer = sealer.as_deref_mut().map(|sealer| sealer as _);
        let result = self.outbound.push_backlog(backlog, sealer, form);
        self.close_on_error(result)
    }

    /// Shows what to write, as at most `slices.len()` chunks; gives how many it set.
    pub fn poll_transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.outbound.poll_transmit(slices)
    }

    /// Takes note that octets were written; gives the messages that this finished.
    pub fn advance_transmit(&mut self, octets: usize) -> Written {
        self.outbound.advance(octets)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// Takes the memory of [`Event::Messages`] back, for the messages to come.
    pub fn reuse(&mut self, spent: VecDeque<Message>) {
        self.events.reuse(spent);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Ready { peer, .. } if peer.minor > 0 => self.pulse.deadline(),
            State::Ready { .. } | State::Closed(_) => None,
            _ => self.deadline.map(|(deadline, _)| deadline),
        }
    }

    /// Takes back the messages that were not written whole, for the next connection.
    #[must_use]
    pub fn take_unsent(&mut self) -> Backlog {
        self.outbound.take_unsent()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("socket_type", &self.config.socket_type)
            .field("address", &self.address)
            .field("stage", &self.stage())
            .finish_non_exhaustive()
    }
}
