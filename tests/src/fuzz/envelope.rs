//! Signed messages: trailers of any octets, good messages that were changed on the way, and
//! statements that somebody with a known key made as it liked.

use std::sync::LazyLock;

use curvelink_envelope::export::{pae, tlog_proof};
use curvelink_envelope::{
    About, BatchSigner, Identity, Progress, Registry, Signer, SigningKey, Statement, Timestamp,
    Trailer, Verifier, Via,
};
use ed25519_dalek::Signer as _;

use super::input::Input;

const AUDIENCE: &str = "hub.example";
/// The names of the honest sender and of the insider, and their seeds.
const HONEST: (&str, [u8; 32]) = ("honest", [1; 32]);
const INSIDER: (&str, [u8; 32]) = ("insider", [2; 32]);

/// A message of each, the trailer last.
static MESSAGES: LazyLock<[Vec<Vec<u8>>; 2]> =
    LazyLock::new(|| [signed(&HONEST), signed(&INSIDER)]);

/// One of three that the honest sender signed by the batch.
static BATCHED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(batched);

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let identity = |(name, seed): (&str, [u8; 32])| {
        Identity::new(name)
            .with_key(SigningKey::from_seed(&seed).verifying_key())
            .may_publish(format!("{name}/"))
    };
    let registry = Registry::new(vec![identity(HONEST), identity(INSIDER)]);
    Verifier::new(registry.expect("two names, two keys"), [AUDIENCE])
});

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000).expect("a time")
}

fn signed((name, seed): &(&str, [u8; 32])) -> Vec<Vec<u8>> {
    let key = SigningKey::from_seed(seed);
    let mut signer =
        Signer::start(key, name, AUDIENCE, Progress::default(), now()).expect("a good name");
    let topic = format!("{name}/topic").into_bytes();
    let mut message = vec![topic, b"{\"runs\":[]}".to_vec()];
    message.push(
        signer
            .sign_at(&message, "application/json", now())
            .expect("signs"),
    );
    message
}

fn batched() -> Vec<Vec<u8>> {
    let key = SigningKey::from_seed(&HONEST.1);
    let signer = Signer::start(key, HONEST.0, AUDIENCE, Progress::default(), now());
    let mut batch = BatchSigner::new(signer.expect("a good name"));
    let message = vec![format!("{}/topic", HONEST.0).into_bytes(), b"{}".to_vec()];
    for _ in 0..3 {
        let about = About::new("application/json");
        batch.push(&message, &about, now()).expect("room");
    }
    let trailer = batch.seal().expect("signs").swap_remove(1);
    [message, vec![trailer]].concat()
}

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(3) {
        0 => read(input.rest()),
        1 => changed(&mut input),
        _ => stated(&mut input),
    }
    let good = VERIFIER
        .clone()
        .verify_at(&MESSAGES[0], Via::Identity(HONEST.0), now());
    assert!(good.is_ok(), "{good:?}");
}

/// One trailer has one spelling, so no octet of it is free to an attacker.
fn read(octets: &[u8]) {
    if let Ok(trailer) = Trailer::parse(octets) {
        let signatures: Vec<_> = trailer
            .signatures()
            .iter()
            .map(|signature| (*signature.key().as_octets(), *signature.as_octets()))
            .collect();
        let proof = tlog_proof(&trailer);
        assert_eq!(
            written(trailer.statement_octets(), &signatures, proof),
            octets
        );
        let _as_it_may_be = trailer.statement();
    }
    let _as_it_may_be = Statement::parse(octets);
    let message = [
        MESSAGES[0][0].clone(),
        MESSAGES[0][1].clone(),
        octets.to_vec(),
    ];
    let verified = VERIFIER.verify_at_rest(&message);
    assert!(verified.is_err() || message[..] == MESSAGES[0][..]);
}

/// The octets of a trailer, as the format says.
fn written(statement: &[u8], signatures: &[([u8; 32], [u8; 64])], proof: Option<&str>) -> Vec<u8> {
    let mut octets = b"CLE1".to_vec();
    octets.extend([if proof.is_some() { 2 } else { 1 }, 1]);
    octets.extend((signatures.len() as u16).to_be_bytes());
    octets.extend((statement.len() as u32).to_be_bytes());
    octets.extend(statement);
    for (key, signature) in signatures {
        octets.extend([1, 32]);
        octets.extend(key);
        octets.extend([0, 64]);
        octets.extend(signature);
    }
    if let Some(proof) = proof {
        octets.extend((proof.len() as u32).to_be_bytes());
        octets.extend(proof.as_bytes());
    }
    octets
}

/// A good message passes, and whatever else is made of it does not.
fn changed(input: &mut Input<'_>) {
    let good = [&MESSAGES[0], &*BATCHED][input.below(2)];
    let mut message = good.clone();
    while !input.is_empty() && !message.is_empty() {
        let choice = input.octet();
        let at = input.below(message.len());
        match choice % 4 {
            0 => edit(&mut message[at], input),
            1 => drop(message.remove(at)),
            2 => message.insert(at, input.chunk().to_vec()),
            _ => message.insert(0, message[at].clone()),
        }
    }
    for via in [Via::Identity(HONEST.0), Via::Relay] {
        let verified = VERIFIER.clone().verify_at(&message, via, now());
        assert_eq!(verified.is_ok(), message == *good, "{verified:?}");
    }
}

/// Cuts a piece out and puts another in its place.
fn edit(octets: &mut Vec<u8>, input: &mut Input<'_>) {
    let start = input.wide() % (octets.len() + 1);
    let end = (start + input.below(16)).min(octets.len());
    octets.splice(start..end, input.chunk().iter().copied());
}

/// An insider signs whatever statement it likes: it speaks for itself, on its own topics.
fn stated(input: &mut Input<'_>) {
    let good = &MESSAGES[1];
    let trailer = Trailer::parse(&good[2]).expect("our own trailer");
    let mut statement = trailer.statement_octets().to_vec();
    while !input.is_empty() {
        edit(&mut statement, input);
    }
    let key = ed25519_dalek::SigningKey::from_bytes(&INSIDER.1);
    let id = *trailer.signatures()[0].key().as_octets();
    let Ok(unsigned) = Trailer::parse(&written(&statement, &[(id, [0; 64])], None)) else {
        return;
    };
    let signature = key.sign(&pae(&unsigned)).to_bytes();
    let message = [
        good[0].clone(),
        good[1].clone(),
        written(&statement, &[(id, signature)], None),
    ];
    let mut verifier = VERIFIER.clone();
    let Ok(verified) = verifier.verify_at(&message, Via::Identity(INSIDER.0), now()) else {
        return;
    };
    let parsed = Statement::parse(&statement).expect("what is verified can be read");
    assert_eq!(verified.statement, parsed);
    assert_eq!((&*parsed.signer, &*parsed.audience), (INSIDER.0, AUDIENCE));
    assert_eq!(parsed.topic.as_bytes(), good[0]);
    let again = verifier.verify_at(&message, Via::Identity(INSIDER.0), now());
    assert_eq!(again.expect_err("once").code(), "replayed");
}
