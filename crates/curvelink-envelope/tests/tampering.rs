//! No bit of a signed message is free, and no other length of it passes.

use curvelink_envelope::{
    Identity, Progress, Registry, Signer, SigningKey, Timestamp, Trailer, Verified, Verifier,
    VerifyError, Via,
};
use proptest::prelude::*;

const NAME: &str = "scanner";

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_795_305_600_000).expect("in range")
}

fn message() -> Vec<Vec<u8>> {
    let key = SigningKey::from_seed(&[1; 32]);
    let mut signer = Signer::start(key, NAME, "hub", Progress::default(), now()).expect("starts");
    let mut message = vec![
        b"findings/a".to_vec(),
        b"{\"runs\":[]}".to_vec(),
        Vec::new(),
    ];
    message.push(
        signer
            .sign_at(&message, "application/sarif+json", now())
            .expect("signs"),
    );
    message
}

fn verify(message: &[Vec<u8>]) -> Result<Verified, VerifyError> {
    let key = SigningKey::from_seed(&[1; 32]).verifying_key();
    let identity = Identity::new(NAME).with_key(key).may_publish("findings/");
    let registry = Registry::new(vec![identity]).expect("sound");
    Verifier::new(registry, ["hub"]).verify_at(message, Via::Identity(NAME), now())
}

#[test]
fn every_single_flipped_bit_is_refused() {
    let message = message();
    assert!(verify(&message).is_ok());
    let statement_end = 12
        + Trailer::parse(&message[3])
            .expect("parses")
            .statement_octets()
            .len();
    for (frame, octets) in message.iter().enumerate() {
        for bit in 0..octets.len() * 8 {
            let (at, mut flipped) = (bit / 8, message.clone());
            flipped[frame][at] ^= 1 << (bit % 8);
            let code = verify(&flipped).expect_err("refused").code();
            let explained: &[_] = match (frame, at) {
                (0..=2, _) => &["digest-mismatch"],
                (_, 0..12) => &["malformed-envelope", "unsupported-kind"],
                // The statement is read before the signature is checked, and signed as octets.
                _ if at < statement_end => &["malformed-envelope", "unknown-key", "bad-signature"],
                _ if at < statement_end + 2 => &["malformed-envelope"],
                _ if at < statement_end + 34 => &["unknown-key"],
                _ if at < statement_end + 36 => &["malformed-envelope"],
                _ => &["bad-signature"],
            };
            assert!(
                explained.contains(&code),
                "frame {frame}, bit {bit}: {code}"
            );
        }
    }
}

#[test]
fn every_truncation_and_addition_is_refused() {
    let message = message();
    for frame in 0..message.len() {
        let expected = if frame == 3 {
            "malformed-envelope"
        } else {
            "digest-mismatch"
        };
        for length in 0..message[frame].len() {
            let mut cut = message.clone();
            cut[frame].truncate(length);
            assert_eq!(verify(&cut).expect_err("refused").code(), expected);
        }
        for octet in [0, b' ', 0xff] {
            let mut longer = message.clone();
            longer[frame].push(octet);
            assert_eq!(verify(&longer).expect_err("refused").code(), expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is done to the octets: the message that passes is the one that was signed.
    #[test]
    fn no_edit_of_frames_or_trailer_passes(
        edits in proptest::collection::vec((0_usize..4, any::<usize>(), any::<u8>(), 0_u8..3), 1..5),
    ) {
        let original = message();
        let mut edited = original.clone();
        for (frame, at, octet, what) in edits {
            let octets = &mut edited[frame];
            let at = at % (octets.len() + 1);
            match what {
                0 => octets.insert(at, octet),
                1 if at < octets.len() => octets[at] = octet,
                _ => octets.truncate(at),
            }
        }
        prop_assert_eq!(verify(&edited).is_ok(), edited == original);
    }

    #[test]
    fn no_octets_make_the_verifier_panic(
        message in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..5),
    ) {
        prop_assert!(verify(&message).is_err());
    }
}
