//! ArcSight's Common Event Format, version 0.

use std::fmt::Write as _;
use std::net::IpAddr;

use curvelink_proto::Severity;

use super::fields::Fields;
use super::outcome::Outcome;
use super::text::{push_escaped, summary};
use crate::record::Record;
use crate::time::Time;

/// Fields of records and the keys of CEF's dictionary that mean the same.
const KEYS: &[(&str, &str)] = &[
    ("action", "act"),
    ("identity", "suser"),
    ("reason", "reason"),
];

/// Fields that go where CEF leaves room for six texts of one's own.
const LABELLED: &[(&str, &str)] = &[
    ("key", "cs1"),
    ("topic", "cs2"),
    ("domain", "cs3"),
    ("endpoint", "cs4"),
    ("stage", "cs5"),
    ("mechanism", "cs6"),
];

/// The record in the Common Event Format: one line without its end.
///
/// Fields without a key of CEF's have one of ours: `curvelink` and the name, `curvelinkSocketType`.
/// Characters that are not visible are written as escapes, with a backslash that is escaped in
/// turn; so is `|` in the header, and `=` in what follows it.
#[must_use]
pub fn cef(record: &Record) -> String {
    let mut line = String::from("CEF:0|curvelink|curvelink");
    for part in [
        env!("CARGO_PKG_VERSION"),
        record.id(),
        &record.name().replace('-', " "),
        &severity(record.severity()).to_string(),
    ] {
        line.push('|');
        push_escaped(&mut line, part, &['\\', '|']);
    }
    let milliseconds = |time: Time| (time.unix_us() / 1000).to_string();
    let _ = write!(line, "|rt={}", milliseconds(record.last()));
    let mut extension = Extension(line);
    let origin = record.origin();
    extension.put("start", &milliseconds(record.first()));
    extension.put("end", &milliseconds(record.last()));
    extension.put("cnt", &record.count().to_string());
    extension.put("dvchost", origin.host());
    extension.put("curvelinkBoot", origin.boot());
    extension.put("curvelinkProgram", origin.program());
    extension.put("curvelinkSequence", &origin.sequence().to_string());
    extension.put("outcome", Outcome::of(record).name());
    put_fields(&mut extension, record);
    extension.put("msg", &summary(record));
    extension.0
}

fn put_fields(extension: &mut Extension, record: &Record) {
    let mut fields = Fields::of(record);
    if let Some(address) = fields.address("peer") {
        match address.ip() {
            IpAddr::V4(ip) => extension.put("src", &ip.to_string()),
            IpAddr::V6(ip) => {
                extension.put("c6a2Label", "Source IPv6 Address");
                extension.put("c6a2", &ip.to_string());
            }
        }
        extension.put("spt", &address.port().to_string());
    }
    for (name, key) in KEYS {
        if let Some(value) = fields.text(name) {
            extension.put(key, &value);
        }
    }
    for (name, key) in LABELLED {
        if let Some(value) = fields.text(name) {
            extension.put(&format!("{key}Label"), name);
            extension.put(key, &value);
        }
    }
    for (name, value) in fields.rest() {
        extension.put(&own_key(name), &value.to_string());
    }
}

/// `socket_type` becomes `curvelinkSocketType`.
fn own_key(name: &str) -> String {
    let mut key = String::from("curvelink");
    for word in name.split('_') {
        let mut letters = word.chars();
        key.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        key.push_str(letters.as_str());
    }
    key
}

/// From 0 to 10; 7 and 8 are high there.
const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Informational => 1,
        Severity::Low => 3,
        Severity::Medium => 6,
        Severity::High => 8,
    }
}

/// A line that has a pair of key and value already, to which more are added.
struct Extension(String);

impl Extension {
    fn put(&mut self, key: &str, value: &str) {
        let _ = write!(self.0, " {key}=");
        push_escaped(&mut self.0, value, &['\\', '=']);
    }
}
