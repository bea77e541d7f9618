//! A stream over a bad network: the flags count exactly what was lost, and no copy passes twice.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use curvelink_envelope::{
    Flag, Identity, Progress, Registry, Signer, SigningKey, Timestamp, Verifier, Via,
};

/// SplitMix64: small, and the same on every machine for a printed seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("small")
    }

    fn happens(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone)]
struct Sent {
    topic: usize,
    tseq: u64,
    seq: u64,
    frames: Vec<Vec<u8>>,
}

const TOPICS: [&str; 3] = ["findings/a", "findings/b", "noise/c"];

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_795_305_600_000).expect("in range")
}

fn verifier() -> Verifier {
    let key = SigningKey::from_seed(&[1; 32]).verifying_key();
    let identity = Identity::new("scanner").with_key(key).may_publish("");
    Verifier::new(Registry::new(vec![identity]).expect("sound"), ["hub"])
}

fn sent(random: &mut Random, count: u64) -> Vec<Sent> {
    let key = SigningKey::from_seed(&[1; 32]);
    let mut signer =
        Signer::start(key, "scanner", "hub", Progress::default(), now()).expect("starts");
    let mut tseqs = [0; 3];
    (0..count)
        .map(|seq| {
            let topic = random.below(3);
            let tseq = tseqs[topic];
            tseqs[topic] += 1;
            let mut frames = vec![
                TOPICS[topic].as_bytes().to_vec(),
                seq.to_be_bytes().to_vec(),
            ];
            let trailer = signer.sign_at(&frames, "application/octet-stream", now());
            frames.push(trailer.expect("signs"));
            Sent {
                topic,
                tseq,
                seq,
                frames,
            }
        })
        .collect()
}

/// What a subscriber to `findings/` receives, some of it lost, twice, or late.
fn through_a_bad_network(
    random: &mut Random,
    sent: &[Sent],
    [loss, copies, disorder]: [usize; 3],
) -> Vec<Sent> {
    let mut received: Vec<(usize, Sent)> = Vec::new();
    for (at, message) in sent
        .iter()
        .enumerate()
        .filter(|(_, message)| message.topic < 2)
    {
        if random.happens(loss) {
            continue;
        }
        let late = if random.happens(disorder) {
            1 + random.below(20)
        } else {
            0
        };
        received.push((at + late, message.clone()));
        if random.happens(copies) {
            received.push((at + late + random.below(40), message.clone()));
        }
    }
    received.sort_by_key(|(at, _)| *at);
    received.into_iter().map(|(_, message)| message).collect()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    delivered: u64,
    refused: u64,
    missing: u64,
    reordered: u64,
    gaps: u64,
}

fn receive(received: &[Sent]) -> Tally {
    let mut verifier = verifier();
    let mut tally = Tally::default();
    for message in received {
        let verdict = verifier.verify_at(&message.frames, Via::Relay, now());
        let verified = match verdict {
            Ok(verified) => verified,
            Err(refusal) => {
                assert_eq!(refusal.code(), "replayed");
                tally.refused += 1;
                continue;
            }
        };
        tally.delivered += 1;
        assert_eq!(verified.statement.seq, message.seq);
        for flag in verified.flags {
            match flag {
                Flag::Reordered { recovered } => {
                    tally.reordered += 1;
                    tally.missing -= recovered;
                }
                Flag::Gap { missing } => {
                    tally.gaps += 1;
                    tally.missing += missing;
                }
                Flag::JoinedLate { missed } => tally.missing += missed,
                other => panic!("unknown flag {other:?}"),
            }
        }
    }
    tally
}

/// Of each topic that was received at all: the messages before its last one that never came.
fn truly_missing(received: &[Sent]) -> u64 {
    let mut topics: HashMap<usize, Vec<u64>> = HashMap::new();
    for message in received {
        topics.entry(message.topic).or_default().push(message.tseq);
    }
    topics
        .into_values()
        .map(|mut tseqs| {
            tseqs.sort_unstable();
            tseqs.dedup();
            tseqs.last().map_or(0, |last| last + 1) - tseqs.len() as u64
        })
        .sum()
}

fn seed() -> u64 {
    let seed = match std::env::var("CURVELINK_SEED") {
        Ok(seed) => seed.parse().expect("CURVELINK_SEED is a number"),
        Err(_) => {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .expect("after 1970");
            u64::from(since.subsec_nanos())
        }
    };
    println!("CURVELINK_SEED={seed}");
    seed
}

#[test]
fn what_is_reported_missing_is_what_was_lost_and_every_copy_is_refused() {
    let mut random = Random(seed());
    for round in 0..5 {
        let sent = sent(&mut random, 1_500);
        let received = through_a_bad_network(&mut random, &sent, [5, 10, 10]);
        let mut first_copies: Vec<_> = received.iter().map(|message| message.seq).collect();
        first_copies.sort_unstable();
        first_copies.dedup();

        let tally = receive(&received);
        assert_eq!(
            tally.missing,
            truly_missing(&received),
            "round {round}: {tally:?}"
        );
        assert_eq!(tally.delivered, first_copies.len() as u64);
        assert_eq!(tally.refused, (received.len() - first_copies.len()) as u64);
        assert!(
            tally.missing > 0 && tally.refused > 0 && tally.reordered > 0,
            "{tally:?}"
        );
    }
}

#[test]
fn a_filtered_stream_without_loss_shows_no_gap() {
    let mut random = Random(seed());
    let sent = sent(&mut random, 1_500);
    let received = through_a_bad_network(&mut random, &sent, [0, 0, 0]);
    let expected = Tally {
        delivered: received.len() as u64,
        ..Tally::default()
    };
    assert_eq!(receive(&received), expected);
}

/// The last messages of each topic are lost; the heartbeats behind them come.
#[test]
fn heartbeats_count_exactly_what_was_lost_at_the_end() {
    let mut random = Random(seed());
    for round in 0..20 {
        let key = SigningKey::from_seed(&[1; 32]);
        let soon = Some(std::time::Duration::ZERO);
        let mut signer = Signer::start(key, "scanner", "hub", Progress::default(), now())
            .expect("starts")
            .with_heartbeats(soon, None);
        let (mut verifier, mut lost, mut told) = (verifier(), 0, 0);
        let mut tell = |frames: &[Vec<u8>]| {
            let verified = verifier
                .verify_at(frames, Via::Relay, now())
                .expect("passes");
            for flag in verified.flags {
                match flag {
                    Flag::Gap { missing } | Flag::JoinedLate { missed: missing } => told += missing,
                    other => panic!("nothing is late: {other:?}"),
                }
            }
        };
        let end = 5 + random.below(50);
        for number in 0..100 {
            let mut frames = vec![TOPICS[random.below(3)].as_bytes().to_vec(), vec![number]];
            let trailer = signer.sign_at(&frames, "application/octet-stream", now());
            frames.push(trailer.expect("signs"));
            if usize::from(number) >= end || random.happens(5) {
                lost += 1;
            } else {
                tell(&frames);
            }
        }
        let beats = signer.heartbeats(now());
        beats.iter().for_each(|beat| tell(beat));
        assert_eq!(told, lost, "round {round}");
        assert!(lost > 0 && !beats.is_empty());
    }
}

#[test]
fn a_recorded_stream_is_refused_as_a_whole_after_a_restart_of_the_receiver() {
    let mut random = Random(seed());
    let sent = sent(&mut random, 300);
    let mut first = verifier();
    for message in &sent {
        first
            .verify_at(&message.frames, Via::Relay, now())
            .expect("passes");
    }
    let mut second = verifier().with_replay_state(first.replay_state().clone());
    for message in &sent {
        let refusal = second.verify_at(&message.frames, Via::Relay, now());
        assert_eq!(refusal.expect_err("refused").code(), "replayed");
    }
}
