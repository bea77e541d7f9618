//! Signed notes (c2sp.org/signed-note): a text, an empty line, and a line per signature.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;

use crate::vkey::{ED25519, InvalidKey, Vkey, is_key_name};

/// A signed note has at most as many octets: room for 16 signatures of 5 kB and their text.
pub const MAX_NOTE: usize = 128 << 10;
/// A signed note has at most as many signatures, known or not.
pub const MAX_SIGNATURES: usize = 64;

const SIGNATURE_START: &str = "\u{2014} ";

/// A text and the signatures below it. Nothing in it is proven before a key has verified it.
///
/// Displays as, and parses from, the signed note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A note without signatures: to be signed.
    ///
    /// # Errors
    ///
    /// [`NoteError::Text`] unless `text` ends with a newline and has no other control character.
    pub fn new(text: impl Into<String>) -> Result<Self, NoteError> {
        let text = text.into();
        let is_text = text.ends_with('\n') && is_clean(&text) && text.len() <= MAX_NOTE;
        is_text
            .then_some(Self {
                text,
                signatures: Vec::new(),
            })
            .ok_or(NoteError::Text)
    }

    /// The signed text, its last newline included.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures, known or not, in the order of their lines.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line at the end.
    ///
    /// # Errors
    ///
    /// [`NoteError::TooLong`] beyond [`MAX_SIGNATURES`], [`NoteError::Repeated`] when there is one
    /// by that key.
    pub fn push(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::TooLong);
        }
        let is_same =
            |other: &NoteSignature| other.name == signature.name && other.id == signature.id;
        if self.signatures.iter().any(is_same) {
            return Err(NoteError::Repeated);
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Whether `key` signed the text.
    ///
    /// Signatures by other keys are not looked at. Cost: one Ed25519 verification.
    ///
    /// # Errors
    ///
    /// [`NoteError::NotSigned`], [`NoteError::Repeated`] or [`NoteError::BadSignature`].
    pub fn verify(&self, key: &VerifyingNoteKey) -> Result<(), NoteError> {
        let signature = self.signature_of(key.name(), key.id())?;
        let octets = signature
            .octets()
            .try_into()
            .map_err(|_| NoteError::BadSignature)?;
        if key.0.verifies(self.text.as_bytes(), octets) {
            Ok(())
        } else {
            Err(NoteError::BadSignature)
        }
    }

    /// The one signature that says it is by the key of that name and id. It is not checked.
    ///
    /// # Errors
    ///
    /// [`NoteError::NotSigned`] without one, [`NoteError::Repeated`] with several: which of them
    /// counts, verifiers would disagree about.
    pub fn signature_of(&self, name: &str, id: [u8; 4]) -> Result<&NoteSignature, NoteError> {
        let mut by_key = self
            .signatures
            .iter()
            .filter(|signature| signature.name == name && signature.id == id);
        match (by_key.next(), by_key.next()) {
            (None, _) => Err(NoteError::NotSigned),
            (Some(signature), None) => Ok(signature),
            (Some(_), Some(_)) => Err(NoteError::Repeated),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(octets: &str) -> Result<Self, NoteError> {
        if octets.len() > MAX_NOTE {
            return Err(NoteError::TooLong);
        }
        let (text, lines) = octets.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        if !is_clean(octets) {
            return Err(NoteError::Text);
        }
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::TooLong);
        }
        let signatures = lines
            .split('\n')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            text: format!("{text}\n"),
            signatures,
        })
    }
}

/// Whether the only control characters of ASCII are newlines.
fn is_clean(text: &str) -> bool {
    text.bytes().all(|octet| octet >= b' ' || octet == b'\n')
}

/// One signature line: who says to have signed, and what.
///
/// Displays as, and parses from, the line without its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: [u8; 4],
    octets: Vec<u8>,
}

impl NoteSignature {
    /// The line for the Ed25519 signature `octets` over a note's text, made as `name` with the
    /// secret half of `public`: for a key that signs under many names.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Name`] for a name that no line can carry.
    pub fn ed25519(name: &str, public: &[u8; 32], octets: &[u8; 64]) -> Result<Self, InvalidKey> {
        if !is_key_name(name) {
            return Err(InvalidKey::Name);
        }
        let id = crate::vkey::ed25519_key_id(name, public);
        Ok(Self {
            name: name.to_owned(),
            id,
            octets: octets.to_vec(),
        })
    }

    pub(crate) fn by<const KIND: u8>(key: &Vkey<KIND>, octets: Vec<u8>) -> Self {
        Self {
            name: key.name().to_owned(),
            id: key.id(),
            octets,
        }
    }

    /// The name that the key goes by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key.
    pub fn key_id(&self) -> [u8; 4] {
        self.id
    }

    /// What the key made: 64 octets of Ed25519, or whatever its kind makes.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = [&self.id, self.octets.as_slice()].concat();
        write!(
            f,
            "{SIGNATURE_START}{} {}",
            self.name,
            STANDARD.encode(octets)
        )
    }
}

impl FromStr for NoteSignature {
    type Err = NoteError;

    fn from_str(line: &str) -> Result<Self, NoteError> {
        let line = line.strip_prefix(SIGNATURE_START).ok_or(NoteError::Form)?;
        let (name, text) = line.split_once(' ').ok_or(NoteError::Form)?;
        let octets = STANDARD.decode(text).map_err(|_| NoteError::Form)?;
        match octets.split_first_chunk() {
            Some((id, octets)) if is_key_name(name) && !octets.is_empty() => Ok(Self {
                name: name.to_owned(),
                id: *id,
                octets: octets.to_vec(),
            }),
            _ => Err(NoteError::Form),
        }
    }
}

/// A public key of notes: a name and an Ed25519 key.
///
/// Displays as, and parses from, a vkey: `example.com/log+530d903a+AS...`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingNoteKey(Vkey<ED25519>);

impl VerifyingNoteKey {
    /// The key of 32 octets (RFC 8032, section 5.1.2), going by `name`: 1 to 1024 octets without
    /// spaces, control characters and plus signs.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Name`] or [`InvalidKey::Weak`].
    pub fn new(name: &str, octets: &[u8; 32]) -> Result<Self, InvalidKey> {
        Vkey::new(name, octets).map(Self)
    }

    /// The name that the key goes by.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// What signature lines find the key by.
    pub fn id(&self) -> [u8; 4] {
        self.0.id()
    }

    /// The 32 octets of the public key.
    pub fn as_octets(&self) -> &[u8; 32] {
        self.0.as_octets()
    }
}

impl fmt::Display for VerifyingNoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_text())
    }
}

impl fmt::Debug for VerifyingNoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingNoteKey({self})")
    }
}

impl FromStr for VerifyingNoteKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Vkey::parse(text).map(Self)
    }
}

/// The secret half of a key of notes; wiped from memory when dropped.
///
/// It is not `Clone`, and its `Debug` shows the public half only.
pub struct NoteSigner {
    secret: ed25519_dalek::SigningKey,
    public: VerifyingNoteKey,
}

impl NoteSigner {
    /// The key of a 32-octet seed (what RFC 8032 calls the private key), going by `name`. The
    /// caller wipes its own copy.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Name`].
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = VerifyingNoteKey::new(name, secret.verifying_key().as_bytes())?;
        Ok(Self { secret, public })
    }

    /// The note of `text` with this key's signature.
    ///
    /// # Errors
    ///
    /// As [`Note::new`].
    pub fn sign(&self, text: &str) -> Result<Note, NoteError> {
        let mut note = Note::new(text)?;
        self.sign_too(&mut note)?;
        Ok(note)
    }

    /// Adds this key's signature to a note that others have signed.
    ///
    /// # Errors
    ///
    /// As [`Note::push`].
    pub fn sign_too(&self, note: &mut Note) -> Result<(), NoteError> {
        let octets = self.secret.sign(note.text.as_bytes()).to_vec();
        note.push(NoteSignature::by(&self.public.0, octets))
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingNoteKey {
        &self.public
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.public)
    }
}

/// A note cannot be read, or is not signed as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// The text is none.
    #[error("a note's text ends with a newline and has no other control characters")]
    Text,
    /// The note is not text, an empty line and signature lines.
    #[error("not a signed note: expected text, an empty line and signature lines")]
    Form,
    /// The note or the number of its signatures exceeds the limit.
    #[error("a signed note has at most 128 KiB and 64 signatures")]
    TooLong,
    /// No line says to be by the key.
    #[error("the note is not signed by this key")]
    NotSigned,
    /// Two lines say to be by the key.
    #[error("the note has two signatures by one key")]
    Repeated,
    /// The signature does not fit the text.
    #[error("the note's signature does not fit its text: it was altered or forged")]
    BadSignature,
}

#[cfg(test)]
mod tests;
