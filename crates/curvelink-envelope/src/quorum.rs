//! Topics that need several signers: two persons for one action.

use std::collections::HashSet;

/// At least `threshold` of the identities `names` must sign a message whose topic starts with
/// `prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    prefix: String,
    threshold: usize,
    names: HashSet<String>,
}

impl Quorum {
    /// A rule for the topics that start with `prefix`, compared octet by octet. Whether it can be
    /// met, [`Registry::with_quorums`](crate::Registry::with_quorums) says.
    pub fn new<S: Into<String>>(
        prefix: impl Into<String>,
        threshold: usize,
        names: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            prefix: prefix.into(),
            threshold,
            names: names.into_iter().map(Into::into).collect(),
        }
    }

    /// The beginning of the topics that it is for.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn threshold(&self) -> usize {
        self.threshold
    }

    pub(crate) fn names(&self) -> &HashSet<String> {
        &self.names
    }

    /// How many of the rule's identities are among `signers`. Two keys of one identity are one.
    pub(crate) fn count<'a>(&self, signers: impl Iterator<Item = &'a str>) -> usize {
        let present: HashSet<&str> = signers.filter(|name| self.names.contains(*name)).collect();
        present.len()
    }
}
