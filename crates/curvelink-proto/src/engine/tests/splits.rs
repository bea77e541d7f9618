//! How octets are cut on the way changes nothing.

use std::time::Instant;

use crate::engine::tests::case::{Case, Role};
use crate::engine::tests::pair::Side;
use crate::engine::tests::transcript::Transcript;
use crate::engine::tests::wire::Cut;
use crate::zap::ZapReply;

/// What a side made of a transcript: all that happened, and all that it wrote.
fn outcome(mut side: Side) -> (Vec<String>, Vec<u8>) {
    assert_eq!(side.error, None);
    assert_eq!((side.messages.len(), side.subscriptions.len()), (3, 0));
    (side.log.clone(), side.sent())
}

#[test]
fn t10_every_split_of_handshake_and_traffic_has_one_outcome() {
    let now = Instant::now();
    for case in Case::all() {
        for role in Role::BOTH {
            let transcript = Transcript::record(&case, role);
            let octets = transcript.octets();
            assert!(octets.len() < 4096, "one read takes it whole");
            let split = |at: usize| {
                let mut side = transcript.listener(now);
                side.receive(&octets[..at], now);
                side.receive(&octets[at..], now);
                outcome(side)
            };
            let whole = split(0);
            assert!(!whole.1.is_empty());
            for at in 1..octets.len() {
                assert_eq!(split(at), whole, "{} {role:?} cut at {at}", case.name);
            }
            let mut side = transcript.listener(now);
            side.cut = Cut::Octets;
            side.receive(&octets, now);
            assert_eq!(outcome(side), whole, "{} {role:?} in octets", case.name);
        }
    }
}

#[test]
fn t10_a_late_verdict_finds_the_octets_that_came_before_it() {
    let now = Instant::now();
    for case in Case::asking() {
        let transcript = Transcript::record(&case, Role::Server);
        let octets = transcript.octets();
        let mut at_once = transcript.listener(now);
        at_once.receive(&octets, now);
        for cut in Cut::BOTH {
            let mut late = transcript.listener(now);
            late.cut = cut;
            let reply = late.verdict.take().unwrap();
            late.receive(&octets, now);
            assert_eq!((late.asked.len(), late.messages.len()), (1, 0));
            assert!(late.ready.is_none());
            late.decide(reply, now);
            assert_eq!(late.log, at_once.log, "{} {cut:?}", case.name);
        }
        let mut refused = transcript.listener(now);
        refused.verdict = Some(ZapReply::temporary());
        refused.receive(&octets, now);
        assert!(refused.messages.is_empty() && refused.ready.is_none());
    }
}

#[test]
fn a_transcript_ends_at_the_first_octet_that_is_missing() {
    let now = Instant::now();
    for case in Case::all() {
        let transcript = Transcript::record(&case, Role::Server);
        let handshake = transcript.handshake.concat();
        let mut side = transcript.listener(now);
        side.receive(&handshake[..handshake.len() - 1], now);
        assert!(side.ready.is_none(), "{}", case.name);
        side.receive(&handshake[handshake.len() - 1..], now);
        assert!(side.ready.is_some(), "{}", case.name);
    }
}
