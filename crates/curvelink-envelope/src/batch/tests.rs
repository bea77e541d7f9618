//! Batches signed, verified, altered and exported.

use curvelink_tlog::leaf_hash;

use super::*;
use crate::{
    Identity, Malformed, Progress, Quorum, Registry, SigningKey, Trailer, Verified, Verifier,
    VerifyError, Via, export,
};

const NOW: i64 = 1_795_305_600_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms).expect("in range")
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn batch_of(seed: u8, name: &str) -> BatchSigner {
    let signer = Signer::start(key(seed), name, "hub", Progress::default(), at(NOW));
    BatchSigner::new(signer.expect("starts"))
}

fn registry() -> Registry {
    let identity = |name: &str, seed| {
        Identity::new(name)
            .with_key(key(seed).verifying_key())
            .may_publish("")
    };
    Registry::new(vec![identity("ci", 1), identity("other", 2)]).expect("sound")
}

fn verifier() -> Verifier {
    Verifier::new(registry(), ["hub"])
}

fn verdict(verifier: &mut Verifier, message: &[Vec<u8>]) -> Result<Verified, VerifyError> {
    verifier.verify_at(message, Via::Relay, at(NOW))
}

/// `count` messages of two topics, signed in one batch.
fn sealed(batch: &mut BatchSigner, count: usize) -> Vec<Vec<Vec<u8>>> {
    let about = About::new("text/plain");
    let mut held: Vec<Vec<Vec<u8>>> = Vec::new();
    for number in 0..count {
        let topic: &[u8] = if number % 3 == 0 { b"b" } else { b"a" };
        let message = vec![topic.to_vec(), format!("body {number}").into_bytes()];
        batch.push(&message, &about, at(NOW)).expect("room");
        held.push(message);
    }
    assert_eq!(batch.held(), count);
    let trailers = batch.seal().expect("signs");
    assert_eq!(trailers.len(), count);
    held.iter_mut()
        .zip(trailers)
        .for_each(|(message, trailer)| message.push(trailer));
    held
}

#[test]
fn a_batch_of_any_size_verifies_in_order_and_each_message_alone() {
    let mut batch = batch_of(1, "ci");
    let mut stream = verifier();
    for count in [1, 2, 3, 5, 63, 64] {
        for message in sealed(&mut batch, count) {
            let verified = verdict(&mut stream, &message).expect("passes");
            assert_eq!(verified.flags, []);
            assert_eq!(verified.key, key(1).verifying_key().id());
            assert!(
                verifier().verify_at_rest(&message).is_ok(),
                "without the others"
            );
        }
    }
    assert_eq!(
        batch.seal().expect("nothing to sign"),
        Vec::<Vec<u8>>::new()
    );
}

#[test]
fn a_message_of_a_batch_passes_once_and_unaltered() {
    let messages = sealed(&mut batch_of(1, "ci"), 5);
    let mut stream = verifier();
    for message in &messages {
        assert!(verdict(&mut stream, message).is_ok());
    }
    // The checkpoint is known by now, and none of it counts for another message.
    for message in &messages {
        assert_eq!(verdict(&mut stream, message), Err(VerifyError::Replayed));
        for frame in 0..3 {
            for at in (0..message[frame].len()).step_by(3) {
                let mut altered = message.clone();
                altered[frame][at] ^= 1;
                let code = verdict(&mut stream.clone(), &altered)
                    .expect_err("refused")
                    .code();
                assert_ne!(code, "replayed", "frame {frame} octet {at} is free");
                assert!(
                    verifier().verify_at_rest(&altered).is_err(),
                    "frame {frame} octet {at}"
                );
            }
        }
    }
}

/// The trailer with `edit` done to the text of its proof.
fn reproved(message: &[Vec<u8>], edit: impl Fn(&str) -> String) -> Vec<Vec<u8>> {
    let trailer = Trailer::parse(&message[2]).expect("well formed");
    let proof = edit(export::tlog_proof(&trailer).expect("a batch"));
    let trailer = Trailer::batch_octets(trailer.statement_octets(), &proof);
    vec![message[0].clone(), message[1].clone(), trailer]
}

#[test]
fn each_part_of_a_proof_has_its_refusal() {
    let mut batch = batch_of(1, "ci");
    let messages = sealed(&mut batch, 5);
    let later = sealed(&mut batch, 5);
    let message = &messages[2];
    let refusal = |message: &[Vec<u8>]| verifier().verify_at_rest(message).expect_err("refused");
    let edited = |from: &str, to: &str| {
        let altered = reproved(message, |proof| proof.replacen(from, to, 1));
        assert_ne!(altered, *message, "{from}");
        refusal(&altered)
    };
    let own = key(1).verifying_key().id().to_string();
    let other = key(2).verifying_key().id().to_string();
    let stranger = key(9).verifying_key().id();
    let forged = VerifyError::BadSignature;
    assert_eq!(edited("index 2", "index 3"), forged);
    assert_eq!(edited("index 2", "index 02"), Malformed::Proof.into());
    assert_eq!(
        edited("@v1\n", "@v1\nextra AAAA\n"),
        Malformed::Proof.into()
    );
    assert_eq!(edited("curvelink/", "Curvelink/"), Malformed::Proof.into());
    assert_eq!(edited("/batch/0", "/batch/00"), Malformed::Proof.into());
    assert_eq!(edited("/batch/0", "/batch/1"), forged);
    assert_eq!(
        edited(&format!("/{NOW}/"), &format!("/{}/", NOW + 1)),
        forged
    );
    assert_eq!(edited(&own, &other), VerifyError::NotTheSignersKey);
    assert_eq!(
        edited(&own, &stranger.to_string()),
        VerifyError::UnknownKey { key: stranger }
    );
    assert_eq!(edited("\n5\n", "\n6\n"), forged);
    assert_eq!(edited("\n5\n", "\n05\n"), forged);
    assert_eq!(
        refusal(&reproved(message, |_| String::new())),
        Malformed::Proof.into()
    );
    assert_eq!(
        refusal(&reproved(message, |_| "x".repeat(9_000))),
        Malformed::Proof.into()
    );
    let twice = reproved(message, |proof| {
        let line = proof
            .lines()
            .last()
            .expect("a signature")
            .replace("batch/0", "batch/1");
        format!("{proof}{line}\n")
    });
    assert_eq!(refusal(&twice), forged, "one checkpoint has one spelling");
    // A good proof of another message.
    for donor in [&messages[1], &later[2]] {
        let donor = Trailer::parse(&donor[2]).expect("well formed");
        let proof = export::tlog_proof(&donor).expect("a batch").to_owned();
        assert_eq!(refusal(&reproved(message, |_| proof.clone())), forged);
    }
}

/// Somebody who is known signs the checkpoint of somebody else's statement.
#[test]
fn a_batch_speaks_for_the_identity_of_its_key_only() {
    let message = &sealed(&mut batch_of(2, "ci"), 1)[0];
    assert_eq!(
        verifier().verify_at_rest(message),
        Err(VerifyError::NotTheSignersKey)
    );
    let message = &sealed(&mut batch_of(9, "ci"), 1)[0];
    assert_eq!(
        verifier()
            .verify_at_rest(message)
            .expect_err("refused")
            .code(),
        "unknown-key"
    );
}

#[test]
fn a_cached_checkpoint_is_forgotten_in_time_and_checked_again() {
    let mut batch = batch_of(1, "ci");
    let batches: Vec<_> = (0..40).map(|_| sealed(&mut batch, 2)).collect();
    let mut stream = verifier();
    for half in 0..2 {
        for messages in &batches {
            assert!(verdict(&mut stream, &messages[half]).is_ok());
        }
    }
    // Each checkpoint has its log's name twice.
    let kept = format!("{stream:?}").matches("/batch/").count() / 2;
    assert_eq!(kept, 16);
}

#[test]
fn a_second_signer_adds_to_a_batch_and_counts_for_a_rule() {
    let rule = Quorum::new("", 2, ["ci", "other"]);
    let registry = registry().with_quorums(vec![rule]).expect("sound");
    let verifier = Verifier::new(registry, ["hub"]);
    let mut message = sealed(&mut batch_of(1, "ci"), 3).remove(1);
    let too_few = VerifyError::TooFewSigners {
        needed: 2,
        present: 1,
    };
    assert_eq!(verifier.verify_at_rest(&message), Err(too_few));
    assert_eq!(
        Trailer::countersign(&message, &key(1)),
        Err(Malformed::RepeatedKey.into()),
        "its signature is that of the batch"
    );
    message[2] = Trailer::countersign(&message, &key(2)).expect("signs");
    let verified = verifier.verify_at_rest(&message).expect("passes");
    assert_eq!(verified.key, key(1).verifying_key().id());
    assert_eq!(verified.cosigners, ["other"]);
    let signature = message[2].len() - 64 - {
        let trailer = Trailer::parse(&message[2]).expect("well formed");
        export::tlog_proof(&trailer).expect("a batch").len() + 4
    };
    message[2][signature] ^= 1;
    assert_eq!(
        verifier.verify_at_rest(&message),
        Err(VerifyError::BadSignature)
    );
}

#[test]
fn a_batch_is_full_with_its_messages_and_due_after_its_delay() {
    let about = About::new("text/plain");
    let mut batch = batch_of(1, "ci").with_limits(2, Duration::from_millis(5));
    assert_eq!((batch.due(), batch.is_due(at(NOW))), (None, false));
    batch.push(&["a"], &about, at(NOW)).expect("room");
    assert_eq!(batch.due(), Some(at(NOW + 5)));
    for (ms, due) in [(0, false), (4, false), (5, true), (6, true), (-1, true)] {
        assert_eq!(batch.is_due(at(NOW + ms)), due, "{ms}");
    }
    batch.push(&["a"], &about, at(NOW + 3)).expect("room");
    assert_eq!(batch.due(), Some(at(NOW + 5)), "since the first");
    assert!(batch.is_full() && batch.is_due(at(NOW)));
    let refusal = batch.push(&["a"], &about, at(NOW));
    assert!(matches!(refusal, Err(SignError::SealFirst)));
    assert_eq!(batch.seal().expect("signs").len(), 2);
    assert_eq!((batch.held(), batch.due()), (0, None));
    assert!(batch.push(&["a"], &about, at(NOW)).is_ok());
}

#[test]
fn nothing_overtakes_what_is_held() {
    let about = About::new("text/plain");
    let mut batch = batch_of(1, "ci");
    assert!(batch.sign_with(&["a"], &about, at(NOW)).is_ok());
    batch.push(&["a"], &about, at(NOW)).expect("room");
    assert!(matches!(
        batch.sign_with(&["a"], &about, at(NOW)),
        Err(SignError::SealFirst)
    ));
    assert!(matches!(
        batch.heartbeats(at(NOW)),
        Err(SignError::SealFirst)
    ));
    assert!(matches!(batch.idle_signer(), Err(SignError::SealFirst)));
    batch.seal().expect("signs");
    let trailer = batch.sign_with(&["a"], &about, at(NOW)).expect("signs");
    let statement = Trailer::parse(&trailer)
        .and_then(|trailer| trailer.statement())
        .expect("good");
    assert_eq!((statement.seq, statement.tseq), (2, 2), "one numbering");
}

#[test]
fn a_batch_does_not_span_two_epochs_and_logs_have_names_of_their_own() {
    let signer = Signer::start(key(1), "ci", "hub", Progress::default(), at(NOW));
    let mut batch = BatchSigner::new(signer.expect("starts").with_topic_limit(1));
    let about = About::new("text/plain");
    batch.push(&["a"], &about, at(NOW)).expect("room");
    let refusal = batch.push(&["b"], &about, at(NOW));
    assert!(
        matches!(refusal, Err(SignError::SealFirst)),
        "another topic is another epoch"
    );
    let mut origins = Vec::new();
    for topic in ["a", "b", "b"] {
        if batch.held() == 0 {
            batch.push(&[topic], &about, at(NOW)).expect("room");
        }
        let trailer = batch.seal().expect("signs").remove(0);
        let trailer = Trailer::parse(&trailer).expect("well formed");
        origins.push(export::tlog_origin(&trailer).expect("a batch").to_owned());
    }
    let id = key(1).verifying_key().id();
    let name = |epoch: i64, number| format!("curvelink/{id}/{epoch}/batch/{number}");
    assert_eq!(origins, [name(NOW, 0), name(NOW + 1, 0), name(NOW + 1, 1)]);
}

#[test]
fn what_cannot_be_stated_is_not_held() {
    let mut batch = batch_of(1, "ci");
    let about = About::new("text/plain");
    assert!(matches!(
        batch.push(&[[0xff]], &about, at(NOW)),
        Err(SignError::TopicNotUtf8)
    ));
    let trace = about.traceparent("00-0-0-0");
    assert!(matches!(
        batch.push(&["a"], &trace, at(NOW)),
        Err(SignError::Traceparent)
    ));
    assert_eq!(batch.held(), 0);
}

#[test]
fn the_exported_proof_and_key_are_enough_to_check_the_statement() {
    let message = &sealed(&mut batch_of(1, "ci"), 7)[4];
    let trailer = Trailer::parse(&message[2]).expect("well formed");
    let proof: TlogProof = export::tlog_proof(&trailer)
        .expect("a batch")
        .parse()
        .expect("a proof");
    let vkey = export::tlog_vkey(&trailer, &key(1).verifying_key()).expect("a name");
    let origin = export::tlog_origin(&trailer).expect("a batch");
    let leaf = leaf_hash(trailer.statement_octets());
    let checked = proof.verify(leaf, &vkey.parse().expect("a vkey"), origin);
    assert_eq!(checked.map(|checkpoint| checkpoint.head.size), Ok(7));
    assert_eq!(
        (
            export::dsse_json(&trailer),
            export::sigstore_bundle_json(&trailer)
        ),
        (None, None)
    );

    let mut signer =
        Signer::start(key(1), "ci", "hub", Progress::default(), at(NOW)).expect("starts");
    let each = signer
        .sign_at(&["a"], "text/plain", at(NOW))
        .expect("signs");
    let each = Trailer::parse(&each).expect("well formed");
    assert_eq!(export::tlog_proof(&each), None);
    assert_eq!(export::tlog_vkey(&each, &key(1).verifying_key()), None);
}

#[test]
fn a_log_of_another_run_proves_nothing_and_a_key_signs_once() {
    let mut signer =
        Signer::start(key(1), "ci", "hub", Progress::default(), at(NOW)).expect("starts");
    let each = signer
        .sign_at(&["a"], "text/plain", at(NOW))
        .expect("signs");
    let statement = Trailer::parse(&each)
        .expect("well formed")
        .statement_octets()
        .to_vec();
    let id = key(1).verifying_key().id();
    let proof_of = |epoch: i64| {
        let origin = batch_proof::origin(id, epoch.unsigned_abs(), 0);
        let head = TreeHead {
            size: 1,
            root: leaf_hash(&statement),
        };
        let checkpoint = batch_proof::sign(&origin, head, &key(1)).expect("signs");
        TlogProof {
            extra: None,
            index: 0,
            hashes: Vec::new(),
            checkpoint,
        }
        .to_string()
    };
    let verdict = |trailer: Vec<u8>| verifier().verify_at_rest(&[b"a".to_vec(), trailer]).err();
    let batched = |epoch| Trailer::batch_octets(&statement, &proof_of(epoch));
    assert_eq!(verdict(batched(NOW)), None);
    assert_eq!(verdict(batched(NOW + 1)), Some(VerifyError::BadSignature));

    let proof = proof_of(NOW);
    let length = u32::try_from(proof.len()).expect("short").to_be_bytes();
    let mut both = [&each, length.as_slice(), proof.as_bytes()].concat();
    both[4] = 2;
    assert_eq!(verdict(both), Some(Malformed::RepeatedKey.into()));
}
