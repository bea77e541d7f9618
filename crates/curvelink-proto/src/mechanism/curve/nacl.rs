//! The only file that names the crypto crates: X25519, NaCl boxes, the cookie's box, SHA-256,
//! the operating system's random octets.
//!
//! Wire form of a box: the tag (16 octets) before the ciphertext, as NaCl has it.

use chacha20poly1305::{AeadInPlace as _, KeyInit as _, XChaCha20Poly1305};
use crypto_box::SalsaBox;
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize as _, Zeroizing};

use crate::entropy::Entropy;
use crate::error::{EntropyError, KeyError};
use crate::keys::{PublicKey, SecretKey};

/// The length of a box's tag, octets.
pub(crate) const TAG: usize = 16;

/// The operating system's generator, the only source for keys and nonces outside tests.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has no state")]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, octets: &mut [u8]) -> Result<(), EntropyError> {
        rand::rngs::OsRng
            .try_fill_bytes(octets)
            .map_err(|_| EntropyError)
    }
}

pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    Sha256::digest(octets).into()
}

/// Whether two values of one length are equal, in constant time.
pub(crate) fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

pub(crate) fn public_of(secret: &[u8; 32]) -> [u8; 32] {
    x25519_dalek::PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// Whether a point gives the zero secret with every scalar (RFC 7748, section 6.1). A clamped
/// scalar is a multiple of the cofactor, so one multiplication tells.
pub(crate) fn is_low_order(point: &[u8; 32]) -> bool {
    let scalar = StaticSecret::from([1; 32]);
    !scalar
        .diffie_hellman(&x25519_dalek::PublicKey::from(*point))
        .was_contributory()
}

/// A precomputed NaCl box between one secret and one public key.
pub(crate) struct PairBox(SalsaBox);

impl PairBox {
    /// One scalar multiplication. [`PublicKey`] is never of low order, so the secret is never the
    /// constant one.
    pub(crate) fn new(public: &PublicKey, secret: &SecretKey) -> Self {
        let secret = crypto_box::SecretKey::from(*secret.expose_octets());
        Self(SalsaBox::new(
            &crypto_box::PublicKey::from(*public.as_octets()),
            &secret,
        ))
    }

    /// Seals what stands in `body` after its first [`TAG`] octets, and writes the tag there.
    /// `None` only for a body without room for the tag.
    pub(crate) fn seal(&self, nonce: &[u8; 24], body: &mut [u8]) -> Option<()> {
        let (tag, clear) = body.split_at_mut_checked(TAG)?;
        let sealed = self
            .0
            .encrypt_in_place_detached(nonce.into(), b"", clear)
            .ok()?;
        tag.copy_from_slice(&sealed);
        Some(())
    }

    /// Opens a box in place and gives the clear octets; `None` if it does not open.
    pub(crate) fn open<'a>(&self, nonce: &[u8; 24], body: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (tag, sealed) = body.split_at_mut_checked(TAG)?;
        let tag = crypto_box::aead::Tag::<SalsaBox>::clone_from_slice(tag);
        self.0
            .decrypt_in_place_detached(nonce.into(), b"", sealed, &tag)
            .ok()?;
        Some(sealed)
    }
}

/// The box of the server's cookie. RFC 26 leaves its cipher to the server, fixing only its size:
/// XChaCha20-Poly1305 has the same nonce and tag as NaCl's secret box.
pub(crate) struct CookieBox(Zeroizing<[u8; 32]>);

impl CookieBox {
    pub(crate) fn generate(entropy: &mut dyn Entropy) -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; 32]);
        entropy.fill(&mut *key).map_err(|_| KeyError::Entropy)?;
        Ok(Self(key))
    }

    /// Seals what stands in `body` after its first [`TAG`] octets.
    pub(crate) fn seal(&self, nonce: &[u8; 24], body: &mut [u8]) -> Option<()> {
        let (tag, clear) = body.split_at_mut_checked(TAG)?;
        let cipher = XChaCha20Poly1305::new((&*self.0).into());
        let sealed = cipher
            .encrypt_in_place_detached(nonce.into(), b"", clear)
            .ok()?;
        tag.copy_from_slice(&sealed);
        Some(())
    }

    /// Opens a cookie; `None` if it does not open.
    pub(crate) fn open<'a>(&self, nonce: &[u8; 24], body: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (tag, sealed) = body.split_at_mut_checked(TAG)?;
        let tag = chacha20poly1305::Tag::clone_from_slice(tag);
        let cipher = XChaCha20Poly1305::new((&*self.0).into());
        cipher
            .decrypt_in_place_detached(nonce.into(), b"", sealed, &tag)
            .ok()?;
        Some(sealed)
    }
}

/// Overwrites octets that held a secret.
pub(crate) fn wipe(octets: &mut [u8]) {
    octets.zeroize();
}
