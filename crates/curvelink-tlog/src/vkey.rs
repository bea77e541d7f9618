//! Public keys of signed notes as text: `name+key id+base64` (c2sp.org/signed-note).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// A key whose signature is over a note's text.
pub(crate) const ED25519: u8 = 0x01;
/// A key whose signature is over a time and a checkpoint's text.
pub(crate) const COSIGNATURE: u8 = 0x04;

const MAX_NAME: usize = 1_024;

/// A name, a kind of signature and a public key that is neither weak nor spelt twice.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Vkey<const KIND: u8> {
    name: String,
    id: [u8; 4],
    public: ed25519_dalek::VerifyingKey,
}

impl<const KIND: u8> Vkey<KIND> {
    pub(crate) fn new(name: &str, octets: &[u8; 32]) -> Result<Self, InvalidKey> {
        if !is_key_name(name) {
            return Err(InvalidKey::Name);
        }
        let public =
            ed25519_dalek::VerifyingKey::from_bytes(octets).map_err(|_| InvalidKey::Weak)?;
        // With a small-order part one signature fits many texts, and verifiers disagree about it.
        if public.is_weak() || !public.to_edwards().is_torsion_free() {
            return Err(InvalidKey::Weak);
        }
        Ok(Self {
            name: name.to_owned(),
            id: key_id(name, KIND, octets),
            public,
        })
    }

    pub(crate) fn parse(text: &str) -> Result<Self, InvalidKey> {
        // Base64 has + too: only the first two separate.
        let (name, rest) = text.split_once('+').ok_or(InvalidKey::Form)?;
        let (id, key) = rest.split_once('+').ok_or(InvalidKey::Form)?;
        let mut octets = [0; 36];
        let length = STANDARD
            .decode_slice(key, &mut octets)
            .map_err(|_| InvalidKey::Form)?;
        let public = match octets.get(..length).and_then(<[u8]>::split_first) {
            Some((kind, public)) if *kind == KIND => public,
            _ => return Err(InvalidKey::Form),
        };
        let vkey = Self::new(name, public.try_into().map_err(|_| InvalidKey::Form)?)?;
        if hex(vkey.id) == id {
            Ok(vkey)
        } else {
            Err(InvalidKey::Id)
        }
    }

    pub(crate) fn to_text(&self) -> String {
        let octets = [&[KIND], self.public.as_bytes().as_slice()].concat();
        format!("{}+{}+{}", self.name, hex(self.id), STANDARD.encode(octets))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> [u8; 4] {
        self.id
    }

    pub(crate) fn as_octets(&self) -> &[u8; 32] {
        self.public.as_bytes()
    }

    /// By the strict rules: canonical numbers and no small-order point.
    pub(crate) fn verifies(&self, octets: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.public.verify_strict(octets, &signature).is_ok()
    }
}

/// The id of the Ed25519 key `public` for notes signed as `name`: what a signature line carries to
/// be found by. It proves nothing.
pub fn ed25519_key_id(name: &str, public: &[u8; 32]) -> [u8; 4] {
    key_id(name, ED25519, public)
}

fn key_id(name: &str, kind: u8, public: &[u8; 32]) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', kind])
        .chain_update(public)
        .finalize();
    let [a, b, c, d, ..]: [u8; 32] = digest.into();
    [a, b, c, d]
}

/// Whether a signature line can carry `name`.
pub(crate) fn is_key_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    (1..=MAX_NAME).contains(&name.len()) && !name.contains(forbidden)
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// A key of a signed note cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The text is no key of the kind that was asked for.
    #[error("not a verifier key of this kind: expected name+hex+base64")]
    Form,
    /// A name has spaces, control characters, a plus sign, or the wrong length.
    #[error("a key's name has 1 to 1024 octets and no spaces, control characters or plus signs")]
    Name,
    /// The id does not fit name and key.
    #[error("the key's id does not fit its name and key: copy it anew")]
    Id,
    /// The public key is not a point of the prime-order group in its one spelling.
    #[error("weak or invalid ed25519 public key: nobody can be identified by it")]
    Weak,
}
