//! What an admitted peer may publish and subscribe.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

use crate::socket_type::SocketType;

/// What an admitted peer may do, as the policy gave it.
///
/// A topic is the first frame of a message. Cheap to clone. The topics are checked where the
/// peer's octets arrive: its subscriptions on PUB and XPUB, its messages on SUB, XSUB, PULL and
/// PAIR. On REP, ROUTER and DEALER, whose first frames are not topics, the application decides by
/// the rights of each message's peer. Everything else is checked by the engine and the session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rights {
    /// Topics of messages that the peer may send.
    pub publish: Topics,
    /// Prefixes that the peer may subscribe to.
    pub subscribe: Topics,
    /// The types of socket that the peer may have.
    pub socket_types: SocketTypes,
    /// The routing ids that the peer may ask for. One that it does not ask for (an empty one) is
    /// always its right.
    pub routing_ids: RoutingIds,
    /// Octets of a whole message of the peer's, if fewer than the socket's own limit.
    pub max_message: Option<usize>,
    /// Messages that the peer may send in a second, 1 or more: the rest waits with the peer.
    pub rate: Option<NonZeroU32>,
}

impl Rights {
    /// Everything: for peers whom the policy does not restrict, and where no policy is asked.
    #[must_use]
    pub const fn all() -> Self {
        Self::new(Topics::All, Topics::All)
    }

    /// Nothing: what a policy starts from.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            publish: Topics::none(),
            subscribe: Topics::none(),
            socket_types: SocketTypes::NONE,
            routing_ids: RoutingIds::none(),
            max_message: None,
            rate: None,
        }
    }

    /// Topics, and nothing that limits the rest; set the fields of what is limited.
    #[must_use]
    pub const fn new(publish: Topics, subscribe: Topics) -> Self {
        Self {
            publish,
            subscribe,
            socket_types: SocketTypes::ALL,
            routing_ids: RoutingIds::All,
            max_message: None,
            rate: None,
        }
    }

    /// Whether these allow all that `other` allows: a peer that has them need not lose its link
    /// when it had `other` before.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        let no_less = |ours: Option<u64>, theirs: Option<u64>| {
            ours.is_none_or(|ours| theirs.is_some_and(|theirs| ours >= theirs))
        };
        let octets = |octets: Option<usize>| octets.map(|octets| octets as u64);
        let rate = |rate: Option<NonZeroU32>| rate.map(|rate| rate.get().into());
        self.publish.cover(&other.publish)
            && self.subscribe.cover(&other.subscribe)
            && self.socket_types.cover(other.socket_types)
            && self.routing_ids.cover(&other.routing_ids)
            && no_less(octets(self.max_message), octets(other.max_message))
            && no_less(rate(self.rate), rate(other.rate))
    }
}

/// A set of topics.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a handler must be able to match it whole"
)]
pub enum Topics {
    /// Every topic.
    All,
    /// The topics that begin with one of these prefixes; `None` or an empty list: no topic.
    Prefixes(Option<Arc<[Vec<u8>]>>),
}

impl Topics {
    /// No topic.
    #[must_use]
    pub const fn none() -> Self {
        Self::Prefixes(None)
    }

    /// The topics under these prefixes. An empty prefix is every topic: a caller that does not
    /// mean that must refuse it before.
    #[must_use]
    pub fn under(prefixes: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self::Prefixes(Some(prefixes.into_iter().collect()))
    }

    /// Whether a topic, or every topic under a subscription's prefix, is in the set.
    ///
    /// A subscription wider than every allowed prefix (the empty one, for instance) is not in the
    /// set, even if part of what it matches would be. Linear in the number of prefixes.
    #[must_use]
    pub fn contain(&self, topic: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Prefixes(prefixes) => prefixes
                .as_deref()
                .unwrap_or_default()
                .iter()
                .any(|prefix| topic.starts_with(prefix)),
        }
    }

    /// Whether every topic of `other` is in this set. The product of both numbers of prefixes.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Prefixes(_), Self::All) => self.contain(b""),
            (Self::Prefixes(_), Self::Prefixes(prefixes)) => prefixes
                .as_deref()
                .unwrap_or_default()
                .iter()
                .all(|prefix| self.contain(prefix)),
        }
    }
}

/// A set of socket types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketTypes(u16);

impl SocketTypes {
    /// Every type.
    pub const ALL: Self = Self(u16::MAX);
    /// No type.
    pub const NONE: Self = Self(0);

    /// The set with one type more.
    #[must_use]
    pub const fn with(self, kind: SocketType) -> Self {
        Self(self.0 | Self::bit(kind))
    }

    /// Whether a type is in the set.
    #[must_use]
    pub const fn contain(self, kind: SocketType) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// Whether every type of `other` is in this set.
    #[must_use]
    pub const fn cover(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn bit(kind: SocketType) -> u16 {
        1 << kind as u16
    }
}

/// A set of routing ids.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a handler must be able to match it whole"
)]
pub enum RoutingIds {
    /// Every one.
    All,
    /// Every one but these, which belong to others.
    Except(Arc<[Bytes]>),
    /// These; `None` or an empty list: none. The empty id, which asks for nothing, is always in.
    Listed(Option<Arc<[Bytes]>>),
}

impl RoutingIds {
    /// None but the empty one.
    #[must_use]
    pub const fn none() -> Self {
        Self::Listed(None)
    }

    /// These.
    #[must_use]
    pub fn listed(ids: impl IntoIterator<Item = Bytes>) -> Self {
        Self::Listed(Some(ids.into_iter().collect()))
    }

    /// Whether a peer may ask for this id. Linear in the number of ids.
    #[must_use]
    pub fn contain(&self, id: &[u8]) -> bool {
        id.is_empty()
            || match self {
                Self::All => true,
                Self::Except(ids) => ids.iter().all(|it| it != id),
                Self::Listed(ids) => ids.as_deref().unwrap_or_default().iter().any(|it| it == id),
            }
    }

    /// Whether every id of `other` is in this set.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Except(ours), Self::All) => ours.is_empty(),
            (Self::Except(ours), Self::Except(theirs)) => ours.iter().all(|id| theirs.contains(id)),
            (Self::Listed(_), Self::All | Self::Except(_)) => false,
            (Self::Except(_) | Self::Listed(_), Self::Listed(ids)) => {
                let ids = ids.as_deref().unwrap_or_default();
                ids.iter().all(|id| self.contain(id))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_contained_only_below_a_listed_prefix() {
        let topics = Topics::under([b"findings/".to_vec(), b"metrics".to_vec()]);
        for inside in ["findings/", "findings/sast", "metrics", "metricsX"] {
            assert!(topics.contain(inside.as_bytes()), "{inside}");
        }
        for outside in ["", "f", "findings", "Findings/", "remediate/"] {
            assert!(!topics.contain(outside.as_bytes()), "{outside}");
        }
        assert!(Topics::All.contain(b""));
        assert!(!Topics::none().contain(b"") && !Topics::under([]).contain(b"x"));
    }

    /// Pairs of which each first covers its second and not the other way round.
    fn wider() -> Vec<(Rights, Rights)> {
        let one = || Rights::new(Topics::under([b"a/".to_vec()]), Topics::none());
        let with = |change: fn(&mut Rights)| {
            let mut rights = one();
            change(&mut rights);
            (one(), rights)
        };
        let id = |id: &'static [u8]| Bytes::from_static(id);
        let mut two_ids = one();
        two_ids.routing_ids = RoutingIds::listed([id(b"x"), id(b"y")]);
        let mut one_id = one();
        one_id.routing_ids = RoutingIds::listed([id(b"x")]);
        let except = |ids: &[&'static [u8]]| {
            let mut rights = one();
            rights.routing_ids = RoutingIds::Except(ids.iter().map(|it| id(it)).collect());
            rights
        };
        vec![
            (Rights::all(), one()),
            (one(), Rights::none()),
            with(|it| it.publish = Topics::under([b"a/b".to_vec()])),
            with(|it| it.publish = Topics::none()),
            with(|it| it.socket_types = SocketTypes::NONE.with(SocketType::Pub)),
            with(|it| it.routing_ids = RoutingIds::none()),
            with(|it| it.max_message = Some(1)),
            with(|it| it.rate = NonZeroU32::new(1)),
            (two_ids, one_id.clone()),
            (one(), except(&[b"x"])),
            (except(&[b"y"]), except(&[b"x", b"y"])),
            (except(&[b"y"]), one_id),
        ]
    }

    #[test]
    fn wider_rights_cover_narrower_ones_only() {
        for (row, (wide, narrow)) in wider().into_iter().enumerate() {
            assert!(wide.cover(&wide) && narrow.cover(&narrow), "row {row}");
            assert!(wide.cover(&narrow), "row {row}");
            assert!(!narrow.cover(&wide), "row {row}");
        }
        assert!(Topics::under([vec![]]).cover(&Topics::All));
    }

    #[test]
    fn a_type_is_in_the_sets_that_name_it() {
        for kind in SocketType::ALL {
            let one = SocketTypes::NONE.with(*kind);
            for other in SocketType::ALL {
                assert_eq!(one.contain(*other), kind == other, "{kind} {other}");
            }
            assert!(SocketTypes::ALL.contain(*kind) && !SocketTypes::NONE.contain(*kind));
        }
    }

    #[test]
    fn a_routing_id_is_whole_and_the_empty_one_is_everybodys() {
        let ids = RoutingIds::listed([Bytes::from_static(b"worker")]);
        let others = RoutingIds::Except([Bytes::from_static(b"worker")].into());
        assert!(ids.contain(b"worker") && ids.contain(b""));
        assert!(!others.contain(b"worker") && others.contain(b""));
        assert!(!others.cover(&ids) && !ids.cover(&others));
        for other in [&b"work"[..], b"worker1", b"Worker"] {
            assert!(!ids.contain(other) && !RoutingIds::none().contain(other));
            assert!(RoutingIds::All.contain(other) && others.contain(other));
        }
    }
}
