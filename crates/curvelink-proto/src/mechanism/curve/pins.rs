//! The server keys that a client pins, and which of them is tried.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::KeyError;
use crate::keys::PublicKey;

/// A round of attempts ends after this many at the latest.
const MAX_PINS: usize = 8;

/// The keys that a server may have, in the order in which they are tried, and what was learnt of
/// the server so far.
#[derive(Debug)]
pub(super) struct Pins {
    first: PublicKey,
    others: Arc<[PublicKey]>,
    trial: Mutex<Trial>,
}

/// Which key is tried, and how many have failed since one was proven or a round was over.
#[derive(Clone, Copy, Debug, Default)]
struct Trial {
    at: usize,
    failed: usize,
}

impl Pins {
    pub(super) fn new(first: PublicKey) -> Self {
        Self::of(first, Arc::new([]))
    }

    fn of(first: PublicKey, others: Arc<[PublicKey]>) -> Self {
        let trial = Mutex::default();
        Self {
            first,
            others,
            trial,
        }
    }

    /// One key more.
    pub(super) fn with(&self, next: PublicKey) -> Result<Self, KeyError> {
        if self.position(&next).is_some() {
            return Err(KeyError::Repeated);
        }
        if self.count() >= MAX_PINS {
            return Err(KeyError::TooMany { most: MAX_PINS });
        }
        let others = self.others.iter().copied().chain([next]);
        Ok(Self::of(self.first, others.collect()))
    }

    /// The same keys for a server of which nothing is known; `None` where there is nothing to learn.
    pub(super) fn afresh(&self) -> Option<Self> {
        (self.count() > 1).then(|| Self::of(self.first, Arc::clone(&self.others)))
    }

    fn count(&self) -> usize {
        1 + self.others.len()
    }

    fn position(&self, key: &PublicKey) -> Option<usize> {
        std::iter::once(&self.first)
            .chain(&*self.others)
            .position(|known| known == key)
    }

    /// The key that the next handshake tries.
    pub(super) fn tried(&self) -> PublicKey {
        let at = self.trial(|trial| trial.at);
        let other = at.checked_sub(1).and_then(|at| self.others.get(at));
        *other.unwrap_or(&self.first)
    }

    /// The server has proven this key: the next handshake begins with it.
    pub(super) fn proven(&self, key: &PublicKey) {
        let at = self.position(key).unwrap_or_default();
        self.trial(|trial| *trial = Trial { at, failed: 0 });
    }

    /// The server does not have the key that was tried: the next is tried now. Whether it was not
    /// yet, in this round.
    pub(super) fn next(&self) -> bool {
        let all = self.count();
        self.trial(|trial| {
            trial.at = (trial.at + 1) % all;
            trial.failed = (trial.failed + 1) % all;
            trial.failed != 0
        })
    }

    fn trial<T>(&self, act: impl FnOnce(&mut Trial) -> T) -> T {
        act(&mut self.trial.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
