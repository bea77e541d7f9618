//! Everything that can be done to the files of a journal, and what verification says to it.

mod common;

use std::fs;
use std::path::PathBuf;

use curvelink_audit::{Journal, JournalError, Rule, Verdict, VerifyOptions, verify};
use curvelink_tlog::{
    Checkpoint, MemoryTree, Note, NoteSigner, TlogProof, TreeHead, leaf_hash, prove_inclusion,
    root_of, tile,
};

use common::{ORIGIN, Place, append, record, settings};

/// What nobody signs: the lock holds nothing, and sealed entries leave the write-ahead file.
const UNSEALED: [&str; 2] = ["lock", "wal"];

#[test]
fn every_octet_of_the_sealed_files_is_looked_at() {
    let place = Place::new();
    place.fill(5);
    let mut count = 0;
    for name in place.files() {
        if UNSEALED.contains(&&name[..]) {
            continue;
        }
        let path = place.file(&name);
        let octets = fs::read(&path).unwrap();
        for at in 0..octets.len() {
            let mut flipped = octets.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            match verify(&place.audit(), &place.options(), &mut ()) {
                Ok(report) => {
                    let problem = report.problem();
                    let (_, damage) = problem.unwrap_or_else(|| panic!("{name} octet {at}"));
                    assert_ne!(report.verdict, Verdict::Sound);
                    assert!(
                        damage.index.is_some() || is_about_files(&damage.file),
                        "{damage}"
                    );
                }
                Err(JournalError::Damaged(_)) => {}
                Err(error) => panic!("{name} octet {at}: {error}"),
            }
            count += 1;
        }
        fs::write(&path, octets).unwrap();
    }
    assert!(count > 3000, "{count}");
    assert_eq!(place.verify().verdict, Verdict::Sound);
}

/// Files that concern no entry.
fn is_about_files(file: &std::path::Path) -> bool {
    let whole = ["checkpoint", "state.json", "checkpoints.log"];
    whole.iter().any(|name| file == std::path::Path::new(name)) || file.starts_with("keys")
}

#[test]
fn an_altered_entry_is_named_by_its_index() {
    let place = Place::new();
    place.fill(600);
    for (file, at, index) in [
        ("tile/entries/000", 70_000, None),
        ("tile/entries/001", 2, Some(256)),
    ] {
        let path = place.file(file);
        let octets = fs::read(&path).unwrap();
        let at = at.min(octets.len() - 1);
        let mut altered = octets.clone();
        altered[at] ^= 1;
        fs::write(&path, &altered).unwrap();
        let report = place.verify();
        assert_eq!(report.verdict, Verdict::Bad);
        let (rule, damage) = report.problem().unwrap();
        assert_eq!(rule, Rule::Roots);
        assert_eq!(damage.index, index.or(Some(255)), "{damage}");
        // Nor does anybody append over it.
        let refused = place.open(settings()).unwrap_err();
        let JournalError::Damaged(damage) = refused else {
            panic!("{refused}");
        };
        assert_eq!(damage.index, index.or(Some(255)));
        fs::write(&path, octets).unwrap();
    }
    place.open(settings()).unwrap();
}

#[test]
fn a_file_that_is_missing_is_damage_and_nothing_is_appended_over_it() {
    let place = Place::new();
    place.fill(600);
    for name in place.files() {
        if UNSEALED.contains(&&name[..]) {
            continue;
        }
        let path = place.file(&name);
        let octets = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        match verify(&place.audit(), &place.options(), &mut ()) {
            Ok(report) => assert_eq!(report.verdict, Verdict::Damaged, "{name}"),
            Err(error) => assert!(matches!(error, JournalError::Missing), "{name}: {error}"),
        }
        // The certificates of the past are for verifiers: a writer needs its own key's.
        if !name.ends_with(".tlog-proof") && name != "keys/anchor.vkey" {
            let refused = place.open(settings());
            assert!(refused.is_err(), "{name}");
        }
        fs::write(&path, octets).unwrap();
    }
}

/// Somebody who has the files and the key in force, and a copy of everything before.
struct Thief {
    place: Place,
    entries: Vec<Vec<u8>>,
}

impl Thief {
    /// Three epochs of journal, and its key.
    fn new() -> Self {
        let place = Place::new();
        (0..3).for_each(|_| place.fill(6));
        let reader = place.reader();
        let entries = reader.entries(0..u64::MAX).map(|it| it.unwrap().octets);
        let entries = entries.collect();
        Self { place, entries }
    }

    fn signer(&self) -> NoteSigner {
        common::stolen_key(&self.place)
    }

    /// Writes the log anew with these entries, and a checkpoint by the stolen key after the notes
    /// that are kept.
    fn reseal(&self, entries: &[Vec<u8>], kept: &[String]) {
        self.reseal_by(&self.signer(), entries, kept);
    }

    fn reseal_by(&self, signer: &NoteSigner, entries: &[Vec<u8>], kept: &[String]) {
        let (_, note) = tree(signer, entries);
        let mut bundle = Vec::new();
        let size = entries.len();
        assert!(size < 256);
        for entry in entries {
            tile::push_entry(&mut bundle, entry).unwrap();
        }
        let folder = self.place.file("tile");
        fs::remove_dir_all(&folder).unwrap();
        let hashes: Vec<u8> = entries
            .iter()
            .flat_map(|entry| leaf_hash(entry).0)
            .collect();
        for (name, octets) in [("entries", bundle), ("0", hashes)] {
            let narrow: PathBuf = folder.join(name).join("000.p");
            fs::create_dir_all(&narrow).unwrap();
            fs::write(narrow.join(size.to_string()), octets).unwrap();
        }
        self.write_notes(kept, &note);
    }

    fn write_notes(&self, kept: &[String], note: &str) {
        let notes = kept.iter().map(String::as_str).chain([note]);
        let log: Vec<u8> = notes.flat_map(record_of).collect();
        fs::write(self.place.file("checkpoints.log"), log).unwrap();
        fs::write(self.place.file("checkpoint"), note).unwrap();
    }

    fn notes(&self) -> Vec<String> {
        let mut octets = &fs::read(self.place.file("checkpoints.log")).unwrap()[..];
        let mut notes = Vec::new();
        while let Some((length, rest)) = octets.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            notes.push(String::from_utf8(rest[4..4 + length].to_vec()).unwrap());
            octets = &rest[4 + length..];
        }
        notes
    }
}

/// As the format has it: length, CRC-32C, note.
fn record_of(note: &str) -> Vec<u8> {
    let length = u32::try_from(note.len()).unwrap().to_be_bytes();
    let octets = [&length[..], note.as_bytes()].concat();
    let mut crc = !0_u32;
    for octet in &octets {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        }
    }
    [&length[..], &(!crc).to_be_bytes(), note.as_bytes()].concat()
}

fn size_of(note: &str) -> u64 {
    let note: Note = note.parse().unwrap();
    note.text().parse::<Checkpoint>().unwrap().head.size
}

#[test]
fn what_the_thief_writes_is_read_as_the_journal_would_be() {
    // The negative of the tests below: with nothing altered, the forger's tools are right.
    let thief = Thief::new();
    let notes = thief.notes();
    thief.reseal(&thief.entries, &notes);
    let report = thief.place.verify();
    assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.checks);
}

#[test]
fn entries_rewritten_and_sealed_with_the_stolen_key_are_refused() {
    let thief = Thief::new();
    for index in 0..thief.entries.len() - 1 {
        let copy = Thief {
            place: thief.place.copy(),
            entries: thief.entries.clone(),
        };
        let mut entries = copy.entries.clone();
        let last = entries[index].len() - 20;
        entries[index][last] ^= 1;
        for kept in [copy.notes(), Vec::new()] {
            copy.reseal(&entries, &kept);
            let report = copy.place.verify();
            assert_eq!(report.verdict, Verdict::Bad, "{index}");
        }
    }
}

/// The tree of entries, and its checkpoint.
fn tree(signer: &NoteSigner, entries: &[Vec<u8>]) -> (MemoryTree, String) {
    let mut tree = MemoryTree::default();
    entries.iter().for_each(|entry| tree.push(leaf_hash(entry)));
    let size = entries.len() as u64;
    let root = root_of(&tree, size).unwrap();
    let text = Checkpoint::new(ORIGIN, TreeHead { size, root }).unwrap();
    let note = signer.sign(&format!("{text}time 1795305600000\n"));
    (tree, note.unwrap().to_string())
}

/// An entry that names a key as that of an epoch.
fn naming(thief: &Thief, epoch: u64, key: &NoteSigner) -> Vec<u8> {
    let mut notices = thief.entries.iter().rev();
    let named = notices.find_map(|entry| {
        let text = String::from_utf8(entry.clone()).unwrap();
        let (before, rest) = text.split_once("\"epoch\":3,\"key\":\"")?;
        let (_, after) = rest.split_once('"')?;
        let key = key.verifying_key();
        Some(format!(
            "{before}\"epoch\":{epoch},\"key\":\"{key}\"{after}"
        ))
    });
    named.unwrap().into_bytes()
}

#[test]
fn a_key_that_the_one_before_did_not_sign_for_signs_nothing() {
    let thief = Thief::new();
    let own = NoteSigner::from_seed(ORIGIN, &[9; 32]).unwrap();
    let mut entries = thief.entries.clone();
    entries.push(naming(&thief, 4, &own));
    let notes = thief.notes();
    // Vouched for by itself alone, with and without something to say.
    thief.reseal_by(&own, &entries, &notes);
    assert_eq!(thief.place.verify().verdict, Verdict::Bad);
    entries.push(thief.entries[5].clone());
    thief.reseal_by(&own, &entries, &notes);
    assert_eq!(thief.place.verify().verdict, Verdict::Bad);
}

#[test]
fn epochs_are_counted_without_a_gap() {
    for (epoch, verdict) in [(3, Verdict::Bad), (4, Verdict::Sound), (5, Verdict::Bad)] {
        let thief = Thief::new();
        let own = NoteSigner::from_seed(ORIGIN, &[9; 32]).unwrap();
        let mut entries = thief.entries.clone();
        entries.push(naming(&thief, epoch, &own));
        thief.reseal(&entries, &thief.notes());
        let report = thief.place.verify();
        assert_eq!(report.verdict, verdict, "{epoch}: {:?}", report.checks);
    }
}

#[test]
fn a_certificate_is_of_the_last_checkpoint_of_its_key() {
    for (later, verdict) in [(0, Verdict::Sound), (1, Verdict::Bad)] {
        let thief = Thief::new();
        let own = NoteSigner::from_seed(ORIGIN, &[9; 32]).unwrap();
        let mut entries = thief.entries.clone();
        let index = entries.len() as u64;
        entries.push(naming(&thief, 4, &own));
        thief.reseal(&entries, &thief.notes());
        let extra = entries.last().cloned();
        // The stolen key goes on where it should have ended, and certifies all the same.
        entries.extend_from_slice(&thief.entries[5..5 + later]);
        let (tree, checkpoint) = tree(&thief.signer(), &entries);
        let hashes = prove_inclusion(&tree, index, entries.len() as u64).unwrap();
        let proof = TlogProof {
            extra,
            index,
            hashes,
            checkpoint,
        };
        let keys = thief.place.file("keys");
        fs::write(keys.join("epoch-000004.tlog-proof"), proof.to_string()).unwrap();
        let vkey = format!("{}\n", own.verifying_key());
        fs::write(keys.join("epoch-000004.vkey"), vkey).unwrap();
        let report = thief.place.verify();
        assert_eq!(report.verdict, verdict, "{later}: {:?}", report.checks);
    }
}

/// CVE-2023-31437: a view that hides sealed entries. There is one iterator.
#[test]
fn what_is_shown_is_what_is_verified() {
    let thief = Thief::new();
    let mut entries = thief.entries.clone();
    entries.remove(5);
    thief.reseal(&entries, &thief.notes());
    assert_eq!(thief.place.verify().verdict, Verdict::Bad);
    let shown = thief.place.reader().entries(0..u64::MAX).count();
    assert_eq!(shown, entries.len());
}

/// CVE-2023-31438: cut off the end, and go on with the key in force.
#[test]
fn a_journal_that_was_cut_and_gone_on_with_is_refused() {
    let thief = Thief::new();
    let notes = thief.notes();
    let is_last = |entry: &Vec<u8>| entry.windows(9).any(|it| it == b"\"epoch\":3");
    let last_epoch = 1 + thief.entries.iter().position(is_last).unwrap();
    for size in 1..thief.entries.len() - 1 {
        let kept: Vec<_> = notes
            .iter()
            .filter(|it| size_of(it) <= size as u64)
            .cloned()
            .collect();
        let mut entries = thief.entries[..size].to_vec();
        entries.push(thief.entries[size + 1].clone());
        thief.reseal(&entries, &kept);
        let report = thief.place.verify();
        // Within its own epoch the stolen key can do what its owner could.
        assert_eq!(
            report.verdict == Verdict::Bad,
            size < last_epoch,
            "{size}: {:?}",
            report.checks
        );
    }
}

/// CVE-2023-31439: old entries sealed by a newer key.
#[test]
fn old_entries_sealed_by_a_newer_key_are_refused() {
    let thief = Thief::new();
    for size in 1..thief.entries.len() {
        let entries = &thief.entries[..size];
        thief.reseal(entries, &[]);
        assert_eq!(thief.place.verify().verdict, Verdict::Bad, "{size}");
    }
}

#[test]
fn a_cut_back_is_told_by_a_checkpoint_kept_elsewhere_and_by_nothing_else() {
    let place = Place::new();
    place.fill(10);
    let older = place.copy();
    place.fill(10);
    let newest: Note = place.reader().note().parse().unwrap();
    let mut options: VerifyOptions = place.options();
    let sound =
        |place: &Place, options: &VerifyOptions| verify(&place.audit(), options, &mut ()).unwrap();
    // From the inside, the older state is right.
    assert_eq!(sound(&older, &options).verdict, Verdict::Sound);
    options.witnessed.push(newest);
    assert_eq!(sound(&place, &options).verdict, Verdict::Sound);
    let report = sound(&older, &options);
    assert_eq!(report.verdict, Verdict::Bad);
    assert_eq!(report.problem().unwrap().0, Rule::Witness);
    // Nor does a fork that grew beyond it help.
    older.fill(30);
    let report = sound(&older, &options);
    assert_eq!(report.problem().unwrap().0, Rule::Witness);
    // A note that nobody of the journal signed shows nothing.
    let forged = NoteSigner::from_seed(ORIGIN, &[9; 32]).unwrap();
    let mut options = place.options();
    let text = options_text(&place);
    options.witnessed.push(forged.sign(&text).unwrap());
    assert_eq!(sound(&place, &options).verdict, Verdict::Bad);
}

fn options_text(place: &Place) -> String {
    place
        .reader()
        .note()
        .parse::<Note>()
        .unwrap()
        .text()
        .to_owned()
}

#[test]
fn pretending_that_entries_were_let_go_is_refused() {
    let place = Place::new();
    place.fill(600);
    let state = fs::read_to_string(place.file("state.json")).unwrap();
    let raised = state.replace("\"min_index\":0", "\"min_index\":256");
    assert_ne!(state, raised);
    fs::write(place.file("state.json"), &raised).unwrap();
    let report = place.verify();
    assert_eq!(report.verdict, Verdict::Bad);
    assert_eq!(report.problem().unwrap().1.index, Some(256));
    let archive = state.replace("}", ",\"archive\":true}");
    fs::write(place.file("state.json"), archive).unwrap();
    assert_eq!(place.verify().verdict, Verdict::Bad);
    assert!(matches!(place.open(settings()), Err(JournalError::Archive)));
}

#[test]
fn entries_that_no_checkpoint_covers_are_told() {
    let place = Place::new();
    place.fill(3);
    let journal: Journal = place.open(settings()).unwrap();
    append(&journal, 1);
    journal.append(record(1)).wait().unwrap();
    let live = place.copy();
    journal.close().unwrap();
    let report = live.verify();
    assert_eq!((report.verdict, report.tail), (Verdict::Bad, 2));
    assert_eq!(report.problem().unwrap().0, Rule::Growth);
    let mut options = live.options();
    options.allow_tail = true;
    let report = verify(&live.audit(), &options, &mut ()).unwrap();
    assert_eq!(report.verdict, Verdict::Sound);
}

#[test]
fn the_published_checkpoint_of_a_live_journal_is_one_that_was_signed() {
    let place = Place::new();
    place.fill(3);
    let older = fs::read_to_string(place.file("checkpoint")).unwrap();
    place.fill(3);
    let mut options = place.options();
    options.allow_tail = true;
    let verdict = || verify(&place.audit(), &options, &mut ()).unwrap().verdict;
    assert_eq!(verdict(), Verdict::Sound);
    // A crash between the two files leaves the one before.
    fs::write(place.file("checkpoint"), &older).unwrap();
    assert_eq!(verdict(), Verdict::Sound);
    let head = older.split('\n').nth(1).unwrap();
    for forged in [
        older.replacen(head, "7", 1),
        older.replacen("hub.example", "hub.exbmple", 2),
    ] {
        fs::write(place.file("checkpoint"), forged).unwrap();
        assert_eq!(verdict(), Verdict::Bad);
    }
}
