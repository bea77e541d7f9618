//! Programs that we did not write accept an exported envelope and reject every altered one.

use std::process::Command;

use curvelink_envelope::{
    Identity, Progress, Registry, Signer, SigningKey, Timestamp, Trailer, Verifier, VerifyingKey,
};
use curvelink_tests::interop;
use curvelink_tests::support::random::Random;

#[path = "support/verifiers.rs"]
mod verifiers;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn message() -> Vec<Vec<u8>> {
    let mut signer = Signer::start(
        key(1),
        "ci-scanner",
        "hub.example",
        Progress::default(),
        Timestamp::from_unix_ms(1_795_305_600_000).expect("in range"),
    )
    .expect("starts");
    let mut message = vec![b"findings/sast".to_vec(), b"{\"runs\":[]}".to_vec()];
    message.push(
        signer
            .sign(&message, "application/sarif+json")
            .expect("signs"),
    );
    message
}

/// Our own verdict on the message with `trailer` in the place of its own.
fn ours(message: &[Vec<u8>], trailer: &[u8], key: VerifyingKey) -> bool {
    passes(&[&message[..2], &[trailer.to_vec()]].concat(), key)
}

fn passes(message: &[Vec<u8>], key: VerifyingKey) -> bool {
    let signer = Identity::new("ci-scanner")
        .with_key(key)
        .may_publish("findings/");
    let verifier = Verifier::new(Registry::new(vec![signer]).expect("sound"), ["hub.example"]);
    verifier.verify_at_rest(message).is_ok()
}

/// The signed trailer, and then copies with one bit of statement or signature flipped: `every`
/// how many bits.
fn altered(message: &[Vec<u8>], every: usize) -> Vec<Vec<u8>> {
    let good = message[2].clone();
    let statement = 12..good.len() - 100;
    let signature = good.len() - 64..good.len();
    let bits = statement
        .chain(signature)
        .flat_map(|at| (0..8).map(move |bit| (at, bit)));
    let flipped = bits.step_by(every).map(|(at, bit)| {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << bit;
        flipped
    });
    std::iter::once(good.clone()).chain(flipped).collect()
}

/// Holds `theirs` against our own verdicts and against what must be: the first trailer of each
/// set passes under its key, nothing else does.
fn agree_on_all(
    every: usize,
    theirs: impl Fn(&[Trailer], &VerifyingKey, &str) -> verifiers::Verdicts,
) {
    let message = message();
    let (right, wrong) = (key(1).verifying_key(), key(2).verifying_key());
    let frames = altered(&message, every);
    let parsed: Vec<_> = frames
        .iter()
        .map(|frame| Trailer::parse(frame).expect("well formed"))
        .collect();
    // Under the id that the envelope names: otherwise a verifier would not try the wrong key.
    let named = right.id().to_string();

    let Ok(under_right) = theirs(&parsed, &right, &named) else {
        return;
    };
    let expected: Vec<_> = (0..frames.len()).map(|index| index == 0).collect();
    let our_own: Vec<_> = frames
        .iter()
        .map(|frame| ours(&message, frame, right))
        .collect();
    assert_eq!(our_own, expected);
    assert_eq!(under_right, expected);
    let Ok(under_wrong) = theirs(&parsed[..1], &wrong, &named) else {
        return;
    };
    assert_eq!(under_wrong, [false]);
    assert!(!ours(&message, &frames[0], wrong));
}

#[test]
fn openssl_accepts_the_signed_octets_and_no_altered_ones() {
    // A process for each: fewer of them.
    agree_on_all(97, |trailers, key, _| verifiers::openssl(trailers, key));
}

#[test]
fn securesystemslib_accepts_the_dsse_envelope_and_no_altered_one() {
    agree_on_all(3, verifiers::securesystemslib);
}

#[test]
fn sigstore_accepts_the_bundle_and_no_altered_one() {
    agree_on_all(3, verifiers::sigstore);
}

/// A message with one to three random edits, of which some change nothing.
fn mutated(random: &mut Random, message: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut mutated = message.to_vec();
    for _ in 0..=random.below(3) {
        // The trailer has most of what there is to alter.
        let frame = [0, 1, 2, 2, 2, 2][random.below(6)];
        let octets = &mut mutated[frame];
        let at = random.below(octets.len() + 1);
        let octet = u8::try_from(random.below(256)).expect("small");
        match (random.below(8), octets.get_mut(at)) {
            (0, _) => octets.insert(at, octet),
            (1, Some(_)) => drop(octets.remove(at)),
            (2..=4, Some(old)) => *old = octet,
            (_, Some(old)) => *old ^= 1 << random.below(8),
            (_, None) => {}
        }
    }
    mutated
}

/// What no longer reads as a trailer cannot be shown to others: we refuse it, and another is made.
#[test]
fn ten_thousand_random_mutations_get_the_same_verdict_from_securesystemslib() {
    let (message, key) = (message(), key(1).verifying_key());
    let mut random = Random::new();
    let mut shown = vec![message.clone(); 3];
    let mut unreadable = 0;
    while shown.len() < 10_000 {
        let mutated = mutated(&mut random, &message);
        if Trailer::parse(&mutated[2]).is_ok() {
            shown.push(mutated);
        } else {
            assert!(!passes(&mutated, key));
            unreadable += 1;
        }
    }
    let whole = |message: &Vec<Vec<u8>>| {
        let trailer = Trailer::parse(&message[2]).expect("well formed");
        (message[..2].to_vec(), trailer)
    };
    let messages: Vec<_> = shown.iter().map(whole).collect();
    let named = key.id().to_string();
    let Ok(theirs) = verifiers::whole_messages(&messages, &key, &named) else {
        return;
    };
    let mut accepted = 0;
    for (theirs, mutated) in theirs.into_iter().zip(&shown) {
        let ours = passes(mutated, key);
        assert_eq!(theirs, ours, "{mutated:02x?}");
        assert_eq!(ours, *mutated == message, "only what was signed passes");
        accepted += usize::from(ours);
    }
    assert!(
        (3..1_000).contains(&accepted) && unreadable > 100,
        "{accepted} {unreadable}"
    );
}

#[test]
fn openssl_and_we_read_each_others_keys() {
    let Ok(openssl) = interop::program("openssl", "version") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let run = |arguments: &str| {
        let output = Command::new(&openssl)
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .output()
            .expect("openssl runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };

    let ours = SigningKey::generate().expect("randomness");
    std::fs::write(path("ours.pem"), &*ours.to_pem()).expect("writes");
    let public = run("pkey -in ours.pem -pubout");
    assert_eq!(
        String::from_utf8_lossy(&public),
        ours.verifying_key().to_pem()
    );
    assert_eq!(
        String::from_utf8_lossy(&run("pkey -in ours.pem")),
        *ours.to_pem()
    );

    run("genpkey -algorithm ed25519 -out theirs.pem");
    let theirs = std::fs::read_to_string(path("theirs.pem")).expect("reads");
    let theirs = SigningKey::from_pem(&theirs)
        .expect("an ed25519 key")
        .verifying_key();
    let public = String::from_utf8(run("pkey -in theirs.pem -pubout")).expect("text");
    assert_eq!(VerifyingKey::from_pem(&public), Ok(theirs));
    run("pkey -in theirs.pem -pubout -outform DER -out theirs.der");
    let id = String::from_utf8(run("dgst -sha256 -r theirs.der")).expect("text");
    assert!(id.starts_with(&theirs.id().to_string()), "{id}");

    run("genpkey -algorithm x25519 -out x25519.pem");
    let x25519 = std::fs::read_to_string(path("x25519.pem")).expect("reads");
    assert!(SigningKey::from_pem(&x25519).is_err());
}
