//! Entries that only their recipients read, in a tree that everybody can check.
//!
//! ```text
//! CLX1 | id of the data key, 8 | nonce, 24 | commitment, 32 | XChaCha20-Poly1305(salt, 32 | entry)
//! ```
//!
//! The associated data are the origin, the index as 64 bits, and the commitment, which is the
//! SHA-256 of salt and entry: of one ciphertext nobody can tell two stories.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::files;
use super::layout::Layout;
use super::seal::{self, Secret};

const MAGIC: &[u8; 4] = b"CLX1";
/// Octets that an encrypted entry has more.
pub(crate) const OVERHEAD: usize = 4 + 8 + 24 + 32 + 32 + 16;
const MAX_WRAPPED: u64 = 1 << 20;

/// Who may read the entries: the public half of an X25519 key.
///
/// Displays as, and parses from, base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

impl Recipient {
    /// The recipient with this public key.
    #[must_use]
    pub const fn new(public: [u8; 32]) -> Self {
        Self(public)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl FromStr for Recipient {
    type Err = InvalidRecipient;

    fn from_str(text: &str) -> Result<Self, InvalidRecipient> {
        let octets = STANDARD.decode(text).map_err(|_| InvalidRecipient)?;
        octets.try_into().map(Self).map_err(|_| InvalidRecipient)
    }
}

/// A text is no recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a recipient: give the 32 octets of an X25519 public key in base64")]
#[non_exhaustive]
pub struct InvalidRecipient;

/// The secret half of a recipient: opens the data keys, and with them the entries.
pub struct RecipientKey(Secret);

impl RecipientKey {
    /// A new key from the system's random octets.
    ///
    /// # Errors
    ///
    /// When the system has none to give.
    pub fn generate() -> io::Result<Self> {
        seal::random().map(Self)
    }

    /// The key of 32 secret octets; the caller wipes its own copy.
    #[must_use]
    pub fn new(octets: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*octets))
    }

    /// The 32 secret octets, to be kept.
    #[must_use]
    pub fn expose_octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient(seal::public_of(&self.0))
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecipientKey(..)")
    }
}

/// The data key of a day, in memory alone; the disk has it for the recipients only.
pub(crate) struct Cipher {
    key: Secret,
    id: [u8; 8],
    day: u64,
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cipher({})", self.id())
    }
}

impl Cipher {
    pub(crate) fn generate(day: u64) -> io::Result<Self> {
        Ok(Self::new(seal::random()?, day))
    }

    fn new(key: Secret, day: u64) -> Self {
        let digest = Sha256::new()
            .chain_update(b"curvelink data key")
            .chain_update(key.as_ref());
        let mut id = [0; 8];
        id.iter_mut()
            .zip(digest.finalize())
            .for_each(|(to, from)| *to = from);
        Self { key, id, day }
    }

    /// Days since 1970.
    pub(crate) fn day(wall: SystemTime) -> u64 {
        wall.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
            / 86_400
    }

    /// Whether it is still in force: a clock that jumps back changes no key.
    pub(crate) const fn covers(&self, day: u64) -> bool {
        day <= self.day
    }

    /// The id of the key, as files are called by it.
    pub(crate) fn id(&self) -> String {
        self.id.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// The key in a box for each recipient.
    pub(crate) fn wrap(&self, recipients: &[Recipient]) -> io::Result<Vec<u8>> {
        let mut boxes = BTreeMap::new();
        for recipient in recipients {
            let sealed = seal::seal(&recipient.0, self.key.as_ref())?;
            let weak = || io::Error::new(io::ErrorKind::InvalidInput, "a recipient's key is weak");
            boxes.insert(
                recipient.to_string(),
                STANDARD.encode(sealed.ok_or_else(weak)?),
            );
        }
        let wrapped = Wrapped {
            id: self.id(),
            day: self.day,
            boxes,
        };
        Ok(serde_json::to_vec(&wrapped)?)
    }

    /// The leaf of an entry at its place.
    pub(crate) fn encrypt(&self, origin: &str, index: u64, entry: &[u8]) -> Option<Vec<u8>> {
        let (nonce, salt) = (seal::random::<24>().ok()?, seal::random::<32>().ok()?);
        let commitment = commit(salt.as_ref(), entry);
        let mut text = Vec::with_capacity(32 + entry.len() + 16);
        text.extend_from_slice(salt.as_ref());
        text.extend_from_slice(entry);
        let aad = aad(origin, index, &commitment);
        seal::encrypt(&self.key, &nonce, &aad, &mut text)
            .then(|| [MAGIC, &self.id[..], nonce.as_ref(), &commitment, &text].concat())
    }

    fn decrypt(&self, origin: &str, index: u64, leaf: &Leaf<'_>) -> Option<Vec<u8>> {
        let aad = aad(origin, index, leaf.commitment);
        let text = seal::decrypt(&self.key, leaf.nonce, &aad, leaf.text)?;
        let (salt, entry) = text.split_at_checked(32)?;
        seal::equal(&commit(salt, entry), leaf.commitment).then(|| entry.to_vec())
    }
}

fn commit(salt: &[u8], entry: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(salt)
        .chain_update(entry)
        .finalize()
        .into()
}

fn aad(origin: &str, index: u64, commitment: &[u8; 32]) -> Vec<u8> {
    [origin.as_bytes(), &index.to_be_bytes(), commitment].concat()
}

struct Leaf<'a> {
    id: &'a [u8; 8],
    nonce: &'a [u8; 24],
    commitment: &'a [u8; 32],
    text: &'a [u8],
}

fn parse(leaf: &[u8]) -> Option<Leaf<'_>> {
    let rest = leaf.strip_prefix(MAGIC)?;
    let (id, rest) = rest.split_first_chunk()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    let (commitment, text) = rest.split_first_chunk()?;
    Some(Leaf {
        id,
        nonce,
        commitment,
        text,
    })
}

/// A data key as the disk has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    id: String,
    /// Days since 1970.
    day: u64,
    /// By recipient.
    boxes: BTreeMap<String, String>,
}

/// Whether an entry is encrypted.
#[must_use]
pub(crate) fn is_encrypted(leaf: &[u8]) -> bool {
    leaf.starts_with(MAGIC)
}

/// Reads encrypted entries, with the data keys that a recipient can open.
#[derive(Debug)]
pub(crate) struct Decryptor<'a> {
    layout: &'a Layout,
    origin: &'a str,
    key: &'a RecipientKey,
    /// The last key that was asked for.
    last: Option<Cipher>,
}

impl<'a> Decryptor<'a> {
    pub(crate) const fn new(layout: &'a Layout, origin: &'a str, key: &'a RecipientKey) -> Self {
        Self {
            layout,
            origin,
            key,
            last: None,
        }
    }

    /// The entry of a leaf; `None` where its data key is gone or not for us.
    pub(crate) fn decrypt(&mut self, index: u64, leaf: &[u8]) -> Option<Vec<u8>> {
        let leaf = parse(leaf)?;
        if self
            .last
            .as_ref()
            .is_none_or(|cipher| cipher.id != *leaf.id)
        {
            self.last = self.load(leaf.id);
        }
        self.last.as_ref()?.decrypt(self.origin, index, &leaf)
    }

    fn load(&self, id: &[u8; 8]) -> Option<Cipher> {
        let id: String = id.iter().map(|octet| format!("{octet:02x}")).collect();
        let octets = files::read_bounded(&self.layout.data_key(&id), MAX_WRAPPED).ok()?;
        let wrapped: Wrapped = serde_json::from_slice(&octets).ok()?;
        let sealed = wrapped.boxes.get(&self.key.recipient().to_string())?;
        let key = seal::open(&self.key.0, &STANDARD.decode(sealed).ok()?)?;
        let key = Zeroizing::new(key.as_slice().try_into().ok()?);
        // The id says which key it is: a file under another's name opens nothing.
        let cipher = Cipher::new(key, wrapped.day);
        (cipher.id() == id).then_some(cipher)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_entry_is_read_by_its_recipient_at_its_place_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        fs::create_dir(folder.path().join("keys")).unwrap();
        let (key, other) = (
            RecipientKey::generate().unwrap(),
            RecipientKey::generate().unwrap(),
        );
        let cipher = Cipher::generate(7).unwrap();
        let wrapped = cipher.wrap(&[key.recipient()]).unwrap();
        fs::write(layout.data_key(&cipher.id()), wrapped).unwrap();
        let leaf = cipher.encrypt("o", 9, b"{}").unwrap();
        assert_eq!(leaf.len(), 2 + OVERHEAD);
        assert!(is_encrypted(&leaf) && !is_encrypted(b"{}"));

        let mut ours = Decryptor::new(&layout, "o", &key);
        assert_eq!(ours.decrypt(9, &leaf).unwrap(), b"{}");
        assert_eq!(ours.decrypt(8, &leaf), None);
        assert_eq!(Decryptor::new(&layout, "p", &key).decrypt(9, &leaf), None);
        assert_eq!(Decryptor::new(&layout, "o", &other).decrypt(9, &leaf), None);
        for at in 0..leaf.len() {
            let mut flipped = leaf.clone();
            flipped[at] ^= 1;
            assert_eq!(ours.decrypt(9, &flipped), None, "{at}");
        }
        // The file of one key under the name of another.
        let second = Cipher::generate(8).unwrap();
        fs::rename(layout.data_key(&cipher.id()), layout.data_key(&second.id())).unwrap();
        let theirs = Decryptor::new(&layout, "o", &key);
        assert!(theirs.load(&second.id).is_none());
        fs::rename(layout.data_key(&second.id()), layout.data_key(&cipher.id())).unwrap();
        theirs.load(&cipher.id).unwrap();
        fs::remove_file(layout.data_key(&cipher.id())).unwrap();
        let mut ours = Decryptor::new(&layout, "o", &key);
        assert_eq!(ours.decrypt(9, &leaf), None, "the day was erased");
    }

    /// Poly1305 commits to no key and no text: who has the data key could make a leaf that opens to
    /// something else than was committed to.
    #[test]
    fn what_was_not_committed_to_is_not_read() {
        let cipher = Cipher::generate(7).unwrap();
        for (committed, is_read) in [(&b"{}"[..], true), (b"[]", false)] {
            let commitment = commit(&[5; 32], committed);
            let mut text = [&[5; 32][..], b"{}"].concat();
            let aad = aad("o", 9, &commitment);
            assert!(seal::encrypt(&cipher.key, &[1; 24], &aad, &mut text));
            let leaf = [MAGIC, &cipher.id[..], &[1; 24], &commitment, &text].concat();
            let read = cipher.decrypt("o", 9, &parse(&leaf).unwrap());
            assert_eq!(read.is_some(), is_read);
        }
    }

    #[test]
    fn a_clock_that_jumps_back_changes_no_key() {
        let cipher = Cipher::generate(100).unwrap();
        assert!(cipher.covers(100) && cipher.covers(3));
        assert!(!cipher.covers(101));
    }
}
