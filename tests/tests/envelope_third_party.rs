//! Programs that we did not write accept an exported envelope and reject every altered one.

use std::process::Command;

use curvelink_envelope::{
    Identity, Progress, Registry, Signer, SigningKey, Timestamp, Trailer, Verifier, VerifyingKey,
};
use curvelink_tests::interop;

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
    let signer = Identity::new("ci-scanner")
        .with_key(key)
        .may_publish("findings/");
    let verifier = Verifier::new(Registry::new(vec![signer]).expect("sound"), ["hub.example"]);
    verifier
        .verify_at_rest(&[&message[..2], &[trailer.to_vec()]].concat())
        .is_ok()
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
