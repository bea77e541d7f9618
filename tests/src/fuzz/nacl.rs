//! Boxes by hand, for attackers that have keys and make every command themselves.

use crypto_secretbox::aead::generic_array::GenericArray;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Key, XSalsa20Poly1305};
use salsa20::cipher::consts::U10;
use salsa20::hsalsa;
use x25519_dalek::{PublicKey, StaticSecret};

/// Points with which every secret gives the same box: 0, 1, p - 1, and p, another form of 0.
pub(crate) const WEAK: [[u8; 32]; 4] = [[0; 32], one(), beside_p(0xec), beside_p(0xed)];

const fn one() -> [u8; 32] {
    let mut octets = [0; 32];
    octets[0] = 1;
    octets
}

const fn beside_p(first: u8) -> [u8; 32] {
    let mut octets = [0xff; 32];
    (octets[0], octets[31]) = (first, 0x7f);
    octets
}

pub(crate) fn public(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// A nonce: a prefix of 8 or 16 octets, and the rest.
pub(crate) fn nonce(prefix: &str, rest: &[u8]) -> [u8; 24] {
    let octets = [prefix.as_bytes(), rest].concat();
    octets.try_into().expect("24 octets")
}

/// The box between a public and a secret key.
pub(crate) struct PairBox(XSalsa20Poly1305);

impl PairBox {
    pub(crate) fn new(public: &[u8; 32], secret: &[u8; 32]) -> Self {
        let shared = StaticSecret::from(*secret).diffie_hellman(&(*public).into());
        let key = hsalsa::<U10>(shared.as_bytes().into(), &GenericArray::default());
        Self(XSalsa20Poly1305::new(Key::from_slice(&key)))
    }

    pub(crate) fn seal(&self, nonce: &[u8; 24], clear: &[u8]) -> Vec<u8> {
        self.0.encrypt(nonce.into(), clear).expect("a short box")
    }

    pub(crate) fn open(&self, nonce: &[u8; 24], sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(nonce.into(), sealed).ok()
    }
}
