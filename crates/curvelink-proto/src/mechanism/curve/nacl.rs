//! The only file that names the crypto crates: X25519, NaCl boxes, the cookie's box, SHA-256,
//! the operating system's random octets.
//!
//! Wire form of a box: the tag (16 octets) before the ciphertext, as NaCl has it. There are two
//! implementations of it: RustCrypto's for all of the handshake, and dryoc's beside it for MESSAGE.

use std::fmt;
use std::marker::PhantomData;

use chacha20poly1305::XChaCha20Poly1305;
use crypto_secretbox::XSalsa20Poly1305;
use crypto_secretbox::aead::generic_array::GenericArray;
use crypto_secretbox::aead::{AeadInPlace, KeyInit};
use crypto_secretbox::consts::{U16, U24, U32};
use dryoc::classic::crypto_box::{
    crypto_box_detached_afternm_inplace, crypto_box_open_detached_afternm_inplace,
};
use rand::RngCore as _;
use salsa20::cipher::consts::U10;
use salsa20::hsalsa;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::error::{EntropyError, MechanismError};
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

/// The u-coordinates of low order, in every form of 255 bits. X25519 ignores the top bit, so each
/// stands for two encodings.
const LOW_ORDER: [[u8; 32]; 7] = [
    // 0
    [
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00,
    ],
    // 1
    [
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00,
    ],
    // of order 8
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    // the other of order 8
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    // p - 1, of order 4
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    // p, another form of 0
    [
        0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    // p + 1, another form of 1
    [
        0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
];

/// Whether a point gives the zero secret with every scalar (RFC 7748, section 6.1). A table, since
/// strangers make us ask: a scalar multiplication would double what their HELLO costs.
pub(crate) fn is_low_order(point: &[u8; 32]) -> bool {
    let mut point = *point;
    // X25519 ignores the top bit (RFC 7748, section 5).
    point[31] &= 0x7f;
    LOW_ORDER.contains(&point)
}

const NO_ROOM: MechanismError = MechanismError::Malformed("box: no room for its tag");

/// A key of the cipher `C`, used as NaCl uses its boxes: 24 octets of nonce, no associated data.
///
/// On the heap, because what is moved leaves a copy behind; wiped when dropped, as each cipher is
/// that is made of it.
pub(crate) struct BoxKey<C> {
    octets: Box<Zeroizing<[u8; 32]>>,
    cipher: PhantomData<fn() -> C>,
}

/// The box between one secret and one public key, X25519 and XSalsa20-Poly1305.
pub(crate) type PairBox = BoxKey<XSalsa20Poly1305>;

/// The box of the server's cookie. RFC 26 leaves its cipher to the server, fixing only its size:
/// XChaCha20-Poly1305 has the same nonce and tag as NaCl's secret box.
pub(crate) type CookieBox = BoxKey<XChaCha20Poly1305>;

impl PairBox {
    /// One scalar multiplication. [`PublicKey`] is never of low order, so the secret is never the
    /// constant one.
    pub(crate) fn new(public: &PublicKey, secret: &SecretKey) -> Self {
        Self::of_octets(public.as_octets(), secret.expose_octets())
    }

    pub(super) fn of_octets(public: &[u8; 32], secret: &[u8; 32]) -> Self {
        let shared = StaticSecret::from(*secret).diffie_hellman(&(*public).into());
        let key = hsalsa::<U10>(shared.as_bytes().into(), &GenericArray::default());
        Self::of_key(&Zeroizing::new(key.into()))
    }

    /// As [`seal`](Self::seal), by dryoc.
    ///
    /// # Errors
    /// As that.
    pub(super) fn seal_by_dryoc(
        &self,
        nonce: &[u8; 24],
        body: &mut [u8],
    ) -> Result<(), MechanismError> {
        let (tag, clear) = body.split_first_chunk_mut::<TAG>().ok_or(NO_ROOM)?;
        crypto_box_detached_afternm_inplace(clear, tag, nonce, &self.octets);
        Ok(())
    }

    /// As [`open`](Self::open), by dryoc.
    pub(super) fn open_by_dryoc<'a>(
        &self,
        nonce: &[u8; 24],
        body: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let (tag, sealed) = body.split_first_chunk_mut::<TAG>()?;
        crypto_box_open_detached_afternm_inplace(sealed, tag, nonce, &self.octets).ok()?;
        Some(sealed)
    }
}

impl CookieBox {
    pub(crate) fn generate(entropy: &mut dyn Entropy) -> Result<Self, EntropyError> {
        let mut key = Zeroizing::new([0; 32]);
        entropy.fill(&mut *key)?;
        Ok(Self::of_key(&key))
    }
}

impl<C> BoxKey<C> {
    pub(super) fn of_key(key: &[u8; 32]) -> Self {
        let mut octets = Box::new(Zeroizing::new([0; 32]));
        octets.copy_from_slice(key);
        Self {
            octets,
            cipher: PhantomData,
        }
    }
}

impl<C: KeyInit<KeySize = U32> + AeadInPlace<NonceSize = U24, TagSize = U16>> BoxKey<C> {
    fn cipher(&self) -> C {
        C::new((&**self.octets).into())
    }

    /// Seals what stands in `body` after its first [`TAG`] octets, and writes the tag there.
    ///
    /// # Errors
    /// [`MechanismError::Malformed`] only for a body without room for the tag.
    pub(crate) fn seal(&self, nonce: &[u8; 24], body: &mut [u8]) -> Result<(), MechanismError> {
        let (tag, clear) = body.split_first_chunk_mut::<TAG>().ok_or(NO_ROOM)?;
        let sealed = self
            .cipher()
            .encrypt_in_place_detached(nonce.into(), b"", clear)
            .map_err(|_| NO_ROOM)?;
        *tag = sealed.into();
        Ok(())
    }

    /// Opens a box in place and gives the clear octets; `None` if it does not open.
    pub(crate) fn open<'a>(&self, nonce: &[u8; 24], body: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (tag, sealed) = body.split_first_chunk_mut::<TAG>()?;
        let tag = GenericArray::from(*tag);
        self.cipher()
            .decrypt_in_place_detached(nonce.into(), b"", sealed, &tag)
            .ok()?;
        Some(sealed)
    }

    /// Appends a box of all `parts`. They are sealed where they are copied to, in room made before:
    /// no clear octet stays behind.
    ///
    /// # Errors
    /// As [`seal`](Self::seal), which cannot happen here.
    pub(crate) fn seal_onto(
        &self,
        nonce: &[u8; 24],
        parts: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<(), MechanismError> {
        let start = out.len();
        out.reserve_exact(TAG + parts.iter().map(|part| part.len()).sum::<usize>());
        out.extend_from_slice(&[0; TAG]);
        for part in parts {
            out.extend_from_slice(part);
        }
        self.seal(nonce, out.get_mut(start..).unwrap_or_default())
    }

    /// Opens a copy of a box, which is wiped when dropped; `None` if it does not open.
    pub(crate) fn open_copy(&self, nonce: &[u8; 24], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (tag, sealed) = sealed.split_first_chunk::<TAG>()?;
        let mut clear = Zeroizing::new(sealed.to_vec());
        self.cipher()
            .decrypt_in_place_detached(nonce.into(), b"", &mut clear, &GenericArray::from(*tag))
            .ok()?;
        Some(clear)
    }
}

impl<C> fmt::Debug for BoxKey<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::curve::backend::{BOX, CLEAR, KEY, NONCE, hex};

    // The keys of RFC 7748, section 6.1, and of NaCl's own tests.
    const ALICE_SECRET: [u8; 32] =
        hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    const ALICE_PUBLIC: [u8; 32] =
        hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    const BOB_SECRET: [u8; 32] =
        hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    const BOB_PUBLIC: [u8; 32] =
        hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    const SHARED: [u8; 32] =
        hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");

    #[test]
    fn x25519_gives_the_values_of_rfc_7748() {
        assert_eq!(public_of(&ALICE_SECRET), ALICE_PUBLIC);
        assert_eq!(public_of(&BOB_SECRET), BOB_PUBLIC);
        for (secret, public) in [(ALICE_SECRET, BOB_PUBLIC), (BOB_SECRET, ALICE_PUBLIC)] {
            let shared = StaticSecret::from(secret).diffie_hellman(&public.into());
            assert_eq!(shared.to_bytes(), SHARED);
        }
    }

    #[test]
    fn a_box_has_the_octets_that_nacl_gives_it() {
        let alice = PairBox::of_octets(&BOB_PUBLIC, &ALICE_SECRET);
        let bob = PairBox::of_octets(&ALICE_PUBLIC, &BOB_SECRET);
        assert_eq!((**alice.octets, **bob.octets), (KEY, KEY));

        let (one, other) = CLEAR.split_at(40);
        let mut sealed = vec![7];
        alice
            .seal_onto(&NONCE, &[one, b"", other], &mut sealed)
            .unwrap();
        assert_eq!(sealed[1..], BOX);

        assert_eq!(*bob.open_copy(&NONCE, &sealed[1..]).unwrap(), CLEAR);
        assert_eq!(*bob.open(&NONCE, &mut sealed[1..]).unwrap(), CLEAR);
    }

    #[test]
    fn a_box_opens_only_whole_under_its_key_and_its_nonce() {
        fn check<C: KeyInit<KeySize = U32> + AeadInPlace<NonceSize = U24, TagSize = U16>>(
            key: &BoxKey<C>,
            other: &BoxKey<C>,
        ) {
            let mut sealed = Vec::new();
            key.seal_onto(&[1; 24], &[b"clear"], &mut sealed).unwrap();
            assert_eq!(**key.open_copy(&[1; 24], &sealed).unwrap(), *b"clear");
            assert!(other.open_copy(&[1; 24], &sealed).is_none());
            assert!(key.open_copy(&[2; 24], &sealed).is_none());
            for length in 0..sealed.len() {
                assert!(key.open_copy(&[1; 24], &sealed[..length]).is_none());
                let mut changed = sealed.clone();
                changed[length] ^= 0x40;
                assert!(key.open_copy(&[1; 24], &changed).is_none());
                assert!(key.open(&[1; 24], &mut changed).is_none());
            }
        }
        let pair = |secret| PairBox::of_octets(&BOB_PUBLIC, &secret);
        check(&pair(ALICE_SECRET), &pair(BOB_SECRET));
        let cookie = || CookieBox::generate(&mut OsEntropy).unwrap();
        check(&cookie(), &cookie());
        assert!(cookie().seal(&[0; 24], &mut [0; TAG - 1]).is_err());
    }

    /// Memory that was freed cannot be looked at without `unsafe`: what can be shown is that the
    /// types that hold secrets of a connection wipe them.
    #[test]
    fn secrets_of_a_connection_are_wiped_when_it_ends() {
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        wiped::<Zeroizing<[u8; 32]>>();
        wiped::<XChaCha20Poly1305>();
        let _held: fn(&PairBox) -> &Zeroizing<[u8; 32]> = |key| &key.octets;
        // These are plain octets, so that all their `drop` can do is to wipe them.
        assert!(std::mem::needs_drop::<XSalsa20Poly1305>());
        assert!(std::mem::needs_drop::<StaticSecret>());
        assert!(!std::mem::needs_drop::<[u8; 32]>());
    }

    #[test]
    fn t11_the_table_of_low_order_points_agrees_with_a_multiplication() {
        let low = |point: [u8; 32]| {
            let point = x25519_dalek::PublicKey::from(point);
            !StaticSecret::from([1; 32])
                .diffie_hellman(&point)
                .was_contributory()
        };
        for point in LOW_ORDER {
            for top in [0, 0x80] {
                let mut point = point;
                point[31] |= top;
                assert!(low(point) && is_low_order(&point));
                for bit in 0..255 {
                    let mut near = point;
                    near[bit / 8] ^= 1 << (bit % 8);
                    assert_eq!(low(near), is_low_order(&near));
                }
            }
        }
    }
}
