//! The octets of the trailer frame: a statement and the signatures over it.
//!
//! ```text
//! 0   4  "CLE1"
//! 4   1  kind    1 = one envelope for one message   (2, 3, 4: batch and seal, refused)
//! 5   1  ptype   1 = application/vnd.in-toto+json
//! 6   2  nsig    1..16                              (numbers are big-endian)
//! 8   4  slen    1..65535
//! 12  .  statement, slen octets
//!     .  nsig times: alg 1 = Ed25519 | 32 | key id, 32 octets | 64 as u16 | signature, 64 octets
//! ```

use sha2::{Digest, Sha256};

use crate::keys::{KeyId, SigningKey};
use crate::malformed::Malformed;
use crate::statement::Statement;

const MAGIC: &[u8] = b"CLE1";
const EACH: u8 = 1;
const IN_TOTO: u8 = 1;
const ED25519: u8 = 1;
const MAX_SIGNATURES: usize = 16;
/// A statement is at most this long; a transparency log takes no longer entry.
pub(crate) const MAX_STATEMENT: usize = 65_535;
const SIGNATURE_LENGTH: usize = 1 + 1 + 32 + 2 + 64;
/// No trailer is longer.
pub(crate) const MAX_TRAILER: usize = 12 + MAX_STATEMENT + MAX_SIGNATURES * SIGNATURE_LENGTH;

/// The payload type under which every statement is signed.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The last frame of a signed message, taken apart.
///
/// It holds exactly the octets that were signed: they are never serialised again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    statement: Vec<u8>,
    signatures: Vec<Signature>,
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
        match take(&mut rest)? {
            [EACH] => {}
            [kind @ 2..=4] => return Err(Malformed::UnsupportedKind { kind }),
            _ => return Err(Malformed::UnknownKind),
        }
        if take(&mut rest)? != [IN_TOTO] {
            return Err(Malformed::PayloadType);
        }
        let count = usize::from(u16::from_be_bytes(take(&mut rest)?));
        if !(1..=MAX_SIGNATURES).contains(&count) {
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
        if !rest.is_empty() {
            return Err(Malformed::TrailingOctets);
        }
        Ok(Self {
            statement: statement.to_vec(),
            signatures,
        })
    }

    /// The octets that were signed: an in-toto Statement v1 in JSON.
    pub fn statement_octets(&self) -> &[u8] {
        &self.statement
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

    /// The signatures, at least one, each by another key.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
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
        }
    }

    /// The octets of the frame. The statement's length was checked when it was made.
    pub(crate) fn to_octets(&self) -> Vec<u8> {
        let nsig = u16::try_from(self.signatures.len()).unwrap_or(u16::MAX);
        let slen = u32::try_from(self.statement.len()).unwrap_or(u32::MAX);
        let length = 12 + self.statement.len() + self.signatures.len() * SIGNATURE_LENGTH;
        let mut frame = Vec::with_capacity(length);
        frame.extend_from_slice(MAGIC);
        frame.extend_from_slice(&[EACH, IN_TOTO]);
        frame.extend_from_slice(&nsig.to_be_bytes());
        frame.extend_from_slice(&slen.to_be_bytes());
        frame.extend_from_slice(&self.statement);
        for signature in &self.signatures {
            signature.write_to(&mut frame);
        }
        frame
    }
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
        for kind in 2..=4 {
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
