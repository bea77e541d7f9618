//! The fields of a record as a format finds places for them, and JSON objects without empty keys.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

use crate::record::{Record, Value};

/// The fields of a record that have no place yet.
pub(super) struct Fields<'a>(BTreeMap<&'a str, &'a Value>);

impl<'a> Fields<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        Self(record.fields().collect())
    }

    /// The field, which has its place now.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a Value> {
        self.0.remove(name)
    }

    /// Whether the field waits for a place.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The field as a text.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name).map(Value::to_string)
    }

    /// The field as an address, where it is one: of a peer, or of an endpoint over tcp.
    pub(super) fn address(&mut self, name: &str) -> Option<SocketAddr> {
        let text = self.0.get(name)?.as_text()?;
        let address = text.strip_prefix("tcp://").unwrap_or(text);
        let address = address.parse().ok()?;
        self.take(name);
        Some(address)
    }

    /// The duration in milliseconds, where it is one.
    pub(super) fn milliseconds(&mut self) -> Option<u64> {
        let text = self.0.get("duration")?.as_text()?;
        let (seconds, fraction) = text.split_once('.')?;
        let is_number = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
        if fraction.len() != 3 || !is_number(fraction) || !is_number(seconds) {
            return None;
        }
        let seconds: u64 = seconds.parse().ok()?;
        let milliseconds = seconds.checked_mul(1000)? + fraction.parse::<u64>().ok()?;
        self.take("duration");
        Some(milliseconds)
    }

    /// What has no place, in the order of the names.
    pub(super) fn rest(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0.into_iter()
    }

    /// What has no place, as an object.
    pub(super) fn into_object(self) -> Object {
        let mut object = Object::default();
        for (name, value) in self.rest() {
            object.put(name, json(value));
        }
        object
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Text(text) => Json::from(text.as_str()),
        Value::Number(number) => Json::from(*number),
    }
}

/// What identifies a record for ever: its hash as a leaf of a log (RFC 6962), in hexadecimal.
pub(super) fn leaf_hash(record: &Record) -> String {
    let kept = record.to_json().or_else(|_| record.abridged().to_json());
    let mut hash = Sha256::new_with_prefix([0]);
    hash.update(kept.unwrap_or_default());
    let octets = hash.finalize();
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A JSON object that has no key without a value.
#[derive(Default)]
pub(super) struct Object(Map<String, Json>);

impl Object {
    pub(super) fn put(&mut self, key: &str, value: impl Into<Json>) {
        self.0.insert(key.to_owned(), value.into());
    }

    pub(super) fn put_some(&mut self, key: &str, value: Option<impl Into<Json>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// Puts the object, unless it is empty.
    pub(super) fn put_object(&mut self, key: &str, object: Self) {
        if !object.is_empty() {
            self.put(key, object.0);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_text(self) -> String {
        Json::Object(self.0).to_string()
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}
