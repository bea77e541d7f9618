//! Where random octets come from. Passed in, so that a handshake can be replayed octet for octet.

use crate::error::EntropyError;
pub use crate::mechanism::curve::nacl::OsEntropy;

/// A source of random octets for keys, nonces and cookies.
pub trait Entropy: Send {
    /// Fills the whole slice.
    ///
    /// # Errors
    /// [`EntropyError`] when the source fails: the caller makes no key and no handshake then.
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), EntropyError>;
}
