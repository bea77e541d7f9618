//! Numbers, epochs, heartbeats, and what is not signed.

use super::*;
use crate::statement::Position;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms).expect("in range")
}

fn signer(store: impl ProgressStore + 'static, now: i64) -> Signer {
    let key = SigningKey::from_seed(&[7; 32]);
    Signer::start(key, "ci-scanner", "hub", store, at(now)).expect("starts")
}

fn signed(signer: &mut Signer, topic: &str, now: i64) -> Statement {
    let trailer = signer
        .sign_at(&[topic, "body"], "text/plain", at(now))
        .expect("signs");
    Trailer::parse(&trailer)
        .and_then(|trailer| trailer.statement())
        .expect("well formed")
}

#[test]
fn a_statement_says_what_was_signed() {
    let mut signer = signer(Progress::default(), 1_000);
    let trailer = signer.sign_at(&["findings/", "body"], "text/plain", at(2_000));
    let trailer = Trailer::parse(&trailer.expect("signs")).expect("well formed");
    let [signature] = trailer.signatures() else {
        panic!("one signature")
    };
    assert_eq!(signature.key(), signer.verifying_key().id());
    let pae = crate::export::pae(&trailer);
    assert!(signer.verifying_key().verifies(&pae, signature.as_octets()));
    assert_eq!(
        trailer.statement(),
        Ok(Statement {
            signer: "ci-scanner".into(),
            audience: "hub".into(),
            epoch: 1_000,
            seq: 0,
            tseq: 0,
            prev: None,
            time: at(2_000),
            topic: "findings/".into(),
            content_type: "text/plain".into(),
            in_reply_to: None,
            traceparent: None,
            heartbeat: false,
            frames: digests(&["findings/", "body"]),
        })
    );
}

#[test]
fn messages_are_numbered_in_all_and_by_topic() {
    let mut signer = signer(Progress::default(), 1_000);
    let numbers = ["a", "b", "a", "a", "b"].map(|topic| {
        let statement = signed(&mut signer, topic, 1_000);
        (statement.seq, statement.tseq)
    });
    assert_eq!(numbers, [(0, 0), (1, 0), (2, 1), (3, 2), (4, 1)]);
}

#[test]
fn an_epoch_is_greater_than_the_last_one_though_the_clock_went_back() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let open = || crate::ProgressFile::open(folder.path().join("progress"));
    let epochs = [5_000, 9_000, 9_000, 100].map(|now| {
        let mut signer = signer(open().expect("free"), now);
        signed(&mut signer, "a", now).epoch
    });
    assert_eq!(epochs, [5_000, 9_000, 9_001, 9_002]);
    Ok(())
}

#[test]
fn the_first_message_of_a_topic_after_a_restart_says_where_it_stood() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let open = || crate::ProgressFile::open(folder.path().join("progress"));
    let mut first = signer(open()?, 1_000);
    signed(&mut first, "a", 1_000);
    signed(&mut first, "a", 1_000);
    first.save()?;
    drop(first);
    // This run does not use "a", and is cut short.
    signed(&mut signer(open()?, 2_000), "b", 2_000);

    let mut third = signer(open()?, 3_000);
    assert_eq!(
        signed(&mut third, "a", 3_000).prev,
        Some(Position::new(1_000, 1))
    );
    assert_eq!(signed(&mut third, "a", 3_000).prev, None);
    assert_eq!(signed(&mut third, "b", 3_000).prev, None, "not known");
    Ok(())
}

#[test]
fn a_topic_too_many_begins_the_next_epoch() {
    let mut signer = signer(Progress::default(), 1_000).with_topic_limit(2);
    let mut next = |topic| {
        let statement = signed(&mut signer, topic, 1_000);
        (
            statement.epoch,
            statement.seq,
            statement.tseq,
            statement.prev.map(|at| at.tseq),
        )
    };
    assert_eq!(next("a"), (1_000, 0, 0, None));
    assert_eq!(next("b"), (1_000, 1, 0, None));
    assert_eq!(next("a"), (1_000, 2, 1, None));
    assert_eq!(next("c"), (1_001, 0, 0, None));
    assert_eq!(next("a"), (1_001, 1, 0, Some(1)));
}

#[test]
fn a_heartbeat_tells_the_last_number_of_each_topic_of_the_epoch_when_it_is_due() {
    let (soon, later) = (Duration::from_millis(5), Duration::from_millis(60));
    let mut signer = signer(Progress::default(), 1_000).with_heartbeats(Some(soon), Some(later));
    assert_eq!(signer.next_heartbeat(), None);
    for topic in ["a", "a", "b"] {
        signed(&mut signer, topic, 1_000);
    }
    assert_eq!(signer.next_heartbeat(), Some(at(1_005)));
    assert_eq!(signer.heartbeats(at(1_004)).len(), 0);
    let told = |signer: &mut Signer, now| {
        let beats = signer.heartbeats(at(now)).into_iter().map(|message| {
            let [topic, body, trailer] = message.as_slice() else {
                panic!("a topic, a body and a trailer")
            };
            assert!(body.is_empty());
            let trailer = Trailer::parse(trailer).expect("well formed");
            let statement = trailer.statement().expect("sound");
            assert_eq!(statement.topic.as_bytes(), topic);
            assert_eq!(statement.frames, digests(&[topic, body]));
            (
                statement.topic,
                statement.seq,
                statement.tseq,
                statement.heartbeat,
            )
        });
        beats.collect::<Vec<_>>()
    };
    let expected = [("a".into(), 3, 1, true), ("b".into(), 4, 0, true)];
    assert_eq!(told(&mut signer, 1_005), expected);
    let next = signed(&mut signer, "b", 1_010);
    assert_eq!(
        (next.seq, next.tseq, next.heartbeat),
        (5, 1, false),
        "no number of its own"
    );
    assert_eq!(told(&mut signer, 1_015), [("b".into(), 6, 1, true)]);
    assert_eq!(told(&mut signer, 1_065), [("a".into(), 7, 1, true)]);
    assert_eq!(
        tests::signer(Progress::default(), 0)
            .heartbeats(at(9))
            .len(),
        0
    );
}

#[test]
fn a_new_epoch_has_no_heartbeats_of_the_topics_of_the_last() {
    let mut signer = signer(Progress::default(), 1_000)
        .with_topic_limit(1)
        .with_heartbeats(Some(Duration::ZERO), None);
    signed(&mut signer, "a", 1_000);
    signed(&mut signer, "b", 1_000);
    let beats = signer.heartbeats(at(1_000));
    assert_eq!(
        beats.iter().map(|message| &*message[0]).collect::<Vec<_>>(),
        [b"b"]
    );
}

#[test]
fn what_cannot_be_signed_is_refused_and_uses_no_number() {
    let mut signer = signer(Progress::default(), 1_000);
    let mut refusal = |frames: &[&[u8]], content_type: &str| {
        signer
            .sign_at(frames, content_type, at(1_000))
            .expect_err("refused")
            .to_string()
    };
    assert!(refusal(&[], "text/plain").contains("needs a topic"));
    assert!(refusal(&[b"\xff"], "text/plain").contains("not utf-8"));
    assert!(refusal(&[b"a"], "").contains("content type"));
    assert!(refusal(&[b"a"], "text/pl\u{e4}in").contains("content type"));
    assert!(refusal(&[b"a".as_slice(); 1_000], "text/plain").contains("too many frames"));
    assert!(refusal(&[b"a".as_slice(); 620], "text/plain").contains("too many frames"));
    assert!(refusal(&[&[b'a'; 70_000]], "text/plain").contains("too long a topic"));
    assert_eq!(signed(&mut signer, "a", 1_000).seq, 0);
}

#[test]
fn names_that_no_verifier_would_take_are_refused_at_the_start() {
    for (name, audience) in [
        ("", "hub"),
        ("a", ""),
        ("a\n", "hub"),
        ("a", &*"x".repeat(256)),
    ] {
        let key = SigningKey::from_seed(&[7; 32]);
        let refusal = Signer::start(key, name, audience, Progress::default(), at(0));
        assert!(matches!(refusal, Err(SignError::Name)));
    }
}

#[test]
fn nothing_is_signed_in_an_epoch_that_was_not_saved() {
    /// Fails every save but the `n`th.
    struct Full(usize);
    impl ProgressStore for Full {
        fn load(&mut self) -> io::Result<Progress> {
            Ok(Progress::default())
        }
        fn save(&mut self, _: &Progress) -> io::Result<()> {
            self.0 = self.0.wrapping_sub(1);
            if self.0 == 0 {
                Ok(())
            } else {
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }
    let key = || SigningKey::from_seed(&[7; 32]);
    let refusal = Signer::start(key(), "a", "b", Full(2), at(0));
    assert!(matches!(refusal, Err(SignError::Store(_))));

    let mut signer = signer(Full(1), 0).with_topic_limit(1);
    signed(&mut signer, "a", 0);
    for topic in ["b", "b", "a"] {
        let refusal = signer.sign_at(&[topic], "text/plain", at(0));
        assert!(matches!(refusal, Err(SignError::Store(_))), "{topic}");
    }
}
