//! R1 and R2: which key may sign what, from the anchor on.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use curvelink_tlog::{Note, TlogProof, VerifyingNoteKey, leaf_hash};

use super::report::{Finding, Rule};
use crate::journal::error::{About, Damage};
use crate::journal::files;
use crate::journal::layout::Layout;
use crate::journal::notice::Notice;

const MAX_KEY_FILE: u64 = 1 << 20;

/// The keys that sign, one after the other.
#[derive(Debug)]
pub(super) struct Epochs<'a> {
    layout: &'a Layout,
    origin: &'a str,
    epoch: u64,
    key: VerifyingNoteKey,
    /// The key that follows, and the size at which it does.
    next: Option<Next>,
    /// Those that follow it, where their entries are gone.
    certified: VecDeque<Next>,
}

#[derive(Debug)]
struct Next {
    key: VerifyingNoteKey,
    vkey: String,
    at: u64,
    /// Whether the key in force has signed a checkpoint exactly there.
    is_signed: bool,
}

impl<'a> Epochs<'a> {
    /// From the anchor, which the journal must have as it was kept elsewhere.
    pub(super) fn new(
        layout: &'a Layout,
        origin: &'a str,
        anchor: &VerifyingNoteKey,
    ) -> Result<Self, Finding> {
        let epochs = Self {
            layout,
            origin,
            epoch: 0,
            key: anchor.clone(),
            next: None,
            certified: VecDeque::new(),
        };
        if anchor.name() != origin {
            let what = "names another log than the anchor";
            return Err(epochs.bad(None, Path::new("state.json"), what));
        }
        epochs.check_vkey(0, &anchor.to_string())?;
        Ok(epochs)
    }

    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Learns the keys that were named in entries that are gone, from their certificates.
    pub(super) fn read_certificates(&mut self, min_index: u64) -> Result<(), Finding> {
        let (mut epoch, mut key) = (0, self.key.clone());
        loop {
            epoch += 1;
            let Some((proof, file)) = self.certificate(epoch)? else {
                break;
            };
            if proof.index >= min_index {
                break;
            }
            let entry = proof.extra.as_deref().unwrap_or_default();
            self.check_certificate(epoch, &key, entry, &proof)?;
            let bad = || self.bad(proof.index, &file, "names no next key");
            let vkey = match Notice::read(entry) {
                Some(Notice::Epoch { epoch: named, key }) if named == epoch => key,
                _ => return Err(bad()),
            };
            key = vkey.parse().map_err(|_| bad())?;
            self.check_vkey(epoch, &vkey)?;
            self.certified.push_back(Next {
                key: key.clone(),
                vkey,
                at: proof.index + 1,
                is_signed: true,
            });
        }
        self.next = self.certified.pop_front();
        Ok(())
    }

    /// Takes note of an entry: one that names the next key must name that of the next epoch.
    pub(super) fn see(
        &mut self,
        index: u64,
        entry: &[u8],
        notice: Option<&Notice>,
    ) -> Result<(), Finding> {
        self.pass(index)?;
        if let Some(Notice::Epoch { epoch, key }) = notice {
            let file = Path::new("tile/entries");
            if *epoch != self.epoch + 1 {
                return Err(self.bad(index, file, "names the key of an epoch out of turn"));
            }
            let parsed = key.parse::<VerifyingNoteKey>();
            let parsed = parsed.ok().filter(|parsed| parsed.name() == self.origin);
            self.next = Some(Next {
                key: parsed.ok_or_else(|| self.bad(index, file, "names no key of this log"))?,
                vkey: key.clone(),
                at: index + 1,
                is_signed: false,
            });
            self.check_certified(index, entry)?;
        }
        Ok(())
    }

    /// An entry at this index is there: the key before has no say any more.
    pub(super) fn pass(&mut self, index: u64) -> Result<(), Finding> {
        while let Some(next) = self.next.as_ref().filter(|next| index >= next.at) {
            if !next.is_signed {
                let file = Path::new("checkpoints.log");
                let what = "has no checkpoint exactly where the epoch ends";
                return Err(self.bad(next.at - 1, file, what));
            }
            self.advance();
        }
        Ok(())
    }

    fn advance(&mut self) {
        if let Some(next) = self.next.take() {
            self.key = next.key;
            self.epoch += 1;
            self.next = self.certified.pop_front();
        }
    }

    /// Whether the key of its epoch signed a checkpoint of this size.
    pub(super) fn check(&mut self, note: &Note, size: u64) -> Result<(), Finding> {
        if note.verify(&self.key).is_ok() {
            if let Some(next) = &mut self.next {
                next.is_signed |= next.at == size;
            }
            return Ok(());
        }
        if let Some(next) = &self.next
            && next.is_signed
            && note.verify(&next.key).is_ok()
        {
            self.advance();
            return Ok(());
        }
        let damage = Damage::new(
            size.saturating_sub(1),
            Path::new("checkpoints.log"),
            "has a checkpoint that the key of this epoch did not sign",
        );
        Err(Finding::Bad(Rule::Epochs, damage))
    }

    /// Whether a note of this size is signed by a key that may have signed it, without taking note
    /// of it.
    pub(super) fn is_signed(&self, note: &Note) -> bool {
        let next = self.next.as_ref().map(|next| &next.key);
        [Some(&self.key), next]
            .into_iter()
            .flatten()
            .any(|key| note.verify(key).is_ok())
    }

    /// The files beside the entry that names a key must say the same. That of a change that was
    /// interrupted may be missing: then it is the last.
    fn check_certified(&self, index: u64, entry: &[u8]) -> Result<(), Finding> {
        let Some(next) = &self.next else {
            return Ok(());
        };
        let epoch = self.epoch + 1;
        if let Some((proof, file)) = self.certificate(epoch)? {
            if proof.index != index || proof.extra.as_deref() != Some(entry) {
                return Err(self.bad(index, &file, "certifies another entry"));
            }
            self.check_certificate(epoch, &self.key, entry, &proof)?;
            self.check_vkey(epoch, &next.vkey)?;
        }
        Ok(())
    }

    /// At the end: only the last change of keys may lack its files.
    pub(super) fn finish(&self) -> Result<(), Finding> {
        for epoch in 1..=self.epoch {
            for path in [self.layout.certificate(epoch), self.layout.vkey(epoch)] {
                let file = self.layout.relative(&path);
                if !path.try_exists().about(&file)? {
                    let damage = Damage::new(None, &file, "is missing");
                    return Err(Finding::Damaged(Rule::Chain, damage));
                }
            }
        }
        Ok(())
    }

    fn certificate(&self, epoch: u64) -> Result<Option<(TlogProof, PathBuf)>, Finding> {
        let path = self.layout.certificate(epoch);
        let file = self.layout.relative(&path);
        let octets = files::if_there(files::read_bounded(&path, MAX_KEY_FILE)).about(&file)?;
        let Some(octets) = octets else {
            return Ok(None);
        };
        let text = String::from_utf8(octets).ok();
        let proof: Option<TlogProof> = text.as_ref().and_then(|text| text.parse().ok());
        // One proof has one text: another would be an octet that nobody looks at.
        let proof = proof.filter(|proof| Some(proof.to_string()) == text);
        let damage = || Damage::new(None, &file, "is no proof of an epoch's key");
        let proof = proof.ok_or_else(|| Finding::Damaged(Rule::Chain, damage()))?;
        Ok(Some((proof, file)))
    }

    fn check_certificate(
        &self,
        epoch: u64,
        key: &VerifyingNoteKey,
        entry: &[u8],
        proof: &TlogProof,
    ) -> Result<(), Finding> {
        let file = self.layout.relative(&self.layout.certificate(epoch));
        let checkpoint = proof.verify(leaf_hash(entry), key, self.origin);
        match checkpoint {
            Ok(checkpoint) if checkpoint.head.size == proof.index + 1 => Ok(()),
            _ => Err(self.bad(proof.index, &file, "does not prove the epoch's key")),
        }
    }

    fn check_vkey(&self, epoch: u64, key: &str) -> Result<(), Finding> {
        let path = self.layout.vkey(epoch);
        let file = self.layout.relative(&path);
        let octets = files::if_there(files::read_bounded(&path, MAX_KEY_FILE)).about(&file)?;
        match octets {
            Some(octets) if octets == format!("{key}\n").as_bytes() => Ok(()),
            // The certificate is written first.
            None if epoch > self.epoch => Ok(()),
            None => Err(Finding::Damaged(
                Rule::Chain,
                Damage::new(None, &file, "is missing"),
            )),
            Some(_) => Err(self.bad(None, &file, "is another key than the one vouched for")),
        }
    }

    fn bad(&self, index: impl Into<Option<u64>>, file: &Path, what: &'static str) -> Finding {
        Finding::Bad(Rule::Chain, Damage::new(index, file, what))
    }
}
