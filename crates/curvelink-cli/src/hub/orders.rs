//! What the operator asks of a running hub: to read its files again, and to tell how it is.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use curvelink::{LinkStatus, Traffic};
use curvelink_zap::{Grant, Identity, Limit, Policy, Scope};

use super::Hub;
use super::gate::Gate;
use super::told;
use crate::control::{
    Answer, KeysShown, LinkShown, Order, PolicyShown, Reloaded, Request, Shown, SocketShown,
    Through,
};
use crate::home::{self, Sign};
use crate::output;

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
        if home.config.envelope.sign == Sign::Each {
            // What the gate will need of it, before anything is replaced.
            home::registry(&policy)?;
        }
        let same_keys = current.public() == self.keys.current()
            && next.as_ref().map(|next| next.public()) == self.keys.next();
        let same_policy = policy.digest() == self.handler.policy().digest();
        if same_keys && same_policy {
            return Ok(false);
        }
        if !same_keys {
            self.keys.replace(current, next)?;
        }
        let change = match same_policy {
            true => Reloaded::default(),
            false => self.replace_policy(policy)?,
        };
        self.last_change = Reloaded {
            keys: self.keys_shown(),
            ..change
        };
        (self.home, self.in_force) = (home, Instant::now());
        Ok(true)
    }

    fn replace_policy(&mut self, policy: Policy) -> anyhow::Result<Reloaded> {
        // Before the change: those who are cut by it may be gone a moment later.
        let links = self.ingest.links().into_iter().chain(self.feed.links());
        let links: Vec<LinkStatus> = links.collect();
        let before = self.handler.replace(policy);
        let now = self.handler.policy();
        let mut gate = Gate::new(Arc::clone(&now), &self.home.config.envelope)?;
        if let Some(seen) = self.gate.seen() {
            gate.remember(seen.clone());
        }
        self.gate = gate;
        let (mut gained, mut lost) = (Vec::new(), Vec::new());
        let names: BTreeSet<&str> = names(&before).chain(names(&now)).collect();
        for name in names {
            let [old, new] = [&before, &now].map(|policy| policy.identity(name));
            if gains(old, new) {
                gained.push(name.to_owned());
            }
            if gains(new, old) {
                lost.push(name.to_owned());
            }
        }
        let mut cut: Vec<String> = links
            .iter()
            .filter(|link| is_cut(link, &before, &now))
            .filter_map(|link| link.peer.name.as_deref().map(str::to_owned))
            .collect();
        cut.sort_unstable();
        cut.dedup();
        Ok(Reloaded {
            gained,
            lost,
            cut,
            ..Reloaded::default()
        })
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
            refused: self.refused.clone(),
        }
    }
}

fn names(policy: &Policy) -> impl Iterator<Item = &str> {
    policy.identities().map(|identity| &*identity.name)
}

/// Whether an identity may do something with the second that it may not with the first.
fn gains(from: Option<&Arc<Identity>>, to: Option<&Arc<Identity>>) -> bool {
    match (from, to) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(from), Some(to)) => !proofs(to).is_subset(&proofs(from)) || may_more(from, to),
    }
}

/// What an identity is known by, and how it is limited; of a limit, any change may be more to some
/// and less to others.
fn proofs(identity: &Identity) -> BTreeSet<String> {
    let limit = |name: &str, limit: &dyn Debug| format!("{name} {limit:?}");
    let mut proofs = BTreeSet::from([
        limit("sources", &value(&identity.sources)),
        limit("endpoints", &value(&identity.endpoints)),
        limit("patterns", &value(&identity.patterns)),
        limit("max_message", &value(&identity.max_message)),
        limit("rate", &value(&identity.rate)),
        limit("max_session_age", &value(&identity.max_session_age)),
        limit("routing_ids", &identity.routing_ids.scope),
        limit("relay", &identity.relay),
    ]);
    proofs.extend(identity.curve.iter().map(|listed| {
        let (key, from, to) = (listed.key.to_z85(), listed.not_before, listed.not_after);
        format!("curve {key} {from:?} {to:?}")
    }));
    let users = identity.users.iter();
    proofs.extend(users.map(|user| format!("user {}", user.username)));
    proofs
}

const fn value<T>(limit: &Option<Limit<T>>) -> Option<&T> {
    match limit {
        Some(limit) => Some(&limit.value),
        None => None,
    }
}

/// Whether there are domains and topics for the second that the first has not.
fn may_more(from: &Identity, to: &Identity) -> bool {
    let wider =
        |from: &Grant, to: &Grant, covers: &dyn Fn(&str) -> bool| match (&from.scope, &to.scope) {
            (Scope::Everything, _) | (_, Scope::Nothing) => false,
            (_, Scope::Everything) => true,
            (_, Scope::Listed(entries)) => !entries.iter().all(|entry| covers(entry)),
        };
    let (publish, subscribe) = (from.publish.topics(), from.subscribe.topics());
    wider(&from.domains, &to.domains, &|entry| {
        from.domains.allows_domain(entry)
    }) || wider(&from.publish, &to.publish, &|entry| {
        publish.contain(entry.as_bytes())
    }) || wider(&from.subscribe, &to.subscribe, &|entry| {
        subscribe.contain(entry.as_bytes())
    })
}

/// Whether a link that the policy before admitted does not stand under the one now.
fn is_cut(link: &LinkStatus, before: &Policy, now: &Policy) -> bool {
    let Some(name) = link.peer.name.as_deref() else {
        return true;
    };
    let owner = link
        .peer
        .key
        .as_ref()
        .and_then(|key| now.identity_of_key(key));
    match (before.identity(name), owner) {
        (Some(old), Some(new)) => new.name != old.name || may_more(new, old),
        _ => true,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";

    fn policy(rest: &str) -> Policy {
        let text = format!("version = 1\n[identities.x]\ncurve = [\"{KEY}\"]\n{rest}\n");
        Policy::from_toml(&text, "zap.toml").unwrap()
    }

    #[test]
    fn who_may_more_has_gained_and_who_may_less_has_lost() {
        let few = "publish = [\"a/\"]\ndomains = [\"d\"]";
        for (from, to, gained, lost) in [
            (few, few, false, false),
            (
                few,
                "# said\npublish = [\"a/\"]\ndomains = [\"d\"]",
                false,
                false,
            ),
            (
                few,
                "publish = [\"a/\", \"b/\"]\ndomains = [\"d\"]",
                true,
                false,
            ),
            (few, "publish = [\"a/x/\"]\ndomains = [\"d\"]", false, true),
            (few, "publish = [\"b/\"]\ndomains = [\"d\"]", true, true),
            (
                few,
                "publish = \"everything\"\ndomains = [\"d\"]",
                true,
                false,
            ),
            (
                few,
                "publish = [\"a/\"]\ndomains = [\"d\", \"e\"]",
                true,
                false,
            ),
            (few, "domains = [\"d\"]", false, true),
        ] {
            let (from, to) = (policy(from), policy(to));
            let [from, to] = [&from, &to].map(|policy| policy.identity("x"));
            assert_eq!((gains(from, to), gains(to, from)), (gained, lost), "{to:?}");
        }
        let (before, after) = (policy(few), policy(few));
        assert!(gains(None, after.identity("x")) && !gains(before.identity("x"), None));
    }
}
