//! Go's and Python's trees, and Go's notes, give the same verdict on our logs and batches as we do.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use curvelink_envelope::{
    About, BatchSigner, Identity, Progress, Registry, Signer, SigningKey, Timestamp, Trailer,
    Verifier, export,
};
use curvelink_tests::support::random::Random;
use curvelink_tests::{golang, python};
use curvelink_tlog::{
    Checkpoint, EMPTY_ROOT, Hash, MemoryTree, Note, NoteSigner, TlogProof, TreeHead,
    VerifyingNoteKey, check_consistency, leaf_hash, prove_consistency, prove_inclusion, root_of,
};
use serde_json::{Value, json};

const ORIGIN: &str = "example.com/log";
const SIZES: usize = 2_000;

/// What is shown to a stranger, and what must come of it.
struct Case {
    shown: Value,
    ours: bool,
    expected: bool,
}

#[test]
fn go_checks_checkpoints_records_and_growth_of_1_to_2000_entries_as_we_do() {
    let Ok(program) = golang::tlog() else { return };
    let mut cases = log_of(SIZES).cases();
    cases.extend(batches(&BATCHES));
    cases.extend(mutated_batches(10_000));
    agree(Command::new(program), &cases);
}

#[test]
fn pymerkle_checks_records_and_growth_of_1_to_2000_entries_as_we_do() {
    let Ok(program) = python::environment() else {
        return;
    };
    let mut command = Command::new(program);
    command.arg(script("python/verify_tree.py"));
    let mut cases = log_of(SIZES).cases();
    // What it knows nothing of, or makes itself.
    cases.retain(|case| case.shown["kind"] != "checkpoint" && case.shown["grown"] != false);
    cases.extend(batches(&BATCHES));
    agree(command, &cases);
}

/// A log, its checkpoint at every size, and its key.
struct Log {
    tree: MemoryTree,
    notes: Vec<String>,
    key: VerifyingNoteKey,
}

fn log_of(size: usize) -> Log {
    let signer = NoteSigner::from_seed(ORIGIN, &[1; 32]).expect("a name");
    let mut tree = MemoryTree::default();
    let notes = (0..size).map(|index| {
        tree.push(leaf_hash(&entry(index)));
        let size = tree.size();
        let root = root_of(&tree, size).expect("in memory");
        let checkpoint = Checkpoint::new(ORIGIN, TreeHead { size, root }).expect("sound");
        signer
            .sign(&checkpoint.to_string())
            .expect("signs")
            .to_string()
    });
    let notes = notes.collect();
    Log {
        tree,
        notes,
        key: signer.verifying_key().clone(),
    }
}

fn entry(index: usize) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

impl Log {
    /// For every size: the checkpoint, two records and growth from an older size; and of each one
    /// that was tampered with.
    fn cases(&self) -> Vec<Case> {
        (1..=self.notes.len())
            .flat_map(|size| {
                let records = [size / 2, size - 1]
                    .into_iter()
                    .flat_map(move |index| self.records(index, size));
                self.checkpoints(size)
                    .into_iter()
                    .chain(records)
                    .chain(self.growth(size.div_ceil(3), size))
            })
            .collect()
    }

    fn note(&self, size: usize) -> &str {
        &self.notes[size - 1]
    }

    fn checkpoints(&self, size: usize) -> [Case; 2] {
        let good = self.note(size);
        // A digit of the size, a character of the root or of the signature.
        let at = ORIGIN.len() + 1 + size % (good.len() - ORIGIN.len() - 4);
        let mut octets = good.as_bytes().to_vec();
        octets[at] = if octets[at] == b'3' { b'4' } else { b'3' };
        let altered = String::from_utf8_lossy(&octets).into_owned();
        [(good.to_owned(), true), (altered, false)].map(|(note, expected)| Case {
            ours: self.open(&note).is_some(),
            shown: json!({"kind": "checkpoint", "vkey": self.key.to_string(), "origin": ORIGIN, "note": note}),
            expected,
        })
    }

    fn open(&self, note: &str) -> Option<Checkpoint> {
        let note: Note = note.parse().ok()?;
        Checkpoint::open(&note, &self.key, ORIGIN).ok()
    }

    fn records(&self, index: usize, size: usize) -> [Case; 2] {
        let proof = TlogProof {
            extra: None,
            index: index as u64,
            hashes: prove_inclusion(&self.tree, index as u64, size as u64).expect("in memory"),
            checkpoint: self.note(size).to_owned(),
        };
        let mut altered = proof.clone();
        let (mut entry_shown, text) = (entry(index), proof.to_string());
        match altered.hashes.first_mut() {
            Some(hash) if size.is_multiple_of(2) => hash.0[size % 32] ^= 1,
            _ => entry_shown[0] ^= 1,
        }
        [
            (text, entry(index), true),
            (altered.to_string(), entry_shown, false),
        ]
        .map(|(text, entry, expected)| record(&text, &entry, &self.key, ORIGIN, expected))
    }

    fn growth(&self, old: usize, new: usize) -> [Case; 3] {
        let proof = prove_consistency(&self.tree, old as u64, new as u64).expect("in memory");
        let mut altered = proof.clone();
        match altered.first_mut() {
            Some(hash) => hash.0[new % 32] ^= 1,
            None => altered.push(EMPTY_ROOT),
        }
        // Another history: signed by the log, and not the beginning of this one.
        let forked = TreeHead {
            size: old as u64,
            root: EMPTY_ROOT,
        };
        let forked = Checkpoint::new(ORIGIN, forked).expect("sound").to_string();
        let signer = NoteSigner::from_seed(ORIGIN, &[1; 32]).expect("a name");
        let forked = signer.sign(&forked).expect("signs").to_string();
        let good = self.note(old);
        [
            (good, &proof, true, true),
            (good, &altered, false, false),
            (&*forked, &proof, false, true),
        ]
        .map(|(before, hashes, expected, grown)| Case {
            ours: self.grew(before, self.note(new), hashes),
            shown: json!({
                "kind": "tree", "vkey": self.key.to_string(), "origin": ORIGIN, "grown": grown,
                "old": before, "note": self.note(new),
                "hashes": hashes.iter().map(Hash::to_string).collect::<Vec<_>>(),
            }),
            expected,
        })
    }

    fn grew(&self, old: &str, new: &str, proof: &[Hash]) -> bool {
        let heads = self.open(old).zip(self.open(new));
        heads.is_some_and(|(old, new)| check_consistency(proof, old.head, new.head).is_ok())
    }
}

fn record(proof: &str, entry: &[u8], key: &VerifyingNoteKey, origin: &str, expected: bool) -> Case {
    let read = proof.parse::<TlogProof>();
    Case {
        ours: read.is_ok_and(|proof| proof.verify(leaf_hash(entry), key, origin).is_ok()),
        shown: json!({
            "kind": "record", "vkey": key.to_string(), "origin": origin,
            "entry": STANDARD.encode(entry), "proof": proof,
        }),
        expected,
    }
}

/// Messages in each batch.
const BATCHES: [usize; 6] = [1, 2, 3, 7, 63, 64];

/// Every message of batches of these sizes, and with another statement in the place of its own.
fn batches(sizes: &[usize]) -> Vec<Case> {
    let messages = sizes.iter().flat_map(|size| batch_of(*size));
    messages
        .flat_map(|message| {
            let trailer = Trailer::parse(&message[2]).expect("well formed");
            let statement = trailer.statement_octets().to_vec();
            let mut other = statement.clone();
            let last = other.len() - 1;
            other[last - 1] ^= 1;
            [(statement, true), (other, false)].map(|(statement, expected)| {
                let proof = export::tlog_proof(&trailer).expect("a batch");
                batched(&message, &statement, proof, expected)
            })
        })
        .collect()
}

/// Proofs and statements of a batch with random edits: Go and we agree on each.
fn mutated_batches(count: usize) -> Vec<Case> {
    let mut random = Random::new();
    let message = batch_of(64).swap_remove(random.below(64));
    let trailer = Trailer::parse(&message[2]).expect("well formed");
    let proof = export::tlog_proof(&trailer).expect("a batch").as_bytes();
    let statement = trailer.statement_octets();
    let mutated = |_| {
        let (mut proof, mut statement) = (proof.to_vec(), statement.to_vec());
        for _ in 0..=random.below(2) {
            let is_proof = random.below(5) > 0;
            let octets = if is_proof { &mut proof } else { &mut statement };
            let at = random.below(octets.len());
            // Go reads base64 whose last digit has spare bits in several spellings, we in one.
            if is_proof && octets.get(at + 1) == Some(&b'=') {
                continue;
            }
            let octet = u8::try_from(b' ' as usize + random.below(95)).expect("ASCII");
            match random.below(6) {
                0 => octets.insert(at, octet),
                1 => drop(octets.remove(at)),
                _ => octets[at] = octet,
            }
        }
        let expected = proof == trailer_proof(&message) && statement == trailer.statement_octets();
        let proof = String::from_utf8_lossy(&proof).into_owned();
        batched(&message, &statement, &proof, expected)
    };
    (0..count).map(mutated).collect()
}

fn trailer_proof(message: &[Vec<u8>]) -> Vec<u8> {
    let trailer = Trailer::parse(&message[2]).expect("well formed");
    export::tlog_proof(&trailer)
        .expect("a batch")
        .as_bytes()
        .to_vec()
}

/// The message with `statement` and `proof` in its trailer, shown as the entry of a log.
fn batched(message: &[Vec<u8>], statement: &[u8], proof: &str, expected: bool) -> Case {
    let key = SigningKey::from_seed(&[1; 32]).verifying_key();
    let whole = Trailer::parse(&message[2]).expect("well formed");
    let vkey = export::tlog_vkey(&whole, &key).expect("a name");
    let origin = export::tlog_origin(&whole).expect("a batch");
    let length = |octets: &[u8]| u32::try_from(octets.len()).expect("small").to_be_bytes();
    let trailer = [
        b"CLE1\x02\x01\0\0",
        length(statement).as_slice(),
        statement,
        &length(proof.as_bytes()),
        proof.as_bytes(),
    ]
    .concat();
    let signer = Identity::new("ci").with_key(key).may_publish("");
    let verifier = Verifier::new(Registry::new(vec![signer]).expect("sound"), ["hub"]);
    let ours = verifier
        .verify_at_rest(&[&message[..2], &[trailer]].concat())
        .is_ok();
    let key = vkey.parse().expect("a vkey");
    Case {
        ours,
        ..record(proof, statement, &key, origin, expected)
    }
}

fn batch_of(size: usize) -> Vec<Vec<Vec<u8>>> {
    let now = Timestamp::from_unix_ms(1_795_305_600_000).expect("in range");
    let key = SigningKey::from_seed(&[1; 32]);
    let signer = Signer::start(key, "ci", "hub", Progress::default(), now).expect("starts");
    let mut batch = BatchSigner::new(signer);
    let mut messages: Vec<_> = (0..size)
        .map(|number| {
            vec![
                b"findings/a".to_vec(),
                format!("body {number}").into_bytes(),
            ]
        })
        .collect();
    for message in &messages {
        batch
            .push(message, &About::new("text/plain"), now)
            .expect("room");
    }
    let trailers = batch.seal().expect("signs");
    messages
        .iter_mut()
        .zip(trailers)
        .for_each(|(message, trailer)| message.push(trailer));
    messages
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Gives all cases to one run of `command` and holds its verdicts against ours and what must be.
fn agree(mut command: Command, cases: &[Case]) {
    let lines: String = cases
        .iter()
        .map(|case| format!("{}\n", case.shown))
        .collect();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("piped");
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("the program ends");
    // Before the writer's error: the program says better why it stopped reading.
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    writer
        .join()
        .expect("no panic")
        .expect("the program reads all");

    let said = String::from_utf8_lossy(&output.stdout);
    let mut verdicts = said.lines();
    for case in cases {
        let theirs = match verdicts.next() {
            Some("accepted") => true,
            Some("rejected") => false,
            other => panic!("no verdict: {other:?}"),
        };
        assert_eq!(
            (theirs, case.ours),
            (case.expected, case.expected),
            "{}",
            case.shown
        );
    }
    assert_eq!(verdicts.next(), None);
}
