//! The keys that a server answers to: the one in force, and the next while clients change over.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::KeyError;
use crate::keys::{KeyPair, PublicKey};

/// The keys that a CURVE server answers to: the current one and, while clients change over, the
/// next. A handle: clones share the keys, and those of a socket in use are
/// [replaced](Self::replace) through one.
///
/// A client seals its first command to the one key that it pins, and the server tries the current
/// key, then the next. The key that opens it is the server's for that connection:
/// [`Peer::our_key`](crate::Peer::our_key) tells it. A stranger costs one scalar multiplication
/// more while there are two.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use curvelink_proto::{Curve, KeyPair, OsEntropy, ServerKeys};
/// let (old, new) = (KeyPair::generate(&mut OsEntropy)?, KeyPair::generate(&mut OsEntropy)?);
/// let keys = ServerKeys::new(old).with_next(new.duplicate())?;
/// let mechanism = Curve::server(keys.clone());
/// // Later, once no client pins the old one any more:
/// keys.replace(new, None)?;
/// assert_eq!(keys.next(), None);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ServerKeys(Arc<Mutex<Held>>);

/// The keys at one moment. Wiped when they are replaced and the last handshake under them is over.
#[derive(Clone)]
pub(super) struct Held {
    current: Arc<KeyPair>,
    next: Option<Arc<KeyPair>>,
}

impl ServerKeys {
    /// One key.
    #[must_use]
    pub fn new(current: KeyPair) -> Self {
        Self(Arc::new(Mutex::new(Held {
            current: Arc::new(current),
            next: None,
        })))
    }

    /// Answers to a second key too; one that was there before is given up.
    ///
    /// # Errors
    /// [`KeyError::Repeated`] if it is the current one.
    pub fn with_next(self, next: KeyPair) -> Result<Self, KeyError> {
        let current = self.held().current.duplicate();
        self.replace(current, Some(next))?;
        Ok(self)
    }

    /// Replaces all keys at once, on every socket that uses this handle or a clone of it. Links
    /// that are up stay up, and a handshake that is under way ends under the keys that it began
    /// with.
    ///
    /// # Errors
    /// [`KeyError::Repeated`] if the two are one key: the keys stay as they were.
    pub fn replace(&self, current: KeyPair, next: Option<KeyPair>) -> Result<(), KeyError> {
        if next
            .as_ref()
            .is_some_and(|next| next.public() == current.public())
        {
            return Err(KeyError::Repeated);
        }
        let held = Held {
            current: Arc::new(current),
            next: next.map(Arc::new),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
        Ok(())
    }

    /// The current key.
    #[must_use]
    pub fn current(&self) -> PublicKey {
        self.held().current.public()
    }

    /// The next key, while there are two.
    #[must_use]
    pub fn next(&self) -> Option<PublicKey> {
        self.held().next.map(|keys| keys.public())
    }

    pub(super) fn held(&self) -> Held {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Held {
    /// The current key before the next.
    pub(super) fn each(&self) -> impl Iterator<Item = &Arc<KeyPair>> {
        std::iter::once(&self.current).chain(&self.next)
    }
}

impl From<KeyPair> for ServerKeys {
    fn from(current: KeyPair) -> Self {
        Self::new(current)
    }
}

impl fmt::Debug for ServerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held().fmt(f)
    }
}

/// `Debug` shows the fingerprints.
impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprints = self.each().map(|keys| keys.public().fingerprint());
        f.debug_list().entries(fingerprints).finish()
    }
}
