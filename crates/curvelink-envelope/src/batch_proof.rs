//! The proof in a trailer of kind 2: the message's statement is an entry of a small log, whose
//! checkpoint the signer signed for all of the batch at once.

use curvelink_tlog::{
    Checkpoint, Hash, Note, NoteSignature, TlogProof, TreeHead, VerifyingNoteKey, check_inclusion,
    ed25519_key_id,
};

use crate::keys::{KeyId, SigningKey, VerifyingKey};
use crate::malformed::Malformed;
use crate::sign::SignError;

/// Two of 64 hashes, a checkpoint and its signature take 4 KiB.
pub(crate) const MAX_PROOF: usize = 8_192;

/// A `c2sp.org/tlog-proof@v1` whose log is `curvelink/KEY/EPOCH/batch/NUMBER`: the log of one
/// batch, signed by the key that its name gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchProof {
    text: String,
    proof: TlogProof,
    origin: String,
    key: KeyId,
    epoch: u64,
}

/// The name of a batch's log.
pub(crate) fn origin(key: KeyId, epoch: u64, number: u64) -> String {
    format!("curvelink/{key}/{epoch}/batch/{number}")
}

impl BatchProof {
    /// Reads the proof and the name of its log; the checkpoint below is not looked at yet.
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, Malformed> {
        let text = str::from_utf8(octets).map_err(|_| Malformed::Proof)?;
        let proof: TlogProof = text.parse().map_err(|_| Malformed::Proof)?;
        let origin = proof.checkpoint.split('\n').next().unwrap_or_default();
        let (key, epoch) = named(origin).ok_or(Malformed::Proof)?;
        // No signature covers what an application adds.
        if proof.extra.is_some() {
            return Err(Malformed::Proof);
        }
        Ok(Self {
            text: text.to_owned(),
            origin: origin.to_owned(),
            key,
            epoch,
            proof,
        })
    }

    /// The text as it came.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The key that is said to have signed the checkpoint.
    pub(crate) fn key(&self) -> KeyId {
        self.key
    }

    /// The signer's run that the batch is of.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The signed checkpoint as it came: the same for each message of a batch.
    pub(crate) fn checkpoint(&self) -> &str {
        &self.proof.checkpoint
    }

    /// The tree of the batch, if `key` signed its checkpoint, and nobody else.
    ///
    /// One checkpoint has one spelling: three lines and one signature.
    pub(crate) fn signed_head(&self, key: &VerifyingKey) -> Option<TreeHead> {
        let note: Note = self.proof.checkpoint.parse().ok()?;
        let checkpoint: Checkpoint = note.text().parse().ok()?;
        let is_plain = note.signatures().len() == 1 && checkpoint.to_string() == note.text();
        let id = ed25519_key_id(&self.origin, key.as_octets());
        let signature = note
            .signature_of(&self.origin, id)
            .ok()?
            .octets()
            .try_into()
            .ok()?;
        let is_signed = key.verifies(note.text().as_bytes(), signature);
        (is_plain && is_signed).then_some(checkpoint.head)
    }

    /// Whether the entry with the hash `leaf` is in the tree.
    pub(crate) fn includes(&self, leaf: Hash, head: TreeHead) -> bool {
        check_inclusion(&self.proof.hashes, leaf, self.proof.index, head).is_ok()
    }

    /// What other people's programs take to check the proof by: see `export`.
    pub(crate) fn note_key(&self, key: &VerifyingKey) -> Option<VerifyingNoteKey> {
        VerifyingNoteKey::new(&self.origin, key.as_octets()).ok()
    }
}

/// The checkpoint of a batch, signed.
pub(crate) fn sign(origin: &str, head: TreeHead, key: &SigningKey) -> Result<String, SignError> {
    let text = Checkpoint::new(origin, head)
        .map_err(|_| SignError::Batch)?
        .to_string();
    let signature = key.sign(text.as_bytes());
    let public = key.verifying_key();
    let line = NoteSignature::ed25519(origin, public.as_octets(), &signature);
    let mut note = Note::new(text).map_err(|_| SignError::Batch)?;
    note.push(line.map_err(|_| SignError::Batch)?)
        .map_err(|_| SignError::Batch)?;
    Ok(note.to_string())
}

/// The key and the epoch in the name of a batch's log.
fn named(name: &str) -> Option<(KeyId, u64)> {
    let mut parts = name.strip_prefix("curvelink/")?.split('/');
    let key = parts.next()?.parse().ok()?;
    let epoch = number(parts.next()?)?;
    let is_batch = parts.next()? == "batch" && number(parts.next()?).is_some();
    (is_batch && parts.next().is_none()).then_some((key, epoch))
}

/// A number in its one spelling.
fn number(text: &str) -> Option<u64> {
    let is_plain = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batchs_log_has_one_name() {
        let key = SigningKey::from_seed(&[7; 32]).verifying_key().id();
        let name = origin(key, 9, 0);
        assert_eq!(named(&name), Some((key, 9)));
        for other in [
            name.replace("/9/", "/09/"),
            name.replace("/9/", "/+9/"),
            name.replace("/batch/", "/Batch/"),
            name.replace("/batch/", "/"),
            name.to_uppercase(),
            format!("{name}/"),
            format!("{name}/1"),
            format!("/{name}"),
            "curvelink/".into(),
            String::new(),
        ] {
            assert_eq!(named(&other), None, "{other}");
        }
    }
}
