//! The hub: publishers hand it signed messages and are told who received them; subscribers get
//! what they may see.
//!
//! ```text
//! publisher  REQ  -> ingest (ROUTER)   TOPIC, BODY.., ENVELOPE     publish; the reply is an Ack
//!                                      TOPIC                       who would receive it?
//! subscriber SUB  <- feed (XPUB)       TOPIC, BODY.., ENVELOPE
//!                                      $sys/checkpoint, NOTE       of the hub's journal
//! ```
//!
//! CURVE and the policy stand before both sockets; the gate stands between them.

mod ack;
mod client;
mod gate;
mod memory;
mod orders;
mod receipt;
mod system;
mod told;

pub(crate) use ack::Ack;
pub(crate) use client::{Client, endpoints};
pub(crate) use receipt::Receipts;
pub(crate) use system::is_system;
pub(crate) use told::not_reloaded;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use curvelink::{
    Context, Curve, EventId, Frame, Message, Options, Peer, Router, SecurityEvent, SecurityEvents,
    ServerKeys, Socket, Standing, Xpub,
};
use curvelink_audit::{Audited, Checkpoints, Journal};
use curvelink_envelope::Verified;
use curvelink_zap::PolicyHandler;
use tokio::pin;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::control::{Order, Reloaded};
use crate::home::{Endpoints, Home};
use crate::witness::{Witnessed, Witnesses};
use gate::{Gate, Verdict};
use memory::Memory;
use receipt::Ledger;

/// What the hub has seen is written down this often: so much can be replayed after a crash, if it
/// is within the time skew.
const REMEMBER: Duration = Duration::from_secs(5);

/// The largest message that the hub takes, in octets: its frames together.
const MAX_MESSAGE: usize = 16 << 20;

/// An answer, and the routing id of who waits for it.
struct Answer {
    id: Frame,
    ack: Ack,
}

/// A hub that is bound and not yet running.
pub(crate) struct Hub {
    context: Context,
    ingest: Socket<Router>,
    feed: Socket<Xpub>,
    gate: Gate,
    /// Of the journal, as they are signed.
    checkpoints: Option<Checkpoints>,
    memory: Memory,
    ledger: Ledger<Answer>,
    endpoints: Endpoints,
    /// The fingerprint of the hub's own key.
    key: String,
    keys: ServerKeys,
    handler: Arc<PolicyHandler>,
    home: Home,
    started: Instant,
    /// Since when the policy and the keys are.
    in_force: Instant,
    /// What changed then.
    last_change: Reloaded,
    /// Why the files could not be read the last time, if so.
    last_error: Option<String>,
    /// Handshakes, by reason.
    refused: BTreeMap<String, u64>,
    control: mpsc::Sender<Order>,
    orders: mpsc::Receiver<Order>,
    /// How those do who watch the journal, if anybody does.
    witnessed: Option<watch::Receiver<Witnessed>>,
    /// Told again every hour.
    insecure: Option<Standing>,
    events: SecurityEvents,
}

impl Hub {
    /// Binds both sockets, with the policy in force.
    ///
    /// With a journal, who is let in is recorded there before.
    pub(crate) fn bind(
        context: &Context,
        home: &Home,
        journal: Option<&Arc<Journal>>,
    ) -> anyhow::Result<Self> {
        let keys = server_keys(home)?;
        let handler = Arc::new(PolicyHandler::new(home.policy()?));
        let memory = Memory::open(&home.state_folder()?)?;
        let seen = memory.seen().clone();
        let gate = Gate::new(handler.policy(), &home.config.envelope, seen)?;
        match journal {
            Some(journal) => {
                context.set_zap_handler(Audited::new(Arc::clone(&handler), Arc::clone(journal)));
            }
            None => context.set_zap_handler(Arc::clone(&handler)),
        }
        let key = keys.current().fingerprint().to_string();
        let ingest = context.socket::<Router>(options(home, &keys));
        let feed = context.socket::<Xpub>(options(home, &keys));
        let (to_ingest, to_feed) = (&home.config.hub.ingest, &home.config.hub.feed);
        let at_ingest = ingest.bind(to_ingest).with_context(|| to_ingest.clone())?;
        let at_feed = feed.bind(to_feed).with_context(|| to_feed.clone())?;
        let endpoints = Endpoints {
            ingest: at_ingest.to_string(),
            feed: at_feed.to_string(),
        };
        let insecure = stand_unsigned(context, home);
        context.record(told::lifecycle("start", &key));
        let (control, orders) = mpsc::channel(1);
        Ok(Self {
            context: context.clone(),
            ingest,
            feed,
            gate,
            checkpoints: journal.map(|journal| journal.checkpoints()),
            memory,
            ledger: Ledger::new(),
            endpoints,
            key,
            keys,
            handler,
            home: home.clone(),
            started: Instant::now(),
            in_force: Instant::now(),
            last_change: Reloaded::default(),
            last_error: None,
            refused: BTreeMap::new(),
            witnessed: None,
            control,
            orders,
            insecure,
            events: context.events(),
        })
    }

    /// Where it listens.
    pub(crate) const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The fingerprint of its key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Who watches the journal, to be shown.
    pub(crate) fn show_witnesses(&mut self, witnesses: &Witnesses) {
        self.witnessed = Some(witnesses.status());
    }

    /// Where the operator's requests go.
    pub(crate) fn control(&self) -> mpsc::Sender<Order> {
        self.control.clone()
    }

    /// Works until `stop` resolves.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        pin!(stop);
        let mut remember = interval(REMEMBER);
        remember.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // What seldom happens comes first: a busy ingest does not keep it waiting, and the
                // log says who came before it says what they did.
                biased;
                () = &mut stop => break,
                _ = remember.tick() => if let Err(error) = self.memory.save(&self.gate) {
                    self.context.record(told::not_saved(&error));
                },
                Some(event) = self.events.recv() => self.count(&event),
                Some(order) = self.orders.recv() => self.obey(order),
                () = self.ledger.due() => self.answer_overdue().await,
                Some(note) = system::next(&mut self.checkpoints) => {
                    // A feed that cannot send tells so to whoever publishes.
                    let _ = self.feed.send(system::checkpoint(note)).await;
                }
                change = self.feed.recv() => self.note(&change?).await,
                request = self.ingest.recv() => self.answer(request?).await,
            }
        }
        self.context.record(told::lifecycle("stop", &self.key));
        self.memory.save(&self.gate)
    }

    /// Judges one request, forwards it if it may pass, and says so to the sender either way.
    async fn answer(&mut self, mut request: Message) {
        let Some(peer) = request.peer().cloned() else {
            return;
        };
        let (Some(id), Some(delimiter)) = (request.pop_front(), request.pop_front()) else {
            return self.context.record(told::not_a_request(&peer));
        };
        if !delimiter.is_empty() {
            return self.context.record(told::not_a_request(&peer));
        }
        let frames = request.into_frames();
        let topic = frames.first().cloned().unwrap_or_default();
        let (ack, awaited) = self.handle(&peer, frames).await;
        let answer = Answer { id, ack };
        let answer = match awaited {
            Some(digest) => self.ledger.wait(&topic, &digest, answer),
            None => Some(answer),
        };
        if let Some(answer) = answer {
            self.reply(answer).await;
        }
    }

    async fn reply(&self, answer: Answer) {
        let reply = Message::from([answer.id, Frame::empty(), answer.ack.to_frame()]);
        // The sender may have gone: then nobody waits for the answer.
        let _ = self.ingest.send(reply).await;
    }

    /// Takes note of a subscription, or of a receipt, which may be the last that an answer lacks.
    async fn note(&mut self, change: &Message) {
        let Some((first, what)) = change.first().and_then(|frame| frame.split_first()) else {
            return;
        };
        let subscribed = *first == 1;
        let name = change
            .peer()
            .and_then(|peer| peer.name.as_deref())
            .unwrap_or_default();
        match self.ledger.note(subscribed, what, name) {
            None => {
                let peer = change.peer().map(|peer| &**peer);
                self.context
                    .record(told::subscription(peer, what, subscribed));
            }
            Some(answers) => {
                for answer in answers {
                    self.reply(answer).await;
                }
            }
        }
    }

    async fn answer_overdue(&mut self) {
        for (mut answer, unconfirmed) in self.ledger.overdue() {
            for name in &unconfirmed {
                self.context.record(told::unconfirmed(name));
            }
            answer.ack.unconfirmed = unconfirmed;
            self.reply(answer).await;
        }
    }

    /// The answer, and the digest of the statement that subscribers will confirm, if any.
    async fn handle(&mut self, peer: &Peer, frames: Vec<Frame>) -> (Ack, Option<[u8; 32]>) {
        match self.gate.judge(peer, &frames) {
            Err(refused) => {
                let topic = frames.first().map_or(&[][..], |topic| topic);
                self.context.record(told::refused(peer, topic, &refused));
                (Ack::refused(refused.code, refused.message), None)
            }
            Ok(Verdict::Ask) => (Ack::accepted(self.subscribers(frames.first())), None),
            Ok(Verdict::Publish(verified)) => self.publish(peer, frames, verified).await,
        }
    }

    async fn publish(
        &self,
        peer: &Peer,
        frames: Vec<Frame>,
        verified: Option<Box<Verified>>,
    ) -> (Ack, Option<[u8; 32]>) {
        let topic = frames.first().cloned().unwrap_or_default();
        let subscribers = self.subscribers(Some(&topic));
        let digest = verified.as_ref().map(|verified| verified.digest());
        for flag in verified.iter().flat_map(|verified| &verified.flags) {
            self.context.record(told::gap(peer, &topic, *flag));
        }
        // A heartbeat is no message: nobody is told of one, and nobody confirms it.
        let is_heartbeat = verified.is_some_and(|verified| verified.statement.heartbeat);
        if !is_heartbeat {
            let count = subscribers.len();
            let published = told::published(peer, &topic, count, digest.as_ref());
            self.context.record(published);
        }
        match self.feed.send(Message::from(frames)).await {
            Ok(()) => (Ack::accepted(subscribers), digest.filter(|_| !is_heartbeat)),
            Err(error) => (Ack::refused("feed", error.to_string()), None),
        }
    }

    /// Counts refusals, for whoever asks.
    fn count(&mut self, event: &SecurityEvent) {
        if event.id == EventId::Refused {
            let reason = event.reason.unwrap_or("other").to_owned();
            *self.refused.entry(reason).or_default() += event.count;
        }
    }

    fn subscribers(&self, topic: Option<&Frame>) -> Vec<String> {
        let topic = topic.map_or(&[][..], |topic| topic);
        let peers = self.feed.subscribers(topic);
        peers
            .iter()
            .map(|peer| peer.name.as_deref().unwrap_or("?").to_owned())
            .collect()
    }
}

/// The key in force and the one to come, if there is one.
fn server_keys(home: &Home) -> anyhow::Result<ServerKeys> {
    let (current, next) = home.server_keys()?;
    let keys = ServerKeys::new(current);
    Ok(match next {
        Some(next) => keys.with_next(next)?,
        None => keys,
    })
}

/// Of both sockets.
fn options(home: &Home, keys: &ServerKeys) -> Options {
    let curve = Curve::server(keys.clone()).backend(home.config.curve.backend);
    Options::new()
        .security(curve)
        .zap_domain(&home.config.hub.domain)
        .max_message_size(MAX_MESSAGE)
}

/// Told every hour, for as long as any topic is not signed.
fn stand_unsigned(context: &Context, home: &Home) -> Option<Standing> {
    let is_unsigned = !home.config.envelope.signs_all();
    is_unsigned.then(|| context.stand(told::insecure("unsigned-messages")))
}
