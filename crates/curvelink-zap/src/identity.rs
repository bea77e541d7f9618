//! One entry of the file: who somebody is, and what they may do.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use curvelink_proto::{
    Endpoint, PeerAddress, PublicKey, Rights, RoutingIds, SocketType, SocketTypes, Topics,
};

use crate::endpoint;
use crate::password::PasswordHash;
use crate::source::Source;

/// One entry of the file: a name, what proves it, what it may do.
///
/// What grants (`domains`, `publish`, `subscribe`, `routing_ids`, `relay`) allows nothing where the
/// file leaves it out. What narrows (`sources`, `endpoints`, `patterns`, the limits) applies where
/// it is written, and is `None` where it is not.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The name: 1 to 64 of `a-z 0-9 . _ -`, a letter or digit first. The ZAP user id.
    pub name: Arc<str>,
    /// The line of the file on which it begins.
    pub line: usize,
    /// Its CURVE public keys.
    pub curve: Vec<DatedKey<PublicKey>>,
    /// Its Ed25519 public keys, for the signatures of its messages. Not one is of small order;
    /// that each is a point of the curve, the verifier checks.
    pub sign: Vec<DatedKey<[u8; 32]>>,
    /// Its PLAIN users.
    pub users: Vec<User>,
    /// The ZAP domains that it may enter: exact names.
    pub domains: Grant,
    /// The topics that it may publish: prefixes.
    pub publish: Grant,
    /// The topics that it may subscribe to: prefixes.
    pub subscribe: Grant,
    /// The routing ids that its sockets may ask for, 1 to 255 octets, not 0 the first: exact.
    /// Those listed are its own: `"everything"` of another does not include them.
    pub routing_ids: Grant,
    /// Where it may come from.
    pub sources: Option<Limit<Vec<Source>>>,
    /// By which endpoints of ours it may come.
    pub endpoints: Option<Limit<Vec<Endpoint>>>,
    /// The types that its sockets may have.
    pub patterns: Option<Limit<Vec<SocketType>>>,
    /// The octets of a whole message of its own: 1 and more.
    pub max_message: Option<Limit<usize>>,
    /// The messages that it may send in a second, over each link.
    pub rate: Option<Limit<NonZeroU32>>,
    /// How long a link may last before it must prove itself again; the file's own value where the
    /// identity has none.
    pub max_session_age: Option<Limit<Duration>>,
    /// Whether it may hand on messages that other identities signed.
    pub relay: bool,
    /// All of the above that concerns a link, as links check it.
    pub(crate) rights: Rights,
}

impl Identity {
    /// Its rights on a link. Cheap: a copy of what was made when the file was read.
    #[must_use]
    pub fn rights(&self) -> Rights {
        self.rights.clone()
    }

    /// Whether it has something to connect with: a signing key proves no connection.
    #[must_use]
    pub fn connects(&self) -> bool {
        !self.curve.is_empty() || !self.users.is_empty()
    }

    /// Whether it may come from this address. An address without a network and without a user
    /// (inproc, where nobody is asked) is in no list.
    #[must_use]
    pub fn may_come_from(&self, address: &PeerAddress) -> bool {
        self.sources
            .as_ref()
            .is_none_or(|limit| limit.value.iter().any(|source| source.admits(address)))
    }

    /// Whether it may come by this endpoint of ours, compared as what is meant and not as what is
    /// written.
    #[must_use]
    pub fn may_come_by(&self, endpoint: &str) -> bool {
        self.endpoints.as_ref().is_none_or(|limit| {
            let came_by: Option<Endpoint> = endpoint.parse().ok();
            came_by.is_some_and(|came_by| {
                let mut listed = limit.value.iter();
                listed.any(|listed| endpoint::is_same(listed, &came_by))
            })
        })
    }

    /// The rights that these settings amount to, where others own `taken` routing ids.
    pub(crate) fn rights_where(&self, taken: &Arc<[Bytes]>) -> Rights {
        let mut rights = Rights::new(self.publish.topics(), self.subscribe.topics());
        rights.routing_ids = match &self.routing_ids.scope {
            Scope::Nothing => RoutingIds::none(),
            Scope::Everything if taken.is_empty() => RoutingIds::All,
            Scope::Everything => RoutingIds::Except(Arc::clone(taken)),
            Scope::Listed(ids) => RoutingIds::listed(ids.iter().cloned().map(Bytes::from)),
        };
        if let Some(patterns) = &self.patterns {
            let kinds = patterns.value.iter();
            rights.socket_types = kinds.fold(SocketTypes::NONE, |set, kind| set.with(*kind));
        }
        rights.max_message = self.max_message.as_ref().map(|limit| limit.value);
        rights.rate = self.rate.as_ref().map(|limit| limit.value);
        rights
    }
}

/// A public key, and when it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatedKey<K> {
    /// The key.
    pub key: K,
    /// The first moment at which it counts.
    pub not_before: Option<SystemTime>,
    /// The first moment at which it no longer does. Links that it has proven end then.
    pub not_after: Option<SystemTime>,
    /// The line of the file on which it stands.
    pub line: usize,
}

impl<K> DatedKey<K> {
    /// Whether it counts at this moment.
    #[must_use]
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.not_before.is_none_or(|from| from <= now) && self.not_after.is_none_or(|to| now < to)
    }
}

/// A PLAIN user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The name: 1 to 255 octets, no control characters.
    pub username: String,
    /// The hash of the password.
    pub password: Arc<PasswordHash>,
    /// The line of the file on which it stands.
    pub line: usize,
}

/// One setting that allows something, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// What is allowed.
    pub scope: Scope,
    /// The line of the setting, or of its identity where it was left out.
    pub line: usize,
}

/// What a setting allows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a reader must be able to match it whole"
)]
pub enum Scope {
    /// Nothing: the setting was left out.
    Nothing,
    /// The literal word `"everything"`.
    Everything,
    /// What is listed, in the file's order: exact names, of topics prefixes. At least one, none of
    /// them empty.
    Listed(Vec<String>),
}

impl Grant {
    /// Whether a domain is allowed. A socket without a domain has the empty one, which no list
    /// can name: only `"everything"` allows it.
    #[must_use]
    pub fn allows_domain(&self, domain: &str) -> bool {
        match &self.scope {
            Scope::Nothing => false,
            Scope::Everything => true,
            Scope::Listed(domains) => domains.iter().any(|listed| listed == domain),
        }
    }

    /// The topics, as links check them.
    #[must_use]
    pub fn topics(&self) -> Topics {
        match &self.scope {
            Scope::Nothing => Topics::none(),
            Scope::Everything => Topics::All,
            Scope::Listed(prefixes) => {
                Topics::under(prefixes.iter().map(|prefix| prefix.clone().into_bytes()))
            }
        }
    }
}

/// One setting that narrows, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limit<T> {
    /// What is left: of a list at least one.
    pub value: T,
    /// The line of the setting.
    pub line: usize,
}

/// A signing key as messages show it.
pub(crate) fn hex(octets: &[u8; 32]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
