//! What a signature for each message costs, and one for each batch: a message of 256 octets, stated
//! and signed, and verified, on one core.
//!
//! `cargo bench -p curvelink-bench --bench envelope`; the ratios are what to read, for they hold on
//! a machine that is busy with other things too.

use std::time::{Duration, Instant};

use curvelink_envelope::{
    About, BatchSigner, Identity, Progress, Registry, Signer, SigningKey, Timestamp, Verifier, Via,
};

/// Messages in a round.
const MESSAGES: usize = 64;
/// The best of so many rounds of each, taken in turn.
const ROUNDS: usize = 500;

type Message = Vec<Vec<u8>>;

fn main() {
    for body in [256, 16 << 10] {
        let [mut each, mut batch] = [[Duration::MAX; 2]; 2];
        for _ in 0..ROUNDS {
            let (signing, messages) = sign_each(body);
            each = best(each, [signing, verify(&messages)]);
            let (signing, messages) = sign_batches(body);
            batch = best(batch, [signing, verify(&messages)]);
        }
        println!("{body} octets, us a message:   each   batch   ratio");
        for (what, (each, batch)) in ["sign", "verify"].iter().zip(each.into_iter().zip(batch)) {
            let micros = |time: Duration| time.as_secs_f64() * 1e6 / MESSAGES as f64;
            let (each, batch) = (micros(each), micros(batch));
            println!("{what:>25} {each:6.2}  {batch:6.2}  {:6.1}", each / batch);
        }
    }
}

fn best(best: [Duration; 2], now: [Duration; 2]) -> [Duration; 2] {
    [best[0].min(now[0]), best[1].min(now[1])]
}

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_795_305_600_000).expect("in range")
}

fn signer() -> Signer {
    let key = SigningKey::from_seed(&[1; 32]);
    Signer::start(key, "ci-scanner", "hub.example", Progress::default(), now()).expect("starts")
}

fn unsigned(body: usize) -> Vec<Message> {
    let octet = |number| u8::try_from(number % 251).expect("small");
    let message = |number| vec![b"findings/sast/bandit".to_vec(), vec![octet(number); body]];
    (0..MESSAGES).map(message).collect()
}

fn sign_each(body: usize) -> (Duration, Vec<Message>) {
    let (mut signer, mut messages) = (signer(), unsigned(body));
    let about = About::new("application/sarif+json");
    let begin = Instant::now();
    for message in &mut messages {
        let trailer = signer.sign_with(message, &about, now()).expect("signs");
        message.push(trailer);
    }
    (begin.elapsed(), messages)
}

fn sign_batches(body: usize) -> (Duration, Vec<Message>) {
    let (mut batch, mut messages) = (BatchSigner::new(signer()), unsigned(body));
    let about = About::new("application/sarif+json");
    let begin = Instant::now();
    for held in messages.chunks_mut(64) {
        for message in &*held {
            batch.push(message, &about, now()).expect("room");
        }
        let trailers = batch.seal().expect("signs");
        held.iter_mut()
            .zip(trailers)
            .for_each(|(message, trailer)| message.push(trailer));
    }
    (begin.elapsed(), messages)
}

fn verify(messages: &[Message]) -> Duration {
    let key = SigningKey::from_seed(&[1; 32]).verifying_key();
    let identity = Identity::new("ci-scanner")
        .with_key(key)
        .may_publish("findings/");
    let registry = Registry::new(vec![identity]).expect("sound");
    let mut verifier = Verifier::new(registry, ["hub.example"]);
    let begin = Instant::now();
    for message in messages {
        let verified = verifier.verify_at(message, Via::Identity("ci-scanner"), now());
        assert!(verified.is_ok_and(|verified| verified.flags.is_empty()));
    }
    begin.elapsed()
}
