//! Every reason code, and the order in which the checks speak.

use super::*;
use crate::keys::SigningKey;
use crate::progress::Progress;
use crate::quorum::Quorum;
use crate::registry::RegistryError;
use crate::replay::tests::full;
use crate::sign::Signer;

const NOW: i64 = 1_795_305_600_000;
const SCANNER: Via<'_> = Via::Identity("scanner");

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms).expect("in range")
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn verifier() -> Verifier {
    let scanner = Identity::new("scanner")
        .with_key(key(1).verifying_key())
        .with_key_valid(key(2).verifying_key(), Some(at(NOW)), Some(at(NOW + 1_000)))
        .may_publish("findings/");
    let other = Identity::new("other")
        .with_key(key(3).verifying_key())
        .may_publish("findings/");
    Verifier::new(
        Registry::new(vec![scanner, other]).expect("sound"),
        ["hub", "hub.example"],
    )
}

fn signer(seed: u8, name: &str, audience: &str) -> Signer {
    Signer::start(key(seed), name, audience, Progress::default(), at(NOW)).expect("starts")
}

fn signed_at(signer: &mut Signer, topic: &str, ms: i64) -> Vec<Vec<u8>> {
    let frames = [topic.as_bytes().to_vec(), b"body".to_vec()];
    let trailer = signer
        .sign_at(&frames, "text/plain", at(ms))
        .expect("signs");
    [&frames[..], &[trailer]].concat()
}

fn good() -> Vec<Vec<u8>> {
    signed_at(&mut signer(1, "scanner", "hub"), "findings/a", NOW)
}

/// The frames of `message` under a trailer with `statement`, signed with `keys`.
fn restated(message: &[Vec<u8>], statement: &Statement, keys: &[u8]) -> Vec<Vec<u8>> {
    let octets = statement.to_octets().expect("writes");
    let one = |seed: &u8| Trailer::sign(octets.clone(), &key(*seed)).to_octets();
    let mut trailer = one(&keys[0]);
    trailer[7] = u8::try_from(keys.len()).expect("few");
    for seed in &keys[1..] {
        trailer.extend_from_slice(&one(seed)[12 + octets.len()..]);
    }
    let frames = &message[..message.len() - 1];
    [frames, &[trailer]].concat()
}

fn statement_of(message: &[Vec<u8>]) -> Statement {
    let trailer = message.last().expect("a trailer");
    Trailer::parse(trailer)
        .and_then(|trailer| trailer.statement())
        .expect("well formed")
}

/// The verdict of a fresh verifier.
fn verdict(message: &[Vec<u8>]) -> Result<Verified, VerifyError> {
    verifier().verify_at(message, SCANNER, at(NOW))
}

#[test]
fn a_good_message_passes_with_what_was_stated() {
    let message = good();
    let verified = verdict(&message).expect("passes");
    assert_eq!(verified.statement, statement_of(&message));
    assert_eq!(verified.key, key(1).verifying_key().id());
    assert_eq!(verified.flags, []);
    let trailer = Trailer::parse(&message[2]).expect("well formed");
    assert_eq!(verified.digest(), trailer.statement_digest());
}

#[test]
fn a_message_without_an_envelope_is_malformed() {
    let message = good();
    assert_eq!(verdict(&[]), Err(Malformed::NoTrailer.into()));
    assert_eq!(verdict(&message[..2]), Err(Malformed::NoTrailer.into()));
    let refusal = verdict(&[message.clone(), vec![vec![]]].concat()).expect_err("refused");
    assert_eq!(refusal.code(), "malformed-envelope");
    let mut batch = message;
    batch[2][4] = 3;
    assert_eq!(
        verdict(&batch).expect_err("refused").code(),
        "unsupported-kind"
    );
}

#[test]
fn a_stranger_and_a_known_key_under_a_foreign_name_are_unknown() {
    let stranger = signed_at(&mut signer(9, "scanner", "hub"), "findings/a", NOW);
    let unknown = VerifyError::UnknownKey {
        key: key(9).verifying_key().id(),
    };
    assert_eq!(unknown.code(), "unknown-key");
    assert_eq!(verdict(&stranger), Err(unknown));

    let pretender = signed_at(&mut signer(3, "scanner", "hub"), "findings/a", NOW);
    assert_eq!(verdict(&pretender), Err(VerifyError::NotTheSignersKey));
    assert_eq!(VerifyError::NotTheSignersKey.code(), "unknown-key");
}

#[test]
fn a_key_speaks_within_its_validity_only() {
    for (ms, expected) in [
        (NOW - 1, Some(VerifyError::KeyNotYetValid)),
        (NOW, None),
        (NOW + 1_000, None),
        (NOW + 1_001, Some(VerifyError::KeyExpired)),
    ] {
        let message = signed_at(&mut signer(2, "scanner", "hub"), "findings/a", ms);
        let refusal = verdict(&message).err();
        assert!(
            refusal
                .iter()
                .all(|refusal| refusal.code() == "key-expired")
        );
        assert_eq!(refusal, expected);
        assert_eq!(verifier().verify_at_rest(&message).err(), expected);
    }
}

#[test]
fn an_altered_statement_or_signature_is_a_bad_signature() {
    let message = good();
    let statement = statement_of(&message);
    let mut altered = restated(
        &message,
        &Statement {
            seq: 1,
            ..statement
        },
        &[1],
    );
    let signature = message[2].len() - 64;
    let end = altered[2].len() - 64;
    altered[2].truncate(end);
    altered[2].extend_from_slice(&message[2][signature..]);
    assert_eq!(verdict(&altered), Err(VerifyError::BadSignature));

    let mut altered = message;
    altered[2][signature] ^= 1;
    assert_eq!(
        verdict(&altered).expect_err("refused").code(),
        "bad-signature"
    );
}

#[test]
fn an_altered_frame_is_named_and_a_missing_or_added_one_counted() {
    for frame in 0..2 {
        let mut altered = good();
        altered[frame][0] ^= 1;
        let refusal = verdict(&altered).expect_err("refused");
        assert_eq!(refusal, VerifyError::DigestMismatch { frame });
        assert_eq!(refusal.code(), "digest-mismatch");
        assert!(
            refusal
                .to_string()
                .starts_with(&format!("frame/{frame} digest mismatch"))
        );
    }
    let mut fewer = good();
    fewer.remove(1);
    assert_eq!(
        verdict(&fewer),
        Err(VerifyError::FrameCount {
            signed: 2,
            present: 1
        })
    );
    let mut more = good();
    more.insert(1, Vec::new());
    assert_eq!(
        verdict(&more).expect_err("refused").code(),
        "digest-mismatch"
    );
    let mut swapped = good();
    swapped.swap(0, 1);
    assert_eq!(
        verdict(&swapped),
        Err(VerifyError::DigestMismatch { frame: 0 })
    );
}

#[test]
fn a_signer_cannot_state_another_topic_than_it_sends() {
    let message = signed_at(&mut signer(1, "scanner", "hub"), "remediate/a", NOW);
    let lie = Statement {
        topic: "findings/a".into(),
        ..statement_of(&message)
    };
    let refusal = verdict(&restated(&message, &lie, &[1])).expect_err("refused");
    assert_eq!(refusal, Malformed::TopicDiffers.into());
    assert_eq!(refusal.code(), "malformed-envelope");
}

#[test]
fn a_topic_outside_the_signers_prefixes_is_denied() {
    for topic in ["remediate/a", "findings", "Findings/a", ""] {
        let message = signed_at(&mut signer(1, "scanner", "hub"), topic, NOW);
        assert_eq!(verdict(&message), Err(VerifyError::TopicDenied), "{topic}");
    }
    assert_eq!(VerifyError::TopicDenied.code(), "topic-denied");
}

#[test]
fn a_message_for_somebody_else_is_refused_also_at_rest() {
    for (audience, passes) in [("hub", true), ("hub.example", true), ("staging", false)] {
        let message = signed_at(&mut signer(1, "scanner", audience), "findings/a", NOW);
        assert_eq!(verdict(&message).is_ok(), passes);
        let at_rest = verifier().verify_at_rest(&message);
        assert_eq!(
            at_rest.err(),
            (!passes).then_some(VerifyError::WrongAudience)
        );
    }
    assert_eq!(VerifyError::WrongAudience.code(), "wrong-audience");
    let nobody = Verifier::new(verifier().registry, [""; 0]);
    assert_eq!(
        nobody.verify_at_rest(&good()),
        Err(VerifyError::WrongAudience)
    );
}

#[test]
fn a_time_too_far_from_the_clock_is_stale_either_way() {
    let skew = 300_000;
    let message = good();
    let verdict = |verifier: Verifier, ms| {
        let mut verifier = verifier;
        verifier.verify_at(&message, SCANNER, at(ms)).err()
    };
    for ms in [NOW - skew, NOW + skew] {
        assert_eq!(verdict(verifier(), ms), None);
    }
    for ms in [NOW - skew - 1, NOW + skew + 1] {
        assert_eq!(verdict(verifier(), ms), Some(VerifyError::Stale));
        assert_eq!(verdict(verifier().with_max_skew(Duration::ZERO), ms), None);
        assert_eq!(
            verdict(verifier().with_max_skew(Duration::from_secs(301)), ms),
            None
        );
    }
    assert_eq!(VerifyError::Stale.code(), "stale");
}

#[test]
fn a_message_passes_once_even_across_a_restart_of_the_verifier() {
    let message = good();
    let mut first = verifier();
    assert!(first.verify_at(&message, SCANNER, at(NOW)).is_ok());
    assert_eq!(
        first.verify_at(&message, SCANNER, at(NOW)),
        Err(VerifyError::Replayed)
    );
    assert_eq!(VerifyError::Replayed.code(), "replayed");

    let saved = serde_json::to_string(first.replay_state()).expect("writes");
    let state = serde_json::from_str(&saved).expect("reads");
    let mut second = verifier().with_replay_state(state);
    assert_eq!(
        second.verify_at(&message, SCANNER, at(NOW)),
        Err(VerifyError::Replayed)
    );
    let mut forgetful = verifier();
    assert!(forgetful.verify_at(&message, SCANNER, at(NOW)).is_ok());
}

#[test]
fn a_message_of_an_older_run_of_the_signer_is_replayed() {
    let older = good();
    let younger = Signer::start(key(1), "scanner", "hub", Progress::default(), at(NOW + 1));
    let younger = signed_at(&mut younger.expect("starts"), "findings/a", NOW);
    let mut verifier = verifier();
    assert!(verifier.verify_at(&younger, SCANNER, at(NOW)).is_ok());
    assert_eq!(
        verifier.verify_at(&older, SCANNER, at(NOW)),
        Err(VerifyError::Replayed)
    );
}

#[test]
fn a_connection_brings_its_own_messages_and_a_relay_those_of_others() {
    let message = good();
    let verdict = |via| verifier().verify_at(&message, via, at(NOW)).err();
    assert_eq!(verdict(SCANNER), None);
    assert_eq!(verdict(Via::Relay), None);
    assert_eq!(
        verdict(Via::Identity("other")),
        Some(VerifyError::NotTheSender)
    );
    assert_eq!(verdict(Via::Identity("")), Some(VerifyError::NotTheSender));
    assert_eq!(VerifyError::NotTheSender.code(), "not-the-sender");
}

#[test]
fn a_refused_message_changes_nothing() {
    let message = good();
    let mut verifier = verifier();
    let foreign = Via::Identity("other");
    assert!(verifier.verify_at(&message, foreign, at(NOW)).is_err());
    assert!(
        verifier
            .verify_at(&message, SCANNER, at(NOW + 999_999))
            .is_err()
    );
    assert_eq!(verifier.replay_state(), &ReplayState::default());
    assert!(verifier.verify_at(&message, SCANNER, at(NOW)).is_ok());
}

#[test]
fn at_rest_neither_clock_nor_replay_nor_connection_count() {
    let message = good();
    let mut verifier = verifier();
    let live = verifier
        .verify_at(&message, SCANNER, at(NOW))
        .expect("passes");
    assert_eq!(verifier.verify_at_rest(&message), Ok(live));
    let mut altered = message;
    altered[1][0] ^= 1;
    let refusal = verifier.verify_at_rest(&altered);
    assert_eq!(refusal, Err(VerifyError::DigestMismatch { frame: 1 }));
}

#[test]
fn every_signature_counts_and_one_must_be_the_signers() {
    let message = good();
    let statement = statement_of(&message);
    for keys in [&[1, 3][..], &[3, 1]] {
        let verified = verdict(&restated(&message, &statement, keys)).expect("passes");
        assert_eq!(verified.key, key(1).verifying_key().id());
    }
    let with_stranger = restated(&message, &statement, &[1, 9]);
    assert_eq!(
        verdict(&with_stranger).expect_err("refused").code(),
        "unknown-key"
    );
    let mut with_bad = restated(&message, &statement, &[1, 3]);
    let last = with_bad[2].len() - 1;
    with_bad[2][last] ^= 1;
    assert_eq!(verdict(&with_bad), Err(VerifyError::BadSignature));
}

/// `message` with `seeds` as further signers.
fn countersigned(message: &[Vec<u8>], seeds: &[u8]) -> Vec<Vec<u8>> {
    seeds.iter().fold(message.to_vec(), |mut message, seed| {
        message[2] = Trailer::countersign(&message, &key(*seed)).expect("signs");
        message
    })
}

fn with_quorums(quorums: Vec<Quorum>) -> Result<Verifier, RegistryError> {
    let registry = verifier().registry.with_quorums(quorums)?;
    Ok(Verifier::new(registry, ["hub"]))
}

#[test]
fn a_topic_under_a_rule_needs_as_many_of_its_signers() {
    let two = Quorum::new("findings/", 2, ["scanner", "other"]);
    let verifier = with_quorums(vec![two]).expect("sound");
    let verdict = |message: &[Vec<u8>]| verifier.verify_at_rest(message).err();
    let too_few = VerifyError::TooFewSigners {
        needed: 2,
        present: 1,
    };
    assert_eq!(too_few.code(), "too-few-signers");
    let message = good();
    assert_eq!(verdict(&message), Some(too_few.clone()));
    // A second key of the same identity is not a second signer.
    assert_eq!(verdict(&countersigned(&message, &[2])), Some(too_few));
    assert_eq!(verdict(&countersigned(&message, &[3])), None);
    assert_eq!(verdict(&countersigned(&message, &[2, 3])), None);
    let stranger = countersigned(&message, &[3, 9]);
    assert_eq!(
        verdict(&stranger).map(|refusal| refusal.code()),
        Some("unknown-key")
    );
    let mut altered = countersigned(&message, &[3]);
    altered[1][0] ^= 1;
    assert_eq!(
        verdict(&altered),
        Some(VerifyError::DigestMismatch { frame: 1 })
    );
}

#[test]
fn who_signed_beside_the_signer_is_named_once_each() {
    let names = |others: &[u8]| {
        let message = countersigned(&good(), others);
        let verified = verifier().verify_at_rest(&message).expect("passes");
        assert_eq!(verified.key, key(1).verifying_key().id());
        verified.cosigners
    };
    assert_eq!(names(&[]), [""; 0]);
    // A second key of the signer is nobody else.
    assert_eq!(names(&[2]), [""; 0]);
    assert_eq!(names(&[3]), ["other"]);
    assert_eq!(names(&[2, 3]), ["other"]);
}

#[test]
fn the_rule_with_the_longest_prefix_decides_and_its_names_alone_count() {
    let rules = vec![
        Quorum::new("", 2, ["scanner", "other"]),
        Quorum::new("findings/", 1, ["other"]),
        Quorum::new("findings/b", 2, ["scanner", "other"]),
    ];
    let verifier = with_quorums(rules).expect("sound");
    let verdict = |topic: &str, others: &[u8]| {
        let message = signed_at(&mut signer(1, "scanner", "hub"), topic, NOW);
        verifier
            .verify_at_rest(&countersigned(&message, others))
            .is_ok()
    };
    assert!(
        !verdict("findings/a", &[]),
        "its signer is not of those named"
    );
    assert!(verdict("findings/a", &[3]));
    assert!(!verdict("findings/b", &[]));
    assert!(verdict("findings/b", &[3]));
}

#[test]
fn rules_on_signers_that_cannot_be_met_are_refused() {
    let refusal = |rules| with_quorums(rules).expect_err("refused");
    let rule = |threshold, names: &[&str]| Quorum::new("t/", threshold, names.iter().copied());
    let prefix = || "t/".to_owned();
    let threshold = RegistryError::Threshold { prefix: prefix() };
    assert_eq!(refusal(vec![rule(0, &["scanner"])]), threshold);
    assert_eq!(refusal(vec![rule(2, &["scanner", "scanner"])]), threshold);
    let unknown = RegistryError::UnknownSigner { prefix: prefix() };
    assert_eq!(refusal(vec![rule(1, &["scanner", "Other"])]), unknown);
    let twice = vec![rule(1, &["scanner"]), rule(2, &["scanner", "other"])];
    assert_eq!(
        refusal(twice),
        RegistryError::RepeatedQuorum { prefix: prefix() }
    );
}

#[test]
fn a_second_signer_signs_what_it_sees_and_once() {
    let message = good();
    let refusal = |message: &[Vec<u8>], seed| Trailer::countersign(message, &key(seed)).err();
    assert_eq!(refusal(&message, 1), Some(Malformed::RepeatedKey.into()));
    let mut altered = message.clone();
    altered[1][0] ^= 1;
    assert_eq!(
        refusal(&altered, 3),
        Some(VerifyError::DigestMismatch { frame: 1 })
    );
    altered.remove(1);
    assert_eq!(
        refusal(&altered, 3),
        Some(VerifyError::FrameCount {
            signed: 2,
            present: 1
        })
    );
    assert_eq!(refusal(&message[..2], 3), Some(Malformed::NoTrailer.into()));
    let full = countersigned(&message, &(20..35).collect::<Vec<_>>());
    assert_eq!(refusal(&full, 3), Some(Malformed::SignatureCount.into()));
}

#[test]
fn an_answer_names_its_request_and_a_trace_comes_along() {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let about = crate::About::new("text/plain")
        .in_reply_to([5; 32])
        .traceparent(trace);
    let frames = [b"findings/a".to_vec()];
    let trailer = signer(1, "scanner", "hub")
        .sign_with(&frames, &about, at(NOW))
        .expect("signs");
    let verified = verdict(&[frames[0].clone(), trailer]).expect("passes");
    assert!(verified.answers(&[5; 32]) && !verified.answers(&[6; 32]));
    assert_eq!(verified.statement.traceparent.as_deref(), Some(trace));
    let plain = verdict(&good()).expect("passes");
    assert!(!plain.answers(&[5; 32]));
}

#[test]
fn a_topic_too_many_in_one_epoch_is_malformed() {
    let key = key(1).verifying_key().id();
    let mut verifier = verifier().with_replay_state(full(key, NOW.unsigned_abs()));
    let message = signed_at(&mut signer(1, "scanner", "hub"), "findings/x", NOW);
    let fresh = Statement {
        seq: 1,
        ..statement_of(&message)
    };
    let refusal = verifier.verify_at(&restated(&message, &fresh, &[1]), SCANNER, at(NOW));
    assert_eq!(refusal, Err(Malformed::TooManyTopics.into()));
}

/// A message that fails every check is refused by the first; mended there, by the next.
#[test]
fn the_checks_speak_in_their_order() {
    let sent = signed_at(&mut signer(1, "scanner", "hub"), "findings/a", NOW);
    let rule = Quorum::new("remediate/", 2, ["scanner", "other"]);
    let mut verifier = with_quorums(vec![rule]).expect("sound");
    assert!(verifier.verify_at(&sent, SCANNER, at(NOW)).is_ok());
    let mut verdict = |message: &[Vec<u8>], ms| {
        verifier
            .verify_at(message, Via::Identity("other"), at(ms))
            .expect_err("refused")
            .code()
    };
    let late = NOW + 999_999;
    let mut signer = signer(2, "scanner", "staging");
    let mut worst = signed_at(&mut signer, "remediate/a", late);
    let statement = statement_of(&worst);
    worst[1].clear();
    let signature = worst[2].len() - 1;
    let damaged = |message: &[Vec<u8>]| {
        let mut message = message.to_vec();
        message[2][signature] ^= 1;
        message
    };
    assert_eq!(
        verdict(&damaged(&restated(&worst, &statement, &[9])), 0),
        "unknown-key"
    );
    assert_eq!(verdict(&damaged(&worst), 0), "key-expired");
    let mut in_time = Statement {
        time: at(NOW),
        ..statement
    };
    assert_eq!(
        verdict(&damaged(&restated(&worst, &in_time, &[2])), late),
        "bad-signature"
    );
    assert_eq!(
        verdict(&restated(&worst, &in_time, &[2]), late),
        "too-few-signers"
    );
    assert_eq!(
        verdict(&restated(&worst, &in_time, &[2, 3]), late),
        "digest-mismatch"
    );
    worst[1] = b"body".to_vec();
    assert_eq!(
        verdict(&restated(&worst, &in_time, &[2, 3]), late),
        "topic-denied"
    );
    worst[0] = b"findings/a".to_vec();
    in_time.topic = "findings/a".into();
    in_time.frames = digests(&worst[..2]);
    assert_eq!(
        verdict(&restated(&worst, &in_time, &[2]), late),
        "wrong-audience"
    );
    assert_eq!(verdict(&sent, late), "stale");
    assert_eq!(verdict(&sent, NOW), "replayed");
    in_time.audience = "hub".into();
    assert_eq!(
        verdict(&restated(&worst, &in_time, &[2]), NOW),
        "not-the-sender"
    );
}
