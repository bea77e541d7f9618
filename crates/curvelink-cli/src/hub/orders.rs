//! What the operator asks of a running hub: to read its files again, and to tell how it is.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use curvelink::{Fingerprint, LinkStatus, Traffic};
use curvelink_zap::{Effect, Identity, Policy, changes};

use super::gate::Gate;
use super::told;
use super::{Hub, stand_unsigned};
use crate::control::{
    Answer, KeysShown, LinkShown, Order, PolicyShown, Reloaded, Request, Shown, SocketShown,
    Through,
};
use crate::output;

/// Fingerprints, and whose they are where the policy says so.
type Keys = HashSet<(Fingerprint, Option<Arc<str>>)>;

/// More links than that are not told one by one: the answer has an end.
const MOST_LINKS: usize = 10_000;

impl Hub {
    pub(super) fn obey(&mut self, order: Order) {
        let answer = match order.request {
            Request::Show {} => Answer::Shown(Box::new(self.shown())),
            Request::Reload {} => match self.reload() {
                Ok(reloaded) => Answer::Reloaded(reloaded),
                Err(error) => Answer::Refused {
                    error: format!("{error:#}"),
                },
            },
        };
        // Whoever asked may have given up, or only have seen that a file changed.
        let _ = order.answer.send(answer);
    }

    /// Reads the policy and the hub's keys again, and puts both in force: all of it or nothing.
    /// Logs what changed, and a mistake once for as long as it is the same.
    ///
    /// # Errors
    /// The first mistake in a file. What was in force before stays.
    pub(crate) fn reload(&mut self) -> anyhow::Result<Reloaded> {
        let before = *self.handler.policy().digest();
        let outcome = self.read_again();
        let error = outcome.as_ref().err().map(|error| format!("{error:#}"));
        if let Some(error) = error.as_ref().filter(|_| error != self.last_error) {
            self.context.record(told::not_reloaded(error));
        }
        self.last_error = error;
        if outcome? {
            let now = *self.handler.policy().digest();
            let change = &self.last_change;
            self.context.record(told::reloaded(&before, &now, change));
            return Ok(change.clone());
        }
        Ok(Reloaded {
            unchanged: true,
            age: self.in_force.elapsed().as_secs(),
            keys: self.keys_shown(),
            ..self.last_change.clone()
        })
    }

    /// Whether anything is new, which then is in force.
    fn read_again(&mut self) -> anyhow::Result<bool> {
        let home = self.home.reread()?;
        let (current, next) = home.server_keys()?;
        let policy = home.policy()?;
        let envelope = &home.config.envelope;
        // What the gate will need, before anything is replaced.
        envelope.verifier(&policy, &[])?;
        let same_envelope = *envelope == self.home.config.envelope;
        let same_keys = current.public() == self.keys.current()
            && next.as_ref().map(|next| next.public()) == self.keys.next();
        let same_policy = policy.digest() == self.handler.policy().digest();
        if same_keys && same_policy && same_envelope {
            return Ok(false);
        }
        if !same_keys {
            let before = self.server_keys();
            self.keys.replace(current, next)?;
            self.tell_keys("server", &before, &self.server_keys());
        }
        let change = match same_policy {
            true => Reloaded::default(),
            false => self.replace_policy(policy),
        };
        // It names identities of the policy, so the two are replaced together.
        self.gate = Gate::new(self.handler.policy(), envelope, self.gate.seen().clone())?;
        if !same_envelope {
            self.insecure = stand_unsigned(&self.context, &home);
        }
        self.last_change = Reloaded {
            keys: self.keys_shown(),
            envelope: !same_envelope,
            ..change
        };
        (self.home, self.in_force) = (home, Instant::now());
        Ok(true)
    }

    fn replace_policy(&self, policy: Policy) -> Reloaded {
        // Before the change: those who are cut by it may be gone a moment later.
        let links = self.ingest.links().into_iter().chain(self.feed.links());
        let links: Vec<LinkStatus> = links.collect();
        let before = self.handler.replace(policy);
        let now = self.handler.policy();
        let domain = &self.home.config.hub.domain;
        self.tell_keys("identity", &keys_of(&before), &keys_of(&now));
        let changes = changes(&before, &now);
        let names = |effect| {
            let its = changes.iter().filter(|change| change.effect == effect);
            let names: BTreeSet<String> = its.map(|change| change.identity.clone()).collect();
            names.into_iter().collect()
        };
        let (gained, lost) = (names(Effect::Gains), names(Effect::Loses));
        let mut cut: Vec<String> = links
            .iter()
            .filter(|link| is_cut(link, domain, &now))
            .filter_map(|link| link.peer.name.as_deref().map(str::to_owned))
            .collect();
        cut.sort_unstable();
        cut.dedup();
        Reloaded {
            gained,
            lost,
            cut,
            ..Reloaded::default()
        }
    }

    /// Tells each key that is accepted from now on, and each that is not any more.
    fn tell_keys(&self, purpose: &'static str, before: &Keys, now: &Keys) {
        for (action, those, others) in [("accepted", now, before), ("withdrawn", before, now)] {
            for (key, identity) in those.difference(others) {
                let event = told::key(action, purpose, *key, identity.as_deref());
                self.context.record(event);
            }
        }
    }

    fn server_keys(&self) -> Keys {
        let next = self.keys.next();
        let keys = std::iter::once(self.keys.current()).chain(next);
        keys.map(|key| (key.fingerprint(), None)).collect()
    }

    fn keys_shown(&self) -> KeysShown {
        KeysShown {
            current: self.keys.current().fingerprint().to_string(),
            next: self.keys.next().map(|next| next.fingerprint().to_string()),
        }
    }

    fn shown(&self) -> Shown {
        let policy = self.handler.policy();
        let socket = |name: &str, endpoint: &str, links: Vec<LinkStatus>| SocketShown {
            name: name.to_owned(),
            endpoint: endpoint.to_owned(),
            links: links.iter().take(MOST_LINKS).map(link_shown).collect(),
        };
        Shown {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            keys: self.keys_shown(),
            up: self.started.elapsed().as_secs(),
            policy: PolicyShown {
                file: policy.file().to_owned(),
                digest: output::hex(policy.digest()),
                age: self.in_force.elapsed().as_secs(),
                identities: policy.identities().len(),
            },
            sockets: vec![
                socket("ingest", &self.endpoints.ingest, self.ingest.links()),
                socket("feed", &self.endpoints.feed, self.feed.links()),
            ],
            witnessed: self.witnessed.as_ref().map(|it| it.borrow().shown()),
            refused: self.refused.clone(),
        }
    }
}

/// The keys that a policy lists, of whatever validity.
fn keys_of(policy: &Policy) -> Keys {
    let of_one = |identity: &Arc<Identity>| {
        let name: Arc<str> = (&*identity.name).into();
        let keys = identity.curve.iter().map(|listed| listed.key.fingerprint());
        keys.map(|key| (key, Some(name.clone())))
            .collect::<Vec<_>>()
    };
    policy.identities().flat_map(of_one).collect()
}

/// Whether a link does not stand under the policy now.
fn is_cut(link: &LinkStatus, domain: &str, now: &Policy) -> bool {
    let peer = &link.peer;
    let owner = peer.key.as_ref().and_then(|key| now.identity_of_key(key));
    owner.is_none_or(|owner| {
        Some(&*owner.name) != peer.name.as_deref()
            || !owner.rights().cover(&peer.rights)
            || !owner.domains.allows_domain(domain)
            || !owner.may_come_from(&peer.address)
    })
}

fn link_shown(link: &LinkStatus) -> LinkShown {
    let peer = &link.peer;
    let through = |traffic: Traffic| Through {
        messages: traffic.messages,
        octets: traffic.octets,
    };
    LinkShown {
        name: peer.name.as_deref().map(str::to_owned),
        key: peer.key.map(|key| key.fingerprint().to_string()),
        address: peer.address.to_string(),
        socket: peer.socket_type.name().to_owned(),
        server_key: peer.our_key.map(|key| key.fingerprint().to_string()),
        handshake: link.since.elapsed().as_secs(),
        received: through(link.received),
        sent: through(link.sent),
        queued: link.queued_to_peer,
        subscriptions: link.subscriptions,
    }
}
