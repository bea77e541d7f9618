//! The octets of the trailer frame: a statement and the signatures over it.
//!
//! ```text
//! 0   4  "CLE1"
//! 4   1  kind    1 = signed by itself, 2 = signed by the batch   (3, 4: sealed later, refused)
//! 5   1  ptype   1 = application/vnd.in-toto+json
//! 6   2  nsig    1..16, of kind 2 also 0            (numbers are big-endian)
//! 8   4  slen    1..65535
//! 12  .  statement, slen octets
//!     .  nsig times: alg 1 = Ed25519 | 32 | key id, 32 octets | 64 as u16 | signature, 64 octets
//!     .  kind 2: plen as u32, 1..8192 | a c2sp.org/tlog-proof@v1 of the statement, plen octets
//! ```

use sha2::{Digest, Sha256};

use crate::batch_proof::{BatchProof, MAX_PROOF};
use crate::keys::{KeyId, SigningKey};
use crate::malformed::Malformed;
use crate::statement::Statement;
use crate::verify::{VerifyError, check_frames};

const MAGIC: &[u8] = b"CLE1";
const EACH: u8 = 1;
const BATCH: u8 = 2;
const IN_TOTO: u8 = 1;
const ED25519: u8 = 1;
const MAX_SIGNATURES: usize = 16;
/// A statement is at most this long; a transparency log takes no longer entry.
pub(crate) const MAX_STATEMENT: usize = 65_535;
const SIGNATURE_LENGTH: usize = 1 + 1 + 32 + 2 + 64;
/// No trailer is longer.
pub(crate) const MAX_TRAILER: usize =
    12 + MAX_STATEMENT + MAX_SIGNATURES * SIGNATURE_LENGTH + 4 + MAX_PROOF;

/// The payload type under which every statement is signed.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The last frame of a signed message, taken apart.
///
/// It holds exactly the octets that were signed: they are never serialised again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    statement: Vec<u8>,
    signatures: Vec<Signature>,
    proof: Option<BatchProof>,
}

impl Trailer {
    /// Whether `frame` starts as a trailer does. A policy that asks for no signatures passes such
    /// a frame through like any other.
    pub fn is_trailer(frame: &[u8]) -> bool {
        frame.starts_with(MAGIC)
    }

    /// Takes a trailer frame apart. The statement inside is not looked at.
    ///
    /// Cost: one copy of the frame, made after every length in it was checked.
    ///
    /// # Errors
    ///
    /// [`Malformed`] unless every octet is as the format says and none is left over.
    pub fn parse(frame: &[u8]) -> Result<Self, Malformed> {
        let mut rest = frame.strip_prefix(MAGIC).ok_or(Malformed::NoTrailer)?;
        let [kind] = take(&mut rest)?;
        let least = match kind {
            EACH => 1,
            BATCH => 0,
            3..=4 => return Err(Malformed::UnsupportedKind { kind }),
            _ => return Err(Malformed::UnknownKind),
        };
        if take(&mut rest)? != [IN_TOTO] {
            return Err(Malformed::PayloadType);
        }
        let count = usize::from(u16::from_be_bytes(take(&mut rest)?));
        if !(least..=MAX_SIGNATURES).contains(&count) {
            return Err(Malformed::SignatureCount);
        }
        let length = usize::try_from(u32::from_be_bytes(take(&mut rest)?)).unwrap_or(usize::MAX);
        if !(1..=MAX_STATEMENT).contains(&length) {
            return Err(Malformed::StatementLength);
        }
        let (statement, mut rest) = rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        let mut signatures: Vec<Signature> = Vec::with_capacity(count);
        for _ in 0..count {
            let signature = Signature::parse(&mut rest)?;
            if signatures
                .iter()
                .any(|earlier| earlier.key == signature.key)
            {
                return Err(Malformed::RepeatedKey);
            }
            signatures.push(signature);
        }
        let proof = if kind == BATCH {
            Some(take_proof(&mut rest)?)
        } else {
            None
        };
        let signs_twice = |proof: &BatchProof| signatures.iter().any(|by| by.key == proof.key());
        if proof.as_ref().is_some_and(signs_twice) {
            return Err(Malformed::RepeatedKey);
        }
        if !rest.is_empty() {
            return Err(Malformed::TrailingOctets);
        }
        Ok(Self {
            statement: statement.to_vec(),
            signatures,
            proof,
        })
    }

    /// The octets that were signed: an in-toto Statement v1 in JSON.
    pub fn statement_octets(&self) -> &[u8] {
        &self.statement
    }

    pub(crate) fn into_statement(self) -> Vec<u8> {
        self.statement
    }

    /// The statement, read strictly. Nothing in it is proven before a
    /// [`Verifier`](crate::Verifier) has said so.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when a rule of [`Statement`] is broken.
    pub fn statement(&self) -> Result<Statement, Malformed> {
        Statement::parse(&self.statement)
    }

    /// SHA-256 of the statement: the name of this message in a journal.
    pub fn statement_digest(&self) -> [u8; 32] {
        Sha256::digest(&self.statement).into()
    }

    /// The signatures over the statement, each by another key: at least one, or none where the
    /// message was signed by the batch.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The proof of a message that was signed by the batch.
    pub(crate) fn proof(&self) -> Option<&BatchProof> {
        self.proof.as_ref()
    }

    /// The trailer of `message` (all its frames, the trailer last) with one more signature, by
    /// `key`: for topics that need several signers. The frames are held against the statement
    /// first, so that `key` signs what its owner sees; who else signed is not checked here.
    ///
    /// # Errors
    ///
    /// [`VerifyError::Malformed`] (also when `key` has signed already, or 16 have),
    /// [`VerifyError::FrameCount`] or [`VerifyError::DigestMismatch`].
    pub fn countersign(
        message: &[impl AsRef<[u8]>],
        key: &SigningKey,
    ) -> Result<Vec<u8>, VerifyError> {
        let (last, frames) = message.split_last().ok_or(Malformed::NoTrailer)?;
        let mut trailer = Self::parse(last.as_ref())?;
        check_frames(&trailer.statement()?, frames)?;
        let id = key.verifying_key().id();
        let mut keys = trailer.signatures.iter().map(|signature| signature.key);
        if keys.any(|by| by == id)
            || trailer
                .proof
                .as_ref()
                .is_some_and(|proof| proof.key() == id)
        {
            return Err(Malformed::RepeatedKey.into());
        }
        if trailer.signatures.len() == MAX_SIGNATURES {
            return Err(Malformed::SignatureCount.into());
        }
        let octets = key.sign(&pae(&trailer.statement));
        trailer.signatures.push(Signature { key: id, octets });
        Ok(trailer.to_octets())
    }

    /// `statement` signed with `key`.
    pub(crate) fn sign(statement: Vec<u8>, key: &SigningKey) -> Self {
        let octets = key.sign(&pae(&statement));
        let signatures = vec![Signature {
            key: key.verifying_key().id(),
            octets,
        }];
        Self {
            statement,
            signatures,
            proof: None,
        }
    }

    /// The octets of the frame for `statement`, which `proof` shows to be part of a signed batch.
    pub(crate) fn batch_octets(statement: &[u8], proof: &str) -> Vec<u8> {
        octets_of(statement, &[], Some(proof))
    }

    /// The octets of the frame. The statement's length was checked when it was made.
    pub(crate) fn to_octets(&self) -> Vec<u8> {
        let proof = self.proof.as_ref().map(BatchProof::text);
        octets_of(&self.statement, &self.signatures, proof)
    }
}

fn octets_of(statement: &[u8], signatures: &[Signature], proof: Option<&str>) -> Vec<u8> {
    let nsig = u16::try_from(signatures.len()).unwrap_or(u16::MAX);
    let slen = u32::try_from(statement.len()).unwrap_or(u32::MAX);
    let length = 16 + statement.len() + signatures.len() * SIGNATURE_LENGTH;
    let mut frame = Vec::with_capacity(length + proof.map_or(0, str::len));
    frame.extend_from_slice(MAGIC);
    frame.extend_from_slice(&[if proof.is_some() { BATCH } else { EACH }, IN_TOTO]);
    frame.extend_from_slice(&nsig.to_be_bytes());
    frame.extend_from_slice(&slen.to_be_bytes());
    frame.extend_from_slice(statement);
    for signature in signatures {
        signature.write_to(&mut frame);
    }
    if let Some(proof) = proof {
        frame.extend_from_slice(&u32::try_from(proof.len()).unwrap_or(u32::MAX).to_be_bytes());
        frame.extend_from_slice(proof.as_bytes());
    }
    frame
}

/// One Ed25519 signature over [`pae`](crate::export::pae) of the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    key: KeyId,
    octets: [u8; 64],
}

impl Signature {
    /// The key that the trailer says made it.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// The 64 octets of RFC 8032.
    pub fn as_octets(&self) -> &[u8; 64] {
        &self.octets
    }

    fn parse(rest: &mut &[u8]) -> Result<Self, Malformed> {
        if take(rest)? != [ED25519, 32] {
            return Err(Malformed::Algorithm);
        }
        let key = KeyId(take(rest)?);
        if u16::from_be_bytes(take(rest)?) != 64 {
            return Err(Malformed::Algorithm);
        }
        Ok(Self {
            key,
            octets: take(rest)?,
        })
    }

    fn write_to(&self, frame: &mut Vec<u8>) {
        frame.extend_from_slice(&[ED25519, 32]);
        frame.extend_from_slice(self.key.as_octets());
        frame.extend_from_slice(&64_u16.to_be_bytes());
        frame.extend_from_slice(&self.octets);
    }
}

fn take_proof(rest: &mut &[u8]) -> Result<BatchProof, Malformed> {
    let length = usize::try_from(u32::from_be_bytes(take(rest)?)).unwrap_or(usize::MAX);
    if !(1..=MAX_PROOF).contains(&length) {
        return Err(Malformed::Proof);
    }
    let (proof, left) = rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
    *rest = left;
    BatchProof::parse(proof)
}

/// The next `N` octets of `rest`.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (taken, left) = rest.split_first_chunk().ok_or(Malformed::Truncated)?;
    *rest = left;
    Ok(*taken)
}

/// What is signed: the pre-authentication encoding of DSSE 1.0.2, which ties a statement to its
/// type so that a signature cannot be carried over to another format.
pub(crate) fn pae(statement: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        statement.len()
    );
    [head.as_bytes(), statement].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trailer() -> Trailer {
        Trailer::sign(
            b"{\"statement\":1}".to_vec(),
            &SigningKey::from_seed(&[7; 32]),
        )
    }

    /// The trailer's octets with `octets` written over those from `at` on.
    fn with(at: usize, octets: &[u8]) -> Result<Trailer, Malformed> {
        let mut frame = trailer().to_octets();
        frame[at..at + octets.len()].copy_from_slice(octets);
        Trailer::parse(&frame)
    }

    #[test]
    fn what_was_written_parses_to_the_same() {
        let frame = trailer().to_octets();
        assert!(Trailer::is_trailer(&frame));
        assert_eq!(&frame[..12], b"CLE1\x01\x01\x00\x01\x00\x00\x00\x0f");
        assert_eq!(frame.len(), 12 + 15 + 100);
        assert_eq!(Trailer::parse(&frame), Ok(trailer()));
    }

    #[test]
    fn the_signed_octets_are_those_of_the_dsse_specification() {
        assert_eq!(pae(b"{}"), b"DSSEv1 28 application/vnd.in-toto+json 2 {}");
    }

    #[test]
    fn every_length_but_the_right_one_is_refused() {
        let frame = trailer().to_octets();
        for length in 0..frame.len() {
            let expected = if length < 4 {
                Malformed::NoTrailer
            } else {
                Malformed::Truncated
            };
            assert_eq!(
                Trailer::parse(&frame[..length]),
                Err(expected),
                "{length} octets"
            );
        }
        for more in 1..200 {
            let longer = [frame.clone(), vec![0; more]].concat();
            assert_eq!(Trailer::parse(&longer), Err(Malformed::TrailingOctets));
        }
    }

    #[test]
    fn each_field_has_its_own_refusal() {
        let signature = 12 + 15;
        assert_eq!(with(0, b"cle1"), Err(Malformed::NoTrailer));
        assert_eq!(with(4, &[0]), Err(Malformed::UnknownKind));
        assert_eq!(with(4, &[5]), Err(Malformed::UnknownKind));
        assert_eq!(with(5, &[0]), Err(Malformed::PayloadType));
        assert_eq!(with(5, &[2]), Err(Malformed::PayloadType));
        assert_eq!(with(6, &[0, 0]), Err(Malformed::SignatureCount));
        assert_eq!(with(6, &[0, 17]), Err(Malformed::SignatureCount));
        assert_eq!(with(6, &[0, 2]), Err(Malformed::Truncated));
        assert_eq!(with(8, &[0, 0, 0, 0]), Err(Malformed::StatementLength));
        assert_eq!(with(8, &[0, 1, 0, 0]), Err(Malformed::StatementLength));
        assert_eq!(with(8, &[0xff; 4]), Err(Malformed::StatementLength));
        assert_eq!(with(8, &[0, 0, 0xff, 0xff]), Err(Malformed::Truncated));
        assert_eq!(with(signature, &[2]), Err(Malformed::Algorithm));
        assert_eq!(with(signature + 1, &[31]), Err(Malformed::Algorithm));
        assert_eq!(with(signature + 34, &[0, 63]), Err(Malformed::Algorithm));
    }

    #[test]
    fn kinds_of_later_versions_are_recognised_and_refused_by_their_own_code() {
        for kind in 3..=4 {
            let refusal = with(4, &[kind]).expect_err("not read");
            assert_eq!(refusal, Malformed::UnsupportedKind { kind });
            assert_eq!(refusal.code(), "unsupported-kind");
        }
        assert_eq!(Malformed::UnknownKind.code(), "malformed-envelope");
    }

    #[test]
    fn one_to_sixteen_signatures_parse_and_no_key_signs_twice() {
        let mut many = trailer();
        for seed in 100..115 {
            let other = Trailer::sign(Vec::new(), &SigningKey::from_seed(&[seed; 32]));
            many.signatures.extend(other.signatures);
            assert_eq!(Trailer::parse(&many.to_octets()).as_ref(), Ok(&many));
        }
        assert_eq!(many.signatures.len(), MAX_SIGNATURES);
        many.signatures[15] = many.signatures[3].clone();
        assert_eq!(
            Trailer::parse(&many.to_octets()),
            Err(Malformed::RepeatedKey)
        );
        many.signatures.push(trailer().signatures[0].clone());
        assert_eq!(
            Trailer::parse(&many.to_octets()),
            Err(Malformed::SignatureCount)
        );
    }

    proptest! {
        /// One trailer has one spelling, so no octet of it is free to an attacker.
        #[test]
        fn whatever_parses_is_written_back_octet_for_octet(
            edits in proptest::collection::vec((0_usize..127, any::<u8>()), 0..4),
            cut in 0_usize..128,
        ) {
            let mut frame = trailer().to_octets();
            for (at, octet) in edits {
                frame[at] = octet;
            }
            frame.truncate(cut);
            if let Ok(parsed) = Trailer::parse(&frame) {
                prop_assert_eq!(parsed.to_octets(), frame);
            }
        }

        #[test]
        fn no_octets_make_the_parser_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Trailer::parse(&octets);
            let _ = Trailer::parse(&[MAGIC, &octets].concat());
        }
    }
}
