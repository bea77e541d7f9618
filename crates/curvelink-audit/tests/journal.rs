//! A journal in its ordinary course: written, closed, opened, verified, proven, pruned.

mod common;

use std::fs;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use curvelink_audit::{
    AppendError, Durability, Journal, JournalError, KeyProblem, Outcome, Record, Rule, Verdict,
    verify,
};
use curvelink_proto::{EventId, SecurityEvent};
use curvelink_tlog::leaf_hash;

use common::{ORIGIN, Place, TestClock, append, record, settings};

#[test]
fn what_is_appended_is_there_in_order_and_verified() {
    let place = Place::new();
    let journal = place.open(settings()).unwrap();
    let first = journal.append(record(0)).wait().unwrap();
    append(&journal, 700);
    journal.close().unwrap();

    let report = place.verify();
    assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.checks);
    assert_eq!((report.epochs, report.tail, report.lost), (2, 0, 0));
    let reader = place.reader();
    assert_eq!(reader.range(), 0..first + 701);
    let entries = reader.entries(first + 1..u64::MAX);
    for (number, entry) in entries.enumerate() {
        let entry = entry.unwrap();
        let read = Record::from_json(&entry.octets).unwrap();
        let topic = format!("topic {number}");
        assert_eq!(read.field("topic").unwrap().as_text(), Some(&topic[..]));
        assert_eq!(read.origin().host(), "hub.example");
    }
}

#[test]
fn each_run_goes_on_where_the_last_ended_with_a_key_of_its_own() {
    let place = Place::new();
    for _ in 0..4 {
        place.fill(100);
    }
    let report = place.verify();
    assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.checks);
    assert_eq!((report.epochs, report.size), (5, 1 + 4 * 101));
    let keys = fs::read_dir(place.folder.path()).unwrap().count();
    assert_eq!(keys, 2, "the journal and one key");
}

#[test]
fn whoever_waits_for_checkpoints_is_told_the_newest_and_of_the_end() {
    let place = Place::new();
    let mut settings = settings();
    // Sealed here, and at no other time.
    settings.seal_after = Duration::from_secs(3600);
    settings.heartbeat = Duration::from_secs(3600);
    let journal = place.open(settings).unwrap();
    let (mut early, mut late) = (journal.checkpoints(), journal.checkpoints());
    let first = wait(early.next()).unwrap();
    assert_eq!(first, journal.status().checkpoint);
    assert!(poll(pin!(early.next())).is_pending(), "there is no newer");
    let told = thread::spawn(move || (wait(early.next()), early));
    append(&journal, 1);
    journal.seal().unwrap();
    let (second, mut early) = told.join().unwrap();
    let newest = place.reader().note().to_owned();
    assert_eq!(second.unwrap(), newest);
    assert_ne!(first, newest);
    assert_eq!(wait(late.next()).unwrap(), newest, "and none between");

    append(&journal, 1);
    let told = thread::spawn(move || (wait(early.next()), wait(early.next())));
    journal.close().unwrap();
    let (last, end) = told.join().unwrap();
    assert_eq!(last.as_deref(), Some(place.reader().note()));
    assert_eq!(end, None);
    assert_eq!(wait(late.next()), last);
    assert_eq!(wait(late.next()), None);
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits on this thread until woken.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, mut cx) = (pin!(future), Context::from_waker(&waker));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn what_a_journal_writes_about_itself_can_be_told_as_it_is_written() {
    let place = Place::new();
    let mut settings = settings();
    settings.epoch_entries = 2;
    let journal = place.open(settings).unwrap();
    let first = journal.take_notices();
    assert_eq!(first.len(), 1, "the key of this run");
    assert!(journal.take_notices().is_empty(), "each once");
    for _ in 0..200 {
        append(&journal, 1);
        journal.seal().unwrap();
    }
    let newest = journal.take_notices();
    assert_eq!(newest.len(), 64);
    journal.close().unwrap();
    let reader = place.reader();
    let entries = reader.entries(0..u64::MAX).map(|entry| entry.unwrap());
    let written: Vec<Vec<u8>> = entries.map(|entry| entry.octets.to_vec()).collect();
    let written: Vec<&[u8]> = written.iter().map(|entry| &entry[..]).collect();
    let position = |record: &Record| {
        let json = record.to_json().unwrap();
        written.iter().position(|entry| *entry == json.as_bytes())
    };
    assert!(first.iter().all(|record| position(record) == Some(1)));
    let positions: Vec<_> = newest
        .iter()
        .map(|record| position(record).unwrap())
        .collect();
    assert!(positions.is_sorted());
    assert!(positions[63] + 3 > written.len(), "of many the newest");
}

#[test]
fn another_anchor_verifies_nothing() {
    let (place, other) = (Place::new(), Place::new());
    place.fill(3);
    let report = verify(&place.audit(), &other.options(), &mut ()).unwrap();
    assert_eq!(report.verdict, Verdict::Bad);
    assert_eq!(report.problem().unwrap().0, Rule::Chain);
}

#[test]
fn one_writer_has_the_journal() {
    let place = Place::new();
    let journal = place.open(settings()).unwrap();
    assert!(matches!(place.open(settings()), Err(JournalError::InUse)));
    journal.close().unwrap();
    place.open(settings()).unwrap();
}

#[test]
fn a_journal_is_made_once_and_its_key_stands_outside() {
    let place = Place::new();
    let again = |key| Journal::create(&place.audit(), key, ORIGIN, settings());
    assert!(matches!(again(&place.key()), Err(JournalError::NotEmpty)));
    let inside = Journal::open(&place.audit(), &place.file("epoch.key"), settings());
    let error = inside.unwrap_err();
    assert!(
        matches!(error, JournalError::Key(KeyProblem::Inside)),
        "{error}"
    );
    let other = Place::new();
    let foreign = Journal::open(&place.audit(), &other.key(), settings());
    let error = foreign.unwrap_err();
    assert!(
        matches!(error, JournalError::Key(KeyProblem::Other)),
        "{error}"
    );
    let folder = place.folder.path().join("empty");
    let missing = Journal::open(&folder, &place.key(), settings());
    assert!(matches!(missing, Err(JournalError::Missing)));
    let origin = Journal::create(
        &folder,
        &folder.with_extension("key"),
        "two words",
        settings(),
    );
    assert!(matches!(origin, Err(JournalError::Origin)));
}

#[test]
fn only_the_journal_writes_of_itself() {
    let place = Place::new();
    let journal = place.open(settings()).unwrap();
    let mut event = SecurityEvent::new(EventId::Journal, UNIX_EPOCH);
    event.action = Some("epoch");
    let refused = journal.append(Record::from(&event)).wait();
    assert_eq!(refused, Err(AppendError::Reserved));
}

#[test]
fn a_record_that_is_too_long_is_kept_as_its_digest() {
    let place = Place::new();
    let journal = place.open(settings()).unwrap();
    let mut event = SecurityEvent::new(EventId::NotSaved, UNIX_EPOCH);
    event.detail("error", "x".repeat(70_000));
    let index = journal.append(Record::from(&event)).wait().unwrap();
    journal.close().unwrap();
    let entry = place
        .reader()
        .entries(index..index + 1)
        .next()
        .unwrap()
        .unwrap();
    let read = Record::from_json(&entry.octets).unwrap();
    assert!(read.field("record_digest").is_some());
    assert_eq!(place.verify().verdict, Verdict::Sound);
}

#[test]
fn each_entry_is_proven_by_a_text_that_stands_alone() {
    let place = Place::new();
    place.fill(600);
    let reader = place.reader();
    let size = reader.range().end;
    let epoch = fs::read_to_string(place.file("keys/epoch-000001.vkey")).unwrap();
    let key = epoch.trim_end().parse().unwrap();
    for index in [0, 1, 255, 256, 511, size - 1] {
        let entry = reader.entries(index..index + 1).next().unwrap().unwrap();
        let proof = reader.prove(index).unwrap().to_string();
        let proof: curvelink_tlog::TlogProof = proof.parse().unwrap();
        let leaf = leaf_hash(&entry.octets);
        assert_eq!(proof.verify(leaf, &key, ORIGIN).unwrap().head.size, size);
        assert!(proof.verify(leaf_hash(b"another"), &key, ORIGIN).is_err());
    }
    assert!(matches!(reader.prove(size), Err(JournalError::Range)));
}

#[test]
fn of_two_checkpoints_the_newer_goes_on_from_the_older_or_it_is_told() {
    let place = Place::new();
    place.fill(10);
    let old = place.reader().note().to_owned();
    let fork = place.copy();
    place.fill(300);
    fork.fill(301);
    let reader = place.reader();
    let diff = reader.diff(&old, reader.note()).unwrap();
    assert!(diff.old.head.size < diff.new.head.size && !diff.proof.is_empty());
    assert!(matches!(
        reader.diff(reader.note(), &old),
        Err(JournalError::Range)
    ));
    let forked = fork.reader();
    let error = forked.diff(reader.note(), forked.note()).unwrap_err();
    assert!(matches!(error, JournalError::Inconsistent), "{error}");
}

#[test]
fn what_is_kept_is_proven_after_what_was_before_it_is_gone() {
    let place = Place::new();
    (0..3).for_each(|_| place.fill(400));
    let before = place.reader().note().to_owned();
    let journal = place.open(settings()).unwrap();
    for refused in [255, 257, 1 << 40] {
        assert!(matches!(
            journal.prune(refused, &mut ()),
            Err(JournalError::PruneAt)
        ));
    }
    // Interrupted once, and then gone on with.
    let mut steps = 0;
    let stopped = journal.prune(768, &mut |_: u64, _: u64| {
        steps += 1;
        steps < 2
    });
    assert!(matches!(stopped, Err(JournalError::Io { .. })));
    assert_eq!(place_with_tail(&place), Verdict::Sound);
    journal.prune(768, &mut ()).unwrap();
    assert!(matches!(
        journal.prune(512, &mut ()),
        Err(JournalError::PruneAt)
    ));
    journal.close().unwrap();

    assert!(!place.file("tile/entries/002").exists() && place.file("tile/entries/003").exists());
    let report = place.verify();
    assert_eq!(report.verdict, Verdict::Sound, "{:?}", report.checks);
    assert_eq!(report.first, 768);
    assert!(report.old_checkpoints > 0);
    let reader = place.reader();
    assert!(matches!(reader.prove(767), Err(JournalError::Range)));
    reader.prove(768).unwrap();
    reader.diff(&before, reader.note()).unwrap();
    place.fill(10);
    assert_eq!(place.verify().verdict, Verdict::Sound);
}

fn place_with_tail(place: &Place) -> Verdict {
    let mut options = place.options();
    options.allow_tail = true;
    let report = verify(&place.audit(), &options, &mut ()).unwrap();
    assert!(report.problem().is_none(), "{:?}", report.checks);
    report.verdict
}

#[test]
fn a_clock_that_jumps_hastens_and_delays_nothing() {
    let place = Place::new();
    let day = Duration::from_secs(86_400);
    let clock = TestClock::at(day * 20_000);
    let journal = place.open_at(settings(), &clock);
    let signed = |journal: &Journal| journal.status().checkpoint;
    let before = signed(&journal);
    for wall in [day * 30_000, day * 10, Duration::ZERO, day * 20_000] {
        clock.jump(wall);
        journal.append(record(1)).wait().unwrap();
        assert_eq!(signed(&journal), before, "nothing is due by a jump");
    }
    assert_eq!(journal.status().epoch, 1);
    clock.pass(Duration::from_secs(2));
    while signed(&journal) == before {
        journal.append(record(2)).wait().unwrap();
    }
    journal.close().unwrap();
    assert_eq!(place.verify().verdict, Verdict::Sound);
}

#[test]
fn an_epoch_ends_by_time_and_by_entries_and_an_idle_one_too() {
    let place = Place::new();
    let clock = TestClock::at(Duration::from_secs(4_000_000_000));
    let mut settings = settings();
    settings.epoch_entries = 50;
    settings.durability = Durability::Os;
    let journal = place.open_at(settings, &clock);
    assert_eq!(journal.status().epoch, 1);
    append(&journal, 60);
    journal.seal().unwrap();
    append(&journal, 1);
    assert_eq!(journal.status().epoch, 2);
    clock.pass(Duration::from_secs(3601));
    journal.seal().unwrap();
    journal.seal().unwrap();
    assert_eq!(journal.status().epoch, 3);
    journal.close().unwrap();
    assert_eq!(place.verify().epochs, 4);
}

#[test]
fn a_verification_can_be_interrupted() {
    let place = Place::new();
    place.fill(10);
    let stopped = verify(&place.audit(), &place.options(), &mut |_: u64, _: u64| {
        false
    });
    let error = stopped.unwrap_err();
    assert!(
        matches!(&error, JournalError::Io { error, .. } if error.kind() == std::io::ErrorKind::Interrupted),
        "{error}"
    );
}

#[test]
fn a_clock_that_went_back_and_a_silence_are_told_and_no_more() {
    let hour = Duration::from_secs(3600);
    for (after, told) in [
        (hour, None),
        (hour + Duration::from_secs(120), None),
        (
            hour + Duration::from_secs(121),
            Some("no checkpoint for 121 s"),
        ),
        (
            hour - Duration::from_secs(5),
            Some("the clock went back 5 s"),
        ),
    ] {
        let place = Place::new();
        // Later than the machine's, by which the journal was made.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let clock = TestClock::at(now);
        let journal = place.open_at(settings(), &clock);
        // Signs once a minute, as it does when nothing happens.
        for minute in 1..=60 {
            clock.jump(now + hour * minute / 60);
            journal.seal().unwrap();
        }
        clock.jump(now + after);
        journal.seal().unwrap();
        journal.close().unwrap();
        let report = place.verify();
        assert_eq!(report.verdict, Verdict::Sound);
        let mut checks = report.checks.iter();
        let outcome = &checks
            .find(|it| it.rule == Rule::Heartbeat)
            .unwrap()
            .outcome;
        match (outcome, told) {
            (Outcome::Warning(text), Some(told)) => assert!(text.starts_with(told), "{text}"),
            (outcome, told) => assert_eq!((outcome, told), (&Outcome::Holds, None)),
        }
    }
}
