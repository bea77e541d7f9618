//! Traffic in clear after a good handshake, held against a second reading of RFC 37.

use std::sync::{Arc, LazyLock};

use curvelink_proto::{EngineConfig, Null, SocketType};

use super::input::{Input, pieces};
use super::meaning::Meaning;
use super::side::{Side, config, limits, link, still_works};

/// Whose traffic, and of which peer.
const KINDS: [(SocketType, SocketType); 5] = [
    (SocketType::Pull, SocketType::Push),
    (SocketType::Pub, SocketType::Sub),
    (SocketType::Xpub, SocketType::Sub),
    (SocketType::Push, SocketType::Pull),
    (SocketType::Router, SocketType::Dealer),
];

static CONFIGS: LazyLock<Vec<[Arc<EngineConfig>; 2]>> = LazyLock::new(|| {
    let of = |kind| Arc::new(config(kind, Null::new()));
    KINDS
        .iter()
        .map(|(ours, theirs)| [of(*ours), of(*theirs)])
        .collect()
});

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let [config, peer] = &CONFIGS[input.below(KINDS.len())];
    let step = input.octet();
    let octets = input.rest();
    let ready = || {
        let mut side = Side::new(config, 1);
        link(&mut side, &mut Side::new(peer, 2));
        side
    };

    let mut whole = ready();
    whole.feed(octets);
    whole.output();
    let (meaning, broken) = read(octets, config.socket_type);
    meaning.assert_seen(&whole.seen);
    assert_eq!(whole.seen.error.is_some(), broken, "{:?}", whole.seen.error);

    let mut split = ready();
    for piece in pieces(octets, step) {
        split.feed(piece);
    }
    split.output();
    meaning.assert_seen(&split.seen);
    assert_eq!(split.seen.error, whole.seen.error);
    assert_eq!(split.written, whole.written);
    still_works(config, peer);
}

/// Reads frames as RFC 37 has them, within the limits: what they mean, and whether they end the
/// connection.
fn read(mut octets: &[u8], kind: SocketType) -> (Meaning, bool) {
    let mut meaning = Meaning::of(kind, false);
    while let Some((flags, rest)) = octets.split_first() {
        let (more, command) = (flags & 1 == 1, flags & 4 == 4);
        if flags & 0xf8 != 0 || (more && command) {
            return (meaning, true);
        }
        let length = match (flags & 2 == 2, rest) {
            (false, [length, ..]) => Some((u64::from(*length), 1)),
            (true, rest) => rest
                .first_chunk()
                .map(|length| (u64::from_be_bytes(*length), 8)),
            _ => None,
        };
        let Some((length, skip)) = length else {
            break;
        };
        if length > limits().message as u64 {
            return (meaning, true);
        }
        let Some(body) = rest.get(skip..skip + length as usize) else {
            break;
        };
        octets = &rest[skip + body.len()..];
        let understood = if command {
            meaning.command(body)
        } else {
            meaning.frame(body, more)
        };
        if understood.is_none() {
            return (meaning, true);
        }
    }
    (meaning, false)
}
