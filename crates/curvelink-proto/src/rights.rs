//! What an admitted peer may publish and subscribe.

use std::sync::Arc;

/// Topics that a peer may publish and subscribe, as the policy gave them.
///
/// A topic is the first frame of a message. Cheap to clone. The rights of a peer are checked
/// where its octets arrive: its subscriptions on PUB and XPUB, its messages on SUB, XSUB, PULL and
/// PAIR. On REP, ROUTER and DEALER, whose first frames are not topics, the application decides by
/// the rights of each message's peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rights {
    /// Topics of messages that the peer may send.
    pub publish: Topics,
    /// Prefixes that the peer may subscribe to.
    pub subscribe: Topics,
}

impl Rights {
    /// Everything: for peers whom the policy does not restrict, and where no policy is asked.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            publish: Topics::All,
            subscribe: Topics::All,
        }
    }

    /// Nothing: what a policy starts from.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            publish: Topics::none(),
            subscribe: Topics::none(),
        }
    }

    /// Both halves.
    #[must_use]
    pub const fn new(publish: Topics, subscribe: Topics) -> Self {
        Self { publish, subscribe }
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
}
