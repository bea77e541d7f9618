//! The three hashes of RFC 6962, section 2.1.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// A SHA-256 hash of a leaf or of a subtree. It is public: nothing here compares in constant time.
///
/// Displays as, and parses from, 44 characters of padded base64 (RFC 4648, section 4), in the one
/// canonical spelling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

/// The root of the tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: Hash = Hash(*b"\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24\x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55");

/// The hash of an entry: SHA-256 of the octet 0 and the entry.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(
        Sha256::new()
            .chain_update([0])
            .chain_update(entry)
            .finalize()
            .into(),
    )
}

/// The hash of two neighbours: SHA-256 of the octet 1, the left and the right one.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut node = [1; 65];
    let (first, second) = node[1..].split_at_mut(32);
    first.copy_from_slice(&left.0);
    second.copy_from_slice(&right.0);
    Hash(Sha256::digest(node).into())
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 44];
        let length = STANDARD
            .encode_slice(self.0, &mut text)
            .map_err(|_| fmt::Error)?;
        f.write_str(
            text.get(..length)
                .and_then(|text| str::from_utf8(text).ok())
                .ok_or(fmt::Error)?,
        )
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let mut octets = [0; 33];
        match STANDARD.decode_slice(text, &mut octets) {
            Ok(32) => octets.first_chunk().copied().map(Self).ok_or(InvalidHash),
            _ => Err(InvalidHash),
        }
    }
}

/// A text is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a hash: expected 32 octets in base64")]
#[non_exhaustive]
pub struct InvalidHash;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_those_of_rfc_6962() {
        assert_eq!(EMPTY_ROOT, Hash(Sha256::digest([]).into()));
        let leaf = leaf_hash(b"");
        assert_eq!(leaf, Hash(Sha256::digest([0]).into()));
        let node = [&[1], leaf.0.as_slice(), &EMPTY_ROOT.0].concat();
        assert_eq!(
            node_hash(&leaf, &EMPTY_ROOT),
            Hash(Sha256::digest(node).into())
        );
        assert_ne!(node_hash(&leaf, &EMPTY_ROOT), node_hash(&EMPTY_ROOT, &leaf));
    }

    #[test]
    fn a_hash_has_one_spelling() {
        let text = EMPTY_ROOT.to_string();
        assert_eq!(text, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(text.parse(), Ok(EMPTY_ROOT));
        for other in [
            text.replace("FU=", "FV="),
            text.replace('=', ""),
            text.replace('+', "-"),
            format!("{text} "),
            format!("AAAA{text}"),
            "AAAA".into(),
            String::new(),
        ] {
            assert_eq!(other.parse::<Hash>(), Err(InvalidHash), "{other}");
        }
    }
}
