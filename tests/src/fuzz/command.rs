//! Commands, good and bad, in any order, to the mechanisms that work in clear.

use std::sync::{Arc, LazyLock};

use curvelink_proto::{Command, EngineConfig, Null, Plain, Reason, SocketType, ZapReply};

use super::input::{Input, pieces};
use super::side::{Side, config, still_works};
use crate::support::raw;

const METADATA: [(&str, &[u8]); 1] = [("Socket-Type", b"PAIR")];
const NAMES: [&str; 8] = [
    "READY",
    "HELLO",
    "INITIATE",
    "WELCOME",
    "ERROR",
    "PING",
    "SUBSCRIBE",
    "MESSAGE",
];

/// Who reads, a good peer of theirs, and whether a policy is asked.
type Ends = (Arc<EngineConfig>, Arc<EngineConfig>, bool);

static ENDS: LazyLock<[Ends; 4]> = LazyLock::new(|| {
    let kind = SocketType::Pair;
    let login = || Plain::client("user", "password").expect("short enough");
    let null = Arc::new(config(kind, Null::new()));
    let mut asking = config(kind, Null::new());
    asking.zap_domain = Arc::from("domain");
    let server = Arc::new(config(kind, Plain::server()));
    let client = Arc::new(config(kind, login()));
    [
        (null.clone(), null.clone(), false),
        (Arc::new(asking), null, true),
        (server.clone(), client.clone(), true),
        (client, server, false),
    ]
});

pub(super) fn run(data: &[u8]) {
    cut(data);
    let mut input = Input::new(data);
    let (config, peer, asks) = &ENDS[input.below(4)];
    let verdict = input.octet();
    let step = input.octet();
    let octets = conversation(&config.mechanism.name().to_string(), &mut input);

    let mut whole = Side::new(config, 1);
    let mut split = Side::new(config, 1);
    if verdict > 0 {
        whole = whole.with_verdict(refusal(verdict));
        split = split.with_verdict(refusal(verdict));
    }
    whole.feed(&octets);
    for piece in pieces(&octets, step) {
        split.feed(piece);
    }
    whole.output();
    split.output();
    for side in [&whole, &split] {
        side.check_admission(*asks);
    }
    assert_eq!(whole.seen.error, split.seen.error);
    assert_eq!(whole.seen.messages, split.seen.messages);
    assert_eq!(whole.written, split.written);
    still_works(config, peer);
}

/// Every way to say no, and silence.
fn refusal(verdict: u8) -> Option<ZapReply> {
    match verdict % 4 {
        0 => Some(ZapReply::deny(Reason::Denied)),
        1 => Some(ZapReply::temporary()),
        2 => Some(ZapReply::failed()),
        _ => None,
    }
}

/// A name and a body are a command's octets, and nothing but them.
fn cut(octets: &[u8]) {
    let Some(command) = Command::parse(octets) else {
        return;
    };
    let of_libzmq = octets.starts_with(b"\x5eRROR");
    if !of_libzmq {
        let name = [&[command.name.len() as u8][..], command.name].concat();
        assert_eq!([&name, command.body].concat(), octets);
    }
    assert!(!command.name.is_empty());
    let status = command.error_status();
    assert!(status.is_none_or(|status| status <= 999 && command.body.len() == 4));
}

fn conversation(mechanism: &str, input: &mut Input<'_>) -> Vec<u8> {
    let mut octets = raw::greeting(mechanism);
    while !input.is_empty() {
        octets.extend(match input.below(10) {
            0 => raw::command("READY", &raw::metadata(&METADATA)),
            1 => raw::command("HELLO", b"\x04user\x08password"),
            2 => raw::command("INITIATE", &raw::metadata(&METADATA)),
            3 => raw::command("WELCOME", b""),
            4 => raw::command(NAMES[input.below(NAMES.len())], input.chunk()),
            5 => raw::frame(4, input.chunk()),
            6 => raw::frame(4, b"\x5eRROR\x03400"),
            7 => raw::frame(input.octet(), input.chunk()),
            8 => raw::frame(0, input.chunk()),
            _ => input.chunk().to_vec(),
        });
    }
    octets
}
