//! Cosignatures (c2sp.org/tlog-cosignature, version 1): a witness says when it saw a checkpoint
//! that is consistent with all that it saw before.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::Signer as _;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::note::{Note, NoteError, NoteSignature};
use crate::vkey::{COSIGNATURE, InvalidKey, Vkey};

const MAX_TIME: u64 = (1 << 63) - 1;

/// The secret half of a witness's key; wiped from memory when dropped.
///
/// It is not `Clone`, and its `Debug` shows the public half only. It signs what it is given:
/// whether the checkpoint is consistent with the last one is for the caller to check first.
pub struct Cosigner {
    secret: ed25519_dalek::SigningKey,
    public: VerifyingCosignerKey,
}

impl Cosigner {
    /// The key of a 32-octet seed (what RFC 8032 calls the private key), going by `name`. The
    /// caller wipes its own copy.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Name`].
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = VerifyingCosignerKey::new(name, secret.verifying_key().as_bytes())?;
        Ok(Self { secret, public })
    }

    /// The signature line for the checkpoint in `note`, seen at `time` in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] when the note's text is no checkpoint; [`CheckpointError::Note`] with
    /// [`NoteError::Text`] for a time from 2^63 on.
    pub fn cosign(&self, note: &Note, time: u64) -> Result<NoteSignature, CheckpointError> {
        let _: Checkpoint = note.text().parse()?;
        if time > MAX_TIME {
            return Err(NoteError::Text.into());
        }
        let signature = self.secret.sign(signed(note, time).as_bytes()).to_bytes();
        let octets = [time.to_be_bytes().as_slice(), &signature].concat();
        Ok(NoteSignature::by(&self.public.0, octets))
    }

    /// The public half.
    pub fn verifying_key(&self) -> &VerifyingCosignerKey {
        &self.public
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({})", self.public)
    }
}

/// A witness's public key: a name and an Ed25519 key.
///
/// Displays as, and parses from, a vkey; it is not the vkey of a log with the same key.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingCosignerKey(Vkey<COSIGNATURE>);

impl VerifyingCosignerKey {
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

    /// When this witness saw the checkpoint in `note`, in seconds since 1970, by its clock.
    ///
    /// # Errors
    ///
    /// [`NoteError::NotSigned`], [`NoteError::Repeated`] or [`NoteError::BadSignature`].
    pub fn verify(&self, note: &Note) -> Result<u64, NoteError> {
        let signature = note.signature_of(self.0.name(), self.0.id())?;
        let (time, octets) = signature
            .octets()
            .split_first_chunk()
            .ok_or(NoteError::BadSignature)?;
        let time = u64::from_be_bytes(*time);
        let octets = octets.try_into().map_err(|_| NoteError::BadSignature)?;
        let is_good = time <= MAX_TIME && self.0.verifies(signed(note, time).as_bytes(), octets);
        if is_good {
            Ok(time)
        } else {
            Err(NoteError::BadSignature)
        }
    }
}

/// What is signed: two lines that keep it apart from a log's signature, and the checkpoint.
fn signed(note: &Note, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{}", note.text())
}

impl fmt::Display for VerifyingCosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_text())
    }
}

impl fmt::Debug for VerifyingCosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingCosignerKey({self})")
    }
}

impl FromStr for VerifyingCosignerKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        Vkey::parse(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::EMPTY_ROOT;
    use crate::note::NoteSigner;
    use crate::tree::TreeHead;

    fn note() -> Note {
        let head = TreeHead {
            size: 0,
            root: EMPTY_ROOT,
        };
        let text = Checkpoint::new("example.com/log", head)
            .expect("sound")
            .to_string();
        NoteSigner::from_seed("example.com/log", &[1; 32])
            .map(|signer| signer.sign(&text).expect("signs"))
            .expect("a name")
    }

    fn witness() -> Cosigner {
        Cosigner::from_seed("witness.example", &[2; 32]).expect("a name")
    }

    #[test]
    fn a_cosigned_checkpoint_tells_when_it_was_seen_and_is_still_the_logs() {
        let mut note = note();
        note.push(
            witness()
                .cosign(&note, 1_795_305_600)
                .expect("a checkpoint"),
        )
        .expect("room");
        let read: Note = note.to_string().parse().expect("a note");
        assert_eq!(read, note);
        let key: VerifyingCosignerKey = witness()
            .verifying_key()
            .to_string()
            .parse()
            .expect("a vkey");
        assert_eq!(key.verify(&read), Ok(1_795_305_600));
        let log = NoteSigner::from_seed("example.com/log", &[1; 32]).expect("a name");
        assert_eq!(read.verify(log.verifying_key()), Ok(()));
    }

    #[test]
    fn a_cosignature_holds_for_its_time_text_and_key_only() {
        let mut cosigned = note();
        assert_eq!(
            witness().verifying_key().verify(&cosigned),
            Err(NoteError::NotSigned)
        );
        let line = witness().cosign(&cosigned, 7).expect("a checkpoint");
        cosigned.push(line.clone()).expect("room");
        let other = Cosigner::from_seed("witness.example", &[3; 32]).expect("a name");
        assert_eq!(
            other.verifying_key().verify(&cosigned),
            Err(NoteError::NotSigned)
        );

        let mut text = Note::new(note().text().replacen("\n0\n", "\n1\n", 1)).expect("a text");
        text.push(line.clone()).expect("room");
        assert_eq!(
            witness().verifying_key().verify(&text),
            Err(NoteError::BadSignature)
        );

        for at in 0..72 {
            let mut octets = line.octets().to_vec();
            octets[at] ^= 1;
            let mut altered = note();
            altered
                .push(NoteSignature::by(&witness().public.0, octets))
                .expect("room");
            let refused = witness().verifying_key().verify(&altered);
            assert_eq!(refused, Err(NoteError::BadSignature), "{at}");
        }
        for length in [1, 8, 71] {
            let mut cut = note();
            let octets = line.octets()[..length].to_vec();
            cut.push(NoteSignature::by(&witness().public.0, octets))
                .expect("room");
            assert_eq!(
                witness().verifying_key().verify(&cut),
                Err(NoteError::BadSignature)
            );
        }
    }

    #[test]
    fn a_logs_key_and_a_witness_key_are_not_taken_for_each_other() {
        let log = NoteSigner::from_seed("same.example", &[2; 32]).expect("a name");
        let witness = Cosigner::from_seed("same.example", &[2; 32]).expect("a name");
        let (log_key, witness_key) = (
            log.verifying_key().to_string(),
            witness.verifying_key().to_string(),
        );
        assert!(log_key.parse::<VerifyingCosignerKey>().is_err());
        assert!(witness_key.parse::<crate::VerifyingNoteKey>().is_err());
        let mut note = note();
        note.push(witness.cosign(&note, 7).expect("a checkpoint"))
            .expect("room");
        assert_eq!(note.verify(log.verifying_key()), Err(NoteError::NotSigned));
    }

    /// The form that the specification shows.
    #[test]
    fn a_cosigned_checkpoint_of_others_reads_and_is_written_back() {
        let text = "example.com/behind-the-sofa\n20852163\n\
            CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
            \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
            \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
        let note: Note = text.parse().expect("a note");
        assert_eq!(note.to_string(), text);
        let checkpoint: Checkpoint = note.text().parse().expect("a checkpoint");
        assert_eq!(checkpoint.head.size, 20_852_163);
        let by_witness = note.signature_of("witness.example.com/w1", [0x8d, 0x66, 0xcf, 0x3f]);
        let octets = by_witness.expect("its line").octets();
        assert_eq!(octets.len(), 72);
        assert_eq!(
            signed(
                &note,
                u64::from_be_bytes(*octets.first_chunk().expect("a time"))
            ),
            format!("cosignature/v1\ntime 1679315147\n{checkpoint}")
        );
    }

    #[test]
    fn what_is_no_checkpoint_or_no_time_is_not_cosigned() {
        let text = Note::new("hello\n").expect("a text");
        assert_eq!(witness().cosign(&text, 7), Err(CheckpointError::Form));
        assert_eq!(
            witness().cosign(&note(), 1 << 63),
            Err(NoteError::Text.into())
        );
    }
}
