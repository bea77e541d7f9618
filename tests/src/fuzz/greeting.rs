//! The first 64 octets, to each mechanism.

use std::sync::{Arc, LazyLock};

use curvelink_proto::{EngineConfig, Null, Plain, SocketType};

use super::input::{Input, pieces};
use super::side::{Side, config, curve_client, curve_server, still_works};
use crate::support::raw;

/// Who is greeted, and a good peer of theirs.
type Ends = (Arc<EngineConfig>, Arc<EngineConfig>);

static ENDS: LazyLock<[Ends; 4]> = LazyLock::new(|| {
    let kind = SocketType::Pair;
    let plain = Plain::client("user", "password").expect("short enough");
    let null = Arc::new(config(kind, Null::new()));
    let plain_server = Arc::new(config(kind, Plain::server()));
    let plain_client = Arc::new(config(kind, plain));
    let curve_server = Arc::new(config(kind, curve_server()));
    let curve_client = Arc::new(config(kind, curve_client()));
    [
        (null.clone(), null),
        (plain_server, plain_client),
        (curve_server.clone(), curve_client.clone()),
        (curve_client, curve_server),
    ]
});

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (config, peer) = &ENDS[input.below(4)];
    let step = input.octet();
    let octets = match input.below(2) {
        0 => edited(&config.mechanism.name().to_string(), &mut input),
        _ => input.take(64).to_vec(),
    };

    let mut whole = Side::new(config, 1);
    whole.feed(&octets);
    whole.output();
    let accepted = acceptable(&octets, config.mechanism.name().as_octets());
    assert_eq!(whole.seen.error.is_none(), accepted, "{octets:?}");
    assert!(whole.seen.ready.is_none() && whole.seen.asked.is_empty());

    let mut split = Side::new(config, 1);
    for piece in pieces(&octets, step) {
        split.feed(piece);
    }
    split.output();
    assert_eq!(split.seen.error, whole.seen.error);
    assert_eq!(split.written, whole.written);
    still_works(config, peer);
}

/// A good greeting, cut and changed in some octets.
fn edited(mechanism: &str, input: &mut Input<'_>) -> Vec<u8> {
    let mut octets = raw::greeting(mechanism);
    octets.truncate(64 - input.below(65));
    while !input.is_empty() && !octets.is_empty() {
        let at = input.below(octets.len());
        octets[at] = input.octet();
    }
    octets
}

/// RFC 37, "Greeting", of as much as has come.
fn acceptable(octets: &[u8], mechanism: &[u8; 20]) -> bool {
    let is = |at: usize, good: fn(u8) -> bool| octets.get(at).is_none_or(|octet| good(*octet));
    // The length of a short frame of ZMTP 1.0 is not yet a stranger's.
    let perhaps_legacy = octets.len() == 1 && (1..0x20).contains(&octets[0]);
    let named = octets.iter().skip(12).zip(mechanism).all(|(a, b)| a == b);
    perhaps_legacy
        || (is(0, |octet| octet == 0xff)
            && is(9, |octet| octet == 0x7f)
            && is(10, |octet| octet >= 3)
            && named)
}
