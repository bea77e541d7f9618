//! The only file that names the crypto crates: sealed boxes as libsodium makes them, and
//! XChaCha20-Poly1305.

use blake2::digest::consts::U24;
use blake2::{Blake2b, Digest as _};
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::generic_array::GenericArray;
use chacha20poly1305::aead::{AeadInPlace as _, KeyInit as _};
use crypto_secretbox::XSalsa20Poly1305;
use rand::RngCore as _;
use rand::rngs::OsRng;
use salsa20::cipher::consts::U10;
use salsa20::hsalsa;
use subtle::ConstantTimeEq as _;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

const TAG: usize = 16;

/// A secret of 32 octets, wiped when dropped.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// Random octets of the system.
pub(crate) fn random<const N: usize>() -> std::io::Result<Zeroizing<[u8; N]>> {
    let mut octets = Zeroizing::new([0; N]);
    OsRng
        .try_fill_bytes(octets.as_mut())
        .map_err(|_| std::io::Error::other("the system has no random octets"))?;
    Ok(octets)
}

/// The public half of an X25519 key.
pub(crate) fn public_of(secret: &Secret) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(**secret)).to_bytes()
}

/// Puts octets into a box that only the owner of `recipient` opens (`crypto_box_seal`). `None`
/// where the key is of low order: anybody could open that.
pub(crate) fn seal(recipient: &[u8; 32], octets: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let ours = random()?;
    let public = public_of(&ours);
    let Some(key) = agree(&ours, recipient) else {
        return Ok(None);
    };
    let mut sealed = [&public[..], &[0; TAG], octets].concat();
    let (head, text) = sealed.split_at_mut(32 + TAG);
    let nonce = nonce(&public, recipient);
    let cipher = XSalsa20Poly1305::new(GenericArray::from_slice(key.as_ref()));
    let tag = cipher.encrypt_in_place_detached(GenericArray::from_slice(&nonce), &[], text);
    let (Ok(tag), Some(place)) = (tag, head.get_mut(32..)) else {
        return Ok(None);
    };
    place.copy_from_slice(&tag);
    Ok(Some(sealed))
}

/// Opens a box that was sealed for the public half of `secret` (`crypto_box_seal_open`).
pub(crate) fn open(secret: &Secret, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (theirs, rest) = sealed.split_first_chunk::<32>()?;
    let (tag, text) = rest.split_first_chunk::<TAG>()?;
    let key = agree(secret, theirs)?;
    let nonce = nonce(theirs, &public_of(secret));
    let mut text = Zeroizing::new(text.to_vec());
    let cipher = XSalsa20Poly1305::new(GenericArray::from_slice(key.as_ref()));
    let (nonce, tag) = (
        GenericArray::from_slice(&nonce),
        GenericArray::from_slice(tag),
    );
    let opened = cipher.decrypt_in_place_detached(nonce, &[], &mut text, tag);
    opened.ok().map(|()| text)
}

/// The key of the NaCl box between two; `None` where everybody would know it.
fn agree(secret: &Secret, public: &[u8; 32]) -> Option<Secret> {
    let shared = StaticSecret::from(**secret).diffie_hellman(&PublicKey::from(*public));
    if !shared.was_contributory() {
        return None;
    }
    let shared = GenericArray::from_slice(shared.as_bytes());
    Some(Zeroizing::new(
        hsalsa::<U10>(shared, &GenericArray::default()).into(),
    ))
}

fn nonce(theirs: &[u8; 32], recipient: &[u8; 32]) -> [u8; 24] {
    let hash = Blake2b::<U24>::new()
        .chain_update(theirs)
        .chain_update(recipient);
    hash.finalize().into()
}

/// Encrypts in place and adds the tag at the end.
pub(crate) fn encrypt(key: &Secret, nonce: &[u8; 24], aad: &[u8], text: &mut Vec<u8>) -> bool {
    let cipher = XChaCha20Poly1305::new(GenericArray::from_slice(key.as_ref()));
    let tag = cipher.encrypt_in_place_detached(GenericArray::from_slice(nonce), aad, text);
    tag.map(|tag| text.extend_from_slice(&tag)).is_ok()
}

/// Decrypts what [`encrypt`] made.
pub(crate) fn decrypt(
    key: &Secret,
    nonce: &[u8; 24],
    aad: &[u8],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (text, tag) = sealed.split_last_chunk::<TAG>()?;
    let mut text = Zeroizing::new(text.to_vec());
    let cipher = XChaCha20Poly1305::new(GenericArray::from_slice(key.as_ref()));
    let (nonce, tag) = (
        GenericArray::from_slice(nonce),
        GenericArray::from_slice(tag),
    );
    let opened = cipher.decrypt_in_place_detached(nonce, aad, &mut text, tag);
    opened.ok().map(|()| text)
}

/// Whether two values are equal, in constant time.
pub(crate) fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_recipient_opens_a_box_and_only_unaltered() {
        let (secret, other) = (random().unwrap(), random().unwrap());
        let sealed = seal(&public_of(&secret), b"a data key").unwrap().unwrap();
        assert_eq!(sealed.len(), 32 + TAG + 10);
        assert_eq!(open(&secret, &sealed).unwrap()[..], *b"a data key");
        assert!(open(&other, &sealed).is_none());
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(open(&secret, &flipped).is_none(), "{at}");
            assert!(open(&secret, &sealed[..at]).is_none(), "{at}");
        }
        assert!(seal(&[0; 32], b"for all").unwrap().is_none());
    }

    /// Made by libsodium's `crypto_box_seal` for the public key of the seed below.
    #[test]
    fn a_box_of_libsodium_is_opened() {
        let secret = Zeroizing::new([7; 32]);
        let hex = include_str!("sealed-by-libsodium.txt");
        let (public, sealed) = hex.trim().split_once(' ').unwrap();
        assert_eq!(unhex(public), public_of(&secret));
        assert_eq!(
            open(&secret, &unhex(sealed)).unwrap()[..],
            *b"from libsodium"
        );
    }

    fn unhex(text: &str) -> Vec<u8> {
        let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(octet).collect()
    }
}
