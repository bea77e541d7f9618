//! PEM, as OpenSSL reads and writes it (RFC 7468, RFC 8410): X25519 here, Ed25519 by the envelope
//! crate, told apart by their DER.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curvelink::{KeyPair, PublicKey, SecretKey};
use curvelink_envelope::{SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::Key;
use crate::exit::usage;

const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";

/// PKCS#8 version 1 around the 32 octets of an X25519 secret.
const X25519_PKCS8: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x6e\x04\x22\x04\x20";
/// SubjectPublicKeyInfo around the 32 octets of an X25519 public key.
const X25519_SPKI: [u8; 12] = *b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x6e\x03\x21\x00";
/// PKCS#8 version 1 ends with the 32 octets of the key.
const SEED: std::ops::Range<usize> = 16..48;

/// Reads the one block in `text`; lines before it are comments, as for OpenSSL.
pub(super) fn parse(text: &str) -> anyhow::Result<Key> {
    let begin = text.find("-----BEGIN").unwrap_or_default();
    let block = text[begin..].trim();
    let is_private = block.starts_with("-----BEGIN PRIVATE KEY-----");
    let der = decode(block, if is_private { PRIVATE } else { PUBLIC })?;
    if let Some(octets) = der.strip_prefix(&X25519_PKCS8) {
        let octets = octets.try_into().map_err(|_| damaged())?;
        return Ok(Key::Curve(KeyPair::from_secret(SecretKey::from_octets(
            octets,
        )?)));
    }
    if let Some(octets) = der.strip_prefix(&X25519_SPKI) {
        let octets = octets.try_into().map_err(|_| damaged())?;
        return Ok(Key::CurvePublic(PublicKey::from_octets(octets)?));
    }
    Ok(if is_private {
        Key::Sign(Box::new(SigningKey::from_pem(block)?))
    } else {
        Key::SignPublic(VerifyingKey::from_pem(block)?)
    })
}

/// Writes a key as one block.
pub(super) fn write(key: &Key) -> Zeroizing<String> {
    match key {
        Key::Curve(pair) => encode(PRIVATE, &X25519_PKCS8, pair.secret().expose_octets()),
        Key::CurvePublic(key) => encode(PUBLIC, &X25519_SPKI, key.as_octets()),
        Key::Sign(key) => key.to_pem(),
        Key::SignPublic(key) => Zeroizing::new(key.to_pem()),
    }
}

/// The secret seed of a signing key.
pub(super) fn seed(key: &SigningKey) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let der = decode(key.to_pem().trim(), PRIVATE)?;
    let seed = der
        .get(SEED)
        .and_then(|seed| seed.try_into().ok())
        .ok_or_else(damaged)?;
    Ok(Zeroizing::new(seed))
}

fn decode(block: &str, label: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let body = block
        .strip_prefix(&*format!("-----BEGIN {label}-----"))
        .and_then(|rest| rest.strip_suffix(&*format!("-----END {label}-----")))
        .filter(|body| !body.contains('-'))
        .ok_or_else(|| {
            usage("expected one PEM block, PRIVATE KEY or PUBLIC KEY, and nothing after it")
        })?;
    let mut joined = Zeroizing::new(Vec::with_capacity(body.len()));
    joined.extend(body.bytes().filter(|octet| !octet.is_ascii_whitespace()));
    let mut octets = Zeroizing::new(vec![0; base64::decoded_len_estimate(joined.len())]);
    let length = STANDARD
        .decode_slice(&*joined, &mut octets)
        .map_err(|_| damaged())?;
    octets.truncate(length);
    Ok(octets)
}

fn encode(label: &str, prefix: &[u8], octets: &[u8; 32]) -> Zeroizing<String> {
    let mut der = Zeroizing::new(Vec::with_capacity(prefix.len() + octets.len()));
    der.extend_from_slice(prefix);
    der.extend_from_slice(octets);
    // 44 or 48 octets are 60 or 64 characters: one line.
    let mut line = Zeroizing::new([0; 64]);
    let length = STANDARD.encode_slice(&*der, &mut *line).unwrap_or_default();
    let mut text = Zeroizing::new(String::with_capacity(128));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    text.extend(line.iter().take(length).copied().map(char::from));
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

fn damaged() -> anyhow::Error {
    usage("the PEM block is damaged: take a fresh copy of the file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Bare;

    /// RFC 7748, section 6.1: Alice's keys, as OpenSSL 3.0 writes them.
    const SECRET: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n\
        -----END PRIVATE KEY-----\n";
    const PUBLIC_HEX: &str = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";

    #[test]
    fn a_published_key_is_read_and_written() {
        let key = Key::parse(SECRET, Bare::Unknown).unwrap();
        assert_eq!(*write(&key), SECRET);
        let public = key.to_public();
        assert_eq!(key.into_curve().unwrap().public().to_hex(), PUBLIC_HEX);
        let read = Key::parse(&write(&public), Bare::Unknown).unwrap();
        assert_eq!(read.into_curve_public().unwrap().to_hex(), PUBLIC_HEX);
    }

    #[test]
    fn comments_before_the_block_are_skipped_and_anything_behind_is_refused() {
        let commented = format!("# made today\nby hand\n\n{SECRET}\n\n");
        assert!(parse(&commented).unwrap().is_secret());
        assert!(parse(&format!("{SECRET}{SECRET}")).is_err());
        assert!(parse(&format!("{SECRET}tail")).is_err());
    }

    #[test]
    fn damage_is_refused() {
        for (from, to) in [
            ("MC4CAQ", "MC4C!Q"),
            ("BCIEIH", "BCIEIG9"),
            ("PRIVATE", "RSA PRIVATE"),
        ] {
            assert!(parse(&SECRET.replace(from, to)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn the_seed_of_a_signing_key_is_what_made_it() {
        assert_eq!(
            *seed(&SigningKey::from_seed(&[0x5a; 32])).unwrap(),
            [0x5a; 32]
        );
    }
}
