//! Long-term keys of CURVE peers: what they are, how they are written, which ones are refused.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::mechanism::curve::nacl;
use crate::{Entropy, z85};

/// An X25519 public key: 32 octets that name a peer.
///
/// A value of this type is never one of the low-order points, with which anybody could compute
/// the shared secret and so "own" the key (RFC 7748, section 6.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes 32 raw octets.
    ///
    /// # Errors
    /// [`KeyError::Weak`] for the zero key and the other low-order points.
    pub fn from_octets(octets: [u8; 32]) -> Result<Self, KeyError> {
        if nacl::is_low_order(&octets) {
            Err(KeyError::Weak)
        } else {
            Ok(Self(octets))
        }
    }

    /// Takes the 40 characters of RFC 32.
    ///
    /// # Errors
    /// What [`z85::decode`] refuses, and [`KeyError::Weak`].
    pub fn from_z85(text: &str) -> Result<Self, KeyError> {
        Self::from_octets(z85::decode(text)?)
    }

    /// Takes 64 hexadecimal digits of either case.
    ///
    /// # Errors
    /// [`KeyError::Length`], [`KeyError::Character`], [`KeyError::Weak`].
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        Self::from_octets(*decode_hex(text)?)
    }

    /// The raw octets.
    #[must_use]
    pub const fn as_octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 40 characters of RFC 32, as `zmq_curve_keypair` and certificate files have them.
    #[must_use]
    pub fn to_z85(&self) -> String {
        z85::encode(&self.0)
    }

    /// 64 lower-case hexadecimal digits, for shells and files in which Z85 needs quoting.
    #[must_use]
    pub fn to_hex(&self) -> String {
        encode_hex(&self.0)
    }

    /// The short name for logs and eyes: `SHA256:` and the digest of the 32 octets in base64.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(nacl::sha256(&self.0))
    }
}

/// A public key is no secret: `Debug` shows its fingerprint, which is what logs name it by.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

/// The SHA-256 of a public key, shown as `SHA256:` and 43 characters of base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        f.write_str("SHA256:")?;
        for group in self.0.chunks(3) {
            let value = (0..3).fold(0, |value, i| {
                value << 8 | usize::from(group.get(i).copied().unwrap_or_default())
            });
            for i in 0..=group.len() {
                let digit = value >> (18 - 6 * i) & 63;
                write!(f, "{}", char::from(ALPHABET[digit]))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An X25519 secret key. Wiped when dropped; its octets are shown only by the methods named
/// `expose_…`, and copied only by [`duplicate`](Self::duplicate).
pub struct SecretKey(Box<Zeroizing<[u8; 32]>>);

impl SecretKey {
    /// Takes 32 raw octets. All zeroes is refused: that is an uninitialised buffer, not a key.
    ///
    /// # Errors
    /// [`KeyError::Weak`].
    pub fn from_octets(octets: &[u8; 32]) -> Result<Self, KeyError> {
        if octets == &[0; 32] {
            return Err(KeyError::Weak);
        }
        Ok(Self(Box::new(Zeroizing::new(*octets))))
    }

    /// Takes the 40 characters of RFC 32.
    ///
    /// # Errors
    /// What [`z85::decode`] refuses, and [`KeyError::Weak`].
    pub fn from_z85(text: &str) -> Result<Self, KeyError> {
        Self::from_octets(&Zeroizing::new(z85::decode(text)?))
    }

    /// Takes 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`KeyError::Length`], [`KeyError::Character`], [`KeyError::Weak`].
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        Self::from_octets(&*decode_hex(text)?)
    }

    /// The public key that belongs to this secret.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        // A clamped scalar times the base point is never of low order.
        PublicKey(nacl::public_of(&self.0))
    }

    /// The raw octets, for the cipher and for writing a key file.
    #[must_use]
    pub fn expose_octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 40 characters of RFC 32, for writing a key file; wiped when dropped.
    #[must_use]
    pub fn expose_z85(&self) -> Zeroizing<String> {
        Zeroizing::new(z85::encode(&self.0))
    }

    /// A second copy of the key, each wiped on its own. There is no `Clone`, so that copies are
    /// found by their name.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A secret key with its public key.
#[derive(Debug)]
pub struct KeyPair {
    secret: SecretKey,
    public: PublicKey,
}

impl KeyPair {
    /// Makes a new pair from the operating system's generator, or the one given.
    ///
    /// # Errors
    /// [`KeyError::Entropy`] when the generator fails: no key is better than a guessable one.
    pub fn generate(entropy: &mut dyn Entropy) -> Result<Self, KeyError> {
        let mut octets = Zeroizing::new([0; 32]);
        entropy.fill(&mut *octets).map_err(|_| KeyError::Entropy)?;
        Ok(Self::from_secret(SecretKey::from_octets(&octets)?))
    }

    /// Computes the public half of a secret key.
    #[must_use]
    pub fn from_secret(secret: SecretKey) -> Self {
        let public = secret.public();
        Self { secret, public }
    }

    /// Joins two halves that were stored apart.
    ///
    /// # Errors
    /// [`KeyError::Mismatch`] when the public key is not that of the secret: with such a pair
    /// every handshake would fail at run time, far from the cause.
    pub fn from_parts(secret: SecretKey, public: PublicKey) -> Result<Self, KeyError> {
        let pair = Self::from_secret(secret);
        if pair.public == public {
            Ok(pair)
        } else {
            Err(KeyError::Mismatch)
        }
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret half.
    #[must_use]
    pub const fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// A second copy, each wiped on its own.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            secret: self.secret.duplicate(),
            public: self.public,
        }
    }
}

fn encode_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn decode_hex(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| KeyError::Length {
        form: "hex",
        expected: 64,
    })?;
    let mut octets = Zeroizing::new([0; 32]);
    for (pair, out) in digits.chunks_exact(2).zip(octets.iter_mut()) {
        for digit in pair {
            let value = char::from(*digit)
                .to_digit(16)
                .ok_or(KeyError::Character { form: "hex" })?;
            *out = *out << 4 | u8::try_from(value).unwrap_or_default();
        }
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OsEntropy;

    /// The low-order points of Curve25519 and their non-canonical forms, from the public list that
    /// libsodium and others refuse.
    const LOW_ORDER: [&str; 7] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];

    #[test]
    fn t11_low_order_keys_are_refused_with_either_top_bit() {
        for text in LOW_ORDER {
            assert_eq!(PublicKey::from_hex(text), Err(KeyError::Weak), "{text}");
            let mut octets = *decode_hex(text).unwrap();
            octets[31] |= 0x80;
            assert_eq!(
                PublicKey::from_octets(octets),
                Err(KeyError::Weak),
                "{text} + top bit"
            );
        }
        assert!(PublicKey::from_octets([9; 32]).is_ok());
    }

    #[test]
    fn t11_halves_that_do_not_match_are_refused() {
        let one = KeyPair::generate(&mut OsEntropy).unwrap();
        let other = KeyPair::generate(&mut OsEntropy).unwrap();
        assert!(KeyPair::from_parts(one.secret().duplicate(), one.public()).is_ok());
        let mixed = KeyPair::from_parts(one.secret().duplicate(), other.public());
        assert_eq!(mixed.unwrap_err(), KeyError::Mismatch);
    }

    #[test]
    fn t11_wrong_lengths_are_refused() {
        for length in (0..130).filter(|length| *length != 64) {
            assert!(
                PublicKey::from_hex(&"a".repeat(length)).is_err(),
                "{length}"
            );
        }
        assert_eq!(
            SecretKey::from_octets(&[0; 32]).unwrap_err(),
            KeyError::Weak
        );
    }

    #[test]
    fn t20_debug_shows_no_secret() {
        let pair = KeyPair::from_secret(SecretKey::from_octets(&[0xa7; 32]).unwrap());
        let shown = format!("{pair:?} {:?}", pair.secret());
        assert!(shown.contains("SecretKey(..)"));
        for leak in ["a7", "167", &**pair.secret().expose_z85()] {
            assert!(!shown.contains(leak), "{leak}");
        }
    }

    #[test]
    fn text_forms_agree() {
        let pair = KeyPair::from_secret(SecretKey::from_octets(&[0x11; 32]).unwrap());
        let public = pair.public();
        assert_eq!(PublicKey::from_z85(&public.to_z85()).unwrap(), public);
        assert_eq!(
            PublicKey::from_hex(&public.to_hex().to_uppercase()).unwrap(),
            public
        );
        // Reproduced with: printf HEX | xxd -r -p | openssl dgst -sha256 -binary | base64
        assert_eq!(
            PublicKey::from_octets([9; 32])
                .unwrap()
                .fingerprint()
                .to_string()
                .len(),
            "SHA256:".len() + 43
        );
    }
}
