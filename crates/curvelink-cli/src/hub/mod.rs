//! The hub: publishers hand it signed messages and are told who received them; subscribers get
//! what they may see.
//!
//! ```text
//! publisher  REQ  -> ingest (ROUTER)   TOPIC, BODY.., ENVELOPE     publish; the reply is an Ack
//!                                      TOPIC                       who would receive it?
//! subscriber SUB  <- feed (XPUB)       TOPIC, BODY.., ENVELOPE
//! ```
//!
//! CURVE and the policy stand before both sockets; the gate stands between them.

mod ack;
mod client;
mod gate;
mod memory;
mod receipt;
mod told;

pub(crate) use ack::Ack;
pub(crate) use client::{Client, endpoints};
pub(crate) use receipt::Receipts;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use curvelink::{Context, Curve, Frame, Message, Options, Peer, Router, Socket, Standing, Xpub};
use curvelink_envelope::Trailer;
use curvelink_zap::PolicyHandler;
use tokio::pin;
use tokio::time::{MissedTickBehavior, interval};

use crate::home::{Endpoints, HUB, Home, Sign};
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
    memory: Memory,
    ledger: Ledger<Answer>,
    endpoints: Endpoints,
    /// The fingerprint of the hub's own key.
    key: String,
    /// Told again every hour.
    _insecure: Option<Standing>,
}

impl Hub {
    /// Binds both sockets, with the policy in force.
    pub(crate) fn bind(context: &Context, home: &Home) -> anyhow::Result<Self> {
        let keys = home.curve_key(HUB)?;
        if keys.public() != home.hub_key()? {
            return Err(crate::exit::usage(
                "public_key in curvelink.toml is not that of keys/hub.key_secret: correct it, or no \
                 client will talk to this hub",
            ));
        }
        let handler = Arc::new(PolicyHandler::new(home.policy()?));
        let mut gate = Gate::new(handler.policy(), &home.config.envelope)?;
        let memory = Memory::open(&home.state_folder()?, &mut gate)?;
        context.set_zap_handler(handler);
        let key = keys.public().fingerprint().to_string();
        let options = || {
            let curve = Curve::server(keys.duplicate()).backend(home.config.curve.backend);
            Options::new()
                .security(curve)
                .zap_domain(&home.config.hub.domain)
                .max_message_size(MAX_MESSAGE)
        };
        let ingest = context.socket::<Router>(options());
        let feed = context.socket::<Xpub>(options());
        let (to_ingest, to_feed) = (&home.config.hub.ingest, &home.config.hub.feed);
        let endpoints = Endpoints {
            ingest: ingest
                .bind(to_ingest)
                .with_context(|| to_ingest.clone())?
                .to_string(),
            feed: feed
                .bind(to_feed)
                .with_context(|| to_feed.clone())?
                .to_string(),
        };
        let is_unsigned = home.config.envelope.sign == Sign::None;
        let insecure = is_unsigned.then(|| context.stand(told::insecure("unsigned-messages")));
        context.record(told::lifecycle("start", &key));
        Ok(Self {
            context: context.clone(),
            ingest,
            feed,
            gate,
            memory,
            ledger: Ledger::new(),
            endpoints,
            key,
            _insecure: insecure,
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
                () = self.ledger.due() => self.answer_overdue().await,
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
        let statement = frames.last().and_then(|last| Trailer::parse(last).ok());
        let topic = frames.first().cloned().unwrap_or_default();
        let (ack, published) = self.handle(&peer, frames).await;
        let answer = Answer { id, ack };
        let answer = match statement.filter(|_| published) {
            Some(statement) => self
                .ledger
                .wait(&topic, &statement.statement_digest(), answer),
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

    /// The answer, and whether the message was passed on.
    async fn handle(&mut self, peer: &Peer, frames: Vec<Frame>) -> (Ack, bool) {
        match self.gate.judge(peer, &frames) {
            Err(refused) => {
                let topic = frames.first().map_or(&[][..], |topic| topic);
                self.context.record(told::refused(peer, topic, &refused));
                (Ack::refused(refused.code, refused.message), false)
            }
            Ok(Verdict::Ask) => (Ack::accepted(self.subscribers(frames.first())), false),
            Ok(Verdict::Publish) => {
                let subscribers = self.subscribers(frames.first());
                if let Some(topic) = frames.first() {
                    let count = subscribers.len();
                    self.context.record(told::published(peer, topic, count));
                }
                match self.feed.send(Message::from(frames)).await {
                    Ok(()) => (Ack::accepted(subscribers), true),
                    Err(error) => (Ack::refused("feed", error.to_string()), false),
                }
            }
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
