//! What leaves the journal: archives, witnesses, entries for recipients.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use curvelink_audit::{
    JournalError, RecipientKey, Record, Rule, Verdict, VerifyOptions, Witness, WitnessError,
    WitnessRequest, verify,
};
use curvelink_tlog::{Cosigner, Note, TlogProof, leaf_hash};

use common::{ORIGIN, Place, TestClock, append, record, settings};

fn unpack(archive: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    let status = Command::new("tar")
        .arg("-xf")
        .arg(archive)
        .arg("-C")
        .arg(to)
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn an_archive_verifies_by_itself_and_says_that_it_is_one() {
    let place = Place::new();
    (0..3).for_each(|_| place.fill(300));
    let reader = place.reader();
    let size = reader.range().end;
    for wanted in [0..1, 300..520, 600..u64::MAX] {
        let archive = place.folder.path().join("part.tar");
        let mut out = Vec::new();
        let exported = reader
            .export(wanted.clone(), true, &mut out, &mut ())
            .unwrap();
        fs::write(&archive, out).unwrap();
        let folder = place.folder.path().join(format!("part-{}", wanted.start));
        unpack(&archive, &folder);
        let mut options = place.options();
        let refused = verify(&folder, &options, &mut ()).unwrap();
        assert_eq!(refused.verdict, Verdict::Bad, "it must be asked for");
        options.allow_archive = true;
        let report = verify(&folder, &options, &mut ()).unwrap();
        assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.checks);
        assert!(report.is_archive);
        assert_eq!(report.first..report.size, exported.range);
        assert!(report.first <= wanted.start && report.size >= wanted.end.min(size));

        // Each proof in it stands alone: it and the entry and a key are all that it takes.
        let proofs = fs::read_dir(folder.join("proofs")).unwrap().count() as u64;
        assert_eq!(proofs, wanted.end.min(size) - wanted.start);
        let proof = fs::read_to_string(folder.join(format!("proofs/{}.tlog-proof", wanted.start)));
        let proof: TlogProof = proof.unwrap().parse().unwrap();
        let entry = reader
            .entries(wanted.start..wanted.start + 1)
            .next()
            .unwrap()
            .unwrap();
        let leaf = leaf_hash(&entry.octets);
        let by_some_key = (0..4).any(|epoch| {
            let file = if epoch == 0 {
                "anchor".into()
            } else {
                format!("epoch-{epoch:06}")
            };
            let key = fs::read_to_string(folder.join(format!("keys/{file}.vkey")));
            let key = key.ok().and_then(|key| key.trim_end().parse().ok());
            key.is_some_and(|key| proof.verify(leaf, &key, ORIGIN).is_ok())
        });
        assert!(by_some_key);

        let bundle = format!("tile/entries/{:03}", report.first / 256);
        let path = match folder.join(&bundle) {
            full if full.exists() => full,
            _ => fs::read_dir(folder.join(bundle + ".p"))
                .unwrap()
                .next()
                .unwrap()
                .unwrap()
                .path(),
        };
        let mut octets = fs::read(&path).unwrap();
        octets[10] ^= 1;
        fs::write(&path, octets).unwrap();
        let report = verify(&folder, &options, &mut ()).unwrap();
        assert_eq!(report.verdict, Verdict::Bad);
        assert_eq!(report.problem().unwrap().1.index, Some(report.first));
    }
    let nothing = reader.export(size..size + 9, false, &mut Vec::new(), &mut ());
    assert!(matches!(nothing, Err(JournalError::Range)));
    let stopped = reader.export(0..size, false, &mut Vec::new(), &mut |_: u64, _: u64| false);
    assert!(matches!(stopped, Err(JournalError::Io { .. })));
}

fn witness(folder: &Path) -> Witness {
    let cosigner = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    Witness::open(&folder.join("witness.json"), cosigner).unwrap()
}

/// As it comes over a socket.
fn sent(request: &WitnessRequest) -> WitnessRequest {
    let frames = request.to_frames();
    let frames: Vec<_> = frames.iter().map(String::as_bytes).collect();
    WitnessRequest::from_frames(&frames).unwrap()
}

#[test]
fn a_witness_signs_what_goes_on_from_what_it_saw_and_nothing_else() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let mut witness = witness(folder.path());
    let now = UNIX_EPOCH + Duration::from_secs(1_795_305_600);
    place.fill(5);
    let request = place.reader().witness_request(0, 0).unwrap();
    assert_eq!(witness.cosign(&request, now), Err(WitnessError::Unknown));
    witness.watch(&place.anchor.parse().unwrap()).unwrap();
    witness.cosign(&sent(&request), now).unwrap();
    let fork = place.copy();

    // It grows, over several epochs.
    (0..3).for_each(|_| place.fill(100));
    let (size, epoch) = witness.known(ORIGIN).unwrap();
    assert_eq!(
        witness.cosign(&request, now),
        Err(WitnessError::Elsewhere { size, epoch })
    );
    let request = place.reader().witness_request(size, epoch).unwrap();
    assert!(!request.certificates.is_empty() && !request.proof.is_empty());
    for wrong in 0..3 {
        let mut altered = request.clone();
        let expected = match wrong {
            0 => {
                altered.proof.reverse();
                WitnessError::Inconsistent
            }
            1 => {
                altered.certificates.remove(0);
                WitnessError::Certificate
            }
            _ => {
                altered.certificates.clear();
                WitnessError::Signature
            }
        };
        assert_eq!(witness.cosign(&altered, now), Err(expected));
    }
    let line = witness.cosign(&sent(&request), now).unwrap();
    let mut note: Note = request.checkpoint;
    note.push(line.parse().unwrap()).unwrap();
    let cosigner = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    assert_eq!(
        cosigner.verifying_key().verify(&note).unwrap(),
        1_795_305_600
    );

    // A fork of what it saw, a cut-back, and a witness that was started again.
    drop(witness);
    let mut witness = self::witness(folder.path());
    let (size, epoch) = witness.known(ORIGIN).unwrap();
    assert_eq!(size, place.reader().range().end);
    let behind = fork.reader().witness_request(0, 0).unwrap();
    assert!(matches!(
        witness.cosign(&behind, now),
        Err(WitnessError::Elsewhere { .. })
    ));
    fork.fill(900);
    let forked = fork.reader().witness_request(size, epoch).unwrap();
    let refused = witness.cosign(&forked, now).unwrap_err();
    let told = [
        WitnessError::Certificate,
        WitnessError::Signature,
        WitnessError::Inconsistent,
    ];
    assert!(told.contains(&refused), "{refused}");
    let again = place.reader().witness_request(size, epoch).unwrap();
    witness.cosign(&again, now).unwrap();
}

/// Requests that are not what a journal sent: some octets of one changed, removed or repeated.
#[test]
fn a_request_that_was_altered_gets_a_signature_for_nothing_else() {
    let place = Place::new();
    (0..2).for_each(|_| place.fill(20));
    let folder = tempfile::tempdir().unwrap();
    let anchor = place.anchor.parse().unwrap();
    let mut witness = witness(folder.path());
    witness.watch(&anchor).unwrap();
    let first = place.reader().witness_request(0, 0).unwrap();
    witness.cosign(&first, UNIX_EPOCH).unwrap();
    let state = folder.path().join("witness.json");
    let known = fs::read(&state).unwrap();
    (0..2).for_each(|_| place.fill(20));
    let (size, epoch) = witness.known(ORIGIN).unwrap();
    let request = place.reader().witness_request(size, epoch).unwrap();
    let frames: Vec<_> = request
        .to_frames()
        .into_iter()
        .map(String::into_bytes)
        .collect();
    assert!(frames.len() > 1 && !request.proof.is_empty());

    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = seed | 1;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let mut parsed = 0;
    for _ in 0..5_000 {
        let mut altered = frames.clone();
        for _ in 0..=next(2) {
            let frame = next(altered.len());
            let octets = &mut altered[frame];
            let (at, to) = (next(octets.len().max(1)), next(octets.len() + 1));
            match next(5) {
                0 => octets.truncate(at),
                1 => drop(octets.drain(at.min(to)..at.max(to))),
                2 => octets.extend_from_within(at.min(to)..at.max(to)),
                3 => altered.swap(frame, 0),
                _ => octets
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|it| *it = next(256) as u8),
            }
        }
        let altered: Vec<_> = altered.iter().map(Vec::as_slice).collect();
        let Ok(read) = WitnessRequest::from_frames(&altered) else {
            continue;
        };
        parsed += 1;
        assert_eq!(sent(&read), read);
        if witness.cosign(&read, UNIX_EPOCH).is_ok() {
            assert_eq!(read.checkpoint.text(), request.checkpoint.text());
            drop(witness);
            fs::write(&state, &known).unwrap();
            witness = self::witness(folder.path());
        }
    }
    assert!(parsed > 25, "some are still requests: {parsed}");
    witness.cosign(&request, UNIX_EPOCH).unwrap();
}

#[test]
fn a_witness_goes_neither_back_nor_on_with_a_key_whose_time_is_over() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let mut witness = witness(folder.path());
    witness.watch(&place.anchor.parse().unwrap()).unwrap();
    let journal = place.open(settings()).unwrap();
    append(&journal, 5);
    journal.seal().unwrap();
    let early = place.reader().witness_request(0, 0).unwrap();
    append(&journal, 5);
    journal.seal().unwrap();
    let stolen = common::stolen_key(&place);
    let request = place.reader().witness_request(0, 0).unwrap();
    witness.cosign(&request, UNIX_EPOCH).unwrap();
    let (size, epoch) = witness.known(ORIGIN).unwrap();
    journal.close().unwrap();

    // A witness may say any numbers.
    let reader = place.reader();
    assert!(reader.witness_request(u64::MAX, 0).is_err());
    for epoch in [u64::MAX - 1, u64::MAX] {
        let request = reader.witness_request(size, epoch).unwrap();
        assert!(request.certificates.is_empty());
    }
    let mut back = early;
    back.old = size;
    let elsewhere = Err(WitnessError::Elsewhere { size, epoch });
    assert_eq!(witness.cosign(&back, UNIX_EPOCH), elsewhere);

    place.fill(5);
    let mut request = place.reader().witness_request(size, epoch).unwrap();
    let signed = stolen.sign(request.checkpoint.text()).unwrap();
    let good = std::mem::replace(&mut request.checkpoint, signed);
    let refused = witness.cosign(&request, UNIX_EPOCH);
    assert_eq!(refused, Err(WitnessError::Signature));
    request.checkpoint = good;
    witness.cosign(&request, UNIX_EPOCH).unwrap();
}

#[test]
fn a_witness_that_was_away_for_hundreds_of_keys_catches_up() {
    // In memory, where there is such a folder: each change of keys waits for the disk many times.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let place = Place::within(folder.unwrap(), settings());
    let mut ours = settings();
    ours.epoch_entries = 1;
    let journal = place.open(ours).unwrap();
    while journal.status().epoch < 300 {
        append(&journal, 1);
    }
    journal.close().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut witness = witness(folder.path());
    witness.watch(&place.anchor.parse().unwrap()).unwrap();
    let reader = place.reader();
    let mut asked = 0;
    while witness.known(ORIGIN).unwrap().0 < reader.range().end {
        let (size, epoch) = witness.known(ORIGIN).unwrap();
        let request = reader.witness_request(size, epoch).unwrap();
        witness.cosign(&sent(&request), UNIX_EPOCH).unwrap();
        asked += 1;
    }
    assert_eq!(asked, 2);
}

#[test]
fn a_journal_without_its_witnesses_is_reported() {
    let place = Place::new();
    let cosigner = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    let other = Cosigner::from_seed("other.example", &[4; 32]).unwrap();
    let mut ours = settings();
    ours.cosigners = vec![
        cosigner.verifying_key().clone(),
        other.verifying_key().clone(),
    ];
    ours.min_witnesses = 2;
    let journal = place.open(ours.clone()).unwrap();
    journal.append(record(1)).wait().unwrap();
    journal.seal().unwrap();
    let mut note: Note = journal.status().checkpoint.parse().unwrap();
    note.push(cosigner.cosign(&note, 1).unwrap()).unwrap();
    assert!(!journal.keep_witnessed(&note).unwrap(), "one of two");
    let one = note.clone();
    note.push(other.cosign(&note, 1).unwrap()).unwrap();
    assert!(journal.keep_witnessed(&note).unwrap());
    let covered = journal.status().witnessed;
    assert!(covered > 0);
    append(&journal, 3);
    journal.close().unwrap();

    let mut options: VerifyOptions = place.options();
    options.cosigners = ours.cosigners;
    options.min_witnesses = 2;
    let report = verify(&place.audit(), &options, &mut ()).unwrap();
    assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.checks);
    assert_eq!(report.witnessed, Some(covered));
    // One witness is one, however often it is listed.
    let mut twice = options.clone();
    twice.cosigners = vec![options.cosigners[0].clone(); 2];
    let report = verify(&place.audit(), &twice, &mut ()).unwrap();
    assert_eq!(report.problem().unwrap().0, Rule::Witness);
    for few in [None, Some(one)] {
        match few {
            None => fs::remove_file(place.file("checkpoint.witnessed")).unwrap(),
            Some(note) => fs::write(place.file("checkpoint.witnessed"), note.to_string()).unwrap(),
        }
        let report = verify(&place.audit(), &options, &mut ()).unwrap();
        assert_eq!(report.problem().unwrap().0, Rule::Witness);
    }
}

#[test]
fn an_encrypted_journal_is_verified_without_a_key_and_read_with_one() {
    let key = RecipientKey::generate().unwrap();
    let mut ours = settings();
    ours.recipients = vec![key.recipient()];
    let place = Place::with(ours.clone());
    let day = Duration::from_secs(86_400);
    let clock = TestClock::at(day * 20_000);
    let journal = place.open_at(ours, &clock);
    let first = journal.append(record(1)).wait().unwrap();
    clock.jump(day * 20_001);
    let second = journal.append(record(2)).wait().unwrap();
    clock.jump(day * 19_000);
    let third = journal.append(record(3)).wait().unwrap();
    assert_eq!(
        (second, third),
        (first + 2, second + 1),
        "a data key for a later day alone"
    );
    journal.close().unwrap();

    let report = place.verify();
    assert_eq!(
        (report.verdict, report.encrypted),
        (Verdict::Sound, 3),
        "{:?}",
        report.checks
    );
    let reader = place.reader();
    let open: Vec<_> = reader
        .entries_for(0..u64::MAX, &key)
        .map(Result::unwrap)
        .collect();
    let shut: Vec<_> = reader.entries(0..u64::MAX).map(Result::unwrap).collect();
    for (index, number) in [(first, 1), (second, 2), (third, 3)] {
        let at = index as usize;
        assert!(shut[at].is_encrypted() && !open[at].is_encrypted());
        let read = Record::from_json(&open[at].octets).unwrap();
        let topic = format!("topic {number}");
        assert_eq!(read.field("topic").unwrap().as_text(), Some(&topic[..]));
        assert!(!String::from_utf8_lossy(&shut[at].octets).contains("topic"));
    }
    let stranger = RecipientKey::generate().unwrap();
    assert!(
        reader
            .entries_for(first..first + 1, &stranger)
            .all(|it| it.unwrap().is_encrypted())
    );

    // A day is erased by its key: what it held is gone, and everything is verified as before.
    let keys = place
        .files()
        .into_iter()
        .filter(|name| name.contains("data-"));
    let keys: Vec<_> = keys.collect();
    assert_eq!(keys.len(), 2);
    keys.iter()
        .for_each(|name| fs::remove_file(place.file(name)).unwrap());
    assert!(
        reader
            .entries_for(first..third + 1, &key)
            .filter(|it| { it.as_ref().unwrap().is_encrypted() })
            .count()
            == 3
    );
    assert_eq!(place.verify().verdict, Verdict::Sound);
}
