//! Records to render: each event of the catalogue with every field that it can have, each with
//! what an attacker would write into them, and each with none.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use curvelink_audit::{Origin, Record};
use curvelink_proto::{EventId, MechanismName, PeerAddress, PublicKey, SecurityEvent, Side, Stage};

/// What ends lines, fields and elements of some format, drives terminals or turns text around.
pub(crate) const HOSTILE: &[&str] = &[
    "a\" ]b\\",
    "x\r\n<86>1 - evil - - - - forged",
    "a|b|c\\|d",
    "x src=192.0.2.66 act=allowed\\=1",
    "\u{1b}]0;owned\u{7}\u{9b}2J",
    "[curvelink@32473 name=\"forged\"] ",
    "\",\"class_uid\":1,\"x\":\"",
    "a\nMESSAGE_ID=00000000000000000000000000000000\nPRIORITY=0",
    "tail\\",
    "\u{202e}txt\u{2028}\u{2066}\u{0}\u{7f} \u{e9}\u{1f600}",
    " lead and trail ",
    "",
];

/// All of them, in the order of the ids.
pub(crate) fn records() -> Vec<Record> {
    let ordinary = EventId::ALL.iter().flat_map(|id| {
        let actions = actions(*id).iter();
        actions.map(|action| full(*id, action))
    });
    let hostile = EventId::ALL.iter().zip(HOSTILE.iter().cycle());
    let hostile = hostile.map(|(id, text)| evil(*id, text));
    let bare = EventId::ALL.iter().map(|id| SecurityEvent::new(*id, now()));
    let events: Vec<SecurityEvent> = ordinary.chain(hostile).chain(bare).collect();
    let origin = Origin::new("hub.example", "8d3c6a4e", "curvelink 0.1.0");
    let mut records: Vec<Record> = (1..)
        .zip(&events)
        .map(|(number, event)| Record::from(event).with_origin(origin.numbered(number)))
        .collect();
    records.push(Record::from(&SecurityEvent::new(EventId::Lost, now())));
    let later = records[0]
        .to_json()
        .unwrap()
        .replacen("CL1001", "CL4711", 1);
    records.push(Record::from_json(later.as_bytes()).unwrap());
    records
}

/// An event whose texts are all the same.
pub(crate) fn evil(id: EventId, text: &str) -> SecurityEvent {
    let mut event = SecurityEvent::new(id, now());
    event.endpoint = Some(text.into());
    event.identity = Some(text.into());
    event.domain = Some(text.into());
    event.topic = Some(text.into());
    for name in id.fields() {
        event.detail(name, text.to_owned());
    }
    event
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_795_305_600_000_123)
}

/// The words of `action` of an event; of most none.
fn actions(id: EventId) -> &'static [&'static str] {
    match id {
        EventId::Denied => &["publish", "subscribe"],
        EventId::Subscription => &["subscribe", "cancel"],
        EventId::Lifecycle => &["start", "stop"],
        EventId::Reload => &["applied", "refused"],
        EventId::Key => &["generated", "loaded", "rotated", "revoked"],
        EventId::Journal => &["epoch", "pruned", "recovered", "lost"],
        EventId::Sink => &["away", "back", "lost"],
        EventId::Witness => &["refused", "away", "back", "few", "enough"],
        _ => &[""],
    }
}

fn full(id: EventId, action: &'static str) -> SecurityEvent {
    let mut event = SecurityEvent::new(id, now());
    event.last = now() + Duration::from_secs(59);
    event.count = 42;
    let has = |name: &str| id.fields().contains(&name);
    if has("peer") {
        event.at(Some(address(id)));
    }
    if has("mechanism") {
        event.fingerprint = Some(PublicKey::from_octets([7; 32]).unwrap().fingerprint());
        event.identity = Some("ci-scanner".into());
        event.mechanism = Some(MechanismName::CURVE);
        event.domain = Some("hub".into());
        event.duration = Some(Duration::from_millis(1234));
    }
    event.endpoint = has("endpoint").then(|| "tcp://198.51.100.2:5555".into());
    event.by = has("by").then_some(Side::Us);
    event.stage = has("stage").then_some(Stage::Admission);
    event.reason = has("reason").then_some("unknown-key");
    event.status = has("status").then_some(if id == EventId::Decision { 200 } else { 400 });
    event.topic = has("topic").then(|| "findings/sast".into());
    event.action = Some(action).filter(|action| !action.is_empty());
    for name in id.fields() {
        if let Some(value) = detail(name, has("mechanism")) {
            event.detail(name, value);
        }
    }
    event
}

fn address(id: EventId) -> PeerAddress {
    match id {
        EventId::Cut => PeerAddress::Tcp("[2001:db8::7]:4711".parse().unwrap()),
        EventId::Subscription => PeerAddress::Ipc {
            uid: 1000,
            gid: 1000,
            pid: Some(77),
        },
        EventId::Verified => PeerAddress::Inproc,
        _ => PeerAddress::Tcp(([192, 0, 2, 7], 4711).into()),
    }
}

/// The fields that are details of an event, `of_peer` or not.
fn detail(name: &str, of_peer: bool) -> Option<&'static str> {
    let value = match name {
        "socket_type" => "PUSH",
        "cipher" => "dryoc",
        "received" => "12",
        "sent" => "9007199254740993",
        "error" => "no space left on device",
        "handler" => "inproc://zeromq.zap.01",
        "digest" => "sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",
        "seq" => "18",
        "subscribers" => "3",
        "missing" => "4",
        "version" => "0.1.0",
        "config" | "new" => "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",
        "old" => "53c234e5e8472b6ac51c1ae1cab3fe06fad053beb8ebfd8977b010655bfdd3c3",
        "changed" => "gained ci; lost old-scanner; keys SHA256:abc",
        "who" => "root",
        "purpose" => "transport",
        "setting" => "accept-anyone",
        "epoch" => "8",
        "index" => "256000",
        "octets" => "117",
        "lost" => "31",
        "origin" => "hub.example/demo",
        "size" => "256001",
        "root" => "Vb1Ufe0YtNLLVn3CyHI3S0AB9z8dxtGPTdIEAXzt4AY=",
        "note" => "aHViLmV4YW1wbGUvZGVtbwoyNTYwMDEK",
        "key" if !of_peer => "SHA256:Vb1Ufe0YtNLLVn3CyHI3S0AB9z8dxtGPTdIEAXzt4AY",
        "identity" if !of_peer => "ci-scanner",
        _ => return None,
    };
    Some(value)
}
