//! Metadata on its own, and in the READY of a NULL peer.

use std::sync::{Arc, LazyLock};

use curvelink_proto::{EngineConfig, Metadata, Null, SocketType};

use super::side::{Side, config, still_works};
use crate::support::raw;

static CONFIGS: LazyLock<[Arc<EngineConfig>; 2]> = LazyLock::new(|| {
    [SocketType::Router, SocketType::Dealer].map(|kind| Arc::new(config(kind, Null::new())))
});

const RESERVED: [&str; 3] = ["User-Id", "Peer-Address", "__fd"];

pub(super) fn run(data: &[u8]) {
    let expected = read(data);
    let parsed = Metadata::parse(data);
    assert_eq!(parsed.is_ok(), expected.is_some());
    if let (Ok(parsed), Some(expected)) = (&parsed, &expected) {
        for (name, value) in expected {
            let Ok(name) = std::str::from_utf8(name) else {
                continue;
            };
            let reserved = RESERVED
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name));
            let kept = (!reserved).then_some(*value);
            assert_eq!(parsed.property(name).map(|value| &value[..]), kept);
            assert_eq!(
                parsed.property(&name.to_ascii_uppercase()),
                parsed.property(name)
            );
        }
    }

    let [router, dealer] = &*CONFIGS;
    let mut side = Side::new(router, 1);
    side.feed(&[raw::greeting("NULL"), raw::command("READY", data)].concat());
    let property = |name| {
        parsed
            .as_ref()
            .ok()
            .and_then(|metadata| metadata.property(name))
    };
    let kind = property("Socket-Type").map(|kind| &kind[..]);
    let talks = matches!(kind, Some(b"REQ" | b"DEALER" | b"ROUTER"));
    let id = property("Identity").map_or(&b""[..], |id| id);
    let named = id.len() <= 255 && id.first() != Some(&0);
    assert_eq!(side.seen.ready.is_some(), talks && named, "{:?}", side.seen);
    assert_eq!(side.seen.error.is_none(), talks && named);
    if let Some(peer) = side.seen.ready {
        assert_eq!((peer.name.as_deref(), peer.key), (None, None));
        assert_eq!(peer.routing_id, id);
    }
    still_works(router, dealer);
}

/// RFC 37, "Metadata", and the limits: up to 8 KiB, up to 32 names, none empty, none twice.
fn read(mut octets: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut properties: Vec<(&[u8], &[u8])> = Vec::new();
    if octets.len() > 8192 {
        return None;
    }
    while let Some((length, rest)) = octets.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let twice = properties
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name));
        if name.is_empty() || twice || properties.len() == 32 {
            return None;
        }
        properties.push((name, value));
        octets = rest;
    }
    Some(properties)
}
