//! Who may sign what: names, their keys and the topics that they may publish.

use std::collections::{HashMap, HashSet};

use crate::keys::{KeyId, VerifyingKey};
use crate::quorum::Quorum;
use crate::statement::is_name;
use crate::time::Timestamp;

/// One sender that a verifier knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    name: String,
    keys: Vec<IdentityKey>,
    publish: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct IdentityKey {
    key: VerifyingKey,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

impl Identity {
    /// An identity without keys or topics: nothing it says is believed yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            keys: Vec::new(),
            publish: Vec::new(),
        }
    }

    /// Believes `key`, whenever it signed.
    #[must_use]
    pub fn with_key(self, key: VerifyingKey) -> Self {
        self.with_key_valid(key, None, None)
    }

    /// Believes `key` for statements whose time is in `not_before..=not_after`; none is no bound.
    #[must_use]
    pub fn with_key_valid(
        mut self,
        key: VerifyingKey,
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
    ) -> Self {
        self.keys.push(IdentityKey {
            key,
            not_before,
            not_after,
        });
        self
    }

    /// Allows every topic that starts with `prefix`, compared octet by octet: `findings` covers
    /// `findings-old` too, `findings/` does not, and the empty prefix covers every topic.
    #[must_use]
    pub fn may_publish(mut self, prefix: impl Into<String>) -> Self {
        self.publish.push(prefix.into());
        self
    }

    /// The name that the identity's statements must give.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the identity may sign messages on `topic`.
    pub fn covers(&self, topic: &str) -> bool {
        self.publish
            .iter()
            .any(|prefix| topic.starts_with(&**prefix))
    }
}

/// Every sender that a verifier knows, found by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    identities: Vec<Identity>,
    /// Where each key stands: identity, key.
    keys: HashMap<KeyId, (usize, usize)>,
    quorums: Vec<Quorum>,
}

impl Registry {
    /// A registry of `identities`.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] when a key or name would not mean exactly one identity, or a key is never
    /// valid.
    pub fn new(identities: Vec<Identity>) -> Result<Self, RegistryError> {
        let mut names = HashSet::new();
        let mut keys = HashMap::new();
        for (index, identity) in identities.iter().enumerate() {
            let name = || identity.name.clone();
            if !is_name(&identity.name) {
                return Err(RegistryError::Name);
            }
            if !names.insert(&identity.name) {
                return Err(RegistryError::RepeatedName { name: name() });
            }
            for (position, key) in identity.keys.iter().enumerate() {
                if key
                    .not_before
                    .zip(key.not_after)
                    .is_some_and(|(from, to)| from > to)
                {
                    return Err(RegistryError::NeverValid { name: name() });
                }
                if keys.insert(key.key.id(), (index, position)).is_some() {
                    return Err(RegistryError::RepeatedKey { name: name() });
                }
            }
        }
        Ok(Self {
            identities,
            keys,
            quorums: Vec::new(),
        })
    }

    /// Asks for several signers on some topics, beside what each identity may publish. Where
    /// several rules cover a topic, that with the longest prefix decides.
    ///
    /// # Errors
    ///
    /// [`RegistryError::RepeatedQuorum`], [`RegistryError::UnknownSigner`] or
    /// [`RegistryError::Threshold`].
    pub fn with_quorums(mut self, quorums: Vec<Quorum>) -> Result<Self, RegistryError> {
        let known: HashSet<&str> = self.identities.iter().map(Identity::name).collect();
        let mut prefixes = HashSet::new();
        for quorum in &quorums {
            let prefix = || quorum.prefix().to_owned();
            if !prefixes.insert(quorum.prefix()) {
                return Err(RegistryError::RepeatedQuorum { prefix: prefix() });
            }
            if !quorum.names().iter().all(|name| known.contains(&**name)) {
                return Err(RegistryError::UnknownSigner { prefix: prefix() });
            }
            // A trailer of kind 1 carries 16 signatures at most.
            if !(1..=quorum.names().len().min(16)).contains(&quorum.threshold()) {
                return Err(RegistryError::Threshold { prefix: prefix() });
            }
        }
        self.quorums = quorums;
        Ok(self)
    }

    /// The rule on several signers for `topic`.
    pub(crate) fn quorum(&self, topic: &str) -> Option<&Quorum> {
        let covering = self
            .quorums
            .iter()
            .filter(|quorum| topic.starts_with(quorum.prefix()));
        covering.max_by_key(|quorum| quorum.prefix().len())
    }

    /// The key of that id, and whose it is.
    pub(crate) fn find(&self, key: KeyId) -> Option<KnownKey<'_>> {
        let (identity, position) = *self.keys.get(&key)?;
        let identity = self.identities.get(identity)?;
        Some(KnownKey {
            identity,
            key: identity.keys.get(position)?,
        })
    }
}

/// A key of the registry.
#[derive(Clone, Copy)]
pub(crate) struct KnownKey<'a> {
    pub(crate) identity: &'a Identity,
    key: &'a IdentityKey,
}

impl KnownKey<'_> {
    pub(crate) fn is_not_yet_valid_at(&self, time: Timestamp) -> bool {
        self.key.not_before.is_some_and(|bound| time < bound)
    }

    pub(crate) fn has_expired_at(&self, time: Timestamp) -> bool {
        self.key.not_after.is_some_and(|bound| time > bound)
    }

    pub(crate) fn verifies(&self, octets: &[u8], signature: &[u8; 64]) -> bool {
        self.key.key.verifies(octets, signature)
    }

    pub(crate) fn key(&self) -> &VerifyingKey {
        &self.key.key
    }
}

/// The identities contradict each other or themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A name that no statement can carry.
    #[error("an identity's name has 1 to 255 octets and no control characters")]
    Name,
    /// Two identities have one name.
    #[error("two identities are named `{name}`: give each its own name")]
    RepeatedName {
        /// The name.
        name: String,
    },
    /// A key stands twice.
    #[error("a signing key of `{name}` is listed twice: give each identity its own key, once")]
    RepeatedKey {
        /// The second identity that lists it.
        name: String,
    },
    /// Two rules on several signers are for one prefix.
    #[error("two rules on signers are for the topics `{prefix}`: give each prefix one")]
    RepeatedQuorum {
        /// The prefix.
        prefix: String,
    },
    /// A rule on several signers names somebody who is not listed.
    #[error("the rule on signers for `{prefix}` names an identity that is not listed")]
    UnknownSigner {
        /// The prefix.
        prefix: String,
    },
    /// A rule on several signers cannot be met, or asks for none.
    #[error("the rule on signers for `{prefix}` asks for none, or for more than it names or 16")]
    Threshold {
        /// The prefix.
        prefix: String,
    },
    /// A key's validity ends before it begins.
    #[error("a signing key of `{name}` is never valid: its not_after lies before its not_before")]
    NeverValid {
        /// The identity that lists it.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SigningKey;

    fn key(seed: u8) -> VerifyingKey {
        SigningKey::from_seed(&[seed; 32]).verifying_key()
    }

    #[test]
    fn a_key_is_found_with_its_owner_and_an_unknown_one_is_not() {
        let registry = Registry::new(vec![
            Identity::new("a").with_key(key(1)).with_key(key(2)),
            Identity::new("b").with_key(key(3)),
        ])
        .expect("sound");
        let owner = |seed| {
            registry
                .find(key(seed).id())
                .map(|found| found.identity.name())
        };
        assert_eq!(
            [1, 2, 3, 4].map(owner),
            [Some("a"), Some("a"), Some("b"), None]
        );
    }

    #[test]
    fn contradictions_are_refused() {
        let refusal = |identities| Registry::new(identities).expect_err("refused");
        let name = || "a".to_owned();
        assert_eq!(refusal(vec![Identity::new("")]), RegistryError::Name);
        assert_eq!(refusal(vec![Identity::new("a\t")]), RegistryError::Name);
        let twice = vec![Identity::new("a"), Identity::new("a")];
        assert_eq!(refusal(twice), RegistryError::RepeatedName { name: name() });
        let shared = vec![
            Identity::new("b").with_key(key(1)),
            Identity::new("a").with_key(key(1)),
        ];
        assert_eq!(refusal(shared), RegistryError::RepeatedKey { name: name() });
        let (early, late) = (Timestamp::from_unix_ms(1), Timestamp::from_unix_ms(2));
        let never = vec![Identity::new("a").with_key_valid(key(1), late, early)];
        assert_eq!(refusal(never), RegistryError::NeverValid { name: name() });
        let moment = vec![Identity::new("a").with_key_valid(key(1), late, late)];
        assert!(Registry::new(moment).is_ok());
    }

    #[test]
    fn a_prefix_covers_what_starts_with_it_and_no_prefix_covers_nothing() {
        let identity = Identity::new("a")
            .may_publish("findings/")
            .may_publish("status");
        assert!(identity.covers("findings/") && identity.covers("findings/sast"));
        assert!(identity.covers("status") && identity.covers("status-old"));
        assert!(
            !identity.covers("findings") && !identity.covers("Findings/") && !identity.covers("")
        );
        assert!(!Identity::new("a").covers("") && !Identity::new("a").covers("x"));
        assert!(Identity::new("a").may_publish("").covers("anything"));
    }
}
