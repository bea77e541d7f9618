//! Bad luck: a process killed under load, a full disk, a disk that may only be read, torn tails.

mod common;

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use curvelink_audit::{
    AppendError, Durability, Journal, JournalError, JournalSettings, Record, Verdict, verify,
};

use common::{Place, Small, append, record, settings};

/// Where the child of a test finds its journal; set for it alone.
const CHILD: &str = "CURVELINK_AUDIT_CHILD";

fn durable() -> JournalSettings {
    let mut settings = settings();
    settings.durability = Durability::Event;
    settings.seal_entries = 16;
    settings.epoch_entries = 100;
    settings
}

/// Not a test of its own: what [`nothing_acknowledged_is_lost_by_a_kill`] runs and kills.
#[test]
fn child_that_is_killed() {
    let Ok(folder) = std::env::var(CHILD) else {
        return;
    };
    let (audit, key) = common::paths(Path::new(&folder));
    let journal = Journal::open(&audit, &key, durable()).expect("opens after any kill");
    let mut out = std::io::stdout();
    for number in 0.. {
        let receipts: Vec<_> = (0..7).map(|_| journal.append(record(number))).collect();
        for receipt in receipts {
            let index = receipt.wait().expect("written");
            writeln!(out, "ack {index} {number}").expect("a reader");
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let full = std::env::var_os("CURVELINK_FULL").is_some();
    let (rounds, mut random) = (if full { 500 } else { 10 }, seed());
    let place = Place::new();
    let mut acknowledged = HashMap::new();
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed", "--nocapture"])
            .env(CHILD, place.folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let acks = 1 + (random >> 33) % 150;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // After so many acknowledgements, at whatever it is doing then.
        let mut seen = 0;
        while seen < acks {
            let line = lines.next().expect("the child runs").unwrap();
            seen += u64::from(note(&line, &mut acknowledged));
        }
        std::thread::sleep(Duration::from_micros((random >> 40) % 3000));
        child.kill().unwrap();
        for line in lines.map_while(Result::ok) {
            note(&line, &mut acknowledged);
        }
        child.wait().unwrap();
        if round % 10 == 9 {
            assert_kept(&place, &acknowledged);
        }
    }
    assert_kept(&place, &acknowledged);
    println!(
        "{rounds} kills, {} entries acknowledged",
        acknowledged.len()
    );
}

/// Takes note of an acknowledgement, if a line is one that is whole.
fn note(line: &str, acknowledged: &mut HashMap<u64, u64>) -> bool {
    let Some((_, ack)) = line.split_once("ack ") else {
        return false;
    };
    let Some((index, number)) = ack.split_once(' ') else {
        return false;
    };
    let (Ok(index), Ok(number)) = (index.parse(), number.parse()) else {
        return false;
    };
    assert_eq!(
        acknowledged.insert(index, number),
        None,
        "one index, one entry"
    );
    true
}

fn assert_kept(place: &Place, acknowledged: &HashMap<u64, u64>) {
    place.open(durable()).unwrap().close().unwrap();
    let report = place.verify();
    assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.checks);
    let reader = place.reader();
    let mut found = 0;
    for entry in reader.entries(0..u64::MAX) {
        let entry = entry.unwrap();
        let Some(number) = acknowledged.get(&entry.index) else {
            continue;
        };
        let read = Record::from_json(&entry.octets).unwrap();
        let topic = format!("topic {number}");
        assert_eq!(read.field("topic").unwrap().as_text(), Some(&topic[..]));
        found += 1;
    }
    assert_eq!(found, acknowledged.len());
}

fn seed() -> u64 {
    let seed = std::env::var("CURVELINK_SEED")
        .ok()
        .and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("CURVELINK_SEED={seed}");
    seed
}

/// A journal with entries that are not sealed, as a crash leaves it.
fn crashed() -> Place {
    let place = Place::new();
    let mut settings = settings();
    settings.seal_after = Duration::from_secs(3600);
    settings.durability = Durability::Event;
    let journal = place.open(settings).unwrap();
    for number in 0..3 {
        // Each a group of its own.
        journal.append(record(number)).wait().unwrap();
    }
    let crashed = place.copy();
    drop(journal);
    crashed
}

#[test]
fn a_torn_tail_is_put_aside_and_recorded() {
    let crashed = crashed();
    let wal = fs::read(crashed.file("wal")).unwrap();
    let size = crashed.reader().range().end;
    for (torn, kept) in [
        ([&wal[..], b"half a record"].concat(), 3),
        (wal[..wal.len() - 1].to_vec(), 2),
        ([&wal[..], &[0; 100]].concat(), 3),
    ] {
        let place = crashed.copy();
        fs::write(place.file("wal"), &torn).unwrap();
        place.fill(1);
        assert_eq!(place.verify().verdict, Verdict::Sound);
        let files = place.files();
        let aside = files.iter().find(|name| name.starts_with("torn-")).unwrap();
        let aside = fs::read(place.file(aside)).unwrap();
        assert!(!aside.is_empty() && torn.ends_with(&aside));
        let entries: Vec<_> = place
            .reader()
            .entries(size..u64::MAX)
            .map(Result::unwrap)
            .collect();
        let told = Record::from_json(&entries[kept].octets).unwrap();
        let field = |name| told.field(name).unwrap();
        assert_eq!(field("action").as_text(), Some("recovered"));
        assert_eq!(field("octets").as_number(), Some(aside.len() as u64));
        assert_eq!(field("index").as_number(), Some(size + kept as u64));
    }
}

#[test]
fn damage_in_what_had_reached_the_disk_is_no_torn_tail() {
    let crashed = crashed();
    let wal = fs::read(crashed.file("wal")).unwrap();
    let size = crashed.reader().range().end;
    let each = wal.len() / 3;
    for at in (0..2 * each).step_by(7) {
        let place = crashed.copy();
        let mut flipped = wal.clone();
        flipped[at] ^= 0x10;
        fs::write(place.file("wal"), &flipped).unwrap();
        let JournalError::Damaged(damage) = place.open(settings()).unwrap_err() else {
            panic!("{at}");
        };
        assert_eq!(damage.index, Some(size + (at / each) as u64), "{at}");
        assert_eq!(
            fs::read(place.file("wal")).unwrap(),
            flipped,
            "nothing is repaired"
        );
    }
}

#[test]
fn every_interruption_of_a_change_of_keys_is_gone_on_with() {
    let place = Place::new();
    place.fill(3);
    let before = place.copy();
    place.fill(3);
    // The key that was destroyed is not there; every file of the new state may be missing.
    for missing in ["keys/epoch-000002.vkey", "keys/epoch-000002.tlog-proof"] {
        let copy = place.copy();
        fs::remove_file(copy.file(missing)).unwrap();
        assert!(copy.verify().verdict != Verdict::Sound || copy.open(settings()).is_err());
    }
    // The next key was written, its entry was not.
    let key = before.key();
    let next = key.with_file_name("epoch.key.next");
    fs::copy(place.key(), &next).unwrap();
    before.fill(1);
    assert!(!next.exists());
    assert_eq!(before.verify().verdict, Verdict::Sound);
    // Everything was done but the last: the old key is gone, the new one has its other name.
    fs::rename(&key, &next).unwrap();
    before.fill(1);
    assert_eq!(before.verify().verdict, Verdict::Sound);
    // Destroyed and not removed.
    fs::rename(&key, &next).unwrap();
    fs::write(&key, [0; 100]).unwrap();
    before.fill(1);
    assert_eq!(before.verify().verdict, Verdict::Sound);
    fs::remove_file(&key).unwrap();
    assert!(
        before.open(settings()).is_err(),
        "without a key nothing is signed"
    );
}

#[test]
fn more_than_may_wait_is_counted_and_the_count_is_written_first() {
    let place = Place::new();
    let mut settings = settings();
    settings.queue = 1;
    let journal = place.open(settings).unwrap();
    let receipts: Vec<_> = (0..10_000).map(|it| journal.append(record(it))).collect();
    let outcomes: Vec<_> = receipts.into_iter().map(|it| it.wait()).collect();
    let lost = outcomes
        .iter()
        .filter(|it| **it == Err(AppendError::Busy))
        .count() as u64;
    assert!(lost > 0);
    append(&journal, 1);
    assert_eq!(journal.status().lost, lost);
    journal.close().unwrap();
    let report = place.verify();
    assert_eq!((report.verdict, report.lost), (Verdict::Sound, lost));
}

#[test]
fn a_full_disk_loses_nothing_acknowledged_and_the_rest_is_counted() {
    let Some(small) = Small::new("size=512k") else {
        return;
    };
    let (audit, _) = common::paths(small.path());
    let outside = tempfile::tempdir().unwrap();
    let key = outside.path().join("epoch.key");
    let anchor = Journal::create(&audit, &key, common::ORIGIN, durable()).unwrap();
    let journal = Journal::open(&audit, &key, durable()).unwrap();
    let mut written = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    let refused = loop {
        assert!(Instant::now() < deadline, "the disk is never full");
        match journal.append(record(written.len() as u64)).wait() {
            Ok(index) => written.push(index),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::NotWritten(_)), "{refused}");
    assert!(journal.status().problem.is_some());
    // Room again: it goes on, and says first what was lost.
    small.remount("remount,size=8m");
    let deadline = Instant::now() + Duration::from_secs(60);
    while journal.append(record(0)).wait().is_err() {
        assert!(Instant::now() < deadline, "it does not go on");
    }
    let lost = journal.status().lost;
    journal.close().unwrap();
    let options = curvelink_audit::VerifyOptions::new(anchor.parse().unwrap());
    let report = verify(&audit, &options, &mut ()).unwrap();
    assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.checks);
    assert_eq!(report.lost, lost);
    assert!(report.size > *written.last().unwrap());
}

#[test]
fn on_a_disk_that_may_only_be_read_nothing_is_opened_and_all_is_verified() {
    let Some(small) = Small::new("size=4m") else {
        return;
    };
    let (audit, _) = common::paths(small.path());
    let outside = tempfile::tempdir().unwrap();
    let key = outside.path().join("epoch.key");
    let anchor = Journal::create(&audit, &key, common::ORIGIN, settings()).unwrap();
    let journal = Journal::open(&audit, &key, settings()).unwrap();
    append(&journal, 300);
    journal.close().unwrap();
    small.remount("remount,ro");
    let refused = Journal::open(&audit, &key, settings()).unwrap_err();
    assert!(matches!(refused, JournalError::Io { .. }), "{refused}");
    let options = curvelink_audit::VerifyOptions::new(anchor.parse().unwrap());
    let report = verify(&audit, &options, &mut ()).unwrap();
    assert_eq!(report.verdict, Verdict::Sound);
}

#[test]
fn a_lock_that_a_dead_process_left_is_nobodys() {
    let place = Place::new();
    let mut lock = OpenOptions::new()
        .append(true)
        .open(place.file("lock"))
        .unwrap();
    lock.write_all(b"4711\n").unwrap();
    place.fill(1);
}
