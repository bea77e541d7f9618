//! Admissions that wait for the journal.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use curvelink_audit::{Audited, Durability, Journal, OnFailure, Record, Verdict, verify};
use curvelink_proto::{
    BoxFuture, Credentials, MechanismName, PeerAddress, Reason, Rights, ZapHandler, ZapReply,
    ZapRequest, ZapStatus,
};

use common::{Place, Small, record, settings};

/// Admits everybody, or nobody.
#[derive(Debug)]
struct Fixed(bool);

impl ZapHandler for Fixed {
    fn authenticate<'a>(&'a self, _: &'a ZapRequest) -> BoxFuture<'a, ZapReply> {
        let reply = if self.0 {
            ZapReply::admit("ci", Rights::all())
        } else {
            ZapReply::deny(Reason::UnknownKey)
        };
        Box::pin(std::future::ready(reply))
    }

    fn admits_address(&self, domain: &str, _: &PeerAddress) -> bool {
        domain == "open"
    }

    fn changed(&self, seen: u64) -> BoxFuture<'_, u64> {
        Box::pin(std::future::ready(seen + 1))
    }

    fn review(&self, _: &ZapRequest, user_id: &str) -> Option<ZapReply> {
        Some(ZapReply::admit(user_id, Rights::all()))
    }
}

fn request() -> ZapRequest {
    ZapRequest::new(
        "open",
        PeerAddress::Inproc,
        MechanismName::NULL,
        Credentials::Null,
    )
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let (mut future, mut cx) = (pin!(future), Context::from_waker(Waker::noop()));
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

#[test]
fn an_admission_is_in_the_journal_before_it_takes_effect() {
    let place = Place::new();
    let journal = Arc::new(place.open(settings()).unwrap());
    let before = journal.status().size;
    let audited = Audited::new(Fixed(true), Arc::clone(&journal));
    let reply = wait(audited.authenticate(&request()));
    assert_eq!(reply.status, ZapStatus::Admitted);
    assert_eq!(journal.status().size, before + 1, "before the answer");
    journal.seal().unwrap();
    let reader = place.reader();
    let mut entries = reader.entries(before..before + 1);
    let read = Record::from_json(&entries.next().unwrap().unwrap().octets).unwrap();
    assert_eq!(read.id(), "CL1010");
    assert_eq!(read.field("status").unwrap().as_number(), Some(200));
    assert_eq!(read.field("identity").unwrap().as_text(), Some("ci"));

    // Everything else is the handler's.
    assert!(audited.admits_address("open", &PeerAddress::Inproc));
    assert!(!audited.admits_address("shut", &PeerAddress::Inproc));
    assert_eq!(wait(audited.changed(7)), 8);
    assert_eq!(&*audited.review(&request(), "me").unwrap().user_id, "me");
}

#[test]
fn who_is_refused_cannot_make_the_journal_longer() {
    let place = Place::new();
    let journal = Arc::new(place.open(settings()).unwrap());
    journal.append(record(1)).wait().unwrap();
    let before = journal.status().size;
    let audited = Audited::new(Fixed(false), Arc::clone(&journal));
    for _ in 0..1000 {
        let reply = wait(audited.authenticate(&request()));
        assert_eq!(reply.status, ZapStatus::Denied);
    }
    journal.append(record(2)).wait().unwrap();
    assert_eq!(journal.status().size, before + 1);
}

#[test]
fn an_admission_that_cannot_be_recorded_is_refused_unless_told_otherwise() {
    for (on_failure, admits, status) in [
        (OnFailure::Refuse, true, ZapStatus::Temporary),
        (OnFailure::Refuse, false, ZapStatus::Denied),
        (OnFailure::Continue, true, ZapStatus::Admitted),
        (OnFailure::Continue, false, ZapStatus::Denied),
    ] {
        let place = Place::new();
        let mut settings = settings();
        settings.on_failure = on_failure;
        // Nothing may wait: nothing is written.
        settings.queue = 0;
        let journal = Arc::new(place.open(settings).unwrap());
        let audited = Audited::new(Fixed(admits), Arc::clone(&journal));
        assert_eq!(wait(audited.authenticate(&request())).status, status);
        assert_eq!(journal.status().lost, u64::from(admits));
    }
}

#[test]
fn while_the_disk_is_full_nobody_is_let_in_unless_told_otherwise() {
    for (on_failure, status) in [
        (OnFailure::Refuse, ZapStatus::Temporary),
        (OnFailure::Continue, ZapStatus::Admitted),
    ] {
        let Some(small) = Small::new("size=256k") else {
            return;
        };
        let (audit, _) = common::paths(small.path());
        let outside = tempfile::tempdir().unwrap();
        let key = outside.path().join("epoch.key");
        let mut ours = settings();
        ours.durability = Durability::Event;
        ours.on_failure = on_failure;
        let anchor = Journal::create(&audit, &key, common::ORIGIN, ours.clone()).unwrap();
        let journal = Arc::new(Journal::open(&audit, &key, ours).unwrap());
        let audited = Audited::new(Fixed(true), Arc::clone(&journal));
        let answer = || wait(audited.authenticate(&request())).status;
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(answer(), ZapStatus::Admitted);
        while answer() != status || journal.status().lost == 0 {
            assert!(Instant::now() < deadline, "the disk is never full");
        }
        small.remount("remount,size=8m");
        // Room again: everybody is recorded as before, and first how many were not.
        while journal.append(record(0)).wait().is_err() {
            assert!(Instant::now() < deadline, "it does not go on");
        }
        assert_eq!(answer(), ZapStatus::Admitted);
        let lost = journal.status().lost;
        drop(audited);
        Arc::into_inner(journal).unwrap().close().unwrap();
        let options = curvelink_audit::VerifyOptions::new(anchor.parse().unwrap());
        let report = verify(&audit, &options, &mut ()).unwrap();
        assert_eq!((report.verdict, report.lost), (Verdict::Sound, lost));
    }
}
