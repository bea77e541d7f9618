//! Notes of the specification, of Go's tests and of our own, and everything that is none.

use proptest::prelude::*;

use super::*;

/// A known answer: the key and the note that the documentation of Go's implementation shows.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn signer(name: &str, seed: u8) -> NoteSigner {
    NoteSigner::from_seed(name, &[seed; 32]).expect("a name")
}

#[test]
fn the_note_of_gos_documentation_verifies_and_is_written_back() {
    let note: Note = GO_NOTE.parse().expect("a note");
    let key: VerifyingNoteKey = GO_KEY.parse().expect("a key");
    assert_eq!(note.verify(&key), Ok(()));
    assert_eq!(note.to_string(), GO_NOTE);
    assert_eq!(key.to_string(), GO_KEY);
    assert_eq!(key.name(), "PeterNeumann");
    let altered: Note = GO_NOTE
        .replacen("answer", "Answer", 1)
        .parse()
        .expect("a note");
    assert_eq!(altered.verify(&key), Err(NoteError::BadSignature));
}

#[test]
fn a_note_verifies_with_the_keys_that_signed_it() {
    let (a, b) = (signer("a", 1), signer("b", 2));
    let mut note = a.sign("one\n\ntwo\n").expect("signs");
    b.sign_too(&mut note).expect("room");
    let read: Note = note.to_string().parse().expect("a note");
    assert_eq!(read, note);
    assert_eq!(read.text(), "one\n\ntwo\n");
    assert_eq!(read.signatures().len(), 2);
    for (key, expected) in [
        (&a, Ok(())),
        (&b, Ok(())),
        (&signer("a", 2), Err(NoteError::NotSigned)),
        (&signer("c", 1), Err(NoteError::NotSigned)),
    ] {
        assert_eq!(read.verify(key.verifying_key()), expected);
    }
    assert_eq!(a.sign_too(&mut note), Err(NoteError::Repeated));
}

#[test]
fn a_second_line_by_a_known_key_is_refused_and_unknown_ones_are_ignored() {
    let (a, b) = (signer("a", 1), signer("b", 2));
    let mut text = a.sign("text\n").expect("signs").to_string();
    let other = b.sign("another\n").expect("signs");
    let line = format!("{}\n", other.signatures()[0]);
    text.push_str(&line);
    text.push_str(&line);
    let note: Note = text.parse().expect("a note");
    assert_eq!(
        note.verify(a.verifying_key()),
        Ok(()),
        "not for its key to say"
    );
    assert_eq!(note.verify(b.verifying_key()), Err(NoteError::Repeated));
    let once: Note = text
        .strip_suffix(&line)
        .expect("the line")
        .parse()
        .expect("a note");
    assert_eq!(once.verify(b.verifying_key()), Err(NoteError::BadSignature));
}

#[test]
fn a_note_and_its_signatures_are_bounded() {
    let line = signer("a", 1).sign("text\n").expect("signs").signatures()[0].to_string();
    let with = |count: usize| format!("text\n\n{}", format!("{line}\n").repeat(count));
    assert!(with(MAX_SIGNATURES).parse::<Note>().is_ok());
    assert_eq!(
        with(MAX_SIGNATURES + 1).parse::<Note>(),
        Err(NoteError::TooLong)
    );
    let long = format!("{}\n", "x".repeat(MAX_NOTE));
    assert_eq!(
        format!("{long}\n{line}\n").parse::<Note>(),
        Err(NoteError::TooLong)
    );
    assert_eq!(Note::new(long), Err(NoteError::Text));
    let mut note = Note::new("text\n").expect("a text");
    for seed in 0..64 {
        signer("a", seed).sign_too(&mut note).expect("room");
    }
    assert_eq!(signer("b", 1).sign_too(&mut note), Err(NoteError::TooLong));
}

#[test]
fn every_other_form_is_refused() {
    let good = signer("a", 1).sign("text\n").expect("signs").to_string();
    for (from, to, expected) in [
        ("text\n\n", "text\n", NoteError::Form),
        ("text\n\n", "", NoteError::Form),
        ("\u{2014} a", "\u{2013} a", NoteError::Form),
        ("\u{2014} a", "\u{2014}  a", NoteError::Form),
        ("\u{2014} a", "\u{2014} a+", NoteError::Form),
        ("\u{2014} a", "\u{2014} a\u{a0}b", NoteError::Form),
        ("\u{2014} a ", "\u{2014} a", NoteError::Form),
        ("text", "te\u{1}xt", NoteError::Text),
        ("text", "te\rxt", NoteError::Text),
        ("text", "te\txt", NoteError::Text),
    ] {
        let other = good.replacen(from, to, 1);
        assert_ne!(other, good);
        assert_eq!(other.parse::<Note>(), Err(expected), "{from:?} -> {to:?}");
    }
    for other in [
        "",
        "\n",
        "\n\n",
        "\n\n\n",
        "text\n\n",
        "text\n\n\u{2014} a AAAA\n",
        "text\n\n\u{2014} a AAAAAA==\n",
        "text\n\n\u{2014} a AAAAAAB=\n",
    ] {
        assert_eq!(other.parse::<Note>(), Err(NoteError::Form), "{other:?}");
    }
    assert_eq!(good.trim_end().parse::<Note>(), Err(NoteError::Form));
    assert_eq!(Note::new("no newline"), Err(NoteError::Text));
    assert_eq!(Note::new("a\rb\n"), Err(NoteError::Text));
}

#[test]
fn a_key_has_one_text_and_a_weak_one_none() {
    let key = signer("example.com/log", 1).verifying_key().clone();
    let text = key.to_string();
    assert_eq!(text.parse().as_ref(), Ok(&key));
    let refusal = |text: String| text.parse::<VerifyingNoteKey>().expect_err("refused");
    let id = text.split('+').nth(1).expect("an id").to_owned();
    for (from, to, expected) in [
        ("example", "Example", InvalidKey::Id),
        (&*id, &*id.to_uppercase(), InvalidKey::Id),
        (&*id, "0", InvalidKey::Id),
        ("+A", "+B", InvalidKey::Form),
        ("example", "exa mple", InvalidKey::Name),
        ("example.com/log", "", InvalidKey::Name),
    ] {
        if from != to {
            assert_eq!(
                refusal(text.replacen(from, to, 1)),
                expected,
                "{from} -> {to}"
            );
        }
    }
    assert_eq!(refusal(format!("{text}AA")), InvalidKey::Form);
    assert_eq!(refusal("a+b".into()), InvalidKey::Form);
    assert_eq!(VerifyingNoteKey::new("a", &[0; 32]), Err(InvalidKey::Weak));
    assert!(VerifyingNoteKey::new("a", &[0xff; 32]).is_err());
    assert_eq!(
        NoteSignature::ed25519("a b", &[1; 32], &[0; 64]),
        Err(InvalidKey::Name)
    );
}

#[test]
fn debug_of_a_secret_shows_the_public_half_only() {
    let signer = signer("a", 1);
    assert_eq!(
        format!("{signer:?}"),
        format!("NoteSigner({})", signer.verifying_key())
    );
}

proptest! {
    #[test]
    fn no_edit_verifies_and_what_parses_is_written_back(at in any::<proptest::sample::Index>(), octet in any::<u8>()) {
        let signer = signer("a", 1);
        let good = signer.sign("some text\nof two lines\n").expect("signs").to_string();
        let mut octets = good.clone().into_bytes();
        let at = at.index(octets.len());
        octets[at] = octet;
        let Ok(edited) = String::from_utf8(octets) else { return Ok(()) };
        if let Ok(note) = edited.parse::<Note>() {
            prop_assert_eq!(&note.to_string(), &edited);
            prop_assert_eq!(note.verify(signer.verifying_key()).is_ok(), edited == good);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(\\PC|\n|\u{2014} ){0,80}") {
        let _ = text.parse::<Note>();
        let _ = text.parse::<VerifyingNoteKey>();
    }
}
