//! Which topics are signed, and how.

use std::collections::BTreeMap;

/// How the messages of a topic are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignMode {
    /// Not at all: the connection is all that vouches for the sender.
    None,
    /// Each by itself, at once.
    #[default]
    Each,
    /// By the batch: see [`BatchSigner`](crate::BatchSigner).
    Batch,
}

impl SignMode {
    /// The name in settings: `none`, `each` or `batch`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Each => "each",
            Self::Batch => "batch",
        }
    }

    /// The mode of that name; any other text has none.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Each, Self::Batch]
            .into_iter()
            .find(|mode| mode.name() == name)
    }
}

/// A mode for each prefix of topics; the longest prefix that a topic starts with decides.
///
/// A topic that no prefix covers is signed each, and its messages need a signature: what was
/// forgotten is not unsigned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignPolicy {
    modes: BTreeMap<Vec<u8>, SignMode>,
}

impl SignPolicy {
    /// Every topic in `mode`.
    pub fn all(mode: SignMode) -> Self {
        Self::default().with("", mode)
    }

    /// Topics that start with `prefix` in `mode`, compared octet by octet. The same prefix again
    /// replaces its mode.
    #[must_use]
    pub fn with(mut self, prefix: impl Into<Vec<u8>>, mode: SignMode) -> Self {
        self.modes.insert(prefix.into(), mode);
        self
    }

    /// How messages of `topic` are signed.
    ///
    /// Cost: a search for each octet of the topic that a prefix can have.
    pub fn mode(&self, topic: &[u8]) -> SignMode {
        let longest = self
            .modes
            .keys()
            .map(Vec::len)
            .max()
            .unwrap_or(0)
            .min(topic.len());
        (0..=longest)
            .rev()
            .find_map(|length| self.modes.get(topic.get(..length)?))
            .copied()
            .unwrap_or_default()
    }

    /// Whether a receiver delivers a message of `topic` only when it is verified: signed by itself or
    /// by the batch, since either proves the same. Where not, a last frame that looks like a trailer
    /// is a frame like any other.
    pub fn requires_signature(&self, topic: &[u8]) -> bool {
        self.mode(topic) != SignMode::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_decides_and_what_none_covers_is_signed_each() {
        let policy = SignPolicy::default()
            .with("findings/", SignMode::Batch)
            .with("findings/secret/", SignMode::Each)
            .with("metrics", SignMode::None);
        for (topic, mode) in [
            ("findings/sast", SignMode::Batch),
            ("findings/", SignMode::Batch),
            ("findings/secret/x", SignMode::Each),
            ("findings/secret", SignMode::Batch),
            ("findings", SignMode::Each),
            ("Findings/sast", SignMode::Each),
            ("metrics/cpu", SignMode::None),
            ("metric", SignMode::Each),
            ("", SignMode::Each),
        ] {
            assert_eq!(policy.mode(topic.as_bytes()), mode, "{topic}");
            assert_eq!(
                policy.requires_signature(topic.as_bytes()),
                mode != SignMode::None
            );
        }
        assert_eq!(SignPolicy::default().mode(b"any"), SignMode::Each);
        assert_eq!(SignPolicy::all(SignMode::None).mode(b"any"), SignMode::None);
        let replaced = SignPolicy::all(SignMode::None).with("", SignMode::Batch);
        assert_eq!(replaced.mode(b""), SignMode::Batch);
    }

    #[test]
    fn a_mode_has_one_name() {
        for mode in [SignMode::None, SignMode::Each, SignMode::Batch] {
            assert_eq!(SignMode::from_name(mode.name()), Some(mode));
        }
        for other in ["", "None", "each ", "seal"] {
            assert_eq!(SignMode::from_name(other), None);
        }
    }
}
