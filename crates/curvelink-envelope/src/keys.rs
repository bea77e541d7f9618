//! Ed25519 keys (RFC 8032) in the two files that OpenSSL reads and writes.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ed25519_dalek::Signer as _;
use rand::RngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::hex;
use crate::pem::{self, PemError};

/// PKCS#8 version 1 (RFC 8410, section 7) around the 32 octets of an Ed25519 seed.
const PKCS8_PREFIX: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
/// SubjectPublicKeyInfo (RFC 8410, section 4) around the 32 octets of an Ed25519 public key.
const SPKI_PREFIX: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// The secret half of an Ed25519 key; wiped from memory when dropped.
///
/// It is not `Clone`, its `Debug` shows the public fingerprint only, and it always signs for the
/// public key that it computed itself: there is no way to give it a foreign one.
pub struct SigningKey {
    inner: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

impl SigningKey {
    /// A new key from the operating system's random numbers.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoRandomness`] when the operating system has none to give.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        OsRng
            .try_fill_bytes(seed.as_mut())
            .map_err(|_| KeyError::NoRandomness)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of a 32-octet seed (what RFC 8032 calls the private key). The caller wipes its own
    /// copy.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let inner = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = VerifyingKey::of(inner.verifying_key());
        Self { inner, public }
    }

    /// Reads `-----BEGIN PRIVATE KEY-----`, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the text holds anything but one unencrypted Ed25519 key in PKCS#8
    /// version 1.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem::decode(PRIVATE, text)?;
        let seed = der
            .strip_prefix(&PKCS8_PREFIX)
            .ok_or(KeyError::NotEd25519)?;
        Ok(Self::from_seed(
            seed.try_into().map_err(|_| KeyError::NotEd25519)?,
        ))
    }

    /// The key as `-----BEGIN PRIVATE KEY-----`, for a file that nobody else can read.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut der = Zeroizing::new([0; 48]);
        let (prefix, seed) = der.split_at_mut(PKCS8_PREFIX.len());
        prefix.copy_from_slice(&PKCS8_PREFIX);
        seed.copy_from_slice(self.inner.as_bytes());
        pem::encode(PRIVATE, &*der)
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public
    }

    pub(crate) fn sign(&self, octets: &[u8]) -> [u8; 64] {
        self.inner.sign(octets).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.fingerprint())
    }
}

/// The public half of an Ed25519 key, checked to be one that a signature can be trusted under.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey {
    inner: ed25519_dalek::VerifyingKey,
    id: KeyId,
}

impl VerifyingKey {
    /// The key of 32 octets (RFC 8032, section 5.1.2).
    ///
    /// # Errors
    ///
    /// [`KeyError::Weak`] for octets that are no point of the curve, a second spelling of a point,
    /// or a point with a small-order part: under such keys one signature can fit many messages,
    /// and verifiers disagree about it.
    pub fn from_octets(octets: &[u8; 32]) -> Result<Self, KeyError> {
        let inner = ed25519_dalek::VerifyingKey::from_bytes(octets).map_err(|_| KeyError::Weak)?;
        // Of the points that have a second spelling (y below 19), only the identity has no
        // small-order part, and it is weak: so what passes here has one spelling.
        if inner.is_weak() || !inner.to_edwards().is_torsion_free() {
            return Err(KeyError::Weak);
        }
        Ok(Self::of(inner))
    }

    /// Reads `-----BEGIN PUBLIC KEY-----`, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the text holds anything but one Ed25519 key, or holds a weak one.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = pem::decode(PUBLIC, text)?;
        let octets = der.strip_prefix(&SPKI_PREFIX).ok_or(KeyError::NotEd25519)?;
        Self::from_octets(octets.try_into().map_err(|_| KeyError::NotEd25519)?)
    }

    /// The key as `-----BEGIN PUBLIC KEY-----`.
    pub fn to_pem(&self) -> String {
        std::mem::take(&mut *pem::encode(PUBLIC, &spki(&self.inner)))
    }

    /// The 32 octets of the key.
    pub fn as_octets(&self) -> &[u8; 32] {
        self.inner.as_bytes()
    }

    /// What an envelope names the key by.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What a person compares: `SHA256:` and the id in base64, as `ssh-keygen -l` writes it.
    pub fn fingerprint(&self) -> String {
        self.id.fingerprint()
    }

    /// Whether `signature` over `octets` was made with this key, by the strict rules: canonical
    /// numbers and no small-order point, so that every verifier agrees.
    pub(crate) fn verifies(&self, octets: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.inner.verify_strict(octets, &signature).is_ok()
    }

    fn of(inner: ed25519_dalek::VerifyingKey) -> Self {
        Self {
            inner,
            id: KeyId(Sha256::digest(spki(&inner)).into()),
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.fingerprint())
    }
}

fn spki(key: &ed25519_dalek::VerifyingKey) -> [u8; 44] {
    let mut der = [0; 44];
    let (prefix, octets) = der.split_at_mut(SPKI_PREFIX.len());
    prefix.copy_from_slice(&SPKI_PREFIX);
    octets.copy_from_slice(key.as_bytes());
    der
}

/// The name of a public key: SHA-256 of its SubjectPublicKeyInfo in DER.
///
/// Displays as, and parses from, 64 lower-case hexadecimal digits: what
/// `openssl pkey -pubin -in key.pem -outform DER | sha256sum` prints. It is a hint that finds the
/// key; it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) [u8; 32]);

impl KeyId {
    /// The 32 octets of the digest.
    pub fn as_octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// The same digest for people: `SHA256:` and base64 without padding.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        hex::decode(text).map(Self).ok_or(KeyError::NotAKeyId)
    }
}

/// A key cannot be read, made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file is no PEM file of the kind that was asked for.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The PEM block holds another kind of key, or another encoding of it.
    #[error("not an ed25519 key in plain pkcs#8 or spki form: make one with `openssl genpkey`")]
    NotEd25519,
    /// The public key is not a point of the prime-order group in its one spelling.
    #[error("weak or invalid ed25519 public key: nobody can be identified by it, make a new one")]
    Weak,
    /// A key id is 64 lower-case hexadecimal digits.
    #[error("not a key id: expected 64 lower-case hexadecimal digits")]
    NotAKeyId,
    /// The operating system gave no random numbers.
    #[error("the operating system gave no random numbers: no key was made")]
    NoRandomness,
}

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1: seed, public key.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    /// The same two as OpenSSL 3.0 writes them.
    const SECRET_PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";
    const PUBLIC_PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
        -----END PUBLIC KEY-----\n";

    fn octets(text: &str) -> [u8; 32] {
        hex::decode(text).expect("64 digits")
    }

    #[test]
    fn a_seed_has_its_published_public_key_and_pem_forms() {
        let key = SigningKey::from_seed(&octets(SEED));
        assert_eq!(key.verifying_key().as_octets(), &octets(PUBLIC_KEY));
        assert_eq!(*key.to_pem(), SECRET_PEM);
        assert_eq!(key.verifying_key().to_pem(), PUBLIC_PEM);
        let read = SigningKey::from_pem(SECRET_PEM).expect("own form");
        assert_eq!(read.verifying_key(), key.verifying_key());
        assert_eq!(
            VerifyingKey::from_pem(PUBLIC_PEM).expect("own form"),
            key.verifying_key()
        );
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let x25519 = PUBLIC_PEM.replace("MCowBQYDK2Vw", "MCowBQYDK2Vu");
        assert_eq!(VerifyingKey::from_pem(&x25519), Err(KeyError::NotEd25519));
        let short = pem::encode(PUBLIC, &SPKI_PREFIX);
        assert_eq!(VerifyingKey::from_pem(&short), Err(KeyError::NotEd25519));
        assert!(SigningKey::from_pem(PUBLIC_PEM).is_err());
        assert!(VerifyingKey::from_pem(SECRET_PEM).is_err());
    }

    #[test]
    fn debug_of_a_secret_shows_the_public_fingerprint_only() {
        let key = SigningKey::from_seed(&octets(SEED));
        let shown = format!("{key:?}");
        assert_eq!(
            shown,
            format!("SigningKey({})", key.verifying_key().fingerprint())
        );
        assert!(!shown.contains("9d61b1"));
    }

    #[test]
    fn two_generated_keys_differ() {
        let keys = [(); 2].map(|()| SigningKey::generate().expect("randomness"));
        assert_ne!(keys[0].verifying_key(), keys[1].verifying_key());
    }

    /// Every encoding of the eight small-order points, the non-canonical ones included.
    #[test]
    fn weak_public_keys_are_refused() {
        for text in [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ] {
            assert_eq!(
                VerifyingKey::from_octets(&octets(text)),
                Err(KeyError::Weak),
                "{text}"
            );
        }
    }

    #[test]
    fn octets_that_are_no_point_and_points_spelt_twice_are_refused() {
        let not_a_point = "0200000000000000000000000000000000000000000000000000000000000000";
        assert_eq!(
            VerifyingKey::from_octets(&octets(not_a_point)),
            Err(KeyError::Weak)
        );
        // p + y for each y below 19: every number that 255 bits can hold twice, with either sign.
        for (y, sign) in (0..19).flat_map(|y| [(y, 0x7f), (y, 0xff)]) {
            let mut twice = [0xff; 32];
            twice[0] = 0xed + y;
            twice[31] = sign;
            assert_eq!(
                VerifyingKey::from_octets(&twice),
                Err(KeyError::Weak),
                "{y}"
            );
        }
    }

    #[test]
    fn a_point_with_a_small_order_part_is_refused() {
        let good = SigningKey::from_seed(&octets(SEED))
            .inner
            .verifying_key()
            .to_edwards();
        let order_4 = ed25519_dalek::VerifyingKey::from_bytes(&[0; 32]).expect("y = 0");
        let mixed = (good + order_4.to_edwards()).compress().to_bytes();
        assert!(ed25519_dalek::VerifyingKey::from_bytes(&mixed).is_ok_and(|key| !key.is_weak()));
        assert_eq!(VerifyingKey::from_octets(&mixed), Err(KeyError::Weak));
    }

    #[test]
    fn a_signature_holds_for_its_octets_and_key_only() {
        let key = SigningKey::from_seed(&octets(SEED));
        let other = SigningKey::from_seed(&[1; 32]).verifying_key();
        let signature = key.sign(b"statement");
        assert!(key.verifying_key().verifies(b"statement", &signature));
        assert!(!key.verifying_key().verifies(b"Statement", &signature));
        assert!(!other.verifies(b"statement", &signature));
    }

    /// The little-endian number in `octets` modulo the group's order.
    fn scalar<S: Copy + From<u64> + std::ops::Add<Output = S> + std::ops::Mul<Output = S>>(
        octets: &[u8],
        _like: S,
    ) -> S {
        let digit = |octet: &u8| S::from(u64::from(*octet));
        octets
            .iter()
            .rev()
            .fold(S::from(0), |sum, octet| sum * S::from(256) + digit(octet))
    }

    /// The owner of a key can make such a signature, and verifiers disagree about it.
    #[test]
    fn a_signature_with_a_small_order_point_is_refused_though_the_plain_check_lets_it_pass() {
        let key = SigningKey::from_seed(&octets(SEED));
        let mut point = [0; 32];
        point[0] = 1;
        let public = key.verifying_key();
        let hashed = [point.as_slice(), public.as_octets(), b"statement"].concat();
        let secret = key.inner.to_scalar();
        let number = scalar(&sha2::Sha512::digest(hashed), secret) * secret;
        let signature = ed25519_dalek::Signature::from_components(point, number.to_bytes());
        assert!(ed25519_dalek::Verifier::verify(&public.inner, b"statement", &signature).is_ok());
        assert!(!public.verifies(b"statement", &signature.to_bytes()));
    }

    #[test]
    fn a_key_id_comes_back_from_its_text() {
        let id = SigningKey::from_seed(&octets(SEED)).verifying_key().id();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(
            id.to_string().to_uppercase().parse::<KeyId>(),
            Err(KeyError::NotAKeyId)
        );
    }
}
