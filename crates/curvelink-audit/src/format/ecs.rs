//! Elastic Common Schema.

use curvelink_proto::EventId;
use serde_json::json;

use super::fields::{Fields, Object, leaf_hash};
use super::outcome::Outcome;
use super::text::summary;
use crate::record::{Record, Value};

/// The version whose field sets these are.
const VERSION: &str = "8.17.0";

/// The record as a document of the Elastic Common Schema 8.17: JSON, one line without its end.
///
/// `event.sequence` and `event.hash` are made for integrity: the number of the record, and its hash
/// as a leaf of the journal's tree (SHA-256 of a zero octet and the canonical JSON, RFC 6962).
/// Fields without a place in the schema are below `curvelink`.
#[must_use]
pub fn ecs(record: &Record) -> String {
    let origin = record.origin();
    let mut fields = Fields::of(record);
    let mut document = Object::default();
    document.put("@timestamp", record.last().to_string());
    document.put("ecs", json!({ "version": VERSION }));
    document.put("message", summary(record));
    document.put("log", json!({ "level": record.severity().name() }));
    document.put_object("event", event(record, &mut fields));
    document.put(
        "service",
        json!({ "name": origin.program(), "type": "curvelink" }),
    );
    document.put(
        "host",
        json!({ "hostname": origin.host(), "boot": { "id": origin.boot() } }),
    );
    document.put_object("source", source(&mut fields));
    document.put_object("user", user(&mut fields));
    if let Some(error) = fields.text("error") {
        document.put("error", json!({ "message": error }));
    }
    let mut own = fields.into_object();
    own.put("id", record.id());
    own.put("count", record.count());
    document.put_object("curvelink", own);
    document.into_text()
}

fn event(record: &Record, fields: &mut Fields<'_>) -> Object {
    let action = record.field("action").and_then(Value::as_text);
    let Meaning(kind, category, types) = meaning(record.event(), action);
    let mut event = Object::default();
    event.put("kind", kind);
    event.put("category", category);
    event.put("type", types);
    event.put("outcome", Outcome::of(record).name());
    event.put("action", record.name());
    event.put("code", record.id());
    event.put("provider", "curvelink");
    event.put("dataset", "curvelink.audit");
    event.put("severity", record.severity() as u8);
    event.put("sequence", record.origin().sequence());
    event.put("hash", leaf_hash(record));
    event.put("start", record.first().to_string());
    event.put("end", record.last().to_string());
    let nanoseconds = fields
        .milliseconds()
        .and_then(|ms| ms.checked_mul(1_000_000));
    event.put_some("duration", nanoseconds);
    event.put_some("reason", fields.text("reason"));
    event
}

/// `event.kind`, `event.category` and `event.type`.
struct Meaning(
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

fn meaning(event: Option<EventId>, action: Option<&str>) -> Meaning {
    const LOGIN: &[&str] = &["authentication", "network"];
    const SESSION: &[&str] = &["session", "network"];
    const THREAT: &[&str] = &["intrusion_detection"];
    let Some(event) = event else {
        return Meaning("event", &[], &["info"]);
    };
    match event {
        EventId::Accepted => Meaning("event", LOGIN, &["start", "allowed"]),
        EventId::Refused => Meaning("event", LOGIN, &["start", "denied"]),
        EventId::Disconnected => Meaning("event", SESSION, &["end"]),
        EventId::Cut => Meaning("event", SESSION, &["end", "denied"]),
        EventId::Decision => Meaning("event", &["authentication"], &["info"]),
        EventId::Denied => Meaning("event", &["api"], &["access", "denied"]),
        EventId::Subscription | EventId::Unconfirmed => Meaning("event", &["api"], &["access"]),
        EventId::Signed => Meaning("event", &["api"], &["creation"]),
        EventId::Verified => Meaning("event", &["api"], &["allowed"]),
        EventId::Rejected => Meaning("alert", THREAT, &["denied"]),
        EventId::Gap => Meaning("alert", THREAT, &["info"]),
        EventId::Insecure => Meaning("alert", &["configuration"], &["info"]),
        EventId::Lifecycle => match action {
            Some("start") => Meaning("event", &["process"], &["start"]),
            Some("stop") => Meaning("event", &["process"], &["end"]),
            _ => Meaning("event", &["process"], &["info"]),
        },
        EventId::Reload => Meaning("event", &["configuration"], &["change"]),
        EventId::Key => Meaning("event", &["iam"], &["change"]),
        EventId::Journal => Meaning("event", &["file"], &["change"]),
        EventId::AcceptFailed => Meaning("event", &["network"], &["error"]),
        EventId::NotSaved => Meaning("event", &["file"], &["error"]),
        EventId::Checkpoint => Meaning("event", &["file"], &["info"]),
        EventId::Sink if action == Some("back") => Meaning("event", &[], &["info"]),
        EventId::Witness => match action {
            Some("away" | "back" | "enough") => Meaning("event", &["file"], &["info"]),
            _ => Meaning("alert", &["file"], &["info"]),
        },
        EventId::Lost | EventId::Sink => Meaning("pipeline_error", &[], &["error"]),
        _ => Meaning("event", &[], &["info"]),
    }
}

fn source(fields: &mut Fields<'_>) -> Object {
    let mut source = Object::default();
    if let Some(address) = fields.address("peer") {
        source.put("address", address.ip().to_string());
        source.put("ip", address.ip().to_string());
        source.put("port", address.port());
    }
    source
}

fn user(fields: &mut Fields<'_>) -> Object {
    let mut user = Object::default();
    user.put_some("name", fields.text("identity"));
    user.put_some("id", fields.text("key"));
    user
}
