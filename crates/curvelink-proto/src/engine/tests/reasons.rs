//! Every error that an engine has, made by what a peer, the policy or a clock does; and the reason,
//! the stage and the side that its event names.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::engine::config::{EngineConfig, Limits};
use crate::engine::tests::case::{CLIENT, Case, Role, keys};
use crate::engine::tests::pair::{Pair, Side};
use crate::engine::tests::transcript::{Transcript, command, frame};
use crate::engine::tests::wire::Fault;
use crate::engine::tests::{rogue, vouch};
use crate::entropy::Entropy;
use crate::error::{EntropyError, MechanismError, ProtocolError};
use crate::event::{Reason, Side as Who, Stage};
use crate::rights::{Rights, RoutingIds, SocketTypes};
use crate::socket_type::SocketType;
use crate::zap::ZapReply;

/// A source of random octets that has none.
struct Dry;

impl Entropy for Dry {
    fn fill(&mut self, _octets: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

/// Tells a fresh server of this case some octets in place of its client's.
fn told(case: &Case, octets: &[u8]) -> Side {
    let now = Instant::now();
    let mut side = Transcript::record(case, Role::Server).listener(now);
    side.receive(octets, now);
    side
}

/// A server after the handshake, and then these octets.
fn told_when_up(case: &Case, limits: Limits, octets: &[u8]) -> Side {
    let server = EngineConfig {
        limits,
        ..case.config(Role::Server, SocketType::Dealer)
    };
    let mut pair = Pair::new(case.config(Role::Client, SocketType::Dealer), server);
    pair.drive();
    assert!(pair.is_up());
    pair.server.receive(octets, pair.now);
    pair.server
}

fn decided(verdict: ZapReply) -> Side {
    let mut pair = Case::curve().pair(SocketType::Dealer, SocketType::Dealer);
    pair.server.verdict = Some(verdict);
    pair.drive();
    pair.server
}

fn limited(limit: impl FnOnce(&mut Rights)) -> Side {
    let mut rights = Rights::all();
    limit(&mut rights);
    decided(ZapReply::admit("scanner", rights))
}

fn limited_id() -> Side {
    let mut client = Case::curve().config(Role::Client, SocketType::Dealer);
    client.routing_id = Bytes::from_static(b"worker");
    let server = Case::curve().config(Role::Server, SocketType::Dealer);
    let mut pair = Pair::new(client, server);
    let mut rights = Rights::all();
    rights.routing_ids = RoutingIds::none();
    pair.server.verdict = Some(ZapReply::admit("scanner", rights));
    pair.drive();
    pair.server
}

fn flipped(role: Role, at: usize) -> Side {
    let mut pair = Case::curve().pair(SocketType::Dealer, SocketType::Dealer);
    let (from, to) = match role {
        Role::Client => (&mut pair.client, Role::Server),
        Role::Server => (&mut pair.server, Role::Client),
    };
    from.out.faults.push((at, Fault::Flip(1)));
    pair.drive();
    match to {
        Role::Client => pair.client,
        Role::Server => pair.server,
    }
}

fn lost_frame() -> Side {
    let mut pair = Case::curve().up();
    let at = pair.client.out.record.len();
    pair.client.send(["a", "b"]);
    pair.client.out.faults.push((at, Fault::Drop(2 + 34)));
    pair.drive();
    pair.server
}

fn without_entropy() -> Side {
    let mut pair = Case::curve().pair(SocketType::Dealer, SocketType::Dealer);
    pair.server.engine.entropy = Box::new(Dry);
    pair.drive();
    pair.server
}

fn late() -> Side {
    let mut pair = Case::null().pair(SocketType::Dealer, SocketType::Dealer);
    pair.server.tick(pair.now + Duration::from_secs(2));
    pair.server
}

fn cut_off() -> Side {
    let mut side = Case::curve().up().server;
    side.close();
    side
}

fn mismatched() -> Side {
    let mut pair = Case::null().pair(SocketType::Push, SocketType::Pub);
    pair.drive();
    pair.server
}

fn closed() -> Side {
    let mut side = told(&Case::null(), b"\xff");
    side.close();
    side
}

/// Every error that an engine has, each made by what a peer, the policy or a clock does.
fn all_endings() -> Vec<(Side, Reason, Stage, Who)> {
    use Reason::*;
    use Stage::{Admission, Greeting, Handshake, Traffic};
    let (null, curve) = (Case::null(), Case::curve());
    let greeting = |case: &Case| Transcript::record(case, Role::Client).handshake[0].clone();
    let after_greeting =
        |case: &Case, octets: &[u8]| told(case, &[&greeting(case), octets].concat());
    let limits = Limits {
        frames: 1,
        ..Limits::default()
    };
    let two_frames = [frame(1, b"a"), frame(0, b"b")].concat();
    let hello = Transcript::record(&curve, Role::Server).handshake[1].clone();
    let other_server = {
        let mut octets = hello;
        octets[2 + 150] ^= 1;
        octets
    };
    let us = |side, reason, stage| (side, reason, stage, Who::Us);
    let peer = |side, reason, stage| (side, reason, stage, Who::Peer);
    vec![
        us(told(&null, b"GET / HTTP/1.1\r\n"), NotZmtp, Greeting),
        us(told(&null, b"\x01\0"), LegacyVersion, Greeting),
        us(told(&null, &greeting(&curve)), MechanismMismatch, Greeting),
        us(
            after_greeting(&curve, &other_server),
            WrongServerKey,
            Handshake,
        ),
        us(vouch::forged(), BadVouch, Handshake),
        us(vouch::weak(0), WeakKey, Handshake),
        us(after_greeting(&null, &[0x80]), Malformed, Handshake),
        us(
            after_greeting(&null, &command("X", b"")),
            Malformed,
            Handshake,
        ),
        us(
            after_greeting(&null, &command("READY", b"X")),
            Malformed,
            Handshake,
        ),
        us(flipped(Role::Server, 64 + 2 + 100), Malformed, Handshake),
        us(
            after_greeting(&null, b"\x06\0\0\0\0\0\x01\0\0\0"),
            TooLarge,
            Handshake,
        ),
        us(told_when_up(&null, limits, &two_frames), TooLarge, Traffic),
        us(lost_frame(), Nonce, Traffic),
        us(mismatched(), SocketType, Handshake),
        us(late(), Timeout, Greeting),
        us(cut_off(), Truncated, Traffic),
        us(decided(ZapReply::deny(UnknownKey)), UnknownKey, Admission),
        us(
            limited(|it| it.socket_types = SocketTypes::NONE),
            PatternDenied,
            Admission,
        ),
        us(limited_id(), RoutingIdDenied, Admission),
        us(decided(ZapReply::temporary()), Temporary, Admission),
        us(decided(ZapReply::failed()), HandlerError, Admission),
        us(rogue::not_admitted(), Internal, Handshake),
        us(without_entropy(), Internal, Handshake),
        peer(
            after_greeting(&null, &command("ERROR", b"\x03400")),
            Denied,
            Handshake,
        ),
        peer(
            after_greeting(&null, &command("ERROR", b"\x03300")),
            Temporary,
            Handshake,
        ),
        peer(
            after_greeting(&null, &command("ERROR", b"\x03500")),
            HandlerError,
            Handshake,
        ),
        peer(closed(), Closed, Greeting),
    ]
}

#[test]
fn t17_every_ending_says_who_when_and_why() {
    for (row, (side, reason, stage, by)) in all_endings().into_iter().enumerate() {
        let error = side.error.as_ref().unwrap_or_else(|| panic!("row {row}"));
        let refusal = side.engine.refusal(error);
        let told = (refusal.reason, refusal.stage, refusal.by);
        assert_eq!(told, (reason, stage, by), "row {row}: {error}");
        assert_eq!(error.reason(), reason);
        assert_eq!(side.engine.stage(), stage, "row {row}");
        assert!(side.engine.peer().is_none() && !side.engine.wants_input());
    }
}

/// What only the policy or the runtime can know. `tests/tests/reasons.rs` reaches every reason there
/// is over real sockets, these among them.
const ELSEWHERE: &[Reason] = &[
    Reason::UnknownUser,
    Reason::DomainDenied,
    Reason::MechanismDenied,
    Reason::AddressDenied,
    Reason::EndpointDenied,
    Reason::KeyExpired,
    Reason::Revoked,
    Reason::RightsNarrowed,
    Reason::SessionAge,
    Reason::PeerDropped,
    Reason::RateLimited,
    Reason::RoutingId,
    Reason::Exclusive,
    Reason::ClearText,
];

#[test]
fn t17_every_reason_is_reached_or_belongs_elsewhere() {
    let reached: HashSet<Reason> = all_endings().iter().map(|ending| ending.1).collect();
    for reason in Reason::ALL {
        let elsewhere = ELSEWHERE.contains(reason);
        assert_ne!(reached.contains(reason), elsewhere, "{reason}");
    }
}

#[test]
fn t17_a_refusal_after_the_proof_names_the_key_and_one_before_it_does_not() {
    let proven = decided(ZapReply::deny(Reason::UnknownKey));
    let refusal = proven.engine.refusal(proven.error.as_ref().unwrap());
    let key = keys(CLIENT).public();
    assert_eq!(refusal.fingerprint, Some(key.fingerprint()));
    let line = refusal.to_string();
    assert!(
        line.contains("unknown-key") && line.contains("SHA256:"),
        "{line}"
    );

    let forged = vouch::forged();
    let refusal = forged.engine.refusal(forged.error.as_ref().unwrap());
    assert_eq!(refusal.fingerprint, None, "a claim is no proof");
}

#[test]
fn every_failure_of_a_mechanism_has_a_reason() {
    use MechanismError as Error;
    for (error, reason) in [
        (Error::UnexpectedCommand, Reason::Malformed),
        (Error::Malformed("x"), Reason::Malformed),
        (Error::BadBox, Reason::Malformed),
        (Error::WrongServerKey, Reason::WrongServerKey),
        (Error::BadVouch, Reason::BadVouch),
        (Error::WeakKey, Reason::WeakKey),
        (Error::Nonce, Reason::Nonce),
        (Error::NonceExhausted, Reason::Nonce),
        (Error::Entropy, Reason::Internal),
        (Error::SelfTest, Reason::Internal),
    ] {
        assert_eq!(ProtocolError::from(error).reason(), reason);
    }
}

#[test]
fn codes_are_distinct_and_lower_case() {
    let codes: HashSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), Reason::ALL.len());
    let plain = |octet: u8| octet.is_ascii_lowercase() || octet == b'-';
    assert!(codes.iter().all(|code| code.bytes().all(plain)));
}
