//! The same signature in forms that other people's programs check.
//!
//! Nothing is signed anew: each form re-wraps the statement and the signatures of a trailer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::batch_proof::BatchProof;
use crate::keys::VerifyingKey;
use crate::trailer::{PAYLOAD_TYPE, Signature, Trailer};

/// The octets that every signature is over: the pre-authentication encoding of DSSE 1.0.2.
///
/// With the 64 octets of [`Signature::as_octets`] in a file `m.sig` and these in `m.pae`:
///
/// ```text
/// openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in m.pae -sigfile m.sig
/// ```
pub fn pae(trailer: &Trailer) -> Vec<u8> {
    crate::trailer::pae(trailer.statement_octets())
}

/// A DSSE 1.0.2 envelope in JSON, with every signature; none for a message that was signed by the
/// batch alone, which has a [`tlog_proof`].
///
/// securesystemslib finds a key by its exact id, which is not the one that it would compute
/// itself: give it `SSlibKey.from_crypto(public_key, keyid=id)` with the key's
/// [`KeyId`](crate::KeyId) in hexadecimal.
pub fn dsse_json(trailer: &Trailer) -> Option<String> {
    if trailer.signatures().is_empty() {
        return None;
    }
    let envelope = DsseEnvelope::of(trailer, trailer.signatures());
    serde_json::to_string(&envelope).ok()
}

/// A sigstore bundle v0.3 in JSON, to be checked with a public key and without a log.
///
/// A bundle holds one signature: the trailer's first. None for a message that was signed by the
/// batch alone.
pub fn sigstore_bundle_json(trailer: &Trailer) -> Option<String> {
    let signatures = trailer.signatures().get(..1)?;
    let hint = signatures.first()?.key().to_string();
    let bundle = SigstoreBundle {
        media_type: "application/vnd.dev.sigstore.bundle.v0.3+json",
        verification_material: VerificationMaterial {
            public_key: PublicKey { hint },
            tlog_entries: [],
        },
        dsse_envelope: DsseEnvelope::of(trailer, signatures),
    };
    serde_json::to_string(&bundle).ok()
}

/// The `c2sp.org/tlog-proof@v1` of a message that was signed by the batch, as it came; none for
/// others. Its entry is [`Trailer::statement_octets`].
///
/// Any program for transparency logs checks it with the [`tlog_vkey`] of the signer's key.
pub fn tlog_proof(trailer: &Trailer) -> Option<&str> {
    trailer.proof().map(BatchProof::text)
}

/// The public key for [`tlog_proof`], as such programs take it: `ORIGIN+ID+KEY`.
///
/// `key` is the signer's, which the auditor has from elsewhere. The origin names it too, and the
/// epoch and number of the batch: take the origin of a proof for what it is only under a key that
/// you know.
pub fn tlog_vkey(trailer: &Trailer, key: &VerifyingKey) -> Option<String> {
    trailer.proof()?.note_key(key).map(|key| key.to_string())
}

/// The name of the log of a message that was signed by the batch.
pub fn tlog_origin(trailer: &Trailer) -> Option<&str> {
    trailer.proof().map(BatchProof::origin)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DsseEnvelope {
    payload: String,
    payload_type: &'static str,
    signatures: Vec<DsseSignature>,
}

#[derive(Serialize)]
struct DsseSignature {
    keyid: String,
    sig: String,
}

impl DsseEnvelope {
    fn of(trailer: &Trailer, signatures: &[Signature]) -> Self {
        let signature = |signature: &Signature| DsseSignature {
            keyid: signature.key().to_string(),
            sig: STANDARD.encode(signature.as_octets()),
        };
        Self {
            payload: STANDARD.encode(trailer.statement_octets()),
            payload_type: PAYLOAD_TYPE,
            signatures: signatures.iter().map(signature).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SigstoreBundle {
    media_type: &'static str,
    verification_material: VerificationMaterial,
    dsse_envelope: DsseEnvelope,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationMaterial {
    public_key: PublicKey,
    tlog_entries: [(); 0],
}

#[derive(Serialize)]
struct PublicKey {
    hint: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::keys::SigningKey;

    #[test]
    fn each_form_holds_the_statement_and_signature_unchanged() {
        let key = SigningKey::from_seed(&[7; 32]);
        let trailer = Trailer::sign(b"{}".to_vec(), &key);
        let envelope = json!({
            "payload": "e30=",
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{
                "keyid": key.verifying_key().id().to_string(),
                "sig": STANDARD.encode(trailer.signatures()[0].as_octets()),
            }],
        });
        let read = |text: Option<String>| {
            serde_json::from_str::<Value>(&text.expect("signed")).expect("json")
        };
        assert_eq!(read(dsse_json(&trailer)), envelope);
        assert_eq!(
            read(sigstore_bundle_json(&trailer)),
            json!({
                "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "verificationMaterial": {
                    "publicKey": { "hint": key.verifying_key().id().to_string() },
                    "tlogEntries": [],
                },
                "dsseEnvelope": envelope,
            })
        );
    }
}
